//! Who dials whom, and who stands for election, in a fleet of any size.
//!
//! Pure functions of the roster, so that nodes that have the same roster agree. Up to [`MESH_MAX`] members everybody has a
//! link to everybody. In a larger fleet each node dials the coordinator, the standbys and a neighbour in each of two rings:
//! the first carry everything in two steps, the rings hold a side together that has lost all of those. Does not live here:
//! dialling (`links`), the election (`replicate`). It may assume nothing of who is in reach but what it is told.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use replicate::core::election;
use sha2::{Digest, Sha256};

use crate::store::Id;
use crate::store::fleet::Member;

/// Members up to which everybody has a link to everybody and all stand for election that may.
pub const MESH_MAX: usize = election::MESH_MAX;
/// Members of a larger fleet that stand for election: the first by rank.
pub const CANDIDATES_MAX: usize = 5;
/// Of these the first, whom everybody dials.
pub const STANDBYS_MAX: usize = 4;
/// Rings through all members that are no standbys. In two of them hardly any two nodes are neighbours twice.
const RINGS: u8 = 2;

/// What of a member counts here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Which.
    pub id: Id,
    /// It may coordinate, by its profile.
    pub is_candidate: bool,
    /// The greater is preferred.
    pub priority: i32,
    /// Preferred among equals.
    pub is_keeper: bool,
}

impl Node {
    /// What counts of a member.
    pub fn of(member: &Member) -> Self {
        let profile = &member.profile;
        let (is_candidate, priority, is_keeper) = (profile.is_candidate, profile.priority, profile.is_keeper);
        Self { id: member.id, is_candidate, priority, is_keeper }
    }
}

/// What counts of those that are not retired.
pub fn believed(members: &[Member]) -> Vec<Node> {
    members.iter().filter(|member| !member.is_retired).map(Node::of).collect()
}

/// Who stands for election, the best first: the election's own order. Of a large fleet only [`CANDIDATES_MAX`], so that a
/// coordinator need not speak twice a second to all. If one is retired the next moves up.
///
/// Two nodes whose rosters differ may for that time count different ones. Who stands too many asks those that it reaches
/// before it claims, and is told of whoever reigns; who stands too few is missed only if all that others count are gone.
pub fn candidates(members: &[Node]) -> Vec<Id> {
    let mut standing: Vec<&Node> = members.iter().filter(|node| node.is_candidate).collect();
    standing.sort_by_key(|node| (Reverse(node.priority), Reverse(node.is_keeper), node.id));
    if members.len() > MESH_MAX {
        standing.truncate(CANDIDATES_MAX);
    }
    standing.into_iter().map(|node| node.id).collect()
}

/// Whether a newcomer is to keep everybody's records: as long as with it all members stand for election. What more than these
/// have is a burden on every disk and no more safety.
pub fn keeps_all(members: &[Node], newcomer: Id) -> bool {
    members.iter().filter(|node| node.id != newcomer).count() < MESH_MAX
}

/// Who keeps everybody's records by now, and has to: who stands for election, so that a coordinator has what it shows, and
/// who coordinates. Nobody is taken off again: what a node has is no burden any more.
pub fn keepers_due(members: &[Node], coordinator: Id) -> Vec<Id> {
    let standing = candidates(members);
    let is_due = |node: &&Node| !node.is_keeper && (node.id == coordinator || standing.contains(&node.id));
    members.iter().filter(is_due).map(|node| node.id).collect()
}

/// What a node knows when it chooses whom to dial.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// This node.
    pub us: Id,
    /// Who coordinates, if that is known.
    pub coordinator: Option<Id>,
    /// Members that were dialled lately, in vain.
    pub away: &'a BTreeSet<Id>,
    /// Turns the rings: a number that is the same on all nodes for a day.
    pub day: u64,
}

/// Whom a node dials, of these members (those that are not retired).
pub fn dials(members: &[Node], known: &Known<'_>) -> BTreeSet<Id> {
    let others = || members.iter().map(|node| node.id).filter(|id| *id != known.us);
    if members.len() <= MESH_MAX {
        return others().collect();
    }
    let standbys: BTreeSet<Id> = candidates(members).into_iter().take(STANDBYS_MAX).collect();
    let mut dialled: BTreeSet<Id> =
        standbys.iter().copied().chain(known.coordinator).filter(|id| others().any(|other| other == *id)).collect();
    // Everybody dials a standby: it has neighbours enough.
    if standbys.contains(&known.us) {
        return dialled;
    }
    let in_rings: Vec<Id> = members.iter().map(|node| node.id).filter(|id| !standbys.contains(id)).collect();
    for ring in 0..RINGS {
        dialled.extend(neighbours(&in_rings, ring, known));
    }
    dialled
}

/// The next node in a ring, and as long as that one is away also the next that is not: so the ring closes on each side of a
/// cut, and opens when the other side is back.
fn neighbours(members: &[Id], ring: u8, known: &Known<'_>) -> impl Iterator<Item = Id> + use<> {
    let mut ring: Vec<([u8; 32], Id)> = members.iter().map(|id| (place(*id, ring, known.day), *id)).collect();
    ring.sort_unstable();
    let ours = ring.iter().position(|(_, id)| *id == known.us);
    let after = ours.map_or(0, |ours| (ours + 1) % ring.len());
    ring.rotate_left(after);
    let others = || ring.iter().map(|(_, id)| *id).filter(|id| *id != known.us);
    let next = others().next();
    let next_there = others().find(|id| !known.away.contains(id));
    next.into_iter().chain(next_there)
}

fn place(id: Id, ring: u8, day: u64) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(id.0.as_bytes());
    hash.update([ring]);
    hash.update(day.to_be_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn roster(count: usize) -> Vec<Node> {
        let node = |number: usize| {
            let id = Id::of_name(&format!("node {number}"));
            Node { id, is_candidate: true, priority: 0, is_keeper: true }
        };
        (0..count).map(node).collect()
    }

    fn of(members: &[Node], us: Id, coordinator: Option<Id>, away: &BTreeSet<Id>) -> BTreeSet<Id> {
        dials(members, &Known { us, coordinator, away, day: 20_000 })
    }

    /// Links between those that are there, whoever dialled, as they end up when each has found out who is away.
    fn links(members: &[Node], coordinator: Option<Id>, away: &BTreeSet<Id>) -> BTreeMap<Id, BTreeSet<Id>> {
        let mut links: BTreeMap<Id, BTreeSet<Id>> = BTreeMap::new();
        for node in members.iter().map(|node| node.id).filter(|id| !away.contains(id)) {
            links.entry(node).or_default();
            for other in of(members, node, coordinator, away).difference(away) {
                links.entry(node).or_default().insert(*other);
                links.entry(*other).or_default().insert(node);
            }
        }
        links
    }

    fn is_connected(links: &BTreeMap<Id, BTreeSet<Id>>) -> bool {
        let mut seen: BTreeSet<Id> = links.keys().take(1).copied().collect();
        let mut work: Vec<Id> = seen.iter().copied().collect();
        while let Some(node) = work.pop() {
            work.extend(links[&node].iter().filter(|other| seen.insert(**other)));
        }
        seen.len() == links.len()
    }

    #[test]
    fn in_a_small_fleet_everybody_dials_everybody_and_all_stand() {
        for count in 1..=MESH_MAX {
            let members = roster(count);
            for node in &members {
                let dialled = of(&members, node.id, None, &BTreeSet::new());
                assert_eq!(dialled.len(), count - 1);
                assert!(!dialled.contains(&node.id));
            }
            assert_eq!(candidates(&members).len(), count);
        }
    }

    #[test]
    fn the_first_five_by_rank_stand_and_the_next_moves_up() {
        let mut members = roster(40);
        members[7].priority = 3;
        members[9].is_candidate = false;
        members[9].priority = 9;
        let before = candidates(&members);
        assert_eq!((before.len(), before[0]), (CANDIDATES_MAX, members[7].id));

        members.retain(|node| node.id != before[2]);
        let after = candidates(&members);
        let stayed: Vec<Id> = before.iter().copied().filter(|id| *id != before[2]).collect();
        assert_eq!(after[..4], stayed);
        assert!(after.len() == CANDIDATES_MAX && !before.contains(&after[4]));
    }

    #[test]
    fn nine_are_too_many_to_keep_everything() {
        for count in 0..MESH_MAX {
            assert!(keeps_all(&roster(count), Id::of_name("new")), "{count} are there");
        }
        let members = roster(MESH_MAX);
        assert!(!keeps_all(&members, Id::of_name("new")));
        assert!(keeps_all(&members, members[3].id), "who comes again is not counted twice");
    }

    #[test]
    fn who_may_coordinate_becomes_a_keeper_and_nobody_else() {
        let mut members = roster(12);
        members.iter_mut().skip(8).for_each(|node| node.is_keeper = false);
        let coordinator = candidates(&members)[0];
        assert_eq!(keepers_due(&members, coordinator), [], "five of eight keepers stand");

        let standing = candidates(&members);
        members.retain(|node| !standing[..4].contains(&node.id));
        // Eight are left, so all stand.
        assert_eq!(keepers_due(&members, members[0].id).len(), 4);

        let mut members = roster(12);
        members.iter_mut().skip(8).for_each(|node| node.is_keeper = false);
        members[11].priority = 1;
        assert_eq!(keepers_due(&members, coordinator), [members[11].id], "preferred by a person");
        assert_eq!(keepers_due(&members, members[10].id), [members[10].id, members[11].id], "chosen by a person");
    }

    #[test]
    fn everybody_reaches_the_coordinator_in_one_step() {
        for count in [9, 50, 1_000] {
            let members = roster(count);
            // Also one that an owner chose, who is no standby.
            for coordinator in [candidates(&members)[1], members[count - 1].id] {
                let links = links(&members, Some(coordinator), &BTreeSet::new());
                assert_eq!(links[&coordinator].len(), count - 1);
            }
        }
    }

    #[test]
    fn the_fleet_hangs_together_with_any_two_away() {
        let members = roster(30);
        for one in &members {
            for other in &members {
                assert!(is_connected(&links(&members, None, &[one.id, other.id].into())));
            }
        }
    }

    #[test]
    fn a_side_that_lost_all_standbys_and_half_of_the_others_hangs_together() {
        let members = roster(200);
        let standbys = candidates(&members);
        let far = members.iter().enumerate().filter(|(at, _)| at % 2 == 0).map(|(_, node)| node.id);
        let links = links(&members, None, &far.chain(standbys).collect());

        assert!(links.len() > 90 && is_connected(&links));
    }

    #[test]
    fn only_hubs_have_many_links() {
        let members = roster(1_000);
        let candidates = candidates(&members);
        let links = links(&members, Some(candidates[0]), &BTreeSet::new());
        let hubs = &candidates[..STANDBYS_MAX];
        let most = links.iter().filter(|(id, _)| !hubs.contains(id)).map(|(_, others)| others.len()).max();

        // Two neighbours in each ring, and the standbys.
        assert!(most.unwrap() <= 2 * usize::from(RINGS) + STANDBYS_MAX, "{most:?}");
    }

    #[test]
    fn another_day_brings_other_neighbours() {
        let members = roster(100);
        let (us, away) = (members[50].id, BTreeSet::new());
        let on = |day| dials(&members, &Known { us, coordinator: None, away: &away, day });

        assert_eq!(on(1), on(1));
        assert_ne!(on(1), on(2));
    }
}
