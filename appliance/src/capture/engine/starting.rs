//! From orders to takes: what is due, what it still finds of its beginning, what a crash left to be continued.

use std::sync::Arc;

use jiff::Timestamp;

use super::taking::{Edge, RunningTake};
use super::{Engine, Outcome, Stream};
use crate::capture::block::Block;
use crate::capture::tape::Op;
use crate::domain::take::{CloseReason, Opened, SegmentOpened, TakeChannel};
use crate::domain::{Fact, GapCause, Order, OrderSet, TakeId};
use crate::sys::clock::Now;

/// A take that a crash left open and whose order still stands.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// Its order.
    pub order: Order,
    /// How it began.
    pub opened: Opened,
    /// Frames of its timeline that are on disk.
    pub frames: u64,
    /// Where its last segment began, on every clock; none if it has none.
    pub anchor: Option<SegmentOpened>,
    /// Paused since this frame.
    pub paused_from: Option<u64>,
    /// Its planned length in frames, as its log has it.
    pub planned_frames: Option<u64>,
    /// Sum of the clock steps while it was recorded.
    pub stepped_seconds: f64,
}

/// An order whose time has come, but not yet its frames. Times are monotonic: the clock may be stepped, and the line between
/// times and frames drawn anew, before they come.
pub(super) struct Due {
    /// When it begins, as it was ordered.
    ordered: Timestamp,
    /// The same in microseconds; below 0 before the machine was started.
    start_us: i64,
    /// When it fell due.
    since_us: u64,
    /// The first frame that had not come then.
    newest: u64,
    /// When it was stopped, if before its first frame came.
    stop_us: Option<u64>,
}

/// Frames come later than their time by a period of the server, and by far less than this.
const LAG_US: u64 = 100_000;

impl Engine {
    /// Takes up what recovery found. They go on with the first block.
    pub fn adopt(&mut self, unfinished: Vec<Unfinished>) {
        self.unfinished.extend(unfinished);
    }

    /// The complete set of orders, as it is from now on.
    pub fn set_orders(&mut self, orders: OrderSet, now: Now) {
        let rate = self.stream.as_ref().map_or(0, |stream| stream.rate);
        for take in self.takes.values_mut() {
            match orders.get(take.id()) {
                Some(order) => take.replan(order.clone(), rate, &self.tape),
                // An order that vanished is no order to stop: a take ends when someone says so.
                None => tracing::warn!(take.id = %take.id(), "the order of a running recording is gone: it goes on"),
            }
        }
        for unfinished in &mut self.unfinished {
            if let Some(order) = orders.get(unfinished.order.id) {
                unfinished.order = order.clone();
            }
        }
        self.orders = orders;
        // Ids of orders that are gone will not come back: the set of what is done stays as small as the set of orders.
        self.done.retain(|id| self.orders.get(*id).is_some());
        self.due.retain(|id, due| self.orders.get(*id).is_some_and(|order| order.start == due.ordered));
        self.start_due(now);
    }

    /// Begins every take whose time has come.
    pub(super) fn start_due(&mut self, now: Now) {
        let waiting: Vec<Order> = self.orders.iter().filter(|order| self.is_waiting(order.id)).cloned().collect();
        for order in waiting {
            let stream = self.stream.as_ref();
            // While nothing comes the clock may still be put right, and the order not be due at all.
            if let Some(stream) = stream.filter(|stream| order.start <= now.wall && stream.flows(now.mono_us)) {
                self.due.entry(order.id).or_insert_with(|| stream.due(&order, now));
            }
            // Frames come later than their time, by a period or by what a held-up server owes: an order that is over by the
            // clock is late, not missed, while they still come.
            let due = self.due.get(&order.id);
            if order.is_over(now.wall) && !stream.is_some_and(|stream| stream.owes_frames(now.mono_us)) {
                self.miss(&order, now, "nothing was recorded because the recorder could not run in its time");
            } else if let Some(start) = stream.zip(due).and_then(|(stream, due)| stream.begun(due)) {
                self.begin(order, start, now);
            }
        }
    }

    fn is_waiting(&self, id: TakeId) -> bool {
        !self.takes.contains_key(&id)
            && !self.done.contains(&id)
            && !self.unfinished.iter().any(|unfinished| unfinished.order.id == id)
    }

    fn miss(&mut self, order: &Order, now: Now, why: &str) {
        self.due.remove(&order.id);
        self.done.insert(order.id);
        self.tell(now.wall, format!("recording {} ({}) failed: {why}", order.id, order.title));
        let _ = self.outcomes.send(Outcome::Missed(order.id));
    }

    /// Opens a take at ordered stream frame `start`, and gives it what the past still holds.
    fn begin(&mut self, order: Order, start: u64, now: Now) {
        let Some(stream) = &self.stream else { return };
        let channels = match order.channels.resolve(stream.channels.len() as u16) {
            Ok(channels) => channels,
            Err(why) => return self.miss(&order, now, &why),
        };
        let rate = f64::from(stream.rate);
        let wanted = start.saturating_sub((order.pre_roll_seconds * rate).round() as u64);
        let oldest = self.history.oldest().unwrap_or(stream.next);
        let zero = wanted.max(oldest).max(self.private_floor(&channels)).min(stream.next);
        let end = order.planned_seconds().map(|seconds| start + (seconds * rate).round() as u64);
        if end.is_some_and(|end| end <= zero) {
            return self.miss(&order, now, "its time was over before the recorder heard anything");
        }
        let begins_with_the_connection = zero < stream.flows_from + u64::from(stream.rate) / 10;
        let due = self.due.remove(&order.id);
        let stop = due.and_then(|due| due.stop_us).map(|us| stream.placement.frame_at_us(us));
        let opened = self.opening(&order, &channels, zero, start, end, stream);
        self.tell(now.wall, format!("recording {} began", order.id));
        self.tape.send(Op::Open { opened: Box::new(opened) });
        let mut take = RunningTake::new(order, channels, zero, start, zero, end);
        if begins_with_the_connection {
            take.await_sources();
        }
        if let Some(stop) = stop {
            take.stop_at(stop);
        }
        self.insert(take);
    }

    /// Adds a take and delivers what the history holds of it.
    fn insert(&mut self, mut take: RunningTake) {
        let Some(stream) = &self.stream else { return };
        let from = stream.next.min(take.next());
        for block in self.history.since(from) {
            take.deliver(block, stream, &self.tape);
        }
        for hop in self.meters.since(from).filter(|hop| take.wants(hop)) {
            self.tape.send(Op::Measured { id: take.id(), hop: hop.hop.clone() });
        }
        self.takes.insert(take.id(), take);
        self.remove_ended();
    }

    /// Before this stream frame some of these channels were off the record.
    fn private_floor(&self, channels: &[usize]) -> u64 {
        let running = self.takes.values().flat_map(RunningTake::private_until);
        let past = self.private_until.iter().copied().enumerate();
        let of_these = running.chain(past).filter(|(index, _)| channels.contains(index));
        of_these.map(|(_, frame)| frame).max().unwrap_or(0)
    }

    fn opening(
        &self,
        order: &Order,
        channels: &[usize],
        zero: u64,
        start: u64,
        end: Option<u64>,
        stream: &Stream,
    ) -> Opened {
        let rate = f64::from(stream.rate);
        Opened {
            id: order.id,
            title: order.title.clone(),
            sample_rate: stream.rate,
            stored_as: order.stored_as,
            channels: channels
                .iter()
                .filter_map(|&index| stream.channels.get(index).cloned())
                .collect::<Vec<TakeChannel>>(),
            started_at: stream.placement.wall_at(zero),
            time_zone: self.settings.time_zone.clone(),
            clock_quality: stream.placement.quality(),
            pre_roll_frames: start.saturating_sub(zero),
            ordered_start: order.start,
            late_seconds: zero.saturating_sub(start) as f64 / rate,
            planned_frames: end.map(|end| end - zero),
            segment_frames: ((self.settings.segment_seconds * rate) as u64).max(1),
            host: self.settings.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// With the first block: takes that a crash left open go on, the frames between are a gap.
    pub(super) fn adopt_unfinished(&mut self, block: &Arc<Block>) {
        for unfinished in std::mem::take(&mut self.unfinished) {
            let Some(stream) = &self.stream else { return };
            let (id, at) = (unfinished.order.id, stream.placement.wall_at(block.first));
            let same_rate = unfinished.opened.sample_rate == stream.rate;
            // Numbers begin at 1: a log that says otherwise does not come so far.
            let channels: Vec<usize> =
                unfinished.opened.channels.iter().map(|c| usize::from(c.number).saturating_sub(1)).collect();
            if !same_rate || channels.iter().any(|&index| index >= stream.channels.len()) {
                self.close_unfinished(&unfinished, CloseReason::EndedWhileDown);
                let why = "the audio server has another rate or fewer channels than before";
                self.tell(at, format!("recording {id} cannot go on: {why}. What was recorded is safe"));
                continue;
            }
            let frame_now = unfinished.frame_at(block, stream, &self.settings.boot_id);
            // Stream frames begin high enough that a take of a year still has its frame 0 above nothing.
            let zero = block.first.saturating_sub(frame_now);
            let rate = f64::from(stream.rate);
            let late = (unfinished.opened.late_seconds * rate).round() as u64;
            let start = (zero + unfinished.opened.pre_roll_frames).saturating_sub(late);
            let frames = unfinished.planned(start, zero, rate);
            let end = frames.map(|frames| zero.saturating_add(frames).max(zero + unfinished.frames));
            self.tape.send(Op::Adopt { id });
            if frames != unfinished.planned_frames {
                self.tape.send(Op::Note { id, fact: Fact::Planned { frames } });
            }
            let take = RunningTake::new(unfinished.order, channels, zero, start, block.first, end)
                .with_missing(zero + unfinished.frames, GapCause::CaptureDown)
                .with_pause(unfinished.paused_from.map(|frame| zero + frame))
                .with_steps(unfinished.stepped_seconds);
            self.tell(at, format!("recording {id} goes on at frame {frame_now}"));
            self.takes.insert(id, take);
        }
    }

    fn close_unfinished(&mut self, unfinished: &Unfinished, reason: CloseReason) {
        let id = unfinished.order.id;
        self.tape.send(Op::Adopt { id });
        self.tape.send(Op::Close { id, frames: unfinished.frames, reason });
        self.done.insert(id);
    }

    /// Something happens to a running take at a monotonic time.
    ///
    /// # Errors
    /// A sentence: there is no such running take, or it cannot happen to it.
    pub fn edge(&mut self, id: TakeId, mono_us: u64, edge: Edge) -> Result<u64, String> {
        let newest = self.frame_at(mono_us);
        match self.takes.get_mut(&id) {
            Some(take) => take.at(newest, edge),
            None => Err(format!("recording {id} is not running")),
        }
    }

    /// Ends a running take at a monotonic time; false if it is not running, nor about to: one that is due and whose frames
    /// are still to come begins and ends with them.
    pub fn stop(&mut self, id: TakeId, mono_us: u64) -> bool {
        if let Some(at) = self.unfinished.iter().position(|unfinished| unfinished.order.id == id) {
            // No frame has come since the recorder is back: it ends with what it has.
            let unfinished = self.unfinished.remove(at);
            self.close_unfinished(&unfinished, CloseReason::Stopped);
            return true;
        }
        let frame = self.frame_at(mono_us);
        if let Some(take) = self.takes.get_mut(&id) {
            take.stop_at(frame);
            return true;
        }
        let due = self.due.get_mut(&id);
        due.map(|due| due.stop_us = Some(mono_us)).is_some()
    }

    /// The stream frame of a monotonic time; in freewheel the newest, because time means nothing there.
    fn frame_at(&self, mono_us: u64) -> u64 {
        match &self.stream {
            Some(stream) if stream.is_freewheel => stream.next,
            Some(stream) => stream.placement.frame_at_us(mono_us),
            None => 0,
        }
    }
}

impl Stream {
    fn due(&self, order: &Order, now: Now) -> Due {
        let (ordered, since_us) = (order.start, now.mono_us);
        Due { ordered, start_us: self.placement.mono_at_wall(ordered), since_us, newest: self.next, stop_us: None }
    }

    /// The stream frame at which it begins, once it has come. Frames that still do not reach it, although they have been
    /// coming for as long, lag behind the clock: then it begins with the first that came since. In freewheel, where they run
    /// ahead of time, with the newest.
    fn begun(&self, due: &Due) -> Option<u64> {
        self.next_jack?;
        if self.is_freewheel {
            return Some(self.next);
        }
        let start = self.placement.frame_at_mono(due.start_us);
        let lags = self.heard_us >= due.since_us + LAG_US;
        if start <= self.next { Some(start) } else { lags.then_some(due.newest) }
    }

    /// Whether frames come.
    fn flows(&self, mono_us: u64) -> bool {
        self.next_jack.is_some() && !self.is_silent(mono_us)
    }

    /// Whether frames of the past may still come. In freewheel they have nothing to do with the clock.
    fn owes_frames(&self, mono_us: u64) -> bool {
        !self.is_freewheel && !self.is_silent(mono_us)
    }
}

impl Unfinished {
    /// Its planned length in frames as its order has it now: it may have been given another end while the recorder was
    /// down. An order that says what it always said keeps the length of the log, to the frame.
    fn planned(&self, start: u64, zero: u64, rate: f64) -> Option<u64> {
        let by_order = |stepped: f64| {
            let seconds = self.order.planned_seconds()?;
            let seconds = if self.order.stop.is_some() { seconds - stepped } else { seconds };
            Some(start.saturating_add((seconds.max(0.0) * rate).round() as u64).saturating_sub(zero))
        };
        let is_said = |frames: Option<u64>| match (frames, self.planned_frames) {
            (Some(now), Some(then)) => now.abs_diff(then) as f64 <= rate / 100.0,
            (now, then) => now == then,
        };
        // The log's plan was made before the clock was stepped, or after.
        let is_unchanged = is_said(by_order(0.0)) || is_said(by_order(self.stepped_seconds));
        if is_unchanged { self.planned_frames } else { by_order(self.stepped_seconds) }
    }

    /// The take's frame at the first sample of `block`.
    ///
    /// If JACK's own counter agrees with the clock to a quarter of a second it is the same server still counting, and the
    /// answer is exact; otherwise the clock's answer is taken: the monotonic one within a boot, else the wall's. A clock
    /// that went back says that no time passed; then one frame is missing at the least, so that the joint is told.
    fn frame_at(&self, block: &Block, stream: &Stream, boot_id: &str) -> u64 {
        let Some(anchor) = &self.anchor else { return self.frames };
        let rate = f64::from(stream.rate);
        let is_same_boot = !anchor.boot_id.is_empty() && anchor.boot_id == boot_id;
        let elapsed_us = match is_same_boot {
            true => stream.placement.us_at(block.first) as f64 - anchor.mono_us as f64,
            false => stream.placement.wall_at(block.first).duration_since(anchor.at).as_secs_f64() * 1e6,
        };
        let by_clock = anchor.first_frame as f64 + elapsed_us.max(0.0) * rate / 1e6;
        let counted = f64::from(block.jack_frame.wrapping_sub(anchor.jack_frame));
        let wraps = ((by_clock - anchor.first_frame as f64 - counted) / 2f64.powi(32)).round().max(0.0);
        let by_jack = anchor.first_frame as f64 + counted + wraps * 2f64.powi(32);
        let agree = is_same_boot && (by_jack - by_clock).abs() <= rate / 4.0;
        match agree {
            true => (by_jack as u64).max(self.frames),
            false => (by_clock.round() as u64).max(self.frames + 1),
        }
    }
}
