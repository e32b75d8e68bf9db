//! Figures: one JSON line each on stdout, in the form all benches of this repository print.
//!
//! Knows nothing of how a figure came to be. `goal` is a limit in the figure's own unit, for ratios the peer's value of the
//! same run times the factor that is allowed. `ratio` says how many times better than the peer: above 1 is in our favour.

use serde::Serialize;
use std::cell::RefCell;

/// Whether a small value is a good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    Lower,
    Higher,
}

/// One measured number, with what it is held against.
#[derive(Debug, Serialize)]
pub struct Figure {
    name: String,
    value: Option<f64>,
    unit: &'static str,
    goal: Option<f64>,
    peer: Option<String>,
    peer_value: Option<f64>,
    ratio: Option<f64>,
    #[serde(skip)]
    better: Better,
}

impl Figure {
    /// A cost: less is better.
    pub fn cost(name: impl Into<String>, value: f64, unit: &'static str) -> Figure {
        Figure::new(name.into(), value, unit, Better::Lower)
    }

    /// A speed: more is better.
    pub fn speed(name: impl Into<String>, value: f64, unit: &'static str) -> Figure {
        Figure::new(name.into(), value, unit, Better::Higher)
    }

    fn new(name: String, value: f64, unit: &'static str, better: Better) -> Figure {
        let value = value.is_finite().then_some(round(value));
        Figure { name, value, unit, goal: None, peer: None, peer_value: None, ratio: None, better }
    }

    pub fn goal(mut self, goal: f64) -> Figure {
        self.goal = Some(round(goal));
        self
    }

    /// What the peer needed in the same run; `None` when it failed, and then there is nothing to compare.
    pub fn peer(mut self, name: &str, value: Option<f64>) -> Figure {
        let Some(value) = value.filter(|value| value.is_finite() && *value > 0.0) else { return self };
        self.peer = Some(name.to_string());
        self.peer_value = Some(round(value));
        self.ratio = self.value.filter(|ours| *ours > 0.0).map(|ours| match self.better {
            Better::Lower => round(value / ours),
            Better::Higher => round(ours / value),
        });
        self
    }

    fn misses_its_goal(&self) -> bool {
        let Some(goal) = self.goal else { return false };
        match (self.value, self.better) {
            (None, _) => true,
            (Some(value), Better::Lower) => value > goal,
            (Some(value), Better::Higher) => value < goal,
        }
    }
}

/// Prints figures as they come and remembers which missed their goals.
#[derive(Default)]
pub struct Sheet {
    missed: RefCell<Vec<String>>,
}

impl Sheet {
    pub fn print(&self, figure: Figure) {
        println!("{}", serde_json::json!(figure));
        if figure.misses_its_goal() {
            let Figure { name, value, unit, goal, .. } = figure;
            let [value, goal] = [value, goal].map(|number| number.map_or("nothing".into(), |n| n.to_string()));
            self.missed.borrow_mut().push(format!("{name}: {value} {unit}, the goal is {goal}"));
        }
    }

    /// A sentence for each figure that missed its goal.
    pub fn missed(self) -> Vec<String> {
        self.missed.into_inner()
    }
}

/// Three significant places after the point are more than any of these measurements holds.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The middle value, the upper one of an even number; nothing of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// The largest value.
pub fn worst(values: &[f64]) -> Option<f64> {
    values.iter().copied().max_by(f64::total_cmp)
}
