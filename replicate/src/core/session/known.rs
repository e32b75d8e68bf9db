//! What the peer has, log by log, and in which logs the two are apart.
//!
//! It is learnt from the peer's vector, from its batches (what it sends it has) and from its acknowledgements. Nothing
//! here is an entry: two numbers for each log, and a note for each log in which somebody lacks something.

use super::Lag;
use crate::core::id::{LogId, NodeId, Stream};
use crate::core::mutant::{Mutant, is_on};
use crate::core::wish::Wish;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

/// Logs one session follows; a peer that knows more is refused. 500 nodes with a hundred lives each are fewer.
pub const LOGS_MAX: usize = 65_536;

/// A log within its stream.
type Writer = (NodeId, u32);

/// A log that the peer has refused.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    /// Where it ended at the peer then.
    at: u64,
    /// How often in a row, without coming further.
    refusals: u32,
    /// Batches before this number were sent before we knew.
    since: u64,
    is_left_alone: bool,
}

/// In which logs of a stream the two are apart.
#[derive(Debug, Default)]
struct Apart {
    /// Whether the peer's vector is whole: of that stream it wants what its wish covers.
    is_told: bool,
    /// Where our log ends, of those of which the peer is not known to have all durably.
    behind: BTreeMap<Writer, u64>,
    /// Those of which something is still to be sent.
    to_send: BTreeSet<Writer>,
    /// The one served last: the next one's turn comes after it.
    served: Option<Writer>,
    /// Where our log ends, of those of which the peer has more.
    ahead: BTreeMap<Writer, u64>,
}

/// What the peer has.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Up to where the peer has a writer's logs durably, by stream. Most of what a session costs in a large fleet.
    theirs: BTreeMap<Writer, [u64; 4]>,
    /// Up to where a log is under way, where that is more.
    under_way: BTreeMap<LogId, u64>,
    streams: [Apart; 4],
    trouble: BTreeMap<LogId, Trouble>,
    /// Which logs we keep.
    mine: Wish,
    /// Which the peer keeps.
    wish: Wish,
}

/// What a refusal means for a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It was sent before we knew: nothing.
    Known,
    /// It will be sent again from where it ends at the peer.
    Again,
    /// It has been refused too often.
    LeftAlone,
}

impl Known {
    /// Begins with what we keep.
    pub fn new(mine: Wish) -> Self {
        Self { mine, ..Self::default() }
    }

    /// The peer has said what it keeps.
    pub fn keeps(&mut self, wish: Wish) {
        self.wish = wish;
    }

    /// Which logs we keep.
    pub fn mine(&self) -> Wish {
        self.mine
    }

    /// Whether the peer keeps a log.
    pub fn is_kept(&self, log: LogId) -> bool {
        self.wish.covers(log) || is_on(Mutant::UnkeptSent)
    }

    /// Whether the peer keeps a log and has told how far it is.
    pub fn is_followed(&self, log: LogId) -> bool {
        self.is_told(log.stream) && self.is_kept(log)
    }

    fn apart(&mut self, stream: Stream) -> &mut Apart {
        &mut self.streams[usize::from(stream.number())]
    }

    /// Whether one more log of the peer's can be followed.
    pub fn has_room(&self, log: LogId) -> bool {
        self.theirs.len() < LOGS_MAX || self.theirs.contains_key(&(log.node, log.inc))
    }

    /// Up to where the peer has a log durably.
    pub fn theirs(&self, log: LogId) -> u64 {
        self.theirs.get(&(log.node, log.inc)).map_or(0, |theirs| theirs[usize::from(log.stream.number())])
    }

    /// Up to where a log needs not be sent: the peer has it, or it is under way.
    pub fn sent(&self, log: LogId) -> u64 {
        self.under_way.get(&log).copied().unwrap_or(0).max(self.theirs(log))
    }

    fn set_sent(&mut self, log: LogId, seq: u64) {
        if seq > self.theirs(log) {
            self.under_way.insert(log, seq);
        } else {
            self.under_way.remove(&log);
        }
    }

    /// The peer has a log durably up to here; ours ends at `ours`.
    pub fn has(&mut self, log: LogId, seq: u64, ours: u64) {
        let theirs = &mut self.theirs.entry((log.node, log.inc)).or_default()[usize::from(log.stream.number())];
        *theirs = (*theirs).max(seq);
        let sent = self.sent(log);
        self.set_sent(log, sent);
        self.ends(log, ours);
    }

    /// Takes the least room: a map that grew in order is half empty.
    pub fn pack(&mut self) {
        self.theirs = std::mem::take(&mut self.theirs).into_iter().collect();
    }

    /// Ours ends here.
    pub fn ends(&mut self, log: LogId, ours: u64) {
        let (sent, theirs) = (self.sent(log), self.theirs(log));
        let (is_left_alone, is_wanted) = (self.is_left_alone(log), self.is_followed(log));
        let (writer, apart) = ((log.node, log.inc), self.apart(log.stream));
        keep(&mut apart.ahead, writer, ours, theirs > ours && !is_left_alone);
        keep(&mut apart.behind, writer, ours, is_wanted && theirs < ours && !is_left_alone);
        if is_wanted && sent < ours && !is_left_alone {
            apart.to_send.insert(writer);
        } else {
            apart.to_send.remove(&writer);
        }
    }

    /// The peer's vector of a stream is whole.
    pub fn told(&mut self, stream: Stream) {
        self.apart(stream).is_told = true;
    }

    /// Whether the peer has told how far it is in a stream.
    pub fn is_told(&self, stream: Stream) -> bool {
        self.streams[usize::from(stream.number())].is_told
    }

    /// Returns whose log is to be served next in a stream.
    pub fn next_to_send(&self, stream: Stream) -> Option<LogId> {
        let apart = &self.streams[usize::from(stream.number())];
        let after = apart.served.and_then(|served| apart.to_send.range((Excluded(served), Unbounded)).next());
        let (node, inc) = *after.or_else(|| apart.to_send.first())?;
        Some(LogId { stream, node, inc })
    }

    /// Notes that a log is under way up to here, and whether that is all there is.
    pub fn sending(&mut self, log: LogId, seq: u64, is_all: bool) {
        self.set_sent(log, seq);
        let apart = self.apart(log.stream);
        apart.served = Some((log.node, log.inc));
        if is_all {
            apart.to_send.remove(&(log.node, log.inc));
        }
    }

    /// Where our log ended when we last looked.
    fn ours(&self, log: LogId) -> u64 {
        let apart = &self.streams[usize::from(log.stream.number())];
        let noted = apart.behind.get(&(log.node, log.inc)).or_else(|| apart.ahead.get(&(log.node, log.inc)));
        noted.copied().unwrap_or_else(|| self.theirs(log))
    }

    /// The peer has a log durably up to `has`, by its acknowledgement of batch `number`, which went up to `last`.
    /// `next_number` is the number of the next batch.
    pub fn acknowledged(
        &mut self,
        log: LogId,
        (has, last): (u64, u64),
        number: u64,
        next_number: u64,
        refusals_max: u32,
    ) -> Next {
        let ours = self.ours(log);
        self.has(log, has, ours);
        if has >= last || self.is_left_alone(log) {
            return Next::Known;
        }
        let before = self.trouble.get(&log).copied();
        if before.is_some_and(|before| number < before.since) {
            return Next::Known;
        }
        let refusals = before.filter(|before| before.at == has).map_or(1, |before| before.refusals + 1);
        let is_left_alone = refusals >= refusals_max;
        self.trouble.insert(log, Trouble { at: has, refusals, since: next_number, is_left_alone });
        if is_left_alone {
            self.leave_alone(log);
            return Next::LeftAlone;
        }
        self.set_sent(log, has);
        self.ends(log, ours);
        Next::Again
    }

    /// Batch `number` failed at the peer: what it had of a log is to be sent again, and that is nobody's fault.
    pub fn failed(&mut self, log: LogId, number: u64, next_number: u64) {
        let before = self.trouble.get(&log).copied();
        if self.is_left_alone(log) || before.is_some_and(|before| number < before.since) {
            return;
        }
        let (ours, theirs) = (self.ours(log), self.theirs(log));
        let refusals = before.map_or(0, |before| before.refusals);
        self.trouble.insert(log, Trouble { at: theirs, refusals, since: next_number, is_left_alone: false });
        self.set_sent(log, theirs);
        self.ends(log, ours);
    }

    /// A log cannot be brought together: it is not sent any more. Returns whether that is new.
    pub fn leave_alone(&mut self, log: LogId) -> bool {
        let alone = Trouble { at: 0, refusals: 0, since: 0, is_left_alone: true };
        let is_new = !self.trouble.insert(log, alone).is_some_and(|before| before.is_left_alone);
        self.ends(log, 0);
        is_new
    }

    pub fn is_left_alone(&self, log: LogId) -> bool {
        self.trouble.get(&log).is_some_and(|trouble| trouble.is_left_alone)
    }

    pub fn left_alone(&self) -> usize {
        self.trouble.values().filter(|trouble| trouble.is_left_alone).count()
    }

    /// Up to where the peer has those logs of a stream of which it has more.
    pub fn ahead(&self, stream: Stream) -> impl Iterator<Item = (LogId, u64)> {
        let writers = self.streams[usize::from(stream.number())].ahead.keys();
        let log = move |(node, inc): &Writer| LogId { stream, node: *node, inc: *inc };
        writers.map(log).map(|log| (log, self.theirs(log)))
    }

    /// How far the two are apart in a stream, in the logs that each of them keeps.
    pub fn lag(&self, stream: Stream) -> Lag {
        let apart = &self.streams[usize::from(stream.number())];
        let theirs = |(node, inc): &Writer| self.theirs(LogId { stream, node: *node, inc: *inc });
        let to_send = apart.behind.iter().map(|(writer, ours)| ours.saturating_sub(theirs(writer))).sum();
        let is_ours = |(node, inc): &Writer| self.mine.covers(LogId { stream, node: *node, inc: *inc });
        let ahead = apart.ahead.iter().filter(|(writer, _)| is_ours(writer));
        let to_receive = ahead.map(|(writer, ours)| theirs(writer).saturating_sub(*ours)).sum();
        Lag { is_known: apart.is_told, to_send, to_receive }
    }
}

fn keep(logs: &mut BTreeMap<Writer, u64>, writer: Writer, ours: u64, is_apart: bool) {
    let _ = if is_apart { logs.insert(writer, ours) } else { logs.remove(&writer) };
}
