//! What is to be done about the fleet's key, decided from what the records say; nothing is read or written here.
//!
//! The rules hold whatever was done before: who crashed half way, or did the same as another node, is put right by the next
//! look. Records of several nodes come in any order, so a box counts as gone only by what says that it is gone, never because
//! something about it has not arrived.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::Id;
use crate::store::secrets::{Generation, Sealer};

/// What the records say, and who this node is.
pub(super) struct Known {
    /// This node's box.
    pub us: Sealer,
    /// Members that were not retired, with the key that each is known by.
    pub members: BTreeMap<Id, String>,
    /// Nodes that were retired.
    pub retired: BTreeSet<Id>,
    /// Keys of boxes whose place another took.
    pub replaced: BTreeSet<String>,
    /// What boxes say of themselves.
    pub sealers: BTreeSet<Sealer>,
    /// The present generation, and the boxes that it was given to.
    pub present: Option<(Generation, BTreeSet<Sealer>)>,
    /// Of each secret that is not sealed with the present generation: those that it is sealed with.
    pub stale: BTreeMap<Id, BTreeSet<Id>>,
    /// The boxes that those were given to.
    pub earlier: BTreeMap<Id, BTreeSet<Sealer>>,
    /// What nodes are called.
    pub names: BTreeMap<Id, String>,
}

/// How this node stands in the fleet.
pub(super) struct Seat {
    /// Who coordinates, as far as this node knows.
    pub coordinator: Option<Id>,
    /// Nodes that it has links to.
    pub near: BTreeSet<Id>,
    /// Whether it may give the fleet another key now; why not.
    pub may: Result<(), String>,
}

/// What this node is to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// Say by which key envelopes for it are sealed.
    pub tell: bool,
    /// Make the next generation, for this reason.
    pub mint: Option<String>,
    /// A generation is due and waits: why the one, and for what.
    pub waits: Option<String>,
    /// Give the present generation to these boxes.
    pub give: Vec<Sealer>,
    /// Seal these secrets anew.
    pub again: Vec<Id>,
}

/// What to do.
pub(super) fn plan(known: &Known, seat: &Seat) -> Work {
    let mut work = Work { tell: !known.sealers.contains(&known.us), ..Work::default() };
    if let Some(why) = known.due() {
        match &seat.may {
            Ok(()) => work.mint = Some(why),
            Err(wait) => {
                let wait = match seat.coordinator.filter(|coordinator| *coordinator != known.us.node) {
                    Some(other) => format!("{}, which coordinates, does it as soon as it may", known.name(other)),
                    None => wait.clone(),
                };
                work.waits = Some(match &known.present {
                    Some(_) => format!("{why}: the fleet's key is to change. It waits: {wait}"),
                    None => format!("the fleet's first key is to be made. It waits: {wait}"),
                });
            }
        }
    }
    let Some((_, given)) = &known.present else { return work };
    // What is given and sealed under a generation that is about to go would be done twice.
    if work.mint.is_some() || !given.contains(&known.us) {
        return work;
    }
    let holds = |sealer: &Sealer| given.contains(sealer) && known.can_open(sealer);
    let holders: BTreeSet<Id> =
        given.iter().filter(|sealer| known.can_open(sealer)).map(|sealer| sealer.node).collect();
    if seat.is_ours(known.us.node, &holders) {
        let missing = known.sealers.iter().filter(|sealer| known.is_believed(sealer) && !given.contains(sealer));
        work.give = missing.cloned().collect();
        // Who coordinates gives it to all others as soon as it has it: nobody else needs to.
        if let Some(coordinator) = seat.coordinator.filter(|coordinator| *coordinator != known.us.node)
            && work.give.iter().any(|sealer| sealer.node == coordinator)
        {
            work.give.retain(|sealer| sealer.node == coordinator);
        }
    }
    // Most secrets are of one generation: it is asked once for all of these.
    let mut asked: BTreeMap<&BTreeSet<Id>, bool> = BTreeMap::new();
    for (id, generations) in &known.stale {
        let is_ours = *asked.entry(generations).or_insert_with(|| {
            let boxes = || generations.iter().filter_map(|generation| known.earlier.get(generation)).flatten();
            let able = boxes().filter(|sealer| holds(sealer)).map(|sealer| sealer.node).collect();
            boxes().any(|sealer| *sealer == known.us) && seat.is_ours(known.us.node, &able)
        });
        work.again.extend(is_ours.then_some(*id));
    }
    work
}

impl Known {
    /// Whether a box is a member's, by the key that counts now.
    pub fn is_believed(&self, sealer: &Sealer) -> bool {
        self.members.get(&sealer.node) == Some(&sealer.spki)
    }

    /// Whether a box is a member's and opens what is sealed to it, as far as is known.
    pub fn can_open(&self, sealer: &Sealer) -> bool {
        self.is_believed(sealer) && !self.is_dead(sealer)
    }

    /// Whether a box is out for good.
    pub fn is_gone(&self, sealer: &Sealer) -> bool {
        self.retired.contains(&sealer.node) || self.replaced.contains(&sealer.spki)
    }

    /// Whether nobody opens an envelope to this box any more: it is out, or has said that it has another key.
    fn is_dead(&self, sealer: &Sealer) -> bool {
        let is_its = |said: &&Sealer| (said.node, &said.spki) == (sealer.node, &sealer.spki);
        let from = Sealer { public: String::new(), ..sealer.clone() };
        let has_another = |said: &Sealer| said != sealer;
        self.is_gone(sealer)
            || self.sealers.range(from..).take_while(is_its).any(has_another)
            || Some(&self.us).filter(is_its).is_some_and(has_another)
    }

    /// Why the fleet's key is to change; nothing if it is not.
    fn due(&self) -> Option<String> {
        let Some((_, given)) = &self.present else { return Some("it is the first".into()) };
        let gone = |is_it: &dyn Fn(&Sealer) -> bool| -> Vec<String> {
            let nodes: BTreeSet<Id> = given.iter().filter(|sealer| is_it(sealer)).map(|sealer| sealer.node).collect();
            nodes.iter().map(|node| self.name(*node)).collect()
        };
        let retired = gone(&|sealer| self.retired.contains(&sealer.node));
        let replaced = gone(&|sealer| self.replaced.contains(&sealer.spki) && !self.retired.contains(&sealer.node));
        let mut why = Vec::new();
        if !retired.is_empty() {
            why.push(format!("{} had the key and was retired", retired.join(", ")));
        }
        if !replaced.is_empty() {
            why.push(format!("the box that was {} before had the key", replaced.join(", ")));
        }
        if why.is_empty() && given.iter().all(|sealer| self.is_dead(sealer)) {
            why.push("no node has the key any more".into());
        }
        (!why.is_empty()).then(|| why.join("; "))
    }

    /// What a node is called.
    pub fn name(&self, node: Id) -> String {
        self.names.get(&node).cloned().unwrap_or_else(|| crate::store::fleet::called(node, None))
    }
}

impl Seat {
    /// Of those who can do a thing, whether it is this node's to do: who coordinates if it is among them, else the first of
    /// those in reach. Two that do not see each other may both do it; that means the same.
    fn is_ours(&self, us: Id, able: &BTreeSet<Id>) -> bool {
        match self.coordinator.filter(|coordinator| able.contains(coordinator)) {
            Some(coordinator) => coordinator == us,
            None => able.iter().find(|node| **node == us || self.near.contains(node)) == Some(&us),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn id(name: &str) -> Id {
        Id::of_name(name)
    }

    fn a_box(name: &str) -> Sealer {
        Sealer { node: id(name), spki: format!("key of {name}"), public: format!("half of {name}") }
    }

    /// A fleet of these, seen by the first; all have the key.
    fn fleet(names: &[&str]) -> Known {
        let sealers: BTreeSet<Sealer> = names.iter().map(|name| a_box(name)).collect();
        let made = Generation { id: id("one"), number: 1, at: Timestamp::UNIX_EPOCH, by: id("a"), why: String::new() };
        Known {
            us: a_box(names[0]),
            members: sealers.iter().map(|sealer| (sealer.node, sealer.spki.clone())).collect(),
            retired: BTreeSet::new(),
            replaced: BTreeSet::new(),
            present: Some((made, sealers.clone())),
            stale: BTreeMap::new(),
            earlier: BTreeMap::new(),
            names: names.iter().map(|name| (id(name), (*name).to_owned())).collect(),
            sealers,
        }
    }

    fn follows(coordinator: &str, near: &[&str]) -> Seat {
        let near = near.iter().map(|name| id(name)).collect();
        Seat { coordinator: Some(id(coordinator)), near, may: Err("it does not coordinate".into()) }
    }

    fn coordinates(us: &str) -> Seat {
        Seat { may: Ok(()), ..follows(us, &[]) }
    }

    fn retires(known: &mut Known, name: &str) {
        known.members.remove(&id(name));
        known.retired.insert(id(name));
    }

    #[test]
    fn a_fleet_in_which_all_have_the_key_needs_nothing() {
        for seat in [coordinates("a"), follows("b", &["b", "c"])] {
            assert_eq!(plan(&fleet(&["a", "b", "c"]), &seat), Work::default());
        }
    }

    #[test]
    fn the_first_key_is_made_by_who_coordinates() {
        let known = Known { present: None, ..fleet(&["a", "b"]) };
        assert_eq!(plan(&known, &coordinates("a")).mint.as_deref(), Some("it is the first"));
        let work = plan(&known, &follows("b", &["b"]));
        assert_eq!(work.mint, None);
        assert!(work.waits.unwrap().ends_with("It waits: b, which coordinates, does it as soon as it may"));
    }

    #[test]
    fn the_key_changes_when_a_node_that_had_it_is_retired_or_replaced() {
        let mut known = fleet(&["a", "b", "c"]);
        retires(&mut known, "c");
        assert_eq!(plan(&known, &coordinates("a")).mint.as_deref(), Some("c had the key and was retired"));
        let work = plan(&known, &Seat { may: Err("only 1 of 2 nodes are in reach".into()), ..coordinates("a") });
        assert_eq!(work.mint, None);
        assert!(work.waits.unwrap().ends_with("It waits: only 1 of 2 nodes are in reach"));

        let mut known = fleet(&["a", "b", "c"]);
        known.replaced.insert("key of c".into());
        known.members.insert(id("c"), "another key of c".into());
        assert_eq!(plan(&known, &coordinates("a")).mint.as_deref(), Some("the box that was c before had the key"));

        // Who never had it takes nothing along.
        let mut known = fleet(&["a", "b", "c"]);
        retires(&mut known, "c");
        known.present.as_mut().unwrap().1.remove(&a_box("c"));
        assert_eq!(plan(&known, &coordinates("a")), Work::default());
    }

    #[test]
    fn what_has_not_arrived_is_no_reason_to_change_the_key() {
        let mut known = fleet(&["a", "b", "c"]);
        known.sealers.remove(&a_box("c"));
        assert_eq!(plan(&known, &coordinates("a")), Work::default(), "what c says of itself");
        known.members.remove(&id("c"));
        assert_eq!(plan(&known, &coordinates("a")), Work::default(), "and that it is a member");
        known.members.insert(id("c"), "a later key of c".into());
        assert_eq!(plan(&known, &coordinates("a")), Work::default(), "or what its key is");
    }

    #[test]
    fn a_key_that_nobody_can_open_is_made_anew() {
        // A backup was put back, and it has no key in it.
        let mut known = fleet(&["a"]);
        known.us.public = "another half of a".into();
        let work = plan(&known, &coordinates("a"));
        assert_eq!((work.tell, work.mint.as_deref()), (true, Some("no node has the key any more")));
        // Somebody may still have it.
        let mut known = fleet(&["a", "b"]);
        known.us.public = "another half of a".into();
        assert_eq!(plan(&known, &coordinates("a")), Work { tell: true, ..Work::default() });
    }

    #[test]
    fn a_newcomer_gets_the_key_from_one_node() {
        let newcomer = |us: &str| {
            let mut known = fleet(&["a", "b", "c", "new"]);
            known.present.as_mut().unwrap().1.remove(&a_box("new"));
            known.us = a_box(us);
            known
        };
        let given = |us, seat| plan(&newcomer(us), &seat).give;
        for coordinator in ["a", "b", "c"] {
            for us in ["a", "b", "c"] {
                let given = given(us, follows(coordinator, &["a", "b", "c", "new"]));
                assert_eq!(given.len(), usize::from(us == coordinator), "{us}, {coordinator} coordinates");
            }
        }
        assert_eq!(given("new", follows("a", &["a", "b", "c"])), [], "it has none to give");

        // The newcomer coordinates: the first of those that see each other gives it, and to no other node.
        let lowest = ["a", "b", "c"].into_iter().min_by_key(|name| id(name)).unwrap();
        let mut known = newcomer(lowest);
        let late = a_box("late");
        known.members.insert(late.node, late.spki.clone());
        known.sealers.insert(late.clone());
        assert_eq!(plan(&known, &follows("new", &["a", "b", "c", "new"])).give, [a_box("new")]);
        for other in ["a", "b", "c"].into_iter().filter(|name| *name != lowest) {
            assert_eq!(given(other, follows("new", &["a", "b", "c", "new"])), [], "{other}");
            assert_eq!(given(other, follows("new", &["new"])), [a_box("new")], "{other} sees nobody else");
        }
        let given: BTreeSet<Sealer> =
            plan(&known, &follows("nobody", &["a", "b", "c", "new"])).give.into_iter().collect();
        assert_eq!(given, [a_box("new"), late].into());
    }

    #[test]
    fn nothing_is_given_to_who_is_out() {
        let mut known = fleet(&["a", "b", "c"]);
        known.present.as_mut().unwrap().1 = [a_box("a")].into();
        retires(&mut known, "b");
        known.members.insert(id("c"), "another key of c".into());
        assert_eq!(plan(&known, &coordinates("a")).give, []);
    }

    #[test]
    fn a_secret_of_an_earlier_key_is_sealed_anew_by_one_that_has_both() {
        let mut known = fleet(&["a", "b", "c"]);
        known.stale.insert(id("s3"), [id("old")].into());
        known.earlier.insert(id("old"), [a_box("a"), a_box("b"), a_box("gone")].into());
        for coordinator in ["a", "b"] {
            let again = plan(&known, &follows(coordinator, &["a", "b", "c"])).again;
            assert_eq!(again.len(), usize::from(coordinator == "a"), "{coordinator} coordinates and can");
        }
        let lowest = ["a", "b"].into_iter().min_by_key(|name| id(name)).unwrap();
        for us in ["a", "b"] {
            known.us = a_box(us);
            let again = plan(&known, &follows("c", &["a", "b", "c"])).again;
            assert_eq!(again.len(), usize::from(us == lowest), "c coordinates and cannot");
        }
        known.us = a_box("c");
        assert_eq!(plan(&known, &coordinates("c")).again, []);
    }
}
