//! The times of an election. The defaults are for a local network; [`Settings::WIDE`] is for sites over slow lines.

/// All times in milliseconds. All nodes of a fleet should have the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Between heartbeats to candidates.
    pub heartbeat_ms: u64,
    /// Between heartbeats to the others, at the most: of a large fleet. See [`Settings::others_ms`].
    pub heartbeat_others_ms: u64,
    /// What each member adds to the time between heartbeats to the others: so many are sent a second at the most.
    pub others_step_ms: u64,
    /// How long a heartbeat holds, on the clock of the one who heard it: four heartbeats.
    pub lease_ms: u64,
    /// A wake-up later than this means that *we* were held up, and says nothing about the coordinator: the lease then
    /// counts double (Lifeguard, arXiv 1707.00788).
    pub late_ms: u64,
    /// After a reset: how long others are given to hear theirs. Asked sooner they would still speak of a live lease.
    pub reset_ms: u64,
    /// What each better-ranked candidate in reach adds to the wait before asking.
    pub rank_step_ms: u64,
    /// No candidate waits for more ranks than this.
    pub rank_max: u64,
    /// How long answers to a probe are waited for, if not everybody has answered before.
    pub probe_ms: u64,
    /// How long a better-ranked candidate that answers probes may leave the fleet without a coordinator.
    pub patience_ms: u64,
    /// How long a preferred node must have been followed by its acknowledgements before it gets the role back: as in
    /// VRRP's preempt delay (RFC 5798).
    pub prefer_ms: u64,
    /// How long others leave the role of a pinned node vacant.
    pub pinned_ms: u64,
    /// How long the one who hands over waits for the claim.
    pub hand_over_ms: u64,
    /// How long after [`super::Input::Force`] acts that need the majority are allowed without one.
    pub forced_ms: u64,
    /// A known bug to be switched on, for proving tests.
    #[cfg(feature = "mutants")]
    pub mutant: Option<super::Mutant>,
}

impl Settings {
    /// For a local network: a dead coordinator is noticed within 2 s and replaced within 4 s.
    pub const LOCAL: Self = Self {
        heartbeat_ms: 500,
        heartbeat_others_ms: 5_000,
        others_step_ms: 10,
        lease_ms: 2_000,
        late_ms: 250,
        reset_ms: 50,
        rank_step_ms: 250,
        rank_max: 4,
        probe_ms: 300,
        patience_ms: 10_000,
        prefer_ms: 60_000,
        pinned_ms: 300_000,
        hand_over_ms: 3_000,
        forced_ms: 600_000,
        #[cfg(feature = "mutants")]
        mutant: None,
    };

    /// For sites over slow lines.
    pub const WIDE: Self =
        Self { heartbeat_ms: 2_000, lease_ms: 10_000, late_ms: 1_000, reset_ms: 500, probe_ms: 1_000, ..Self::LOCAL };
}

impl Settings {
    /// Between heartbeats to those that are no candidates, in a fleet of so many members: as often as to candidates up to 50
    /// of them by the times for a local network, and the more seldom the more there are.
    pub fn others_ms(&self, members: usize) -> u64 {
        let least_ms = self.heartbeat_ms;
        (members as u64 * self.others_step_ms).clamp(least_ms, self.heartbeat_others_ms.max(least_ms))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::LOCAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_members_the_more_seldom_those_are_spoken_with_that_are_no_candidates() {
        let others_ms = [0, 2, 50, 100, 300, 500, 10_000].map(|members| Settings::LOCAL.others_ms(members));
        assert_eq!(others_ms, [500, 500, 500, 1_000, 3_000, 5_000, 5_000]);
        assert_eq!([2, 500].map(|members| Settings::WIDE.others_ms(members)), [2_000, 5_000]);
    }
}
