//! Chance from the kernel. Tests pass their own bytes instead.

use std::io::{self, Read};

/// Ten random bytes, as an id needs them.
///
/// # Errors
/// The kernel's random device cannot be read.
pub fn ten_bytes() -> io::Result<[u8; 10]> {
    let mut bytes = [0; 10];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
