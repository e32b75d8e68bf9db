//! From an observation to evidence: for each kind and target, is it bad, good or not known?
//!
//! Here are the conditions, their hysteresis in level, and what follows from what: an incident that follows from an open
//! one is no incident of its own. How long something must last and what is open is the machine's business.

use std::collections::BTreeMap;

use super::incident::{CloseReason, Measure, Target};
use super::kind::{IncidentKind, Severity};
use super::observation::{CaptureFacts, ChannelFacts, DiskFacts, DiskState, Expects, Frames, Observation, Signal};
use super::policy::{Policy, Role, Rule, Thresholds};
use crate::domain::{ClockQuality, GapCause, MAX_CHANNELS};

/// Pairs beyond these are not watched: as many as there are channels.
const MAX_PAIRS: usize = MAX_CHANNELS as usize;
/// Failed renderings beyond the oldest of these are not watched: their cause is hardly a different one.
const MAX_RENDERS: usize = 64;
/// Observations, a second of them, in which capture has counted the frames of a port that is back.
const PORT_EXPLAINS: u32 = 20;

/// What is known of one kind at one target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Evidence {
    /// It is bad, and has been for this many seconds at least.
    Bad { lasted_s: f64, measure: Option<Measure> },
    /// It was bad since the last observation, and audio or truth was lost by it: no waiting.
    Happened(Measure),
    /// All is well.
    Good,
    /// Nobody can tell.
    Unknown,
    /// It does not matter any more.
    Over(CloseReason),
}

impl Evidence {
    fn bad(measure: Option<Measure>) -> Self {
        Self::Bad { lasted_s: 0.0, measure }
    }

    fn when(is_bad: bool, measure: Option<Measure>) -> Self {
        if is_bad { Self::bad(measure) } else { Self::Good }
    }

    /// The same, unless something happened.
    fn or_happened(self, happened: Option<Measure>) -> Self {
        match (self, happened) {
            (Self::Good | Self::Unknown, Some(measure)) => Self::Happened(measure),
            (evidence, _) => evidence,
        }
    }
}

/// Evidence with the rule that applies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Case {
    pub kind: IncidentKind,
    pub target: Target,
    pub rule: Rule,
    pub evidence: Evidence,
}

/// Totals as they stood at the last observation. Without one, what they count lies before our time.
#[derive(Debug, Default)]
pub(super) struct Totals {
    lost: Option<(BTreeMap<GapCause, u64>, u64)>,
    clipped: BTreeMap<u16, u64>,
    steps: Option<u64>,
    /// For so many more observations, frames lost with a port belong to a channel that was seen without it.
    ports_explained: u32,
}

/// One round of judging.
pub(super) struct Judge<'a> {
    pub policy: &'a Policy,
    /// The severity of an open incident.
    pub open: &'a dyn Fn(IncidentKind, Target) -> Option<Severity>,
    pub cases: Vec<Case>,
}

impl Judge<'_> {
    /// Judges everything. A channel, a pair or a recording without a case is one that is not there any more; without
    /// capture nothing is said of channels and pairs.
    pub(super) fn all(&mut self, totals: &mut Totals, seen: &Observation) {
        let happened = seen.capture.as_ref().map(|capture| totals.lost_since(capture)).unwrap_or_default();
        let node = |kind: IncidentKind| happened.get(&kind).map(|frames| Measure::LostFrames(*frames));
        self.inputs(seen.capture.as_ref(), &node);
        self.disk(seen.disk, &node);
        self.clock(totals, seen);
        for &id in seen.failed_renders.iter().take(MAX_RENDERS) {
            self.say(IncidentKind::RenderFailed, Target::Recording(id), None, Evidence::bad(None));
        }
        let Some(capture) = &seen.capture else { return };
        let is_heard = capture.is_jack_connected && capture.frames == Frames::Arriving;
        for channel in capture.channels.iter().take(usize::from(MAX_CHANNELS)) {
            let clipped = totals.clipped_since(channel);
            self.port(channel, capture.is_jack_connected);
            self.channel(channel, clipped, is_heard);
        }
        totals.clipped.retain(|number, _| capture.channels.iter().any(|channel| channel.number == *number));
        totals.ports_explained = match capture.channels.iter().any(|channel| !channel.is_connected) {
            true => PORT_EXPLAINS,
            false => totals.ports_explained.saturating_sub(1),
        };
        self.ports_of_nobody(totals.ports_explained > 0, node(IncidentKind::PortGone));
        self.pairs(capture, is_heard);
    }

    /// Capture, server, frames: the first that fails explains the others.
    fn inputs(&mut self, capture: Option<&CaptureFacts>, happened: &impl Fn(IncidentKind) -> Option<Measure>) {
        use IncidentKind::{CaptureDown, JackGone, LostFrames, NoFrames, Overload, RateChanged};
        let down = Evidence::when(capture.is_none(), None).or_happened(happened(CaptureDown));
        self.say(CaptureDown, Target::Node, None, down);
        let from_capture = self.follows(CaptureDown, Target::Node);
        let jack = capture.map_or(from_capture, |capture| Evidence::when(!capture.is_jack_connected, None));
        self.say(JackGone, Target::Node, None, jack.or_happened(happened(JackGone)));
        let from_jack = self.follows(JackGone, Target::Node);
        let frames = match capture {
            None => from_capture,
            Some(capture) if !capture.is_jack_connected => from_jack,
            Some(capture) => Evidence::when(capture.frames == Frames::Stopped, None),
        };
        self.say(NoFrames, Target::Node, None, frames);
        for kind in [RateChanged, LostFrames, Overload] {
            let evidence = match capture {
                None => from_capture,
                Some(capture) if !capture.is_jack_connected => from_jack,
                Some(_) => Evidence::Good.or_happened(happened(kind)),
            };
            self.say(kind, Target::Node, None, evidence);
        }
    }

    fn disk(&mut self, disk: Option<DiskFacts>, happened: &impl Fn(IncidentKind) -> Option<Measure>) {
        for (kind, state) in [
            (IncidentKind::DiskStalled, DiskState::Stalled),
            (IncidentKind::DiskFull, DiskState::Full),
            (IncidentKind::DiskError, DiskState::Failing),
        ] {
            let evidence = disk.map_or(Evidence::Unknown, |disk| Evidence::when(disk.state == state, None));
            self.say(kind, Target::Node, None, evidence.or_happened(happened(kind)));
        }
        let kind = IncidentKind::DiskLow;
        let Some(mut rule) = self.policy.rule(kind, Target::Node, None) else {
            return self.say(kind, Target::Node, None, Evidence::Good);
        };
        let evidence = match disk.and_then(|disk| disk.hours_left) {
            _ if disk.is_some_and(|disk| disk.state == DiskState::Full) => {
                Evidence::Over(CloseReason::FollowsFrom(IncidentKind::DiskFull))
            }
            None => Evidence::Unknown,
            Some(hours) => {
                let told = (self.open)(kind, Target::Node);
                match disk_severity(&self.policy.thresholds, hours, told) {
                    None => Evidence::Good,
                    Some(severity) => {
                        rule.severity = severity;
                        Evidence::bad(Some(Measure::HoursLeft(hours)))
                    }
                }
            }
        };
        self.cases.push(Case { kind, target: Target::Node, rule, evidence });
    }

    fn clock(&mut self, totals: &mut Totals, seen: &Observation) {
        let is_unset = seen.clock.quality == ClockQuality::Unset;
        self.say(IncidentKind::ClockUnset, Target::Node, None, Evidence::when(is_unset, None));
        let steps = grown(totals.steps.replace(seen.clock.steps), seen.clock.steps);
        let stepped = (steps > 0).then_some(Measure::SteppedBy(seen.clock.last_step_s));
        self.say(IncidentKind::ClockStepped, Target::Node, None, Evidence::Good.or_happened(stepped));
    }

    fn port(&mut self, channel: &ChannelFacts, is_jack_connected: bool) {
        let evidence = match is_jack_connected {
            // Ports go and come with the server: nothing can be said of them, and it is said of the server.
            false => Evidence::Unknown,
            true => Evidence::when(!channel.is_connected, None),
        };
        self.say(IncidentKind::PortGone, Target::Channel(channel.number), Some(channel.role), evidence);
    }

    /// A port that was gone too shortly to be seen still cost frames. Capture counts them without a channel, so the
    /// incident is the node's, unless a channel's says it already.
    fn ports_of_nobody(&mut self, is_explained: bool, happened: Option<Measure>) {
        let kind = IncidentKind::PortGone;
        let evidence = Evidence::Good.or_happened(happened.filter(|_| !is_explained));
        self.say(kind, Target::Node, None, evidence);
    }

    fn channel(&mut self, channel: &ChannelFacts, clipped: u64, is_heard: bool) {
        use IncidentKind::{ClippedUpstream, Clipping, DcOffset, DeadPath, Hum, PortGone, QuietRoom};
        let target = Target::Channel(channel.number);
        let role = Some(channel.role);
        let is_known = is_heard && channel.is_connected && channel.expects != Expects::Nothing;
        let Some(signal) = channel.signal.as_ref().filter(|_| is_known) else {
            let is_port_told = (self.open)(PortGone, target).is_some();
            for kind in [DeadPath, QuietRoom, Clipping, ClippedUpstream, Hum, DcOffset] {
                let evidence = match kind {
                    _ if channel.expects == Expects::Nothing => Evidence::Over(CloseReason::NotExpected),
                    DeadPath | QuietRoom if is_port_told => Evidence::Over(CloseReason::FollowsFrom(PortGone)),
                    _ => Evidence::Unknown,
                };
                self.say(kind, target, role, evidence);
            }
            return;
        };
        let zero_s = signal.digital_zero_s;
        let dead = Evidence::Bad { lasted_s: zero_s, measure: Some(Measure::Seconds(zero_s)) };
        self.say(DeadPath, target, role, if zero_s > 0.0 { dead } else { Evidence::Good });
        let dead_rule = self.policy.rule(DeadPath, target, role);
        if dead_rule.is_some_and(|rule| zero_s >= rule.after_s && zero_s > 0.0) {
            for kind in [QuietRoom, Clipping, ClippedUpstream, Hum, DcOffset] {
                self.say(kind, target, role, Evidence::Over(CloseReason::FollowsFrom(DeadPath)));
            }
            return;
        }
        let quiet = self.quiet(channel, signal);
        self.say(QuietRoom, target, role, quiet);
        let over = (clipped > 0).then_some(Measure::Samples(clipped));
        self.say(Clipping, target, role, Evidence::Good.or_happened(over));
        self.say(ClippedUpstream, target, role, Evidence::when(signal.is_clipped_upstream, None));
        let hum = signal.hum_hz.map(Measure::Hertz);
        self.say(Hum, target, role, Evidence::when(hum.is_some(), hum));
        let dc = self.dc(target, signal);
        self.say(DcOffset, target, role, dc);
    }

    /// Nobody speaks and the level is near the channel's own noise floor, or low if that is not known.
    fn quiet(&self, channel: &ChannelFacts, signal: &Signal) -> Evidence {
        if channel.expects != Expects::Speech {
            return Evidence::Over(CloseReason::NotExpected);
        }
        let levels = &self.policy.thresholds;
        let target = Target::Channel(channel.number);
        let is_open = (self.open)(IncidentKind::QuietRoom, target).is_some();
        let near_floor = signal.noise_floor_dbfs.map(|floor| floor + levels.quiet_above_floor_db);
        let limit =
            near_floor.unwrap_or(levels.quiet_below_dbfs) + if is_open { levels.quiet_hysteresis_db } else { 0.0 };
        let is_quiet = !signal.is_speech && signal.rms_dbfs < limit;
        Evidence::when(is_quiet, Some(Measure::Dbfs(signal.rms_dbfs)))
    }

    fn dc(&self, target: Target, signal: &Signal) -> Evidence {
        let Some(dc) = signal.dc_offset else { return Evidence::Unknown };
        let is_open = (self.open)(IncidentKind::DcOffset, target).is_some();
        let limit = self.policy.thresholds.dc_part * if is_open { 0.8 } else { 1.0 };
        Evidence::when(dc.abs() > limit, Some(Measure::Part(dc)))
    }

    fn pairs(&mut self, capture: &CaptureFacts, is_heard: bool) {
        for pair in capture.pairs.iter().take(MAX_PAIRS) {
            let target = Target::Pair(pair.channels.0, pair.channels.1);
            let expects = |number: u16| {
                let channel = capture.channels.iter().find(|channel| channel.number == number);
                channel.is_some_and(|channel| channel.expects != Expects::Nothing)
            };
            let is_expected = expects(pair.channels.0) && expects(pair.channels.1);
            for (kind, lasted_s) in
                [(IncidentKind::InvertedPair, pair.inverted_s), (IncidentKind::DuplicatePair, pair.duplicate_s)]
            {
                let is_bad = lasted_s >= self.policy.thresholds.pair_s && lasted_s > 0.0;
                let evidence = match (is_expected, is_heard) {
                    (false, _) => Evidence::Over(CloseReason::NotExpected),
                    (true, false) => Evidence::Unknown,
                    (true, true) => Evidence::when(is_bad, Some(Measure::Seconds(lasted_s))),
                };
                self.say(kind, target, None, evidence);
            }
        }
    }

    /// What an effect of `cause` is: over if the cause is told, else not known, as it may be told soon.
    fn follows(&self, cause: IncidentKind, target: Target) -> Evidence {
        match (self.open)(cause, target) {
            Some(_) => Evidence::Over(CloseReason::FollowsFrom(cause)),
            None => Evidence::Unknown,
        }
    }

    fn say(&mut self, kind: IncidentKind, target: Target, role: Option<Role>, evidence: Evidence) {
        let case = match self.policy.rule(kind, target, role) {
            Some(rule) => Case { kind, target, rule, evidence },
            None => Case { kind, target, rule: kind.rule(), evidence: Evidence::Over(CloseReason::NotExpected) },
        };
        self.cases.push(case);
    }
}

/// How grave it is that the disk lasts `hours`. One told already is over, or lesser, at 5/4 of its limit.
fn disk_severity(thresholds: &Thresholds, hours: f64, told: Option<Severity>) -> Option<Severity> {
    let [info, warning, critical] = thresholds.disk_hours;
    let levels = [(Severity::Critical, critical), (Severity::Warning, warning), (Severity::Info, info)];
    let is_below = |&(severity, limit): &(Severity, f64)| {
        hours < if told.is_some_and(|told| told >= severity) { limit * 1.25 } else { limit }
    };
    levels.into_iter().find(is_below).map(|(severity, _)| severity)
}

impl Totals {
    /// Frames lost since the last observation, by the kind of incident they belong to. An xrun that cost no frame known
    /// to us counts as well.
    fn lost_since(&mut self, capture: &CaptureFacts) -> BTreeMap<IncidentKind, u64> {
        let Some((before, xruns)) = self.lost.replace((capture.lost_frames.clone(), capture.xruns)) else {
            return BTreeMap::new();
        };
        let mut lost = BTreeMap::new();
        for (&cause, &frames) in &capture.lost_frames {
            let more = grown(Some(before.get(&cause).copied().unwrap_or(0)), frames);
            if more > 0 {
                let sum: &mut u64 = lost.entry(kind_of(cause)).or_default();
                *sum = sum.saturating_add(more);
            }
        }
        if grown(Some(xruns), capture.xruns) > 0 {
            lost.entry(IncidentKind::LostFrames).or_default();
        }
        lost
    }

    fn clipped_since(&mut self, channel: &ChannelFacts) -> u64 {
        let Some(signal) = &channel.signal else { return 0 };
        grown(self.clipped.insert(channel.number, signal.clipped_total), signal.clipped_total)
    }
}

/// How much a total grew. One that fell was begun anew, and all of it is new.
fn grown(before: Option<u64>, total: u64) -> u64 {
    before.map_or(0, |before| total.checked_sub(before).unwrap_or(total))
}

/// The incident that frames lost for a cause belong to.
fn kind_of(cause: GapCause) -> IncidentKind {
    match cause {
        GapCause::Xrun => IncidentKind::LostFrames,
        GapCause::RateChanged => IncidentKind::RateChanged,
        GapCause::Overload => IncidentKind::Overload,
        GapCause::DiskStalled => IncidentKind::DiskStalled,
        GapCause::DiskFull => IncidentKind::DiskFull,
        GapCause::DiskError => IncidentKind::DiskError,
        GapCause::JackGone => IncidentKind::JackGone,
        GapCause::CaptureDown => IncidentKind::CaptureDown,
        GapCause::PortDisconnected => IncidentKind::PortGone,
    }
}
