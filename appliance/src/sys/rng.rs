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
