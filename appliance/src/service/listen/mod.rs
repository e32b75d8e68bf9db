//! Hearing a take: from any second as a stream, also while it is recorded; as a whole file; and the room as it sounds now.
//!
//! Lives here: `stream` (bytes of a take from disk, pulled), `files` (exports kept for a while, so that they can be sent in
//! ranges), `live` (from capture's socket). Does not live here: HTTP, who may listen. Everything is plain and blocking: the
//! caller gives it a thread. What is heard from disk has been written; only `live` is ahead of the disk.

mod encoding;
mod files;
mod live;
mod stream;
#[cfg(test)]
mod tests;

pub use self::encoding::StreamFormat;
pub use self::files::{FileRequest, Kept, KeptFiles};
pub use self::live::Live;
pub use self::stream::{Piece, StreamRequest, TakeStream};

use crate::audio::AudioError;
use crate::capture::socket::client::ClientError;
use crate::capture::take::export::ExportError;
use crate::capture::take::log::LogError;

/// Why nothing is heard.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The take's log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The take's audio cannot be read or coded.
    #[error("{0}. The recording is untouched")]
    Audio(#[from] AudioError),
    /// What was asked for cannot be; the sentence says why.
    #[error("{0}")]
    Impossible(String),
    /// The file cannot be made.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// Where exports are kept cannot be used.
    #[error("exports cannot be kept: {0}")]
    Io(#[from] std::io::Error),
    /// There is no recorder, or it said no.
    #[error(transparent)]
    Recorder(#[from] ClientError),
}
