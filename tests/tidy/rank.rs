//! Imports go down: a module of `appliance/src` may name only modules of a lower rank, or its own.
//!
//! A path counts wherever it stands (`use` trees, code, macros) and however it begins (`crate::`, `super::super::`).
//! Code for tests is exempt. What would hide a layer from this check (re-exports from the root, a renamed `crate`) is
//! itself a finding.

use crate::source::{Finding, Source, WrittenPath};
use std::collections::BTreeSet;

/// The layers, lowest first. Modules on one line are neighbours and do not know each other.
/// `app` wires the parts, `cli` calls it, `main` calls that: they share the top of the house, one above the other.
const LAYERS: [&[&str]; 11] = [
    &["domain"],
    &["sys"],
    &["audio"],
    &["capture", "store"],
    &["access"],
    &["service"],
    &["fleet"],
    &["web"],
    &["app"],
    &["cli"],
    &["main"],
];

/// Folders whose files are neighbours too: one service never calls another, they meet in the store's change feed.
const STRANGERS_WITHIN: [&str; 1] = ["service"];

fn rank(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

pub fn check(sources: &[Source]) -> Vec<Finding> {
    let appliance: Vec<&Source> = sources.iter().filter(|source| source.path.starts_with("appliance/src/")).collect();
    let modules: BTreeSet<Vec<String>> = appliance.iter().flat_map(|source| modules_of(source)).collect();
    let mut found = BTreeSet::new();
    for source in appliance {
        found.extend(rankless(source));
        for path in source.written.iter().filter(|path| !source.is_test(path.at)) {
            found.extend(import(source, path, &modules));
        }
    }
    found.into_iter().collect()
}

/// The module a file is, and each module above it.
fn modules_of(source: &Source) -> Vec<Vec<String>> {
    let module = source.file_module();
    (1..=module.len()).map(|length| module[..length].to_vec()).collect()
}

fn rankless(source: &Source) -> Option<Finding> {
    let top = source.file_module().first().cloned()?;
    if rank(&top).is_some() {
        return None;
    }
    let text = format!("module `{top}` has no rank, so nothing guards it: give it its layer in tests/tidy/rank.rs");
    Some(source.finding(1, text))
}

fn import(source: &Source, path: &WrittenPath, modules: &BTreeSet<Vec<String>>) -> Option<Finding> {
    let line = path.at.line;
    if source.path.ends_with("src/lib.rs") && path.is_use {
        let text = "a re-export from the root hides which layer it comes from: import it where it is used";
        return Some(source.finding(line, text));
    }
    let from = source.module_at(path.at);
    let target = absolute(source, path, &from)?;
    let written = path.segments.join("::");
    let Some(to) = target.first() else {
        let text = format!("`{written}` renames the root, so imports cannot be read: write `crate::` in full");
        return Some(source.finding(line, text));
    };
    if to == "*" {
        let text = format!("`{written}` brings every layer at once: name what is meant");
        return Some(source.finding(line, text));
    }
    let own = from.first().map_or("main", String::as_str);
    if own == to {
        return stranger(source, line, &from, &target, modules);
    }
    let (mine, theirs) = (rank(own)?, rank(to)?);
    (theirs >= mine).then(|| {
        let why = if theirs == mine { "its neighbour" } else { "the layer above" };
        let text = format!(
            "`{written}`: {own} imports {to}, {why}; imports go down only. Move the shared part one layer below \
             both, or let the layer above both bring them together"
        );
        source.finding(line, text)
    })
}

/// A file of a folder of strangers that names a file beside it. The folder's own items (its trait) are for all.
fn stranger(
    source: &Source,
    line: usize,
    from: &[String],
    target: &[String],
    modules: &BTreeSet<Vec<String>>,
) -> Option<Finding> {
    let [top, me, ..] = from else { return None };
    let [_, other, ..] = target else { return None };
    let is_module = modules.contains(&target[..2].to_vec());
    if !STRANGERS_WITHIN.contains(&top.as_str()) || me == other || !is_module {
        return None;
    }
    let text = format!(
        "{top}/{me} imports {top}/{other}: services do not know each other. Write a record and let the other see it \
         in the store's change feed"
    );
    Some(source.finding(line, text))
}

/// The path from the crate's root, if it leads into this package; empty for the root itself.
fn absolute(source: &Source, path: &WrittenPath, from: &[String]) -> Option<Vec<String>> {
    let rest = &path.segments[1..];
    match path.segments[0].as_str() {
        "crate" => Some(rest.to_vec()),
        // The binary sees the library as a crate of its own.
        "rakkr" if source.path.ends_with("src/main.rs") => Some(rest.to_vec()),
        "self" => Some(from.iter().cloned().chain(rest.iter().cloned()).collect()),
        "super" => {
            let ups = path.segments.iter().take_while(|segment| *segment == "super").count();
            let kept = from.len().checked_sub(ups)?;
            Some(from[..kept].iter().cloned().chain(path.segments[ups..].iter().cloned()).collect())
        }
        _ => None,
    }
}

mod tests {
    use super::*;

    /// What the check says of `text` in `path`, in a house that has all layers and two services.
    fn findings(path: &str, text: &str) -> Vec<String> {
        let mut sources = vec![
            Source::parse("appliance/src/service/recorder.rs", ""),
            Source::parse("appliance/src/service/watch/mod.rs", ""),
        ];
        sources.push(Source::parse(path, text));
        check(&sources).iter().map(Finding::to_string).collect()
    }

    fn refuses(path: &str, text: &str) -> bool {
        findings(path, text).len() == 1
    }

    #[test]
    fn an_import_from_above_is_found_in_each_way_of_writing_it() {
        for text in [
            "use crate::web::Page;",
            "use crate::{domain::Id, web::{self, Page}};",
            "use crate::{domain::Id, fleet as f};",
            "fn f() { crate::web::render() }",
            "fn f() { info!(page = crate::web::NAME) }",
            "use super::super::web::Page;",
            "fn f() -> super::super::web::Page { todo() }",
            "mod inner { use super::super::super::web::Page; }",
            "#[cfg(not(test))] use crate::web::Page;",
        ] {
            assert!(!findings("appliance/src/store/tables.rs", text).is_empty(), "not refused: {text}");
        }
    }

    #[test]
    fn an_import_from_below_or_from_home_is_free() {
        for text in [
            "use crate::{domain::Id, audio::wav};",
            "use super::tables;",
            "mod inner { use super::super::tables; }",
            "use self::inner::Thing;",
            "use std::web::Thing;",
            "#[cfg(test)] mod tests { use crate::web::Page; }",
        ] {
            assert_eq!(findings("appliance/src/store/tables.rs", text), [""; 0], "refused: {text}");
        }
    }

    #[test]
    fn capture_and_store_do_not_know_each_other() {
        assert!(refuses("appliance/src/capture/mod.rs", "use crate::store::Store;"));
        assert!(refuses("appliance/src/store/mod.rs", "use crate::capture::Take;"));
    }

    #[test]
    fn one_service_does_not_know_another_but_all_know_their_trait() {
        assert!(refuses("appliance/src/service/notify.rs", "use crate::service::recorder::Recorder;"));
        assert!(refuses("appliance/src/service/notify.rs", "use super::watch;"));
        assert!(!refuses("appliance/src/service/notify.rs", "use super::Worker;"));
        assert!(!refuses("appliance/src/service/mod.rs", "use self::recorder::Recorder;"));
        assert!(!refuses("appliance/src/service/watch/disk.rs", "use super::super::watch::Limit;"));
    }

    #[test]
    fn what_hides_a_layer_is_found() {
        assert!(refuses("appliance/src/lib.rs", "pub use web::Page;"));
        assert!(refuses("appliance/src/domain/mod.rs", "use crate as house;"));
        assert!(refuses("appliance/src/domain/mod.rs", "use crate::*;"));
        assert!(refuses("appliance/src/attic.rs", ""));
    }

    #[test]
    fn the_binary_may_name_everything_and_nobody_names_it() {
        assert!(!refuses("appliance/src/main.rs", "fn main() { rakkr::cli::run() }"));
        assert!(refuses("appliance/src/cli/mod.rs", "use crate::main::Thing;"));
        assert!(refuses("appliance/src/app.rs", "use crate::cli::Arguments;"));
    }

    #[test]
    fn a_finding_says_where_what_and_what_to_do() {
        let found = findings("appliance/src/domain/mod.rs", "//! Nouns.\nuse crate::sys::clock;");

        assert_eq!(
            found,
            [
                "appliance/src/domain/mod.rs:2: `crate::sys::clock`: domain imports sys, the layer above; imports go down \
             only. Move the shared part one layer below both, or let the layer above both bring them together"
            ]
        );
    }
}
