//! What has joined the logs since the store was opened, for services that follow along.
//!
//! Lives here: a bounded row of changes in order of arrival, and waiting for more. It is forgotten at the end of the
//! process: who must not miss anything across restarts asks by vector.

use crate::core::view::Change;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Changes kept. Who falls behind further is told so and reads the records anew.
pub const FEED_MAX: usize = 16_384;

/// What a follower gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The changes, in order of arrival; none if nothing came in time.
    pub changes: Vec<Change>,
    /// Whether some before these are gone: read what you follow anew.
    pub has_missed: bool,
    /// What to ask with next.
    pub next: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Feed {
    row: Mutex<Row>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Row {
    /// How many changes came before the first in the row.
    before: u64,
    changes: VecDeque<Change>,
    is_closed: bool,
}

impl Feed {
    pub fn publish(&self, changes: Vec<Change>) {
        let mut row = self.row.lock().unwrap_or_else(PoisonError::into_inner);
        row.changes.extend(changes);
        let too_many = row.changes.len().saturating_sub(FEED_MAX);
        row.changes.drain(..too_many);
        row.before += too_many as u64;
        self.more.notify_all();
    }

    /// Notes that something may have happened that is not in the row: every follower has missed it.
    pub fn lose(&self) {
        let mut row = self.row.lock().unwrap_or_else(PoisonError::into_inner);
        row.before += row.changes.len() as u64 + 1;
        row.changes.clear();
        self.more.notify_all();
    }

    pub fn close(&self) {
        self.row.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
        self.more.notify_all();
    }

    /// Returns at most `limit` changes from number `since` on; waits for the first until `timeout` or the end.
    pub fn since(&self, since: u64, limit: usize, timeout: Duration) -> News {
        let row = self.row.lock().unwrap_or_else(PoisonError::into_inner);
        let has_none = |row: &mut Row| row.before + row.changes.len() as u64 <= since && !row.is_closed;
        let waited = self.more.wait_timeout_while(row, timeout, has_none);
        let row = waited.unwrap_or_else(PoisonError::into_inner).0;
        let first = since.max(row.before);
        let changes: Vec<Change> =
            row.changes.iter().skip((first - row.before) as usize).take(limit).cloned().collect();
        News { has_missed: since < row.before, next: first + changes.len() as u64, changes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::{NodeId, Origin, Stream};

    fn changes(count: u64) -> Vec<Change> {
        let log = Origin { node: NodeId::from_u128(1), inc: 1, nonce: 1 }.log(Stream::Own);
        (1..=count).map(|seq| Change { at: log.at(seq), record: None, group: String::new() }).collect()
    }

    #[test]
    fn a_follower_gets_all_in_order_and_then_nothing() {
        let feed = Feed::default();
        feed.publish(changes(5));
        let first = feed.since(0, 3, Duration::ZERO);
        let second = feed.since(first.next, 3, Duration::ZERO);
        let third = feed.since(second.next, 3, Duration::ZERO);

        assert_eq!([first.changes, second.changes].concat(), changes(5));
        assert_eq!((third.changes.len(), third.next, third.has_missed), (0, 5, false));
    }

    #[test]
    fn who_falls_behind_is_told() {
        let feed = Feed::default();
        feed.publish(changes(FEED_MAX as u64 + 2));
        let news = feed.since(1, 1, Duration::ZERO);

        assert!(news.has_missed);
        assert_eq!((news.changes[0].at.dot.seq, news.next), (3, 3));
        assert!(!feed.since(2, 1, Duration::ZERO).has_missed);
    }

    #[test]
    fn waiting_ends_with_the_first_change_and_with_the_store() {
        let feed = Feed::default();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| feed.since(0, 10, Duration::from_secs(60)));
            feed.publish(changes(1));
            assert_eq!(waiting.join().unwrap().changes, changes(1));
            let waiting = scope.spawn(|| feed.since(1, 10, Duration::from_secs(60)));
            feed.close();
            assert_eq!(waiting.join().unwrap().changes, []);
        });
    }
}
