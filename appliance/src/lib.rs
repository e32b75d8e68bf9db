//! Rakkr: a recording appliance for rooms. The map of this crate is `ARCHITECTURE.md` beside it.
//!
//! Modules import downward only (domain, sys, audio, capture, store, access, service, fleet, web, then the commands); `tests/tidy.rs` proves it.

pub mod access;
pub mod app;
pub mod audio;
pub mod capture;
pub mod cli;
pub mod domain;
pub mod fleet;
pub mod service;
pub mod store;
pub mod sys;
pub mod web;
