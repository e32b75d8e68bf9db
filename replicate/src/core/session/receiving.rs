//! What the peer sends goes to be kept, and is acknowledged when it is durable, never before.

use super::{Output, Reason, Session, Told};
use crate::core::exchange::{Applied, Mark, Records};
use crate::core::flow::Inflow;
use crate::core::id::{Dot, LogId, Position, Stream};
use crate::core::log::Refusal;
use crate::core::message::{Ack, Batch, Cause, Message, NAK_PLACES_MAX, Nak, Refused, WHY_BYTES_MAX};
use crate::core::mutant::{Mutant, is_on};
use crate::core::view::Unreadable;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// A batch that is being kept.
#[derive(Debug)]
struct Applying {
    stream: Stream,
    bytes: u64,
    since_ms: u64,
    logs: BTreeSet<LogId>,
}

#[derive(Debug, Default)]
pub(super) struct Receiving {
    pub flow: Inflow,
    /// Entries received.
    pub entries: u64,
    applying: BTreeMap<u64, Applying>,
    /// The last batch's number.
    number: u64,
}

/// The part of an entry that says where it belongs. All else is the log's business.
#[derive(Deserialize)]
struct Place {
    d: Dot,
    s: Stream,
}

impl Session {
    pub(super) fn heard_batch(&mut self, now_ms: u64, batch: Batch, records: &impl Records) -> Result<(), Unreadable> {
        let Batch { number, stream, entries, kept } = batch;
        let bytes = entries.iter().map(|raw| raw.len() as u64).sum();
        if number <= self.receiving.number {
            self.close(Reason::Breach("a batch came twice"));
            return Ok(());
        }
        self.receiving.number = number;
        self.receiving.entries += entries.len() as u64;
        if !self.receiving.flow.came(bytes) || self.receiving.applying.len() >= super::BATCHES_MAX {
            self.close(Reason::BeyondCredit);
            return Ok(());
        }
        let mut ends: BTreeMap<LogId, u64> = BTreeMap::new();
        for raw in &entries {
            let place = serde_json::from_slice::<Place>(raw).ok().filter(|place| place.s == stream);
            let Some(Place { d, s }) = place else {
                self.close(Reason::Breach("what it sent is no entry of this stream"));
                return Ok(());
            };
            ends.insert(Position { stream: s, dot: d }.log(), d.seq);
        }
        for part in kept.iter().flat_map(|kept| &kept.parts) {
            ends.entry(part.log).or_insert(part.after);
        }
        let mine = self.known.mine();
        if ends.keys().any(|log| !mine.covers(*log)) {
            self.close(Reason::Breach("it sent a log nobody asked for"));
            return Ok(());
        }
        for (log, seq) in &ends {
            if !self.known.has_room(*log) {
                self.close(Reason::TooManyLogs);
                return Ok(());
            }
            // Who sends a place has it, and all before it.
            let ours = records.end(*log)?.map_or(0, |head| head.seq);
            if !is_on(Mutant::EchoStorm) {
                self.known.has(*log, *seq, ours);
            }
        }
        if is_on(Mutant::AckBeforeCommit) {
            let marks = ends.iter().map(|(log, seq)| log.at(*seq).dot).collect();
            self.say(Message::Ack(Ack { number, stream, marks, window: 1 << 20 }));
        }
        let logs = ends.into_keys().collect();
        self.receiving.applying.insert(number, Applying { stream, bytes, since_ms: now_ms, logs });
        self.emit(Output::Apply { batch: number, stream, entries, kept, is_urgent: stream == Stream::Sec });
        Ok(())
    }

    pub(super) fn applied(
        &mut self,
        now_ms: u64,
        number: u64,
        applied: Result<Applied, String>,
        records: &impl Records,
    ) -> Result<(), Unreadable> {
        let Some(batch) = self.receiving.applying.remove(&number) else { return Ok(()) };
        let took_ms = now_ms.saturating_sub(batch.since_ms);
        let window = self.receiving.flow.done(batch.bytes, took_ms, applied.is_ok());
        let stream = batch.stream;
        let applied = match applied {
            Ok(applied) => applied,
            Err(mut why) => {
                why.truncate(why.floor_char_boundary(WHY_BYTES_MAX));
                self.tell(Told::NotKept { stream, is_at_peer: false, why: why.clone() });
                self.say(Message::Nak(Nak { number, stream, why: Some(why), places: Vec::new() }));
                return Ok(());
            }
        };
        let mut marks = Vec::with_capacity(batch.logs.len());
        let mut ends = BTreeMap::new();
        for log in batch.logs {
            let Some(head) = records.end(log)? else { continue };
            marks.push(log.at(head.seq).dot);
            ends.insert(log, Mark { seq: head.seq, hash: head.hash });
            self.known.ends(log, head.seq);
        }
        self.refuse(number, stream, &applied, &ends);
        if !is_on(Mutant::AckBeforeCommit) {
            self.say(Message::Ack(Ack { number, stream, marks, window }));
        }
        Ok(())
    }

    /// Tells of each log's first refusal: the later ones follow from it.
    fn refuse(&mut self, number: u64, stream: Stream, applied: &Applied, ends: &BTreeMap<LogId, Mark>) {
        let mut places: BTreeMap<LogId, Refused> = BTreeMap::new();
        for (_, refusal) in &applied.refusals {
            let Some((at, why)) = cause(refusal) else { continue };
            if places.len() >= NAK_PLACES_MAX || places.contains_key(&at.log()) {
                continue;
            }
            let have = ends.get(&at.log()).copied();
            places.insert(at.log(), Refused { at, why, have });
            match why {
                Cause::Fork => {
                    if self.known.leave_alone(at.log()) {
                        self.tell(Told::Fork { at });
                    }
                }
                Cause::OwnFuture => self.tell(Told::OurOwnFuture { at }),
                Cause::Gap | Cause::Clone | Cause::BadOpening | Cause::Unfit | Cause::Unknown => {}
            }
        }
        if !places.is_empty() {
            self.say(Message::Nak(Nak { number, stream, why: None, places: places.into_values().collect() }));
        }
    }

    /// The peer's vector shows a place whose content is not ours.
    pub(super) fn found_fork(&mut self, log: LogId, seq: u64, have: Option<Mark>) {
        let at = log.at(seq);
        if self.known.leave_alone(log) {
            self.tell(Told::Fork { at });
            let places = vec![Refused { at, why: Cause::Fork, have }];
            self.say(Message::Nak(Nak { number: 0, stream: log.stream, why: None, places }));
        }
    }
}

/// Why a place cannot join, for the peer; nothing if the refusal names no place.
fn cause(refusal: &Refusal) -> Option<(Position, Cause)> {
    match refusal {
        Refusal::Gap { at, .. } => Some((*at, Cause::Gap)),
        Refusal::Fork { at } => Some((*at, Cause::Fork)),
        Refusal::BadOpening { at } => Some((*at, Cause::BadOpening)),
        Refusal::OurOwnFuture { at } => Some((*at, Cause::OwnFuture)),
        Refusal::BelowTheFloor { at } => Some((*at, Cause::Gap)),
        Refusal::TooManyDooms { at } | Refusal::TooManyFences { at } => Some((*at, Cause::Unfit)),
        Refusal::Malformed(_) | Refusal::Unreadable(_) => None,
    }
}
