//! A client of a running capture.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;

use super::{LINE_BYTES_MAX, Request, audio, short_name};
use crate::capture::take::folder::DataDir;
use crate::domain::Channels;

/// How long an answer may take: a stop waits for its take to be closed.
const ANSWER_WAIT: Duration = Duration::from_secs(75);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no recorder is running on {0}: start `rakkr capture --data-dir {0}`")]
    NotRunning(String),
    /// The recorder said no.
    #[error("{0}")]
    Refused(String),
    /// The talk broke off.
    #[error("the recorder did not answer: {0}")]
    Broken(#[from] io::Error),
}

/// A connection. One that the recorder closed because nothing was asked for a while is made anew by the next
/// [`ask`](Client::ask).
pub struct Client {
    data: DataDir,
    reader: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the capture that runs on a data folder.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(data: &DataDir) -> Result<Self, ClientError> {
        Ok(Self { data: data.clone(), reader: Self::reach(data)? })
    }

    fn reach(data: &DataDir) -> Result<BufReader<UnixStream>, ClientError> {
        let absent = || ClientError::NotRunning(data.path().display().to_string());
        let (name, _folder) = short_name(&data.socket()).map_err(|_| absent())?;
        let stream = UnixStream::connect(name).map_err(|_| absent())?;
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        Ok(BufReader::new(stream))
    }

    /// Whether the recorder has closed the connection. Nothing may be under way: what is there to read then is not ours.
    fn is_over(&mut self) -> io::Result<bool> {
        self.reader.get_ref().set_nonblocking(true)?;
        let is_over = !matches!(self.reader.fill_buf(), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        self.reader.get_ref().set_nonblocking(false)?;
        Ok(is_over)
    }

    /// Waits for an answer or a line no longer than this.
    ///
    /// # Errors
    /// The connection takes no such limit.
    pub fn with_patience(self, wait: Duration) -> io::Result<Self> {
        self.reader.get_ref().set_read_timeout(Some(wait))?;
        Ok(self)
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// The recorder said no, or the talk broke off.
    pub fn ask(&mut self, request: &Request) -> Result<Value, ClientError> {
        // Looked at before anything is sent: a request is never made twice.
        if self.is_over()? {
            self.reader = Self::reach(&self.data)?;
        }
        self.send(request)?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Value, ClientError> {
        let line = self.line()?.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let answer: Value = serde_json::from_str(&line).map_err(io::Error::from)?;
        match answer.get("ok").and_then(Value::as_bool) {
            Some(true) => Ok(answer),
            _ => Err(ClientError::Refused(answer["error"].as_str().unwrap_or("the recorder refused").to_owned())),
        }
    }

    /// Sends a request without waiting for its answer.
    ///
    /// # Errors
    /// The talk broke off.
    pub fn send(&mut self, request: &Request) -> io::Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.reader.get_mut().write_all(&line)
    }

    /// The next line; none when the recorder is gone.
    ///
    /// # Errors
    /// The talk broke off, or nothing came for too long.
    pub fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        let n = (&mut self.reader).take(LINE_BYTES_MAX).read_line(&mut line)?;
        Ok((n > 0).then_some(line))
    }
}

/// Audio as it arrives.
pub struct Listener {
    client: Client,
    rate: u32,
    channels: Vec<u16>,
}

impl Listener {
    /// Listens to channels of the capture that runs on a data folder. A read waits no longer than `patience`.
    ///
    /// # Errors
    /// Nobody runs there, or the recorder said no.
    pub fn open(data: &DataDir, channels: Channels, patience: Duration) -> Result<Self, ClientError> {
        let mut client = Client::connect(data)?;
        client.send(&Request::Listen { channels })?;
        let answer = client.answer()?;
        let broken = || io::Error::from(io::ErrorKind::InvalidData);
        let rate = answer["rate"].as_u64().and_then(|rate| u32::try_from(rate).ok()).ok_or_else(broken)?;
        let channels = serde_json::from_value(answer["channels"].clone()).map_err(|_| broken())?;
        client.reader.get_ref().set_read_timeout(Some(patience))?;
        Ok(Self { client, rate, channels })
    }

    /// Frames per second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Channel numbers, in the order of the samples of a frame.
    pub fn channels(&self) -> &[u16] {
        &self.channels
    }

    /// Replaces `audio` by what arrived next, interleaved, and returns its stream frame. No audio: none arrived for a
    /// second. None: the source is gone or another; listen anew.
    ///
    /// # Errors
    /// The talk broke off.
    pub fn next(&mut self, audio: &mut Vec<f32>) -> io::Result<Option<u64>> {
        audio::read(&mut self.client.reader, self.channels.len(), audio)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A recorder that closes idle connections made a client's next question fail.
    #[test]
    fn a_client_that_was_let_go_connects_anew() {
        let home = tempfile::tempdir().unwrap();
        let data = DataDir::new(home.path());
        let listener = UnixListener::bind(data.socket()).unwrap();
        let recorder = std::thread::spawn(move || {
            for _ in 0..2 {
                let (stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream);
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                assert_eq!(line, "{\"op\":\"status\"}\n");
                reader.get_mut().write_all(b"{\"ok\":true}\n").unwrap();
            }
        });
        let mut client = Client::connect(&data).unwrap();
        client.ask(&Request::Status).unwrap();
        // The recorder closes after its answer; who asks before it has closed is another test.
        assert_eq!(client.line().unwrap(), None);
        client.ask(&Request::Status).unwrap();
        recorder.join().unwrap();
        assert!(matches!(client.ask(&Request::Status), Err(ClientError::NotRunning(_) | ClientError::Broken(_))));
    }

    #[test]
    fn a_listener_reads_what_it_was_promised() {
        let home = tempfile::tempdir().unwrap();
        let data = DataDir::new(home.path());
        let listener = UnixListener::bind(data.socket()).unwrap();
        let recorder = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            reader.get_mut().write_all(b"{\"ok\":true,\"rate\":44100,\"channels\":[3]}\n").unwrap();
            let block = crate::capture::block::Block::of(9, crate::domain::ChannelSet::first(1), &[&[0.5, -0.5]]);
            let (block, private) = (std::sync::Arc::new(block), crate::domain::ChannelSet::default());
            let heard = crate::capture::engine::listeners::Heard { block, private };
            audio::write(reader.get_mut(), &heard, &[0], &mut Vec::new()).unwrap();
            line
        });
        let wanted = Channels::Numbers(vec![3]);
        let mut heard = Listener::open(&data, wanted, Duration::from_secs(5)).unwrap();
        let mut audio = Vec::new();
        assert_eq!((heard.rate(), heard.channels()), (44_100, &[3][..]));
        assert_eq!((heard.next(&mut audio).unwrap(), &audio[..]), (Some(9), &[0.5, -0.5][..]));
        assert_eq!(heard.next(&mut audio).unwrap(), None);
        assert!(recorder.join().unwrap().contains("\"op\":\"listen\""));
    }
}
