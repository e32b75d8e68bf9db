//! Opus in fragmented MP4: what a browser's Media Source takes, `audio/mp4; codecs="opus"`.
//!
//! Lives here: the boxes of ISO/IEC 14496-12 that such a stream needs, and "Encapsulation of Opus in ISO Base Media File
//! Format" (opus-codec.org, version 0.8.1). One track, timescale 48 000, every packet a sample of 20 ms. Does not live
//! here: coding (`opus`), when a fragment is sent. The roll distance of 80 ms is not written: a listener hears a stream
//! from its beginning, and a seek begins another stream.

use std::io::Write;

use super::opus::{OpusSpec, PACKET_SAMPLES, PacketEncoder};
use super::{AudioError, Encoder, Loudness, Marker};

/// Units a second of every time in the stream.
const TIMESCALE: u32 = 48_000;
/// The only track.
const TRACK: u32 = 1;
/// Sample flags: depends on no other, is a sync sample.
const SYNC_SAMPLE: u32 = 0x0200_0000;

/// Writes a stream: one init segment, then a fragment for every few packets.
///
/// The decoded length is exactly the input's, as with [`OpusWriter`](super::opus::OpusWriter). Markers and loudness given
/// to `finish` are not written.
pub struct Fmp4Writer<W: Write> {
    file: W,
    encoder: PacketEncoder,
    packets_per_fragment: usize,
    fragment: Fragment,
    is_finished: bool,
}

impl<W: Write> Fmp4Writer<W> {
    /// Writes the init segment. A fragment is written as soon as it has `packets_per_fragment` packets.
    ///
    /// # Errors
    /// `Unsupported` for channel counts and rates that Opus does not take; `Io`.
    pub fn open(
        mut file: W,
        rate: u32,
        channels: usize,
        spec: OpusSpec,
        packets_per_fragment: usize,
    ) -> Result<Self, AudioError> {
        let encoder = PacketEncoder::new(rate, channels, spec)?;
        file.write_all(&init_segment(&encoder))?;
        let fragment = Fragment::default();
        let packets_per_fragment = packets_per_fragment.max(1);
        Ok(Self { file, encoder, packets_per_fragment, fragment, is_finished: false })
    }

    /// The underlying file: whole fragments only.
    pub fn file_mut(&mut self) -> &mut W {
        &mut self.file
    }

    /// Writes the packets that wait for their fragment to be full, if any.
    ///
    /// # Errors
    /// `Io`.
    pub fn flush(&mut self) -> Result<(), AudioError> {
        self.fragment.write_to(&mut self.file)
    }
}

impl<W: Write> Encoder for Fmp4Writer<W> {
    fn write(&mut self, planar: &[&[f32]]) -> Result<(), AudioError> {
        if self.is_finished {
            return Err(AudioError::Format("this stream is finished".to_owned()));
        }
        let (fragment, file, full) = (&mut self.fragment, &mut self.file, self.packets_per_fragment);
        self.encoder.push(planar, &mut |packet| {
            fragment.push(packet);
            if fragment.sizes.len() >= full { fragment.write_to(file) } else { Ok(()) }
        })
    }

    fn finish(&mut self, _markers: &[Marker], _loudness: &Loudness) -> Result<(), AudioError> {
        if self.is_finished {
            return Err(AudioError::Format("this stream is finished".to_owned()));
        }
        self.is_finished = true;
        let fragment = &mut self.fragment;
        let end = self.encoder.finish(&mut |packet| {
            fragment.push(packet);
            Ok(())
        })?;
        // Padding is told by a last sample that is shorter than its packet.
        fragment.last_duration = Some(PACKET_SAMPLES.saturating_sub(fragment.end().saturating_sub(end)));
        fragment.write_to(&mut self.file)?;
        self.file.flush()?;
        Ok(())
    }
}

/// The packets on their way, and the place of the first of them.
#[derive(Default)]
struct Fragment {
    /// Fragments written before this one.
    sequence: u32,
    /// Samples before this one.
    decode_time: u64,
    sizes: Vec<u32>,
    packets: Vec<u8>,
    last_duration: Option<u64>,
}

impl Fragment {
    fn push(&mut self, packet: &[u8]) {
        self.sizes.push(packet.len() as u32);
        self.packets.extend_from_slice(packet);
    }

    /// Where the packets end.
    fn end(&self) -> u64 {
        self.decode_time + self.sizes.len() as u64 * PACKET_SAMPLES
    }

    fn write_to(&mut self, file: &mut impl Write) -> Result<(), AudioError> {
        if self.sizes.is_empty() {
            return Ok(());
        }
        self.sequence += 1;
        let mut bytes = Vec::with_capacity(self.packets.len() + 128 + 8 * self.sizes.len());
        put(&mut bytes, b"moof", |moof| {
            put_full(moof, b"mfhd", 0, 0, |mfhd| mfhd.extend(self.sequence.to_be_bytes()));
            put(moof, b"traf", |traf| self.put_traf(traf));
        });
        // The data begins behind `moof` and the head of `mdat`; the place for this number is the third word of `trun`.
        let data_offset = (bytes.len() + 8) as u32;
        let place = bytes.len() - 8 * self.sizes.len() - 4;
        bytes[place..place + 4].copy_from_slice(&data_offset.to_be_bytes());
        put(&mut bytes, b"mdat", |mdat| mdat.extend_from_slice(&self.packets));
        file.write_all(&bytes)?;
        self.decode_time = self.end();
        self.sizes.clear();
        self.packets.clear();
        Ok(())
    }

    fn put_traf(&self, traf: &mut Vec<u8>) {
        // Default base is moof; a default of flags.
        put_full(traf, b"tfhd", 0, 0x02_0020, |tfhd| {
            tfhd.extend(TRACK.to_be_bytes());
            tfhd.extend(SYNC_SAMPLE.to_be_bytes());
        });
        put_full(traf, b"tfdt", 1, 0, |tfdt| tfdt.extend(self.decode_time.to_be_bytes()));
        // With data offset, and for each sample its duration and size.
        put_full(traf, b"trun", 0, 0x0301, |trun| {
            trun.extend((self.sizes.len() as u32).to_be_bytes());
            trun.extend(0u32.to_be_bytes());
            let last = self.sizes.len() - 1;
            for (index, size) in self.sizes.iter().enumerate() {
                let duration = self.last_duration.filter(|_| index == last).unwrap_or(PACKET_SAMPLES);
                trun.extend((duration as u32).to_be_bytes());
                trun.extend(size.to_be_bytes());
            }
        });
    }
}

/// The boxes that stand before any audio.
fn init_segment(encoder: &PacketEncoder) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1024);
    put(&mut bytes, b"ftyp", |ftyp| {
        ftyp.extend(b"iso6");
        ftyp.extend(0u32.to_be_bytes());
        ftyp.extend(b"iso6mp41Opus");
    });
    put(&mut bytes, b"moov", |moov| {
        put_full(moov, b"mvhd", 0, 0, |mvhd| {
            words(mvhd, &[0, 0, TIMESCALE, 0, 0x0001_0000]);
            mvhd.extend([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            words(mvhd, &UNITY);
            words(mvhd, &[0; 6]);
            words(mvhd, &[TRACK + 1]);
        });
        put(moov, b"trak", |trak| put_track(trak, encoder));
        put(moov, b"mvex", |mvex| {
            put_full(mvex, b"trex", 0, 0, |trex| words(trex, &[TRACK, 1, PACKET_SAMPLES as u32, 0, SYNC_SAMPLE]));
        });
    });
    bytes
}

/// The unity matrix of movie and track.
const UNITY: [u32; 9] = [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000];

fn put_track(trak: &mut Vec<u8>, encoder: &PacketEncoder) {
    // Enabled, in movie.
    put_full(trak, b"tkhd", 0, 3, |tkhd| {
        words(tkhd, &[0, 0, TRACK, 0, 0, 0, 0]);
        tkhd.extend([0, 0, 0, 0, 1, 0, 0, 0]);
        words(tkhd, &UNITY);
        words(tkhd, &[0, 0]);
    });
    // What the decoder needs to converge is not played: time 0 is the first frame that was put in.
    put(trak, b"edts", |edts| {
        put_full(edts, b"elst", 0, 0, |elst| words(elst, &[1, 0, u32::from(encoder.pre_skip()), 0x0001_0000]));
    });
    put(trak, b"mdia", |mdia| {
        // Language "und".
        put_full(mdia, b"mdhd", 0, 0, |mdhd| words(mdhd, &[0, 0, TIMESCALE, 0, 0x55C4_0000]));
        put_full(mdia, b"hdlr", 0, 0, |hdlr| {
            words(hdlr, &[0]);
            hdlr.extend(b"soun");
            words(hdlr, &[0; 3]);
            hdlr.extend(b"rakkr\0");
        });
        put(mdia, b"minf", |minf| {
            put_full(minf, b"smhd", 0, 0, |smhd| words(smhd, &[0]));
            put(minf, b"dinf", |dinf| {
                put_full(dinf, b"dref", 0, 0, |dref| {
                    words(dref, &[1]);
                    put_full(dref, b"url ", 0, 1, |_| {});
                });
            });
            put(minf, b"stbl", |stbl| {
                put_full(stbl, b"stsd", 0, 0, |stsd| {
                    words(stsd, &[1]);
                    put(stsd, b"Opus", |entry| put_entry(entry, encoder));
                });
                for (name, empty) in [(b"stts", 1), (b"stsc", 1), (b"stsz", 2), (b"stco", 1)] {
                    put_full(stbl, name, 0, 0, |table| words(table, &[0, 0][..empty]));
                }
            });
        });
    });
}

/// The sample entry and its `dOps`.
fn put_entry(entry: &mut Vec<u8>, encoder: &PacketEncoder) {
    let mapping = encoder.mapping();
    let channels = mapping.channels.len() as u8;
    entry.extend([0, 0, 0, 0, 0, 0, 0, 1]);
    words(entry, &[0, 0, u32::from(channels) << 16 | 16, 0, TIMESCALE << 16]);
    put(entry, b"dOps", |dops| {
        dops.extend([0, channels]);
        dops.extend(encoder.pre_skip().to_be_bytes());
        dops.extend(encoder.rate().to_be_bytes());
        dops.extend([0, 0, mapping.family]);
        if mapping.family != 0 {
            dops.extend([mapping.streams, mapping.coupled]);
            dops.extend_from_slice(&mapping.channels);
        }
    });
}

fn words(out: &mut Vec<u8>, words: &[u32]) {
    out.extend(words.iter().flat_map(|word| word.to_be_bytes()));
}

/// Puts a box: its size is known when `inside` has put what is in it.
fn put(out: &mut Vec<u8>, name: &[u8; 4], inside: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend([0; 4]);
    out.extend(name);
    inside(out);
    let size = (out.len() - begin) as u32;
    out[begin..begin + 4].copy_from_slice(&size.to_be_bytes());
}

/// Puts a box with version and flags.
fn put_full(out: &mut Vec<u8>, name: &[u8; 4], version: u8, flags: u32, inside: impl FnOnce(&mut Vec<u8>)) {
    put(out, name, |out| {
        out.extend((u32::from(version) << 24 | flags).to_be_bytes());
        inside(out);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::opus::MSDecoder;

    const RATE: u32 = 48_000;

    fn tone(frames: usize) -> Vec<f32> {
        (0..frames).map(|n| 0.25 * (std::f32::consts::TAU * 440.0 * n as f32 / RATE as f32).sin()).collect()
    }

    fn stream(rate: u32, channels: usize, frames: usize, per_fragment: usize) -> Vec<u8> {
        let mut writer = Fmp4Writer::open(Vec::new(), rate, channels, OpusSpec::LIVE, per_fragment).unwrap();
        let tone = tone(frames);
        for block in tone.chunks(1000) {
            writer.write(&vec![block; channels]).unwrap();
        }
        writer.finish(&[], &Loudness::default()).unwrap();
        writer.file
    }

    /// Boxes one after the other: name and content.
    fn boxes(mut bytes: &[u8]) -> Vec<(String, &[u8])> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let size = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
            found.push((String::from_utf8_lossy(&bytes[4..8]).into_owned(), &bytes[8..size]));
            bytes = &bytes[size..];
        }
        found
    }

    fn inside<'a>(bytes: &'a [u8], path: &[&str]) -> &'a [u8] {
        let Some((first, rest)) = path.split_first() else { return bytes };
        let (_, content) =
            boxes(bytes).into_iter().find(|(name, _)| name == first).unwrap_or_else(|| panic!("{first}"));
        inside(content, rest)
    }

    fn word(bytes: &[u8], index: usize) -> u32 {
        u32::from_be_bytes(bytes[4 * index..4 * index + 4].try_into().unwrap())
    }

    /// A reader of its own: decodes each sample of each `trun` from where the boxes say it lies.
    fn decode(bytes: &[u8], channels: usize) -> Vec<f32> {
        let mapping: Vec<u8> = (0..channels as u8).collect();
        let mut decoder = MSDecoder::new(RATE, 1, channels as u8 - 1, &mapping).unwrap();
        let elst = inside(bytes, &["moov", "trak", "edts", "elst"]);
        let (mut samples, mut buffer, mut at, mut time) = (Vec::new(), vec![0.0; 5760 * channels], 0, 0);
        for (name, content) in boxes(bytes) {
            if name == "moof" {
                let trun = inside(content, &["traf", "trun"]);
                let tfdt = inside(content, &["traf", "tfdt"]);
                assert_eq!(u64::from_be_bytes(tfdt[4..12].try_into().unwrap()), time);
                let mut place = at + word(trun, 2) as usize;
                for sample in 0..word(trun, 1) as usize {
                    let (duration, size) = (word(trun, 3 + 2 * sample), word(trun, 4 + 2 * sample) as usize);
                    let frames = decoder.decode_float(&bytes[place..place + size], &mut buffer, false).unwrap();
                    assert_eq!(frames, 960);
                    samples.extend_from_slice(&buffer[..duration as usize * channels]);
                    place += size;
                    time += u64::from(duration);
                }
                assert_eq!(place, at + content.len() + 8 + word(&bytes[at + content.len() + 8..], 0) as usize);
            }
            at += content.len() + 8;
        }
        samples.drain(..word(elst, 3) as usize * channels);
        samples
    }

    #[test]
    fn it_decodes_to_the_length_that_was_put_in() {
        for frames in [1, 647, 648, 649, 960, 4800, 48_001] {
            for channels in [1, 2] {
                let decoded = decode(&stream(RATE, channels, frames, 3), channels);
                assert_eq!(decoded.len(), frames * channels, "{frames} frames of {channels} channels");
            }
        }
        assert_eq!(decode(&stream(44_100, 1, 44_100, 3), 1).len(), 48_000);
    }

    #[test]
    fn a_tone_is_where_it_was() {
        let (decoded, tone) = (decode(&stream(RATE, 1, 48_000, 3), 1), tone(48_000));
        let error: f32 = decoded[4800..].iter().zip(&tone[4800..]).map(|(a, b)| (a - b).powi(2)).sum();
        let power: f32 = tone[4800..].iter().map(|b| b.powi(2)).sum();
        assert!(10.0 * (error / power).log10() < -15.0, "{} dB", 10.0 * (error / power).log10());
    }

    #[test]
    fn a_fragment_is_written_as_soon_as_it_is_full_and_on_demand() {
        let mut writer = Fmp4Writer::open(Vec::new(), RATE, 1, OpusSpec::LIVE, 3).unwrap();
        let init = writer.file_mut().len();
        writer.write(&[&tone(2879)]).unwrap();
        assert_eq!(writer.file_mut().len(), init);
        writer.write(&[&tone(1)]).unwrap();
        let first = writer.file_mut().len();
        assert!(first > init);
        writer.write(&[&tone(960)]).unwrap();
        writer.flush().unwrap();
        assert!(writer.file_mut().len() > first);
        let file = writer.file_mut().clone();
        let names: Vec<String> = boxes(&file).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["ftyp", "moov", "moof", "mdat", "moof", "mdat"]);
    }

    #[test]
    fn the_entry_says_what_a_decoder_must_know() {
        let stream = stream(RATE, 2, 100, 3);
        let stsd = inside(&stream, &["moov", "trak", "mdia", "minf", "stbl", "stsd"]);
        let dops = inside(&inside(&stsd[8..], &["Opus"])[28..], &["dOps"]);
        assert_eq!(dops, [0, 2, 0x01, 0x38, 0, 0, 0xBB, 0x80, 0, 0, 0]);
    }

    #[test]
    fn nothing_follows_the_end() {
        let mut writer = Fmp4Writer::open(Vec::new(), RATE, 1, OpusSpec::LIVE, 3).unwrap();
        writer.finish(&[], &Loudness::default()).unwrap();
        assert!(writer.write(&[&[0.0]]).is_err() && writer.finish(&[], &Loudness::default()).is_err());
        assert!(Fmp4Writer::open(Vec::new(), RATE, 0, OpusSpec::LIVE, 3).is_err());
    }

    /// Another judge: ffmpeg, which `tests/run` installs, reads the stream from a pipe as a browser would.
    #[test]
    fn ffmpeg_decodes_it_from_a_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stream.mp4");
        std::fs::write(&path, stream(RATE, 2, 48_000, 3)).unwrap();
        let mut ffmpeg = std::process::Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-i", "pipe:0", "-f", "f32le", "-"]).stdin(std::fs::File::open(&path).unwrap());
        let output = ffmpeg.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        // ffmpeg 5.1 drops the pre-skip and plays the last packet's padding all the same.
        let frames = output.stdout.len() / 8;
        assert!((48_000..48_960).contains(&frames), "{frames}");
    }
}
