//! Which source belongs to which channel: by name, remembered, so that a port that comes back finds its place.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::domain::MAX_CHANNELS;
use crate::domain::take::TakeChannel;
use crate::sys::files;

/// How channels get their sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Somebody else connects.
    Nothing,
    /// Channel k is this port.
    Ports(Vec<String>),
    /// Every physical source of the server; if it has none, every source.
    All,
}

/// A source port as the server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Full name, `client:port`.
    pub name: String,
    /// Other names of the same port; they survive a driver that numbers differently.
    pub aliases: Vec<String>,
    /// A terminal of the machine and not another program.
    pub is_physical: bool,
}

/// A channel's port, as it is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Port name; empty is "none yet".
    pub port: String,
    /// Its aliases when it was last seen.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Name for people; empty is "the port's".
    #[serde(default)]
    pub label: String,
}

/// The channels in order. Stored as `ports.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortMap {
    /// Index is channel number - 1.
    pub channels: Vec<Place>,
}

impl PortMap {
    /// Reads what was remembered; a file that is missing or cannot be read remembers nothing.
    pub fn load(path: &Path) -> Self {
        let Ok(bytes) = std::fs::read(path) else { return Self::default() };
        let map: Self = serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!("{}: {error}: channels are assigned anew", path.display());
            Self::default()
        });
        Self { channels: map.channels.into_iter().take(usize::from(MAX_CHANNELS)).collect() }
    }

    /// Remembers.
    pub fn store(&self, path: &Path) {
        let written = serde_json::to_vec_pretty(self).map_err(std::io::Error::other);
        if let Err(error) = written.and_then(|bytes| files::replace(path, &bytes)) {
            tracing::warn!("{}: {error}: after a restart channels may be numbered differently", path.display());
        }
    }

    /// Makes the map what `wanted` says for the sources there are. Channels keep their ports; new sources get the free
    /// channels, then new ones up to `channels` (or up to the most there can be). True if anything changed.
    pub fn assign(&mut self, wanted: &Wanted, channels: Option<u16>, sources: &[Source]) -> bool {
        let before = self.clone();
        match wanted {
            Wanted::Nothing => {}
            Wanted::Ports(ports) => {
                self.channels.resize(ports.len().max(usize::from(channels.unwrap_or(0))), Place::default());
                for (place, port) in self.channels.iter_mut().zip(ports) {
                    if place.port != *port {
                        *place = Place { port: port.clone(), ..Place::default() };
                    }
                }
                self.channels[ports.len()..].fill(Place::default());
            }
            Wanted::All => self.assign_all(channels, sources),
        }
        if let Some(channels) = channels {
            self.channels.resize(usize::from(channels), Place::default());
        }
        for place in &mut self.channels {
            if let Some(source) = sources.iter().find(|source| source.name == place.port) {
                place.aliases.clone_from(&source.aliases);
            }
        }
        *self != before
    }

    fn assign_all(&mut self, channels: Option<u16>, sources: &[Source]) {
        let most = usize::from(channels.unwrap_or(MAX_CHANNELS));
        let has_physical = sources.iter().any(|source| source.is_physical);
        for source in sources.iter().filter(|source| source.is_physical || !has_physical) {
            if self.channels.iter().any(|place| place.is(source)) {
                continue;
            }
            let new = Place { port: source.name.clone(), ..Place::default() };
            match self.channels.iter().position(|place| place.port.is_empty()) {
                Some(free) => self.channels[free] = new,
                None if self.channels.len() < most => self.channels.push(new),
                None => {}
            }
        }
    }

    /// What each channel is called, for takes and meters.
    pub fn describe(&self) -> Vec<TakeChannel> {
        let numbered = (1u16..).zip(&self.channels);
        numbered
            .map(|(number, place)| TakeChannel {
                number,
                port: place.port.clone(),
                label: match (place.label.as_str(), place.port.as_str()) {
                    ("", "") => format!("Channel {number}"),
                    ("", port) => port.to_owned(),
                    (label, _) => label.to_owned(),
                },
            })
            .collect()
    }
}

impl Place {
    /// Whether a source is this channel's: by name, or by an alias both have.
    pub fn is(&self, source: &Source) -> bool {
        !self.port.is_empty()
            && (self.port == source.name
                || source.aliases.contains(&self.port)
                || self.aliases.iter().any(|alias| source.aliases.contains(alias)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, alias: &str, is_physical: bool) -> Source {
        let aliases = if alias.is_empty() { Vec::new() } else { vec![alias.to_owned()] };
        Source { name: name.into(), aliases, is_physical }
    }

    fn ports(map: &PortMap) -> Vec<&str> {
        map.channels.iter().map(|place| place.port.as_str()).collect()
    }

    #[test]
    fn a_port_that_returns_keeps_its_channel() {
        let mut map = PortMap::default();
        let all = [source("system:capture_1", "", true), source("system:capture_2", "", true)];
        map.assign(&Wanted::All, None, &all);
        map.assign(&Wanted::All, None, &all[1..]);
        map.assign(&Wanted::All, None, &[all[1].clone(), source("usb:mic", "", true), all[0].clone()]);
        assert_eq!(ports(&map), ["system:capture_1", "system:capture_2", "usb:mic"]);
    }

    #[test]
    fn a_renumbered_port_is_known_by_its_alias() {
        let mut map = PortMap::default();
        map.assign(&Wanted::All, None, &[source("system:capture_1", "alsa:usb-0:1", true)]);
        let renumbered = source("system:capture_9", "alsa:usb-0:1", true);
        assert!(!map.assign(&Wanted::All, None, std::slice::from_ref(&renumbered)));
        assert!(map.channels[0].is(&renumbered));
    }

    #[test]
    fn programs_count_only_where_there_is_no_terminal() {
        let program = source("player:out_1", "", false);
        let mut map = PortMap::default();
        map.assign(&Wanted::All, None, &[program.clone(), source("system:capture_1", "", true)]);
        assert_eq!(ports(&map), ["system:capture_1"]);
        let mut map = PortMap::default();
        map.assign(&Wanted::All, None, &[program]);
        assert_eq!(ports(&map), ["player:out_1"]);
    }

    #[test]
    fn named_ports_stand_in_the_order_given() {
        let mut map = PortMap::default();
        map.assign(&Wanted::Ports(vec!["b:2".into(), "a:1".into()]), Some(3), &[]);
        assert_eq!(ports(&map), ["b:2", "a:1", ""]);
        assert_eq!(map.describe()[2].label, "Channel 3");
    }

    #[test]
    fn what_is_remembered_is_read_and_nonsense_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ports.json");
        let mut map = PortMap::default();
        map.assign(&Wanted::Ports(vec!["b:2".into()]), None, &[]);
        map.store(&path);
        assert_eq!(PortMap::load(&path), map);
        std::fs::write(&path, "{").unwrap();
        assert_eq!(PortMap::load(&path), PortMap::default());
    }
}
