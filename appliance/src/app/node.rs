//! A node from start to end: identity, records, rights, services, pages, in this order; and down again the other way.
//!
//! Nothing here is on the recording path: capture is another process. A node that cannot open its records still shows
//! why and leaves capture alone.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, bail};
use axum_server::Handle;
use tokio::runtime::Runtime;

use crate::access::claim::ClaimState;
use crate::access::fleet::Us;
use crate::access::identity::{self, Identity};
use crate::access::sealing::{self, BoxKey};
use crate::access::{Access, Ctx};
use crate::capture::take::DataDir;
use crate::fleet::join::has_joined;
use crate::fleet::{self, Fleet, Forgetting, mdns, replace};
use crate::service::child::{Child, Keeper, Plan};
use crate::service::listen::KeptFiles;
use crate::service::render::worker::Renderer;
use crate::service::{self, Failures, Live, Parts, Supervisor, moment};
use crate::store::Store;
use crate::sys::files::Lock;
use crate::sys::{clock, env, notify, rng};
use crate::web::{App, FILES_BYTES_MAX, Wiring, router, serve};

/// Threads that serve pages and calls.
const WEB_THREADS: usize = 2;
/// Threads that write to the other nodes' links: not those that serve pages, or a page would wait while five hundred nodes are
/// told what it shows.
const LINK_THREADS: usize = 1;
/// Threads that may wait for the disk at a time.
const WAITING_THREADS_MAX: usize = 32;
/// How long open requests may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// How a node is to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// HTTPS.
    pub listen: SocketAddr,
    /// HTTP, loopback only; none is none.
    pub http: Option<SocketAddr>,
    /// How to start capture; none if a unit does.
    pub capture: Option<Plan>,
    /// Whether capture ends with the node: a demo's does.
    pub ends_capture: bool,
    /// Minutes for which a new node may be claimed.
    pub claim_window_minutes: u32,
    /// `/metrics` without a token from loopback.
    pub has_open_metrics: bool,
    /// When entries leave the logs of its records.
    pub forgetting: Forgetting,
    /// On which interfaces it is announced; none named is all that it listens on, none at all is not.
    pub mdns: Option<Vec<String>>,
}

/// What a node says when it is ready.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Where its page is.
    pub url: String,
    /// Its plain page, on this machine only.
    pub plain_url: Option<String>,
    /// The four words of its certificate.
    pub words: String,
    /// The code to claim it with; none if it is claimed.
    pub claim_code: Option<String>,
    /// What opening found.
    pub alarms: Vec<String>,
}

/// How a run ended.
enum Ended {
    /// It was told to.
    Stopped,
    /// This box goes on as another node; where it listened, and goes on listening.
    Anew { listen: SocketAddr, http: Option<SocketAddr> },
}

/// How often it is looked whether the node is to begin anew.
const LOOK: Duration = Duration::from_millis(250);

/// Runs until `stop` says so. A box that takes another node's place is taken down and begins again as that, in this process:
/// nothing of the node that it was is left but the page's address.
///
/// # Errors
/// It cannot run here; the sentence says why.
pub fn run(options: &Options, stop: &Receiver<()>, mut ready: impl FnMut(&Ready, &Access)) -> anyhow::Result<()> {
    // Fails only if one is installed already, and there is no other.
    let _ = rustls::crypto::ring::default_provider().install_default();
    env::raise_file_limit();
    let data = DataDir::new(&options.data_dir);
    std::fs::create_dir_all(data.path()).with_context(|| format!("{} cannot be made", data.path().display()))?;
    let lock = Lock::try_take(&data.path().join("node.lock")).context("node.lock cannot be taken")?;
    let Some(_lock) = lock else { bail!("another node runs on {}: stop it first", data.path().display()) };
    let mut options = options.clone();
    while let Ended::Anew { listen, http } = run_once(&options, &data, stop, &mut ready)? {
        (options.listen, options.http) = (listen, http);
    }
    Ok(())
}

/// Who this node is and what it remembers.
struct Opened {
    name: String,
    identity: Arc<Identity>,
    sealing: Arc<BoxKey>,
    access: Access,
    alarms: Vec<String>,
}

fn open(options: &Options, data: &DataDir) -> anyhow::Result<Opened> {
    let became = replace::settle(data.path(), clock::wall()).context("becoming.json cannot be followed")?;
    let ctx = Ctx::new(moment(clock::now()), rng::bytes::<32>()?, "", "rakkr node");
    let (named, name_alarm) = identity::node(data.path(), &env::host(), &ctx).context("node.json cannot be kept")?;
    let addresses: Vec<IpAddr> = [Some(options.listen), options.http].into_iter().flatten().map(|at| at.ip()).collect();
    let (key, key_alarm) =
        identity::tls(data.path(), &env::host(), &addresses, &ctx).context("the key cannot be kept")?;
    let (box_key, box_alarm) = sealing::box_key(data.path(), &ctx).context("sealing.key cannot be kept")?;
    let us = (named.id, named.incarnation_min);
    let opened = Store::open_above(&data.path().join("records"), us, &clock::boot_id(), ctx.now, rng::nonce)?;
    let (store, opened) = opened;
    let told = became.into_iter().chain(name_alarm).chain(key_alarm).chain(box_alarm);
    let alarms: Vec<String> = told.chain(opened.alarms).collect();
    let access = Access::new(store);
    // Who has come into a fleet has its people, as soon as they arrive.
    let minutes = if has_joined(data.path()) { 0 } else { options.claim_window_minutes };
    access.open_claiming(data.path(), minutes, &ctx)?;
    Ok(Opened { name: named.name, identity: Arc::new(key), sealing: Arc::new(box_key), access, alarms })
}

fn run_once(
    options: &Options,
    data: &DataDir,
    stop: &Receiver<()>,
    ready: &mut impl FnMut(&Ready, &Access),
) -> anyhow::Result<Ended> {
    let started_us = clock::mono_us();
    let Opened { name, identity, sealing, access, alarms } = open(options, data)?;
    let (live, failures, child) = (Live::new(), Failures::default(), Child::new());
    let mut supervisor = Supervisor::new().telling(live.clone());
    if let Some(plan) = options.capture.clone() {
        let child = child.clone();
        supervisor.spawn(move || Box::new(Keeper::new(plan.clone(), child.clone())));
    }
    let parts = Parts { data: data.clone(), access: access.clone(), live: live.clone(), failures: failures.clone() };
    service::spawn_all(&mut supervisor, &parts);
    let of = (data.clone(), live.clone(), failures);
    supervisor.spawn(move || Box::new(Renderer::new(of.0.clone(), of.1.clone(), of.2.clone())));
    let (runtime, links) = (runtime("web", WEB_THREADS)?, runtime("links", LINK_THREADS)?);
    let fleet = Fleet::start(fleet::Parts {
        data: data.path().to_owned(),
        access: access.clone(),
        live: live.clone(),
        identity: identity.clone(),
        sealing,
        runtime: runtime.handle().clone(),
        links: links.handle().clone(),
        forgetting: options.forgetting,
    });
    fleet::spawn_all(&mut supervisor, &fleet);
    let app = App::new(Wiring {
        data: data.clone(),
        access: access.clone(),
        live,
        workers: supervisor.handle(),
        name: name.clone(),
        identity: identity.clone(),
        fleet: fleet.clone(),
        alarms: alarms.clone(),
        has_open_metrics: options.has_open_metrics,
        started_us,
        files: KeptFiles::open(data.path().join("exports"), FILES_BYTES_MAX).context("exports cannot be kept")?,
    });
    let mut announcing = None;
    let served = serve_until(options, runtime, &identity, app, stop, |at, plain_url| {
        present(&access, &name, &identity, at);
        fleet.look_anew();
        announcing = options.mdns.clone().and_then(|interfaces| {
            let begun = fleet.announce(mdns::Plan { listen: at, interfaces });
            begun.inspect_err(|error| tracing::warn!(%error, "this node is not announced on the network")).ok()
        });
        let claim_code = match access.claim_state(moment(clock::now())) {
            Ok(ClaimState::Open { code, .. }) => Some(code),
            Ok(ClaimState::Claimed | ClaimState::Closed) | Err(_) => None,
        };
        let told = Ready { url: format!("https://{at}/"), plain_url, words: identity.words(), claim_code, alarms };
        ready(&told, &access);
        notify::ready();
    });
    drop(announcing);
    fleet.stop();
    links.shutdown_timeout(GRACE);
    supervisor.stop();
    let is_over = !matches!(served, Ok(Ended::Anew { .. }));
    if options.ends_capture && is_over {
        child.stop().context("capture cannot be stopped")?;
    }
    served
}

/// Says how this node shows itself to others, and has a claimed one write that down. Records that take nothing do not keep
/// a node from running: it is written at the next start.
fn present(access: &Access, name: &str, identity: &Identity, at: SocketAddr) {
    // Listening everywhere is no address: the name that the node announces is one.
    let host = if at.ip().is_unspecified() { format!("{}.local:{}", env::host(), at.port()) } else { at.to_string() };
    let certificate = identity.certificate.to_vec();
    access.introduce(Us { name: name.to_owned(), addresses: vec![host], spki: identity.spki, certificate });
    let founded = rng::bytes::<32>().map_err(|error| error.to_string()).and_then(|seed| {
        let ctx = Ctx::new(moment(clock::now()), seed, "", "rakkr node");
        access.found(&ctx).map_err(|error| error.to_string())
    });
    if let Err(error) = founded {
        tracing::warn!(error, "this node is not in the roster yet");
    }
}

fn runtime(name: &str, threads: usize) -> anyhow::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).max_blocking_threads(WAITING_THREADS_MAX).thread_name(name).enable_all();
    builder.build().with_context(|| format!("the threads `{name}` cannot be started"))
}

fn serve_until(
    options: &Options,
    runtime: Runtime,
    identity: &Arc<Identity>,
    app: App,
    stop: &Receiver<()>,
    ready: impl FnOnce(SocketAddr, Option<String>),
) -> anyhow::Result<Ended> {
    let handle: Handle<SocketAddr> = Handle::new();
    let plain: Handle<SocketAddr> = Handle::new();
    let https = {
        let (router, identity, handle, at) =
            (router::router(app.clone(), true), Arc::clone(identity), handle.clone(), options.listen);
        // Other nodes ask the same pages, over connections of their own or through tunnels.
        app.fleet.answer_with(router.clone());
        runtime.spawn(async move { serve::https(at, &identity, router, handle).await })
    };
    let http = options.http.map(|at| {
        let (router, plain) = (router::router(app.clone(), false), plain.clone());
        runtime.spawn(async move { serve::http(at, router, plain).await })
    });
    let listening = runtime.block_on(handle.listening());
    let Some(at) = listening else {
        let failed = runtime.block_on(https);
        bail!("{} cannot be listened on: {}", options.listen, told(failed));
    };
    let plain_at = match http {
        None => None,
        Some(http) => match runtime.block_on(plain.listening()) {
            Some(at) => Some(at),
            None => bail!(
                "{} cannot be listened on: {}",
                options.http.map(|at| at.to_string()).unwrap_or_default(),
                told(runtime.block_on(http))
            ),
        },
    };
    let socket = options.data_dir.join(serve::CONSOLE_SOCKET);
    let console = router::router(app.clone(), false);
    runtime.spawn(async move {
        if let Err(error) = serve::console(&socket, console).await {
            tracing::warn!(%error, "the node's own socket cannot be had: `rakkr fleet` and `rakkr invite` do not reach it");
        }
    });
    ready(at, plain_at.map(|at| format!("http://{at}/")));
    let ended = loop {
        match stop.recv_timeout(LOOK) {
            Err(RecvTimeoutError::Timeout) if app.fleet.is_to_begin_anew() => {
                break Ended::Anew { listen: at, http: plain_at };
            }
            Err(RecvTimeoutError::Timeout) => {}
            // A sender that is gone means the same.
            Ok(()) | Err(RecvTimeoutError::Disconnected) => break Ended::Stopped,
        }
    };
    handle.graceful_shutdown(Some(GRACE));
    plain.graceful_shutdown(Some(GRACE));
    let _ = runtime.block_on(async { tokio::time::timeout(GRACE + GRACE, https).await });
    runtime.shutdown_timeout(GRACE);
    Ok(ended)
}

fn told(failed: Result<std::io::Result<()>, tokio::task::JoinError>) -> String {
    match failed {
        Ok(Err(error)) => error.to_string(),
        Ok(Ok(())) => "it ended at once".into(),
        Err(error) => error.to_string(),
    }
}
