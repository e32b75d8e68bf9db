//! Commands on recordings, as pages and the API give them: started, stopped, extended, paused, marked.
//!
//! Plain functions that block until capture has answered. Each takes what `access` allowed and uses it up: the journal
//! says what became of it. What capture did cannot be undone by a store that takes nothing, so the journal may wait for
//! it: recording has priority. Times and lengths of a recording are capture's, never ours.

use serde_json::Value;

use crate::access::Allowed;
use crate::access::acts::{
    Act, ExtendRecording, MarkRecording, PauseRecording, ResumeRecording, StartRecording, StopRecording,
};
use crate::capture::orders::{self, Offline};
use crate::capture::socket::client::{Client, ClientError};
use crate::capture::socket::{Request, Start};
use crate::capture::status::Status;
use crate::capture::take::DataDir;
use crate::domain::order::{MAX_LENGTH_SECONDS, MAX_PRE_ROLL_SECONDS, MAX_TITLE_BYTES, StoredAs};
use crate::domain::{Channels, Order, TakeId, TakeInfo, TakeState};
use crate::store::Id;
use crate::store::recordings::Plan;
use crate::sys::rng;

use super::{bytes_of, facts_of_order, facts_of_take, made_at, name_channels};

/// A recording to begin now.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRecording {
    /// For people; may be empty.
    pub title: String,
    /// What to record.
    pub channels: Channels,
    /// Which profile its copies are made by.
    pub profile: String,
    /// How much of what was before.
    pub pre_roll_seconds: f64,
    /// How long; none is until stopped.
    pub duration_seconds: Option<f64>,
    /// In which room.
    pub room: Option<Id>,
}

/// Why a command was not done. The texts say what happened, what it means and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Capture does not answer (503).
    #[error("{0}")]
    NotRunning(String),
    /// There is no such recording (404).
    #[error("there is no such recording")]
    NotFound,
    /// As things stand it cannot be (409).
    #[error("{0}")]
    Impossible(String),
    /// What was asked for can never be (422).
    #[error("{field}: {text}")]
    Invalid {
        /// Which part of the question.
        field: &'static str,
        /// What is wrong with it.
        text: String,
    },
    /// The machine failed (500).
    #[error("{0}")]
    Failed(String),
}

/// Starts a recording; its id is capture's. While capture is down the order is written for it, and the recording begins
/// when capture does.
///
/// # Errors
/// It was not started.
pub fn start(data: &DataDir, mut allowed: Allowed<StartRecording>, new: NewRecording) -> Result<TakeId, ControlError> {
    let started = check(&new).and_then(|()| ask_start(data, &allowed, &new));
    let order = match started {
        Ok(order) => order,
        Err(error) => return Err(failed(allowed, error)),
    };
    let id = order.id;
    allowed.is_about(id, &new.title);
    let mut edits = allowed.edits();
    let plan = Plan { room: new.room, started_by: Some(allowed.actor().to_owned()), profile: new.profile };
    edits.put_plan(id, &plan);
    // Whether frames arrive is for the recorder to see on disk: until then it is only ordered.
    edits.put_facts(id, &facts_of_order(&order));
    allowed.settle(edits);
    Ok(id)
}

/// Ends a recording now, and returns when it is whole on disk. One that has not begun is cancelled.
///
/// # Errors
/// It was not stopped.
pub fn stop(data: &DataDir, allowed: Allowed<StopRecording>, id: TakeId) -> Result<TakeInfo, ControlError> {
    let stopped = ask(data, &Request::Stop { id }).map(|_| ()).or_else(|error| match error {
        ControlError::NotRunning(_) => stop_offline(data, &allowed, id),
        other => Err(other),
    });
    let info = stopped.map_err(|error| not_found(data, id, error)).and_then(|()| became(data, id));
    match info {
        Ok(info) => {
            let mut edits = allowed.edits();
            if info.state != TakeState::Scheduled {
                let mut facts = facts_of_take(&info, bytes_of(&data.take(id), &info));
                let known = allowed.records().recording(id).ok().flatten().map(|known| known.facts);
                let labels = allowed.records().channels().unwrap_or_default();
                name_channels(&mut facts, known.as_ref(), &labels);
                edits.put_facts(id, &facts);
            }
            allowed.settle(edits);
            Ok(info)
        }
        Err(error) => Err(failed(allowed, error)),
    }
}

/// Moves a recording's planned end away by so many seconds; returns its planned length, counted from the ordered start.
///
/// # Errors
/// It has no end, it is over, or capture does not answer.
pub fn extend(
    data: &DataDir,
    allowed: Allowed<ExtendRecording>,
    id: TakeId,
    seconds: f64,
) -> Result<f64, ControlError> {
    if !(seconds > 0.0 && seconds <= MAX_LENGTH_SECONDS) {
        let text = format!("must be above 0 and at most {MAX_LENGTH_SECONDS}");
        return Err(failed(allowed, ControlError::Invalid { field: "seconds", text }));
    }
    let extended = ask(data, &Request::Extend { id, seconds }).and_then(|answer| {
        still_runs(data, id)?;
        Ok(answer["planned_seconds"].as_f64().unwrap_or_default())
    });
    let extended = extended.or_else(|error| match error {
        ControlError::NotRunning(_) => extend_offline(data, &allowed, id, seconds),
        other => Err(other),
    });
    end(data, allowed, id, extended)
}

/// Keeps nothing from now on; returns the take's frame.
///
/// # Errors
/// It does not run, or is paused already.
pub fn pause(data: &DataDir, allowed: Allowed<PauseRecording>, id: TakeId) -> Result<u64, ControlError> {
    edge(data, allowed, id, &Request::Pause { id })
}

/// Keeps again from now on; returns the take's frame.
///
/// # Errors
/// It does not run, or is not paused.
pub fn resume(data: &DataDir, allowed: Allowed<ResumeRecording>, id: TakeId) -> Result<u64, ControlError> {
    edge(data, allowed, id, &Request::Resume { id })
}

/// Marks this moment; returns the take's frame.
///
/// # Errors
/// It does not run, or the label is too long.
pub fn mark(data: &DataDir, allowed: Allowed<MarkRecording>, id: TakeId, label: &str) -> Result<u64, ControlError> {
    if label.len() > MAX_TITLE_BYTES {
        let text = format!("is longer than {MAX_TITLE_BYTES} bytes");
        return Err(failed(allowed, ControlError::Invalid { field: "label", text }));
    }
    edge(data, allowed, id, &Request::Mark { id, label: label.to_owned() })
}

fn edge<A: Act>(data: &DataDir, allowed: Allowed<A>, id: TakeId, request: &Request) -> Result<u64, ControlError> {
    let frame = ask(data, request).map(|answer| answer["frame"].as_u64().unwrap_or_default());
    end(data, allowed, id, frame)
}

/// Writes into the journal what became of it, and hands it on.
fn end<A: Act, T>(
    data: &DataDir,
    allowed: Allowed<A>,
    id: TakeId,
    result: Result<T, ControlError>,
) -> Result<T, ControlError> {
    match result {
        Ok(done) => {
            let edits = allowed.edits();
            allowed.settle(edits);
            Ok(done)
        }
        Err(error) => Err(failed(allowed, not_found(data, id, error))),
    }
}

fn failed<A: Act>(allowed: Allowed<A>, error: ControlError) -> ControlError {
    allowed.fail(&error.to_string());
    error
}

/// A refusal about a recording that is neither on disk nor ordered means that there is none.
fn not_found(data: &DataDir, id: TakeId, error: ControlError) -> ControlError {
    let is_known =
        || data.take(id).path().exists() || orders::load(&data.orders()).is_ok_and(|orders| orders.get(id).is_some());
    match error {
        ControlError::Impossible(_) if !is_known() => ControlError::NotFound,
        other => other,
    }
}

fn ask(data: &DataDir, request: &Request) -> Result<Value, ControlError> {
    Ok(Client::connect(data)?.ask(request)?)
}

impl From<ClientError> for ControlError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NotRunning(_) | ClientError::Broken(_) => Self::NotRunning(
                "The recorder does not answer. What it was told before goes on; this was not done. It is started again \
                 by itself: try again in a moment."
                    .into(),
            ),
            ClientError::Refused(why) => Self::Impossible(why),
        }
    }
}

/// What can be known to be wrong without asking.
fn check(new: &NewRecording) -> Result<(), ControlError> {
    let invalid = |field, text| Err(ControlError::Invalid { field, text });
    if new.title.len() > MAX_TITLE_BYTES {
        return invalid("title", format!("is longer than {MAX_TITLE_BYTES} bytes"));
    }
    if new.channels == Channels::Numbers(Vec::new()) {
        return invalid("channels", "is empty: name at least one, or all".into());
    }
    if !(0.0..=MAX_PRE_ROLL_SECONDS).contains(&new.pre_roll_seconds) {
        return invalid("pre_roll_seconds", format!("must lie between 0 and {MAX_PRE_ROLL_SECONDS}"));
    }
    match new.duration_seconds {
        Some(length) if !(length > 0.0 && length <= MAX_LENGTH_SECONDS) => {
            invalid("duration_seconds", format!("must be above 0 and at most {MAX_LENGTH_SECONDS}"))
        }
        _ => Ok(()),
    }
}

fn ask_start(data: &DataDir, allowed: &Allowed<StartRecording>, new: &NewRecording) -> Result<Order, ControlError> {
    // Once more after "it is running after all": capture was just starting.
    let mut client = match Client::connect(data) {
        Ok(client) => client,
        Err(ClientError::NotRunning(_)) => match start_offline(data, allowed, new)? {
            Offline::Done(order) => return Ok(order),
            Offline::Running => Client::connect(data)?,
        },
        Err(error) => return Err(error.into()),
    };
    let start = Start {
        title: new.title.clone(),
        channels: new.channels.clone(),
        at: None,
        for_seconds: new.duration_seconds,
        pre_roll_seconds: new.pre_roll_seconds,
        stored_as: StoredAs::Pcm24,
    };
    let answer = match client.ask(&Request::Start(start)) {
        Ok(answer) => answer,
        Err(ClientError::Refused(why)) => return Err(why_refused(&mut client, new, why)),
        Err(error) => return Err(error.into()),
    };
    let id = answer["id"].as_str().and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| ControlError::Failed("the recorder gave no id: update both programs".into()))?;
    Ok(order(id, allowed, new))
}

/// The order as it was meant; capture stamps its own start, some milliseconds later.
fn order(id: TakeId, allowed: &Allowed<StartRecording>, new: &NewRecording) -> Order {
    Order {
        id,
        title: new.title.clone(),
        channels: new.channels.clone(),
        start: allowed.now().wall,
        stop: None,
        length_seconds: new.duration_seconds,
        pre_roll_seconds: new.pre_roll_seconds,
        stored_as: StoredAs::Pcm24,
    }
}

/// A refused start names a field if it is about one.
fn why_refused(client: &mut Client, new: &NewRecording, why: String) -> ControlError {
    let status = client.ask(&Request::Status).ok();
    let status = status.and_then(|mut answer| serde_json::from_value::<Status>(answer["status"].take()).ok());
    let channels = status.map_or(0, |status| u16::try_from(status.channels.len()).unwrap_or(u16::MAX));
    match new.channels.resolve(channels) {
        Err(text) if channels > 0 => ControlError::Invalid { field: "channels", text },
        _ if why.contains("pre-roll") => ControlError::Invalid { field: "pre_roll_seconds", text: why },
        _ => ControlError::Impossible(why),
    }
}

fn start_offline(
    data: &DataDir,
    allowed: &Allowed<StartRecording>,
    new: &NewRecording,
) -> Result<Offline<Order>, ControlError> {
    let broken = |error: &dyn std::fmt::Display| {
        ControlError::Failed(format!("The recorder is down and the order for it cannot be written: {error}"))
    };
    let chance = rng::ten_bytes().map_err(|error| broken(&error))?;
    let done = orders::offline(data, |set| {
        let last = orders::last_id(data, set).map_err(|error| error.to_string())?;
        let order = order(TakeId::after(last, allowed.now().wall, chance), allowed, new);
        set.insert(order.clone())?;
        Ok(order)
    });
    done.map_err(|error| broken(&error))
}

fn stop_offline(data: &DataDir, allowed: &Allowed<StopRecording>, id: TakeId) -> Result<(), ControlError> {
    let was_begun = data.take(id).path().exists();
    let stopped = orders::offline(data, |set| {
        let order = set.get_mut(id).ok_or(format!("recording {id} is neither running nor ordered"))?;
        order.stop = Some(allowed.now().wall.max(order.start));
        if !was_begun {
            // Left in the set it would be told as missed when its time comes.
            set.remove(id);
        }
        Ok(())
    });
    match stopped.map_err(|error| ControlError::Impossible(error.to_string()))? {
        Offline::Done(()) => Ok(()),
        Offline::Running => ask(data, &Request::Stop { id }).map(|_| ()),
    }
}

fn extend_offline(
    data: &DataDir,
    allowed: &Allowed<ExtendRecording>,
    id: TakeId,
    seconds: f64,
) -> Result<f64, ControlError> {
    let extended = orders::offline(data, |set| {
        let order = set.get_mut(id).ok_or(format!("recording {id} is neither running nor ordered"))?;
        order.extend(seconds, allowed.now().wall)?;
        Ok(order.planned_seconds().unwrap_or_default())
    });
    match extended.map_err(|error| ControlError::Impossible(error.to_string()))? {
        Offline::Done(planned) => Ok(planned),
        Offline::Running => {
            let answer = ask(data, &Request::Extend { id, seconds })?;
            Ok(answer["planned_seconds"].as_f64().unwrap_or_default())
        }
    }
}

/// An order that is extended in the moment its recording ends is still there; the recording is not.
fn still_runs(data: &DataDir, id: TakeId) -> Result<(), ControlError> {
    let is_closed = data.take(id).load().is_ok_and(|take| take.is_closed());
    match is_closed {
        true => Err(ControlError::Impossible("it ended just now, as planned: start another recording".into())),
        false => Ok(()),
    }
}

/// The recording after it was stopped; one that never began is as it was ordered, and has nothing.
fn became(data: &DataDir, id: TakeId) -> Result<TakeInfo, ControlError> {
    if !data.take(id).path().exists() {
        let start = crate::domain::TakeInfo::scheduled(&Order {
            id,
            title: String::new(),
            channels: Channels::All,
            start: made_at(id),
            stop: None,
            length_seconds: None,
            pre_roll_seconds: 0.0,
            stored_as: StoredAs::Pcm24,
        });
        return Ok(start);
    }
    let loaded = data.take(id).load().map_err(|error| {
        ControlError::Failed(format!("It was stopped, but its log cannot be read: {error}. Its audio is untouched."))
    })?;
    Ok(loaded.info(false))
}
