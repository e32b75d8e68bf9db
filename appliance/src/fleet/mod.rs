//! The fleet: who belongs to it, links to the other nodes, who coordinates.
//!
//! Lives here: `tls` (how two nodes know each other). Does not live here: how records merge (`replicate`), what they mean
//! (`store`), pages.

pub mod tls;
