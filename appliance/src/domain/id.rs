//! Identities. A take's id is the id of the order that caused it: a UUID version 7, so ids sort by time of order.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Names one recording, from its order to its folder on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TakeId(Uuid);

impl TakeId {
    /// Makes the id that follows `last`, also when the clock was set back since: ids sort as they were made.
    pub fn after(last: Option<Self>, at: Timestamp, chance: [u8; 10]) -> Self {
        let next = last.map_or(at, |last| last.at().max(at));
        let id = Self::new(next, chance);
        match last {
            Some(last) if id <= last => {
                Self::new(next.saturating_add(SignedDuration::from_millis(1)).unwrap_or(next), chance)
            }
            _ => id,
        }
    }

    /// The instant in the id, to the millisecond.
    fn at(self) -> Timestamp {
        let millis = u64::from_be_bytes(self.0.as_bytes()[..8].try_into().unwrap_or_default()) >> 16;
        i64::try_from(millis).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Makes a version 7 id (RFC 9562) from an instant and ten random bytes.
    ///
    /// An instant before 1970 counts as 1970: the id stays unique by chance, only its order is lost.
    pub fn new(at: Timestamp, chance: [u8; 10]) -> Self {
        let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &chance).into_uuid())
    }
}

impl fmt::Display for TakeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for TakeId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Only the hyphenated form: the id is a folder name, and a folder has one name.
        match Uuid::try_parse(text) {
            Ok(id) if text.len() == 36 => Ok(Self(id)),
            _ => Err(format!("{text:?} is not a recording id (36 characters, as `rakkr take list` shows them)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_the_instant_of_their_order() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let earlier = TakeId::new(at(1_000), [0xff; 10]);
        let later = TakeId::new(at(1_001), [0; 10]);
        assert!(earlier < later);
        assert!(earlier.to_string() < later.to_string());
        assert_eq!(earlier.to_string().parse::<TakeId>().unwrap(), earlier);
    }

    #[test]
    fn ids_sort_as_they_were_made_though_the_clock_goes_back() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let first = TakeId::after(None, at(2_000_000_000), [0xff; 10]);
        let second = TakeId::after(Some(first), at(60), [0; 10]);
        let third = TakeId::after(Some(second), at(61), [0; 10]);
        assert!(first < second && second < third);
    }

    #[test]
    fn a_path_is_not_an_id() {
        for text in ["", "../../etc", "0192f7c0", "{0192f7c0-0000-7000-8000-000000000000}"] {
            assert!(text.parse::<TakeId>().is_err(), "{text}");
        }
    }
}
