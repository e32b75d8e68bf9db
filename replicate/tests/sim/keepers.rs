//! Nodes that do not keep everything, on some seeds: they keep `sec` and `cfg` of all, and of the rest what is their own.
//! Some become keepers in the middle of the day, as the hub has them do it.

use super::clock::Chance;
use super::machine::{FloorJob, Job};
use super::world::{Event, World};
use replicate::core::exchange::Records;
use replicate::core::floor::Stage;
use replicate::core::id::Stream;
use replicate::core::wish::{KEPT_BY_ALL, Wish};

impl World {
    /// Who keeps everything: the first two boxes always, so that what one has lost the other has. Only keepers stand for
    /// election. Drawn by itself, so that the other seeds' days stay what they were.
    pub fn choose_keepers(&mut self, seed: u64) {
        // More of the days with floors.
        if seed % 5 != 2 && seed % 12 != 1 {
            return;
        }
        let mut chance = Chance(seed ^ 0x6b65_6570);
        for at in (2..self.fleet).filter(|_| chance.is(60)).collect::<Vec<_>>() {
            self.roster[at].is_candidate = false;
            let mut from_ms = 0;
            if chance.is(50) {
                self.machines[at].is_keeper = false;
                self.hit("keeps only its own");
            } else {
                from_ms = chance.between(3_000, 18_000);
                self.later(from_ms, Event::Narrow { at });
            }
            if chance.is(50) {
                self.later(from_ms + chance.between(3_000, 20_000), Event::Widen { at });
            }
        }
    }

    /// Of which streams a box wants everybody's logs.
    pub fn wants(&self, at: usize) -> Vec<Stream> {
        if self.machines[at].is_narrow { KEPT_BY_ALL.to_vec() } else { Stream::ALL.to_vec() }
    }

    /// Which logs a box is to have in the end.
    pub fn wish(&self, at: usize) -> Wish {
        Wish::of(self.machines[at].name, &self.wants(at))
    }

    /// At the start, as `Hub::begin_to_keep`.
    pub fn begin_to_keep(&mut self, at: usize) {
        let machine = &mut self.machines[at];
        machine.is_narrow = !machine.is_keeper || machine.keeper.lacks_below_floor();
        let wish = self.wish(at);
        self.machines[at].keeper.keep(wish);
    }

    /// A new box takes the place of one that kept everything, and does not.
    pub fn make_narrow(&mut self, at: usize) {
        if self.is_healing || self.machines[at].is_quarantined {
            return;
        }
        self.machines[at].is_keeper = false;
        self.flash(at, true);
        self.hit("a new box that keeps only its own");
    }

    pub fn make_keeper(&mut self, at: usize) {
        self.machines[at].is_keeper = true;
        self.widen(at);
    }

    /// As `Hub::widen`.
    pub fn widen(&mut self, at: usize) {
        let machine = &self.machines[at];
        let is_busy = machine.jobs.iter().any(|(_, job)| matches!(job, Job::Floor(_)));
        if !machine.is_up || machine.is_narrow != machine.is_keeper || machine.keeper.heads().is_none() || is_busy {
            return;
        }
        if machine.keeper.is_floor_awaited() {
            return;
        }
        if !machine.keeper.lacks_below_floor() {
            return self.widened(at);
        }
        let Some(own) = machine.keeper.standing().ok().flatten() else { return };
        let has_all = |end: &super::machine::End| {
            let is_whole = end.session.state().hello.is_some_and(|hello| hello.wish().is_all());
            let is_there =
                |stands: &replicate::core::message::Stands| (stands.floor, stands.stage) == (own.floor.name, Stage::At);
            is_whole && end.session.peer_stands().is_some_and(|stands| is_there(&stands))
        };
        if machine.ends.values().any(has_all) {
            self.hit("begins to keep below a floor");
            self.machines[at].was_widened = true;
            self.ask(at, Job::Floor(FloorJob::Widen));
        }
    }

    /// As `Hub::widened`.
    pub fn widened(&mut self, at: usize) {
        let machine = &mut self.machines[at];
        if !machine.is_keeper || !machine.is_narrow || machine.keeper.lacks_below_floor() {
            return;
        }
        machine.is_narrow = false;
        // A floor was said that it has not heard of, by one who does not know yet that this is to be a keeper: seed 1621.
        let at_floor = machine.keeper.standing().ok().flatten().map_or(0, |own| own.floor.name.number);
        machine.was_widened |= self.floor_said > at_floor;
        let wish = self.wish(at);
        self.machines[at].keeper.keep(wish);
        self.hit("has become a keeper");
        let links: Vec<(u64, usize)> = self.machines[at].ends.iter().map(|(link, end)| (*link, end.end)).collect();
        for (link, end) in links {
            self.drop_end(link, end);
            self.later(3, Event::Reset { link, end: 1 - end });
        }
    }
}
