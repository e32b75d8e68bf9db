//! The fleet: how it stands, invitations, coming in, its nodes, and calls to them.

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::{Request, State};
use axum::http::{HeaderName, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use replicate::core::election::{Gated, Why};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{allow, may, read_id};
use crate::access::About;
use crate::access::acts::{EditFleet, InviteNode, ReplaceNode, RetireNode};
use crate::access::invitations::{Invited, Replaced, Token};
use crate::domain::access::{Permission, Target};
use crate::fleet::call::CallError;
use crate::fleet::join::Admission;
use crate::fleet::nearby::NearbyView;
use crate::fleet::replace::NotReplaceable;
use crate::fleet::state::{FleetView, NodeView, StateHashes};
use crate::store::Id;
use crate::web::caller::{Body, Caller, Path, Perhaps};
use crate::web::view::List;
use crate::web::{App, Problem, blocking};

/// How long an invitation holds if nothing is said, seconds.
const EXPIRES_SECONDS: u32 = 3_600;
/// An answer of another node that is read here for what it says, bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Headers of a call that are passed on, and no others: neither cookie nor token leaves this node.
const PASSED_ON: [HeaderName; 6] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::RANGE,
    header::IF_RANGE,
    header::IF_NONE_MATCH,
];

/// Headers of an answer that are not passed back: those of the connection between the nodes (RFC 9110, 7.6.1), and cookies,
/// for a session of another node is none here.
const NOT_PASSED_BACK: [HeaderName; 6] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TRAILER,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    header::SET_COOKIE,
];

/// What to invite to.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// How long it holds; an hour if absent.
    pub expires_seconds: Option<u32>,
    /// How many nodes may come by it; one if absent.
    pub uses: Option<u32>,
    /// A member that is lost, by its id: the box that comes by it goes on as that node.
    pub replaces: Option<String>,
}

/// An invitation. It is shown once: whoever has the token may bring a node in.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Invitation {
    /// To be given to the new node.
    pub token: String,
    /// Four words that both ends show.
    pub phrase: String,
    /// When it is over.
    pub expires_at: String,
    /// The member whose place it is for; none if the newcomer stays who it is.
    pub replaces: Option<Place>,
}

/// A member's place, as it is to be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Place {
    /// The node.
    pub node_id: String,
    /// Its name.
    pub name: String,
    /// When it was last heard.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub last_seen: Option<Timestamp>,
}

impl Place {
    /// As an invitation has it.
    pub fn of(replaced: &Replaced) -> Self {
        let Replaced { node, name, last_seen } = replaced.clone();
        Self { node_id: node.to_string(), name, last_seen }
    }
}

/// What to join.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The invitation.
    pub token: String,
}

/// A node came in.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Joined {
    /// Into which fleet.
    pub fleet_id: String,
    /// What that is called.
    pub fleet_name: String,
    /// Through which node.
    pub node_id: String,
    /// The four words that the other end shows as well.
    pub phrase: String,
    /// The member whose place this box takes: its process begins anew as that, in some seconds. None if it stays who it is.
    pub replaces: Option<Place>,
}

/// Invites a node.
#[utoipa::path(post, path = "/api/v1/fleet/invitations", tag = "fleet", request_body = Invite,
    responses((status = 201, body = Invitation), (status = "4XX", body = Problem)))]
pub async fn post_invitation(
    State(app): State<App>,
    caller: Caller,
    Body(wanted): Body<Invite>,
) -> Result<Response, Problem> {
    let made = blocking(move || invite(&app, &caller, &wanted)).await??;
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

/// As [`post_invitation`].
///
/// # Errors
/// It is not allowed, or a value cannot be.
pub fn invite(app: &App, caller: &Caller, wanted: &Invite) -> Result<Invitation, Problem> {
    let (seconds, uses) = (wanted.expires_seconds.unwrap_or(EXPIRES_SECONDS), wanted.uses.unwrap_or(1));
    let invited = match &wanted.replaces {
        Some(node) => invite_in_place(app, caller, node, seconds, uses)?,
        None => {
            let about = About::thing("fleet", "", "an invitation");
            let allowed = allow::<InviteNode>(app, caller, &Target::Fleet, about)?;
            app.access.invite(allowed, &caller.ctx, seconds, uses)?
        }
    };
    let (token, phrase) = (invited.token.to_string(), invited.token.phrase());
    let replaces = invited.token.replaces.as_ref().map(Place::of);
    Ok(Invitation { token, phrase, expires_at: invited.expires_at.to_string(), replaces })
}

fn invite_in_place(app: &App, caller: &Caller, node: &str, seconds: u32, uses: u32) -> Result<Invited, Problem> {
    let node: Id = read_id(node, "node")?;
    let name = app.store.member(node)?.map(|member| member.profile.name).unwrap_or_default();
    let about = About::thing("node", node, &name).after("an invitation for its place".into());
    let allowed = allow::<ReplaceNode>(app, caller, &Target::Fleet, about)?;
    let place = match app.fleet.replaceable(node) {
        _ if uses != 1 => Err(Problem::unprocessable("uses", "One box takes a node's place: 1.")),
        Ok((_, place)) => Ok(place),
        Err(NotReplaceable::Waits(why)) => Err(waits(app, &why)),
        Err(error) => Err(error.into()),
    };
    match place {
        Ok(place) => Ok(app.access.invite_in_place(allowed, &caller.ctx, seconds, place)?),
        Err(problem) => {
            allowed.fail(&problem.detail);
            Err(problem)
        }
    }
}

/// Brings this node into a fleet. Only a node that nobody has claimed; who has its invitation needs no more.
#[utoipa::path(post, path = "/api/v1/fleet/join", tag = "fleet", request_body = Join,
    responses((status = 200, body = Joined), (status = "4XX", body = Problem), (status = 502, body = Problem)))]
pub async fn post_join(State(app): State<App>, Body(wanted): Body<Join>) -> Result<Json<Joined>, Problem> {
    join(&app, &wanted.token).await.map(Json)
}

/// As [`post_join`].
///
/// # Errors
/// The token is none, the node is claimed, or the other end says no.
pub async fn join(app: &App, token: &str) -> Result<Joined, Problem> {
    let token: Token = token.parse().map_err(|why: String| Problem::unprocessable("token", why))?;
    let Admission { fleet_id, fleet_name, node_id, .. } = app.fleet.join(&token).await?;
    let (fleet_id, node_id) = (fleet_id.to_string(), node_id.to_string());
    let replaces = token.replaces.as_ref().map(Place::of);
    Ok(Joined { fleet_id, fleet_name, node_id, phrase: token.phrase(), replaces })
}

/// How the fleet stands, as this node sees it.
#[utoipa::path(get, path = "/api/v1/fleet", tag = "fleet",
    responses((status = 200, body = FleetView), (status = "4XX", body = Problem)))]
pub async fn get_fleet(State(app): State<App>, caller: Caller) -> Result<Json<FleetView>, Problem> {
    blocking(move || view(&app, &caller)).await?.map(Json)
}

/// As [`get_fleet`].
///
/// # Errors
/// It is not allowed.
pub fn view(app: &App, caller: &Caller) -> Result<FleetView, Problem> {
    may(app, caller, Permission::FleetRead, &Target::Fleet)?;
    Ok(app.fleet.view()?)
}

/// Recorders that are seen on the network. What they say of themselves is unproven.
#[utoipa::path(get, path = "/api/v1/fleet/nearby", tag = "fleet",
    responses((status = 200, body = NearbyView), (status = "4XX", body = Problem)))]
pub async fn get_nearby(State(app): State<App>, caller: Caller) -> Result<Json<NearbyView>, Problem> {
    blocking(move || nearby(&app, &caller)).await?.map(Json)
}

/// As [`get_nearby`].
///
/// # Errors
/// It is not allowed.
pub fn nearby(app: &App, caller: &Caller) -> Result<NearbyView, Problem> {
    may(app, caller, Permission::FleetRead, &Target::Fleet)?;
    Ok(app.fleet.nearby()?)
}

/// Digests of all records by stream: equal on all nodes that are current.
#[utoipa::path(get, path = "/api/v1/fleet/state-hash", tag = "fleet",
    responses((status = 200, body = StateHashes), (status = "4XX", body = Problem)))]
pub async fn get_state_hash(State(app): State<App>, caller: Caller) -> Result<Json<StateHashes>, Problem> {
    blocking(move || {
        may(&app, &caller, Permission::FleetRead, &Target::Fleet)?;
        Ok(Json(app.fleet.state_hashes()?))
    })
    .await?
}

/// All nodes.
#[utoipa::path(get, path = "/api/v1/nodes", tag = "fleet",
    responses((status = 200, body = List<NodeView>), (status = "4XX", body = Problem)))]
pub async fn get_nodes(State(app): State<App>, caller: Caller) -> Result<Json<List<NodeView>>, Problem> {
    let items = blocking(move || view(&app, &caller)).await??.nodes;
    Ok(Json(List { items, next: None }))
}

/// One node.
#[utoipa::path(get, path = "/api/v1/nodes/{id}", tag = "fleet", params(("id" = String, Path)),
    responses((status = 200, body = NodeView), (status = "4XX", body = Problem)))]
pub async fn get_node(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<NodeView>, Problem> {
    let nodes = blocking(move || view(&app, &caller)).await??.nodes;
    nodes.into_iter().find(|node| node.id == id).map(Json).ok_or_else(|| Problem::not_found("node"))
}

/// Retires a node: its key is believed no more, for good. Waits for the majority of the fleet.
#[utoipa::path(delete, path = "/api/v1/nodes/{id}", tag = "fleet", params(("id" = String, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn delete_node(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    blocking(move || retire(&app, &caller, &id)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// As [`delete_node`].
///
/// # Errors
/// It is not allowed, there is no such node, or this node cannot decide it now.
pub fn retire(app: &App, caller: &Caller, id: &str) -> Result<(), Problem> {
    let node: Id = read_id(id, "node")?;
    let name = app.store.member(node)?.map(|member| member.profile.name).unwrap_or_default();
    let allowed = allow::<RetireNode>(app, caller, &Target::Fleet, About::thing("node", node, &name))?;
    // Of two that retired each other a third node says which one is: by retiring it again.
    let is_disputed = app.store.is_disputed(node)?;
    let found = app.store.member(node)?.filter(|member| !member.is_retired || is_disputed);
    let refused = match found {
        None => Some(Problem::not_found("node")),
        Some(_) => app.fleet.may(Gated::RetireNode).err().map(|why| waits(app, &why)),
    };
    if let Some(problem) = refused {
        allowed.fail(&problem.detail);
        return Err(problem);
    }
    let mut edits = allowed.edits();
    edits.retire(node, &app.store.last_words(node)?);
    allowed.commit(edits)?;
    app.fleet.look_anew();
    Ok(())
}

/// Why what cannot be taken back waits, and where it can be done.
fn waits(app: &App, why: &Why) -> Problem {
    let coordinator = app.fleet.view().ok().and_then(|view| view.coordinator);
    let detail = match (why, coordinator) {
        (Why::NotCoordinator { .. }, Some(other)) => {
            let at = other.address.map(|at| format!(" (https://{at}/fleet)")).unwrap_or_default();
            format!("What cannot be taken back is decided by the node that coordinates: do it on {}{at}.", other.name)
        }
        (Why::NotCoordinator { .. }, None) => "No node coordinates at this moment: try again in a few seconds.".into(),
        (why, _) => format!(
            "What cannot be taken back waits for the majority of the fleet: {why}. An owner may take the role for this node on its Fleet page."
        ),
    };
    Problem::new(StatusCode::CONFLICT, "needs_majority", "Waits for the fleet", detail)
}

/// Takes the role of coordinator for this node, whoever holds it; for a time it may act without a majority.
#[utoipa::path(post, path = "/api/v1/fleet/coordinate", tag = "fleet",
    responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn post_coordinate(State(app): State<App>, caller: Caller) -> Result<StatusCode, Problem> {
    blocking(move || coordinate(&app, &caller)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// As [`post_coordinate`].
///
/// # Errors
/// It is not allowed.
pub fn coordinate(app: &App, caller: &Caller) -> Result<(), Problem> {
    let about = About::thing("node", app.store.node(), "takes the role of coordinator");
    let allowed = allow::<EditFleet>(app, caller, &Target::Fleet, about)?;
    let edits = allowed.edits();
    allowed.commit(edits)?;
    app.fleet.force();
    Ok(())
}

/// Of two machines that use this node's name (a copied card), this one goes on. The other one stands still.
#[utoipa::path(post, path = "/api/v1/fleet/renew", tag = "fleet",
    responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn post_renew(State(app): State<App>, caller: Caller) -> Result<StatusCode, Problem> {
    blocking(move || renew(&app, &caller)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// As [`post_renew`].
///
/// # Errors
/// It is not allowed, this node does not stand still, or its records cannot be written.
pub fn renew(app: &App, caller: &Caller) -> Result<(), Problem> {
    let about = About::thing("node", app.store.node(), "goes on: another machine used its name");
    let allowed = allow::<EditFleet>(app, caller, &Target::Fleet, about)?;
    // First: while it stands still nothing is written, and that this was done neither.
    if !app.fleet.renew()? {
        let detail = "Nobody else uses this node's name, as far as it was told.";
        return Err(Problem::new(StatusCode::CONFLICT, "not_doubled", "Nothing to decide", detail));
    }
    let edits = allowed.edits();
    allowed.commit(edits)?;
    Ok(())
}

/// A call to another node's own `/api/v1/…`, as the person who asks. That node looks their rights up and writes its journal.
pub async fn call(State(app): State<App>, Perhaps(caller): Perhaps, request: Request) -> Result<Response, Problem> {
    let caller = caller.ok_or_else(Problem::unauthenticated)?;
    let (node, target) = called(request.uri()).ok_or_else(|| Problem::not_found("node"))?;
    let node = read_id(node, "node")?;
    let target: Uri = target.parse().map_err(|_| Problem::not_found("thing"))?;
    forward(&app, &caller, node, target, request).await
}

/// Whom a call is to, and the address that is asked for there; none if it is no call.
pub fn called(uri: &Uri) -> Option<(&str, String)> {
    let (node, rest) = uri.path().strip_prefix("/api/v1/nodes/")?.split_once("/calls/")?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    Some((node, format!("/api/v1/{rest}{query}")))
}

/// Sends a request to another node (or to this one's own router never: who asks for that is told so) and gives its answer.
///
/// # Errors
/// The node is not reached, or who asks is no person.
pub async fn forward(
    app: &App,
    caller: &Caller,
    node: Id,
    target: Uri,
    request: Request<HttpBody>,
) -> Result<Response, Problem> {
    if node == app.store.node() {
        return Err(Problem::conflict("This is the node itself: leave out /nodes/…/calls."));
    }
    let Some(asker) = caller.asker() else {
        let detail = "Only a person who logged in, or their token, can ask another node.";
        return Err(Problem::new(StatusCode::FORBIDDEN, "not_a_person", "Not from here", detail));
    };
    let (parts, body) = request.into_parts();
    let mut outgoing = Request::new(body);
    *outgoing.method_mut() = parts.method;
    *outgoing.uri_mut() = target;
    for name in PASSED_ON {
        if let Some(value) = parts.headers.get(&name) {
            outgoing.headers_mut().insert(name, value.clone());
        }
    }
    let mut answer = app.fleet.call(node, &asker, outgoing).await?;
    for name in NOT_PASSED_BACK {
        answer.headers_mut().remove(name);
    }
    Ok(answer)
}

/// Asks another node's API for something, with a JSON body, as the person who asks.
///
/// # Errors
/// As [`forward`].
pub async fn ask_there(
    app: &App,
    caller: &Caller,
    node: Id,
    path: &str,
    body: &impl Serialize,
) -> Result<Response, Problem> {
    let internal = |error: &dyn std::fmt::Display| Problem::internal(&error.to_string());
    let body = serde_json::to_vec(body).map_err(|error| internal(&error))?;
    let request = Request::builder().method(Method::POST).header(header::CONTENT_TYPE, "application/json");
    let request = request.body(HttpBody::from(body)).map_err(|error| internal(&error))?;
    let target = path.parse().map_err(|error| internal(&error))?;
    forward(app, caller, node, target, request).await
}

/// As [`ask_there`], for who only wants to know that it was done.
///
/// # Errors
/// It was not: why, in that node's words.
pub async fn tell_there(
    app: &App,
    caller: &Caller,
    node: Id,
    path: &str,
    body: &impl Serialize,
) -> Result<(), Problem> {
    let answer = ask_there(app, caller, node, path, body).await?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let bytes = axum::body::to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await.unwrap_or_default();
    let said: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    let said = said.as_ref().and_then(|said| said.get("detail")?.as_str()).map(ToOwned::to_owned);
    Err(Problem::conflict(said.unwrap_or_else(|| format!("The node answered {status} and gave no reason."))))
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        let told = error.to_string();
        match error {
            CallError::NoMember => Self::not_found("node"),
            CallError::Unreached { .. } => {
                Self::new(StatusCode::BAD_GATEWAY, "node_unreached", "The node is not reached", told)
            }
            CallError::Store(error) => error.into(),
        }
    }
}
