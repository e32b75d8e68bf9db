//! Watching one node: which incidents there are, when each opens and when it closes.
//!
//! Lives here: the table of kinds, the policy, and [`Watch`], a state machine fed with what was observed. Does not live
//! here: measuring (levels and seconds come ready made from capture), the clock, records, notifications. It may assume
//! that observations come in order of the monotonic clock, about twenty a second; that clock alone measures lengths.
//! An alarm never touches a recording.

mod incident;
mod judge;
mod kind;
mod machine;
mod observation;
mod policy;
#[cfg(test)]
mod tests;

pub use incident::{Change, CloseReason, Closed, Incident, Measure, Target};
pub use kind::{IncidentKind, OperatorText, Severity};
pub use machine::{MAX_SUPPRESSIONS, Watch};
pub use observation::{
    CaptureFacts, ChannelFacts, ClockFacts, DiskFacts, DiskState, Expects, Frames, Moment, Observation, PairFacts,
    Signal,
};
pub use policy::{Overrides, Policy, Role, Rule, Thresholds};
