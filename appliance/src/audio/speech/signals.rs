//! Test signals: noises, tones and a stand-in for a voice. Shared by the tests and `examples/speech_roc.rs`.
//!
//! Everything is a function of its seed. Levels are RMS, linear.

use std::f32::consts::TAU;
use std::ops::Range;

/// A repeatable source of chance (xorshift64*).
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1u32 << 24) as f32
    }

    /// Uniform in `from..to`.
    pub fn between(&mut self, from: f32, to: f32) -> f32 {
        from + (to - from) * self.unit()
    }

    /// Nearly Gaussian, mean 0, deviation 1 (twelve uniforms).
    pub fn gauss(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }
}

/// Kinds of signals that are not speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    White,
    Pink,
    /// One-pole low-pass at 235 Hz twice: air conditioning.
    LowPassed,
    /// 50 or 60 Hz with ten harmonics.
    Hum,
    Tone,
    /// 50 to 400 ms tones with pauses.
    Beeps,
    /// Two-tone dial signals.
    Dial,
    Clicks,
    /// White noise, amplitude modulated at 0.2 to 0.5 or 15 to 40 Hz.
    Flutter,
    /// Pink noise switched between two levels every few seconds.
    Switching,
    /// Doors and steps: decaying low tones with a knock.
    Thumps,
    /// A sine that glides up or down again and again.
    Sweeps,
    /// Noise or a tone that swells 1 to 8 times a second, the rhythm of syllables.
    Pulsing,
    /// Stretches of coloured noise, 30 ms to 2 s, with pauses.
    Gusts,
    /// Paper and clothes. Never trained on.
    Rustle,
    /// Keys: pairs of short clicks with a ring. Never trained on.
    Typing,
    /// Struck three-note chords. Never trained on.
    Chords,
    /// One held note with vibrato and harmonics. Never trained on.
    Vibrato,
}

impl Kind {
    /// The noises a voice is mixed with.
    pub const ROOM: [Kind; 4] = [Kind::White, Kind::Pink, Kind::LowPassed, Kind::Hum];
    /// Events that happen in a room and are not speech; training knows these.
    pub const EVENTS: [Kind; 10] = [
        Kind::Tone,
        Kind::Beeps,
        Kind::Dial,
        Kind::Clicks,
        Kind::Flutter,
        Kind::Switching,
        Kind::Thumps,
        Kind::Sweeps,
        Kind::Pulsing,
        Kind::Gusts,
    ];
    /// Events training must never see: what they score is what a new room's sounds will score.
    pub const HELD_OUT: [Kind; 4] = [Kind::Rustle, Kind::Typing, Kind::Chords, Kind::Vibrato];
}

/// `frames` of `kind` with RMS 1 (peaks may exceed 1).
pub fn make(kind: Kind, rate: u32, frames: usize, seed: u64) -> Vec<f32> {
    let mut chance = Chance::new(seed.wrapping_add(kind as u64 * 7919));
    let mut out = match kind {
        Kind::White => (0..frames).map(|_| chance.gauss()).collect(),
        Kind::Pink => pink(&mut chance, frames),
        Kind::LowPassed => low_passed(&mut chance, rate, frames),
        Kind::Hum => hum(&mut chance, rate, frames),
        Kind::Tone => tone(chance.between(100.0, 3000.0), rate, frames),
        Kind::Beeps | Kind::Dial => bursts(&mut chance, kind, rate, frames),
        Kind::Clicks => clicks(&mut chance, rate, frames),
        Kind::Flutter => flutter(&mut chance, rate, frames),
        Kind::Switching => switching(&mut chance, rate, frames),
        Kind::Thumps => struck(&mut chance, rate, frames, 30.0..160.0, 0.2..1.2),
        Kind::Typing => struck(&mut chance, rate, frames, 900.0..2500.0, 0.06..0.3),
        Kind::Sweeps => sweeps(&mut chance, rate, frames),
        Kind::Pulsing => pulsing(&mut chance, rate, frames),
        Kind::Gusts | Kind::Rustle => gusts(&mut chance, kind, rate, frames),
        Kind::Chords => chords(&mut chance, rate, frames),
        Kind::Vibrato => vibrato(&mut chance, rate, frames),
    };
    scale_to(&mut out, 1.0);
    out
}

/// Root of the mean square.
pub fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|x| f64::from(x * x)).sum::<f64>() / samples.len().max(1) as f64).sqrt() as f32
}

/// Scales to an RMS; silence stays silence.
pub fn scale_to(samples: &mut [f32], level: f32) {
    let factor = level / rms(samples).max(1e-20);
    samples.iter_mut().for_each(|x| *x *= factor);
}

/// dBFS to linear.
pub fn linear(db: f32) -> f32 {
    10f32.powf(db / 20.0)
}

/// A stand-in for a voice: a gliding pulse train through three moving formants, syllables of 150-350 ms, word pauses.
pub fn babbler(rate: u32, frames: usize, seed: u64) -> Vec<f32> {
    let mut chance = Chance::new(seed);
    let mut out = Vec::with_capacity(frames);
    let base = chance.between(95.0, 210.0);
    let mut states = [[0.0f32; 2]; 3];
    let mut phase = 0.0f32;
    while out.len() < frames {
        let is_pause = chance.unit() < 0.2;
        let seconds = if is_pause { chance.between(0.1, 0.5) } else { chance.between(0.15, 0.35) };
        let length = (seconds * rate as f32) as usize;
        let loud = if is_pause { 0.0 } else { chance.between(0.4, 1.0) };
        let pitch = base * chance.between(0.85, 1.25);
        let glide = chance.between(-0.2, 0.2);
        let formants = [chance.between(300.0, 800.0), chance.between(900.0, 2200.0), chance.between(2300.0, 2900.0)];
        for n in 0..length {
            let at = n as f32 / length as f32;
            phase += pitch * (1.0 + glide * at) / rate as f32;
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
            phase -= phase.floor();
            let drive = loud * (std::f32::consts::PI * at).sin() * (pulse + 0.01 * chance.gauss());
            out.push(formants.iter().zip(&mut states).map(|(hz, state)| resonate(state, *hz, rate, drive)).sum());
        }
    }
    out.truncate(frames);
    scale_to(&mut out, 1.0);
    out
}

fn resonate(state: &mut [f32; 2], hz: f32, rate: u32, drive: f32) -> f32 {
    let radius = 1.0 - std::f32::consts::PI * 90.0 / rate as f32;
    let out = drive + 2.0 * radius * (TAU * hz / rate as f32).cos() * state[0] - radius * radius * state[1];
    *state = [out, state[0]];
    out
}

/// Paul Kellet's filter on white noise, good to 0.05 dB from 9.2 Hz up at 44.1 kHz.
fn pink(chance: &mut Chance, frames: usize) -> Vec<f32> {
    let mut b = [0.0f32; 6];
    (0..frames)
        .map(|_| {
            let white = chance.gauss();
            b[0] = 0.99886 * b[0] + white * 0.055_517_9;
            b[1] = 0.99332 * b[1] + white * 0.075_075_9;
            b[2] = 0.96900 * b[2] + white * 0.153_852;
            b[3] = 0.86650 * b[3] + white * 0.310_485_6;
            b[4] = 0.55000 * b[4] + white * 0.532_952_2;
            b[5] = -0.7616 * b[5] - white * 0.016_898;
            b.iter().sum::<f32>() + white * 0.5362
        })
        .collect()
}

fn low_passed(chance: &mut Chance, rate: u32, frames: usize) -> Vec<f32> {
    let keep = (-TAU * 235.0 / rate as f32).exp();
    let mut state = [0.0f32; 2];
    (0..frames)
        .map(|_| {
            state[0] = keep * state[0] + (1.0 - keep) * chance.gauss();
            state[1] = keep * state[1] + (1.0 - keep) * state[0];
            state[1]
        })
        .collect()
}

fn hum(chance: &mut Chance, rate: u32, frames: usize) -> Vec<f32> {
    let base = if chance.unit() < 0.5 { 50.0 } else { 60.0 };
    let parts: Vec<(f32, f32)> =
        (1..=10).map(|n| (chance.between(0.3, 1.0) / n as f32, chance.between(0.0, TAU))).collect();
    (0..frames)
        .map(|n| {
            let turn = (base * n as f64 / f64::from(rate)).fract() as f32 * TAU;
            let sum: f32 = parts.iter().enumerate().map(|(k, (a, at))| a * ((k + 1) as f32 * turn + at).sin()).sum();
            sum + 1e-3 * chance.gauss()
        })
        .collect()
}

fn tone(hz: f32, rate: u32, frames: usize) -> Vec<f32> {
    (0..frames).map(|n| ((f64::from(hz) * n as f64 / f64::from(rate)).fract() as f32 * TAU).sin()).collect()
}

fn bursts(chance: &mut Chance, kind: Kind, rate: u32, frames: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(frames);
    let hz = chance.between(300.0, 3000.0);
    while out.len() < frames {
        let length = (chance.between(0.05, 0.4) * rate as f32) as usize;
        let pause = (chance.between(0.05, 0.8) * rate as f32) as usize;
        if kind == Kind::Dial {
            let low = tone([697.0, 770.0, 852.0, 941.0][(chance.unit() * 4.0) as usize % 4], rate, length);
            let high = tone([1209.0, 1336.0, 1477.0][(chance.unit() * 3.0) as usize % 3], rate, length);
            out.extend(low.iter().zip(&high).map(|(a, b)| a + b));
        } else {
            out.extend(tone(hz, rate, length));
        }
        out.extend(std::iter::repeat_n(0.0, pause));
    }
    out.truncate(frames);
    out.iter_mut().for_each(|x| *x += 1e-3 * chance.gauss());
    out
}

fn clicks(chance: &mut Chance, rate: u32, frames: usize) -> Vec<f32> {
    let mut out: Vec<f32> = (0..frames).map(|_| 1e-3 * chance.gauss()).collect();
    let mut at = 0;
    while at < frames {
        let length = (chance.between(0.0005, 0.01) * rate as f32) as usize;
        let loud = chance.between(0.3, 1.0);
        for (n, x) in out[at..frames.min(at + length)].iter_mut().enumerate() {
            *x += loud * chance.gauss() * (-3.0 * n as f32 / length as f32).exp();
        }
        at += (chance.between(0.05, 1.0) * rate as f32) as usize + length;
    }
    out
}

fn flutter(chance: &mut Chance, rate: u32, frames: usize) -> Vec<f32> {
    let hz = if chance.unit() < 0.5 { chance.between(0.2, 0.5) } else { chance.between(15.0, 40.0) };
    (0..frames).map(|n| (1.0 + 0.9 * (TAU * hz * n as f32 / rate as f32).sin()) * chance.gauss()).collect()
}

fn switching(chance: &mut Chance, rate: u32, frames: usize) -> Vec<f32> {
    let mut out = pink(chance, frames);
    let mut at = 0;
    while at < frames {
        let length = (chance.between(1.0, 4.0) * rate as f32) as usize;
        let level = linear(chance.between(-20.0, 0.0));
        out[at..frames.min(at + length)].iter_mut().for_each(|x| *x *= level);
        at += length;
    }
    out
}

/// Decaying tones with a knock of noise, at chance times.
fn struck(chance: &mut Chance, rate: u32, frames: usize, hz: Range<f32>, pause: Range<f32>) -> Vec<f32> {
    let mut out = vec![0.0f32; frames];
    let mut at = 0;
    while at < frames {
        let (pitch, fall) = (chance.between(hz.start, hz.end), chance.between(10.0, 60.0));
        let (loud, knock) = (chance.between(0.3, 1.0), chance.between(0.05, 1.0));
        let length = (5.0 / fall * rate as f32) as usize;
        for (n, x) in out[at..frames.min(at + length)].iter_mut().enumerate() {
            let t = n as f32 / rate as f32;
            *x +=
                loud * ((TAU * pitch * t).sin() * (-fall * t).exp() + knock * chance.gauss() * (-8.0 * fall * t).exp());
        }
        at += (chance.between(pause.start, pause.end) * rate as f32) as usize;
    }
    out
}

fn sweeps(chance: &mut Chance, rate: u32, frames: usize) -> Vec<f32> {
    let (from, to) = (chance.between(150.0, 2500.0), chance.between(150.0, 2500.0));
    let per_second = chance.between(0.3, 3.0);
    let mut phase = 0.0f32;
    (0..frames)
        .map(|n| {
            let at = (per_second * n as f32 / rate as f32).fract();
            phase = (phase + (from + (to - from) * at) / rate as f32).fract();
            (TAU * phase).sin()
        })
        .collect()
}

fn pulsing(chance: &mut Chance, rate: u32, frames: usize) -> Vec<f32> {
    let carrier = match (chance.unit() * 3.0) as usize {
        0 => tone(chance.between(150.0, 2500.0), rate, frames),
        1 => pink(chance, frames),
        _ => (0..frames).map(|_| chance.gauss()).collect(),
    };
    let (hz, depth) = (chance.between(1.0, 8.0), chance.between(0.5, 1.0));
    let swell = |n: usize| 1.0 + depth * (TAU * hz * n as f32 / rate as f32).sin();
    carrier.iter().enumerate().map(|(n, x)| x * swell(n)).collect()
}

/// Stretches of noise through a resonance (gusts: wide and any length; rustle: high, short, crackling).
fn gusts(chance: &mut Chance, kind: Kind, rate: u32, frames: usize) -> Vec<f32> {
    let is_rustle = kind == Kind::Rustle;
    let mut out = Vec::with_capacity(frames);
    while out.len() < frames {
        let seconds = if is_rustle { chance.between(0.02, 0.2) } else { chance.between(0.03, 2.0) };
        let pause = if is_rustle { chance.between(0.0, 0.15) } else { chance.between(0.05, 1.0) };
        let length = (seconds * rate as f32) as usize;
        let (keep, loud) = (chance.between(-0.5, 0.95), chance.between(0.2, 1.0));
        let mut state = 0.0;
        for n in 0..length {
            let crackle = if is_rustle && chance.unit() < 0.01 { 6.0 } else { 1.0 };
            state = keep * state + crackle * chance.gauss() * (1.0 - keep.abs());
            let ramp = (n.min(length - n) as f32 / (0.005 * rate as f32)).min(1.0);
            out.push(loud * ramp * state);
        }
        out.extend(std::iter::repeat_n(0.0, (pause * rate as f32) as usize));
    }
    out.truncate(frames);
    out
}

fn chords(chance: &mut Chance, rate: u32, frames: usize) -> Vec<f32> {
    let base = chance.between(110.0, 400.0);
    let length = (chance.between(0.2, 0.8) * rate as f32) as usize;
    let mut note = base;
    (0..frames)
        .map(|n| {
            if n % length == 0 {
                note = base * ((chance.unit() * 12.0).floor() / 12.0).exp2();
            }
            let t = (n % length) as f32 / rate as f32;
            let part = |ratio: f32, h: i32| (TAU * note * ratio * h as f32 * t).sin() / h as f32;
            let sum: f32 = [1.0, 1.26, 1.5].iter().flat_map(|r| (1..6).map(move |h| part(*r, h))).sum();
            sum * (-4.0 * t).exp()
        })
        .collect()
}

fn vibrato(chance: &mut Chance, rate: u32, frames: usize) -> Vec<f32> {
    let (base, depth) = (chance.between(110.0, 500.0), chance.between(0.01, 0.05));
    let mut phase = 0.0f32;
    (0..frames)
        .map(|n| {
            let swing = 1.0 + depth * (TAU * 5.5 * n as f32 / rate as f32).sin();
            phase = (phase + base * swing / rate as f32).fract();
            (1..10).map(|h| (TAU * phase * h as f32).sin() / h as f32).sum()
        })
        .collect()
}
