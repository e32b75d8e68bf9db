//! Writes into the journal what had to wait: acts that were done while the store took nothing.

use std::time::Duration;

use super::{Next, Worker, moment};
use crate::access::Access;
use crate::sys::clock::Now;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(2);

/// See the module.
pub struct Journal(Access);

impl Journal {
    /// Of everything that is allowed on this node.
    pub fn new(access: Access) -> Self {
        Self(access)
    }
}

impl Worker for Journal {
    fn name(&self) -> &'static str {
        "journal"
    }

    fn step(&mut self, now: Now) -> Result<Next, String> {
        let backlog = self.0.backlog();
        let flushed = backlog.flush(self.0.store(), moment(now));
        let (waiting, lost) = backlog.len();
        let lost = match lost {
            0 => String::new(),
            lost => format!("; {lost} had to give way and are only in the log"),
        };
        match flushed {
            Ok(()) => Ok(Next::after(LOOK, format!("{waiting} entries wait{lost}"))),
            Err(error) => Err(format!("{waiting} entries of the journal wait{lost}: {error}")),
        }
    }
}
