//! The ears: what capture says and what the store's change feed says, brought to [`Live`].
//!
//! Three workers. [`StatusEar`] asks capture once a second, and at once when rung; [`MeterEar`] reads the meter stream;
//! [`StoreEar`] tells pages that records changed. While capture is down both of its ears try every 250 ms: that is no
//! failure of theirs, and the watch tells of it.

use std::time::Duration;

use super::{Bell, Live, Next, Worker};
use crate::capture::engine::meters::MeterFrame;
use crate::capture::socket::Request;
use crate::capture::socket::client::{Client, ClientError};
use crate::capture::status::Status;
use crate::capture::take::DataDir;
use crate::store::Store;
use crate::sys::clock::Now;

/// How often capture is asked.
const ASK: Duration = Duration::from_secs(1);
/// How often it is looked for while it is down.
const RETRY: Duration = Duration::from_millis(250);
/// How long an answer or a meter frame may take: capture wakes twenty times a second, and a supervisor ends in 2 s.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Pages are told of changed records at most this often. Each of them rests between two looks for as long as it is worth
/// (`web::live`); here is only kept small what waking them costs.
const TELL: Duration = Duration::from_millis(20);

/// Asks capture for its state.
pub struct StatusEar {
    data: DataDir,
    live: Live,
    client: Option<Client>,
}

impl StatusEar {
    /// Of the capture on a data folder.
    pub fn new(data: DataDir, live: Live) -> Self {
        Self { data, live, client: None }
    }

    fn ask(&mut self) -> Result<Status, ClientError> {
        let client = match &mut self.client {
            Some(client) => client,
            None => self.client.insert(Client::connect(&self.data)?.with_patience(PATIENCE)?),
        };
        let mut answer = client.ask(&Request::Status)?;
        let status = serde_json::from_value(answer["status"].take());
        status.map_err(|error| ClientError::Refused(format!("capture speaks another language: {error}")))
    }
}

impl Worker for StatusEar {
    fn name(&self) -> &'static str {
        "capture state"
    }

    fn bell(&self) -> Option<Bell> {
        Some(self.live.ask_bell())
    }

    fn step(&mut self, now: Now) -> Result<Next, String> {
        match self.ask() {
            Ok(status) => {
                let running = status.recording.len();
                self.live.set_status(Some(status), now.mono_us);
                Ok(Next::after(ASK, format!("capture answers; {running} recording")))
            }
            Err(error) => {
                self.client = None;
                self.live.set_status(None, now.mono_us);
                match error {
                    ClientError::Refused(why) => Err(why),
                    ClientError::NotRunning(_) | ClientError::Broken(_) => Ok(Next::after(RETRY, error.to_string())),
                }
            }
        }
    }
}

/// Reads the meter stream, a frame a round.
pub struct MeterEar {
    data: DataDir,
    live: Live,
    client: Option<Client>,
}

impl MeterEar {
    /// Of the capture on a data folder.
    pub fn new(data: DataDir, live: Live) -> Self {
        Self { data, live, client: None }
    }

    fn hear(&mut self) -> Result<MeterFrame, ClientError> {
        let client = match &mut self.client {
            Some(client) => client,
            None => {
                let mut client = Client::connect(&self.data)?.with_patience(PATIENCE)?;
                client.send(&Request::Meters)?;
                self.client.insert(client)
            }
        };
        let line = client.line()?.ok_or(std::io::Error::from(std::io::ErrorKind::UnexpectedEof))?;
        serde_json::from_str(&line).map_err(|_| ClientError::Refused(line.chars().take(200).collect()))
    }
}

impl Worker for MeterEar {
    fn name(&self) -> &'static str {
        "meters"
    }

    fn step(&mut self, now: Now) -> Result<Next, String> {
        match self.hear() {
            Ok(frame) => {
                let detail = format!("{} channels", frame.channels.len());
                self.live.set_meters(Some(frame), now.mono_us);
                Ok(Next::after(Duration::ZERO, detail))
            }
            Err(error) => {
                self.client = None;
                self.live.set_meters(None, now.mono_us);
                match error {
                    ClientError::Refused(why) => Err(format!("capture sends no meters: {why}")),
                    ClientError::NotRunning(_) | ClientError::Broken(_) => Ok(Next::after(RETRY, error.to_string())),
                }
            }
        }
    }
}

/// Tells pages that records changed, and has capture asked after what may have been a command.
pub struct StoreEar {
    store: Store,
    live: Live,
    since: u64,
}

impl StoreEar {
    /// Of the node's records.
    pub fn new(store: Store, live: Live) -> Self {
        Self { store, live, since: 0 }
    }
}

impl Worker for StoreEar {
    fn name(&self) -> &'static str {
        "records"
    }

    fn step(&mut self, _now: Now) -> Result<Next, String> {
        let (next, kinds) = self.store.changes(self.since, ASK);
        let is_news = next != self.since;
        self.since = next;
        if is_news {
            self.live.bump();
        }
        if kinds.iter().any(|kind| kind == "audit") {
            self.live.refresh();
        }
        Ok(Next::after(if is_news { TELL } else { Duration::ZERO }, format!("{next} changes seen")))
    }
}
