//! The 29 permissions: their names, the roles that hold them and the room capability that gives them.
//!
//! One table, in `Permission::row`. What a role or a capability is stands in its own file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::role::Role::{self, Admin, Auditor, Operator, Owner, Viewer};
use super::rules::Capability::{self, Book, Delete, Download, Edit, Listen, Operate, View};

/// One thing that someone may be allowed to do. Stored and shown by its name, such as `recording:control`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Permission {
    /// Read and export the audit journal.
    AuditRead,
    /// Change people, groups, roles, rosters and policies.
    AuthManage,
    /// Name the fleet and its nodes, say who keeps and who may coordinate.
    FleetEdit,
    /// Invite a node into the fleet.
    FleetInvite,
    /// Take this node into a fleet.
    FleetJoin,
    /// See the fleet: its nodes, their state, who coordinates.
    FleetRead,
    /// Retire a node: its key is believed no more, for good.
    FleetRetire,
    /// Acknowledge, suppress and comment incidents.
    HealthAcknowledge,
    /// See incidents.
    HealthRead,
    /// Hear a room live.
    ListenMonitor,
    /// Read metrics.
    MetricsRead,
    /// Restart a node's recorder, run its tests.
    NodeControl,
    /// Enrol, configure and retire nodes.
    NodeManage,
    /// See nodes and their meters.
    NodeRead,
    /// Stop, extend, pause and mark a recording.
    RecordingControl,
    /// Start a recording.
    RecordingCreate,
    /// Delete a recording.
    RecordingDelete,
    /// Take audio away as a file.
    RecordingDownload,
    /// Change title, folder, tags and notes.
    RecordingEdit,
    /// Play a recording.
    RecordingPlayback,
    /// See that a recording exists, and its facts.
    RecordingRead,
    /// Make, change and cancel bookings.
    ScheduleManage,
    /// See bookings.
    ScheduleRead,
    /// Change settings.
    SettingsManage,
    /// See settings.
    SettingsRead,
    /// Configure audio switchers.
    SwitcherManage,
    /// Route an audio switcher.
    SwitcherMap,
    /// See audio switchers.
    SwitcherRead,
    /// Acts on the whole fleet that cannot be undone.
    SystemAdmin,
}

/// How much of a thing that serves several rooms one must have a right to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// One room is enough: what is shown is filtered to the rooms that may be seen.
    AnyRoom,
    /// All of its rooms: the act or the sound does not stop at a room's wall.
    EveryRoom,
}

struct Row {
    name: &'static str,
    roles: &'static [Role],
    capability: Option<Capability>,
}

fn row(name: &'static str, roles: &'static [Role], capability: Option<Capability>) -> Row {
    Row { name, roles, capability }
}

impl Permission {
    /// Every permission, in the order of the table.
    pub const ALL: [Self; 29] = [
        Self::AuditRead,
        Self::AuthManage,
        Self::FleetEdit,
        Self::FleetInvite,
        Self::FleetJoin,
        Self::FleetRead,
        Self::FleetRetire,
        Self::HealthAcknowledge,
        Self::HealthRead,
        Self::ListenMonitor,
        Self::MetricsRead,
        Self::NodeControl,
        Self::NodeManage,
        Self::NodeRead,
        Self::RecordingControl,
        Self::RecordingCreate,
        Self::RecordingDelete,
        Self::RecordingDownload,
        Self::RecordingEdit,
        Self::RecordingPlayback,
        Self::RecordingRead,
        Self::ScheduleManage,
        Self::ScheduleRead,
        Self::SettingsManage,
        Self::SettingsRead,
        Self::SwitcherManage,
        Self::SwitcherMap,
        Self::SwitcherRead,
        Self::SystemAdmin,
    ];

    /// The table: name, roles that hold it, capability that gives it in a room.
    fn row(self) -> Row {
        const MANAGERS: &[Role] = &[Owner, Admin];
        const STAFF: &[Role] = &[Owner, Admin, Operator];
        const VIEWERS: &[Role] = &[Owner, Admin, Operator, Viewer];
        const EVERYONE: &[Role] = &[Owner, Admin, Operator, Viewer, Auditor];
        match self {
            Self::AuditRead => row("audit:read", &[Owner, Admin, Auditor], None),
            Self::AuthManage => row("auth:manage", MANAGERS, None),
            Self::FleetEdit => row("fleet:edit", MANAGERS, None),
            Self::FleetInvite => row("fleet:invite", MANAGERS, None),
            Self::FleetJoin => row("fleet:join", MANAGERS, None),
            Self::FleetRead => row("fleet:read", EVERYONE, None),
            Self::FleetRetire => row("fleet:retire", MANAGERS, None),
            Self::HealthAcknowledge => row("health:acknowledge", STAFF, None),
            Self::HealthRead => row("health:read", EVERYONE, Some(View)),
            Self::ListenMonitor => row("listen:monitor", STAFF, Some(Listen)),
            Self::MetricsRead => row("metrics:read", EVERYONE, None),
            Self::NodeControl => row("node:control", STAFF, None),
            Self::NodeManage => row("node:manage", MANAGERS, None),
            Self::NodeRead => row("node:read", VIEWERS, Some(View)),
            Self::RecordingControl => row("recording:control", STAFF, Some(Operate)),
            Self::RecordingCreate => row("recording:create", STAFF, Some(Operate)),
            Self::RecordingDelete => row("recording:delete", MANAGERS, Some(Delete)),
            Self::RecordingDownload => row("recording:download", VIEWERS, Some(Download)),
            Self::RecordingEdit => row("recording:edit", STAFF, Some(Edit)),
            Self::RecordingPlayback => row("recording:playback", VIEWERS, Some(View)),
            Self::RecordingRead => row("recording:read", EVERYONE, Some(View)),
            Self::ScheduleManage => row("schedule:manage", STAFF, Some(Book)),
            Self::ScheduleRead => row("schedule:read", VIEWERS, Some(View)),
            Self::SettingsManage => row("settings:manage", MANAGERS, None),
            Self::SettingsRead => row("settings:read", VIEWERS, None),
            Self::SwitcherManage => row("switcher:manage", MANAGERS, None),
            Self::SwitcherMap => row("switcher:map", STAFF, None),
            Self::SwitcherRead => row("switcher:read", VIEWERS, None),
            Self::SystemAdmin => row("system:admin", &[Owner], None),
        }
    }

    /// The name, as stored and shown.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Whether a role holds it.
    pub fn is_held_by(self, role: Role) -> bool {
        self.row().roles.contains(&role)
    }

    /// The capability that gives it in a room; none if no room can.
    pub fn capability(self) -> Option<Capability> {
        self.row().capability
    }

    /// How much of a node or a site of several rooms it takes.
    pub fn reach(self) -> Reach {
        match self {
            Self::AuditRead
            | Self::FleetRead
            | Self::HealthRead
            | Self::MetricsRead
            | Self::NodeRead
            | Self::RecordingRead
            | Self::ScheduleRead
            | Self::SettingsRead
            | Self::SwitcherRead => Reach::AnyRoom,
            Self::AuthManage
            | Self::FleetEdit
            | Self::FleetInvite
            | Self::FleetJoin
            | Self::FleetRetire
            | Self::HealthAcknowledge
            | Self::ListenMonitor
            | Self::NodeControl
            | Self::NodeManage
            | Self::RecordingControl
            | Self::RecordingCreate
            | Self::RecordingDelete
            | Self::RecordingDownload
            | Self::RecordingEdit
            | Self::RecordingPlayback
            | Self::ScheduleManage
            | Self::SettingsManage
            | Self::SwitcherManage
            | Self::SwitcherMap
            | Self::SystemAdmin => Reach::EveryRoom,
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Permission {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|permission| permission.name() == text);
        named.ok_or_else(|| format!("{text:?} is not a permission: one looks like recording:control"))
    }
}

impl From<Permission> for &'static str {
    fn from(permission: Permission) -> Self {
        permission.name()
    }
}

impl TryFrom<String> for Permission {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
