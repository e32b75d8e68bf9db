//! FLAC files: lossless, up to 8 channels, playable while they grow.
//!
//! Lives here: planar `f32` to whole samples, blocks of 4096, the running MD5, and what is patched at close. The parts:
//! `header` (metadata blocks), `seek` (seek table), `comments` (tags, shared with Opus). The coding of one frame is the
//! `flac-codec` crate's. Does not live here: decoding. Memory is constant whatever the length.
//!
//! While a file is open its total is 0, "unknown": a total that lags behind makes readers stop early without a word.

pub(crate) mod comments;
mod header;
mod seek;
#[cfg(test)]
mod tests;

use std::io::{self, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flac_codec::encode::{FlacStreamWriter, Options};

use self::header::{BLOCK_SAMPLES, StreamInfo};
use self::seek::SeekTable;
use super::{AudioError, Encoder, FileInfo, Loudness, Marker};

/// The format's limit.
const CHANNELS_MAX: usize = 8;

/// How a FLAC file is to be coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlacSpec {
    /// Bits per sample: 16 or 24.
    pub bits: u8,
    /// Time against size; the audio is the same.
    pub compression: Compression,
    /// Frames the file will have, if known: sets how many seek points are reserved. `None` reserves for 4 h. A guess
    /// that is too small only makes the points coarser.
    pub expected_frames: Option<u64>,
}

impl Default for FlacSpec {
    fn default() -> Self {
        Self { bits: 24, compression: Compression::Normal, expected_frames: None }
    }
}

/// How much work goes into a FLAC frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Fixed predictors only: 2.6 times as fast, a tenth to a fifth larger (measured on 24-bit speech).
    Fast,
    /// Linear prediction of order 8 and every stereo form tried, as `flac -5` does.
    #[default]
    Normal,
}

/// Writes a FLAC file progressively.
///
/// Samples are converted as `round(x * 2^(bits - 1))`, clamped; NaN becomes 0. Markers become chapter tags
/// (`CHAPTER001`, …) in the room reserved at open; those that do not fit are counted in `CHAPTERS_LEFT_OUT`.
///
/// FLAC means loudspeakers by channels 3 to 8 ("centre", "LFE", …). The tag that would say otherwise (mask 0, RFC 9639
/// section 8.6.2) is not written: `flac` 1.4 ignores it and ffmpeg 5.1 warns. The `CHANNELn_NAME` tags tell the truth.
pub struct FlacWriter<W: Write + Seek> {
    file: W,
    /// Where in `file` the stream begins.
    start: u64,
    state: State,
    info: StreamInfo,
    seek: SeekTable,
    tags: Vec<String>,
    comment_room: usize,
    coder: FlacStreamWriter<FrameSink>,
    sink: FrameSink,
    /// One block, interleaved; `filled` frames of it are audio.
    block: Vec<i32>,
    filled: usize,
    block_bytes: Vec<u8>,
    /// Bytes of frames written.
    frame_bytes: u64,
    md5: md5::Context,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// A write failed, so where the file ends is not known. Its total stays 0 and its whole frames play.
    Broken,
    Finished,
}

impl<W: Write + Seek> FlacWriter<W> {
    /// Writes the metadata and returns the writer. The file begins where `file` stands.
    ///
    /// Errors: `Unsupported` for more than 8 channels or none, for bits other than 16 and 24, and for a rate that a
    /// frame header cannot state; `Io`.
    pub fn open(mut file: W, spec: FlacSpec, info: &FileInfo) -> Result<Self, AudioError> {
        check(spec, info)?;
        let channels = info.channels.len();
        let stream = StreamInfo { rate: info.rate, channels: channels as u8, bits: spec.bits, ..StreamInfo::default() };
        let tags = comments::describe(info);
        let comment_room = header::comment_room(&tags);
        let seek = SeekTable::new(info.rate, spec.expected_frames);
        let start = file.stream_position()?;
        file.write_all(&header::metadata(stream, &seek, &tags, comment_room))?;
        file.flush()?;
        let sink = FrameSink::default();
        Ok(Self {
            file,
            start,
            state: State::Open,
            info: stream,
            seek,
            tags,
            comment_room,
            coder: FlacStreamWriter::new(sink.clone(), options(spec.compression)),
            sink,
            block: vec![0; usize::from(BLOCK_SAMPLES) * channels],
            filled: 0,
            block_bytes: Vec::new(),
            frame_bytes: 0,
            md5: md5::Context::new(),
        })
    }

    /// Returns the underlying file, as it is: call `finish` before.
    pub fn into_inner(self) -> W {
        self.file
    }

    fn check_open(&self) -> Result<(), AudioError> {
        match self.state {
            State::Open => Ok(()),
            State::Broken => Err(AudioError::Format("an earlier write to this FLAC file failed".to_owned())),
            State::Finished => Err(AudioError::Format("this FLAC file is finished".to_owned())),
        }
    }

    /// Quantises `planar[..][from..from + count]` into the block.
    fn fill(&mut self, planar: &[&[f32]], from: usize, count: usize) {
        let channels = planar.len();
        let scale = f64::from(1u32 << (self.info.bits - 1));
        for (index, channel) in planar.iter().enumerate() {
            let places = self.block[self.filled * channels + index..].iter_mut().step_by(channels);
            for (place, sample) in places.zip(&channel[from..from + count]) {
                *place = quantise(*sample, scale);
            }
        }
        self.filled += count;
    }

    /// Codes and writes the block as far as it is filled.
    fn write_block(&mut self) -> Result<(), AudioError> {
        let samples = &self.block[..self.filled * usize::from(self.info.channels)];
        if samples.is_empty() {
            return Ok(());
        }
        self.block_bytes.clear();
        for sample in samples {
            self.block_bytes.extend_from_slice(&sample.to_le_bytes()[..usize::from(self.info.bits / 8)]);
        }
        self.md5.consume(&self.block_bytes);
        self.coder.write(self.info.rate, self.info.channels, u32::from(self.info.bits), samples).map_err(from_coder)?;

        let mut frame = self.sink.bytes();
        self.file.write_all(&frame)?;
        let bytes = frame.len() as u32;
        frame.clear();
        drop(frame);

        self.seek.note(self.info.samples, self.frame_bytes, self.filled as u16);
        self.frame_bytes += u64::from(bytes);
        self.info.samples += self.filled as u64;
        self.info.frame_bytes_max = self.info.frame_bytes_max.max(bytes);
        let smallest = if self.info.frame_bytes_min == 0 { bytes } else { self.info.frame_bytes_min };
        self.info.frame_bytes_min = smallest.min(bytes);
        self.filled = 0;
        Ok(())
    }

    fn write_blocks(&mut self, planar: &[&[f32]], frames: usize) -> Result<(), AudioError> {
        let mut done = 0;
        while done < frames {
            let count = (frames - done).min(usize::from(BLOCK_SAMPLES) - self.filled);
            self.fill(planar, done, count);
            done += count;
            if self.filled == usize::from(BLOCK_SAMPLES) {
                self.write_block()?;
            }
        }
        Ok(())
    }

    /// Rewrites the metadata in place; its length is the one written at open.
    fn close(&mut self, markers: &[Marker], loudness: &Loudness) -> Result<(), AudioError> {
        self.write_block()?;
        self.info.md5 = self.md5.clone().finalize().0;
        let room = header::comment_bytes_max(self.comment_room);
        let tags = closing_tags(&self.tags, markers, loudness, self.info.rate, room);
        let metadata = header::metadata(self.info, &self.seek, &tags, self.comment_room);
        self.file.seek(SeekFrom::Start(self.start))?;
        self.file.write_all(&metadata)?;
        self.file.seek(SeekFrom::Start(self.start + metadata.len() as u64 + self.frame_bytes))?;
        self.file.flush()?;
        Ok(())
    }
}

impl<W: Write + Seek> Encoder for FlacWriter<W> {
    fn write(&mut self, planar: &[&[f32]]) -> Result<(), AudioError> {
        self.check_open()?;
        let frames = frames_of(planar, usize::from(self.info.channels))?;
        self.write_blocks(planar, frames).inspect_err(|_| self.state = State::Broken)
    }

    fn finish(&mut self, markers: &[Marker], loudness: &Loudness) -> Result<(), AudioError> {
        self.check_open()?;
        self.state = State::Broken;
        self.close(markers, loudness)?;
        self.state = State::Finished;
        Ok(())
    }
}

/// Returns how many frames a block has, after a look that it has `channels` slices of one length.
pub(crate) fn frames_of(planar: &[&[f32]], channels: usize) -> Result<usize, AudioError> {
    let frames = planar.first().map_or(0, |channel| channel.len());
    if planar.len() != channels || planar.iter().any(|channel| channel.len() != frames) {
        let lengths: Vec<usize> = planar.iter().take(8).map(|channel| channel.len()).collect();
        let got = planar.len();
        return Err(AudioError::Format(format!("expected {channels} equally long channels, got {got}: {lengths:?} …")));
    }
    Ok(frames)
}

fn check(spec: FlacSpec, info: &FileInfo) -> Result<(), AudioError> {
    let channels = info.channels.len();
    if channels == 0 || channels > CHANNELS_MAX {
        return Err(AudioError::Unsupported(format!(
            "FLAC holds 1 to {CHANNELS_MAX} channels, not {channels}: record in WAV, or split the channels over files"
        )));
    }
    if spec.bits != 16 && spec.bits != 24 {
        return Err(AudioError::Unsupported(format!("FLAC with {} bits: choose 16 or 24", spec.bits)));
    }
    // RFC 9639 section 9.1.2: a frame header holds Hz in 16 bits or tens of Hz in 16 bits. A rate that only STREAMINFO
    // could tell would leave the streamable subset. The coder does not use either field's largest value.
    let rate = info.rate;
    let can_tell = (1..65_535).contains(&rate) || (rate.is_multiple_of(10) && (1..655_350).contains(&rate));
    if !can_tell {
        return Err(AudioError::Unsupported(format!("FLAC cannot state a rate of {rate} Hz: record in WAV")));
    }
    Ok(())
}

fn options(compression: Compression) -> Options {
    match compression {
        Compression::Fast => Options::default().max_lpc_order(None).unwrap_or_default().fast_channel_correlation(true),
        Compression::Normal => Options::default(),
    }
}

/// Full scale is `scale`; in `f64` adding one half is exact, so that this rounds as `f32::round` does and vectorises.
fn quantise(sample: f32, scale: f64) -> i32 {
    let value = f64::from(sample) * scale;
    // A cast truncates, and makes 0 of NaN.
    (value + 0.5f64.copysign(value)).clamp(-scale, scale - 1.0) as i32
}

/// Returns the tags of the finished file, at most `room` bytes of them.
fn closing_tags(opening: &[String], markers: &[Marker], loudness: &Loudness, rate: u32, room: usize) -> Vec<String> {
    let mut tags = opening.to_vec();
    tags.extend(comments::loudness(loudness));
    let left_out = |count: usize| format!("CHAPTERS_LEFT_OUT={count}");
    let mut size = comments::block_len(&tags) + comments::tag_len(&left_out(usize::MAX));
    let mut kept = 0;
    for pair in comments::chapters(markers, rate) {
        size += pair.iter().map(|tag| comments::tag_len(tag)).sum::<usize>();
        if size > room {
            break;
        }
        tags.extend(pair);
        kept += 1;
    }
    if kept < markers.len() {
        tags.push(left_out(markers.len() - kept));
    }
    tags
}

fn from_coder(error: flac_codec::Error) -> AudioError {
    match error {
        flac_codec::Error::Io(error) => AudioError::Io(error),
        other => AudioError::Format(format!("FLAC coder: {other}")),
    }
}

/// Where the frame coder leaves the bytes of one frame. The coder owns its writer and never gives it back, hence the
/// shared buffer; nobody else ever waits for the lock.
#[derive(Clone, Default)]
struct FrameSink(Arc<Mutex<Vec<u8>>>);

impl FrameSink {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for FrameSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
