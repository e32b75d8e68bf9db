//! The machine underneath: clock, random numbers, atomic files, disk space, connections, the service manager.
//!
//! Lives here: every question to the operating system that is not audio. The rest of the program gets instants, chance
//! and free space as values. [`clock`] is the only file that reads a clock.

pub mod clock;
pub mod disk;
pub mod env;
pub mod files;
pub mod line;
pub mod notify;
pub mod rng;
