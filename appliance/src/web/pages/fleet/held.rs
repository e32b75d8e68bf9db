//! What was changed in two ways, as the fleet's page shows it, and what its buttons ask for.

use serde::{Deserialize, Serialize};

use crate::web::api::conflicts::{Chosen, ConflictVersion, ConflictView};
use crate::web::pages::parts::field::Sent;
use crate::web::pages::parts::row::within;
use crate::web::pages::parts::words::Clock;

/// Characters of a value that was changed in two ways.
const VALUE_CHARS_MAX: usize = 200;

/// One thing that was changed in two ways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictLine {
    /// What it is, and what it is called.
    pub what: String,
    #[allow(missing_docs)]
    pub name: String,
    /// Where it is changed; none if that is on its own node.
    pub url: Option<String>,
    /// Which, for the form that chooses.
    pub kind: String,
    #[allow(missing_docs)]
    pub id: String,
    #[allow(missing_docs)]
    pub part: String,
    /// All versions that are shown, by name.
    pub seen: String,
    /// What was said; what counts comes first.
    pub versions: Vec<VersionLine>,
}

/// What one of them said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionLine {
    /// Its name.
    pub version: String,
    /// It counts until someone chooses.
    pub counts: bool,
    /// It can be chosen by who looks at this.
    pub can_keep: bool,
    /// What it says.
    pub text: String,
    /// Who said so, where and when.
    pub by_text: String,
}

impl ConflictLine {
    /// Of one, for who may choose or not.
    pub fn of(conflict: &ConflictView, may_choose: bool, clock: &Clock) -> Self {
        let part = |text: &str| text.replace('_', " ");
        let line = |(index, version): (usize, &ConflictVersion)| VersionLine {
            version: version.version.clone(),
            counts: index == 0,
            can_keep: may_choose && version.value.is_some(),
            text: version.value.as_ref().map_or_else(|| version.act.to_owned(), plain),
            by_text: format!("{} on {}, {}", version.by, version.node_name, within(&clock.day_and_time(version.at))),
        };
        let url = match conflict.kind.as_str() {
            "user" => Some("/people".to_owned()),
            "annotation" => Some(format!("/recordings/{}", conflict.id)),
            _ => None,
        };
        let kind = match conflict.kind.as_str() {
            "user" => "Person",
            "room" => "Room",
            "channels" => "Channels",
            "annotation" => "Recording",
            "handling" => "Incident",
            "setting" => "Setting",
            "member" => "Node",
            _ => "Fleet",
        };
        Self {
            what: format!("{kind}, {}", part(&conflict.part)),
            name: conflict.name.clone(),
            url,
            kind: conflict.kind.clone(),
            id: conflict.id.clone(),
            part: conflict.part.clone(),
            seen: conflict.versions.iter().map(|version| version.version.as_str()).collect::<Vec<_>>().join(" "),
            versions: conflict.versions.iter().enumerate().map(line).collect(),
        }
    }
}

/// A value for people: `name: Hall A, time zone: UTC`; the beginning of a long one.
fn plain(value: &serde_json::Value) -> String {
    use serde_json::Value;
    let text = match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{}: {}", name.replace('_', " "), plain(value)));
            fields.collect::<Vec<_>>().join(", ")
        }
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What the button beside a version asks for.
pub fn chosen(sent: &Sent) -> Chosen {
    let text = |field: &str| sent.text(field).to_owned();
    Chosen {
        kind: text("kind"),
        id: text("id"),
        part: text("part"),
        version: text("version"),
        seen: sent.text("seen").split_whitespace().map(str::to_owned).collect(),
    }
}
