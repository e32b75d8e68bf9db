//! A source that plays given samples into a server, bit-exact: the demo's voices, and what tests record.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jack::{AsyncClient, AudioOut, Client, ClientOptions, Control, Port, ProcessHandler, ProcessScope};

/// Plays until dropped.
pub struct Player {
    active: Option<AsyncClient<(), Playing>>,
    played: Arc<AtomicU64>,
}

struct Playing {
    ports: Vec<Port<AudioOut>>,
    channels: Vec<Vec<f32>>,
    at: usize,
    played: Arc<AtomicU64>,
}

impl Player {
    /// Plays `channels` over and over on ports `<name>:out_1` and so on. Each channel repeats at its own length.
    ///
    /// # Errors
    /// The server (named by the environment) is not there or refused.
    pub fn start(name: &str, channels: Vec<Vec<f32>>) -> Result<Self, jack::Error> {
        jack::set_logger(jack::LoggerType::None);
        let (client, _) = Client::new(name, ClientOptions::NO_START_SERVER)?;
        let mut ports = Vec::new();
        for number in 1..=channels.len() {
            ports.push(client.register_port(&format!("out_{number}"), AudioOut::default())?);
        }
        let played = Arc::new(AtomicU64::new(0));
        let playing = Playing { ports, channels, at: 0, played: played.clone() };
        Ok(Self { active: Some(client.activate_async((), playing)?), played })
    }

    /// Frames played so far.
    pub fn played(&self) -> u64 {
        self.played.load(Ordering::Relaxed)
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        if let Some(active) = self.active.take() {
            let _ = active.deactivate();
        }
    }
}

impl ProcessHandler for Playing {
    /// Real-time safe.
    fn process(&mut self, _: &Client, scope: &ProcessScope) -> Control {
        let frames = scope.n_frames() as usize;
        for (port, samples) in self.ports.iter_mut().zip(&self.channels) {
            let out = port.as_mut_slice(scope);
            let length = samples.len().max(1);
            for (offset, sample) in out.iter_mut().enumerate() {
                *sample = samples.get((self.at + offset) % length).copied().unwrap_or(0.0);
            }
        }
        self.at += frames;
        self.played.fetch_add(frames as u64, Ordering::Relaxed);
        Control::Continue
    }
}
