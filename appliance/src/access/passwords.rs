//! Passwords: which ones will do, and what is kept in their place.
//!
//! Lives here: the rules (NIST SP 800-63B-4, section 3.1.1) and the slow hash (argon2id). Hashing has a door: two at a
//! time, a few wait, the rest are sent away, so that a flood of log-ins takes neither memory nor processor from a
//! recorder. Does not live here: who has which password, second factors (with one, 8 characters would do; there is none).

use std::sync::{Condvar, Mutex, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use unicode_normalization::UnicodeNormalization;

/// Fewest characters of a password that is the only factor.
pub const CHARS_MIN: usize = 15;
/// Most characters, so that nobody sends a book.
pub const CHARS_MAX: usize = 256;
/// Hashes made at one time: 2 × 19 MiB.
const AT_ONCE: usize = 2;
/// Hashes that may wait for their turn; more are sent away.
const WAITING_MAX: usize = 16;
/// The least score of zxcvbn: "safely unguessable" begins here (10^8 guesses and more).
const SCORE_MIN: u8 = 3;

/// What a hash costs.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Cost {
    /// For tests only.
    pub const CHEAP: Self = Self { memory_kib: 8, passes: 1 };
}

impl Default for Cost {
    /// OWASP's Password Storage Cheat Sheet: argon2id, 19 MiB, two passes, one lane.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2 }
    }
}

/// Too many hashes are being made: try again in a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// Makes and checks hashes, a bounded number at one time.
#[derive(Debug)]
pub struct Hasher {
    cost: Cost,
    door: Mutex<Door>,
    opens: Condvar,
}

#[derive(Debug, Default)]
struct Door {
    inside: usize,
    waiting: usize,
}

struct Turn<'a>(&'a Hasher);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.door.lock().unwrap_or_else(PoisonError::into_inner).inside -= 1;
        self.0.opens.notify_one();
    }
}

impl Hasher {
    /// With nobody inside.
    pub fn new(cost: Cost) -> Self {
        Self { cost, door: Mutex::default(), opens: Condvar::new() }
    }

    /// What is kept of a password (PHC string). Takes tens of milliseconds.
    ///
    /// # Errors
    /// Too many others want the same.
    pub fn hash(&self, password: &str, salt: &[u8]) -> Result<String, Busy> {
        let _turn = self.turn()?;
        // A wrong cost is the only thing argon2 refuses here; without a hash nobody gets in, which is the safe side.
        let params = Params::new(self.cost.memory_kib, self.cost.passes, 1, None).unwrap_or_default();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let made: Result<PasswordHash, _> = argon2.hash_password_with_salt(prepared(password).as_bytes(), salt);
        Ok(made.map(|hash| hash.to_string()).unwrap_or_default())
    }

    /// Whether a password is the one a hash was made of. Without a hash the same work is done, and the answer is no: how
    /// long it takes does not tell whether someone is known.
    ///
    /// # Errors
    /// Too many others want the same.
    pub fn verify(&self, password: &str, hash: &str) -> Result<bool, Busy> {
        let Ok(hash) = PasswordHash::new(hash) else {
            self.hash(password, &[0; 16])?;
            return Ok(false);
        };
        let _turn = self.turn()?;
        Ok(Argon2::default().verify_password(prepared(password).as_bytes(), &hash).is_ok())
    }

    fn turn(&self) -> Result<Turn<'_>, Busy> {
        let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        if door.inside >= AT_ONCE {
            if door.waiting >= WAITING_MAX {
                return Err(Busy);
            }
            door.waiting += 1;
            door = self.opens.wait_while(door, |door| door.inside >= AT_ONCE).unwrap_or_else(PoisonError::into_inner);
            door.waiting -= 1;
        }
        door.inside += 1;
        Ok(Turn(self))
    }
}

/// The same password typed on two keyboards is the same bytes: NFKC. More than [`CHARS_MAX`] characters are never a
/// password, and only so many are looked at.
fn prepared(password: &str) -> String {
    password.chars().take(CHARS_MAX + 1).nfkc().collect()
}

/// Whether a new password will do; else a sentence for who chose it. `about` is what everyone here could guess: names of
/// the person, the room, the site, the mail address.
///
/// # Errors
/// It will not do.
pub fn check(password: &str, about: &[&str]) -> Result<(), String> {
    let password = prepared(password);
    let chars = password.chars().count();
    if chars < CHARS_MIN {
        return Err(format!("use at least {CHARS_MIN} characters: four or five words that do not belong together"));
    }
    if chars > CHARS_MAX {
        return Err(format!("use at most {CHARS_MAX} characters"));
    }
    let lower = password.to_lowercase();
    let names = names(about);
    if let Some(name) = names.iter().find(|name| lower.contains(name.as_str())) {
        return Err(format!("leave out “{name}”: whoever knows this place would try it first"));
    }
    let guessable: Vec<&str> = names.iter().map(String::as_str).chain(["rakkr"]).collect();
    if u8::from(zxcvbn::zxcvbn(&password, &guessable).score()) < SCORE_MIN {
        return Err(
            "this is too easy to guess: use words that do not belong together, no pattern and no repeats".into()
        );
    }
    Ok(())
}

/// The words of names that a password may not contain: four letters and more, so that “Room A” does not forbid each “a”.
fn names(about: &[&str]) -> Vec<String> {
    let words = about.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    words.filter(|word| word.chars().count() >= 4).map(|word| prepared(word).to_lowercase()).collect()
}
