//! Someone who asks, with what concerns them.

use std::collections::BTreeSet;

use crate::domain::access::Capability::{Operate, View};
use crate::domain::access::{Permission, Person, Role, RoomId, RosterEntry, Rules, Subject, UserId, Who};
use crate::store::Id;
use crate::store::audit;
use crate::store::people::{ApiToken, User};

/// Someone who was authenticated.
#[derive(Debug, Clone)]
pub struct Actor {
    /// As the journal names them.
    pub named: audit::Actor,
    /// Which person; none for a PIN or the machine.
    pub user: Option<Id>,
    /// The session's hash, if they came by one.
    pub session: Option<String>,
    /// Their password was given to them: until they choose one they may do nothing else.
    pub has_given_password: bool,
    /// Through which node they ask, if they are not at this one.
    pub through: Option<Id>,
    subject: Subject,
    scopes: Option<BTreeSet<Permission>>,
}

impl Actor {
    /// A person who logged in.
    pub fn person(user: &User, rules: &Rules, session: Option<String>) -> Self {
        let named = audit::Actor { kind: "user".into(), id: user.id.to_string(), name: user.name.clone() };
        let subject = rules.subject(Person {
            id: UserId::new(user.id.to_string()),
            groups: user.groups.clone(),
            roles: user.roles.clone(),
            is_disabled: user.is_disabled,
        });
        Self { named, user: Some(user.id), session, has_given_password: false, through: None, subject, scopes: None }
    }

    /// A person's API token: at most its scopes.
    pub fn token(user: &User, token: &ApiToken, rules: &Rules) -> Self {
        let named = audit::Actor {
            kind: "token".into(),
            id: token.id.to_string(),
            name: format!("{} ({})", user.name, token.name),
        };
        Self { named, scopes: token.scopes.clone(), ..Self::person(user, rules, None) }
    }

    /// Whoever stands in the room and knows its PIN: may look, start, stop, extend and mark; hears and takes nothing.
    pub fn pin(room: Id, session: Option<String>) -> Self {
        let named = audit::Actor { kind: "pin".into(), id: room.to_string(), name: "Room PIN".into() };
        let id = UserId::new("pin");
        let capabilities = [View, Operate].into();
        let room = RoomId::new(room.to_string());
        let roster = vec![RosterEntry { room, who: Who::User(id.clone()), capabilities }];
        let subject = Rules { roster, ..Rules::default() }.subject(Person {
            id,
            groups: BTreeSet::new(),
            roles: BTreeSet::new(),
            is_disabled: false,
        });
        let scopes = [
            Permission::NodeRead,
            Permission::HealthRead,
            Permission::RecordingRead,
            Permission::RecordingCreate,
            Permission::RecordingControl,
        ];
        let scopes = Some(scopes.into());
        Self { named, user: None, session, has_given_password: false, through: None, subject, scopes }
    }

    /// The machine itself, or whoever has its console.
    pub fn service(name: &str) -> Self {
        let named = audit::Actor { kind: "service".into(), id: String::new(), name: name.to_owned() };
        Self::of(named, [Role::Owner].into())
    }

    /// Nobody who is known: for the journal of log-ins that were refused. May do nothing.
    pub(super) fn nobody(kind: &str, name: &str) -> Self {
        let named = audit::Actor { kind: kind.into(), id: String::new(), name: name.chars().take(254).collect() };
        Self::of(named, BTreeSet::new())
    }

    fn of(named: audit::Actor, roles: BTreeSet<Role>) -> Self {
        let person = Person { id: UserId::new(&*named.name), groups: BTreeSet::new(), roles, is_disabled: false };
        let subject = Rules::default().subject(person);
        Self { named, user: None, session: None, has_given_password: false, through: None, subject, scopes: None }
    }

    /// A person who asks through another node of the fleet: at most these scopes, if there are any.
    pub(super) fn from_afar(
        user: &User,
        rules: &Rules,
        (node, called): (Id, &str),
        scopes: Option<BTreeSet<Permission>>,
    ) -> Self {
        let mut actor = Self { scopes, through: Some(node), ..Self::person(user, rules, None) };
        actor.named.name = format!("{} (through {called})", user.name);
        actor
    }

    /// How they are named to another node: their id, and to what their token limits them. Nothing for whoever is no
    /// person: another node could not look their rights up.
    pub fn abroad(&self) -> Option<(Id, Option<String>)> {
        let names =
            |scopes: &BTreeSet<Permission>| scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(",");
        Some((self.user?, self.scopes.as_ref().map(names)))
    }

    /// What rules say of them.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Their roles.
    pub fn roles(&self) -> &BTreeSet<Role> {
        &self.subject.person().roles
    }

    /// Whether it is a person who logged in, and not their token or whoever stands in the room.
    pub(super) fn is_themself(&self) -> bool {
        self.user.is_some() && self.session.is_some()
    }

    pub(super) fn has_in_scope(&self, permission: Permission) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.contains(&permission))
    }
}
