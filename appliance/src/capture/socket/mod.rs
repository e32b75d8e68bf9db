//! `capture.sock`: newline-delimited JSON on a Unix socket. Orders go in, state and meters come out.
//!
//! A request is one line, `{"op": "…", …}`; so is its answer, `{"ok": true, …}` or `{"ok": false, "error": "a sentence"}`.
//! After `{"op": "meters"}` the answers are meter frames until the client goes; after `{"op": "listen", "channels": …}`
//! and its answer `{"ok": true, "rate": …, "channels": [1, 2]}` they are binary: see [`audio`].

pub mod audio;
pub mod client;
pub mod server;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::order::StoredAs;
use crate::domain::{Channels, OrderSet, TakeId};

/// The longest line either side reads: a full set of orders.
pub const LINE_BYTES_MAX: u64 = 16 << 20;

/// What a client may ask.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The state of everything; answers with `status`.
    Status,
    /// The complete set; answers with `orders`.
    Orders,
    /// Replaces the complete set.
    SetOrders { orders: OrderSet },
    /// Adds an order; answers with `id`.
    Start(Start),
    /// Ends a recording now; answers when it is closed.
    Stop { id: TakeId },
    /// Moves a planned end away; answers with `planned_seconds`, counted from the ordered start.
    Extend { id: TakeId, seconds: f64 },
    /// Marks a place now; answers with `frame`.
    Mark { id: TakeId, label: String },
    /// Keeps nothing from now on; answers with `frame`.
    Pause { id: TakeId },
    /// Keeps again from now on; answers with `frame`.
    Resume { id: TakeId },
    /// Meter frames from now on.
    Meters,
    /// Audio from now on, as it arrives.
    Listen {
        #[serde(default)]
        channels: Channels,
    },
}

/// A recording to begin.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// For people.
    #[serde(default)]
    pub title: String,
    /// What to record.
    #[serde(default)]
    pub channels: Channels,
    /// When; none is now.
    #[serde(default)]
    pub at: Option<jiff::Timestamp>,
    /// How long; none is until stopped.
    #[serde(default)]
    pub for_seconds: Option<f64>,
    /// How much of what was before.
    #[serde(default)]
    pub pre_roll_seconds: f64,
    /// Sample format.
    #[serde(default)]
    pub stored_as: StoredAs,
}

/// A name for the socket that is short enough for the kernel (108 bytes), however deep the data folder lies.
///
/// The returned file keeps the name valid and must live as long as it is used.
///
/// # Errors
/// The folder cannot be opened.
fn short_name(socket: &Path) -> std::io::Result<(PathBuf, std::fs::File)> {
    use std::os::fd::AsRawFd;
    let folder = std::fs::File::open(socket.parent().unwrap_or(Path::new(".")))?;
    let name = socket.file_name().unwrap_or_default();
    Ok((PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name), folder))
}
