//! Where the file is, and the mark beside it that survives the file.
//!
//! Lives here: finding, moving aside, the mark. Does not: why. A place in memory stands in for a disk in tests.

use super::{StorageBackend, file_backend};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Damaged files kept beside the good one; the oldest is removed when another comes.
pub const ASIDE_MAX: usize = 4;
/// A mark is shorter than this; what is longer is none.
pub const MARK_BYTES_MAX: usize = 256;

/// Where one store is kept.
pub trait Place: Send + 'static {
    /// What redb reads and writes through.
    type Backend: StorageBackend;

    /// Whether there is a file that is not empty.
    ///
    /// # Errors
    /// The machine could not tell. Likewise below.
    fn has_file(&self) -> io::Result<bool>;
    /// Opens the file, an empty one if there is none. `ErrorKind::ResourceBusy` if another process has it.
    #[allow(clippy::missing_errors_doc)]
    fn backend(&mut self) -> io::Result<Self::Backend>;
    /// Moves the file aside; returns where to, for people.
    #[allow(clippy::missing_errors_doc)]
    fn move_aside(&mut self) -> io::Result<String>;
    /// As [`Place::move_aside`], of a sound file that is below the fleet's floor.
    #[allow(clippy::missing_errors_doc)]
    fn set_aside(&mut self) -> io::Result<String> {
        self.move_aside()
    }
    /// Returns the mark, if there is one.
    #[allow(clippy::missing_errors_doc)]
    fn mark(&self) -> io::Result<Option<Vec<u8>>>;
    /// Replaces the mark; durable when it returns.
    #[allow(clippy::missing_errors_doc)]
    fn set_mark(&mut self, mark: &[u8]) -> io::Result<()>;
}

/// A file, with `.mark`, `.damaged-<n>` and `.below-floor-<n>` beside it.
#[derive(Debug, Clone)]
pub struct FilePlace {
    path: PathBuf,
}

impl FilePlace {
    /// Returns the place of this file. Its folder must exist.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(ending);
        path.into()
    }

    /// Moves the file aside. The newest is always number 1.
    fn rename(&self, ending: &str) -> io::Result<String> {
        for number in (1..ASIDE_MAX).rev() {
            let from = self.beside(&format!("{ending}-{number}"));
            if from.try_exists()? {
                fs::rename(from, self.beside(&format!("{ending}-{}", number + 1)))?;
            }
        }
        let to = self.beside(&format!("{ending}-1"));
        fs::rename(&self.path, &to)?;
        self.sync_folder()?;
        Ok(to.display().to_string())
    }

    fn sync_folder(&self) -> io::Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Place for FilePlace {
    type Backend = super::FileBackend;

    fn has_file(&self) -> io::Result<bool> {
        match fs::metadata(&self.path) {
            Ok(metadata) => Ok(metadata.len() > 0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn backend(&mut self) -> io::Result<Self::Backend> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.path)?;
        self.sync_folder()?;
        file_backend(file)
    }

    fn move_aside(&mut self) -> io::Result<String> {
        self.rename(".damaged")
    }

    fn set_aside(&mut self) -> io::Result<String> {
        self.rename(".below-floor")
    }

    fn mark(&self) -> io::Result<Option<Vec<u8>>> {
        use io::Read;
        let file = match File::open(self.beside(".mark")) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut mark = Vec::new();
        file.take(MARK_BYTES_MAX as u64).read_to_end(&mut mark)?;
        Ok(Some(mark))
    }

    fn set_mark(&mut self, mark: &[u8]) -> io::Result<()> {
        let new = self.beside(".mark.new");
        let mut file = File::create(&new)?;
        file.write_all(mark)?;
        file.sync_all()?;
        fs::rename(new, self.beside(".mark"))?;
        self.sync_folder()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_set() {
        let folder = tempfile::tempdir().unwrap();
        let mut place = FilePlace::new(&folder.path().join("node.redb"));

        assert_eq!(place.mark().unwrap(), None);
        place.set_mark(b"one").unwrap();
        place.set_mark(b"two").unwrap();
        assert_eq!(place.mark().unwrap().unwrap(), b"two");
    }

    #[test]
    fn the_last_damaged_files_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.redb");
        let mut place = FilePlace::new(&path);
        for number in 0..6_u8 {
            assert!(!place.has_file().unwrap());
            fs::write(&path, [number]).unwrap();
            assert!(place.has_file().unwrap());
            place.move_aside().unwrap();
        }
        let kept = |number: usize| fs::read(place.beside(&format!(".damaged-{number}"))).unwrap();

        assert_eq!((kept(1), kept(ASIDE_MAX)), (vec![5], vec![2]));
        assert!(!place.beside(&format!(".damaged-{}", ASIDE_MAX + 1)).exists());
    }
}
