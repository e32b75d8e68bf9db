//! Text made safe for chunks: a title may hold anything, a chunk may not.
//!
//! Lives here: cutting, replacing and escaping. Does not live here: which text goes where.

/// `text` in at most `limit` bytes of UTF-8, cut between characters; controls (also NUL, line ends) become spaces and
/// the two code points XML 1.0 forbids become U+FFFD.
pub(super) fn clean(text: &str, limit: usize) -> String {
    let mut out = String::new();
    for character in text.chars() {
        let character = match character {
            '\u{FFFE}' | '\u{FFFF}' => '\u{FFFD}',
            control if control.is_control() => ' ',
            other => other,
        };
        if out.len() + character.len_utf8() > limit {
            break;
        }
        out.push(character);
    }
    out
}

/// `text` as printable ASCII of at most `limit` characters; every other character becomes one `?`.
pub(super) fn ascii(text: &str, limit: usize) -> Vec<u8> {
    text.chars().take(limit).map(|c| if c == ' ' || c.is_ascii_graphic() { c as u8 } else { b'?' }).collect()
}

/// `text` with the five characters that mean something in XML written as entities.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            other => out.push(other),
        }
    }
    out
}

/// The reverse of [`escape`], with numeric references; what is no reference stays as it is.
pub(super) fn unescape(text: &str) -> String {
    /// `&#x10FFFF;` is the longest reference worth looking at.
    const LONGEST: usize = 10;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.bytes().take(LONGEST).position(|byte| byte == b';');
        match end.and_then(|end| Some((reference(&rest[1..end])?, end))) {
            Some((character, end)) => {
                out.push(character);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The character that `&name;` stands for.
fn reference(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(clean("aé🎙b", 6), "aé");
        assert_eq!(clean("aé🎙b", 7), "aé🎙");
    }

    #[test]
    fn controls_become_spaces_and_foreign_letters_question_marks() {
        assert_eq!(clean("a\0b\r\nc\u{FFFE}", 99), "a b  c\u{FFFD}");
        assert_eq!(ascii("Zoë\n🎙 <x>", 7), b"Zo??? <");
    }

    #[test]
    fn unknown_references_stay_as_they_are() {
        assert_eq!(unescape("&lt;&#65;&#x42;&bogus;&&#xD800;&"), "<AB&bogus;&&#xD800;&");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn escaping_is_undone(text in any::<String>()) {
            prop_assert_eq!(unescape(&escape(&text)), text);
        }
    }
}
