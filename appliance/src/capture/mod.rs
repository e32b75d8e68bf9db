//! The tape machine: JACK in, takes on disk out.
//!
//! Lives here: everything between the ports and the finished take, in one process with no network, no database and no
//! async runtime. The callback ([`jack`]) copies into a ring; the engine ([`engine`]) keeps the pre-roll, measures and
//! decides; the tape ([`tape`]) writes and syncs; the socket ([`socket`]) takes orders and gives state. No thread waits
//! for a slower one: what cannot be kept is counted and marked as a gap.

pub mod block;
pub mod engine;
pub mod history;
pub mod jack;
pub mod load;
pub mod orders;
pub mod placement;
pub mod ring;
pub mod run;
pub mod socket;
pub mod status;
pub mod take;
pub mod tape;
