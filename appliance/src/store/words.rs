//! Words to find things by, out of whatever people wrote.
//!
//! Lives here: what a word is and when two are the same. Folded are case, compatibility forms (NFKC), accents, and the
//! letters that people type without their keyboard having them (ß ø ł æ …): "prufung" finds "Prüfung". Scripts without
//! spaces become pairs of characters. Does not: where words are kept.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// A longer word is cut here, at a character: what differs behind it is found together.
pub const WORD_BYTES_MAX: usize = 64;
/// Words of one record by which it is found; later ones are not.
pub const WORDS_MAX: usize = 2_000;
/// Words of one question; more are not looked at.
pub const ASKED_MAX: usize = 16;

/// One word of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Folded.
    pub word: String,
    /// It may be the beginning of a longer one.
    pub is_beginning: bool,
}

/// The words of a text, in order, folded.
pub fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for run in runs(&fold(text)) {
        if is_unspaced(run.chars().next()) {
            let chars: Vec<char> = run.chars().collect();
            found.extend(chars.windows(2).map(|pair| pair.iter().collect::<String>()));
            // The last one begins no pair, and a run of one is no pair.
            found.extend(chars.last().map(ToString::to_string));
        } else {
            found.push(cut(run).to_owned());
        }
    }
    found
}

/// The different words of several texts, [`WORDS_MAX`] at most, the first texts' first.
pub fn all<'t>(texts: impl IntoIterator<Item = &'t str>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for word in texts.into_iter().flat_map(words) {
        if found.len() == WORDS_MAX {
            break;
        }
        found.insert(word);
    }
    found
}

/// What a question asks for: all of its words, of which the last may be a beginning, unless a space follows it.
pub fn asked(text: &str) -> Vec<Asked> {
    let folded = fold(text);
    let is_open = folded.chars().next_back().is_some_and(char::is_alphanumeric);
    let runs = runs(&folded);
    let mut asked = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        let chars: Vec<char> = run.chars().collect();
        let is_last = is_open && number + 1 == runs.len();
        match (is_unspaced(chars.first().copied()), chars.len()) {
            // Whatever follows or nothing: the one character alone, or the first of a pair.
            (true, 1) => asked.push(Asked { word: (*run).to_owned(), is_beginning: true }),
            (true, _) => asked.extend(
                chars.windows(2).map(|pair| Asked { word: pair.iter().collect::<String>(), is_beginning: false }),
            ),
            // One letter begins half of all words: it is looked for as a word.
            (false, len) => asked.push(Asked { word: cut(run).to_owned(), is_beginning: is_last && len > 1 }),
        }
    }
    asked.truncate(ASKED_MAX);
    asked
}

/// NFKC, lower case, without accents. Marks that make another sound of a kana stay.
fn fold(text: &str) -> String {
    let lower = text.nfkc().collect::<String>().to_lowercase();
    let bare = lower.nfd().filter(|c| !is_combining_mark(*c) || matches!(c, '\u{3099}' | '\u{309a}'));
    let mut folded = String::with_capacity(lower.len());
    for c in bare.nfc() {
        match c {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' | 'ð' => folded.push('d'),
            'ı' => folded.push('i'),
            'ς' => folded.push('σ'),
            c => folded.push(c),
        }
    }
    folded
}

/// Letters and digits that belong together: a run ends where the writing changes between spaced and unspaced.
fn runs(folded: &str) -> Vec<&str> {
    let mut runs = Vec::new();
    for piece in folded.split(|c: char| !c.is_alphanumeric()).filter(|piece| !piece.is_empty()) {
        let mut begin = 0;
        let mut last = None;
        for (at, c) in piece.char_indices() {
            let is = is_unspaced(Some(c));
            if last.is_some_and(|last| last != is) {
                runs.push(&piece[begin..at]);
                begin = at;
            }
            last = Some(is);
        }
        runs.push(&piece[begin..]);
    }
    runs
}

/// Han, kana and hangul: blocks of Unicode 16.
fn is_unspaced(c: Option<char>) -> bool {
    matches!(
        c,
        Some(
            '\u{3040}'..='\u{30ff}'
            | '\u{31f0}'..='\u{31ff}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{ac00}'..='\u{d7a3}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3134f}',
        )
    )
}

fn cut(word: &str) -> &str {
    &word[..word.floor_char_boundary(WORD_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str) -> Vec<String> {
        words(text)
    }

    #[test]
    fn what_people_type_without_accents_is_the_same_word() {
        for (written, typed) in [
            ("Prüfung", "prufung"),
            ("Straße", "STRASSE"),
            ("Łódź", "lodz"),
            ("Ærø", "aero"),
            ("ﬁnal", "final"),
            ("Cafe\u{301}", "café"),
            ("ΟΔΟΣ", "οδός"),
            ("İstanbul", "istanbul"),
            ("Ⅷ", "viii"),
        ] {
            assert_eq!(found(written), found(typed), "{written} {typed}");
        }
    }

    #[test]
    fn words_are_letters_and_digits() {
        assert_eq!(found("Hall-B, 12/03: «Q&A»"), ["hall", "b", "12", "03", "q", "a"]);
        assert_eq!(found(" 🎤 --- "), [""; 0]);
    }

    #[test]
    fn writing_without_spaces_is_found_by_any_part_of_it() {
        assert_eq!(found("東京大学A棟"), ["東京", "京大", "大学", "学", "a", "棟"]);
        let question = |text| asked(text).into_iter().map(|asked| (asked.word, asked.is_beginning)).collect::<Vec<_>>();
        assert_eq!(question("京大"), [("京大".to_string(), false)]);
        assert_eq!(question("京"), [("京".to_string(), true)]);
        assert_ne!(found("が"), found("か"));
    }

    #[test]
    fn only_the_last_word_is_a_beginning_and_only_while_it_is_typed() {
        let beginnings = |text| asked(text).iter().map(|asked| asked.is_beginning).collect::<Vec<_>>();
        assert_eq!(beginnings("organ prac"), [false, true]);
        assert_eq!(beginnings("organ prac "), [false, false]);
        assert_eq!(beginnings("organ p"), [false, false]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_text_gives_words_that_find_it(text in "\\PC{0,60}") {
            let in_text = all([text.as_str()]);
            for word in &in_text {
                prop_assert!(word.len() <= WORD_BYTES_MAX && !word.is_empty());
            }
            for asked in asked(&text) {
                let is_found = in_text.iter().any(|word| *word == asked.word || (asked.is_beginning && word.starts_with(&asked.word)));
                prop_assert!(is_found, "{asked:?} in {in_text:?}");
            }
        }
    }
}
