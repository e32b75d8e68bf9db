//! Finding the chunks of a WAV file that may be anything: foreign, open, cut, or no WAV file at all.
//!
//! Lives here: the walk from chunk to chunk, and how much audio really is there. Does not live here: what chunks mean
//! beyond `fmt `, ds64 and sizes. No size in the file is believed: all are clamped to the file's length, and the walk and
//! every read have a limit.

use super::super::AudioError;
use super::header::{DS64_AT, DS64_LEN, Layout, Place, parse_fmt};
use super::{CHUNK_LIMIT, OPEN_SIZE, WavSpec, bext};
use std::io::{Read, Seek, SeekFrom};

/// Most chunks looked at; files have about ten.
const CHUNKS_LIMIT: usize = 1024;
/// Most entries of a ds64 table looked at.
const TABLE_LIMIT: usize = 64;

/// One chunk other than the audio; `place` is what the file has of its payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    pub id: [u8; 4],
    pub place: Place,
}

/// What the walk found.
#[derive(Debug, Clone)]
pub(super) struct Scan {
    pub layout: Layout,
    /// Whole frames of audio in the file.
    pub frames: u64,
    /// Sizes claim more than there is, or nothing although there is audio: nobody finished the file.
    pub is_open: bool,
    pub file_len: u64,
    pub chunks: Vec<Chunk>,
}

/// The sizes of an RF64 file.
#[derive(Debug, Default)]
struct Ds64 {
    riff: u64,
    data: u64,
    table: Vec<([u8; 4], u64)>,
}

/// Walks the whole file.
///
/// # Errors
/// `Format` if it is no WAV file or lacks `fmt ` or `data`, `Unsupported` if its samples cannot be decoded.
pub(super) fn scan<R: Read + Seek>(r: &mut R) -> Result<Scan, AudioError> {
    let file_len = r.seek(SeekFrom::End(0))?;
    let (is_rf64, riff_size) = read_start(r, file_len)?;
    let mut ds64 = Ds64::default();
    let mut spec = None;
    let mut data: Option<Claim> = None;
    let mut chunks = Vec::new();
    let mut at = DS64_AT;
    let mut limit = file_len;
    while at.saturating_add(8) <= limit && chunks.len() < CHUNKS_LIMIT {
        let mut head = [0; 8];
        read_at(r, at, &mut head)?;
        let [i, d, e, n, size @ ..] = head;
        let (id, size) = ([i, d, e, n], u32::from_le_bytes(size));
        let place = at + 8;
        let claim = match size {
            OPEN_SIZE if is_rf64 => ds64.size_of(&id),
            // No audio of exactly this size fits a RIFF file: it is the mark of an open one, even past 4 GiB.
            OPEN_SIZE if &id == b"data" => u64::MAX,
            size => u64::from(size),
        };
        let len = claim.min(file_len - place);
        if &id == b"data" && data.is_none() {
            let riff = if is_rf64 && riff_size == OPEN_SIZE { ds64.riff } else { u64::from(riff_size) };
            let found = Claim { at: place, claim, riff_end: riff.saturating_add(8), file_len };
            if found.is_open() {
                data = Some(found);
                break;
            }
            // Bytes behind the file's own end are not its chunks.
            if found.riff_end >= place + len {
                limit = limit.min(found.riff_end);
            }
            data = Some(found);
        } else {
            let chunk = Chunk { id, place: Place { at: place, len } };
            match &id {
                b"fmt " if spec.is_none() => spec = Some(parse_fmt(&read_chunk(r, &chunk)?)?),
                b"ds64" if is_rf64 && at == DS64_AT => ds64 = Ds64::parse(&read_chunk(r, &chunk)?)?,
                _ => {}
            }
            chunks.push(chunk);
        }
        at = place.saturating_add(claim).saturating_add(claim % 2);
    }
    let spec = spec.ok_or_else(|| AudioError::Format("no fmt chunk before the end or the open audio".into()))?;
    let data = data.ok_or_else(|| AudioError::Format(format!("no data chunk in {file_len} bytes")))?;
    let layout = lay_out(spec, &chunks, data.at, is_rf64);
    Ok(Scan { layout, frames: data.present() / spec.align(), is_open: data.is_unfinished(), file_len, chunks })
}

/// Where the things stand that can be patched; what is cut or too small cannot.
fn lay_out(spec: WavSpec, chunks: &[Chunk], data_at: u64, is_rf64: bool) -> Layout {
    let find = |id: &[u8; 4]| chunks.iter().find(|chunk| &chunk.id == id).map(|chunk| chunk.place);
    let first = chunks.first().filter(|chunk| chunk.place.at == DS64_AT + 8 && chunk.place.len >= DS64_LEN);
    Layout {
        spec,
        has_ds64_room: first.is_some_and(|chunk| &chunk.id == b"ds64" || !is_rf64 && &chunk.id == b"JUNK"),
        bext: find(b"bext").filter(|place| place.len >= bext::FIXED as u64),
        ixml: find(b"iXML"),
        fact: find(b"fact").filter(|place| place.len >= 4),
        data_at,
        is_rf64,
        has_tail: true,
    }
}

/// The audio as the sizes have it.
#[derive(Debug)]
struct Claim {
    at: u64,
    claim: u64,
    riff_end: u64,
    file_len: u64,
}

impl Claim {
    /// The audio goes to the end of the file: it claims more than there is; or it claims nothing and the file's own size
    /// ends before it too, which is how a writer leaves it that fills in sizes at the end only.
    fn is_open(&self) -> bool {
        let is_blank = self.claim == 0 && self.file_len > self.at;
        let is_whole_blank = self.riff_end <= self.at || self.riff_end == u64::from(OPEN_SIZE) + 8;
        self.claim > self.file_len - self.at || is_blank && is_whole_blank
    }

    /// Nobody wrote the truth at the end. One byte is forgiven: writers forget the pad byte behind odd audio.
    fn is_unfinished(&self) -> bool {
        self.is_open() || self.riff_end > self.file_len.saturating_add(1)
    }

    /// Bytes of audio there are.
    fn present(&self) -> u64 {
        let there = self.file_len - self.at;
        if self.is_open() { there } else { self.claim.min(there) }
    }
}

impl Ds64 {
    fn parse(bytes: &[u8]) -> Result<Self, AudioError> {
        let word = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let (Some(riff), Some(data)) = (word(0), word(8)) else {
            return Err(AudioError::Format(format!("the ds64 chunk has {} bytes, 28 are the least", bytes.len())));
        };
        let count = bytes.get(24..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let entries = bytes.get(28..).unwrap_or_default().as_chunks::<12>().0;
        let table = entries.iter().take(TABLE_LIMIT.min(count as usize)).map(|entry| {
            let [i, d, e, n, size @ ..] = *entry;
            ([i, d, e, n], u64::from_le_bytes(size))
        });
        Ok(Self { riff, data, table: table.collect() })
    }

    /// Size of a chunk whose own size says "see ds64"; one the table does not name is as large as it says.
    fn size_of(&self, id: &[u8; 4]) -> u64 {
        if id == b"data" {
            return self.data;
        }
        self.table.iter().find(|(name, _)| name == id).map_or(u64::from(OPEN_SIZE), |(_, size)| *size)
    }
}

/// The twelve bytes every WAV file begins with: whether its sizes are 64-bit, and its own 32-bit size.
fn read_start<R: Read + Seek>(r: &mut R, file_len: u64) -> Result<(bool, u32), AudioError> {
    if file_len < DS64_AT {
        return Err(AudioError::Format(format!("{file_len} bytes are no WAV file")));
    }
    let mut head = [0; 12];
    read_at(r, 0, &mut head)?;
    let is_rf64 = match &head[..4] {
        b"RIFF" => false,
        b"RF64" | b"BW64" => true,
        other => return Err(AudioError::Format(format!("the file begins with {}", other.escape_ascii()))),
    };
    if &head[8..] != b"WAVE" {
        return Err(AudioError::Format(format!("a RIFF file of kind {}", head[8..].escape_ascii())));
    }
    Ok((is_rf64, u32::from_le_bytes([head[4], head[5], head[6], head[7]])))
}

/// The payload of a chunk, as much as there is, up to [`CHUNK_LIMIT`].
pub(super) fn read_chunk<R: Read + Seek>(r: &mut R, chunk: &Chunk) -> Result<Vec<u8>, AudioError> {
    let mut bytes = vec![0; chunk.place.len.min(CHUNK_LIMIT) as usize];
    read_at(r, chunk.place.at, &mut bytes)?;
    Ok(bytes)
}

fn read_at<R: Read + Seek>(r: &mut R, at: u64, bytes: &mut [u8]) -> Result<(), AudioError> {
    r.seek(SeekFrom::Start(at))?;
    r.read_exact(bytes)?;
    Ok(())
}
