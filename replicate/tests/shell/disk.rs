//! A disk in memory that knows what was synced: what is found after the power went.

use replicate::disk::StorageBackend;
use replicate::disk::place::Place;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Debug, Default)]
struct State {
    file: Vec<u8>,
    synced: Vec<u8>,
    /// Writes since the last sync; of a change of length only that there was one.
    pending: Vec<(usize, usize)>,
    mark: Option<Vec<u8>>,
    aside: usize,
}

/// The disk; clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The disk as it is found when the power goes now: without what was not synced.
    pub fn cut(&self) -> Disk {
        let state = self.state();
        let (file, mark) = (state.synced.clone(), state.mark.clone());
        let synced = file.clone();
        Disk(Arc::new(Mutex::new(State { file, synced, pending: Vec::new(), mark, aside: state.aside })))
    }

    /// How many files were moved aside.
    pub fn aside(&self) -> usize {
        self.state().aside
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().file.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (state, start) = (self.state(), offset as usize);
        let bytes = state.file.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.state().file.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let state = &mut *self.state();
        state.synced.resize(state.file.len(), 0);
        for (from, to) in state.pending.drain(..) {
            let to = to.min(state.file.len());
            if from < to {
                state.synced[from..to].copy_from_slice(&state.file[from..to]);
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (mut state, from) = (self.state(), offset as usize);
        let to = from + data.len();
        let len = state.file.len().max(to);
        state.file.resize(len, 0);
        state.file[from..to].copy_from_slice(data);
        state.pending.push((from, to));
        Ok(())
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
        (state.file, state.synced, state.pending) = (Vec::new(), Vec::new(), Vec::new());
        state.aside += 1;
        Ok(format!("aside-{}", state.aside))
    }

    fn mark(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.state().mark.clone())
    }

    fn set_mark(&mut self, mark: &[u8]) -> io::Result<()> {
        self.state().mark = Some(mark.to_vec());
        Ok(())
    }
}
