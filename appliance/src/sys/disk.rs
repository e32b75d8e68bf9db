//! Room on a disk.

use std::io;
use std::path::Path;

/// What a file system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes an ordinary user can still write.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
    /// Mounted so that nothing can be written.
    pub is_read_only: bool,
}

/// Asks the file system that holds `path`.
///
/// # Errors
/// The path is not there, or the file system does not answer.
pub fn space(path: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Space {
        free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        is_read_only: stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_path_that_is_not_there_is_an_error() {
        assert!(super::space(std::path::Path::new("/no/such/place")).is_err());
        assert!(super::space(std::path::Path::new("/")).unwrap().total_bytes > 0);
    }
}
