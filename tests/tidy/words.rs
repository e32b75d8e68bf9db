//! Some words may stand in one room only: the clock, the database, JACK, printing, the async runtime.
//!
//! And three words need a reason in writing above them (`unwrap`, `expect`, `unsafe`), or may not stand at all on the
//! recording path. Words are looked for in paths and tokens, never in comments or strings.

use crate::source::{Finding, Source, WrittenPath};
use std::collections::BTreeSet;

/// Which code a rule looks at.
#[derive(Clone, Copy, PartialEq)]
enum Code {
    Shipped,
    Tests,
    All,
}

/// Words and where they may not stand. `a::b` is found anywhere in a path, `a::` only as the crate it begins with.
struct Rule {
    words: &'static [&'static str],
    /// If given, the only files and folders where the words may stand.
    only: &'static [&'static str],
    /// Files and folders where they may not stand; together with an empty `only`, they may stand elsewhere.
    never: &'static [&'static str],
    code: Code,
    why: &'static str,
}

const RULES: [Rule; 10] = [
    Rule {
        words: &["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now", "Uuid::now_v7"],
        only: &["appliance/src/sys/clock.rs"],
        never: &[],
        code: Code::Shipped,
        why: "`now` is an argument and only sys::clock asks the machine: take it as a parameter",
    },
    Rule {
        words: &["rand::", "getrandom::", "Uuid::new_v4"],
        only: &["appliance/src/sys/"],
        never: &[],
        code: Code::Shipped,
        why: "chance is an argument: take the number, or a seeded generator, as a parameter",
    },
    Rule {
        words: &["redb::"],
        only: &["appliance/src/store/", "replicate/src/disk.rs"],
        never: &[],
        code: Code::Shipped,
        why: "the database stays behind the store: ask a repository",
    },
    Rule {
        // DESIGN.md section 3 places the JACK client in capture; HOUSE-STYLE's `audio/jack.rs` is an older name for it.
        words: &["jack::", "jack_sys::"],
        only: &["appliance/src/capture/jack/", "appliance/src/capture/jack.rs"],
        never: &[],
        code: Code::Shipped,
        why: "JACK stays behind capture/jack: pass plain samples and frame times up \
              (our own module is written `self::jack` or `super::jack`)",
    },
    Rule {
        words: &["tokio::"],
        only: &[],
        never: &["appliance/src/domain", "appliance/src/audio", "appliance/src/capture", "replicate/src/core"],
        code: Code::All,
        why: "no async here, a tape must run without a runtime: be a plain function or a thread",
    },
    Rule {
        words: &["std::net", "rustls::", "axum::", "reqwest::", "hyper::", "tokio_tungstenite::"],
        only: &[],
        never: &["appliance/src/capture"],
        code: Code::Shipped,
        why: "nothing on a network may stop a tape: the node process talks to the world",
    },
    Rule {
        words: &["std::fs", "std::net", "std::process", "std::env", "std::thread"],
        only: &[],
        never: &["appliance/src/domain", "replicate/src/core"],
        code: Code::Shipped,
        why: "decisions without I/O can be simulated: take the facts as arguments",
    },
    Rule {
        words: &["std::thread", "std::net", "std::process", "std::env"],
        only: &[],
        never: &["appliance/src/audio"],
        code: Code::Shipped,
        why: "audio is samples in, facts out: the caller owns threads and settings",
    },
    Rule {
        words: &["println!", "print!", "eprintln!", "eprint!", "dbg!"],
        only: &["appliance/src/cli/"],
        never: &[],
        code: Code::Shipped,
        why: "only cli/ prints: log with tracing, or return the text",
    },
    Rule {
        words: &["thread::sleep"],
        // The harness repeats a look at another process until it holds or a limit is reached; that pause is all.
        only: &["tests/harness/"],
        never: &[],
        code: Code::Tests,
        why: "a test that sleeps is slow and still a guess: advance the clock, or wait for a condition with a limit",
    },
];

pub fn check(sources: &[Source]) -> Vec<Finding> {
    let found: BTreeSet<Finding> = sources.iter().flat_map(in_source).collect();
    found.into_iter().collect()
}

fn in_source(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for rule in RULES.iter().filter(|rule| rule.forbids(&source.path)) {
        for word in rule.words {
            let places = places(source, word).into_iter().filter(|at| rule.looks_at(source.is_test(*at)));
            found.extend(places.map(|at| source.finding(at.line, format!("`{word}`: {}", rule.why))));
        }
    }
    found.extend(panics(source));
    found.extend(unsafes(source));
    found
}

impl Rule {
    fn forbids(&self, path: &str) -> bool {
        let stands_in = |rooms: &[&str]| rooms.iter().any(|room| path.starts_with(room));
        if self.only.is_empty() { stands_in(self.never) } else { !stands_in(self.only) }
    }

    fn looks_at(&self, is_test: bool) -> bool {
        match self.code {
            Code::Shipped => !is_test,
            Code::Tests => is_test,
            Code::All => true,
        }
    }
}

fn places(source: &Source, word: &str) -> Vec<proc_macro2::LineColumn> {
    if let Some(name) = word.strip_suffix('!') {
        let macros = source.tokens.windows(2).filter(|pair| pair[0].0 == name && pair[1].0 == "!");
        return macros.map(|pair| pair[0].1).collect();
    }
    source.written.iter().filter(|path| says(path, word)).map(|path| path.at).collect()
}

fn says(path: &WrittenPath, word: &str) -> bool {
    if let Some(name) = word.strip_suffix("::") {
        return path.segments[0] == name;
    }
    let words: Vec<&str> = word.split("::").collect();
    path.segments.windows(words.len()).any(|part| part == words.as_slice())
}

/// `unwrap` and `expect` without a reason, and anything on the recording path that could end the process.
fn panics(source: &Source) -> Vec<Finding> {
    let is_recording_path = source.path.starts_with("appliance/src/capture");
    let mut found = Vec::new();
    for (index, (word, at)) in source.tokens.iter().enumerate().filter(|(_, token)| !source.is_test(token.1)) {
        let next = source.tokens.get(index + 1).map_or("", |token| token.0.as_str());
        let before = index.checked_sub(1).map_or("", |index| source.tokens[index].0.as_str());
        // `.unwrap()` and `Option::unwrap` handed on as a function.
        let is_unwrap = ["unwrap", "expect"].contains(&word.as_str())
            && ((before == "." && next == "(") || (before == ":" && next != ":"));
        let is_panic = ["panic", "unreachable", "todo", "unimplemented"].contains(&word.as_str()) && next == "!";
        let text = match (is_unwrap, is_panic) {
            (true, _) if is_recording_path => format!("`{word}` on the recording path ends a take: return the error"),
            (_, true) if is_recording_path => format!("`{word}!` on the recording path ends a take: return an error"),
            (true, _) if source.comment_above(at.line).is_none() => {
                format!("`{word}` without its reason: say in a comment above why it cannot fail, or return the error")
            }
            _ => continue,
        };
        found.push(source.finding(at.line, text));
    }
    found
}

fn unsafes(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, (_, at)) in source.tokens.iter().enumerate().filter(|(_, token)| token.0 == "unsafe") {
        if is_function_type(&source.tokens[index + 1..]) {
            continue;
        }
        let reason = source.comment_above(at.line).unwrap_or_default();
        if !reason.contains("SAFETY") && !reason.contains("# Safety") {
            let text = "`unsafe` without `// SAFETY:` above it: write what the compiler cannot know and why it holds";
            found.push(source.finding(at.line, text));
        }
    }
    found
}

/// `unsafe extern "C" fn(…)` names a type and promises nothing.
fn is_function_type(after: &[(String, proc_macro2::LineColumn)]) -> bool {
    let words: Vec<&str> =
        after.iter().map(|token| token.0.as_str()).filter(|word| *word != "extern" && !word.starts_with('"')).collect();
    words.starts_with(&["fn", "("])
}

mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<Finding> {
        check(&[Source::parse(path, text)])
    }

    fn refuses(path: &str, text: &str) -> bool {
        findings(path, text).len() == 1
    }

    #[test]
    fn the_clock_is_asked_in_one_file() {
        for text in [
            "fn f() { std::time::Instant::now(); }",
            "fn f() { debug!(at = ?SystemTime::now()) }",
            "fn f() { jiff::Timestamp::now() }",
            "fn f() { Zoned::now() }",
        ] {
            assert!(refuses("appliance/src/service/watch.rs", text), "{text}");
            assert!(!refuses("appliance/src/sys/clock.rs", text), "{text}");
            assert!(!refuses("tests/e2e/main.rs", text), "{text}");
        }
    }

    #[test]
    fn each_library_stays_in_its_room() {
        for (elsewhere, at_home, text) in [
            ("appliance/src/web/api.rs", "appliance/src/store/mod.rs", "use redb::Database;"),
            ("replicate/src/core/mod.rs", "replicate/src/disk.rs", "use {redb as r};"),
            ("appliance/src/capture/engine.rs", "appliance/src/capture/jack/client.rs", "use jack::Client;"),
            ("appliance/src/audio/jack.rs", "appliance/src/capture/jack/mod.rs", "fn f() { jack_sys::g() }"),
            ("appliance/src/audio/wav.rs", "appliance/src/sys/rng.rs", "fn f() { rand::random() }"),
            ("appliance/src/capture/engine.rs", "appliance/src/web/live.rs", "use {tokio::sync::mpsc};"),
            ("replicate/src/core/mod.rs", "replicate/src/net.rs", "#[cfg(test)] mod t { use tokio::test; }"),
            ("appliance/src/capture/socket.rs", "appliance/src/web/live.rs", "use std::net::TcpStream;"),
            ("appliance/src/domain/naming.rs", "appliance/src/sys/files.rs", "use std::{fmt, fs};"),
            ("appliance/src/audio/facts.rs", "appliance/src/capture/engine.rs", "use std::thread;"),
            ("appliance/src/main.rs", "appliance/src/cli/demo.rs", "fn f() { println!(\"x\") }"),
            ("tests/e2e/main.rs", "tests/harness/mod.rs", "use std::thread::{self, sleep};"),
        ] {
            assert!(refuses(elsewhere, text), "not refused in {elsewhere}: {text}");
            assert_eq!(findings(at_home, text), [], "refused in {at_home}: {text}");
        }
    }

    #[test]
    fn our_own_module_of_a_librarys_name_is_not_the_library() {
        assert!(!refuses("appliance/src/capture/mod.rs", "use self::jack::Connection;\nuse super::capture::jack;"));
    }

    #[test]
    fn a_word_in_a_comment_or_a_string_is_free() {
        assert!(!refuses("appliance/src/web/api.rs", "// Instant::now, unsafe\nconst A: &str = \"redb::x println!\";"));
    }

    #[test]
    fn an_unwrap_carries_its_reason_above_it() {
        let path = "appliance/src/web/api.rs";
        assert!(refuses(path, "fn f() {\n    g().unwrap();\n}"));
        assert!(refuses(path, "fn f() {\n    g().expect(\"x\");\n}"));
        assert!(refuses(path, "fn f() {\n    g().map(Option::unwrap);\n}"));
        assert!(refuses(path, "fn f() {\n    // Not about it.\n    h();\n    g().unwrap();\n}"));
        assert!(!refuses(path, "fn f() {\n    // It was checked.\n    g().unwrap();\n}"));
        assert!(!refuses(path, "fn f() {\n    // It was checked.\n    g()\n        .h()\n        .unwrap();\n}"));
        assert!(!refuses(path, "#[test]\nfn f() {\n    g().unwrap();\n}"));
        assert!(!refuses(path, "fn f() {\n    g().unwrap_or_default();\n}"));
    }

    #[test]
    fn no_reason_is_good_enough_on_the_recording_path() {
        let path = "appliance/src/capture/engine.rs";
        assert!(refuses(path, "fn f() {\n    // It was checked.\n    g().unwrap();\n}"));
        assert!(refuses(path, "fn f() {\n    // It was checked.\n    unreachable!();\n}"));
        assert!(!refuses(path, "#[cfg(test)]\nmod t { fn f() { g().unwrap(); } }"));
    }

    #[test]
    fn unsafe_code_says_why_it_is_sound() {
        let path = "appliance/src/capture/jack/mod.rs";
        assert!(refuses(path, "fn f() {\n    unsafe { g() }\n}"));
        assert!(refuses(path, "fn f() {\n    // Faster.\n    unsafe { g() }\n}"));
        assert!(refuses(path, "#[cfg(test)]\nmod t {\n    unsafe fn g() {}\n}"));
        assert!(!refuses(path, "fn f() {\n    // SAFETY: it lives.\n    unsafe { g() }\n}"));
        assert!(!refuses(path, "/// # Safety\n/// It lives.\n#[inline]\nunsafe fn g() {}"));
        assert!(!refuses(path, "type G = unsafe extern \"C\" fn(u8);"));
    }
}
