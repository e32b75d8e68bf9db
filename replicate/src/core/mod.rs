//! The rules without I/O: what an entry is, how a log grows, how entries become records.
//!
//! Nothing here knows a file, a socket, a thread, a clock or chance: state is read through [`view::View`], changes come
//! out as plain data ([`view::Changes`]), time and names are arguments. So all of it runs inside a simulator.

pub mod election;
pub mod entry;
pub mod exchange;
pub mod fence;
pub mod floor;
pub mod flow;
pub mod id;
pub mod index;
pub mod keeping;
pub mod log;
pub mod memory;
pub mod message;
pub mod mutant;
pub mod rebuild;
pub mod record;
pub mod schema;
pub mod session;
pub mod view;
pub mod wire;
pub mod wish;
pub mod write;
