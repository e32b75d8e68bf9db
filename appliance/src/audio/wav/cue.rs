//! Markers as `cue ` and `LIST/adtl` chunks (Microsoft RIFF specification; the layout DAWs and editors read).
//!
//! Lives here: their bytes, both ways. Does not live here: markers that 32 bits cannot place; those go to iXML. A point
//! is a cue with a `labl`; a span has an `ltxt` with its length; a gap or a pause says so in a `note`.

use super::super::{Marker, MarkerKind};
use super::text::clean;
use std::collections::BTreeMap;

use super::MARKERS_LIMIT;

/// Most bytes of a label.
const LABEL_LIMIT: usize = 512;
/// Bytes of a cue point.
const POINT: usize = 24;

/// Whether 32 bits can place the marker.
pub(super) fn fits(marker: &Marker) -> bool {
    marker.frame <= u64::from(u32::MAX) && marker.frames <= u64::from(u32::MAX)
}

/// Both chunks, with their headers; empty without markers. Markers that do not fit are left out.
pub(super) fn build<'a>(markers: impl Iterator<Item = &'a Marker>) -> Vec<u8> {
    let markers: Vec<&Marker> = markers.filter(|marker| fits(marker)).take(MARKERS_LIMIT).collect();
    if markers.is_empty() {
        return Vec::new();
    }
    let mut points = (markers.len() as u32).to_le_bytes().to_vec();
    let mut list = b"adtl".to_vec();
    for (id, marker) in (1u32..).zip(&markers) {
        let frame = (marker.frame as u32).to_le_bytes();
        // Id, position in the play order, chunk, chunk start, block start, offset in frames.
        for field in [id.to_le_bytes(), frame, *b"data", [0; 4], [0; 4], frame] {
            points.extend_from_slice(&field);
        }
        push_text(&mut list, b"labl", id, &clean(&marker.label, LABEL_LIMIT));
        match marker.kind {
            MarkerKind::Mark => {}
            MarkerKind::Gap => push_text(&mut list, b"note", id, GAP),
            MarkerKind::Pause => push_text(&mut list, b"note", id, PAUSE),
        }
        if marker.frames > 0 {
            let mut span = id.to_le_bytes().to_vec();
            span.extend_from_slice(&(marker.frames as u32).to_le_bytes());
            span.extend_from_slice(b"rgn ");
            // Country, language, dialect, code page: not said.
            span.extend_from_slice(&[0; 8]);
            push_chunk(&mut list, b"ltxt", &span);
        }
    }
    let mut out = Vec::with_capacity(points.len() + list.len() + 16);
    push_chunk(&mut out, b"cue ", &points);
    push_chunk(&mut out, b"LIST", &list);
    out
}

const GAP: &str = "gap";
const PAUSE: &str = "pause";

/// `labl` or `note`: cue id and text with its NUL, a second NUL where the length would be odd.
fn push_text(list: &mut Vec<u8>, id: &[u8; 4], cue: u32, text: &str) {
    let mut payload = cue.to_le_bytes().to_vec();
    payload.extend_from_slice(text.as_bytes());
    payload.push(0);
    if payload.len() % 2 == 1 {
        payload.push(0);
    }
    push_chunk(list, id, &payload);
}

/// A chunk of even length; all of ours are, since libsndfile 1.2 trips over odd ones in RF64.
pub(super) fn push_chunk(out: &mut Vec<u8>, id: &[u8; 4], payload: &[u8]) {
    out.extend_from_slice(id);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(payload);
}

/// The markers of a `cue ` payload and the `LIST` payloads that may name them, in the order of the cue points.
pub(super) fn parse(cue: &[u8], lists: &[Vec<u8>]) -> Vec<Marker> {
    let Some((_count, points)) = cue.split_first_chunk::<4>() else { return Vec::new() };
    let mut markers = Vec::new();
    let mut places = BTreeMap::new();
    // The chunk's length counts the points: a count that claims more is not believed.
    for point in points.as_chunks::<POINT>().0.iter().take(MARKERS_LIMIT) {
        places.insert(word(point, 0).unwrap_or(0), markers.len());
        let frame = u64::from(word(point, 20).unwrap_or(0));
        markers.push(Marker { frame, frames: 0, label: String::new(), kind: MarkerKind::Mark });
    }
    for list in lists.iter().filter_map(|list| list.strip_prefix(b"adtl")) {
        name_markers(list, &places, &mut markers);
    }
    markers
}

fn name_markers(mut list: &[u8], places: &BTreeMap<u32, usize>, markers: &mut [Marker]) {
    while let (Some(size), Some(body)) = (word(list, 4), list.get(8..)) {
        let payload = &body[..body.len().min(size as usize)];
        let marker = word(payload, 0).and_then(|cue| places.get(&cue)).and_then(|place| markers.get_mut(*place));
        if let Some(marker) = marker {
            let text = payload[4..].split(|byte| *byte == 0).next().unwrap_or_default();
            match &list[..4] {
                b"labl" => marker.label = String::from_utf8_lossy(text).into_owned(),
                b"note" if text == GAP.as_bytes() => marker.kind = MarkerKind::Gap,
                b"note" if text == PAUSE.as_bytes() => marker.kind = MarkerKind::Pause,
                b"ltxt" => marker.frames = u64::from(word(payload, 4).unwrap_or(0)),
                _ => {}
            }
        }
        list = body.get((size as usize).saturating_add(size as usize % 2)..).unwrap_or_default();
    }
}

/// The little-endian word at `at`.
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
