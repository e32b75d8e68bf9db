//! What ought to be: every entry ever written as its author meant it, and what a node that has some of them must show.
//!
//! It is a set and a filter, and shares no code with the merge: no dooms, no order, no stored state.

use crate::house::{Claim, fence_of, holding, stands};
use replicate::core::entry::{LIFE, Op};
use replicate::core::fence::Fence;
use replicate::core::floor::Floor;
use replicate::core::id::{Dot, Hash, LogId, NodeId, Position};
use replicate::core::record::RecordKey;
use replicate::core::schema::{DeletePolicy, Form, Schema};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// What a node has: of each log the hashes of its entries, also of those that have left it; and its floor.
#[derive(Debug, Clone, Default)]
pub struct Have {
    logs: BTreeMap<LogId, Vec<Hash>>,
    pub floor: Option<Arc<Floor>>,
}

impl Deref for Have {
    type Target = BTreeMap<LogId, Vec<Hash>>;

    fn deref(&self) -> &Self::Target {
        &self.logs
    }
}

impl DerefMut for Have {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.logs
    }
}

impl Have {
    /// All below the floor counts.
    pub fn is_below(&self, at: Position) -> bool {
        self.floor.as_ref().is_some_and(|floor| floor.covers(at))
    }
}

pub fn ends(have: &Have) -> Vec<(LogId, u64, Hash)> {
    have.iter().filter_map(|(log, hashes)| Some((*log, hashes.len() as u64, *hashes.last()?))).collect()
}

/// One entry.
#[derive(Debug, Clone)]
pub struct Known {
    pub at: Position,
    pub hash: Hash,
    pub record: RecordKey,
    pub group: String,
    pub op: Op,
    pub sup: BTreeSet<Dot>,
    pub value: String,
    pub wall: Option<i64>,
    pub lam: u64,
}

#[derive(Debug, Default)]
pub struct Model {
    pub entries: BTreeMap<(Position, Hash), Known>,
    contents: BTreeMap<Position, BTreeSet<Hash>>,
    records: BTreeMap<RecordKey, Vec<(Position, Hash)>>,
    /// Those that fence, or take a fence back.
    fencing: Vec<(Position, Hash)>,
    /// Incarnations that two boxes wrote under: a copied disk, a backup put back, a card flashed without a word.
    pub doubles: BTreeSet<(NodeId, u32)>,
}

/// What a record must say.
#[derive(Debug, PartialEq, Eq)]
pub struct Truth {
    pub live: Vec<Dot>,
    pub is_deleted: bool,
    pub exists: bool,
    /// By group: whether a flag is up.
    pub disabled: BTreeMap<String, bool>,
    /// By group: what is shown.
    pub shown: BTreeMap<String, Option<String>>,
}

fn has(have: &Have, known: &Known) -> bool {
    let hashes = have.get(&known.at.log());
    hashes.and_then(|hashes| hashes.get(known.at.dot.seq as usize - 1)) == Some(&known.hash)
}

impl Model {
    pub fn knows(&self, at: Position, hash: Hash) -> bool {
        self.entries.contains_key(&(at, hash))
    }

    /// I2: one place, one content, unless two boxes used one name.
    pub fn add(&mut self, known: Known) {
        let contents = self.contents.entry(known.at).or_default();
        contents.insert(known.hash);
        let is_double = self.doubles.contains(&(known.at.dot.node, known.at.dot.inc));
        assert!(contents.len() == 1 || is_double, "I2: {} has two contents", known.at);
        self.records.entry(known.record.clone()).or_default().push((known.at, known.hash));
        if known.record.kind == "member" {
            self.fencing.push((known.at, known.hash));
        }
        self.entries.insert((known.at, known.hash), known);
    }

    /// The hashes of a log's first entries, going back from the last one's where there are two contents.
    pub fn hashes(&self, log: LogId, end: u64, last: Option<Hash>) -> Vec<Hash> {
        let of = |seq| self.contents.get(&log.at(seq)).and_then(|hashes| hashes.first().copied());
        (1..=end).filter_map(|seq| if seq == end { last } else { of(seq) }).collect()
    }

    pub fn is_double(&self, log: LogId) -> bool {
        self.doubles.contains(&(log.node, log.inc))
    }

    /// Whether a place of this log has two contents.
    pub fn is_forked(&self, log: LogId) -> bool {
        self.is_double(log) && self.contents.range(log.at(0)..=log.at(u64::MAX)).any(|(_, hashes)| hashes.len() > 1)
    }

    /// All entries of a record, for people; those who has these lacks are marked.
    pub fn history(&self, have: &Have, record: &RecordKey) -> String {
        let of_record = self.records.get(record).into_iter().flatten().filter_map(|place| self.entries.get(place));
        let line = |known: &Known| {
            let has = has(have, known);
            let dots = |dot: &Dot| format!("{}/{}/{}", dot.node.0[15], dot.inc, dot.seq);
            let sup: Vec<String> = known.sup.iter().map(dots).collect();
            let (mark, at) = (if has { ' ' } else { '-' }, dots(&known.at.dot));
            format!("\n{mark} {at} lam {} {:?} {} over {sup:?}", known.lam, known.op, known.group)
        };
        of_record.map(line).collect()
    }

    /// The fences that hold for who has these.
    pub fn fences(&self, have: &Have) -> Vec<(Position, Fence)> {
        let all: Vec<&Known> = self.fencing.iter().filter_map(|place| self.entries.get(place)).collect();
        let all: Vec<&Known> = all.into_iter().filter(|known| has(have, known)).collect();
        let claim = |known: &&Known| {
            let others = all.iter().filter(|named| named.record == known.record && named.at != known.at);
            let names = others.map(|named| named.at).filter(|at| known.sup.contains(&at.dot)).collect();
            let fence = if known.op == Op::Disable { fence_of(known.record.id, &known.value) } else { None };
            Claim { at: known.at, fence, names }
        };
        holding(&all.iter().map(claim).collect::<Vec<_>>(), |at| have.is_below(at))
    }

    /// The versions that count for who has these: those that are not beyond a fence and that no such entry of the same
    /// record and group names.
    pub fn live(&self, have: &Have, record: &RecordKey, group: Option<&str>) -> Vec<&Known> {
        let fences = self.fences(have);
        let counts = |known: &&Known| {
            let is_act = !matches!(known.op, Op::Open | Op::Unknown(_));
            is_act && has(have, known) && (have.is_below(known.at) || stands(known.at, &fences))
        };
        let of_record = self.records.get(record).into_iter().flatten();
        let all: Vec<&Known> = of_record.filter_map(|place| self.entries.get(place)).filter(counts).collect();
        // Where two boxes used one name an entry can name its own place: that replaces nothing.
        let names = |by: &Known, known: &Known| by.at != known.at && by.sup.contains(&known.at.dot);
        let is_named = |known: &Known| all.iter().any(|by| by.group == known.group && names(by, known));
        let is_asked = |known: &&Known| group.is_none_or(|group| known.group == group);
        all.iter().copied().filter(|known| !is_named(known)).filter(is_asked).collect()
    }

    pub fn truth(&self, schema: &Schema, have: &Have, record: &RecordKey) -> Option<Truth> {
        let kind = schema.kind(&record.kind)?;
        let live = self.live(have, record, None);
        let mut dots: Vec<Dot> = live.iter().map(|known| known.at.dot).collect();
        dots.sort();
        let deletions: Vec<&&Known> = live.iter().filter(|known| known.op == Op::Delete).collect();
        let edits: Vec<&&Known> = live.iter().filter(|known| known.group != LIFE).collect();
        let is_covered = |edit: &&&Known| deletions.iter().any(|deletion| deletion.sup.contains(&edit.at.dot));
        let is_deleted = match kind.deletes {
            DeletePolicy::EditWins => !deletions.is_empty() && edits.iter().all(is_covered),
            DeletePolicy::DeleteWins => !deletions.is_empty(),
            DeletePolicy::Never => false,
        };
        let (mut disabled, mut shown) = (BTreeMap::new(), BTreeMap::new());
        for (group, form) in &kind.groups {
            let versions = || live.iter().filter(|known| known.group == *group);
            if *form == Form::Flag {
                disabled.insert(group.clone(), versions().any(|known| known.op == Op::Disable));
                continue;
            }
            let number = |known: &Known| if *form == Form::Max { known.value.parse::<u64>().ok() } else { None };
            let rank = |known: &&&Known| (number(known), known.wall.is_some(), known.wall, known.lam, known.at.dot);
            shown.insert(group.clone(), versions().max_by_key(rank).map(|known| known.value.clone()));
        }
        let exists = !edits.is_empty() && !is_deleted;
        Some(Truth { live: dots, is_deleted, exists, disabled, shown })
    }

    pub fn records(&self) -> impl Iterator<Item = &RecordKey> {
        self.records.keys()
    }
}
