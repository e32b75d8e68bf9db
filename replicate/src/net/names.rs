//! Whether two machines use one name: what a node learns from the hellos it hears.
//!
//! A machine draws a name for each of its runs (`boot`) and never comes back to an earlier one. If a run that was
//! followed by another under the same node's name speaks again over a link that was opened later, there are two machines.
//! Both are to be told, whatever incarnation they flee to; but not who says that a person chose it. Who says that it stands
//! still is no witness. Does not live here: telling them. Bounded: [`NODES_MAX`], [`BOOTS_MAX`].

use super::queue::LinkNumber;
use crate::core::id::{BootId, NodeId};
use crate::core::message::Hello;
use std::collections::{BTreeMap, VecDeque};

/// Nodes whose runs are remembered; of more nothing is.
const NODES_MAX: usize = 1_000;
/// Runs of a node that are remembered, the last ones.
const BOOTS_MAX: usize = 4;

/// The runs of one node.
#[derive(Debug, Default)]
struct Runs {
    /// The last one at the end.
    boots: VecDeque<BootId>,
    /// The newest link when the last one was heard for the first time.
    newest: LinkNumber,
    /// The greatest incarnation of all of them.
    inc: u32,
}

/// A name that is used twice.
#[derive(Debug, Default)]
struct Doubled {
    /// Up to this incarnation.
    inc: u32,
    /// By these runs, the last ones.
    boots: VecDeque<BootId>,
}

/// What is known of who uses which name.
#[derive(Debug, Default)]
pub struct Names {
    runs: BTreeMap<NodeId, Runs>,
    doubled: BTreeMap<NodeId, Doubled>,
}

impl Names {
    /// A hello came over a link; `newest` is the greatest number of any link so far. Returns whether it proves that two
    /// machines use the name: known until then or not, [`Names::is_doubled`] says.
    pub fn heard(&mut self, hello: &Hello, link: LinkNumber, newest: LinkNumber) -> bool {
        let (node, is_known) = (hello.node, self.runs.contains_key(&hello.node));
        let counts = !hello.is_quarantined() && !self.is_doubled(hello);
        if !counts || (!is_known && self.runs.len() >= NODES_MAX) {
            return false;
        }
        let runs = self.runs.entry(node).or_default();
        runs.inc = runs.inc.max(hello.inc);
        if runs.boots.back() == Some(&hello.boot) {
            return false;
        }
        if !runs.boots.contains(&hello.boot) {
            runs.boots.push_back(hello.boot);
            runs.newest = newest;
            keep_last(&mut runs.boots);
            return false;
        }
        // A link that was opened before the other run was heard may only have been slow.
        if link <= runs.newest {
            return false;
        }
        let (inc, boots) = (runs.inc, std::mem::take(&mut runs.boots));
        self.runs.remove(&node);
        self.told(node, inc);
        if let Some(doubled) = self.doubled.get_mut(&node) {
            doubled.boots.extend(boots);
            keep_last(&mut doubled.boots);
        }
        true
    }

    /// Somebody found a name used twice, in this incarnation. Returns whether that is news.
    pub fn told(&mut self, node: NodeId, inc: u32) -> bool {
        let has_room = self.doubled.len() < NODES_MAX || self.doubled.contains_key(&node);
        if !has_room || self.doubled.get(&node).is_some_and(|doubled| inc <= doubled.inc) {
            return false;
        }
        self.doubled.entry(node).or_default().inc = inc;
        true
    }

    /// Whether the speaker is one of two machines of its name, as far as is known.
    pub fn is_doubled(&self, hello: &Hello) -> bool {
        let is_one_of =
            |doubled: &Doubled| hello.inc <= doubled.inc || (doubled.boots.contains(&hello.boot) && !hello.is_chosen());
        self.doubled.get(&hello.node).is_some_and(is_one_of)
    }

    /// Forgets all nodes but these.
    pub fn retain(&mut self, is_meant: impl Fn(NodeId) -> bool) {
        self.runs.retain(|node, _| is_meant(*node));
        self.doubled.retain(|node, _| is_meant(*node));
    }
}

fn keep_last(boots: &mut VecDeque<BootId>) {
    while boots.len() > BOOTS_MAX {
        boots.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::election::Token;
    use crate::core::entry::Quality;
    use crate::core::message::{CHOSEN, FleetId, QUARANTINED, Time};

    fn hello(boot: u8, inc: u32) -> Hello {
        Hello {
            proto: (1, 1),
            fleet: FleetId::from_u128(1),
            node: NodeId::from_u128(7),
            inc,
            nonce: 1,
            boot: BootId([boot; 16]),
            build: String::new(),
            kinds: BTreeMap::new(),
            features: Vec::new(),
            wants: Vec::new(),
            seen: Token::NONE,
            time: Time { wall: 0, q: Quality::Unset },
            floor: Vec::new(),
            stands: None,
        }
    }

    fn still(boot: u8, inc: u32) -> Hello {
        Hello { features: vec![QUARANTINED.to_string()], ..hello(boot, inc) }
    }

    /// Hears hellos of one node, each over a link opened just then; returns which of them proved something.
    fn hear(names: &mut Names, hellos: &[Hello]) -> Vec<bool> {
        (1..).zip(hellos).map(|(link, hello)| names.heard(hello, link, link)).collect()
    }

    #[test]
    fn a_run_that_comes_back_proves_two_machines() {
        let mut names = Names::default();

        assert_eq!(hear(&mut names, &[hello(1, 1), hello(2, 3), hello(1, 1)]), [false, false, true]);
        for flees in [hello(1, 1), hello(2, 3), hello(1, 4), hello(2, 5)] {
            assert!(names.is_doubled(&flees), "both are meant, whatever they call themselves");
        }
        let chosen = Hello { features: vec![CHOSEN.to_string()], ..hello(1, 6) };
        assert!(!names.is_doubled(&chosen) && !names.is_doubled(&hello(3, 6)));
    }

    #[test]
    fn a_machine_that_starts_again_and_again_is_one() {
        let mut names = Names::default();
        let hellos: Vec<Hello> = (1..20).flat_map(|boot| [hello(boot, 1), hello(boot, 2)]).collect();

        assert!(hear(&mut names, &hellos).iter().all(|is_proof| !is_proof));
    }

    #[test]
    fn a_slow_link_of_the_run_before_proves_nothing() {
        let mut names = Names::default();
        names.heard(&hello(1, 1), 1, 1);
        names.heard(&hello(2, 1), 3, 3);

        assert!(!names.heard(&hello(1, 1), 2, 3), "opened before");
        assert!(names.heard(&hello(1, 1), 4, 4));
    }

    #[test]
    fn who_stands_still_is_no_witness_against_the_one_that_was_chosen() {
        let mut names = Names::default();
        let hellos = [hello(1, 3), still(2, 2), hello(1, 3), still(2, 2), hello(1, 3)];

        assert!(hear(&mut names, &hellos).iter().all(|is_proof| !is_proof));
    }

    #[test]
    fn what_was_told_is_news_once() {
        let mut names = Names::default();
        let node = NodeId::from_u128(7);

        assert_eq!([1, 1, 2, 1].map(|inc| names.told(node, inc)), [true, false, true, false]);
        names.retain(|_| false);
        assert!(!names.is_doubled(&hello(1, 1)));
    }

    #[test]
    fn no_more_nodes_are_remembered_than_a_fleet_has() {
        let mut names = Names::default();
        for node in 0..3_000_u128 {
            let node = NodeId::from_u128(node);
            names.heard(&Hello { node, ..hello(1, 1) }, 1, 1);
            names.told(node, 1);
        }

        assert_eq!((names.runs.len(), names.doubled.len()), (NODES_MAX, NODES_MAX));
    }
}
