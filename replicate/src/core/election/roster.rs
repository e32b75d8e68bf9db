//! Who belongs to the fleet, who may coordinate it, in which order, and what makes a majority.
//!
//! Everything here is a pure function of the roster and of a set of nodes, so two nodes with the same roster agree.

use crate::core::id::NodeId;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// One node of the fleet, as the roster has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Which.
    pub node: NodeId,
    /// Whether it may coordinate.
    pub is_candidate: bool,
    /// Greater is preferred.
    pub priority: i32,
    /// Whether it keeps copies of what others saw. Preferred among equals.
    pub is_keeper: bool,
    /// What it counts for in a majority. 0: not at all.
    pub weight: u32,
    /// Whether its side is the majority when both halves weigh the same: one of two nodes.
    pub is_primary: bool,
    /// Whether the role is kept for it while it is away, for a time.
    pub is_pinned: bool,
}

impl Member {
    /// Returns a candidate like any other.
    pub const fn new(node: NodeId) -> Self {
        let (is_candidate, priority, is_keeper, weight) = (true, 0, false, 1);
        Self { node, is_candidate, priority, is_keeper, weight, is_primary: false, is_pinned: false }
    }

    /// Least first is best first.
    fn order(&self) -> impl Ord + use<> {
        (
            Reverse(self.is_candidate),
            Reverse(self.is_pinned),
            Reverse(self.priority),
            Reverse(self.is_keeper),
            self.node,
        )
    }
}

/// How much of the fleet follows a coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// More than half of the weight, or half with the primary.
    Majority,
    /// Less. What cannot be taken back has to wait.
    Minority,
    /// The roster is this node only: there is nobody to wait for.
    Alone,
}

/// The members of a fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Roster {
    members: BTreeMap<NodeId, Member>,
    /// Of all of them.
    weight: u64,
    primary: Option<NodeId>,
}

impl Roster {
    /// Returns the roster with these members; a node named twice counts as it was named last.
    pub fn new(members: Vec<Member>) -> Self {
        let members: BTreeMap<_, _> = members.into_iter().map(|member| (member.node, member)).collect();
        let weight = members.values().map(|member| u64::from(member.weight)).sum();
        let primary = members.values().filter(|member| member.is_primary).min_by_key(|member| member.order());
        let primary = primary.map(|member| member.node);
        Self { members, weight, primary }
    }

    /// Returns a member.
    pub fn get(&self, node: NodeId) -> Option<&Member> {
        self.members.get(&node)
    }

    /// Returns the members in the order of their names.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// Returns whether a node may coordinate.
    pub fn is_candidate(&self, node: NodeId) -> bool {
        self.get(node).is_some_and(|member| member.is_candidate)
    }

    /// Returns whether the first of two is to be preferred. Nobody prefers a node that may not coordinate.
    pub fn is_better(&self, first: NodeId, second: NodeId) -> bool {
        let Some(first) = self.get(first).filter(|member| member.is_candidate) else { return false };
        self.get(second).is_none_or(|second| first.order() < second.order())
    }

    /// Returns how many of `others` are to be preferred to `node`.
    pub fn rank(&self, node: NodeId, others: impl Iterator<Item = NodeId>) -> u64 {
        others.filter(|other| self.is_better(*other, node)).count() as u64
    }

    /// Returns the node for which the role is kept while it is away, if that is another than `node`.
    pub fn pinned_other_than(&self, node: NodeId) -> Option<NodeId> {
        let pinned = self.members().filter(|member| member.is_candidate && member.is_pinned);
        let first = pinned.min_by_key(|member| member.order())?.node;
        (first != node).then_some(first)
    }

    /// Returns what a side of the fleet is.
    pub fn mode(&self, side: impl Iterator<Item = NodeId>) -> Mode {
        self.mode_of(side.filter_map(|node| self.get(node)))
    }

    /// The same of members of this roster.
    pub fn mode_of<'a>(&self, side: impl Iterator<Item = &'a Member>) -> Mode {
        if self.members.len() <= 1 {
            return Mode::Alone;
        }
        let (mut weight, mut has_primary) = (0, false);
        for member in side {
            weight += u64::from(member.weight);
            has_primary |= self.primary == Some(member.node);
        }
        match (weight * 2).cmp(&self.weight) {
            std::cmp::Ordering::Greater => Mode::Majority,
            std::cmp::Ordering::Equal if has_primary => Mode::Majority,
            _ => Mode::Minority,
        }
    }

    /// Returns how many nodes there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: u128) -> NodeId {
        NodeId::from_u128(name)
    }

    fn fleet(change: impl Fn(&mut Member), names: std::ops::RangeInclusive<u128>) -> Roster {
        Roster::new(
            names
                .map(|name| {
                    let mut member = Member::new(node(name));
                    change(&mut member);
                    member
                })
                .collect(),
        )
    }

    #[test]
    fn the_best_is_pinned_then_of_priority_then_a_keeper_then_first_by_name() {
        let roster = fleet(
            |member| {
                member.is_pinned = member.node == node(5);
                member.priority = i32::from(member.node == node(4));
                member.is_keeper = member.node == node(3);
                member.is_candidate = member.node != node(1);
            },
            1..=6,
        );
        let mut sorted: Vec<u128> = (1..=6).collect();
        sorted.sort_by_key(|name| roster.rank(node(*name), (1..=6).map(node)));

        assert_eq!(sorted, [5, 4, 3, 2, 6, 1]);
    }

    #[test]
    fn one_of_two_is_a_majority_only_if_it_is_the_primary() {
        let roster = fleet(|member| member.is_primary = member.node == node(2), 1..=2);

        assert_eq!(roster.mode([node(1)].into_iter()), Mode::Minority);
        assert_eq!(roster.mode([node(2)].into_iter()), Mode::Majority);
        assert_eq!(fleet(|_| (), 1..=2).mode([node(2)].into_iter()), Mode::Minority);
    }

    #[test]
    fn two_disjoint_sides_are_never_both_a_majority() {
        for primaries in 0..16_u128 {
            let change = |member: &mut Member| {
                member.is_primary = primaries >> (u128::from_be_bytes(member.node.0) - 1) & 1 == 1;
                member.weight = if member.node == node(1) { 2 } else { 1 };
            };
            let roster = fleet(change, 1..=4);
            for side in 0..16_u128 {
                let (one, two): (Vec<u128>, Vec<u128>) = (1..=4).partition(|name| side >> (name - 1) & 1 == 1);
                let mode = |side: Vec<u128>| roster.mode(side.into_iter().map(node));
                assert!(mode(one) != Mode::Majority || mode(two) != Mode::Majority, "{primaries:b} {side:b}");
            }
        }
    }

    #[test]
    fn a_fleet_of_one_waits_for_nobody() {
        assert_eq!(fleet(|_| (), 1..=1).mode([].into_iter()), Mode::Alone);
    }
}
