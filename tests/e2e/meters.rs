//! Meters never lie: no signal data means "no data", not silence and not the last value.

use crate::harness::*;
use serde_json::Value;

/// Meter frames in a second.
const A_SECOND: usize = 20;

#[test]
fn a_port_that_is_gone_shows_no_data_within_a_second() {
    let room = Room::new(Plan { channels: 1, ..Plan::default() });
    let mut meters = room.appliance.meters();
    assert!(meters.by_ref().take(5).any(|frame| peak(&frame).is_some_and(|level| level > -1.0)), "the tags are loud");
    room.feed.remove_port(1);
    let until_known = meters.by_ref().take(A_SECOND + 2).position(|frame| has_no_data(&frame));
    assert!(until_known.is_some(), "a second later there are still levels");
    let invented: Vec<_> = meters.by_ref().take(10).filter(|frame| !has_no_data(frame)).collect();
    assert!(invented.is_empty(), "{invented:?}");
    room.feed.restore_port(1);
    assert!(meters.take(2 * A_SECOND).any(|frame| peak(&frame).is_some()), "the port is back and heard");
}

#[test]
fn a_server_that_is_gone_shows_no_data_within_a_second() {
    let mut room = Room::usual();
    let mut meters = room.appliance.meters();
    assert!(meters.by_ref().take(5).any(|frame| peak(&frame).is_some()));
    room.server.kill_hard();
    let until_known = meters.by_ref().take(A_SECOND + 2).position(|frame| has_no_data(&frame));
    assert!(until_known.is_some(), "a second later there are still levels");
    assert!(meters.take(5).all(|frame| has_no_data(&frame)));
}

/// The first channel's level.
fn peak(frame: &Value) -> Option<f64> {
    frame["channels"][0]["peak_dbfs"].as_f64()
}

/// It says so, for the frame or for the channel, and gives no level beside it.
fn has_no_data(frame: &Value) -> bool {
    let says_so = frame["status"] == "no_data" || frame["channels"][0]["status"] == "no_data";
    says_so && peak(frame).is_none() && frame["channels"][0]["rms_dbfs"].is_null()
}
