//! What sessions and elections want done: said, kept, told, closed. Each is looked at before it is done.

use super::disk::Keeper;
use super::machine::Job;
use super::network::Packet;
use super::world::{Event, World};
use replicate::core::election::{By, Input, Output, Role, Token, Told};
use replicate::core::entry::Entry;
use replicate::core::id::{LogId, Position, Stream};
use replicate::core::message::{Cause, Message, VectorPart};
use replicate::core::session::{self, Reason};
use replicate::core::wire;
use serde::Deserialize;

#[derive(Deserialize)]
struct Place {
    d: replicate::core::id::Dot,
    s: Stream,
}

/// Where an entry belongs, by its own word.
pub fn place_of(raw: &[u8]) -> Position {
    let place: Place = serde_json::from_slice(raw).unwrap();
    Position { stream: place.s, dot: place.d }
}

impl World {
    pub fn deliver(&mut self, link: u64, end: usize) {
        let Some((packet, ends)) = self.network.arrive(link, end) else { return };
        let (from, at) = (ends[1 - end], ends[end]);
        if !self.machines[at].ends.contains_key(&link) {
            return;
        }
        let message = match packet {
            Packet::Said(message) => message,
            Packet::Bytes(bytes) => wire::decode(&bytes).unwrap_or_else(|error| panic!("I11: {error}")),
            Packet::Order(token) => return self.order(from, at, token),
        };
        match &message {
            Message::Vector(part) => self.heard_vector(at, link, part),
            Message::Batch(batch) => {
                let claimed = &mut self.machines[at].ends.get_mut(&link).unwrap().claimed;
                for place in batch.entries.iter().map(|raw| place_of(raw)) {
                    let seq = claimed.entry(place.log()).or_default();
                    *seq = place.dot.seq.max(*seq);
                }
            }
            Message::Ack(ack) => {
                let claimed = &mut self.machines[at].ends.get_mut(&link).unwrap().claimed;
                for dot in &ack.marks {
                    let log = LogId { stream: ack.stream, node: dot.node, inc: dot.inc };
                    let seq = claimed.entry(log).or_default();
                    *seq = dot.seq.max(*seq);
                }
            }
            Message::Nak(_) => self.machines[at].ends.get_mut(&link).unwrap().has_trouble = true,
            _ => (),
        }
        self.session_input(at, link, session::Input::Heard(message));
    }

    fn heard_vector(&mut self, at: usize, link: u64, part: &VectorPart) {
        let name = self.machines[at].name;
        let end = self.machines[at].ends.get_mut(&link).unwrap();
        for ((node, inc), mark) in &part.marks {
            end.claimed.insert(LogId { stream: part.stream, node: *node, inc: *inc }, mark.seq);
        }
        if part.is_last && part.stream == Stream::Sec {
            end.told_sec.insert(LogId { stream: Stream::Sec, node: name, inc: 0 }, 0);
            self.told_sec(at, link);
        }
    }

    /// The session is about to learn of all our `sec` logs.
    pub fn told_sec(&mut self, at: usize, link: u64) {
        let machine = &mut self.machines[at];
        let ends: Vec<_> = machine.have.iter().filter(|(log, _)| log.stream == Stream::Sec).collect();
        let ends: Vec<(LogId, u64)> = ends.into_iter().map(|(log, hashes)| (*log, hashes.len() as u64)).collect();
        let Some(end) = machine.ends.get_mut(&link).filter(|end| !end.told_sec.is_empty()) else { return };
        end.told_sec.extend(ends);
    }

    pub fn session_input(&mut self, at: usize, link: u64, input: session::Input) {
        let now_ms = self.machines[at].clock.mono(self.now_ms);
        let machine = &mut self.machines[at];
        let Some(end) = machine.ends.get_mut(&link) else { return };
        if let Err(unreadable) = end.session.input(now_ms, input, &machine.keeper) {
            assert!(matches!(machine.keeper, Keeper::Redb(_)), "{unreadable}");
            let end = end.end;
            self.drop_end(link, end);
            self.later(3, Event::Reset { link, end: 1 - end });
            return self.poke(at);
        }
        while let Some(output) = self.machines[at].ends.get_mut(&link).and_then(|end| end.session.poll_output()) {
            match output {
                session::Output::Send(message) => self.say(at, link, message),
                session::Output::Apply { batch, entries, kept: None, .. } => {
                    self.ask(at, Job::Apply { link: Some((link, batch)), entries });
                }
                session::Output::Apply { batch, entries, kept: Some(kept), .. } => {
                    self.ask(at, Job::Kept { link: (link, batch), entries, kept });
                }
                session::Output::Told(told) => self.told(at, link, told),
                session::Output::Close(reason) => self.closed(at, link, &reason),
            }
        }
        self.set_timer(at);
    }

    /// A store that failed opens its file again at the next job: somebody has to give it one, or nothing is read any
    /// more.
    fn poke(&mut self, at: usize) {
        self.hit("not readable after a failure");
        if self.machines[at].jobs.is_empty() {
            self.ask(at, Job::Apply { link: None, entries: Vec::new() });
        }
    }

    fn say(&mut self, at: usize, link: u64, message: Message) {
        self.look_at_word(at, link, &message);
        let Some(end) = self.machines[at].ends.get(&link).map(|end| end.end) else { return };
        let packet = if self.is_wired { Packet::Bytes(wire::encode(&message)) } else { Packet::Said(message) };
        self.put_on_wire(link, 1 - end, packet);
    }

    fn closed(&mut self, at: usize, link: u64, reason: &Reason) {
        let is_fair = matches!(reason, Reason::Silent { .. } | Reason::NoHello | Reason::OwnNode);
        assert!(is_fair, "I12: two honest nodes part: {reason}");
        self.hit("link closed by silence");
        let Some(end) = self.machines[at].ends.get(&link).map(|end| end.end) else { return };
        self.drop_end(link, end);
        let after_ms = self.chance.between(1, 20);
        let open = self.network.links.get(&link).map(|link| (link.ends[end], link.ends[1 - end]));
        if open.is_some_and(|way| !self.network.cuts.contains(&way)) {
            self.later(after_ms, Event::Reset { link, end: 1 - end });
        }
    }

    fn told(&mut self, at: usize, link: u64, told: session::Told) {
        let us = self.machines[at].us;
        let is_ours = |log: LogId| us.is_some_and(|us| us.node == log.node && us.inc == log.inc);
        match told {
            session::Told::Hello(hello) => {
                let is_fleet = !self.machines[at].is_copy && !self.machines[self.machines[at].ends[&link].peer].is_copy;
                self.machines[at].ends.get_mut(&link).unwrap().is_talking = is_fleet;
                if is_fleet {
                    self.election_input(at, Input::Up(hello.node));
                }
            }
            session::Told::Election(message) => {
                let from = self.machines[self.machines[at].ends[&link].peer].name;
                self.election_input(at, Input::Heard { from, message });
            }
            session::Told::Fork { at: place } => {
                assert!(self.model.is_forked(place.log()), "I2: a fork at {place}");
                self.hit("fork told");
                if is_ours(place.log()) {
                    self.quarantine(at);
                }
            }
            session::Told::Clone { node, inc } => {
                let log = LogId { stream: Stream::Sec, node, inc };
                assert!(self.model.is_double(log), "I2: {node}/{inc} is called a clone");
                self.hit("clone told");
                if is_ours(log) {
                    self.quarantine(at);
                }
            }
            session::Told::OurOwnFuture { at: place } => {
                let is_known = self.machines[at].jobs.iter().any(|(_, job)| matches!(job, Job::Renew));
                if !is_known && us.is_some_and(|us| place.dot.inc >= us.inc) && !self.reuses_names() {
                    self.hit("lost memory told");
                    self.ask(at, Job::Renew);
                }
            }
            session::Told::LeftAlone { log, why } => {
                self.hit("log left alone");
                assert!(self.model.is_double(log), "I10: {log:?} is left alone: {why}");
                if why != Cause::Fork {
                    self.machines[at].ends.get_mut(&link).unwrap().wants_new_link = true;
                }
            }
            session::Told::NotKept { .. } => self.hit("batch not kept"),
            told @ (session::Told::Offered(_) | session::Told::BelowFloor { .. } | session::Told::PeerBelowFloor) => {
                self.told_of_floor(at, link, &told);
            }
        }
    }

    /// Somebody else writes under our name: nothing more is written until an operator has chosen.
    fn quarantine(&mut self, at: usize) {
        self.machines[at].is_quarantined = true;
        self.hit("quarantine");
        if !self.machines[at].is_copy {
            let after_ms = self.chance.between(2_000, 6_000);
            self.later(after_ms, Event::Renew { at });
        }
    }

    // The election.

    /// Who is linked with whom, and what each is.
    pub fn map(&self) -> String {
        let line = |at: usize| {
            let machine = &self.machines[at];
            let peers: Vec<usize> = machine.ends.values().filter(|end| end.is_talking).map(|end| end.peer).collect();
            let role = machine.election.as_ref().map(|election| election.role());
            format!("\n{at} (candidate: {}) linked with {peers:?}: {role:?}", self.roster[at].is_candidate)
        };
        (0..self.fleet).map(line).collect()
    }

    pub fn reign_of(&self, at: usize) -> Option<Token> {
        match self.machines[at].election.as_ref()?.role() {
            Role::Coordinator { token, .. } => Some(token),
            _ => None,
        }
    }

    pub fn election_input(&mut self, at: usize, input: Input) {
        let now_ms = self.machines[at].clock.mono(self.now_ms);
        let Some(election) = &mut self.machines[at].election else { return };
        election.input(now_ms, input);
        let mut outputs = Vec::new();
        while let Some(output) = election.poll_output() {
            outputs.push(output);
        }
        for output in outputs {
            match output {
                Output::Send { to, message } => {
                    let to_node = |end: &super::machine::End| self.machines[end.peer].name == to && end.is_talking;
                    let link = self.machines[at].ends.iter().find(|(_, end)| to_node(end)).map(|(link, _)| *link);
                    if let Some(link) = link {
                        self.session_input(at, link, session::Input::Say(message));
                    }
                }
                Output::Store(token) => {
                    let (boot, disk_ms) = (self.machines[at].boot, self.machines[at].disk_ms);
                    let after_ms = self.chance.between(1, disk_ms);
                    self.later(after_ms, Event::Token { at, boot, token });
                }
                Output::Told(Told::Elected { token, by, .. }) => {
                    self.hit("reign");
                    let is_idle =
                        by == By::Vacancy && self.is_settled && self.roster.iter().all(|member| member.is_candidate);
                    assert!(!is_idle, "I8: {token:?} in calm weather: {}", self.map());
                    let is_double = self.model.doubles.contains(&(token.node, token.inc));
                    assert!(self.reigns.insert(token) || is_double, "I8: {token:?} names two reigns");
                    assert!(token <= self.machines[at].token, "I8: {token:?} reigns and is not durable");
                }
                Output::Told(_) | Output::Changed(_) => (),
            }
        }
        self.set_timer(at);
    }

    fn order(&mut self, from: usize, at: usize, token: Token) {
        let from = self.machines[from].name;
        self.election_input(at, Input::Carried { from, token });
        let machine = &mut self.machines[at];
        if machine.election.as_ref().is_some_and(|election| election.allows(token).is_ok()) {
            let (obeyed, durable) = (machine.obeyed, machine.token);
            assert!(token >= obeyed, "I8: {token:?} obeyed after {obeyed:?}");
            assert!(token <= durable, "I8: {token:?} obeyed before it is durable");
            machine.obeyed = token;
        }
    }

    /// An entry of the ghost's log, for whoever has those before it.
    pub fn ghost_end(&self, at: usize) -> Option<usize> {
        let first = Entry::parse(self.ghost.first()?).ok()?;
        Some(self.machines[at].end_of(&first.at.log()) as usize)
    }
}
