//! Roles: what someone is in the organisation. Which permissions a role holds stands in the permissions' table.

use serde::{Deserialize, Serialize};

/// A set of permissions with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, everywhere.
    Owner,
    /// Everything but what cannot be undone, everywhere.
    Admin,
    /// Runs recordings where they have a place.
    Operator,
    /// Looks, plays and downloads where they have a place.
    Viewer,
    /// Reads the journal, and facts where they have a place.
    Auditor,
}

impl Role {
    /// Every role, the mightiest first.
    pub const ALL: [Self; 5] = [Self::Owner, Self::Admin, Self::Operator, Self::Viewer, Self::Auditor];

    /// Whether the role's permissions hold in every place, without a grant or an allowing policy.
    pub fn is_everywhere(self) -> bool {
        match self {
            Self::Owner | Self::Admin => true,
            Self::Operator | Self::Viewer | Self::Auditor => false,
        }
    }
}
