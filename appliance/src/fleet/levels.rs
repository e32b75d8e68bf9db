//! Levels of the other nodes, for those who look at all rooms.
//!
//! Lives here: one call to each node that somebody watches, however many watch it, as one of those people; the newest
//! levels that came. Nobody watches: no call. Does not live here: who may watch which node (whoever calls has looked), this
//! node's own levels, sockets of browsers. A queue is nowhere: a node that is not read tells less often, what comes late is
//! old, and what is old is not given out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use futures_util::StreamExt;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::call::Asker;
use super::dialling::jittered;
use super::{Fleet, held};
use crate::service::levels::{Levels, OLD_US};
use crate::store::Id;
use crate::sys::clock;

/// Where a node tells its levels.
pub const LEVELS_PATH: &str = "/api/v1/levels";
/// Calls at a time. Levels of more nodes are not known.
const CALLS_MAX: usize = 512;
/// Of these as many are being made at a time: a wall that opens wants all at once, and each costs both ends a handshake.
const DIALS_MAX: usize = 16;
/// A message has at most eight groups of three numbers: a few hundred bytes. One that is longer ends the call.
const MESSAGE_BYTES_MAX: usize = 2 << 10;
/// How long a node may take until it begins to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// A node says something every second, also that nothing is measured: one that says nothing for so long is called anew.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// The first wait before a call is made anew; it doubles, up to the longest.
const WAIT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// Two clocks that run apart by less than this part of a message's time are not taken for a line that gets slower:
/// 0.1 ms in 250 ms is 400 ppm, ten times what a quartz does.
const DRIFT_US: i64 = 100;

/// What all watchers share.
pub(super) struct Gathered {
    watched: Mutex<Watched>,
    dials: Semaphore,
    /// With the time at which it was told, by our monotonic clock.
    newest: Mutex<BTreeMap<Id, (Arc<Levels>, u64)>>,
}

impl Default for Gathered {
    fn default() -> Self {
        Self { watched: Mutex::default(), dials: Semaphore::new(DIALS_MAX), newest: Mutex::default() }
    }
}

#[derive(Default)]
struct Watched {
    next: u64,
    watchers: BTreeMap<u64, Watcher>,
    calls: BTreeMap<Id, Call>,
}

struct Watcher {
    asker: Asker,
    wants: BTreeSet<Id>,
}

/// A call that is kept up, as one of those who watch the node.
struct Call {
    by: u64,
    task: JoinHandle<()>,
}

/// Someone who watches. Dropping it ends the calls that nobody else needs.
pub struct Watch {
    fleet: Fleet,
    number: u64,
}

impl Fleet {
    /// Watches for a person; no node yet.
    pub fn watch_levels(&self, asker: Asker) -> Watch {
        let mut watched = held(&self.0.levels.watched);
        watched.next += 1;
        let number = watched.next;
        watched.watchers.insert(number, Watcher { asker, wants: BTreeSet::new() });
        drop(watched);
        Watch { fleet: self.clone(), number }
    }

    /// Makes the calls that are wanted and ends the others.
    fn settle_levels(&self, watched: &mut Watched) {
        let Watched { watchers, calls, .. } = watched;
        calls.retain(|node, call| {
            let stays = watchers.get(&call.by).is_some_and(|watcher| watcher.wants.contains(node));
            if !stays {
                call.task.abort();
            }
            stays
        });
        for (number, watcher) in watchers {
            for node in &watcher.wants {
                if calls.len() >= CALLS_MAX || calls.contains_key(node) {
                    continue;
                }
                let task = self.0.runtime.spawn(keep_call(self.clone(), *node, watcher.asker.clone()));
                calls.insert(*node, Call { by: *number, task });
            }
        }
        held(&self.0.levels.newest).retain(|node, _| calls.contains_key(node));
    }

    /// How many nodes are called for their levels.
    pub fn level_calls(&self) -> usize {
        held(&self.0.levels.watched).calls.len()
    }
}

impl Watch {
    /// Watches these nodes and no others. They are reached, are not this one, and the person may see them.
    pub fn want(&self, nodes: BTreeSet<Id>) {
        let mut watched = held(&self.fleet.0.levels.watched);
        let Some(watcher) = watched.watchers.get_mut(&self.number) else { return };
        if watcher.wants != nodes {
            watcher.wants = nodes;
            self.fleet.settle_levels(&mut watched);
        }
    }

    /// The levels that are known now, by node. What was told more than two seconds ago is not known.
    pub fn newest(&self, now_us: u64) -> BTreeMap<Id, Arc<Levels>> {
        let watched = held(&self.fleet.0.levels.watched);
        let Some(watcher) = watched.watchers.get(&self.number) else { return BTreeMap::new() };
        let newest = held(&self.fleet.0.levels.newest);
        let is_new = |told_us: u64| now_us.saturating_sub(told_us) < OLD_US;
        let known = newest.iter().filter(|(node, (_, told_us))| watcher.wants.contains(node) && is_new(*told_us));
        known.map(|(node, (levels, _))| (*node, levels.clone())).collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = held(&self.fleet.0.levels.watched);
        watched.watchers.remove(&self.number);
        self.fleet.settle_levels(&mut watched);
    }
}

/// Calls a node again and again until the task is ended.
async fn keep_call(fleet: Fleet, node: Id, asker: Asker) {
    let mut wait = WAIT.0;
    loop {
        let mut has_told = false;
        if let Err(why) = hear(&fleet, node, &asker, &mut has_told).await {
            tracing::debug!(%node, why, "a call for levels ended");
        }
        if has_told {
            wait = WAIT.0;
        }
        tokio::time::sleep(jittered(wait)).await;
        wait = (wait * 2).min(WAIT.1);
    }
}

async fn hear(fleet: &Fleet, node: Id, asker: &Asker, has_told: &mut bool) -> Result<(), String> {
    let request = Request::get(LEVELS_PATH).header(header::ACCEPT, "text/event-stream").body(Body::empty());
    let request = request.map_err(|error| error.to_string())?;
    let place = fleet.0.levels.dials.acquire().await.map_err(|error| error.to_string())?;
    let answer = tokio::time::timeout(ANSWER_WAIT, fleet.call(node, asker, request)).await;
    let answer = answer.map_err(|_| "no answer in time")?.map_err(|error| error.to_string())?;
    drop(place);
    if !answer.status().is_success() {
        return Err(format!("it answers {}", answer.status()));
    }
    let mut body = answer.into_body().into_data_stream();
    let (mut messages, mut pace) = (Messages::default(), Pace::default());
    loop {
        let bytes = tokio::time::timeout(SILENCE_MAX, body.next()).await.map_err(|_| "it has gone silent")?;
        let bytes = bytes.ok_or("it ended")?.map_err(|error| error.to_string())?;
        let now_us = clock::mono_us();
        let mut newest = None;
        messages.push(&bytes, |levels| newest = Some((pace.late_us(levels.ms, now_us), levels)))?;
        let Some((late_us, levels)) = newest else { continue };
        *has_told = true;
        if late_us >= OLD_US {
            // What waits in between would have to be gone through first: a new call begins with the present.
            return Err("it is behind".into());
        }
        held(&fleet.0.levels.newest).insert(node, (Arc::new(levels), now_us.saturating_sub(late_us)));
    }
}

/// How much later than the quickest of a stream its messages come: the other node's clock is not ours.
#[derive(Debug, Default)]
struct Pace {
    quickest_us: Option<i64>,
}

impl Pace {
    fn late_us(&mut self, ms: u64, now_us: u64) -> u64 {
        let way_us = (now_us as i64).saturating_sub_unsigned(ms.saturating_mul(1_000));
        let quickest_us = self.quickest_us.map_or(way_us, |quickest| way_us.min(quickest.saturating_add(DRIFT_US)));
        self.quickest_us = Some(quickest_us);
        way_us.saturating_sub(quickest_us) as u64
    }
}

/// The data of an event stream (WHATWG HTML, 9.2.6), one line an event.
#[derive(Debug, Default)]
struct Messages {
    line: Vec<u8>,
}

impl Messages {
    fn push(&mut self, mut bytes: &[u8], mut told: impl FnMut(Levels)) -> Result<(), String> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.keep(&bytes[..end])?;
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            let Some(data) = line.strip_prefix(b"data:") else { continue };
            let levels: Levels = serde_json::from_slice(data).map_err(|error| format!("no levels: {error}"))?;
            if !levels.is_whole() {
                return Err("levels of another form".into());
            }
            told(levels);
        }
        self.keep(bytes)
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), String> {
        if self.line.len() + part.len() > MESSAGE_BYTES_MAX {
            return Err("a message too long".into());
        }
        self.line.extend_from_slice(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(pieces: &[&[u8]]) -> Result<Vec<Levels>, String> {
        let (mut messages, mut all) = (Messages::default(), Vec::new());
        for piece in pieces {
            messages.push(piece, |levels| all.push(levels))?;
        }
        Ok(all)
    }

    fn message(ms: u64) -> String {
        format!("data: {{\"ms\":{ms},\"channels\":1,\"peak_dbfs\":[-12.5],\"rms_dbfs\":[null],\"flags\":[8]}}\n\n")
    }

    #[test]
    fn messages_are_heard_however_they_are_cut() {
        let text = format!(": hello\n\n{}\r\n{}", message(1), message(2));
        let whole = told(&[text.as_bytes()]).unwrap();
        assert_eq!(whole.iter().map(|levels| levels.ms).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(whole[0].peak_dbfs, [Some(-12.5)]);
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(told(&bytes).unwrap(), whole);
    }

    #[test]
    fn a_line_without_an_end_is_not_kept() {
        assert!(told(&[&[b'x'; MESSAGE_BYTES_MAX], b"x"]).is_err());
        assert!(told(&[format!("{}\n", "x".repeat(MESSAGE_BYTES_MAX)).as_bytes(), b"x"]).is_ok());
    }

    #[test]
    fn what_comes_later_than_it_did_is_that_much_older() {
        const SECOND: u64 = 1_000_000;
        let mut pace = Pace::default();
        assert_eq!(pace.late_us(500, 10 * SECOND), 0);
        assert_eq!(pace.late_us(1_500, 11 * SECOND - 30_000), 0, "quicker than the first");
        assert_eq!(pace.late_us(2_500, 15 * SECOND), 3 * SECOND + 30_000 - DRIFT_US as u64);
        // Three hours of a clock that is slower by 100 ppm.
        let mut pace = Pace::default();
        let late = (0..3 * 3_600 * 4).map(|n| pace.late_us(n * 250, 10 * SECOND + n * 250_025)).max();
        assert_eq!(late, Some(0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn garbage_is_an_error_or_nothing(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..3_000),
            at in 0_usize..3_000,
            ms in any::<u64>(),
        ) {
            let mut messages = Messages::default();
            let mut pace = Pace::default();
            let _ = messages.push(&bytes, |levels| { pace.late_us(levels.ms, ms); });
            prop_assert!(messages.line.capacity() <= 4 * MESSAGE_BYTES_MAX);
            // A good one with a byte turned.
            bytes = message(ms).into_bytes();
            let at = at % bytes.len();
            bytes[at] ^= 1 << (ms % 8);
            let mut messages = Messages::default();
            let _ = messages.push(&bytes, |levels| { pace.late_us(levels.ms, ms); });
        }
    }
}
