//! Which facts can be, whatever a log says.
//!
//! A log is text that anyone may have written. What passes here can be added, multiplied by the bytes of a frame and used
//! as a channel's index without a further look; what does not is damage, told with its line.

use super::{Fact, Gap, Opened};
use crate::domain::MAX_CHANNELS;

/// The longest timeline. At 96 kHz these are 93 years; the bytes of as many frames of any take still fit 64 bits.
pub const FRAMES_MAX: u64 = 1 << 48;
/// The most frames per second that any file of a take holds.
pub const RATE_MAX: u32 = 1_536_000;

impl Fact {
    /// Checks what can be checked without knowing the facts before it.
    ///
    /// # Errors
    /// A sentence naming the field.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Opened(opened) => opened.check(),
            Self::Missing { first_frame, .. } => frame("first_frame", *first_frame),
            Self::SegmentOpened(segment) => frame("first_frame", segment.first_frame),
            Self::SegmentClosed(segment) => frame("frames", segment.frames),
            Self::SegmentMeasured { channels, .. } => {
                count(channels.len())?;
                channels.iter().try_for_each(|measured| number(measured.number))
            }
            Self::Gap(gap) => gap.check(),
            Self::Mark(mark) => frame("frame", mark.frame),
            Self::Paused { frame: at, .. } | Self::Resumed { frame: at, .. } | Self::ClockStepped { frame: at, .. } => {
                frame("frame", *at)
            }
            Self::Recovered { frames, .. } | Self::Closed { frames, .. } => frame("frames", *frames),
            // A plan may lie in any future: "until the year 9999" is a way to say "until stopped".
            Self::Planned { .. } | Self::SegmentHashed { .. } => Ok(()),
        }
    }
}

impl Opened {
    fn check(&self) -> Result<(), String> {
        if !(1..=RATE_MAX).contains(&self.sample_rate) {
            return Err(format!("sample_rate is {}, 1 to {RATE_MAX} are possible", self.sample_rate));
        }
        if self.segment_frames == 0 {
            return Err("segment_frames is 0: no segment would ever hold a frame".into());
        }
        if self.channels.is_empty() {
            return Err("channels is empty: a take has at least one".into());
        }
        count(self.channels.len())?;
        self.channels.iter().try_for_each(|channel| number(channel.number))?;
        frame("pre_roll_frames", self.pre_roll_frames)
    }
}

impl Gap {
    fn check(&self) -> Result<(), String> {
        frame("first_frame", self.first_frame)?;
        frame("frames", self.frames)?;
        count(self.channels.as_ref().map_or(0, Vec::len))
    }
}

fn frame(field: &str, value: u64) -> Result<(), String> {
    match value {
        0..=FRAMES_MAX => Ok(()),
        _ => Err(format!("{field} is {value}, no take is longer than {FRAMES_MAX} frames")),
    }
}

fn count(channels: usize) -> Result<(), String> {
    match channels <= usize::from(MAX_CHANNELS) {
        true => Ok(()),
        false => Err(format!("it names {channels} channels, there are at most {MAX_CHANNELS}")),
    }
}

fn number(number: u16) -> Result<(), String> {
    match (1..=MAX_CHANNELS).contains(&number) {
        true => Ok(()),
        false => Err(format!("there is no channel {number}: channels are 1 to {MAX_CHANNELS}")),
    }
}
