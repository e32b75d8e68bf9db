//! What is known about the wall clock. Lengths of audio are counted in frames and never depend on it.

use serde::{Deserialize, Serialize};

/// How far a wall-clock time can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockQuality {
    /// The clock shows a time before this program was written: nobody has set it.
    Unset,
    /// Plausible, but nothing disciplines it.
    Guessed,
    /// The kernel says a time service keeps it in step.
    Ntp,
}

impl ClockQuality {
    /// Text for people, completing "started at 10:00 (…)".
    pub fn describe(self) -> &'static str {
        match self {
            Self::Unset => "the clock was not set: this time is wrong",
            Self::Guessed => "the clock was not synchronised: this time is a guess",
            Self::Ntp => "clock synchronised",
        }
    }
}
