//! The room as it sounds now, from capture's socket.
//!
//! Lives here: a listener's stream, a sixth of a second behind the microphones at most. Missing blocks become silence of
//! the same length once the next block proves how long they are; nothing is stretched, and where nothing arrives nothing
//! is said. Does not live here: what was written; that is `stream`.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::ListenError;
use super::encoding::{Encoding, StreamFormat};
use crate::audio::mix::Mixer;
use crate::audio::{AudioError, FileInfo};
use crate::capture::socket::client::Listener;
use crate::capture::take::DataDir;
use crate::domain::Channels;

/// Packets of a page or of the longest fragment. Blocks come every 50 ms; fragments follow them and have two or three.
const OGG_PACKETS: usize = 5;
const MP4_PACKETS: usize = 3;
/// Frames missing for longer than this end the stream: nobody wants to hear minutes of silence before the room.
const SILENCE_SECONDS_MAX: u64 = 5;
/// Capture says every second that nothing arrives; one that says nothing for this long is gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// A live stream. Dropping it ends the listening.
pub struct Live {
    listener: Listener,
    line: Line,
}

impl Live {
    /// Listens to channels of the capture on a data folder: one is mono, two are stereo, more are mixed. `now` is written
    /// into the stream's head.
    ///
    /// # Errors
    /// No capture runs, it has no audio or no such channel, or eight are listening already.
    pub fn open(data: &DataDir, channels: Channels, format: StreamFormat, now: Timestamp) -> Result<Self, ListenError> {
        let listener = Listener::open(data, channels, PATIENCE)?;
        let line = Line::new(listener.rate(), listener.channels(), format, now)?;
        Ok(Self { listener, line })
    }

    /// Waits for the next bytes. Empty: no audio arrives, or too little yet; whoever sends can see whether someone still
    /// listens. None: the source is gone or another; open anew.
    ///
    /// # Errors
    /// The talk with capture broke off.
    pub fn next_bytes(&mut self) -> Result<Option<Vec<u8>>, ListenError> {
        if let Some(head) = self.line.head.take() {
            return Ok(Some(head));
        }
        let mut audio = std::mem::take(&mut self.line.audio);
        let heard = self.listener.next(&mut audio);
        self.line.audio = audio;
        match heard.map_err(AudioError::Io)? {
            Some(first) => self.line.hear(first),
            None => Ok(None),
        }
    }
}

/// Interleaved blocks in, bytes out.
pub(super) struct Line {
    channels: usize,
    rate: u32,
    /// Stream frame that comes next.
    expected: Option<u64>,
    /// What stands before any audio.
    pub(super) head: Option<Vec<u8>>,
    /// The block just heard, interleaved.
    pub(super) audio: Vec<f32>,
    planar: Vec<Vec<f32>>,
    mixed: Vec<Vec<f32>>,
    mixer: Mixer,
    encoding: Encoding,
}

impl Line {
    pub(super) fn new(rate: u32, numbers: &[u16], format: StreamFormat, now: Timestamp) -> Result<Self, ListenError> {
        let channels = numbers.len();
        let mixer = Mixer::new(rate, (0..channels).collect());
        let labels = match numbers {
            [_] | [_, _] => numbers.iter().map(|number| format!("Channel {number}")).collect(),
            _ => vec!["Mix".to_owned()],
        };
        let info = FileInfo {
            title: "Live".into(),
            take_id: String::new(),
            originator: "rakkr".into(),
            started: now.to_zoned(TimeZone::UTC),
            rate,
            channels: labels,
            part: None,
        };
        let packets = match format {
            StreamFormat::Ogg => OGG_PACKETS,
            StreamFormat::Mp4 => MP4_PACKETS,
        };
        let mut encoding = Encoding::open(format, &info, packets)?;
        let head = Some(encoding.take()?);
        let (planar, mixed) = (vec![Vec::new(); channels], Vec::new());
        Ok(Self { channels, rate, expected: None, head, audio: Vec::new(), planar, mixed, mixer, encoding })
    }

    /// Takes the block in `audio`, which begins at stream frame `first`.
    pub(super) fn hear(&mut self, first: u64) -> Result<Option<Vec<u8>>, ListenError> {
        let frames = self.audio.len() / self.channels.max(1);
        if frames == 0 {
            return Ok(Some(Vec::new()));
        }
        let missing = first.saturating_sub(self.expected.unwrap_or(first));
        if missing > SILENCE_SECONDS_MAX * u64::from(self.rate) {
            return Ok(None);
        }
        self.expected = Some(first + frames as u64);
        for channel in &mut self.planar {
            channel.clear();
            channel.resize(missing as usize, 0.0);
        }
        for (index, channel) in self.planar.iter_mut().enumerate() {
            channel.extend(self.audio.iter().skip(index).step_by(self.channels));
        }
        let planar: Vec<&[f32]> = self.planar.iter().map(Vec::as_slice).collect();
        self.mixer.mix(&planar, &mut self.mixed);
        self.encoding.write(&self.mixed)?;
        self.encoding.take().map(Some)
    }
}
