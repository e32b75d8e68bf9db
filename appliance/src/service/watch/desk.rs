//! What lies between the watcher and the keeper of incidents: neither waits for the other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::domain::watch::{Incident, IncidentKind, Policy, Target};
use crate::service::Bell;
use crate::store::incidents::{Handling, Known};
use crate::store::rooms::ChannelLabel;
use crate::store::{Id, Store};

/// Incidents that may wait for a store that takes none. Those that closed first give way; what is open never does.
const UNWRITTEN_MAX: usize = 1_000;

/// Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Desk(Arc<Inner>);

struct Inner {
    node: Id,
    bell: Bell,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    policy: Policy,
    is_policy_new: bool,
    labels: Option<Vec<ChannelLabel>>,
    handled: Vec<(Id, Handling)>,
    /// Every incident that is open, as it stands: a watcher that is made anew goes on with these.
    open: BTreeMap<Id, Known>,
    suppressed: Vec<(IncidentKind, Target, Timestamp)>,
    unwritten: BTreeMap<Id, Incident>,
    given_up: u64,
}

/// What the keeper brought.
#[derive(Default)]
pub(super) struct News {
    pub policy: Option<Policy>,
    pub labels: Option<Vec<ChannelLabel>>,
    pub handled: Vec<(Id, Handling)>,
}

impl Desk {
    /// With what was open and suppressed here when the node ended; what other nodes watch is theirs. A store that cannot be read leaves the desk empty: whatever
    /// is bad now opens anew.
    pub fn open(store: &Store, now: Timestamp) -> Self {
        let mut state = State::default();
        let read = || -> Result<_, crate::store::StoreError> {
            let ours = Some(store.node());
            Ok((store.open_incidents(ours)?, store.incidents(ours, None, crate::store::incidents::PAGE_MAX)?.items))
        };
        match read() {
            Ok((open, recent)) => {
                state.open = open.into_iter().map(|known| (known.id, known)).collect();
                let suppressed = recent.into_iter().filter_map(|known| {
                    let until = known.handling.suppressed.and_then(|handled| handled.until);
                    until.filter(|until| *until > now).map(|until| (known.incident.kind, known.incident.target, until))
                });
                state.suppressed = suppressed.collect();
            }
            Err(error) => tracing::warn!("incidents of before are not known: {error}"),
        }
        Self(Arc::new(Inner { node: store.node(), bell: Bell::default(), state: Mutex::new(state) }))
    }

    /// The node whose incidents these are.
    pub(super) fn node(&self) -> Id {
        self.0.node
    }

    pub(super) fn bell(&self) -> Bell {
        self.0.bell.clone()
    }

    /// What a watcher begins with. What people did is told it as news: the one before may have ended over it.
    pub(super) fn take_up(&self) -> (Policy, Vec<Known>, Vec<(IncidentKind, Target, Timestamp)>) {
        let mut state = self.lock();
        state.handled = state.open.values().map(|known| (known.id, known.handling.clone())).collect();
        (state.policy.clone(), state.open.values().cloned().collect(), state.suppressed.clone())
    }

    /// An incident opened, changed or closed.
    pub(super) fn put(&self, known: Known) {
        let mut state = self.lock();
        match known.incident.closed {
            Some(_) => drop(state.open.remove(&known.id)),
            None => drop(state.open.insert(known.id, known.clone())),
        }
        state.unwritten.insert(known.id, known.incident);
        if state.unwritten.len() > UNWRITTEN_MAX {
            let closed = state.unwritten.iter().filter(|(_, incident)| incident.closed.is_some());
            let first = closed.min_by_key(|(_, incident)| incident.closed.map(|closed| closed.at)).map(|(id, _)| *id);
            if let Some(id) = first {
                state.unwritten.remove(&id);
                state.given_up += 1;
            }
        }
        drop(state);
        self.0.bell.ring();
    }

    /// What the keeper brought since.
    pub(super) fn news(&self) -> News {
        let mut state = self.lock();
        let is_new = std::mem::take(&mut state.is_policy_new);
        News {
            policy: is_new.then(|| state.policy.clone()),
            labels: state.labels.take(),
            handled: std::mem::take(&mut state.handled),
        }
    }

    /// What waits to be written, and how many had to give way.
    pub(super) fn unwritten(&self) -> (BTreeMap<Id, Incident>, u64) {
        let state = self.lock();
        (state.unwritten.clone(), state.given_up)
    }

    /// These are written, unless they changed meanwhile.
    pub(super) fn written(&self, incidents: &BTreeMap<Id, Incident>) {
        self.lock().unwritten.retain(|id, incident| incidents.get(id) != Some(incident));
    }

    pub(super) fn set_policy(&self, policy: Policy) {
        let mut state = self.lock();
        if state.policy != policy {
            state.policy = policy;
            state.is_policy_new = true;
        }
    }

    pub(super) fn set_labels(&self, labels: Vec<ChannelLabel>) {
        self.lock().labels = Some(labels);
    }

    /// What people did about one that is open, if that is new.
    pub(super) fn set_handling(&self, id: Id, handling: Handling) {
        let mut state = self.lock();
        let Some(known) = state.open.get_mut(&id).filter(|known| known.handling != handling) else { return };
        known.handling = handling.clone();
        if let Some(until) = handling.suppressed.as_ref().and_then(|handled| handled.until) {
            let (kind, target) = (known.incident.kind, known.incident.target);
            state.suppressed.retain(|(k, t, _)| (*k, *t) != (kind, target));
            state.suppressed.push((kind, target, until));
        }
        state.handled.push((id, handling));
    }

    pub(super) fn open_ids(&self) -> Vec<Id> {
        self.lock().open.keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
