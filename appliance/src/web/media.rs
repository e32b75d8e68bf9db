//! Sound and its picture: files with Range, streams from any second, waveforms, the room live.

mod ranged;

use std::io::Cursor;

use axum::body::Body as HttpBody;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tower::ServiceExt;
use tower_http::services::ServeFile;
use utoipa::IntoParams;

use super::api::{allow, may, nodes, recordings, the_node};
use super::caller::{Caller, Path, Query, text};
use super::whose::Whose;
use super::{App, Problem, blocking, meters};
use crate::access::About;
use crate::access::acts::{DownloadRecording, ListenLive, PlayRecording};
use crate::audio::waveform::{DatReader, frames_per_point, level_for};
use crate::capture::take::export::Format;
use crate::capture::take::wav_view::WavView;
use crate::domain::access::Permission;
use crate::domain::{Channels, TakeId, TakeState};
use crate::service::listen::{self, FileRequest, ListenError, Piece, StreamFormat, StreamRequest, TakeStream};
use crate::service::render;
use crate::store::Edits;
use crate::store::recordings::Recording;

/// Pieces of sound that wait for a listener; one who does not read is let go.
const QUEUE: usize = 16;
/// A stream that has reached the end of what is on disk looks again after so long: capture syncs once a second.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(250);
/// Of a live listener it is asked so often whether they may go on, in pieces of 50 ms: each second.
const LOOK_PIECES: u32 = 20;
/// Points of a waveform that are sent at most.
const POINTS_MAX: usize = 20_000;
/// The code of a waveform that is not there yet.
const NOT_DRAWN: &str = "not_drawn_yet";
/// Points of the picture of a whole recording.
const PICTURE_POINTS: usize = 160;

impl From<ListenError> for Problem {
    fn from(error: ListenError) -> Self {
        let told = error.to_string();
        match error {
            ListenError::Impossible(why) => Self::unprocessable("from", why),
            ListenError::Export(crate::capture::take::export::ExportError::Impossible(why)) => {
                Self::unprocessable("from", why)
            }
            ListenError::Recorder(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "recorder_down", "The recorder does not answer", told)
            }
            ListenError::Log(_) | ListenError::Audio(_) | ListenError::Export(_) | ListenError::Io(_) => {
                Self::new(StatusCode::CONFLICT, "unreadable", "It cannot be read", told)
            }
        }
    }
}

/// Which file.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FileQuery {
    /// wav, flac, opus.
    pub format: String,
    /// `1,2` or `1-4`; absent is all.
    pub channels: Option<String>,
    /// From this second.
    pub from: Option<f64>,
    /// To this second.
    pub to: Option<f64>,
}

fn channels(text: Option<&str>) -> Result<Channels, Problem> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    text.map_or(Ok(Channels::All), |text| text.parse().map_err(|why: String| Problem::unprocessable("channels", why)))
}

/// A file of a recording: whole, a part, some channels. Takes Range.
#[utoipa::path(get, path = "/api/v1/recordings/{id}/file", tag = "media", params(("id" = String, Path), FileQuery),
    responses((status = 200, description = "The file", content_type = "audio/*"), (status = 206, description = "A part of it"), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn get_file(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TakeId>,
    Query(query): Query<FileQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let (format, kind, ending) = match query.format.as_str() {
        "wav" => (Format::Wav, "audio/wav", "wav"),
        "flac" => (Format::Flac, "audio/flac", "flac"),
        "opus" => (Format::Opus, "audio/ogg", "opus"),
        _ => return Err(Problem::unprocessable("format", "one of wav, flac, opus")),
    };
    let wanted = FileRequest {
        format,
        channels: channels(query.channels.as_deref())?,
        from_seconds: query.from,
        to_seconds: query.to,
    };
    let is_first = text(request.headers(), header::RANGE)
        .is_none_or(|range| range.trim() == "bytes=0-" || range.starts_with("bytes=0-"));
    let place = app.limits.exports.clone().acquire_owned().await.map_err(|_| Problem::internal("the node ends"))?;
    let (found, name) = blocking(move || {
        let _place = place;
        let recording = recordings::find(&app, &caller, id)?;
        let target = recordings::place_of(&app, &recording)?;
        let is_player = is_player(&wanted);
        // A browser asks for many parts of one file: one act, one entry.
        if is_player {
            may(&app, &caller, Permission::RecordingPlayback, &target)?;
        } else {
            may(&app, &caller, Permission::RecordingDownload, &target)?;
        }
        Whose::of(&recording).here_or(&app)?;
        let found = find_file(&app, &recording, &wanted)?;
        if is_first {
            let about = About::thing("recording", id, recording.title());
            if is_player {
                allow::<PlayRecording>(&app, &caller, &target, about)?.settle(Edits::default());
            } else {
                allow::<DownloadRecording>(&app, &caller, &target, about)?.settle(Edits::default());
            }
        }
        Ok::<_, Problem>((found, file_name(&recording, ending)))
    })
    .await??;
    match found {
        Found::File(path, key) => Ok(send(request, path, &key, kind, &name).await),
        Found::Wav(view, key) => ranged::send(&request, *view, &key, kind, &name),
    }
}

/// Where the bytes come from.
enum Found {
    /// A file on disk, with what names its bytes.
    File(std::path::PathBuf, String),
    /// Written while it is sent.
    Wav(Box<WavView>, String),
}

/// The listening copy of all channels is for the player; everything else is taken away.
fn is_player(wanted: &FileRequest) -> bool {
    wanted.format == Format::Opus
        && wanted.channels == Channels::All
        && wanted.from_seconds.is_none()
        && wanted.to_seconds.is_none()
}

fn find_file(app: &App, recording: &Recording, wanted: &FileRequest) -> Result<Found, Problem> {
    if is_player(wanted)
        && let Some(kept) = app.files.stand_in(recording.id)
    {
        return Ok(Found::File(kept.path, kept.key));
    }
    let copy = app.data.render(recording.id).join(render::COPY);
    if is_player(wanted) && copy.is_file() {
        let about = std::fs::metadata(&copy).map_err(|error| Problem::internal(&error.to_string()))?;
        return Ok(Found::File(copy, format!("{}-{}", recording.id, about.len())));
    }
    let take = app.data.take(recording.id);
    if recording.facts.is_gone || !take.path().exists() {
        let detail = match recording.facts.was_replaced {
            false => "The audio of this recording is not on this recorder's disk any more.",
            true => "The audio of this recording was on the box that was replaced.",
        };
        return Err(Problem::new(StatusCode::GONE, "audio_gone", "The audio is gone", detail));
    }
    if wanted.format == Format::Wav {
        let (view, key) = app.files.wav(&take, wanted)?;
        return Ok(Found::Wav(Box::new(view), key));
    }
    let kept = app.files.exported_file(&take, wanted)?;
    // A running take is another file each time.
    if is_player(wanted) && !is_running(app, recording.id) {
        app.files.remember_stand_in(recording.id, &kept);
    }
    Ok(Found::File(kept.path, kept.key))
}

/// A name that any system takes: letters, digits, dashes; the title as far as it goes.
fn file_name(recording: &Recording, ending: &str) -> String {
    let started = recording.facts.started_at.strftime("%Y-%m-%d_%H%M").to_string();
    let title: String = recording.title().chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).take(60).collect();
    let title = title.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    if title.is_empty() { format!("{started}.{ending}") } else { format!("{started}_{title}.{ending}") }
}

async fn send(request: Request, path: std::path::PathBuf, key: &str, kind: &'static str, name: &str) -> Response {
    let (mut parts, body) = request.into_parts();
    let tag = format!("\"{key}\"");
    if text(&parts.headers, header::IF_NONE_MATCH).is_some_and(|known| known == tag) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    // Of another version of the file the rest is of no use: all of it then.
    if text(&parts.headers, header::IF_RANGE).is_some_and(|known| known != tag) {
        parts.headers.remove(header::RANGE);
    }
    parts.headers.remove(header::IF_MODIFIED_SINCE);
    let served = ServeFile::new(path).oneshot(Request::from_parts(parts, body)).await;
    let mut response = match served {
        Ok(response) => response.map(HttpBody::new),
        Err(never) => match never {},
    };
    describe(&mut response, tag, kind, name);
    response
}

/// What every download says of itself.
fn describe(response: &mut Response, tag: String, kind: &'static str, name: &str) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let plain: String = name.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    let encoded = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    let disposition = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}");
    for (name, value) in [(header::ETAG, tag), (header::CONTENT_DISPOSITION, disposition)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

/// What to stream.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// From this second.
    pub from: Option<f64>,
    /// `1,2`: one is mono, two are stereo, more are mixed; absent is all.
    pub channels: Option<String>,
    /// ogg (default) or mp4 (for Media Source).
    pub format: Option<String>,
}

fn stream_format(text: Option<&str>) -> Result<StreamFormat, Problem> {
    match text {
        None | Some("ogg" | "") => Ok(StreamFormat::Ogg),
        Some("mp4") => Ok(StreamFormat::Mp4),
        Some(_) => Err(Problem::unprocessable("format", "one of ogg, mp4")),
    }
}

/// A recording as sound from any second, also while it is recorded: what is heard is what is on disk.
#[utoipa::path(get, path = "/api/v1/recordings/{id}/stream", tag = "media", params(("id" = String, Path), StreamQuery),
    responses((status = 200, description = "Opus in Ogg or MP4", content_type = "audio/ogg"), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn get_stream(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TakeId>,
    Query(query): Query<StreamQuery>,
) -> Result<Response, Problem> {
    let format = stream_format(query.format.as_deref())?;
    let from_seconds = query.from.unwrap_or(0.0);
    if !(0.0..=1e9).contains(&from_seconds) {
        return Err(Problem::unprocessable("from", "a number of seconds, 0 or more"));
    }
    let request = StreamRequest { from_seconds, channels: channels(query.channels.as_deref())?, format };
    let place = app.limits.listeners.clone().try_acquire_owned().map_err(|_| meters::too_many())?;
    let at = app.clone();
    let mut stream = blocking(move || {
        let recording = recordings::find(&at, &caller, id)?;
        let target = recordings::place_of(&at, &recording)?;
        may(&at, &caller, Permission::RecordingPlayback, &target)?;
        Whose::of(&recording).here_or(&at)?;
        let about = About::thing("recording", id, recording.title());
        let allowed = allow::<PlayRecording>(&at, &caller, &target, about)?;
        match TakeStream::open(&at.data.take(id), &request, is_running(&at, id)) {
            Ok(stream) => {
                allowed.settle(Edits::default());
                Ok(stream)
            }
            Err(error) => {
                let problem = Problem::from(error);
                allowed.fail(&problem.detail);
                Err(problem)
            }
        }
    })
    .await??;
    let (tx, rx) = mpsc::channel::<Result<Bytes, std::io::Error>>(QUEUE);
    std::thread::Builder::new()
        .name("player".into())
        .spawn(move || {
            let _place = place;
            loop {
                match stream.pull(is_running(&app, id)) {
                    Ok(Piece::Bytes(bytes)) if bytes.is_empty() => {}
                    Ok(Piece::Bytes(bytes)) => {
                        if tx.blocking_send(Ok(bytes.into())).is_err() {
                            return;
                        }
                    }
                    Ok(Piece::Pending) if tx.is_closed() => return,
                    // Not a poll of a remote: the file grows on this disk, written by another process.
                    Ok(Piece::Pending) => std::thread::park_timeout(LOOK_AGAIN),
                    Ok(Piece::End) => return,
                    Err(error) => {
                        let _ = tx.blocking_send(Err(std::io::Error::other(error.to_string())));
                        return;
                    }
                }
            }
        })
        .map_err(|error| Problem::internal(&error.to_string()))?;
    Ok(sound(rx, format))
}

fn sound(rx: mpsc::Receiver<Result<Bytes, std::io::Error>>, format: StreamFormat) -> Response {
    let body = HttpBody::from_stream(ReceiverStream::new(rx));
    ([(header::CONTENT_TYPE, format.media_type()), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

/// Whether capture goes on with this take now.
fn is_running(app: &App, id: TakeId) -> bool {
    app.live.status().is_some_and(|status| status.recording.iter().any(|take| take.id == id))
}

/// What to hear of the room.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListenQuery {
    /// Which node's room; absent is this one's.
    pub node_id: Option<String>,
    /// `1,2`: one is mono, two are stereo, more are mixed; absent is all.
    pub channels: Option<String>,
    /// ogg (default) or mp4 (for Media Source, with less delay).
    pub format: Option<String>,
}

/// The room, live. Channels that a paused recording has are silent: what is off the record is not heard.
#[utoipa::path(get, path = "/api/v1/listen", tag = "live", params(ListenQuery),
    responses((status = 200, description = "Opus in Ogg or MP4, endless", content_type = "audio/ogg"), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn get_listen(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListenQuery>,
) -> Result<Response, Problem> {
    let format = stream_format(query.format.as_deref())?;
    let wanted = channels(query.channels.as_deref())?;
    let whose = Whose::of_node(nodes::wanted(query.node_id.as_deref())?);
    let place = app.limits.listeners.clone().try_acquire_owned().map_err(|_| meters::too_many())?;
    let (at, who) = (app.clone(), caller.clone());
    let mut live = blocking(move || {
        whose.here_or(&app)?;
        let about = About::thing("node", app.store.node(), &format!("channels {wanted}"));
        let allowed = allow::<ListenLive>(&app, &caller, &the_node(&app)?, about)?;
        match listen::Live::open(&app.data, wanted, format, caller.ctx.now.wall) {
            Ok(live) => {
                allowed.settle(Edits::default());
                Ok(live)
            }
            Err(error) => {
                let problem = Problem::from(error);
                allowed.fail(&problem.detail);
                Err(problem)
            }
        }
    })
    .await??;
    let (tx, rx) = mpsc::channel::<Result<Bytes, std::io::Error>>(QUEUE);
    std::thread::Builder::new()
        .name("listener".into())
        .spawn(move || {
            let _place = place;
            let mut pieces = 0_u32;
            while let Ok(Some(bytes)) = live.next_bytes() {
                pieces = pieces.wrapping_add(1);
                // Who was logged out or disabled hears no more, nor whoever asks through a node that was retired.
                if tx.is_closed() || (pieces.is_multiple_of(LOOK_PIECES) && who.still_is(&at).is_err()) {
                    return;
                }
                if bytes.is_empty() {
                    continue;
                }
                // A listener who does not keep up is let go, and asks again where the room is now.
                if tx.try_send(Ok(bytes.into())).is_err() {
                    return;
                }
            }
        })
        .map_err(|error| Problem::internal(&error.to_string()))?;
    Ok(sound(rx, format))
}

/// Which part of the picture.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaveQuery {
    /// From this second.
    pub from: Option<f64>,
    /// To this second.
    pub to: Option<f64>,
    /// How many points at least, as far as there are so many; at most 20000.
    pub points: Option<usize>,
}

/// The waveform of a stretch: audiowaveform `.dat`, version 2, lowest and highest of each channel for each point. The
/// header `Waveform-First` is the index of its first point in the whole, `Waveform-Rate` the frames a second.
#[utoipa::path(get, path = "/api/v1/recordings/{id}/waveform", tag = "media", params(("id" = String, Path), WaveQuery),
    responses((status = 200, description = "audiowaveform .dat version 2", content_type = "application/octet-stream"), (status = 204, description = "Not drawn yet"), (status = "4XX", body = Problem)))]
pub async fn get_waveform(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TakeId>,
    Query(query): Query<WaveQuery>,
) -> Result<Response, Problem> {
    let (bytes, first, rate) = blocking(move || {
        let recording = recordings::find(&app, &caller, id)?;
        may(&app, &caller, Permission::RecordingPlayback, &recordings::place_of(&app, &recording)?)?;
        Whose::of(&recording).here_or(&app)?;
        let rate = recording.facts.sample_rate.max(1);
        let take = recordings::take(&app, &recording);
        let length = take.map_or(recording.facts.duration_seconds, |take| take.duration_seconds);
        let (from, to) = (query.from.unwrap_or(0.0), query.to.unwrap_or(length));
        if !(from >= 0.0 && from <= to && to <= 1e9) {
            return Err(Problem::unprocessable("from", "0 <= from <= to, in seconds"));
        }
        let points = query.points.unwrap_or(2_000).clamp(1, POINTS_MAX);
        match stretch(&app, id, rate, (from, to.min(length)), points) {
            Ok((bytes, first)) => Ok((bytes, first, rate)),
            Err(problem) if problem.code == NOT_DRAWN => Ok((Vec::new(), 0, rate)),
            Err(problem) => Err(problem),
        }
    })
    .await??;
    if bytes.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::HeaderName::from_static("waveform-first"), first.to_string()),
        (header::HeaderName::from_static("waveform-rate"), rate.to_string()),
    ];
    Ok((headers, bytes).into_response())
}

fn stretch(app: &App, id: TakeId, rate: u32, (from, to): (f64, f64), points: usize) -> Result<(Vec<u8>, u64), Problem> {
    let frames = ((to - from) * f64::from(rate)) as u64;
    // The finest level that does not need more than four times the points: enough for any screen, small on the wire.
    let level = level_for(frames, 4 * points as u64);
    let path = app.data.render(id).join(render::waveform_name(level));
    let file = std::fs::File::open(&path).map_err(|_| not_drawn())?;
    let mut reader = DatReader::open(std::io::BufReader::new(file)).map_err(|_| not_drawn())?;
    let per_point = frames_per_point(level) as f64;
    let first = (from * f64::from(rate) / per_point) as u64;
    let count = (((to - from) * f64::from(rate) / per_point).ceil() as usize + 1).min(4 * POINTS_MAX);
    let bytes = reader.extract(first, count).map_err(|error| Problem::internal(&error.to_string()))?;
    Ok((bytes, first))
}

fn not_drawn() -> Problem {
    let detail = "The waveform of this recording is not drawn yet; it is made by itself. The recording is not touched.";
    Problem::new(StatusCode::NOT_FOUND, NOT_DRAWN, "Not drawn yet", detail)
}

/// The picture of a whole recording, for lists.
pub async fn get_waveform_svg(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TakeId>,
) -> Result<Response, Problem> {
    let (svg, is_final) = blocking(move || {
        let recording = recordings::find(&app, &caller, id)?;
        may(&app, &caller, Permission::RecordingPlayback, &recordings::place_of(&app, &recording)?)?;
        if Whose::of(&recording).here_or(&app).is_err() {
            return Ok((picture(&[]), false));
        }
        let is_final = matches!(recording.facts.state, TakeState::Ready | TakeState::Incomplete);
        let rate = recording.facts.sample_rate.max(1);
        let to = recording.facts.duration_seconds;
        match stretch(&app, id, rate, (0.0, to), PICTURE_POINTS) {
            Ok((dat, _)) => Ok((picture(&dat), is_final)),
            // An empty picture, asked for again: a list with broken images helps nobody.
            Err(problem) if problem.code == NOT_DRAWN => Ok((picture(&[]), false)),
            Err(problem) => Err(problem),
        }
    })
    .await??;
    let cache = if is_final { "private, max-age=3600" } else { "no-store" };
    Ok(([(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, cache)], svg).into_response())
}

/// One shape: the highest of all channels up, the lowest down.
fn picture(dat: &[u8]) -> String {
    use std::fmt::Write;
    let (mut tops, mut bottoms) = (String::new(), Vec::new());
    if let Ok(mut reader) = DatReader::open(Cursor::new(dat)) {
        let about = reader.about();
        let values = reader.read(0, about.points as usize).unwrap_or_default();
        let full = if about.spec.bits == crate::audio::waveform::Bits::Eight { 127.0 } else { 32_767.0 };
        let points: Vec<&[i16]> = values.chunks(2 * usize::from(about.spec.channels.max(1))).collect();
        let per_column = points.len().div_ceil(PICTURE_POINTS).max(1);
        for (x, column) in points.chunks(per_column).enumerate() {
            let all = || column.iter().flat_map(|point| point.iter());
            let (low, high) = (all().min().copied().unwrap_or(0), all().max().copied().unwrap_or(0));
            // The square root shows speech at the usual level, as eyes expect it.
            let y = |value: i16| 16.0 - 15.0 * (f64::from(value) / full).abs().sqrt() * f64::from(value).signum();
            let _ = write!(tops, "{x} {:.1} ", y(high));
            bottoms.push(format!("{x} {:.1}", y(low)));
        }
    }
    bottoms.reverse();
    let columns = bottoms.len().max(1);
    let bottoms = bottoms.join(" ");
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {columns} 32\" preserveAspectRatio=\"none\">\
         <polygon fill=\"#7d8796\" points=\"{tops}{bottoms}\"/></svg>"
    )
}
