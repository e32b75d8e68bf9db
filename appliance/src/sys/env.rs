//! The process environment. libjack takes the server's name from it and from nowhere else that is safe to call.

/// Sets what libjack reads: the server to speak to, and never to start one or to ask D-Bus for the card.
///
/// Call it first thing in the process, before any thread exists.
pub fn set_jack_server(name: &str) {
    let values = [("JACK_DEFAULT_SERVER", name), ("JACK_NO_START_SERVER", "1"), ("JACK_NO_AUDIO_RESERVATION", "1")];
    for (key, value) in values {
        // SAFETY: the commands call this before they start a thread, so nobody reads the environment meanwhile.
        unsafe { std::env::set_var(key, value) }
    }
}

/// The machine's name.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Lets this process open as many files as it may: each connection is one.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // With fewer, connections are refused earlier; nothing else changes.
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Heaps that the C library keeps beside each other. It makes eight for each core, and what a crowd of links took once in
/// one is not used by another: with 500 nodes that was two thirds of all memory.
#[cfg(target_env = "gnu")]
const HEAPS_MAX: libc::c_int = 1;
/// Bytes free at the end of the heap before they are given back, and the size from which a block is one of its own. Said
/// once, it is not learnt: else one large block that was freed makes all later ones stay.
#[cfg(target_env = "gnu")]
const GIVEN_BACK_BYTES: libc::c_int = 128 << 10;

/// Keeps memory together, for a process that holds hundreds of connections and is in no hurry. See mallopt(3).
///
/// Call it before threads exist: a heap that is there stays.
pub fn keep_memory_together() {
    #[cfg(target_env = "gnu")]
    for (what, value) in [
        (libc::M_ARENA_MAX, HEAPS_MAX),
        (libc::M_TRIM_THRESHOLD, GIVEN_BACK_BYTES),
        (libc::M_MMAP_THRESHOLD, GIVEN_BACK_BYTES),
    ] {
        // SAFETY: sets a number of the allocator; it takes its own lock.
        let is_set = unsafe { libc::mallopt(what, value) } == 1;
        if !is_set {
            tracing::warn!(what, "the allocator keeps its own ways: this node may need more memory");
        }
    }
}
