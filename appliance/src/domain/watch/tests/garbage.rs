//! Whatever is observed, the watch keeps its word: one incident per kind and target, opened before closed, bounded.

use proptest::prelude::*;

use super::*;
use crate::domain::{GapCause, TakeId};

fn any_level() -> impl Strategy<Value = f32> {
    prop_oneof![Just(f32::NAN), Just(f32::NEG_INFINITY), Just(f32::INFINITY), -120.0f32..0.0]
}

fn any_seconds() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(f64::NAN), Just(-1.0), Just(f64::INFINITY), Just(1e300), 0.0f64..100.0]
}

fn any_total() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(u64::MAX), 0u64..10]
}

fn any_signal() -> impl Strategy<Value = Signal> {
    let levels = (any_level(), prop::option::of(any_level()), prop::option::of(any_level()));
    (levels, any_seconds(), any_total(), any::<(bool, bool)>(), prop::option::of(Just(50_u16))).prop_map(
        |((rms_dbfs, noise_floor_dbfs, dc_offset), digital_zero_s, clipped_total, (is_speech, is_flat), hum_hz)| {
            Signal {
                rms_dbfs,
                noise_floor_dbfs,
                is_speech,
                digital_zero_s,
                clipped_total,
                is_clipped_upstream: is_flat,
                dc_offset,
                hum_hz,
            }
        },
    )
}

fn any_channel() -> impl Strategy<Value = ChannelFacts> {
    let roles = prop::sample::select(vec![Role::Mic, Role::Mix, Role::Feed, Role::Spare]);
    let expects = prop::sample::select(vec![Expects::Nothing, Expects::Signal, Expects::Speech]);
    (any::<u16>(), roles, expects, any::<bool>(), prop::option::of(any_signal())).prop_map(
        |(number, role, expects, is_connected, signal)| ChannelFacts {
            number: number % 4,
            role,
            expects,
            is_connected,
            signal,
        },
    )
}

fn any_capture() -> impl Strategy<Value = CaptureFacts> {
    let frames = prop::sample::select(vec![Frames::Arriving, Frames::NotMeasured, Frames::Stopped]);
    let lost = prop::collection::btree_map(prop::sample::select(GapCause::ALL.to_vec()), any_total(), 0..4);
    let pair = (any_seconds(), any_seconds()).prop_map(|(inverted_s, duplicate_s)| PairFacts {
        channels: (1, 2),
        inverted_s,
        duplicate_s,
    });
    let channels = prop::collection::vec(any_channel(), 0..5);
    (any::<bool>(), frames, lost, any_total(), channels, prop::collection::vec(pair, 0..2)).prop_map(
        |(is_jack_connected, frames, lost_frames, xruns, channels, pairs)| CaptureFacts {
            is_jack_connected,
            frames,
            lost_frames,
            xruns,
            channels,
            pairs,
        },
    )
}

fn any_observation() -> impl Strategy<Value = Observation> {
    let states = vec![DiskState::Writing, DiskState::Stalled, DiskState::Full, DiskState::Failing];
    let disk = (prop::sample::select(states), prop::option::of(any_seconds()))
        .prop_map(|(state, hours_left)| DiskFacts { state, hours_left });
    let quality = prop::sample::select(vec![ClockQuality::Unset, ClockQuality::Ntp]);
    let clock = (quality, any_total(), any_seconds()).prop_map(|(quality, steps, last_step_s)| ClockFacts {
        quality,
        steps,
        last_step_s,
    });
    let renders = prop::collection::btree_set(any::<[u8; 10]>().prop_map(|bytes| TakeId::new(wall(0), bytes)), 0..3);
    (prop::option::of(any_capture()), prop::option::of(disk), clock, renders)
        .prop_map(|(capture, disk, clock, failed_renders)| Observation { capture, disk, clock, failed_renders })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_observations_keep_one_incident_per_kind_and_target(
        rounds in prop::collection::vec((any_observation(), 1u64..40, 0u64..5_000_000), 1..30),
    ) {
        let mut watch = Watch::default();
        let mut open = BTreeSet::new();
        let mut now_us = 0;
        for (seen, repeats, step_us) in rounds {
            for _ in 0..repeats {
                now_us += step_us;
                for change in watch.observe(Moment { mono_us: now_us, wall: wall(now_us) }, &seen) {
                    let incident = change.incident();
                    let key = (incident.kind, incident.target);
                    match change {
                        Change::Opened(_) => prop_assert!(open.insert(key), "{:?} opened twice", key),
                        Change::Updated(_) => prop_assert!(open.contains(&key)),
                        Change::Closed(_) => prop_assert!(open.remove(&key), "{:?} closed twice", key),
                    }
                }
                prop_assert_eq!(watch.open().count(), open.len());
                let node_cells = IncidentKind::ALL.len();
                prop_assert!(watch.cells() <= node_cells + 4 * 7 + 2 + 3 * 2, "{} cells", watch.cells());
            }
        }
    }
}
