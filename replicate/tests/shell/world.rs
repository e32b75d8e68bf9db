//! The machines and the network between them, in virtual time: turmoil moves the bytes, then each hub takes a step.

use crate::clock::Chance;
use crate::laws::{self, Seen};
use crate::machine::{Dials, Machine, Running, host};
use replicate::core::id::Stream;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use turmoil::Sim;

/// What is wrong with the line between two machines.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trouble {
    /// What is sent is lost, and the streams that it was in stay where they are: nobody sends it again.
    Cut,
    /// The same from the one to the other only.
    OneWay(usize, usize),
    /// What is sent waits, as with a line that loses much and whose TCP sends again.
    Held,
}

/// How a world is made.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub machines: usize,
    pub dials: Dials,
    /// The longest way of a segment.
    pub latency_ms: u64,
    /// Segments under way in a stream before its writer waits.
    pub window: usize,
}

pub struct World {
    sim: Sim<'static>,
    pub machines: Vec<Rc<Machine>>,
    now_ms: Arc<AtomicU64>,
    troubles: BTreeMap<(usize, usize), Trouble>,
    pub seen: Seen,
}

impl World {
    pub fn new(seed: u64, shape: Shape) -> Self {
        let now_ms = Arc::new(AtomicU64::new(1));
        let mut sim = turmoil::Builder::new()
            .rng_seed(seed)
            .simulation_duration(Duration::from_secs(3600))
            .epoch(std::time::UNIX_EPOCH)
            .min_message_latency(Duration::from_millis(0))
            .max_message_latency(Duration::from_millis(shape.latency_ms))
            .tcp_capacity(shape.window)
            .build();
        let machines: Vec<Rc<Machine>> = (1..=shape.machines)
            .map(|number| Machine::new(number, shape.machines, shape.dials, now_ms.clone()))
            .collect();
        for machine in &machines {
            let machine = machine.clone();
            sim.host(host(machine.number), move || machine.clone().run());
        }
        Self { sim, machines, now_ms, troubles: BTreeMap::new(), seen: Seen::default() }
    }

    pub fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    /// A millisecond for everybody.
    pub fn tick(&mut self) {
        self.sim.step().unwrap();
        self.now_ms.store(self.sim.elapsed().as_millis() as u64 + 1, Ordering::Relaxed);
        for machine in &self.machines {
            machine.step();
        }
        laws::always(&self.machines, &mut self.seen);
    }

    pub fn run_ms(&mut self, ms: u64) {
        (0..ms).for_each(|_| self.tick());
    }

    /// Goes on until something is so, looking every 10 ms; returns after how long.
    pub fn until(&mut self, what: &str, limit_ms: u64, is_so: impl Fn(&[Rc<Machine>]) -> bool) -> u64 {
        let began_ms = self.now_ms();
        while !is_so(&self.machines) {
            let after_ms = self.now_ms() - began_ms;
            assert!(after_ms < limit_ms, "not within {limit_ms} ms: {what}\n{}", laws::told(&self.machines));
            self.run_ms(10);
        }
        self.now_ms() - began_ms
    }

    /// Brings trouble to a line that has none, or ends what it has.
    pub fn trouble(&mut self, one: usize, two: usize, trouble: Option<Trouble>) {
        let pair = (one.min(two), one.max(two));
        let (first, second) = (host(pair.0), host(pair.1));
        match self.troubles.remove(&pair) {
            Some(Trouble::Held) => self.sim.release(first.as_str(), second.as_str()),
            Some(Trouble::Cut | Trouble::OneWay(..)) => self.sim.repair(first.as_str(), second.as_str()),
            None => {}
        }
        let Some(trouble) = trouble else { return };
        match trouble {
            Trouble::Cut => self.sim.partition(first, second),
            Trouble::OneWay(from, to) => self.sim.partition_oneway(host(from), host(to)),
            Trouble::Held => self.sim.hold(first, second),
        }
        self.troubles.insert(pair, trouble);
    }

    pub fn latency(&mut self, one: usize, two: usize, ms: u64) {
        self.sim.set_link_max_message_latency(host(one), host(two), Duration::from_millis(ms));
    }

    /// Ends a machine's program: killed, so that its sockets are closed for it; or the power goes, and nobody is told.
    pub fn stop(&mut self, number: usize, is_power: bool) {
        let machine = self.machines[number - 1].clone();
        if !machine.is_on() {
            return;
        }
        let others: Vec<usize> = (1..=self.machines.len()).filter(|other| *other != number).collect();
        let troubles = self.troubles.clone();
        if is_power {
            others.iter().for_each(|other| self.trouble(number, *other, Some(Trouble::Cut)));
        }
        self.sim.crash(host(number));
        if is_power {
            for other in others {
                let before = troubles.get(&(number.min(other), number.max(other)));
                self.trouble(number, other, before.copied());
            }
        }
        machine.cut();
    }

    pub fn start(&mut self, number: usize) {
        if !self.machines[number - 1].is_on() {
            self.sim.bounce(host(number));
        }
    }

    /// All lines are whole, all machines on and quick.
    pub fn heal(&mut self) {
        for one in 1..=self.machines.len() {
            for two in one + 1..=self.machines.len() {
                self.trouble(one, two, None);
                self.latency(one, two, 5);
            }
            self.machines[one - 1].rate.store(0, Ordering::Relaxed);
            self.machines[one - 1].stall(false);
            self.start(one);
        }
        self.tick();
    }

    /// Stops every hub; returns when nothing of their links can be left.
    pub fn end(&mut self) {
        for machine in &self.machines {
            if let Some(Running { hub, stepper, .. }) = &mut *machine.running.borrow_mut() {
                hub.stop();
                *stepper = None;
            }
        }
        self.run_ms(3_000);
    }
}

/// Whether two machines have the same logs and records.
pub fn is_like(one: &Machine, two: &Machine) -> bool {
    is_as_far(one, two) && one.store().state_hash().unwrap() == two.store().state_hash().unwrap()
}

/// What is cheap to see of [`is_like`].
pub fn is_as_far(one: &Machine, two: &Machine) -> bool {
    let (one, two) = (one.store(), two.store());
    Stream::ALL.iter().all(|stream| one.vector(*stream).unwrap() == two.vector(*stream).unwrap())
}

/// Draws a world.
pub fn shape(chance: &mut Chance) -> Shape {
    Shape {
        machines: 2 + chance.below(3),
        dials: chance.pick(&[Dials::Lesser, Dials::Greater, Dials::Both]),
        latency_ms: chance.pick(&[1, 5, 40]),
        window: chance.pick(&[32, 64]),
    }
}
