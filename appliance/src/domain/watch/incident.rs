//! An incident: one cause at one target, from its beginning to its recovery.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::kind::{IncidentKind, Severity};
use crate::domain::{ClockQuality, TakeId};

/// What an incident is about. One node is meant; which one, its writer adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The node as a whole.
    Node,
    /// A channel by number, from 1.
    Channel(u16),
    /// Two channels.
    Pair(u16, u16),
    /// A recording.
    Recording(TakeId),
}

/// What was measured, with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// For how long, seconds.
    Seconds(f64),
    /// How loud, dBFS.
    Dbfs(f32),
    /// How many samples, in all.
    Samples(u64),
    /// How many frames were lost, in all.
    LostFrames(u64),
    /// Which part of full scale.
    Part(f32),
    /// Which frequency.
    Hertz(u16),
    /// How long it lasts, hours.
    HoursLeft(f64),
    /// By how much the clock was stepped, seconds.
    SteppedBy(f64),
}

impl Measure {
    /// What is to be said after `newer` was measured as well: totals add up, lengths grow, the rest is the newest.
    pub(super) fn and(self, newer: Self) -> Self {
        match (self, newer) {
            (Self::Samples(a), Self::Samples(b)) => Self::Samples(a.saturating_add(b)),
            (Self::LostFrames(a), Self::LostFrames(b)) => Self::LostFrames(a.saturating_add(b)),
            (Self::Seconds(a), Self::Seconds(b)) => Self::Seconds(a.max(b)),
            (_, newer) => newer,
        }
    }

    /// The number alone, to see whether it changed much.
    pub(super) fn value(self) -> f64 {
        match self {
            Self::Seconds(x) | Self::HoursLeft(x) | Self::SteppedBy(x) => x,
            Self::Dbfs(x) | Self::Part(x) => f64::from(x),
            Self::Samples(n) | Self::LostFrames(n) => n as f64,
            Self::Hertz(n) => f64::from(n),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(s) => write!(f, "for {s:.1} s"),
            Self::Dbfs(level) => write!(f, "{level:.0} dBFS"),
            Self::Samples(n) => write!(f, "{n} samples"),
            Self::LostFrames(n) => write!(f, "{n} frames lost"),
            Self::Part(part) => write!(f, "{:.1} % of full scale", part * 100.0),
            Self::Hertz(hz) => write!(f, "{hz} Hz"),
            Self::HoursLeft(hours) if *hours >= 2.0 => write!(f, "{hours:.0} hours left"),
            Self::HoursLeft(hours) => write!(f, "{:.0} minutes left", hours * 60.0),
            Self::SteppedBy(s) => write!(f, "by {s:+.1} s"),
        }
    }
}

/// Why an incident was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// All was well for long enough.
    Recovered,
    /// It turned out to follow from another one, which is open.
    FollowsFrom(IncidentKind),
    /// Nothing is expected there any more, or the policy says nothing of it.
    NotExpected,
    /// Its target is gone from the configuration.
    TargetGone,
    /// Somebody said that it is over.
    Resolved,
}

/// How an incident ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: CloseReason,
}

/// One incident as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// What kind.
    pub kind: IncidentKind,
    /// Where.
    pub target: Target,
    /// How grave it is now.
    pub severity: Severity,
    /// When it began: earlier than `opened_at` by as long as it took to be sure.
    pub began_at: Timestamp,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// How far these times can be believed.
    pub clock_quality: ClockQuality,
    /// How often it came and went within this incident; 1 or more.
    pub times: u64,
    /// What was measured.
    pub measure: Option<Measure>,
    /// Somebody has seen it.
    #[serde(default)]
    pub is_acknowledged: bool,
    /// Nobody is to be told before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed_until: Option<Timestamp>,
    /// Its end; none while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closed>,
}

/// What came of an observation.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A new one.
    Opened(Incident),
    /// One that lasts is graver, lesser, or much more of the same.
    Updated(Incident),
    /// One is over.
    Closed(Incident),
}

impl Change {
    /// The incident as it stands after the change.
    pub fn incident(&self) -> &Incident {
        match self {
            Self::Opened(incident) | Self::Updated(incident) | Self::Closed(incident) => incident,
        }
    }
}
