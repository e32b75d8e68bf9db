//! Getting the client, keeping it, and keeping each channel on its port.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use jack::{AsyncClient, AudioIn, AudioOut, Client, ClientOptions, PortFlags, PortSpec};

use super::Shared;
use super::callback::{Callback, Notices};
use super::ports::{PortMap, Source, Wanted};
use crate::capture::engine::messages::Message;
use crate::capture::ring;
use crate::domain::MAX_CHANNELS;
use crate::sys::clock;

/// How often a server that is gone is looked for, and a port that is gone.
const RETRY: Duration = Duration::from_millis(250);
/// The client's name; its ports are `rakkr:in_1` and so on.
const CLIENT: &str = "rakkr";

/// What capture wants of the server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Number of channels; none is "as many as there are sources to connect".
    pub channels: Option<u16>,
    /// How they get their sources.
    pub wanted: Wanted,
    /// Where the assignment is remembered.
    pub memory: PathBuf,
}

/// Why no client could be had.
#[derive(Debug, thiserror::Error)]
pub enum JackError {
    /// There is no such server.
    #[error(
        "no JACK server named {0:?} answers. Start it (for a test: jackd -n {0} -d dummy) or name another with --jack-server"
    )]
    NoServer(String),
    /// It refused something.
    #[error("the JACK server refused: {0}")]
    Refused(#[from] jack::Error),
    /// It has nothing to connect.
    #[error("the JACK server has no source to connect: attach the sound card, or say --channels N")]
    NoChannels,
}

type Active = AsyncClient<Notices, Callback>;

/// See the module.
pub struct Patchbay {
    settings: Settings,
    shared: Arc<Shared>,
    engine: Sender<Message>,
    map: PortMap,
    client: Option<Active>,
}

impl Patchbay {
    /// A patch bay without a server.
    pub fn new(settings: Settings, shared: Arc<Shared>, engine: Sender<Message>) -> Self {
        jack::set_logger(jack::LoggerType::None);
        let map = PortMap::load(&settings.memory);
        Self { settings, shared, engine, map, client: None }
    }

    /// Connects to the server `name` (which libjack has from the environment).
    ///
    /// # Errors
    /// No server, a refusal, or nothing to record.
    pub fn connect(&mut self, name: &str) -> Result<(), JackError> {
        self.shared.is_down.store(false, Ordering::SeqCst);
        // A server that died while it ran free never said that it stopped to; a new one says when it begins to.
        self.shared.is_freewheel.store(false, Ordering::SeqCst);
        self.shared.clear_connected();
        let client = match Client::new(CLIENT, ClientOptions::NO_START_SERVER) {
            Ok((client, _)) => client,
            Err(_) => return Err(JackError::NoServer(name.to_owned())),
        };
        self.assign(&client);
        self.map.channels.truncate(usize::from(MAX_CHANNELS));
        let count = self.map.channels.len();
        if count == 0 {
            return Err(JackError::NoChannels);
        }
        let rate = client.sample_rate();
        let (feeder, drain) = ring::ring(count, rate);
        let mut ports = Vec::with_capacity(count);
        for number in 1..=count {
            ports.push(client.register_port(&format!("in_{number}"), AudioIn::default())?);
        }
        let jack_minus_mono_us = client.time() as i64 - clock::mono_us() as i64;
        let channels = self.map.describe();
        let callback = Callback { feeder, ports, shared: self.shared.clone() };
        let active = client.activate_async(Notices { shared: self.shared.clone() }, callback)?;
        self.patch(active.as_client());
        self.client = Some(active);
        let _ = self.engine.send(Message::Connected { rate, channels, drain, jack_minus_mono_us });
        Ok(())
    }

    /// Number of channels.
    pub fn channels(&self) -> u16 {
        u16::try_from(self.map.channels.len()).unwrap_or(MAX_CHANNELS)
    }

    /// Keeps the client until `quit` says something or is gone.
    pub fn run(mut self, name: &str, quit: &Receiver<()>) {
        while let Err(RecvTimeoutError::Timeout) = quit.recv_timeout(RETRY) {
            self.look(name);
        }
        if let Some(client) = self.client.take() {
            let _ = client.deactivate();
        }
    }

    fn look(&mut self, name: &str) {
        if self.shared.is_down.load(Ordering::SeqCst)
            && let Some(dead) = self.client.take()
        {
            let _ = self.engine.send(Message::Disconnected);
            drop(dead);
        }
        match &self.client {
            None => {
                if let Err(error) = self.connect(name) {
                    tracing::debug!("{error}");
                }
            }
            Some(_) => self.repatch(),
        }
    }

    /// Looks at the ports when something changed, and at those that wait for a source every time.
    fn repatch(&mut self) {
        let has_changed = self.shared.has_changed.swap(false, Ordering::SeqCst);
        let waits = (0..self.map.channels.len())
            .any(|index| !self.map.channels[index].port.is_empty() && !self.shared.connected().contains(index));
        if !has_changed && !waits {
            return;
        }
        let Some(active) = self.client.take() else { return };
        let before = self.map.clone();
        let count = before.channels.len();
        self.assign(active.as_client());
        // More sources than the client has ports: they get channels at the next start.
        self.map.channels.truncate(count);
        self.patch(active.as_client());
        if self.map != before {
            let _ = self.engine.send(Message::Ports(self.map.describe()));
        }
        self.client = Some(active);
    }

    fn assign(&mut self, client: &Client) {
        if self.map.assign(&self.settings.wanted, self.settings.channels, &sources(client)) {
            self.map.store(&self.settings.memory);
        }
    }

    /// Connects what is there and notes which channels have a source.
    fn patch(&self, client: &Client) {
        let sources = sources(client);
        for (index, place) in self.map.channels.iter().enumerate() {
            let Some(port) = client.port_by_name(&format!("{}:in_{}", client.name(), index + 1)) else { continue };
            let source = sources.iter().find(|source| place.is(source));
            if let Some(source) = source
                && !port.is_connected_to(&source.name).unwrap_or(false)
                && let Ok(to) = port.name()
                && let Err(error) = client.connect_ports_by_name(&source.name, &to)
            {
                tracing::warn!("{} cannot be connected to channel {}: {error}", source.name, index + 1);
            }
            self.shared.set_connected(index, port.connected_count().unwrap_or(0) > 0);
        }
    }
}

/// Audio sources of the server, our own ports aside.
fn sources(client: &Client) -> Vec<Source> {
    let audio = AudioOut::default();
    let own = format!("{}:", client.name());
    let names = client.ports(None, Some(audio.jack_port_type()), PortFlags::IS_OUTPUT);
    names
        .into_iter()
        .filter(|name| !name.starts_with(&own))
        .filter_map(|name| {
            let port = client.port_by_name(&name)?;
            let aliases = port.aliases().unwrap_or_default();
            Some(Source { name, aliases, is_physical: port.flags().contains(PortFlags::IS_PHYSICAL) })
        })
        .collect()
}
