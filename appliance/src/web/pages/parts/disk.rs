//! How much room is left, in hours first: that is what somebody with a session ahead wants to know.

use serde::{Deserialize, Serialize};

use super::words;
use crate::domain::watch::Policy;
use crate::sys;
use crate::web::App;
use crate::web::api::settings::WATCH;

/// Part of the disk under which the bar looks low, percent.
const LOW_PERCENT: u8 = 10;

/// The disk of the takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// good, low, full or unknown.
    pub state: String,
    /// How long it lasts.
    pub left_text: String,
    /// How much is free.
    pub free_text: String,
    /// What that was reckoned by.
    pub basis: Option<String>,
    /// Free part, percent.
    pub free_percent: u8,
    /// Under this it looks low, percent.
    pub low_percent: u8,
    /// What to do, if there is something.
    pub detail: Option<String>,
}

/// Looks.
pub fn look(app: &App) -> Disk {
    let space = sys::disk::space(app.data.path()).ok();
    let status = app.live.status();
    let free = status.as_ref().map(|status| status.disk.free_bytes).or(space.map(|space| space.free_bytes));
    let total = space.map_or(0, |space| space.total_bytes);
    let hours = status.as_ref().and_then(|status| status.disk.hours_left);
    let policy: Policy = app.store.node_setting(WATCH).ok().flatten().unwrap_or_default();
    let [_, warning, critical] = policy.thresholds.disk_hours;
    let (state, detail) = match hours {
        None => ("unknown", None),
        Some(hours) if hours < critical => {
            ("full", Some("It will be full soon: delete or move recordings, or attach a larger disk."))
        }
        Some(hours) if hours < warning => ("low", Some("Delete or move recordings, or attach a larger disk.")),
        Some(_) => ("good", None),
    };
    let basis = status.as_ref().map(|status| {
        let khz = f64::from(status.jack.sample_rate) / 1_000.0;
        format!("{}, 24 bit, {khz} kHz", words::count(status.channels.len() as u64, "channel", "channels"))
    });
    let free_text = match (free, total) {
        (None, _) => "Not known".to_owned(),
        (Some(free), 0) => format!("{} free", words::bytes(free)),
        (Some(free), total) => format!("{} free of {}", words::bytes(free), words::bytes(total)),
    };
    Disk {
        state: state.to_owned(),
        left_text: hours.map_or_else(|| "Not known".to_owned(), words::hours_left),
        free_text,
        basis: basis.filter(|_| hours.is_some()),
        free_percent: free.map_or(0, |free| percent(free, total)),
        low_percent: LOW_PERCENT,
        detail: detail.map(ToOwned::to_owned),
    }
}

fn percent(free: u64, total: u64) -> u8 {
    (free as f64 / total.max(1) as f64 * 100.0).round().clamp(0.0, 100.0) as u8
}
