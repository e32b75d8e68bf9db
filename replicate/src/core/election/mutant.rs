//! Known bugs that a test can switch on, to prove that the tests would find them.

/// A bug this election had in a draft, or could have had. Without the feature `mutants` none can be switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// A claim is sent before it is durable: after a crash the same token names another reign.
    ClaimBeforeStore,
    /// A node that lost its memory goes on under its old incarnation. (The test's machine does it.)
    IncarnationReused,
    /// Claims without asking anybody.
    NoProbe,
    /// Who bears a low token is not told: a stale coordinator reigns on for ever.
    NoNak,
    /// Acts are not checked.
    NoFence,
    /// The fence is kept apart from the high-water mark: a node claims below a fence it enforces.
    TwoMarks,
}

#[cfg(feature = "mutants")]
impl super::Election {
    /// Moves the origin of the clock: every time in it becomes `by_ms` earlier, but none earlier than `floor_ms`, and
    /// rounds of asking count from 0 unless one is under way. So that a model checker sees two moments that differ in nothing else as one.
    pub fn rebase(&mut self, by_ms: u64, floor_ms: u64) {
        use super::Phase;
        let earlier = |at_ms: &mut u64| *at_ms = at_ms.saturating_sub(by_ms).max(floor_ms);
        earlier(&mut self.now_ms);
        self.due_ms.as_mut().map(earlier);
        self.vacant_since_ms.as_mut().map(earlier);
        if let Some((_, until_ms, _)) = &mut self.offered {
            earlier(until_ms);
        }
        if let Some(past) = &mut self.past {
            (past.since_ms, past.until_ms) = (floor_ms, floor_ms);
        }
        match &mut self.phase {
            Phase::Starting { until_ms } => {
                until_ms.as_mut().map(earlier);
            }
            Phase::Waiting { until_ms } => earlier(until_ms),
            Phase::Probing(probing) => {
                earlier(&mut probing.since_ms);
                earlier(&mut probing.until_ms);
                // Answers to it are still to come.
                return;
            }
            Phase::Claiming { .. } => (),
            Phase::Reigning(reign) => reign.rebase(earlier, floor_ms),
            Phase::Following(lease) => {
                earlier(&mut lease.heard_ms);
                earlier(&mut lease.asked_ms);
                (lease.began_ms, lease.round) = (floor_ms, 0);
            }
        }
        self.round = 0;
    }
}
