//! The state machine: evidence in, incidents opened, updated and closed.
//!
//! One cell per kind and target: calm, suspect, open. Only kinds and targets that are not calm, or were not lately, have
//! a cell, and [`super::judge`] bounds how many targets there are; so memory is bounded by what is configured.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::incident::{Change, CloseReason, Closed, Incident, Measure, Target};
use super::judge::{Case, Evidence, Judge, Totals};
use super::kind::{IncidentKind, Severity};
use super::observation::{Moment, Observation};
use super::policy::Policy;
use crate::domain::ClockQuality;

/// The most suppressions at a time; a further one is refused.
pub const MAX_SUPPRESSIONS: usize = 1024;
/// What lies between two observations counts for at most this long: nobody saw what was there.
const MAX_STEP_US: u64 = 2_000_000;
/// An incident that closed is remembered so long: if it comes back, recovery takes twice as long each time.
const MEMORY_US: u64 = 300_000_000;
/// The longest that recovery is stretched to, seconds.
const MAX_RECOVER_S: f64 = 60.0;
/// What lasts is told again at most this often, and only if it changed by a tenth: records are replicated.
const TELL_AGAIN_US: u64 = 10_000_000;

type Key = (IncidentKind, Target);

/// Watches one node; see the module above.
#[derive(Debug, Default)]
pub struct Watch {
    policy: Policy,
    cells: BTreeMap<Key, Cell>,
    suppressed: BTreeMap<Key, Timestamp>,
    totals: Totals,
    last_us: Option<u64>,
}

#[derive(Debug)]
struct Cell {
    phase: Phase,
    /// How often it closed lately.
    closings: u32,
    closed_us: Option<u64>,
    /// It was judged in this round.
    is_judged: bool,
}

#[derive(Debug)]
enum Phase {
    Calm,
    Suspect { since_us: u64 },
    Open(Box<Lasting>),
}

#[derive(Debug)]
struct Lasting {
    incident: Incident,
    /// Since when all is well; none while it is bad or not known.
    good_since_us: Option<u64>,
    told_us: u64,
    told: (u64, Option<Measure>),
    told_severity: Severity,
}

impl Watch {
    /// Begins to watch. `lasting` are the incidents that were open when the last watch ended: they close as any other.
    pub fn new(policy: Policy, lasting: impl IntoIterator<Item = Incident>) -> Self {
        let mut watch = Self { policy, ..Self::default() };
        for incident in lasting.into_iter().filter(|incident| incident.closed.is_none()) {
            let key = (incident.kind, incident.target);
            if let Some(until) = incident.suppressed_until {
                watch.suppressed.insert(key, until);
            }
            let phase = Phase::Open(Box::new(Lasting::new(incident, 0)));
            watch.cells.insert(key, Cell { phase, ..Cell::new() });
        }
        watch
    }

    /// Takes a new policy; what it does not know any more closes with the next observation.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// The incidents that are open.
    pub fn open(&self) -> impl Iterator<Item = &Incident> {
        self.cells.values().filter_map(|cell| match &cell.phase {
            Phase::Open(lasting) => Some(&lasting.incident),
            Phase::Calm | Phase::Suspect { .. } => None,
        })
    }

    /// Somebody has seen it. None if there is no such incident, or it was acknowledged before.
    pub fn acknowledge(&mut self, kind: IncidentKind, target: Target) -> Option<Change> {
        let incident = self.open_mut(kind, target)?;
        let is_first = !std::mem::replace(&mut incident.is_acknowledged, true);
        is_first.then(|| Change::Updated(incident.clone()))
    }

    /// Opens nothing of this kind there before an instant; an open one carries that instant. If it is still bad then,
    /// it opens then.
    ///
    /// # Errors
    /// A sentence: there are too many suppressions.
    pub fn suppress(&mut self, kind: IncidentKind, target: Target, until: Timestamp) -> Result<Option<Change>, String> {
        if self.suppressed.len() >= MAX_SUPPRESSIONS && !self.suppressed.contains_key(&(kind, target)) {
            return Err(format!("{MAX_SUPPRESSIONS} incidents are suppressed already: end some of them first"));
        }
        self.suppressed.insert((kind, target), until);
        Ok(self.open_mut(kind, target).map(|incident| {
            incident.suppressed_until = Some(until);
            Change::Updated(incident.clone())
        }))
    }

    /// Somebody says that it is over. If it is not, another one opens as if nothing had been.
    pub fn resolve(&mut self, kind: IncidentKind, target: Target, now: Moment) -> Option<Change> {
        self.cells.get_mut(&(kind, target))?.close(now, CloseReason::Resolved)
    }

    /// Judges an observation and says what changed, causes before what follows from them.
    pub fn observe(&mut self, now: Moment, seen: &Observation) -> Vec<Change> {
        let step_us = self.last_us.map_or(0, |last| now.mono_us.saturating_sub(last));
        self.last_us = Some(now.mono_us);
        let unseen_us = step_us.saturating_sub(MAX_STEP_US);
        if unseen_us > 0 {
            self.cells.values_mut().for_each(|cell| cell.leave_out(unseen_us));
        }
        let cells = &self.cells;
        let open = |kind, target| match &cells.get(&(kind, target))?.phase {
            Phase::Open(lasting) => Some(lasting.incident.severity),
            Phase::Calm | Phase::Suspect { .. } => None,
        };
        let mut judge = Judge { policy: &self.policy, open: &open, cases: Vec::new() };
        judge.all(&mut self.totals, seen);
        let cases = judge.cases;
        self.suppressed.retain(|_, until| *until > now.wall);
        let mut changes = Vec::new();
        for case in &cases {
            changes.extend(self.step(now, seen.clock.quality, case));
        }
        let is_deaf = seen.capture.is_none();
        self.sweep(now, is_deaf, &mut changes);
        changes
    }

    /// How much is kept, for tests of the bound.
    #[cfg(test)]
    pub(super) fn cells(&self) -> usize {
        self.cells.len()
    }

    fn open_mut(&mut self, kind: IncidentKind, target: Target) -> Option<&mut Incident> {
        match &mut self.cells.get_mut(&(kind, target))?.phase {
            Phase::Open(lasting) => Some(&mut lasting.incident),
            Phase::Calm | Phase::Suspect { .. } => None,
        }
    }

    fn step(&mut self, now: Moment, quality: ClockQuality, case: &Case) -> Option<Change> {
        let key = (case.kind, case.target);
        let is_bad = matches!(case.evidence, Evidence::Bad { .. } | Evidence::Happened(_));
        if !is_bad && !self.cells.contains_key(&key) {
            return None;
        }
        let suppressed_until = self.suppressed.get(&key).copied();
        let cell = self.cells.entry(key).or_insert_with(Cell::new);
        cell.is_judged = true;
        if let Phase::Open(lasting) = &mut cell.phase {
            lasting.incident.suppressed_until = suppressed_until;
            let reason = lasting.step(now, case, cell.closings);
            return match reason {
                Some(reason) => cell.close(now, reason),
                None => lasting.tell(now),
            };
        }
        match case.evidence {
            Evidence::Good | Evidence::Unknown | Evidence::Over(_) => cell.phase = Phase::Calm,
            // Nobody wants to hear of what happened while it was suppressed.
            Evidence::Happened(_) if suppressed_until.is_some() => {}
            Evidence::Happened(measure) => return Some(cell.open(now, quality, case, 0, Some(measure))),
            Evidence::Bad { lasted_s, measure } => {
                let began_us = now.mono_us.saturating_sub(micros(lasted_s));
                let since_us = match cell.phase {
                    Phase::Suspect { since_us } => since_us.min(began_us),
                    Phase::Calm | Phase::Open(_) => began_us,
                };
                cell.phase = Phase::Suspect { since_us };
                let lasted_us = now.mono_us.saturating_sub(since_us);
                if lasted_us >= micros(case.rule.after_s) && suppressed_until.is_none() {
                    return Some(cell.open(now, quality, case, lasted_us, measure));
                }
            }
        }
        None
    }

    /// Closes what has no target any more and forgets what has been calm for long.
    fn sweep(&mut self, now: Moment, is_deaf: bool, changes: &mut Vec<Change>) {
        self.cells.retain(|key, cell| {
            let is_hidden = match key.1 {
                Target::Channel(_) | Target::Pair(..) => is_deaf,
                // The node's ports are judged with the channels'.
                Target::Node => is_deaf && key.0 == IncidentKind::PortGone,
                Target::Recording(_) => false,
            };
            match std::mem::take(&mut cell.is_judged) {
                true => {}
                false if is_hidden => cell.forget_duration(),
                false => {
                    let reason = match key.1 {
                        // It is not in the list of failed ones any more.
                        Target::Recording(_) => CloseReason::Recovered,
                        Target::Node | Target::Channel(_) | Target::Pair(..) => CloseReason::TargetGone,
                    };
                    changes.extend(cell.close(now, reason));
                    return false;
                }
            }
            let is_calm = matches!(cell.phase, Phase::Calm);
            let is_past = cell.closed_us.is_none_or(|closed| now.mono_us.saturating_sub(closed) > MEMORY_US);
            !(is_calm && is_past)
        });
    }
}

impl Cell {
    fn new() -> Self {
        Self { phase: Phase::Calm, closings: 0, closed_us: None, is_judged: false }
    }

    /// Does not count a length of time that nobody saw.
    fn leave_out(&mut self, unseen_us: u64) {
        match &mut self.phase {
            Phase::Calm => {}
            Phase::Suspect { since_us } => *since_us += unseen_us,
            Phase::Open(lasting) => lasting.good_since_us = lasting.good_since_us.map(|since_us| since_us + unseen_us),
        }
    }

    /// Whatever it was, nobody knows whether it lasted.
    fn forget_duration(&mut self) {
        match &mut self.phase {
            Phase::Calm | Phase::Suspect { .. } => self.phase = Phase::Calm,
            Phase::Open(lasting) => lasting.good_since_us = None,
        }
    }

    fn open(
        &mut self,
        now: Moment,
        clock_quality: ClockQuality,
        case: &Case,
        lasted_us: u64,
        measure: Option<Measure>,
    ) -> Change {
        let lasted = SignedDuration::from_micros(i64::try_from(lasted_us).unwrap_or(i64::MAX));
        let incident = Incident {
            kind: case.kind,
            target: case.target,
            severity: case.rule.severity,
            began_at: now.wall.checked_sub(lasted).unwrap_or(now.wall),
            opened_at: now.wall,
            clock_quality,
            times: 1,
            measure,
            is_acknowledged: false,
            suppressed_until: None,
            closed: None,
        };
        if self.closed_us.is_none_or(|closed| now.mono_us.saturating_sub(closed) > MEMORY_US) {
            self.closings = 0;
        }
        let change = Change::Opened(incident.clone());
        self.phase = Phase::Open(Box::new(Lasting::new(incident, now.mono_us)));
        change
    }

    fn close(&mut self, now: Moment, reason: CloseReason) -> Option<Change> {
        let Phase::Open(lasting) = std::mem::replace(&mut self.phase, Phase::Calm) else { return None };
        let mut incident = lasting.incident;
        incident.closed = Some(Closed { at: now.wall, reason });
        self.closings = self.closings.saturating_add(1);
        self.closed_us = Some(now.mono_us);
        Some(Change::Closed(incident))
    }
}

impl Lasting {
    fn new(incident: Incident, told_us: u64) -> Self {
        let told = (incident.times, incident.measure);
        Self { told, told_severity: incident.severity, incident, good_since_us: None, told_us }
    }

    /// Takes evidence on an open incident; a reason if it closes it.
    fn step(&mut self, now: Moment, case: &Case, closings: u32) -> Option<CloseReason> {
        match case.evidence {
            Evidence::Bad { measure, .. } => {
                self.worsen(case.rule.severity, measure);
                None
            }
            Evidence::Happened(measure) => {
                self.worsen(case.rule.severity, Some(measure));
                None
            }
            Evidence::Good => {
                let since_us = *self.good_since_us.get_or_insert(now.mono_us);
                let stretched = case.rule.recover_s * 2f64.powi(closings.min(16) as i32);
                let recover_s = case.rule.recover_s.max(stretched.min(MAX_RECOVER_S));
                (now.mono_us.saturating_sub(since_us) >= micros(recover_s)).then_some(CloseReason::Recovered)
            }
            Evidence::Unknown => {
                self.good_since_us = None;
                None
            }
            Evidence::Over(reason) => Some(reason),
        }
    }

    fn worsen(&mut self, severity: Severity, measure: Option<Measure>) {
        let incident = &mut self.incident;
        incident.severity = severity;
        incident.times += u64::from(self.good_since_us.take().is_some());
        incident.measure = match (incident.measure, measure) {
            (Some(before), Some(newer)) => Some(before.and(newer)),
            (before, newer) => newer.or(before),
        };
    }

    /// Says so if it is graver or lesser, at once, or much more of the same, now and then.
    fn tell(&mut self, now: Moment) -> Option<Change> {
        let incident = &self.incident;
        let is_other = self.told_severity != incident.severity;
        let (times, measure) = self.told;
        let value = |measure: Option<Measure>| measure.map_or(0.0, Measure::value);
        let is_more =
            is_tenth_off(times as f64, incident.times as f64) || is_tenth_off(value(measure), value(incident.measure));
        let is_due = now.mono_us.saturating_sub(self.told_us) >= TELL_AGAIN_US;
        if !(is_other || (is_due && is_more)) {
            return None;
        }
        self.told_us = now.mono_us;
        self.told = (incident.times, incident.measure);
        self.told_severity = incident.severity;
        Some(Change::Updated(incident.clone()))
    }
}

fn is_tenth_off(told: f64, value: f64) -> bool {
    (value - told).abs() > told.abs() / 10.0
}

/// Seconds as microseconds; none below zero.
fn micros(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}
