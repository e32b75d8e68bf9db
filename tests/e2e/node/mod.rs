//! The node: what people and programs see of it, and what happens to it.

mod contract;
mod strangers;
mod sudden_ends;

use crate::harness::*;

/// A room whose recorder runs, with a claimed node beside it.
fn room_with_node() -> (Room, Node) {
    let room = Room::usual();
    let node = Node::claimed(&room.server.name, &room.appliance.data, &[]);
    (room, node)
}
