//! Settings: what counts as an incident, the room, and how this browser looks.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};

use super::claim_room::{wrong, zones};
use super::parts::chrome::{self, About, Chrome, denied};
use super::parts::field::{Choice, Field, Sent, choices};
use super::parts::flash::{self, Flash, of_problem};
use super::parts::visit::{Guest, THEME_COOKIE, Visit};
use super::{Answer, again, show_with};
use crate::domain::access::Permission;
use crate::domain::watch::{IncidentKind, Policy, Rule, Severity, Target};
use crate::web::api::node::{RoomEdit, put_room};
use crate::web::api::settings;
use crate::web::caller::{Caller, Path};
use crate::web::{App, Problem, blocking};

/// The longest wait of a rule, seconds; the policy's own check has the same.
const MAX_WAIT_S: f64 = 86_400.0;
/// How long a browser keeps its look, seconds.
const THEME_SECONDS: u32 = 365 * 86_400;

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub chrome: Chrome,
    /// `settings` or `people`.
    pub tab: String,
    /// Why nothing can be changed.
    pub manage_denied: Option<String>,
    /// What counts as an incident.
    pub rules: Vec<Shown>,
    /// Levels and hours.
    pub numbers: Vec<Number>,
    /// The room.
    pub form: Form,
    /// Names of time zones.
    pub zones: Vec<String>,
    /// Light or dark.
    pub themes: Vec<Choice>,
    /// How recordings are rendered.
    pub profiles: Vec<Profile>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// `dead_path`.
    pub kind: String,
    /// The same for people.
    pub title: String,
    /// How grave; or off.
    pub severities: Vec<Choice>,
    /// Seconds until it opens.
    pub after: Field,
    /// Seconds until it closes.
    pub recover: Field,
}

/// A level or a length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Number {
    #[allow(missing_docs)]
    pub name: String,
    #[allow(missing_docs)]
    pub label: String,
    /// What stands in it.
    pub field: Field,
    #[allow(missing_docs)]
    pub help: String,
}

/// The room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    #[allow(missing_docs)]
    pub room: Field,
    #[allow(missing_docs)]
    pub time_zone: Field,
}

/// How recordings are rendered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    #[allow(missing_docs)]
    pub name: String,
    /// If nobody chooses.
    pub is_default: bool,
    #[allow(missing_docs)]
    pub text: String,
}

/// What was sent and is wrong: by field, each with its sentence.
type Wrong = Vec<(String, String)>;

/// Shows the page.
pub async fn show(State(app): State<App>, Guest { caller, visit }: Guest) -> Answer {
    Ok(blocking(move || page(&app, &caller, &visit, None, &Again::default())).await??)
}

/// Why the page is shown again.
#[derive(Default)]
struct Again {
    problem: Option<Problem>,
    wrong: Wrong,
}

fn page(app: &App, caller: &Caller, visit: &Visit, sent: Option<&Sent>, why: &Again) -> Result<Response, Problem> {
    let policy = settings::watch(app, caller)?;
    let room = app.store.room()?;
    let problem = why.problem.as_ref();
    let mut frame = chrome::chrome(app, Some(caller), visit, About { title: "Settings", nav: "settings", live: "" });
    let has_place =
        problem.is_some_and(|problem| ["name", "time_zone"].contains(&problem.field.as_deref().unwrap_or("")));
    frame.flash.extend(problem.filter(|_| !has_place && why.wrong.is_empty()).map(of_problem));
    // What was typed stays, where that form was sent.
    let typed = |name: &str, kept: String| {
        let value = sent.filter(|sent| sent.has(name)).map_or(kept, |sent| sent.text(name).to_owned());
        let error = why.wrong.iter().find(|(field, _)| field == name).map(|(_, text)| text.clone());
        Field { value, error }
    };
    let (name, time_zone) = room.map(|room| (room.name, room.time_zone)).unwrap_or_default();
    let view = View {
        tab: "settings".to_owned(),
        manage_denied: denied(app, caller, Permission::SettingsManage),
        rules: IncidentKind::ALL.into_iter().map(|kind| rule(kind, &policy, sent, &typed)).collect(),
        numbers: numbers(&policy, &typed),
        form: Form {
            room: Field { error: wrong(problem, "name"), ..typed("room", name) },
            time_zone: Field { error: wrong(problem, "time_zone"), ..typed("time_zone", time_zone) },
        },
        zones: zones(),
        themes: choices(&[("auto", "As the device"), ("light", "Light"), ("dark", "Dark")], &visit.theme),
        profiles: vec![Profile {
            name: "Voice".to_owned(),
            is_default: true,
            text: "Opus to listen while it records, FLAC to keep. Masters stay as captured.".to_owned(),
        }],
        chrome: frame,
    };
    Ok(show_with(visit, again(problem), "pages/settings.html", &view))
}

fn rule(kind: IncidentKind, policy: &Policy, sent: Option<&Sent>, typed: &impl Fn(&str, String) -> Field) -> Shown {
    let set = policy.rule(kind, Target::Node, None);
    let numbers = set.unwrap_or_else(|| kind.rule());
    let severity_name = format!("severity_{kind}");
    let kept = set.map_or("off", |rule| severity_word(rule.severity));
    let chosen = sent.filter(|sent| sent.has(&severity_name)).map_or(kept, |sent| sent.text(&severity_name));
    Shown {
        kind: kind.to_string(),
        title: kind.operator_text().title.to_owned(),
        severities: choices(
            &[("critical", "Critical"), ("warning", "Warning"), ("info", "Info"), ("off", "Off")],
            chosen,
        ),
        after: typed(&format!("after_{kind}"), numbers.after_s.to_string()),
        recover: typed(&format!("recover_{kind}"), numbers.recover_s.to_string()),
    }
}

fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

fn numbers(policy: &Policy, typed: &impl Fn(&str, String) -> Field) -> Vec<Number> {
    let set = &policy.thresholds;
    let number = |name: &str, label: &str, kept: String, help: &str| Number {
        name: name.to_owned(),
        label: label.to_owned(),
        field: typed(name, kept),
        help: help.to_owned(),
    };
    let [_, warning, critical] = set.disk_hours;
    vec![
        number(
            "quiet_below_dbfs",
            "Quiet below, dBFS",
            set.quiet_below_dbfs.to_string(),
            "For a channel whose noise floor is not known yet.",
        ),
        number(
            "quiet_above_floor_db",
            "Quiet up to above its noise, dB",
            set.quiet_above_floor_db.to_string(),
            "A channel this close to its own noise floor is quiet.",
        ),
        number("disk_hours_warning", "Disk warning, hours left", warning.to_string(), ""),
        number("disk_hours_critical", "Disk critical, hours left", critical.to_string(), ""),
    ]
}

/// `watch`, `room`, `appearance`.
pub async fn save(
    State(app): State<App>,
    Guest { caller, visit }: Guest,
    Path(section): Path<String>,
    sent: Sent,
) -> Answer {
    Ok(blocking(move || match section.as_str() {
        "appearance" => Ok(appearance(&visit, sent.text("theme"))),
        "room" => {
            let problem = save_room(&app, &caller, &sent).err();
            answer(&app, &caller, &visit, &sent, Again { problem, wrong: Wrong::new() }, "saved")
        }
        "watch" => {
            let why = save_watch(&app, &caller, &sent).err().unwrap_or_default();
            answer(&app, &caller, &visit, &sent, why, if sent.has("reset") { "defaults" } else { "saved" })
        }
        _ => Err(Problem::not_found("page")),
    })
    .await??)
}

fn answer(app: &App, caller: &Caller, visit: &Visit, sent: &Sent, why: Again, code: &str) -> Result<Response, Problem> {
    match why.problem {
        None => Ok(flash::redirect("/settings", Flash::new(code), visit.is_tls)),
        Some(_) => page(app, caller, visit, Some(sent), &why),
    }
}

fn save_room(app: &App, caller: &Caller, sent: &Sent) -> Result<(), Problem> {
    let notes = app.store.room()?.map(|room| room.notes).unwrap_or_default();
    let edit =
        RoomEdit { name: sent.text("room").to_owned(), time_zone: sent.text("time_zone").trim().to_owned(), notes };
    put_room(app, caller, edit).map(|_| ())
}

fn save_watch(app: &App, caller: &Caller, sent: &Sent) -> Result<(), Again> {
    let told = |problem: Problem| Again { problem: Some(problem), wrong: Wrong::new() };
    let kept = settings::watch(app, caller).map_err(told)?;
    let policy = if sent.has("reset") { Policy::default() } else { read(kept, sent).map_err(several)? };
    settings::set_watch(app, caller, policy).map(|_| ()).map_err(told)
}

fn several(wrong: Wrong) -> Again {
    let first = wrong.first().map_or("a number", |(field, _)| field.as_str());
    Again { problem: Some(Problem::unprocessable(first, "one of the numbers cannot be used")), wrong }
}

/// The policy with what a form says of it; all that is wrong, if something is.
fn read(mut policy: Policy, sent: &Sent) -> Result<Policy, Wrong> {
    let mut wrong = Wrong::new();
    let mut number = |name: &str, kept: f64, least: f64, most: f64| {
        if !sent.has(name) {
            return kept;
        }
        // Half of Europe writes a comma.
        let read = sent.text(name).trim().replace(',', ".").parse::<f64>().ok();
        read.filter(|value| (least..=most).contains(value)).unwrap_or_else(|| {
            wrong.push((name.to_owned(), format!("It must lie between {least} and {most}.")));
            kept
        })
    };
    for kind in IncidentKind::ALL {
        let was = policy.rule(kind, Target::Node, None);
        let base = was.unwrap_or_else(|| kind.rule());
        let after_s = number(&format!("after_{kind}"), base.after_s, 0.0, MAX_WAIT_S);
        let recover_s = number(&format!("recover_{kind}"), base.recover_s, 0.0, MAX_WAIT_S);
        let severity = match sent.text(&format!("severity_{kind}")) {
            "critical" => Some(Severity::Critical),
            "warning" => Some(Severity::Warning),
            "info" => Some(Severity::Info),
            "off" => None,
            _ => was.map(|rule| rule.severity),
        };
        let rule = severity.map(|severity| Rule { severity, after_s, recover_s });
        // Only what differs is kept, so that a better default reaches those who never changed it.
        match rule == Some(kind.rule()) {
            true => policy.node.remove(&kind),
            false => policy.node.insert(kind, rule),
        };
    }
    let levels = &mut policy.thresholds;
    levels.quiet_below_dbfs = number("quiet_below_dbfs", f64::from(levels.quiet_below_dbfs), -120.0, 0.0) as f32;
    levels.quiet_above_floor_db =
        number("quiet_above_floor_db", f64::from(levels.quiet_above_floor_db), 0.0, 40.0) as f32;
    let [info, warning, critical] = levels.disk_hours;
    let warning = number("disk_hours_warning", warning, 0.0, 1_000.0);
    let critical = number("disk_hours_critical", critical, 0.0, 1_000.0);
    levels.disk_hours = [info.max(warning), warning, critical];
    if critical > warning {
        wrong.push(("disk_hours_critical".to_owned(), "It must not be more than the warning.".to_owned()));
    }
    if wrong.is_empty() { Ok(policy) } else { Err(wrong) }
}

/// Kept by the browser, not by the node: it is the browser's.
fn appearance(visit: &Visit, theme: &str) -> Response {
    let theme = if ["light", "dark"].contains(&theme) { theme } else { "auto" };
    let secure = if visit.is_tls { " Secure;" } else { "" };
    let cookie = format!("{THEME_COOKIE}={theme}; Path=/;{secure} HttpOnly; SameSite=Lax; Max-Age={THEME_SECONDS}");
    let cookie = HeaderValue::from_str(&cookie).unwrap_or_else(|_| HeaderValue::from_static(""));
    ([(header::SET_COOKIE, cookie)], Redirect::to("/settings")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(pairs: &[(&str, &str)]) -> Sent {
        Sent(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn only_what_differs_from_the_default_is_kept() {
        let default = IncidentKind::DeadPath.rule();
        let after = default.after_s.to_string();
        let same =
            read(Policy::default(), &sent(&[("after_dead_path", &after), ("severity_dead_path", "critical")])).unwrap();
        assert_eq!(same, Policy::default());
        let other =
            read(Policy::default(), &sent(&[("severity_dead_path", "off"), ("after_clipping", "1,5")])).unwrap();
        assert_eq!(other.node.get(&IncidentKind::DeadPath), Some(&None));
        assert_eq!(other.node[&IncidentKind::Clipping].unwrap().after_s, 1.5);
        assert_eq!(other.check(), Ok(()));
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let fields = [("after_dead_path", "90000"), ("recover_hum", "soon"), ("disk_hours_critical", "9")];
        let wrong = read(Policy::default(), &sent(&fields)).unwrap_err();
        let names: Vec<&str> = wrong.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["after_dead_path", "recover_hum", "disk_hours_critical"]);
    }
}
