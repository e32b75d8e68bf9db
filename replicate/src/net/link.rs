//! One socket: its two halves, and the bounded row between the hub and the wire.
//!
//! Reading never waits for writing, or two nodes that send much to each other would wait for ever. Lives here: frames,
//! backpressure, closing. Does not: what is said, and whether a link is wanted. It may assume that the transport has
//! proven the peer and hides what is said from others.

use super::Ended;
use super::queue::{LinkNumber, Order, Queue};
use super::squeeze::{pack, unpack};
use crate::core::message::{FloorWord, Message};
use crate::core::mutant::{Mutant, is_on};
use futures_util::future::{Either, select};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::{self, Error as WsError};

/// Bytes of messages that wait for the wire. Beyond, the session's next word waits in the session, whose credit and
/// [`crate::core::session::OUTPUTS_MAX`] bound it.
pub const OUT_BYTES_MAX: usize = 1024 * 1024;
/// A longer message goes in several frames of this length. A socket's buffers grow to several times the longest frame
/// there was and stay so (tungstenite makes room for a whole frame behind what it has read already, and doubles for it):
/// of five hundred links that told each other vectors they kept 34 MB whole, and 30 MB in frames of 8 KiB.
const SENT_FRAME_BYTES: usize = 2 * 1024;
/// The same of all links together, while each has its least.
pub const OUT_ALL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What a link may have waiting however many links there are: less would be a word at a time.
const OUT_BYTES_MIN: usize = 64 * 1024;
/// Bytes a link may have brought that the hub has not taken in: beyond, its socket is not read.
pub const LINK_HEARD_BYTES_MAX: usize = 512 * 1024;
/// The least a message counts for: its place in the row is not free either.
const MESSAGE_COST_MIN: usize = 512;
/// How long a close frame may take to go out, and the peer's to come: a courtesy, no more.
const CLOSING: Duration = Duration::from_secs(1);
/// The longest reason in a close frame (RFC 6455 section 5.5: 125 bytes with its code).
const WHY_BYTES_MAX: usize = 123;
/// Close code: the peer has another link to us.
const CODE_SECOND: u16 = 4000;
/// Close code: the peer is not in the roster.
const CODE_NO_MEMBER: u16 = 4001;

/// Close code: both are to say hello anew.
const CODE_ANEW: u16 = 4002;

/// Returns how many bytes may wait for the wire of one of so many links.
pub fn out_bytes(links: usize) -> usize {
    (OUT_ALL_BYTES_MAX / links.max(1)).clamp(OUT_BYTES_MIN, OUT_BYTES_MAX)
}

/// What went over a link, or over all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of messages sent, before compression.
    pub raw_out: u64,
    /// Bytes of messages sent, as they went over the wire; without the frames around them.
    pub wire_out: u64,
    /// Bytes of messages received, after decompression.
    pub raw_in: u64,
    /// Bytes of messages received, as they came.
    pub wire_in: u64,
    /// Entries sent.
    pub entries_out: u64,
    /// Entries received.
    pub entries_in: u64,
}

impl Traffic {
    pub(super) fn add(&mut self, other: Traffic) {
        self.raw_out += other.raw_out;
        self.wire_out += other.wire_out;
        self.raw_in += other.raw_in;
        self.wire_in += other.wire_in;
        self.entries_out += other.entries_out;
        self.entries_in += other.entries_in;
    }
}

/// What the hub and a link's two halves share.
pub struct Link {
    pub number: LinkNumber,
    out: Mutex<Out>,
    more: Notify,
    ended: watch::Sender<Option<Ended>>,
    /// Raw out, wire out, raw in, wire in.
    counts: [AtomicU64; 4],
}

#[derive(Default)]
struct Out {
    messages: VecDeque<Message>,
    bytes: usize,
    /// The hub waits until there are fewer bytes than these.
    awaits_below: Option<usize>,
}

impl Link {
    pub fn new(number: LinkNumber) -> Self {
        let ended = watch::Sender::new(None);
        Self { number, out: Mutex::default(), more: Notify::new(), ended, counts: Default::default() }
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the next word may be given to [`Link::say`], if so many bytes may wait; if not, [`Order::Drained`] tells
    /// when.
    pub fn has_room(&self, bytes_max: usize) -> bool {
        let mut out = self.out();
        out.awaits_below = (out.bytes >= bytes_max).then_some(bytes_max / 2);
        out.awaits_below.is_none()
    }

    /// Bytes that wait for the wire.
    #[cfg(feature = "stepped")]
    pub fn out_bytes(&self) -> usize {
        self.out().bytes
    }

    pub fn say(&self, message: Message) {
        let mut out = self.out();
        out.bytes += cost(&message);
        out.messages.push_back(message);
        self.more.notify_one();
    }

    /// Returns the next message, and whether the hub waits for the room that has come of it.
    fn next(&self) -> Option<(Message, bool)> {
        let mut out = self.out();
        let message = out.messages.pop_front()?;
        out.bytes = out.bytes.saturating_sub(cost(&message));
        let bytes = out.bytes;
        let is_awaited = out.awaits_below.take_if(|below| bytes < *below).is_some();
        if is_on(Mutant::WordLost) && out.messages.len() > 4 {
            out.messages.pop_front();
        }
        Some((message, is_awaited))
    }

    /// Ends the link. The first reason stays.
    pub fn end(&self, why: Ended) {
        self.ended.send_if_modified(|ended| {
            let is_first = ended.is_none();
            ended.get_or_insert(why);
            is_first
        });
    }

    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.subscribe();
        let why = ended.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        why.unwrap_or(Ended::Stopped)
    }

    pub fn traffic(&self) -> Traffic {
        let [raw_out, wire_out, raw_in, wire_in] =
            [0, 1, 2, 3].map(|number: usize| self.counts[number].load(Ordering::Relaxed));
        Traffic { raw_out, wire_out, raw_in, wire_in, entries_out: 0, entries_in: 0 }
    }

    fn count(&self, first: usize, raw: usize, wire: usize) {
        self.counts[first].fetch_add(raw as u64, Ordering::Relaxed);
        self.counts[first + 1].fetch_add(wire as u64, Ordering::Relaxed);
    }
}

/// About how much memory a message takes.
fn cost(message: &Message) -> usize {
    let bytes = match message {
        Message::Batch(batch) => batch.entries.iter().map(|raw| raw.len() + 32).sum(),
        Message::Vector(part) => part.marks.len() * 64,
        Message::Ack(ack) => ack.marks.len() * 32,
        Message::Nak(nak) => nak.places.len() * 96,
        Message::Floor(FloorWord::Offer { marks, .. }) => marks.len() * 64,
        Message::Hello(_) | Message::Election(_) | Message::Floor(_) => 0,
        Message::Ping(_) | Message::Pong(_) | Message::Unknown { .. } => 0,
    };
    bytes.max(MESSAGE_COST_MIN)
}

/// Sends what the hub gives, until the link has ended; then says why, if it was our decision.
pub async fn write<W>(mut sink: W, link: Arc<Link>, queue: Arc<Queue>)
where
    W: Sink<tungstenite::Message, Error = WsError> + Unpin,
{
    let ended = match select(pin!(send_all(&mut sink, &link, &queue)), pin!(link.ended())).await {
        Either::Left((error, _)) => {
            link.end(Ended::Lost(error.to_string()));
            return;
        }
        Either::Right((ended, _)) => ended,
    };
    if let Some(frame) = farewell(&ended) {
        if is_on(Mutant::FarewellUnbounded) {
            return drop(sink.send(tungstenite::Message::Close(Some(frame))).await);
        }
        // The peer may not read any more: then it learns nothing, and that is all.
        let _ = tokio::time::timeout(CLOSING, sink.send(tungstenite::Message::Close(Some(frame)))).await;
    }
}

async fn send_all<W>(sink: &mut W, link: &Link, queue: &Queue) -> WsError
where
    W: Sink<tungstenite::Message, Error = WsError> + Unpin,
{
    loop {
        let Some((message, is_awaited)) = link.next() else {
            if let Err(error) = sink.flush().await {
                return error;
            }
            link.more.notified().await;
            continue;
        };
        if is_awaited && !is_on(Mutant::DrainedUntold) {
            queue.push(Order::Drained(link.number));
        }
        let (bytes, raw_bytes) = pack(&message);
        drop(message);
        link.count(0, raw_bytes, bytes.len());
        for frame in frames(&bytes) {
            if let Err(error) = sink.feed(frame).await {
                return error;
            }
        }
    }
}

/// Returns one message in as many frames as it needs.
pub fn frames(bytes: &[u8]) -> impl Iterator<Item = tungstenite::Message> {
    let count = bytes.len().div_ceil(SENT_FRAME_BYTES);
    bytes.chunks(SENT_FRAME_BYTES).enumerate().map(move |(number, chunk)| {
        let opcode = OpCode::Data(if number == 0 { Data::Binary } else { Data::Continue });
        tungstenite::Message::Frame(Frame::message(chunk.to_vec(), opcode, number + 1 == count))
    })
}

/// Reads until the link has ended. Returns why.
pub async fn read<R>(mut stream: R, link: &Link, queue: &Queue, heard: &Arc<Semaphore>) -> Ended
where
    R: Stream<Item = Result<tungstenite::Message, WsError>> + Unpin,
{
    let ours = match select(pin!(hear_all(&mut stream, link, queue, heard)), pin!(link.ended())).await {
        Either::Left((ended, _)) => {
            if is_on(Mutant::BytesKept) {
                heard.forget_permits(MESSAGE_COST_MIN);
            }
            return ended;
        }
        Either::Right((ended, _)) => ended,
    };
    // Closed with bytes unread, TCP would take back the frame that says why.
    let farewell = async { while let Some(Ok(_)) = stream.next().await {} };
    let _ = tokio::time::timeout(CLOSING, farewell).await;
    ours
}

async fn hear_all<R>(stream: &mut R, link: &Link, queue: &Queue, heard: &Arc<Semaphore>) -> Ended
where
    R: Stream<Item = Result<tungstenite::Message, WsError>> + Unpin,
{
    let own = Arc::new(Semaphore::new(LINK_HEARD_BYTES_MAX));
    loop {
        let bytes = match stream.next().await {
            Some(Ok(tungstenite::Message::Binary(bytes))) => bytes,
            Some(Ok(tungstenite::Message::Ping(_) | tungstenite::Message::Pong(_))) => continue,
            Some(Ok(tungstenite::Message::Close(frame))) => return said_farewell(frame),
            Some(Ok(tungstenite::Message::Text(_) | tungstenite::Message::Frame(_))) => {
                return Ended::Broken("a text where only messages of this protocol may be".to_string());
            }
            Some(Err(WsError::Io(error))) => return Ended::Lost(error.to_string()),
            Some(Err(WsError::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake))) | None => {
                return Ended::Lost("the other end is gone".to_string());
            }
            Some(Err(error)) => return Ended::Broken(error.to_string()),
        };
        let (message, raw_bytes) = match unpack(&bytes) {
            Ok(unpacked) => unpacked,
            Err(unwelcome) => return Ended::Broken(unwelcome.to_string()),
        };
        link.count(2, raw_bytes, bytes.len());
        drop(bytes);
        let cost = cost(&message).min(LINK_HEARD_BYTES_MAX) as u32;
        let (Ok(first), Ok(second)) =
            (own.clone().acquire_many_owned(cost).await, heard.clone().acquire_many_owned(cost).await)
        else {
            return Ended::Stopped;
        };
        if !queue.push(Order::Heard { link: link.number, message, _permits: [first, second] }) {
            return Ended::Stopped;
        }
    }
}

/// What the peer is told; nothing if it was the one who ended the link.
fn farewell(ended: &Ended) -> Option<CloseFrame> {
    let code = match ended {
        Ended::ByPeer(_) | Ended::PeerStopped | Ended::Lost(_) => return None,
        Ended::Second => CloseCode::Library(CODE_SECOND),
        Ended::NoMember => CloseCode::Library(CODE_NO_MEMBER),
        Ended::Anew => CloseCode::Library(CODE_ANEW),
        Ended::Stopped => CloseCode::Away,
        Ended::TooMany => CloseCode::Again,
        Ended::Broken(_) => CloseCode::Protocol,
        Ended::Closed(_) | Ended::Disconnected | Ended::Unreadable(_) => CloseCode::Policy,
    };
    let mut why = ended.to_string();
    why.truncate(why.floor_char_boundary(WHY_BYTES_MAX));
    Some(CloseFrame { code, reason: why.into() })
}

fn said_farewell(frame: Option<CloseFrame>) -> Ended {
    let Some(frame) = frame else { return Ended::ByPeer(String::new()) };
    match u16::from(frame.code) {
        CODE_SECOND => Ended::Second,
        CODE_ANEW => Ended::Anew,
        1001 => Ended::PeerStopped,
        _ => Ended::ByPeer(frame.reason.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::Stream;
    use crate::core::message::Batch;
    use tokio::io::duplex;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::protocol::Role;

    fn batch(bytes: usize) -> Message {
        Message::Batch(Batch { number: 1, stream: Stream::Own, entries: vec![vec![b' '; bytes].into()], kept: None })
    }

    #[test]
    fn a_link_that_is_not_taken_from_has_no_room_and_tells_when_it_has_again() {
        let link = Link::new(1);
        let mut said = 0;
        while link.has_room(OUT_BYTES_MAX) {
            link.say(batch(100_000));
            said += 1;
        }
        let awaited: Vec<bool> = std::iter::from_fn(|| link.next()).map(|(_, is_awaited)| is_awaited).collect();

        assert_eq!(said, OUT_BYTES_MAX / 100_000 + 1);
        assert_eq!(awaited.iter().filter(|is_awaited| **is_awaited).count(), 1, "once, when half is gone");
        assert!(!awaited[0] && link.has_room(OUT_BYTES_MAX));
    }

    #[test]
    fn many_links_share_what_may_wait_and_none_is_left_without() {
        assert_eq!(out_bytes(0), OUT_BYTES_MAX);
        assert_eq!(out_bytes(8), OUT_BYTES_MAX);
        assert_eq!(out_bytes(512) * 512, OUT_ALL_BYTES_MAX);
        assert_eq!(out_bytes(100_000), OUT_BYTES_MIN);
    }

    #[test]
    fn the_first_reason_stays() {
        let link = Link::new(1);
        link.end(Ended::NoMember);
        link.end(Ended::Stopped);

        assert_eq!(*link.ended.borrow(), Some(Ended::NoMember));
    }

    #[test]
    fn a_long_message_goes_in_several_frames_and_comes_as_one() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bytes: Vec<u8> = (0..SENT_FRAME_BYTES * 2 + 17).map(|number| number as u8).collect();
        let sent = bytes.clone();
        let came = runtime.block_on(async move {
            let (here, there) = duplex(4096);
            let config = Some(crate::net::websocket_config());
            let mut here = WebSocketStream::from_raw_socket(here, Role::Client, config).await;
            let mut there = WebSocketStream::from_raw_socket(there, Role::Server, config).await;
            let sending = async {
                for frame in frames(&sent) {
                    here.feed(frame).await.unwrap();
                }
                here.flush().await.unwrap();
            };
            futures_util::future::join(sending, there.next()).await.1
        });

        assert_eq!(came.unwrap().unwrap().into_data(), bytes);
    }
}
