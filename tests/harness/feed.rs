//! A JACK client that plays tags or a file, bit-exact, on as many ports as asked.
//!
//! Tags follow JACK's own frame time, not a count of the feed: when the server skips, the tags skip with it, so the checker
//! can tell a true timeline from a shortened one. Its position is also the tests' clock: they wait in frames.

use super::server::JackServer;
use super::tags::tag;
use super::wait::{LIMIT, until};
use jack::{AsyncClient, AudioOut, Client, Control, NotificationHandler, Port, ProcessHandler, ProcessScope};
use std::ffi::{CStr, CString, c_char};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A playing client named `feed` with ports `out_1 …`.
pub struct Feed {
    shared: Arc<Shared>,
    client: Option<AsyncClient<Ears, Player>>,
    channels: u32,
    rate: u32,
}

struct Shared {
    /// Held only for a swap, so the callback never waits long.
    ports: Mutex<Vec<Option<Port<AudioOut>>>>,
    /// Frame time behind the last period played.
    position: AtomicU32,
    xruns: AtomicU32,
    lag: AtomicI64,
    late: AtomicU32,
    /// A file plays from the moment it is set.
    plays: AtomicBool,
    /// `None` plays tags.
    file: Option<Vec<Vec<f32>>>,
}

impl Feed {
    /// Plays tags at once.
    pub fn tags(server: &JackServer, channels: u32) -> Feed {
        Feed::open(server, channels, None)
    }

    /// Plays planar samples once, from the moment all ports are connected; silence before and after.
    pub fn samples(server: &JackServer, planar: Vec<Vec<f32>>) -> Feed {
        Feed::open(server, planar.len() as u32, Some(planar))
    }

    fn open(server: &JackServer, channels: u32, file: Option<Vec<Vec<f32>>>) -> Feed {
        let shared = Arc::new(Shared {
            ports: Mutex::new(Vec::new()),
            position: AtomicU32::new(0),
            xruns: AtomicU32::new(0),
            lag: AtomicI64::new(0),
            late: AtomicU32::new(0),
            plays: AtomicBool::new(file.is_none()),
            file,
        });
        let mut feed = Feed { shared, client: None, channels, rate: server.options.rate };
        feed.reopen(server);
        feed
    }

    /// Opens the client anew, after its server was gone.
    pub fn reopen(&mut self, server: &JackServer) {
        // The old client goes first: libjack lets go of a dead server only when no client is left.
        self.shared.lock().clear();
        self.client = None;
        let client = open_client("feed", &server.name);
        let ports = (1..=self.channels).map(|number| Some(register(&client, number))).collect();
        *self.shared.lock() = ports;
        let player = Player {
            shared: self.shared.clone(),
            file_frame: 0,
            expected: None,
            offset: 0,
            began: None,
            rate: self.rate,
        };
        let active = client.activate_async(Ears { shared: self.shared.clone() }, player);
        self.client = Some(active.expect("the feed starts"));
        self.play(1);
    }

    /// `feed:out_1,feed:out_2,…`: what to hand to `--connect`.
    pub fn port_names(&self) -> String {
        (1..=self.channels).map(|number| format!("feed:out_{number}")).collect::<Vec<_>>().join(",")
    }

    /// The frame time up to which the feed has played.
    pub fn position(&self) -> u64 {
        self.shared.position.load(Ordering::Acquire).into()
    }

    /// Waits until so many more frames were played; returns the position then.
    pub fn play(&self, frames: u64) -> u64 {
        let from = self.shared.position.load(Ordering::Acquire);
        let limit = LIMIT + Duration::from_secs(frames / u64::from(self.rate) * 2);
        until("the feed to play on", limit, || {
            let now = self.shared.position.load(Ordering::Acquire);
            (u64::from(now.wrapping_sub(from)) >= frames).then_some(now.into())
        })
    }

    /// Times the server told of late cycles.
    pub fn xruns(&self) -> u32 {
        self.shared.xruns.load(Ordering::Relaxed)
    }

    /// Frames by which JACK's count is behind the clock, less what it was at the beginning. Good to some milliseconds.
    pub fn lag(&self) -> i64 {
        self.shared.lag.load(Ordering::Acquire)
    }

    /// Frames that the clock counted and the server did not, since the lag was this: a server that is held up, by its machine
    /// or by a client it waits for, stands still and says nothing.
    pub fn stood_still(&self, since: i64) -> u64 {
        self.lag().abs_diff(since)
    }

    /// Periods that the feed itself was late for, or did not play at all.
    pub fn late(&self) -> u32 {
        self.shared.late.load(Ordering::Relaxed)
    }

    /// Waits until every port has a listener; a file begins to play then.
    pub fn wait_connected(&self) {
        until("the feed's ports to be connected", LIMIT, || {
            let is_heard = |port: &Option<Port<AudioOut>>| {
                port.as_ref().is_none_or(|port| port.connected_count().is_ok_and(|count| count > 0))
            };
            self.shared.lock().iter().all(is_heard).then_some(())
        });
        self.shared.plays.store(true, Ordering::Release);
    }

    /// Takes a port (1-based) away, as an unplugged card does.
    pub fn remove_port(&self, number: u32) {
        let at = number as usize - 1;
        // Disconnected while it still plays: a connected port that nobody fills repeats its last period.
        let played = self.shared.lock()[at].as_ref().map(Port::clone_unowned).expect("the port is there");
        self.active().disconnect(&played).expect("the port lets go");
        self.play(1);
        let port = self.shared.lock()[at].take().expect("the port is there");
        self.active().unregister_port(port).expect("the port goes");
    }

    /// Brings the port back under its old name.
    pub fn restore_port(&self, number: u32) {
        let port = register(self.active(), number);
        self.shared.lock()[number as usize - 1] = Some(port);
    }

    /// Lets the whole server run as fast as its clients can, or back in real time.
    pub fn freewheel(&self, is_on: bool) {
        // SAFETY: the pointer is that of a live client; JACK documents the call for any thread but the callback's.
        let answer = unsafe { jack_sys::jack_set_freewheel(self.active().raw(), is_on.into()) };
        assert_eq!(answer, 0, "jack_set_freewheel");
    }

    fn active(&self) -> &Client {
        self.client.as_ref().expect("the feed is open").as_client()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Option<Port<AudioOut>>>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Ears {
    shared: Arc<Shared>,
}

impl NotificationHandler for Ears {
    fn xrun(&mut self, _: &Client) -> Control {
        self.shared.xruns.fetch_add(1, Ordering::Relaxed);
        Control::Continue
    }
}

struct Player {
    shared: Arc<Shared>,
    file_frame: usize,
    /// The time JACK should name next.
    expected: Option<u32>,
    /// How far JACK's counter has gone back in all.
    offset: u32,
    /// The first period: when it was, and its time.
    began: Option<(Instant, u32)>,
    rate: u32,
}

impl ProcessHandler for Player {
    fn process(&mut self, _: &Client, scope: &ProcessScope) -> Control {
        // After an xrun JACK may name a period's time twice; what is played goes on all the same, as a source would.
        let told = scope.last_frame_time();
        let back = self.expected.map_or(0, |expected| (expected.wrapping_sub(told) as i32).max(0) as u32);
        let has_missed = self.expected.is_some_and(|expected| (told.wrapping_sub(expected) as i32) > 0);
        self.offset = self.offset.wrapping_add(back);
        self.expected = Some(told.wrapping_add(scope.n_frames()));
        let now = told.wrapping_add(self.offset);
        let (began, first) = *self.began.get_or_insert_with(|| (Instant::now(), now));
        let by_clock = began.elapsed().as_secs_f64() * f64::from(self.rate);
        self.shared.lag.store(by_clock as i64 - i64::from(now.wrapping_sub(first)), Ordering::Release);
        let plays = self.shared.plays.load(Ordering::Acquire);
        for (channel, port) in self.shared.lock().iter_mut().enumerate() {
            let Some(port) = port else { continue };
            let out = port.as_mut_slice(scope);
            match &self.shared.file {
                _ if !plays => out.fill(0.0),
                None => out.iter_mut().zip(0..).for_each(|(s, k)| *s = tag(channel as u32, now.wrapping_add(k))),
                Some(file) => {
                    let rest = file[channel].get(self.file_frame..).unwrap_or_default();
                    let after = std::iter::repeat(&0.0);
                    out.iter_mut().zip(rest.iter().chain(after)).for_each(|(s, from)| *s = *from);
                }
            }
        }
        if plays {
            self.file_frame += scope.n_frames() as usize;
        }
        if has_missed || scope.last_frame_time() != told || scope.frames_since_cycle_start() > scope.n_frames() {
            self.shared.late.fetch_add(1, Ordering::Relaxed);
        }
        self.shared.position.store(now.wrapping_add(scope.n_frames()), Ordering::Release);
        Control::Continue
    }
}

fn register(client: &Client, number: u32) -> Port<AudioOut> {
    client.register_port(&format!("out_{number}"), AudioOut::default()).expect("a port for the feed")
}

type OpenByName = unsafe extern "C" fn(
    *const c_char,
    jack_sys::jack_options_t,
    *mut jack_sys::jack_status_t,
    ...
) -> *mut jack_sys::jack_client_t;

/// Opens a client on the server of that name; a server that has just begun may refuse the first time.
pub fn open_client(name: &str, server: &str) -> Client {
    let [name, server] = [name, server].map(|text| CString::new(text).expect("a name"));
    until("a client on the server", LIMIT, || try_open(&name, &server))
}

/// The crate's own way takes the server's name from the environment, which a process of many threads must not change.
fn try_open(name: &CStr, server: &CStr) -> Option<Client> {
    let library = jack_sys::library().expect("libjack is installed");
    let options = jack_sys::JackNoStartServer | jack_sys::JackServerName;
    let mut status = 0;
    // SAFETY: the symbol has this variadic signature (jack/jack.h); with JackServerName it reads one string behind status.
    // Both strings outlive the call.
    unsafe {
        let open = library.get::<OpenByName>(b"jack_client_open").expect("libjack has jack_client_open");
        let client = open(name.as_ptr(), options, &raw mut status, server.as_ptr());
        (!client.is_null()).then(|| Client::from_raw(client))
    }
}
