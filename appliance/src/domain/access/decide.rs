//! The decision: may this person do this to that, and why.
//!
//! In this order: disabled people may nothing; what is not there or stands in no room that may be seen is hidden; a
//! denying policy beats everything, also for an owner; owners and admins act everywhere within their roles; others act
//! where an allowing policy or a grant gives their role a place, or where a roster gives them the capability.

use std::fmt;

use super::role::Role;
use super::rules::{Capability, Effect, Subject, Who};
use super::target::{Pattern, Room, Target, Thing};
use super::{Permission, PolicyId, Reach, RoomId};

/// What was decided, with the reason for the journal. What the person is told is [`Decision::answer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Go ahead.
    Allowed(Because),
    /// Known to them, but not allowed.
    Denied {
        /// The permission they lack.
        missing: Permission,
        /// Why.
        because: Because,
    },
    /// To them it does not exist. The reason is for the journal only.
    Hidden(Because),
}

/// What the person is told: a hidden thing and a missing one are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Go ahead.
    Go,
    /// 403, with the permission that is missing.
    Forbidden(Permission),
    /// 404.
    NotFound,
}

/// The reason for a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// The person is disabled.
    Disabled,
    /// It is not there.
    NotThere,
    /// A policy denies it.
    DeniedBy(PolicyId),
    /// A role holds the permission, and holds it everywhere or the act has no place.
    Role(Role),
    /// A role holds the permission and a policy gives it this place.
    AllowedBy(Role, PolicyId),
    /// A role holds the permission and a grant gives it this place.
    Granted(Role, Who),
    /// A roster gives the capability.
    Roster(Capability, Who),
    /// No role holds the permission, no roster gives it.
    NoPermission,
    /// A role holds the permission, but not here.
    NoPlace,
    /// The thing serves a room as well in which they may not do this.
    OtherRoom(RoomId),
}

impl Decision {
    /// What the person is told.
    pub fn answer(&self) -> Answer {
        match self {
            Self::Allowed(_) => Answer::Go,
            Self::Denied { missing, .. } => Answer::Forbidden(*missing),
            Self::Hidden(_) => Answer::NotFound,
        }
    }

    /// The reason, for the journal.
    pub fn because(&self) -> &Because {
        match self {
            Self::Allowed(because) | Self::Denied { because, .. } | Self::Hidden(because) => because,
        }
    }
}

/// Decides whether a person may do something to something.
pub fn decide(subject: &Subject, permission: Permission, target: &Target) -> Decision {
    if subject.person.is_disabled {
        return Decision::Denied { missing: permission, because: Because::Disabled };
    }
    let allowed = match target {
        Target::Missing => return Decision::Hidden(Because::NotThere),
        Target::Fleet => in_fleet(subject, permission),
        Target::Thing(thing) => match sight(subject, thing) {
            Err(because) => return Decision::Hidden(because),
            Ok(()) => on_thing(subject, permission, thing),
        },
    };
    match allowed {
        Ok(because) => Decision::Allowed(because),
        Err(because) => Decision::Denied { missing: permission, because },
    }
}

/// Yes or no, either with its reason.
type Ruling = Result<Because, Because>;

fn in_fleet(subject: &Subject, permission: Permission) -> Ruling {
    if let Some(policy) = denial(subject, |pattern| *pattern == Pattern::Everything) {
        return Err(Because::DeniedBy(policy));
    }
    role_with(subject, permission).map(Because::Role).ok_or(Because::NoPermission)
}

/// Whether the thing may be seen at all: through one of its rooms, or by its own name. It does not depend on the
/// permission asked for, so that nobody learns of a room by trying another act.
fn sight(subject: &Subject, thing: &Thing) -> Result<(), Because> {
    if thing.rooms.is_empty() {
        return match denial(subject, |pattern| thing.is_named_by(pattern)) {
            Some(policy) => Err(Because::DeniedBy(policy)),
            None if is_everywhere(subject) || place(subject, thing, None).is_some() => Ok(()),
            None => Err(Because::NoPlace),
        };
    }
    let mut first = None;
    for room in &thing.rooms {
        match sight_of_room(subject, thing, room) {
            Ok(()) => return Ok(()),
            Err(because) => first = first.or(Some(because)),
        }
    }
    Err(first.unwrap_or(Because::NoPlace))
}

fn sight_of_room(subject: &Subject, thing: &Thing, room: &Room) -> Result<(), Because> {
    if let Some(policy) = denial(subject, |pattern| room.is_named_by(pattern)) {
        return Err(Because::DeniedBy(policy));
    }
    let is_seen =
        is_everywhere(subject) || !subject.roster(room).is_empty() || place(subject, thing, Some(room)).is_some();
    is_seen.then_some(()).ok_or(Because::NoPlace)
}

fn on_thing(subject: &Subject, permission: Permission, thing: &Thing) -> Ruling {
    if let Some(policy) = denial(subject, |pattern| thing.is_named_by(pattern)) {
        return Err(Because::DeniedBy(policy));
    }
    if thing.rooms.is_empty() {
        return by_role(subject, permission, thing, None);
    }
    let mut rulings = thing.rooms.iter().map(|room| (room, in_room(subject, permission, thing, room)));
    match permission.reach() {
        Reach::AnyRoom => {
            let mut refused = None;
            for (_, ruling) in rulings {
                match ruling {
                    Ok(because) => return Ok(because),
                    Err(because) => refused = refused.or(Some(because)),
                }
            }
            Err(refused.unwrap_or(Because::NoPermission))
        }
        Reach::EveryRoom if thing.rooms.len() == 1 => {
            rulings.next().map_or(Err(Because::NoPlace), |(_, ruling)| ruling)
        }
        Reach::EveryRoom => {
            let mut allowed = None;
            for (room, ruling) in rulings {
                match ruling {
                    Ok(because) => allowed = allowed.or(Some(because)),
                    Err(_) => return Err(Because::OtherRoom(room.id.clone())),
                }
            }
            allowed.ok_or(Because::NoPlace)
        }
    }
}

fn in_room(subject: &Subject, permission: Permission, thing: &Thing, room: &Room) -> Ruling {
    if let Some(policy) = denial(subject, |pattern| room.is_named_by(pattern)) {
        return Err(Because::DeniedBy(policy));
    }
    by_role(subject, permission, thing, Some(room)).or_else(|because| {
        let Some(capability) = permission.capability() else { return Err(because) };
        let entry = subject.roster(room).iter().find(|entry| entry.capabilities.contains(&capability));
        entry.map(|entry| Because::Roster(capability, entry.who.clone())).ok_or(because)
    })
}

fn by_role(subject: &Subject, permission: Permission, thing: &Thing, room: Option<&Room>) -> Ruling {
    let Some(role) = role_with(subject, permission) else { return Err(Because::NoPermission) };
    if role.is_everywhere() {
        return Ok(Because::Role(role));
    }
    match place(subject, thing, room) {
        Some(Place::Policy(policy)) => Ok(Because::AllowedBy(role, policy)),
        Some(Place::Grant(who)) => Ok(Because::Granted(role, who)),
        None => Err(Because::NoPlace),
    }
}

/// The mightiest role that holds the permission.
fn role_with(subject: &Subject, permission: Permission) -> Option<Role> {
    subject.person.roles.iter().copied().find(|role| permission.is_held_by(*role))
}

fn is_everywhere(subject: &Subject) -> bool {
    subject.person.roles.iter().any(|role| role.is_everywhere())
}

enum Place {
    Policy(PolicyId),
    Grant(Who),
}

/// What gives a role its place: at the thing, at what it stands in, or at the room.
fn place(subject: &Subject, thing: &Thing, room: Option<&Room>) -> Option<Place> {
    let is_here = |pattern: &Pattern| thing.is_named_by(pattern) || room.is_some_and(|room| room.is_named_by(pattern));
    let allows = |policy: &&super::AccessPolicy| policy.effect == Effect::Allow && is_here(&policy.target);
    let policy = subject.policies.iter().find(allows).map(|policy| Place::Policy(policy.id.clone()));
    let grant = || subject.grants.iter().find(|grant| is_here(&grant.target));
    policy.or_else(|| grant().map(|grant| Place::Grant(grant.who.clone())))
}

/// The first denying policy whose target fits.
fn denial(subject: &Subject, is_about: impl Fn(&Pattern) -> bool) -> Option<PolicyId> {
    let denies = |policy: &&super::AccessPolicy| policy.effect == Effect::Deny && is_about(&policy.target);
    subject.policies.iter().find(denies).map(|policy| policy.id.clone())
}

/// As the journal says it.
impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = |who: &Who| match who {
            Who::User(id) => format!("user {id}"),
            Who::Group(id) => format!("group {id}"),
            Who::Everyone => "everyone".to_owned(),
        };
        match self {
            Self::Disabled => write!(f, "the person is disabled"),
            Self::NotThere => write!(f, "it does not exist"),
            Self::DeniedBy(policy) => write!(f, "policy {policy} denies it"),
            Self::Role(role) => write!(f, "role {role:?}"),
            Self::AllowedBy(role, policy) => write!(f, "role {role:?}, placed here by policy {policy}"),
            Self::Granted(role, who) => write!(f, "role {role:?}, placed here by a grant to {}", by(who)),
            Self::Roster(capability, who) => write!(f, "the room's roster gives {capability:?} to {}", by(who)),
            Self::NoPermission => write!(f, "no role and no roster gives it"),
            Self::NoPlace => write!(f, "nothing gives their role a place here"),
            Self::OtherRoom(room) => write!(f, "it serves room {room} as well, where they may not do this"),
        }
    }
}
