//! What the page of the fleet shows, made of what the API says of it. The present is an argument.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::held::ConflictLine;
use super::secrets::{SecretForm, Secrets};
use crate::access::qr;
use crate::fleet::nearby::{NearbyNode, NearbyView};
use crate::fleet::state::{FleetView, NodeView};
use crate::web::Problem;
use crate::web::api::fleet::{self, Invite as Wanted};
use crate::web::pages::parts::chrome::Chrome;
use crate::web::pages::parts::field::{Choice, Field, Sent, choices};
use crate::web::pages::parts::honesty::Honesty;
use crate::web::pages::parts::row::within;
use crate::web::pages::parts::words::{self, Clock};

/// Stories shown, the newest.
const STORIES_MAX: usize = 50;
/// A clock that is further off is worth saying, milliseconds.
const CLOCK_OFF_MS: i64 = 500;
/// What a third node can do about two that retired each other.
const DISPUTED: &str = "This node and another one retired each other, neither knowing of it, so both are out. Retiring this \
                        one again says that it is the one that goes: the other one counts again, with all it did since.";
/// Recorders of the network that are shown.
const AROUND_MAX: usize = 50;
/// How long an invitation may hold, as choices.
const HOLDS: [(&str, &str); 4] = [("3600", "An hour"), ("28800", "8 hours"), ("86400", "A day"), ("604800", "7 days")];
/// Where a recorder keeps everything, as it is installed.
const DATA_DIR: &str = "/var/lib/rakkr";

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub chrome: Chrome,
    /// The fleet's name.
    pub name: String,
    /// How it stands.
    pub honesty: Honesty,
    /// A node that somebody is about to retire.
    pub retiring: Option<Retiring>,
    /// A node whose place somebody is about to give to another box.
    pub replacing: Option<Replacing>,
    /// An invitation that was just made.
    pub invitation: Option<Invitation>,
    /// All nodes.
    pub nodes: Vec<NodeLine>,
    /// What was changed in two ways.
    pub conflicts: Vec<ConflictLine>,
    /// Recorders on the network that are none of these nodes, or where the roster does not know them.
    pub nearby: Around,
    /// What is sealed with the fleet's key.
    pub secrets: Secrets,
    /// To set one.
    pub secret_form: SecretForm,
    /// What happened, newest first.
    pub stories: Vec<StoryLine>,
    /// To invite.
    pub invite: Invite,
    /// To take the role; none where this node has it, or is alone.
    pub role: Option<Role>,
}

/// A node that is about to be retired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retiring {
    #[allow(missing_docs)]
    pub id: String,
    #[allow(missing_docs)]
    pub name: String,
    /// What it does now, as far as that is a reason to wait.
    pub state_text: Option<String>,
    /// Why it cannot be.
    pub denied: Option<String>,
    /// Its name, typed.
    pub confirm: Field,
}

/// A node whose place is about to be given to another box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacing {
    #[allow(missing_docs)]
    pub id: String,
    #[allow(missing_docs)]
    pub name: String,
    /// When it was last heard.
    pub heard_text: String,
    /// Why it cannot be.
    pub denied: Option<String>,
    /// How long the invitation may hold.
    pub holds: Vec<Choice>,
}

/// Shown once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// To be carried to the new node.
    pub token: String,
    /// Four words that both ends show.
    pub words: String,
    /// The token as a picture: a `data:` address, for an image.
    pub qr_url: String,
    /// What to say on the new node's console.
    pub command: String,
    /// For whom and how long.
    pub holds_text: String,
    /// Whose place it is for.
    pub replaces: Option<String>,
    /// The page of the box that was seen on the network, with the invitation in the part that no server sees.
    pub join_url: Option<String>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLine {
    #[allow(missing_docs)]
    pub id: String,
    #[allow(missing_docs)]
    pub name: String,
    /// good, warning, bad or unknown.
    pub tone: String,
    /// The shape.
    pub picture: String,
    /// The word.
    pub word: String,
    /// It is the one that shows this page.
    pub is_here: bool,
    /// It coordinates.
    pub leads: bool,
    /// What else is known.
    pub facts: Vec<String>,
    /// Why it is not reached, or cannot be called.
    pub why: Option<String>,
    /// Its own pages.
    pub url: Option<String>,
    /// Where to retire it.
    pub retire_url: Option<String>,
    /// Where to give its place to another box.
    pub replace_url: Option<String>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoryLine {
    #[allow(missing_docs)]
    pub at_iso: String,
    #[allow(missing_docs)]
    pub at_text: String,
    #[allow(missing_docs)]
    pub text: String,
}

/// To invite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// For how long.
    pub holds: Vec<Choice>,
    /// For how many.
    pub uses: Field,
    /// Why not.
    pub denied: Option<String>,
}

/// What is seen on the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Around {
    /// Those that are worth a look.
    pub items: Vec<AroundLine>,
    /// Why there is nothing, or not all.
    pub note: Option<String>,
    /// Why nobody can be invited.
    pub denied: Option<String>,
}

/// A recorder on the network; its own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AroundLine {
    #[allow(missing_docs)]
    pub name: String,
    /// good, warning or unknown.
    pub tone: String,
    /// The shape.
    pub picture: String,
    /// What it is.
    pub word: String,
    /// What else it says.
    pub facts: Vec<String>,
    /// The four words of its page; none where they are of no use.
    pub words: Option<String>,
    /// Where it is invited at.
    pub at: Option<String>,
}

impl Around {
    /// What of it is worth a look: members at an address that the roster has are on the page already.
    pub fn of(view: &NearbyView, denied: Option<String>) -> Self {
        let is_news = |item: &&NearbyNode| item.kind != "member" || item.is_elsewhere;
        let items: Vec<AroundLine> = view.items.iter().filter(is_news).take(AROUND_MAX).map(AroundLine::of).collect();
        let note = match (&view.trouble, view.is_on) {
            (Some(why), _) => Some(format!("The network cannot be looked at: {why}.")),
            (None, false) => Some("This node does not look at the network.".to_owned()),
            (None, true) if items.is_empty() => Some("No recorder that could be invited.".to_owned()),
            (None, true) if view.more > 0 => Some("There are more than are kept.".to_owned()),
            (None, true) => None,
        };
        Self { items, note, denied }
    }
}

impl AroundLine {
    fn of(item: &NearbyNode) -> Self {
        let (tone, picture, word, more) = match item.kind {
            "unclaimed" => ("good", "key", "Nobody's", None),
            "member" => {
                ("warning", "refresh", "Elsewhere", Some("the roster lacks this address; it is tried there too"))
            }
            "stranger" => {
                ("warning", "alert", "Unknown", Some("says it is of this fleet, and no node of it has its key"))
            }
            _ => ("unknown", "lock", "Another fleet's", None),
        };
        let version = Some(format!("Rakkr {}", item.version)).filter(|_| !item.version.is_empty());
        let is_free = item.kind == "unclaimed";
        Self {
            name: item.name.clone(),
            tone: tone.to_owned(),
            picture: picture.to_owned(),
            word: word.to_owned(),
            facts: item.addresses.first().cloned().into_iter().chain(version).chain(more.map(str::to_owned)).collect(),
            words: Some(item.words.replace('-', " ")).filter(|words| is_free && !words.is_empty()),
            at: item.addresses.first().cloned().filter(|_| is_free),
        }
    }
}

/// To take the role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Who has it.
    pub text: String,
    /// Why not.
    pub denied: Option<String>,
}

impl Retiring {
    /// Of a node; none of one that is retired, and nobody disputes it.
    pub fn of(
        node: &NodeView,
        fleet: &FleetView,
        confirm: Field,
        denied: Option<String>,
        clock: &Clock,
    ) -> Option<Self> {
        let here = "This is the node you are looking at. To take it out, retire it on another node's Fleet page.";
        let denied = denied.or_else(|| node.is_here.then(|| here.to_owned())).or(Honesty::of(fleet, clock).waits);
        let state_text = match node.state {
            "retired" if node.is_disputed => Some(DISPUTED.to_owned()),
            "retired" => return None,
            "current" | "behind" if node.activity == "recording" => {
                Some("It is recording now. That goes on, and stays on its disk alone.".to_owned())
            }
            "current" | "behind" => None,
            _ => Some("It is not reached now: what it recorded since then is not known here yet.".to_owned()),
        };
        Some(Self { id: node.id.clone(), name: node.name.clone(), state_text, denied, confirm })
    }
}

impl Replacing {
    /// Of a node; none of one that is retired.
    pub fn of(node: &NodeView, fleet: &FleetView, denied: Option<String>, clock: &Clock) -> Option<Self> {
        let runs = format!("{} is reached: it runs. Only the place of a node that is lost can be taken.", node.name);
        let denied = denied.or_else(|| (node.is_here || node.is_reached()).then_some(runs));
        let denied = denied.or_else(|| Honesty::of(fleet, clock).waits);
        let holds = choices(&HOLDS, HOLDS[0].0);
        let heard_text = heard(node.last_seen, clock);
        let (id, name) = (node.id.clone(), node.name.clone());
        (node.state != "retired").then_some(Self { id, name, heard_text, denied, holds })
    }
}

/// `last heard today, 09:02`.
pub fn heard(at: Option<Timestamp>, clock: &Clock) -> String {
    match at {
        Some(at) => format!("last heard {}", within(&clock.day_and_time(at))),
        None => "not heard since this node started".to_owned(),
    }
}

impl Invitation {
    /// Of one that was made.
    pub fn of(made: &fleet::Invitation, sent: &Sent, around: &NearbyView, clock: &Clock) -> Self {
        let holds = HOLDS.iter().find(|(seconds, _)| *seconds == sent.text("expires_seconds"));
        let holds = holds.map_or("an hour".to_owned(), |(_, label)| label.to_lowercase());
        let nodes = sent.text("uses").trim().parse().unwrap_or(1);
        let place = |place: &fleet::Place| format!("{}, {}", place.name, heard(place.last_seen, clock));
        let picture = qr::svg(&made.token).unwrap_or_default();
        Self {
            token: made.token.clone(),
            words: made.phrase.replace('-', " "),
            qr_url: format!("data:image/svg+xml;base64,{}", STANDARD.encode(picture)),
            command: format!("rakkr join --data-dir {DATA_DIR} {}", made.token),
            holds_text: format!("for {holds}, {}", words::count(nodes, "node", "nodes in all")),
            replaces: made.replaces.as_ref().map(place),
            // Only to a box that was heard: what is sent along is anybody's word.
            join_url: around
                .items
                .iter()
                .filter(|item| item.kind == "unclaimed")
                .flat_map(|item| &item.addresses)
                .find(|address| *address == sent.text("at"))
                .map(|address| format!("https://{address}/join#{}", made.token)),
        }
    }
}

/// What the form asks for.
///
/// # Errors
/// A value is no number.
pub fn wanted(sent: &Sent) -> Result<Wanted, Problem> {
    let number = |field: &'static str| match sent.text(field).trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| Problem::unprocessable(field, "A whole number.")),
    };
    let replaces = Some(sent.text("replaces").trim().to_owned()).filter(|node| !node.is_empty());
    Ok(Wanted { expires_seconds: number("expires_seconds")?, uses: number("uses")?, replaces })
}

impl Invite {
    /// The form, with what was sent.
    pub fn of(sent: Option<&Sent>, problem: Option<&Problem>, denied: Option<String>) -> Self {
        let sent = sent.filter(|sent| sent.has("uses"));
        let chosen = sent.map_or("3600", |sent| sent.text("expires_seconds"));
        let uses = sent.map_or_else(|| Field::of("1"), |sent| sent.field("uses", problem));
        Self { holds: choices(&HOLDS, chosen), uses, denied }
    }
}

impl NodeLine {
    /// Of a node in a room.
    pub fn of(node: &NodeView, room: Option<&String>, leads: Option<&str>, can_retire: bool, clock: &Clock) -> Self {
        let (tone, picture, word) = state(node);
        let url = node.addresses.first().map(|at| format!("https://{at}/"));
        let is_reached = node.is_reached();
        Self {
            id: node.id.clone(),
            name: node.name.clone(),
            tone: tone.to_owned(),
            picture: picture.to_owned(),
            word,
            is_here: node.is_here,
            leads: leads == Some(&node.id),
            facts: facts(node, room, is_reached, clock),
            why: not_called(node).or_else(|| node.why.as_ref().map(|why| words::capital(why))),
            url: if node.is_here { Some("/".to_owned()) } else { url.filter(|_| node.state != "retired") },
            retire_url: (can_retire && !node.is_here && (node.state != "retired" || node.is_disputed))
                .then(|| format!("/fleet?retire={}", node.id)),
            replace_url: (can_retire && !node.is_here && ["lost", "lapsed"].contains(&node.state))
                .then(|| format!("/fleet?replace={}", node.id)),
        }
    }
}

/// A node's state as tone, shape and word.
fn state(node: &NodeView) -> (&'static str, &'static str, String) {
    match node.state {
        "current" => ("good", "check-good", "Current".to_owned()),
        "behind" if node.lag_entries == 0 => ("unknown", "refresh", "Comparing".to_owned()),
        "behind" => ("warning", "refresh", format!("Behind, {}", words::count(node.lag_entries, "entry", "entries"))),
        "lost" => ("bad", "gap", "Not reached".to_owned()),
        "lapsed" => ("unknown", "clock", "Not heard for a month".to_owned()),
        _ if node.is_disputed => ("warning", "alert", "Retired, and disputed".to_owned()),
        _ => ("unknown", "lock", "Retired".to_owned()),
    }
}

/// Why a node that is reached cannot be called: its room is not started, heard or played from here.
fn not_called(node: &NodeView) -> Option<String> {
    let why = node.not_called.as_ref().filter(|_| node.is_reached())?;
    Some(format!("Its records arrive, but it cannot be called from here now: {why}"))
}

fn facts(node: &NodeView, room: Option<&String>, is_reached: bool, clock: &Clock) -> Vec<String> {
    let heard = (!node.is_here && !is_reached).then(|| heard(node.last_seen, clock));
    let (free, all) = node.disk_bytes;
    let disk = (all > 0).then(|| format!("{} free of {}", words::bytes(free), words::bytes(all)));
    let off = node.clock_offset_ms.filter(|ms| ms.abs() >= CLOCK_OFF_MS);
    let off = off.map(|ms| format!("its clock is {} off", words::length(ms.unsigned_abs() as f64 / 1_000.0)));
    let version = Some(node.version.clone()).filter(|version| !version.is_empty());
    let joined = node.joined_at.zip(node.joined_by.clone());
    let joined = joined.map(|(at, by)| format!("let in by {by}, {}", within(&clock.day_and_time(at))));
    let void = (node.void_changes > 0).then(|| {
        let changes = words::count(node.void_changes, "change", "changes");
        format!("{changes} that it made afterwards: without effect")
    });
    let keeper = (node.state != "retired" && !node.is_keeper).then(|| "keeps only its own records".to_owned());
    let called = match node.called {
        "link" if is_reached => Some("called through the link".to_owned()),
        "direct" if is_reached => Some("called directly".to_owned()),
        _ => None,
    };
    [room.cloned(), heard, called, off, disk, version.map(|version| format!("Rakkr {version}")), keeper, void, joined]
        .into_iter()
        .flatten()
        .collect()
}

impl StoryLine {
    /// The newest.
    pub fn all(fleet: &FleetView, clock: &Clock) -> Vec<Self> {
        let line = |story: &crate::fleet::Story| Self {
            at_iso: clock.iso(story.at),
            at_text: clock.day_and_second(story.at),
            text: story.text.clone(),
        };
        fleet.stories.iter().take(STORIES_MAX).map(line).collect()
    }
}

impl Role {
    /// Who has it, where this node might take it.
    pub fn of(fleet: &FleetView, denied: Option<String>) -> Option<Self> {
        let text = match &fleet.coordinator {
            _ if fleet.of <= 1 => return None,
            Some(coordinator) if coordinator.is_here && coordinator.mode != "minority" => return None,
            Some(coordinator) if coordinator.is_here => "This node coordinates a minority.".to_owned(),
            Some(coordinator) => format!("{} has the role.", coordinator.name),
            None => "No node has the role.".to_owned(),
        };
        Some(Self { text, denied })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::parts::honesty::tests::{clock, fleet, node};

    #[test]
    fn a_lost_node_says_since_when_and_why() {
        let line = NodeLine::of(&node("a", "lost"), Some(&"Hall".to_owned()), None, true, &clock());
        assert_eq!((line.word.as_str(), line.why.as_deref()), ("Not reached", Some("Connection refused")));
        assert_eq!(line.facts, ["Hall", "last heard today, 09:02", "Rakkr 0.5.0"]);
        assert_eq!(line.url.as_deref(), Some("https://a.local:8443/"));
    }

    #[test]
    fn of_two_that_retired_each_other_one_can_be_retired_again() {
        let fleet = fleet(Some("majority"), &["current", "retired"]);
        let retired = &fleet.nodes[1];
        let disputed = NodeView { is_disputed: true, ..retired.clone() };
        let line = |node: &NodeView| NodeLine::of(node, None, None, true, &clock());
        assert_eq!((line(retired).retire_url, line(retired).word.as_str()), (None, "Retired"));
        assert_eq!(line(&disputed).retire_url, Some(format!("/fleet?retire={}", disputed.id)));
        let asked = |node: &NodeView| Retiring::of(node, &fleet, Field::default(), None, &clock());
        assert_eq!(asked(retired), None);
        assert_eq!(asked(&disputed).unwrap().state_text.as_deref(), Some(DISPUTED));
    }

    #[test]
    fn a_node_that_is_reached_says_how_it_is_called() {
        let line = |called, why: Option<&str>| {
            let not_called = why.map(ToOwned::to_owned);
            let node = NodeView { called, not_called, ..node("a", "current") };
            NodeLine::of(&node, None, None, true, &clock())
        };
        assert_eq!(line("link", None).facts, ["called through the link", "Rakkr 0.5.0"]);
        assert_eq!(line("direct", None).facts, ["called directly", "Rakkr 0.5.0"]);
        let not = line("not", Some("no answer in time"));
        assert_eq!(not.facts, ["Rakkr 0.5.0"]);
        assert!(not.why.unwrap().ends_with("cannot be called from here now: no answer in time"));
    }

    #[test]
    fn each_state_has_a_shape_and_a_word_of_its_own() {
        let seen = ["current", "behind", "lost", "lapsed", "retired"].map(|state| {
            let mut node = node("a", state);
            node.lag_entries = 3;
            let line = NodeLine::of(&node, None, None, true, &clock());
            (line.picture, line.word)
        });
        for (index, (picture, word)) in seen.iter().enumerate() {
            assert!(seen[..index].iter().all(|(p, w)| p != picture && w != word), "{picture} {word}");
        }
        assert_eq!(seen[1].1, "Behind, 3 entries");
    }

    #[test]
    fn a_retired_node_says_what_it_did_in_vain() {
        let mut gone = node("a", "retired");
        gone.void_changes = 3;
        let facts = NodeLine::of(&gone, None, None, true, &clock()).facts;
        assert!(facts.contains(&"3 changes that it made afterwards: without effect".to_owned()), "{facts:?}");
    }

    #[test]
    fn neither_this_node_nor_a_retired_one_can_be_retired_here() {
        let mut here = node("a", "current");
        here.is_here = true;
        assert_eq!(NodeLine::of(&here, None, None, true, &clock()).retire_url, None);
        assert_eq!(NodeLine::of(&node("b", "retired"), None, None, true, &clock()).retire_url, None);
        let whole = fleet(Some("majority"), &["current", "current"]);
        let asked = |node: &NodeView| Retiring::of(node, &whole, Field::default(), None, &clock());
        assert!(asked(&here).unwrap().denied.is_some());
        assert_eq!(asked(&node("b", "retired")), None);
        assert_eq!(asked(&node("c", "lost")).unwrap().denied, None);
    }

    fn around(kind: &'static str, is_elsewhere: bool) -> NearbyView {
        let item = NearbyNode {
            kind,
            node_id: None,
            name: "rakkr-new".into(),
            words: "amber-otter-violin-crane".into(),
            version: "0.5.0".into(),
            addresses: vec!["192.0.2.9:8443".into()],
            is_elsewhere,
            heard: clock().now,
        };
        NearbyView { is_on: true, trouble: None, items: vec![item], more: 0 }
    }

    #[test]
    fn a_box_that_nobody_claimed_is_invited_where_it_was_heard_and_nowhere_else() {
        let made =
            fleet::Invitation { token: "abc".into(), phrase: "a".into(), expires_at: String::new(), replaces: None };
        let url = |at: &str, kind| {
            let sent = Sent(vec![("at".into(), at.into())]);
            Invitation::of(&made, &sent, &around(kind, false), &clock()).join_url
        };
        assert_eq!(url("192.0.2.9:8443", "unclaimed").as_deref(), Some("https://192.0.2.9:8443/join#abc"));
        assert_eq!((url("evil.example:443", "unclaimed"), url("192.0.2.9:8443", "stranger")), (None, None));
    }

    #[test]
    fn what_is_seen_on_the_network_is_called_by_what_it_is() {
        let line = |kind, is_elsewhere| Around::of(&around(kind, is_elsewhere), None).items.first().cloned();
        let free = line("unclaimed", false).unwrap();
        assert_eq!(
            (free.at.as_deref(), free.words.as_deref()),
            (Some("192.0.2.9:8443"), Some("amber otter violin crane"))
        );
        for kind in ["stranger", "other_fleet"] {
            let line = line(kind, false).unwrap();
            assert_eq!((line.at, line.words), (None, None), "{kind}");
        }
        assert_eq!((line("member", false), line("member", true).unwrap().at), (None, None));
        let off = NearbyView { is_on: false, items: Vec::new(), ..around("member", false) };
        assert!(Around::of(&off, None).note.unwrap().contains("does not look"));
        let ill = NearbyView { trouble: Some("no multicast".into()), ..around("unclaimed", false) };
        assert!(Around::of(&ill, None).note.unwrap().contains("no multicast"));
    }

    #[test]
    fn the_place_of_a_lost_node_and_of_no_other_is_offered_to_another_box() {
        let states = ["current", "behind", "lost", "lapsed", "retired"];
        let offered = states.map(|state| NodeLine::of(&node("a", state), None, None, true, &clock()).replace_url);
        assert_eq!(offered.map(|url| url.is_some()), [false, false, true, true, false]);
        let lost = NodeLine::of(&node("a", "lost"), None, None, false, &clock());
        assert_eq!(lost.replace_url, None, "who may not retire");

        let asked = |node: &NodeView, mode| {
            Replacing::of(node, &fleet(Some(mode), &["current", "current", "lost"]), None, &clock())
        };
        let place = asked(&node("b", "lost"), "majority").unwrap();
        assert_eq!((place.heard_text.as_str(), place.denied), ("last heard today, 09:02", None));
        assert!(asked(&node("b", "lost"), "minority").unwrap().denied.unwrap().contains("wait"));
        assert!(asked(&node("b", "behind"), "majority").unwrap().denied.unwrap().contains("runs"));
        assert_eq!(asked(&node("b", "retired"), "majority"), None);
    }

    #[test]
    fn a_minority_is_told_that_retiring_waits_before_anything_is_typed() {
        let part = fleet(Some("minority"), &["current", "lost", "lost"]);
        let retiring = Retiring::of(&part.nodes[1], &part, Field::default(), None, &clock()).unwrap();
        assert!(retiring.denied.unwrap().contains("wait"));
    }

    #[test]
    fn the_role_is_offered_where_it_can_be_taken() {
        assert_eq!(Role::of(&fleet(Some("alone"), &["current"]), None), None);
        let mut whole = fleet(Some("majority"), &["current", "current"]);
        assert_eq!(Role::of(&whole, None).unwrap().text, "room-0 has the role.");
        whole.coordinator.as_mut().unwrap().is_here = true;
        assert_eq!(Role::of(&whole, None), None);
    }

    #[test]
    fn an_invitation_says_for_whom_and_how_long() {
        let made = fleet::Invitation {
            token: "abc".into(),
            phrase: "a-b-c-d".into(),
            expires_at: String::new(),
            replaces: None,
        };
        let sent = Sent(vec![("expires_seconds".into(), "86400".into()), ("uses".into(), "3".into())]);
        let nobody = NearbyView { is_on: true, trouble: None, items: Vec::new(), more: 0 };
        let shown = Invitation::of(&made, &sent, &nobody, &clock());
        assert_eq!((shown.words.as_str(), shown.holds_text.as_str()), ("a b c d", "for a day, 3 nodes in all"));
        assert_eq!(shown.command, "rakkr join --data-dir /var/lib/rakkr abc");
        assert!(shown.qr_url.starts_with("data:image/svg+xml;base64,"));
        assert_eq!(
            (wanted(&sent).unwrap().uses, wanted(&sent).unwrap().replaces, shown.replaces),
            (Some(3), None, None)
        );
        let bad = Sent(vec![("uses".into(), "-1".into())]);
        assert_eq!(wanted(&bad).unwrap_err().field.as_deref(), Some("uses"));
    }
}
