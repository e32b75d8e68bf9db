//! Threads that eat the processor: a bounded number, for a bounded time, ended on drop.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// More than this tells nothing new and only annoys the neighbours.
const MOST: usize = 8;
const LONGEST: Duration = Duration::from_secs(30);

pub struct Hogs {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Hogs {
    pub fn start(count: usize) -> Hogs {
        let is_over = Arc::new(AtomicBool::new(false));
        let threads = (0..count.min(MOST)).map(|_| {
            let is_over = is_over.clone();
            std::thread::spawn(move || eat(&is_over))
        });
        Hogs { threads: threads.collect(), is_over }
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn eat(is_over: &AtomicBool) {
    let began = Instant::now();
    while !is_over.load(Ordering::Relaxed) && began.elapsed() < LONGEST {
        black_box((0..100_000u64).fold(1, |a, b| black_box(a ^ b)));
    }
}
