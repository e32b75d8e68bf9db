//! What access keeps in memory: the door to hashing, the throttle, the claim, one lock for changes of people.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::claim::Claiming;
use super::fleet::Us;
use super::login::Denials;
use super::passwords::{Cost, Hasher};
use super::throttle::Throttle;
use crate::store::sessions::Session;

pub(super) struct Desk {
    pub hasher: Hasher,
    /// Somebody owns this node. Once true it stays.
    pub is_claimed: AtomicBool,
    throttle: Mutex<Throttle>,
    denials: Mutex<Denials>,
    spare: Mutex<BTreeMap<String, Session>>,
    claiming: Mutex<Claiming>,
    us: Mutex<Option<Us>>,
    people: Mutex<()>,
}

impl Desk {
    pub fn new(cost: Cost) -> Self {
        Self {
            hasher: Hasher::new(cost),
            is_claimed: AtomicBool::new(false),
            throttle: Mutex::default(),
            denials: Mutex::default(),
            spare: Mutex::default(),
            claiming: Mutex::default(),
            us: Mutex::default(),
            people: Mutex::default(),
        }
    }

    pub fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn denials(&self) -> MutexGuard<'_, Denials> {
        self.denials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sessions that are on no disk, by hash.
    pub fn spare(&self) -> MutexGuard<'_, BTreeMap<String, Session>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn claiming(&self) -> MutexGuard<'_, Claiming> {
        self.claiming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How this node shows itself to others; none before it was told.
    pub fn us(&self) -> MutexGuard<'_, Option<Us>> {
        self.us.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held while people or rules change: what was checked still holds when it is written.
    pub fn people(&self) -> MutexGuard<'_, ()> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
