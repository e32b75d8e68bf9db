//! The one thread that writes: it gathers what is asked, keeps it in one durable step, and then tells everyone.
//!
//! Lives here: the queue, group commit, refusing and failing, continuing under the next incarnation. Does not: what an
//! entry does. A ticket is resolved after the commit that it speaks of, never before. There is no clock: the only wait
//! is for company, bounded by [`GATHER_MS`], and urgent jobs do not wait.

use super::at_once::AtOnce;
use super::feed::Feed;
use super::flooring::Step;
use super::opening::{Alarm, OpenError, Settings, begin, open};
use super::place::Place;
use super::store::{Applied, Status, WriteError};
use super::{FORKS_MAX, Facts, Snapshot, Tables};
use crate::core::entry::Moment;
use crate::core::floor::fill::Kept;
use crate::core::id::{Hash, Origin, Position};
use crate::core::keeping;
use crate::core::schema::Schema;
use crate::core::view::{Staged, Unreadable};
use crate::core::wish::Wish;
use crate::core::write::{Draft, Expected, check, write};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

/// How long a job that is not urgent may wait for company: far below what a person notices, and long enough to make
/// tens of commits one.
pub const GATHER_MS: u64 = 10;
/// With so many entries a group has company enough.
const GATHER_ENTRIES: usize = 256;
/// A group is closed when it has this many entries: bounds the memory of one commit. The last job may exceed it.
const GROUP_ENTRIES_MAX: usize = 2048;
/// Entries that may wait; who asks for more is told to come again.
pub const QUEUE_ENTRIES_MAX: usize = 16_384;

/// What is called when a job is done: on the writer's thread, so it must be quick.
pub type Done<T> = Box<dyn FnOnce(Result<T, WriteError>) + Send>;

pub(crate) enum Job {
    Write {
        expected: Vec<Expected>,
        drafts: Vec<Draft>,
        moment: Moment,
        done: Done<Vec<Position>>,
    },
    /// `kept`: they come from a node that fills this one.
    Apply {
        entries: Vec<Arc<[u8]>>,
        kept: Option<Kept>,
        moment: Moment,
        done: Done<Applied>,
    },
    /// What `flooring` does. The answer: whether it was done, or there was nothing to do.
    Floor {
        step: Step,
        moment: Moment,
        done: Done<bool>,
    },
    /// Only if this incarnation, or an earlier one, is written under; `None`: whatever it is.
    Renew {
        of: Option<u32>,
        moment: Moment,
        done: Done<Origin>,
    },
    /// Only if this incarnation, or an earlier one, is written under.
    Quarantine {
        of: u32,
        why: String,
        moment: Moment,
        done: Done<()>,
    },
}

impl Job {
    fn entries(&self) -> usize {
        match self {
            Job::Write { drafts, .. } => drafts.len(),
            Job::Apply { entries, .. } => entries.len(),
            Job::Floor { step, .. } => step.entries(),
            Job::Renew { .. } => 4,
            Job::Quarantine { .. } => 1,
        }
    }

    fn moment(&self) -> Moment {
        match self {
            Job::Write { moment, .. } | Job::Apply { moment, .. } => *moment,
            Job::Renew { moment, .. } | Job::Quarantine { moment, .. } | Job::Floor { moment, .. } => *moment,
        }
    }

    fn refuse(self, error: WriteError) {
        match self {
            Job::Write { done, .. } => done(Err(error)),
            Job::Apply { done, .. } => done(Err(error)),
            Job::Renew { done, .. } => done(Err(error)),
            Job::Floor { done, .. } => done(Err(error)),
            Job::Quarantine { done, .. } => done(Err(error)),
        }
    }
}

/// What the writer and the store's other threads share.
pub(crate) struct Shared {
    /// None only while the file cannot be opened again after a failure.
    pub(super) tables: RwLock<Option<Tables>>,
    pub schema: Schema,
    pub feed: Feed,
    queue: Mutex<Queue>,
    wake: Condvar,
    status: Mutex<Status>,
    /// Which logs are kept: told to each file that is opened.
    wish: Mutex<Wish>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    entries: usize,
    is_urgent: bool,
    is_closed: bool,
    /// Nothing is taken for now: only a store that goes on step by step is ever held.
    is_held: bool,
}

impl Shared {
    pub fn new(tables: Tables, schema: Schema, status: Status) -> Self {
        let (queue, wake) = (Mutex::new(Queue::default()), Condvar::new());
        let tables = RwLock::new(Some(tables));
        let (feed, status, wish) = (Feed::default(), Mutex::new(status), Mutex::default());
        Self { tables, schema, feed, queue, wake, status, wish }
    }

    /// Says which logs are kept.
    pub fn keep(&self, wish: Wish) {
        *self.wish.lock().unwrap_or_else(PoisonError::into_inner) = wish;
        if let Some(tables) = &*self.tables() {
            tables.keep(wish);
        }
    }

    /// Which logs are kept.
    pub fn wish(&self) -> Wish {
        *self.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tables(&self) -> RwLockReadGuard<'_, Option<Tables>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state as it is now, for several readings in a row.
    pub fn at_once(&self) -> Result<AtOnce<'_>, Unreadable> {
        AtOnce::of(self.tables())
    }

    /// Reads the state as it is now.
    pub fn read<T>(&self, reading: impl FnOnce(&Snapshot) -> Result<T, Unreadable>) -> Result<T, Unreadable> {
        self.at_once()?.read(reading)
    }

    pub fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a job to the writer; refuses it at once if too many wait or the store is closed.
    pub fn push(&self, job: Job, is_urgent: bool) {
        let mut queue = self.queue();
        let refusal = if queue.is_closed {
            Some(WriteError::Closed)
        } else if queue.entries + job.entries() > QUEUE_ENTRIES_MAX {
            Some(WriteError::Busy)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            drop(queue);
            return job.refuse(refusal);
        }
        queue.entries += job.entries();
        queue.is_urgent |= is_urgent;
        queue.jobs.push_back(job);
        self.wake.notify_all();
    }

    pub fn close(&self) {
        self.queue().is_closed = true;
        self.wake.notify_all();
    }

    /// Lets jobs wait, or not any more, and then without waiting for company.
    #[cfg(all(feature = "stepped", feature = "net"))]
    pub fn hold(&self, is_held: bool) {
        let mut queue = self.queue();
        queue.is_held = is_held;
        queue.is_urgent |= !queue.jobs.is_empty();
        self.wake.notify_all();
    }

    /// Waits for work and a little for company; nothing when the store is closed and all is done.
    fn next_group(&self) -> Option<Vec<Job>> {
        let is_idle = |queue: &mut Queue| (queue.jobs.is_empty() || queue.is_held) && !queue.is_closed;
        let queue = self.wake.wait_while(self.queue(), is_idle).unwrap_or_else(PoisonError::into_inner);
        let is_alone = |queue: &mut Queue| !queue.is_urgent && queue.entries < GATHER_ENTRIES && !queue.is_closed;
        let waited = self.wake.wait_timeout_while(queue, Duration::from_millis(GATHER_MS), is_alone);
        let mut queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        let mut group = Vec::new();
        let mut entries = 0;
        while let Some(job) = queue.jobs.pop_front() {
            entries += job.entries();
            group.push(job);
            if entries >= GROUP_ENTRIES_MAX {
                break;
            }
        }
        queue.entries -= entries;
        // What is left has waited already.
        queue.is_urgent = !queue.jobs.is_empty();
        (!group.is_empty()).then_some(group)
    }
}

/// The writer's own things.
pub(crate) struct Writer<P> {
    pub shared: Arc<Shared>,
    pub place: P,
    pub settings: Settings,
    pub us: Origin,
}

/// Says how a job ended, to be called once the group is kept.
type Telling = Box<dyn FnOnce(Result<(), WriteError>) + Send>;

/// What a group wants kept beside its changes.
#[derive(Default)]
struct Beside {
    facts: Facts,
    forks: Vec<(Position, Hash, Arc<[u8]>)>,
    us: Option<Origin>,
    quarantine: Option<String>,
    is_released: bool,
}

impl<P: Place> Writer<P> {
    pub fn run(mut self) {
        let shared = self.shared.clone();
        while let Some(group) = shared.next_group() {
            if let Some(job) = group.first() {
                self.settings.moment = job.moment();
            }
            self.heal();
            let failed = shared.status().failed.clone();
            if let Some(why) = failed {
                group.into_iter().for_each(|job| job.refuse(WriteError::Failed(why.clone())));
                continue;
            }
            let (asides, group): (Vec<Job>, Vec<Job>) = group.into_iter().partition(Job::is_setting_aside);
            let mut tellings = Vec::with_capacity(group.len());
            // redb on damaged bytes may panic; whoever waits must still hear of it.
            let kept = catch_unwind(AssertUnwindSafe(|| self.keep(group, &mut tellings)));
            let result = kept.unwrap_or_else(|_| Err("the writer gave up".to_string()));
            if let Err(why) = &result {
                shared.status().failed = Some(why.clone());
                // At once, for those who read: redb gives nothing more out of a file that failed.
                self.heal();
            }
            for telling in tellings {
                telling(result.clone().map_err(WriteError::Failed));
            }
            asides.into_iter().for_each(|job| self.set_aside(job));
        }
    }

    /// Opens the file again after a failure. What was not known to be kept is then kept or not, and followers read anew.
    /// If it does not open, the next group tries again.
    fn heal(&mut self) {
        let shared = self.shared.clone();
        if shared.status().failed.is_none() {
            return;
        }
        let mut slot = shared.tables.write().unwrap_or_else(PoisonError::into_inner);
        // The old one holds the lock on the file.
        drop(catch_unwind(AssertUnwindSafe(|| drop(slot.take()))));
        let opened = catch_unwind(AssertUnwindSafe(|| open(&mut self.place, &shared.schema, &mut self.settings)));
        let opened = opened.unwrap_or_else(|_| Err(OpenError::Io("the database gave up on its bytes".to_string())));
        let mut status = shared.status();
        match opened {
            Ok((tables, opened)) => {
                tables.keep(shared.wish());
                *slot = Some(tables);
                self.us = opened.us;
                status.us = opened.us;
                status.failed = None;
                status.healed += 1;
                status.quarantined = opened.quarantine().map(str::to_string);
                status.alarms.extend(opened.alarms.into_iter().filter(|alarm| !matches!(alarm, Alarm::Quarantined(_))));
                shared.feed.lose();
            }
            Err(error) => status.failed = Some(error.to_string()),
        }
    }

    /// Stages every job of a group and keeps them in one durable step.
    fn keep(&mut self, group: Vec<Job>, tellings: &mut Vec<Telling>) -> Result<(), String> {
        let shared = self.shared.clone();
        let tables = shared.tables();
        let tables = tables.as_ref().ok_or("the file is not open")?;
        let snapshot = tables.snapshot().map_err(|error| error.to_string())?;
        let mut staged = Staged::new(&snapshot).map_err(|error| error.to_string())?;
        let mut beside = Beside::default();
        let mut damage = None;
        for job in group {
            let outcome = self.stage(job, &mut staged, &mut beside);
            tellings.push(outcome.0);
            damage = damage.or(outcome.1.map(|unreadable| unreadable.to_string()));
        }
        if let Some(damage) = damage {
            return Err(damage);
        }
        let mut changes = staged.changes;
        drop(snapshot);
        let feed = std::mem::take(&mut changes.feed);
        let joined = changes.entries.len() as u64;
        let has_changes = !feed.is_empty() || !beside.facts.is_empty() || !changes.is_nothing();
        if has_changes {
            tables.commit(&changes, &beside.facts).map_err(|fault| format!("{fault:?}"))?;
        }
        let has_room = shared.status().forks < FORKS_MAX;
        if has_room && !beside.forks.is_empty() {
            tables.keep_forks(&beside.forks).map_err(|fault| format!("{fault:?}"))?;
        }
        self.note(beside, joined, has_changes);
        shared.feed.publish(feed);
        Ok(())
    }

    fn note(&mut self, beside: Beside, entries: u64, has_changes: bool) {
        let shared = self.shared.clone();
        let mut status = shared.status();
        self.us = beside.us.unwrap_or(self.us);
        status.us = self.us;
        status.forks += beside.forks.len() as u64;
        status.commits += u64::from(has_changes);
        status.entries += entries;
        if beside.is_released {
            status.quarantined = None;
        }
        status.quarantined = beside.quarantine.or(status.quarantined.take());
    }

    /// Stages one job. What it staged counts only if all of it went well. Returns how to tell, and what could not be
    /// read.
    fn stage(
        &mut self,
        job: Job,
        staged: &mut Staged<'_, Snapshot>,
        beside: &mut Beside,
    ) -> (Telling, Option<Unreadable>) {
        let us = beside.us.unwrap_or(self.us);
        match job {
            Job::Write { expected, drafts, moment, done } => {
                let result = match self.quarantine(beside) {
                    Some(why) => Err(WriteError::Quarantined(why)),
                    None => self.stage_ours((&expected, &drafts), us, moment, staged),
                };
                telling(result, done)
            }
            Job::Apply { entries, kept: None, moment, done } => {
                telling(self.stage_others(&entries, moment, staged, beside), done)
            }
            Job::Apply { entries, kept: Some(kept), done, .. } => {
                let outcome = keeping::take_kept(staged, &self.shared.schema, us, &entries, &kept);
                telling(outcome.map(|outcome| Self::note_outcome(outcome, beside)).map_err(WriteError::from), done)
            }
            Job::Floor { step, moment, done } => {
                let is_still = self.quarantine(beside).is_some();
                telling(step.stage(staged, &self.shared.schema, us, moment, is_still), done)
            }
            Job::Renew { of: Some(of), done, .. } if us.inc > of || staged.limits().is_replaced(us) => {
                telling(Ok(us), done)
            }
            Job::Renew { moment, done, .. } => {
                let next = us.inc.max(self.shared.status().inc_heard).saturating_add(1);
                telling(self.stage_incarnation(next, moment, staged, beside), done)
            }
            Job::Quarantine { of, why, done, .. } => {
                if us.inc <= of && self.quarantine(beside).is_none() {
                    beside.facts.push(("quarantine", Some(why.clone().into_bytes())));
                    beside.quarantine = Some(why);
                }
                telling(Ok(()), done)
            }
        }
    }

    fn quarantine(&self, beside: &Beside) -> Option<String> {
        let before = if beside.is_released { None } else { self.shared.status().quarantined.clone() };
        beside.quarantine.clone().or(before)
    }

    fn stage_ours(
        &self,
        (expected, drafts): (&[Expected], &[Draft]),
        us: Origin,
        moment: Moment,
        staged: &mut Staged<'_, Snapshot>,
    ) -> Result<Vec<Position>, WriteError> {
        check(&*staged, &self.shared.schema, expected)?;
        let mut batch = Staged::new(&*staged)?;
        let written = write(&mut batch, &self.shared.schema, us, moment, drafts)?;
        let changes = batch.changes;
        staged.changes.absorb(changes);
        Ok(written)
    }

    fn stage_others(
        &mut self,
        entries: &[Arc<[u8]>],
        moment: Moment,
        staged: &mut Staged<'_, Snapshot>,
        beside: &mut Beside,
    ) -> Result<Applied, WriteError> {
        let (shared, us) = (self.shared.clone(), beside.us.unwrap_or(self.us));
        // Two nodes of one name that both went on under the next one would outdo each other for ever.
        let mint = |staged: &mut Staged<'_, Snapshot>, inc: u32| match self.quarantine(beside) {
            // What is above is another machine's that goes on as us: it is no memory of ours.
            None if staged.limits().is_replaced(us) => Ok(None),
            Some(_) => {
                let mut status = shared.status();
                status.inc_heard = status.inc_heard.max(inc.saturating_sub(1));
                Ok(None)
            }
            None => self.stage_incarnation(inc, moment, staged, beside).map(Some),
        };
        let outcome = keeping::apply(staged, &shared.schema, us, entries, mint)?;
        Ok(Self::note_outcome(outcome, beside))
    }

    fn note_outcome(outcome: keeping::Outcome, beside: &mut Beside) -> Applied {
        beside.forks.extend(outcome.forks);
        if let Some(why) = outcome.quarantine {
            beside.facts.push(("quarantine", Some(why.clone().into_bytes())));
            beside.quarantine = Some(why);
        }
        outcome.applied
    }

    fn stage_incarnation(
        &mut self,
        inc: u32,
        moment: Moment,
        staged: &mut Staged<'_, Snapshot>,
        beside: &mut Beside,
    ) -> Result<Origin, WriteError> {
        let us = Origin { inc, nonce: (self.settings.nonces)(), ..self.us };
        let mut batch = Staged::new(&*staged)?;
        let facts = begin(&mut self.place, &mut batch, &self.shared.schema, us, moment);
        let facts = facts.map_err(|error| WriteError::Failed(error.to_string()))?;
        let changes = batch.changes;
        staged.changes.absorb(changes);
        beside.facts.extend(facts);
        beside.us = Some(us);
        beside.quarantine = None;
        beside.is_released = true;
        Ok(us)
    }
}

fn telling<T: Send + 'static>(result: Result<T, WriteError>, done: Done<T>) -> (Telling, Option<Unreadable>) {
    let damage = match &result {
        Err(WriteError::Unreadable(unreadable)) => Some(unreadable.clone()),
        _ => None,
    };
    (Box::new(move |kept: Result<(), WriteError>| done(kept.and(result))), damage)
}
