//! Are you there, and what time is it: pings, and how far the peer's clock is from ours.

use super::Session;
use crate::core::entry::Quality;
use crate::core::message::{Message, Ping, Pong};

/// How far the peer's clock is from ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    /// What to add to our wall time to get the peer's, in milliseconds.
    pub ms: i64,
    /// How long question and answer were on the way: the offset is right within half of it.
    pub delay_ms: u64,
    /// How good the peer's clock is, by its own word.
    pub q: Quality,
}

/// When what was said, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// When the peer last said anything.
    pub heard_ms: u64,
    /// When we last asked.
    pub pinged_ms: u64,
    pub offset: Option<Offset>,
    ping: u64,
    /// When the ping under way was sent: its own wall time may have been set since.
    asked_ms: Option<u64>,
}

impl Session {
    pub(super) fn ping(&mut self, now_ms: u64) {
        self.times.ping += 1;
        self.times.pinged_ms = now_ms;
        self.times.asked_ms = Some(now_ms);
        let ping = Ping { number: self.times.ping, sent: self.me.clock.at(now_ms) };
        self.say(Message::Ping(ping));
    }

    pub(super) fn heard_ping(&mut self, now_ms: u64, ping: Ping) {
        let now = self.me.clock.at(now_ms);
        self.say(Message::Pong(Pong { number: ping.number, asked: ping.sent, heard: now, sent: now }));
    }

    /// The offset is `((heard - asked) + (sent - now)) / 2` (RFC 5905 section 8), all in the four readings' own clocks.
    pub(super) fn heard_pong(&mut self, now_ms: u64, pong: Pong) {
        let asked_ms = self.times.asked_ms.filter(|_| pong.number == self.times.ping);
        let Some(asked_ms) = asked_ms else { return };
        self.times.asked_ms = None;
        let (asked, now) = (self.me.clock.at(asked_ms).wall, self.me.clock.at(now_ms).wall);
        let there = i128::from(pong.heard.wall) - i128::from(asked);
        let back = i128::from(pong.sent.wall) - i128::from(now);
        let held_ms = pong.sent.wall.saturating_sub(pong.heard.wall).max(0).unsigned_abs();
        let delay_ms = now_ms.saturating_sub(asked_ms).saturating_sub(held_ms);
        let ms = i64::try_from((there + back) / 2).unwrap_or(if there < 0 { i64::MIN } else { i64::MAX });
        self.times.offset = Some(Offset { ms, delay_ms, q: pong.sent.q });
    }
}
