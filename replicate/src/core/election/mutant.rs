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
