//! The sockets of what is seen on the network: one thread that announces this node and hears others, by the `mdns-sd` crate.
//!
//! Lives here: when it is announced anew, on which interfaces, and what becomes of a network that does not carry it: a state
//! that is shown, and another try. Does not live here: what is said and kept (`nearby`). It is given up with the node.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use mdns_sd::{DaemonEvent, IfKind, ServiceDaemon, ServiceEvent, ServiceInfo};

use super::nearby::{Said, Service};
use super::{Fleet, held};
use crate::sys::clock;

/// The service's type (RFC 6763, section 7).
const TYPE: &str = "_rakkr._tcp.local.";
/// How often it is looked whether something else is to be said, and pages are told at most.
const LOOK: Duration = Duration::from_secs(1);
/// The pause after which a network that failed is tried again.
const AGAIN: Duration = Duration::from_secs(60);
/// The most events taken in between two looks: who shouts is not listened to all day.
const EVENTS_MAX: usize = 512;

/// How this node shows itself on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where its pages listen: on loopback alone it is announced on loopback alone.
    pub listen: SocketAddr,
    /// On these interfaces only; none is all that its pages listen on.
    pub interfaces: Vec<String>,
}

/// What announces and listens. Says good-bye and ends when it is dropped.
pub struct Announcing {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Announcing {
    fn drop(&mut self) {
        self.stop = None;
        // One that gave up has nothing more to say.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Fleet {
    /// Announces this node and listens, until what is returned is dropped.
    ///
    /// # Errors
    /// The thread cannot be had.
    pub fn announce(&self, plan: Plan) -> std::io::Result<Announcing> {
        let (stop, stopped) = channel();
        let fleet = self.clone();
        let thread = std::thread::Builder::new().name("mdns".into()).spawn(move || {
            loop {
                let why = match talk(&fleet, &plan, &stopped) {
                    Ok(()) => break,
                    Err(error) => {
                        format!("{error}. It is tried again every minute; addresses in the roster need none of this")
                    }
                };
                tracing::warn!(why, "this node is not seen on the network");
                fleet.notice(|nearby| nearby.is(true, Some(why)));
                if stopped.recv_timeout(AGAIN) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
        })?;
        Ok(Announcing { stop: Some(stop), thread: Some(thread) })
    }

    fn notice(&self, change: impl FnOnce(&mut super::nearby::Nearby) -> bool) {
        let is_news = change(&mut held(&self.0.nearby));
        if is_news {
            self.0.live.bump();
        }
    }
}

impl Plan {
    fn kinds(&self) -> Vec<IfKind> {
        match self.listen.ip() {
            _ if !self.interfaces.is_empty() => self.interfaces.iter().cloned().map(IfKind::Name).collect(),
            ip if ip.is_unspecified() => vec![IfKind::All],
            ip => vec![IfKind::Addr(ip)],
        }
    }

    /// Nobody else is on loopback.
    fn kinds_left_out(&self) -> Vec<IfKind> {
        let is_everywhere = self.interfaces.is_empty() && self.listen.ip().is_unspecified();
        if is_everywhere { vec![IfKind::LoopbackV4, IfKind::LoopbackV6] } else { Vec::new() }
    }
}

/// Until it is told to stop.
fn talk(fleet: &Fleet, plan: &Plan, stopped: &Receiver<()>) -> Result<(), mdns_sd::Error> {
    let daemon = ServiceDaemon::new()?;
    let talked = talk_by(&daemon, fleet, plan, stopped);
    // It says good-bye for what was announced; that nobody answers changes nothing.
    if let Ok(ended) = daemon.shutdown() {
        let _ = ended.recv_timeout(LOOK);
    }
    talked
}

fn talk_by(daemon: &ServiceDaemon, fleet: &Fleet, plan: &Plan, stopped: &Receiver<()>) -> Result<(), mdns_sd::Error> {
    // What is said last of an interface holds.
    daemon.disable_interface(IfKind::All)?;
    daemon.enable_interface(plan.kinds())?;
    daemon.disable_interface(plan.kinds_left_out())?;
    let (heard, troubles) = (daemon.browse(TYPE)?, daemon.monitor()?);
    let mut announced: Option<(Said, String)> = None;
    fleet.notice(|nearby| nearby.is(true, None));
    loop {
        if let Some(said) = fleet.said().filter(|said| announced.as_ref().is_none_or(|(known, _)| known != said)) {
            announced = Some((said.clone(), announce(daemon, &said, plan.listen.port(), announced.as_ref())?));
        }
        let is_news = heard.try_iter().take(EVENTS_MAX).filter(|event| take_in(fleet, event)).count() > 0;
        let trouble = troubles.try_iter().take(EVENTS_MAX).fold(None, |last, event| match event {
            DaemonEvent::Error(error) => Some(error.to_string()),
            _ => last,
        });
        if is_news {
            fleet.0.live.bump();
        }
        if let Some(why) = trouble {
            fleet.notice(|nearby| nearby.is(true, Some(why)));
        }
        match stopped.recv_timeout(LOOK) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// Announces; what was announced under another name before is taken back. The full name.
fn announce(
    daemon: &ServiceDaemon,
    said: &Said,
    port: u16,
    before: Option<&(Said, String)>,
) -> Result<String, mdns_sd::Error> {
    // The key makes it unique: two boxes fresh from one image have one name.
    let instance = format!("rakkr-{}", said.key);
    let host = format!("{instance}.local.");
    let words = said.announced();
    let words: Vec<(&str, &str)> = words.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let service = ServiceInfo::new(TYPE, &instance, &host, "", port, words.as_slice())?.enable_addr_auto();
    let full_name = service.get_fullname().to_owned();
    if let Some((_, old)) = before.filter(|(_, old)| *old != full_name) {
        daemon.unregister(old)?;
    }
    daemon.register(service)?;
    Ok(full_name)
}

/// Whether it was news.
fn take_in(fleet: &Fleet, event: &ServiceEvent) -> bool {
    match event {
        ServiceEvent::ServiceResolved(service) => {
            let said = Said::read(|name| service.get_property_val_str(name).map(ToOwned::to_owned));
            let addresses = service.addresses.clone().into_iter().map(|scoped| scoped.to_ip_addr());
            let service_at = said.and_then(|said| Service::at(said, addresses, service.port, clock::wall()));
            service_at.is_some_and(|heard| held(&fleet.0.nearby).hear(&service.fullname, heard))
        }
        ServiceEvent::ServiceRemoved(_, name) => held(&fleet.0.nearby).forget(name),
        _ => false,
    }
}
