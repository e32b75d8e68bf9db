//! The talk on `capture.sock`, with the product's own client: what the node process would say and hear.

use rakkr::capture::socket::client::Client;
use rakkr::capture::socket::{Request, Start};
use rakkr::capture::take::DataDir;
use rakkr::domain::order::StoredAs;
use rakkr::domain::{Channels, TakeId};
use serde_json::Value;
use std::path::Path;

pub struct Talk(Client);

impl Talk {
    /// Connects to the capture that runs on a data folder.
    pub fn to(data: &Path) -> Option<Talk> {
        said(Client::connect(&DataDir::new(data))).map(Talk)
    }

    /// Begins a take now, or at an instant for one second.
    pub fn start(&mut self, at: Option<jiff::Timestamp>) -> Option<TakeId> {
        let for_seconds = at.map(|_| 1.0);
        let (title, channels) = (String::new(), Channels::All);
        let start = Start { title, channels, at, for_seconds, pre_roll_seconds: 0.0, stored_as: StoredAs::Pcm24 };
        said(self.0.ask(&Request::Start(start)))?["id"].as_str()?.parse().ok()
    }

    /// Ends a take; the answer comes when it is closed.
    pub fn stop(&mut self, id: TakeId) -> Option<()> {
        said(self.0.ask(&Request::Stop { id })).map(|_| ())
    }

    pub fn status(&mut self) -> Option<Value> {
        said(self.0.ask(&Request::Status))
    }
}

fn said<T, E: std::fmt::Display>(answer: Result<T, E>) -> Option<T> {
    answer.inspect_err(|error| eprintln!("FAILED rakkr capture: {error}")).ok()
}
