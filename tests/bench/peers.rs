//! Other people's recorders, run as their manuals say, and a look at what they wrote: a peer that recorded nothing has not
//! won.

use crate::harness::{JackServer, Wav, command};
use crate::process::{interrupt, length, wait_for};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(15);

/// A program to be measured beside ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    JackCapture { bits: u32 },
    Rotter,
    Ffmpeg,
}

impl Peer {
    pub fn name(self) -> &'static str {
        match self {
            Peer::JackCapture { bits: 24 } => "jack_capture, 24 bit",
            Peer::JackCapture { .. } => "jack_capture, 16 bit",
            Peer::Rotter => "rotter, 16 bit",
            Peer::Ffmpeg => "ffmpeg, 24 bit",
        }
    }
}

/// A peer that records the feed.
pub struct Running {
    peer: Peer,
    child: Child,
    folder: tempfile::TempDir,
}

impl Running {
    /// Starts it and connects the feed's ports. `None`, with a word on stderr, if that fails.
    pub fn start(peer: Peer, server: &JackServer, channels: u32) -> Option<Running> {
        let folder = tempfile::tempdir().ok()?;
        let file = folder.path().join("out.wav");
        let mut program = match peer {
            Peer::JackCapture { bits } => jack_capture(server, channels, bits, &file),
            Peer::Rotter => rotter(server, folder.path()),
            Peer::Ffmpeg => ffmpeg(server, channels, &file),
        };
        // jack_capture ends when its input does: it waits for Return. The pipe lives as long as the child.
        let child = program.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.inspect_err(|error| eprintln!("FAILED {}: {error}", peer.name())).ok()?;
        let mut running = Running { peer, child, folder };
        let is_connected = running.connect(server, channels);
        if is_connected.is_none() {
            eprintln!("FAILED {}: its ports did not come or cannot be connected", peer.name());
            running.stop();
        }
        is_connected.map(|()| running)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn connect(&self, server: &JackServer, channels: u32) -> Option<()> {
        let port = |n: u32| match (self.peer, n) {
            // It connects itself.
            (Peer::JackCapture { .. }, _) => None,
            (Peer::Rotter, 1) => Some("rotter:left".to_string()),
            (Peer::Rotter, _) => Some("rotter:right".to_string()),
            (Peer::Ffmpeg, n) => Some(format!("ff:input_{n}")),
        };
        for number in 1..=channels {
            let Some(port) = port(number) else { continue };
            let connect = || {
                let said = command("jack_connect", &server.name).arg(format!("feed:out_{number}")).arg(&port).output();
                said.ok().filter(|said| said.status.success())
            };
            wait_for(LIMIT, connect)?;
        }
        wait_for(LIMIT, || (connections(server)? >= channels as usize).then_some(()))
    }

    /// Ends it. What it wrote must be the feed: at least so many frames on every channel, none of them silent.
    pub fn finish(mut self, channels: u32, frames: u64) -> bool {
        self.stop();
        let wrote = newest_wav(self.folder.path()).ok_or("no file".to_string()).and_then(|file| hears(&file, channels));
        let is_good = wrote.as_ref().is_ok_and(|heard| *heard >= frames);
        if !is_good {
            eprintln!("FAILED {}: wrote {wrote:?} audible frames, {frames} were played", self.peer.name());
        }
        is_good
    }

    fn stop(&mut self) {
        interrupt(&mut self.child);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

fn jack_capture(server: &JackServer, channels: u32, bits: u32, file: &Path) -> Command {
    let mut program = command("jack_capture", &server.name);
    program.args(["-c", &channels.to_string()]);
    for number in 1..=channels {
        program.args(["-p", &format!("feed:out_{number}")]);
    }
    // No console, no meters: nothing but recording.
    program.args(["-f", "wav", "-b", &bits.to_string(), "-dc", "-dm"]).arg(file);
    program
}

fn rotter(server: &JackServer, folder: &Path) -> Command {
    let mut program = command("rotter", &server.name);
    program.args(["-j", "-q", "-n", "rotter", "-f", "wav", "-L", "flat", "-c", "2"]).arg(folder);
    program
}

fn ffmpeg(server: &JackServer, channels: u32, file: &Path) -> Command {
    let mut program = command("ffmpeg", &server.name);
    program.args(["-nostdin", "-loglevel", "error", "-f", "jack", "-channels", &channels.to_string(), "-i", "ff"]);
    program.args(["-c:a", "pcm_s24le", "-rf64", "auto", "-y"]).arg(file);
    program
}

/// How many of the feed's ports somebody listens to.
fn connections(server: &JackServer) -> Option<usize> {
    let said = command("jack_lsp", &server.name).arg("-c").output().ok()?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let mut lines = text.lines().peekable();
    let mut heard = 0;
    while let Some(line) = lines.next() {
        let has_listener = lines.peek().is_some_and(|next| next.starts_with(' '));
        heard += usize::from(line.starts_with("feed:out_") && has_listener);
    }
    Some(heard)
}

fn newest_wav(folder: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|e| e == "wav")).max_by_key(|path| length(path))
}

/// Frames between the first and the last that is not zero on the channel that heard least.
fn hears(file: &Path, channels: u32) -> Result<u64, String> {
    let wav = Wav::open(file)?;
    let count = wav.channels;
    if count != channels as usize {
        return Err(format!("{count} channels instead of {channels}"));
    }
    let (mut spans, mut at) = (vec![None::<(u64, u64)>; count], 0);
    wav.for_each_block(|block| {
        for frame in block.chunks_exact(count) {
            for (span, _) in spans.iter_mut().zip(frame).filter(|(_, sample)| **sample != 0.0) {
                span.get_or_insert((at, at)).1 = at;
            }
            at += 1;
        }
    })?;
    Ok(spans.into_iter().map(|span| span.map_or(0, |(first, last)| last - first + 1)).min().unwrap_or(0))
}
