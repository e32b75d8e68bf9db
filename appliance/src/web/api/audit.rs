//! The journal: read and taken away.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::nodes::{self, Nodes};
use super::{LIMIT, allow, may};
use crate::access::About;
use crate::access::acts::ExportAudit;
use crate::domain::access::{Permission, Target};
use crate::store::audit::{Outcome, PAGE_MAX, Query as Wanted, Written};
use crate::web::caller::{Caller, Query};
use crate::web::view::{AuditView, List};
use crate::web::{App, Problem, blocking};

/// Entries of one CSV export; a longer journal is exported in parts, by time.
pub const EXPORT_MAX: usize = 100_000;

/// What to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only what was done on this node.
    pub node_id: Option<String>,
    /// Only about this id.
    pub target: Option<String>,
    /// Only by this actor (id or name).
    pub actor: Option<String>,
    /// Only this act, or those that begin with it: `recording.`
    pub action: Option<String>,
    /// succeeded, failed, partial, denied.
    pub outcome: Option<String>,
    /// At or after (RFC 3339).
    #[param(value_type = Option<String>)]
    pub from: Option<Timestamp>,
    /// Before (RFC 3339).
    #[param(value_type = Option<String>)]
    pub to: Option<Timestamp>,
    /// Where to go on.
    pub cursor: Option<String>,
    /// How many at most, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<usize>,
}

fn wanted(filter: &Filter) -> Result<Wanted, Problem> {
    let said = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let outcome = match said(&filter.outcome) {
        None => None,
        Some(text) => Some(
            serde_json::from_value::<Outcome>(json!(text))
                .map_err(|_| Problem::unprocessable("outcome", "one of succeeded, failed, partial, denied"))?,
        ),
    };
    let limit = filter.limit.unwrap_or(LIMIT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::unprocessable("limit", format!("1 to {PAGE_MAX}")));
    }
    Ok(Wanted {
        node: nodes::wanted(filter.node_id.as_deref())?,
        target: said(&filter.target),
        actor: said(&filter.actor),
        action: said(&filter.action),
        outcome,
        from: filter.from,
        to: filter.to,
        cursor: said(&filter.cursor),
        limit,
    })
}

/// Lists entries.
pub fn list(app: &App, caller: &Caller, filter: &Filter) -> Result<List<AuditView>, Problem> {
    may(app, caller, Permission::AuditRead, &Target::Fleet)?;
    let page = app.store.audit(&wanted(filter)?)?;
    let nodes = Nodes::of(app)?;
    let items = page.items.into_iter().map(|written| AuditView::of(written, &nodes)).collect();
    Ok(List { items, next: page.next })
}

/// All entries that a filter wants, newest first, as CSV. Cells that a spreadsheet would run as a formula are quoted.
pub fn csv(app: &App, caller: &Caller, filter: &Filter) -> Result<String, Problem> {
    let allowed = allow::<ExportAudit>(app, caller, &Target::Fleet, About::thing("audit", "csv", "journal"))?;
    let mut text = String::from(
        "at,clock,actor_kind,actor,address,action,permission,target_kind,target_id,target,outcome,reason,id,node_id,node\n",
    );
    let mut wanted = Wanted { limit: PAGE_MAX, ..wanted(filter)? };
    let (nodes, mut entries) = (Nodes::of(app)?, 0);
    loop {
        let page = app.store.audit(&wanted)?;
        for entry in &page.items {
            text.push_str(&line(entry, &nodes));
            entries += 1;
        }
        wanted.cursor = page.next;
        if wanted.cursor.is_none() || entries >= EXPORT_MAX {
            break;
        }
    }
    allowed.settle(crate::store::Edits::default());
    Ok(text)
}

fn line(Written { node, entry }: &Written, nodes: &Nodes) -> String {
    let quality = json!(entry.clock_quality).as_str().unwrap_or_default().to_owned();
    let outcome = json!(entry.outcome).as_str().unwrap_or_default().to_owned();
    let cells = [
        entry.at.to_string(),
        quality,
        entry.actor.kind.clone(),
        entry.actor.name.clone(),
        entry.address.clone(),
        entry.action.clone(),
        entry.permission.clone(),
        entry.target.kind.clone(),
        entry.target.id.clone(),
        entry.target.name.clone(),
        outcome,
        entry.reason.clone(),
        entry.id.to_string(),
        node.to_string(),
        nodes.name(*node),
    ];
    let mut line = cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}

/// A cell of RFC 4180; one that begins like a formula gets an apostrophe, as spreadsheets want it (OWASP, CSV injection).
fn quoted(cell: &str) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if is_formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains([',', '"', '\n', '\r', '\'']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

/// Lists the journal, newest first.
#[utoipa::path(get, path = "/api/v1/audit-events", tag = "audit", params(Filter),
    responses((status = 200, body = Object), (status = "4XX", body = Problem)))]
pub async fn get_list(
    State(app): State<App>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<List<AuditView>>, Problem> {
    blocking(move || list(&app, &caller, &filter)).await?.map(Json)
}

/// The journal as CSV, newest first.
#[utoipa::path(get, path = "/api/v1/audit-events.csv", tag = "audit", params(Filter),
    responses((status = 200, body = String, content_type = "text/csv"), (status = "4XX", body = Problem)))]
pub async fn get_csv(
    State(app): State<App>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Response, Problem> {
    let text = blocking(move || csv(&app, &caller, &filter)).await??;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"audit.csv\""),
    ];
    Ok((headers, text).into_response())
}

/// This node's journal as JSON Lines, oldest first, with the hash chain: `rakkr verify FILE` proves it offline.
#[utoipa::path(get, path = "/api/v1/audit-events.jsonl", tag = "audit",
    responses((status = 200, body = String, content_type = "application/jsonl"), (status = "4XX", body = Problem)))]
pub async fn get_jsonl(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let bytes = blocking(move || {
        let about = About::thing("audit", "jsonl", "journal");
        let allowed = allow::<ExportAudit>(&app, &caller, &Target::Fleet, about)?;
        allowed.settle(crate::store::Edits::default());
        let mut bytes = Vec::new();
        app.store.write_audit((0, 0), &mut bytes)?;
        Ok::<_, Problem>(bytes)
    })
    .await??;
    let headers = [
        (header::CONTENT_TYPE, "application/jsonl"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"audit.jsonl\""),
    ];
    Ok((headers, bytes).into_response())
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_cell_never_runs_as_a_formula() {
        assert_eq!(quoted("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("a,b"), "\"a,b\"");
    }
}
