//! Every kind of event has a text for the operator and a test that names it.
//!
//! A kind is a variant of an enum of `appliance/src/domain` whose name ends in `EventKind`, `IncidentKind` or
//! `AuditKind`. Its text is the arm that names it in a function `operator_text` of the same file.

use crate::source::{Finding, Source};

const KINDS: [&str; 3] = ["EventKind", "IncidentKind", "AuditKind"];

pub fn check(sources: &[Source]) -> Vec<Finding> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.path.starts_with("appliance/src/domain")) {
        for (name, variants) in source.enums.iter().filter(|(name, _)| KINDS.iter().any(|kind| name.ends_with(kind))) {
            for (variant, line) in variants {
                let kind = format!("{name}::{variant}");
                if !has_text(source, name, variant) {
                    let text =
                        format!("`{kind}` has no arm in `operator_text`: say what happened, what it means, what to do");
                    found.push(source.finding(*line, text));
                }
                if !sources.iter().any(|source| is_named_by_a_test(source, name, variant)) {
                    let text = format!("no test names `{kind}`: write the one in which it happens");
                    found.push(source.finding(*line, text));
                }
            }
        }
    }
    found
}

fn has_text(source: &Source, name: &str, variant: &str) -> bool {
    let texts = source.functions.iter().filter(|function| function.name.ends_with("operator_text"));
    let mut regions = texts.map(|function| function.region);
    regions.any(|region| {
        let mut paths = source.written.iter().filter(|path| region.holds(path.at));
        paths.any(|path| path.segments.ends_with(&[name.into(), variant.into()]) || path.segments == ["Self", variant])
    })
}

fn is_named_by_a_test(source: &Source, name: &str, variant: &str) -> bool {
    let mut paths = source.written.iter().filter(|path| source.is_test(path.at));
    paths.any(|path| path.segments.ends_with(&[name.into(), variant.into()]))
}

mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        check(&[Source::parse("appliance/src/domain/event.rs", text)]).iter().map(|f| f.text.clone()).collect()
    }

    const KIND: &str = "enum IncidentKind { Gap }\nimpl IncidentKind { fn operator_text(self) { match self {";

    #[test]
    fn a_kind_with_a_text_and_a_test_passes() {
        let text = format!("{KIND} Self::Gap => 1 }} }} }}\n#[test]\nfn t() {{ assert!(IncidentKind::Gap) }}");

        assert_eq!(findings(&text), [""; 0]);
    }

    #[test]
    fn a_kind_without_a_text_is_found() {
        let text = format!("{KIND} Self::Other => 1, _ => 1 }} }} }}\n#[test]\nfn t() {{ IncidentKind::Gap; }}");

        assert_eq!(
            findings(&text),
            ["`IncidentKind::Gap` has no arm in `operator_text`: say what happened, what it means, what to do"]
        );
    }

    #[test]
    fn a_kind_no_test_names_is_found() {
        let text = format!("{KIND} Self::Gap => 1 }} }} }}\nfn shipped() {{ IncidentKind::Gap; }}");

        assert_eq!(findings(&text), ["no test names `IncidentKind::Gap`: write the one in which it happens"]);
    }
}
