//! The `bext` chunk of Broadcast WAV, version 2 (EBU Tech 3285 v2.0): 602 fixed bytes and the coding history.
//!
//! Lives here: its bytes, both ways, and the time reference. Does not live here: where the chunk stands in a file. Its
//! text is ASCII, so it holds what survives of a title; the title itself is in iXML.

use super::super::{FileInfo, Loudness};
use super::WavSpec;
use super::text::ascii;

/// Bytes before the coding history.
pub(super) const FIXED: usize = 602;
/// Offset of the five loudness fields, two bytes each.
pub(super) const LOUDNESS_AT: u64 = 412;

const DESCRIPTION: std::ops::Range<usize> = 0..256;
const ORIGINATOR: std::ops::Range<usize> = 256..288;
const REFERENCE: std::ops::Range<usize> = 288..320;
const DATE: std::ops::Range<usize> = 320..330;
const TIME: std::ops::Range<usize> = 330..338;
const TIME_REFERENCE: std::ops::Range<usize> = 338..346;
pub(super) const VERSION: std::ops::Range<usize> = 346..348;
const UMID: std::ops::Range<usize> = 348..412;
/// A loudness that was not measured.
const UNSET: i16 = 0x7FFF;

/// What a `bext` chunk says. Fields are as they stand, without their trailing NULs.
#[derive(Debug, Clone, PartialEq)]
pub struct Bext {
    /// Free text, 256 characters at most.
    pub description: String,
    /// Who made the file.
    pub originator: String,
    /// The originator's name for the file (EBU R 99).
    pub originator_reference: String,
    /// `yyyy-mm-dd`
    pub origination_date: String,
    /// `hh:mm:ss`
    pub origination_time: String,
    /// First frame of the file, in frames since local midnight.
    pub time_reference: u64,
    /// 2 has loudness, 1 a UMID, 0 neither.
    pub version: u16,
    /// SMPTE 330M identifier; all zero is none.
    pub umid: [u8; 64],
    /// Empty below version 2.
    pub loudness: Loudness,
    /// How the sound came here, a line a step (EBU R 98).
    pub coding_history: String,
}

/// The chunk's payload for a file that begins; loudness is unset. Its length is even.
pub(super) fn build(info: &FileInfo, spec: &WavSpec) -> Vec<u8> {
    let mut out = vec![0; FIXED];
    put(&mut out[DESCRIPTION], &ascii(&info.title, 256));
    put(&mut out[ORIGINATOR], &ascii(&info.originator, 32));
    put(&mut out[REFERENCE], reference(info).as_bytes());
    put(&mut out[DATE], &ascii(&info.started.strftime("%Y-%m-%d").to_string(), 10));
    put(&mut out[TIME], &ascii(&info.started.strftime("%H:%M:%S").to_string(), 8));
    put(&mut out[TIME_REFERENCE], &time_reference(&info.started, info.rate).to_le_bytes());
    put(&mut out[VERSION], &2u16.to_le_bytes());
    // The UMID stays zero, which 3285 reads as "none": the take is named by its UUID, in iXML.
    put(&mut out[LOUDNESS_AT as usize..], &loudness_fields(&Loudness::default()));
    let mode = match spec.channels {
        1 => "mono",
        2 => "stereo",
        _ => "multi",
    };
    let node: String =
        ascii(&info.originator, 64).iter().map(|c| if *c == b',' { ';' } else { char::from(*c) }).collect();
    let mut history = format!("A=PCM,F={},W={},M={mode},T=rakkr;{node}", spec.rate, spec.format.bits());
    if history.len() % 2 == 1 {
        history.push(' ');
    }
    out.extend_from_slice(history.as_bytes());
    out.extend_from_slice(b"\r\n");
    out
}

/// Copies what fits; the field is zero behind it.
fn put(field: &mut [u8], bytes: &[u8]) {
    for (to, from) in field.iter_mut().zip(bytes) {
        *to = *from;
    }
}

/// EBU R 99: country, organisation, serial number of the device, time, nine digits. Country `ZZ` is "unknown" in ISO
/// 3166. The serial number and the digits come from the take's id, the digits also from the part, so that no two files
/// share a reference.
fn reference(info: &FileInfo) -> String {
    let hex: Vec<u8> = info.take_id.bytes().filter(u8::is_ascii_hexdigit).map(|c| c.to_ascii_uppercase()).collect();
    let serial = String::from_utf8_lossy(&hex[hex.len().saturating_sub(12)..]).into_owned();
    // FNV-1a, 64 bit.
    let hash = hex
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let part = info.part.map_or(0, |part| u64::from(part.number));
    let digits = hash.wrapping_add(part) % 1_000_000_000;
    format!("ZZRKR{serial:0>12}{}{digits:09}", info.started.strftime("%H%M%S"))
}

/// Frames since local midnight, by the wall clock at the start: a day with a change to or from summer time counts like
/// any other, as 3285 has it. Rounded to the nearest frame, and never a full day.
pub(super) fn time_reference(started: &jiff::Zoned, rate: u32) -> u64 {
    let seconds = started.hour() as u64 * 3600 + started.minute() as u64 * 60 + started.second() as u64;
    let nanoseconds = started.subsec_nanosecond().max(0) as u64;
    let rate = u64::from(rate);
    let frames = seconds * rate + (nanoseconds * rate + 500_000_000) / 1_000_000_000;
    frames.min((86_400 * rate).saturating_sub(1))
}

/// The five fields from [`LOUDNESS_AT`]: hundredths, little-endian. What is not known or beyond +-99.99 is unset (3285).
pub(super) fn loudness_fields(loudness: &Loudness) -> [u8; 10] {
    let values = [
        loudness.integrated_lufs,
        loudness.range_lu,
        loudness.true_peak_dbtp,
        loudness.momentary_lufs,
        loudness.short_term_lufs,
    ];
    let mut out = [0; 10];
    for (field, value) in out.chunks_exact_mut(2).zip(values) {
        let hundredths = value.map(|value| (value * 100.0).round()).filter(|value| value.abs() <= 9999.0);
        field.copy_from_slice(&hundredths.map_or(UNSET, |value| value as i16).to_le_bytes());
    }
    out
}

/// Reads a payload; `None` if the fixed part is cut.
pub(super) fn parse(bytes: &[u8]) -> Option<Bext> {
    let fixed = bytes.get(..FIXED)?;
    let version = u16::from_le_bytes(fixed[VERSION].try_into().ok()?);
    Some(Bext {
        description: field(&fixed[DESCRIPTION]),
        originator: field(&fixed[ORIGINATOR]),
        originator_reference: field(&fixed[REFERENCE]),
        origination_date: field(&fixed[DATE]),
        origination_time: field(&fixed[TIME]),
        time_reference: u64::from_le_bytes(fixed[TIME_REFERENCE].try_into().ok()?),
        version,
        umid: fixed[UMID].try_into().ok()?,
        loudness: if version >= 2 { parse_loudness(&fixed[LOUDNESS_AT as usize..]) } else { Loudness::default() },
        coding_history: field(&bytes[FIXED..]),
    })
}

/// Text up to the first NUL. Foreign files hold Latin-1 or UTF-8 here; what is not UTF-8 is replaced.
fn field(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn parse_loudness(bytes: &[u8]) -> Loudness {
    let value = |index: usize| {
        let hundredths = i16::from_le_bytes([bytes[index * 2], bytes[index * 2 + 1]]);
        (hundredths != UNSET).then_some(f64::from(hundredths) / 100.0)
    };
    Loudness {
        integrated_lufs: value(0),
        range_lu: value(1),
        true_peak_dbtp: value(2),
        momentary_lufs: value(3),
        short_term_lufs: value(4),
    }
}
