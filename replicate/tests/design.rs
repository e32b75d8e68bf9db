//! `DESIGN.md` is true where a machine can tell: it names every source file, and nothing that is not there.

use std::path::Path;

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
            found.push(name);
        }
    }
}

#[test]
fn the_map_names_every_source_and_only_what_exists() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let design = std::fs::read_to_string(top.join("DESIGN.md")).unwrap();
    let words: Vec<&str> = design.split('`').skip(1).step_by(2).collect();
    let is_path = |word: &&&str| word.contains('/') && (word.ends_with(".rs") || word.ends_with('/'));
    for path in words.iter().filter(is_path) {
        assert!(top.join(path).exists() || top.join("..").join(path).exists(), "{path} does not exist");
    }
    let mut all = Vec::new();
    sources(&top.join("src"), &mut all);
    for path in all.iter().filter(|path| !path.ends_with("lib.rs") && !path.ends_with("mod.rs")) {
        assert!(words.contains(&path.as_str()), "{path} is not in the map");
    }
}

#[cfg(feature = "disk")]
#[test]
fn the_limits_are_the_ones_written_down() {
    use replicate::core::{election, entry, exchange, fence, floor, flow, index, log, message, session, wire, write};
    use replicate::disk::{self, feed, place, store};
    let design = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("DESIGN.md")).unwrap();
    let limits = design.split("## Limits").nth(1).unwrap();
    let thousands = |number: usize| match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", number / 1000, number % 1000),
    };
    for row in [
        format!("| entry | {} KiB, nesting {} |", entry::ENTRY_BYTES_MAX / 1024, entry::NESTING_MAX),
        format!("indexes | {} of", entry::NAME_BYTES_MAX),
        format!("| {}, {} bytes |", entry::BY_BYTES_MAX, thousands(entry::WHY_BYTES_MAX)),
        format!("| versions one entry names | {} |", entry::REPLACED_MAX),
        format!("| sequence, Lamport | 2^{} |", entry::COUNT_MAX.ilog2()),
        format!("| acts in a batch | {} |", write::BATCH_ACTS_MAX),
        format!("| dooms | {} |", thousands(log::DOOMS_MAX as usize)),
        format!("| entries that fence | {} |", thousands(fence::FENCINGS_MAX)),
        format!("| writers one floor speaks of | {} |", floor::WRITERS_MAX),
        format!("| rows that leave in one step | {} |", thousands(floor::collect::STEP)),
        format!("| {} entries, {} KiB |", exchange::EXPORT_ENTRIES_MAX, exchange::EXPORT_BYTES_MAX / 1024),
        format!("| {} MiB raw, a hello {} KiB |", wire::MESSAGE_BYTES_MAX >> 20, wire::HELLO_BYTES_MAX >> 10),
        format!("| vector's part | {} marks |", thousands(message::VECTOR_MARKS_MAX)),
        format!(
            "| {}, {}, {} KiB |",
            thousands(flow::WINDOW_INITIAL as usize >> 10),
            thousands(flow::WINDOW_MAX as usize >> 10),
            flow::SEC_RESERVE >> 10
        ),
        format!("| batches under way | {} |", session::BATCHES_MAX),
        format!("| logs a session follows | {} |", thousands(session::LOGS_MAX)),
        format!("| outputs not taken | {} |", thousands(session::OUTPUTS_MAX)),
        format!("| queue | {} entries |", thousands(store::QUEUE_ENTRIES_MAX)),
        format!("| feed | {} changes |", thousands(feed::FEED_MAX)),
        format!("| scan | {} hits |", thousands(store::SCAN_MAX)),
        format!("| user's index key | {} bytes |", index::KEY_BYTES_MAX),
        format!("| messages held back by a store | {} |", thousands(election::HELD_BACK_MAX)),
        format!("| members named as not heard | {} |", election::AWAY_MAX),
        format!("| epoch | 2^{} |", election::EPOCH_MAX.ilog2()),
        format!("| {}, {}, {} |", store::REFUSALS_MAX, disk::FORKS_MAX, place::ASIDE_MAX),
    ] {
        assert!(limits.contains(&row), "DESIGN.md does not say: {row}");
    }
}

#[cfg(feature = "net")]
#[test]
fn the_limits_of_links_are_the_ones_written_down() {
    use replicate::net;
    let design = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("DESIGN.md")).unwrap();
    for row in [
        format!("| waiting for a socket | 1,{:03} KiB |", net::OUT_BYTES_MAX / 1024 - 1000),
        format!("| {}, 16,{} KiB |", net::LINK_HEARD_BYTES_MAX / 1024, net::HEARD_BYTES_MAX / 1024 - 16_000),
        format!("| {}, 1,{:03} KiB |", net::FRAME_BYTES_MAX / 1024, net::MESSAGE_BYTES_MAX / 1024 - 1000),
        format!("| links that say hello at once | {} |", net::GREETING_MAX),
        format!("| people's wishes that wait for the hub | {} |", net::COMMANDS_MAX),
        format!("| links beyond the user's limit, coming and going | {} |", net::LEAVING_MAX),
    ] {
        assert!(design.contains(&row), "DESIGN.md does not say: {row}");
    }
}
