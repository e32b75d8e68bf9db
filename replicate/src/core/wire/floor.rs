//! Words about the floor, and what a batch of kept entries says beside them, as JSON.

use super::Bounded;
use crate::core::exchange::{EXPORT_ENTRIES_MAX, Mark};
use crate::core::floor::FloorName;
use crate::core::floor::fill::{Kept, Part};
use crate::core::id::{Hash, LogId, NodeId, Stream};
use crate::core::message::{FloorWord, Stands, VECTOR_MARKS_MAX};
use serde::{Deserialize, Serialize};

type MarkRow = (Stream, NodeId, u32, u64, Hash);

#[derive(Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub(super) enum Body {
    Stands(Stands),
    Told {
        floor: FloorName,
    },
    Below {
        floor: FloorName,
    },
    Offer {
        floor: FloorName,
        last: bool,
        marks: Bounded<MarkRow, VECTOR_MARKS_MAX>,
    },
    Fill {
        floor: FloorName,
    },
    #[serde(other)]
    Unknown,
}

pub(super) fn body(word: &FloorWord) -> Body {
    match word {
        FloorWord::Stands(stands) => Body::Stands(*stands),
        FloorWord::Told(floor) => Body::Told { floor: *floor },
        FloorWord::Below(floor) => Body::Below { floor: *floor },
        FloorWord::Offer { floor, is_last, marks } => {
            let row = |(log, mark): &(LogId, Mark)| (log.stream, log.node, log.inc, mark.seq, mark.hash);
            Body::Offer { floor: *floor, last: *is_last, marks: Bounded(marks.iter().map(row).collect()) }
        }
        FloorWord::Fill(floor) => Body::Fill { floor: *floor },
    }
}

/// Returns what is said; nothing if it is of a later version.
pub(super) fn word(body: Body) -> Option<FloorWord> {
    Some(match body {
        Body::Stands(stands) => FloorWord::Stands(stands),
        Body::Told { floor } => FloorWord::Told(floor),
        Body::Below { floor } => FloorWord::Below(floor),
        Body::Offer { floor, last: is_last, marks } => {
            let mark = |(stream, node, inc, seq, hash)| (LogId { stream, node, inc }, Mark { seq, hash });
            FloorWord::Offer { floor, is_last, marks: marks.0.into_iter().map(mark).collect() }
        }
        Body::Fill { floor } => FloorWord::Fill(floor),
        Body::Unknown => return None,
    })
}

#[derive(Serialize, Deserialize)]
pub(super) struct KeptBody {
    floor: FloorName,
    /// Node, incarnation, the place before, whether it is the end.
    parts: Bounded<(NodeId, u32, u64, bool), EXPORT_ENTRIES_MAX>,
}

pub(super) fn kept_body(kept: &Kept) -> KeptBody {
    let row = |part: &Part| (part.log.node, part.log.inc, part.after, part.is_end);
    KeptBody { floor: kept.floor, parts: Bounded(kept.parts.iter().map(row).collect()) }
}

pub(super) fn kept(body: KeptBody, stream: Stream) -> Kept {
    let part = |(node, inc, after, is_end)| Part { log: LogId { stream, node, inc }, after, is_end };
    Kept { floor: body.floor, parts: body.parts.0.into_iter().map(part).collect() }
}
