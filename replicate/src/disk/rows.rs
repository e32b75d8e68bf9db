//! Rows as bytes: all integers big-endian, every field of its own length. What reads them takes garbage for garbage.

use crate::core::fence::{Fence, Fencing, Last};
use crate::core::floor::{FloorName, Stage, Standing};
use crate::core::id::{Hash, NodeId, Origin, Position};
use crate::core::record::RecordKey;
use crate::core::view::{Doom, Head};

pub(super) fn head_row(head: &Head) -> [u8; 44] {
    let mut row = [0; 44];
    row[..8].copy_from_slice(&head.seq.to_be_bytes());
    row[8..40].copy_from_slice(&head.hash.0);
    row[40..].copy_from_slice(&head.nonce.to_be_bytes());
    row
}

pub(super) fn read_head(row: &[u8; 44]) -> Head {
    let (mut seq, mut hash, mut nonce) = ([0; 8], [0; 32], [0; 4]);
    seq.copy_from_slice(&row[..8]);
    hash.copy_from_slice(&row[8..40]);
    nonce.copy_from_slice(&row[40..]);
    Head { seq: u64::from_be_bytes(seq), hash: Hash(hash), nonce: u32::from_be_bytes(nonce) }
}

/// Returns the stored form of a floor's name: number (8), epoch (8), digest (32), stage (1), big-endian.
pub(super) fn floor_row(own: &Standing) -> Vec<u8> {
    let FloorName { number, epoch, digest } = own.floor.name;
    let stage = match own.stage {
        Stage::Collecting => 0,
        Stage::At => 1,
        Stage::Filling => 2,
    };
    [number.to_be_bytes().as_slice(), &epoch.to_be_bytes(), &digest.0, &[stage]].concat()
}

pub(super) fn read_floor(row: &[u8]) -> Option<(FloorName, Stage)> {
    let (number, rest) = row.split_first_chunk::<8>()?;
    let (epoch, rest) = rest.split_first_chunk::<8>()?;
    let (digest, rest) = rest.split_first_chunk::<32>()?;
    let stage = match rest {
        [0] => Stage::Collecting,
        [1] => Stage::At,
        [2] => Stage::Filling,
        _ => return None,
    };
    let (number, epoch) = (u64::from_be_bytes(*number), u64::from_be_bytes(*epoch));
    Some((FloorName { number, epoch, digest: Hash(*digest) }, stage))
}

pub(super) fn doom_key(doom: &Doom) -> Vec<u8> {
    let group = doom.group.as_bytes();
    // A group's name has at most 32 bytes: its length fits the last one.
    [doom.at.key().as_slice(), &doom.record.bytes(), group, &[group.len() as u8]].concat()
}

pub(super) fn read_doom(key: &[u8]) -> Option<Doom> {
    let (at, rest) = key.split_first_chunk::<29>()?;
    let (group_len, rest) = rest.split_last()?;
    let (record, group) = rest.split_at_checked(rest.len().checked_sub(usize::from(*group_len))?)?;
    let group = std::str::from_utf8(group).ok()?.to_string();
    Some(Doom { at: Position::from_key(at)?, record: RecordKey::from_bytes(record)?, group })
}

pub(super) fn fence_row(fencing: &Fencing) -> Vec<u8> {
    let mut row = vec![u8::from(fencing.holds)];
    if let Some(fence) = &fencing.fence {
        row.extend(fence.node.0);
        for last in [fence.sec, fence.cfg] {
            row.extend(last.inc.to_be_bytes());
            row.extend(last.seq.to_be_bytes());
        }
        row.extend(fence.until.map(u32::to_be_bytes).into_iter().flatten());
    }
    row
}

pub(super) fn read_fence(row: &[u8]) -> Option<Fencing> {
    let (holds, rest) = row.split_first()?;
    let holds = *holds == 1;
    if rest.is_empty() {
        return Some(Fencing { fence: None, holds });
    }
    let (node, rest) = rest.split_first_chunk::<16>()?;
    let (lasts, rest) = rest.as_chunks::<12>();
    let last = |row: &[u8; 12]| {
        let (inc, seq) = row.split_first_chunk::<4>()?;
        Some(Last { inc: u32::from_be_bytes(*inc), seq: u64::from_be_bytes(seq.try_into().ok()?) })
    };
    let [sec, cfg] = lasts else { return None };
    let until = match rest {
        [] => None,
        rest => Some(u32::from_be_bytes(rest.try_into().ok()?)),
    };
    Some(Fencing { fence: Some(Fence { node: NodeId(*node), sec: last(sec)?, cfg: last(cfg)?, until }), holds })
}

/// Returns the stored form of an origin: node (16), incarnation (4), nonce (4), big-endian.
pub(crate) fn origin_row(us: &Origin) -> Vec<u8> {
    [us.node.0.as_slice(), &us.inc.to_be_bytes(), &us.nonce.to_be_bytes()].concat()
}

/// Reads the stored form of an origin.
pub(crate) fn read_origin(row: &[u8]) -> Option<Origin> {
    let (node, rest) = row.split_first_chunk::<16>()?;
    let (inc, nonce) = rest.split_first_chunk::<4>()?;
    let nonce = u32::from_be_bytes(nonce.try_into().ok()?);
    Some(Origin { node: NodeId(*node), inc: u32::from_be_bytes(*inc), nonce })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::floor::Floor;
    use crate::core::id::{RecordId, Stream};
    use proptest::prelude::*;

    #[test]
    fn rows_are_read_as_they_were_written() {
        let us = Origin { node: NodeId::from_u128(7), inc: 3, nonce: 9 };
        let head = Head { seq: 300, hash: Hash([5; 32]), nonce: 9 };
        let record = RecordKey { kind: "plan".to_string(), id: RecordId::from_u128(1) };
        let doom = Doom { at: us.log(Stream::Cfg).at(300), record, group: "label".to_string() };

        assert_eq!(read_origin(&origin_row(&us)), Some(us));
        assert_eq!(read_head(&head_row(&head)), head);
        assert_eq!(read_doom(&doom_key(&doom)), Some(doom));
        for stage in [Stage::Collecting, Stage::At, Stage::Filling] {
            let own = Standing { floor: std::sync::Arc::new(Floor::new(7, 1 << 40, Default::default())), stage };
            assert_eq!(read_floor(&floor_row(&own)), Some((own.floor.name, stage)));
        }
        let (sec, cfg) = (Last { inc: 1, seq: 2 }, Last { inc: 3, seq: 1 << 40 });
        let fence = Fence { node: us.node, sec, cfg, until: None };
        let again = Fence { until: Some(4), ..fence };
        for (fence, holds) in [(None, false), (Some(fence), false), (Some(fence), true), (Some(again), true)] {
            let fencing = Fencing { fence, holds };
            assert_eq!(read_fence(&fence_row(&fencing)), Some(fencing));
        }
    }

    #[test]
    fn rows_have_these_bytes() {
        let us = Origin { node: NodeId([0xaa; 16]), inc: 3, nonce: 9 };
        let record = RecordKey { kind: "plan".to_string(), id: RecordId([0xbb; 16]) };
        let doom = Doom { at: us.log(Stream::Own).at(258), record, group: "label".to_string() };
        let (node, id) = ([0xaa; 16], [0xbb; 16]);
        let position = [&[2], node.as_slice(), &[0, 0, 0, 3], &[0, 0, 0, 0, 0, 0, 1, 2]].concat();

        assert_eq!(origin_row(&us), [node.as_slice(), &[0, 0, 0, 3, 0, 0, 0, 9]].concat());
        assert_eq!(doom.at.key().as_slice(), position);
        assert_eq!(doom_key(&doom), [&position, b"plan\0".as_slice(), &id, b"label", &[5]].concat());
        let head = head_row(&Head { seq: 258, hash: Hash([0xcc; 32]), nonce: 9 });
        assert_eq!(head.as_slice(), [[0, 0, 0, 0, 0, 0, 1, 2].as_slice(), &[0xcc; 32], &[0, 0, 0, 9]].concat());
        let (sec, cfg) = (Last { inc: 1, seq: 2 }, Last { inc: 3, seq: 258 });
        let fence = Fence { node: us.node, sec, cfg, until: None };
        let lasts = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 1, 2];
        let row = fence_row(&Fencing { fence: Some(fence), holds: true });
        assert_eq!(row, [[1].as_slice(), &node, &lasts].concat());
        let row = fence_row(&Fencing { fence: Some(Fence { until: Some(4), ..fence }), holds: true });
        assert_eq!(row, [[1].as_slice(), &node, &lasts, &[0, 0, 0, 4]].concat());
        let key = crate::core::index::encode("by", &[1, 0, 2], RecordId(id));
        assert_eq!(key, [b"by\0".as_slice(), &[1, 0, 0xff, 2, 0, 1], &id].concat());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn garbage_rows_are_no_rows_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..90)) {
            prop_assert!(read_floor(&bytes).is_none() || bytes.len() == 49);
            prop_assert_eq!(read_origin(&bytes).is_some(), bytes.len() == 24);
            prop_assert_eq!(read_fence(&bytes).is_some(), [1, 41, 45].contains(&bytes.len()));
            if let Some(doom) = read_doom(&bytes) {
                prop_assert_eq!(doom_key(&doom), bytes);
            }
        }
    }
}
