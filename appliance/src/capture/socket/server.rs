//! The listening end: a thread for each client, a bounded number of them, none that the recording path waits for.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel, sync_channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::{LINE_BYTES_MAX, Request, Start, audio, short_name};
use crate::capture::engine::messages::{EdgeKind, Message};
use crate::capture::orders::Keeper;
use crate::capture::take::folder::DataDir;
use crate::domain::order::MAX_TITLE_BYTES;
use crate::domain::{Channels, Order, TakeId};
use crate::sys::{clock, rng};

/// The most clients at a time; the next is told so and sent away.
const CLIENTS_MAX: usize = 64;
/// A client that does not read for this long is let go.
const WRITE_WAIT: Duration = Duration::from_secs(5);
/// A client that asks nothing for this long is let go, so that idle ones do not keep others out; watching meters is
/// not idle.
const IDLE_WAIT: Duration = Duration::from_secs(60);
/// Meter frames a client may be behind before it misses some: two seconds.
const METER_QUEUE: usize = 40;
/// A listener hears this often that nothing arrives, and one that has gone is noticed.
const SILENT_WAIT: Duration = Duration::from_secs(1);
/// Stack of a client's thread: the deepest line that is read (128 levels) takes a part of it, also without optimisation.
pub(crate) const CLIENT_STACK_BYTES: usize = 256 << 10;
/// A start that lies further back than this was not meant.
const PAST_SECONDS: f64 = 1.0;

/// What every client may reach.
pub struct Service {
    /// The orders.
    pub keeper: Arc<Keeper>,
    /// The engine.
    pub engine: Sender<Message>,
    /// Channels of this capture; 0 before it knows them.
    pub channels: Arc<AtomicU16>,
    /// Seconds of pre-roll that are kept.
    pub pre_roll_seconds: f64,
}

/// Listens on the data folder's socket until the process ends.
///
/// # Errors
/// The socket cannot be made.
pub fn listen(data: &DataDir, service: Arc<Service>) -> io::Result<()> {
    let path = data.socket();
    // The data folder is locked by us: what lies here was left by a process that is gone.
    let _ = std::fs::remove_file(&path);
    let (name, folder) = short_name(&path)?;
    let listener = UnixListener::bind(name)?;
    drop(folder);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660))?;
    let clients = Arc::new(AtomicUsize::new(0));
    std::thread::Builder::new().name("socket".into()).spawn(move || {
        for stream in listener.incoming().flatten() {
            admit(stream, service.clone(), clients.clone());
        }
    })?;
    Ok(())
}

fn admit(mut stream: UnixStream, service: Arc<Service>, clients: Arc<AtomicUsize>) {
    let _ = stream.set_write_timeout(Some(WRITE_WAIT));
    let _ = stream.set_read_timeout(Some(IDLE_WAIT));
    if clients.fetch_add(1, Ordering::SeqCst) >= CLIENTS_MAX {
        clients.fetch_sub(1, Ordering::SeqCst);
        let _ = say(&mut stream, &refuse("too many clients: close one and try again"));
        return;
    }
    let left = clients.clone();
    let talk = move || {
        if let Err(error) = serve(stream, &service) {
            tracing::debug!(%error, "a client left");
        }
        clients.fetch_sub(1, Ordering::SeqCst);
    };
    if std::thread::Builder::new().name("client".into()).stack_size(CLIENT_STACK_BYTES).spawn(talk).is_err() {
        left.fetch_sub(1, Ordering::SeqCst);
    }
}

fn serve(stream: UnixStream, service: &Service) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        if line.last() != Some(&b'\n') {
            return say(&mut writer, &refuse("the request is too long or not whole"));
        }
        match serde_json::from_slice(&line) {
            Ok(Request::Meters) => return stream_meters(&mut writer, service),
            Ok(Request::Listen { channels }) => return stream_audio(&mut writer, service, channels),
            Ok(request) => say(&mut writer, &answer(request, service).unwrap_or_else(|error| refuse(&error)))?,
            Err(error) => say(&mut writer, &refuse(&format!("this is not a request: {error}")))?,
        }
    }
}

fn say(writer: &mut UnixStream, answer: &Value) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    writer.write_all(&line)
}

fn refuse(error: &str) -> Value {
    json!({"ok": false, "error": error})
}

fn answer(request: Request, service: &Service) -> Result<Value, String> {
    let keeper = &service.keeper;
    match request {
        Request::Status => {
            let (answer, answered) = channel();
            let asked = service.engine.send(Message::Status(answer));
            asked.map_err(|_| "the engine has ended: restart capture".to_owned())?;
            let status = answered.recv_timeout(WRITE_WAIT).map_err(|_| "the engine does not answer".to_owned())?;
            Ok(json!({"ok": true, "status": status}))
        }
        Request::Orders => Ok(json!({"ok": true, "orders": keeper.set()})),
        Request::SetOrders { orders } => {
            for order in orders.iter() {
                service.check(order)?;
            }
            keeper.replace(orders).map(|()| json!({"ok": true}))
        }
        Request::Start(start) => service.start(start).map(|id| json!({"ok": true, "id": id})),
        Request::Stop { id } => keeper.stop(id).map(|()| json!({"ok": true})),
        Request::Extend { id, seconds } => {
            keeper.extend(id, seconds).map(|planned| json!({"ok": true, "planned_seconds": planned}))
        }
        Request::Mark { label, .. } if label.len() > MAX_TITLE_BYTES => {
            Err(format!("the label is longer than {MAX_TITLE_BYTES} bytes"))
        }
        Request::Mark { id, label } => service.edge(id, EdgeKind::Mark(label)),
        Request::Pause { id } => service.edge(id, EdgeKind::Pause),
        Request::Resume { id } => service.edge(id, EdgeKind::Resume),
        Request::Meters | Request::Listen { .. } => Err("this is streamed".into()),
    }
}

fn stream_meters(writer: &mut UnixStream, service: &Service) -> io::Result<()> {
    let (frames, queue) = sync_channel(METER_QUEUE);
    if service.engine.send(Message::Meters(frames)).is_err() {
        return Ok(());
    }
    while let Ok(line) = queue.recv() {
        writer.write_all(line.as_bytes())?;
    }
    say(writer, &refuse("too many meters are being watched: close one and try again"))
}

fn stream_audio(writer: &mut UnixStream, service: &Service, channels: Channels) -> io::Result<()> {
    let (answer, answered) = channel();
    let asked = service.engine.send(Message::Listen { channels, answer });
    let listening = match asked.ok().and_then(|()| answered.recv_timeout(WRITE_WAIT).ok()) {
        Some(Ok(listening)) => listening,
        Some(Err(error)) => return say(writer, &refuse(&error)),
        None => return say(writer, &refuse("the engine does not answer")),
    };
    say(writer, &json!({"ok": true, "rate": listening.rate, "channels": listening.channels}))?;
    let (mut next, mut scratch) = (0, Vec::new());
    loop {
        match listening.blocks.recv_timeout(SILENT_WAIT) {
            Ok(heard) => {
                audio::write(writer, &heard, &listening.indices, &mut scratch)?;
                next = heard.block.end();
            }
            Err(RecvTimeoutError::Timeout) => audio::write_nothing(writer, next)?,
            // The source is another now: who asks again hears which.
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

impl Service {
    fn start(&self, start: Start) -> Result<TakeId, String> {
        let now = clock::wall();
        let at = start.at.unwrap_or(now);
        if now.duration_since(at).as_secs_f64() > PAST_SECONDS {
            return Err(format!("{at} is in the past: leave --at away to begin now"));
        }
        let chance = rng::ten_bytes().map_err(|error| format!("no random numbers: {error}"))?;
        let order = Order {
            id: self.keeper.new_id(now, chance),
            title: start.title,
            channels: start.channels,
            start: at,
            stop: None,
            length_seconds: start.for_seconds,
            pre_roll_seconds: start.pre_roll_seconds,
            stored_as: start.stored_as,
        };
        self.check(&order)?;
        let id = order.id;
        self.keeper.add(order)?;
        Ok(id)
    }

    /// What only a running capture knows of an order.
    fn check(&self, order: &Order) -> Result<(), String> {
        let channels = self.channels.load(Ordering::Relaxed);
        if channels > 0 {
            order.channels.resolve(channels)?;
        }
        if order.pre_roll_seconds > self.pre_roll_seconds {
            return Err(format!(
                "a pre-roll of {} s is more than the {} s this capture keeps: start it with --pre-roll {}",
                order.pre_roll_seconds, self.pre_roll_seconds, order.pre_roll_seconds
            ));
        }
        Ok(())
    }

    fn edge(&self, id: TakeId, edge: EdgeKind) -> Result<Value, String> {
        self.keeper.edge(id, edge).map(|frame| json!({"ok": true, "frame": frame}))
    }
}
