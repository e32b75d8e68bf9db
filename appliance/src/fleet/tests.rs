//! What can be told without another node. Several of them are tried end to end, in `tests/e2e/fleet`.

use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;

use super::join::{Admission, Application, Bootstrap, JoinError};
use super::replace::{Becomes, NotReplaceable, intend, settle};
use super::tls::PeerKey;
use super::{Fleet, Forgetting, Parts};
use crate::access::acts::ReplaceNode;
use crate::access::fleet::{Us, hex};
use crate::access::identity::{self, Identity};
use crate::access::invitations::Token;
use crate::access::passwords::Cost;
use crate::access::{About, Access, Actor, Ctx, NewOwner, Refused, sealing};
use crate::domain::ClockQuality;
use crate::domain::access::Target;
use crate::service::live::Live;
use crate::store::fleet::{Key, Member, Profile};
use crate::store::{Edits, Id, Moment, Store, node_of};

#[test]
fn a_key_is_read_as_the_roster_writes_it() {
    let key = PeerKey([0xa7; 32]);
    assert_eq!(PeerKey::from_hex(&hex(&key.0)), Some(key));
    for odd in ["", "a7", &"a7".repeat(33), &"g7".repeat(32), &"é".repeat(32)] {
        assert_eq!(PeerKey::from_hex(odd), None, "{odd}");
    }
}

/// For links that never come up here.
pub(super) static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap());

const HALL: Id = Id(uuid::Uuid::from_u128(8));

fn moment() -> Moment {
    let wall = Timestamp::from_second(1_790_000_000).unwrap();
    Moment { wall, quality: ClockQuality::Ntp, mono_us: 5_000_000 }
}

fn ctx(seed: u8) -> Ctx {
    Ctx::new(moment(), [seed; 32], "192.0.2.1", "test")
}

/// A claimed node that has heard of a hall, which is not reached.
struct Inviter {
    fleet: Fleet,
    access: Access,
    _home: tempfile::TempDir,
}

impl Inviter {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("records"), Id::of_name("us"), "boot", moment(), || 1).unwrap().0;
        let access = Access::with_cost(store, Cost::CHEAP);
        let identity = Arc::new(identity::tls(home.path(), "rakkr", &[], &ctx(1)).unwrap().0);
        let (addresses, certificate) = (vec!["a.local:443".into()], identity.certificate.to_vec());
        access.introduce(Us { name: "A-Hall".into(), addresses, spki: identity.spki, certificate });
        access.open_claiming(home.path(), 30, &ctx(2)).unwrap();
        let owner = NewOwner {
            code: std::fs::read_to_string(home.path().join("claim-code")).unwrap(),
            name: "Anna Example".into(),
            email: "anna@example.org".into(),
            password: "copper lantern drifts past noon".into(),
            room: "Courtroom 4".into(),
            time_zone: "Europe/Berlin".into(),
        };
        access.claim(&ctx(3), owner).unwrap();
        let (data, live, runtime) = (home.path().to_owned(), Live::new(), RUNTIME.handle().clone());
        let sealing = Arc::new(sealing::box_key(&data, &ctx(1)).unwrap().0);
        let fleet = Fleet::idle(Parts {
            data,
            access: access.clone(),
            live,
            identity,
            sealing,
            links: runtime.clone(),
            runtime,
            forgetting: Forgetting::default(),
        });
        let here = Self { fleet, access, _home: home };
        here.commit(|edits| edits.put_member(&hall()));
        here
    }

    fn store(&self) -> &Store {
        self.access.store()
    }

    fn commit(&self, edit: impl FnOnce(&mut Edits)) {
        let mut edits = Edits::by("test");
        edit(&mut edits);
        self.store().commit(edits, moment()).unwrap();
    }

    /// An invitation for the hall's place.
    fn invites(&self, seed: u8) -> Token {
        let (_, place) = self.fleet.replaceable(HALL).unwrap();
        let (actor, about) = (Actor::service("test"), About::default());
        let allowed = self.access.allow::<ReplaceNode>(&ctx(seed), &actor, &Target::Fleet, about).unwrap();
        self.access.invite_in_place(allowed, &ctx(seed), 3_600, place).unwrap().token
    }

    fn admits(&self, seed: u8, key: &Identity, application: &Application) -> Result<Admission, JoinError> {
        self.fleet.admit(&ctx(seed), PeerKey(key.spki), application)
    }
}

fn hall() -> Member {
    Member {
        id: HALL,
        key: Some(Key { spki: "0b".repeat(32), certificate: "MII=".into() }),
        profile: Profile {
            name: "Hall B".into(),
            addresses: vec!["b.local:443".into()],
            priority: 3,
            is_keeper: true,
            is_candidate: true,
            weight: 1,
        },
        joined: None,
        is_retired: false,
        version: String::new(),
    }
}

/// A box that nobody has claimed.
fn newcomer() -> Identity {
    let folder = tempfile::tempdir().unwrap();
    identity::tls(folder.path(), "new", &[], &ctx(9)).unwrap().0
}

fn application(token: &Token, key: &Identity, replaces: Option<Id>) -> Application {
    Application {
        secret: URL_SAFE_NO_PAD.encode(token.secret),
        node_id: Id::of_name("new"),
        name: "rakkr-new".into(),
        addresses: vec!["192.0.2.9:8443".into()],
        certificate: STANDARD.encode(&key.certificate),
        replaces,
    }
}

#[test]
fn another_box_comes_in_as_the_member_and_the_old_key_is_believed_no_more() {
    let (here, key) = (Inviter::new(), newcomer());
    let token = here.invites(4);
    assert_eq!(token.replaces.as_ref().map(|place| place.name.as_str()), Some("Hall B"));
    let (old, new) = (PeerKey([0x0b; 32]), PeerKey(key.spki));
    assert_eq!(here.fleet.member_of(old).unwrap().map(|member| member.id), Some(HALL));

    let asked = application(&token, &key, Some(HALL));
    let admitted = here.admits(5, &key, &asked).unwrap();

    let becomes = admitted.becomes.clone().unwrap();
    assert_eq!((becomes.node, becomes.name.as_str()), (HALL, "Hall B"));
    assert!(becomes.incarnation >= 1_000);
    assert_eq!((here.fleet.member_of(old).unwrap(), here.fleet.replaced_since(new).unwrap()), (None, None));
    assert_eq!(here.fleet.replaced_since(old).unwrap(), Some(moment().wall));
    let member = here.fleet.member_of(new).unwrap().unwrap();
    let Profile { name, addresses, priority, .. } = member.profile;
    assert_eq!((member.id, name.as_str(), priority), (HALL, "Hall B", 3));
    assert_eq!(addresses, ["192.0.2.9:8443"]);

    // The answer was lost, and it asks again: the same, and nothing is written.
    assert_eq!(here.admits(6, &key, &asked).unwrap().becomes, Some(becomes));
    assert_eq!(here.store().replacements().unwrap().len(), 1);
    let (other, late) = (newcomer(), here.admits(7, &newcomer(), &application(&token, &key, Some(HALL))));
    assert!(matches!(late, Err(JoinError::NotThem)), "a certificate without its key");
    let late = here.admits(8, &other, &application(&token, &other, Some(HALL)));
    assert!(matches!(late, Err(JoinError::Access(Refused::Wrong))), "used up");
}

#[test]
fn an_invitation_for_a_place_is_for_that_place_alone() {
    let (here, key) = (Inviter::new(), newcomer());
    let token = here.invites(4);
    for replaces in [None, Some(here.store().node()), Some(Id::of_name("nobody"))] {
        let refused = here.admits(5, &key, &application(&token, &key, replaces));
        assert!(matches!(refused, Err(JoinError::OtherPlace)), "{replaces:?}");
    }
    let forged = Token { secret: [7; 32], ..token.clone() };
    let refused = here.admits(6, &key, &application(&forged, &key, Some(HALL)));
    assert!(matches!(refused, Err(JoinError::Access(Refused::Wrong))));
    assert!(here.admits(7, &key, &application(&token, &key, Some(HALL))).is_ok(), "and it is not used up by that");
}

#[test]
fn neither_this_node_nor_a_retired_or_unknown_one_can_be_replaced() {
    let here = Inviter::new();
    let token = here.invites(4);
    let replaceable = |node| here.fleet.replaceable(node).map(|(_, place)| place.name);
    assert!(matches!(replaceable(here.store().node()), Err(NotReplaceable::Itself)));
    assert!(matches!(replaceable(Id::of_name("nobody")), Err(NotReplaceable::NoMember)));
    let words = here.store().last_words(HALL).unwrap();
    here.commit(|edits| edits.retire(HALL, &words));
    assert!(matches!(replaceable(HALL), Err(NotReplaceable::Retired(_))));
    let key = newcomer();
    let late = here.admits(5, &key, &application(&token, &key, Some(HALL)));
    assert!(matches!(late, Err(JoinError::NotReplaceable(NotReplaceable::Retired(_)))), "retired since it was made");
}

fn unclaimed() -> (tempfile::TempDir, Bootstrap, Becomes) {
    let home = tempfile::tempdir().unwrap();
    identity::node(home.path(), "rakkr-new", &ctx(1)).unwrap();
    std::fs::create_dir(home.path().join("records")).unwrap();
    std::fs::write(home.path().join("records/records.redb"), "nobody's").unwrap();
    let fleet = Id::of_name("fleet");
    let admission =
        Admission { fleet_id: fleet, fleet_name: "Court".into(), node_id: fleet, is_keeper: true, becomes: None };
    let bootstrap = Bootstrap { admission, addresses: vec!["a.local:443".into()], spki: "0a".repeat(32) };
    (home, bootstrap, Becomes { node: HALL, name: "Hall B".into(), incarnation: 1_001 })
}

#[test]
fn a_cut_leaves_the_box_that_was_or_the_member_whole() {
    for steps_done in 0..4 {
        let (home, bootstrap, becomes) = unclaimed();
        let data = home.path();
        assert_eq!(settle(data, moment().wall).unwrap(), None, "nothing was written down");
        assert_ne!(node_of(data), Some(HALL));

        intend(data, &bootstrap, &becomes).unwrap();
        let written = std::fs::read(data.join("becoming.json")).unwrap();
        // As far as it came before the cut.
        if steps_done > 0 {
            std::fs::rename(data.join("records"), data.join("records.before-1")).unwrap();
        }
        if steps_done > 1 {
            bootstrap.put(data).unwrap();
        }
        if steps_done > 2 {
            assert!(settle(data, moment().wall).unwrap().is_some());
            std::fs::write(data.join("becoming.json"), written).unwrap();
        }
        assert!(settle(data, moment().wall).unwrap().unwrap().starts_with("This box goes on as Hall B:"));

        let (node, alarm) = identity::node(data, "x", &ctx(2)).unwrap();
        assert_eq!((node.id, node.name.as_str(), node.incarnation_min, alarm), (HALL, "Hall B", 1_001, None));
        let aside = std::fs::read_to_string(data.join("records.before-1/records.redb")).unwrap();
        assert_eq!((aside.as_str(), data.join("records").exists()), ("nobody's", false));
        assert!(data.join("fleet.json").exists() && !data.join("becoming.json").exists());
        assert_eq!(settle(data, moment().wall).unwrap(), None);
    }
}

#[test]
fn an_intention_that_cannot_be_read_changes_nothing() {
    let (home, ..) = unclaimed();
    for text in ["", "{}", &"x".repeat(100_000)] {
        std::fs::write(home.path().join("becoming.json"), text).unwrap();
        assert!(settle(home.path(), moment().wall).unwrap().unwrap().contains("stays who it is"));
        assert_eq!(settle(home.path(), moment().wall).unwrap(), None);
        assert!(home.path().join("records").exists());
    }
}
