//! A backup: everything the node remembers and is, in one file; and putting it back.
//!
//! The file is lines of JSON: what it is, the entries of every log byte for byte (base64), the small files beside the
//! records, and an end with the count and the SHA-256 of all lines before it. It has password hashes and the node's key in
//! it: whoever has it can be the node. Audio is not in it, and neither is what opens the fleet's secrets: they stay sealed.
//! Written while the node runs, it is the state of one moment.

use std::io::{BufRead, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use replicate::core::id::{LogId, NodeId};
use replicate::core::view::Head;
use replicate::disk::putting_back::put_back;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{CACHE_BYTES, Id, Store, StoreError, schema};

/// The version of the form that is written; a later one is refused.
const FORM: u32 = 1;
/// The records' folder in the data folder.
pub const RECORDS: &str = "records";
/// The records' file in it.
pub(super) const RECORDS_FILE: &str = "records.redb";
/// Files of the data folder that are taken along; those that are not there are left out.
pub const FILES: [&str; 7] =
    ["node.json", "orders.json", "ports.json", "profile.json", "rakkr.toml", "tls/key.pem", "tls/cert.pem"];
/// The most bytes of such a file; a larger one is none of ours.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// A longer line is none of ours: the largest file as base64, and its name.
const LINE_BYTES_MAX: u64 = FILE_BYTES_MAX / 3 * 4 + 4_096;
/// Entries read at once.
const PAGE: usize = 500;

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Whose it is.
    pub node: Id,
    /// When it was made.
    pub at: Timestamp,
    /// Entries of all logs.
    pub entries: u64,
    /// Names of the files taken along.
    pub files: Vec<String>,
}

/// Why a backup was not made or not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The records cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The machine did not give or take the bytes.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The file is no backup, is of a later version, was cut off or altered.
    #[error("this is not a whole backup: {0}. Nothing was put back")]
    NotWhole(String),
    /// There are records already.
    #[error("{0} has records already: put it back into an empty folder, or say --force to set these aside")]
    NotEmpty(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    RakkrBackup { form: u32, node: Id, at: Timestamp, version: String },
    Entry(String),
    File { name: String, data: String },
    End { lines: u64, sha256: String },
}

/// Lines that are counted and hashed on their way.
struct Out<'w> {
    to: &'w mut dyn Write,
    hash: Sha256,
    lines: u64,
}

impl Out<'_> {
    fn line(&mut self, line: &Line) -> Result<(), BackupError> {
        let mut text = serde_json::to_vec(line).map_err(std::io::Error::other)?;
        text.push(b'\n');
        self.hash.update(&text);
        self.lines += 1;
        Ok(self.to.write_all(&text)?)
    }
}

impl Store {
    /// Writes a backup of these records and of the files in `data`, while everything goes on.
    ///
    /// # Errors
    /// [`BackupError`]; what was written then has no end and is refused when put back.
    pub fn backup(&self, data: &Path, now: Timestamp, to: &mut dyn Write) -> Result<Told, BackupError> {
        let mut out = Out { to, hash: Sha256::new(), lines: 0 };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        out.line(&Line::RakkrBackup { form: FORM, node: self.node, at: now, version })?;
        let mut told = Told { node: self.node, at: now, entries: 0, files: Vec::new() };
        let floor = self.records.backup_begins_with().map_err(StoreError::from)?;
        if let Some(floor) = &floor {
            out.line(&Line::Entry(STANDARD.encode(floor)))?;
            told.entries += 1;
        }
        // The ends of all logs at one moment; what joins them later is not this backup's.
        for (log, head) in self.records.heads().map_err(StoreError::from)? {
            told.entries += self.write_log(log, head, floor.is_some(), &mut out)?;
        }
        if self.records.backup_begins_with().map_err(StoreError::from)? != floor {
            let why = "entries left the logs while they were read: make the backup again";
            return Err(StoreError::Unusable(why.into()).into());
        }
        for name in FILES {
            let bytes = match std::fs::metadata(data.join(name)) {
                Ok(found) if found.is_file() && found.len() <= FILE_BYTES_MAX => std::fs::read(data.join(name))?,
                Ok(_) | Err(_) => continue,
            };
            out.line(&Line::File { name: name.into(), data: STANDARD.encode(bytes) })?;
            told.files.push(name.into());
        }
        let end = Line::End { lines: out.lines, sha256: hex(&out.hash.finalize_reset()) };
        out.line(&end)?;
        out.to.flush()?;
        Ok(told)
    }

    /// Below the fleet's floor a log has gaps.
    fn write_log(&self, log: LogId, head: Head, has_gaps: bool, out: &mut Out) -> Result<u64, BackupError> {
        let (mut next, mut written) = (1, 0);
        while next <= head.seq {
            let wanted = usize::try_from(head.seq - next + 1).unwrap_or(PAGE).min(PAGE);
            let mut entries = self.records.entries(log, next, wanted).map_err(StoreError::from)?;
            entries.retain(|entry| entry.at.dot.seq <= head.seq);
            let Some(last) = entries.last().map(|entry| entry.at.dot.seq) else {
                if has_gaps {
                    break;
                }
                return Err(StoreError::Unusable(format!("{} is not in its log", log.at(next))).into());
            };
            for entry in &entries {
                out.line(&Line::Entry(STANDARD.encode(&entry.raw)))?;
            }
            (next, written) = (last + 1, written + entries.len() as u64);
        }
        Ok(written)
    }
}

/// Makes a new file that only its owner can read. Durable and whole when it returns, or not there.
///
/// # Errors
/// There is one already, or the machine does not take it; and as for [`Store::backup`].
pub fn write_file(store: &Store, data: &Path, now: Timestamp, to: &Path) -> Result<Told, BackupError> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let mut writer = std::io::BufWriter::new(file);
    let written = store.backup(data, now, &mut writer).and_then(|told| {
        let file = writer.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(told)
    });
    if written.is_err() {
        // Half a backup is none; that it cannot be removed changes nothing of that.
        let _ = std::fs::remove_file(to);
    }
    written
}

/// Reads a backup from its beginning to its end and proves it whole. Puts nothing back.
///
/// # Errors
/// [`BackupError`].
pub fn check(from: &mut dyn BufRead) -> Result<Told, BackupError> {
    let mut told: Option<Told> = None;
    let (mut hash, mut lines, mut is_ended) = (Sha256::new(), 0, false);
    while let Some(text) = next_line(from)? {
        let line = parse(&text, lines + 1)?;
        match (line, &mut told) {
            _ if is_ended => return Err(not_whole("there is something after its end")),
            (Line::RakkrBackup { form, node, at, version }, None) => {
                if form != FORM {
                    return Err(not_whole(&format!("it was written by the later version {version}")));
                }
                told = Some(Told { node, at, entries: 0, files: Vec::new() });
            }
            (Line::Entry(_), Some(told)) => told.entries += 1,
            (Line::File { name, .. }, Some(_)) if !FILES.contains(&name.as_str()) => {
                return Err(not_whole("it has a file that is none of a node's"));
            }
            (Line::File { name, .. }, Some(told)) => told.files.push(name),
            (Line::End { lines: counted, sha256 }, Some(_)) => {
                if counted != lines || sha256 != hex(&hash.finalize_reset()) {
                    return Err(not_whole("it was altered: its SHA-256 is another"));
                }
                is_ended = true;
            }
            (_, None) | (Line::RakkrBackup { .. }, Some(_)) => return Err(not_whole("it does not begin as one")),
        }
        hash.update(&text);
        lines += 1;
    }
    told.filter(|_| is_ended).ok_or_else(|| not_whole("its end is missing"))
}

/// Puts a backup back into a data folder. Existing records are refused, or with `is_forced` set aside; so are files that
/// it replaces. The node then goes on under the next incarnation, and says at its start that a backup was put back.
///
/// # Errors
/// [`BackupError`]; the records are then as they were.
pub fn restore(data: &Path, from: &Path, is_forced: bool) -> Result<Told, BackupError> {
    let open = || std::fs::File::open(from).map(std::io::BufReader::new);
    let told = check(&mut open()?)?;
    let records = data.join(RECORDS);
    if records.join(RECORDS_FILE).exists() && !is_forced {
        return Err(BackupError::NotEmpty(data.display().to_string()));
    }
    std::fs::create_dir_all(data)?;
    let making = data.join("records.restoring");
    if making.exists() {
        std::fs::remove_dir_all(&making)?;
    }
    std::fs::create_dir(&making)?;
    let (mut source, mut files, mut lines) = (open()?, Vec::new(), 0);
    let mut entry = || loop {
        let text = match next_line(&mut source) {
            Ok(text) => text?,
            Err(error) => return Some(Err(error.to_string())),
        };
        lines += 1;
        match parse(&text, lines) {
            Ok(Line::Entry(data)) => {
                return Some(STANDARD.decode(data).map(Arc::from).map_err(|error| error.to_string()));
            }
            Ok(Line::File { name, data }) => files.push((name, data)),
            Ok(Line::RakkrBackup { .. } | Line::End { .. }) => {}
            Err(error) => return Some(Err(error.to_string())),
        }
    };
    let node = NodeId(told.node.0.into_bytes());
    let entries = std::iter::from_fn(&mut entry);
    let put = put_back(&making.join(RECORDS_FILE), &schema::schema(), node, CACHE_BYTES, entries);
    put.map_err(|error| not_whole(&error.to_string()))?;
    set_aside(data)?;
    std::fs::rename(&making, &records)?;
    for (name, base64) in files {
        let bytes = STANDARD.decode(base64).map_err(|error| not_whole(&error.to_string()))?;
        put_file(data, &name, &bytes)?;
    }
    crate::sys::files::sync_folder(data)?;
    Ok(told)
}

/// Renames the records of a data folder, if there are any, so that nothing is lost. No node may run on it.
///
/// # Errors
/// The machine does not take it.
pub fn set_aside(data: &Path) -> std::io::Result<()> {
    let records = data.join(RECORDS);
    if records.exists() {
        std::fs::rename(&records, free_name(data, RECORDS))?;
    }
    Ok(())
}

fn put_file(data: &Path, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
    let path = data.join(name);
    if path.exists() {
        std::fs::rename(&path, free_name(data, name))?;
    }
    std::fs::create_dir_all(path.parent().unwrap_or(data))?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(crate::sys::files::sync_folder(path.parent().unwrap_or(data))?)
}

/// A name beside the old one that nothing has: `records.before-1`.
fn free_name(data: &Path, name: &str) -> PathBuf {
    let mut number = 1;
    loop {
        let path = data.join(format!("{name}.before-{number}"));
        if !path.exists() {
            return path;
        }
        number += 1;
    }
}

fn next_line(from: &mut dyn BufRead) -> Result<Option<Vec<u8>>, BackupError> {
    let mut line = Vec::new();
    std::io::Read::take(from, LINE_BYTES_MAX + 1).read_until(b'\n', &mut line)?;
    if line.len() as u64 > LINE_BYTES_MAX {
        return Err(not_whole("it has a line that is too long"));
    }
    Ok((!line.is_empty()).then_some(line))
}

fn parse(text: &[u8], number: u64) -> Result<Line, BackupError> {
    serde_json::from_slice(text).map_err(|_| not_whole(&format!("line {number} is none of a backup")))
}

fn not_whole(why: &str) -> BackupError {
    BackupError::NotWhole(why.to_owned())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
