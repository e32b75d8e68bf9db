//! Words to the service manager. Without one (a laptop, a test) they go nowhere.

use sd_notify::NotifyState;

/// The process does its work now.
pub fn ready() {
    say(&[NotifyState::Ready]);
}

/// One line for `systemctl status`, and a sign of life for the watchdog.
pub fn alive(status: &str) {
    say(&[NotifyState::Watchdog, NotifyState::Status(status)]);
}

/// The process ends on purpose.
pub fn stopping() {
    say(&[NotifyState::Stopping]);
}

fn say(states: &[NotifyState]) {
    // A service manager that does not listen must not stop a recording.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager did not hear us");
    }
}
