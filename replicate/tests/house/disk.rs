//! A disk in memory that remembers every write, and can be cut off after any of them.
//!
//! What was not synced when the power went may be there, or not, or be there in part: the test chooses how.
#![allow(dead_code)] // Each test binary uses its own part of it.

use crate::house::{moment, origin, schema};
use replicate::core::schema::Schema;
use replicate::core::write::Draft;
use replicate::disk::StorageBackend;
use replicate::disk::opening::{OpenError, Opened, Settings};
use replicate::disk::place::Place;
use replicate::disk::store::{Batch, Store};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Debug, Clone)]
enum Event {
    Write { offset: usize, data: Vec<u8> },
    SetLen(usize),
    Sync,
    Mark(Vec<u8>),
    Aside,
}

#[derive(Debug, Default)]
struct State {
    file: Vec<u8>,
    mark: Option<Vec<u8>>,
    /// File and mark before the first event.
    before: (Vec<u8>, Option<Vec<u8>>),
    aside: Vec<Vec<u8>>,
    events: Vec<Event>,
    fails_from: Option<usize>,
    full_at: Option<usize>,
}

/// What becomes of the writes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unsynced {
    Lost,
    Kept,
    /// Every second one, beginning with the first or the second.
    Every(usize),
    /// Of each write every second sector of 512 bytes.
    Torn(usize),
}

pub const FATES: [Unsynced; 6] =
    [Unsynced::Lost, Unsynced::Kept, Unsynced::Every(0), Unsynced::Every(1), Unsynced::Torn(0), Unsynced::Torn(1)];

/// The disk; clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// How many events there were: a moment to cut the power at.
    pub fn now(&self) -> usize {
        self.state().events.len()
    }

    pub fn file(&self) -> Vec<u8> {
        self.state().file.clone()
    }

    pub fn aside(&self) -> usize {
        self.state().aside.len()
    }

    /// Every write fails from now on.
    pub fn fail(&self) {
        let mut state = self.state();
        state.fails_from = Some(state.events.len());
    }

    /// No byte beyond the present ones finds room from now on.
    pub fn fill(&self) {
        let mut state = self.state();
        state.full_at = Some(state.file.len());
    }

    pub fn mend(&self) {
        self.state().full_at = None;
        self.state().fails_from = None;
    }

    /// Another disk with this one's mark and another file.
    pub fn with_file(&self, file: Vec<u8>) -> Disk {
        let mark = self.state().mark.clone();
        Disk::found(file, mark)
    }

    pub fn without_mark(&self) -> Disk {
        Disk::found(self.file(), None)
    }

    fn found(file: Vec<u8>, mark: Option<Vec<u8>>) -> Disk {
        let before = (file.clone(), mark.clone());
        Disk(Arc::new(Mutex::new(State { file, mark, before, ..State::default() })))
    }

    /// The disk as it is found after the power went at a moment.
    pub fn cut(&self, moment: usize, fate: Unsynced) -> Disk {
        let state = self.state();
        let ((mut file, mut mark), mut pending) = (state.before.clone(), Vec::new());
        for event in &state.events[..moment] {
            match event {
                Event::Sync => pending.drain(..).for_each(|event| done(&mut file, &event, 0..usize::MAX)),
                Event::Mark(bytes) => mark = Some(bytes.clone()),
                Event::Aside => {
                    file.clear();
                    pending.clear();
                }
                Event::Write { .. } | Event::SetLen(_) => pending.push(event.clone()),
            }
        }
        for (number, event) in pending.iter().enumerate() {
            match fate {
                Unsynced::Lost => {}
                Unsynced::Kept => done(&mut file, event, 0..usize::MAX),
                Unsynced::Every(parity) if number % 2 == parity => done(&mut file, event, 0..usize::MAX),
                Unsynced::Every(_) => {}
                Unsynced::Torn(parity) => {
                    for sector in (parity..128).step_by(2) {
                        done(&mut file, event, sector * 512..(sector + 1) * 512);
                    }
                }
            }
        }
        Disk::found(file, mark)
    }

    fn happen(&self, event: Event) -> io::Result<()> {
        let mut state = self.state();
        if state.fails_from.is_some_and(|from| state.events.len() >= from) {
            return Err(io::Error::other("the disk fails"));
        }
        let end = match &event {
            Event::Write { offset, data } => offset + data.len(),
            Event::SetLen(len) => *len,
            Event::Sync | Event::Mark(_) | Event::Aside => 0,
        };
        if state.full_at.is_some_and(|full| end > full) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        done(&mut state.file, &event, 0..usize::MAX);
        state.events.push(event);
        Ok(())
    }
}

/// Does an event to a file; of a write only the bytes in `part`.
fn done(file: &mut Vec<u8>, event: &Event, part: std::ops::Range<usize>) {
    match event {
        Event::Write { offset, data } => {
            let (start, end) = (part.start.min(data.len()), part.end.min(data.len()));
            let (from, to) = (offset + start, offset + end);
            file.resize(file.len().max(to), 0);
            file[from..to].copy_from_slice(&data[start..end]);
        }
        Event::SetLen(len) => file.resize(*len, 0),
        Event::Sync | Event::Mark(_) | Event::Aside => {}
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().file.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let start = offset as usize;
        let bytes = state.file.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.happen(Event::SetLen(len as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.happen(Event::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.happen(Event::Write { offset: offset as usize, data: data.to_vec() })
    }
}

impl Place for Disk {
    type Backend = Disk;

    fn has_file(&self) -> io::Result<bool> {
        Ok(!self.state().file.is_empty())
    }

    fn backend(&mut self) -> io::Result<Disk> {
        Ok(self.clone())
    }

    fn move_aside(&mut self) -> io::Result<String> {
        let mut state = self.state();
        let file = std::mem::take(&mut state.file);
        state.events.push(Event::Aside);
        state.aside.push(file);
        Ok(format!("aside-{}", state.aside.len()))
    }

    fn mark(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.state().mark.clone())
    }

    fn set_mark(&mut self, mark: &[u8]) -> io::Result<()> {
        self.happen(Event::Mark(mark.to_vec()))?;
        self.state().mark = Some(mark.to_vec());
        Ok(())
    }
}

pub fn settings(node: u128) -> Settings {
    let mut nonce = 100;
    let nonces = Box::new(move || {
        nonce += 1;
        nonce
    });
    let moment = moment(0);
    Settings { node: origin(node).node, inc_min: 1, nonces, moment, cache_bytes: 4 << 20, is_verified: true }
}

pub fn open(disk: &Disk) -> (Store, Opened) {
    open_with(disk, schema()).unwrap()
}

pub fn open_with(disk: &Disk, schema: Schema) -> Result<(Store, Opened), OpenError> {
    Store::open_at(disk.clone(), schema, settings(1))
}

pub fn batch(drafts: &[Draft]) -> Batch {
    Batch { expected: Vec::new(), drafts: drafts.to_vec(), moment: moment(0), is_urgent: true }
}
