//! What the demo plays: real voices if the Debian package is there, else tones, said so; and the comparison afterwards.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::open_wav;
use crate::audio::resample::whole_at_48k;

/// Where `asterisk-core-sounds-en-wav` puts its voices.
const SOUNDS: &str = "/usr/share/asterisk/sounds/en_US_f_Allison";
/// Frames per second of the demo's server.
const RATE: u32 = 48_000;
/// Length of what is played, before it repeats.
const LOOP_SECONDS: usize = 60;
/// Level of the room's noise under the voices, so that no stretch of it is like another: about -66 dBFS.
const ROOM_NOISE: f32 = 0.0005;
/// A recorded stretch this long is found in what was played only where it was played.
const KEY_FRAMES: usize = 256;

/// What is played, and in words.
pub struct Voices {
    /// One loop per channel, every sample a multiple of 2^-23.
    pub channels: Vec<Vec<f32>>,
    /// For the person watching.
    pub what: &'static str,
}

/// Voices for `channels` channels, each beginning elsewhere.
pub fn load(channels: usize) -> anyhow::Result<Voices> {
    let files = wav_files(Path::new(SOUNDS));
    let what = match files.is_empty() {
        true => "tones (for voices: apt-get install asterisk-core-sounds-en-wav)",
        false => "voices",
    };
    let channels = (0..channels)
        .map(|channel| match files.is_empty() {
            true => Ok(tone(channel)),
            false => talk(&files, channel),
        })
        .collect::<anyhow::Result<_>>()?;
    Ok(Voices { channels, what })
}

fn wav_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == "wav")).collect();
    files.sort();
    files
}

/// One prompt after another with a pause between, from a place of the channel's own.
fn talk(files: &[PathBuf], channel: usize) -> anyhow::Result<Vec<f32>> {
    let wanted = LOOP_SECONDS * RATE as usize;
    let mut noise = Noise(channel as u32 + 1);
    let mut samples = Vec::with_capacity(wanted);
    for path in files.iter().cycle().skip(channel * 37) {
        let mut reader = open_wav(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let (rate, frames) = (reader.about().spec.rate, reader.about().frames as usize);
        let mut planar = vec![Vec::new(); usize::from(reader.about().spec.channels)];
        reader.read(frames, &mut planar)?;
        samples.extend(whole_at_48k(&planar[0], rate)?);
        samples.extend(std::iter::repeat_n(0.0, RATE as usize / 2));
        if samples.len() >= wanted {
            break;
        }
    }
    samples.truncate(wanted);
    Ok(samples.into_iter().map(|sample| on_grid(sample * 0.5 + noise.next() * ROOM_NOISE)).collect())
}

fn tone(channel: usize) -> Vec<f32> {
    let mut noise = Noise(channel as u32 + 1);
    let hertz = 220.0 * (channel + 1) as f32;
    let phase = |frame: usize| frame as f32 / RATE as f32 * hertz * std::f32::consts::TAU;
    let swell = |frame: usize| 0.5 + 0.5 * (frame as f32 / RATE as f32 * 3.0).sin();
    let frames = 0..LOOP_SECONDS * RATE as usize;
    frames.map(|frame| on_grid(0.2 * swell(frame) * phase(frame).sin() + noise.next() * ROOM_NOISE)).collect()
}

/// The nearest value that 24 bits hold: what is played can then be recorded exactly.
fn on_grid(sample: f32) -> f32 {
    const FULL_SCALE: f32 = 8_388_608.0;
    (sample.clamp(-0.99, 0.99) * FULL_SCALE).round() / FULL_SCALE
}

/// A linear congruential generator (Numerical Recipes): noise that is the same every time.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / 8_388_608.0 - 1.0
    }
}

/// Where the recording first differs from what was played; none if it is the same throughout.
pub fn compare(path: &Path, played: &[Vec<f32>]) -> anyhow::Result<Option<String>> {
    let mut reader = open_wav(path)?;
    let mut recorded = vec![Vec::new(); played.len()];
    reader.read(reader.about().frames as usize, &mut recorded)?;
    let Some(offset) = find(&recorded[0], &played[0]) else {
        return Ok(Some("its beginning is nowhere in what was played".into()));
    };
    for (channel, (recorded, played)) in recorded.iter().zip(played).enumerate() {
        let expected = (0..recorded.len()).map(|frame| played[(offset + frame) % played.len()]);
        if let Some(frame) = recorded.iter().zip(expected).position(|(got, expected)| *got != expected) {
            return Ok(Some(format!("channel {} differs first at frame {frame}", channel + 1)));
        }
    }
    Ok(None)
}

fn find(recorded: &[f32], played: &[f32]) -> Option<usize> {
    let key = recorded.get(..KEY_FRAMES)?;
    (0..played.len()).find(|&offset| key.iter().enumerate().all(|(k, s)| played[(offset + k) % played.len()] == *s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::pcm::SampleFormat;
    use crate::audio::wav::{WavSpec, WavWriter};
    use crate::audio::{Encoder, Loudness};

    fn recorded(samples: &[f32]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        let spec = WavSpec { rate: RATE, channels: 1, format: SampleFormat::Pcm24 };
        let mut writer = WavWriter::open_plain(std::fs::File::create(&path).unwrap(), spec).unwrap();
        writer.write(&[samples]).unwrap();
        writer.finish(&[], &Loudness::default()).unwrap();
        (folder, path)
    }

    #[test]
    fn a_recording_that_wraps_around_the_loop_is_the_same() {
        let played = tone(0)[..RATE as usize].to_vec();
        let samples: Vec<f32> = played.iter().cycle().skip(40_000).take(20_000).copied().collect();
        let (_folder, path) = recorded(&samples);
        assert_eq!(compare(&path, &[played]).unwrap(), None);
    }

    #[test]
    fn one_wrong_sample_is_found_and_located() {
        let played = tone(0)[..RATE as usize].to_vec();
        let mut samples = played[1_000..9_000].to_vec();
        samples[5_000] += 1.0 / 8_388_608.0;
        let (_folder, path) = recorded(&samples);
        assert!(compare(&path, &[played]).unwrap().unwrap().contains("frame 5000"));
    }
}
