//! Identities. A take's id is the id of the order that caused it: a UUID version 7, so ids sort by time of order.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Names one recording, from its order to its folder on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TakeId(Uuid);

impl TakeId {
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
    fn a_path_is_not_an_id() {
        for text in ["", "../../etc", "0192f7c0", "{0192f7c0-0000-7000-8000-000000000000}"] {
            assert!(text.parse::<TakeId>().is_err(), "{text}");
        }
    }
}
