//! What is now: capture's state, its meters, open incidents. Fed by the ears and the watch, read by pages and services.
//!
//! Nothing here is kept on disk and nothing is waited for. Times are of the monotonic clock. Whoever reads a meter frame
//! gets the one every other reader gets, not a copy.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, watch};

use super::Bell;
use crate::capture::engine::meters::MeterFrame;
use crate::capture::status::Status;
use crate::store::incidents::Known;

/// Meter frames that a slow page may be behind before it misses some: three seconds.
const METERS_BEHIND_MAX: usize = 64;

/// Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    meters: broadcast::Sender<Arc<MeterFrame>>,
    changed: watch::Sender<u64>,
    /// Rung to have capture asked at once.
    ask: Bell,
    /// Rung when recordings began, ended or paused.
    recordings: Bell,
    /// Commands that change what a take says of itself.
    told: AtomicU64,
}

#[derive(Default)]
struct State {
    status: Option<(Arc<Status>, u64)>,
    has_asked: bool,
    meters: Option<(Arc<MeterFrame>, u64)>,
    incidents: Arc<Vec<Known>>,
}

impl Default for Live {
    fn default() -> Self {
        let inner = Inner {
            state: Mutex::default(),
            meters: broadcast::Sender::new(METERS_BEHIND_MAX),
            changed: watch::Sender::new(0),
            ask: Bell::default(),
            recordings: Bell::default(),
            told: AtomicU64::new(0),
        };
        Self(Arc::new(inner))
    }
}

impl Live {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What capture last said of itself; none while it does not answer.
    pub fn status(&self) -> Option<Arc<Status>> {
        self.lock().status.as_ref().map(|(status, _)| status.clone())
    }

    /// How old that is, seconds.
    pub fn status_age(&self, now_mono_us: u64) -> Option<f64> {
        self.lock().status.as_ref().map(|(_, at_us)| now_mono_us.saturating_sub(*at_us) as f64 / 1e6)
    }

    /// Whether capture was asked at all since the node began: before that nobody knows whether it answers.
    pub fn has_asked(&self) -> bool {
        self.lock().has_asked
    }

    /// The newest meter frame; none while none come.
    pub fn meters(&self) -> Option<Arc<MeterFrame>> {
        self.lock().meters.as_ref().map(|(frame, _)| frame.clone())
    }

    /// How old that is, seconds.
    pub fn meters_age(&self, now_mono_us: u64) -> Option<f64> {
        self.lock().meters.as_ref().map(|(_, at_us)| now_mono_us.saturating_sub(*at_us) as f64 / 1e6)
    }

    /// Every meter frame from now on. A receiver that falls behind is told that it lagged.
    pub fn watch_meters(&self) -> broadcast::Receiver<Arc<MeterFrame>> {
        self.0.meters.subscribe()
    }

    /// A number that changes when something a page shows did: recordings, trouble, connection, workers, incidents, records;
    /// once a second while something is recorded. Never with every meter frame.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// Something a page shows changed.
    pub fn bump(&self) {
        self.0.changed.send_modify(|number| *number = number.wrapping_add(1));
    }

    /// Has the recorder look at once, and soon again, at what is recorded: after a command that changes what a take says of
    /// itself. Capture writes that down when the audio has come as far.
    pub fn heed_recordings(&self) {
        self.0.told.fetch_add(1, Ordering::Relaxed);
        self.0.recordings.ring();
    }

    /// How many such commands there were.
    pub(super) fn told(&self) -> u64 {
        self.0.told.load(Ordering::Relaxed)
    }

    /// Has capture asked at once: after a command.
    pub fn refresh(&self) {
        self.0.ask.ring();
    }

    /// Incidents that are open, newest first, also while the store takes nothing.
    pub fn incidents(&self) -> Arc<Vec<Known>> {
        self.lock().incidents.clone()
    }

    /// The watch says which incidents are open.
    pub fn set_incidents(&self, open: Vec<Known>) {
        self.lock().incidents = Arc::new(open);
        self.bump();
    }

    /// An ear says what capture said, or that it does not answer.
    pub fn set_status(&self, status: Option<Status>, now_mono_us: u64) {
        let mut state = self.lock();
        let before = state.status.take().map(|(status, _)| status);
        let is_first = !std::mem::replace(&mut state.has_asked, true);
        let after = status.map(Arc::new);
        let is_other = is_first || shown(before.as_deref()) != shown(after.as_deref());
        let is_recording = after.as_ref().is_some_and(|status| !status.recording.is_empty());
        let is_news = is_first || running(before.as_deref()) != running(after.as_deref());
        state.status = after.map(|status| (status, now_mono_us));
        drop(state);
        if is_other || is_recording {
            self.bump();
        }
        if is_news {
            self.0.recordings.ring();
        }
    }

    /// An ear heard a meter frame, or hears none any more. Has capture asked if the frame says that something is other.
    pub fn set_meters(&self, frame: Option<MeterFrame>, now_mono_us: u64) {
        let frame = frame.map(Arc::new);
        let mut state = self.lock();
        let before = state.meters.take().map(|(frame, _)| frame);
        state.meters = frame.clone().map(|frame| (frame, now_mono_us));
        drop(state);
        let said = |frame: &MeterFrame| (frame.status, frame.recording, frame.trouble.clone());
        if before.as_deref().map(said) != frame.as_deref().map(said) {
            self.refresh();
            self.bump();
        }
        if let Some(frame) = frame {
            // Nobody may be looking.
            let _ = self.0.meters.send(frame);
        }
    }

    pub(super) fn ask_bell(&self) -> Bell {
        self.0.ask.clone()
    }

    pub(super) fn recordings_bell(&self) -> Bell {
        self.0.recordings.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What of a status a page shows at once; the rest it shows when it shows the page anew.
fn shown(status: Option<&Status>) -> Option<impl PartialEq> {
    let status = status?;
    let channels: Vec<(u16, String, bool)> =
        status.channels.iter().map(|c| (c.channel.number, c.channel.label.clone(), c.is_connected)).collect();
    let starved: Vec<Option<String>> = status.recording.iter().map(|take| take.starved.clone()).collect();
    let jack = (status.jack.is_connected, status.jack.sample_rate);
    Some((jack, channels, running(Some(status)), starved, status.trouble.clone(), status.clock.quality))
}

/// Which recordings run, and which of them pause.
fn running(status: Option<&Status>) -> Vec<(crate::domain::TakeId, bool)> {
    status.map(|status| status.recording.iter().map(|take| (take.id, take.is_paused)).collect()).unwrap_or_default()
}
