//! When entries that no node needs any more leave the logs.
//!
//! Lives here: how often, and for how much. Does not: which entries, and when all have them (`replicate`).

use std::str::FromStr;
use std::time::Duration;

use replicate::net::Patience;

/// How often the coordinator looks. Each time costs every node a word with every other and a pass over what leaves, so it
/// is no more often than an hour's records are worth.
const EVERY: Duration = Duration::from_secs(3_600);
/// Fewer entries are not worth it.
const ENTRIES_MIN: u64 = 1_000;

/// When entries leave the logs. Text form: `<seconds>` or `<seconds>,<entries>`; 0 seconds is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgetting {
    /// How often it is looked; never if nothing.
    pub every: Option<Duration>,
    /// How many entries have to be gained.
    pub entries_min: u64,
}

impl Default for Forgetting {
    fn default() -> Self {
        Self { every: Some(EVERY), entries_min: ENTRIES_MIN }
    }
}

impl FromStr for Forgetting {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (seconds, entries) = text.split_once(',').map_or((text, None), |(one, two)| (one, Some(two)));
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| "not <seconds> or <seconds>,<entries>");
        let every = Some(Duration::from_secs(number(seconds)?)).filter(|every| !every.is_zero());
        Ok(Self { every, entries_min: entries.map_or(Ok(ENTRIES_MIN), number)? })
    }
}

impl Forgetting {
    pub(super) fn patience(self) -> Patience {
        let every_ms = self.every.map(|every| u64::try_from(every.as_millis()).unwrap_or(u64::MAX));
        Patience { floor_every_ms: every_ms, floor_entries_min: self.entries_min, ..Patience::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_entries_are_read_and_nothing_else() {
        let said = |every, entries_min| Ok(Forgetting { every, entries_min });
        assert_eq!("60,5".parse(), said(Some(Duration::from_secs(60)), 5));
        assert_eq!("60".parse(), said(Some(Duration::from_secs(60)), ENTRIES_MIN));
        assert_eq!("0".parse(), said(None, ENTRIES_MIN));
        for text in ["", ",", "1,", "-1", "1,2,3", "an hour"] {
            assert!(text.parse::<Forgetting>().is_err(), "{text}");
        }
    }
}
