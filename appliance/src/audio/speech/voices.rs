//! Reads voices from Debian's sound packages. Shared by the tests and `examples/speech_roc.rs`.
//!
//! Only mono 16-bit PCM WAV, which is what those packages hold.

use super::signals::rms;
use std::path::{Path, PathBuf};

/// A recording and its rate.
pub struct Voice {
    pub rate: u32,
    pub samples: Vec<f32>,
}

/// All usable recordings below `folder`, in order of path; the error names the package that brings the folder.
pub fn load(folder: &Path) -> Result<Vec<Voice>, String> {
    let mut paths = Vec::new();
    collect(folder, &mut paths);
    paths.sort();
    let voices: Vec<Voice> = paths.iter().filter(|path| is_voice(path)).filter_map(|path| read(path)).collect();
    if voices.is_empty() {
        return Err(format!("No voices in {}: install {}.", folder.display(), package_of(folder)));
    }
    Ok(voices)
}

/// The Debian package a folder comes from.
fn package_of(folder: &Path) -> String {
    let text = folder.to_string_lossy();
    let language = text.rsplit('/').next().and_then(|name| name.get(..2)).unwrap_or("en");
    match text.contains("asterisk") {
        true => format!("the Debian package asterisk-core-sounds-{language}-wav"),
        false if text.contains("/alsa") => "the Debian package alsa-utils".into(),
        false => "the package that brings it".into(),
    }
}

/// Beeps and silences lie between the voices.
fn is_voice(path: &Path) -> bool {
    let text = path.to_string_lossy();
    !["silence/", "tone", "beep", "Noise", "tt-monkeys", "confbridge-join", "confbridge-leave"]
        .iter()
        .any(|no| text.contains(no))
}

fn collect(folder: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, out);
        } else if path.extension().is_some_and(|ext| ext == "wav") {
            out.push(path);
        }
    }
}

/// Mono 16-bit PCM, at least half a second, not silent; anything else is none.
fn read(path: &Path) -> Option<Voice> {
    let bytes = std::fs::read(path).ok()?;
    let at = bytes.windows(4).position(|w| w == b"data")? + 8;
    let channels = u16::from_le_bytes(bytes.get(22..24)?.try_into().ok()?);
    let rate = u32::from_le_bytes(bytes.get(24..28)?.try_into().ok()?);
    let bits = u16::from_le_bytes(bytes.get(34..36)?.try_into().ok()?);
    let samples: Vec<f32> =
        bytes.get(at..)?.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0).collect();
    let is_usable = channels == 1 && bits == 16 && samples.len() > rate as usize / 2 && rms(&samples) > 1e-3;
    is_usable.then_some(Voice { rate, samples })
}

impl Voice {
    /// The recording at a multiple of its rate (or its own), by a windowed sinc.
    pub fn at_rate(&self, rate: u32) -> Vec<f32> {
        let factor = (rate / self.rate).max(1) as usize;
        if factor == 1 {
            return self.samples.clone();
        }
        let taps: Vec<Vec<f32>> = (0..factor).map(|phase| phase_taps(phase as f32 / factor as f32)).collect();
        let half = taps[0].len() / 2;
        let get = |n: isize| usize::try_from(n).ok().and_then(|n| self.samples.get(n)).copied().unwrap_or(0.0);
        (0..self.samples.len() * factor)
            .map(|n| {
                let base = (n / factor) as isize - half as isize + 1;
                taps[n % factor].iter().enumerate().map(|(k, tap)| tap * get(base + k as isize)).sum()
            })
            .collect()
    }
}

/// Sixteen taps that look up a signal `at` of the way to its next sample.
fn phase_taps(at: f32) -> Vec<f32> {
    (0..16)
        .map(|k| {
            let x = k as f32 - 7.0 - at;
            let sinc = if x.abs() < 1e-6 { 1.0 } else { (std::f32::consts::PI * x).sin() / (std::f32::consts::PI * x) };
            sinc * (0.5 + 0.5 * (std::f32::consts::PI * x / 8.5).cos())
        })
        .collect()
}
