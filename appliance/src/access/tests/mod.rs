//! A node's access over a store in a folder of its own.

mod choosing;
mod claiming;
mod fleet;
mod identity;
mod people;
mod sessions;

use std::sync::atomic::{AtomicU8, Ordering};

use jiff::{SignedDuration, Timestamp};

use super::passwords::Cost;
use super::{Access, Claimed, Ctx, NewOwner};
use crate::domain::ClockQuality;
use crate::store::{Id, Moment, Store};

pub const PASSWORD: &str = "copper lantern drifts past noon";

pub struct Desk {
    pub folder: tempfile::TempDir,
    pub access: Access,
    seed: AtomicU8,
    seconds: std::cell::Cell<i64>,
}

pub fn moment(seconds: i64) -> Moment {
    let wall = Timestamp::from_second(1_790_000_000).unwrap() + SignedDuration::from_secs(seconds);
    Moment { wall, quality: ClockQuality::Ntp, mono_us: 5_000_000 + seconds as u64 * 1_000_000 }
}

impl Desk {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = Id::new(moment(0).wall, [7; 10]);
        let (store, _) = Store::open(folder.path(), node, "boot", moment(0), || 1).unwrap();
        let access = Access::with_cost(store, Cost::CHEAP);
        Self { folder, access, seed: AtomicU8::new(1), seconds: std::cell::Cell::new(0) }
    }

    /// Some seconds pass.
    pub fn wait(&self, seconds: i64) {
        self.seconds.set(self.seconds.get() + seconds);
    }

    pub fn now(&self) -> Moment {
        moment(self.seconds.get())
    }

    pub fn ctx(&self) -> Ctx {
        self.ctx_from("192.0.2.1")
    }

    pub fn ctx_from(&self, address: &str) -> Ctx {
        let mut seed = [3; 32];
        seed[0] = self.seed.fetch_add(1, Ordering::Relaxed);
        seed[1] = (self.seconds.get() % 251) as u8;
        Ctx::new(self.now(), seed, address, "test")
    }

    pub fn open_claiming(&self) -> String {
        self.access.open_claiming(self.folder.path(), 30, &self.ctx()).unwrap();
        std::fs::read_to_string(self.folder.path().join("claim-code")).unwrap().trim().to_owned()
    }

    pub fn claimed() -> (Self, Claimed) {
        let desk = Self::new();
        let code = desk.open_claiming();
        let claimed = desk.access.claim(&desk.ctx(), owner(&code)).unwrap();
        (desk, claimed)
    }
}

pub fn owner(code: &str) -> NewOwner {
    NewOwner {
        code: code.to_owned(),
        name: "Anna Example".into(),
        email: "anna@example.org".into(),
        password: PASSWORD.into(),
        room: "Courtroom 4".into(),
        time_zone: "Europe/Berlin".into(),
    }
}

impl Desk {
    pub fn actor(&self, cookie: &str) -> super::Actor {
        self.access.authenticate(&self.ctx(), super::Shown::Cookie(cookie)).unwrap()
    }

    pub fn is_in(&self, cookie: &str) -> bool {
        self.access.authenticate(&self.ctx(), super::Shown::Cookie(cookie)).is_ok()
    }

    pub fn allow<A: super::acts::Act>(&self, actor: &super::Actor) -> super::Allowed<A> {
        let target = crate::domain::access::Target::Fleet;
        self.access.allow(&self.ctx(), actor, &target, super::About::default()).unwrap()
    }

    pub fn journal(&self, action: &str) -> Vec<crate::store::audit::Entry> {
        let query = crate::store::audit::Query { action: Some(action.into()), limit: 500, ..Default::default() };
        let found = self.access.store().audit(&query).unwrap().items;
        found.into_iter().map(|written| written.entry).collect()
    }
}
