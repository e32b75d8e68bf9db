//! The house rules a machine can check, as tests: who may import whom, which words stand where, how long things get,
//! whether the map is true.
//!
//! Each check is a function from sources (as data) to findings, so each has its own test with a bad snippet. What tidy
//! says is law; what it cannot see is in `.github/CONTRIBUTING.md`. Run it alone with `cargo tidy`.

#[path = "tidy/events.rs"]
mod events;
#[path = "tidy/map.rs"]
mod map;
#[path = "tidy/rank.rs"]
mod rank;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tails.rs"]
mod tails;
#[path = "tidy/words.rs"]
mod words;

use source::{Finding, Tree};

#[test]
fn imports_go_down() {
    report(rank::check(&Tree::of_this_repository().sources));
}

#[test]
fn every_word_stands_where_it_may() {
    report(words::check(&Tree::of_this_repository().sources));
}

#[test]
fn nothing_new_is_too_long() {
    report(tails::check(&Tree::of_this_repository().sources, tails::ALREADY_LONG));
}

#[test]
fn the_map_is_true() {
    let tree = Tree::of_this_repository();
    let mut found = map::modules_say_what_they_are(&tree.sources);
    found.extend(map::architecture(&tree));
    report(found);
}

#[test]
fn every_page_has_its_template() {
    report(map::pairs(&Tree::of_this_repository()));
}

#[test]
fn every_event_kind_has_a_text_and_a_test() {
    report(events::check(&Tree::of_this_repository().sources));
}

fn report(findings: Vec<Finding>) {
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(lines.is_empty(), "{} untidy place(s):\n{}", lines.len(), lines.join("\n"));
}
