//! Words about the floor, and what a batch of kept entries says beside them, as JSON.

use super::Bounded;
use crate::core::exchange::{EXPORT_ENTRIES_MAX, Mark};
use crate::core::floor::fill::{Kept, Part};
use crate::core::floor::{FloorName, Stage};
use crate::core::id::{Hash, LogId, NodeId, Stream};
use crate::core::message::{FloorWord, Stands, VECTOR_MARKS_MAX};
use serde::{Deserialize, Serialize};

type MarkRow = (Stream, NodeId, u32, u64, Hash);

/// Read in one pass: a tagged enum would hold all of it twice.
#[derive(Serialize, Deserialize)]
pub(super) struct Body {
    is: What,
    floor: FloorName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stage: Option<Stage>,
    #[serde(default)]
    last: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    marks: Option<Bounded<MarkRow, VECTOR_MARKS_MAX>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum What {
    Stands,
    Asks,
    Told,
    Below,
    Offer,
    Fill,
    #[serde(other)]
    Unknown,
}

pub(super) fn body(word: &FloorWord) -> Body {
    let plain = |is, floor| Body { is, floor, stage: None, last: false, marks: None };
    match word {
        FloorWord::Stands(stands) => Body { stage: Some(stands.stage), ..plain(What::Stands, stands.floor) },
        FloorWord::Asks(floor) => plain(What::Asks, *floor),
        FloorWord::Told(floor) => plain(What::Told, *floor),
        FloorWord::Below(floor) => plain(What::Below, *floor),
        FloorWord::Offer { floor, is_last, marks } => {
            let row = |(log, mark): &(LogId, Mark)| (log.stream, log.node, log.inc, mark.seq, mark.hash);
            let marks = Some(Bounded(marks.iter().map(row).collect()));
            Body { last: *is_last, marks, ..plain(What::Offer, *floor) }
        }
        FloorWord::Fill(floor) => plain(What::Fill, *floor),
    }
}

/// Returns what is said; nothing if it is of a later version.
pub(super) fn word(body: Body) -> Option<FloorWord> {
    let floor = body.floor;
    Some(match body.is {
        What::Stands => FloorWord::Stands(Stands { floor, stage: body.stage? }),
        What::Asks => FloorWord::Asks(floor),
        What::Told => FloorWord::Told(floor),
        What::Below => FloorWord::Below(floor),
        What::Offer => {
            let mark = |(stream, node, inc, seq, hash)| (LogId { stream, node, inc }, Mark { seq, hash });
            let marks = body.marks.map(|marks| marks.0).unwrap_or_default();
            FloorWord::Offer { floor, is_last: body.last, marks: marks.into_iter().map(mark).collect() }
        }
        What::Fill => FloorWord::Fill(floor),
        What::Unknown => return None,
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
