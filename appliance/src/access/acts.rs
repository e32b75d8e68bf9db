//! Every act that changes something or exposes audio or data: its name in the journal and what it takes.

use crate::domain::access::Permission;

/// An act. Implemented by the empty types below only.
pub trait Act {
    /// What it takes; none for what everyone may do with what is theirs.
    const PERMISSION: Option<Permission>;
    /// Its name in the journal.
    const NAME: &'static str;
    /// It concerns the person who asks: only they themself may, by a session.
    const IS_OWN: bool;
}

macro_rules! acts {
    (@is own) => { true };
    (@is) => { false };
    ($($(#[$doc:meta])* $name:ident, $text:literal, $permission:expr $(, $own:ident)?;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub enum $name {}

            impl Act for $name {
                const PERMISSION: Option<Permission> = $permission;
                const NAME: &'static str = $text;
                const IS_OWN: bool = acts!(@is $($own)?);
            }
        )+

        /// The names of all acts with what each takes.
        pub const ALL: &[(&str, Option<Permission>)] = &[$(($text, $permission)),+];
    };
}

acts! {
    /// Starts a recording.
    StartRecording, "recording.start", Some(Permission::RecordingCreate);
    /// Stops it.
    StopRecording, "recording.stop", Some(Permission::RecordingControl);
    /// Moves its planned end.
    ExtendRecording, "recording.extend", Some(Permission::RecordingControl);
    /// Keeps nothing for a while.
    PauseRecording, "recording.pause", Some(Permission::RecordingControl);
    /// Keeps again.
    ResumeRecording, "recording.resume", Some(Permission::RecordingControl);
    /// Marks a place.
    MarkRecording, "recording.mark", Some(Permission::RecordingControl);
    /// Changes what is said about it.
    EditRecording, "recording.edit", Some(Permission::RecordingEdit);
    /// Puts it into the bin.
    DeleteRecording, "recording.delete", Some(Permission::RecordingDelete);
    /// Takes it out of the bin.
    RestoreRecording, "recording.restore", Some(Permission::RecordingDelete);
    /// Removes its audio for good, after its time in the bin.
    PurgeRecording, "recording.purge", Some(Permission::RecordingDelete);
    /// Makes its copies anew.
    RenderRecording, "recording.render", Some(Permission::RecordingEdit);
    /// Plays it.
    PlayRecording, "recording.play", Some(Permission::RecordingPlayback);
    /// Takes it away as a file.
    DownloadRecording, "recording.download", Some(Permission::RecordingDownload);
    /// Hears the room.
    ListenLive, "room.listen", Some(Permission::ListenMonitor);
    /// Takes notice of an incident.
    AcknowledgeIncident, "incident.acknowledge", Some(Permission::HealthAcknowledge);
    /// Does not want to be told for a while.
    SuppressIncident, "incident.suppress", Some(Permission::HealthAcknowledge);
    /// Says that it is over.
    ResolveIncident, "incident.resolve", Some(Permission::HealthAcknowledge);
    /// Takes the journal away.
    ExportAudit, "audit.export", Some(Permission::AuditRead);
    /// Adds, changes, disables people.
    ChangePeople, "people.change", Some(Permission::AuthManage);
    /// Changes rules of access.
    ChangeRules, "rules.change", Some(Permission::AuthManage);
    /// Changes settings.
    ChangeSettings, "settings.change", Some(Permission::SettingsManage);
    /// Names the room, its time zone, its channels.
    ChangeNode, "node.change", Some(Permission::NodeManage);
    /// Begins a fleet, or gives it or a node of it another name or part.
    EditFleet, "fleet.edit", Some(Permission::FleetEdit);
    /// Invites a node.
    InviteNode, "fleet.invite", Some(Permission::FleetInvite);
    /// Lets a node in that was invited; on that node, goes in.
    JoinFleet, "fleet.join", Some(Permission::FleetJoin);
    /// Believes a node's key no more, for good.
    RetireNode, "fleet.retire", Some(Permission::FleetRetire);
    /// Lets another box go on as a node: the old one's key is believed no more.
    ReplaceNode, "fleet.replace", Some(Permission::FleetRetire);
    /// Sets a secret of the fleet.
    SetSecret, "secret.set", Some(Permission::FleetEdit);
    /// Forgets one.
    DeleteSecret, "secret.delete", Some(Permission::FleetEdit);
    /// Makes a generation of the fleet's key, gives it to a node, seals secrets with it anew.
    KeepFleetKey, "fleet.key", Some(Permission::FleetEdit);
    /// Takes a backup away.
    BackUp, "node.backup", Some(Permission::SystemAdmin);
    /// Changes one's own password.
    ChangeOwnPassword, "self.password", None, own;
    /// Makes or ends one's own tokens.
    ChangeOwnTokens, "self.tokens", None, own;
    /// Ends one's own sessions.
    EndOwnSession, "self.session", None, own;
    /// Claims the node.
    Claim, "node.claim", None;
    /// Logs in.
    LogIn, "auth.login", None;
    /// Logs out.
    LogOut, "auth.logout", None;
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_acts_have_one_name() {
        let names: std::collections::BTreeSet<_> = super::ALL.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), super::ALL.len());
    }
}
