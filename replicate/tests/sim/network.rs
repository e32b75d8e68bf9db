//! Cables and links: in order within a link, and cut at any message.
//!
//! A direction that is cut holds what was sent, as TCP does. When it is mended the rest arrives late, or the link is
//! reset; nothing is ever skipped within a link.

use super::clock::Chance;
use replicate::core::election::Token;
use replicate::core::message::Message;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What crosses a link.
#[derive(Debug, Clone)]
pub enum Packet {
    Said(Message),
    /// The same, through its real bytes.
    Bytes(Vec<u8>),
    /// An act in the name of a coordinator.
    Order(Token),
}

#[derive(Debug)]
pub struct Link {
    pub ends: [usize; 2],
    /// Runs of the machines it was made between.
    pub boots: [u32; 2],
    /// On the way to each end.
    pub queues: [VecDeque<Packet>; 2],
    last_ms: [u64; 2],
    pub is_stalled: [bool; 2],
}

#[derive(Debug, Default)]
pub struct Network {
    /// Directions in which nothing passes.
    pub cuts: BTreeSet<(usize, usize)>,
    pub links: BTreeMap<u64, Link>,
    pub made: u64,
    pub loss_percent: u64,
    pub delay_ms: u64,
}

impl Network {
    pub fn is_open(&self, a: usize, b: usize) -> bool {
        !self.cuts.contains(&(a, b)) && !self.cuts.contains(&(b, a))
    }

    pub fn link(&mut self, ends: [usize; 2], boots: [u32; 2]) -> u64 {
        self.made += 1;
        let queues = [VecDeque::new(), VecDeque::new()];
        self.links.insert(self.made, Link { ends, boots, queues, last_ms: [0; 2], is_stalled: [false; 2] });
        self.made
    }

    pub fn between(&self, a: usize, b: usize) -> Vec<u64> {
        let joins = |link: &Link| link.ends == [a, b] || link.ends == [b, a];
        self.links.iter().filter(|(_, link)| joins(link)).map(|(id, _)| *id).collect()
    }

    /// Takes a packet for an end of a link. Returns when it arrives; a lost one is sent again by the machine below.
    pub fn send(&mut self, id: u64, to_end: usize, packet: Packet, now_ms: u64, chance: &mut Chance) -> Option<u64> {
        let (loss, delay_ms) = (self.loss_percent, self.delay_ms);
        let link = self.links.get_mut(&id)?;
        link.queues[to_end].push_back(packet);
        Some(arrival(link, to_end, now_ms, loss, delay_ms, chance))
    }

    /// Takes what arrives at an end, if it gets through.
    pub fn arrive(&mut self, id: u64, to_end: usize) -> Option<(Packet, [usize; 2])> {
        let link = self.links.get_mut(&id)?;
        if self.cuts.contains(&(link.ends[1 - to_end], link.ends[to_end])) {
            link.is_stalled[to_end] = true;
        }
        if link.is_stalled[to_end] {
            return None;
        }
        Some((link.queues[to_end].pop_front()?, link.ends))
    }

    /// All cables are whole. Returns what arrives late, and which links are lost.
    pub fn mend(&mut self, now_ms: u64, chance: &mut Chance) -> (Vec<(u64, u64, usize)>, Vec<u64>) {
        self.cuts.clear();
        let (loss, delay_ms) = (self.loss_percent, self.delay_ms);
        let (mut late, mut lost) = (Vec::new(), Vec::new());
        for (id, link) in &mut self.links {
            if link.is_stalled == [false; 2] {
                continue;
            }
            if chance.is(50) {
                lost.push(*id);
                continue;
            }
            for end in 0..2 {
                if std::mem::take(&mut link.is_stalled[end]) {
                    for _ in 0..link.queues[end].len() {
                        late.push((arrival(link, end, now_ms, loss, delay_ms, chance), *id, end));
                    }
                }
            }
        }
        (late, lost)
    }
}

fn arrival(link: &mut Link, end: usize, now_ms: u64, loss: u64, delay_ms: u64, chance: &mut Chance) -> u64 {
    let mut at_ms = now_ms + chance.between(1, delay_ms);
    while chance.is(loss) {
        at_ms += 200;
    }
    link.last_ms[end] = link.last_ms[end].max(at_ms);
    link.last_ms[end]
}
