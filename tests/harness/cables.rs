//! A network of its own for real nodes, with cables that can be cut, slowed and made to lose packets.
//!
//! Every node runs in a network namespace whose only way out is a TUN device (kernel documentation, networking/tuntap)
//! with this process at its other end: the switch. It reads each packet and hands it to the node it is for, unless their
//! cable is cut, after what the line costs. So a cut is silence, as when a plug is pulled behind the next switch: no end
//! learns of it. Nothing but namespaces and TUN is asked of the kernel; the delays of `tc netem` are not in every one.
//! The desk, where the test sits, reaches every node at any time: its packets are neither cut nor slowed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most nodes: their addresses share 28 bits with the desk's and the two that are nobody's.
const NODES_MAX: usize = 13;
/// 198.18.0.0/15, which is for measuring networks and is not routed (RFC 2544, RFC 6890).
const NETWORK: u32 = 198 << 24 | 18 << 16;
/// How many networks of 16 addresses there are in it.
const NETWORKS: u32 = 1 << 13;
/// What waits longer than this to be sent is dropped, as a switch with a short queue does.
const QUEUE: Duration = Duration::from_millis(250);
/// The largest packet that a device hands over.
const PACKET_BYTES_MAX: usize = 65_536;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Where a node is put.
#[derive(Debug, Clone)]
pub struct Place {
    /// The name of its network namespace.
    pub space: String,
    pub address: Ipv4Addr,
}

/// What a cable does to each packet, both ways.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line {
    pub delay: Duration,
    pub loss_percent: u64,
    pub bits_per_second: Option<u64>,
}

/// The namespaces and the switch between them; all of it goes on drop.
pub struct Cables {
    switch: Arc<Switch>,
    name: String,
    nodes: usize,
    network: u32,
}

impl Cables {
    /// Lays cables for so many nodes. `None`, and a word, where the machine does not let us: as another user than root, or
    /// in a container without rights. `tests/run` then says in its last lines that nothing is known of these tests.
    pub fn lay(nodes: usize) -> Option<Cables> {
        sweep();
        match Cables::try_lay(nodes) {
            Ok(cables) => Some(cables),
            Err(why) => {
                eprintln!("NOT TRIED: no network namespaces ({why})");
                None
            }
        }
    }

    fn try_lay(nodes: usize) -> io::Result<Cables> {
        assert!(nodes <= NODES_MAX, "at most {NODES_MAX} nodes");
        let (pid, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let name = format!("rk{pid}c{count}");
        let network = NETWORK + (pid.wrapping_add(count * 1_021) % NETWORKS) * 16;
        let ends: io::Result<Vec<File>> = (0..=nodes).map(|end| tun(&device(&name, end))).collect();
        let cables = Cables { switch: Arc::new(Switch::new(ends?, network)), name, nodes, network };
        // From here on a failure takes back what was made.
        for node in 0..nodes {
            let Place { space, address } = cables.place(node);
            let device = device(&cables.name, node);
            ip(&["netns", "add", &space])?;
            ip(&["link", "set", &device, "netns", &space])?;
            ip(&["-n", &space, "link", "set", "lo", "up"])?;
            ip(&["-n", &space, "addr", "add", &format!("{address}/28"), "dev", &device])?;
            ip(&["-n", &space, "link", "set", &device, "up"])?;
        }
        let desk = device(&cables.name, nodes);
        ip(&["addr", "add", &format!("{}/28", cables.address(nodes)), "dev", &desk])?;
        ip(&["link", "set", &desk, "up"])?;
        for end in 0..=nodes {
            let switch = cables.switch.clone();
            std::thread::spawn(move || switch.listen(end));
        }
        let switch = cables.switch.clone();
        std::thread::spawn(move || switch.deliver());
        Ok(cables)
    }

    /// Where node number so-and-so, from 0, is put.
    pub fn place(&self, node: usize) -> Place {
        Place { space: format!("{}n{node}", self.name), address: self.address(node) }
    }

    fn address(&self, end: usize) -> Ipv4Addr {
        Ipv4Addr::from(self.network + 1 + end as u32)
    }

    /// Nothing passes between this node and the others any more.
    pub fn cut(&self, node: usize) {
        let others: Vec<usize> = (0..self.nodes).filter(|other| *other != node).collect();
        self.split(&[node], &others);
    }

    /// Nothing passes between these and those any more.
    pub fn split(&self, these: &[usize], those: &[usize]) {
        let mut state = self.switch.lock();
        for (one, other) in these.iter().flat_map(|one| those.iter().map(move |other| (*one, *other))) {
            state.cuts.extend([(one, other), (other, one)]);
        }
        // What is on its way is lost as well.
        let State { due, cuts, .. } = &mut *state;
        due.retain(|_, sent| !cuts.contains(&(sent.from, sent.to)));
    }

    /// All cuts are mended.
    pub fn mend(&self) {
        self.switch.lock().cuts.clear();
    }

    /// Every node's cable becomes this.
    pub fn shape(&self, line: Line) {
        self.switch.lock().line = line;
    }
}

impl Drop for Cables {
    fn drop(&mut self) {
        self.switch.lock().is_over = true;
        self.switch.wake.notify_all();
        // A device that is gone ends the read of its other end. What may fail here was not made.
        for node in 0..self.nodes {
            let space = self.place(node).space;
            ip(&["-n", &space, "link", "del", &device(&self.name, node)]).ok();
            ip(&["netns", "del", &space]).ok();
        }
        ip(&["link", "del", &device(&self.name, self.nodes)]).ok();
    }
}

struct Switch {
    /// The nodes' devices, then the desk's.
    ends: Vec<File>,
    network: u32,
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    cuts: BTreeSet<(usize, usize)>,
    line: Line,
    /// When each cable has sent what waits: to the switch, and from it.
    free: BTreeMap<(usize, Way), Instant>,
    /// Packets by when they arrive; the number keeps those of one instant in order.
    due: BTreeMap<(Instant, u64), Sent>,
    sent: u64,
    chance: u64,
    is_over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Up,
    Down,
}

struct Sent {
    from: usize,
    to: usize,
    packet: Vec<u8>,
}

impl Switch {
    fn new(ends: Vec<File>, network: u32) -> Switch {
        let state = State {
            cuts: BTreeSet::new(),
            line: Line::default(),
            free: BTreeMap::new(),
            due: BTreeMap::new(),
            sent: 0,
            chance: 0x9e37_79b9_7f4a_7c15,
            is_over: false,
        };
        Switch { ends, network, state: Mutex::new(state), wake: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what an end sends, until its device is gone.
    fn listen(&self, from: usize) {
        let mut bytes = vec![0; PACKET_BYTES_MAX];
        while let Ok(length) = (&self.ends[from]).read(&mut bytes) {
            let packet = &bytes[..length];
            let Some(to) = self.receiver(packet) else { continue };
            let now = Instant::now();
            let mut state = self.lock();
            match state.arrival(now, from, to, self.ends.len() - 1, packet.len()) {
                Some(at) if at <= now => {
                    drop(state);
                    self.hand_over(to, packet);
                }
                Some(at) => {
                    state.sent += 1;
                    let key = (at, state.sent);
                    state.due.insert(key, Sent { from, to, packet: packet.to_vec() });
                    drop(state);
                    self.wake.notify_all();
                }
                None => {}
            }
        }
    }

    /// The end that holds the address a packet is for: bytes 16 to 19 of IPv4 (RFC 791, 3.1). Others are nobody's.
    fn receiver(&self, packet: &[u8]) -> Option<usize> {
        let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
        let end = u32::from_be_bytes(to).checked_sub(self.network + 1)? as usize;
        (packet[0] >> 4 == 4 && end < self.ends.len()).then_some(end)
    }

    fn hand_over(&self, to: usize, packet: &[u8]) {
        // A device that is down or full loses packets, as others do.
        (&self.ends[to]).write_all(packet).ok();
    }

    /// Hands over what was under way, each at its time.
    fn deliver(&self) {
        let mut state = self.lock();
        while !state.is_over {
            let now = Instant::now();
            match state.due.first_key_value().map(|(key, _)| key.0) {
                Some(at) if at <= now => {
                    if let Some((_, sent)) = state.due.pop_first() {
                        self.hand_over(sent.to, &sent.packet);
                    }
                }
                Some(at) => state = self.wake.wait_timeout(state, at - now).unwrap_or_else(PoisonError::into_inner).0,
                None => state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl State {
    /// When a packet arrives; never, if a cut or the line swallows it.
    fn arrival(&mut self, now: Instant, from: usize, to: usize, desk: usize, bytes: usize) -> Option<Instant> {
        if from == desk || to == desk {
            return Some(now);
        }
        if self.cuts.contains(&(from, to)) || self.next() % 100 < self.line.loss_percent {
            return None;
        }
        let up = self.through(now, (from, Way::Up), bytes)?;
        let down = self.through(up, (to, Way::Down), bytes)?;
        Some(down + self.line.delay)
    }

    /// When the last bit of a packet has left a cable that has others to send before it.
    fn through(&mut self, at: Instant, cable: (usize, Way), bytes: usize) -> Option<Instant> {
        let Some(rate) = self.line.bits_per_second else { return Some(at) };
        let begins = self.free.get(&cable).map_or(at, |free| at.max(*free));
        if begins - at > QUEUE {
            return None;
        }
        let ends = begins + Duration::from_micros(bytes as u64 * 8 * 1_000_000 / rate);
        self.free.insert(cable, ends);
        Some(ends)
    }

    /// Xorshift (Marsaglia 2003): the same losses in every run that sends the same.
    fn next(&mut self) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance
    }
}

fn device(name: &str, end: usize) -> String {
    format!("{name}e{end}")
}

/// A device of this name, with its other end in our hands.
fn tun(name: &str) -> io::Result<File> {
    let file = File::options().read(true).write(true).open("/dev/net/tun")?;
    let mut ifr_name = [0; libc::IFNAMSIZ];
    // The last byte stays zero.
    for (to, from) in ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = from as libc::c_char;
    }
    let ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    let mut request = libc::ifreq { ifr_name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags } };
    // SAFETY: the descriptor is open, and TUNSETIFF reads and writes one `ifreq` (linux/if_tun.h), which outlives the call.
    let answer = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if answer == 0 { Ok(file) } else { Err(io::Error::last_os_error()) }
}

fn ip(words: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(words).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let told = || io::Error::other(format!("ip {}: {}", words.join(" "), said.trim()));
    if output.status.success() { Ok(()) } else { Err(told()) }
}

/// Removes the namespaces of test processes that ended without being asked; their devices went with them.
fn sweep() {
    for entry in std::fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("rk").and_then(|rest| rest.split_once('c')).map(|(pid, _)| pid.to_owned());
        let is_ours =
            owner.is_some_and(|pid| pid.parse::<u32>().is_ok() && !std::path::Path::new("/proc").join(pid).exists());
        if is_ours {
            ip(&["netns", "del", &name]).ok();
        }
    }
}
