//! Joining a fleet instead of being claimed: the invitation is pasted, four words are compared, then it joins.
//!
//! Only a recorder that belongs to nobody has this page. Looking at an invitation changes nothing.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};

use super::fleet::view::heard;
use super::parts::chrome::{self, About, Chrome};
use super::parts::field::{Field, Sent};
use super::parts::flash::{self, Flash, of_problem};
use super::parts::visit::{Door, Visit};
use super::{Answer, again, show_with};
use crate::access::invitations::Token;
use crate::fleet::join::has_joined;
use crate::web::api::fleet;
use crate::web::{App, Problem, blocking};

/// The page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub chrome: Chrome,
    /// What was typed.
    pub form: Form,
    /// The invitation, once one was pasted.
    pub invitation: Option<Seen>,
    /// It has joined, and goes on as this when its records have come.
    pub waits_as: Option<String>,
}

/// What was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    #[allow(missing_docs)]
    pub token: Field,
}

/// An invitation, to be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Four words.
    pub words: String,
    /// Where the node that made it is reached.
    pub addresses: String,
    /// Whose place this box takes.
    pub replaces: Option<Place>,
}

/// A member's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The member.
    pub name: String,
    /// When it was last heard.
    pub heard_text: String,
}

/// Shows the page.
pub async fn show(State(app): State<App>, door: Door) -> Answer {
    Ok(blocking(move || page(&app, &door.visit, "", None)).await??)
}

/// Looks at an invitation, or joins by it.
pub async fn join(State(app): State<App>, door: Door, sent: Sent) -> Answer {
    let token = pasted(sent.text("token"));
    let problem = match sent.text("step") {
        "join" => match fleet::join(&app, &token).await {
            Ok(joined) if joined.replaces.is_some() => {
                let name = joined.replaces.map(|place| place.name);
                return Ok(blocking(move || waiting(&app, &door.visit, name)).await?);
            }
            Ok(_) => return Ok(flash::redirect("/login", Flash::new("joined"), door.visit.is_tls)),
            Err(problem) => Some(problem),
        },
        _ => token.parse::<Token>().err().map(|why| Problem::unprocessable("token", why)),
    };
    Ok(blocking(move || page(&app, &door.visit, &token, problem.as_ref())).await??)
}

fn page(app: &App, visit: &Visit, token: &str, problem: Option<&Problem>) -> Result<Response, Problem> {
    if app.access.is_claimed()? {
        return Ok(Redirect::to("/login").into_response());
    }
    if has_joined(app.data.path()) {
        return Ok(waiting(app, visit, Some(app.name())));
    }
    let mut frame = chrome::chrome(app, None, visit, About { title: "Join a fleet", nav: "claim", live: "" });
    let error = problem.filter(|problem| problem.field.is_some()).map(|problem| problem.detail.clone());
    frame.flash.extend(problem.filter(|problem| problem.field.is_none()).map(of_problem));
    let invitation = token.parse::<Token>().ok().map(|token| Seen {
        words: token.phrase().replace('-', " "),
        addresses: if token.addresses.is_empty() { "no address".to_owned() } else { token.addresses.join(", ") },
        replaces: token.replaces.map(|replaced| Place {
            name: replaced.name,
            heard_text: heard(replaced.last_seen, &chrome::room_clock(app)),
        }),
    });
    let form = Form { token: Field { value: token.to_owned(), error } };
    let view = View { chrome: frame, form, invitation, waits_as: None };
    Ok(show_with(visit, again(problem), "pages/join.html", &view))
}

/// It is in, and its records are on their way.
fn waiting(app: &App, visit: &Visit, name: Option<String>) -> Response {
    let frame = chrome::chrome(app, None, visit, About { title: "Join a fleet", nav: "claim", live: "" });
    let view = View { chrome: frame, form: Form::default(), invitation: None, waits_as: name };
    show_with(visit, StatusCode::OK, "pages/join.html", &view)
}

/// The token of what was pasted: with line breaks from a mail, or the whole command that the other page shows.
fn pasted(text: &str) -> String {
    match text.contains("rakkr join") {
        true => text.split_whitespace().next_back().unwrap_or_default().to_owned(),
        false => text.split_whitespace().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::pasted;

    #[test]
    fn a_token_is_found_in_what_people_paste() {
        assert_eq!(pasted("  abc\r\n def \n"), "abcdef");
        assert_eq!(pasted("rakkr join --data-dir /var/lib/rakkr abc-DEF_1\n"), "abc-DEF_1");
        assert_eq!(pasted(""), "");
    }
}
