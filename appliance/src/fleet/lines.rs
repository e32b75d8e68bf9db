//! Whether the machines answer with which a coordinator speaks seldom.
//!
//! Those that do not stand for election hear of the coordinator the more seldom the more there are, five hundred of them
//! every 5 s: a plug that was pulled would be told after 7 s. The kernel asks in between, at no cost to any program: a
//! machine that confirms nothing for [`SILENT_MS`] is not reached. A program that hangs on a machine that answers is told
//! after 7 s as before, among a hundred after 3. Lives here: the loop `lines` ([`Attendant`]), which lines are asked, and
//! who is silent. Does not live here: what follows from that (`state`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use replicate::core::election::Role;

use super::topology;
use super::{Fleet, held};
use crate::service::{Next, Worker};
use crate::store::{Id, StoreError};
use crate::sys::clock::{self, Now};
use crate::sys::line::{Answers, Line};

/// A machine that confirmed nothing for so long is not reached: two questions of the kernel, and what answers take. With
/// [`LOOK`] an operator learns of a pulled plug within three seconds.
const SILENT_MS: u64 = 2_250;
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(500);
/// Lines that take longer are not asked: they are no local network's, and 1 kbit/s is what such a one has for an idle node.
const QUICK_US: u32 = 20_000;

/// Lines of links, and what they say.
#[derive(Default)]
pub(super) struct Lines {
    open: Mutex<BTreeMap<Id, Asked>>,
    /// Who does not answer, since when by the monotonic clock, milliseconds.
    silent: Mutex<BTreeMap<Id, u64>>,
}

struct Asked {
    line: Line,
    /// Since when the kernel asks, by the monotonic clock, milliseconds.
    since_ms: Option<u64>,
}

/// A link's line, until this is dropped.
pub(super) struct Attended {
    fleet: Fleet,
    node: Id,
    line: Line,
}

impl Drop for Attended {
    fn drop(&mut self) {
        let mut open = held(&self.fleet.0.lines.open);
        // Of two links to one node the other may have come since.
        if open.get(&self.node).is_some_and(|asked| asked.line.is(&self.line)) {
            open.remove(&self.node);
        }
    }
}

impl Fleet {
    /// Attends to the line of a link, until what this returns is dropped.
    pub(super) fn attend(&self, node: Id, line: Line) -> Attended {
        held(&self.0.lines.open).insert(node, Asked { line: line.clone(), since_ms: None });
        Attended { fleet: self.clone(), node, line }
    }

    /// For how long a node's machine has confirmed nothing, if that is too long and this node asks; milliseconds.
    pub(super) fn unanswered_ms(&self, node: Id) -> Option<u64> {
        held(&self.0.lines.silent).get(&node).map(|since| (clock::mono_us() / 1_000).saturating_sub(*since))
    }

    /// With whom this node, which coordinates, speaks seldom: nobody if it does not.
    fn seldom(&self) -> Result<BTreeSet<Id>, StoreError> {
        let is_ours = |hub: replicate::net::Hub| matches!(hub.look().election.role, Role::Coordinator { .. });
        if !self.hub().is_some_and(is_ours) {
            return Ok(BTreeSet::new());
        }
        let nodes = topology::believed(&self.0.store.kept_members()?);
        let candidates = topology::candidates(&nodes);
        Ok(nodes.into_iter().map(|node| node.id).filter(|id| !candidates.contains(id)).collect())
    }

    /// The loop that looks at lines.
    pub(super) fn lines(&self) -> Attendant {
        Attendant { fleet: self.clone() }
    }

    /// Has the kernel ask whom it is to ask, and notes who does not answer: how many are asked, and whether those who are
    /// silent are others than before.
    fn look_at_lines(&self, seldom: &BTreeSet<Id>, now_ms: u64) -> (usize, bool) {
        let (mut asked_now, mut silent) = (0, BTreeMap::new());
        for (node, asked) in held(&self.0.lines.open).iter_mut() {
            let Ok(answers) = asked.line.answers() else { continue };
            let is_to_ask = seldom.contains(node) && answers.way_us <= QUICK_US;
            if is_to_ask != asked.since_ms.is_some() && asked.line.keep_asking(is_to_ask).is_ok() {
                asked.since_ms = is_to_ask.then_some(now_ms);
            }
            asked_now += usize::from(asked.since_ms.is_some());
            silent.extend(asked.since_ms.and_then(|since| silent_since(answers, since, now_ms)).map(|at| (*node, at)));
        }
        let mut told = held(&self.0.lines.silent);
        let is_news = !told.keys().eq(silent.keys());
        *told = silent;
        (asked_now, is_news)
    }
}

/// Since when a machine is silent that is asked, if it is: what it did before it was asked does not count.
fn silent_since(answers: Answers, asked_ms: u64, now_ms: u64) -> Option<u64> {
    let heard_ms = now_ms.saturating_sub(answers.ago_ms);
    (now_ms.saturating_sub(heard_ms.max(asked_ms)) > SILENT_MS).then_some(heard_ms)
}

/// The loop.
pub(super) struct Attendant {
    fleet: Fleet,
}

impl Worker for Attendant {
    fn name(&self) -> &'static str {
        "lines"
    }

    fn step(&mut self, now: Now) -> Result<Next, String> {
        let (seldom, nobody) = (self.fleet.seldom(), BTreeSet::new());
        let (asked, is_news) = self.fleet.look_at_lines(seldom.as_ref().unwrap_or(&nobody), now.mono_us / 1_000);
        if is_news {
            self.fleet.0.live.bump();
        }
        let why = |error| format!("nobody is asked, for who is a member cannot be read: {error}");
        let silent = held(&self.fleet.0.lines.silent).len();
        let detail = match seldom.map_err(why)?.len() {
            0 => "no node is spoken with seldom: heartbeats tell".to_owned(),
            nodes => format!("the machines of {asked} of {nodes} nodes are asked, {silent} silent"),
        };
        Ok(Next::after(LOOK, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_confirms_nothing_for_two_questions_is_silent_and_not_for_what_was_before_them() {
        let silent = |ago_ms, asked_ms, now_ms| silent_since(Answers { ago_ms, way_us: 200 }, asked_ms, now_ms);
        assert_eq!(silent(1_000, 0, 60_000), None);
        assert_eq!(silent(2_200, 0, 60_000), None, "one question was lost");
        assert_eq!(silent(2_300, 0, 60_000), Some(57_700));
        assert_eq!(silent(5_000, 59_000, 60_000), None, "it was not asked before");
        assert_eq!(silent(5_000, 57_000, 60_000), Some(55_000));
    }
}
