//! What changes, pushed: JSON for programs, pieces of pages for browsers. Nothing is sent that was sent before, nothing polls.
//!
//! A stream wakes when the services say that something changed, looks anew, and sends what differs from what it sent
//! last. So a slow reader costs one look and never a queue, and a reader that comes back gets the state as it is.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::api::{incidents, node, recordings};
use super::caller::{Caller, Query};
use super::meters::too_many;
use super::pieces::Pieces;
use super::{App, Problem, blocking, pages};
use crate::sys::clock;

/// A comment line so often, so that both ends notice a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Messages that wait for a reader; one that does not read is let go.
const QUEUE: usize = 64;
/// After a look comes a rest of so long: changes without end are looked at thirty times a second at most.
const CALM: Duration = Duration::from_millis(30);
/// And of so many times as long as the look took: one page is never worth more than a third of a core.
const REST: u32 = 2;
/// But no longer: a machine that is held up for once does not hold up what is shown for twice as long.
const REST_MAX: Duration = Duration::from_millis(500);
/// Rests that were not needed are saved up to so long: what comes after a quiet time is looked at at once, and what comes
/// on its heels as well.
const SAVED: Duration = Duration::from_millis(100);

/// Events for programs: `status`, `recordings` (those that run or just changed), `incidents`, of this node, each whole when
/// it differs.
#[utoipa::path(get, path = "/api/v1/live", tag = "live",
    responses((status = 200, description = "Server-sent events", content_type = "text/event-stream", body = String), (status = "4XX", body = Problem)))]
pub async fn get_live(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let (checked, who) = (app.clone(), caller.clone());
    blocking(move || node::status(&checked, &who)).await??;
    stream(app, caller, |app, caller, pieces| {
        let status = node::status(app, caller)?;
        let node_id = Some(app.store.node().to_string());
        let recent = recordings::Filter { node_id, limit: Some(20), ..recordings::Filter::default() };
        let recordings = recordings::list(app, caller, &recent)?.items;
        let incidents = incidents::open(app, caller)?;
        pieces.tell("status", &without_clock(&status));
        pieces.tell("recordings", &serde_json::json!(recordings));
        pieces.tell("incidents", &serde_json::json!(incidents));
        Ok(())
    })
}

/// The status without what changes by itself, so that nothing is sent when nothing happened.
fn without_clock(status: &node::NodeStatus) -> serde_json::Value {
    let mut value = serde_json::json!(status);
    if let Some(map) = value.as_object_mut() {
        map.remove("uptime_seconds");
        map.remove("capture_age_seconds");
        if let Some(workers) = map.get_mut("workers").and_then(|workers| workers.as_array_mut()) {
            for worker in workers.iter_mut().filter_map(|worker| worker.as_object_mut()) {
                worker.remove("rounds");
                worker.remove("last_ok");
                worker.remove("detail");
            }
        }
    }
    value
}

/// Which page wants to follow.
#[derive(Debug, Deserialize)]
pub struct Topics {
    /// The page's name; for a recording `recording:<id>`.
    topics: String,
}

/// Pieces of a page, each as `<hx-partial>`, when they differ from what was sent.
pub async fn get_page_live(
    State(app): State<App>,
    caller: Caller,
    Query(topics): Query<Topics>,
) -> Result<Response, Problem> {
    let topic = topics.topics;
    stream(app, caller, move |app, caller, pieces| pages::partials(app, caller, &topic, pieces))
}

fn stream(
    app: App,
    caller: Caller,
    look: impl Fn(&App, &Caller, &mut Pieces) -> Result<(), Problem> + Send + Sync + Clone + 'static,
) -> Result<Response, Problem> {
    let place = app.limits.streams.clone().try_acquire_owned().map_err(|_| too_many())?;
    let (tx, rx) = mpsc::channel::<Result<Event, Infallible>>(QUEUE);
    tokio::spawn(async move {
        let _place = place;
        let mut changed = app.live.changed();
        let mut pieces = Pieces::default();
        let mut number = 0_u64;
        let mut due_us = 0;
        loop {
            changed.mark_unchanged();
            let began_us = clock::mono_us();
            let (at, who, look) = (app.clone(), caller.clone(), look.clone());
            pieces.look_again();
            let looked = blocking(move || {
                who.still_is(&at)?;
                look(&at, &who, &mut pieces)?;
                Ok::<_, Problem>(pieces)
            });
            let Ok(Ok(now)) = looked.await else { return };
            pieces = now;
            due_us = due(due_us, began_us, clock::mono_us().saturating_sub(began_us));
            for (name, text) in pieces.news() {
                number += 1;
                let event = Event::default().id(number.to_string()).data(text);
                // What goes into a page has no name: only those are swapped in.
                let event = if name.starts_with('#') { event } else { event.event(name) };
                if tx.send(Ok(event)).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                news = changed.changed() => if news.is_err() { return },
                () = tx.closed() => return,
            }
            tokio::time::sleep(Duration::from_micros(due_us.saturating_sub(clock::mono_us()))).await;
        }
    });
    Ok(sse(ReceiverStream::new(rx)))
}

/// When the next look may begin, after one that began then and took so long; microseconds. The generic cell rate algorithm
/// in its form of virtual scheduling (ITU-T I.371, annex A): each look has its due time, and may come [`SAVED`] before it.
fn due(before_us: u64, began_us: u64, took_us: u64) -> u64 {
    let rest = (Duration::from_micros(took_us) * REST).clamp(CALM, REST_MAX);
    before_us.max(began_us.saturating_sub(SAVED.as_micros() as u64)) + took_us + rest.as_micros() as u64
}

/// Server-sent events as an answer.
pub(super) fn sse(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When looks begin, milliseconds, of changes that never end, after a quiet second; each look takes so long.
    fn looks_ms<const N: usize>(took_ms: [u64; N]) -> [u64; N] {
        let (mut now_us, mut due_us) = (1_000_000, 0);
        took_ms.map(|took_ms| {
            let began_us = now_us;
            due_us = due(due_us, began_us, took_ms * 1_000);
            now_us = due_us.max(began_us + took_ms * 1_000);
            began_us / 1_000 - 1_000
        })
    }

    #[test]
    fn what_follows_a_quiet_time_is_looked_at_at_once_and_a_burst_as_often_as_looks_are_worth() {
        assert_eq!(looks_ms([2; 7]), [0, 2, 4, 6, 28, 60, 92], "what is no work: thirty times a second");
        assert_eq!(looks_ms([40; 4]), [0, 40, 140, 260], "a page that is work: a third of a core");
        assert_eq!(looks_ms([9_000, 2, 2]), [0, 9_400, 9_432], "a machine that was held up");
    }
}
