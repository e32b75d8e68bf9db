//! Floors in the simulator: who says one, who is not waited for, who takes it, who is filled, who begins anew. What the
//! hub does for its store, on some seeds.

use super::machine::{FloorJob, Job};
use super::world::{Event, World};
use replicate::core::election::Gated;
use replicate::core::exchange::Records;
use replicate::core::floor::{Due, FloorName, Stage, Standing, advance};
use replicate::core::id::{Hash, LogId, Stream};
use replicate::core::session::{self, asked::Asked};
use std::sync::Arc;

const FLOORS_MS: u64 = 700;

impl World {
    /// Looks after floors, now and again.
    pub fn floors(&mut self) {
        self.later(FLOORS_MS, Event::Floors);
        for at in 0..self.machines.len() {
            let machine = &self.machines[at];
            if !machine.is_up || machine.keeper.heads().is_none() {
                continue;
            }
            self.begin_anew(at);
            self.begin_to_be_filled(at);
            self.take_floor(at);
            self.widen(at);
            if at < self.fleet && !self.is_healing {
                self.advance(at);
            }
        }
    }

    /// Takes the floor that is due. Returns nothing: what comes of it is a job.
    pub fn take_floor(&mut self, at: usize) {
        let is_floor_job = |(_, job): &(u64, Job)| matches!(job, Job::Floor(_));
        if !self.has_floors || self.machines[at].jobs.iter().any(is_floor_job) {
            return;
        }
        match self.machines[at].keeper.floor_due() {
            Some(None) => self.ask(at, Job::Floor(FloorJob::Leave)),
            Some(Some(Due::Take(_))) => self.ask(at, Job::Floor(FloorJob::Begin)),
            Some(Some(Due::Astray | Due::Nothing)) | None => (),
        }
    }

    /// By one at a time.
    fn begin_to_be_filled(&mut self, at: usize) {
        let machine = &mut self.machines[at];
        let ends = &machine.ends;
        machine.offers.retain(|link, _| ends.contains_key(link));
        machine.filled_by = machine.filled_by.filter(|link| ends.contains_key(link));
        let own = machine.keeper.standing().ok().flatten();
        // Whether it is the floor that this one began with, the rules look themselves.
        let can = machine.filled_by.is_none() && own.as_ref().is_none_or(|own| own.stage == Stage::Filling);
        let offer = machine.offers.keys().next().copied().filter(|_| can);
        if let Some(link) = offer
            && let Some(floor) = machine.offers.remove(&link)
        {
            machine.filled_by = Some(link);
            self.ask(at, Job::Floor(FloorJob::Fill { link, floor }));
        }
    }

    /// Sets its file aside, if a peer that is at a later floor has all that is in it.
    fn begin_anew(&mut self, at: usize) {
        let machine = &self.machines[at];
        let Ok(own) = machine.keeper.standing() else { return };
        let is_astray = matches!(machine.keeper.floor_due(), Some(Some(Due::Astray)));
        let is_later = |session: &session::Session| {
            let own = own.as_ref().map(|own| own.floor.name);
            is_astray && session.peer_stands().map(|theirs| theirs.floor) > own
        };
        let below = machine.ends.values().filter(|end| end.session.is_below() || is_later(&end.session));
        let mut handed_on = below.filter_map(|end| end.session.handed_on(&machine.keeper).ok());
        let all = handed_on.find(|handed_on| machine.keeper.is_handed_on(handed_on));
        if let Some(all) = all.filter(|_| !machine.is_quarantined) {
            let is_known = machine.has_lost || machine.was_lapsed || machine.is_copy || machine.was_widened;
            assert!(is_known || !machine.is_narrow, "I7: machine {at} was there all the time and a floor went past it");
            self.ask(at, Job::Floor(FloorJob::SetAside(all)));
        }
    }

    /// Says where the floor is, if this machine may. Who is away for a while is not waited for any more.
    fn advance(&mut self, at: usize) {
        let now_ms = self.machines[at].clock.mono(self.now_ms);
        let Some(token) = self.reign_of(at) else { return };
        let may = self.machines[at]
            .election
            .as_ref()
            .is_some_and(|election| election.may(now_ms, Gated::AdvanceFloor).is_ok());
        let end_with = |world: &Self, other: usize| {
            let ends = world.machines[at].ends.iter();
            ends.filter(|(_, end)| end.peer == other && end.is_talking).map(|(link, _)| *link).next()
        };
        if !may || self.machines[at].is_quarantined {
            return;
        }
        let own = self.machines[at].keeper.standing().ok().flatten();
        let Some(us) = self.machines[at].us else { return };
        let is_member = |node| self.machines[..self.fleet].iter().any(|other| other.name == node);
        let sec = self.machines[at].keeper.vector(Stream::Sec).unwrap_or_default();
        let writers: Vec<_> = sec.into_keys().filter(|(node, _)| is_member(*node)).collect();
        let is_first = advance::is_first(own.as_ref(), us, writers);
        let mut links = Vec::new();
        for other in (0..self.fleet).filter(|other| *other != at) {
            let link = end_with(self, other);
            let is_at = link.is_some_and(|link| {
                let theirs = self.machines[at].ends[&link].session.peer_stands();
                theirs.map(|theirs| theirs.floor) == own.as_ref().map(|own| own.floor.name)
            });
            if is_at {
                self.lapsed.remove(&other);
            } else if link.is_none() && !self.machines[at].has_lost && self.chance.is(25) && self.lapsed.insert(other) {
                self.machines[other].was_lapsed = true;
                self.hit("lapsed");
            }
            if is_first || !self.lapsed.contains(&other) {
                links.push(link);
            }
        }
        let Some(links) = links.into_iter().collect::<Option<Vec<u64>>>() else { return };
        let machine = &self.machines[at];
        let name = |end: &super::machine::End| self.machines[end.peer].name;
        let asked: Asked = links.iter().map(|link| (name(&machine.ends[link]), &machine.ends[link].session)).collect();
        let election = machine.election.as_ref();
        let is_settled = election.is_some_and(|election| election.is_settled_on(now_ms, &asked.nodes()));
        if !(is_settled && asked.are_ready(own.as_ref(), is_first)) {
            return;
        }
        let mut barrier = machine.barrier.clone();
        let has_passed = asked.pass(&mut barrier, token, &machine.keeper).unwrap_or(false);
        let to_keep = |node| self.machines[..self.fleet].iter().any(|other| other.name == node && other.is_keeper);
        let next = machine.keeper.next_floor(asked.floor_number(), |log| asked.know(log, to_keep));
        self.machines[at].barrier = barrier;
        let Some(next) = next.filter(|_| has_passed) else { return };
        if next.moved >= 5 {
            self.look_at_next_floor(&next);
            self.hit("floor said");
            self.floor_said = self.floor_said.max(next.number);
            let end = |log| own.as_ref().map_or(0, |own| own.floor.end(log));
            let moved =
                |peer: usize| next.ends.iter().any(|(log, to)| *to > end(*log) && !self.wish(peer).covers(*log));
            if links.iter().any(|link| moved(self.machines[at].ends[link].peer)) {
                self.hit("floor said beyond what one does not keep");
            }
            self.ask(at, Job::Floor(FloorJob::Advance(token.epoch, next)));
        }
    }

    /// No floor goes beyond what those have who are waited for. Who lost its memory has told otherwise before.
    fn look_at_next_floor(&self, next: &advance::Next) {
        for at in (0..self.fleet).filter(|at| !self.lapsed.contains(at)) {
            let machine = &self.machines[at];
            for (log, end) in next.ends.iter().filter(|(log, _)| self.wish(at).covers(**log)) {
                let is_there = machine.end_of(log) >= *end || machine.has_lost || self.model.is_double(*log);
                assert!(is_there, "I7: a floor at {end} of {log:?}, machine {at} has {}", machine.end_of(log));
            }
        }
    }

    /// What became of a job.
    pub fn floor_job_done(&mut self, at: usize, job: &FloorJob) {
        let standing = self.machines[at].keeper.standing().ok().flatten();
        match (job, standing) {
            (FloorJob::Begin, Some(Standing { stage: Stage::Collecting, .. })) => {
                self.hit("floor begun");
                self.ask(at, Job::Floor(FloorJob::Leave));
            }
            (FloorJob::Leave, Some(Standing { stage: Stage::At, floor })) => {
                self.hit("floor taken");
                self.look_at_kept(at, floor.name);
            }
            (FloorJob::Fill { link, floor }, Some(own))
                if own.stage == Stage::Filling && own.floor.name == floor.name =>
            {
                self.hit("being filled");
                self.session_input(at, *link, session::Input::Fill(floor.name));
            }
            (FloorJob::Widen, _) => self.widened(at),
            (FloorJob::Fill { link, .. }, _) => {
                // Something of it came from elsewhere meanwhile: the peer has to look anew.
                self.machines[at].filled_by = None;
                let end = self.machines[at].ends.get(link).map(|end| end.end);
                if let Some(end) = end {
                    self.drop_end(*link, end);
                    self.later(3, Event::Reset { link: *link, end: 1 - end });
                }
            }
            (_, _) => (),
        }
    }

    /// All that are at one floor have the same below it.
    pub fn look_at_kept(&mut self, at: usize, floor: FloorName) {
        let Some(kept) = self.machines[at].keeper.kept().filter(|_| !self.machines[at].is_narrow) else { return };
        let before = *self.kept.entry(floor).or_insert(kept);
        assert!(before == kept, "I7: machine {at} has not the same below floor {} as others", floor.number);
    }

    pub fn told_of_floor(&mut self, at: usize, link: u64, told: &session::Told) {
        match told {
            session::Told::Offered(floor) => {
                self.machines[at].offers.insert(link, floor.clone());
                self.begin_to_be_filled(at);
            }
            session::Told::BelowFloor { .. } => {
                self.hit("below the floor");
                let machine = &self.machines[at];
                let is_known = machine.has_lost
                    || machine.was_lapsed
                    || machine.is_copy
                    || machine.was_widened
                    || self.lapsed.contains(&at);
                assert!(is_known, "I7: machine {at} was there all the time and is below the floor");
            }
            _ => (),
        }
    }

    pub fn is_filling(&self, at: usize) -> bool {
        let standing = self.machines[at].keeper.standing();
        standing.is_ok_and(|own| own.is_some_and(|own| own.stage == Stage::Filling))
    }

    /// The hashes of what has left a log, for a machine that was filled and never had it.
    pub fn hashes_below(&self, at: usize, log: LogId) -> Vec<Hash> {
        let Ok(Some(own)) = self.machines[at].keeper.standing() else { return Vec::new() };
        let end = own.floor.end(log) as usize;
        let mark = own.floor.marks.get(&log).map(|mark| mark.hash);
        let others = self.machines.iter().filter_map(|machine| machine.have.get(&log));
        let mut full = others.filter(|hashes| end > 0 && hashes.get(end - 1).copied() == mark);
        full.next().map(|hashes| hashes[..end].to_vec()).unwrap_or_else(|| self.model.hashes(log, end as u64, mark))
    }

    /// Whether all are at one floor. Where a fence came late, or what said it was lost in a fork, an older one stands.
    pub fn floors_are_level(&self) -> Result<(), String> {
        let of = |at: usize| self.machines[at].keeper.standing().ok().flatten();
        for at in 0..self.fleet {
            let own = of(at);
            if own.as_ref().is_some_and(|own| own.stage != Stage::At) {
                return Err(format!("machine {at} is not done with its floor: {:?}", own.map(|own| own.stage)));
            }
            let is_plain = self.retirements_were == 0 && self.model.doubles.is_empty();
            if is_plain && own.map(|own| own.floor.name) != of(0).map(|own| own.floor.name) {
                return Err(format!("machines 0 and {at} are at two floors"));
            }
        }
        Ok(())
    }

    /// Where everybody stands, and what is said of it on each link; for who reads a broken law.
    pub fn floors_map(&self) -> String {
        let name = |floor: FloorName| (floor.number, floor.epoch, floor.digest.0[0]);
        let lines = self.machines.iter().enumerate().filter(|(_, machine)| machine.is_up).map(|(at, machine)| {
            let own = machine.keeper.standing().ok().flatten().map(|own| (name(own.floor.name), own.stage));
            let due = match machine.keeper.floor_due() {
                Some(Some(Due::Take(next))) => format!("to take {}", next.number),
                due => format!("{due:?}"),
            };
            let links = machine.ends.iter().map(|(link, end)| {
                let (peer, theirs) = (end.peer, end.session.peer_stands());
                let (theirs, is_below) =
                    (theirs.map(|theirs| (name(theirs.floor), theirs.stage)), end.session.is_below());
                let handed_on = end.session.handed_on(&machine.keeper).is_ok_and(|on| machine.keeper.is_handed_on(&on));
                format!("\n   {link} to {peer} at {theirs:?}, below: {is_below}, has all: {handed_on}")
            });
            let links: String = links.collect();
            format!("\n{at} at {own:?}, {due}, filled by {:?}{links}", machine.filled_by)
        });
        lines.collect()
    }

    /// The floor, for the model.
    pub fn note_floor(&mut self, at: usize) {
        let machine = &mut self.machines[at];
        machine.have.floor = machine.keeper.standing().ok().flatten().map(|own| Arc::clone(&own.floor));
    }
}
