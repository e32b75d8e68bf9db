//! Nouns and rules of the recording room: orders, takes, channels, ids, clock quality.
//!
//! Lives here: values, their validity and decisions about them. Does not live here: files, the machine's clock, random
//! numbers, threads, JSON on disk. Instants and chance are arguments.

pub mod access;
pub mod channel;
pub mod id;
pub mod order;
pub mod take;
pub mod time;
pub mod watch;
pub mod words;

pub use channel::{ChannelSet, Channels, MAX_CHANNELS};
pub use id::TakeId;
pub use order::{Order, OrderSet};
pub use take::{Fact, Gap, GapCause, Mark, Pause, Segment, TakeInfo, TakeState};
pub use time::ClockQuality;
