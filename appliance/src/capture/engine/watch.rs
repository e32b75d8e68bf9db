//! What the engine looks at besides audio, and tells before it hurts: the room left on the disk.

use std::sync::atomic::Ordering;

use super::Engine;
use crate::sys::clock::Now;

/// Hours left at which a warning is due, each once on the way down.
const WARN_HOURS: [f64; 4] = [24.0, 4.0, 1.0, 0.25];

impl Engine {
    /// Hours until the disk is full: at the rate of what is recorded now, or of all channels if nothing is. None before a
    /// server was there or the disk was looked at.
    pub(super) fn hours_left(&self) -> Option<f64> {
        let stream = self.stream.as_ref()?;
        let writing = self.tape.shared.bytes_per_second.load(Ordering::Relaxed);
        let all_channels = u64::from(stream.rate) * stream.channels.len() as u64 * 3;
        let bytes_per_second = if writing > 0 { writing } else { all_channels };
        let free_bytes = self.tape.shared.status().free_bytes;
        (bytes_per_second > 0 && free_bytes > 0).then(|| free_bytes as f64 / bytes_per_second as f64 / 3_600.0)
    }

    /// Warns while there is time to do something.
    pub(super) fn watch_disk(&mut self, now: Now) {
        let Some(hours) = self.hours_left() else { return };
        let due = WARN_HOURS.iter().filter(|&&limit| hours < limit).count();
        if due > self.disk_warnings {
            self.tell(now.wall, format!("the disk has room for {} more: free space or attach a disk", spoken(hours)));
        }
        self.disk_warnings = due;
    }

    /// What an operator should know at once: sentences, empty when all is well.
    pub(super) fn trouble(&self) -> Vec<String> {
        let mut trouble = Vec::new();
        if self.stream.as_ref().is_some_and(|stream| !stream.is_connected) {
            trouble.push("the audio server is gone: nothing is heard".to_owned());
        }
        for (id, cause) in self.tape.shared.status().starved {
            trouble.push(format!("recording {id} is not being written: {}", cause.describe()));
        }
        if self.disk_warnings > 0
            && let Some(hours) = self.hours_left()
        {
            trouble.push(format!("the disk is full in {}", spoken(hours)));
        }
        trouble
    }
}

/// Hours as people say them.
fn spoken(hours: f64) -> String {
    match hours {
        h if h >= 2.0 => format!("{h:.0} hours"),
        h => format!("{:.0} minutes", h * 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_time_is_told_in_minutes() {
        assert_eq!((spoken(30.2), spoken(1.5)), ("30 hours".into(), "90 minutes".into()));
    }
}
