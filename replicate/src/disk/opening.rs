//! Opening a store: is the file sound, under which name does this node write, do its records fit the schema.
//!
//! Lives here: what moves a file aside, what mints a new incarnation, who is alarmed, building records anew. It may
//! assume nothing about the file, and that chance and time are given. Whatever it finds, a store opens, unless another
//! process has the file or the machine gives no bytes.

use super::place::{MARK_BYTES_MAX, Place};
use super::{Facts, Fault, Tables, origin_row, read_origin};
use crate::core::entry::Moment;
use crate::core::id::{NodeId, Origin};
use crate::core::log::index_keys;
use crate::core::rebuild::Rebuild;
use crate::core::schema::Schema;
use crate::core::view::{Changes, Staged, Unreadable, View, load};
use crate::core::write;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Entries replayed, or records indexed, in one step of building anew: bounds its memory.
const STEP: usize = 2000;

/// A source of nonces: chance, given by the caller.
pub type Nonces = Box<dyn FnMut() -> u32 + Send>;

/// What opening needs to be told.
pub struct Settings {
    /// Who we are.
    pub node: NodeId,
    /// The least incarnation to take if one is minted: one more than any a peer has seen, 1 if there are none.
    pub inc_min: u32,
    /// Where nonces come from.
    pub nonces: Nonces,
    /// When it is.
    pub moment: Moment,
    /// Memory for the file's pages.
    pub cache_bytes: usize,
    /// Whether to read and check every page. Finds damage before it is read in earnest; takes as long as reading the
    /// file does.
    pub is_verified: bool,
}

/// Something a person should know about how the store opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alarm {
    /// The file was damaged or of a later version and was moved aside. What was in it comes back from peers.
    Damaged {
        /// What was wrong.
        why: String,
        /// Where it is.
        moved_to: String,
    },
    /// There was a mark and no file: a disk was changed, or a file removed. What was in it comes back from peers.
    Missing,
    /// The file was damaged and could be mended: its end may be lost.
    Repaired,
    /// The file is not the one the mark was last set for: a backup was put back, or the mark is lost.
    NotTheMarked,
    /// The file was below the fleet's floor and was set aside. What nobody else had was handed on before; all else comes
    /// back from peers.
    BelowFloor {
        /// Where it is.
        moved_to: String,
    },
    /// The file was written by another node.
    OfAnotherNode(NodeId),
    /// Someone else writes under our name; nothing is written until someone says which of the two goes on.
    Quarantined(String),
}

/// How a store opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Under which name it writes.
    pub us: Origin,
    /// Whether this incarnation was minted just now.
    pub is_new: bool,
    /// Whether records (or indexes) were built anew.
    pub is_rebuilt: bool,
    /// What a person should know.
    pub alarms: Vec<Alarm>,
}

impl Opened {
    /// Returns why nothing of our own is written until [`super::store::Store::renew`], if so.
    pub fn quarantine(&self) -> Option<&str> {
        self.alarms.iter().find_map(|alarm| match alarm {
            Alarm::Quarantined(why) => Some(why.as_str()),
            _ => None,
        })
    }
}

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("another process has the file open")]
    Busy,
    /// The machine did not give or take the bytes. Nothing was moved.
    #[error("not opened: {0}")]
    Io(String),
}

impl From<std::io::Error> for OpenError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::ResourceBusy => OpenError::Busy,
            _ => OpenError::Io(error.to_string()),
        }
    }
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Busy => OpenError::Busy,
            Fault::Damaged(text) | Fault::Io(text) => OpenError::Io(text),
        }
    }
}

/// What is in a sound file.
struct Sound {
    tables: Tables,
    is_repaired: bool,
    kept: Option<Origin>,
    quarantine: Option<String>,
    is_rebuilt: bool,
}

/// Opens the store at a place.
pub(crate) fn open<P: Place>(
    place: &mut P,
    schema: &Schema,
    settings: &mut Settings,
) -> Result<(Tables, Opened), OpenError> {
    let mark = place.mark()?;
    let had_file = place.has_file()?;
    let mut alarms = Vec::new();
    let sound = match examine(place, schema, settings)? {
        Ok(sound) => sound,
        Err(why) => {
            alarms.push(Alarm::Damaged { why, moved_to: place.move_aside()? });
            examine(place, schema, settings)?.map_err(OpenError::Io)?
        }
    };
    let marked = mark.as_deref().and_then(read_mark);
    if let Some(alarm) = doubt(&sound, mark.is_some(), marked, settings.node).filter(|_| alarms.is_empty()) {
        alarms.push(if had_file || alarm != Alarm::NotTheMarked { alarm } else { Alarm::Missing });
    }
    let is_new = !alarms.is_empty() || sound.kept.is_none();
    let us = match sound.kept {
        Some(us) if !is_new => us,
        _ => mint(place, &sound, marked, schema, settings)?,
    };
    // A new incarnation is what an operator, or lost memory, answers a quarantine with.
    alarms.extend(sound.quarantine.filter(|_| !is_new).map(Alarm::Quarantined));
    Ok((sound.tables, Opened { us, is_new, is_rebuilt: sound.is_rebuilt, alarms }))
}

/// Opens the file and reads what must be readable; `Ok(Err(why))` if it is damaged. redb checks a lot and promises
/// nothing for bytes that it did not write: a panic on such bytes is damage too.
fn examine<P: Place>(place: &mut P, schema: &Schema, settings: &Settings) -> Result<Result<Sound, String>, OpenError> {
    let backend = match place.backend() {
        Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => return Ok(Err("it is a folder".to_string())),
        backend => backend?,
    };
    let (cache_bytes, is_verified) = (settings.cache_bytes, settings.is_verified);
    let examined = catch_unwind(AssertUnwindSafe(|| {
        let found = Tables::open(backend, cache_bytes, is_verified)?;
        let (tables, is_repaired) = (found.tables, found.is_repaired);
        let snapshot = tables.snapshot()?;
        let row = snapshot.fact("origin")?;
        let wrong = || Fault::Damaged("the origin is not one".to_string());
        let kept = row.map(|row| read_origin(&row).ok_or_else(wrong)).transpose()?;
        let quarantine = snapshot.fact("quarantine")?.map(|text| String::from_utf8_lossy(&text).into_owned());
        snapshot.heads()?;
        snapshot.lamport()?;
        drop(snapshot);
        let is_rebuilt = fit_to_schema(&tables, schema)?;
        Ok(Sound { tables, is_repaired, kept, quarantine, is_rebuilt })
    }));
    match examined {
        Ok(Ok(sound)) => Ok(Ok(sound)),
        Ok(Err(Fault::Damaged(why))) => Ok(Err(why)),
        Ok(Err(fault)) => Err(fault.into()),
        Err(_) => Ok(Err("the database gave up on its bytes".to_string())),
    }
}

/// Why the kept name must not be used any more, if so.
fn doubt(sound: &Sound, has_mark: bool, marked: Option<Origin>, node: NodeId) -> Option<Alarm> {
    match sound.kept {
        None if has_mark => Some(Alarm::NotTheMarked),
        None => None,
        Some(kept) if kept.node != node => Some(Alarm::OfAnotherNode(kept.node)),
        Some(_) if sound.is_repaired => Some(Alarm::Repaired),
        Some(kept) if marked != Some(kept) => Some(Alarm::NotTheMarked),
        Some(_) => None,
    }
}

/// Takes the next incarnation: above the file's, the mark's, what is in any log here, and what we were told.
fn mint<P: Place>(
    place: &mut P,
    sound: &Sound,
    marked: Option<Origin>,
    schema: &Schema,
    settings: &mut Settings,
) -> Result<Origin, OpenError> {
    let snapshot = sound.tables.snapshot().map_err(Fault::from)?;
    let heads = snapshot.heads().map_err(Fault::from)?;
    let in_logs = heads.iter().filter(|(log, _)| log.node == settings.node).map(|(log, _)| log.inc);
    let named = [sound.kept, marked].into_iter().flatten().filter(|us| us.node == settings.node).map(|us| us.inc);
    let last = in_logs.chain(named).max().unwrap_or(0);
    let inc = last.saturating_add(1).max(settings.inc_min);
    let us = Origin { node: settings.node, inc, nonce: (settings.nonces)() };
    let mut staged = Staged::new(&snapshot).map_err(Fault::from)?;
    let facts = begin(place, &mut staged, schema, us, settings.moment)?;
    sound.tables.commit(&staged.changes, &facts)?;
    Ok(us)
}

/// Stages the first entries of an incarnation and returns the facts to keep with them. The mark is durable before: an
/// incarnation of which nothing was kept is never taken twice.
pub(crate) fn begin<P: Place, V: View>(
    place: &mut P,
    staged: &mut Staged<'_, V>,
    schema: &Schema,
    us: Origin,
    moment: Moment,
) -> Result<Facts, OpenError> {
    place.set_mark(write_mark(&us).as_bytes())?;
    write::open(staged, schema, us, moment).map_err(|error| OpenError::Io(error.to_string()))?;
    Ok(vec![("origin", Some(origin_row(&us))), ("quarantine", None)])
}

/// The mark: the node, the incarnation and the nonce as text, and a line's end, so that half a mark is none.
pub(super) fn write_mark(us: &Origin) -> String {
    format!("{} {} {}\n", us.node, us.inc, us.nonce)
}

fn read_mark(mark: &[u8]) -> Option<Origin> {
    let text = std::str::from_utf8(mark).ok().filter(|text| text.len() < MARK_BYTES_MAX)?;
    let mut words = text.strip_suffix('\n')?.split(' ');
    let node = words.next()?.parse().ok()?;
    let (inc, nonce) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    words.next().is_none().then_some(Origin { node, inc, nonce })
}

/// Builds records, or only indexes, anew if they were made for another schema. Returns whether it did.
fn fit_to_schema(tables: &Tables, schema: &Schema) -> Result<bool, Fault> {
    let snapshot = tables.snapshot()?;
    let digests = [("records", schema.records_digest()), ("indexes", schema.indexes_digest())];
    let mut fits = [false; 2];
    for (fit, (name, digest)) in fits.iter_mut().zip(&digests) {
        *fit = snapshot.fact(name)?.is_some_and(|kept| kept == digest.0);
    }
    let is_fresh = snapshot.heads()?.is_empty();
    drop(snapshot);
    match fits {
        [true, true] => return Ok(false),
        _ if is_fresh => {}
        [true, false] => build_indexes(tables, schema)?,
        [false, _] => build_records(tables, schema)?,
    }
    let facts = digests.iter().map(|(name, digest)| (*name, Some(digest.0.to_vec()))).collect();
    tables.commit(&Changes::default(), &facts)?;
    Ok(!is_fresh)
}

/// From the logs. A crash before the digest is kept begins it anew.
pub(crate) fn build_records(tables: &Tables, schema: &Schema) -> Result<(), Fault> {
    tables.forget(true)?;
    let mut rebuild = Rebuild::begin(&tables.snapshot()?)?;
    while let Some(changes) = rebuild.step(&tables.snapshot()?, schema, STEP)? {
        tables.commit(&changes, &Facts::new())?;
    }
    Ok(())
}

fn build_indexes(tables: &Tables, schema: &Schema) -> Result<(), Fault> {
    tables.forget(false)?;
    let mut after = None;
    loop {
        let snapshot = tables.snapshot()?;
        let keys = snapshot.records(after.as_ref(), STEP)?;
        let mut changes = Changes::default();
        for key in &keys {
            let missing = || Unreadable::Damaged(format!("a record of the unknown kind `{}`", key.kind));
            let record = load(&snapshot, schema.kind(&key.kind).ok_or_else(missing)?, key)?;
            changes.index.extend(index_keys(&record).into_iter().map(|key| (key, true)));
        }
        drop(snapshot);
        tables.commit(&changes, &Facts::new())?;
        match keys.last() {
            Some(last) if keys.len() == STEP => after = Some(last.clone()),
            Some(_) | None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_whole_or_none() {
        let us = Origin { node: NodeId::from_u128(7), inc: 3, nonce: 99 };
        let mark = write_mark(&us);

        assert_eq!(read_mark(mark.as_bytes()), Some(us));
        for cut in 0..mark.len() {
            assert_eq!(read_mark(&mark.as_bytes()[..cut]), None, "{cut}");
        }
        for bad in ["", "\n", "x 1 1\n", " \n", "00000000000000000000000000000007 3 99 1\n"] {
            assert_eq!(read_mark(bad.as_bytes()), None, "{bad}");
        }
    }
}
