//! The laws, looked at after each thing that could break them.
//!
//! I1 what is known to be kept stays; I2 one place, one content; I3 vectors and acknowledgements claim what is there;
//! I4 equal vectors, equal records; I5, I6 records are what the model says; I8, I9 are in `traffic` and `world`; I10
//! [`World::converged`]; I11 bytes; I12 bounds; I13 nothing beyond a fence that is known is shown; I7 (`floors`) what is
//! below a floor is the same everywhere, and nothing comes back from there.

use super::machine::Health;
use super::model::{Known, ends};
use super::traffic::place_of;
use super::world::World;
use crate::house::stands;
use replicate::core::entry::{Entry, LIFE, Op, Quality};
use replicate::core::exchange::Applied;
use replicate::core::flow::{SEC_RESERVE, WINDOW_MAX};
use replicate::core::id::{Dot, Hash, LogId, Position, RecordId, Stream};
use replicate::core::message::{Batch, Message};
use replicate::core::record::RecordKey;
use replicate::core::write::{Act, Replaces};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl World {
    /// Takes note of what a machine has on its disk now. Returns the logs that have grown.
    pub fn sync(&mut self, at: usize) -> Vec<LogId> {
        let floor_before = self.machines[at].have.floor.clone();
        self.note_floor(at);
        let machine = &self.machines[at];
        let Some(heads) = machine.keeper.heads() else { return Vec::new() };
        let (mut grown, mut fresh, mut holes) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut nonces = BTreeMap::new();
        for (log, head) in &heads {
            let nonce = *nonces.entry((log.node, log.inc)).or_insert(head.nonce);
            let is_filled = self.has_floors && self.model.is_double(*log);
            assert!(nonce == head.nonce || is_filled, "I2: the logs of one incarnation have two nonces at {at}");
            let had = machine.end_of(log);
            if head.seq > had {
                grown.push(*log);
                let raws = machine.keeper.entries(*log, had + 1);
                let entries: Vec<Entry> = raws.iter().map(|raw| Entry::parse(raw).unwrap()).collect();
                let floor = machine.have.floor.as_ref().map_or(0, |floor| floor.end(*log));
                let above = entries.iter().filter(|entry| entry.at.dot.seq > floor).count() as u64;
                let is_whole = above == head.seq - had.max(floor).min(head.seq);
                assert!(is_whole, "I3: {log:?} ends at {} and is not whole", head.seq);
                if entries.len() as u64 != head.seq - had {
                    let mut hashes = self.hashes_below(at, *log);
                    hashes.truncate(head.seq as usize);
                    holes.insert(*log, hashes);
                }
                fresh.extend(entries);
            }
        }
        let kept: BTreeMap<LogId, u64> = heads.iter().map(|(log, head)| (*log, head.seq)).collect();
        for (log, hashes) in machine.have.iter() {
            let end = kept.get(log).copied().unwrap_or(0);
            assert!(end >= hashes.len() as u64, "I1: {log:?} ends at {end}, machine {at} had {}", hashes.len());
        }
        fresh.sort_by_key(|entry| (entry.lam, entry.at));
        let mut touched: BTreeSet<RecordKey> =
            fresh.iter().filter_map(|entry| self.joined(at, entry, &holes)).collect();
        for (log, hashes) in &holes {
            self.fill_up(at, *log, hashes, hashes.len());
        }
        let machine = &self.machines[at];
        let is_other_floor = machine.have.floor != floor_before || (machine.was_filling && !self.is_filling(at));
        if is_other_floor {
            touched.extend(self.model.records().cloned());
        }
        if touched.iter().any(|record| record.kind == "member") {
            // A fence reaches whatever its node wrote.
            touched.extend(self.model.records().cloned());
        }
        for record in touched {
            self.look_at_record(at, &record);
        }
        if !grown.is_empty() && self.chance.is(3) {
            self.look_at_state(at);
        }
        grown
    }

    /// What has left a log is had as well.
    fn fill_up(&mut self, at: usize, log: LogId, hashes: &[Hash], to: usize) {
        let have = self.machines[at].have.entry(log).or_default();
        let from = have.len().min(to).min(hashes.len());
        have.extend(&hashes[from..to.min(hashes.len())]);
    }

    fn joined(&mut self, at: usize, entry: &Entry, holes: &BTreeMap<LogId, Vec<Hash>>) -> Option<RecordKey> {
        if !self.model.knows(entry.at, entry.hash) {
            self.written(at, entry);
        }
        if let Some(hashes) = holes.get(&entry.at.log()) {
            self.fill_up(at, entry.at.log(), hashes, entry.at.dot.seq as usize - 1);
        }
        let machine = &mut self.machines[at];
        let hashes = machine.have.entry(entry.at.log()).or_default();
        hashes.push(entry.hash);
        assert!(hashes.len() as u64 == entry.at.dot.seq, "I3: {} is out of its order", entry.at);
        machine.lamport = machine.lamport.max(entry.lam);
        let known = &self.model.entries[&(entry.at, entry.hash)];
        Some(known.record.clone())
    }

    /// A new entry is what somebody meant to write on this machine, and nothing else.
    fn written(&mut self, at: usize, entry: &Entry) {
        let machine = &self.machines[at];
        let by_us = machine.name == entry.at.dot.node;
        let fields = entry.fields.clone().filter(|_| by_us);
        let Some(fields) = fields else { panic!("I11: nobody wrote {} as machine {at} has it", entry.at) };
        if fields.op == Op::Open {
            if self.machines.iter().filter(|machine| machine.name == entry.at.dot.node).count() > 1 {
                self.model.doubles.insert((entry.at.dot.node, entry.at.dot.inc));
            }
            return self.model.add(known_of(entry));
        }
        if fields.k == replicate::core::floor::KIND {
            assert!(self.has_floors, "I7: a floor on a day without");
            return self.model.add(known_of(entry));
        }
        let Some(draft) = self.intents.remove(&fields.by) else { panic!("I2: nobody meant {}", entry.at) };
        assert!(entry.lam > machine.lamport, "the Lamport clock stands still at {}", entry.at);
        let record = RecordKey { kind: draft.kind.clone(), id: draft.id };
        let live = |group: Option<&str>| -> BTreeSet<Dot> {
            self.model.live(&machine.have, &record, group).into_iter().map(|known| known.at.dot).collect()
        };
        let chosen = |group: &str, replaces: &Replaces| match replaces {
            Replaces::All => live(Some(group)),
            Replaces::These(dots) => dots.iter().copied().collect(),
        };
        let (op, group, value, sup) = match &draft.act {
            Act::Put { group, value, replaces } => (Op::Put, group.as_str(), value.as_str(), chosen(group, replaces)),
            Act::Disable { group, value } => (Op::Disable, group.as_str(), value.as_str(), live(Some(group))),
            Act::Enable { group, value, replaces } => {
                (Op::Enable, group.as_str(), value.as_str(), chosen(group, replaces))
            }
            Act::Delete => (Op::Delete, LIFE, "null", live(None)),
            Act::Restore => (Op::Restore, LIFE, "null", live(Some(LIFE))),
        };
        let known = known_of(entry);
        let is_meant =
            (&known.record, &known.op, known.group.as_str()) == (&record, &op, group) && known.value == value;
        assert!(is_meant, "I6: {} is not what was meant: {draft:?}", entry.at);
        // Who is being filled sees a part, and replaces that.
        let is_part = machine.was_filling || self.is_filling(at);
        assert!(known.sup == sup || is_part, "I5: {} replaces {:?}, its author meant {sup:?}", entry.at, known.sup);
        self.model.add(known);
    }

    fn look_at_record(&self, at: usize, record: &RecordKey) {
        let machine = &self.machines[at];
        if self.is_filling(at) {
            return;
        }
        let schema = &self.schemas[machine.schema];
        let Some(truth) = self.model.truth(schema, &machine.have, record) else { return };
        let is_well = machine.health == Health::Well;
        let shown = match machine.keeper.record(schema, record) {
            Ok(shown) => shown,
            Err(unreadable) => return assert!(!is_well, "{unreadable}"),
        };
        let Some(shown) = shown else {
            assert!(truth.live.is_empty(), "I6: {record:?} is gone at {at}");
            return;
        };
        let fences = self.model.fences(&machine.have);
        for dot in shown.live() {
            let place = Position { stream: shown.kind().stream, dot };
            let is_below = machine.have.is_below(place);
            assert!(
                is_below || stands(place, &fences),
                "I13: {record:?} at {at} shows {place}, which lies beyond a fence"
            );
        }
        let history = || self.model.history(&machine.have, record);
        assert!(
            shown.live() == truth.live,
            "I6: {record:?} at {at} is {:?}, not {:?}; it has {}",
            shown.live(),
            truth.live,
            history()
        );
        let lives = (shown.is_deleted(), shown.exists());
        assert!(lives == (truth.is_deleted, truth.exists), "I6: {record:?} at {at} is deleted or not: {lives:?}");
        for (group, is_disabled) in &truth.disabled {
            assert!(shown.is_disabled(group) == *is_disabled, "I5: {record:?} at {at} should be {is_disabled}");
        }
        for (group, value) in &truth.shown {
            assert!(shown.value(group) == value.as_deref(), "I4: {record:?} at {at} does not show {value:?}");
        }
    }

    /// Equal vectors, equal records, whoever and whenever.
    pub fn look_at_state(&mut self, at: usize) {
        let machine = &self.machines[at];
        if self.is_filling(at) {
            return;
        }
        let mut vector = machine.have.floor.as_ref().map_or(Hash::NOTHING, |floor| floor.name.digest);
        for (log, seq, hash) in ends(&machine.have) {
            vector = Hash::of_entry(vector, &[log.at(seq).key().as_slice(), &hash.0].concat());
        }
        let state = machine.keeper.state_hash(&self.schemas[machine.schema]);
        let before = *self.states.entry((machine.schema, vector)).or_insert(state);
        assert!(before == state, "I4: machine {at} has other records than one with the same vector");
        assert!(machine.keeper.dooms() < 10_000, "I12: {} dooms", machine.keeper.dooms());
        for end in machine.ends.values() {
            let state = end.session.state();
            let is_bounded = state.under_way.max(state.applying) <= WINDOW_MAX + SEC_RESERVE;
            assert!(is_bounded && state.left_alone < 1_000, "I12: {} bytes under way", state.under_way);
        }
    }

    pub fn look_at_all(&mut self, at: usize) {
        let records: Vec<RecordKey> = self.model.records().cloned().collect();
        for record in records {
            self.look_at_record(at, &record);
        }
        self.machines[at].keeper.verify(&self.schemas[self.machines[at].schema]);
        self.look_at_state(at);
    }

    /// What was applied and not refused is there, byte for byte, and none of it is what we write ourselves.
    pub fn look_at_applied(
        &self,
        at: usize,
        entries: &[Arc<[u8]>],
        applied: &Applied,
        grown: &[LogId],
        is_renamed: bool,
    ) {
        let machine = &self.machines[at];
        let is_ours = |log: &LogId| machine.us.is_some_and(|us| us.node == log.node && us.inc == log.inc);
        assert!(is_renamed || !grown.iter().any(is_ours), "I2: {at} takes back what it lost under its present name");
        if applied.refused > applied.refusals.len() {
            return;
        }
        let is_refused = |number: usize| applied.refusals.iter().any(|(refused, _)| *refused == number);
        for (number, raw) in entries.iter().enumerate() {
            let place = place_of(raw);
            if self.model.is_double(place.log()) && !is_refused(number) {
                let entry = Entry::parse(raw).unwrap();
                let kept = machine.have.get(&place.log()).and_then(|log| log.get(place.dot.seq as usize - 1));
                assert!(kept == Some(&entry.hash), "I1: {at} has applied {place} and has something else there");
            }
        }
    }

    /// What a session is about to say.
    pub fn look_at_word(&mut self, at: usize, link: u64, message: &Message) {
        let machine = &self.machines[at];
        match message {
            Message::Vector(part) => {
                for ((node, inc), mark) in &part.marks {
                    let log = LogId { stream: part.stream, node: *node, inc: *inc };
                    let hash = machine.have.get(&log).and_then(|hashes| hashes.get(mark.seq as usize - 1));
                    assert!(hash == Some(&mark.hash), "I3: the vector of {at} claims {} of {log:?}", mark.seq);
                }
            }
            Message::Ack(ack) => {
                for dot in &ack.marks {
                    let log = LogId { stream: ack.stream, node: dot.node, inc: dot.inc };
                    let end = machine.end_of(&log);
                    assert!(end >= dot.seq, "I1: {at} acknowledges {dot} and has {end}");
                }
            }
            Message::Batch(batch) => self.look_at_batch(at, link, batch),
            Message::Nak(_) => {
                if let Some(end) = self.machines[at].ends.get_mut(&link) {
                    end.has_trouble = true;
                }
            }
            _ => (),
        }
    }

    fn look_at_batch(&mut self, at: usize, link: u64, batch: &Batch) {
        let machine = &mut self.machines[at];
        let Some(end) = machine.ends.get_mut(&link) else { return };
        for place in batch.entries.iter().map(|raw| place_of(raw)) {
            let (log, seq) = (place.log(), place.dot.seq);
            let claimed = end.claimed.get(&log).copied().unwrap_or(0);
            assert!(seq > claimed, "I12: {at} sends {place}, the peer has told that it has {claimed}");
            end.sent.insert(log, seq);
        }
        let floor = machine.have.floor.clone();
        for part in batch.kept.iter().flat_map(|kept| &kept.parts).filter(|part| part.is_end) {
            end.sent.insert(part.log, floor.as_ref().map_or(0, |floor| floor.end(part.log)));
        }
        // Below a floor some is held back that is not missing, until each has told the other.
        if batch.stream == Stream::Sec || end.has_trouble || floor.is_some() {
            return;
        }
        for (log, told) in &end.told_sec {
            let sent = end.sent.get(log).max(end.claimed.get(log)).copied().unwrap_or(0);
            let is_double = self.model.is_double(*log);
            assert!(sent >= *told || is_double, "bulk goes before {log:?}: sent {sent} of {told}");
        }
    }

    /// I7, I10: everybody has everything, and one coordinates.
    pub fn converged(&self) -> Result<(), String> {
        let fleet = &self.machines[..self.fleet];
        // The first box keeps everything; of the others each has what of it it keeps.
        let of = |at: usize, by: usize| {
            let ends = ends(&fleet[at].have).into_iter().filter(|(log, ..)| self.wish(by).covers(*log));
            ends.filter(|(log, ..)| !self.model.is_forked(*log)).collect::<Vec<_>>()
        };
        for (at, machine) in fleet.iter().enumerate() {
            if !machine.is_up || !machine.jobs.is_empty() || machine.is_quarantined {
                return Err(format!("machine {at} is not done: {:?}", machine.jobs));
            }
            if machine.keeper.heads().is_none() {
                return Err(format!("machine {at} cannot be read"));
            }
            if machine.is_keeper == machine.is_narrow {
                return Err(format!("machine {at} does not keep what it should"));
            }
            let (first, its) = (of(0, at), of(at, at));
            if its != first {
                return Err(format!("machines 0 and {at} have not the same: {:?}", differences(&first, &its)));
            }
        }
        self.floors_are_level()?;
        let reigns: Vec<_> = (0..self.fleet).filter_map(|at| self.reign_of(at)).collect();
        let [reign] = reigns[..] else { return Err(format!("{} coordinators", reigns.len())) };
        for (at, machine) in fleet.iter().enumerate() {
            let role = machine.election.as_ref().map(|election| election.role());
            match role {
                Some(replicate::core::election::Role::Coordinator { .. }) => (),
                Some(replicate::core::election::Role::Follower { token, .. }) if token == reign => (),
                role => return Err(format!("machine {at} follows nobody: {role:?}")),
            }
        }
        Ok(())
    }
}

impl World {
    /// I8: whoever can reach each other, through others too, has one coordinator among them. A node that is no candidate
    /// passes no lease on, so only groups of candidates are held to it.
    pub fn look_at_reigns(&self) {
        let mut group: Vec<usize> = (0..self.fleet).collect();
        for _ in 0..self.fleet {
            for at in 0..self.fleet {
                for end in self.machines[at].ends.values().filter(|end| end.is_talking) {
                    group[at] = group[at].min(group[end.peer]);
                }
            }
        }
        for first in 0..self.fleet {
            let members: Vec<usize> = (0..self.fleet).filter(|at| group[*at] == first).collect();
            if members.is_empty() || !members.iter().all(|at| self.roster[*at].is_candidate) {
                continue;
            }
            let reigns = members.iter().filter(|at| self.reign_of(**at).is_some()).count();
            assert!(reigns == 1, "I8: {reigns} coordinate machines {members:?}: {}", self.map());
        }
    }
}

fn differences(left: &[(LogId, u64, Hash)], right: &[(LogId, u64, Hash)]) -> Vec<(LogId, u64)> {
    let only = |these: &[(LogId, u64, Hash)], those: &[(LogId, u64, Hash)]| -> Vec<(LogId, u64)> {
        these.iter().filter(|end| !those.contains(end)).map(|(log, seq, _)| (*log, *seq)).collect()
    };
    [only(left, right), only(right, left)].concat()
}

/// An entry as its bytes say.
pub fn known_of(entry: &Entry) -> Known {
    let (at, hash, lam) = (entry.at, entry.hash, entry.lam);
    let Some(fields) = &entry.fields else {
        let record = RecordKey { kind: "later".to_string(), id: RecordId::from_u128(0) };
        let (group, value, sup) = (String::new(), String::new(), BTreeSet::new());
        return Known { at, hash, record, group, op: Op::Open, sup, value, wall: None, lam };
    };
    Known {
        at,
        hash,
        record: RecordKey { kind: fields.k.clone(), id: fields.id },
        group: fields.g.clone(),
        op: fields.op.clone(),
        sup: fields.sup.iter().copied().collect(),
        value: fields.val.get().to_string(),
        wall: (fields.t.q >= Quality::Peer).then_some(fields.t.wall),
        lam,
    }
}
