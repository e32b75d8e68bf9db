//! The hub's part in the election: what it is given goes in, what it wants is done.
//!
//! A token is kept before anything else happens; the hub waits for that, because meanwhile this node has nothing to say in
//! the election anyway. When the node's name changes, or it stands still, its part begins anew.

use super::Hub;
use crate::core::election::{self, Election, Member, Role};
use crate::core::id::Stream;
use crate::core::session::{Input, Lag};
use crate::net::Event;

/// A token that was not kept is tried again after this.
const KEEP_AGAIN_MS: u64 = 1_000;

impl Hub {
    /// Begins this node's part anew, under its present name, with the token that is kept. A node that stands still does
    /// not stand for election: of two under one name both could make the same token.
    pub(super) fn elect_anew(&mut self) {
        let inc = self.care.store.us.inc;
        let settings = self.parts.settings.election.clone();
        *self.election() = Election::new(self.me, inc, settings, self.kept);
        if self.role != Role::Bystander {
            self.role = Role::Bystander;
            (self.parts.tell)(Event::Role(self.role));
        }
        self.elect_among();
        if let Some(token) = self.to_keep {
            self.elect(election::Input::Carried { from: self.me, token });
        }
        for node in self.talking.keys().copied().collect::<Vec<_>>() {
            self.elect(election::Input::Up(node));
        }
        self.is_caught_up = false;
        self.look_at_ms = self.now_ms;
        self.settle();
    }

    /// Tells the election who the members are.
    pub(super) fn elect_among(&mut self) {
        let Some(members) = &self.members else { return };
        let stands = |member: &Member| {
            let is_still = self.care.store.is_quarantined && member.node == self.me;
            Member { is_candidate: member.is_candidate && !is_still, ..*member }
        };
        let members = members.values().map(stands).collect();
        self.elect(election::Input::Roster(members));
    }

    pub(super) fn advance_election(&mut self, input: election::Input) {
        let outputs: Vec<election::Output> = {
            let mut election = self.election();
            election.input(self.now_ms, input);
            std::iter::from_fn(|| election.poll_output()).collect()
        };
        for output in outputs {
            match output {
                election::Output::Send { to, message } => {
                    if let Some(number) = self.talking.get(&to).copied() {
                        self.input(number, Input::Say(message));
                    }
                }
                election::Output::Store(token) => {
                    self.to_keep = Some(token);
                    self.keep_token();
                }
                election::Output::Changed(role) => {
                    self.role = role;
                    self.look_at_ms = self.now_ms;
                    (self.parts.tell)(Event::Role(role));
                }
                election::Output::Told(told) => (self.parts.tell)(Event::Election(told)),
            }
        }
    }

    pub(super) fn keep_token(&mut self) {
        let Some(token) = self.to_keep else { return };
        match (self.parts.keep_token)(token) {
            Ok(()) => {
                self.to_keep = None;
                self.kept = token;
                self.read_clock();
                self.elect(election::Input::Stored(token));
            }
            Err(error) => {
                self.keep_at_ms = self.now_ms + KEEP_AGAIN_MS;
                (self.parts.tell)(Event::TokenNotKept { token, why: error.to_string() });
            }
        }
    }

    /// Whether this node has all that the coordinator it follows is known to have, in every stream that one wants: of the
    /// others nobody tells.
    pub(super) fn is_caught_up_now(&self) -> bool {
        let Role::Follower { token, .. } = self.role else { return false };
        // Who stands still is not offered the role.
        if self.care.store.is_quarantined {
            return false;
        }
        let leader = self.talking.get(&token.node).and_then(|number| self.links.get(number));
        let Some(state) = leader.map(|linked| linked.session.state()) else { return false };
        let Some(hello) = state.hello else { return false };
        let is_level =
            |(stream, lag): (&Stream, &Lag)| lag.to_receive == 0 && (lag.is_known || !hello.wants.contains(stream));
        Stream::ALL.iter().zip(&state.lag).all(is_level)
    }
}
