//! The `iXML` chunk (specification 1.61): names in any script, the time stamp, and what ties the files of a take.
//!
//! Lives here: writing the document, adding sync points to it at the end, and reading the few elements we need. Does not
//! live here: an XML parser. Foreign documents are searched for elements by name, which any well-formed iXML allows
//! because no element we look for holds one of its own name.

use super::super::{FileInfo, Marker, MarkerKind};
use super::bext::time_reference;
use super::text::{clean, escape, unescape};
use super::{MARKERS_LIMIT, WavSpec};

/// Most bytes of a title or a name before escaping.
const TEXT_LIMIT: usize = 1024;
/// Most bytes of a sync point's comment before escaping.
const COMMENT_LIMIT: usize = 256;

/// The document of a file that begins, without sync points.
pub(super) fn build(info: &FileInfo, spec: &WavSpec) -> String {
    let text = |text: &str| escape(&clean(text, TEXT_LIMIT));
    let (title, take) = (text(&info.title), text(&info.take_id));
    let part = info.part.map_or(1, |part| part.number);
    let first_frame = info.part.map_or(0, |part| part.first_frame);
    let stamp = time_reference(&info.started, info.rate);
    let mut tracks = String::new();
    for (index, name) in info.channels.iter().enumerate() {
        let (index, name) = (index + 1, text(name));
        tracks.push_str(&format!(
            "<TRACK><CHANNEL_INDEX>{index}</CHANNEL_INDEX><INTERLEAVE_INDEX>{index}</INTERLEAVE_INDEX>\
             <NAME>{name}</NAME></TRACK>\n"
        ));
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<BWFXML>\n<IXML_VERSION>1.61</IXML_VERSION>\n\
         <PROJECT>{title}</PROJECT>\n<SCENE></SCENE>\n<TAKE>{part}</TAKE>\n<TAPE>{tape}</TAPE>\n\
         <CIRCLED>FALSE</CIRCLED>\n<FILE_UID>{take}-{part:04}</FILE_UID>\n<UBITS>00000000</UBITS>\n<NOTE></NOTE>\n\
         <SPEED>\n<FILE_SAMPLE_RATE>{rate}</FILE_SAMPLE_RATE>\n<AUDIO_BIT_DEPTH>{bits}</AUDIO_BIT_DEPTH>\n\
         <DIGITIZER_SAMPLE_RATE>{rate}</DIGITIZER_SAMPLE_RATE>\n\
         <TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>{high}</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>\n\
         <TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>{low}</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>\n\
         <TIMESTAMP_SAMPLE_RATE>{rate}</TIMESTAMP_SAMPLE_RATE>\n</SPEED>\n\
         <FILE_SET>\n<FAMILY_UID>{take}</FAMILY_UID>\n<FAMILY_NAME>{title}</FAMILY_NAME>\n\
         <FILE_SET_INDEX>{part}</FILE_SET_INDEX>\n</FILE_SET>\n\
         <TRACK_LIST>\n<TRACK_COUNT>{count}</TRACK_COUNT>\n{tracks}</TRACK_LIST>\n{sync}\n\
         <USER>\n<RAKKR_FIRST_FRAME>{first_frame}</RAKKR_FIRST_FRAME>\n\
         <RAKKR_STARTED>{started}</RAKKR_STARTED>\n</USER>\n</BWFXML>\n",
        tape = text(&info.originator),
        rate = spec.rate,
        bits = spec.format.bits(),
        high = stamp >> 32,
        low = stamp & 0xFFFF_FFFF,
        count = info.channels.len(),
        sync = sync_list(&[]),
        started = text(&info.started.to_string()),
    )
}

/// `text` with `markers` as its sync points, as many of them (from the first) as `room` bytes hold.
pub(super) fn with_sync_points(text: &str, markers: &[&Marker], room: usize) -> String {
    let points: Vec<String> = markers.iter().map(|marker| sync_point(marker)).collect();
    let (before, after) = around_sync_list(text);
    let fixed = before.len() + after.len() + sync_list(&[]).len();
    let mut left = room.saturating_sub(fixed);
    let mut fitting = 0;
    for point in points.iter().take(MARKERS_LIMIT) {
        // Four bytes for a count of up to five digits where the empty list has one.
        let Some(rest) = left.checked_sub(point.len()).filter(|rest| *rest >= 4) else { break };
        left = rest;
        fitting += 1;
    }
    format!("{before}{}{after}", sync_list(&points[..fitting]))
}

/// What stands before and behind the place of the sync points.
fn around_sync_list(text: &str) -> (&str, &str) {
    const OPEN: &str = "<SYNC_POINT_LIST>";
    const CLOSE: &str = "</SYNC_POINT_LIST>";
    if let Some(open) = text.find(OPEN)
        && let Some(length) = text[open..].find(CLOSE)
    {
        return (&text[..open], &text[open + length + CLOSE.len()..]);
    }
    let end = text.rfind("</BWFXML>").unwrap_or(text.len());
    text.split_at(end)
}

fn sync_list(points: &[String]) -> String {
    format!(
        "<SYNC_POINT_LIST>\n<SYNC_POINT_COUNT>{}</SYNC_POINT_COUNT>\n{}</SYNC_POINT_LIST>",
        points.len(),
        points.concat()
    )
}

/// iXML knows no gaps: the comment's first word carries the kind.
fn sync_point(marker: &Marker) -> String {
    let kind = match marker.kind {
        MarkerKind::Mark => "",
        MarkerKind::Gap => GAP,
        MarkerKind::Pause => PAUSE,
    };
    let space = if kind.is_empty() { "" } else { " " };
    format!(
        "<SYNC_POINT><SYNC_POINT_TYPE>RELATIVE</SYNC_POINT_TYPE>\
         <SYNC_POINT_FUNCTION>MARKER_GENERIC</SYNC_POINT_FUNCTION>\
         <SYNC_POINT_COMMENT>{kind}{space}{}</SYNC_POINT_COMMENT><SYNC_POINT_LOW>{}</SYNC_POINT_LOW>\
         <SYNC_POINT_HIGH>{}</SYNC_POINT_HIGH><SYNC_POINT_EVENT_DURATION>{}</SYNC_POINT_EVENT_DURATION></SYNC_POINT>\n",
        escape(&clean(&marker.label, COMMENT_LIMIT)),
        marker.frame & 0xFFFF_FFFF,
        marker.frame >> 32,
        marker.frames
    )
}

const GAP: &str = "[gap]";
const PAUSE: &str = "[pause]";

/// One name per channel, by interleave index; empty where the document names none.
pub(super) fn track_names(text: &str, channels: usize) -> Vec<String> {
    let mut names = vec![String::new(); channels];
    for (place, track) in elements(text, "TRACK").take(channels).enumerate() {
        let index = number(track, "INTERLEAVE_INDEX").map_or(place, |index| (index as usize).wrapping_sub(1));
        if let Some(name) = names.get_mut(index) {
            *name = unescape(element(track, "NAME").unwrap_or_default());
        }
    }
    names
}

/// The sync points relative to the file's start.
pub(super) fn sync_points(text: &str) -> Vec<Marker> {
    elements(text, "SYNC_POINT").take(MARKERS_LIMIT).filter_map(parse_sync_point).collect()
}

fn parse_sync_point(point: &str) -> Option<Marker> {
    if element(point, "SYNC_POINT_TYPE")? != "RELATIVE" {
        return None;
    }
    let low = number(point, "SYNC_POINT_LOW").filter(|low| *low <= 0xFFFF_FFFF)?;
    let high = number(point, "SYNC_POINT_HIGH").unwrap_or(0);
    let comment = unescape(element(point, "SYNC_POINT_COMMENT").unwrap_or_default());
    let (kind, label) = if let Some(label) = comment.strip_prefix(GAP) {
        (MarkerKind::Gap, label)
    } else if let Some(label) = comment.strip_prefix(PAUSE) {
        (MarkerKind::Pause, label)
    } else {
        (MarkerKind::Mark, comment.as_str())
    };
    Some(Marker {
        frame: high.checked_mul(1 << 32)?.checked_add(low)?,
        frames: number(point, "SYNC_POINT_EVENT_DURATION").unwrap_or(0),
        label: label.trim_start().to_owned(),
        kind,
    })
}

/// The content of every `<name>…</name>`, in order. Each look-up goes on where the last one ended, so the text is passed
/// once.
fn elements<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = text;
    std::iter::from_fn(move || {
        let inside = &rest[rest.find(&open)? + open.len()..];
        let end = inside.find(&close)?;
        rest = &inside[end + close.len()..];
        Some(&inside[..end])
    })
}

fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    elements(text, name).next().map(str::trim)
}

fn number(text: &str, name: &str) -> Option<u64> {
    element(text, name)?.parse().ok()
}
