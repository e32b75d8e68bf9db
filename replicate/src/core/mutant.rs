//! Known bugs of logs, records, sessions and links that a test can switch on, to prove that the tests would find them.
//!
//! Without the feature `mutants` none can be switched on and each question is a constant `false`. The election's own
//! are in its settings.

/// A bug that the rules could have had. Switched on for one thread, since most rules are functions without settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// A batch is acknowledged when it came, not when it is durable.
    AckBeforeCommit,
    /// A vector claims one entry more of others' logs, which is still to be kept.
    VectorBeforeData,
    /// What a peer sent is sent back to it.
    EchoStorm,
    /// More is sent than the listener has granted.
    CreditIgnored,
    /// The streams are served in the reverse order.
    SecBehindBulk,
    /// Nobody looks whether two logs of one incarnation gave one nonce.
    NonceIgnored,
    /// A batch that the peer could not keep is not sent again.
    FailureForgotten,
    /// The hash of the entry before is not looked at.
    NoPreviousHash,
    /// An entry joins although entries before it are missing.
    GapAccepted,
    /// Other content at a known place is taken for the same.
    ForkIsDuplicate,
    /// A node takes back what it lost and goes on under the same incarnation.
    OwnFutureTaken,
    /// That a version to come has been replaced is not noted.
    DoomsForgotten,
    /// Named versions are not taken out.
    SupIgnored,
    /// An enabling takes down every flag.
    EnableCancelsAll,
    /// The later wall time wins, the other value is gone.
    LastWriterWins,
    /// An entry takes out versions of other groups too.
    GroupIgnored,
    /// What wins when an edit meets a deletion is the wrong way round.
    DeletePolicySwapped,
    /// Others' Lamport clocks are not noted.
    LamportNotAdvanced,
    /// An edit replaces all there is, not what its author had before them.
    ReplacesUnseen,
    /// Entries are kept as this version would write them.
    Rewritten,
    /// Of values side by side the last in rank is shown.
    LoserShown,
    /// A fence that comes after entries beyond it leaves the records as they are.
    LateFenceIgnored,
    /// A fenced node takes its own fence back.
    LiftedFromBeyond,
    /// A floor goes beyond what the members have acknowledged.
    FloorUnacknowledged,
    /// An entry leaves its log because of one that is above the floor.
    CollectedTooEarly,
    /// A node that has a part, of this floor or of another, is filled as if it had nothing.
    FilledOverAPart,
    /// A node that is not at the floor sends a node that is being filled what it has below it.
    FilledByAnybody,
    /// A node that is below the floor goes on as if it were not.
    BelowTheFloorIgnored,
    /// A node that does not keep everything does not ask for its own past.
    PastForgotten,
    /// Who does not keep everything is sent everything.
    UnkeptSent,
    /// A floor does not tell where logs end that not every node keeps.
    EndsUntold,
    /// The log's end is kept in one durable step and the entries in the next.
    TornCommit,
    /// A hub keeps a link whose peer is silent (this and the next: `net`).
    HalfOpenKept,
    /// A link that breaks keeps what it holds of the bytes that all may have brought.
    BytesKept,
    /// The hub is not told that a link broke.
    GoneUntold,
    /// A word is lost when many wait for the wire.
    WordLost,
    /// The hub is not told that a slow link has caught up.
    DrainedUntold,
    /// What came while a link was slow is not sent over it.
    MissedForgotten,
    /// A link that closes waits until the peer has taken that.
    FarewellUnbounded,
}

#[cfg(feature = "mutants")]
mod switch {
    use super::Mutant;
    use std::cell::Cell;

    thread_local! {
        static ON: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Switches one on for this thread, or all off.
    pub fn switch(mutant: Option<Mutant>) {
        ON.set(mutant);
    }

    /// Returns which one is on.
    pub fn switched() -> Option<Mutant> {
        ON.get()
    }
}

#[cfg(feature = "mutants")]
pub use switch::{switch, switched};

/// Whether a bug is switched on.
#[cfg(feature = "mutants")]
pub(crate) fn is_on(mutant: Mutant) -> bool {
    switched() == Some(mutant)
}

/// Whether a bug is switched on: never.
#[cfg(not(feature = "mutants"))]
pub(crate) const fn is_on(_: Mutant) -> bool {
    false
}
