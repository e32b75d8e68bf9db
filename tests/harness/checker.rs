//! The judge: reads what the product wrote and says, frame by frame and for every channel, whether it is the feed's audio.
//!
//! The feed tags each frame with JACK's frame time, so one number (feed frame minus take frame) must hold through the
//! whole take. Whatever is missing must lie in a gap or a pause that the take declares, and nothing inside such a span may
//! be audio: a take cannot excuse itself with a gap that is not one.

use super::tags::{CYCLE, distance};
use super::take::Take;
use super::tracer::{Run, Tracer};
use super::wav::Wav;
use std::path::Path;

/// What every channel of a take carried.
#[derive(Debug)]
pub struct Report {
    pub frames: u64,
    numbers: Vec<u32>,
    channels: Vec<Vec<Run>>,
}

impl Report {
    /// Judges one file that holds these channels of the feed (1-based numbers, in file order).
    pub fn of_file(path: &Path, numbers: &[u32]) -> Report {
        let mut tracers = tracers(numbers);
        follow(path, &mut tracers);
        Report::new(numbers, tracers)
    }

    /// Judges a take by its segment files in `folder`, each at its place in time.
    pub fn of_take(folder: &Path, take: &Take) -> Report {
        let numbers = take.numbers();
        let mut tracers = tracers(&numbers);
        let mut segments = take.segments.clone();
        segments.sort_by_key(|segment| segment.first_frame);
        for segment in &segments {
            let at = tracers[0].frame();
            assert!(segment.first_frame >= at, "segment {} begins inside the one before it (frame {at})", segment.file);
            if segment.first_frame > at {
                tracers.iter_mut().for_each(|tracer| tracer.skip(segment.first_frame - at));
            }
            let held = follow(&folder.join(&segment.file), &mut tracers);
            assert!(held >= segment.frames, "{} holds {held} frames, the take says {}", segment.file, segment.frames);
        }
        Report::new(&numbers, tracers)
    }

    fn new(numbers: &[u32], tracers: Vec<Tracer>) -> Report {
        let frames = tracers.first().map_or(0, Tracer::frame);
        Report { frames, numbers: numbers.to_vec(), channels: tracers.into_iter().map(Tracer::finish).collect() }
    }

    /// The runs of the channel with this number.
    pub fn runs(&self, number: u32) -> &[Run] {
        let at = self.numbers.iter().position(|n| *n == number);
        &self.channels[at.unwrap_or_else(|| panic!("no channel {number} in {:?}", self.numbers))]
    }

    /// Every frame of every channel is the feed's, without a break. Returns the feed frame (mod 2^24) of frame 0.
    pub fn assert_exact(&self, frames: u64) -> u64 {
        assert_eq!(self.frames, frames, "frames in the files, and frames the take says it has");
        assert!(frames > 0, "an empty take proves nothing");
        for (number, runs) in self.numbers.iter().zip(&self.channels) {
            let whole = matches!(runs[..], [Run::Matched { frames: matched, .. }] if matched == frames);
            assert!(whole, "channel {number} is not one unbroken run: {}", shown(runs));
            assert_eq!(runs[0].offset(), self.channels[0][0].offset(), "channel {number} is shifted against the first");
        }
        self.channels[0][0].offset().unwrap_or_default()
    }

    /// Everything missing is declared by the take, everything declared is missing, and the rest sits where it belongs.
    /// `slack` frames are forgiven at the edges of a gap: 0 while one process and one server keep the count; more where
    /// the clock must bridge them (a crash), `u64::MAX` where JACK's own count began anew.
    pub fn assert_declared(&self, take: &Take, slack: u64) {
        for (number, runs) in self.numbers.iter().zip(&self.channels) {
            let declared = take.declared(*number);
            let why = format!("channel {number}: {}; declared {declared:?}", shown(runs));
            assert!(runs.iter().any(|run| run.offset().is_some()), "no audio at all on {why}");
            for run in runs {
                let (from, to) = run.span();
                match run {
                    Run::Wrong { .. } => panic!("foreign samples on {why}"),
                    Run::Silence { .. } => {
                        assert!(covers(&declared, from, to), "silence {from}..{to} not declared; {why}")
                    }
                    Run::Matched { .. } => {
                        let inside = overlap(&declared, from, to);
                        assert!(inside <= slack, "audio {from}..{to} has {inside} frames inside a declared gap; {why}");
                    }
                }
            }
            assert_shifts_within(runs, slack, &why);
        }
        self.assert_in_step();
    }

    /// At the same frame all channels carry the same instant.
    fn assert_in_step(&self) {
        for (number, runs) in self.numbers.iter().zip(&self.channels) {
            for run in runs.iter().filter(|run| run.offset().is_some()) {
                let at = run.span().0;
                let twin = self.channels[0].iter().find(|other| other.span().0 <= at && at < other.span().1);
                let Some(theirs) = twin.and_then(|other| other.offset()) else { continue };
                assert_eq!(run.offset(), Some(theirs), "channel {number} is shifted against the first at frame {at}");
            }
        }
    }

    /// The feed frame (mod 2^24) that stands at this frame of the take, by its first channel.
    pub fn source_at(&self, frame: u64) -> u64 {
        let run = self.channels[0].iter().find(|run| run.span().0 <= frame && frame < run.span().1);
        let offset = run.and_then(|run| run.offset());
        (offset.unwrap_or_else(|| panic!("no audio at frame {frame}: {}", shown(&self.channels[0]))) + frame) % CYCLE
    }

    /// The spans in which the first channel carries audio.
    pub fn audible(&self) -> Vec<(u64, u64)> {
        self.channels[0].iter().filter(|run| run.offset().is_some()).map(|run| run.span()).collect()
    }
}

fn tracers(numbers: &[u32]) -> Vec<Tracer> {
    assert!(!numbers.is_empty(), "a take without channels");
    numbers.iter().map(|number| Tracer::new(number - 1)).collect()
}

/// Sends a file through the tracers; returns its frames.
fn follow(path: &Path, tracers: &mut [Tracer]) -> u64 {
    let wav = Wav::open(path).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(wav.channels, tracers.len(), "channels in {}", path.display());
    let frames = wav.frames;
    let done = wav.for_each_block(|block| {
        for frame in block.chunks_exact(tracers.len()) {
            for (tracer, sample) in tracers.iter_mut().zip(frame) {
                tracer.push(*sample);
            }
        }
    });
    done.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    frames
}

fn assert_shifts_within(runs: &[Run], slack: u64, why: &str) {
    let mut offsets = runs.iter().filter_map(|run| run.offset());
    let Some(first) = offsets.next() else { return };
    for offset in offsets {
        let shift = distance(first, offset);
        assert!(shift.unsigned_abs() <= slack, "the timeline shifts by {shift} frames; {why}");
    }
}

fn covers(spans: &[(u64, u64)], from: u64, to: u64) -> bool {
    spans.iter().any(|span| span.0 <= from && to <= span.1)
}

fn overlap(spans: &[(u64, u64)], from: u64, to: u64) -> u64 {
    spans.iter().map(|span| span.1.min(to).saturating_sub(span.0.max(from))).sum()
}

/// The first runs, enough to see what went wrong.
fn shown(runs: &[Run]) -> String {
    format!("{} runs {:?}", runs.len(), &runs[..runs.len().min(12)])
}
