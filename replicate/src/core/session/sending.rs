//! What the peer lacks goes out: by priority, log by log in turn, within credit; and what becomes of it.
//!
//! A batch under way is remembered as places and a length. Its entries stay in the log and are read again if need be.

use super::floor::May;
use super::known::Next;
use super::{Limits, Session, Told};
use crate::core::exchange::{EXPORT_ENTRIES_MAX, Mark, Records};
use crate::core::floor::fill::{Kept, Part};
use crate::core::floor::{Floor, seq_of};
use crate::core::flow::{Class, Outflow};
use crate::core::id::{LogId, Stream};
use crate::core::message::{Ack, Batch, Cause, Message, Nak, VectorPart};
use crate::core::mutant::{Mutant, is_on};
use crate::core::view::Unreadable;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Batches under way at once; more wait and become longer.
pub const BATCHES_MAX: usize = 64;

/// A batch sent and not acknowledged.
#[derive(Debug)]
struct UnderWay {
    class: Class,
    bytes: u64,
    sent_ms: u64,
    /// Up to where it goes in each of its logs.
    lasts: Vec<(LogId, u64)>,
}

/// Waiting after the peer could not keep a batch of a stream.
#[derive(Debug, Clone, Copy, Default)]
struct Retry {
    at_ms: Option<u64>,
    /// The last wait; 0 if all went well.
    wait_ms: u64,
    /// Batches before this number were sent before it failed: their fate says nothing.
    since: u64,
}

#[derive(Debug)]
pub(super) struct Sending {
    pub flow: Outflow,
    /// Entries sent.
    pub entries: u64,
    under_way: BTreeMap<u64, UnderWay>,
    number: u64,
    retries: [Retry; 4],
}

impl Sending {
    pub fn new(limits: &Limits) -> Self {
        let flow = Outflow::new(limits.chunk_ms);
        let (under_way, retries) = (BTreeMap::new(), [Retry::default(); 4]);
        Self { flow, entries: 0, under_way, number: 0, retries }
    }

    /// When a stream that waits may be sent again.
    pub fn retry_at_ms(&self) -> Option<u64> {
        self.retries.iter().filter_map(|retry| retry.at_ms).min()
    }
}

/// What goes into one batch.
#[derive(Default)]
struct Gathered {
    entries: Vec<Arc<[u8]>>,
    lasts: Vec<(LogId, u64)>,
    bytes: u64,
    kept: Option<Kept>,
}

/// Leaves of a log's kept entries those below the floor. Returns what that brings, and the last place.
fn cut_at_floor(tail: &mut Vec<Arc<[u8]>>, log: LogId, sent: u64, floor: &Floor) -> (Part, u64) {
    let seq = |raw: &Arc<[u8]>| seq_of(raw).unwrap_or(u64::MAX);
    let had = tail.len();
    tail.retain(|raw| seq(raw) <= floor.end(log));
    let last = tail.last().map_or(sent, seq);
    let is_end = had == 0 || tail.len() < had || last == floor.end(log);
    (Part { log, after: sent, is_end }, last)
}

impl Session {
    /// Part of the peer's vector: what it has, and where its logs are not ours.
    pub(super) fn heard_vector(&mut self, part: &VectorPart, records: &impl Records) -> Result<(), Unreadable> {
        for ((node, inc), mark) in &part.marks {
            let log = LogId { stream: part.stream, node: *node, inc: *inc };
            if !self.known.has_room(log) {
                self.close(super::Reason::TooManyLogs);
                return Ok(());
            }
            self.compare(log, *mark, records)?;
        }
        if part.is_last {
            self.known.told(part.stream);
            self.known.pack();
            for ((node, inc), mark) in records.vector(part.stream)? {
                self.known.ends(LogId { stream: part.stream, node, inc }, mark.seq);
            }
        }
        Ok(())
    }

    fn compare(&mut self, log: LogId, theirs: Mark, records: &impl Records) -> Result<(), Unreadable> {
        let head = records.end(log)?;
        let ours = head.map_or(0, |head| head.seq);
        let us = self.me.origin;
        let hash = match head {
            Some(head) if theirs.seq == head.seq => Some(head.hash),
            Some(head) if theirs.seq < head.seq => records.hash(log.at(theirs.seq))?,
            Some(_) | None => None,
        };
        if hash.is_some_and(|hash| hash != theirs.hash) {
            let have = head.map(|head| Mark { seq: head.seq, hash: head.hash });
            self.found_fork(log, theirs.seq, have);
        } else if theirs.seq > ours && log.node == us.node && log.inc >= us.inc {
            self.tell(Told::OurOwnFuture { at: log.at(theirs.seq) });
        }
        self.known.has(log, theirs.seq, ours);
        Ok(())
    }

    /// Our logs have grown.
    pub(super) fn changed(&mut self, logs: &[LogId], records: &impl Records) -> Result<(), Unreadable> {
        for log in logs {
            let ours = records.end(*log)?.map_or(0, |head| head.seq);
            self.known.ends(*log, ours);
        }
        if logs.is_empty() {
            for stream in Stream::ALL {
                if !self.known.is_told(stream) {
                    continue;
                }
                for ((node, inc), mark) in records.vector(stream)? {
                    self.known.ends(LogId { stream, node, inc }, mark.seq);
                }
            }
        }
        Ok(())
    }

    /// Sends what the peer lacks, as far as credit goes: after each batch the first stream has the first say again.
    pub(super) fn send_what_is_lacking(&mut self, now_ms: u64, records: &impl Records) -> Result<(), Unreadable> {
        while self.sending.under_way.len() < BATCHES_MAX {
            let mut has_sent = false;
            let mut streams = Stream::ALL;
            if is_on(Mutant::SecBehindBulk) {
                streams.reverse();
            }
            for stream in streams {
                has_sent = self.send_batch(now_ms, stream, records)?;
                if has_sent {
                    break;
                }
            }
            if !has_sent {
                break;
            }
        }
        Ok(())
    }

    fn send_batch(&mut self, now_ms: u64, stream: Stream, records: &impl Records) -> Result<bool, Unreadable> {
        let retry = &mut self.sending.retries[usize::from(stream.number())];
        if retry.at_ms.is_some_and(|at_ms| now_ms < at_ms) {
            return Ok(false);
        }
        retry.at_ms = None;
        if self.is_held() {
            return Ok(false);
        }
        if self.known.next_to_send(stream).is_none() {
            return Ok(false);
        }
        let Some((class, room)) = self.sending.flow.room(stream) else { return Ok(false) };
        let Gathered { entries, lasts, bytes, kept } = self.gather(stream, class, room, records)?;
        if lasts.is_empty() {
            return Ok(false);
        }
        self.sending.number += 1;
        self.sending.entries += entries.len() as u64;
        self.sending.flow.sent(class, bytes);
        let number = self.sending.number;
        self.sending.under_way.insert(number, UnderWay { class, bytes, sent_ms: now_ms, lasts });
        self.say(Message::Batch(Batch { number, stream, entries, kept }));
        Ok(true)
    }

    /// Takes entries of one log after the other until the room is full. One entry that is longer may go alone. What was kept
    /// below the floor goes in batches of its own.
    fn gather(
        &mut self,
        stream: Stream,
        class: Class,
        room: u64,
        records: &impl Records,
    ) -> Result<Gathered, Unreadable> {
        let own = records.standing()?;
        let mut gathered = Gathered::default();
        while let Some(log) = self.known.next_to_send(stream) {
            let sent = self.known.sent(log);
            let may = self.may_send(log, sent, own.as_ref());
            if may == May::Nothing {
                self.known.sending(log, sent, true);
                continue;
            }
            let (entries_left, bytes_left) = (
                EXPORT_ENTRIES_MAX - gathered.lasts.len().max(gathered.entries.len()),
                room.saturating_sub(gathered.bytes),
            );
            let is_other_sort = !gathered.lasts.is_empty() && gathered.kept.is_some() != (may == May::Kept);
            if entries_left == 0 || bytes_left == 0 || is_other_sort {
                break;
            }
            let mut tail = records.tail(log, sent + 1, entries_left, bytes_left as usize)?;
            let floor = own.as_ref().filter(|_| may == May::Kept).map(|own| own.floor.clone());
            let part = floor.as_ref().map(|floor| cut_at_floor(&mut tail, log, sent, floor));
            let tail_bytes: u64 = tail.iter().map(|raw| raw.len() as u64).sum();
            let is_one_too_long = tail_bytes > bytes_left;
            if is_one_too_long && !(gathered.lasts.is_empty() && self.sending.flow.fits(class, tail_bytes)) {
                break;
            }
            let last = match (&floor, &part) {
                (Some(floor), Some((part, _))) if part.is_end => floor.end(log),
                (Some(_), Some((_, last))) => *last,
                (_, _) => sent + tail.len() as u64,
            };
            let is_all = (tail.is_empty() && part.is_none()) || records.end(log)?.is_none_or(|head| head.seq <= last);
            self.known.sending(log, last, is_all);
            if last > sent {
                gathered.bytes += tail_bytes;
                gathered.lasts.push((log, last));
                gathered.entries.extend(tail);
            }
            if let (Some(floor), Some((part, _))) = (floor, part) {
                let kept = gathered.kept.get_or_insert_with(|| Kept { floor: floor.name, parts: Vec::new() });
                kept.parts.push(part);
                if !part.is_end {
                    break;
                }
            } else if !is_all {
                break;
            }
        }
        Ok(gathered)
    }

    /// A batch of ours is durable at the peer, but for what it refused.
    pub(super) fn heard_ack(&mut self, now_ms: u64, ack: &Ack) {
        let Some(sent) = self.sending.under_way.remove(&ack.number) else {
            return self.close(super::Reason::Breach("it acknowledged what was not sent"));
        };
        self.sending.flow.granted(ack.window);
        if sent.class == Class::Window {
            self.sending.flow.took(sent.sent_ms, now_ms, sent.bytes);
        }
        self.sending.flow.ended(sent.class, sent.bytes);
        let retry = &mut self.sending.retries[usize::from(ack.stream.number())];
        if ack.number >= retry.since {
            *retry = Retry::default();
        }
        let ends: BTreeMap<_, _> = ack.marks.iter().map(|dot| ((dot.node, dot.inc), dot.seq)).collect();
        for (log, last) in sent.lasts {
            let has = ends.get(&(log.node, log.inc)).copied().unwrap_or(0);
            let (number, next) = (ack.number, self.sending.number + 1);
            match self.known.acknowledged(log, (has, last), number, next, self.limits.refusals_max) {
                Next::Known | Next::Again => {}
                Next::LeftAlone => self.tell(Told::LeftAlone { log, why: Cause::Unfit }),
            }
        }
    }

    /// The peer says what cannot join, or that it could not keep a batch.
    pub(super) fn heard_nak(&mut self, now_ms: u64, nak: Nak, records: &impl Records) -> Result<(), Unreadable> {
        for place in nak.places {
            let log = place.at.log();
            match place.why {
                Cause::Fork => {
                    if self.known.leave_alone(log) {
                        self.tell(Told::Fork { at: place.at });
                    }
                }
                Cause::Clone => {
                    for stream in Stream::ALL {
                        self.known.leave_alone(LogId { stream, ..log });
                    }
                    self.tell(Told::Clone { node: log.node, inc: log.inc });
                }
                Cause::BadOpening => {
                    if self.known.leave_alone(log) {
                        self.tell(Told::LeftAlone { log, why: place.why });
                    }
                }
                // Its acknowledgement says where the log ends there: it goes on from there, or is left alone in time.
                Cause::Gap | Cause::OwnFuture | Cause::Unfit | Cause::Unknown => {}
            }
        }
        let Some(why) = nak.why else { return Ok(()) };
        let Some(sent) = self.sending.under_way.remove(&nak.number) else {
            self.close(super::Reason::Breach("it refused what was not sent"));
            return Ok(());
        };
        self.sending.flow.ended(sent.class, sent.bytes);
        let (first, max) = (self.limits.retry_ms, self.limits.retry_max_ms);
        let retry = &mut self.sending.retries[usize::from(nak.stream.number())];
        // Batches that were under way together fail together: that is one failure.
        if nak.number >= retry.since {
            retry.wait_ms = (retry.wait_ms * 2).clamp(first, max);
            retry.at_ms = Some(now_ms + retry.wait_ms);
            retry.since = self.sending.number + 1;
        }
        for (log, _) in sent.lasts {
            if is_on(Mutant::FailureForgotten) {
                continue;
            }
            self.known.failed(log, nak.number, self.sending.number + 1);
            let ours = records.end(log)?.map_or(0, |head| head.seq);
            self.known.ends(log, ours);
        }
        self.tell(Told::NotKept { stream: nak.stream, is_at_peer: true, why });
        Ok(())
    }
}
