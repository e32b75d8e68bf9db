//! The store's part in the floor: moving it, taking rows out of the logs, being filled, setting a file aside.
//!
//! Rows leave in steps of [`STEP`], each of them one durable job of the writer among others; which rows they are is found
//! on a thread of its own (`replicate-floor`) that reads short pages. A cut begins it again where it is. Does not: when any of
//! it is done, which is the hub's, and what leaves, which is [`crate::core::floor`]'s.

use super::at_once::not_open;
use super::opening::{Alarm, OpenError, open};
use super::place::Place;
use super::store::WriteError;
use super::writer::{Done, Job, Shared, Writer};
use crate::core::entry::Moment;
use crate::core::floor::advance::Next;
use crate::core::floor::collect::{self, STEP};
use crate::core::floor::{self, Due, Floor, HandedOn, Stage, Standing, advance, fill};
use crate::core::id::{Origin, Position};
use crate::core::schema::Schema;
use crate::core::view::{Staged, Unreadable, View};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

/// One step of what a store does about its floor.
pub(crate) enum Step {
    /// Write where the floor is from now on.
    Advance { epoch: u64, next: Next },
    /// Take the floor that is due, or go on with the one that was begun.
    Begin,
    /// Take rows out.
    Leave(Vec<Position>),
    /// All have left.
    Done,
    /// Begin with what others kept below this floor.
    Fill(Arc<Floor>),
    /// Take what others kept below this node's own floor of the logs that it did not keep so far.
    Widen,
    /// Set the file aside, if others have all that is in it, and begin anew.
    SetAside(HandedOn),
}

impl Step {
    pub fn entries(&self) -> usize {
        match self {
            Step::Leave(rows) => rows.len(),
            _ => 1,
        }
    }

    pub fn stage<V: View>(
        self,
        staged: &mut Staged<'_, V>,
        schema: &Schema,
        us: Origin,
        moment: Moment,
        is_still: bool,
    ) -> Result<bool, WriteError> {
        match self {
            Step::Advance { .. } if is_still => return Ok(false),
            Step::Advance { epoch, next } => {
                let mut batch = Staged::new(&*staged)?;
                advance::write(&mut batch, schema, us, moment, (epoch, &next))?;
                let changes = batch.changes;
                staged.changes.absorb(changes);
            }
            Step::Begin => {
                let is_begun = staged.floor()?.is_some_and(|own| own.stage == Stage::Collecting);
                match floor::due(&*staged)? {
                    Due::Take(next) if !is_begun => collect::begin(staged, schema, &next)?,
                    _ => return Ok(is_begun),
                }
            }
            Step::Leave(rows) => collect::leave(staged, &rows),
            Step::Done => collect::done(staged)?,
            Step::Fill(floor) => return Ok(fill::begin(staged, &floor)?),
            Step::Widen => fill::widen(staged)?,
            // Done by the writer itself: there is no state to stage it on.
            Step::SetAside(_) => return Ok(false),
        }
        Ok(true)
    }
}

impl Shared {
    fn ask(&self, step: Step, moment: Moment) -> Result<bool, WriteError> {
        let (tx, rx) = mpsc::sync_channel(1);
        self.push(Job::Floor { step, moment, done: Box::new(move |result| drop(tx.send(result))) }, false);
        rx.recv().unwrap_or(Err(WriteError::Closed))
    }

    /// Returns the floor as of the last commit, without reading the file.
    pub fn standing(&self) -> Result<Option<Standing>, Unreadable> {
        Ok(self.tables().as_ref().ok_or_else(not_open)?.standing())
    }

    /// Returns how far this node is with its floor, and whether a later one was said.
    pub fn stage(&self) -> Result<(Option<Stage>, bool), Unreadable> {
        Ok(self.tables().as_ref().ok_or_else(not_open)?.stage())
    }

    /// Takes the floor that is due, and all that leaves at it. Returns whether there was one.
    fn collect(&self, moment: Moment) -> Result<bool, WriteError> {
        if !self.ask(Step::Begin, moment)? {
            return Ok(false);
        }
        let Some(own) = self.standing()?.filter(|own| own.stage == Stage::Collecting) else { return Ok(false) };
        let rows = collect::leaving(&own.floor, |log, from_seq, limit| {
            self.read(|snapshot| snapshot.entries(log, from_seq, limit))
        })?;
        for rows in rows.chunks(STEP) {
            self.ask(Step::Leave(rows.to_vec()), moment)?;
        }
        self.ask(Step::Done, moment)
    }
}

/// Collects on a thread of its own and calls `done` there.
pub(crate) fn collect(shared: Arc<Shared>, moment: Moment, done: Done<bool>) {
    #[cfg(feature = "mutants")]
    let mutant = crate::core::mutant::switched();
    let done = Arc::new(Mutex::new(Some(done)));
    let told = move |result| {
        let done = done.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(done) = done {
            done(result);
        }
    };
    let to_run = told.clone();
    let run = move || {
        #[cfg(feature = "mutants")]
        crate::core::mutant::switch(mutant);
        to_run(shared.collect(moment));
    };
    if let Err(error) = std::thread::Builder::new().name("replicate-floor".to_string()).spawn(run) {
        told(Err(WriteError::Failed(error.to_string())));
    }
}

impl Job {
    pub fn is_setting_aside(&self) -> bool {
        matches!(self, Job::Floor { step: Step::SetAside(_), .. })
    }
}

impl<P: Place> Writer<P> {
    /// Sets the file aside and opens an empty one under the next incarnation, if others have all that is in it.
    pub(super) fn set_aside(&mut self, job: Job) {
        let Job::Floor { step: Step::SetAside(handed_on), moment, done } = job else { return };
        self.settings.moment = moment;
        let is_quarantined = self.shared.status().quarantined.is_some();
        match self.shared.read(|snapshot| handed_on.is_all(snapshot)) {
            Ok(true) if !is_quarantined => done(self.begin_anew().map(|()| true)),
            Ok(_) => done(Ok(false)),
            Err(unreadable) => done(Err(unreadable.into())),
        }
    }

    fn begin_anew(&mut self) -> Result<(), WriteError> {
        let shared = self.shared.clone();
        let mut slot = shared.tables.write().unwrap_or_else(PoisonError::into_inner);
        drop(catch_unwind(AssertUnwindSafe(|| drop(slot.take()))));
        let heard = shared.status().inc_heard;
        self.settings.inc_min = self.settings.inc_min.max(heard.saturating_add(1));
        let opened = self
            .place
            .set_aside()
            .map_err(OpenError::from)
            .and_then(|moved_to| Ok((moved_to, open(&mut self.place, &shared.schema, &mut self.settings)?)));
        let mut status = shared.status();
        match opened {
            Ok((moved_to, (tables, opened))) => {
                tables.keep(shared.wish());
                *slot = Some(tables);
                (self.us, status.us, status.failed) = (opened.us, opened.us, None);
                status.alarms.push(Alarm::BelowFloor { moved_to });
                shared.feed.lose();
                Ok(())
            }
            Err(error) => {
                status.failed = Some(error.to_string());
                Err(WriteError::Failed(error.to_string()))
            }
        }
    }
}
