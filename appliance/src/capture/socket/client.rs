//! A client of a running capture.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;

use super::{LINE_BYTES_MAX, Request, short_name};
use crate::capture::take::folder::DataDir;

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

/// A connection.
pub struct Client {
    reader: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the capture that runs on a data folder.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(data: &DataDir) -> Result<Self, ClientError> {
        let absent = || ClientError::NotRunning(data.path().display().to_string());
        let (name, _folder) = short_name(&data.socket()).map_err(|_| absent())?;
        let stream = UnixStream::connect(name).map_err(|_| absent())?;
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        Ok(Self { reader: BufReader::new(stream) })
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
        self.send(request)?;
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
