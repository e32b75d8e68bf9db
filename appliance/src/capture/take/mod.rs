//! Takes on disk: their log, their folder, and what can be done with them without a recorder.
//!
//! Lives here: `takes/<id>/{take.jsonl, 0001.wav, …}` read, proven, made whole and exported. The writing side is
//! [`super::tape`]; both share [`log`]. Nothing here needs JACK or a running capture.

pub mod export;
pub mod folder;
pub mod growing;
pub mod log;
pub mod recover;
#[cfg(test)]
mod tests;
pub mod timeline;
pub mod verify;
pub mod wav_view;

pub use folder::{DataDir, Loaded, TakeFolder};
