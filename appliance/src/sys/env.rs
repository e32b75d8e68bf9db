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
