//! Workers that fail, panic and never come back.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::service::{Bell, Next, Supervisor, Worker, WorkerState};
use crate::sys::clock::Now;

/// No test waits this long unless it fails.
const LIMIT: Duration = Duration::from_secs(20);

/// Does what it is told, a round each; says when it was made and when it steps.
struct Scripted {
    said: Sender<&'static str>,
    orders: std::sync::Arc<std::sync::Mutex<Receiver<&'static str>>>,
    bell: Bell,
}

impl Worker for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn bell(&self) -> Option<Bell> {
        Some(self.bell.clone())
    }

    fn step(&mut self, _now: Now) -> Result<Next, String> {
        let _ = self.said.send("step");
        match self.orders.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv().unwrap_or("rest") {
            "panic" => panic!("a bug"),
            "fail" => Err("the disk is on fire".into()),
            "rest" => Ok(Next::after(LIMIT * 100, "rested")),
            detail => Ok(Next::after(Duration::ZERO, detail)),
        }
    }
}

/// A supervisor with one such worker, the way to order it about, and what it says.
fn supervised() -> (Supervisor, Sender<&'static str>, Receiver<&'static str>) {
    let (order, orders) = channel();
    let (said, saying) = channel();
    let orders = std::sync::Arc::new(std::sync::Mutex::new(orders));
    let mut supervisor = Supervisor::new();
    supervisor.spawn(move || {
        let _ = said.send("made");
        Box::new(Scripted { said: said.clone(), orders: orders.clone(), bell: Bell::default() })
    });
    (supervisor, order, saying)
}

fn heard(saying: &Receiver<&'static str>, count: usize) -> Vec<&'static str> {
    (0..count).map(|_| saying.recv_timeout(LIMIT).unwrap()).collect()
}

#[test]
fn a_worker_that_panics_is_told_and_made_anew() {
    let (supervisor, order, saying) = supervised();
    order.send("panic").unwrap();
    order.send("well").unwrap();

    assert_eq!(heard(&saying, 5), ["made", "step", "made", "step", "step"]);

    let status = supervisor.statuses().remove(0);
    assert!(status.last_error.unwrap().1.contains("a bug"));
    assert_eq!((status.failures, status.detail.as_str()), (1, "well"));
    order.send("rest").unwrap();
    supervisor.stop();
}

#[test]
fn an_error_is_the_last_one_until_a_round_goes_well() {
    let (supervisor, order, saying) = supervised();
    order.send("fail").unwrap();
    assert_eq!(heard(&saying, 3), ["made", "step", "step"]);

    let failing = supervisor.statuses().remove(0);
    assert_eq!((failing.state, failing.rounds, failing.failures), (WorkerState::Failing, 2, 1));
    assert_eq!(failing.last_error.unwrap().1, "the disk is on fire");
    assert_eq!(failing.last_ok, None);

    order.send("well").unwrap();
    assert_eq!(heard(&saying, 1), ["step"]);
    let well = supervisor.statuses().remove(0);
    assert_eq!(well.state, WorkerState::Running);
    assert!(well.last_ok.is_some() && well.last_error.is_some());
    order.send("rest").unwrap();
    supervisor.stop();
}

#[test]
fn a_worker_that_waits_for_long_is_ended_at_once() {
    let (supervisor, order, saying) = supervised();
    order.send("rest").unwrap();
    assert_eq!(heard(&saying, 2), ["made", "step"]);
    let statuses = supervisor.handle();

    supervisor.stop();

    assert_eq!(statuses.all()[0].state, WorkerState::Stopped);
    drop(order);
    assert!(saying.recv_timeout(LIMIT).is_err(), "nobody steps any more");
}
