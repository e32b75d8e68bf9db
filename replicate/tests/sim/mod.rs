//! The simulator: a fleet, its network, its clocks, its disks, and what ought to be.
#![allow(dead_code)] // Each test binary uses its own part of it.

pub mod check;
pub mod clock;
pub mod disk;
pub mod floors;
pub mod keepers;
pub mod machine;
pub mod model;
pub mod network;
pub mod run;
pub mod script;
pub mod seeds;
pub mod traffic;
pub mod world;
