//! The keeper of incidents: all that the watch has to do with the store, on a thread that may wait for the disk.

use std::time::Duration;

use super::desk::Desk;
use crate::domain::watch::Policy;
use crate::service::{Bell, Next, Worker, moment};
use crate::store::{Edits, Store, StoreError};
use crate::sys::clock::Now;

/// The setting that holds the policy. The node's own.
pub const POLICY: &str = "watch_policy";
/// How often the change feed is looked at: what people do is seen to be done.
const LOOK: Duration = Duration::from_millis(100);
/// The most incidents written in one step.
const EDITS_MAX: usize = 200;

/// See the module.
pub struct IncidentKeeper {
    desk: Desk,
    store: Store,
    since: u64,
    has_read: bool,
    /// What is wrong with the policy that was set, if it is not in use.
    refused: Option<String>,
}

impl IncidentKeeper {
    /// Between a desk and the records.
    pub fn new(desk: Desk, store: Store) -> Self {
        Self { desk, store, since: 0, has_read: false, refused: None }
    }

    /// Brings what changed in the records.
    fn bring(&mut self) -> Result<(), StoreError> {
        let (next, kinds) = self.store.changes(self.since, Duration::ZERO);
        let is_concerned = |kind: &str| !self.has_read || kinds.iter().any(|changed| changed == kind);
        if is_concerned("setting") {
            let policy = self.store.node_setting::<Policy>(POLICY)?.unwrap_or_default();
            self.refused = policy.check().err();
            if self.refused.is_none() {
                self.desk.set_policy(policy);
            }
        }
        if is_concerned("channels") {
            self.desk.set_labels(self.store.channels()?);
        }
        if is_concerned("handling") {
            for id in self.desk.open_ids() {
                if let Some(known) = self.store.incident(id)? {
                    self.desk.set_handling(id, known.handling);
                }
            }
        }
        // Only what was brought is past.
        (self.since, self.has_read) = (next, true);
        Ok(())
    }

    fn write(&self, now: Now) -> Result<usize, String> {
        let (mut unwritten, given_up) = self.desk.unwritten();
        if unwritten.is_empty() {
            return Ok(0);
        }
        let waiting = unwritten.len();
        while unwritten.len() > EDITS_MAX {
            unwritten.pop_last();
        }
        let mut edits = Edits::by("service:watch");
        for (id, incident) in &unwritten {
            edits.put_incident(*id, incident);
        }
        let kept = self.store.commit(edits, moment(now));
        kept.map_err(|error| format!("{waiting} incidents wait to be written, {given_up} gave way: {error}"))?;
        self.desk.written(&unwritten);
        Ok(unwritten.len())
    }
}

impl Worker for IncidentKeeper {
    fn name(&self) -> &'static str {
        "incidents"
    }

    fn bell(&self) -> Option<Bell> {
        Some(self.desk.bell())
    }

    fn step(&mut self, now: Now) -> Result<Next, String> {
        self.bring().map_err(|error| error.to_string())?;
        let written = self.write(now)?;
        match &self.refused {
            Some(why) => Err(format!("the setting {POLICY} is not in use: {why}. Correct it; the one before holds")),
            None => Ok(Next::after(LOOK, format!("{written} written"))),
        }
    }
}
