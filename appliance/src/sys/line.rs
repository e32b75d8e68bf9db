//! What the kernel knows of a connection: whether the other machine is there, also while nobody has anything to say.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Socket, TcpKeepalive};

/// Two questions of the kernel on a connection that is silent are so far apart: the least that it knows.
const ASK: Duration = Duration::from_secs(1);
/// So many without an answer end the connection: later than whoever speaks over it would.
const ASKS_MAX: u32 = 30;

/// A hold on a TCP connection, which lives at least as long.
#[derive(Debug, Clone)]
pub struct Line(Arc<Socket>);

/// How the other machine answers, not the program on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answers {
    /// How long ago the last one came, milliseconds.
    pub ago_ms: u64,
    /// How long one takes, microseconds.
    pub way_us: u32,
}

impl Line {
    /// Of a connection.
    ///
    /// # Errors
    /// This process has as many files open as it may.
    pub fn of(stream: &impl AsFd) -> io::Result<Self> {
        Ok(Self(Arc::new(Socket::from(stream.as_fd().try_clone_to_owned()?))))
    }

    /// Has the kernel ask the other's, or not, each second in which nothing else is said (RFC 1122, 4.2.3.6). A question and
    /// its answer are two segments without data: 104 bytes. No program wakes for them.
    ///
    /// # Errors
    /// It is no TCP connection.
    pub fn keep_asking(&self, is_to_ask: bool) -> io::Result<()> {
        match is_to_ask {
            true => {
                self.0.set_tcp_keepalive(&TcpKeepalive::new().with_time(ASK).with_interval(ASK).with_retries(ASKS_MAX))
            }
            false => self.0.set_keepalive(false),
        }
    }

    /// How the other machine answers (tcp(7), TCP_INFO).
    ///
    /// # Errors
    /// It is no TCP connection.
    pub fn answers(&self) -> io::Result<Answers> {
        let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
        let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
        let fd = self.0.as_raw_fd();
        // SAFETY: the descriptor is open, and the kernel writes at most `length` bytes to what has as many.
        let is_told = unsafe {
            libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length)
        };
        if is_told != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it is numbers only, and each was zero before the kernel wrote.
        let info = unsafe { info.assume_init() };
        Ok(Answers { ago_ms: info.tcpi_last_ack_recv.into(), way_us: info.tcpi_rtt })
    }

    /// Whether it is the same hold.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn what_the_kernel_says_is_of_this_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut there, _) = listener.accept().unwrap();
        let line = Line::of(&here).unwrap();
        here.write_all(b"are you there").unwrap();
        there.read_exact(&mut [0; 13]).unwrap();
        let answers = line.answers().unwrap();
        assert!((1..1_000_000).contains(&answers.way_us), "{answers:?}");
        assert!(answers.ago_ms < 60_000, "{answers:?}");
        let asks = || Socket::from(here.as_fd().try_clone_to_owned().unwrap()).keepalive().unwrap();
        assert!(!asks());
        line.keep_asking(true).unwrap();
        assert!(asks());
        line.keep_asking(false).unwrap();
        assert!(!asks());
        let pipe = Line::of(&std::io::pipe().unwrap().0).unwrap();
        assert!(pipe.answers().is_err() && pipe.keep_asking(true).is_err());
    }
}
