//! Signal facts of every channel from 100 % of its samples: levels, true peak, loudness, clipping, silence, hum, noise.
//!
//! [`Analyser`] takes blocks of any size and yields one [`Hop`] per 50 ms; hops merge into a [`Summary`] of any span and
//! into the loudness of a programme ([`loudness::Programme`]). What needs longer than a hop stands in [`ChannelState`].
//! Not here: speech, relations between channels, and what a value means for an operator (thresholds in seconds,
//! incidents). Samples are f32 with full scale 1.0; nothing here asks a clock, so the same samples give the same facts.

pub mod clip;
pub mod hop;
pub mod hum;
mod kernel;
pub mod loudness;
pub mod noise;
pub mod silence;
#[cfg(test)]
mod tests;

pub use hop::{ChannelHop, FLOOR_DBFS, Summary};

use kernel::{Group, LANES, Path, Plan};

/// Hops per second.
const HOPS_PER_SECOND: u32 = 20;
/// Rates below are taken as this one: no audio interface has them, and the filters assume some hundred frames a hop.
const LOWEST_RATE: u32 = 8000;

/// What to measure besides the cheap facts.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Oversampled peak, 4x below 80 kHz and 2x below 160 kHz.
    pub true_peak: bool,
    /// Mains hum.
    pub hum: bool,
}

/// Measures all channels of one source. One thread calls it; it allocates one slice per hop.
pub struct Analyser {
    plan: Plan,
    groups: Vec<Group>,
    states: Vec<ChannelState>,
    /// Frames of the unfinished hop.
    filled: usize,
    frames_pushed: u64,
}

/// One completed hop of all channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Hop {
    /// Frames pushed since `new` before this hop began. Lost frames are not in it: placing gaps is the caller's.
    pub first_frame: u64,
    /// Frames in this hop: `rate / 20`.
    pub frames: u32,
    /// One per channel.
    pub channels: Box<[ChannelHop]>,
}

/// Facts of one channel that take longer than a hop.
pub struct ChannelState {
    /// Everything since `new`, gaps bridged.
    pub since_start: Summary,
    /// Signal, quiet or digital zero, and for how long.
    pub silence: silence::Tracker,
    /// Noise floor and DC offset.
    pub noise: noise::Noise,
    /// Clipping below the rail.
    pub flat_top: clip::FlatTop,
    /// Mains hum; `None` if not asked for, or if the rate has no fitting divisor (see [`hum`]).
    pub hum: Option<hum::Hum>,
    rail: clip::Rail,
}

impl Analyser {
    /// For `channels` channels at `rate` frames per second.
    pub fn new(rate: u32, channels: usize, options: Options) -> Self {
        Self::with_path(rate, channels, options, Path::best())
    }

    fn with_path(rate: u32, channels: usize, options: Options, path: Path) -> Self {
        let rate = rate.max(LOWEST_RATE);
        let plan = Plan::new(rate, (rate / HOPS_PER_SECOND) as usize, &options, path);
        let groups = (0..channels.div_ceil(LANES)).map(|_| Group::new(&plan)).collect();
        let states = (0..channels).map(|_| ChannelState::new(rate, plan.new_hum())).collect();
        Self { plan, groups, states, filled: 0, frames_pushed: 0 }
    }

    /// Takes one block, one slice per channel, and appends a [`Hop`] for every 50 ms completed. How the stream is cut
    /// into blocks does not change the hops. Slices should be equally long; the shortest one counts. A channel without
    /// a slice is measured as zeros, slices beyond the channel count are ignored.
    pub fn push(&mut self, planar: &[&[f32]], out: &mut Vec<Hop>) {
        let planar = &planar[..planar.len().min(self.states.len())];
        let frames = planar.iter().map(|channel| channel.len()).min().unwrap_or(0);
        let mut taken = 0;
        while taken < frames {
            let block = (frames - taken).min(self.plan.frames - self.filled);
            for (channels, group) in planar.chunks(LANES).zip(&mut self.groups) {
                for (lane, channel) in channels.iter().enumerate() {
                    let room = group.room(&self.plan, lane, self.filled, block);
                    room.copy_from_slice(&channel[taken..taken + block]);
                }
            }
            taken += block;
            self.filled += block;
            self.frames_pushed += block as u64;
            if self.filled == self.plan.frames {
                out.push(self.finish_hop());
            }
        }
    }

    fn finish_hop(&mut self) -> Hop {
        let frames = self.plan.frames as u32;
        let mut channels = vec![ChannelHop::default(); self.states.len()].into_boxed_slice();
        let lanes = self.states.chunks_mut(LANES).zip(channels.chunks_mut(LANES));
        for (group, (states, hops)) in self.groups.iter_mut().zip(lanes) {
            group.measure(&self.plan, states, hops);
        }
        for (state, hop) in self.states.iter_mut().zip(&channels) {
            state.since_start.add(hop, frames);
            state.silence.add(hop, frames);
            state.noise.add(hop, frames);
        }
        self.filled = 0;
        Hop { first_frame: self.frames_pushed - u64::from(frames), frames, channels }
    }

    /// Frames were lost here: filters restart from silence, the partial hop and partial seconds are discarded, counters
    /// and long-term facts go on. The signal then starts hard, which may lift the next true peak by some 0.5 dB.
    pub fn reset_after_gap(&mut self) {
        self.filled = 0;
        for group in &mut self.groups {
            group.reset(&self.plan);
        }
        for state in &mut self.states {
            state.reset_after_gap();
        }
    }

    /// The slow facts of channel `n`; `None` beyond the last channel.
    pub fn channel(&self, n: usize) -> Option<&ChannelState> {
        self.states.get(n)
    }
}

impl ChannelState {
    fn new(rate: u32, hum: Option<hum::Hum>) -> Self {
        Self {
            since_start: Summary::default(),
            silence: silence::Tracker::new(rate),
            noise: noise::Noise::new(rate),
            flat_top: clip::FlatTop::new(rate),
            hum,
            rail: clip::Rail::default(),
        }
    }

    fn reset_after_gap(&mut self) {
        self.noise.discard_second();
        self.flat_top.reset();
        self.rail.reset();
        if let Some(hum) = &mut self.hum {
            hum.discard_window();
        }
    }
}
