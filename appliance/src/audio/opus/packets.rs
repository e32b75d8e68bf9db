//! Samples to Opus packets of 20 ms: what every container of Opus begins with.
//!
//! Lives here: planar `f32` to a rate libopus takes, the coder, and what a container must know of it (delay, channel
//! mapping). Does not live here: Ogg (`pages`), MP4 (`audio/fmp4.rs`). NaN becomes 0 and samples beyond full scale are
//! clamped. Memory is constant.

use opus::{Application, Bitrate, MSEncoder};

use super::{OPUS_RATE, OpusSpec};
use crate::audio::AudioError;
use crate::audio::flac::frames_of;
use crate::audio::resample::Resampler;

/// 20 ms at 48 kHz.
pub const PACKET_SAMPLES: u64 = 960;
/// Channel counts are one byte in OpusHead, and 255 means "no stream" in its mapping.
const CHANNELS_MAX: usize = 255;
/// Frames that pass through at a time, so that a huge block needs no huge copy.
const STEP_FRAMES: usize = 4096;
/// Largest 20 ms packet of one stream (RFC 6716 section 3.4) and its length field.
const STREAM_BYTES_MAX: usize = 1275 + 2;

/// Who takes a packet.
type To<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), AudioError>;

/// Codes audio of any rate into packets, progressively: constrained VBR, no more delay than libopus' 6.5 ms and, for rates
/// that are not of the 48 kHz family, the resampler's chunk of 25 ms.
///
/// One and two channels are coupled as players expect; three and more are discrete, each coded alone.
pub struct PacketEncoder {
    resampler: Option<Resampler>,
    channels: usize,
    rate: u32,
    /// Frames taken, at `rate`.
    frames: u64,
    /// Interleaved.
    step: Vec<f32>,
    coder: Coder,
    mapping: Mapping,
}

impl PacketEncoder {
    /// For audio of `rate` frames per second.
    ///
    /// # Errors
    /// `Unsupported` for no channels or more than 255 and for rates outside 8 to 384 kHz.
    pub fn new(rate: u32, channels: usize, spec: OpusSpec) -> Result<Self, AudioError> {
        if channels == 0 || channels > CHANNELS_MAX {
            return Err(AudioError::Unsupported(format!(
                "Opus holds 1 to {CHANNELS_MAX} channels, not {channels}: split the channels over files"
            )));
        }
        let resampler = match rate {
            8_000 | 12_000 | 16_000 | 24_000 | OPUS_RATE => None,
            8_001..=384_000 => Some(Resampler::new(rate, channels)?),
            _ => return Err(AudioError::Unsupported(format!("Opus from {rate} Hz: choose a rate of 8 to 384 kHz"))),
        };
        let coder_rate = if resampler.is_some() { OPUS_RATE } else { rate };
        let mapping = Mapping::of(channels as u8);
        let coder = Coder::new(coder_rate, &mapping, spec)?;
        let step = Vec::with_capacity(STEP_FRAMES * channels);
        Ok(Self { resampler, channels, rate, frames: 0, step, coder, mapping })
    }

    /// Samples at 48 kHz that a decoder drops at the start.
    pub fn pre_skip(&self) -> u16 {
        self.coder.pre_skip
    }

    /// Which stream carries which channel.
    pub(crate) fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Frames per second of what is put in.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Refuses a block of another number of channels or of unequal lengths.
    pub(super) fn check(&self, planar: &[&[f32]]) -> Result<(), AudioError> {
        frames_of(planar, self.channels).map(drop)
    }

    /// Takes one block, one slice per channel, and hands out the packets it completes.
    ///
    /// # Errors
    /// The taker's or the coder's; `Format` if the block has another number of channels or unequal lengths.
    pub fn push(&mut self, planar: &[&[f32]], to: To) -> Result<(), AudioError> {
        let frames = frames_of(planar, self.channels)?;
        for from in (0..frames).step_by(STEP_FRAMES) {
            let count = STEP_FRAMES.min(frames - from);
            self.step.resize(count * self.channels, 0.0);
            for (index, channel) in planar.iter().enumerate() {
                let places = self.step[index..].iter_mut().step_by(self.channels);
                for (place, sample) in places.zip(&channel[from..from + count]) {
                    *place = sanitise(*sample);
                }
            }
            self.frames += count as u64;
            match &mut self.resampler {
                Some(resampler) => resampler.push(&self.step, |audio| self.coder.push(audio, &mut *to))?,
                None => self.coder.push(&self.step, &mut *to)?,
            }
        }
        Ok(())
    }

    /// Hands out the rest, at least one packet. Returns where the audio ends, in samples at 48 kHz from the first packet's
    /// beginning: what the last packet has beyond it is padding.
    ///
    /// # Errors
    /// The taker's or the coder's.
    pub fn finish(&mut self, to: To) -> Result<u64, AudioError> {
        let length = length_at_48k(self.frames, self.rate);
        if let Some(resampler) = &mut self.resampler {
            resampler.finish(length, |audio| self.coder.push(audio, &mut *to))?;
        }
        let end = length + u64::from(self.coder.pre_skip);
        // The audio put in ends before `end`, so its last packet is still to be coded.
        while self.coder.packets * PACKET_SAMPLES < end {
            self.coder.code(&mut *to)?;
        }
        Ok(end)
    }
}

/// libopus and the packet being filled.
struct Coder {
    coder: MSEncoder,
    /// One packet's audio, interleaved; the first `filled` values are audio.
    audio: Vec<f32>,
    filled: usize,
    packet: Vec<u8>,
    /// Packets coded.
    packets: u64,
    pre_skip: u16,
}

impl Coder {
    fn new(rate: u32, mapping: &Mapping, spec: OpusSpec) -> Result<Self, AudioError> {
        let channels = mapping.channels.len();
        let mut coder = MSEncoder::new(rate, mapping.streams, mapping.coupled, &mapping.channels, Application::Audio)
            .map_err(from_coder)?;
        coder.set_bitrate(Bitrate::Bits(spec.bitrate(channels) as i32)).map_err(from_coder)?;
        coder.set_complexity(i32::from(spec.complexity.min(10))).map_err(from_coder)?;
        let lookahead = coder.get_lookahead().map_err(from_coder)?;
        let pre_skip = u32::try_from(lookahead).unwrap_or(0) * (OPUS_RATE / rate);
        let pre_skip = u16::try_from(pre_skip).map_err(|_| AudioError::Format(format!("Opus delay of {pre_skip}")))?;
        let audio = vec![0.0; rate as usize / 50 * channels];
        let packet = vec![0; usize::from(mapping.streams) * STREAM_BYTES_MAX];
        Ok(Self { coder, audio, filled: 0, packet, packets: 0, pre_skip })
    }

    /// Takes interleaved audio, any number of frames.
    fn push(&mut self, audio: &[f32], to: To) -> Result<(), AudioError> {
        let mut rest = audio;
        while !rest.is_empty() {
            let count = rest.len().min(self.audio.len() - self.filled);
            let (now, later) = rest.split_at(count);
            self.audio[self.filled..self.filled + count].copy_from_slice(now);
            self.filled += count;
            rest = later;
            if self.filled == self.audio.len() {
                self.code(&mut *to)?;
            }
        }
        Ok(())
    }

    /// Codes one packet, silent where it is not filled.
    fn code(&mut self, to: To) -> Result<(), AudioError> {
        self.audio[self.filled..].fill(0.0);
        self.filled = 0;
        let len = self.coder.encode_float(&self.audio, &mut self.packet).map_err(from_coder)?;
        self.packets += 1;
        to(&self.packet[..len])
    }
}

/// Which stream carries which channel (RFC 7845 section 5.1.1).
#[derive(Debug, Clone)]
pub(crate) struct Mapping {
    pub(crate) family: u8,
    pub(crate) streams: u8,
    pub(crate) coupled: u8,
    pub(crate) channels: Vec<u8>,
}

impl Mapping {
    fn of(channels: u8) -> Self {
        let (family, streams, coupled) = match channels {
            1 => (0, 1, 0),
            2 => (0, 1, 1),
            _ => (255, channels, 0),
        };
        Self { family, streams, coupled, channels: (0..channels).collect() }
    }
}

/// Returns the length of `frames` at `rate` in samples at 48 kHz, rounded to the nearest.
pub(super) fn length_at_48k(frames: u64, rate: u32) -> u64 {
    let rate = u128::from(rate.max(1));
    let length = (u128::from(frames) * u128::from(OPUS_RATE) + rate / 2) / rate;
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// One infinite sample would poison the resampler's and the coder's memory for good.
fn sanitise(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-1.0, 1.0) }
}

fn from_coder(error: opus::Error) -> AudioError {
    AudioError::Format(format!("Opus coder: {error}"))
}
