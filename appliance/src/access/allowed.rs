//! [`Allowed`]: the proof that someone may, and the journal's entry that waits for the outcome.

use std::collections::{BTreeSet, VecDeque};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::acts::Act;
use super::{Access, Actor, Ctx};
use crate::domain::access::Role;
use crate::store::audit::{Entry, Object, Outcome};
use crate::store::{Edits, Id, Moment, Store, StoreError};

/// Entries that may wait for a store that does not take them; older ones give way and are counted.
pub const BACKLOG_MAX: usize = 1_000;

/// What an act is about, for the journal.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// What it is done to.
    pub target: Object,
    /// What was before.
    pub before: Value,
    /// What shall be after.
    pub after: Value,
}

impl About {
    /// A thing by kind, id and name.
    pub fn thing(kind: &str, id: impl ToString, name: &str) -> Self {
        let target = Object { kind: kind.into(), id: id.to_string(), name: name.chars().take(200).collect() };
        Self { target, ..Self::default() }
    }

    /// With what shall be after.
    #[must_use]
    pub fn after(mut self, after: Value) -> Self {
        self.after = after;
        self
    }

    /// With what was before.
    #[must_use]
    pub fn before(mut self, before: Value) -> Self {
        self.before = before;
        self
    }
}

/// Someone was allowed an act of kind `A`. Used up by telling what became of it; dropped unused, the journal says that it
/// ended without a result.
#[must_use = "an act that was allowed ends with commit, settle or fail"]
pub struct Allowed<A: Act> {
    entry: Option<Entry>,
    by: String,
    user: Option<Id>,
    roles: BTreeSet<Role>,
    now: Moment,
    store: Store,
    backlog: Backlog,
    act: PhantomData<A>,
}

impl<A: Act> Allowed<A> {
    pub(super) fn new(access: &Access, ctx: &Ctx, actor: &Actor, about: About) -> Self {
        let entry = Entry {
            id: ctx.new_id(),
            at: ctx.now.wall,
            clock_quality: ctx.now.quality,
            actor: actor.named.clone(),
            address: ctx.address.clone(),
            action: A::NAME.into(),
            permission: A::PERMISSION.map(|permission| permission.name().to_owned()).unwrap_or_default(),
            target: about.target,
            outcome: Outcome::Failed,
            reason: String::new(),
            before: about.before,
            after: about.after,
            correlation_id: ctx.correlation_id.clone(),
        };
        let by = format!(
            "{}:{}",
            entry.actor.kind,
            if entry.actor.id.is_empty() { &entry.actor.name } else { &entry.actor.id }
        );
        let (store, backlog) = (access.store.clone(), access.backlog.clone());
        let (user, roles) = (actor.user, actor.roles().clone());
        Self { entry: Some(entry), by, user, roles, now: ctx.now, store, backlog, act: PhantomData }
    }

    /// Who acts, by name.
    pub fn actor(&self) -> &str {
        self.entry.as_ref().map_or("", |entry| &entry.actor.name)
    }

    /// Which person acts; none for a PIN or the machine.
    pub fn user(&self) -> Option<Id> {
        self.user
    }

    /// Whether an owner acts.
    pub(super) fn is_by_owner(&self) -> bool {
        self.roles.contains(&Role::Owner)
    }

    /// When it was allowed.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// The records, to read what a change is made of.
    pub fn records(&self) -> &Store {
        &self.store
    }

    /// No changes yet, in the actor's name.
    pub fn edits(&self) -> Edits {
        Edits::by(&self.by)
    }

    /// The thing is known better now: the recording that was started has an id.
    pub fn is_about(&mut self, id: impl ToString, name: &str) {
        if let Some(entry) = &mut self.entry {
            entry.target.id = id.to_string();
            entry.target.name = name.chars().take(200).collect();
        }
    }

    /// What was before and what shall be after, as known now.
    pub(super) fn tells(&mut self, before: Value, after: Value) {
        if let Some(entry) = &mut self.entry {
            (entry.before, entry.after) = (before, after);
        }
    }

    /// Keeps changes and the journal's entry, in one step.
    ///
    /// # Errors
    /// Neither was kept.
    pub fn commit(mut self, mut edits: Edits) -> Result<(), StoreError> {
        let Some(mut entry) = self.entry.take() else { return Ok(()) };
        entry.outcome = Outcome::Succeeded;
        edits.put_audit(&entry);
        let kept = self.store.commit(edits, self.now);
        if let Err(error) = &kept {
            entry.outcome = Outcome::Failed;
            entry.reason = error.to_string();
            self.backlog.push(entry);
        }
        kept
    }

    /// The act is done and cannot be undone: keeps changes and entry, at once or as soon as the store takes them.
    pub fn settle(mut self, mut edits: Edits) {
        let Some(mut entry) = self.entry.take() else { return };
        entry.outcome = Outcome::Succeeded;
        edits.put_audit(&entry);
        if let Err(error) = self.store.commit(edits, self.now) {
            tracing::warn!(%error, "the journal's entry waits");
            self.backlog.push(entry);
        }
    }

    /// It was tried and is not done.
    pub fn fail(self, reason: &str) {
        self.end(Outcome::Failed, reason);
    }

    pub(super) fn end(mut self, outcome: Outcome, reason: &str) {
        self.tell(outcome, reason);
    }

    fn tell(&mut self, outcome: Outcome, reason: &str) {
        let Some(mut entry) = self.entry.take() else { return };
        entry.outcome = outcome;
        entry.reason = reason.chars().take(500).collect();
        let mut edits = self.edits();
        edits.put_audit(&entry);
        if self.store.commit(edits, self.now).is_err() {
            self.backlog.push(entry);
        }
    }
}

impl<A: Act> Drop for Allowed<A> {
    fn drop(&mut self) {
        self.tell(Outcome::Failed, "it ended without a result");
    }
}

/// Entries that wait for the store.
#[derive(Clone, Default)]
pub struct Backlog(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    entries: VecDeque<Entry>,
    lost: u64,
}

impl Backlog {
    fn push(&self, entry: Entry) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.entries.len() == BACKLOG_MAX {
            waiting.entries.pop_front();
            waiting.lost += 1;
        }
        waiting.entries.push_back(entry);
    }

    /// How many wait, and how many had to give way.
    pub fn len(&self) -> (usize, u64) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (waiting.entries.len(), waiting.lost)
    }

    /// Tries to write what waits.
    ///
    /// # Errors
    /// The store still does not take it.
    pub fn flush(&self, store: &Store, now: Moment) -> Result<(), StoreError> {
        loop {
            let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).entries.front().cloned();
            let Some(entry) = next else { return Ok(()) };
            let mut edits = Edits::by("service:journal");
            edits.put_audit(&entry);
            store.commit(edits, now)?;
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.entries.front().is_some_and(|front| front.id == entry.id) {
                waiting.entries.pop_front();
            }
        }
    }
}
