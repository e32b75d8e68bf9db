//! A minimal WAV and RF64 reader, independent of the product's, and a 24-bit writer for the harness's own recorder.
//! Streams: a file of many GiB passes through in constant memory. A size that claims more than the file has is cut to the
//! file, as ffmpeg and sox do (AUDIO.md 3.2).

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

const FRAMES_PER_BLOCK: usize = 4096;

/// An open file, placed at its first sample.
pub struct Wav {
    pub channels: usize,
    pub rate: u32,
    /// Whole frames in the file.
    pub frames: u64,
    /// `RIFF` or `RF64`.
    pub id: String,
    coding: (u16, u16),
    file: BufReader<File>,
}

#[derive(Default)]
struct Format {
    channels: u16,
    rate: u32,
    coding: (u16, u16),
}

impl Wav {
    pub fn open(path: &Path) -> Result<Wav, String> {
        let said = |e: std::io::Error| format!("{}: {e}", path.display());
        let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(said)?);
        let length = file.get_ref().metadata().map_err(said)?.len();
        let mut head = [0; 12];
        file.read_exact(&mut head).map_err(said)?;
        let id = String::from_utf8_lossy(&head[..4]).into_owned();
        if !matches!(id.as_str(), "RIFF" | "RF64") || &head[8..] != b"WAVE" {
            return Err(format!("{}: neither RIFF nor RF64 WAVE", path.display()));
        }
        let (format, claimed) = walk(&mut file).map_err(said)?;
        let frame_bytes = u64::from(format.channels) * u64::from(format.coding.1 / 8);
        if frame_bytes == 0 || !matches!(format.coding, (1, 16) | (1, 24) | (3, 32)) {
            return Err(format!("{}: no reader for {:?}", path.display(), format.coding));
        }
        let present = length - file.stream_position().map_err(said)?;
        let frames = claimed.min(present) / frame_bytes;
        Ok(Wav { channels: format.channels.into(), rate: format.rate, frames, id, coding: format.coding, file })
    }

    /// Hands out all samples, interleaved, in blocks of whole frames.
    pub fn for_each_block(mut self, mut take: impl FnMut(&[f32])) -> Result<(), String> {
        let (width, mut left) = (usize::from(self.coding.1 / 8), self.frames);
        let mut bytes = vec![0; FRAMES_PER_BLOCK * self.channels * width];
        let mut samples = Vec::with_capacity(FRAMES_PER_BLOCK * self.channels);
        while left > 0 {
            let frames = left.min(FRAMES_PER_BLOCK as u64);
            let part = &mut bytes[..frames as usize * self.channels * width];
            self.file.read_exact(part).map_err(|e| e.to_string())?;
            samples.clear();
            match self.coding {
                (1, 16) => {
                    samples.extend(part.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0))
                }
                (1, 24) => samples.extend(part.chunks_exact(3).map(|b| s24(b) as f32 / 8_388_608.0)),
                _ => samples.extend(part.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
            }
            take(&samples);
            left -= frames;
        }
        Ok(())
    }
}

fn s24(bytes: &[u8]) -> i32 {
    i32::from_le_bytes([0, bytes[0], bytes[1], bytes[2]]) >> 8
}

/// Walks the chunks up to the samples: the format and the claimed size of the data in bytes.
fn walk(file: &mut BufReader<File>) -> std::io::Result<(Format, u64)> {
    let (mut format, mut data64) = (Format::default(), None);
    loop {
        let mut head = [0; 8];
        file.read_exact(&mut head)?;
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        match &head[..4] {
            b"data" => {
                let claimed = if size == u32::MAX { data64.unwrap_or(u64::MAX) } else { u64::from(size) };
                return Ok((format, claimed));
            }
            b"ds64" | b"fmt " => {
                // Never more than a header needs: a size of 4 GiB in a damaged file allocates nothing.
                let mut body = vec![0; size.min(64) as usize];
                file.read_exact(&mut body)?;
                file.seek_relative(i64::from(size) + i64::from(size & 1) - body.len() as i64)?;
                if &head[..4] == b"ds64" { data64 = ds64(&body) } else { format = fmt(&body) }
            }
            _ => file.seek_relative(i64::from(size) + i64::from(size & 1))?,
        }
    }
}

fn ds64(body: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(body.get(8..16)?.try_into().ok()?))
}

fn fmt(body: &[u8]) -> Format {
    let word = |at: usize| body.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]));
    let rate = u32::from(word(4)) | u32::from(word(6)) << 16;
    // 0xFFFE is WAVE_FORMAT_EXTENSIBLE: the coding is the start of the sub-format's GUID.
    let kind = if word(0) == 0xFFFE { word(24) } else { word(0) };
    Format { channels: word(2), rate, coding: (kind, word(14)) }
}

/// Writes planar samples as 24-bit PCM; values must lie on the grid.
pub fn write_wav(path: &Path, rate: u32, planar: &[Vec<f32>]) -> std::io::Result<()> {
    let frames = planar.first().map_or(0, Vec::len);
    let (block, bytes) = (planar.len() as u32 * 3, planar.len() as u32 * 3 * frames as u32);
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(b"RIFF")?;
    file.write_all(&(36 + bytes).to_le_bytes())?;
    file.write_all(b"WAVEfmt \x10\0\0\0\x01\0")?;
    file.write_all(&(planar.len() as u16).to_le_bytes())?;
    file.write_all(&rate.to_le_bytes())?;
    file.write_all(&(rate * block).to_le_bytes())?;
    file.write_all(&(block as u16).to_le_bytes())?;
    file.write_all(b"\x18\0data")?;
    file.write_all(&bytes.to_le_bytes())?;
    for frame in 0..frames {
        for channel in planar {
            file.write_all(&((channel[frame] * 8_388_608.0) as i32).to_le_bytes()[..3])?;
        }
    }
    file.flush()
}
