//! A real appliance on a real JACK server, and what it takes to prove that nothing was lost.
//!
//! Lives here: private JACK servers, a bit-exact feed, a minimal recorder, the checker, the product's process, nodes on
//! cables that can be cut, and the faults to throw at them. Does not live here: any claim about the product (that is `tests/e2e`) and any code of it: the
//! formats are read by own readers. May assume: Linux, root (real-time threads, mounts), the packages of FACTS section 1
//! and `faketime`. Panics are how a harness says no.
//!
//! libjack keeps one server per process, so servers in one process take turns; `cargo nextest` gives each test its own.

mod appliance;
mod cables;
mod checker;
mod clock;
mod disk;
mod feed;
mod hogs;
mod member;
pub mod node;
mod recorder;
mod room;
mod server;
mod tags;
mod take;
mod tracer;
mod wait;
mod wav;

pub use appliance::{Outcome, judge, run};
pub use cables::{Cables, Line};
pub use checker::Report;
pub use clock::FakeClock;
pub use disk::SmallDisk;
pub use feed::Feed;
pub use hogs::Hogs;
pub use member::{Member, are_like, in_step, wait_settled};
pub use node::{Answer, Node};
pub use recorder::Recorder;
pub use room::{Plan, Room};
pub use server::{JackServer, Options, command};
pub use tags::{distance, source_of, tag};
pub use take::{Gap, Segment, Take};
pub use tracer::Run;
pub use wait::wait;
pub use wav::{Wav, write_wav};

/// Frames per second of every server a test starts.
pub const RATE: u32 = 48_000;

/// Frames in so many milliseconds at [`RATE`].
pub const fn ms(milliseconds: u64) -> u64 {
    milliseconds * RATE as u64 / 1000
}
