//! The end-to-end tier: each test is a sentence a customer would say, on a real JACK server. Run it with
//! `cargo nextest run -p rakkr --test e2e -j 2` as root; with `cargo test` it runs one server at a time.

#![allow(clippy::disallowed_methods)] // Real processes run on the real clock: the harness waits for them, with limits.

#[path = "../harness/mod.rs"]
mod harness;

mod crashes;
mod exports;
mod faults;
mod fleet;
mod harness_proof;
mod listening;
mod meters;
mod misuse;
mod node;
mod privacy;
mod services;
mod takes;
mod walls;
