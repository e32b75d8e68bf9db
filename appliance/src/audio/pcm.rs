//! Samples to bytes and back: planar `f32` on one side, interleaved little-endian PCM on the other.
//!
//! Lives here: the arithmetic of the three sample formats, and the transposing between "one slice per channel" and "one
//! frame after the other". Does not live here: chunks, headers, files. This is the recorder's hot loop: work goes in
//! tiles that stay in the first-level cache, a tile is transposed first and converted in one straight run after, so that
//! the compiler can use vector instructions for the conversion. Nothing here fails or panics for any sample value.

/// How one sample stands in a file. All are little-endian; the integers are two's complement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleFormat {
    /// 16-bit integer, full scale 2^15.
    Pcm16,
    /// 24-bit integer in three bytes, full scale 2^23.
    Pcm24,
    /// IEEE 754 single precision, full scale 1.0.
    Float32,
}

impl SampleFormat {
    /// Bytes of one sample of one channel.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Pcm16 => 2,
            Self::Pcm24 => 3,
            Self::Float32 => 4,
        }
    }

    /// Bits of one sample; no format has padding bits.
    pub const fn bits(self) -> u16 {
        self.bytes() as u16 * 8
    }
}

/// Full scale of the integer formats.
const SCALE_16: f32 = 32_768.0;
const SCALE_24: f32 = 8_388_608.0;

/// Samples of one tile: 8 KiB as `f32`, so that tile, sources and output share a 32 KiB first-level cache.
const TILE: usize = 2048;
/// Most frames of a tile: more reads so far ahead in every channel that the sources no longer stay in the cache.
const TILE_FRAMES: usize = 256;
/// Channels copied at once while transposing: one 16-byte store a frame.
const LANES: usize = 4;

/// Appends `planar` (one slice per channel) to `out` as interleaved `format`: see [`encode_into`].
pub fn encode_interleaved(planar: &[&[f32]], format: SampleFormat, out: &mut Vec<u8>) {
    let frames = planar.iter().map(|channel| channel.len()).min().unwrap_or(0);
    let begin = out.len();
    out.resize(begin + frames * planar.len() * format.bytes(), 0);
    encode_into(planar, format, &mut out[begin..]);
}

/// Writes `planar` (one slice per channel) into `out` as interleaved `format`, as many whole frames as `out` holds.
///
/// The slices are equally long; were they not, the shortest would decide. Integers are rounded to the nearest (halves
/// to even) and clamped to their range, so every multiple of one step in [-1, 1) comes back bit-exact. No dither:
/// a master is not reduced twice. NaN becomes 0 in every format, because a NaN in a file silences or breaks players.
pub fn encode_into(planar: &[&[f32]], format: SampleFormat, out: &mut [u8]) {
    let channels = planar.len();
    let room = out.len().checked_div(channels * format.bytes()).unwrap_or(0);
    let frames = planar.iter().map(|channel| channel.len()).min().unwrap_or(0).min(room);
    if frames == 0 {
        return;
    }
    let mut rest = &mut out[..frames * channels * format.bytes()];
    // A frame wider than the tile (more than 2048 channels) goes in a tile of its own size.
    let mut wide = Vec::new();
    let mut small = [0f32; TILE];
    let tile: &mut [f32] = if channels <= TILE {
        &mut small
    } else {
        wide.resize(channels, 0.0);
        &mut wide
    };
    let step = (tile.len() / channels).min(TILE_FRAMES);
    let mut at = 0;
    while at < frames {
        let count = step.min(frames - at);
        let samples = &mut tile[..count * channels];
        interleave(planar, at, samples);
        let (bytes, later) = rest.split_at_mut(samples.len() * format.bytes());
        encode(samples, format, bytes);
        rest = later;
        at += count;
    }
}

/// Appends the whole frames of `bytes` to `planar` (one vector per channel, `channels` of them).
///
/// Bytes of a torn last frame are left out. Integers map to [-1, 1). Surplus vectors are untouched; with fewer vectors
/// than `channels` the surplus channels are dropped.
pub fn decode_interleaved(bytes: &[u8], channels: usize, format: SampleFormat, planar: &mut [Vec<f32>]) {
    if channels == 0 {
        return;
    }
    let mut wide = Vec::new();
    let mut small = [0f32; TILE];
    let tile: &mut [f32] = if channels <= TILE {
        &mut small
    } else {
        wide.resize(channels, 0.0);
        &mut wide
    };
    let frames = bytes.len() / (channels * format.bytes());
    for channel in planar.iter_mut().take(channels) {
        channel.reserve(frames);
    }
    let step = tile.len() / channels;
    for part in bytes[..frames * channels * format.bytes()].chunks(step * channels * format.bytes()) {
        let samples = &mut tile[..part.len() / format.bytes()];
        decode(part, format, samples);
        for (index, channel) in planar.iter_mut().take(channels).enumerate() {
            channel.extend(samples.chunks_exact(channels).map(|frame| frame[index]));
        }
    }
}

/// Copies frames `at..` of `planar` into `tile`, frame after frame; the tile's length says how many.
fn interleave(planar: &[&[f32]], at: usize, tile: &mut [f32]) {
    let channels = planar.len();
    let count = tile.len() / channels;
    let mut first = 0;
    for group in planar.chunks(LANES) {
        if let [a, b, c, d] = group {
            let (a, b, c, d) = (&a[at..at + count], &b[at..at + count], &c[at..at + count], &d[at..at + count]);
            for ((((frame, a), b), c), d) in tile.chunks_exact_mut(channels).zip(a).zip(b).zip(c).zip(d) {
                frame[first..first + LANES].copy_from_slice(&[*a, *b, *c, *d]);
            }
        } else if let [a, b] = group {
            let (a, b) = (&a[at..at + count], &b[at..at + count]);
            for ((frame, a), b) in tile.chunks_exact_mut(channels).zip(a).zip(b) {
                frame[first..first + 2].copy_from_slice(&[*a, *b]);
            }
        } else {
            for (index, channel) in group.iter().enumerate() {
                for (frame, sample) in tile.chunks_exact_mut(channels).zip(&channel[at..at + count]) {
                    frame[first + index] = *sample;
                }
            }
        }
        first += group.len();
    }
}

/// One straight run of samples to bytes.
fn encode(samples: &[f32], format: SampleFormat, bytes: &mut [u8]) {
    match format {
        SampleFormat::Pcm16 => {
            for (sample, bytes) in samples.iter().zip(bytes.chunks_exact_mut(2)) {
                bytes.copy_from_slice(&(quantise(*sample, SCALE_16) as i16).to_le_bytes());
            }
        }
        SampleFormat::Pcm24 => encode_24(samples, bytes),
        SampleFormat::Float32 => {
            for (sample, bytes) in samples.iter().zip(bytes.chunks_exact_mut(4)) {
                let sample = if sample.is_nan() { 0.0 } else { *sample };
                bytes.copy_from_slice(&sample.to_le_bytes());
            }
        }
    }
}

/// Quantises a run first (vector instructions) and packs it after: four samples of 24 bits leave as a u64 and a u32.
fn encode_24(samples: &[f32], bytes: &mut [u8]) {
    const RUN: usize = 32;
    let (runs, last) = samples.as_chunks::<RUN>();
    let (run_bytes, last_bytes) = bytes.as_chunks_mut::<{ RUN * 3 }>();
    for (run, bytes) in runs.iter().zip(run_bytes) {
        let mut codes = [0u32; RUN];
        for (code, sample) in codes.iter_mut().zip(run) {
            *code = quantise(*sample, SCALE_24) as u32 & 0x00FF_FFFF;
        }
        for (quad, dozen) in codes.as_chunks::<4>().0.iter().zip(bytes.as_chunks_mut::<12>().0) {
            let [a, b, c, d] = quad.map(u64::from);
            dozen[..8].copy_from_slice(&(a | b << 24 | c << 48).to_le_bytes());
            dozen[8..].copy_from_slice(&((c >> 16 | d << 8) as u32).to_le_bytes());
        }
    }
    for (sample, bytes) in last.iter().zip(last_bytes.chunks_exact_mut(3)) {
        bytes.copy_from_slice(&quantise(*sample, SCALE_24).to_le_bytes()[..3]);
    }
}

/// `round(sample * scale)`, halves to even, clamped to `[-scale, scale - 1]`; NaN becomes 0.
///
/// A magnitude up to 2^23 added to 2^23 lies where `f32` steps by one, so the addition rounds and the mantissa is the
/// integer. `as i32` would do the same at half the speed: it does not become vector instructions on plain x86-64 (whole
/// encoding 1.1 against 0.5 ns a sample, measured).
#[inline(always)]
fn quantise(sample: f32, scale: f32) -> i32 {
    const STEP_ONE: f32 = 8_388_608.0;
    let scaled = if sample.is_nan() { 0.0 } else { (sample * scale).clamp(-scale, scale - 1.0) };
    let magnitude = (scaled.abs() + STEP_ONE).to_bits().wrapping_sub(STEP_ONE.to_bits()) as i32;
    let sign = scaled.to_bits() as i32 >> 31;
    (magnitude ^ sign).wrapping_sub(sign)
}

/// One straight run of bytes to samples.
fn decode(bytes: &[u8], format: SampleFormat, samples: &mut [f32]) {
    match format {
        SampleFormat::Pcm16 => {
            for (bytes, sample) in bytes.as_chunks::<2>().0.iter().zip(samples) {
                *sample = f32::from(i16::from_le_bytes(*bytes)) / SCALE_16;
            }
        }
        SampleFormat::Pcm24 => {
            for (&[low, middle, high], sample) in bytes.as_chunks::<3>().0.iter().zip(samples) {
                // Placed in the upper three bytes, so that the shift back carries the sign.
                *sample = (i32::from_le_bytes([0, low, middle, high]) >> 8) as f32 / SCALE_24;
            }
        }
        SampleFormat::Float32 => {
            for (bytes, sample) in bytes.as_chunks::<4>().0.iter().zip(samples) {
                *sample = f32::from_le_bytes(*bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(planar: &[&[f32]], format: SampleFormat) -> Vec<u8> {
        let mut out = Vec::new();
        encode_interleaved(planar, format, &mut out);
        out
    }

    fn there_and_back(samples: &[f32], format: SampleFormat) -> Vec<f32> {
        let mut planar = [Vec::new()];
        decode_interleaved(&encoded(&[samples], format), 1, format, &mut planar);
        planar[0].clone()
    }

    #[test]
    fn every_24_bit_code_survives_bit_exact() {
        for codes in (-(1 << 23)..1 << 23).collect::<Vec<i32>>().chunks(1 << 20) {
            let samples: Vec<f32> = codes.iter().map(|code| *code as f32 / SCALE_24).collect();
            assert_eq!(there_and_back(&samples, SampleFormat::Pcm24), samples);
        }
    }

    #[test]
    fn every_16_bit_code_survives_bit_exact() {
        let samples: Vec<f32> = (-32_768..32_768).map(|code| code as f32 / SCALE_16).collect();
        assert_eq!(there_and_back(&samples, SampleFormat::Pcm16), samples);
    }

    #[test]
    fn overs_are_clamped_and_nan_is_silence() {
        let samples = [1.0, 2.0, f32::INFINITY, -1.0, -1.5, f32::NEG_INFINITY, f32::NAN, -f32::NAN, -0.0, 1e-40];
        let top = 8_388_607.0 / SCALE_24;
        let expected = [top, top, top, -1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(there_and_back(&samples, SampleFormat::Pcm24), expected);
        let top = 32_767.0 / SCALE_16;
        let expected = [top, top, top, -1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(there_and_back(&samples, SampleFormat::Pcm16), expected);
        // Float keeps overs as they are.
        assert_eq!(there_and_back(&[2.0, f32::NAN, -0.25], SampleFormat::Float32), [2.0, 0.0, -0.25]);
    }

    #[test]
    fn bytes_are_little_endian_frame_after_frame() {
        let planar: [&[f32]; 2] = [&[1.0 / SCALE_24, -1.0], &[-1.0 / SCALE_24, 0.5]];
        let mut out = vec![0xAA];
        encode_interleaved(&planar, SampleFormat::Pcm24, &mut out);
        assert_eq!(out, [0xAA, 1, 0, 0, 0xFF, 0xFF, 0xFF, 0, 0, 0x80, 0, 0, 0x40]);
    }

    #[test]
    fn a_torn_frame_is_left_out_and_decoding_appends() {
        let mut planar = [vec![0.25], vec![0.5]];
        decode_interleaved(&[0, 0x40, 0, 0xC0, 1, 2, 3], 2, SampleFormat::Pcm16, &mut planar);
        assert_eq!(planar, [[0.25, 0.5], [0.5, -0.5]]);
        decode_interleaved(&[1, 2, 3], 0, SampleFormat::Pcm16, &mut planar);
        assert_eq!(planar[0].len(), 2);
    }

    /// One sample after the other in double precision: what the fast way must equal.
    fn slowly(planar: &[Vec<f32>], format: SampleFormat) -> Vec<u8> {
        let mut out = Vec::new();
        for frame in 0..planar[0].len() {
            for channel in planar {
                let sample = f64::from(channel[frame]);
                let code = |scale: f64| (sample * scale).round_ties_even().clamp(-scale, scale - 1.0) as i32;
                match format {
                    SampleFormat::Pcm16 => out.extend_from_slice(&code(32_768.0).to_le_bytes()[..2]),
                    SampleFormat::Pcm24 => out.extend_from_slice(&code(8_388_608.0).to_le_bytes()[..3]),
                    SampleFormat::Float32 => out.extend_from_slice(&channel[frame].to_le_bytes()),
                }
            }
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn blocks_of_any_shape_equal_the_slow_way(
            channels in prop_oneof![1usize..40, Just(2047), Just(2048), Just(2049)],
            frames in 0usize..700,
            seed in any::<u32>(),
        ) {
            // Bounded work for the widest; every bit pattern of a sample between -1.2 and 1.2 may come.
            let frames = frames.min(100_000 / channels);
            let sample = |index: usize| {
                let noise = (index as u32 ^ seed).wrapping_mul(2_654_435_761);
                (noise as f32 / u32::MAX as f32 - 0.5) * 2.4
            };
            let planar: Vec<Vec<f32>> =
                (0..channels).map(|c| (0..frames).map(|f| sample(f * channels + c)).collect()).collect();
            let slices: Vec<&[f32]> = planar.iter().map(Vec::as_slice).collect();
            for format in [SampleFormat::Pcm16, SampleFormat::Pcm24, SampleFormat::Float32] {
                let bytes = encoded(&slices, format);
                prop_assert_eq!(&bytes, &slowly(&planar, format));
                let mut back = vec![Vec::new(); channels];
                decode_interleaved(&bytes, channels, format, &mut back);
                let back: Vec<&[f32]> = back.iter().map(Vec::as_slice).collect();
                prop_assert_eq!(encoded(&back, format), bytes);
            }
        }
    }
}
