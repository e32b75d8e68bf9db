//! A take as a stream from any second on, coded on the fly.

use jiff::tz::TimeZone;

use super::ListenError;
use super::encoding::{Encoding, StreamFormat};
use crate::audio::FileInfo;
use crate::audio::mix::Mixer;
use crate::capture::take::TakeFolder;
use crate::capture::take::growing::Growing;
use crate::domain::{Channels, TakeInfo};

/// Audio coded by one call, in a fiftieth of a second: a listener hears something after the first, and one who goes away
/// costs no more than one.
const PACKETS_PER_PIECE: u64 = 20;

/// What to hear.
#[derive(Debug, Clone)]
pub struct StreamRequest {
    /// From this second of the take's timeline.
    pub from_seconds: f64,
    /// Which channels, by capture's numbers: one is mono, two are stereo, more are mixed for listening.
    pub channels: Channels,
    /// The container.
    pub format: StreamFormat,
}

/// What a pull gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes to send.
    Bytes(Vec<u8>),
    /// All that is on disk has been given, and the take goes on: ask again in a while.
    Pending,
    /// The take is closed and all of it was given.
    End,
}

/// Pulls a take's audio as bytes of an Opus stream. Memory is constant.
pub struct TakeStream {
    from: Growing,
    mixer: Mixer,
    encoding: Encoding,
    planar: Vec<Vec<f32>>,
    mixed: Vec<Vec<f32>>,
    is_over: bool,
}

impl TakeStream {
    /// Opens a take. `is_recording` says whether a capture runs that may go on with it.
    ///
    /// # Errors
    /// The take cannot be read; it has no such channel; the second lies beyond the end of a closed take.
    pub fn open(folder: &TakeFolder, request: &StreamRequest, is_recording: bool) -> Result<Self, ListenError> {
        let look = Growing::open(folder, is_recording, 0)?;
        let rate = f64::from(look.info().sample_rate);
        let first = (request.from_seconds.max(0.0) * rate).round() as u64;
        if look.is_closed() && first > look.end() {
            return Err(ListenError::Impossible(format!("the recording is {:.3} s long", look.end() as f64 / rate)));
        }
        let from = Growing::open(folder, is_recording, first)?;
        let picked = pick(from.info(), &request.channels)?;
        let info = about(from.info(), &picked);
        let mixer = Mixer::new(from.info().sample_rate, picked);
        let encoding = Encoding::open(request.format, &info, PACKETS_PER_PIECE as usize)?;
        Ok(Self { from, mixer, encoding, planar: Vec::new(), mixed: Vec::new(), is_over: false })
    }

    /// The next bytes, 0.4 s of audio at a time.
    ///
    /// # Errors
    /// The take cannot be read or coded.
    pub fn pull(&mut self, is_recording: bool) -> Result<Piece, ListenError> {
        if self.is_over {
            return Ok(Piece::End);
        }
        let frames = u64::from(self.from.info().sample_rate) * PACKETS_PER_PIECE / 50;
        if self.from.at() >= self.from.end() {
            self.from.look(is_recording)?;
        }
        let count = self.from.read(frames, &mut self.planar)?;
        if count > 0 {
            let planar: Vec<&[f32]> = self.planar.iter().map(Vec::as_slice).collect();
            self.mixer.mix(&planar, &mut self.mixed);
            self.encoding.write(&self.mixed)?;
        } else if self.from.is_closed() {
            self.is_over = true;
            self.encoding.finish()?;
        }
        let bytes = self.encoding.take()?;
        Ok(match (bytes.is_empty(), count > 0) {
            (false, _) => Piece::Bytes(bytes),
            (true, _) if self.is_over => Piece::End,
            // Coded, but no packet is full yet: that is nothing to wait for.
            (true, true) => Piece::Bytes(bytes),
            (true, false) => Piece::Pending,
        })
    }
}

/// Channel numbers to places in the take.
pub(super) fn pick(info: &TakeInfo, wanted: &Channels) -> Result<Vec<usize>, ListenError> {
    let Channels::Numbers(numbers) = wanted else { return Ok((0..info.channels.len()).collect()) };
    let place = |number: &u16| {
        let place = info.channels.iter().position(|channel| channel.number == *number);
        place.ok_or_else(|| ListenError::Impossible(format!("the recording has no channel {number}")))
    };
    numbers.iter().map(place).collect()
}

fn about(info: &TakeInfo, picked: &[usize]) -> FileInfo {
    let label = |index: &usize| info.channels.get(*index).map_or(String::new(), |channel| channel.label.clone());
    let channels = match picked {
        [] | [_, _, _, ..] => vec!["Mix".to_owned()],
        few => few.iter().map(label).collect(),
    };
    FileInfo {
        title: info.title.clone(),
        take_id: info.id.to_string(),
        originator: "rakkr".into(),
        started: info.started_at.to_zoned(TimeZone::UTC),
        rate: info.sample_rate,
        channels,
        part: None,
    }
}
