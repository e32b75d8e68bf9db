//! Samples in, bytes and facts out: formats, encoders, signal analysis.
//!
//! Lives here: everything that knows how audio is coded or measured. Does not live here: what a recording means, where
//! files are kept, JACK. Samples are `f32`, full scale = 1.0, planar (one slice per channel, all of equal length).
//! Everything is progressive: any length of audio passes through in constant memory.

pub mod facts;
pub mod flac;
pub mod fmp4;
pub mod mix;
pub mod opus;
pub mod pairs;
pub mod pcm;
pub mod resample;
pub mod speech;
pub mod wav;
pub mod waveform;

use std::io;

/// What can go wrong between samples and bytes.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// The underlying file refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The bytes are not the format they should be; the text names the place and what was found.
    #[error("{0}")]
    Format(String),
    /// The format cannot hold what was asked for (too many channels, an unknown rate).
    #[error("{0}")]
    Unsupported(String),
}

/// What a finished file says of itself, in whatever way its format can.
#[derive(Debug, Clone, PartialEq)]
pub struct FileInfo {
    /// Title for people; may be empty, any script.
    pub title: String,
    /// UUID of the take, as text.
    pub take_id: String,
    /// The machine that recorded it.
    pub originator: String,
    /// Wall time of this file's first frame, in the zone of the room.
    pub started: jiff::Zoned,
    /// Frames per second.
    pub rate: u32,
    /// One label per channel, in file order; its length is the channel count.
    pub channels: Vec<String>,
    /// This file's place in a take of several files.
    pub part: Option<Part>,
}

/// One of several files that together are a take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// 1 for the first file.
    pub number: u32,
    /// The take's frame at which this file begins.
    pub first_frame: u64,
}

/// A named place or span inside a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// Frame in this file.
    pub frame: u64,
    /// Frames covered; 0 is a point.
    pub frames: u64,
    /// Text for people, any script.
    pub label: String,
    /// Why it stands there.
    pub kind: MarkerKind,
}

/// Why a marker stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkerKind {
    /// Someone marked the place.
    Mark,
    /// Frames are missing here and were filled with silence.
    Gap,
    /// The recording was paused for privacy here.
    Pause,
}

/// Programme loudness of a file; `None` is "not measured" or "nothing above the gate".
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Loudness {
    /// Integrated, LUFS.
    pub integrated_lufs: Option<f64>,
    /// Loudness range, LU.
    pub range_lu: Option<f64>,
    /// Highest true peak of any channel, dBTP.
    pub true_peak_dbtp: Option<f64>,
    /// Highest momentary (400 ms) loudness, LUFS.
    pub momentary_lufs: Option<f64>,
    /// Highest short-term (3 s) loudness, LUFS.
    pub short_term_lufs: Option<f64>,
}

/// A progressive encoder onto something that can be written and patched at its start.
pub trait Encoder {
    /// Takes one block: one slice per channel, all equally long, any length.
    fn write(&mut self, planar: &[&[f32]]) -> Result<(), AudioError>;

    /// Writes what only the end knows (sizes, checksums, markers) and flushes. Nothing may be written after.
    fn finish(&mut self, markers: &[Marker], loudness: &Loudness) -> Result<(), AudioError>;
}
