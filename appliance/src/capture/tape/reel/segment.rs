//! A segment on its way to disk: how long it may get, what of a block goes into it, what its errors mean.

use std::fs::File;
use std::io;

use crate::audio::pcm::SampleFormat;
use crate::audio::wav::WavWriter;
use crate::audio::{AudioError, Marker};
use crate::capture::block::Block;
use crate::capture::tape::measure::SegmentMeter;
use crate::domain::order::StoredAs;
use crate::domain::take::Opened;
use crate::domain::{Gap, GapCause};

/// No segment grows beyond this, whatever its length in time: every tool opens it.
pub(super) const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// Room for header, cue points and pad in a segment of the greatest size.
const SEGMENT_OVERHEAD_BYTES: u64 = 1 << 20;

/// A segment being written.
pub(super) struct OpenSegment {
    pub file: String,
    pub first_frame: u64,
    pub writer: WavWriter<File>,
    pub markers: Vec<Marker>,
    pub meter: SegmentMeter,
}

impl OpenSegment {
    /// The take's frame after the last one in it.
    pub fn end(&self) -> u64 {
        self.first_frame + self.writer.frames()
    }
}

/// Frames that still fit into the segment when the next one is the take's frame `frame`.
pub(super) fn room(opened: &Opened, segment: &OpenSegment, frame: u64) -> u64 {
    segment_frames_max(opened).saturating_sub(frame.saturating_sub(segment.first_frame))
}

/// The longest segment of a take: as ordered, and never above [`SEGMENT_BYTES_MAX`].
pub(super) fn segment_frames_max(opened: &Opened) -> u64 {
    let align = (opened.channels.len() * format_of(opened).bytes()).max(1) as u64;
    let by_size = (SEGMENT_BYTES_MAX - SEGMENT_OVERHEAD_BYTES) / align;
    opened.segment_frames.min(by_size).max(1)
}

pub(super) fn format_of(opened: &Opened) -> SampleFormat {
    match opened.stored_as {
        StoredAs::Pcm24 => SampleFormat::Pcm24,
        StoredAs::Float32 => SampleFormat::Float32,
    }
}

/// A take's channels out of a block, as long as `silence`; one that the block does not have is silent, and the engine has
/// told that it is gone.
pub(super) fn channel_slices<'a>(opened: &Opened, block: &'a Block, from: usize, silence: &'a [f32]) -> Vec<&'a [f32]> {
    let channel = |number: u16| block.channel(usize::from(number).checked_sub(1)?).get(from..from + silence.len());
    opened.channels.iter().map(|c| channel(c.number).unwrap_or(silence)).collect()
}

/// What a marker of a gap says.
pub(super) fn gap_label(gap: &Gap) -> String {
    let cause = gap.cause.describe();
    let Some(numbers) = &gap.channels else { return format!("Gap: {cause}") };
    format!("Gap on channel {}: {cause}", numbers.iter().map(u16::to_string).collect::<Vec<_>>().join(", "))
}

pub(super) fn cause_of(error: &io::Error) -> GapCause {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => GapCause::DiskFull,
        _ => GapCause::DiskError,
    }
}

pub(super) fn into_io(error: AudioError) -> io::Error {
    match error {
        AudioError::Io(error) => error,
        other => io::Error::other(other.to_string()),
    }
}
