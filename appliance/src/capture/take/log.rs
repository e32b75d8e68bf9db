//! `take.jsonl`: the facts of a take, one JSON object a line, each chained to the one before.
//!
//! Every line ends in `,"chain":"…"}`: the first 16 hexadecimal digits of SHA-256 over the previous line's chain (empty for
//! the first) and the line's own JSON without it. So a flipped bit, a lost or an inserted line is found and located. A last
//! line without its newline is a crash in the middle of writing: it is cut off, nothing else is.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::domain::{Fact, TakeInfo, take::Fold};

/// The longest log that is read: a fact a second for two weeks.
pub const LOG_BYTES_MAX: u64 = 256 << 20;
/// The longest line: a mark's label and some room.
pub const LINE_BYTES_MAX: usize = 1 << 20;

const CHAIN_DIGITS: usize = 16;
const CHAIN_KEY: &str = ",\"chain\":\"";

/// Why a log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be read or written.
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    /// A line is not what was written.
    #[error("{path} is damaged at line {line}: {reason}")]
    Damaged { path: PathBuf, line: usize, reason: String },
}

/// A log, read.
#[derive(Debug)]
pub struct Log {
    /// All facts in order.
    pub facts: Vec<Fact>,
    /// Bytes of whole lines; what follows is a torn line.
    pub whole_bytes: u64,
    /// Bytes after the last whole line.
    pub torn_bytes: u64,
    chain: String,
}

impl Log {
    /// Reads a log file.
    ///
    /// # Errors
    /// The file cannot be read, is longer than [`LOG_BYTES_MAX`], or a whole line is damaged.
    pub fn read(path: &Path) -> Result<Self, LogError> {
        let io = |error| LogError::Io { path: path.to_owned(), error };
        let mut bytes = Vec::new();
        File::open(path).map_err(io)?.take(LOG_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > LOG_BYTES_MAX {
            return Err(damaged(path, 0, format!("it is longer than {LOG_BYTES_MAX} bytes")));
        }
        Self::parse(path, &bytes)
    }

    /// Reads a log from its bytes; `path` is for messages.
    ///
    /// # Errors
    /// A whole line is damaged.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, LogError> {
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let mut log = Self {
            facts: Vec::new(),
            whole_bytes: whole as u64,
            torn_bytes: (bytes.len() - whole) as u64,
            chain: String::new(),
        };
        let lines = bytes[..whole].strip_suffix(b"\n").map(|text| text.split(|&b| b == b'\n'));
        for (index, line) in lines.into_iter().flatten().enumerate() {
            let (fact, chain) = read_line(line, &log.chain).map_err(|reason| damaged(path, index + 1, reason))?;
            log.facts.push(fact);
            log.chain = chain;
        }
        Ok(log)
    }

    /// Adds the facts up.
    ///
    /// # Errors
    /// The first line is not the opening, or a fact cannot follow those before it.
    pub fn fold(&self, path: &Path) -> Result<Fold, LogError> {
        let Some((Fact::Opened(opened), rest)) = self.facts.split_first() else {
            return Err(damaged(path, 1, "the take's opening is missing".into()));
        };
        let mut fold = Fold::new(opened.clone()).map_err(|reason| damaged(path, 1, reason))?;
        for (index, fact) in rest.iter().enumerate() {
            fold.add(fact).map_err(|reason| damaged(path, index + 2, reason))?;
        }
        Ok(fold)
    }

    /// The take as its log alone tells it.
    ///
    /// # Errors
    /// As [`Log::fold`].
    pub fn info(&self, path: &Path) -> Result<TakeInfo, LogError> {
        Ok(self.fold(path)?.info(false))
    }
}

fn damaged(path: &Path, line: usize, reason: String) -> LogError {
    LogError::Damaged { path: path.to_owned(), line, reason }
}

fn read_line(line: &[u8], previous: &str) -> Result<(Fact, String), String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("it is longer than {LINE_BYTES_MAX} bytes"));
    }
    let text = std::str::from_utf8(line).map_err(|_| "it is not text".to_owned())?;
    let (body, chain) = text.rsplit_once(CHAIN_KEY).ok_or("its chain is missing")?;
    let chain = chain.strip_suffix("\"}").filter(|c| c.len() == CHAIN_DIGITS).ok_or("its chain is not whole")?;
    let body = format!("{body}}}");
    if chain_after(previous, &body) != chain {
        return Err("it, or the line before it, was altered".into());
    }
    let fact = serde_json::from_str(&body).map_err(|error| format!("it is not a fact this program knows ({error})"))?;
    Ok((fact, chain.to_owned()))
}

fn chain_after(previous: &str, body: &str) -> String {
    let digest = Sha256::new().chain_update(previous).chain_update(body).finalize();
    digest[..CHAIN_DIGITS / 2].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The writing end of a log.
#[derive(Debug)]
pub struct LogWriter {
    file: File,
    chain: String,
    bytes: u64,
}

impl LogWriter {
    /// Begins a new log; the file must not exist.
    ///
    /// # Errors
    /// The file exists or cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        // Appending, as in `resume`: a line that was cut off again must not leave a hole of zeros before the next.
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        Ok(Self { file, chain: String::new(), bytes: 0 })
    }

    /// Goes on with a log that was read, cutting off a torn last line.
    ///
    /// # Errors
    /// The file cannot be opened or cut.
    pub fn resume(path: &Path, log: &Log) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).open(path)?;
        if log.torn_bytes > 0 {
            file.set_len(log.whole_bytes)?;
        }
        Ok(Self { file, chain: log.chain.clone(), bytes: log.whole_bytes })
    }

    /// Appends a fact. It is durable after [`LogWriter::sync`].
    ///
    /// # Errors
    /// The disk refused; the log then ends where it ended before, so the same fact may be tried again.
    pub fn append(&mut self, fact: &Fact) -> io::Result<()> {
        let body = serde_json::to_string(fact)?;
        let chain = chain_after(&self.chain, &body);
        let line = format!("{}{CHAIN_KEY}{chain}\"}}\n", &body[..body.len() - 1]);
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            // Part of the line may be there; readers would cut it off, and so do we.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += line.len() as u64;
        self.chain = chain;
        Ok(())
    }

    /// Makes all facts durable.
    ///
    /// # Errors
    /// The disk refused.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Mark;
    use proptest::prelude::*;

    fn mark(frame: u64) -> Fact {
        Fact::Mark(Mark { frame, label: "Ausschnitt „A“, \"chain\":\"x\"".into() })
    }

    fn written(facts: u64) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("take.jsonl");
        let mut writer = LogWriter::create(&path).unwrap();
        (0..facts).for_each(|n| writer.append(&mark(n)).unwrap());
        std::fs::read(path).unwrap()
    }

    fn parse(bytes: &[u8]) -> Result<Log, LogError> {
        Log::parse(Path::new("take.jsonl"), bytes)
    }

    #[test]
    fn what_was_written_is_read() {
        let log = parse(&written(3)).unwrap();
        assert_eq!(log.facts, [mark(0), mark(1), mark(2)]);
        assert_eq!(log.torn_bytes, 0);
    }

    #[test]
    fn a_torn_last_line_is_cut_and_writing_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("take.jsonl");
        let bytes = written(3);
        std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        let log = Log::read(&path).unwrap();
        assert_eq!(log.facts.len(), 2);
        LogWriter::resume(&path, &log).unwrap().append(&mark(9)).unwrap();
        assert_eq!(Log::read(&path).unwrap().facts, [mark(0), mark(1), mark(9)]);
    }

    /// A full disk took half a line; the half was cut off, but the file's place stayed behind it, so the next line stood
    /// behind a hole of zeros and the whole log was damaged.
    #[test]
    fn a_line_that_was_cut_off_leaves_no_hole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("take.jsonl");
        let mut writer = LogWriter::create(&path).unwrap();
        writer.append(&mark(0)).unwrap();
        let (bytes, chain) = (writer.bytes, writer.chain.clone());
        writer.append(&mark(1)).unwrap();
        // As `append` leaves it after an error.
        writer.file.set_len(bytes).unwrap();
        (writer.bytes, writer.chain) = (bytes, chain);
        writer.append(&mark(2)).unwrap();
        assert_eq!(Log::read(&path).unwrap().facts, [mark(0), mark(2)]);
    }

    #[test]
    fn a_log_of_nothing_or_of_half_a_line_is_empty_and_not_damaged() {
        for bytes in [&b""[..], b"{\"fact\":\"opened\","] {
            let log = parse(bytes).unwrap();
            assert_eq!((log.facts.len(), log.torn_bytes), (0, bytes.len() as u64));
        }
    }

    #[test]
    fn an_empty_line_was_never_written() {
        let bytes = written(2);
        assert!(parse(&[&bytes[..], b"\n"].concat()).is_err());
        assert!(parse(&[b"\n", &bytes[..]].concat()).is_err());
    }

    #[test]
    fn a_lost_line_is_located() {
        let bytes = written(3);
        let second = bytes.iter().position(|&b| b == b'\n').unwrap() + 1;
        let third = second + bytes[second..].iter().position(|&b| b == b'\n').unwrap() + 1;
        let error = parse(&[&bytes[..second], &bytes[third..]].concat()).unwrap_err();
        assert!(matches!(error, LogError::Damaged { line: 2, .. }), "{error}");
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_found(at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut bytes = written(3);
            let last = bytes.len() - 1;
            let at = at.index(last); // The last newline aside: without it the line is torn, not altered.
            bytes[at] ^= 1 << bit;
            prop_assert!(parse(&bytes).is_err());
        }

        #[test]
        fn garbage_is_an_error_or_empty(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(log) = parse(&bytes) {
                prop_assert!(log.facts.is_empty());
            }
        }
    }
}
