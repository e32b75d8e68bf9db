//! When something becomes an incident: rules by kind, by a channel's role and by channel, and the thresholds.
//!
//! A policy says only where it differs from the table of kinds. What a rule is about and what to tell stands there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::incident::Target;
use super::kind::{IncidentKind, Severity};

/// The longest waiting time of a rule, seconds (catalogue 1.10: input caps).
pub const MAX_WAIT_S: f64 = 86_400.0;

/// What a channel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A microphone: always some noise, and speech when somebody should speak.
    Mic,
    /// A sum of microphones.
    Mix,
    /// Something that plays now and then, such as a computer: silence, also digital, is ordinary.
    Feed,
    /// Nothing, or nobody knows what: it may be anything.
    Spare,
}

/// When an incident opens and closes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// How grave.
    pub severity: Severity,
    /// Seconds it must last before the incident opens; an event that cost audio opens at once.
    pub after_s: f64,
    /// Seconds all must be well before it closes; longer when it keeps coming back.
    pub recover_s: f64,
}

/// Rules that differ; none switches a kind off.
pub type Overrides = BTreeMap<IncidentKind, Option<Rule>>;

/// Levels at which something counts as bad.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// RMS under which a channel without a known noise floor is quiet, dBFS.
    pub quiet_below_dbfs: f32,
    /// How far above its noise floor a channel still counts as quiet, dB.
    pub quiet_above_floor_db: f32,
    /// How much more it takes to end a quiet that was told, dB.
    pub quiet_hysteresis_db: f32,
    /// Mean, as a part of full scale, that is a DC offset; it is over at 4/5 of that.
    pub dc_part: f32,
    /// Seconds for which a pair must have been inverted or the same.
    pub pair_s: f64,
    /// Hours left on the disk that are worth knowing, a warning, critical; each is over at 5/4 of it.
    pub disk_hours: [f64; 3],
}

/// Limits of AUDIO.md 2.2; hours are those of which capture warns.
impl Default for Thresholds {
    fn default() -> Self {
        Self {
            quiet_below_dbfs: -55.0,
            quiet_above_floor_db: 6.0,
            quiet_hysteresis_db: 6.0,
            dc_part: 0.01,
            pair_s: 10.0,
            disk_hours: [24.0, 4.0, 1.0],
        }
    }
}

/// The policy of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Its name; the built-in one is `scheduled-voice`.
    pub name: String,
    /// Levels.
    pub thresholds: Thresholds,
    /// What differs for the whole node.
    pub node: Overrides,
    /// What differs for channels of a role.
    pub roles: BTreeMap<Role, Overrides>,
    /// What differs for one channel.
    pub channels: BTreeMap<u16, Overrides>,
}

/// The built-in policy: microphones must be alive and speak when speech is due, a mix must be alive, a feed may be
/// silent, a spare may be anything.
impl Default for Policy {
    fn default() -> Self {
        use IncidentKind::{ClippedUpstream, Clipping, DcOffset, DeadPath, Hum, PortGone, QuietRoom};
        let off = |kinds: &[IncidentKind]| kinds.iter().map(|kind| (*kind, None)).collect::<Overrides>();
        let mut feed = off(&[DeadPath, QuietRoom]);
        feed.insert(PortGone, Some(Rule { severity: Severity::Warning, ..PortGone.rule() }));
        Self {
            name: "scheduled-voice".to_owned(),
            thresholds: Thresholds::default(),
            node: Overrides::new(),
            roles: BTreeMap::from([
                (Role::Mix, off(&[QuietRoom])),
                (Role::Feed, feed),
                (Role::Spare, off(&[DeadPath, QuietRoom, Clipping, ClippedUpstream, Hum, DcOffset, PortGone])),
            ]),
            channels: BTreeMap::new(),
        }
    }
}

impl Policy {
    /// The rule for a kind and a target; none if it is switched off. A channel's own word counts most, then its role's,
    /// then the node's, then the table of kinds.
    pub fn rule(&self, kind: IncidentKind, target: Target, role: Option<Role>) -> Option<Rule> {
        let of_channel = match target {
            Target::Channel(number) => self.channels.get(&number),
            Target::Node | Target::Pair(..) | Target::Recording(_) => None,
        };
        let of_role = role.and_then(|role| self.roles.get(&role));
        let said = [of_channel, of_role, Some(&self.node)].into_iter().flatten().find_map(|rules| rules.get(&kind));
        said.copied().unwrap_or_else(|| Some(kind.rule()))
    }

    /// Checks what people typed.
    ///
    /// # Errors
    /// A sentence naming the field.
    pub fn check(&self) -> Result<(), String> {
        let rules = [&self.node].into_iter().chain(self.roles.values()).chain(self.channels.values());
        for (kind, rule) in rules.flatten().filter_map(|(kind, rule)| rule.map(|rule| (kind, rule))) {
            for (field, seconds) in [("after_s", rule.after_s), ("recover_s", rule.recover_s)] {
                if !(0.0..=MAX_WAIT_S).contains(&seconds) {
                    return Err(format!("{kind}: {field} must lie between 0 and {MAX_WAIT_S}"));
                }
            }
        }
        let levels = &self.thresholds;
        if !(-120.0..=0.0).contains(&levels.quiet_below_dbfs) {
            return Err("quiet_below_dbfs must lie between -120 and 0".to_owned());
        }
        for (field, db) in
            [("quiet_above_floor_db", levels.quiet_above_floor_db), ("quiet_hysteresis_db", levels.quiet_hysteresis_db)]
        {
            if !(0.0..=40.0).contains(&db) {
                return Err(format!("{field} must lie between 0 and 40"));
            }
        }
        if !(levels.dc_part > 0.0 && levels.dc_part <= 1.0) {
            return Err("dc_part must be above 0 and at most 1".to_owned());
        }
        if !(0.0..=MAX_WAIT_S).contains(&levels.pair_s) {
            return Err(format!("pair_s must lie between 0 and {MAX_WAIT_S}"));
        }
        let [info, warning, critical] = levels.disk_hours;
        if !(critical >= 0.0 && critical <= warning && warning <= info && info.is_finite()) {
            return Err("disk_hours must fall: worth knowing, a warning, critical".to_owned());
        }
        Ok(())
    }
}
