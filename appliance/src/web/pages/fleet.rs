//! The fleet: who coordinates, its nodes, inviting one, retiring one for good, giving a lost one's place to another box, what
//! happened.
//!
//! The nodes and what happened follow by themselves. Retiring is the one act that cannot be undone: the node's name, typed,
//! confirms it.

pub mod held;
pub mod secrets;
pub mod view;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use self::held::ConflictLine;
use self::secrets::{SecretForm, Secrets};
use self::view::{Around, Invitation, Invite, NodeLine, Replacing, Retiring, Role, StoryLine, View};
use super::parts::chrome::{self, About, denied};
use super::parts::field::{Field, Sent};
use super::parts::flash::{self, Flash, of_problem};
use super::parts::honesty::Honesty;
use super::parts::visit::{Guest, Visit, query_value};
use super::parts::words::Clock;
use super::{Answer, Pieces, again, show_with};
use crate::access::sealing::Clear;
use crate::domain::access::{Permission, Target};
use crate::fleet::state::FleetView;
use crate::web::api::nodes::Nodes;
use crate::web::api::{conflicts, fleet, secrets as secrets_api};
use crate::web::caller::{Caller, Path};
use crate::web::{App, Problem, blocking};

/// Up to so many nodes the list is sent whole when it changes, and newcomers appear; beyond, each node by itself.
const WHOLE_MAX: usize = 60;

/// What is said beside the page as it always is.
#[derive(Default)]
struct Beside<'a> {
    sent: Option<&'a Sent>,
    problem: Option<&'a Problem>,
    invitation: Option<Invitation>,
    retiring: Option<&'a str>,
    replacing: Option<&'a str>,
}

/// Shows the page; `?retire=` and `?replace=` ask about a node.
pub async fn show(State(app): State<App>, Guest { caller, visit }: Guest) -> Answer {
    Ok(blocking(move || {
        let [retiring, replacing] = ["retire", "replace"].map(|name| query_value(&visit.path, name));
        let (retiring, replacing) = (retiring.as_deref(), replacing.as_deref());
        page(&app, &caller, &visit, Beside { retiring, replacing, ..Beside::default() })
    })
    .await??)
}

fn conflicts(app: &App, caller: &Caller, clock: &Clock) -> Result<Vec<ConflictLine>, Problem> {
    let found = conflicts::list(app, caller)?;
    let may_choose = |kind: &str| {
        conflicts::settled_by(kind).is_some_and(|takes| app.access.may(&caller.actor, takes, &Target::Fleet).is_ok())
    };
    Ok(found.items.iter().map(|conflict| ConflictLine::of(conflict, may_choose(&conflict.kind), clock)).collect())
}

fn around(app: &App, caller: &Caller) -> Result<Around, Problem> {
    Ok(Around::of(&fleet::nearby(app, caller)?, denied(app, caller, Permission::FleetInvite)))
}

fn sealed(app: &App, caller: &Caller, clock: &Clock) -> Result<Secrets, Problem> {
    Secrets::of(secrets_api::list(app, caller), denied(app, caller, Permission::FleetEdit), clock)
}

fn page(app: &App, caller: &Caller, visit: &Visit, beside: Beside<'_>) -> Result<Response, Problem> {
    let clock = chrome::room_clock(app);
    let fleet = fleet::view(app, caller)?.settled(clock.now);
    let mut frame = chrome::chrome(app, Some(caller), visit, About { title: "Fleet", nav: "fleet", live: "fleet" });
    let problem = beside.problem;
    frame.flash.extend(problem.filter(|problem| problem.field.is_none()).map(of_problem));
    let confirm = beside.sent.map_or_else(Field::default, |sent| sent.field("confirm", problem));
    let asked_about = |id: Option<&str>| id.and_then(|id| fleet.nodes.iter().find(|node| node.id == id));
    let (retiring, replacing) = (asked_about(beside.retiring), asked_about(beside.replacing));
    let retire_denied = denied(app, caller, Permission::FleetRetire);
    let view = View {
        chrome: frame,
        name: fleet.name.clone(),
        honesty: Honesty::of(&fleet, &clock),
        retiring: retiring.and_then(|node| Retiring::of(node, &fleet, confirm, retire_denied.clone(), &clock)),
        replacing: replacing.and_then(|node| Replacing::of(node, &fleet, retire_denied.clone(), &clock)),
        invitation: beside.invitation,
        nodes: lines(app, &fleet, retire_denied.is_none())?,
        conflicts: conflicts(app, caller, &clock)?,
        nearby: around(app, caller)?,
        secrets: sealed(app, caller, &clock)?,
        secret_form: SecretForm::of(beside.sent, problem),
        stories: StoryLine::all(&fleet, &clock),
        invite: Invite::of(beside.sent, problem, denied(app, caller, Permission::FleetInvite)),
        role: Role::of(&fleet, denied(app, caller, Permission::FleetEdit)),
    };
    Ok(show_with(visit, again(problem), "pages/fleet.html", &view))
}

fn lines(app: &App, fleet: &FleetView, can_retire: bool) -> Result<Vec<NodeLine>, Problem> {
    let (rooms, clock) = (Nodes::of(app)?.room_names(), chrome::room_clock(app));
    let leads = fleet.coordinator.as_ref().map(|coordinator| coordinator.node_id.as_str());
    let line = |node| NodeLine::of(node, rooms.get(&node.id), leads, can_retire, &clock);
    Ok(fleet.nodes.iter().map(line).collect())
}

/// `invite`, `coordinate`, `choose`, `secret`, `secret-delete`.
pub async fn act(
    State(app): State<App>,
    Guest { caller, visit }: Guest,
    Path(act): Path<String>,
    sent: Sent,
) -> Answer {
    Ok(blocking(move || {
        let refused = |problem: &Problem| {
            let replacing = Some(sent.text("replaces")).filter(|node| !node.is_empty());
            let beside = Beside { sent: Some(&sent), problem: Some(problem), replacing, ..Beside::default() };
            page(&app, &caller, &visit, beside)
        };
        match act.as_str() {
            "invite" => match view::wanted(&sent).and_then(|wanted| fleet::invite(&app, &caller, &wanted)) {
                Ok(made) => {
                    let around = fleet::nearby(&app, &caller)?;
                    let invitation = Some(Invitation::of(&made, &sent, &around, &chrome::room_clock(&app)));
                    page(&app, &caller, &visit, Beside { invitation, ..Beside::default() })
                }
                Err(problem) => refused(&problem),
            },
            "coordinate" => match fleet::coordinate(&app, &caller) {
                Ok(()) => Ok(flash::redirect("/fleet", Flash::new("coordinates"), visit.is_tls)),
                Err(problem) => refused(&problem),
            },
            "choose" => match conflicts::choose(&app, &caller, &held::chosen(&sent)) {
                Ok(()) => Ok(flash::redirect("/fleet", Flash::new("chosen"), visit.is_tls)),
                Err(problem) => refused(&problem),
            },
            "secret" => {
                let value = Clear::new(sent.text("value").as_bytes().to_vec());
                match secrets_api::set(&app, &caller, sent.text("name").trim(), &value) {
                    Ok(()) => Ok(flash::redirect("/fleet", Flash::new("secret_set"), visit.is_tls)),
                    Err(problem) => refused(&problem),
                }
            }
            "secret-delete" => match secrets_api::delete(&app, &caller, sent.text("name")) {
                Ok(()) => Ok(flash::redirect("/fleet", Flash::new("secret_deleted"), visit.is_tls)),
                Err(problem) => refused(&problem),
            },
            _ => Err(Problem::not_found("page")),
        }
    })
    .await??)
}

/// Retires a node whose name was typed.
pub async fn retire(
    State(app): State<App>,
    Guest { caller, visit }: Guest,
    Path(id): Path<String>,
    sent: Sent,
) -> Answer {
    Ok(blocking(move || {
        let known = fleet::view(&app, &caller)?.nodes.into_iter().find(|node| node.id == id);
        let node = known.ok_or_else(|| Problem::not_found("node"))?;
        let done = match sent.text("confirm").trim() == node.name.trim() {
            true => fleet::retire(&app, &caller, &id),
            false => Err(Problem::unprocessable("confirm", "This is not its name. Nothing was done.")),
        };
        match done {
            Ok(()) => Ok(flash::redirect("/fleet", Flash::new("retired"), visit.is_tls)),
            Err(problem) => {
                let (sent, problem, retiring) = (Some(&sent), Some(&problem), Some(id.as_str()));
                page(&app, &caller, &visit, Beside { sent, problem, retiring, ..Beside::default() })
            }
        }
    })
    .await??)
}

/// What of the page is sent when it changes.
pub(super) fn pieces(app: &App, caller: &Caller, pieces: &mut Pieces) -> Result<(), Problem> {
    #[derive(Serialize)]
    struct Live {
        honesty: Honesty,
        conflicts: Vec<ConflictLine>,
        nearby: Around,
        secrets: Secrets,
        stories: Vec<StoryLine>,
        nodes: Vec<NodeLine>,
    }
    #[derive(Serialize)]
    struct One<'a> {
        item: &'a NodeLine,
    }
    let clock = chrome::room_clock(app);
    let fleet = fleet::view(app, caller)?.settled(clock.now);
    let can_retire = denied(app, caller, Permission::FleetRetire).is_none();
    let live = Live {
        honesty: Honesty::of(&fleet, &clock),
        conflicts: conflicts(app, caller, &clock)?,
        nearby: around(app, caller)?,
        secrets: sealed(app, caller, &clock)?,
        stories: StoryLine::all(&fleet, &clock),
        nodes: lines(app, &fleet, can_retire)?,
    };
    pieces.add("honesty", "honesty", &live)?;
    pieces.add("fleet-conflicts", "fleet_conflicts", &live)?;
    pieces.add("fleet-nearby", "fleet_nearby", &live)?;
    pieces.add("fleet-secrets", "fleet_secrets", &live)?;
    pieces.add("fleet-stories", "fleet_stories", &live)?;
    if live.nodes.len() <= WHOLE_MAX {
        return pieces.add("fleet-nodes", "fleet_nodes", &live);
    }
    live.nodes.iter().try_for_each(|item| pieces.add(&format!("node-{}", item.id), "fleet_node", &One { item }))
}
