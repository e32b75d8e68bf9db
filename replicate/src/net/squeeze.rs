//! What a message is on the wire: its bytes, compressed where that is allowed and pays, and back.
//!
//! Lives here: zstd and the limits of what comes out of it. Does not: what may be compressed, which `wire` says. A body
//! never becomes longer than its header announced, and a header never announces more than `wire` allows.

use crate::core::message::Message;
use crate::core::wire::{self, BadMessage, FLAG_ZSTD, HEADER_BYTES, Header, is_compressible};
use std::cell::RefCell;
use zstd::bulk::{Compressor, Decompressor};

/// Shorter bodies stay as they are: zstd's own frame would eat what it saves.
pub const SQUEEZED_BYTES_MIN: usize = 256;
/// Level 3: measured 40 bytes an entry in batches of 64, at hundreds of megabytes a second.
const LEVEL: i32 = 3;

/// Why a frame of the peer's is no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unwelcome {
    /// It is no message.
    #[error(transparent)]
    Bad(#[from] BadMessage),
    /// Its body may not be compressed.
    #[error("a compressed message of type {0}, which is never compressed")]
    NeverCompressed(u8),
    /// Its compressed body is broken, or longer than its header says.
    #[error("a compressed body that does not become what its header says")]
    BadBody,
}

thread_local! {
    // About a megabyte: one for each thread of the runtime, not one for each link.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Returns a message's bytes for the wire, and how many they were before compression.
pub fn pack(message: &Message) -> (Vec<u8>, usize) {
    let raw = wire::encode(message);
    let raw_bytes = raw.len();
    (squeezed(&raw).unwrap_or(raw), raw_bytes)
}

fn squeezed(raw: &[u8]) -> Option<Vec<u8>> {
    let (header, body) = (Header::read(raw).ok()?, raw.get(HEADER_BYTES..)?);
    if body.len() < SQUEEZED_BYTES_MIN || !is_compressible(&header) {
        return None;
    }
    let small = COMPRESSOR.with_borrow_mut(|kept| {
        if kept.is_none() {
            *kept = Compressor::new(LEVEL).ok();
        }
        kept.as_mut()?.compress(body).ok()
    })?;
    let header = Header { flags: header.flags | FLAG_ZSTD, ..header };
    (small.len() < body.len()).then(|| [header.bytes().as_slice(), &small].concat())
}

/// Reads a message off the wire. Returns also how many bytes it is without compression.
///
/// # Errors
/// [`Unwelcome`]: the peer is broken or hostile.
pub fn unpack(bytes: &[u8]) -> Result<(Message, usize), Unwelcome> {
    let header = Header::read(bytes)?;
    if header.flags & FLAG_ZSTD == 0 {
        return Ok((wire::decode(bytes)?, bytes.len()));
    }
    if !is_compressible(&header) {
        return Err(Unwelcome::NeverCompressed(header.kind));
    }
    let body = DECOMPRESSOR.with_borrow_mut(|kept| {
        if kept.is_none() {
            *kept = Decompressor::new().ok();
        }
        kept.as_mut()?.decompress(&bytes[HEADER_BYTES..], header.raw_bytes).ok()
    });
    let body = body.filter(|body| body.len() == header.raw_bytes).ok_or(Unwelcome::BadBody)?;
    let header = Header { flags: header.flags & !FLAG_ZSTD, ..header };
    let raw = [header.bytes().as_slice(), &body].concat();
    Ok((wire::decode(&raw)?, raw.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::Stream;
    use crate::core::message::Batch;
    use proptest::prelude::*;

    fn batch(stream: Stream, count: usize) -> Message {
        let entry = |number: usize| format!(r#"{{"d":["{number:032x}",1,2],"val":"always the same words"}}"#);
        let entries = (0..count).map(|number| entry(number).into_bytes().into()).collect();
        Message::Batch(Batch { number: 1, stream, entries, kept: None })
    }

    #[test]
    fn a_batch_comes_out_as_it_went_in_and_is_smaller_between() {
        let message = batch(Stream::Own, 64);
        let (packed, raw_bytes) = pack(&message);

        assert!(packed.len() * 4 < raw_bytes, "{} of {raw_bytes}", packed.len());
        assert_eq!(unpack(&packed), Ok((message, raw_bytes)));
    }

    #[test]
    fn what_is_small_or_of_access_goes_as_it_is() {
        for message in [batch(Stream::Own, 1), batch(Stream::Sec, 64)] {
            let (packed, raw_bytes) = pack(&message);
            assert_eq!(packed.len(), raw_bytes);
            assert_eq!(unpack(&packed), Ok((message, raw_bytes)));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn mutated_bytes_are_refused_or_read_and_never_grow(at in 0_usize..400, with in any::<u8>(), cut in 0_usize..400) {
            let mut packed = pack(&batch(Stream::Own, 64)).0;
            let at = at % packed.len();
            packed[at] = with;
            packed.truncate(packed.len() - cut % packed.len());
            if let Ok((_, raw_bytes)) = unpack(&packed) {
                prop_assert!(raw_bytes <= wire::MESSAGE_BYTES_MAX + HEADER_BYTES);
            }
        }
    }
}
