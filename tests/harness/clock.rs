//! A wall clock to step, for one appliance only: libfaketime in front of its C library. The monotonic clock stays true.

use std::path::PathBuf;
use std::time::SystemTime;

const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// A clock that runs, and jumps when told.
pub struct FakeClock {
    folder: tempfile::TempDir,
}

impl FakeClock {
    /// Begins true.
    pub fn start() -> FakeClock {
        assert!(std::path::Path::new(LIBRARY).exists(), "the package faketime is missing");
        let clock = FakeClock { folder: tempfile::tempdir().expect("a temp folder") };
        clock.step(0);
        clock
    }

    /// Sets the clock to so many seconds off the true time.
    pub fn step(&self, seconds: i64) {
        // By rename: a reader never sees half a number.
        let fresh = self.folder.path().join("fresh");
        std::fs::write(&fresh, format!("{seconds:+}")).expect("the clock's file");
        std::fs::rename(&fresh, self.file()).expect("the clock's file");
    }

    /// Sets the clock to the first day of 1970, where machines without a battery wake up.
    pub fn step_to_1970(&self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970").as_secs();
        self.step(3600 - now as i64);
    }

    /// What the appliance's process needs in its environment.
    pub fn environment(&self) -> Vec<(String, String)> {
        let file = self.file().to_str().expect("temp folders are plain text").to_string();
        let pairs = [
            ("LD_PRELOAD", LIBRARY),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        pairs.map(|(key, value)| (key.to_string(), value.to_string())).to_vec()
    }

    /// Removes what libfaketime leaves behind of a process that was killed.
    pub fn sweep(process: u32) {
        for name in ["faketime_shm_", "sem.faketime_sem_"] {
            std::fs::remove_file(format!("/dev/shm/{name}{process}")).ok();
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }
}
