use proptest::prelude::*;

use super::*;

/// SPEC 1 and the catalogue's table with the fleet's rows, written out a second time: o owner, a admin, p operator, v viewer, u auditor.
const TABLE: &str = "
    audit:read          oa  u  -
    auth:manage         oa     -
    fleet:edit          oa     -
    fleet:invite        oa     -
    fleet:join          oa     -
    fleet:read          oapvu  -
    fleet:retire        oa     -
    health:acknowledge  oap    -
    health:read         oapvu  view
    listen:monitor      oap    listen
    metrics:read        oapvu  -
    node:control        oap    -
    node:manage         oa     -
    node:read           oapv   view
    recording:control   oap    operate
    recording:create    oap    operate
    recording:delete    oa     delete
    recording:download  oapv   download
    recording:edit      oap    edit
    recording:playback  oapv   view
    recording:read      oapvu  view
    schedule:manage     oap    book
    schedule:read       oapv   view
    settings:manage     oa     -
    settings:read       oapv   -
    switcher:manage     oa     -
    switcher:map        oap    -
    switcher:read       oapv   -
    system:admin        o      -";

const LETTERS: [(char, Role); 5] =
    [('o', Role::Owner), ('a', Role::Admin), ('p', Role::Operator), ('v', Role::Viewer), ('u', Role::Auditor)];

/// The rows of [`TABLE`]: permission, letters of its roles, capability.
fn table() -> Vec<(Permission, String, String)> {
    let rows = TABLE.lines().filter(|line| !line.trim().is_empty());
    rows.map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let roles = words[1..words.len() - 1].concat();
        (words[0].parse().unwrap(), roles, words[words.len() - 1].to_owned())
    })
    .collect()
}

fn person(roles: &[Role]) -> Person {
    Person {
        id: UserId::new("ada"),
        groups: [GroupId::new("choir")].into(),
        roles: roles.iter().copied().collect(),
        is_disabled: false,
    }
}

fn room(id: &str) -> Room {
    Room { id: RoomId::new(id), site: Some(SiteId::new("old-town")) }
}

fn recording(room_id: &str) -> Target {
    Target::in_room(ResourceKind::Recording, "rec-1", room(room_id))
}

fn roster(room: &str, who: Who, capabilities: &[Capability]) -> RosterEntry {
    RosterEntry { room: RoomId::new(room), who, capabilities: capabilities.iter().copied().collect() }
}

fn policy(effect: Effect, who: Who, target: Pattern) -> AccessPolicy {
    AccessPolicy { id: PolicyId::new("p1"), effect, who, target }
}

fn one(kind: ResourceKind, id: &str) -> Pattern {
    Pattern::One(Resource::new(kind, id))
}

fn choir() -> Who {
    Who::Group(GroupId::new("choir"))
}

fn answer(rules: &Rules, person: Person, permission: Permission, target: &Target) -> Answer {
    decide(&rules.subject(person), permission, target).answer()
}

#[test]
fn the_whole_table_holds_for_every_role() {
    let rows = table();
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), Permission::ALL);
    for (permission, letters, _) in rows {
        for (letter, role) in LETTERS {
            let expected = if letters.contains(letter) { Answer::Go } else { Answer::Forbidden(permission) };
            let got = answer(&Rules::default(), person(&[role]), permission, &Target::Fleet);
            assert_eq!(got, expected, "{role:?} {permission}");
        }
    }
}

#[test]
fn each_capability_gives_its_permissions_in_its_room_and_no_other() {
    for (permission, _, needed) in table() {
        for capability in Capability::ALL {
            let rules = Rules { roster: vec![roster("nave", choir(), &[capability])], ..Rules::default() };
            let is_it = serde_json::to_value(capability).unwrap() == needed.as_str();
            let expected = if is_it { Answer::Go } else { Answer::Forbidden(permission) };
            assert_eq!(answer(&rules, person(&[]), permission, &recording("nave")), expected, "{capability:?}");
            assert_eq!(answer(&rules, person(&[]), permission, &recording("crypt")), Answer::NotFound);
        }
    }
}

#[test]
fn names_are_stored_and_read_back() {
    for permission in Permission::ALL {
        let stored = serde_json::to_string(&permission).unwrap();
        assert_eq!(stored, format!("\"{permission}\""));
        assert_eq!(serde_json::from_str::<Permission>(&stored).unwrap(), permission);
    }
    assert!(serde_json::from_str::<Permission>("\"recording:everything\"").is_err());
}

#[test]
fn a_role_short_of_admin_needs_a_place() {
    let rules = |grant: Option<Grant>| Rules { grants: grant.into_iter().collect(), ..Rules::default() };
    let ask =
        |rules: &Rules| answer(rules, person(&[Role::Operator]), Permission::RecordingControl, &recording("nave"));
    assert_eq!(ask(&rules(None)), Answer::NotFound);
    for target in [
        one(ResourceKind::Room, "nave"),
        one(ResourceKind::Site, "old-town"),
        one(ResourceKind::Recording, "rec-1"),
        Pattern::All { kind: ResourceKind::Room },
        Pattern::Everything,
    ] {
        assert_eq!(ask(&rules(Some(Grant { who: choir(), target }))), Answer::Go);
    }
    let elsewhere = Grant { who: Who::User(UserId::new("bob")), target: Pattern::Everything };
    assert_eq!(ask(&rules(Some(elsewhere))), Answer::NotFound, "someone else's grant");
}

#[test]
fn a_place_gives_no_permission_that_the_role_lacks() {
    let allow = policy(Effect::Allow, Who::Everyone, one(ResourceKind::Room, "nave"));
    let rules = Rules { policies: vec![allow], ..Rules::default() };
    let ask = |permission| answer(&rules, person(&[Role::Viewer]), permission, &recording("nave"));
    assert_eq!(ask(Permission::RecordingPlayback), Answer::Go);
    assert_eq!(ask(Permission::RecordingDelete), Answer::Forbidden(Permission::RecordingDelete));
}

#[test]
fn a_deny_beats_everything_also_for_an_owner() {
    let all: Vec<Capability> = Capability::ALL.to_vec();
    for who in [Who::User(UserId::new("ada")), choir(), Who::Everyone] {
        let rules = Rules {
            policies: vec![
                policy(Effect::Allow, Who::Everyone, Pattern::Everything),
                policy(Effect::Deny, who, one(ResourceKind::Recording, "rec-1")),
            ],
            grants: vec![Grant { who: choir(), target: Pattern::Everything }],
            roster: vec![roster("nave", choir(), &all)],
        };
        for permission in Permission::ALL {
            let decision = decide(&rules.subject(person(&[Role::Owner])), permission, &recording("nave"));
            let because = Because::DeniedBy(PolicyId::new("p1"));
            assert_eq!(decision, Decision::Denied { missing: permission, because });
        }
        assert_eq!(
            answer(&rules, person(&[Role::Owner]), Permission::RecordingRead, &Target::room(room("nave"))),
            Answer::Go,
            "only the recording is denied"
        );
    }
}

#[test]
fn a_denied_room_is_hidden_from_an_owner_too() {
    for target in [one(ResourceKind::Room, "nave"), one(ResourceKind::Site, "old-town"), Pattern::Everything] {
        let rules = Rules { policies: vec![policy(Effect::Deny, Who::Everyone, target)], ..Rules::default() };
        let decision = decide(&rules.subject(person(&[Role::Owner])), Permission::RecordingRead, &recording("nave"));
        assert_eq!(decision, Decision::Hidden(Because::DeniedBy(PolicyId::new("p1"))));
    }
}

#[test]
fn to_deny_a_room_takes_nothing_away_elsewhere() {
    let deny = policy(Effect::Deny, Who::Everyone, one(ResourceKind::Room, "nave"));
    let rules = Rules { policies: vec![deny], ..Rules::default() };
    let ask = |target: &Target| answer(&rules, person(&[Role::Admin]), Permission::AuthManage, target);
    assert_eq!(ask(&Target::Fleet), Answer::Go);
    assert_eq!(ask(&Target::room(room("crypt"))), Answer::Go);
}

#[test]
fn disabled_people_are_denied_all_and_learn_nothing() {
    let mut owner = person(&[Role::Owner]);
    owner.is_disabled = true;
    for target in [Target::Fleet, Target::Missing, recording("nave")] {
        for permission in Permission::ALL {
            let decision = decide(&Rules::default().subject(owner.clone()), permission, &target);
            assert_eq!(decision, Decision::Denied { missing: permission, because: Because::Disabled });
        }
    }
}

#[test]
fn a_shared_node_is_seen_through_one_room_but_ruled_only_with_both() {
    let node = Target::node("n1", vec![room("nave"), room("crypt")]);
    let nave = roster("nave", choir(), &Capability::ALL);
    let rules = Rules { roster: vec![nave.clone()], ..Rules::default() };
    let ask = |rules: &Rules, permission| decide(&rules.subject(person(&[])), permission, &node);
    assert_eq!(ask(&rules, Permission::NodeRead).answer(), Answer::Go);
    let listen = ask(&rules, Permission::ListenMonitor);
    assert_eq!(listen.answer(), Answer::Forbidden(Permission::ListenMonitor));
    assert_eq!(listen.because(), &Because::OtherRoom(RoomId::new("crypt")));
    let rules = Rules { roster: vec![nave, roster("crypt", choir(), &[Capability::Listen])], ..Rules::default() };
    assert_eq!(ask(&rules, Permission::ListenMonitor).answer(), Answer::Go);
}

#[test]
fn a_node_without_rooms_is_seen_by_those_who_rule_it() {
    let node = Target::node("n1", vec![]);
    let ask = |rules: &Rules, role| answer(rules, person(&[role]), Permission::NodeControl, &node);
    assert_eq!(ask(&Rules::default(), Role::Admin), Answer::Go);
    assert_eq!(ask(&Rules::default(), Role::Operator), Answer::NotFound);
    let grant = Grant { who: choir(), target: one(ResourceKind::Node, "n1") };
    assert_eq!(ask(&Rules { grants: vec![grant], ..Rules::default() }, Role::Operator), Answer::Go);
    let deny = policy(Effect::Deny, choir(), one(ResourceKind::Node, "n1"));
    assert_eq!(ask(&Rules { policies: vec![deny], ..Rules::default() }, Role::Owner), Answer::NotFound);
}

#[test]
fn every_decision_says_its_reason_for_the_journal() {
    let rules = Rules {
        policies: vec![policy(Effect::Allow, choir(), one(ResourceKind::Room, "hall"))],
        grants: vec![Grant { who: choir(), target: one(ResourceKind::Room, "crypt") }],
        roster: vec![roster("nave", choir(), &[Capability::Operate])],
    };
    let ask = |role, room| {
        decide(&rules.subject(person(&[role])), Permission::RecordingCreate, &recording(room)).because().to_string()
    };
    assert_eq!(ask(Role::Owner, "nave"), "role Owner");
    assert_eq!(ask(Role::Operator, "hall"), "role Operator, placed here by policy p1");
    assert_eq!(ask(Role::Operator, "crypt"), "role Operator, placed here by a grant to group choir");
    assert_eq!(ask(Role::Auditor, "nave"), "the room's roster gives Operate to group choir");
    assert_eq!(ask(Role::Auditor, "crypt"), "no role and no roster gives it");
    assert_eq!(ask(Role::Operator, "vault"), "nothing gives their role a place here");
}

#[test]
fn rules_are_stored_and_read_back() {
    let rules = Rules {
        policies: vec![policy(Effect::Deny, Who::Everyone, Pattern::All { kind: ResourceKind::Node })],
        grants: vec![Grant { who: choir(), target: one(ResourceKind::Room, "crypt") }],
        roster: vec![roster("nave", Who::User(UserId::new("ada")), &[Capability::View])],
    };
    let stored = serde_json::to_string(&rules).unwrap();
    assert_eq!(serde_json::from_str::<Rules>(&stored).unwrap(), rules, "{stored}");
}

const ROOMS: [&str; 3] = ["nave", "crypt", "hall"];

fn any_who() -> impl Strategy<Value = Who> {
    prop::sample::select(vec![
        Who::Everyone,
        choir(),
        Who::Group(GroupId::new("others")),
        Who::User(UserId::new("ada")),
        Who::User(UserId::new("bob")),
    ])
}

fn any_pattern() -> impl Strategy<Value = Pattern> {
    let mut patterns = vec![
        Pattern::Everything,
        Pattern::All { kind: ResourceKind::Room },
        Pattern::All { kind: ResourceKind::Node },
        Pattern::All { kind: ResourceKind::Recording },
        one(ResourceKind::Site, "old-town"),
        one(ResourceKind::Node, "n1"),
        one(ResourceKind::Recording, "rec-1"),
    ];
    patterns.extend(ROOMS.map(|id| one(ResourceKind::Room, id)));
    prop::sample::select(patterns)
}

fn any_policy() -> impl Strategy<Value = AccessPolicy> {
    (prop::bool::weighted(0.3), any_who(), any_pattern())
        .prop_map(|(denies, who, target)| policy(if denies { Effect::Deny } else { Effect::Allow }, who, target))
}

fn any_grant() -> impl Strategy<Value = Grant> {
    (any_who(), any_pattern()).prop_map(|(who, target)| Grant { who, target })
}

fn any_entry() -> impl Strategy<Value = RosterEntry> {
    let capabilities = prop::sample::subsequence(Capability::ALL.to_vec(), 0..=Capability::ALL.len());
    (prop::sample::select(ROOMS.to_vec()), any_who(), capabilities)
        .prop_map(|(room, who, capabilities)| roster(room, who, &capabilities))
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let lists = (
        prop::collection::vec(any_policy(), 0..3),
        prop::collection::vec(any_grant(), 0..3),
        prop::collection::vec(any_entry(), 0..4),
    );
    lists.prop_map(|(policies, grants, roster)| Rules { policies, grants, roster })
}

fn any_person() -> impl Strategy<Value = Person> {
    (prop::sample::subsequence(Role::ALL.to_vec(), 0..=2), prop::bool::weighted(0.05)).prop_map(|(roles, off)| {
        let mut person = person(&roles);
        person.is_disabled = off;
        person
    })
}

fn any_thing() -> impl Strategy<Value = Target> {
    let rooms = prop::sample::subsequence(ROOMS.to_vec(), 0..=3);
    prop_oneof![
        prop::sample::select(ROOMS.to_vec()).prop_map(|id| Target::room(room(id))),
        prop::sample::select(ROOMS.to_vec()).prop_map(recording),
        rooms.prop_map(|ids| Target::node("n1", ids.into_iter().map(room).collect())),
    ]
}

fn any_target() -> impl Strategy<Value = Target> {
    prop_oneof![1 => Just(Target::Fleet), 1 => Just(Target::Missing), 8 => any_thing()]
}

fn any_permission() -> impl Strategy<Value = Permission> {
    prop::sample::select(Permission::ALL.to_vec())
}

fn is_allowed(rules: &Rules, person: &Person, permission: Permission, target: &Target) -> bool {
    answer(rules, person.clone(), permission, target) == Answer::Go
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn one_more_deny_never_allows_more(
        rules in any_rules(), person in any_person(), permission in any_permission(), target in any_target(),
        who in any_who(), pattern in any_pattern(),
    ) {
        let mut more = rules.clone();
        more.policies.push(policy(Effect::Deny, who, pattern));
        prop_assert!(!is_allowed(&more, &person, permission, &target) || is_allowed(&rules, &person, permission, &target));
    }

    #[test]
    fn one_more_grant_roster_entry_or_allow_never_allows_less(
        rules in any_rules(), person in any_person(), permission in any_permission(), target in any_target(),
        grant in any_grant(), entry in any_entry(), who in any_who(), pattern in any_pattern(),
    ) {
        let allowed = is_allowed(&rules, &person, permission, &target);
        let [mut granted, mut listed, mut placed] = [rules.clone(), rules.clone(), rules];
        granted.grants.push(grant);
        listed.roster.push(entry);
        placed.policies.push(policy(Effect::Allow, who, pattern));
        for more in [granted, listed, placed] {
            prop_assert!(!allowed || is_allowed(&more, &person, permission, &target));
        }
    }

    #[test]
    fn what_is_hidden_is_hidden_from_every_question_as_if_it_were_not_there(
        rules in any_rules(), person in any_person(), target in any_thing(),
    ) {
        let answers: Vec<Answer> =
            Permission::ALL.map(|permission| answer(&rules, person.clone(), permission, &target)).to_vec();
        if answers.contains(&Answer::NotFound) {
            let nothing: Vec<Answer> =
                Permission::ALL.map(|permission| answer(&rules, person.clone(), permission, &Target::Missing)).to_vec();
            prop_assert_eq!(answers, nothing);
        }
    }

    #[test]
    fn a_denied_room_shows_nothing_in_it_to_anyone(
        mut rules in any_rules(), person in any_person(), permission in any_permission(),
    ) {
        prop_assume!(!person.is_disabled);
        rules.policies.push(policy(Effect::Deny, Who::Everyone, one(ResourceKind::Room, "nave")));
        for target in [Target::room(room("nave")), recording("nave"), Target::node("n1", vec![room("nave")])] {
            prop_assert_eq!(answer(&rules, person.clone(), permission, &target), Answer::NotFound);
        }
    }
}
