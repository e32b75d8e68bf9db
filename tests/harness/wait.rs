//! Waiting for a condition, with a limit. The only place of the harness that sleeps.

use std::time::{Duration, Instant};

/// Long enough for anything on a machine that is busy; a test that runs into it has failed.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Asks `probe` until it has an answer. Panics with `what` after `limit`.
pub fn until<T>(what: &str, limit: Duration, probe: impl FnMut() -> Option<T>) -> T {
    within(limit, probe).unwrap_or_else(|| panic!("after {limit:?} still waiting for {what}"))
}

/// The same for places that must not panic.
pub fn within<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        let answer = probe();
        if answer.is_some() || began.elapsed() > limit {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Asks until there is an answer, within [`LIMIT`].
pub fn wait<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    until(what, LIMIT, probe)
}
