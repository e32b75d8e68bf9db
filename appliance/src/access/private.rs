//! Files that nobody else on the machine may read.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::sys::files;

/// Replaces a file, readable by its owner alone from its first byte on. Durable when it returns.
///
/// # Errors
/// Any step failed; the old file is then as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    // A file left over from a crash might have other rights.
    remove(beside)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(beside, path)?;
    files::sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Reads a small file that others could not read; none if they could, if there is none or if it is no text.
pub fn read(path: &Path, bytes_max: u64) -> Option<String> {
    let meta = std::fs::metadata(path).ok()?;
    let is_private = meta.permissions().mode() & 0o077 == 0;
    (is_private && meta.len() <= bytes_max).then(|| std::fs::read_to_string(path).ok()).flatten()
}

/// Removes a file if it is there.
///
/// # Errors
/// It is there and stays.
pub fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
