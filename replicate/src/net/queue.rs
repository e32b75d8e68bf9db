//! What waits for the hub's thread, and how it is woken.
//!
//! Bounded by those who put something in: a link's reader holds permits for what it brought until the hub has taken it
//! in; a link has its place until the hub has taken in that it is gone; batches being kept are bounded by the sessions' credit; logs that grew and the roster are merged, not lined up;
//! of all else there are at most [`COMMANDS_MAX`].

use super::Ended;
use super::hub::Errand;
use super::link::Link;
use crate::core::election::{Member, Token};
use crate::core::exchange::Applied;
use crate::core::id::{LogId, NodeId, Stream};
use crate::core::message::Message;
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Wishes of people that wait; more are dropped: each of them can be said again.
pub const COMMANDS_MAX: usize = 256;
/// Logs that grew and were not looked at yet; of more it is only known that there are some.
const LOGS_MAX: usize = 4096;

/// Which link of this process.
pub type LinkNumber = u64;

pub enum Order {
    /// A link is up. It has its turn to say hello until both have told how far they have come.
    Opened { link: Arc<Link>, peer: NodeId, is_dialled_by_us: bool, turn: OwnedSemaphorePermit },
    /// A peer said something; the permits bound how much of it waits.
    Heard { link: LinkNumber, message: Message, _permits: [OwnedSemaphorePermit; 2] },
    /// A link's writer has caught up.
    Drained(LinkNumber),
    /// A link is gone, and with this its place.
    Gone { link: LinkNumber, ended: Ended, _place: Place },
    /// What became of a batch.
    Applied { link: LinkNumber, batch: u64, applied: Result<Applied, String> },
    /// What became of something that the store was asked.
    Ran { errand: Errand, result: Result<(), String> },
    /// Someone wants something.
    Command(Command),
}

/// One of the places there are for links, [`Hub::run_link`](super::Hub::run_link)'s.
pub struct Place(Arc<AtomicUsize>);

impl Place {
    /// Takes a place, if fewer than `most` are taken.
    pub fn take(places: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let one_more = |taken: usize| (taken < most).then_some(taken + 1);
        let is_taken = places.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok();
        is_taken.then(|| Self(places.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub enum Command {
    HandOver(NodeId),
    Force,
    Carried { from: NodeId, token: Token },
    Disconnect(NodeId),
    Lapsed(BTreeSet<NodeId>),
    Keep(Vec<Stream>),
}

/// Logs that grew.
#[derive(Debug, PartialEq, Eq)]
pub enum Grown {
    /// These.
    Logs(BTreeSet<LogId>),
    /// Nobody knows which.
    Some,
}

/// Everything that waited.
pub struct Taken {
    pub orders: VecDeque<Order>,
    pub grown: Option<Grown>,
    pub roster: Option<Vec<Member>>,
}

#[derive(Default)]
pub struct Queue {
    row: Mutex<Row>,
    wake: Condvar,
}

#[derive(Default)]
struct Row {
    orders: VecDeque<Order>,
    commands: usize,
    grown: Option<Grown>,
    roster: Option<Vec<Member>>,
    is_closed: bool,
}

impl Queue {
    fn row(&self) -> MutexGuard<'_, Row> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether it was taken: not if the hub has stopped, or too many commands wait.
    pub fn push(&self, order: Order) -> bool {
        let mut row = self.row();
        let is_command = matches!(order, Order::Command(_));
        if row.is_closed || (is_command && row.commands >= COMMANDS_MAX) {
            return false;
        }
        row.commands += usize::from(is_command);
        row.orders.push_back(order);
        self.wake.notify_one();
        true
    }

    pub fn grown(&self, logs: impl Iterator<Item = LogId>) {
        let mut row = self.row();
        let grown = row.grown.get_or_insert_with(|| Grown::Logs(BTreeSet::new()));
        if let Grown::Logs(known) = grown {
            known.extend(logs);
            if known.len() > LOGS_MAX {
                *grown = Grown::Some;
            }
        }
        self.wake.notify_one();
    }

    pub fn grown_somewhere(&self) {
        self.row().grown = Some(Grown::Some);
        self.wake.notify_one();
    }

    pub fn roster(&self, members: Vec<Member>) {
        self.row().roster = Some(members);
        self.wake.notify_one();
    }

    pub fn close(&self) {
        self.row().is_closed = true;
        self.wake.notify_one();
    }

    pub fn is_closed(&self) -> bool {
        self.row().is_closed
    }

    /// Waits for something to do, at most so long; nothing when the hub shall stop.
    pub fn take(&self, at_most: Duration) -> Option<Taken> {
        let is_idle =
            |row: &mut Row| row.orders.is_empty() && row.grown.is_none() && row.roster.is_none() && !row.is_closed;
        let waited = self.wake.wait_timeout_while(self.row(), at_most, is_idle);
        let mut row = waited.unwrap_or_else(PoisonError::into_inner).0;
        if row.is_closed {
            return None;
        }
        row.commands = 0;
        Some(Taken { orders: std::mem::take(&mut row.orders), grown: row.grown.take(), roster: row.roster.take() })
    }

    /// How much waits.
    pub fn len(&self) -> usize {
        self.row().orders.len()
    }

    /// Whether nothing is to be taken.
    #[cfg(feature = "stepped")]
    pub fn is_quiet(&self) -> bool {
        let row = self.row();
        row.orders.is_empty() && row.grown.is_none() && row.roster.is_none()
    }

    /// Waits until the store has answered so often; returns whether it has, in a time in which any store does.
    #[cfg(feature = "stepped")]
    pub fn is_answered(&self, wanted: usize) -> bool {
        let is_answer = |order: &&Order| matches!(order, Order::Applied { .. } | Order::Ran { .. });
        let is_short = |row: &mut Row| row.orders.iter().filter(is_answer).count() < wanted;
        let waited = self.wake.wait_timeout_while(self.row(), Duration::from_secs(60), is_short);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Returns what was never taken, so that it can be let go of.
    pub fn rest(&self) -> VecDeque<Order> {
        std::mem::take(&mut self.row().orders)
    }
}
