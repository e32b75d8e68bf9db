//! A ratchet on length: no new function over 70 lines, no new file over 700.
//!
//! What is already longer stands in [`ALREADY_LONG`] with its length, and that list may only shrink: a place that got
//! shorter, or is gone, must be struck off or lowered. A function counts from its signature to its last brace.

use crate::source::{Finding, Source};

const FUNCTION_LINES: usize = 70;
const FILE_LINES: usize = 700;

/// A place that was long before this rule, or was let in with a reason.
pub struct Long {
    pub file: &'static str,
    /// `Type::function`; empty for the file itself.
    pub function: &'static str,
    pub lines: usize,
}

/// May only shrink.
pub const ALREADY_LONG: &[Long] = &[];

pub fn check(sources: &[Source], already_long: &[Long]) -> Vec<Finding> {
    let mut seen = vec![false; already_long.len()];
    let mut found = Vec::new();
    for source in sources {
        let file = [(String::new(), 1, source.lines.len(), FILE_LINES)];
        let functions = source.functions.iter().map(|f| (f.name.clone(), f.line, f.lines, FUNCTION_LINES));
        for (name, line, lines, limit) in file.into_iter().chain(functions).filter(|place| place.2 > place.3) {
            let known = already_long.iter().position(|long| long.file == source.path && long.function == name);
            let (allowed, what) = (known.map_or(limit, |known| already_long[known].lines), describe(&name));
            if let Some(known) = known {
                seen[known] = true;
            }
            if lines > allowed {
                let text = format!("{what} has {lines} lines, {allowed} is the limit: give its second story a home");
                found.push(source.finding(line, text));
            } else if lines < allowed {
                let text = format!("{what} shrank to {lines} lines: write that into tests/tidy/tails.rs");
                found.push(source.finding(line, text));
            }
        }
    }
    let gone = already_long.iter().zip(seen).filter(|(_, seen)| !seen);
    found.extend(gone.map(|(long, _)| Finding {
        file: long.file.to_string(),
        line: 1,
        text: format!("{} is no longer long: strike it off tests/tidy/tails.rs", describe(long.function)),
    }));
    found
}

fn describe(function: &str) -> String {
    if function.is_empty() { "this file".to_string() } else { format!("`{function}`") }
}

mod tests {
    use super::*;

    fn function_of(lines: usize) -> Source {
        let text = format!("impl Tape {{\nfn run() {{\n{}}}\n}}\n", "g();\n".repeat(lines - 2));
        Source::parse("appliance/src/capture/tape.rs", &text)
    }

    fn findings(lines: usize, known: &[Long]) -> Vec<String> {
        check(&[function_of(lines)], known).iter().map(|finding| finding.text.clone()).collect()
    }

    const KNOWN: [Long; 1] = [Long { file: "appliance/src/capture/tape.rs", function: "Tape::run", lines: 90 }];

    #[test]
    fn seventy_lines_pass_and_one_more_does_not() {
        assert_eq!(findings(70, &[]), [""; 0]);
        assert_eq!(findings(71, &[]), ["`Tape::run` has 71 lines, 70 is the limit: give its second story a home"]);
    }

    #[test]
    fn a_file_of_seven_hundred_lines_passes_and_one_more_does_not() {
        let file = |lines: usize| Source::parse("tests/pages.rs", &"// Long.\n".repeat(lines));

        assert_eq!(check(&[file(700)], &[]), []);
        assert_eq!(check(&[file(701)], &[]).len(), 1);
    }

    #[test]
    fn what_is_already_long_may_stay_but_not_grow() {
        assert_eq!(findings(90, &KNOWN), [""; 0]);
        assert_eq!(findings(91, &KNOWN), ["`Tape::run` has 91 lines, 90 is the limit: give its second story a home"]);
    }

    #[test]
    fn the_list_of_long_places_must_shrink_with_them() {
        assert_eq!(findings(80, &KNOWN), ["`Tape::run` shrank to 80 lines: write that into tests/tidy/tails.rs"]);
        assert_eq!(findings(60, &KNOWN), ["`Tape::run` is no longer long: strike it off tests/tidy/tails.rs"]);
    }
}
