//! How well `audio::speech` tells voices from rooms, on voices it never saw, against the predecessor's formula.
//!
//! `cargo run --release --example speech_roc [FOLDER...]` judges (JSON lines); `-- --train [FOLDER...]` prints the text of
//! `src/audio/speech/weights.rs`. Folders default to Debian's packages; a missing one is named with its package.

#[path = "speech_roc/scene.rs"]
mod scene;
#[path = "../src/audio/speech/signals.rs"]
#[allow(dead_code)]
mod signals;
#[path = "speech_roc/train.rs"]
mod train;
#[path = "../src/audio/speech/voices.rs"]
#[allow(dead_code)]
mod voices;

use scene::{Room, STEP_SECONDS, Scene, activity};
use serde_json::json;
use signals::Kind;
use std::path::Path;
use voices::Voice;

/// Never seen by training. The Spanish recordings are by the English voice, so they may not train either.
const TEST_FOLDERS: [&str; 3] = [
    "/usr/share/asterisk/sounds/en_US_f_Allison",
    "/usr/share/sounds/alsa",
    "/usr/share/asterisk/sounds/es_MX_f_Allison",
];
const TRAIN_FOLDERS: [&str; 3] = [
    "/usr/share/asterisk/sounds/fr_CA_f_June",
    "/usr/share/asterisk/sounds/it_IT_m_Carlo",
    "/usr/share/asterisk/sounds/ru_RU_f_IvrvoiceRU",
];
/// Judged clips are at most this long, and at least half of it.
const CLIP_SECONDS: f32 = 2.0;
/// The room sounds this long before a clip.
const LEAD_SECONDS: f32 = 1.5;
/// Clips judged per voice, noise and SNR.
const CLIPS: usize = 100;
/// A voice this far below the bed is below every floor of the detector. (At -60 dB it still shows beside a pure tone.)
const INAUDIBLE_DB: f32 = -100.0;

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_training = arguments.iter().any(|a| a == "--train");
    let mut folders: Vec<&str> = arguments.iter().filter(|a| *a != "--train").map(String::as_str).collect();
    if folders.is_empty() {
        folders = if is_training { TRAIN_FOLDERS.to_vec() } else { TEST_FOLDERS.to_vec() };
    }
    if is_training {
        let mut voices = train::synthetic_voices();
        for folder in folders {
            voices.extend(voices::load(Path::new(folder))?);
        }
        print!("{}", train::train(&voices));
        return Ok(());
    }
    for folder in folders {
        judge(folder.rsplit('/').next().unwrap_or(folder), &voices::load(Path::new(folder))?);
    }
    quiet_rooms();
    speed();
    Ok(())
}

/// Scores of one set of clips, ours and the predecessor's.
#[derive(Default)]
struct Scores {
    ours: Vec<f32>,
    theirs: Vec<f32>,
    seconds_to_detect: Vec<f32>,
    missed: usize,
}

/// AUC per noise and SNR for one voice.
fn judge(name: &str, voices: &[Voice]) {
    let clips = clips(voices);
    let mut none = Vec::new();
    for kind in [Kind::White, Kind::Pink, Kind::LowPassed, Kind::Hum, Kind::Tone] {
        none.push((kind, without(&clips, kind)));
    }
    let events: Vec<(Kind, Scores)> = Kind::EVENTS
        .iter()
        .chain(&Kind::HELD_OUT)
        .map(|kind| (*kind, with_event(&clips, |n, rate, clip| signals::make(*kind, rate, clip.len(), 600_000 + n))))
        .collect();
    let whispered = with_event(&clips, voice_envelope);
    for snr in [20.0, 10.0, 5.0, 0.0] {
        let mut all = Scores::default();
        for (kind, no) in &none {
            let yes = with(&clips, *kind, snr);
            report(&format!("auc {name} {kind:?} {snr} dB"), &yes, no, snr);
            all.ours.extend(&yes.ours);
            all.theirs.extend(&yes.theirs);
            all.seconds_to_detect.extend(&yes.seconds_to_detect);
            all.missed += yes.missed;
        }
        for (kind, no) in &events {
            let seen = if Kind::HELD_OUT.contains(kind) { "held-out" } else { "known" };
            report(&format!("auc {name} all noises {snr} dB against {seen} {kind:?} in pink"), &all, no, snr);
        }
        report(
            &format!("auc {name} all noises {snr} dB against held-out noise with the voice's envelope"),
            &all,
            &whispered,
            snr,
        );
        all.seconds_to_detect.sort_by(f32::total_cmp);
        let clips = all.ours.len();
        line(&format!("missed {name} {snr} dB of {clips} clips"), json!(all.missed), "clips", None, None);
        for share in [0.5, 0.9] {
            let at = (share * all.seconds_to_detect.len() as f32) as usize;
            if let Some(seconds) = all.seconds_to_detect.get(at) {
                line(&format!("time to detect {name} {snr} dB P{}", share * 100.0), json!(seconds), "s", None, None);
            }
        }
        if snr == 10.0 {
            roc(name, &all, &none);
        }
    }
    for (kind, scores) in &events {
        called(&format!("{name} {kind:?} in pink called speech"), scores);
    }
    called(&format!("{name} noise with the voice's envelope called speech"), &whispered);
    for (kind, no) in &none {
        // A check of this bench: a voice nobody can hear must not be found. 0.5 is chance.
        report(&format!("auc control {name} {kind:?} inaudible voice"), &with(&clips, *kind, INAUDIBLE_DB), no, 0.0);
    }
}

/// Share of clips in which speech is declared at any moment.
fn called(name: &str, scores: &Scores) {
    let share = scores.seconds_to_detect.len() as f64 / scores.ours.len() as f64;
    line(name, json!(share), "share of clips", Some(0.0), None);
}

/// White noise that is as loud as the voice at every moment: everything of speech but its sound.
fn voice_envelope(n: u64, rate: u32, clip: &[f32]) -> Vec<f32> {
    let fall = 1.0 - 60.0 / rate as f32;
    let mut held = 0.0f32;
    let noise = signals::make(Kind::White, rate, clip.len(), 700_000 + n);
    let follow = |(x, noise): (&f32, f32)| {
        held = x.abs().max(held * fall);
        held * noise
    };
    clip.iter().zip(noise).map(follow).collect()
}

/// The same scenes as with a voice, with something else in its place: 10 dB above pink noise.
fn with_event(clips: &[(u32, Vec<f32>)], event: impl Fn(u64, u32, &[f32]) -> Vec<f32>) -> Scores {
    let mut scores = Scores::default();
    for (n, (rate, clip)) in clips.iter().enumerate() {
        let event = event(n as u64, *rate, clip);
        scores.add(&Scene::new(&event, *rate, room(Kind::Pink, 10.0, 800_000 + n as u64)));
    }
    scores
}

/// Pieces of the recordings that begin with the voice, each with its rate.
fn clips(voices: &[Voice]) -> Vec<(u32, Vec<f32>)> {
    let mut out = Vec::new();
    for voice in voices {
        let rate = if voice.rate < 16_000 { 2 * voice.rate } else { voice.rate };
        let samples = voice.at_rate(rate);
        let (_, truth) = activity(&samples, rate);
        let step = (STEP_SECONDS * rate as f32) as usize;
        let start = truth.iter().position(|is_active| *is_active).unwrap_or(0) * step;
        let length = (CLIP_SECONDS * rate as f32) as usize;
        let piece = &samples[start..samples.len().min(start + length)];
        if piece.len() >= length / 2 {
            out.push((rate, piece.to_vec()));
        }
    }
    // Spread over the whole package, not its first letters; few recordings are heard again in other noise.
    let stride = (out.len() / CLIPS).max(1);
    let picked: Vec<_> = out.into_iter().step_by(stride).collect();
    let repeats = CLIPS / picked.len().max(1);
    picked.iter().cycle().take(picked.len() * repeats.max(1)).cloned().collect()
}

fn room(kind: Kind, snr_db: f32, seed: u64) -> Room {
    // The level walks over -60..-10 dBFS: nothing may depend on it.
    let louder_dbfs = -60.0 + (seed % 51) as f32;
    // The louder of the two, so that no bed reaches full scale.
    let level_dbfs = louder_dbfs + snr_db.min(0.0);
    Room { kind, snr_db, level_dbfs, lead_seconds: LEAD_SECONDS, tail_seconds: 0.0, seed: 1_000_000 + seed }
}

fn with(clips: &[(u32, Vec<f32>)], kind: Kind, snr: f32) -> Scores {
    let mut scores = Scores::default();
    for (n, (rate, clip)) in clips.iter().enumerate() {
        scores.add(&Scene::new(clip, *rate, room(kind, snr, n as u64)));
    }
    scores
}

fn without(clips: &[(u32, Vec<f32>)], kind: Kind) -> Scores {
    let mut scores = Scores::default();
    for (n, (rate, clip)) in clips.iter().enumerate() {
        scores.add(&Scene::new(&vec![0.0; clip.len()], *rate, room(kind, 0.0, 500_000 + n as u64)));
    }
    scores
}

impl Scores {
    /// A clip's score is the highest after the lead, for us and for the predecessor alike.
    fn add(&mut self, scene: &Scene) {
        let lead = (LEAD_SECONDS / STEP_SECONDS) as usize;
        let (mut best, mut seen) = (0.0f32, None);
        scene.run(|detector, n| {
            if n >= lead {
                let facts = detector.channel(0);
                best = best.max(facts.score);
                seen = seen.or(facts.is_speech.then_some((n + 1 - lead) as f32 * STEP_SECONDS));
            }
        });
        self.ours.push(best);
        let clip = &scene.mix[(LEAD_SECONDS * scene.rate as f32) as usize..];
        let second = clip.len().min(scene.rate as usize);
        self.theirs.push(clip.chunks_exact(second).map(predecessor).fold(0.0, f32::max));
        match seen {
            Some(seconds) => self.seconds_to_detect.push(seconds),
            None => self.missed += 1,
        }
    }
}

/// The predecessor's "speech" score of one second, from its definition.
fn predecessor(block: &[f32]) -> f32 {
    let rise = |x: f32, a: f32, b: f32| ((x - a) / (b - a)).clamp(0.0, 1.0);
    let band = |x: f32, low: f32, high: f32| match x {
        x if x < low => (x / low).max(0.0),
        x if x > high => (1.0 - (x - high) / high).max(0.0),
        _ => 1.0,
    };
    let level = 20.0 * signals::rms(block).max(1e-8).log10();
    let peak = 20.0 * block.iter().fold(0.0f32, |m, x| m.max(x.abs())).max(1e-8).log10();
    let signs: Vec<bool> = block.iter().filter(|x| **x != 0.0).map(|x| *x > 0.0).collect();
    let crossings = signs.windows(2).filter(|w| w[0] != w[1]).count() as f32 / (block.len() - 1) as f32;
    rise(level, -65.0, -35.0)
        * (0.2 + 0.45 * band(crossings, 0.015, 0.22) + 0.35 * band((peak - level).max(0.0), 4.0, 22.0))
}

/// Chance that a clip with speech scores above one without; ties count half.
fn auc(yes: &[f32], no: &[f32]) -> f64 {
    let wins: f64 = yes
        .iter()
        .map(|y| no.iter().map(|n| f64::from(u8::from(y > n)) + 0.5 * f64::from(u8::from(y == n))).sum::<f64>())
        .sum();
    wins / (yes.len() * no.len()) as f64
}

fn report(name: &str, yes: &Scores, no: &Scores, snr: f32) {
    let goal = (snr == 10.0).then_some(0.97);
    line(name, json!(auc(&yes.ours, &no.ours)), "AUC", goal, Some(("predecessor 2.4", auc(&yes.theirs, &no.theirs))));
}

/// Hits against false alarms over all noises, at thresholds a reader can plot.
fn roc(name: &str, yes: &Scores, no: &[(Kind, Scores)]) {
    let none: Vec<f32> = no.iter().flat_map(|(_, scores)| scores.ours.clone()).collect();
    for threshold in [0.05, 0.1, 0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95] {
        let share = |scores: &[f32]| scores.iter().filter(|s| **s >= threshold).count() as f64 / scores.len() as f64;
        let point = json!({ "threshold": threshold, "hits": share(&yes.ours), "false": share(&none) });
        line(&format!("roc {name} 10 dB"), point, "share", None, None);
    }
}

/// Three minutes of every noise: how much of it is called speech, and how often it begins.
fn quiet_rooms() {
    for kind in [Kind::ROOM.as_slice(), Kind::EVENTS.as_slice(), Kind::HELD_OUT.as_slice()].concat() {
        let mut seconds = 0.0;
        for seed in 0..3 {
            let room = Room {
                kind,
                snr_db: 0.0,
                level_dbfs: -30.0,
                lead_seconds: 60.0,
                tail_seconds: 0.0,
                seed: 9_000 + seed,
            };
            let scene = Scene::new(&[], 48_000, room);
            let mut total = 0.0;
            scene.run(|detector, _| total = detector.channel(0).speech_seconds);
            seconds += total;
        }
        line(&format!("{kind:?} called speech, of 180 s"), json!(seconds), "s", Some(0.0), None);
    }
}

/// CPU seconds per channel-hour at 48 kHz, blocks of 1024.
fn speed() {
    for channels in [2usize, 32] {
        let noise: Vec<Vec<f32>> = (0..channels).map(|n| signals::make(Kind::Pink, 48_000, 1024, n as u64)).collect();
        let planar: Vec<&[f32]> = noise.iter().map(Vec::as_slice).collect();
        let mut detector = rakkr::audio::speech::SpeechDetector::new(48_000, channels);
        let blocks = 60 * 48_000 / 1024 * 32 / channels;
        let start = cpu_seconds();
        (0..blocks).for_each(|_| detector.push(std::hint::black_box(&planar)));
        let hours = (blocks * 1024 * channels) as f64 / 48_000.0 / 3600.0;
        let value = (cpu_seconds() - start) / hours;
        line(&format!("speech facts, {channels} channels"), json!(value), "CPU s per channel-hour", Some(0.25), None);
    }
}

/// CPU time of this process, not of the clock: the machine is shared.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}

fn line(name: &str, value: serde_json::Value, unit: &str, goal: Option<f64>, peer: Option<(&str, f64)>) {
    let ratio = peer.and_then(|(_, theirs)| value.as_f64().map(|ours| ours / theirs));
    println!(
        "{}",
        json!({ "name": name, "value": value, "unit": unit, "goal": goal, "peer": peer.map(|p| p.0),
            "peer_value": peer.map(|p| p.1), "ratio": ratio })
    );
}
