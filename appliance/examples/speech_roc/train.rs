//! Where the constants of `speech/weights.rs` come from: voices, noises, labels, and gradient descent without chance.

use crate::scene::{Room, Scene, reverberant};
use crate::signals::{self, Chance, Kind, babbler};
use crate::voices::Voice;

const HIDDEN: usize = 12;
const EPOCHS: usize = 40;
const BATCH: usize = 64;
/// Every how many 20 ms steps an example is taken.
const STRIDE: usize = 5;

struct Example {
    features: Vec<f64>,
    is_speech: bool,
    weight: f64,
}

/// Trains on `voices` and returns the text of `weights.rs`.
pub fn train(voices: &[Voice]) -> String {
    let mut chance = Chance::new(1);
    let mut examples = Vec::new();
    for (n, voice) in voices.iter().enumerate() {
        for turn in 0..2 {
            with_voice(voice, (2 * n + turn) as u64, &mut chance, &mut examples);
        }
    }
    for seed in 0..2400 {
        without_voice(seed, &mut chance, &mut examples);
    }
    let (yes, no): (Vec<_>, Vec<_>) = examples.iter().partition(|e| e.is_speech);
    eprintln!("{} examples with speech, {} without", yes.len(), no.len());
    let balance = no.iter().map(|e| e.weight).sum::<f64>() / yes.iter().map(|e| e.weight).sum::<f64>();
    examples.iter_mut().filter(|e| e.is_speech).for_each(|e| e.weight *= balance);
    let (mean, scale) = standardise(&mut examples);
    let net = descend(&examples, &mut chance);
    net.to_source(&mean, &scale)
}

fn with_voice(voice: &Voice, seed: u64, chance: &mut Chance, out: &mut Vec<Example>) {
    let high = if voice.rate == 8000 { 48_000 } else { 2 * voice.rate };
    let rate = if chance.unit() < 0.25 { high } else { high / if voice.rate == 8000 { 3 } else { 1 } };
    let mut samples = voice.at_rate(rate);
    samples.truncate(8 * rate as usize);
    if chance.unit() < 0.4 {
        samples = reverberant(&samples, rate, chance);
    }
    let kinds = [Kind::White, Kind::Pink, Kind::LowPassed, Kind::Hum, Kind::Tone, Kind::Switching];
    let room = Room {
        kind: kinds[(chance.unit() * 6.0) as usize % 6],
        snr_db: [0.0, 3.0, 6.0, 10.0, 15.0, 25.0, 45.0][(chance.unit() * 7.0) as usize % 7],
        level_dbfs: chance.between(-58.0, -8.0),
        lead_seconds: chance.between(0.3, 3.0),
        tail_seconds: 2.5,
        seed,
    };
    collect(&Scene::new(&samples, rate, room), 1.0, out);
}

/// Rooms alone, machines switched on, and above all events in a room that are not speech: they begin and stop as voices
/// do, or the model would learn that whatever is new is speech.
fn without_voice(seed: u64, chance: &mut Chance, out: &mut Vec<Example>) {
    let rate = [16_000, 16_000, 44_100, 48_000][(chance.unit() * 4.0) as usize % 4];
    let frames = 6 * rate as usize;
    let is_room_only = seed.is_multiple_of(4);
    let event = match is_room_only {
        true => vec![0.0; frames],
        false => signals::make(Kind::EVENTS[seed as usize % Kind::EVENTS.len()], rate, frames, 33_000 + seed),
    };
    let room = Room {
        kind: Kind::ROOM[(chance.unit() * 4.0) as usize % 4],
        snr_db: if is_room_only { 0.0 } else { chance.between(-5.0, 45.0) },
        level_dbfs: chance.between(-60.0, -8.0),
        lead_seconds: chance.between(0.0, 3.0),
        tail_seconds: 1.0,
        seed: 77_000 + seed,
    };
    let mut scene = Scene::new(&event, rate, room);
    if chance.unit() < 0.2 {
        scene.mix[..rate as usize].fill(0.0);
    }
    let mut floor = Chance::new(seed);
    let quiet = 10f32.powf(chance.between(-110.0, -75.0) / 20.0);
    scene.mix.iter_mut().for_each(|x| *x += quiet * floor.gauss());
    scene.truth.fill(false);
    collect(&scene, if is_room_only { 1.0 } else { 2.0 }, out);
}

/// A second with at least 30 % voice (exponentially weighted, as the features are) is speech, one with less than 2 %
/// is not, what lies between is left out.
fn collect(scene: &Scene, weight: f64, out: &mut Vec<Example>) {
    let mut share = 0.0;
    scene.run(|detector, n| {
        share += 0.04 * (f32::from(u8::from(scene.truth.get(n).copied().unwrap_or(false))) - share);
        if n % STRIDE != 0 || n < 15 || (0.02..0.3).contains(&share) {
            return;
        }
        let features = detector.features(0).iter().map(|x| f64::from(*x)).collect();
        out.push(Example { features, is_speech: share >= 0.3, weight });
    });
}

/// Moves every feature to mean 0 and deviation 1; returns means and inverse deviations.
fn standardise(examples: &mut [Example]) -> (Vec<f64>, Vec<f64>) {
    let (count, width) = (examples.len() as f64, examples[0].features.len());
    let mean: Vec<f64> = (0..width).map(|k| examples.iter().map(|e| e.features[k]).sum::<f64>() / count).collect();
    let scale: Vec<f64> = (0..width)
        .map(|k| (examples.iter().map(|e| (e.features[k] - mean[k]).powi(2)).sum::<f64>() / count).sqrt().recip())
        .collect();
    for example in examples {
        for k in 0..width {
            example.features[k] = ((example.features[k] - mean[k]) * scale[k]).clamp(-4.0, 4.0);
        }
    }
    (mean, scale)
}

/// All weights in one list: per unit its inputs and bias, then the output weights, then the output bias.
struct Net {
    width: usize,
    weights: Vec<f64>,
}

impl Net {
    /// Adds the gradient of the weighted log loss of one example, returns the loss.
    fn learn(&self, example: &Example, gradient: &mut [f64]) -> f64 {
        let row = self.width + 1;
        let (units, outputs) = self.weights.split_at(HIDDEN * row);
        let mut held = [0.0; HIDDEN];
        let mut slope = [0.0; HIDDEN];
        let mut sum = outputs[HIDDEN];
        for unit in 0..HIDDEN {
            let weights = &units[unit * row..][..row];
            let drive = weights[row - 1] + weights.iter().zip(&example.features).map(|(w, x)| w * x).sum::<f64>();
            held[unit] = drive / (1.0 + drive.abs());
            slope[unit] = 1.0 / (1.0 + drive.abs()).powi(2);
            sum += outputs[unit] * held[unit];
        }
        let p = 1.0 / (1.0 + (-sum).exp());
        let error = example.weight * (p - f64::from(u8::from(example.is_speech)));
        for unit in 0..HIDDEN {
            gradient[HIDDEN * row + unit] += error * held[unit];
            let back = error * outputs[unit] * slope[unit];
            let part = &mut gradient[unit * row..][..row];
            part.iter_mut().zip(&example.features).for_each(|(g, x)| *g += back * x);
            part[row - 1] += back;
        }
        gradient[HIDDEN * row + HIDDEN] += error;
        -example.weight * if example.is_speech { p.max(1e-12).ln() } else { (1.0 - p).max(1e-12).ln() }
    }

    fn to_source(&self, mean: &[f64], scale: &[f64]) -> String {
        let short = |v: &f64| format!("{:?}", ((v * 1e4).round() / 1e4) as f32);
        let list = |values: &[f64]| values.iter().map(short).collect::<Vec<_>>().join(", ");
        let width = self.width;
        let row = width + 1;
        let rows: Vec<String> =
            self.weights[..HIDDEN * row].chunks(row).map(|r| format!("    [{}],\n", list(r))).collect();
        let outputs = &self.weights[HIDDEN * row..];
        format!(
            "//! The trained constants of the speech model. Written by `cargo run --release --example speech_roc -- \
             --train`;\n//! the voices it used are named there. Change nothing here by hand.\n\n\
             /// Numbers that describe a second.\npub(super) const FEATURES: usize = {width};\n\
             /// Units between the features and the score.\n\
             pub(super) const HIDDEN: usize = {HIDDEN};\n\
             /// Each input is moved to mean 0 and deviation 1 of the training set.\n\
             pub(super) const INPUT_MEAN: [f32; FEATURES] = [{}];\n\
             pub(super) const INPUT_SCALE: [f32; FEATURES] = [{}];\n\
             /// One row a unit; the last number is its bias.\n\
             pub(super) const WEIGHTS: [[f32; FEATURES + 1]; HIDDEN] = [\n{}];\n\
             pub(super) const OUTPUT_WEIGHTS: [f32; HIDDEN] = [{}];\n\
             pub(super) const OUTPUT_BIAS: f32 = {};\n",
            list(mean),
            list(scale),
            rows.concat(),
            list(&outputs[..HIDDEN]),
            short(&outputs[HIDDEN])
        )
    }
}

/// Adam (Kingma and Ba 2015) over shuffled batches, with a little weight decay.
fn descend(examples: &[Example], chance: &mut Chance) -> Net {
    let width = examples[0].features.len();
    let count = HIDDEN * (width + 2) + 1;
    let mut net = Net { width, weights: (0..count).map(|_| 0.4 * f64::from(chance.gauss())).collect() };
    let (mut first, mut second, mut gradient) = (vec![0.0; count], vec![0.0; count], vec![0.0; count]);
    let mut order: Vec<usize> = (0..examples.len()).collect();
    let mut step = 0;
    for epoch in 0..EPOCHS {
        for n in (1..order.len()).rev() {
            order.swap(n, (f64::from(chance.unit()) * (n + 1) as f64) as usize);
        }
        let rate = 0.004 * (1.0 - epoch as f64 / EPOCHS as f64).max(0.02);
        let mut loss = 0.0;
        for batch in order.chunks(BATCH) {
            gradient.iter_mut().zip(&net.weights).for_each(|(g, w)| *g = 1e-4 * w * BATCH as f64);
            loss += batch.iter().map(|n| net.learn(&examples[*n], &mut gradient)).sum::<f64>();
            step += 1;
            let warm = (1.0 - 0.9f64.powi(step), 1.0 - 0.999f64.powi(step));
            for n in 0..count {
                let g = gradient[n] / BATCH as f64;
                first[n] += 0.1 * (g - first[n]);
                second[n] += 0.001 * (g * g - second[n]);
                net.weights[n] -= rate * (first[n] / warm.0) / ((second[n] / warm.1).sqrt() + 1e-8);
            }
        }
        if epoch % 10 == 9 {
            eprintln!("epoch {}: loss {:.4}", epoch + 1, loss / examples.len() as f64);
        }
    }
    net
}

/// Voices of espeak-ng that are not human and not used for testing: they widen the range of pitch and rhythm.
pub fn synthetic_voices() -> Vec<Voice> {
    (0..40).map(|seed| Voice { rate: 16_000, samples: babbler(16_000, 6 * 16_000, seed) }).collect()
}
