//! The map is true: `appliance/ARCHITECTURE.md` names what exists, all of it, and each module says what it is.
//!
//! A path in the map is a word in backticks with a slash or a source file's ending; it is looked for from the top, from
//! `appliance/` and from `appliance/src/`. Paths of the running machine (`/etc/…`, `takes/<id>/…`) are none of ours.

use crate::source::{Finding, Source, Tree};
use std::collections::BTreeSet;

const MAP: &str = "appliance/ARCHITECTURE.md";
const ENDINGS: [&str; 8] = [".rs", ".md", ".toml", ".html", ".ts", ".css", ".service", ".sh"];

/// Each Rust file begins with `//!`, except the `tests.rs` beside a module, which tells the same story.
pub fn modules_say_what_they_are(sources: &[Source]) -> Vec<Finding> {
    let is_silent =
        |source: &&Source| !source.lines.iter().find(|l| !l.is_empty()).is_some_and(|l| l.starts_with("//!"));
    let is_story = |source: &&Source| !source.path.ends_with("/tests.rs");
    let text = "begins without `//!`: say what lives here, what does not, and what it may assume";
    sources.iter().filter(is_story).filter(is_silent).map(|source| source.finding(1, text)).collect()
}

/// Every path named in the map exists, every module of the appliance is named.
pub fn architecture(tree: &Tree) -> Vec<Finding> {
    let finding = |line, text| Finding { file: MAP.to_string(), line, text };
    let Some(map) = &tree.architecture else {
        return vec![finding(1, "is missing: a stranger has no map of the house, write one".to_string())];
    };
    let quoted = in_backticks(map);
    let mut found = Vec::new();
    for (line, word) in quoted.iter().filter(|(_, word)| is_path(word) && !exists(tree, word)) {
        found.push(finding(*line, format!("`{word}` does not exist: correct the name, or write what takes its place")));
    }
    let named: BTreeSet<&str> = quoted.iter().filter_map(|(_, word)| module_named_by(word)).collect();
    for module in modules(tree).iter().filter(|module| !named.contains(module.as_str())) {
        found.push(finding(1, format!("does not name `{module}`: say in a line what lives in appliance/src/{module}")));
    }
    found
}

/// Every page is a Rust file and a template of one name.
pub fn pairs(tree: &Tree) -> Vec<Finding> {
    const CODE: &str = "appliance/src/web/pages/";
    const TEMPLATES: &str = "web-assets/templates/pages/";
    let names = |folder: &str, ending: &str| -> BTreeSet<String> {
        let inside = tree.paths.iter().filter_map(|path| path.strip_prefix(folder)).filter(|rest| !rest.contains('/'));
        // What pages share is no page.
        let inside = inside.filter(|rest| !["mod.rs", "parts"].contains(rest));
        inside.map(|rest| rest.trim_end_matches(ending).to_string()).collect()
    };
    let (code, templates) = (names(CODE, ".rs"), names(TEMPLATES, ".html"));
    let lone = |folder: &str, name: &String, ending: &str, text: &str| Finding {
        file: format!("{folder}{name}{ending}"),
        line: 1,
        text: format!("{text} of the same name: one page is one file and one template"),
    };
    let bare_code = code.difference(&templates).map(|name| lone(CODE, name, ".rs", "has no template"));
    let bare_templates = templates.difference(&code).map(|name| lone(TEMPLATES, name, ".html", "has no page"));
    bare_code.chain(bare_templates).collect()
}

/// The words between backticks (also those of fenced blocks), each with its line.
fn in_backticks(text: &str) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    let mut line = 1;
    for (index, part) in text.split('`').enumerate() {
        let start = line;
        line += part.matches('\n').count();
        if index % 2 == 0 {
            continue;
        }
        for (at, row) in (start..).zip(part.split('\n')) {
            words.extend(row.split_whitespace().map(|word| (at, word.trim_matches(',').to_string())));
        }
    }
    words
}

fn is_path(word: &str) -> bool {
    let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    is_plain && !word.starts_with('/') && (word.contains('/') || ENDINGS.iter().any(|ending| word.ends_with(ending)))
}

fn exists(tree: &Tree, word: &str) -> bool {
    let word = word.trim_end_matches('/');
    ["", "appliance/", "appliance/src/"].iter().any(|from| tree.paths.contains(&format!("{from}{word}")))
}

/// The modules directly under `appliance/src`; `lib.rs` is the list of them.
fn modules(tree: &Tree) -> BTreeSet<String> {
    let under = tree.paths.iter().filter_map(|path| path.strip_prefix("appliance/src/"));
    let tops = under.filter(|rest| !rest.contains('/') && *rest != "lib.rs");
    tops.map(|rest| rest.trim_end_matches(".rs").to_string()).collect()
}

fn module_named_by(word: &str) -> Option<&str> {
    let inside = word.strip_prefix("appliance/").unwrap_or(word);
    inside.strip_prefix("src/").unwrap_or(inside).split('/').next().map(|first| first.trim_end_matches(".rs"))
}

mod tests {
    use super::*;

    fn house(architecture: &str, paths: &[&str]) -> Tree {
        let paths = paths.iter().map(|path| path.to_string()).collect();
        Tree { sources: Vec::new(), paths, architecture: Some(architecture.to_string()) }
    }

    fn found(tree: &Tree) -> Vec<String> {
        architecture(tree).iter().map(Finding::to_string).collect()
    }

    const PATHS: [&str; 5] =
        ["systemd", "appliance/src/lib.rs", "appliance/src/main.rs", "appliance/src/web", "appliance/src/web/live.rs"];

    #[test]
    fn a_true_map_passes() {
        for text in [
            "`main.rs` starts, `web/` shows, `web/live.rs` streams; see `systemd/`, `/etc/rakkr`, `takes/<id>/take.jsonl`",
            "```\nmain web   everything\n```\nand `appliance/src/web/live.rs`",
        ] {
            assert_eq!(found(&house(text, &PATHS)), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_path_that_is_gone_is_found() {
        let found = found(&house("`main` and\n`web/dead.rs`", &PATHS));

        assert_eq!(
            found,
            [
                "appliance/ARCHITECTURE.md:2: `web/dead.rs` does not exist: correct the name, or write what takes its place"
            ]
        );
    }

    #[test]
    fn a_module_the_map_forgot_is_found() {
        let found = found(&house("`main` starts. The web is not in backticks.", &PATHS));

        assert_eq!(
            found,
            ["appliance/ARCHITECTURE.md:1: does not name `web`: say in a line what lives in appliance/src/web"]
        );
    }

    #[test]
    fn a_house_without_a_map_is_found() {
        let tree = Tree { architecture: None, ..house("", &PATHS) };

        assert_eq!(found(&tree).len(), 1);
    }

    #[test]
    fn a_module_that_does_not_say_what_it_is_is_found() {
        let silent = ["", "// Not docs.\nfn f() {}", "use std::fs;\n"];
        let sources: Vec<Source> = silent.iter().map(|text| Source::parse("appliance/src/a.rs", text)).collect();

        assert_eq!(modules_say_what_they_are(&sources).len(), silent.len());
        assert_eq!(modules_say_what_they_are(&[Source::parse("appliance/src/a.rs", "\n//! Nouns.\n")]), []);
        assert_eq!(modules_say_what_they_are(&[Source::parse("appliance/src/a/tests.rs", "use super::*;\n")]), []);
    }

    #[test]
    fn a_page_without_its_template_and_the_reverse_are_found() {
        let [page, template] = ["appliance/src/web/pages/room.rs", "web-assets/templates/pages/room.html"];

        assert_eq!(pairs(&house("", &[page, template, "appliance/src/web/pages/mod.rs"])), []);
        assert_eq!(pairs(&house("", &[page])).len(), 1);
        assert_eq!(pairs(&house("", &[template])).len(), 1);
    }
}
