//! Channels of a capture: how people select them, and small sets of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most channels one capture serves: four rooms of 64, and the width of [`ChannelSet`].
pub const MAX_CHANNELS: u16 = 256;

/// Which channels a take records. Channel numbers begin at 1, as on a patch bay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Channels {
    /// Every channel that capture serves when the take opens.
    #[default]
    All,
    /// These, in this order; no channel twice.
    Numbers(Vec<u16>),
}

impl Channels {
    /// Resolves the selection for a capture of `available` channels to zero-based indices.
    ///
    /// # Errors
    /// A sentence that names the first channel that does not exist.
    pub fn resolve(&self, available: u16) -> Result<Vec<usize>, String> {
        match self {
            Self::All => Ok((0..usize::from(available)).collect()),
            Self::Numbers(numbers) => numbers
                .iter()
                .map(|&n| match n {
                    1.. if n <= available => Ok(usize::from(n) - 1),
                    _ => Err(format!("channel {n} does not exist: this capture has channels 1 to {available}")),
                })
                .collect(),
        }
    }
}

impl FromStr for Channels {
    type Err = String;

    /// Reads `all`, `1,2` and `1-4,7`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "all" {
            return Ok(Self::All);
        }
        let mut numbers = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first, text)?, number(last, text)?);
            if first > last {
                return Err(format!("channels {part:?} run backwards: write {last}-{first}"));
            }
            for n in first..=last {
                if numbers.contains(&n) {
                    return Err(format!("channel {n} is named twice in {text:?}"));
                }
                numbers.push(n);
            }
        }
        Ok(Self::Numbers(numbers))
    }
}

fn number(part: &str, whole: &str) -> Result<u16, String> {
    match part.trim().parse::<u16>() {
        Ok(n) if (1..=MAX_CHANNELS).contains(&n) => Ok(n),
        _ => Err(format!(
            "{whole:?} is not a list of channels: write `all`, or numbers from 1 to {MAX_CHANNELS} such as 1,2 or 1-4"
        )),
    }
}

impl fmt::Display for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Numbers(numbers) => f.write_str(&numbers.iter().map(u16::to_string).collect::<Vec<_>>().join(",")),
        }
    }
}

/// Stored as `"all"` or as a list of numbers; read from either, or from text such as `"1-4"`.
impl Serialize for Channels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Numbers(numbers) => numbers.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Channels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            Numbers(Vec<u16>),
        }
        let text = match Form::deserialize(deserializer)? {
            Form::Text(text) => text,
            Form::Numbers(numbers) => Self::Numbers(numbers).to_string(),
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A set of channel indices below [`MAX_CHANNELS`], copied by value on the recording path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChannelSet([u64; MAX_CHANNELS as usize / 64]);

impl ChannelSet {
    /// The set of the first `n` channels.
    pub fn first(n: usize) -> Self {
        let mut set = Self::default();
        (0..n).for_each(|index| set.insert(index));
        set
    }

    /// The set with the given words, 64 channels each, lowest first.
    pub fn from_words(words: [u64; MAX_CHANNELS as usize / 64]) -> Self {
        Self(words)
    }

    /// Adds a channel; one beyond the width is left out.
    pub fn insert(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    /// Takes a channel out.
    pub fn remove(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word &= !(1 << (index % 64));
        }
    }

    /// Whether the channel is in the set.
    pub fn contains(&self, index: usize) -> bool {
        self.0.get(index / 64).is_some_and(|word| word & (1 << (index % 64)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_ranges_and_all_are_read() {
        assert_eq!("all".parse(), Ok(Channels::All));
        assert_eq!("2,1".parse(), Ok(Channels::Numbers(vec![2, 1])));
        assert_eq!("1-3,7".parse(), Ok(Channels::Numbers(vec![1, 2, 3, 7])));
    }

    #[test]
    fn nonsense_is_refused_with_a_sentence() {
        for text in ["", "0", "1,1", "3-1", "x", "1,", "257", "1-300", "-1", "1..4"] {
            assert!(text.parse::<Channels>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_channel_that_does_not_exist_is_named() {
        let error = Channels::Numbers(vec![1, 9]).resolve(8).unwrap_err();
        assert!(error.contains("channel 9") && error.contains("1 to 8"), "{error}");
        assert_eq!(Channels::All.resolve(2), Ok(vec![0, 1]));
    }

    #[test]
    fn a_set_holds_every_channel_it_may() {
        let mut set = ChannelSet::first(3);
        set.insert(255);
        set.insert(256);
        set.remove(1);
        let members: Vec<_> = (0..300).filter(|&i| set.contains(i)).collect();
        assert_eq!(members, [0, 2, 255]);
    }

    #[test]
    fn stored_channels_are_checked_like_typed_ones() {
        assert!(serde_json::from_str::<Channels>("[1,1]").is_err());
        assert!(serde_json::from_str::<Channels>("[0]").is_err());
        assert_eq!(serde_json::from_str::<Channels>("\"all\"").unwrap(), Channels::All);
        assert_eq!(serde_json::to_string(&Channels::Numbers(vec![3, 4])).unwrap(), "[3,4]");
    }
}
