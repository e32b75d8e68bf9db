//! SHA-256 of finished segments, on a thread of its own: a gigabyte takes a second, and the tape has none to give.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use sha2::{Digest, Sha256};

use super::Op;
use crate::domain::TakeId;

/// The tape's handle.
pub struct Hasher {
    jobs: Sender<Job>,
}

struct Job {
    id: TakeId,
    path: PathBuf,
    file: String,
}

impl Hasher {
    /// Starts the thread; results go to the tape as [`Op::Hashed`].
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(tape: Sender<Op>) -> io::Result<Self> {
        let (jobs, queue) = channel();
        std::thread::Builder::new().name("hasher".into()).spawn(move || run(&queue, &tape))?;
        Ok(Self { jobs })
    }

    /// Asks for the hash of a file that does not change any more.
    pub fn hash(&self, id: TakeId, path: PathBuf, file: String) {
        // The thread ends only with the tape; then nobody waits for the hash, and recovery computes it.
        let _ = self.jobs.send(Job { id, path, file });
    }
}

fn run(queue: &Receiver<Job>, tape: &Sender<Op>) {
    while let Ok(Job { id, path, file }) = queue.recv() {
        let sha256 = sha256_of(&path).map_err(|error| error.to_string());
        if tape.send(Op::Hashed { id, file, sha256 }).is_err() {
            return;
        }
    }
}

/// SHA-256 of a file in hexadecimal, in constant memory.
///
/// # Errors
/// The file cannot be read.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_hash_is_the_one_everybody_computes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // FIPS 180-2, B.1.
        assert_eq!(super::sha256_of(&path).unwrap(), expected);
    }
}
