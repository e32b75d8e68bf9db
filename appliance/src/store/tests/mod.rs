//! What those who hold a [`Store`] rely on.

mod crash;
mod damage;
mod followed;
mod journal;
mod many;
mod round;
mod sealed;
mod searches;

use std::collections::BTreeSet;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::recordings::{Facts, Plan};
use replicate::core::id::Stream;

use super::{Edits, Id, Moment, Opened, Store, audit};
use crate::domain::{ClockQuality, TakeId, TakeState};

const NODE: Id = Id(uuid::Uuid::from_u128(7));
const THEM: Id = Id(uuid::Uuid::from_u128(8));

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

fn moment() -> Moment {
    Moment { wall: at(0), quality: ClockQuality::Ntp, mono_us: 1 }
}

fn open(folder: &Path) -> (Store, Opened) {
    Store::open(folder, NODE, "boot", moment(), || 5).unwrap()
}

fn fresh() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).0;
    (folder, store)
}

/// Ours and theirs, on two disks.
fn two() -> (tempfile::TempDir, Store, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = |name: &str, node| Store::open(&folder.path().join(name), node, name, moment(), || 5).unwrap().0;
    let (ours, theirs) = (store("ours", NODE), store("theirs", THEM));
    (folder, ours, theirs)
}

/// The id of a recording that was ordered at second 0, whenever it begins.
fn take(number: u8) -> TakeId {
    TakeId::new(at(0), [number; 10])
}

pub fn facts(title: &str, starts: i64) -> Facts {
    Facts {
        state: TakeState::Ready,
        title: title.into(),
        started_at: at(starts),
        clock_quality: ClockQuality::Ntp,
        sample_rate: 48_000,
        duration_seconds: 60.0,
        channels: vec![(1, "Desk".into())],
        ports: vec!["system:capture_1".into()],
        gaps: (0, 0.0),
        marks: Vec::new(),
        peak_dbfs: Some(-12.5),
        bytes: 1_000,
        is_gone: false,
        was_replaced: false,
    }
}

fn plan() -> Plan {
    Plan { room: None, started_by: Some("Ada".into()), profile: "voice".into() }
}

fn commit(store: &Store, edit: impl FnOnce(&mut Edits)) -> Result<(), super::StoreError> {
    let mut edits = Edits::by("user:1");
    edit(&mut edits);
    store.commit(edits, moment())
}

/// All that one node has and the other has not, both ways, as a link between them would bring it.
pub fn meet(left: &Store, right: &Store) {
    for (from, to) in [(left, right), (right, left)] {
        for stream in Stream::ALL {
            loop {
                let export = from.logs().export(stream, &to.logs().vector(stream).unwrap()).unwrap();
                let applied = to.logs().apply(export.entries, to.stamp(moment()), true).wait().unwrap();
                assert_eq!((applied.refused, export.forks.len()), (0, 0), "{:?}", applied.refusals);
                if !export.has_more {
                    break;
                }
            }
        }
    }
}

/// Digital zero on the first channel since then.
pub fn incident(opened: i64) -> crate::domain::watch::Incident {
    use crate::domain::watch::{Incident, IncidentKind, Severity, Target};
    Incident {
        kind: IncidentKind::DeadPath,
        target: Target::Channel(1),
        severity: Severity::Critical,
        began_at: at(opened),
        opened_at: at(opened),
        clock_quality: ClockQuality::Ntp,
        times: 1,
        measure: None,
        is_acknowledged: false,
        suppressed_until: None,
        closed: None,
    }
}

fn entry(number: u128, actor: &str, action: &str, seconds: i64) -> audit::Entry {
    audit::Entry {
        id: Id(uuid::Uuid::from_u128(number)),
        at: at(seconds),
        clock_quality: ClockQuality::Ntp,
        actor: audit::Actor { kind: "user".into(), id: format!("id-{actor}"), name: actor.into() },
        address: String::new(),
        action: action.into(),
        permission: String::new(),
        target: audit::Object { kind: "recording".into(), id: format!("target-{}", number % 3), name: String::new() },
        outcome: if number.is_multiple_of(5) { audit::Outcome::Denied } else { audit::Outcome::Succeeded },
        reason: String::new(),
        before: serde_json::Value::Null,
        after: serde_json::Value::Null,
        correlation_id: String::new(),
    }
}

fn tags(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}
