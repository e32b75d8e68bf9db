//! Follows one channel sample by sample and says what it carried: runs of tags, silence, or something else.

use super::tags::{CYCLE, source_of, tag};

/// A tag run shorter than this is chance (any value on the grid is some tag) and counts as wrong.
const SHORTEST_MATCH: u64 = 16;

/// A stretch of one channel. Frames are the take's, source frames the feed's (mod 2^24).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    Matched { first_frame: u64, source_frame: u64, frames: u64 },
    Silence { first_frame: u64, frames: u64 },
    Wrong { first_frame: u64, frames: u64 },
}

impl Run {
    /// First frame and the frame behind the last.
    pub fn span(self) -> (u64, u64) {
        let (first, frames) = match self {
            Run::Matched { first_frame, frames, .. } => (first_frame, frames),
            Run::Silence { first_frame, frames } => (first_frame, frames),
            Run::Wrong { first_frame, frames } => (first_frame, frames),
        };
        (first, first + frames)
    }

    /// What to add to the take's frame to get the feed's, mod 2^24.
    pub fn offset(self) -> Option<u64> {
        match self {
            Run::Matched { first_frame, source_frame, .. } => {
                Some((source_frame + CYCLE - first_frame % CYCLE) % CYCLE)
            }
            Run::Silence { .. } | Run::Wrong { .. } => None,
        }
    }
}

/// One channel being followed.
pub struct Tracer {
    channel: u32,
    frame: u64,
    run: Option<Run>,
    done: Vec<Run>,
}

impl Tracer {
    /// Expects the tags of the feed's `channel` (0-based).
    pub fn new(channel: u32) -> Tracer {
        Tracer { channel, frame: 0, run: None, done: Vec::new() }
    }

    pub fn push(&mut self, sample: f32) {
        let at = self.frame;
        self.frame += 1;
        match &mut self.run {
            Some(Run::Matched { source_frame, frames, .. })
                if sample == tag(self.channel, (*source_frame + *frames) as u32) =>
            {
                *frames += 1;
            }
            Some(Run::Silence { frames, .. }) if sample == 0.0 => *frames += 1,
            _ => self.turn(at, sample),
        }
    }

    /// Frames the take knows of but no file holds.
    pub fn skip(&mut self, frames: u64) {
        match &mut self.run {
            Some(Run::Silence { frames: silent, .. }) => *silent += frames,
            _ => self.begin(Run::Silence { first_frame: self.frame, frames }),
        }
        self.frame += frames;
    }

    pub fn frame(&self) -> u64 {
        self.frame
    }

    pub fn finish(mut self) -> Vec<Run> {
        self.close();
        self.done
    }

    fn turn(&mut self, at: u64, sample: f32) {
        let next = match source_of(self.channel, sample) {
            _ if sample == 0.0 => Run::Silence { first_frame: at, frames: 1 },
            Some(source) => Run::Matched { first_frame: at, source_frame: source.into(), frames: 1 },
            None => Run::Wrong { first_frame: at, frames: 1 },
        };
        self.begin(next);
    }

    fn begin(&mut self, next: Run) {
        self.close();
        self.run = Some(next);
    }

    /// Files the run away; garbage becomes one long `Wrong`, however many runs it seemed to be.
    fn close(&mut self) {
        let Some(run) = self.run.take() else { return };
        let (from, to) = run.span();
        let is_chance = matches!(run, Run::Matched { .. }) && to - from < SHORTEST_MATCH;
        if !is_chance && !matches!(run, Run::Wrong { .. }) {
            self.done.push(run);
            return;
        }
        match self.done.last_mut() {
            Some(Run::Wrong { frames, .. }) => *frames += to - from,
            _ => self.done.push(Run::Wrong { first_frame: from, frames: to - from }),
        }
    }
}
