//! Nodes of one process, with real records and keys, that meet when a test says so.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::*;
use crate::access::identity::{self, Identity};
use crate::access::sealing::{self, KEY_FILE};
use crate::access::{Access, passwords::Cost};
use crate::domain::ClockQuality;
use crate::fleet::tests::RUNTIME;
use crate::fleet::{Forgetting, Parts};
use crate::service::live::Live;
use crate::store::Moment;
use crate::store::fleet::{Fleet as FleetName, Key, Member, Profile};
use crate::store::replacements::Replacement;
use crate::store::tests::meet;

const VALUE: &[u8] = b"copper lantern drifts past noon";

fn now() -> Moment {
    let wall = Timestamp::from_second(1_790_000_000).unwrap();
    Moment { wall, quality: ClockQuality::Ntp, mono_us: 5_000_000 }
}

/// Other chance each time it is asked for.
fn ctx() -> Ctx {
    Ctx::new(now(), rng::bytes().unwrap(), "", "test")
}

struct One {
    fleet: Fleet,
    identity: Arc<Identity>,
    home: tempfile::TempDir,
}

impl One {
    fn new(name: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("records"), Id::of_name(name), "boot", now(), || 1).unwrap().0;
        Self::of(home, store)
    }

    fn of(home: tempfile::TempDir, store: Store) -> Self {
        let access = Access::with_cost(store, Cost::CHEAP);
        let identity = Arc::new(identity::tls(home.path(), "rakkr", &[], &ctx()).unwrap().0);
        let sealing = Arc::new(sealing::box_key(home.path(), &ctx()).unwrap().0);
        let (data, live, runtime) = (home.path().to_owned(), Live::new(), RUNTIME.handle().clone());
        let parts = Parts {
            data,
            access,
            live,
            identity: identity.clone(),
            sealing,
            links: runtime.clone(),
            runtime,
            forgetting: Forgetting::default(),
        };
        Self { fleet: Fleet::idle(parts), identity, home }
    }

    fn store(&self) -> &Store {
        &self.fleet.0.store
    }

    fn id(&self) -> Id {
        self.store().node()
    }

    fn commit(&self, edit: impl FnOnce(&mut Edits)) {
        let mut edits = Edits::by("service:test");
        edit(&mut edits);
        self.store().commit(edits, now()).unwrap();
    }

    fn member(&self, name: &str) -> Member {
        let key = Some(Key { spki: hex(&self.identity.spki), certificate: "MII=".into() });
        let (name, addresses) = (name.into(), Vec::new());
        let profile = Profile { name, addresses, priority: 0, is_keeper: true, is_candidate: true, weight: 1 };
        Member { id: self.id(), key, profile, joined: None, is_retired: false, version: String::new() }
    }

    /// One turn of the loop, with all others in reach.
    fn turn(&self, coordinator: &One) -> Turn {
        let may = if self.id() == coordinator.id() { Ok(()) } else { Err("it does not coordinate".to_owned()) };
        let near = self.store().members().unwrap().into_iter().map(|member| member.id).collect();
        self.fleet.turn(&ctx(), &Seat { coordinator: Some(coordinator.id()), near, may }).unwrap()
    }

    fn set(&self, name: &str, value: &[u8]) -> Result<(), SecretError> {
        let about = About::thing("secret", name, name);
        let access = &self.fleet.0.access;
        let allowed = access.allow::<SetSecret>(&ctx(), &Actor::service("test"), &Target::Fleet, about).unwrap();
        self.fleet.set_secret(&ctx(), allowed, name, &Clear::new(value.to_vec()))
    }

    fn delete(&self, name: &str) -> Result<(), SecretError> {
        let access = &self.fleet.0.access;
        let (ctx, actor) = (ctx(), Actor::service("test"));
        let allowed = access.allow::<DeleteSecret>(&ctx, &actor, &Target::Fleet, About::default()).unwrap();
        self.fleet.delete_secret(allowed, name)
    }

    fn opens(&self, name: &str) -> Option<Vec<u8>> {
        self.fleet.open_secret(name).ok().map(|clear| clear.reveal().to_vec())
    }

    fn state(&self, name: &str) -> SecretState {
        self.fleet.secrets().unwrap().secrets.into_iter().find(|state| state.secret.name == name).unwrap()
    }

    fn number(&self) -> u64 {
        self.store().generations().unwrap().last().map_or(0, |generation| generation.number)
    }

    fn retires(&self, other: &One) {
        let words = self.store().last_words(other.id()).unwrap();
        self.commit(|edits| edits.retire(other.id(), &words));
    }
}

/// All have each other's records and nothing is left to do; the first coordinates.
fn settle(nodes: &[&One]) {
    for _ in 0..20 {
        for (place, left) in nodes.iter().enumerate() {
            nodes[place + 1..].iter().for_each(|right| meet(left.store(), right.store()));
        }
        let turns: Vec<Turn> = nodes.iter().map(|node| node.turn(nodes[0])).collect();
        if turns.iter().all(|turn| turn.next == LOOK_ANEW) {
            return;
        }
    }
    panic!("it never comes to rest");
}

fn fleet_of<const N: usize>(names: [&str; N]) -> [One; N] {
    let nodes = names.map(One::new);
    nodes[0].commit(|edits| {
        edits.put_fleet(&FleetName { id: Id::of_name("fleet"), name: "Court".into() });
        nodes.iter().zip(names).for_each(|(node, name)| edits.put_member(&node.member(name)));
    });
    settle(&nodes.iter().collect::<Vec<_>>());
    nodes
}

/// Whether bytes stand in any file below a folder.
fn is_in_files(folder: &Path, wanted: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => is_in_files(&path, wanted),
        false => std::fs::read(&path).unwrap().windows(wanted.len()).any(|window| window == wanted),
    })
}

#[test]
fn what_is_set_on_one_node_opens_on_all_and_lies_nowhere_in_clear() {
    let nodes = fleet_of(["a", "b", "c"]);
    nodes[1].set("s3.key", VALUE).unwrap();
    settle(&nodes.each_ref());
    let mut all: Vec<Id> = nodes.iter().map(One::id).collect();
    all.sort();
    for node in &nodes {
        assert_eq!(node.opens("s3.key").as_deref(), Some(VALUE));
        let state = node.state("s3.key");
        assert_eq!((state.opens_here, state.opened_by, state.known_to), (true, all.clone(), Vec::new()));
        assert_eq!(state.secret.set[0].node, nodes[1].id());
    }
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode(VALUE);
    for node in &nodes {
        assert!(is_in_files(node.home.path(), b"s3.key"), "the name is there, so the records were looked at");
        assert!(!is_in_files(node.home.path(), VALUE));
        assert!(!is_in_files(node.home.path(), &encoded.as_bytes()[..24]));
    }
    let mut backup = Vec::new();
    nodes[0].store().backup(nodes[0].home.path(), now().wall, &mut backup).unwrap();
    let key = std::fs::read_to_string(nodes[0].home.path().join(KEY_FILE)).unwrap();
    assert!(!String::from_utf8(backup).unwrap().contains(&base64::engine::general_purpose::STANDARD.encode(key)));
}

#[test]
fn who_was_retired_opens_nothing_that_is_sealed_afterwards() {
    let [a, b, c] = fleet_of(["a", "b", "c"]);
    a.set("s3", VALUE).unwrap();
    a.set("smb", b"other").unwrap();
    settle(&[&a, &b, &c]);
    let before = a.state("s3").secret;
    a.retires(&c);
    settle(&[&a, &b]);

    assert_eq!((a.number(), b.number()), (2, 2));
    let state = b.state("s3");
    assert!(state.opens_here && state.is_present);
    assert_eq!(state.known_to, [Gone { node: c.id(), is_replaced: false }], "its value should be changed");
    // With everything that the fleet has now, and its own key.
    let present = a.store().generations().unwrap().pop().unwrap();
    let stolen = Ring { fleet: &c.fleet, keys: BTreeMap::new() };
    for envelope in a.store().envelopes(present.id).unwrap() {
        assert!(stolen.fleet.0.sealing.open(&envelope).is_none());
    }
    meet(a.store(), c.store());
    a.set("s3", b"changed at its source").unwrap();
    meet(a.store(), c.store());
    assert_eq!((c.opens("s3"), c.opens("smb").is_some()), (None, true), "what it knew it knows");
    assert!(Ring { fleet: &c.fleet, keys: BTreeMap::new() }.open(&before).unwrap().is_some());
    settle(&[&a, &b]);
    assert_eq!((a.state("s3").known_to, a.state("smb").known_to.len()), (Vec::new(), 1));
    assert_eq!(b.opens("s3").as_deref(), Some(b"changed at its source".as_slice()));
}

#[test]
fn a_box_that_was_replaced_is_out_and_the_new_one_is_in() {
    let [a, b] = fleet_of(["a", "b"]);
    a.set("s3", VALUE).unwrap();
    settle(&[&a, &b]);
    let spki = hex(&b.identity.spki);
    let until = a.store().incarnation_above(b.id()).unwrap();
    let home = tempfile::tempdir().unwrap();
    let (at, words) = (now().wall, a.store().last_words(b.id()).unwrap());
    let store = Store::open_above(&home.path().join("records"), (b.id(), until), "new", now(), || 2).unwrap().0;
    let new = One::of(home, store);
    let done = Replacement { node: b.id(), at, by: "Ana".into(), through: a.id(), spki, until, words };
    a.commit(|edits| {
        edits.put_member_key(b.id(), &Key { spki: hex(&new.identity.spki), certificate: "MII=".into() });
        edits.put_replacement(Id::of_name("done"), &done);
    });
    settle(&[&a, &new]);
    assert_eq!((a.number(), new.opens("s3").as_deref()), (2, Some(VALUE)));
    assert_eq!(a.state("s3").known_to, [Gone { node: b.id(), is_replaced: true }]);
    let present = a.store().generations().unwrap().pop().unwrap();
    assert!(a.store().envelopes(present.id).unwrap().iter().all(|envelope| b.fleet.0.sealing.open(envelope).is_none()));
}

#[test]
fn a_change_that_was_cut_off_is_finished() {
    let [a, b, c] = fleet_of(["a", "b", "c"]);
    a.set("s3", VALUE).unwrap();
    settle(&[&a, &b, &c]);
    a.retires(&c);
    // As far as its first batch: the generation, and this box's envelope.
    let key = FleetKey::of_chance(&ctx());
    let number = 2;
    let (id, at, why) = (Id::of_name("two"), now().wall, "cut off".to_owned());
    a.commit(|edits| {
        edits.put_generation(&Generation { id, number, at, by: a.id(), why });
        edits.put_envelope(&key.seal_to(id, &a.fleet.own_box(), &ctx()).unwrap());
    });
    meet(a.store(), b.store());
    assert!(matches!(b.set("new", b"x"), Err(SecretError::NoKey(_))), "never with the key that c has");
    settle(&[&a, &b]);
    assert_eq!((a.number(), b.opens("s3").as_deref()), (2, Some(VALUE)));
    assert!(b.state("s3").is_present);
}

#[test]
fn what_was_set_with_the_old_key_on_the_other_side_is_sealed_anew() {
    let [a, b, c] = fleet_of(["a", "b", "c"]);
    b.set("s3", VALUE).unwrap();
    settle(&[&a, &b, &c]);
    a.retires(&c);
    a.turn(&a);
    a.turn(&a);
    assert_eq!((a.number(), a.state("s3").is_present), (2, true), "sealed anew here");
    // Meanwhile, where none of that is known.
    b.set("s3", b"set anew").unwrap();
    b.set("late", VALUE).unwrap();
    settle(&[&a, &b]);
    for node in [&a, &b] {
        assert_eq!(node.opens("s3").as_deref(), Some(b"set anew".as_slice()), "what a person said counts");
        let (s3, late) = (node.state("s3"), node.state("late"));
        assert_eq!((s3.secret.set.len(), s3.is_present, late.is_present), (1, true, true));
        assert_eq!(late.known_to, [Gone { node: c.id(), is_replaced: false }], "it had the key that was used");
    }
    assert_eq!(a.store().held().unwrap(), [], "nothing of this is for a person to choose");
    // Who comes in later has the present key alone.
    let new = One::new("new");
    a.commit(|edits| edits.put_member(&new.member("new")));
    settle(&[&a, &b, &new]);
    assert_eq!(new.opens("s3").as_deref(), Some(b"set anew".as_slice()));
    let earlier = new.store().generations().unwrap()[0].id;
    assert!(new.store().envelopes_for(earlier, new.fleet.0.sealing.public()).unwrap().is_empty());
}

#[test]
fn two_sides_that_each_changed_the_key_come_to_one() {
    let [a, b, c, d] = fleet_of(["a", "b", "c", "d"]);
    a.set("s3", VALUE).unwrap();
    settle(&[&a, &b, &c, &d]);
    a.retires(&c);
    b.retires(&d);
    a.turn(&a);
    b.turn(&b);
    let other = |node: &One| node.store().generations().unwrap().pop().unwrap().id;
    assert!(a.number() == 2 && b.number() == 2 && other(&a) != other(&b));
    a.set("left", b"1").unwrap();
    b.set("right", b"2").unwrap();
    settle(&[&a, &b]);
    // Either of the two was given to somebody who is out.
    assert_eq!((a.number(), other(&a)), (3, other(&b)));
    for node in [&a, &b] {
        for (name, value) in [("s3", VALUE), ("left", b"1"), ("right", b"2")] {
            assert_eq!(node.opens(name).as_deref(), Some(value), "{name}");
            assert!(node.state(name).is_present);
        }
        for gone in [&c, &d] {
            let present = node.store().envelopes(other(&a)).unwrap();
            assert!(present.iter().all(|envelope| gone.fleet.0.sealing.open(envelope).is_none()));
        }
    }
}

#[test]
fn the_same_envelope_made_twice_is_nothing_to_choose() {
    let [a, b] = fleet_of(["a", "b"]);
    a.set("s3", VALUE).unwrap();
    let new = One::new("new");
    a.commit(|edits| edits.put_member(&new.member("new")));
    meet(a.store(), new.store());
    new.turn(&a);
    meet(new.store(), b.store());
    meet(new.store(), a.store());
    a.turn(&a);
    b.turn(&b);
    settle(&[&a, &b, &new]);
    let present = a.store().generations().unwrap().pop().unwrap();
    let public = new.fleet.0.sealing.public();
    assert_eq!(a.store().envelopes_for(present.id, public).unwrap().len(), 2);
    assert_eq!((new.opens("s3").as_deref(), a.store().held().unwrap().len()), (Some(VALUE), 0));
}

#[test]
fn a_secret_that_was_set_in_two_ways_says_so_until_it_is_set_again() {
    let [a, b] = fleet_of(["a", "b"]);
    a.set("s3", b"here").unwrap();
    b.set("s3", b"there").unwrap();
    settle(&[&a, &b]);
    assert_eq!((a.state("s3").secret.set.len(), a.opens("s3")), (2, b.opens("s3")));
    b.set("s3", b"once").unwrap();
    settle(&[&a, &b]);
    assert_eq!((a.state("s3").secret.set.len(), a.opens("s3").as_deref()), (1, Some(b"once".as_slice())));
}

#[test]
fn a_secret_that_was_deleted_is_gone_and_can_be_set_again() {
    let [a, b] = fleet_of(["a", "b"]);
    assert!(matches!(a.delete("s3"), Err(SecretError::None)));
    a.set("s3", VALUE).unwrap();
    settle(&[&a, &b]);
    b.delete("s3").unwrap();
    settle(&[&a, &b]);
    assert!(matches!(a.fleet.open_secret("s3"), Err(SecretError::None)));
    assert_eq!(a.fleet.secrets().unwrap().secrets, []);
    assert!(matches!(b.delete("s3"), Err(SecretError::None)));
    a.set("s3", b"again").unwrap();
    settle(&[&a, &b]);
    assert_eq!((b.opens("s3").as_deref(), b.state("s3").secret.set.len()), (Some(b"again".as_slice()), 1));
}

#[test]
fn a_fleet_of_one_whose_key_was_lost_sets_its_secrets_again() {
    let [a] = fleet_of(["a"]);
    a.set("s3", VALUE).unwrap();
    let One { fleet, home, .. } = a;
    std::fs::remove_file(home.path().join(KEY_FILE)).unwrap();
    // A backup has the records and the node's key, and not this one.
    let a = One::of(home, fleet.0.store.clone());
    settle(&[&a]);
    let state = a.state("s3");
    assert_eq!((a.number(), state.opens_here, state.opened_by), (2, false, Vec::new()));
    a.set("s3", b"again").unwrap();
    settle(&[&a]);
    assert_eq!(a.opens("s3").as_deref(), Some(b"again".as_slice()));
}

#[test]
fn what_is_too_much_is_refused_and_changes_nothing() {
    let [a] = fleet_of(["a"]);
    for name in ["", ".", "-a", "A", "a b", "é", "a/b", &"a".repeat(65)] {
        assert!(matches!(a.set(name, b"x"), Err(SecretError::Bad { field: "name", .. })), "{name}");
    }
    for value in [Vec::new(), vec![7; SECRET_BYTES_MAX + 1]] {
        assert!(matches!(a.set("s3", &value), Err(SecretError::Bad { field: "value", .. })));
    }
    a.set(&"a".repeat(64), &[7; SECRET_BYTES_MAX]).unwrap();
    let some = a.store().secrets().unwrap()[0].forms[0].clone();
    for tens in 0..(SECRETS_MAX - 1).div_ceil(100) {
        a.commit(|edits| {
            for number in (tens * 100..(tens + 1) * 100).take_while(|number| *number < SECRETS_MAX - 1) {
                let name = format!("secret-{number}");
                edits.put_secret(&name, &some, &a.store().secret_place(&name).unwrap());
            }
        });
    }
    assert_eq!(a.store().secrets().unwrap().len(), SECRETS_MAX);
    assert!(matches!(a.set("one-more", b"x"), Err(SecretError::Bad { field: "name", .. })));
    a.set("secret-7", b"x").unwrap();
    assert_eq!((a.opens("secret-7").as_deref(), a.opens("secret-8")), (Some(b"x".as_slice()), None), "pasted");
}

#[test]
fn a_box_that_is_no_member_takes_no_part() {
    let [a, b] = fleet_of(["a", "b"]);
    let stranger = One::new("stranger");
    meet(a.store(), stranger.store());
    assert_eq!(stranger.turn(&stranger).next, LOOK_ANEW);
    b.retires(&a);
    meet(a.store(), b.store());
    assert_eq!(a.turn(&a).next, LOOK_ANEW, "it was retired");
    assert_eq!(a.store().sealers().unwrap().len(), 2);
}
