//! One take on its way to disk: its log, its open segment, and what happens when the disk refuses.
//!
//! The timeline comes in from the engine and stays true here: short gaps are silence inside the segment, long ones, pauses
//! and disk trouble end it, and the next segment begins at the frame where audio goes on. When the disk is full the take is
//! cut at its last whole second, closed properly, and goes on in a new segment when there is room.

mod segment;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use self::segment::{OpenSegment, cause_of, channel_slices, format_of, gap_label, into_io, room};
use super::resume_log;
use crate::audio::facts::Hop;
use crate::audio::wav::{MARKERS_LIMIT, WavSpec, WavWriter};
use crate::audio::{Encoder, FileInfo, Marker, MarkerKind, Part};
use crate::capture::block::Block;
use crate::capture::take::folder::TakeFolder;
use crate::capture::take::log::LogWriter;
use crate::capture::tape::measure::SegmentMeter;
use crate::domain::take::{CloseReason, Opened, SegmentClosed, SegmentOpened};
use crate::domain::{Fact, Gap, GapCause};
use crate::sys::{clock, files};

/// Gaps up to this long are silence inside the segment; longer ones end it, so that a lost hour does not cost a gigabyte.
pub const FILLED_GAP_SECONDS: u64 = 2;
/// Facts kept in memory while the disk takes none. Beyond it marks and single channels' gaps are lost, and that is told;
/// what the timeline is made of is always kept, it is a few facts for each segment.
const PENDING_FACTS_MAX: usize = 4_096;
/// Frames of silence written at once into a filled gap.
const SILENCE_FRAMES: usize = 4_096;

/// Where a frame lies: in the take and on every clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// The take's frame.
    pub frame: u64,
    /// Its wall time.
    pub wall: Timestamp,
    /// Its monotonic time, microseconds.
    pub mono_us: u64,
    /// JACK's counter there.
    pub jack_frame: u32,
}

/// Why nothing is written, and from which frame.
struct Starved {
    from: u64,
    cause: GapCause,
    has_room: bool,
}

/// One take being written.
pub struct Reel {
    folder: TakeFolder,
    opened: Opened,
    boot_id: String,
    log: Option<LogWriter>,
    pending: VecDeque<Fact>,
    segment: Option<OpenSegment>,
    /// Segments that ended and that the disk did not let be completed.
    unfinished: Vec<OpenSegment>,
    /// Files were made whose names are not durable yet.
    has_new_names: bool,
    next_number: u32,
    /// The take's frame after the last one written or known to be missing.
    reached: u64,
    starved: Option<Starved>,
    finished: Vec<String>,
    hashes_due: usize,
    is_paused: bool,
    is_closed: bool,
    is_dirty: bool,
    error: Option<String>,
    /// What a channel that is not in a block reads as, and what fills a gap.
    silence: Vec<f32>,
}

impl Reel {
    /// Begins a new take. If its folder cannot be made the reel starves and tries again each second.
    pub fn begin(folder: TakeFolder, opened: Opened) -> Self {
        let mut reel = Self::new(folder, opened.clone(), None, 1, 0);
        reel.pending.push_back(Fact::Opened(opened));
        if let Err(error) = reel.create() {
            reel.fail("cannot be begun", &error, 0);
        }
        reel
    }

    /// Goes on with a take whose log was made whole by recovery.
    ///
    /// # Errors
    /// A sentence: its log cannot be read or written.
    pub fn adopt(folder: TakeFolder) -> Result<Self, String> {
        let (log, writer) = resume_log(&folder.log())?;
        let fold = log.fold(&folder.log()).map_err(|error| error.to_string())?;
        let info = fold.info(true);
        let number = u32::try_from(info.segments.len()).unwrap_or(u32::MAX) + 1;
        let unhashed = info.segments.iter().filter(|s| s.sha256.is_none() && !s.is_open && s.frames > 0);
        let finished: Vec<String> = unhashed.map(|s| s.file.clone()).collect();
        let mut reel = Self::new(folder, fold.opened().clone(), Some(writer), number, info.frames);
        reel.is_paused = fold.paused_from().is_some();
        reel.hashes_due = finished.len();
        reel.finished = finished;
        Ok(reel)
    }

    fn new(folder: TakeFolder, opened: Opened, log: Option<LogWriter>, next_number: u32, reached: u64) -> Self {
        Self {
            folder,
            opened,
            boot_id: clock::boot_id(),
            log,
            pending: VecDeque::new(),
            segment: None,
            unfinished: Vec::new(),
            has_new_names: false,
            next_number,
            reached,
            starved: None,
            finished: Vec::new(),
            hashes_due: 0,
            is_paused: false,
            is_closed: false,
            is_dirty: true,
            error: None,
            silence: Vec::new(),
        }
    }

    /// Writes frames of a block. They follow what came before, or a gap or pause that was told.
    pub fn audio(&mut self, position: Position, block: &Block, from: usize, frames: usize) {
        if !self.may_write(position.frame) {
            self.reached = position.frame + frames as u64;
            return;
        }
        if self.segment.as_ref().is_some_and(|segment| segment.end() != position.frame) {
            // Frames are missing that nobody told of: they must not shift those that follow.
            self.end_segment();
        }
        if self.silence.len() < frames {
            self.silence.resize(frames, 0.0);
        }
        let mut done = 0;
        while done < frames {
            let frame = position.frame + done as u64;
            if self.segment.is_none()
                && let Err(error) = self.begin_segment(self.moved(position, done as u64))
            {
                self.fail("cannot begin a segment", &error, frame);
                break;
            }
            let n = (frames - done).min(usize::try_from(self.room_in_segment(frame)).unwrap_or(usize::MAX));
            if n == 0 {
                self.end_segment();
                continue;
            }
            let channels = channel_slices(&self.opened, block, from + done, &self.silence[..n]);
            let Some(segment) = &mut self.segment else { break };
            if let Err(error) = segment.writer.write(&channels) {
                self.fail("cannot be written", &into_io(error), frame);
                break;
            }
            done += n;
        }
        self.reached = position.frame + frames as u64;
        self.is_dirty = true;
    }

    /// Fifty measured milliseconds.
    pub fn measured(&mut self, hop: &Hop) {
        if let Some(segment) = &mut self.segment {
            segment.meter.add(hop);
        }
    }

    /// Frames are missing on all channels.
    pub fn gap(&mut self, gap: Gap) {
        self.reached = self.reached.max(gap.first_frame.saturating_add(gap.frames));
        if self.starved.is_some() {
            return; // The gap that the disk made covers this one.
        }
        let is_short = gap.frames <= FILLED_GAP_SECONDS * u64::from(self.opened.sample_rate);
        let is_filled = is_short && self.fill(gap.frames);
        if is_filled {
            if let Some(segment) = &mut self.segment {
                segment.meter.gap();
            }
        } else {
            self.end_segment();
        }
        self.note(Fact::Gap(gap));
    }

    /// Anything else that is true from here on.
    pub fn note(&mut self, fact: Fact) {
        match &fact {
            Fact::Mark(mark) => self.mark(mark.frame, 0, &mark.label, MarkerKind::Mark),
            Fact::Gap(gap) => {
                let label = gap_label(gap);
                self.mark(gap.first_frame, gap.frames, &label, MarkerKind::Gap);
            }
            Fact::Paused { frame, .. } => {
                self.end_segment();
                self.tell_starved(*frame);
            }
            Fact::Resumed { frame, .. } => {
                self.reached = self.reached.max(*frame);
                if let Some(starved) = &mut self.starved {
                    starved.from = starved.from.max(*frame);
                }
            }
            _ => {}
        }
        self.keep(fact);
        self.write_pending();
    }

    /// Ends the take at `frames`.
    pub fn close(&mut self, frames: u64, reason: CloseReason, at: Timestamp) {
        if self.is_closed {
            return; // A second end would damage the log.
        }
        self.end_segment();
        if !self.is_paused {
            self.tell_starved(frames);
        }
        self.starved = None;
        self.is_closed = true;
        self.note(Fact::Closed { frames, at, reason });
        self.sync();
    }

    /// A segment's hash is known, or could not be had.
    pub fn hashed(&mut self, fact: Option<Fact>) {
        self.hashes_due = self.hashes_due.saturating_sub(1);
        if let Some(fact) = fact {
            self.note(fact);
        }
    }

    /// The recorder ends and the take goes on with the next one: its segment says the truth of itself and can be proven,
    /// the take stays open.
    pub fn rest(&mut self) {
        self.end_segment();
        self.write_pending();
        self.sync();
    }

    /// Segments that were given away and whose hash is not known yet.
    pub fn hashes_due(&self) -> usize {
        self.hashes_due
    }

    /// Once a second: makes durable what was written. A starved take learns whether there is room.
    pub fn tick(&mut self, has_room: bool) {
        if let Some(starved) = &mut self.starved {
            starved.has_room = has_room || starved.cause == GapCause::DiskError;
        }
        if self.log.is_none() && has_room && self.is_closed {
            // No audio comes any more that would try again.
            let _ = self.create();
        }
        for segment in std::mem::take(&mut self.unfinished) {
            self.finish(segment);
        }
        self.write_pending();
        self.sync();
    }

    /// Stops writing at the last whole second, because there is no room or the disk refused.
    pub fn starve(&mut self, cause: GapCause) {
        if self.starved.is_some() {
            return;
        }
        let from = match self.segment.take() {
            Some(segment) => self.cut_at_whole_second(segment),
            None => self.reached,
        };
        self.starved = Some(Starved { from, cause, has_room: false });
        if !self.is_paused {
            self.note(Fact::Missing { first_frame: from, cause });
        }
        let second = from / u64::from(self.opened.sample_rate.max(1));
        self.error = Some(format!(
            "Recording {}: {}. The take is safe up to second {second}. It goes on by itself when the disk takes data again: free space or attach a disk",
            self.opened.id,
            cause.describe(),
        ));
    }

    /// Why nothing is written, if nothing is.
    pub fn starved_by(&self) -> Option<GapCause> {
        self.starved.as_ref().map(|starved| starved.cause)
    }

    /// Segments finished since the last call; each is to be hashed.
    pub fn take_finished(&mut self) -> Vec<String> {
        std::mem::take(&mut self.finished)
    }

    /// What went wrong since the last call.
    pub fn take_error(&mut self) -> Option<String> {
        self.error.take()
    }

    /// Bytes of audio a second.
    pub fn bytes_per_second(&self) -> u64 {
        if self.is_closed { 0 } else { u64::from(self.opened.sample_rate) * self.spec().align() }
    }

    /// Closed, and every fact is in the log.
    pub fn is_settled(&self) -> bool {
        self.is_closed && self.pending.is_empty() && self.unfinished.is_empty() && self.log.is_some()
    }

    /// The log of a settled reel, and how many hashes are still to come.
    pub fn into_log(self) -> Option<(LogWriter, usize)> {
        Some((self.log?, self.hashes_due))
    }
}

/// The parts that touch the disk.
impl Reel {
    fn create(&mut self) -> io::Result<()> {
        std::fs::create_dir_all(self.folder.path())?;
        self.log = Some(LogWriter::create(&self.folder.log())?);
        self.write_pending();
        self.has_new_names = true;
        Ok(())
    }

    /// Whether audio at `frame` can be written; a starved take with room again tells its gap and goes on.
    fn may_write(&mut self, frame: u64) -> bool {
        let Some(starved) = &self.starved else { return true };
        if !starved.has_room {
            return false;
        }
        if self.log.is_none()
            && let Err(error) = self.create()
        {
            self.fail("cannot be begun", &error, frame);
            return false;
        }
        tracing::warn!(take.id = %self.opened.id, "the disk takes data again: recording goes on at frame {frame}");
        self.tell_starved(frame);
        self.starved = None;
        true
    }

    /// Tells what the disk did not take up to `frame`; what comes after is told later.
    fn tell_starved(&mut self, frame: u64) {
        if let Some(starved) = &mut self.starved
            && frame > starved.from
        {
            let gap =
                Gap { first_frame: starved.from, frames: frame - starved.from, cause: starved.cause, channels: None };
            starved.from = frame;
            self.keep(Fact::Gap(gap));
        }
    }

    /// Keeps a fact until the log takes it.
    fn keep(&mut self, fact: Fact) {
        match &fact {
            Fact::Paused { .. } => self.is_paused = true,
            Fact::Resumed { .. } => self.is_paused = false,
            _ => {}
        }
        let is_needed = match &fact {
            Fact::Gap(gap) => gap.channels.is_none(),
            Fact::Mark(_) | Fact::SegmentMeasured { .. } | Fact::ClockStepped { .. } | Fact::Missing { .. } => false,
            Fact::Opened(_)
            | Fact::SegmentOpened(_)
            | Fact::SegmentClosed(_)
            | Fact::SegmentHashed { .. }
            | Fact::Paused { .. }
            | Fact::Resumed { .. }
            | Fact::Planned { .. }
            | Fact::Recovered { .. }
            | Fact::Closed { .. } => true,
        };
        if is_needed || self.pending.len() < PENDING_FACTS_MAX {
            self.pending.push_back(fact);
        } else {
            self.error = Some(format!(
                "the log of recording {} has taken nothing for too long: a mark or a channel's gap is lost. The audio is not",
                self.opened.id
            ));
        }
    }

    fn begin_segment(&mut self, position: Position) -> io::Result<()> {
        let (file, handle) = loop {
            let file = TakeFolder::segment_name(self.next_number);
            let path = self.folder.segment(&file);
            match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                // A name that a crash used before it could be told: recovery has it, we take the next.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.next_number += 1,
                opened => break (file, opened?),
            }
        };
        let writer = WavWriter::open(handle, self.spec(), &self.file_info(position)).map_err(|error| {
            // It was made a moment ago and holds half a header: nobody shall find a file that no log knows.
            let _ = std::fs::remove_file(self.folder.segment(&file));
            into_io(error)
        })?;
        self.next_number += 1;
        let meter = SegmentMeter::new(&self.opened);
        self.segment =
            Some(OpenSegment { file: file.clone(), first_frame: position.frame, writer, markers: Vec::new(), meter });
        self.note(Fact::SegmentOpened(SegmentOpened {
            file,
            first_frame: position.frame,
            at: position.wall,
            mono_us: position.mono_us,
            jack_frame: position.jack_frame,
            boot_id: self.boot_id.clone(),
        }));
        // Its name becomes durable with the next sync: the first audio does not wait for it.
        self.has_new_names = true;
        Ok(())
    }

    fn end_segment(&mut self) {
        let Some(segment) = self.segment.take() else { return };
        self.finish(segment);
    }

    /// Lets a segment tell the truth of itself and tells it in the log.
    fn finish(&mut self, mut segment: OpenSegment) {
        let result = segment
            .writer
            .finish(&segment.markers, &segment.meter.loudness())
            .map_err(into_io)
            .and_then(|()| segment.writer.get_ref().sync_all());
        if let Err(error) = result {
            // As it stands it over-claims and every reader finds all its frames. It is tried again each second.
            self.error = Some(format!("{} of recording {} cannot be completed: {error}", segment.file, self.opened.id));
            self.unfinished.push(segment);
            return;
        }
        let bytes = segment.writer.get_ref().metadata().map(|meta| meta.len()).unwrap_or(0);
        let frames = segment.writer.frames();
        self.note(Fact::SegmentClosed(SegmentClosed { file: segment.file.clone(), frames, bytes }));
        if let Some(channels) = segment.meter.measured() {
            self.note(Fact::SegmentMeasured { file: segment.file.clone(), channels });
        }
        self.hashes_due += 1;
        self.finished.push(segment.file);
    }

    /// Ends a segment that the disk refuses to continue at the take's last whole second; returns that frame.
    fn cut_at_whole_second(&mut self, mut segment: OpenSegment) -> u64 {
        let rate = u64::from(self.opened.sample_rate.max(1));
        let whole = (segment.end() / rate * rate).max(segment.first_frame);
        let frames = whole - segment.first_frame;
        let bytes = segment.writer.data_offset() + frames * self.spec().align();
        if let Err(error) = segment.writer.get_ref().set_len(bytes) {
            self.error = Some(format!("{} cannot be cut: {error}", segment.file));
            let end = segment.end();
            self.finish(segment);
            return end;
        }
        segment.writer.truncate_to(frames);
        segment.markers.retain(|marker| marker.frame <= frames);
        self.finish(segment);
        whole
    }

    fn sync(&mut self) {
        if !self.is_dirty {
            return;
        }
        let audio = self.segment.as_ref().map_or(Ok(()), |segment| segment.writer.get_ref().sync_data());
        let log = self.log.as_ref().map_or(Ok(()), LogWriter::sync);
        match audio.and(log).and_then(|()| self.sync_names()) {
            Ok(()) => self.is_dirty = false,
            Err(error) => self.fail("cannot be synced", &error, self.reached),
        }
    }

    /// Makes new files findable after a power cut.
    fn sync_names(&mut self) -> io::Result<()> {
        if self.has_new_names {
            self.folder.path().parent().map_or(Ok(()), files::sync_folder)?;
            files::sync_folder(self.folder.path())?;
            self.has_new_names = false;
        }
        Ok(())
    }

    fn write_pending(&mut self) {
        let Some(log) = &mut self.log else { return };
        while let Some(fact) = self.pending.front() {
            if let Err(error) = log.append(fact) {
                self.error = Some(format!("the log of recording {} cannot be written: {error}", self.opened.id));
                return;
            }
            self.pending.pop_front();
            self.is_dirty = true;
        }
    }

    fn fail(&mut self, what: &str, error: &io::Error, frame: u64) {
        tracing::error!(take.id = %self.opened.id, "recording {} {what} at frame {frame}: {error}", self.opened.id);
        self.starve(cause_of(error));
    }

    fn fill(&mut self, frames: u64) -> bool {
        let Some(segment) = &mut self.segment else { return false };
        let room = room(&self.opened, segment, segment.end());
        if frames > room {
            return false;
        }
        let end = segment.end() + frames;
        self.silence.resize(self.silence.len().max(SILENCE_FRAMES), 0.0);
        while segment.end() < end {
            let n = (end - segment.end()).min(SILENCE_FRAMES as u64) as usize;
            let channels: Vec<&[f32]> = self.opened.channels.iter().map(|_| &self.silence[..n]).collect();
            if let Err(error) = segment.writer.write(&channels) {
                let frame = segment.end();
                self.fail("cannot be written", &into_io(error), frame);
                return false;
            }
        }
        true
    }

    fn mark(&mut self, frame: u64, frames: u64, label: &str, kind: MarkerKind) {
        if let Some(segment) = &mut self.segment
            && frame.saturating_add(frames) >= segment.first_frame
            && segment.markers.len() < MARKERS_LIMIT
        {
            // Of a span that began in an earlier segment, the part in this one.
            let frames = frames - segment.first_frame.saturating_sub(frame).min(frames);
            let frame = frame.saturating_sub(segment.first_frame);
            segment.markers.push(Marker { frame, frames, label: label.to_owned(), kind });
        }
    }

    fn room_in_segment(&self, frame: u64) -> u64 {
        self.segment.as_ref().map_or(0, |segment| room(&self.opened, segment, frame))
    }

    fn moved(&self, position: Position, frames: u64) -> Position {
        let us = frames * 1_000_000 / u64::from(self.opened.sample_rate.max(1));
        Position {
            frame: position.frame + frames,
            wall: position.wall.saturating_add(jiff::SignedDuration::from_micros(us as i64)).unwrap_or(position.wall),
            mono_us: position.mono_us + us,
            jack_frame: position.jack_frame.wrapping_add(frames as u32),
        }
    }

    fn spec(&self) -> WavSpec {
        let format = format_of(&self.opened);
        let channels = u16::try_from(self.opened.channels.len()).unwrap_or(u16::MAX);
        WavSpec { rate: self.opened.sample_rate, channels, format }
    }

    fn file_info(&self, position: Position) -> FileInfo {
        let zone = TimeZone::get(&self.opened.time_zone).unwrap_or(TimeZone::UTC);
        FileInfo {
            title: self.opened.title.clone(),
            take_id: self.opened.id.to_string(),
            originator: self.opened.host.clone(),
            started: position.wall.to_zoned(zone),
            rate: self.opened.sample_rate,
            channels: self.opened.channels.iter().map(|channel| channel.label.clone()).collect(),
            part: Some(Part { number: self.next_number, first_frame: position.frame }),
        }
    }
}
