//! Waiting that can be ended: a worker between rounds, until its time comes or somebody rings.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Rings once for whoever waits, now or next. Cheap to clone; all clones are one bell.
#[derive(Debug, Clone, Default)]
pub struct Bell(Arc<(Mutex<bool>, Condvar)>);

impl Bell {
    /// Ends the waiting. If nobody waits, the next one does not wait at all.
    pub fn ring(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    /// Waits until it rings, at most so long. Whether it rang.
    pub fn wait(&self, timeout: Duration) -> bool {
        let rung = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.1.wait_timeout_while(rung, timeout, |rung| !*rung);
        std::mem::take(&mut *waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}
