//! A take that is being recorded: which frames of each block are its own.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Stream;
use super::meters::PlacedHop;
use crate::capture::block::Block;
use crate::capture::tape::reel::Position;
use crate::capture::tape::{Op, Tape};
use crate::domain::take::CloseReason;
use crate::domain::{Fact, Gap, GapCause, Mark, Order, TakeId};

/// The most edges that wait for their frame, while the audio server gives none: nobody marks more in a session.
const EDGES_MAX: usize = 4_096;

/// What happens at a frame that may not have arrived yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edge {
    /// From here on nothing is kept.
    Pause,
    /// From here on it is kept again.
    Resume,
    /// A labelled point.
    Mark(String),
}

/// What a take knows of one channel's source.
#[derive(Debug, Clone, Copy, Default)]
struct Source {
    /// Stream frame from which it is gone.
    gone_from: Option<u64>,
    /// Stream frame from which it is said to be back; it counts as back with its first sound, or a while after.
    back_from: Option<u64>,
    /// How many of the latest frames were zero in every bit.
    zeros: u64,
}

/// See the module.
#[derive(Debug)]
pub struct RunningTake {
    /// What was ordered, as last heard.
    pub order: Order,
    /// Channel indices in file order.
    channels: Vec<usize>,
    /// Stream frame of the take's frame 0; may lie before the stream for a take that went on after a crash.
    zero: u64,
    /// Stream frame of the ordered start.
    start: u64,
    /// Stream frame at which this process began to record it.
    begun: u64,
    /// Stream frame that comes next.
    next: u64,
    /// Stream frame at which it ends; none is "until stopped".
    end: Option<u64>,
    reason: CloseReason,
    /// First of the frames that are missing before `next`, and why.
    missing: Option<(u64, GapCause)>,
    paused_from: Option<u64>,
    private_until: u64,
    edges: VecDeque<(u64, Edge)>,
    /// Per channel of the take: what is known of its source.
    sources: Vec<Source>,
    /// Sum of clock steps since it opened.
    stepped_seconds: f64,
    has_ended: bool,
}

impl RunningTake {
    /// A take whose frame 0 is stream frame `zero` and which goes on at stream frame `next`.
    pub fn new(order: Order, channels: Vec<usize>, zero: u64, start: u64, next: u64, end: Option<u64>) -> Self {
        let sources = vec![Source::default(); channels.len()];
        Self {
            order,
            channels,
            zero,
            start,
            begun: next,
            next,
            end,
            reason: CloseReason::PlannedEnd,
            missing: None,
            paused_from: None,
            private_until: 0,
            edges: VecDeque::new(),
            sources,
            stepped_seconds: 0.0,
            has_ended: false,
        }
    }

    /// Frames up to `next` are missing since stream frame `first`.
    pub fn with_missing(mut self, first: u64, cause: GapCause) -> Self {
        self.missing = Some((first, cause));
        self.await_sources();
        self
    }

    /// Sum of the clock steps before the recorder went down.
    pub fn with_steps(mut self, seconds: f64) -> Self {
        self.stepped_seconds = seconds;
        self
    }

    /// It was paused when the recorder went down, and still is.
    pub fn with_pause(mut self, from: Option<u64>) -> Self {
        self.paused_from = from;
        self
    }

    /// The recording's id.
    pub fn id(&self) -> TakeId {
        self.order.id
    }

    /// The take's frame at a stream frame.
    pub fn frame_of(&self, stream_frame: u64) -> u64 {
        stream_frame.saturating_sub(self.zero)
    }

    /// Stream frame that comes next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The take's frame that comes next.
    pub fn frames(&self) -> u64 {
        self.frame_of(self.next)
    }

    /// Ended, its closing is on its way to the tape.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Nothing is kept at present, on purpose.
    pub fn is_paused(&self) -> bool {
        self.paused_from.is_some()
    }

    /// Whether a measured stretch lies in the take. One that begins before the take or inside a pause does not, nor one
    /// whose audio the disk does not take: its queue would grow for as long as the disk stands still.
    pub fn wants(&self, hop: &PlacedHop) -> bool {
        let is_kept = self.paused_from.is_none() && self.missing.is_none() && !self.has_ended;
        is_kept && hop.first >= self.zero && hop.first >= self.private_until
    }

    /// Channels and the stream frame up to which they were off the record; `u64::MAX` while they are.
    pub fn private_until(&self) -> impl Iterator<Item = (usize, u64)> {
        let until = match self.paused_from {
            Some(_) if !self.has_ended => u64::MAX,
            Some(_) => self.next,
            None => self.private_until,
        };
        self.channels.iter().map(move |&index| (index, until))
    }

    /// The wall clock was stepped.
    pub fn stepped(&mut self, seconds: f64) {
        self.stepped_seconds += seconds;
    }

    /// Something happens at a stream frame; what was already given to the tape is not taken back.
    ///
    /// # Errors
    /// A sentence: it cannot happen in the state the take will be in.
    pub fn at(&mut self, frame: u64, edge: Edge) -> Result<u64, String> {
        if self.edges.len() >= EDGES_MAX {
            return Err("no audio arrives and too many marks wait for it: this one is not kept".into());
        }
        let will_pause = self.edges.iter().rev().find_map(|(_, edge)| match edge {
            Edge::Pause => Some(true),
            Edge::Resume => Some(false),
            Edge::Mark(_) => None,
        });
        match (will_pause.unwrap_or(self.paused_from.is_some()), &edge) {
            (true, Edge::Pause) => return Err("the recording is already paused".into()),
            (false, Edge::Resume) => return Err("the recording is not paused".into()),
            _ => {}
        }
        // Marks may point to what was written; a pause cannot.
        let frame = if matches!(edge, Edge::Mark(_)) { frame.max(self.zero) } else { frame.max(self.next) };
        let frame = self.edges.back().map_or(frame, |(last, _)| frame.max(*last));
        self.edges.push_back((frame, edge));
        Ok(self.frame_of(frame))
    }

    /// Ends at a stream frame, or as soon after as it has been recorded already.
    pub fn stop_at(&mut self, frame: u64) {
        self.end = Some(frame.max(self.next).max(self.zero + 1));
        self.reason = CloseReason::Stopped;
    }

    /// The order changed: a new stop, a new length, or none.
    pub fn replan(&mut self, order: Order, rate: u32, tape: &Tape) {
        if order.stop == self.order.stop && order.length_seconds == self.order.length_seconds {
            self.order = order;
            return;
        }
        // The new stop was said on the clock as it stands; the start on the clock as it stood.
        let seconds = order.planned_seconds().map(|seconds| match order.stop {
            Some(_) => seconds - self.stepped_seconds,
            None => seconds,
        });
        let frames_in = |seconds: f64| (seconds.max(0.0) * f64::from(rate)).round() as u64;
        self.end = seconds.map(|seconds| self.start.saturating_add(frames_in(seconds)).max(self.next));
        self.order = order;
        let frames = self.end.map(|end| self.frame_of(end));
        tape.send(Op::Note { id: self.id(), fact: Fact::Planned { frames } });
    }

    /// Takes its frames out of a block.
    pub fn deliver(&mut self, block: &Arc<Block>, stream: &Stream, tape: &Tape) {
        if self.has_ended || block.end() <= self.next {
            return;
        }
        if block.first > self.next {
            let cause = block.gap_before.unwrap_or(GapCause::Xrun);
            self.skip_to(block.first, cause, stream, tape);
            if matches!(cause, GapCause::JackGone | GapCause::RateChanged) {
                self.await_sources();
            }
        }
        while !self.has_ended && self.next < block.end() {
            let to = self.next_edge(block.end());
            if to > self.next {
                self.span(block, to, stream, tape);
            }
            self.next = to;
            self.pass_edges(stream, tape);
        }
    }

    /// The stream frame after the last frame that no edge or end divides.
    fn next_edge(&self, most: u64) -> u64 {
        let edge = self.edges.front().map_or(most, |(frame, _)| (*frame).max(self.next));
        most.min(edge).min(self.end.unwrap_or(most))
    }

    /// Edges inside a gap happen too, in order; what lies between a pause and its end is not missing.
    fn skip_to(&mut self, frame: u64, cause: GapCause, stream: &Stream, tape: &Tape) {
        while !self.has_ended && self.next < frame {
            self.missing.get_or_insert((self.next, cause));
            self.next = self.next_edge(frame);
            self.pass_edges(stream, tape);
        }
    }

    /// One stretch of a block in which nothing changes.
    fn span(&mut self, block: &Arc<Block>, to: u64, stream: &Stream, tape: &Tape) {
        if self.paused_from.is_some() {
            self.missing = None;
            return;
        }
        if !stream.is_freewheel && is_stalled(block, self.missing, stream, tape) {
            self.missing.get_or_insert((self.next, GapCause::DiskStalled));
            return;
        }
        self.tell_missing(tape);
        self.watch_sources(block, to, stream.rate, tape);
        let from = (self.next - block.first) as usize;
        let position = Position {
            frame: self.frame_of(self.next),
            wall: stream.placement.wall_at(self.next),
            mono_us: stream.placement.us_at(self.next),
            jack_frame: block.jack_frame.wrapping_add(from as u32),
        };
        let frames = (to - self.next) as usize;
        tape.send_audio(self.id(), position, block.clone(), from, frames);
    }

    fn tell_missing(&mut self, tape: &Tape) {
        let Some((first, cause)) = self.missing.take() else { return };
        // What would not have been kept is not missing.
        if self.next > first && self.paused_from.is_none() {
            let gap = Gap { first_frame: self.frame_of(first), frames: self.next - first, cause, channels: None };
            tape.send(Op::Gap { id: self.id(), gap });
        }
    }

    /// The server is a new one, or new to us. A connection is said some periods before samples flow: a source is back with
    /// its first sound.
    pub fn await_sources(&mut self) {
        let coming_back = Source { gone_from: Some(self.next), back_from: Some(self.next), zeros: 0 };
        self.sources.fill(coming_back);
    }

    /// A source that is gone is a gap on its channel, told when it is back or the take ends.
    ///
    /// JACK says so some periods late, and connects some periods before samples flow. So a gap begins with the zeros that
    /// came before the word, and ends with the first sample that is not zero; both within a tenth of a second.
    fn watch_sources(&mut self, block: &Block, to: u64, rate: u32, tape: &Tape) {
        let (from, len) = ((self.next - block.first) as usize, (to - self.next) as usize);
        let slack = u64::from(rate) / 10;
        for position in 0..self.channels.len() {
            let samples = block.channel(self.channels[position]).get(from..from + len).unwrap_or(&[]);
            // Samples can flow before we are told of the connection: what sounds is there.
            let is_heard = samples.iter().any(|sample| *sample != 0.0);
            let is_there = is_heard || block.connected.contains(self.channels[position]);
            let mut source = self.sources[position];
            if !is_there {
                source.back_from = None;
                source.gone_from.get_or_insert(self.next - source.zeros.min(slack).min(self.next - self.begun));
            } else if let Some(gone) = source.gone_from {
                let back = *source.back_from.get_or_insert(self.next);
                let sound = samples.iter().position(|sample| *sample != 0.0).map(|at| self.next + at as u64);
                let heard = sound.or((to >= back + slack).then_some(to));
                if let Some(heard) = heard.filter(|&heard| heard > gone) {
                    self.tell_source_gap(position, gone, heard, tape);
                }
                if heard.is_some() {
                    (source.gone_from, source.back_from) = (None, None);
                }
            }
            source.zeros = match samples.iter().rev().position(|sample| *sample != 0.0) {
                Some(zeros) => zeros as u64,
                None => source.zeros + len as u64,
            };
            self.sources[position] = source;
        }
    }

    fn tell_source_gap(&self, position: usize, from: u64, to: u64, tape: &Tape) {
        let gap = Gap {
            first_frame: self.frame_of(from),
            frames: to - from,
            cause: GapCause::PortDisconnected,
            channels: Some(vec![self.channels[position] as u16 + 1]),
        };
        tape.send(Op::Note { id: self.id(), fact: Fact::Gap(gap) });
    }

    fn pass_edges(&mut self, stream: &Stream, tape: &Tape) {
        while let Some((frame, edge)) = self.edges.front().cloned().filter(|(frame, _)| *frame <= self.next) {
            self.edges.pop_front();
            // A pause that begins where the take ends hides nothing.
            if self.end.is_some_and(|end| frame >= end) && !matches!(edge, Edge::Mark(_)) {
                continue;
            }
            self.pass(frame, edge, stream, tape);
        }
        if self.end.is_some_and(|end| self.next >= end) {
            self.close(tape);
        }
    }

    fn pass(&mut self, frame: u64, edge: Edge, stream: &Stream, tape: &Tape) {
        let at = stream.placement.wall_at(frame);
        let take_frame = self.frame_of(frame);
        let fact = match edge {
            Edge::Mark(label) => Fact::Mark(Mark { frame: take_frame, label }),
            Edge::Pause => {
                self.tell_missing(tape);
                self.paused_from = Some(frame);
                Fact::Paused { frame: take_frame, at }
            }
            Edge::Resume => {
                if let Some((first, _)) = &mut self.missing {
                    *first = frame.max(*first);
                }
                self.paused_from = None;
                self.private_until = frame;
                Fact::Resumed { frame: take_frame, at }
            }
        };
        tape.send(Op::Note { id: self.id(), fact });
    }

    /// The stream stops here for now: the log says so before it is known for how long. A server that is back at another
    /// rate is the better reason than that it was gone.
    pub fn interrupted(&mut self, cause: GapCause, tape: &Tape) {
        let is_news = self.missing.is_none() || cause == GapCause::RateChanged;
        if is_news && self.paused_from.is_none() && !self.has_ended {
            let (first, _) = self.missing.unwrap_or((self.next, cause));
            self.missing = Some((first, cause));
            tape.send(Op::Note { id: self.id(), fact: Fact::Missing { first_frame: self.frame_of(first), cause } });
        }
    }

    /// No frames come and its time is over.
    pub fn end_without_frames(&mut self, now: u64, stream: &Stream, tape: &Tape) {
        if let Some(end) = self.end.filter(|&end| end <= now && !self.has_ended) {
            self.skip_to(end, stream.why_missing, stream, tape);
            if !self.has_ended {
                self.pass_edges(stream, tape);
            }
        }
    }

    fn close(&mut self, tape: &Tape) {
        self.tell_missing(tape);
        for position in 0..self.channels.len() {
            if let Some(from) = self.sources[position].gone_from.take().filter(|&from| from < self.next) {
                self.tell_source_gap(position, from, self.next, tape);
            }
        }
        self.has_ended = true;
        tape.send(Op::Close { id: self.id(), frames: self.frames(), reason: self.reason });
    }
}

/// Whether the disk is so far behind at `block` that no more may be queued. Once it was, half the way back is asked for:
/// one gap is better than many.
fn is_stalled(block: &Block, missing: Option<(u64, GapCause)>, stream: &Stream, tape: &Tape) -> bool {
    let was_stalled = missing.is_some_and(|(_, cause)| cause == GapCause::DiskStalled);
    let most = if was_stalled { stream.backlog_frames_max / 2 } else { stream.backlog_frames_max };
    tape.frames_behind(block.first) > most
}
