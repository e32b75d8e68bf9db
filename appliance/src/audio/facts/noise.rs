//! What a channel carries when nobody speaks: its noise floor over the last hour, its DC over the last ten seconds.
//!
//! The floor is the level that nine tenths of all seconds exceed (P10 of the 1 s RMS without DC). Memory is bounded: one
//! byte per second of the hour and one counter per level. Lost frames discard the second they fell into.

use super::hop::ChannelHop;

/// The hour that is remembered, in seconds.
const HOUR: usize = 3600;
/// Levels are counted in steps of half a decibel from -126 dBFS, under the noise of any 20-bit converter, up to 0.
const LOWEST_DBFS: f64 = -126.0;
const STEP_DB: f64 = 0.5;
const STEPS: usize = 253;
/// Before this many seconds there is no floor to speak of.
const LEAST_SECONDS: usize = 10;
/// Seconds of the DC mean.
const DC_SECONDS: usize = 10;

/// Noise floor and DC offset of one channel.
#[derive(Debug)]
pub struct Noise {
    rate: u32,
    /// The second being gathered.
    frames: u32,
    power: f64,
    sum: f64,
    has_flat_hop: bool,
    /// Level step of each remembered second, oldest overwritten first.
    seconds: Vec<u8>,
    oldest: usize,
    counts: Box<[u16]>,
    /// Means of the last seconds, newest last.
    offsets: [f64; DC_SECONDS],
    offsets_filled: usize,
}

impl Noise {
    pub(super) fn new(rate: u32) -> Self {
        Self {
            rate,
            frames: 0,
            power: 0.0,
            sum: 0.0,
            has_flat_hop: false,
            seconds: Vec::with_capacity(HOUR),
            oldest: 0,
            counts: vec![0; STEPS].into(),
            offsets: [0.0; DC_SECONDS],
            offsets_filled: 0,
        }
    }

    pub(super) fn add(&mut self, hop: &ChannelHop, frames: u32) {
        self.frames += frames;
        self.power += hop.ac_power(frames) * f64::from(frames);
        self.sum += f64::from(hop.sum);
        self.has_flat_hop |= hop.is_flat();
        if self.frames < self.rate {
            return;
        }
        // A dead path has no noise; its seconds would pull the floor down to nothing.
        if !self.has_flat_hop {
            self.remember(self.power / f64::from(self.frames));
        }
        self.offsets.rotate_left(1);
        self.offsets[DC_SECONDS - 1] = self.sum / f64::from(self.frames);
        self.offsets_filled = (self.offsets_filled + 1).min(DC_SECONDS);
        self.discard_second();
    }

    /// Forgets the second being gathered.
    pub(super) fn discard_second(&mut self) {
        (self.frames, self.power, self.sum, self.has_flat_hop) = (0, 0.0, 0.0, false);
    }

    fn remember(&mut self, power: f64) {
        let above_lowest = (10.0 * power.max(1e-20).log10() - LOWEST_DBFS) / STEP_DB;
        let step = above_lowest.clamp(0.0, (STEPS - 1) as f64).round() as u8;
        if self.seconds.len() < HOUR {
            self.seconds.push(step);
        } else {
            let left = std::mem::replace(&mut self.seconds[self.oldest], step);
            self.counts[usize::from(left)] -= 1;
            self.oldest = (self.oldest + 1) % HOUR;
        }
        self.counts[usize::from(step)] += 1;
    }

    /// Noise floor, dBFS to half a decibel (RMS of a full-scale sine is -3.01): P10 of the 1 s RMS without DC over the
    /// last hour of live seconds. `None` in the first ten.
    pub fn floor_dbfs(&self) -> Option<f32> {
        if self.seconds.len() < LEAST_SECONDS {
            return None;
        }
        let wanted = self.seconds.len().div_ceil(10);
        let mut seen = 0;
        let step = self.counts.iter().position(|count| {
            seen += usize::from(*count);
            seen >= wanted
        })?;
        Some((LOWEST_DBFS + STEP_DB * step as f64) as f32)
    }

    /// Mean of the last ten seconds (of what there is of them), fraction of full scale; over 0.01 deserves a warning.
    pub fn dc_offset(&self) -> Option<f32> {
        let filled = &self.offsets[DC_SECONDS - self.offsets_filled..];
        (!filled.is_empty()).then(|| (filled.iter().sum::<f64>() / filled.len() as f64) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(noise: &mut Noise, dbfs: f32, dc: f32) {
        let power = 10f32.powf(dbfs / 10.0) + dc * dc;
        let hop = ChannelHop { sum_squares: power * 48_000.0, sum: dc * 48_000.0, max: 1.0, ..Default::default() };
        noise.add(&hop, 48_000);
    }

    #[test]
    fn the_floor_is_the_level_between_the_words() {
        let mut noise = Noise::new(48_000);
        for n in 0..100 {
            second(&mut noise, if n % 5 == 0 { -62.0 } else { -30.0 }, 0.0);
        }
        assert_eq!(noise.floor_dbfs(), Some(-62.0));
    }

    #[test]
    fn after_an_hour_the_old_floor_is_forgotten() {
        let mut noise = Noise::new(48_000);
        for _ in 0..HOUR {
            second(&mut noise, -70.0, 0.0);
        }
        for _ in 0..HOUR {
            second(&mut noise, -50.0, 0.0);
        }
        assert_eq!(noise.floor_dbfs(), Some(-50.0));
    }

    #[test]
    fn dead_seconds_do_not_lower_the_floor() {
        let mut noise = Noise::new(48_000);
        for _ in 0..20 {
            second(&mut noise, -60.0, 0.0);
            noise.add(&ChannelHop::default(), 48_000);
        }
        assert_eq!(noise.floor_dbfs(), Some(-60.0));
    }

    #[test]
    fn dc_is_the_mean_of_ten_seconds_and_does_not_raise_the_floor() {
        let mut noise = Noise::new(48_000);
        assert_eq!(noise.dc_offset(), None);
        for _ in 0..20 {
            second(&mut noise, -60.0, 0.02);
        }
        let dc = noise.dc_offset().unwrap();
        assert!((dc - 0.02).abs() < 1e-6, "{dc}");
        assert!((noise.floor_dbfs().unwrap() + 60.0).abs() <= 0.5);
    }
}
