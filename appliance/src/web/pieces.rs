//! What a live stream sends, piece by piece, and which pieces are news to who follows it.
//!
//! Lives here: what was sent last, what is there now, the difference. A piece that is dear to make is kept with what it was
//! made of and is not made again of the same: a wall of five hundred cards makes those that changed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

use super::{Problem, render};

/// A piece, as it is sent.
#[derive(Debug, Default)]
struct Piece {
    text: String,
    /// A digest of what it was made of, if that was told.
    made_of: Option<u64>,
}

/// All pieces of one look, and of the look before.
#[derive(Debug, Default)]
pub struct Pieces {
    before: BTreeMap<String, Piece>,
    now: BTreeMap<String, Piece>,
    news: Vec<String>,
}

impl Pieces {
    /// Begins another look: what is there becomes what was there.
    pub fn look_again(&mut self) {
        self.before = std::mem::take(&mut self.now);
        self.news.clear();
    }

    /// What differs from the look before, by name: an element's selector, or an event's name.
    pub fn news(&self) -> impl Iterator<Item = (&str, &str)> {
        self.news.iter().filter_map(|name| Some((name.as_str(), self.now.get(name)?.text.as_str())))
    }

    /// Tells the page's script, or a program, something by name.
    pub fn tell(&mut self, name: &str, what: &serde_json::Value) {
        self.put(name.to_owned(), Piece { text: what.to_string(), ..Piece::default() });
    }

    /// Adds the piece of a page with this id, made by this partial template.
    ///
    /// # Errors
    /// Template and view do not fit: a bug.
    pub fn add(&mut self, id: &str, template: &str, view: &impl Serialize) -> Result<(), Problem> {
        self.put(format!("#{id}"), Piece { text: drawn(id, template, view)?, ..Piece::default() });
        Ok(())
    }

    /// The same, made only if `of` is not what it was made of last. Its hash takes in all that tells views apart, but for
    /// what counts by itself in the browser.
    ///
    /// # Errors
    /// Template and view do not fit: a bug.
    pub fn add_made_of(
        &mut self,
        of: &impl Hash,
        id: &str,
        template: &str,
        view: &impl Serialize,
    ) -> Result<(), Problem> {
        let name = format!("#{id}");
        let mut digest = DefaultHasher::new();
        of.hash(&mut digest);
        let made_of = Some(digest.finish());
        if self.before.get(&name).is_some_and(|before| before.made_of == made_of) {
            self.now.extend(self.before.remove_entry(&name));
            return Ok(());
        }
        self.put(name, Piece { text: drawn(id, template, view)?, made_of });
        Ok(())
    }

    fn put(&mut self, name: String, piece: Piece) {
        let is_same = |before: &Piece| before.text == piece.text || steady(&before.text) == steady(&piece.text);
        if !self.before.get(&name).is_some_and(is_same) {
            self.news.push(name.clone());
        }
        self.now.insert(name, piece);
    }
}

fn drawn(id: &str, template: &str, view: &impl Serialize) -> Result<String, Problem> {
    let html = render::render(&format!("partials/{template}.html"), view).map_err(|why| Problem::internal(&why))?;
    Ok(format!("<hx-partial hx-target=\"#{id}\" hx-swap=\"outerMorph\">{}</hx-partial>", html.trim()))
}

/// A piece without what counts by itself in the browser: two looks differ if this differs.
fn steady(piece: &str) -> String {
    const TICKING: [&str; 2] = ["rk-elapsed", "rk-countdown"];
    let mut kept = String::with_capacity(piece.len());
    let mut rest = piece;
    loop {
        let next = TICKING.iter().filter_map(|tag| Some((rest.find(&format!("<{tag} "))?, *tag))).min();
        let Some((at, tag)) = next else { break };
        let close = format!("</{tag}>");
        let Some(length) = rest[at..].find(&close) else { break };
        let inside = &rest[at..at + length];
        kept.push_str(&rest[..at]);
        kept.push_str(if inside.contains("data-running") { "<running>" } else { "<ticking>" });
        rest = &rest[at + length + close.len()..];
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_that_only_pass_are_no_news() {
        let at = |seconds: u32| {
            format!(
                "<p><rk-elapsed data-seconds=\"{seconds}\" data-running>0:00:{seconds}</rk-elapsed> since 09:02</p>"
            )
        };
        assert_eq!(steady(&at(11)), steady(&at(12)));
        let paused = at(11).replace(" data-running", "");
        assert_ne!(steady(&at(11)), steady(&paused));
        assert_ne!(steady(&at(11)), steady(&at(11).replace("09:02", "09:03")));
    }

    #[test]
    fn what_is_cut_off_is_kept_as_it_is() {
        assert_eq!(steady("<rk-elapsed data-seconds"), "<rk-elapsed data-seconds");
    }

    fn told(pieces: &Pieces) -> Vec<(String, String)> {
        pieces.news().map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
    }

    #[test]
    fn only_what_differs_from_the_look_before_is_news_and_what_was_away_is_news_again() {
        let mut pieces = Pieces::default();
        let mut look = |one: Option<u32>| {
            pieces.look_again();
            pieces.tell("always", &serde_json::json!(7));
            one.into_iter().for_each(|one| pieces.tell("sometimes", &serde_json::json!(one)));
            told(&pieces).into_iter().map(|(name, text)| format!("{name} {text}")).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(look(Some(1)), "always 7, sometimes 1");
        assert_eq!(look(Some(1)), "");
        assert_eq!(look(Some(2)), "sometimes 2");
        assert_eq!(look(None), "");
        assert_eq!(look(Some(2)), "sometimes 2");
    }

    #[test]
    fn what_is_made_of_the_same_is_not_made_again() {
        #[derive(Serialize)]
        struct View {
            counts: BTreeMap<&'static str, u32>,
        }
        let mut pieces = Pieces::default();
        let mut look = |of: u32, open: u32| {
            pieces.look_again();
            let view = View { counts: [("incidents", open), ("critical", 0)].into() };
            pieces.add_made_of(&of, "health-badge", "health_badge", &view).unwrap();
            (told(&pieces).len(), pieces.now["#health-badge"].text.clone())
        };
        let (first, text) = look(1, 3);
        assert_eq!((first, text.contains('3')), (1, true));
        assert_eq!(look(1, 4), (0, text.clone()), "whoever says what it is made of is believed");
        let (second, other) = look(2, 4);
        assert!(second == 1 && other.contains('4') && other != text);
        assert_eq!(look(3, 4), (0, other.clone()), "made again, and the same");
        assert_eq!(look(3, 5), (0, other), "by what it was made of last");
    }
}
