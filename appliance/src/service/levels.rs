//! Levels for whoever watches many rooms: what one node's meters say, four times a second, in a few numbers.
//!
//! Lives here: [`Reducer`] (meter frames in, [`Levels`] out) and the form in which nodes tell them to each other. Does not
//! live here: who is told, and how. Pure: times are arguments. Nothing is invented: what was not measured is absent.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::capture::engine::meters::{ChannelMeter, ChannelState, MeterFrame, MeterStatus};

/// Messages a second, at most.
pub const RATE_HZ: u32 = 4;
/// More channels than this are told as so many groups of neighbours: a card has room for no more bars.
pub const GROUPS_MAX: usize = 8;
/// Levels that are older are not shown, microseconds.
pub const OLD_US: u64 = 2_000_000;
/// For so long a clip is told: messages may be dropped on their way, and eyes look elsewhere.
const CLIP_US: u64 = 10_000_000;
/// "Nothing is measured" is said this often, so that it is told from a node that went away.
const SAY_NOTHING_US: u64 = 1_000_000;

/// A channel of the group clipped in the last ten seconds.
pub const CLIPPED: u16 = 1;
/// All that is heard of the group is digital zero: a dead path.
pub const DIGITAL_ZERO: u16 = 2;
/// Nothing is connected to any channel of the group.
pub const NO_SOURCE: u16 = 4;
/// Somebody speaks.
pub const SPEECH: u16 = 8;
/// No more than a little noise: a quiet room.
pub const QUIET: u16 = 16;

/// Levels of one node. Channels stand in groups of neighbours, each of `channels / 8` of them, rounded up; the loudest of a
/// group counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Levels {
    /// Milliseconds since this stream began: what comes later than it should is old.
    pub ms: u64,
    /// Channels that are measured; 0 while none is.
    pub channels: u16,
    /// Highest sample of each group since the last message, dBFS; none is "no data".
    pub peak_dbfs: Vec<Option<f32>>,
    /// RMS of each group since the last message, dBFS; none is "no data".
    pub rms_dbfs: Vec<Option<f32>>,
    /// Of each group the sum of: 1 clipped in the last ten seconds, 2 digital zero, 4 no source, 8 speech, 16 quiet.
    pub flags: Vec<u16>,
}

impl Levels {
    /// Whether it has the form that a node gives it. What comes over a network is asked first.
    pub fn is_whole(&self) -> bool {
        let groups = self.flags.len();
        let are_levels = |levels: &[Option<f32>]| levels.iter().flatten().all(|level| level.is_finite());
        groups <= GROUPS_MAX
            && groups <= usize::from(self.channels)
            && self.peak_dbfs.len() == groups
            && self.rms_dbfs.len() == groups
            && are_levels(&self.peak_dbfs)
            && are_levels(&self.rms_dbfs)
    }
}

/// Meter frames in, levels out.
#[derive(Debug, Default)]
pub struct Reducer {
    channels: Vec<Heard>,
    /// Since levels were last taken.
    has_news: bool,
    heard_us: Option<u64>,
    said_us: Option<u64>,
}

/// What was heard of one channel since levels were last taken.
#[derive(Debug, Default)]
struct Heard {
    number: u16,
    peak: Option<f32>,
    power: f64,
    frames: u32,
    is_speech: bool,
    /// As the last frame said.
    status: Option<ChannelState>,
    is_connected: bool,
    clipped_us: Option<u64>,
}

impl Reducer {
    /// Takes a frame that arrived now.
    pub fn hear(&mut self, frame: &MeterFrame, now_us: u64) {
        if frame.status != MeterStatus::Live {
            *self = Self { said_us: self.said_us, ..Self::default() };
            return;
        }
        let numbers = frame.channels.iter().map(|channel| channel.number);
        if !numbers.clone().eq(self.channels.iter().map(|heard| heard.number)) {
            self.channels = numbers.map(|number| Heard { number, ..Heard::default() }).collect();
        }
        for (heard, channel) in self.channels.iter_mut().zip(&frame.channels) {
            heard.hear(channel, now_us);
        }
        (self.has_news, self.heard_us) = (true, Some(now_us));
    }

    /// What was heard since it was last asked; nothing if that was told. That nothing is measured is news once a second.
    pub fn take(&mut self, now_us: u64) -> Option<Levels> {
        if std::mem::take(&mut self.has_news) {
            self.said_us = Some(now_us);
            let per_group = self.channels.len().div_ceil(GROUPS_MAX).max(1);
            let groups = self.channels.chunks(per_group);
            let levels = Levels {
                ms: 0,
                channels: self.channels.len() as u16,
                peak_dbfs: groups.clone().map(|group| loudest(group, |heard| heard.peak)).collect(),
                rms_dbfs: groups.clone().map(|group| loudest(group, Heard::rms)).collect(),
                flags: groups.map(|group| flags(group, now_us)).collect(),
            };
            self.channels.iter_mut().for_each(Heard::forget);
            return Some(levels);
        }
        let passed = |since: Option<u64>, us: u64| since.is_none_or(|since| now_us.saturating_sub(since) >= us);
        let is_silent = passed(self.heard_us, SAY_NOTHING_US) && passed(self.said_us, SAY_NOTHING_US);
        is_silent.then(|| {
            self.said_us = Some(now_us);
            Levels::default()
        })
    }
}

impl Heard {
    fn hear(&mut self, channel: &ChannelMeter, now_us: u64) {
        self.peak = self.peak.into_iter().chain(channel.peak_dbfs).reduce(f32::max);
        if let Some(rms) = channel.rms_dbfs {
            self.power += 10_f64.powf(f64::from(rms) / 10.0);
            self.frames += 1;
        }
        self.is_speech |= channel.is_speech;
        (self.status, self.is_connected) = (Some(channel.status), channel.is_connected);
        if channel.clipped > 0 {
            self.clipped_us = Some(now_us);
        }
    }

    fn rms(&self) -> Option<f32> {
        (self.frames > 0).then(|| (10.0 * (self.power / f64::from(self.frames)).log10()) as f32)
    }

    /// All but what lasts.
    fn forget(&mut self) {
        (self.peak, self.power, self.frames, self.is_speech) = (None, 0.0, 0, false);
    }
}

/// To a tenth of a decibel: finer is not seen and longer on the wire.
fn loudest(group: &[Heard], level: impl Fn(&Heard) -> Option<f32>) -> Option<f32> {
    let loudest = group.iter().filter_map(level).filter(|level| level.is_finite()).reduce(f32::max);
    loudest.map(|level| (level * 10.0).round() / 10.0)
}

fn flags(group: &[Heard], now_us: u64) -> u16 {
    let any = |is: &dyn Fn(&Heard) -> bool| group.iter().any(is);
    let all_heard_are = |status: &[ChannelState]| {
        let mut heard = group.iter().filter_map(|heard| heard.status).filter(|status| *status != ChannelState::NoData);
        heard.clone().count() > 0 && heard.all(|is| status.contains(&is))
    };
    let is_recent = |at: u64| now_us.saturating_sub(at) < CLIP_US;
    let is_dead = all_heard_are(&[ChannelState::DigitalZero]);
    let said = [
        (any(&|heard| heard.clipped_us.is_some_and(is_recent)), CLIPPED),
        (is_dead, DIGITAL_ZERO),
        (!any(&|heard| heard.is_connected), NO_SOURCE),
        (any(&|heard| heard.is_speech), SPEECH),
        (!is_dead && all_heard_are(&[ChannelState::Quiet, ChannelState::DigitalZero]), QUIET),
    ];
    said.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::tests::meter_frame;

    const SECOND: u64 = 1_000_000;

    fn frame(levels: &[Option<f32>]) -> MeterFrame {
        let mut frame = meter_frame(levels.len() as u16);
        for (channel, level) in frame.channels.iter_mut().zip(levels) {
            (channel.peak_dbfs, channel.rms_dbfs) = (*level, level.map(|level| level - 10.0));
            channel.is_speech = false;
        }
        frame
    }

    #[test]
    fn the_peak_is_the_highest_and_rms_the_mean_of_the_power() {
        let mut reducer = Reducer::default();
        for level in [-20.0, -10.0, -20.0, -20.0] {
            reducer.hear(&frame(&[Some(level), None]), SECOND);
        }

        let levels = reducer.take(SECOND).unwrap();

        assert_eq!(levels.peak_dbfs, [Some(-10.0), None]);
        // (3 * 10^-3 + 10^-2) / 4 is -24.9 dB.
        assert_eq!(levels.rms_dbfs, [Some(-24.9), None]);
        assert_eq!((levels.channels, levels.is_whole()), (2, true));
        assert_eq!(reducer.take(SECOND), None, "the same is not told twice");
    }

    #[test]
    fn many_channels_are_a_few_groups_of_neighbours() {
        let mut reducer = Reducer::default();
        let mut levels = vec![Some(-60.0); 64];
        levels[9] = Some(-3.0);
        reducer.hear(&frame(&levels), SECOND);

        let told = reducer.take(SECOND).unwrap();

        assert_eq!((told.channels, told.flags.len()), (64, GROUPS_MAX));
        assert_eq!(told.peak_dbfs[..3], [Some(-60.0), Some(-3.0), Some(-60.0)]);
        for channels in 1..=64 {
            reducer.hear(&frame(&vec![Some(-6.0); channels]), SECOND);
            let told = reducer.take(SECOND).unwrap();
            assert!(told.is_whole() && told.flags.len() >= channels.min(5), "{channels}: {told:?}");
        }
    }

    #[test]
    fn a_clip_is_told_for_ten_seconds() {
        let mut reducer = Reducer::default();
        let mut clipped = frame(&[Some(0.0)]);
        clipped.channels[0].clipped = 4;
        reducer.hear(&clipped, SECOND);
        let mut is_told_at = |at: u64| {
            reducer.hear(&frame(&[Some(-20.0)]), at);
            reducer.take(at).unwrap().flags[0] & CLIPPED != 0
        };
        assert!(is_told_at(SECOND) && is_told_at(10 * SECOND));
        assert!(!is_told_at(11 * SECOND));
    }

    #[test]
    fn frames_that_stop_are_no_levels_and_that_is_said_once_a_second() {
        let mut reducer = Reducer::default();
        assert_eq!(reducer.take(5 * SECOND), Some(Levels::default()), "nothing was ever heard");
        reducer.hear(&frame(&[Some(-20.0)]), 6 * SECOND);
        assert_eq!(reducer.take(6 * SECOND).unwrap().channels, 1);
        assert_eq!(reducer.take(6 * SECOND + 900_000), None);
        assert_eq!(reducer.take(7 * SECOND), Some(Levels::default()));
        assert_eq!(reducer.take(7 * SECOND + 250_000), None);
        reducer.hear(&frame(&[Some(-20.0)]), 8 * SECOND);
        let stopped = MeterFrame { status: MeterStatus::NoData, ..frame(&[None]) };
        reducer.hear(&stopped, 8 * SECOND);
        assert_eq!(reducer.take(8 * SECOND + 100_000), Some(Levels::default()), "the old window is not told");
    }

    #[test]
    fn a_group_is_dead_only_if_all_that_is_heard_of_it_is() {
        let mut reducer = Reducer::default();
        let mut sixteen = frame(&[Some(-200.0); 16]);
        for channel in &mut sixteen.channels {
            channel.status = ChannelState::DigitalZero;
        }
        sixteen.channels[1].status = ChannelState::Quiet;
        (sixteen.channels[2].status, sixteen.channels[2].is_connected) = (ChannelState::NoData, false);
        sixteen.channels[4].is_connected = false;
        sixteen.channels[5].is_connected = false;
        reducer.hear(&sixteen, SECOND);

        let flags = reducer.take(SECOND).unwrap().flags;

        assert_eq!(flags[..3], [QUIET, DIGITAL_ZERO, DIGITAL_ZERO | NO_SOURCE]);
    }

    #[test]
    fn what_has_another_form_is_refused() {
        let good = Levels { ms: 1, channels: 1, peak_dbfs: vec![Some(-1.0)], rms_dbfs: vec![None], flags: vec![0] };
        assert!(good.is_whole() && Levels::default().is_whole());
        let many = vec![None; GROUPS_MAX + 1];
        for odd in [
            Levels { channels: 0, ..good.clone() },
            Levels { rms_dbfs: Vec::new(), ..good.clone() },
            Levels { peak_dbfs: vec![Some(f32::INFINITY)], ..good.clone() },
            Levels { channels: 9, peak_dbfs: many.clone(), rms_dbfs: many, flags: vec![0; GROUPS_MAX + 1], ..good },
        ] {
            assert!(!odd.is_whole(), "{odd:?}");
        }
    }
}
