//! Three kinds of silence are told apart; two of them here.
//!
//! *Digital zero*: every sample of a hop is equal (DC allowed), a path without a converter at its end. *Quiet*: a live
//! path with nobody on it, AC level under -55 dBFS. The third kind, *no frames*, is a driver that delivers nothing:
//! nobody calls us then, so only the caller can know it. How long is too long is policy and not decided here.

use super::hop::ChannelHop;

/// Quiet begins under -55 dBFS (AUDIO.md 2.2), as mean square.
const QUIET_BELOW: f64 = 3.162_277_660_168_379_5e-6;
/// Quiet ends at 6 dB more, so that a level at the threshold does not flutter; as mean square.
const SIGNAL_FROM: f64 = QUIET_BELOW * 3.981_071_705_534_972;
/// A pause leaks the evidence of speech at a quarter of the pace at which speech builds it up: talk with ordinary
/// pauses recovers within two seconds, a door slam a minute never does.
const LEAK: u64 = 4;

/// What a channel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    Signal,
    /// Live, but nothing above the threshold for at least a second.
    Quiet,
    /// All samples equal in the last hop.
    DigitalZero,
}

/// Follows one channel hop by hop.
#[derive(Debug)]
pub struct Tracker {
    rate: u32,
    is_quiet: bool,
    /// Frames since the level fell below the threshold, or rose again, whichever side we are on.
    lasted: u64,
    /// Frames of evidence against the present side.
    against: u64,
    flat: u64,
}

impl Tracker {
    pub(super) fn new(rate: u32) -> Self {
        Self { rate, is_quiet: false, lasted: 0, against: 0, flat: 0 }
    }

    pub(super) fn add(&mut self, hop: &ChannelHop, frames: u32) {
        let frames_long = u64::from(frames);
        self.flat = if hop.is_flat() { self.flat + frames_long } else { 0 };
        self.lasted += frames_long;
        let power = if hop.is_flat() { 0.0 } else { hop.ac_power(frames) };
        if self.is_quiet {
            let is_loud = power >= SIGNAL_FROM;
            self.against =
                if is_loud { self.against + frames_long } else { self.against.saturating_sub(frames_long / LEAK) };
        } else {
            self.against = if power < QUIET_BELOW { self.against + frames_long } else { 0 };
        }
        if self.against >= u64::from(self.rate) {
            // The state began when its evidence did, a second ago.
            self.is_quiet = !self.is_quiet;
            self.lasted = self.against;
            self.against = 0;
        }
    }

    /// What the channel carries now.
    pub fn state(&self) -> Silence {
        match (self.flat > 0, self.is_quiet) {
            (true, _) => Silence::DigitalZero,
            (false, true) => Silence::Quiet,
            (false, false) => Silence::Signal,
        }
    }

    /// Seconds the present state has lasted; gaps do not count and do not end it.
    pub fn seconds(&self) -> f64 {
        self.in_seconds(if self.flat > 0 { self.flat } else { self.lasted })
    }

    /// Seconds of digital zero up to now, 0 if the last hop moved.
    pub fn digital_zero_seconds(&self) -> f64 {
        self.in_seconds(self.flat)
    }

    /// Seconds without signal up to now, digital zero included; 0 while there is signal.
    pub fn quiet_seconds(&self) -> f64 {
        self.in_seconds(if self.is_quiet { self.lasted } else { 0 })
    }

    fn in_seconds(&self, frames: u64) -> f64 {
        frames as f64 / f64::from(self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: u32 = 2400;

    /// A hop of AC level `dbfs`.
    fn hop(dbfs: f32) -> ChannelHop {
        let power = 10f32.powf(dbfs / 10.0);
        ChannelHop { sum_squares: power * FRAMES as f32, min: -1e-3, max: 1e-3, ..Default::default() }
    }

    fn feed(tracker: &mut Tracker, dbfs: f32, hops: usize) {
        for _ in 0..hops {
            tracker.add(&hop(dbfs), FRAMES);
        }
    }

    #[test]
    fn a_pause_under_a_second_is_still_signal_and_a_longer_one_counts_from_its_start() {
        let mut tracker = Tracker::new(48_000);
        feed(&mut tracker, -30.0, 40);
        feed(&mut tracker, -60.0, 19);
        assert_eq!(tracker.state(), Silence::Signal);
        feed(&mut tracker, -60.0, 1);
        assert_eq!(tracker.state(), Silence::Quiet);
        assert_eq!(tracker.seconds(), 1.0);
    }

    #[test]
    fn between_the_thresholds_the_state_stays() {
        let mut tracker = Tracker::new(48_000);
        feed(&mut tracker, -52.0, 100);
        assert_eq!(tracker.state(), Silence::Signal);
        feed(&mut tracker, -60.0, 20);
        feed(&mut tracker, -52.0, 100);
        assert_eq!(tracker.state(), Silence::Quiet);
        feed(&mut tracker, -48.0, 19);
        assert_eq!(tracker.state(), Silence::Quiet);
        feed(&mut tracker, -48.0, 1);
        assert_eq!((tracker.state(), tracker.seconds()), (Silence::Signal, 1.0));
    }

    #[test]
    fn talk_with_gaps_between_the_words_ends_quiet_and_a_slam_a_minute_does_not() {
        let mut talk = Tracker::new(48_000);
        feed(&mut talk, -70.0, 40);
        for _ in 0..5 {
            feed(&mut talk, -35.0, 6);
            feed(&mut talk, -65.0, 4);
        }
        assert_eq!(talk.state(), Silence::Signal);
        let mut slam = Tracker::new(48_000);
        for _ in 0..30 {
            feed(&mut slam, -20.0, 4);
            feed(&mut slam, -70.0, 200);
        }
        assert_eq!(slam.state(), Silence::Quiet);
        assert!(slam.quiet_seconds() > 300.0);
    }

    #[test]
    fn digital_zero_shows_at_once_and_keeps_the_quiet_clock_running() {
        let mut tracker = Tracker::new(48_000);
        feed(&mut tracker, -60.0, 40);
        let flat = ChannelHop {
            sum_squares: 0.09 * FRAMES as f32,
            sum: 0.3 * FRAMES as f32,
            min: 0.3,
            max: 0.3,
            ..Default::default()
        };
        for _ in 0..40 {
            tracker.add(&flat, FRAMES);
        }
        assert_eq!((tracker.state(), tracker.seconds()), (Silence::DigitalZero, 2.0));
        assert_eq!(tracker.quiet_seconds(), 4.0);
        feed(&mut tracker, -60.0, 1);
        assert_eq!(tracker.state(), Silence::Quiet);
    }
}
