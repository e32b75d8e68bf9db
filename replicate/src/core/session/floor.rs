//! The floor on a link: which of the two is below the other's, and the one that has nothing is filled.
//!
//! The one with the later floor judges, by what it knows of the other, and if that is not enough by vectors it asks for:
//! level (it has all below the floor), below (it has a part), empty (it has nothing of it). Who is below is sent nothing;
//! what nobody else has it hands on like any entry: that names what it replaces, so it brings no old state with it. Who is
//! empty is offered the marks, and when it has kept them, what was kept below the floor, log by log. Nothing that has gaps
//! is ever sent otherwise.

use super::{Session, Told};
use crate::core::exchange::{Mark, Records};
use crate::core::floor::{Floor, FloorName, HandedOn, STREAMS, Stage, Standing};
use crate::core::id::{LogId, Stream};
use crate::core::message::{FLOOR, FloorWord, Message, Stands, VECTOR_MARKS_MAX};
use crate::core::mutant::{Mutant, is_on};
use crate::core::view::Unreadable;
use crate::core::wish::Wish;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How the peer stands to our floor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Verdict {
    /// Its vectors are not whole yet.
    #[default]
    Unknown,
    /// It has all below our floor, or judges us itself, or there is no floor.
    Level,
    /// It has a part.
    Below,
    /// It has nothing of it, and has been offered what we kept.
    Empty,
    /// It takes that.
    Filling,
    /// It is being filled at our floor with what is not kept here; all that is it has.
    Beside,
}

#[derive(Debug, Default)]
pub(super) struct Below {
    /// The peer's floor, as it said last.
    pub peer: Option<Stands>,
    /// Ours, as we said last.
    said: Option<Stands>,
    verdict: Verdict,
    /// The floor by which that was found.
    judged: Option<Stands>,
    /// Since it heard of which floor of ours the peer was asked how far it has come, and has told.
    asked: Option<FloorName>,
    told: Option<FloorName>,
    /// The peer's floor that we were below when it said so.
    is_below: Option<FloorName>,
    /// What we have offered.
    offered: Option<FloorName>,
    /// Marks of an offer, as far as they came.
    offer: BTreeMap<LogId, Mark>,
}

fn stands(own: Option<&Standing>) -> Option<Stands> {
    own.map(|own| Stands { floor: own.floor.name, stage: own.stage })
}

impl Session {
    /// What we say of our floor.
    pub(super) fn stands(&mut self, records: &impl Records) -> Result<Option<Stands>, Unreadable> {
        self.below.said = stands(records.standing()?.as_ref());
        // Who hears it in a hello tells its vectors anyway.
        self.below.asked = self.below.said.map(|said| said.floor);
        Ok(self.below.said)
    }

    /// Returns the peer's floor, as it said last.
    pub fn peer_stands(&self) -> Option<Stands> {
        self.below.peer
    }

    /// Whether the peer has said that this node is below its floor, and it is not at that one by now.
    pub fn is_below(&self) -> bool {
        self.below.is_below > self.below.said.map(|said| said.floor)
    }

    /// Returns what the peer has of our logs, for a node that wants to begin anew.
    ///
    /// # Errors
    /// [`Unreadable`] from the records.
    pub fn handed_on(&self, records: &impl Records) -> Result<HandedOn, Unreadable> {
        let (mut ends, mut left_alone) = (BTreeMap::new(), BTreeSet::new());
        for stream in Stream::ALL {
            for (node, inc) in records.vector(stream)?.into_keys() {
                let log = LogId { stream, node, inc };
                ends.insert(log, self.known.theirs(log));
                left_alone.extend(self.known.is_left_alone(log).then_some(log));
            }
        }
        Ok(HandedOn { ends, left_alone })
    }

    /// Tells the peer if our floor is another, and looks how it stands to that.
    pub(super) fn look_at_floor(&mut self, records: &impl Records) -> Result<(), Unreadable> {
        let own = records.standing()?;
        let now = stands(own.as_ref());
        if now != self.below.said {
            let before = std::mem::replace(&mut self.below.said, now);
            let was_filled = before.is_some_and(|before| before.stage == Stage::Filling);
            let is_later_there = self.below.peer.map(|theirs| theirs.floor) > now.map(|now| now.floor);
            if was_filled || is_later_there {
                // What the peer knows of our logs may be what it had to send itself, and it holds that back.
                self.tell_vectors(&STREAMS, records)?;
            }
            if let Some(now) = now {
                self.say(Message::Floor(FloorWord::Stands(now)));
            }
            self.changed(&[], records)?;
        }
        if self.below.judged != now || self.below.verdict == Verdict::Unknown {
            self.judge_or_ask(own.as_ref(), records)?;
        }
        Ok(())
    }

    /// Judges the peer. If it may be below our floor, it has to tell first how far it has come: it may have got further by
    /// others. Until then it is sent nothing, so nobody is asked who is known to be level: those that a floor waits for.
    fn judge_or_ask(&mut self, own: Option<&Standing>, records: &impl Records) -> Result<(), Unreadable> {
        let now = stands(own);
        if own.is_none_or(|own| self.is_surely_level(own)) || self.has_told_all(now) {
            return self.judge(own, records);
        }
        if self.below.judged.map(|judged| judged.floor) != now.map(|now| now.floor) {
            self.below.verdict = Verdict::Unknown;
        }
        let floor = now.map(|now| now.floor);
        if let Some(floor) = floor.filter(|_| self.below.asked != floor) {
            self.below.asked = Some(floor);
            self.say(Message::Floor(FloorWord::Asks(floor)));
        }
        Ok(())
    }

    /// Whether the peer has all below our floor, by what is known already.
    fn is_surely_level(&self, own: &Standing) -> bool {
        if self.hello.is_none() || own.stage == Stage::Filling {
            return false;
        }
        match self.below.peer {
            Some(Stands { stage: Stage::Filling, .. }) => false,
            Some(theirs) if theirs.floor >= own.floor.name => true,
            Some(_) | None => self.has_all(own, Wish::ALL),
        }
    }

    /// Whether the peer has what it keeps below our floor of these logs, by what is known already.
    fn has_all(&self, own: &Standing, of: Wish) -> bool {
        let mut marks = own.floor.marks.iter().filter(|(log, _)| of.covers(**log) && self.known.is_kept(**log));
        marks.all(|(log, mark)| self.known.theirs(*log) >= mark.seq)
    }

    /// Whether the peer has told how far it is in all streams that have a floor, as far as it wants them, since it heard of
    /// ours: before, it may have got further by others.
    fn has_told_all(&self, now: Option<Stands>) -> bool {
        let (Some(hello), Some(now)) = (&self.hello, now) else { return true };
        match hello.has(FLOOR) {
            true => self.below.told == Some(now.floor) || now.stage == Stage::Filling,
            false => STREAMS.iter().all(|stream| self.known.is_told(*stream) || !hello.wants.contains(stream)),
        }
    }

    /// After our vectors: they were told knowing the peer's floor.
    pub(super) fn told_all(&mut self) {
        if let Some(theirs) = self.below.peer {
            self.say(Message::Floor(FloorWord::Told(theirs.floor)));
        }
    }

    fn judge(&mut self, own: Option<&Standing>, records: &impl Records) -> Result<(), Unreadable> {
        let verdict = match own {
            Some(own) if own.stage != Stage::Filling => self.verdict(own),
            Some(_) | None => Verdict::Level,
        };
        self.below.judged = stands(own);
        if (self.below.verdict, verdict) == (Verdict::Filling, Verdict::Empty) {
            return Ok(());
        }
        if let (Verdict::Level, Some(own)) = (verdict, own) {
            self.is_at_our_floor(own, records)?;
        }
        let before = std::mem::replace(&mut self.below.verdict, verdict);
        match (verdict, own) {
            (Verdict::Below, Some(own)) if before != verdict => {
                // Whether it has handed on what it has, it sees by what we have.
                self.tell_vectors(&Stream::ALL, records)?;
                self.say(Message::Floor(FloorWord::Below(own.floor.name)));
                self.tell(Told::PeerBelowFloor);
            }
            // While rows are leaving nobody can be filled: it is judged again when they have left.
            (Verdict::Empty, Some(own)) if self.can_fill(own) && self.below.offered != Some(own.floor.name) => {
                self.below.offered = Some(own.floor.name);
                self.offer(&own.floor);
            }
            (Verdict::Level | Verdict::Beside, Some(_)) if before != verdict => self.changed(&[], records)?,
            (_, _) => {}
        }
        Ok(())
    }

    /// Who is at our floor has all below it, though it may never have told us so: it may have it from others.
    fn is_at_our_floor(&mut self, own: &Standing, records: &impl Records) -> Result<(), Unreadable> {
        let is_there = self.below.peer.is_some_and(|theirs| theirs.floor == own.floor.name);
        if !is_there || own.stage == Stage::Filling {
            return Ok(());
        }
        for (log, mark) in &own.floor.marks {
            let is_missing = self.known.is_kept(*log) && !self.known.is_left_alone(*log);
            if is_missing && self.known.theirs(*log) < mark.seq {
                let ours = records.end(*log)?.map_or(0, |head| head.seq);
                self.known.has(*log, mark.seq, ours);
            }
        }
        Ok(())
    }

    fn verdict(&self, own: &Standing) -> Verdict {
        let ours = own.floor.name;
        let below = if is_on(Mutant::FilledOverAPart) { Verdict::Empty } else { Verdict::Below };
        match self.below.peer {
            _ if is_on(Mutant::BelowTheFloorIgnored) => return Verdict::Level,
            Some(Stands { floor, stage: Stage::Filling }) if floor == ours => return self.verdict_on_filled(own),
            Some(Stands { floor, stage: Stage::Filling }) if floor < ours => return below,
            Some(Stands { floor, .. }) if floor >= ours => return Verdict::Level,
            Some(_) | None => {}
        }
        let told = |log: &LogId| self.known.is_followed(*log);
        let (mut whole, mut none) = (0, 0);
        let mut all = 0;
        for (log, mark) in own.floor.marks.iter().filter(|(log, _)| told(log)) {
            let theirs = self.known.theirs(*log);
            all += 1;
            whole += usize::from(theirs >= mark.seq);
            none += usize::from(theirs == 0);
        }
        let has_all_streams = STREAMS.iter().all(|stream| self.known.is_told(*stream));
        match () {
            () if whole == all => Verdict::Level,
            () if none == all && self.below.peer.is_none() && has_all_streams => Verdict::Empty,
            () => below,
        }
    }

    /// Of who is being filled at our floor: it may have all that is kept here, and waits for others' only.
    fn verdict_on_filled(&self, own: &Standing) -> Verdict {
        let mine = self.known.mine();
        if !mine.is_all() && self.has_all(own, mine) { Verdict::Beside } else { Verdict::Empty }
    }

    /// Whether all that the peer keeps of what is below our floor is here: what it is filled with comes from one node.
    fn can_fill(&self, own: &Standing) -> bool {
        let mine = self.known.mine();
        own.stage == Stage::At && own.floor.marks.keys().all(|log| mine.covers(*log) || !self.known.is_kept(*log))
    }

    fn offer(&mut self, floor: &Floor) {
        let marks: Vec<(LogId, Mark)> = floor.marks.iter().map(|(log, mark)| (*log, *mark)).collect();
        let mut parts = marks.chunks(VECTOR_MARKS_MAX).peekable();
        while let Some(part) = parts.next() {
            let (is_last, marks) = (parts.peek().is_none(), part.to_vec());
            self.say(Message::Floor(FloorWord::Offer { floor: floor.name, is_last, marks }));
        }
    }

    pub(super) fn heard_floor(&mut self, word: FloorWord, records: &impl Records) -> Result<(), Unreadable> {
        match word {
            FloorWord::Stands(stands) => {
                self.below.peer = Some(stands);
                self.rejudge(records)?;
            }
            FloorWord::Asks(floor) => {
                self.tell_vectors(&STREAMS, records)?;
                self.say(Message::Floor(FloorWord::Told(floor)));
            }
            FloorWord::Told(floor) => self.below.told = Some(floor),
            FloorWord::Below(floor) => {
                self.below.is_below = Some(floor);
                self.changed(&[], records)?;
                self.tell(Told::BelowFloor { floor });
            }
            FloorWord::Offer { floor, is_last, marks } => {
                self.below.offer.extend(marks);
                if self.below.offer.len() > super::LOGS_MAX {
                    self.close(super::Reason::TooManyLogs);
                } else if is_last {
                    let offered = Floor::new(floor.number, floor.epoch, std::mem::take(&mut self.below.offer));
                    if offered.name == floor {
                        self.tell(Told::Offered(Arc::new(offered)));
                    } else {
                        self.close(super::Reason::Breach("its floor is not the one it names"));
                    }
                }
            }
            FloorWord::Fill(floor) => self.asked_to_fill(floor, records)?,
        }
        Ok(())
    }

    /// The peer's floor is another: it may stand otherwise to ours.
    fn rejudge(&mut self, records: &impl Records) -> Result<(), Unreadable> {
        let own = records.standing()?;
        self.judge_or_ask(own.as_ref(), records)?;
        self.changed(&[], records)
    }

    fn asked_to_fill(&mut self, floor: FloorName, records: &impl Records) -> Result<(), Unreadable> {
        let own = records.standing()?;
        let is_ours = own.is_some_and(|own| own.floor.name == floor && own.stage == Stage::At);
        // Of another floor it is told when it says where it stands.
        if is_ours && self.below.verdict == Verdict::Empty {
            self.below.verdict = Verdict::Filling;
            self.changed(&[], records)?;
        }
        Ok(())
    }

    /// Whether nothing is to be sent for now.
    pub(super) fn is_held(&self) -> bool {
        let is_filled_by_others = self.below.peer.is_some_and(|peer| peer.stage == Stage::Filling);
        match self.below.verdict {
            Verdict::Below => true,
            _ if is_on(Mutant::FilledByAnybody) => false,
            Verdict::Filling | Verdict::Beside => false,
            Verdict::Empty => true,
            Verdict::Unknown => self.below.said.is_some() || is_filled_by_others,
            Verdict::Level => is_filled_by_others && !self.is_below(),
        }
    }

    /// What of a log may be sent from a place on: nothing, what was kept below the floor, or all.
    pub(super) fn may_send(&self, log: LogId, sent: u64, own: Option<&Standing>) -> May {
        let Some(own) = own else { return May::All };
        match own.stage {
            _ if !STREAMS.contains(&log.stream) => May::All,
            // Below: it gives what it has and the peer lacks; of what is below its floor the peer lacks nothing.
            Stage::Filling if self.is_below() && sent >= own.floor.end(log) => May::All,
            // A new life is not below it; who has become a keeper has been there all the while, and has its own logs.
            Stage::Filling if log.node == self.me.origin.node && sent >= own.floor.end(log) => May::All,
            Stage::Filling => May::Nothing,
            Stage::At if self.below.verdict == Verdict::Filling && sent < own.floor.end(log) => May::Kept,
            Stage::At | Stage::Collecting if sent < own.floor.end(log) => May::Nothing,
            Stage::At | Stage::Collecting => May::All,
        }
    }
}

/// What of a log may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum May {
    Nothing,
    Kept,
    All,
}
