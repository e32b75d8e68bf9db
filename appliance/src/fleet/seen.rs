//! When each other node was last heard, kept over restarts.
//!
//! Who was not heard for a month lapses: it holds nobody up any more, and is told so before. That must not be a guess of a
//! node that has just started, so it is counted from what is kept here; of a node that was never heard, from when this one
//! first knew it. Does not live here: what becomes of a lapsed node.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Reached;
use crate::domain::ClockQuality;
use crate::store::Id;
use crate::sys::files;

/// A node that was not heard for so long does not hold the others up any more.
pub const LAPSED_AFTER_DAYS: i64 = 30;
/// What was kept is at most so much older than what was heard, microseconds.
pub(super) const KEEP_EVERY_US: u64 = 3_600_000_000;
const FILE: &str = "seen.json";
/// A file larger than this is none of ours.
const BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// When it was last heard.
    heard: Option<Timestamp>,
    /// Since when this node knows it.
    known: Timestamp,
}

/// What was kept; nothing of a file that is missing or damaged, for it is made anew.
pub(super) fn load(data: &Path) -> BTreeMap<Id, Reached> {
    let path = data.join(FILE);
    let is_ours = std::fs::metadata(&path).is_ok_and(|found| found.len() <= BYTES_MAX);
    let bytes = is_ours.then(|| std::fs::read(&path).ok()).flatten().unwrap_or_default();
    let kept: BTreeMap<String, Kept> = serde_json::from_slice(&bytes).unwrap_or_default();
    let reached = |kept: Kept| Reached { seen: kept.heard, known: Some(kept.known), failed: None };
    kept.into_iter().filter_map(|(id, kept)| Some((id.parse().ok()?, reached(kept)))).collect()
}

/// Keeps what is known of nodes.
///
/// # Errors
/// The file cannot be written; the one before stays.
pub(super) fn keep(data: &Path, reached: &BTreeMap<Id, Reached>) -> io::Result<()> {
    let kept = |how: &Reached| Some(Kept { heard: how.seen, known: how.known? });
    let kept: BTreeMap<String, Kept> =
        reached.iter().filter_map(|(id, how)| Some((id.to_string(), kept(how)?))).collect();
    files::replace(&data.join(FILE), &serde_json::to_vec(&kept)?)
}

/// Whether a node has lapsed by now. By a clock that nobody set nobody lapses.
pub(super) fn has_lapsed(how: &Reached, now: Timestamp, clock: ClockQuality) -> bool {
    let since = how.seen.max(how.known);
    clock != ClockQuality::Unset
        && since.is_some_and(|since| now.duration_since(since) > SignedDuration::from_hours(24 * LAPSED_AFTER_DAYS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap() + SignedDuration::from_hours(24 * days)
    }

    #[test]
    fn what_was_heard_is_known_after_a_restart_and_a_damaged_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load(folder.path()).is_empty());
        let (heard, never) = (Id::of_name("heard"), Id::of_name("never"));
        let how = |seen| Reached { seen, known: Some(at(0)), failed: Some((at(5), "no answer".into())) };
        keep(folder.path(), &[(heard, how(Some(at(3)))), (never, how(None))].into()).unwrap();
        let loaded = load(folder.path());
        assert_eq!((loaded[&heard].seen, loaded[&heard].known, loaded[&never].seen), (Some(at(3)), Some(at(0)), None));
        assert_eq!(loaded[&heard].failed, None, "it may be back");
        std::fs::write(folder.path().join(FILE), b"{\"x\": 1}").unwrap();
        assert!(load(folder.path()).is_empty());
    }

    #[test]
    fn who_was_not_heard_for_a_month_lapses_and_who_is_new_here_does_not() {
        let lapsed = |seen: Option<i64>, known: Option<i64>, now: i64, clock| {
            let how = Reached { seen: seen.map(at), known: known.map(at), failed: None };
            has_lapsed(&how, at(now), clock)
        };
        assert!(lapsed(Some(1), Some(0), 32, ClockQuality::Ntp));
        assert!(!lapsed(Some(1), Some(0), 31, ClockQuality::Ntp));
        assert!(lapsed(None, Some(0), 31, ClockQuality::Ntp), "never heard");
        assert!(!lapsed(None, Some(20), 40, ClockQuality::Ntp));
        assert!(!lapsed(None, None, 40, ClockQuality::Ntp), "this node has just started");
        assert!(!lapsed(Some(1), Some(0), 400, ClockQuality::Unset));
    }
}
