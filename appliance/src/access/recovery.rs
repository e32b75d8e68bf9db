//! The printed recovery code: 20 characters that let the owner in when all else is forgotten.
//!
//! Of the code a SHA-256 is kept: 100 bits are not guessed, so the hash need not be slow. A code holds once.

use super::Ctx;
use super::sessions::hash_of;
use crate::store::{Edits, Id};
use serde::{Deserialize, Serialize};

/// The setting with what is kept of the code.
pub(super) const RECOVERY: &str = "recovery_code";
/// Crockford's letters: no I, L, O, U.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE_CHARS: usize = 20;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub hash: String,
    pub user: Id,
}

/// A new code in groups of five; the old one ends with these edits.
pub(super) fn new_code(edits: &mut Edits, ctx: &Ctx, user: Id) -> String {
    let letters = ctx.chance();
    let plain: String =
        letters.iter().take(CODE_CHARS).map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    edits.put_setting(RECOVERY, &Kept { hash: hash_of(&plain), user });
    let groups: Vec<&str> = [0, 5, 10, 15].iter().map(|start| &plain[*start..start + 5]).collect();
    groups.join("-")
}
