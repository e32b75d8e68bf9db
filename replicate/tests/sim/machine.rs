//! One box: its clocks, what it keeps, its part in the election, its ends of links, and the jobs its disk works on.

use super::clock::Clock;
use super::disk::{Image, Keeper};
use super::model::Have;
use replicate::core::election::{Election, Token};
use replicate::core::floor::advance::{Barrier, Next};
use replicate::core::floor::fill::Kept;
use replicate::core::floor::{Floor, HandedOn};
use replicate::core::id::{LogId, NodeId, Origin};
use replicate::core::session::Session;
use replicate::core::write::Draft;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What a disk is to do.
#[derive(Debug)]
pub enum Job {
    Write {
        drafts: Vec<Draft>,
    },
    /// Others' entries; `link` wants to know.
    Apply {
        link: Option<(u64, u64)>,
        entries: Vec<Arc<[u8]>>,
    },
    /// What a node that fills this one has kept.
    Kept {
        link: (u64, u64),
        entries: Vec<Arc<[u8]>>,
        kept: Kept,
    },
    Renew,
    Floor(FloorJob),
}

/// What a disk is to do about the floor.
#[derive(Debug)]
pub enum FloorJob {
    Advance(u64, Next),
    Begin,
    Leave,
    Fill { link: u64, floor: Arc<Floor> },
    SetAside(HandedOn),
    Widen,
}

/// How a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Well,
    Fails,
    Full,
}

/// One end of a link.
pub struct End {
    pub session: Session,
    /// Which of the link's two ends.
    pub end: usize,
    pub peer: usize,
    pub opened_ms: u64,
    pub is_talking: bool,
    /// Up to where the peer has said to have each log.
    pub claimed: BTreeMap<LogId, u64>,
    /// Up to where each log was sent.
    pub sent: BTreeMap<LogId, u64>,
    /// Up to where the session was told of our `sec` logs since the peer's vector was whole.
    pub told_sec: BTreeMap<LogId, u64>,
    /// Something was refused: the order of streams is then not what it is on a good day.
    pub has_trouble: bool,
    /// A log was left alone, and not for a fork: a new link tries again.
    pub wants_new_link: bool,
}

pub struct Machine {
    pub name: NodeId,
    pub schema: usize,
    pub clock: Clock,
    pub keeper: Keeper,
    pub is_up: bool,
    pub boot: u32,
    pub us: Option<Origin>,
    pub jobs: VecDeque<(u64, Job)>,
    pub health: Health,
    pub disk_ms: u64,
    pub ends: BTreeMap<u64, End>,
    pub election: Option<Election>,
    /// Durable.
    pub token: Token,
    pub obeyed: Token,
    pub tick_at_ms: Option<u64>,
    pub paused_until_ms: u64,
    /// What it has on its disk, as far as is known.
    pub have: Have,
    pub lamport: u64,
    /// Somebody else writes under its name: it waits for an operator.
    pub is_quarantined: bool,
    /// A copy of another box.
    pub is_copy: bool,
    /// It is never switched on again.
    pub is_gone: bool,
    /// A backup.
    pub image: Option<Image>,
    /// The disk's moment after the last job whose end was told.
    pub safe: usize,
    /// Incarnations it has taken.
    pub lives: u32,
    /// It has lost memory once.
    pub has_lost: bool,
    /// It is to keep everything.
    pub is_keeper: bool,
    /// It does not yet, or not at all.
    pub is_narrow: bool,
    /// It began to take what was kept below the floor, or became a keeper while a floor was said that it had not heard of.
    pub was_widened: bool,
    /// It was not waited for once.
    pub was_lapsed: bool,
    /// What peers offered to fill it with, and the link of the one that does.
    pub offers: BTreeMap<u64, Arc<Floor>>,
    pub filled_by: Option<u64>,
    /// It was being filled when its last job began.
    pub was_filling: bool,
    /// What all have to have before it says a floor.
    pub barrier: Barrier,
}

impl Machine {
    pub fn new(name: NodeId, clock: Clock, is_redb: bool, disk_ms: u64) -> Self {
        Self {
            name,
            schema: 0,
            clock,
            keeper: Keeper::new(is_redb),
            is_up: false,
            boot: 0,
            us: None,
            jobs: VecDeque::new(),
            health: Health::Well,
            disk_ms,
            ends: BTreeMap::new(),
            election: None,
            token: Token::NONE,
            obeyed: Token::NONE,
            tick_at_ms: None,
            paused_until_ms: 0,
            have: Have::default(),
            lamport: 0,
            is_quarantined: false,
            is_copy: false,
            is_gone: false,
            image: None,
            safe: 0,
            lives: 0,
            has_lost: false,
            is_keeper: true,
            is_narrow: false,
            was_widened: false,
            was_lapsed: false,
            offers: BTreeMap::new(),
            filled_by: None,
            was_filling: false,
            barrier: Barrier::default(),
        }
    }

    pub fn end_of(&self, log: &LogId) -> u64 {
        self.have.get(log).map_or(0, |hashes| hashes.len() as u64)
    }

    /// Forgets what it had: the disk is another.
    pub fn forget(&mut self) {
        self.have = Have::default();
        self.lamport = 0;
    }

    /// When the next thing is due, on its own clock.
    pub fn due(&self) -> Option<u64> {
        let election = self.election.as_ref().and_then(Election::poll_timeout);
        let sessions = self.ends.values().filter_map(|end| end.session.poll_timeout());
        sessions.chain(election).map(|(at_ms, _)| at_ms).min()
    }
}
