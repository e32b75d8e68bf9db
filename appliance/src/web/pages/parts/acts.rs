//! Acts of the journal in words: who did what to which thing, and what became of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::words;
use crate::store::audit::{Actor, Entry, Outcome};

/// An outcome as key, tone and word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Came {
    /// succeeded, failed, partial or denied.
    pub key: String,
    /// good, warning or bad.
    pub tone: String,
    /// The word.
    pub word: String,
}

/// A field that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its name.
    pub field: String,
    /// What was.
    pub before: String,
    /// What is.
    pub after: String,
}

/// Name, what one does, what one did.
const VERBS: [(&str, &str, &str); 37] = [
    ("recording.start", "start", "started"),
    ("recording.stop", "stop", "stopped"),
    ("recording.extend", "extend", "extended"),
    ("recording.pause", "pause", "paused"),
    ("recording.resume", "resume", "resumed"),
    ("recording.mark", "mark", "marked"),
    ("recording.edit", "change", "changed"),
    ("recording.delete", "delete", "deleted"),
    ("recording.restore", "restore", "restored"),
    ("recording.purge", "remove for good", "removed for good"),
    ("recording.render", "make again the formats of", "made again the formats of"),
    ("recording.play", "play", "played"),
    ("recording.download", "download", "downloaded"),
    ("room.listen", "listen to", "listened to"),
    ("incident.acknowledge", "acknowledge", "acknowledged"),
    ("incident.suppress", "keep quiet", "kept quiet"),
    ("incident.resolve", "close", "closed"),
    ("audit.export", "export", "exported"),
    ("people.change", "change the account of", "changed the account of"),
    ("rules.change", "change the rules of access", "changed the rules of access"),
    ("settings.change", "change the setting", "changed the setting"),
    ("node.change", "change", "changed"),
    ("fleet.edit", "change in the fleet", "changed in the fleet"),
    ("fleet.invite", "invite a node into", "invited a node into"),
    ("fleet.join", "let into the fleet", "let into the fleet"),
    ("fleet.retire", "retire", "retired"),
    ("fleet.replace", "put another box in the place of", "put another box in the place of"),
    ("secret.set", "set the secret", "set the secret"),
    ("secret.delete", "delete the secret", "deleted the secret"),
    ("fleet.key", "keep the fleet's", "kept the fleet's"),
    ("node.backup", "back up", "backed up"),
    ("self.password", "change the password of", "changed the password of"),
    ("self.tokens", "change the token", "changed the token"),
    ("self.session", "end a session", "ended a session"),
    ("node.claim", "claim", "claimed"),
    ("auth.login", "log in as", "logged in as"),
    ("auth.logout", "log out", "logged out"),
];

/// Acts as choices of a filter: name and words.
pub fn choices() -> impl Iterator<Item = (String, String)> {
    VERBS.iter().map(|(name, verb, _)| ((*name).to_owned(), words::capital(verb)))
}

/// `started`, `tried to start`.
pub fn told(action: &str, outcome: Outcome) -> String {
    let known = VERBS.iter().find(|(name, _, _)| *name == action);
    match (known, outcome) {
        (Some((_, _, did)), Outcome::Succeeded) => (*did).to_owned(),
        (Some((_, _, did)), Outcome::Partial) => format!("{did} in part"),
        (Some((_, verb, _)), Outcome::Failed | Outcome::Denied) => format!("tried to {verb}"),
        (None, Outcome::Succeeded | Outcome::Partial) => format!("did {action}:"),
        (None, Outcome::Failed | Outcome::Denied) => format!("tried {action}:"),
    }
}

/// What became of it.
pub fn came(outcome: Outcome) -> Came {
    let (key, tone, word) = match outcome {
        Outcome::Succeeded => ("succeeded", "good", "Done"),
        Outcome::Failed => ("failed", "warning", "Failed"),
        Outcome::Partial => ("partial", "warning", "In part"),
        Outcome::Denied => ("denied", "bad", "Denied"),
    };
    Came { key: key.to_owned(), tone: tone.to_owned(), word: word.to_owned() }
}

/// Who, as people say it.
pub fn who(actor: &Actor) -> String {
    match (actor.kind.as_str(), actor.name.as_str()) {
        ("anonymous", _) | (_, "") => "Somebody unknown".to_owned(),
        ("service", name) => format!("the recorder ({name})"),
        (_, name) => name.to_owned(),
    }
}

/// The page of what it was done to.
pub fn target_url(entry: &Entry) -> Option<String> {
    let id: Option<uuid::Uuid> = entry.target.id.parse().ok();
    match (entry.target.kind.as_str(), id) {
        ("recording", Some(id)) => Some(format!("/recordings/{id}")),
        ("incident", Some(id)) => Some(format!("/health#incident-{id}")),
        _ => None,
    }
}

/// The most fields of one entry that are shown; an export has all.
const CHANGES_MAX: usize = 20;
/// The longest value shown, characters.
const VALUE_CHARS_MAX: usize = 200;

/// Fields that differ between before and after. A field that `after` does not name stayed as it was.
pub fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let Value::Object(after) = after else { return Vec::new() };
    let was = |field: &str| before.get(field).unwrap_or(&Value::Null);
    let differs = |(field, value): &(&String, &Value)| !value.is_null() && was(field) != *value && *field != "version";
    let change = |(field, value): (&String, &Value)| Change {
        field: field.replace('_', " "),
        before: text(was(field)),
        after: text(value),
    };
    after.iter().filter(differs).map(change).take(CHANGES_MAX).collect()
}

fn text(value: &Value) -> String {
    let whole = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            items.iter().map(text).collect::<Vec<_>>().join(", ")
        }
        Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    match whole.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::access::acts::ALL;

    #[test]
    fn every_act_has_its_words() {
        for (name, _) in ALL {
            assert!(VERBS.iter().any(|(known, _, _)| known == name), "{name} has no words");
        }
    }

    #[test]
    fn only_what_changed_is_listed() {
        let before = json!({"title": "Hearing 24/98", "tags": [], "notes": "a", "folder": "x"});
        let after = json!({"title": "Hearing 24/098", "tags": ["hearing", "appeal"], "notes": null, "folder": "x"});
        let told: Vec<_> = changes(&before, &after).into_iter().map(|c| (c.field, c.before, c.after)).collect();
        let row = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(told, [row("tags", "", "hearing, appeal"), row("title", "Hearing 24/98", "Hearing 24/098")]);
    }
}
