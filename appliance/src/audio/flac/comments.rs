//! Vorbis comments: the tags that FLAC and Ogg Opus share.
//!
//! Lives here: which tags a file carries, chapter tags, and the block's bytes (RFC 9639 section 8.6, RFC 7845 section
//! 5.2; both without the Vorbis framing bit). Does not live here: where a container keeps the block. A tag is one
//! `NAME=value` string; values are cut to `VALUE_BYTES_MAX`, so that a block's size has a bound.

use crate::audio::{FileInfo, Loudness, Marker, MarkerKind};

/// Longest value of one tag in bytes; longer ones are cut at a character. 255 channel names then stay below 300 kB.
const VALUE_BYTES_MAX: usize = 1024;
/// The chapter tags have three digits.
const CHAPTERS_MAX: usize = 999;

/// Names the program in the block's vendor string and in the `ENCODER` tag.
pub(crate) const VENDOR: &str = concat!("Rakkr ", env!("CARGO_PKG_VERSION"));

/// Returns the tags that are known when a file is opened.
pub(crate) fn describe(info: &FileInfo) -> Vec<String> {
    let mut tags = Vec::new();
    if !info.title.is_empty() {
        tags.push(tag("TITLE", &info.title));
    }
    tags.push(tag("DATE", &info.started.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()));
    tags.push(tag("ORIGINATOR", &info.originator));
    tags.push(tag("ENCODER", VENDOR));
    tags.push(tag("RAKKR_TAKE_ID", &info.take_id));
    if let Some(part) = info.part {
        tags.push(tag("RAKKR_PART", &part.number.to_string()));
        tags.push(tag("RAKKR_FIRST_FRAME", &part.first_frame.to_string()));
    }
    for (index, name) in info.channels.iter().enumerate() {
        tags.push(tag(&format!("CHANNEL{}_NAME", index + 1), name));
    }
    tags
}

/// Returns the measured loudness as tags. Not as ReplayGain: players would change the level of evidence.
pub(crate) fn loudness(loudness: &Loudness) -> Vec<String> {
    let values = [
        ("LOUDNESS_INTEGRATED_LUFS", loudness.integrated_lufs),
        ("LOUDNESS_RANGE_LU", loudness.range_lu),
        ("LOUDNESS_TRUE_PEAK_DBTP", loudness.true_peak_dbtp),
        ("LOUDNESS_MOMENTARY_MAX_LUFS", loudness.momentary_lufs),
        ("LOUDNESS_SHORT_TERM_MAX_LUFS", loudness.short_term_lufs),
    ];
    values.iter().filter_map(|(name, value)| value.map(|value| format!("{name}={value:.2}"))).collect()
}

/// Returns one pair of tags per marker, by time: `CHAPTER001=HH:MM:SS.mmm` and `CHAPTER001NAME=label`
/// (the chapter extension of the Xiph wiki, read by VLC, mpv and foobar2000). At most 999.
pub(crate) fn chapters(markers: &[Marker], rate: u32) -> Vec<[String; 2]> {
    let mut markers: Vec<&Marker> = markers.iter().collect();
    markers.sort_by_key(|marker| marker.frame);
    let numbered = markers.iter().take(CHAPTERS_MAX).enumerate();
    numbered
        .map(|(index, marker)| {
            let number = index + 1;
            let label = if marker.label.is_empty() { kind_name(marker.kind) } else { &marker.label };
            [format!("CHAPTER{number:03}={}", time(marker.frame, rate)), tag(&format!("CHAPTER{number:03}NAME"), label)]
        })
        .collect()
}

/// Returns the bytes of a comment block: vendor and tags, each with a 32-bit little-endian length in front.
pub(crate) fn block(tags: &[String]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(block_len(tags));
    push_text(&mut bytes, VENDOR);
    bytes.extend_from_slice(&(tags.len() as u32).to_le_bytes());
    for tag in tags {
        push_text(&mut bytes, tag);
    }
    bytes
}

/// Returns the size in bytes that `block` will have.
pub(crate) fn block_len(tags: &[String]) -> usize {
    8 + VENDOR.len() + tags.iter().map(|tag| tag_len(tag)).sum::<usize>()
}

/// Returns the size in bytes of one tag inside a block.
pub(crate) fn tag_len(tag: &str) -> usize {
    4 + tag.len()
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// Builds a tag. Control characters become spaces: line-based tools (metaflac, opusinfo) would read a line feed as
/// the start of another tag.
fn tag(name: &str, value: &str) -> String {
    let mut text = format!("{name}=");
    for character in value.chars() {
        let character = if character.is_control() { ' ' } else { character };
        if text.len() + character.len_utf8() > name.len() + 1 + VALUE_BYTES_MAX {
            break;
        }
        text.push(character);
    }
    text
}

fn kind_name(kind: MarkerKind) -> &'static str {
    match kind {
        MarkerKind::Mark => "Mark",
        MarkerKind::Gap => "Gap",
        MarkerKind::Pause => "Pause",
    }
}

fn time(frame: u64, rate: u32) -> String {
    let ms = u128::from(frame) * 1000 / u128::from(rate.max(1));
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(frame: u64, label: &str) -> Marker {
        Marker { frame, frames: 0, label: label.to_owned(), kind: MarkerKind::Gap }
    }

    #[test]
    fn chapters_stand_in_the_order_of_time() {
        let tags = chapters(&[marker(48_000 * 3_661 + 24_048, "late"), marker(0, "")], 48_000);

        assert_eq!(tags[0], ["CHAPTER001=00:00:00.000", "CHAPTER001NAME=Gap"]);
        assert_eq!(tags[1], ["CHAPTER002=01:01:01.501", "CHAPTER002NAME=late"]);
    }

    #[test]
    fn a_tag_stays_one_line_and_bounded() {
        assert_eq!(tag("TITLE", "a\nRAKKR_TAKE_ID=b\0"), "TITLE=a RAKKR_TAKE_ID=b ");
        assert_eq!(tag("TITLE", &"ł".repeat(5000)), format!("TITLE={}", "ł".repeat(512)));
    }

    #[test]
    fn the_announced_length_is_the_length() {
        let tags = vec!["TITLE=Müller".to_owned(), "X=".to_owned()];

        assert_eq!(block(&tags).len(), block_len(&tags));
    }
}
