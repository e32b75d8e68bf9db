//! What people listen to of many microphones: one as it is, two as they are, more as one mix.
//!
//! Lives here: the mix. Does not live here: which channels someone chose. It may assume planar samples. The rule for more
//! than two: each channel's share of the mix is its share of the power heard lately (gain sharing, as automatic
//! microphone mixers have it since Dugan, JAES 1975). So a loud channel stays audible however many are open, the noise of
//! the open ones does not add up, and the mix is never louder than its loudest channel, so it cannot clip. A master is
//! never mixed: this is for ears.

/// Frames in which shares go in a straight line from old to new: 5 ms at 48 kHz, so that no step is heard.
const STEP_FRAMES: usize = 256;
/// How fast a share rises: an open word is not swallowed.
const ATTACK_SECONDS: f32 = 0.01;
/// How fast it falls: a pause between words does not pump.
const RELEASE_SECONDS: f32 = 0.25;
/// Power that every channel has at least, -90 dBFS: in silence all shares are equal.
const FLOOR_POWER: f32 = 1e-9;

/// Mixes some channels for listening. Its state is one step: no delay, constant memory, and the size of the blocks does
/// not change what comes out.
#[derive(Debug, Clone)]
pub struct Mixer {
    /// Indices of the channels to hear.
    picked: Vec<usize>,
    sharing: Option<Sharing>,
}

#[derive(Debug, Clone)]
struct Sharing {
    attack: f32,
    release: f32,
    /// Per picked channel: power lately, and the sum of squares of this step.
    power: Vec<(f32, f32)>,
    /// Per picked channel: share at the beginning of this step and at its end.
    shares: Vec<(f32, f32)>,
    /// Frames of this step so far.
    at: usize,
}

impl Mixer {
    /// Over the channels with these indices; none is silence in one channel.
    pub fn new(rate: u32, picked: Vec<usize>) -> Self {
        let step_seconds = STEP_FRAMES as f32 / rate.max(1) as f32;
        let share = 1.0 / picked.len().max(1) as f32;
        let sharing = (picked.len() > 2).then(|| Sharing {
            attack: 1.0 - (-step_seconds / ATTACK_SECONDS).exp(),
            release: 1.0 - (-step_seconds / RELEASE_SECONDS).exp(),
            power: vec![(FLOOR_POWER, 0.0); picked.len()],
            shares: vec![(share, share); picked.len()],
            at: 0,
        });
        Self { picked, sharing }
    }

    /// Channels that come out: 1 or 2.
    pub fn channels(&self) -> usize {
        if self.picked.len() == 2 { 2 } else { 1 }
    }

    /// Replaces `out` (one vector per channel that comes out) by the mix of a block. A channel that the block does not
    /// have is silent.
    pub fn mix(&mut self, planar: &[&[f32]], out: &mut Vec<Vec<f32>>) {
        let frames = planar.iter().map(|channel| channel.len()).min().unwrap_or(0);
        out.resize_with(self.channels(), Vec::new);
        for channel in out.iter_mut() {
            channel.clear();
            channel.resize(frames, 0.0);
        }
        let Some(sharing) = &mut self.sharing else {
            for (channel, index) in out.iter_mut().zip(&self.picked) {
                if let Some(samples) = planar.get(*index) {
                    channel.copy_from_slice(&samples[..frames]);
                }
            }
            return;
        };
        let picked: Vec<&[f32]> = self.picked.iter().map(|index| planar.get(*index).map_or(&[][..], |c| c)).collect();
        let Some(out) = out.first_mut() else { return };
        let mut from = 0;
        while from < frames {
            let count = (STEP_FRAMES - sharing.at).min(frames - from);
            sharing.add(&picked, from, &mut out[from..from + count]);
            from += count;
        }
    }
}

impl Sharing {
    /// Mixes a part of a step.
    fn add(&mut self, picked: &[&[f32]], from: usize, out: &mut [f32]) {
        let at = self.at;
        for ((channel, (old, new)), (_, sum)) in picked.iter().zip(&self.shares).zip(&mut self.power) {
            let slope = (new - old) / STEP_FRAMES as f32;
            for (n, (sample, out)) in channel.iter().skip(from).zip(out.iter_mut()).enumerate() {
                let sample = if sample.is_nan() { 0.0 } else { sample.clamp(-1.0, 1.0) };
                *out += sample * (old + slope * (at + n) as f32);
                *sum += sample * sample;
            }
        }
        self.at += out.len();
        if self.at == STEP_FRAMES {
            self.end_step();
        }
    }

    fn end_step(&mut self) {
        self.at = 0;
        for (power, sum) in &mut self.power {
            let heard = *sum / STEP_FRAMES as f32;
            let speed = if heard > *power { self.attack } else { self.release };
            *power = (*power + (heard - *power) * speed).max(FLOOR_POWER);
            *sum = 0.0;
        }
        let total: f32 = self.power.iter().map(|(power, _)| power).sum();
        for ((old, new), (power, _)) in self.shares.iter_mut().zip(&self.power) {
            *old = *new;
            *new = power / total;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: u32 = 48_000;

    fn mixed(picked: Vec<usize>, audio: &[Vec<f32>], step: usize) -> Vec<Vec<f32>> {
        let mut mixer = Mixer::new(RATE, picked);
        let (mut all, mut out) = (vec![Vec::new(); mixer.channels()], Vec::new());
        for from in (0..audio[0].len()).step_by(step) {
            let planar: Vec<&[f32]> = audio.iter().map(|c| &c[from..c.len().min(from + step)]).collect();
            mixer.mix(&planar, &mut out);
            all.iter_mut().zip(&out).for_each(|(all, out)| all.extend(out));
        }
        all
    }

    fn tone(hz: f32, level: f32) -> Vec<f32> {
        (0..RATE).map(|n| level * (std::f32::consts::TAU * hz * n as f32 / RATE as f32).sin()).collect()
    }

    fn rms(samples: &[f32]) -> f32 {
        (samples.iter().map(|x| x * x).sum::<f32>() / samples.len() as f32).sqrt()
    }

    #[test]
    fn one_and_two_channels_are_as_they_are() {
        let audio = vec![tone(440.0, 0.5), tone(550.0, 0.25), tone(660.0, 0.1)];
        assert_eq!(mixed(vec![1], &audio, 1000), [audio[1].clone()]);
        assert_eq!(mixed(vec![2, 0], &audio, 1000), [audio[2].clone(), audio[0].clone()]);
        assert_eq!(mixed(vec![7], &audio, 1000), [vec![0.0; RATE as usize]]);
    }

    #[test]
    fn one_loud_microphone_of_sixteen_is_heard_as_loud_as_alone() {
        let mut audio: Vec<Vec<f32>> = (0..16).map(|n| tone(100.0 + 10.0 * n as f32, 0.002)).collect();
        audio[5] = tone(440.0, 0.25);
        let mix = &mixed((0..16).collect(), &audio, 480)[0][4800..];
        let loss_db = 20.0 * (rms(mix) / rms(&audio[5][4800..])).log10();
        assert!(loss_db.abs() < 0.5, "{loss_db} dB");
    }

    #[test]
    fn a_word_is_there_within_twenty_milliseconds() {
        let mut audio = vec![tone(440.0, 0.02), tone(550.0, 0.02), tone(660.0, 0.25)];
        audio[2][..24_000].fill(0.0);
        let mix = &mixed(vec![0, 1, 2], &audio, 480)[0];
        let word = &mix[24_960..25_920];
        assert!(rms(word) > 0.7 * rms(&audio[2][24_960..25_920]), "{}", rms(word));
    }

    #[test]
    fn everybody_at_full_scale_does_not_clip() {
        let audio = vec![vec![1.0; 48_000]; 64];
        let mix = &mixed((0..64).collect(), &audio, 1024)[0];
        assert!(mix.iter().all(|x| (0.99..=1.0001).contains(x)));
    }

    #[test]
    fn a_broken_sample_is_not_heard_for_longer_than_it_lasts() {
        let mut audio = vec![tone(440.0, 0.1); 3];
        audio[0][100] = f32::NAN;
        audio[1][200] = f32::INFINITY;
        assert!(mixed(vec![0, 1, 2], &audio, 480)[0].iter().all(|x| x.is_finite()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_mix_is_never_louder_than_its_loudest_channel_whatever_the_blocks(seed in any::<u32>(), step in 1usize..3000) {
            let noise = |channel: usize, n: usize| {
                let hash = (n as u32 ^ seed).wrapping_mul(2_654_435_761).rotate_left(channel as u32);
                (hash as f32 / u32::MAX as f32 - 0.5) * if (n / 700 + channel).is_multiple_of(3) { 2.0 } else { 0.05 }
            };
            let audio: Vec<Vec<f32>> = (0..5).map(|c| (0..6000).map(|n| noise(c, n)).collect()).collect();
            let mix = mixed((0..5).collect(), &audio, step);
            for (n, sample) in mix[0].iter().enumerate() {
                let loudest = audio.iter().map(|c| c[n].abs()).fold(0.0, f32::max);
                prop_assert!(sample.abs() <= loudest * 1.0001 + 1e-6);
            }
            prop_assert!(mix == mixed((0..5).collect(), &audio, 6000));
        }
    }
}
