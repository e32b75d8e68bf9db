//! The fleet's secrets on its page: what there is and who can open it, and a form to set one. No value ever comes back.

use serde::{Deserialize, Serialize};

use crate::web::Problem;
use crate::web::api::secrets::{KeyView, SecretView, SecretsView};
use crate::web::pages::parts::field::{Field, Sent};
use crate::web::pages::parts::row::within;
use crate::web::pages::parts::words::{Clock, count};

/// All that is told of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// Of the key that they are sealed with.
    pub key_text: String,
    /// What waits, and for what.
    pub waits: Option<String>,
    #[allow(missing_docs)]
    pub items: Vec<SecretLine>,
    /// Why this person is told nothing.
    pub denied: Option<String>,
}

/// A secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretLine {
    #[allow(missing_docs)]
    pub name: String,
    /// Who set it, when and where.
    pub set_text: String,
    /// Who can open it.
    pub opens_text: String,
    /// What a person should do about it.
    pub warnings: Vec<String>,
}

/// To set one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretForm {
    #[allow(missing_docs)]
    pub name: Field,
    /// Always empty.
    pub value: Field,
}

impl Secrets {
    /// As the API says it; for who may not see them, why.
    pub fn of(view: Result<SecretsView, Problem>, denied: Option<String>, clock: &Clock) -> Result<Self, Problem> {
        if denied.is_some() {
            return Ok(Self { denied, ..Self::default() });
        }
        let view = view?;
        Ok(Self {
            key_text: view
                .key
                .as_ref()
                .map_or_else(|| "The fleet has no key yet.".to_owned(), |key| key_text(key, clock)),
            waits: view.waits.map(|waits| crate::web::pages::parts::words::capital(&waits)),
            items: view.items.iter().map(|secret| SecretLine::of(secret, clock)).collect(),
            denied: None,
        })
    }
}

fn key_text(key: &KeyView, clock: &Clock) -> String {
    let of = key.had_by.len() + key.missed_by.len();
    let made = format!("Sealed with key {}, made {}.", key.number, within(&clock.day_and_time(key.made_at)));
    match key.missed_by.as_slice() {
        [] => {
            format!("{made} {} it.", if of == 1 { "This node has".to_owned() } else { format!("All {of} nodes have") })
        }
        missed => format!("{made} {} of {of} nodes have it; {} not yet.", key.had_by.len(), missed.join(", ")),
    }
}

impl SecretLine {
    fn of(secret: &SecretView, clock: &Clock) -> Self {
        let SecretView { name, set_by, set_on, opened_by, known_to, also_set_by, .. } = secret;
        let opens_text = match (secret.opens_here, opened_by.len()) {
            (true, many) => format!("{} can open it, this one too", count(many as u64, "node", "nodes")),
            (false, 0) => "No node can open it".to_owned(),
            (false, _) => format!("Not open on this node yet; {} can open it", opened_by.join(", ")),
        };
        let mut warnings = Vec::new();
        if opened_by.is_empty() {
            warnings.push("Nobody has the key to it any more: set it again.".to_owned());
        }
        if !known_to.is_empty() {
            let who = known_to.join(", ");
            warnings.push(format!(
                "{who} could open it while in the fleet: change it where it is from, then set it again."
            ));
        }
        if !also_set_by.is_empty() {
            let who = also_set_by.join(", ");
            warnings.push(format!(
                "Also set by {who}, neither knowing of the other. This one counts; setting it again ends that."
            ));
        }
        let set_text = format!("Set {} by {set_by} on {set_on}", within(&clock.day_and_time(secret.set_at)));
        Self { name: name.clone(), set_text, opens_text, warnings }
    }
}

impl SecretForm {
    /// As it was sent, without the value.
    pub fn of(sent: Option<&Sent>, problem: Option<&Problem>) -> Self {
        let of_form = |sent: &Sent| Self { name: sent.field("name", problem), value: sent.secret("value", problem) };
        sent.filter(|sent| sent.has("value")).map(of_form).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn clock() -> Clock {
        Clock { now: Timestamp::from_second(1_790_000_000).unwrap(), zone: jiff::tz::TimeZone::UTC }
    }

    fn secret() -> SecretView {
        SecretView {
            name: "s3".into(),
            set_by: "Ana".into(),
            set_at: Timestamp::from_second(1_789_990_000).unwrap(),
            set_on: "A-Hall".into(),
            also_set_by: Vec::new(),
            opens_here: true,
            opened_by: vec!["A-Hall".into(), "B-Hall".into()],
            is_present: true,
            known_to: Vec::new(),
        }
    }

    #[test]
    fn what_a_person_should_do_is_said() {
        let line = |secret: SecretView| SecretLine::of(&secret, &clock());
        assert_eq!(
            (line(secret()).opens_text.as_str(), line(secret()).warnings.len()),
            ("2 nodes can open it, this one too", 0)
        );
        let known = line(SecretView { known_to: vec!["C-Hall".into()], ..secret() });
        assert!(known.warnings[0].starts_with("C-Hall could open it while in the fleet: change it where it is from"));
        let shut = line(SecretView { opens_here: false, opened_by: Vec::new(), ..secret() });
        assert!(shut.warnings[0].ends_with("set it again."));
        let twice = line(SecretView { also_set_by: vec!["Ben on B-Hall".into()], ..secret() });
        assert!(twice.warnings[0].contains("Also set by Ben on B-Hall"));
    }

    #[test]
    fn a_value_that_was_typed_is_never_sent_back() {
        let sent = Sent(vec![("name".into(), "S3".into()), ("value".into(), "copper".into())]);
        let problem = Problem::unprocessable("name", "no");
        let form = SecretForm::of(Some(&sent), Some(&problem));
        assert_eq!((form.name.value.as_str(), form.value.value.as_str()), ("S3", ""));
        assert_eq!(form.name.error.as_deref(), Some("no"));
    }

    #[test]
    fn who_may_not_see_them_is_told_why_and_nothing_else() {
        let told = Secrets::of(Err(Problem::not_found("x")), Some("no".into()), &clock()).unwrap();
        assert_eq!(told, Secrets { denied: Some("no".into()), ..Secrets::default() });
    }
}
