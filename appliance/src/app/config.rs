//! `rakkr.toml`: what is not said by a flag or by `RAKKR_*`. Unknown keys are errors, with their line and what was meant.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Where a value comes from, the mightiest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Built in.
    Default,
    /// `rakkr.toml`.
    File,
    /// A flag or the environment.
    Argument,
}

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// HTTPS listens here.
    pub listen: Option<SocketAddr>,
    /// HTTP listens here; loopback only.
    pub http: Option<SocketAddr>,
    /// Name of the JACK server.
    pub jack_server: Option<String>,
    /// Source ports, in order; none is all.
    pub connect: Option<Vec<String>>,
    /// `/metrics` without a token from loopback.
    pub open_metrics: Option<bool>,
    /// Minutes for which a new node may be claimed after its start.
    pub claim_window_minutes: Option<u32>,
    /// Announces itself on the network (mDNS) and looks for others.
    pub mdns: Option<bool>,
    /// On these interfaces only; none is all.
    pub mdns_interfaces: Option<Vec<String>>,
}

/// The keys of [`Config`].
const KEYS: [&str; 8] =
    ["listen", "http", "jack_server", "connect", "open_metrics", "claim_window_minutes", "mdns", "mdns_interfaces"];

/// Why the file is not read.
#[derive(Debug)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the file; one that is not there says nothing.
    ///
    /// # Errors
    /// A sentence with file and line.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::read(&text).map_err(|why| ConfigError(format!("{}:{why}", path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(ConfigError(format!("{}: {error}", path.display()))),
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = 1 + text[..at.min(text.len())].matches('\n').count();
            let said = error.message();
            let unknown = said.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
            match unknown {
                Some(key) => format!("{line}: there is no setting `{key}`{}", meant(key)),
                None => format!("{line}: {said}"),
            }
        })
    }
}

fn meant(key: &str) -> String {
    let nearest = KEYS.iter().map(|known| (strsim::damerau_levenshtein(key, known), known)).min();
    match nearest {
        Some((distance, known)) if distance <= 3 => format!(": did you mean `{known}`?"),
        _ => format!(": there are {}", KEYS.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_told_with_its_line_and_what_was_meant() {
        let told = Config::read("jack_server = \"x\"\nlisen = \"127.0.0.1:1\"\n").unwrap_err();
        assert!(told.starts_with("2:") && told.contains("`listen`"), "{told}");
    }

    #[test]
    fn a_wrong_type_is_told_with_its_line() {
        let told = Config::read("open_metrics = \"yes\"").unwrap_err();
        assert!(told.starts_with("1:"), "{told}");
    }

    #[test]
    fn every_key_is_known_to_the_suggestions() {
        let all = Config {
            listen: "127.0.0.1:1".parse().ok(),
            http: "127.0.0.1:2".parse().ok(),
            jack_server: Some("a".into()),
            connect: Some(vec!["b".into()]),
            open_metrics: Some(true),
            claim_window_minutes: Some(3),
            mdns: Some(false),
            mdns_interfaces: Some(vec!["eth0".into()]),
        };
        let text = toml::to_string(&all).unwrap();
        assert_eq!(Config::read(&text).unwrap(), all);
        let keys: Vec<&str> = text.lines().filter_map(|line| line.split(" = ").next()).collect();
        assert_eq!(keys, KEYS);
    }
}
