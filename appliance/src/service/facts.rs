//! From a take on disk, or an order, to what the records keep of it. Pure but for [`bytes_of`], which asks for file sizes.

use jiff::Timestamp;

use crate::capture::take::TakeFolder;
use crate::domain::{Channels, Order, TakeId, TakeInfo, TakeState};
use crate::store::recordings::Facts;
use crate::store::rooms::ChannelLabel;

/// The most labels of marks that are kept with a record; the take has all.
const MARKS_MAX: usize = 200;

/// Of a take, whose segments have so many bytes.
pub fn facts_of_take(info: &TakeInfo, bytes: u64) -> Facts {
    let missing: u64 = info.gaps.iter().map(|gap| gap.frames).fold(0, u64::saturating_add);
    let peak = info.measured.iter().map(|measured| measured.peak_dbfs).filter(|peak| peak.is_finite());
    Facts {
        state: info.state,
        title: info.title.clone(),
        started_at: info.started_at,
        clock_quality: info.clock_quality,
        sample_rate: info.sample_rate,
        duration_seconds: info.duration_seconds,
        channels: info.channels.iter().map(|channel| (channel.number, channel.label.clone())).collect(),
        ports: info.channels.iter().map(|channel| channel.port.clone()).collect(),
        gaps: (u32::try_from(info.gaps.len()).unwrap_or(u32::MAX), missing as f64 / f64::from(info.sample_rate.max(1))),
        marks: info.marks.iter().take(MARKS_MAX).map(|mark| mark.label.clone()).collect(),
        peak_dbfs: peak.reduce(f32::max),
        bytes,
        is_gone: false,
        was_replaced: false,
    }
}

/// Gives channels the names people gave them: those the record has already, else those said of the node's channels now.
/// A name that is changed later is that of later recordings.
pub fn name_channels(facts: &mut Facts, known: Option<&Facts>, said: &[ChannelLabel]) {
    let known = known.filter(|known| known.state != TakeState::Scheduled);
    for (number, name) in &mut facts.channels {
        let before = known.and_then(|known| known.channels.iter().find(|(other, _)| other == number));
        let now = said.iter().find(|label| label.number == *number && !label.label.is_empty());
        let better = before.map(|(_, name)| name).or(now.map(|label| &label.label));
        if let Some(better) = better {
            name.clone_from(better);
        }
    }
}

/// Of an order that has not begun.
pub fn facts_of_order(order: &Order) -> Facts {
    Facts { duration_seconds: order.planned_seconds().unwrap_or(0.0), ..facts_of_take(&TakeInfo::scheduled(order), 0) }
}

/// Of a take whose log cannot be read; what was known before stays.
pub fn facts_of_damaged(id: TakeId, before: Option<Facts>) -> Facts {
    let title = |known: &str| match known {
        "" => "Damaged recording".to_owned(),
        known if known.starts_with("Damaged recording") => known.to_owned(),
        known => format!("Damaged recording: {known}"),
    };
    match before {
        Some(facts) => Facts { state: TakeState::Failed, title: title(&facts.title), is_gone: false, ..facts },
        None => Facts {
            state: TakeState::Failed,
            title: title(""),
            ..facts_of_order(&Order {
                id,
                title: String::new(),
                channels: Channels::All,
                start: made_at(id),
                stop: None,
                length_seconds: None,
                pre_roll_seconds: 0.0,
                stored_as: crate::domain::order::StoredAs::Pcm24,
            })
        },
    }
}

/// Of what was ordered and never began: missed or cancelled.
pub fn facts_of_missed(before: Facts) -> Facts {
    Facts { state: TakeState::Failed, duration_seconds: 0.0, is_gone: true, ..before }
}

/// Of what lay on a box that was replaced, and did not come here: what ran ended with it.
pub fn facts_of_replaced(before: Facts) -> Facts {
    let state = match before.state {
        TakeState::Recording | TakeState::Paused | TakeState::Finishing => TakeState::Incomplete,
        state @ (TakeState::Scheduled | TakeState::Ready | TakeState::Incomplete | TakeState::Failed) => state,
    };
    Facts { state, is_gone: true, was_replaced: true, ..before }
}

/// When the id was made, to the millisecond: all that is known of a take that cannot be read.
pub fn made_at(id: TakeId) -> Timestamp {
    let made = uuid::Uuid::try_parse(&id.to_string()).ok().and_then(|id| id.get_timestamp());
    let (seconds, nanos) = made.map(|made| made.to_unix()).unwrap_or_default();
    let at = i64::try_from(seconds).ok().and_then(|s| Timestamp::new(s, i32::try_from(nanos).unwrap_or(0)).ok());
    at.unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Bytes of all segments as they lie on disk.
pub fn bytes_of(folder: &TakeFolder, info: &TakeInfo) -> u64 {
    let size = |file: &str| std::fs::metadata(folder.segment(file)).map_or(0, |meta| meta.len());
    info.segments.iter().map(|segment| size(&segment.file)).sum()
}

/// Whether two say the same but for what grows while recording.
pub fn differ_only_in_length(a: &Facts, b: &Facts) -> bool {
    let fixed = |facts: &Facts| Facts {
        duration_seconds: 0.0,
        bytes: 0,
        peak_dbfs: None,
        gaps: (facts.gaps.0, 0.0),
        ..facts.clone()
    };
    a.state == TakeState::Recording && fixed(a) == fixed(b)
}
