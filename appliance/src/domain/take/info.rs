//! What a take's facts add up to.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Fact, Gap, GapCause, Mark, Measured, Opened, Pause, Segment, TakeChannel};
use crate::domain::{Channels, ClockQuality, Order, TakeId, take::CloseReason};

/// What a recording is doing, derived from facts and never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TakeState {
    /// Ordered, not begun.
    Scheduled,
    /// Frames are arriving on disk.
    Recording,
    /// Nothing is kept at present, on purpose.
    Paused,
    /// Ended, its last segment is being completed.
    Finishing,
    /// Closed, and every frame is there.
    Ready,
    /// Frames are missing, or it was left open by a recorder that is not running.
    Incomplete,
    /// Nothing was recorded.
    Failed,
}

/// A take as the world sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TakeInfo {
    /// The recording's id.
    pub id: TakeId,
    /// The order's title.
    pub title: String,
    /// What it is doing.
    pub state: TakeState,
    /// Wall time of frame 0; of a scheduled one, the ordered start.
    pub started_at: Timestamp,
    /// How far `started_at` can be believed.
    pub clock_quality: ClockQuality,
    /// Frames per second.
    pub sample_rate: u32,
    /// Length of the timeline, gaps and pauses included.
    pub frames: u64,
    /// The same in seconds.
    pub duration_seconds: f64,
    /// Planned length; none is "until stopped".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_seconds: Option<f64>,
    /// Frames kept from before the ordered start.
    pub pre_roll_frames: u64,
    /// How much later than ordered it began.
    pub late_seconds: f64,
    /// Channels in file order.
    pub channels: Vec<TakeChannel>,
    /// Files, in order.
    pub segments: Vec<Segment>,
    /// What is missing, in order.
    pub gaps: Vec<Gap>,
    /// Labelled points, in order.
    pub marks: Vec<Mark>,
    /// Spans not kept on purpose.
    pub pauses: Vec<Pause>,
    /// Clock steps: frame and seconds.
    pub clock_steps: Vec<(u64, f64)>,
    /// Signal facts over all complete segments, one entry per channel; empty when not measured.
    pub measured: Vec<Measured>,
    /// Why it ended; none while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<CloseReason>,
}

impl TakeInfo {
    /// A take of which nothing is known but its name and its beginning.
    fn begun(id: TakeId, title: &str, started_at: Timestamp) -> Self {
        Self {
            id,
            title: title.to_owned(),
            state: TakeState::Recording,
            started_at,
            clock_quality: ClockQuality::Guessed,
            sample_rate: 0,
            frames: 0,
            duration_seconds: 0.0,
            planned_seconds: None,
            pre_roll_frames: 0,
            late_seconds: 0.0,
            channels: Vec::new(),
            segments: Vec::new(),
            gaps: Vec::new(),
            marks: Vec::new(),
            pauses: Vec::new(),
            clock_steps: Vec::new(),
            measured: Vec::new(),
            closed: None,
        }
    }

    /// What an order that has not begun looks like.
    pub fn scheduled(order: &Order) -> Self {
        let numbers = if let Channels::Numbers(numbers) = &order.channels { &numbers[..] } else { &[] };
        let channel = |&number: &u16| TakeChannel { number, port: String::new(), label: format!("Channel {number}") };
        Self {
            state: TakeState::Scheduled,
            planned_seconds: order.planned_seconds(),
            channels: numbers.iter().map(channel).collect(),
            ..Self::begun(order.id, &order.title, order.start)
        }
    }
}

/// Adds facts up, one by one.
#[derive(Debug, Clone)]
pub struct Fold {
    opened: Opened,
    info: TakeInfo,
    paused_from: Option<u64>,
    /// Frames are missing from here on, and it is not over.
    missing_from: Option<(u64, GapCause)>,
    /// Per channel: energy (sum of squares over frames) and frames, to merge RMS over segments.
    energy: Vec<(f64, f64)>,
}

impl Fold {
    /// Begins with the take's first fact.
    ///
    /// # Errors
    /// A sentence: no take can begin so.
    pub fn new(opened: Opened) -> Result<Self, String> {
        Fact::Opened(opened.clone()).check()?;
        let info = TakeInfo {
            clock_quality: opened.clock_quality,
            sample_rate: opened.sample_rate,
            pre_roll_frames: opened.pre_roll_frames,
            late_seconds: opened.late_seconds,
            channels: opened.channels.clone(),
            ..TakeInfo::begun(opened.id, &opened.title, opened.started_at)
        };
        let mut fold = Self { opened, info, paused_from: None, missing_from: None, energy: Vec::new() };
        fold.plan(fold.opened.planned_frames);
        Ok(fold)
    }

    /// How the take began.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Adds a fact.
    ///
    /// # Errors
    /// A sentence: the fact cannot follow those before it.
    pub fn add(&mut self, fact: &Fact) -> Result<(), String> {
        fact.check()?;
        if self.info.closed.is_some() && !may_follow_the_end(fact) {
            return Err("a fact follows the take's end".into());
        }
        match fact {
            Fact::Opened(_) => return Err("the take is opened twice".into()),
            Fact::SegmentOpened(segment) => {
                self.info.segments.push(Segment {
                    file: segment.file.clone(),
                    first_frame: segment.first_frame,
                    frames: 0,
                    sha256: None,
                    is_open: true,
                });
                self.reach(segment.first_frame);
                // It is over; a gap has told its length, or nothing was missing after all.
                self.missing_from = self.missing_from.filter(|(from, _)| *from > segment.first_frame);
            }
            Fact::SegmentClosed(closed) => {
                let segment = self.segment(&closed.file)?;
                segment.is_open = false;
                segment.frames = closed.frames;
                let end = segment.first_frame + closed.frames;
                self.reach(end);
            }
            Fact::SegmentHashed { file, sha256 } => self.segment(file)?.sha256 = Some(sha256.clone()),
            Fact::SegmentMeasured { file, channels } => {
                let frames = self.segment(file)?.frames;
                self.measure(frames, channels);
            }
            Fact::Missing { first_frame, cause } => self.missing_from = Some((*first_frame, *cause)),
            Fact::Gap(gap) => {
                if gap.channels.is_none() {
                    let end = gap.first_frame + gap.frames;
                    self.reach(end);
                    self.missing_from = self.missing_from.filter(|(from, _)| *from >= end);
                }
                self.info.gaps.push(gap.clone());
            }
            Fact::Mark(mark) => self.info.marks.push(mark.clone()),
            Fact::Paused { frame, .. } => {
                self.paused_from = Some(*frame);
                self.missing_from = None; // A gap has told what was missing before; now nothing is kept anyway.
                self.info.pauses.push(Pause { first_frame: *frame, frames: 0 });
                self.reach(*frame);
            }
            Fact::Resumed { frame, .. } => {
                let Some(from) = self.paused_from.take() else { return Err("resumed without a pause".into()) };
                self.end_pause(from, *frame);
                self.reach(*frame);
            }
            Fact::Planned { frames } => self.plan(*frames),
            Fact::ClockStepped { frame, seconds, .. } => self.info.clock_steps.push((*frame, *seconds)),
            Fact::Recovered { .. } => {}
            Fact::Closed { frames, reason, .. } => {
                self.missing_from = None;
                if let Some(from) = self.paused_from.take() {
                    self.end_pause(from, *frames);
                }
                self.reach(*frames);
                self.info.closed = Some(*reason);
            }
        }
        Ok(())
    }

    /// Extends the timeline to at least `frames`: what a live recorder or the file itself knows beyond the log.
    pub fn reach(&mut self, frames: u64) {
        self.info.frames = self.info.frames.max(frames);
    }

    /// Whether the take is paused after the facts so far, and from which frame.
    pub fn paused_from(&self) -> Option<u64> {
        self.paused_from
    }

    /// What it all adds up to. `is_live` says whether a recorder has this take open now.
    pub fn info(&self, is_live: bool) -> TakeInfo {
        let mut info = self.info.clone();
        if let Some(from) = self.paused_from
            && let Some(pause) = info.pauses.last_mut()
        {
            pause.frames = info.frames.saturating_sub(from);
        }
        if let Some((first_frame, cause)) = self.missing_from {
            let frames = info.frames.saturating_sub(first_frame);
            info.gaps.push(Gap { first_frame, frames, cause, channels: None });
        }
        let has_open_segment = info.segments.iter().any(|s| s.is_open);
        let is_silent = info.segments.iter().all(|s| s.frames == 0) && !has_open_segment;
        info.state = match (info.closed, is_live) {
            (Some(_), _) if is_silent => TakeState::Failed,
            (Some(_), _) if has_open_segment => TakeState::Finishing,
            (Some(_), _) if info.gaps.is_empty() => TakeState::Ready,
            (Some(_), _) | (None, false) => TakeState::Incomplete,
            (None, true) if self.paused_from.is_some() => TakeState::Paused,
            (None, true) => TakeState::Recording,
        };
        info.gaps.sort_by_key(|gap| gap.first_frame);
        info.marks.sort_by_key(|mark| mark.frame);
        info.duration_seconds = info.frames as f64 / f64::from(info.sample_rate.max(1));
        info
    }

    fn segment(&mut self, file: &str) -> Result<&mut Segment, String> {
        let found = self.info.segments.iter_mut().rev().find(|segment| segment.file == file);
        found.ok_or_else(|| format!("{file} was never opened"))
    }

    fn plan(&mut self, frames: Option<u64>) {
        self.info.planned_seconds = frames.map(|f| f as f64 / f64::from(self.opened.sample_rate.max(1)));
    }

    fn end_pause(&mut self, from: u64, to: u64) {
        if let Some(pause) = self.info.pauses.last_mut() {
            pause.frames = to.saturating_sub(from);
        }
    }

    fn measure(&mut self, frames: u64, channels: &[Measured]) {
        if self.info.measured.is_empty() {
            self.info.measured = channels.to_vec();
            self.energy = channels.iter().map(|_| (0.0, 0.0)).collect();
        }
        let all = self.info.measured.iter_mut().zip(&mut self.energy);
        for ((sum, (energy, total)), new) in all.zip(channels) {
            let weight = frames as f64;
            sum.dc = ((f64::from(sum.dc) * *total + f64::from(new.dc) * weight) / (*total + weight).max(1.0)) as f32;
            *energy += weight * 10f64.powf(f64::from(new.rms_dbfs) / 10.0);
            *total += weight;
            let is_first = *total == weight;
            sum.rms_dbfs = (10.0 * (*energy / total.max(1.0)).max(1e-20).log10()) as f32;
            if !is_first {
                sum.peak_dbfs = sum.peak_dbfs.max(new.peak_dbfs);
                sum.true_peak_dbfs = sum.true_peak_dbfs.max(new.true_peak_dbfs);
                sum.clipped = sum.clipped.saturating_add(new.clipped);
                sum.digital_zero_seconds += new.digital_zero_seconds;
            }
        }
    }
}

/// What is known of a segment only later: a disk that was full completes it when there is room again.
fn may_follow_the_end(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::SegmentClosed(_) | Fact::SegmentHashed { .. } | Fact::SegmentMeasured { .. } | Fact::Recovered { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::order::StoredAs;
    use crate::domain::take::{SegmentClosed, SegmentOpened};

    fn opened() -> Opened {
        let at = Timestamp::from_second(1_000).unwrap();
        Opened {
            id: TakeId::new(at, [1; 10]),
            title: "Hearing".into(),
            sample_rate: 100,
            stored_as: StoredAs::Pcm24,
            channels: vec![TakeChannel { number: 1, port: "system:capture_1".into(), label: "Judge".into() }],
            started_at: at,
            time_zone: "UTC".into(),
            clock_quality: ClockQuality::Ntp,
            pre_roll_frames: 0,
            ordered_start: at,
            late_seconds: 0.0,
            planned_frames: Some(1_000),
            segment_frames: 500,
            host: "room".into(),
            version: "0".into(),
        }
    }

    fn at() -> Timestamp {
        Timestamp::from_second(2_000).unwrap()
    }

    fn segment(file: &str, first_frame: u64) -> Fact {
        let (file, boot_id) = (file.to_owned(), String::new());
        Fact::SegmentOpened(SegmentOpened { file, first_frame, at: at(), mono_us: 0, jack_frame: 0, boot_id })
    }

    fn segment_end(file: &str, frames: u64) -> Fact {
        Fact::SegmentClosed(SegmentClosed { file: file.into(), frames, bytes: 1 })
    }

    fn closed(frames: u64) -> Fact {
        Fact::Closed { frames, at: at(), reason: CloseReason::Stopped }
    }

    fn fold(facts: &[Fact]) -> Fold {
        let mut fold = Fold::new(opened()).unwrap();
        for fact in facts {
            fold.add(fact).unwrap();
        }
        fold
    }

    #[test]
    fn a_whole_take_is_ready_and_as_long_as_its_end() {
        let info =
            fold(&[segment("1", 0), segment_end("1", 500), segment("2", 500), segment_end("2", 100), closed(600)])
                .info(false);
        assert_eq!((info.state, info.frames, info.duration_seconds), (TakeState::Ready, 600, 6.0));
        assert_eq!(info.segments.iter().map(|s| s.first_frame).collect::<Vec<_>>(), [0, 500]);
    }

    #[test]
    fn a_take_with_a_gap_is_incomplete() {
        let gap = Fact::Gap(Gap { first_frame: 10, frames: 5, cause: GapCause::Xrun, channels: None });
        let info = fold(&[segment("1", 0), gap, segment_end("1", 500), closed(500)]).info(false);
        assert_eq!(info.state, TakeState::Incomplete);
    }

    #[test]
    fn a_gap_that_lasts_is_told_before_its_length_is_known() {
        let missing = Fact::Missing { first_frame: 400, cause: GapCause::DiskFull };
        let mut fold = fold(&[segment("1", 0), segment_end("1", 400), missing]);
        assert_eq!(
            fold.info(true).gaps,
            [Gap { first_frame: 400, frames: 0, cause: GapCause::DiskFull, channels: None }]
        );
        let gap = Gap { first_frame: 400, frames: 90, cause: GapCause::DiskFull, channels: None };
        fold.add(&Fact::Gap(gap.clone())).unwrap();
        assert_eq!(fold.info(true).gaps, [gap]);
    }

    #[test]
    fn a_take_without_audio_has_failed() {
        assert_eq!(fold(&[closed(0)]).info(false).state, TakeState::Failed);
    }

    #[test]
    fn a_take_left_open_is_recording_only_while_a_recorder_has_it() {
        let fold = fold(&[segment("1", 0)]);
        assert_eq!(fold.info(true).state, TakeState::Recording);
        assert_eq!(fold.info(false).state, TakeState::Incomplete);
    }

    #[test]
    fn a_pause_ends_where_keeping_goes_on_or_with_the_take() {
        let paused = Fact::Paused { frame: 200, at: at() };
        let mut lasting = fold(&[segment("1", 0), segment_end("1", 200), paused]);
        assert_eq!(lasting.info(true).state, TakeState::Paused);
        lasting.add(&Fact::Resumed { frame: 300, at: at() }).unwrap();
        assert_eq!(lasting.info(true).pauses, [Pause { first_frame: 200, frames: 100 }]);
        lasting.add(&Fact::Paused { frame: 400, at: at() }).unwrap();
        lasting.add(&closed(450)).unwrap();
        assert_eq!(lasting.info(false).pauses[1], Pause { first_frame: 400, frames: 50 });
    }

    #[test]
    fn facts_that_cannot_follow_are_refused() {
        assert!(fold(&[]).add(&segment_end("1", 1)).is_err());
        assert!(fold(&[]).add(&Fact::Opened(opened())).is_err());
        assert!(fold(&[]).add(&Fact::Resumed { frame: 1, at: at() }).is_err());
        assert!(fold(&[closed(0)]).add(&segment("1", 0)).is_err());
    }

    #[test]
    fn numbers_that_no_take_has_are_refused_by_name() {
        let channel = |number| TakeChannel { number, ..opened().channels[0].clone() };
        let cases: [(Opened, &str); 5] = [
            (Opened { sample_rate: 0, ..opened() }, "sample_rate"),
            (Opened { segment_frames: 0, ..opened() }, "segment_frames"),
            (Opened { channels: Vec::new(), ..opened() }, "channels"),
            (Opened { channels: vec![channel(0)], ..opened() }, "channel 0"),
            (Opened { channels: (1..=300).map(channel).collect(), ..opened() }, "300 channels"),
        ];
        for (opened, field) in cases {
            let error = Fold::new(opened).map(|_| ()).unwrap_err();
            assert!(error.contains(field), "{error}");
        }
        let gap = Gap { first_frame: u64::MAX, frames: u64::MAX, cause: GapCause::Xrun, channels: None };
        for fact in [segment("1", u64::MAX), closed(u64::MAX), Fact::Gap(gap)] {
            assert!(fold(&[]).add(&fact).is_err(), "{fact:?}");
        }
    }

    /// Something was missing from the very frame at which a pause began: it stayed missing for as long as the take ran.
    #[test]
    fn what_is_missing_is_over_with_a_pause_a_later_gap_or_a_segment() {
        let gone = Fact::Missing { first_frame: 500, cause: GapCause::JackGone };
        let gap = Fact::Gap(Gap { first_frame: 400, frames: 200, cause: GapCause::CaptureDown, channels: None });
        for end in [Fact::Paused { frame: 500, at: at() }, gap, segment("2", 600)] {
            let told = usize::from(matches!(end, Fact::Gap(_)));
            let facts = [segment("1", 0), segment_end("1", 500), gone.clone(), end];
            assert_eq!(fold(&facts).info(true).gaps.len(), told, "{facts:?}");
        }
    }

    #[test]
    fn the_timeline_reaches_to_the_end_of_a_gap() {
        let gap = |channels| Fact::Gap(Gap { first_frame: 500, frames: 70, cause: GapCause::DiskFull, channels });
        assert_eq!(fold(&[segment("1", 0), segment_end("1", 500), gap(None)]).info(true).frames, 570);
        assert_eq!(fold(&[segment("1", 0), segment_end("1", 500), gap(Some(vec![1]))]).info(true).frames, 500);
    }

    #[test]
    fn measurements_merge_over_segments_by_their_length() {
        let measured = |rms_dbfs, peak_dbfs, clipped| Fact::SegmentMeasured {
            file: "1".into(),
            channels: vec![Measured {
                number: 1,
                peak_dbfs,
                true_peak_dbfs: peak_dbfs,
                rms_dbfs,
                clipped,
                dc: 0.0,
                digital_zero_seconds: 0.5,
            }],
        };
        let info = fold(&[segment("1", 0), segment_end("1", 500), measured(-20.0, -10.0, 3), measured(-20.0, -6.0, 4)])
            .info(true);
        let all = info.measured[0];
        assert!((all.rms_dbfs + 20.0).abs() < 0.01, "{}", all.rms_dbfs);
        assert_eq!((all.peak_dbfs, all.clipped, all.digital_zero_seconds), (-6.0, 7, 1.0));
    }

    #[test]
    fn every_cause_has_its_own_sentence() {
        let sentences: std::collections::BTreeSet<_> = GapCause::ALL.iter().map(|cause| cause.describe()).collect();
        assert_eq!(sentences.len(), GapCause::ALL.len());
    }
}
