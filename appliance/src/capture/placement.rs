//! Where a frame lies in time.
//!
//! The stream counts frames; JACK's clock (the kernel's monotonic clock) times them. A line is fitted through the last
//! minute of (frame, microsecond) pairs; the wall clock enters only as its distance from the monotonic clock. So a take is
//! placed to a fraction of a millisecond, the true rate of the sound card is known, and a step of the wall clock moves
//! nothing that is counted in frames.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use crate::domain::ClockQuality;
use crate::sys::clock::Now;

/// Pairs kept for the line, one a second: a minute, against JACK's own jitter of tens of microseconds.
const POINTS: usize = 64;
/// A sound card further off than this is a misreading; then the nominal rate stands.
const PPM_MAX: f64 = 1_000.0;
/// A wall clock that moves this much against the monotonic one between two looks was stepped. Slewing moves it by at most
/// 0.05 ms in that time, reading both clocks around a preemption by a few milliseconds.
const STEP_US: i64 = 50_000;

/// JACK's time of a frame is off the line by tens of microseconds, and of one late cycle by as much as it was late. When it
/// stays off by this, frames were lost or held up that nobody counted: the line does not hold any more, and a minute of old
/// points would keep it wrong for as long.
const JUMP_US: u64 = 20_000;
/// So long it stays off before the line begins anew.
const JUMP_HOLDS_US: u64 = 100_000;

/// Frames, monotonic microseconds and wall time, made comparable.
#[derive(Debug)]
pub struct Placement {
    rate: f64,
    points: VecDeque<(u64, f64)>,
    /// The line: microseconds at `anchor.0`, and microseconds per frame.
    anchor: (u64, f64),
    us_per_frame: f64,
    /// The line has not held since then.
    off_since_us: Option<u64>,
    wall_minus_mono_us: i64,
    step_candidate_us: Option<i64>,
    quality: ClockQuality,
}

/// A step of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockStep {
    /// How far, in seconds; positive is forward.
    pub seconds: f64,
}

impl Placement {
    /// Begins at `first`, a stream frame, which is heard at `now`.
    pub fn new(rate: u32, first: u64, now: Now, quality: ClockQuality) -> Self {
        let rate = f64::from(rate);
        Self {
            rate,
            points: VecDeque::with_capacity(POINTS),
            anchor: (first, now.mono_us as f64),
            us_per_frame: 1e6 / rate,
            off_since_us: None,
            wall_minus_mono_us: wall_minus_mono(now),
            step_candidate_us: None,
            quality,
        }
    }

    /// Takes note that stream frame `frame` lay at `us` of the monotonic clock. The line begins anew where it no longer holds.
    pub fn observe(&mut self, frame: u64, us: u64) {
        if self.us_at(frame).abs_diff(us) <= JUMP_US {
            self.off_since_us = None;
        } else if us < *self.off_since_us.get_or_insert(us) + JUMP_HOLDS_US {
            return;
        } else {
            self.restart(frame, us);
        }
        let us = us as f64;
        let is_due = self.points.back().is_none_or(|&(last, _)| frame >= last + self.rate as u64);
        if !is_due {
            return;
        }
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back((frame, us));
        self.fit(frame);
    }

    /// While the server runs free, only the present has a time.
    pub fn observe_freewheel(&mut self, frame: u64, now_us: u64) {
        self.points.clear();
        self.anchor = (frame, now_us as f64);
        self.us_per_frame = 1e6 / self.rate;
    }

    /// Another server counts from elsewhere: the line begins anew, the place in time stays.
    pub fn restart(&mut self, frame: u64, us: u64) {
        self.off_since_us = None;
        self.points.clear();
        self.anchor = (frame, us as f64);
        self.us_per_frame = 1e6 / self.rate;
    }

    /// Looks at the wall clock; tells of a step once two looks agree on it.
    pub fn look(&mut self, now: Now, quality: ClockQuality) -> Option<ClockStep> {
        self.quality = quality;
        let offset = wall_minus_mono(now);
        let moved = offset - self.wall_minus_mono_us;
        if moved.abs() < STEP_US {
            self.wall_minus_mono_us = offset;
            self.step_candidate_us = None;
            return None;
        }
        let confirmed = self.step_candidate_us.is_some_and(|candidate| (offset - candidate).abs() < STEP_US);
        self.step_candidate_us = Some(offset);
        if !confirmed {
            return None;
        }
        self.wall_minus_mono_us = offset;
        self.step_candidate_us = None;
        Some(ClockStep { seconds: moved as f64 / 1e6 })
    }

    /// Monotonic microseconds at a stream frame.
    pub fn us_at(&self, frame: u64) -> u64 {
        let frames = frame as f64 - self.anchor.0 as f64;
        (self.anchor.1 + frames * self.us_per_frame).max(0.0) as u64
    }

    /// The stream frame at a monotonic time.
    pub fn frame_at_us(&self, us: u64) -> u64 {
        self.frame_at(us as f64)
    }

    fn frame_at(&self, us: f64) -> u64 {
        let frames = (us - self.anchor.1) / self.us_per_frame;
        (self.anchor.0 as f64 + frames).round().max(0.0) as u64
    }

    /// Wall time at a stream frame, as the clock stands now.
    pub fn wall_at(&self, frame: u64) -> Timestamp {
        let us = i64::try_from(self.us_at(frame)).unwrap_or(i64::MAX).saturating_add(self.wall_minus_mono_us);
        Timestamp::from_microsecond(us).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The stream frame at a monotonic time that may lie before the machine was started.
    pub fn frame_at_mono(&self, us: i64) -> u64 {
        self.frame_at(us as f64)
    }

    /// Monotonic microseconds at a wall time, as the clock stands now; below 0 before the machine was started.
    pub fn mono_at_wall(&self, at: Timestamp) -> i64 {
        at.as_microsecond().saturating_sub(self.wall_minus_mono_us)
    }

    /// The stream frame at a wall time, as the clock stands now; also of a time before the machine was started.
    pub fn frame_at_wall(&self, at: Timestamp) -> u64 {
        self.frame_at_mono(self.mono_at_wall(at))
    }

    /// Monotonic time at a wall time, as the clock stands now.
    pub fn us_at_wall(&self, at: Timestamp) -> u64 {
        u64::try_from(at.as_microsecond().saturating_sub(self.wall_minus_mono_us)).unwrap_or(0)
    }

    /// Frames in a length of time at the nominal rate.
    pub fn frames_in(&self, length: SignedDuration) -> u64 {
        (length.as_secs_f64() * self.rate).round().max(0.0) as u64
    }

    /// How far the sound card is off the kernel's clock, parts per million; none before ten seconds are known.
    pub fn card_ppm(&self) -> Option<f64> {
        (self.points.len() >= 10).then(|| (1e6 / self.rate / self.us_per_frame - 1.0) * 1e6)
    }

    /// How far wall times can be believed.
    pub fn quality(&self) -> ClockQuality {
        self.quality
    }

    /// Least squares through the points; the anchor is the line at the newest frame.
    fn fit(&mut self, newest: u64) {
        let nominal = 1e6 / self.rate;
        let n = self.points.len() as f64;
        let (mut sum_x, mut sum_y) = (0.0, 0.0);
        // Distances from the newest frame keep the sums small enough for exact doubles.
        for &(frame, us) in &self.points {
            sum_x += frame as f64 - newest as f64;
            sum_y += us;
        }
        let (mean_x, mean_y) = (sum_x / n, sum_y / n);
        let (mut sxx, mut sxy) = (0.0, 0.0);
        for &(frame, us) in &self.points {
            let x = frame as f64 - newest as f64 - mean_x;
            sxx += x * x;
            sxy += x * (us - mean_y);
        }
        let slope = if sxx > 0.0 { sxy / sxx } else { nominal };
        let is_plausible = ((slope / nominal - 1.0) * 1e6).abs() <= PPM_MAX;
        self.us_per_frame = if is_plausible { slope } else { nominal };
        self.anchor = (newest, mean_y - mean_x * self.us_per_frame);
    }
}

fn wall_minus_mono(now: Now) -> i64 {
    now.wall.as_microsecond() - now.mono_us as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 48_000;
    const WALL: i64 = 1_800_000_000_000_000;

    fn now(mono_us: u64) -> Now {
        Now { wall: Timestamp::from_microsecond(WALL + mono_us as i64).unwrap(), mono_us }
    }

    fn placed(ppm: f64, jitter_us: i64) -> Placement {
        let mut placement = Placement::new(RATE, 1_000_000, now(5_000_000), ClockQuality::Ntp);
        for second in 0..60u64 {
            let us = 5_000_000.0 + second as f64 * 1e6 / (1.0 + ppm * 1e-6);
            let wobble = if second % 2 == 0 { jitter_us } else { -jitter_us };
            placement.observe(1_000_000 + second * u64::from(RATE), (us as i64 + wobble) as u64);
        }
        placement
    }

    #[test]
    fn a_card_that_is_off_is_found_through_jitter() {
        let placement = placed(80.0, 200);
        assert!((placement.card_ppm().unwrap() - 80.0).abs() < 5.0, "{:?}", placement.card_ppm());
    }

    #[test]
    fn a_frame_and_its_time_are_each_others_inverse() {
        let placement = placed(-50.0, 50);
        for frame in [1_000_000, 2_500_000, 3_880_000, 9_000_000] {
            assert!(placement.frame_at_us(placement.us_at(frame)).abs_diff(frame) <= 1);
            assert!(placement.frame_at_wall(placement.wall_at(frame)).abs_diff(frame) <= 1);
        }
    }

    #[test]
    fn placing_is_good_to_a_tenth_of_a_millisecond() {
        let placement = placed(0.0, 200);
        assert!(placement.us_at(1_000_000 + 59 * 48_000).abs_diff(64_000_000) < 100);
    }

    #[test]
    fn where_frames_were_held_up_the_line_begins_anew() {
        for late_us in [50_000, 10_000_000] {
            let mut placement = placed(80.0, 200);
            let us = placement.us_at(4_000_000) + late_us;
            (0..=100u64).for_each(|ms| placement.observe(4_000_000 + 48 * ms, us + 1_000 * ms));
            assert!(placement.us_at(4_048_000).abs_diff(us + 1_000_000) < 100);
            assert_eq!(placement.card_ppm(), None);
        }
    }

    #[test]
    fn a_late_cycle_moves_nothing() {
        let (mut placement, then) = (placed(80.0, 200), placed(80.0, 200));
        placement.observe(4_000_000, placement.us_at(4_000_000) + 90_000);
        placement.observe(4_004_800, placement.us_at(4_004_800));
        placement.observe(4_009_600, placement.us_at(4_009_600) + 90_000);
        assert!(placement.us_at(5_000_000).abs_diff(then.us_at(5_000_000)) < 100);
    }

    #[test]
    fn a_step_is_told_once_and_moves_only_wall_times() {
        let mut placement = placed(0.0, 0);
        let (frame, us) = (3_000_000, placement.us_at(3_000_000));
        let wall = placement.wall_at(frame);
        let stepped = |mono_us| Now { wall: now(mono_us).wall + SignedDuration::from_hours(1), mono_us };
        assert_eq!(placement.look(stepped(70_000_000), ClockQuality::Guessed), None);
        let step = placement.look(stepped(70_050_000), ClockQuality::Guessed).unwrap();
        assert!((step.seconds - 3600.0).abs() < 0.001);
        assert_eq!(placement.look(stepped(70_100_000), ClockQuality::Guessed), None);
        assert_eq!(placement.us_at(frame), us);
        assert_eq!(placement.wall_at(frame).duration_since(wall), SignedDuration::from_hours(1));
    }

    /// A booking from 9:00 to 11:00 on a machine that was started at 10:00 was planned as if it began at 10:00, and ended
    /// an hour late.
    #[test]
    fn a_time_before_the_machine_was_started_has_its_frame() {
        let placement = placed(0.0, 0);
        let before_boot = now(0).wall - SignedDuration::from_secs(10);
        let expected = placement.frame_at_us(0) - 10 * u64::from(RATE);
        assert!(placement.frame_at_wall(before_boot).abs_diff(expected) <= 1);
    }

    #[test]
    fn one_bad_reading_is_no_step() {
        let mut placement = placed(0.0, 0);
        let late = Now { wall: now(70_000_000).wall + SignedDuration::from_millis(80), mono_us: 70_000_000 };
        assert_eq!(placement.look(late, ClockQuality::Ntp), None);
        assert_eq!(placement.look(now(70_050_000), ClockQuality::Ntp), None);
    }

    #[test]
    fn a_clock_in_1970_still_places_frames() {
        let early = Now { wall: Timestamp::from_second(60).unwrap(), mono_us: 5_000_000 };
        let placement = Placement::new(RATE, 1_000_000, early, ClockQuality::Unset);
        assert_eq!(placement.wall_at(1_048_000), Timestamp::from_second(61).unwrap());
    }
}
