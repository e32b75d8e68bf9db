//! Recordings: search, filters that live in the URL, pages by cursor, the bin.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::parts::channels;
use super::parts::chrome::{self, About, Chrome, denied};
use super::parts::field::{Choice, choices, choices_of};
use super::parts::flash::of_problem;
use super::parts::row::{BIN_DAYS, Row};
use super::parts::visit::{Guest, Visit, encoded};
use super::parts::words::{self, Clock};
use super::{Answer, Pieces, again, show_with};
use crate::domain::access::Permission;
use crate::store::recordings::Query;
use crate::web::api::nodes::Nodes;
use crate::web::api::recordings::{self, Filter};
use crate::web::caller::Caller;
use crate::web::view::{List, RecordingView};
use crate::web::{App, Problem, blocking};

/// Recordings on one page.
const PAGE: usize = 50;
/// Recordings that are looked through for folders and tags to offer.
const OFFERED_FROM: usize = 200;
/// Rows that are followed while they change.
const FOLLOWED: usize = 20;

/// The page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub chrome: Chrome,
    /// What is searched.
    pub filter: Shown,
    /// States to choose.
    pub states: Vec<Choice>,
    /// Folders to choose.
    pub folders: Vec<Choice>,
    /// Tags to choose.
    pub tags: Vec<Choice>,
    /// Filters at one press.
    pub chips: Vec<Chip>,
    /// What was found.
    pub items: Vec<Row>,
    /// What came since the page was made; nothing at first.
    pub news: News,
    /// How much that is.
    pub total_text: String,
    /// The first page.
    pub newest_url: Option<String>,
    /// The next page.
    pub older_url: Option<String>,
    /// What to say if there is nothing.
    pub nothing: Nothing,
}

/// What came since the page was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// `2 new recordings`; none is nothing.
    pub text: Option<String>,
}

impl News {
    /// Recordings made after the newest of those shown. Ids are in the order in which recordings were ordered.
    fn since(shown: &str, newest: &[RecordingView]) -> Self {
        let count = newest.iter().filter(|view| view.id.as_str() > shown).count() as u64;
        Self { text: (count > 0).then(|| words::count(count, "new recording", "new recordings")) }
    }
}

/// What is searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Words.
    pub q: String,
    /// First day.
    pub from: String,
    /// Last day.
    pub to: String,
    /// The bin.
    pub bin: bool,
    /// More than words is asked for.
    pub is_narrowed: bool,
    /// Without any of it.
    pub clear_url: Option<String>,
}

/// A filter at one press.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chip {
    /// What it says.
    pub label: String,
    /// How many there are, where that is known.
    pub count_text: Option<String>,
    /// Where it leads.
    pub url: String,
    /// It is the present one.
    pub is_current: bool,
}

/// What to say if there is nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {
    #[allow(missing_docs)]
    pub title: String,
    /// What to do.
    pub text: String,
}

/// The filter as it stands in the URL. Names that are not ours are left alone: links grow old.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Asked {
    q: String,
    node: String,
    state: String,
    from: String,
    to: String,
    folder: String,
    tag: String,
    bin: bool,
    cursor: String,
}

impl Asked {
    fn of(path: &str) -> Self {
        let mut asked = Self::default();
        let query = path.split_once('?').map_or("", |(_, query)| query);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            match &*name {
                "q" => asked.q = value,
                "node_id" => asked.node = value,
                "state" => asked.state = value,
                "from" => asked.from = value,
                "to" => asked.to = value,
                "folder" => asked.folder = value,
                "tag" => asked.tag = value,
                "bin" => asked.bin = value == "true",
                "cursor" => asked.cursor = value,
                _ => {}
            }
        }
        asked
    }

    /// The same with another cursor, as a link.
    fn url(&self, cursor: &str) -> String {
        let bin = if self.bin { "true" } else { "" };
        let pairs = [
            ("q", self.q.as_str()),
            ("node_id", &self.node),
            ("state", &self.state),
            ("from", &self.from),
            ("to", &self.to),
            ("folder", &self.folder),
            ("tag", &self.tag),
            ("bin", bin),
            ("cursor", cursor),
        ];
        let said: Vec<String> = pairs
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        if said.is_empty() { "/recordings".to_owned() } else { format!("/recordings?{}", said.join("&")) }
    }

    fn is_narrowed(&self) -> bool {
        [&self.node, &self.state, &self.from, &self.to, &self.folder, &self.tag].iter().any(|value| !value.is_empty())
    }

    fn filter(&self, clock: &Clock) -> Filter {
        let said = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Filter {
            node_id: said(&self.node),
            q: said(&self.q),
            state: said(&self.state),
            from: clock.beginning_of(&self.from, 0),
            to: clock.beginning_of(&self.to, 1),
            tag: said(&self.tag),
            folder: said(&self.folder),
            bin: Some(self.bin),
            cursor: said(&self.cursor),
            limit: Some(PAGE),
        }
    }
}

/// Shows the page.
pub async fn show(State(app): State<App>, Guest { caller, visit }: Guest) -> Answer {
    Ok(blocking(move || page(&app, &caller, &visit)).await??)
}

fn page(app: &App, caller: &Caller, visit: &Visit) -> Result<Response, Problem> {
    let clock = chrome::room_clock(app);
    let asked = Asked::of(&visit.path);
    // What cannot be asked for finds nothing and says why; the way out stays on the page.
    let (found, problem) = match recordings::list(app, caller, &asked.filter(&clock)) {
        Ok(found) => (found, None),
        Err(problem) if problem.status == 422 => (List { items: Vec::new(), next: None }, Some(problem)),
        Err(problem) => return Err(problem),
    };
    let title = if asked.bin { "Bin" } else { "Recordings" };
    let has_asked = asked.is_narrowed() || !asked.q.is_empty();
    // Only the first page of all has a place for what is new.
    let is_newest = !has_asked && !asked.bin && asked.cursor.is_empty();
    let shown = found.items.iter().map(|view| view.id.as_str()).max().unwrap_or_default();
    let live = if is_newest { format!("recordings:{shown}") } else { "recordings".to_owned() };
    let about = About { title, nav: "recordings", live: &live };
    let mut frame = chrome::chrome(app, Some(caller), visit, about);
    frame.flash.extend(problem.as_ref().map(of_problem));
    let (folders, tags) = offered(app);
    let view = View {
        chrome: frame,
        states: choices(
            &[
                ("", "Any state"),
                ("recording", "Recording"),
                ("ready", "Ready"),
                ("incomplete", "With gaps"),
                ("failed", "Failed"),
            ],
            &asked.state,
        ),
        folders: choices_of("Any folder", folders.into_iter().map(|name| (name.clone(), name)), &asked.folder),
        tags: choices_of("Any tag", tags.into_iter().map(|name| (name.clone(), name)), &asked.tag),
        chips: chips(app, caller, &asked, &clock),
        news: News::default(),
        total_text: total_text(&asked, &found),
        newest_url: (!asked.cursor.is_empty()).then(|| asked.url("")),
        older_url: found.next.as_ref().map(|cursor| asked.url(cursor)),
        nothing: nothing(&asked),
        items: rows(app, caller, &clock, &found.items),
        filter: Shown {
            is_narrowed: asked.is_narrowed(),
            clear_url: (has_asked || asked.bin).then(|| "/recordings".to_owned()),
            q: asked.q,
            from: asked.from,
            to: asked.to,
            bin: asked.bin,
        },
    };
    Ok(show_with(visit, again(problem.as_ref()), "pages/recordings.html", &view))
}

fn rows(app: &App, caller: &Caller, clock: &Clock, found: &[RecordingView]) -> Vec<Row> {
    let all = channels::known(app).len();
    let cannot = denied(app, caller, Permission::RecordingDelete);
    let nodes = Nodes::of(app).ok();
    let row = |view: &RecordingView| {
        let mut row = Row::of(view, clock, all, cannot.as_ref());
        row.stands_at(nodes.as_ref().and_then(|nodes| nodes.told(view.node_id.parse().ok()?)));
        row
    };
    found.iter().map(row).collect()
}

/// Folders and tags of the newest recordings.
pub(super) fn offered(app: &App) -> (Vec<String>, Vec<String>) {
    let page = app.store.recordings(&Query { limit: OFFERED_FROM, ..Query::default() });
    let recordings = page.map(|page| page.items).unwrap_or_default();
    let mut folders: Vec<String> =
        recordings.iter().map(|r| r.annotation.folder.clone()).filter(|f| !f.is_empty()).collect();
    let mut tags: Vec<String> = recordings.iter().flat_map(|r| r.annotation.tags.iter().cloned()).collect();
    for names in [&mut folders, &mut tags] {
        names.sort();
        names.dedup();
    }
    (folders, tags)
}

fn chips(app: &App, caller: &Caller, asked: &Asked, clock: &Clock) -> Vec<Chip> {
    let running = Filter { state: Some("recording".to_owned()), ..Filter::default() };
    let running = recordings::list(app, caller, &running).ok().filter(|list| !list.items.is_empty());
    let running_text = running.map(|list| {
        let more = if list.next.is_some() { "+" } else { "" };
        format!("{}{more}", words::number(list.items.len() as u64))
    });
    let today = Asked { from: clock.day_of(clock.now), ..Asked::default() };
    let in_state = |state: &str| Asked { state: state.to_owned(), ..Asked::default() };
    let bin = Asked { bin: true, ..Asked::default() };
    let chip = |(label, target, count_text): (&str, Asked, Option<String>)| Chip {
        label: label.to_owned(),
        count_text,
        url: target.url(""),
        is_current: Asked { q: String::new(), cursor: String::new(), ..asked.clone() } == target,
    };
    [
        ("All", Asked::default(), None),
        ("Today", today, None),
        ("Recording", in_state("recording"), running_text),
        ("With gaps", in_state("incomplete"), None),
        ("Bin", bin, None),
    ]
    .map(chip)
    .into()
}

/// How much was found; of more than a page only that there is more.
fn total_text(asked: &Asked, found: &List<RecordingView>) -> String {
    let count = words::count(found.items.len() as u64, "recording", "recordings");
    let hours = found.items.iter().map(|view| view.duration_seconds).sum::<f64>() / 3_600.0;
    match (found.items.len(), &found.next, asked.cursor.is_empty()) {
        (0, _, _) => "Nothing found".to_owned(),
        (_, None, true) if asked.bin => format!("{count}, kept for {BIN_DAYS} days"),
        (_, None, true) if hours >= 1.0 => format!("{count}, {}", words::count(hours as u64, "hour", "hours")),
        (_, None, true) => count,
        (shown, Some(_), true) => format!("The newest {shown} of more"),
        (shown, Some(_), false) => format!("{shown} older ones of more"),
        (_, None, false) => format!("The oldest {count}"),
    }
}

fn nothing(asked: &Asked) -> Nothing {
    let say = |title: String, text: &str| Nothing { title, text: text.to_owned() };
    match (asked.q.is_empty(), asked.is_narrowed(), asked.bin) {
        (false, _, _) => {
            let text = "Titles, notes and marks were searched. Clear the filters to see every recording.";
            say(format!("Nothing matches “{}”", asked.q), text)
        }
        (true, true, _) => say("Nothing matches".to_owned(), "Clear the filters to see every recording."),
        (true, false, true) => say("The bin is empty".to_owned(), "What is deleted stays here for 30 days."),
        (true, false, false) => {
            say("No recordings yet".to_owned(), "The first one appears here seconds after it starts.")
        }
    }
}

#[derive(Serialize)]
struct Since {
    news: News,
}

#[derive(Serialize)]
struct Live<'a> {
    recording: &'a Row,
}

/// Rows of the newest recordings when they change; and how many are newer than those shown.
pub(super) fn pieces(app: &App, caller: &Caller, shown: Option<&str>, pieces: &mut Pieces) -> Result<(), Problem> {
    let newest = recordings::list(app, caller, &Filter { limit: Some(FOLLOWED), ..Filter::default() })?;
    for row in rows(app, caller, &chrome::room_clock(app), &newest.items) {
        pieces.add(&format!("rec-{}", row.id), "recording_row", &Live { recording: &row })?;
    }
    match shown {
        Some(shown) => pieces.add("news", "recordings_news", &Since { news: News::since(shown, &newest.items) }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_survives_its_own_link() {
        let asked = Asked::of("/recordings?q=a%26b+%3Cscript%3E&tag=x%20y&bin=true&cursor=abc&utm=1");
        assert_eq!((asked.q.as_str(), asked.tag.as_str(), asked.bin), ("a&b <script>", "x y", true));
        assert_eq!(Asked::of(&asked.url(&asked.cursor)), asked);
        assert_eq!(Asked::default().url(""), "/recordings");
    }
}
