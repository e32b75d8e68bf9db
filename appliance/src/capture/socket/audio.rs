//! Audio on the socket: what follows the answer to `{"op": "listen"}`.
//!
//! A frame is a little-endian `u32`, bytes of audio; a `u64`, the stream frame of the first sample; then the audio, `f32`
//! little-endian, channel after channel of one frame after the other. A frame without audio says that nothing arrives.
//! Where the number jumps, frames are missing. Does not live here: who listens (`engine/listeners.rs`).

use std::io::{self, Read, Write};

use crate::capture::engine::listeners::Heard;

/// The most audio of a frame: the longest block of 256 channels is 10 MB.
const BYTES_MAX: u32 = 16 << 20;
const HEAD_BYTES: usize = 12;

/// Writes some channels of a block; what is off the record is silence. `scratch` is reused.
///
/// # Errors
/// The listener is gone.
pub fn write(writer: &mut impl Write, heard: &Heard, indices: &[usize], scratch: &mut Vec<u8>) -> io::Result<()> {
    let block = &heard.block;
    let bytes = block.frames() * indices.len() * size_of::<f32>();
    scratch.clear();
    scratch.resize(HEAD_BYTES + bytes, 0);
    let (head, audio) = scratch.split_at_mut(HEAD_BYTES);
    head[..4].copy_from_slice(&(bytes as u32).to_le_bytes());
    head[4..].copy_from_slice(&block.first.to_le_bytes());
    for (place, &index) in indices.iter().enumerate().filter(|(_, index)| !heard.private.contains(**index)) {
        let places = audio.chunks_exact_mut(4).skip(place).step_by(indices.len());
        for (bytes, sample) in places.zip(block.channel(index)) {
            bytes.copy_from_slice(&sample.to_le_bytes());
        }
    }
    writer.write_all(scratch)
}

/// Writes that nothing has arrived since stream frame `next`.
///
/// # Errors
/// The listener is gone.
pub fn write_nothing(writer: &mut impl Write, next: u64) -> io::Result<()> {
    let mut head = [0; HEAD_BYTES];
    head[4..].copy_from_slice(&next.to_le_bytes());
    writer.write_all(&head)
}

/// Replaces `audio` (interleaved) by the next frame's and returns its stream frame; none when the recorder ended it.
///
/// # Errors
/// The talk broke off, nothing came for too long, or this is no frame.
pub fn read(reader: &mut impl Read, channels: usize, audio: &mut Vec<f32>) -> io::Result<Option<u64>> {
    audio.clear();
    let mut head = Vec::with_capacity(HEAD_BYTES);
    reader.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    if head.is_empty() {
        return Ok(None);
    }
    let ([size, low, high], []) = head.as_chunks::<4>() else { return Err(io::ErrorKind::UnexpectedEof.into()) };
    let size = u32::from_le_bytes(*size);
    let first = u64::from(u32::from_le_bytes(*low)) | u64::from(u32::from_le_bytes(*high)) << 32;
    if size > BYTES_MAX || !(size as usize).is_multiple_of(4 * channels.max(1)) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("an audio frame of {size} bytes")));
    }
    let mut bytes = Vec::new();
    reader.by_ref().take(u64::from(size)).read_to_end(&mut bytes)?;
    if bytes.len() < size as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    audio.extend(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    Ok(Some(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::block::Block;
    use crate::domain::ChannelSet;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn heard(private: ChannelSet) -> Heard {
        let block = Block::of(1 << 42, ChannelSet::first(3), &[&[0.1, 0.2], &[0.3, 0.4], &[0.5, 0.6]]);
        Heard { block: Arc::new(block), private }
    }

    fn written() -> Vec<u8> {
        let (mut bytes, mut scratch) = (Vec::new(), Vec::new());
        write(&mut bytes, &heard(ChannelSet::default()), &[2, 0], &mut scratch).unwrap();
        write_nothing(&mut bytes, 7).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = written();
        assert_eq!(bytes[..12], [16, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0]);
        let (mut reader, mut audio) = (&bytes[..], Vec::new());
        assert_eq!(read(&mut reader, 2, &mut audio).unwrap(), Some(1 << 42));
        assert_eq!(audio, [0.5, 0.1, 0.6, 0.2]);
        assert_eq!(read(&mut reader, 2, &mut audio).unwrap(), Some(7));
        assert_eq!(audio, [0.0; 0]);
        assert_eq!(read(&mut reader, 2, &mut audio).unwrap(), None);
    }

    #[test]
    fn what_is_off_the_record_is_written_as_silence() {
        let (mut bytes, mut scratch) = (Vec::new(), vec![0xFF; 64]);
        write(&mut bytes, &heard(ChannelSet::first(1)), &[0, 1], &mut scratch).unwrap();
        let mut audio = Vec::new();
        read(&mut &bytes[..], 2, &mut audio).unwrap();
        assert_eq!(audio, [0.0, 0.3, 0.0, 0.4]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn what_is_not_whole_is_an_error_and_garbage_takes_no_memory(
            cut in 1usize..28, garbage in proptest::collection::vec(any::<u8>(), 0..64), channels in 0usize..5,
        ) {
            let (bytes, mut audio) = (written(), Vec::new());
            prop_assert!(read(&mut &bytes[..cut], 2, &mut audio).is_err());
            let mut reader = &garbage[..];
            while let Ok(Some(_)) = read(&mut reader, channels, &mut audio) {
                prop_assert!(audio.len() * 4 <= garbage.len());
            }
        }
    }
}
