//! The parts of a node put together: records, rights, services, pages. Lives here: the wiring and the order of starting
//! and ending. Does not live here: anything that decides.

mod config;
pub mod node;

pub use config::{Config, ConfigError, Origin};
