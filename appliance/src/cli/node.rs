//! `rakkr node`: the appliance: records, services, pages. It starts capture itself when no unit does.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{DataArgument, note};
use crate::app::Config;
use crate::app::node::{self, Options, Ready};
use crate::capture::take::DataDir;
use crate::fleet::Forgetting;
use crate::service::child::Plan;

/// Where HTTPS listens if nobody says.
const LISTEN: &str = "0.0.0.0:8443";
/// How long a new node may be claimed after its start, minutes.
const CLAIM_WINDOW_MINUTES: u32 = 30;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    data: DataArgument,
    /// HTTPS listens here (default: 0.0.0.0:8443)
    #[arg(long, value_name = "ADDRESS", env = "RAKKR_LISTEN")]
    listen: Option<SocketAddr>,
    /// Plain HTTP listens here; loopback only
    #[arg(long, value_name = "ADDRESS", env = "RAKKR_HTTP")]
    http: Option<SocketAddr>,
    /// Name of the JACK server (default: default)
    #[arg(long, value_name = "NAME", env = "RAKKR_JACK_SERVER")]
    jack_server: Option<String>,
    /// Source port of each channel, in order (default: all)
    #[arg(long, value_name = "PORT,…", value_delimiter = ',', env = "RAKKR_CONNECT")]
    connect: Vec<String>,
    /// A unit or another program runs `rakkr capture`: do not start it
    #[arg(long, env = "RAKKR_NO_CAPTURE")]
    no_capture: bool,
    /// Give /metrics to this machine without a token
    #[arg(long, env = "RAKKR_OPEN_METRICS")]
    open_metrics: bool,
    /// Minutes for which a new node may be claimed after its start (default: 30)
    #[arg(long, value_name = "N", env = "RAKKR_CLAIM_WINDOW_MINUTES")]
    claim_window_minutes: Option<u32>,
    /// Neither announce this node on the network (mDNS) nor look for others there
    #[arg(long, env = "RAKKR_NO_MDNS")]
    no_mdns: bool,
    /// Announce and look on these network interfaces only (default: all that the pages are on)
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', env = "RAKKR_MDNS_INTERFACES")]
    mdns_interface: Vec<String>,
    /// How often entries that no node needs any more leave the records, and how many have to be gained (default: 3600,1000;
    /// 0: never)
    #[arg(long, value_name = "SECONDS[,N]", env = "RAKKR_FORGET")]
    forget: Option<Forgetting>,
    /// Settings for what is not said here (default: rakkr.toml in the data folder)
    #[arg(long, value_name = "FILE", env = "RAKKR_CONFIG")]
    config: Option<PathBuf>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let options = options(arguments)?;
    let (stop, stopped) = std::sync::mpsc::channel();
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("signals cannot be watched")?;
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            let _ = stop.send(());
        }
    });
    node::run(&options, &stopped, tell)?;
    Ok(ExitCode::SUCCESS)
}

fn options(arguments: Arguments) -> anyhow::Result<Options> {
    let data_dir = arguments.data.data_dir;
    let file = arguments.config.unwrap_or_else(|| data_dir.join("rakkr.toml"));
    let config = Config::load(&file)?;
    let connect = if arguments.connect.is_empty() { config.connect.unwrap_or_default() } else { arguments.connect };
    let jack_server = arguments.jack_server.or(config.jack_server).unwrap_or_else(|| "default".into());
    let minutes = arguments.claim_window_minutes.or(config.claim_window_minutes).unwrap_or(CLAIM_WINDOW_MINUTES);
    let listen = arguments.listen.or(config.listen);
    let interfaces = Some(arguments.mdns_interface).filter(|names| !names.is_empty()).or(config.mdns_interfaces);
    let is_announced = !arguments.no_mdns && config.mdns.unwrap_or(true);
    Ok(Options {
        listen: listen.map_or_else(|| LISTEN.parse().context("the default address"), Ok)?,
        http: arguments.http.or(config.http),
        capture: if arguments.no_capture { None } else { Some(plan(&data_dir, jack_server, &connect)?) },
        ends_capture: false,
        claim_window_minutes: minutes,
        has_open_metrics: arguments.open_metrics || config.open_metrics.unwrap_or(false),
        forgetting: arguments.forget.unwrap_or_default(),
        mdns: is_announced.then(|| interfaces.unwrap_or_default()),
        data_dir,
    })
}

/// How capture is started when no unit does.
pub(super) fn plan(data_dir: &Path, jack_server: String, connect: &[String]) -> anyhow::Result<Plan> {
    let arguments = match connect {
        [] => vec!["--connect-all".to_owned()],
        ports => vec!["--connect".to_owned(), ports.join(",")],
    };
    let program = std::env::current_exe().context("this program cannot be found")?;
    Ok(Plan { program, data: DataDir::new(data_dir), jack_server, arguments })
}

/// Says where the page is, and how to claim it.
pub(super) fn tell(ready: &Ready, _: &crate::access::Access) {
    for alarm in &ready.alarms {
        note(alarm);
    }
    note(&format!("the page is {}", ready.url));
    if let Some(url) = &ready.plain_url {
        note(&format!("on this machine also {url}"));
    }
    note(&format!("its key: {} (the page shows the same four words)", ready.words));
    if let Some(code) = &ready.claim_code {
        note(&format!("nobody has claimed this recorder: open {}claim#{code}", ready.url));
        note(&format!("claim code: {code}"));
    }
}
