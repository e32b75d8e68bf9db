//! The journal as a chain: written out line by line, and proven from those lines alone, on any machine.
//!
//! A line has an entry byte for byte as it was hashed, its place in the log, the hash of the entry before and its own.
//! Between the first and the last line nothing can be missing, altered or in another order without being seen. What this
//! cannot show: that lines were cut off at either end, unless one knows the head that the node tells; and a forger with
//! time enough can make a new chain, which then has another head.

use std::fmt;
use std::io::{BufRead, Write};
use std::str::FromStr;
use std::sync::Arc;

use replicate::core::entry::{ENTRY_BYTES_MAX, Entry as Raw};
use replicate::core::id::{Hash, LogId, NodeId, Stream};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::store::{Store, StoreError};

/// A longer line is none of ours: the longest entry, and the names and hashes around it.
const LINE_BYTES_MAX: u64 = ENTRY_BYTES_MAX as u64 + 1_024;
/// Findings that are listed; more would not say more.
const FINDINGS_MAX: usize = 100;
/// Entries read at once.
const PAGE: usize = 200;

/// Where the journal ends: incarnation, number of the entry, its hash. Written `2:517:9f…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The incarnation.
    pub inc: u32,
    /// The entry's number in it.
    pub seq: u64,
    /// Its hash, which binds all before it.
    pub hash: Hash,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.inc, self.seq, self.hash)
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || "a head is written as the node shows it: 1:517:9f0c…".to_owned();
        let mut parts = text.trim().splitn(3, ':');
        let mut part = || parts.next().ok_or_else(bad);
        let inc = part()?.parse().map_err(|_| bad())?;
        let seq = part()?.parse().map_err(|_| bad())?;
        Ok(Self { inc, seq, hash: part()?.parse().map_err(|_| bad())? })
    }
}

/// One link of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Which node's journal.
    pub node: NodeId,
    /// Its place and hash.
    pub at: Head,
    /// The hash of the entry before it in this incarnation; zeros in the first.
    pub previous: Hash,
    /// The entry as it was hashed: JSON.
    pub raw: Arc<[u8]>,
}

#[derive(Serialize, Deserialize)]
struct Line<'l> {
    node: String,
    inc: u32,
    seq: u64,
    previous: String,
    hash: String,
    #[serde(borrow)]
    entry: &'l RawValue,
}

impl Link {
    /// The link as a line of JSON, without its end.
    ///
    /// # Errors
    /// The entry is not text; ours always is.
    pub fn line(&self) -> Result<String, StoreError> {
        let bad = |error: String| StoreError::Unusable(format!("entry {} of the journal: {error}", self.at));
        let text = std::str::from_utf8(&self.raw).map_err(|error| bad(error.to_string()))?;
        let entry = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
        let (previous, hash) = (self.previous.to_string(), self.at.hash.to_string());
        let line = Line { node: self.node.to_string(), inc: self.at.inc, seq: self.at.seq, previous, hash, entry };
        serde_json::to_string(&line).map_err(|error| bad(error.to_string()))
    }
}

/// The journal from a place on, read a page at a time.
pub struct Links<'s> {
    store: &'s Store,
    /// Logs with the sequence number to go on at and the last one, as of the beginning.
    logs: Vec<(LogId, u64, u64)>,
    page: std::vec::IntoIter<Raw>,
}

impl Iterator for Links<'_> {
    type Item = Result<Link, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.page.next() {
                let at = Head { inc: entry.at.dot.inc, seq: entry.at.dot.seq, hash: entry.hash };
                return Some(Ok(Link { node: entry.at.dot.node, at, previous: entry.previous, raw: entry.raw }));
            }
            let (log, from, to) = self.logs.first_mut()?;
            let wanted = usize::try_from((*to + 1).saturating_sub(*from)).unwrap_or(PAGE).min(PAGE);
            match self.store.records.entries(*log, *from, wanted) {
                Ok(entries) if entries.is_empty() => drop(self.logs.remove(0)),
                Ok(entries) => {
                    *from += entries.len() as u64;
                    self.page = entries.into_iter();
                }
                Err(error) => {
                    self.logs.clear();
                    return Some(Err(error.into()));
                }
            }
        }
    }
}

impl Store {
    /// This node's journal from an incarnation and a number on (1, 1 is all), as it is at this moment.
    ///
    /// # Errors
    /// The records cannot be read; likewise below.
    pub fn audit_export(&self, from: (u32, u64)) -> Result<Links<'_>, StoreError> {
        let logs = self.journals()?.into_iter().filter(|(log, _)| log.inc >= from.0);
        let logs = logs.map(|(log, head)| (log, if log.inc == from.0 { from.1.max(1) } else { 1 }, head.seq)).collect();
        Ok(Links { store: self, logs, page: Vec::new().into_iter() })
    }

    /// Writes the journal as lines of JSON and returns its head: what proves that none was cut off its end.
    #[allow(clippy::missing_errors_doc)]
    pub fn write_audit(&self, from: (u32, u64), to: &mut dyn Write) -> Result<Option<Head>, StoreError> {
        let mut head = None;
        for link in self.audit_export(from)? {
            let link = link?;
            let line = link.line()?;
            writeln!(to, "{line}").map_err(|error| StoreError::Unusable(error.to_string()))?;
            head = Some(link.at);
        }
        Ok(head)
    }

    /// Where the journal ends.
    #[allow(clippy::missing_errors_doc)]
    pub fn audit_head(&self) -> Result<Option<Head>, StoreError> {
        let last = self.journals()?.pop();
        Ok(last.map(|(log, head)| Head { inc: log.inc, seq: head.seq, hash: head.hash }))
    }

    fn journals(&self) -> Result<Vec<(LogId, replicate::core::view::Head)>, StoreError> {
        let node = NodeId(self.node.0.into_bytes());
        let mut heads = self.records.heads()?;
        heads.retain(|(log, _)| log.stream == Stream::Jrn && log.node == node);
        heads.sort_by_key(|(log, _)| log.inc);
        Ok(heads)
    }
}

/// What lines prove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// Lines read.
    pub lines: u64,
    /// The first entry's place.
    pub first: Option<Head>,
    /// The last entry's place: to be compared with the one that the node shows.
    pub last: Option<Head>,
    /// What is wrong, with its line.
    pub findings: Vec<String>,
}

/// Whether a file's first line is one of an exported journal.
pub fn is_export(first_line: &str) -> bool {
    serde_json::from_str::<Line>(first_line).is_ok()
}

/// Proves lines. With a head, also that they reach to it.
///
/// # Errors
/// The source cannot be read.
pub fn prove(from: &mut dyn BufRead, head: Option<Head>) -> std::io::Result<Proof> {
    let mut proof = Proof::default();
    let mut before: Option<(NodeId, Head)> = None;
    let mut has_met_head = false;
    loop {
        let mut line = Vec::new();
        std::io::Read::take(&mut *from, LINE_BYTES_MAX + 1).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            break;
        }
        proof.lines += 1;
        if line.len() as u64 > LINE_BYTES_MAX {
            note(&mut proof, "is longer than any entry: nothing after it was looked at");
            break;
        }
        let entry = match read(&line) {
            Ok(entry) => entry,
            Err(why) => {
                note(&mut proof, &why);
                // What follows is held against itself: one altered line is one finding.
                before = None;
                continue;
            }
        };
        if let Some(why) = breach(before, &entry) {
            note(&mut proof, &why);
        }
        let at = Head { inc: entry.at.dot.inc, seq: entry.at.dot.seq, hash: entry.hash };
        has_met_head |= head == Some(at);
        proof.first.get_or_insert(at);
        proof.last = Some(at);
        before = Some((entry.at.dot.node, at));
    }
    if let Some(head) = head.filter(|_| !has_met_head) {
        proof.findings.push(format!("the entry {head}, which the node named as its last, is not among the lines"));
    }
    Ok(proof)
}

fn note(proof: &mut Proof, why: &str) {
    if proof.findings.len() < FINDINGS_MAX {
        proof.findings.push(format!("line {} {why}", proof.lines));
    }
}

/// An entry out of its line, if it is what the line says.
fn read(line: &[u8]) -> Result<Raw, String> {
    let line: Line = serde_json::from_slice(line).map_err(|_| "is no line of a journal".to_owned())?;
    let entry = Raw::parse(line.entry.get().as_bytes()).map_err(|error| format!("has no entry: {error}"))?;
    let dot = entry.at.dot;
    let place = (dot.node.to_string(), dot.inc, dot.seq) == (line.node, line.inc, line.seq);
    if entry.at.stream != Stream::Jrn || !place {
        return Err("has an entry of another place".into());
    }
    if entry.hash.to_string() != line.hash || entry.previous.to_string() != line.previous {
        return Err("was altered: its hash is another".into());
    }
    Ok(entry)
}

/// Why an entry does not follow the one before it; nothing if it does.
fn breach(before: Option<(NodeId, Head)>, entry: &Raw) -> Option<String> {
    let (node, last) = before?;
    let dot = entry.at.dot;
    if dot.node != node {
        return Some("is of another node".into());
    }
    if dot.inc == last.inc {
        let follows = last.seq.checked_add(1) == Some(dot.seq) && entry.previous == last.hash;
        return (!follows).then(|| format!("does not follow {}: lines are missing or in another order", last));
    }
    // The first entry of an incarnation names the end of the one before.
    let sealed = entry.opening().and_then(|opening| opening.prev);
    match sealed {
        Some(sealed) if (sealed.inc, sealed.seq, sealed.hash) == (last.inc, last.seq, last.hash) => None,
        Some(_) => Some(format!("does not follow {last}: lines are missing or in another order")),
        None if entry.opening().is_some() && dot.inc > last.inc => {
            Some("begins anew without naming what came before: the records were lost in between".into())
        }
        None => Some(format!("does not follow {last}: lines are missing or in another order")),
    }
}
