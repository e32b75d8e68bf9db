//! Real hubs over pipes and loopback TCP: what is written on one is on all, strangers cost little, and links end well.

mod fleet;
mod house;

use fleet::*;

#[test]
fn what_one_writes_is_on_the_other() {
    let fleet = Fleet::new();
    let (one, two) = (fleet.node(1), fleet.node(2));
    one.label(1, "before the link");
    let links = fleet.pipe(&one, &two);
    two.until("what was there", |_| two.value("plan", 1, "label").is_some());
    two.label(2, "while it is up");
    one.until_like(&two);

    assert_eq!(one.value("plan", 2, "label").as_deref(), Some("\"while it is up\""));
    drop(links);
}
