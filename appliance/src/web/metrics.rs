//! `/metrics`: OpenMetrics for whoever collects them. No ids of users or recordings as labels.

use std::fmt::Write;

use axum::extract::{ConnectInfo, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::net::SocketAddr;

use super::caller::Perhaps;
use super::{App, Problem, api, blocking};
use crate::domain::access::{Permission, Target};

/// The metrics of this node. Takes a token with `metrics:read`, or none from loopback when so configured.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, body = String, content_type = "application/openmetrics-text"), (status = "4XX", body = Problem)))]
pub async fn get_metrics(
    State(app): State<App>,
    from: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    Perhaps(caller): Perhaps,
) -> Result<Response, Problem> {
    let is_local = app.has_open_metrics && from.is_some_and(|from| from.0.0.ip().is_loopback());
    let text = blocking(move || {
        match &caller {
            Some(caller) => api::may(&app, caller, Permission::MetricsRead, &Target::Fleet)?,
            None if is_local => {}
            None => return Err(Problem::unauthenticated()),
        }
        Ok(Metrics::of(&app))
    })
    .await??;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response())
}

/// A value of a channel.
type Reading = fn(&crate::capture::engine::meters::ChannelMeter) -> Option<f64>;

/// Text in the OpenMetrics format, one family after the other.
struct Metrics(String);

impl Metrics {
    fn of(app: &App) -> String {
        let mut all = Self(String::new());
        let version = env!("CARGO_PKG_VERSION");
        all.info("rakkr_build", "The program.", &format!("version=\"{version}\""));
        all.capture(app);
        all.channels(app);
        let incidents = app.live.incidents();
        for severity in ["info", "warning", "critical"] {
            let n =
                incidents.iter().filter(|known| format!("{:?}", known.incident.severity).to_lowercase() == severity);
            let labels = format!("severity=\"{severity}\"");
            all.row("rakkr_incidents_open", "gauge", "Incidents that are open.", &labels, n.count() as f64);
        }
        for worker in app.workers.all() {
            let labels = format!("worker=\"{}\"", worker.name);
            all.row(
                "rakkr_worker_failures",
                "counter",
                "Rounds of a worker that failed.",
                &labels,
                worker.failures as f64,
            );
        }
        let (waiting, lost) = app.access.backlog().len();
        all.one("rakkr_audit_backlog", "gauge", "Journal entries that wait to be written.", waiting as f64);
        all.one("rakkr_audit_lost", "counter", "Journal entries given up.", lost as f64);
        all.0.push_str("# EOF\n");
        all.0
    }

    fn capture(&mut self, app: &App) {
        let status = app.live.status();
        self.one("rakkr_capture_up", "gauge", "The recorder answers.", f64::from(u8::from(status.is_some())));
        let Some(status) = status else { return };
        let is_connected = f64::from(u8::from(status.jack.is_connected));
        self.one("rakkr_sound_server_connected", "gauge", "The sound server delivers.", is_connected);
        self.one("rakkr_recording_active", "gauge", "Recordings being written.", status.recording.len() as f64);
        self.one(
            "rakkr_capture_xruns",
            "counter",
            "Times the sound server reported lost frames.",
            status.load.xruns as f64,
        );
        for (cause, frames) in &status.lost_frames {
            let labels = format!("cause=\"{cause}\"");
            self.row("rakkr_capture_frames_lost", "counter", "Frames lost.", &labels, *frames as f64);
        }
        self.one("rakkr_storage_free_bytes", "gauge", "Room on the disk of the takes.", status.disk.free_bytes as f64);
        if let Some(hours) = status.disk.hours_left {
            let help = "How long the disk lasts at the present rate.";
            self.one("rakkr_storage_recording_seconds_left", "gauge", help, hours * 3_600.0);
        }
        self.one("rakkr_storage_behind_seconds", "gauge", "How far the disk is behind.", status.disk.behind_seconds);
        if let Some(us) = status.load.callback_p999_us {
            let help = "Callback duration that 999 of 1000 stay below.";
            self.one("rakkr_capture_callback_p999_seconds", "gauge", help, us / 1e6);
        }
    }

    fn channels(&mut self, app: &App) {
        let Some(frame) = app.live.meters() else { return };
        let families: [(&str, &str, &str, Reading); 4] = [
            ("rakkr_channel_rms_dbfs", "gauge", "RMS of the last 50 ms.", |c| c.rms_dbfs.map(f64::from)),
            ("rakkr_channel_peak_dbfs", "gauge", "Highest sample of the last 50 ms.", |c| c.peak_dbfs.map(f64::from)),
            ("rakkr_channel_clipped_samples", "counter", "Clipped samples.", |c| Some(c.clipped_total as f64)),
            ("rakkr_channel_digital_zero_seconds", "gauge", "Seconds of digital zero up to now.", |c| {
                Some(c.digital_zero_seconds)
            }),
        ];
        for (name, kind, help, value) in families {
            for channel in &frame.channels {
                if let Some(value) = value(channel) {
                    self.row(name, kind, help, &format!("channel=\"{}\"", channel.number), value);
                }
            }
        }
    }

    fn info(&mut self, name: &str, help: &str, labels: &str) {
        let _ = writeln!(self.0, "# TYPE {name} info\n# HELP {name} {help}\n{name}_info{{{labels}}} 1");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.row(name, kind, help, "", value);
    }

    fn row(&mut self, name: &str, kind: &str, help: &str, labels: &str, value: f64) {
        if !self.0.contains(&format!("# TYPE {name} ")) {
            let _ = writeln!(self.0, "# TYPE {name} {kind}\n# HELP {name} {help}");
        }
        let ending = if kind == "counter" { "_total" } else { "" };
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(self.0, "{name}{ending}{labels} {value}");
    }
}
