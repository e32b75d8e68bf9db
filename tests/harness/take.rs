//! What `rakkr take info --json` says, as the contract has it. Fields a test does not ask about are left out.

use serde::Deserialize;

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Take {
    pub id: String,
    pub title: String,
    pub state: String,
    pub sample_rate: u32,
    pub frames: u64,
    pub duration_seconds: f64,
    pub channels: Vec<Channel>,
    pub segments: Vec<Segment>,
    #[serde(default)]
    pub gaps: Vec<Gap>,
    #[serde(default)]
    pub marks: Vec<Mark>,
    #[serde(default)]
    pub pauses: Vec<Pause>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Channel {
    /// 1-based, the number behind `rakkr:in_`.
    pub number: u32,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Segment {
    pub file: String,
    pub first_frame: u64,
    pub frames: u64,
    #[serde(default)]
    pub sha256: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Gap {
    pub first_frame: u64,
    pub frames: u64,
    pub cause: String,
    /// Channel numbers it concerns; `None` is all.
    #[serde(default)]
    pub channels: Option<Vec<u32>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Mark {
    pub frame: u64,
    pub label: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Pause {
    pub first_frame: u64,
    pub frames: u64,
}

impl Take {
    /// The channel numbers in file order.
    pub fn numbers(&self) -> Vec<u32> {
        self.channels.iter().map(|channel| channel.number).collect()
    }

    /// Whether audio stands behind the last gap: the recording goes on after a failure.
    pub fn goes_on_for(&self, frames: u64) -> bool {
        self.gaps.last().is_some_and(|gap| self.frames >= gap.first_frame + gap.frames + frames)
    }

    /// The spans of a channel in which audio may be missing: its gaps and all pauses, joined and in order.
    pub fn declared(&self, number: u32) -> Vec<(u64, u64)> {
        let gaps = self.gaps.iter().filter(|gap| gap.channels.as_ref().is_none_or(|list| list.contains(&number)));
        let gaps = gaps.map(|gap| (gap.first_frame, gap.first_frame + gap.frames));
        let pauses = self.pauses.iter().map(|pause| (pause.first_frame, pause.first_frame + pause.frames));
        let mut spans: Vec<_> = gaps.chain(pauses).collect();
        spans.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::new();
        for (from, to) in spans {
            match joined.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        joined
    }
}
