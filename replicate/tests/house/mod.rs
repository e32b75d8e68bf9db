//! Nodes in memory and the little schema that the tests share.
//!
//! A test says who writes what and who hears whom; everything else is here. Randomness comes from the test.
#![allow(dead_code)] // Each test binary uses its own part of it.

use replicate::core::entry::Entry;
use replicate::core::entry::{Moment, Quality};
use replicate::core::exchange::{self, Applied, EXPORT_ENTRIES_MAX};
use replicate::core::fence::{Fence, Last};
use replicate::core::floor::fill::{Kept, Part};
use replicate::core::floor::{self, Due, advance, collect, fill};
use replicate::core::id::{BootId, Dot, Hash, NodeId, Origin, Position, RecordId, Stream};
use replicate::core::keeping;
use replicate::core::log::{self, Accepted, Refusal};
use replicate::core::memory::Memory;
use replicate::core::rebuild::{self, Rebuild};
use replicate::core::record::{Record, RecordKey};
use replicate::core::schema::{DeletePolicy, Form, Kind, Schema};
use replicate::core::view::{Staged, View, load};
use replicate::core::write::{self, Act, BadAct, Draft, Replaces};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Users (deleting wins, a flag, a number that only grows), plans (an edit wins), facts (never deleted), members (whose
/// disabling carries a fence).
pub fn schema() -> Schema {
    let kinds = vec![
        Kind::new("user", Stream::Sec)
            .group("profile", Form::Register)
            .group("access", Form::Flag)
            .group("cred_gen", Form::Max)
            .deletes(DeletePolicy::DeleteWins)
            .index("user_by_name", 1, by_profile),
        Kind::new("plan", Stream::Cfg)
            .group("timing", Form::Register)
            .group("label", Form::Register)
            .deletes(DeletePolicy::EditWins)
            .index("plan_by_label", 1, by_label),
        Kind::new("fact", Stream::Own).group("facts", Form::Register).index("fact_by_value", 1, by_facts),
        Kind::new("audit", Stream::Jrn).group("what", Form::Register),
        Kind::new("member", Stream::Sec).group("access", Form::Flag).fences("access", 1, fence_of),
    ];
    Schema::new(kinds).unwrap()
}

/// `{"sec":[inc,seq],"cfg":[inc,seq],"until":inc}` of the node with the record's id.
pub fn fence_of(id: RecordId, value: &str) -> Option<Fence> {
    #[derive(serde::Deserialize)]
    struct Said {
        sec: (u32, u64),
        cfg: (u32, u64),
        #[serde(default)]
        until: Option<u32>,
    }
    let said: Said = serde_json::from_str(value).ok()?;
    let last = |(inc, seq)| Last { inc, seq };
    Some(Fence { node: NodeId(id.0), sec: last(said.sec), cfg: last(said.cfg), until: said.until })
}

/// An entry that may fence, for the reference.
pub struct Claim {
    pub at: Position,
    pub fence: Option<Fence>,
    /// What it names of its own record and group, itself excepted.
    pub names: Vec<Position>,
}

/// The reference: each fence holds, does not, or it cannot be said; as much is said as follows from what is said already,
/// and what cannot be said holds. What is below the floor is beyond nothing. It looks at all claims at once and shares no code with the library.
pub fn holding(claims: &[Claim], is_below: impl Fn(Position) -> bool) -> Vec<(Position, Fence)> {
    let fences: Vec<(Position, Fence)> = claims.iter().filter_map(|claim| Some((claim.at, claim.fence?))).collect();
    let mut says: BTreeMap<Position, bool> = BTreeMap::new();
    loop {
        let before = says.len();
        for (at, _) in &fences {
            let is = |at: Position, truth: bool| says.get(&at) == Some(&truth);
            let beyond = |at: Position| {
                let counts = is_below(at);
                fences.iter().filter(move |(by, fence)| !counts && is_beyond(at, *by, fence))
            };
            let mut naming = claims.iter().filter(|claim| claim.names.contains(at));
            let is_void = beyond(*at).any(|(by, _)| is(*by, true))
                || naming.clone().any(|naming| beyond(naming.at).all(|(by, _)| is(*by, false)));
            let is_good = beyond(*at).all(|(by, _)| is(*by, false))
                && naming.all(|naming| beyond(naming.at).any(|(by, _)| is(*by, true)));
            if is_void || is_good {
                says.insert(*at, is_good);
            }
        }
        if says.len() == before {
            break;
        }
    }
    fences.into_iter().filter(|(at, _)| says.get(at) != Some(&false)).collect()
}

/// Whether a place is beyond the fence that an entry at `by` raises; never what its author wrote in that log before.
pub fn is_beyond(at: Position, by: Position, fence: &Fence) -> bool {
    let last = match at.stream {
        Stream::Sec => fence.sec,
        Stream::Cfg => fence.cfg,
        Stream::Own | Stream::Jrn => return false,
    };
    let (at_place, by_place) = ((at.dot.inc, at.dot.seq), (by.dot.inc, by.dot.seq));
    let is_its_own = (by.dot.node, by.stream) == (at.dot.node, at.stream) && at_place <= by_place;
    let is_again = fence.until.is_some_and(|until| at.dot.inc >= until);
    at.dot.node == fence.node && at_place > (last.inc, last.seq) && !is_its_own && !is_again
}

/// Whether an entry stands among these fences.
pub fn stands(at: Position, holding: &[(Position, Fence)]) -> bool {
    holding.iter().any(|(by, _)| *by == at) || !holding.iter().any(|(by, fence)| is_beyond(at, *by, fence))
}

fn by_profile(record: &Record) -> Vec<Vec<u8>> {
    record.value("profile").map(|value| value.as_bytes().to_vec()).into_iter().collect()
}

fn by_label(record: &Record) -> Vec<Vec<u8>> {
    record.value("label").map(|value| value.as_bytes().to_vec()).into_iter().collect()
}

fn by_facts(record: &Record) -> Vec<Vec<u8>> {
    record.value("facts").map(|value| value.as_bytes().to_vec()).into_iter().collect()
}

pub fn id(number: u128) -> RecordId {
    RecordId::from_u128(number)
}

pub fn origin(number: u128) -> Origin {
    Origin { node: NodeId::from_u128(number), inc: 1, nonce: number as u32 }
}

pub fn moment(wall: i64) -> Moment {
    Moment { wall, q: Quality::Ntp, boot: BootId([0; 16]), mono: 0 }
}

fn draft(kind: &str, number: u128, act: Act) -> Draft {
    Draft { kind: kind.to_string(), id: id(number), act, by: "u:1".to_string(), why: None, reports: false }
}

pub fn put(kind: &str, number: u128, group: &str, value: &str) -> Draft {
    let (group, value) = (group.to_string(), value.to_string());
    draft(kind, number, Act::Put { group, value, replaces: Replaces::All })
}

pub fn put_over(kind: &str, number: u128, group: &str, value: &str, replaced: &[Dot]) -> Draft {
    let (group, value) = (group.to_string(), value.to_string());
    draft(kind, number, Act::Put { group, value, replaces: Replaces::These(replaced.to_vec()) })
}

pub fn disable(number: u128) -> Draft {
    draft("user", number, Act::Disable { group: "access".to_string(), value: "null".to_string() })
}

pub fn enable(number: u128) -> Draft {
    let (group, value) = ("access".to_string(), "null".to_string());
    draft("user", number, Act::Enable { group, value, replaces: Replaces::All })
}

/// Fences a node at these places of its first incarnation.
pub fn fence(number: u128, sec: u64, cfg: u64) -> Draft {
    fence_until(number, sec, cfg, None)
}

/// The same; from an incarnation on it counts again.
pub fn fence_until(number: u128, sec: u64, cfg: u64, until: Option<u32>) -> Draft {
    let until = until.map_or("null".to_string(), |inc| inc.to_string());
    let (group, value) = ("access".to_string(), format!(r#"{{"sec":[1,{sec}],"cfg":[1,{cfg}],"until":{until}}}"#));
    draft("member", number, Act::Disable { group, value })
}

/// Fences a node where its logs end at another.
pub fn retire(number: u128, at: &Node) -> Draft {
    let end = |stream| at.state.head(origin(number).log(stream)).unwrap().map_or(0, |head| head.seq);
    fence(number, end(Stream::Sec), end(Stream::Cfg))
}

/// Takes back the fences of a node that are known here.
pub fn welcome(number: u128) -> Draft {
    let (group, value) = ("access".to_string(), "null".to_string());
    draft("member", number, Act::Enable { group, value, replaces: Replaces::All })
}

pub fn delete(kind: &str, number: u128) -> Draft {
    draft(kind, number, Act::Delete)
}

pub fn restore(kind: &str, number: u128) -> Draft {
    draft(kind, number, Act::Restore)
}

/// A node in memory.
#[derive(Debug, Clone)]
pub struct Node {
    pub us: Origin,
    pub clock: Moment,
    pub state: Memory,
    pub schema: Schema,
}

impl Node {
    pub fn new(number: u128) -> Node {
        let (us, schema) = (origin(number), schema());
        let mut state = Memory::default();
        let mut staged = Staged::new(&state).unwrap();
        write::open(&mut staged, &schema, us, moment(0)).unwrap();
        let changes = staged.changes;
        state.keep(changes);
        Node { us, clock: moment(0), state, schema }
    }

    pub fn write(&mut self, drafts: &[Draft]) -> Result<Vec<Position>, BadAct> {
        let mut staged = Staged::new(&self.state).unwrap();
        let written = write::write(&mut staged, &self.schema, self.us, self.clock, drafts)?;
        let changes = staged.changes;
        self.state.keep(changes);
        Ok(written)
    }

    /// Goes on under another incarnation.
    pub fn renew(&mut self, inc: u32) {
        (self.us.inc, self.us.nonce) = (inc, self.us.nonce + 100);
        let mut staged = Staged::new(&self.state).unwrap();
        write::open(&mut staged, &self.schema, self.us, moment(0)).unwrap();
        let changes = staged.changes;
        self.state.keep(changes);
    }

    pub fn hear(&mut self, raw: &[u8]) -> Result<Accepted, Refusal> {
        let mut staged = Staged::new(&self.state).unwrap();
        let accepted = log::accept(&mut staged, &self.schema, Some(self.us), raw)?;
        let changes = staged.changes;
        self.state.keep(changes);
        Ok(accepted)
    }

    /// Lets others' entries join, each by itself, as the disk's writer does.
    pub fn apply(&mut self, entries: &[Arc<[u8]>]) -> Applied {
        let mut staged = Staged::new(&self.state).unwrap();
        let mut applied = Applied::default();
        for (number, raw) in entries.iter().enumerate() {
            match log::accept(&mut staged, &self.schema, Some(self.us), raw) {
                Ok(Accepted::New) => applied.new += 1,
                Ok(Accepted::Duplicate) => applied.duplicates += 1,
                Err(refusal) => {
                    applied.refused += 1;
                    applied.refusals.push((number, refusal));
                }
            }
        }
        let changes = staged.changes;
        self.state.keep(changes);
        applied
    }

    /// What this node lacks of another's stream.
    pub fn lacks(&self, other: &Node, stream: Stream) -> Vec<Arc<[u8]>> {
        let vector = exchange::vector(&self.state, stream).unwrap();
        exchange::export(&other.state, stream, &vector).unwrap().entries
    }

    /// Hears all that another has.
    pub fn pull(&mut self, other: &Node) {
        for stream in Stream::ALL {
            loop {
                let entries = self.lacks(other, stream);
                for raw in &entries {
                    assert_eq!(self.hear(raw), Ok(Accepted::New));
                }
                if entries.len() < EXPORT_ENTRIES_MAX {
                    break;
                }
            }
        }
    }

    pub fn record(&self, kind: &str, number: u128) -> Record {
        let key = RecordKey { kind: kind.to_string(), id: id(number) };
        load(&self.state, self.schema.kind(kind).unwrap(), &key).unwrap()
    }

    /// The values of a group, the shown one first.
    pub fn values(&self, kind: &str, number: u128, group: &str) -> Vec<String> {
        let record = self.record(kind, number);
        record.versions(group).iter().map(|version| version.fields.as_ref().unwrap().val.get().to_string()).collect()
    }

    pub fn conflicts(&self, kind: &str, number: u128) -> Vec<String> {
        self.record(kind, number).conflicts().into_iter().map(|conflict| conflict.group).collect()
    }

    pub fn state_hash(&self) -> Hash {
        rebuild::state_hash(&self.state, &self.schema).unwrap()
    }

    /// The same logs, with records built anew in steps of `limit`.
    pub fn rebuilt(&self, limit: usize) -> Memory {
        let mut state = self.state.clone();
        state.forget_records();
        let mut rebuild = Rebuild::begin(&state).unwrap();
        while let Some(changes) = rebuild.step(&state, &self.schema, limit).unwrap() {
            state.keep(changes);
        }
        state
    }

    /// Keeps what is staged.
    pub fn stage<T>(&mut self, with: impl FnOnce(&mut Staged<'_, Memory>, &Schema) -> T) -> T {
        let mut staged = Staged::new(&self.state).unwrap();
        let result = with(&mut staged, &self.schema);
        let changes = staged.changes;
        self.state.keep(changes);
        result
    }

    /// Says that the floor goes as far as all of these have everything. Returns how many entries more are below it.
    pub fn advance(&mut self, asked: &[&Node]) -> u64 {
        let ends = |node: &Node, log| node.state.head(log).unwrap().map_or(0, |head| head.seq);
        let known = |log| asked.iter().map(|node| ends(node, log)).min().unwrap_or(u64::MAX);
        let next = advance::next(&self.state, 0, known).unwrap().unwrap();
        let (us, clock) = (self.us, self.clock);
        self.stage(|staged, schema| advance::write(staged, schema, us, clock, (1, &next))).unwrap();
        next.moved
    }

    /// Takes the floor that is due and what leaves at it. Returns what left; nothing if there was none.
    pub fn collect(&mut self) -> Option<Vec<Position>> {
        let Due::Take(next) = floor::due(&self.state).unwrap() else { return None };
        self.stage(|staged, schema| collect::begin(staged, schema, &next)).unwrap();
        let rows = self.leaving();
        self.stage(|staged, _| collect::leave(staged, &rows));
        self.stage(|staged, _| collect::done(staged)).unwrap();
        Some(rows)
    }

    /// What leaves at this node's floor and is still here.
    pub fn leaving(&self) -> Vec<Position> {
        let own = self.state.floor().unwrap().unwrap();
        collect::leaving(&own.floor, |log, from, limit| self.state.entries(log, from, limit)).unwrap()
    }

    /// What is kept below the floor.
    pub fn kept(&self) -> Vec<Arc<[u8]>> {
        let own = self.state.floor().unwrap().unwrap();
        let kept = |log| self.state.entries(log, 1, usize::MAX).unwrap();
        let is_below = |raw: &Arc<[u8]>| own.floor.covers(Entry::parse(raw).unwrap().at);
        own.floor.marks.keys().flat_map(|log| kept(*log)).filter(is_below).collect()
    }

    /// Takes what another kept below its floor, `limit` entries at a time.
    pub fn fill_from(&mut self, other: &Node, limit: usize) -> bool {
        let floor = other.state.floor().unwrap().unwrap().floor;
        if !self.stage(|staged, _| fill::begin(staged, &floor)).unwrap() {
            return false;
        }
        for log in floor.marks.keys() {
            let mut rows: Vec<_> = other.state.entries(*log, 1, usize::MAX).unwrap();
            let seq = |raw: &Arc<[u8]>| Entry::parse(raw).unwrap().at.dot.seq;
            rows.retain(|raw| seq(raw) <= floor.end(*log));
            let mut chunks = rows.chunks(limit).peekable();
            let mut after = 0;
            while let Some(rows) = chunks.next() {
                let part = Part { log: *log, after, is_end: chunks.peek().is_none() };
                let (kept, us) = (Kept { floor: floor.name, parts: vec![part] }, self.us);
                let outcome = self.stage(|staged, schema| keeping::take_kept(staged, schema, us, rows, &kept)).unwrap();
                assert_eq!(outcome.applied.refused, 0, "{:?}", outcome.applied);
                after = rows.last().map_or(after, seq);
            }
        }
        true
    }

    pub fn dooms(&self) -> u64 {
        self.state.dooms_len().unwrap()
    }
}

/// Every node hears every other until nobody learns anything.
pub fn heal(nodes: &mut [Node]) {
    for _ in 0..2 {
        for listener in 0..nodes.len() {
            for speaker in 0..nodes.len() {
                let spoken = nodes[speaker].clone();
                nodes[listener].pull(&spoken);
            }
        }
    }
}
