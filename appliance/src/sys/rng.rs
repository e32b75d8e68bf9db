//! Chance from the kernel. Tests pass their own bytes instead.

use std::io::{self, Read};

/// Random bytes that nobody can guess.
///
/// # Errors
/// The kernel's random device cannot be read.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Ten random bytes, as an id needs them.
///
/// # Errors
/// The kernel's random device cannot be read.
pub fn ten_bytes() -> io::Result<[u8; 10]> {
    bytes()
}

/// A number that nobody has drawn before; 0 if the kernel gives none, which the store takes for a coincidence.
pub fn nonce() -> u32 {
    bytes::<4>().map_or(0, u32::from_ne_bytes)
}
