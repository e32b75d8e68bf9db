//! Every kind of record: who may write it (its stream), its field groups, what deleting means, what is indexed.
//!
//! A group merges whole. Kinds are part of the stored form: never change the meaning of a name, add another.

use replicate::core::id::Stream;
use replicate::core::record::Record;
use replicate::core::schema::{DeletePolicy, Form, Kind, Schema};

use super::{audit, fleet, held, incidents, people, replacements, search, secrets};

/// Names of all kinds.
pub const KINDS: [&str; 18] = [
    "user",
    "token",
    "room",
    "channels",
    "recording",
    "annotation",
    "incident",
    "handling",
    "audit",
    "setting",
    "node",
    "member",
    "fleet",
    "replacement",
    "sealer",
    "fleet_key",
    "envelope",
    "secret",
];

/// The key of an index that lists all records of a kind, by id.
fn all(_: &Record) -> Vec<Vec<u8>> {
    vec![Vec::new()]
}

/// The schema of this version.
pub fn schema() -> Schema {
    let mut kinds = who();
    kinds.extend(sealing());
    kinds.extend([
        Kind::new("room", Stream::Cfg)
            .group("label", Form::Register)
            // The node that stands in it.
            .group("place", Form::Register)
            .index("room_all", 1, all)
            .index("room_held", 1, held::held),
        // One record a node: labels, roles and expectations of its channels.
        Kind::new("channels", Stream::Cfg).group("map", Form::Register).index("channels_held", 1, held::held),
        // What the node saw; written by it alone.
        Kind::new("recording", Stream::Own)
            .group("facts", Form::Register)
            .group("plan", Form::Register)
            .index("recording_by_start", 1, search::by_start)
            .index("recording_state", 1, search::by_state)
            .index("recording_node", 1, search::by_node)
            .index("recording_word", 1, search::words),
        // What people say about it, under the same id.
        Kind::new("annotation", Stream::Cfg)
            .group("label", Form::Register)
            .group("filing", Form::Register)
            .group("notes", Form::Register)
            .group("bin", Form::Register)
            .group("hold", Form::Flag)
            // When its recording began: the order in which it is found. Noted by the store itself.
            .group("of", Form::Register)
            .index("annotation_word", 1, search::annotation_words)
            .index("annotation_tag", 1, search::by_tag)
            .index("annotation_folder", 1, search::by_folder)
            .index("annotation_bin", 1, search::in_bin)
            .index("annotation_bin_since", 1, search::in_bin_since)
            .index("annotation_held", 1, held::held),
        Kind::new("incident", Stream::Own)
            .group("facts", Form::Register)
            .index("incident_by_time", 1, incidents::by_time)
            .index("incident_open", 1, incidents::open)
            .index("incident_by_node", 1, incidents::by_node)
            .index("incident_open_by_node", 1, incidents::open_by_node),
        // Acknowledged, suppressed, resolved: said by people, under the incident's id.
        Kind::new("handling", Stream::Cfg)
            .group("acknowledged", Form::Register)
            .group("suppressed", Form::Register)
            .group("resolved", Form::Register)
            .index("handling_held", 1, held::held),
        Kind::new("audit", Stream::Jrn)
            .group("entry", Form::Register)
            .index("audit_by_time", 1, audit::by_time)
            .index("audit_by_target", 1, audit::by_target)
            .index("audit_by_actor", 1, audit::by_actor)
            .index("audit_by_action", 1, audit::by_action)
            .index("audit_by_outcome", 1, audit::by_outcome)
            .index("audit_by_node", 1, audit::by_node),
        Kind::new("setting", Stream::Cfg).group("value", Form::Register).index("setting_held", 1, held::held),
        // What a node says of itself, under its id.
        Kind::new("node", Stream::Own).group("inventory", Form::Register).index("node_all", 1, all),
    ]);
    // A mistake here is a bug of this file, and each test that opens a store meets it.
    Schema::new(kinds).expect("the schema is well formed")
}

/// Who may do what, and which nodes believe each other: what everybody must have first.
fn who() -> Vec<Kind> {
    vec![
        // Disable wins over everything, wherever it was said.
        Kind::new("user", Stream::Sec)
            .group("profile", Form::Register)
            .group("roles", Form::Register)
            .group("cred", Form::Register)
            .group("cred_gen", Form::Max)
            .group("access", Form::Flag)
            .deletes(DeletePolicy::DeleteWins)
            .index("user_by_login", 1, people::by_login)
            .index("user_by_name", 1, people::by_name)
            .index("user_held", 1, held::held),
        Kind::new("token", Stream::Sec)
            .group("facts", Form::Register)
            .deletes(DeletePolicy::DeleteWins)
            .index("token_by_hash", 1, people::token_by_hash)
            .index("token_by_user", 1, people::token_by_user),
        // The roster: whose key is believed, under the node's id. `access` is only ever disabled: a retired node stays so,
        // and what it decided beyond the place that is named there counts nowhere.
        Kind::new("member", Stream::Sec)
            .group("key", Form::Register)
            .group("profile", Form::Register)
            .group("joined", Form::Register)
            .group("access", Form::Flag)
            .fences("access", 1, fleet::fence)
            .index("member_all", 1, fleet::member_key)
            .index("member_key", 1, fleet::member_spki)
            .index("member_held", 1, held::held),
        // A member's place that another box took: a record each, so that none takes back what an earlier one fenced.
        Kind::new("replacement", Stream::Sec)
            .group("done", Form::Register)
            .fences("done", 1, replacements::fence)
            .index("replacement_all", 1, all),
        Kind::new("fleet", Stream::Sec).group("name", Form::Register).index("fleet_all", 1, all).index(
            "fleet_held",
            1,
            held::held,
        ),
    ]
}

/// The key of the fleet and what it seals. Nothing here is in clear, and none of it waits for a person's choice: the versions
/// that nodes write at once mean the same.
fn sealing() -> Vec<Kind> {
    vec![
        // What a box opens envelopes with: the public half, said by the node itself.
        Kind::new("sealer", Stream::Sec).group("key", Form::Register).index("sealer_all", 1, all),
        // A generation of the key; the key itself is in the envelopes, one a generation and box.
        Kind::new("fleet_key", Stream::Sec).group("made", Form::Register).index("fleet_key_all", 1, all),
        Kind::new("envelope", Stream::Sec).group("sealed", Form::Register).index(
            "envelope_by_generation",
            1,
            secrets::envelope_generation,
        ),
        // A person sets `value`; that nodes sealed the same with a later generation is in `again`.
        Kind::new("secret", Stream::Cfg)
            .group("value", Form::Register)
            .group("again", Form::Register)
            .deletes(DeletePolicy::DeleteWins)
            .index("secret_by_name", 1, secrets::secret_name),
    ]
}
