//! Records that several writers keep in step: one append-only log per writer, merged by explicit supersession.
//!
//! [`core`] is the rules and knows no disk, clock or network; [`disk`] (feature `disk`) keeps a node's logs and records
//! in one redb file; [`net`] (feature `net`) carries links to other nodes over WebSockets. The map, the stored form and the invariants are in `replicate/DESIGN.md`. What a record means is
//! the user's business: this library knows kinds, groups and versions, never rooms.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod core;
#[cfg(feature = "disk")]
pub mod disk;
#[cfg(feature = "net")]
pub mod net;
