//! What a request brings: when it is, chance, and where it came from.

use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};

use crate::store::{Id, Moment};

/// The circumstances of one request.
#[derive(Debug)]
pub struct Ctx {
    /// When it is.
    pub now: Moment,
    /// Where it came from, as far as known; empty for the machine itself.
    pub address: String,
    /// With which program.
    pub agent: String,
    /// Binds what belongs together in journal and log.
    pub correlation_id: String,
    seed: [u8; 32],
    drawn: AtomicU32,
}

impl Ctx {
    /// Of a request from `address`, with 32 random bytes.
    pub fn new(now: Moment, seed: [u8; 32], address: &str, agent: &str) -> Self {
        let mut ctx = Self {
            now,
            address: address.to_owned(),
            agent: agent.chars().take(200).collect(),
            correlation_id: String::new(),
            seed,
            drawn: AtomicU32::new(0),
        };
        ctx.correlation_id = ctx.new_id().to_string();
        ctx
    }

    /// 32 bytes that nobody can guess, other ones each time.
    pub fn chance(&self) -> [u8; 32] {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        Sha256::new().chain_update(self.seed).chain_update(drawn.to_be_bytes()).finalize().into()
    }

    /// A new id of this moment.
    pub fn new_id(&self) -> Id {
        let mut ten = [0; 10];
        ten.copy_from_slice(&self.chance()[..10]);
        Id::new(self.now.wall, ten)
    }
}
