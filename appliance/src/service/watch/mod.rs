//! The watch: what is seen of the node, judged twenty times a second, and incidents that come of it.
//!
//! Two workers share a [`Desk`]. [`Watcher`] looks at [`Live`] and the clock, judges, and shows open incidents there at
//! once: it waits for no disk. [`IncidentKeeper`] writes them into the store, as soon as that takes them, and brings back
//! what people did about them, the policy, and what is said of the channels. No alarm ever touches a recording.

mod desk;
mod keeper;
mod observe;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use self::desk::Desk;
use self::desk::News;
pub use self::keeper::IncidentKeeper;
use self::observe::{Inputs, Recorded, observation};
use super::{Failures, Live, Next, Worker};
use crate::capture::take::DataDir;
use crate::domain::TakeId;
use crate::domain::watch::{Change, ClockFacts, IncidentKind, Moment, Target, Watch};
use crate::store::Id;
use crate::store::incidents::{Handling, Known};
use crate::store::rooms::ChannelLabel;
use crate::sys::clock::{self, Now};
use crate::sys::rng;

/// How often it looks: as often as meters come.
const LOOK: Duration = Duration::from_millis(50);
/// Wall clock against monotonic clock: a difference that grew by this much between two looks is a step, not a drift.
/// A time service slews up to 128 ms and steps beyond.
const STEP_US: i64 = 128_000;

/// Looks and judges.
pub struct Watcher {
    desk: Desk,
    live: Live,
    failures: Failures,
    data: DataDir,
    machine: Watch,
    open: BTreeMap<(IncidentKind, Target), Known>,
    labels: Vec<ChannelLabel>,
    /// Channels of running takes; none of one whose log could not be read yet.
    takes: BTreeMap<TakeId, Option<BTreeSet<u16>>>,
    /// Wall clock less monotonic clock, microseconds.
    offset_us: Option<i64>,
    clock: ClockFacts,
}

impl Watcher {
    /// Takes up what lies on the desk: incidents that were open go on.
    pub fn new(desk: Desk, live: Live, failures: Failures, data: DataDir) -> Self {
        let (policy, open, suppressed) = desk.take_up();
        let mut machine = Watch::new(policy, open.iter().map(|known| known.incident.clone()));
        for (kind, target, until) in suppressed {
            // More than may be are not kept: they open, which is the safe side.
            let _ = machine.suppress(kind, target, until);
        }
        let open = open.into_iter().map(|known| ((known.incident.kind, known.incident.target), known)).collect();
        let clock = ClockFacts { quality: crate::domain::ClockQuality::Guessed, steps: 0, last_step_s: 0.0 };
        let (labels, takes, offset_us) = (Vec::new(), BTreeMap::new(), None);
        Self { desk, live, failures, data, machine, open, labels, takes, offset_us, clock }
    }

    /// What people did since, and what they changed; and whether they did anything.
    fn hear(&mut self, now: Moment) -> (Vec<Change>, bool) {
        let News { policy, labels, handled } = self.desk.news();
        if let Some(policy) = policy {
            self.machine.set_policy(policy);
        }
        if let Some(labels) = labels {
            self.labels = labels;
        }
        let is_handled = !handled.is_empty();
        let changes = handled.into_iter().flat_map(|(id, handling)| self.handle(id, handling, now)).collect();
        (changes, is_handled)
    }

    fn handle(&mut self, id: Id, handling: Handling, now: Moment) -> Vec<Change> {
        let Some(known) = self.open.values_mut().find(|known| known.id == id) else { return Vec::new() };
        let before = std::mem::replace(&mut known.handling, handling.clone());
        let (kind, target) = (known.incident.kind, known.incident.target);
        let mut changes = Vec::new();
        if handling.acknowledged.is_some() {
            changes.extend(self.machine.acknowledge(kind, target));
        }
        if let Some(until) = handling.suppressed.as_ref().filter(|_| handling.suppressed != before.suppressed)
            && let Some(until) = until.until
        {
            changes.extend(self.machine.suppress(kind, target, until).unwrap_or_default());
        }
        if handling.resolved.is_some() {
            changes.extend(self.machine.resolve(kind, target, now));
        }
        changes
    }

    fn look_at_clock(&mut self, now: Now) {
        self.clock.quality = clock::quality(now.wall);
        let offset_us = now.wall.as_microsecond().saturating_sub(i64::try_from(now.mono_us).unwrap_or(i64::MAX));
        let stepped_us = self.offset_us.replace(offset_us).map_or(0, |before| offset_us.saturating_sub(before));
        if stepped_us.abs() > STEP_US {
            self.clock.steps += 1;
            self.clock.last_step_s = stepped_us as f64 / 1e6;
        }
    }

    /// Which channels are being kept now; a take's never change, so its log is read once.
    fn recorded(&mut self) -> Recorded {
        let Some(status) = self.live.status() else { return Recorded::default() };
        self.takes.retain(|id, _| status.recording.iter().any(|take| take.id == *id));
        let mut recorded = Recorded::default();
        for take in status.recording.iter().filter(|take| !take.is_paused) {
            let channels = self.takes.entry(take.id).or_default();
            if channels.is_none() {
                let loaded = self.data.take(take.id).load().ok();
                *channels =
                    loaded.map(|take| take.fold.opened().channels.iter().map(|channel| channel.number).collect());
            }
            match channels {
                Some(channels) => recorded.channels.extend(channels.iter()),
                None => recorded.is_all = true,
            }
        }
        recorded
    }

    /// Takes changes over into what is shown and what is to be written.
    fn tell(&mut self, changes: &[Change], now: Now) {
        for change in changes {
            let incident = change.incident();
            let key = (incident.kind, incident.target);
            let known = self.open.entry(key).or_insert_with(|| Known {
                id: new_id(now, key),
                node: self.desk.node(),
                incident: incident.clone(),
                handling: Handling::default(),
            });
            known.incident = incident.clone();
            self.desk.put(known.clone());
            if incident.closed.is_some() {
                self.open.remove(&key);
            }
        }
        let mut open: Vec<Known> = self.open.values().cloned().collect();
        open.sort_by_key(|known| std::cmp::Reverse(known.incident.opened_at));
        self.live.set_incidents(open);
    }
}

/// Without chance an id is still made: of what it names and when, which no other incident has.
fn new_id(now: Now, key: (IncidentKind, Target)) -> Id {
    match rng::ten_bytes() {
        Ok(chance) => Id::new(now.wall, chance),
        Err(_) => Id::of_name(&format!("{key:?} {} {}", now.wall, now.mono_us)),
    }
}

impl Worker for Watcher {
    fn name(&self) -> &'static str {
        "watch"
    }

    fn step(&mut self, now: Now) -> Result<Next, String> {
        if !self.live.has_asked() {
            return Ok(Next::after(LOOK, "capture was not asked yet"));
        }
        let is_first = self.offset_us.is_none();
        let moment = Moment { mono_us: now.mono_us, wall: now.wall };
        let (mut changes, is_handled) = self.hear(moment);
        self.look_at_clock(now);
        let (status, frame, recorded) = (self.live.status(), self.live.meters(), self.recorded());
        let inputs = Inputs {
            status: status.as_deref().zip(self.live.status_age(now.mono_us)),
            frame: frame.as_deref().zip(self.live.meters_age(now.mono_us)),
            labels: &self.labels,
            recorded: &recorded,
            clock: self.clock,
            failed_renders: self.failures.ids(),
        };
        let seen = observation(inputs);
        changes.extend(self.machine.observe(moment, &seen));
        if !changes.is_empty() || is_first || is_handled {
            self.tell(&changes, now);
        }
        Ok(Next::after(LOOK, format!("{} open", self.open.len())))
    }
}
