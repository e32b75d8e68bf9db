//! Channels as pages name them: what people said of them before what the sound server calls them.

use serde::{Deserialize, Serialize};

use super::field::{Choice, choices};
use crate::domain::watch::{Expects, Role};
use crate::store::rooms::ChannelLabel;
use crate::web::App;

/// A channel of the recorder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Number, from 1.
    pub number: u16,
    /// Name for people.
    pub label: String,
    /// The port it comes from; empty while the recorder does not answer.
    pub source: String,
    /// What it carries.
    pub role: Role,
    /// What must be heard on it.
    pub expects: Expects,
}

/// A channel to choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pick {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub label: String,
    /// It is chosen.
    pub is_chosen: bool,
}

/// A channel to name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Naming {
    /// Its number.
    pub number: u16,
    /// Where it comes from.
    pub source: String,
    /// What it is called.
    pub label: String,
    /// What it should carry.
    pub expects: Vec<Choice>,
    /// What is wrong with the name.
    pub error: Option<String>,
}

/// All channels by number: those the recorder has, and those that were named while it does not answer.
pub fn known(app: &App) -> Vec<Named> {
    let said = app.store.channels().unwrap_or_default();
    let about = |number: u16| said.iter().find(|label| label.number == number);
    match app.live.status() {
        Some(status) => {
            let named = |c: &crate::capture::status::ChannelStatus| {
                let channel = &c.channel;
                named(channel.number, &channel.port, &channel.label, about(channel.number))
            };
            status.channels.iter().map(named).collect()
        }
        None => said.iter().map(|label| named(label.number, "", "", Some(label))).collect(),
    }
}

fn named(number: u16, source: &str, called: &str, said: Option<&ChannelLabel>) -> Named {
    let label = said.map(|said| said.label.clone()).filter(|label| !label.is_empty());
    let called = Some(called.to_owned()).filter(|called| !called.is_empty());
    Named {
        number,
        label: label.or(called).unwrap_or_else(|| format!("Channel {number}")),
        source: source.to_owned(),
        role: said.map_or(Role::Mic, |said| said.role),
        expects: said.map_or(Expects::Signal, |said| said.expects),
    }
}

/// The word for what is expected, as forms send it.
pub fn expects_word(expects: Expects) -> &'static str {
    match expects {
        Expects::Nothing => "nothing",
        Expects::Signal => "signal",
        Expects::Speech => "speech",
    }
}

/// Reads [`expects_word`].
pub fn expects_of(word: &str) -> Option<Expects> {
    [Expects::Nothing, Expects::Signal, Expects::Speech].into_iter().find(|expects| expects_word(*expects) == word)
}

/// Channels to choose from; `is_chosen` says which are.
pub fn picks(channels: &[Named], is_chosen: impl Fn(u16) -> bool) -> Vec<Pick> {
    let pick = |c: &Named| Pick { number: c.number, label: c.label.clone(), is_chosen: is_chosen(c.number) };
    channels.iter().map(pick).collect()
}

/// Channels to name.
pub fn namings(channels: &[Named]) -> Vec<Naming> {
    let naming = |c: &Named| Naming {
        number: c.number,
        source: c.source.clone(),
        label: c.label.clone(),
        expects: choices(
            &[("speech", "Speech"), ("signal", "Any signal"), ("nothing", "Nothing: may be silent")],
            expects_word(c.expects),
        ),
        error: None,
    };
    channels.iter().map(naming).collect()
}
