//! Templates: found once, rendered strictly. What a template asks for and a view does not have is an error, not a blank.

use std::fmt::Write;
use std::sync::LazyLock;

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, HtmlEscape, UndefinedBehavior, Value};
use rust_embed::RustEmbed;
use serde::Serialize;

use super::assets;

#[derive(RustEmbed)]
#[folder = "../web-assets/templates"]
struct Templates;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_function("asset", |name: String| assets::url(&name));
    environment.add_function("icon", icon);
    environment.add_filter("prose", prose);
    for name in Templates::iter() {
        let text =
            Templates::get(&name).map(|file| String::from_utf8_lossy(&file.data).into_owned()).unwrap_or_default();
        if let Err(error) = environment.add_template_owned(name.into_owned(), text) {
            tracing::error!(%error, "a template cannot be read");
        }
    }
    environment
});

/// A picture of the sprite; its name is ours, never a user's.
fn icon(name: String) -> Value {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let name = if is_plain { name } else { String::new() };
    let sprite = assets::url("icons.svg");
    Value::from_safe_string(format!(
        "<svg class=\"icon icon-{name}\" aria-hidden=\"true\"><use href=\"{sprite}#{name}\"></use></svg>"
    ))
}

/// A text in which names of programs stand in backticks, as documentation writes them; all else is only words.
fn prose(text: String) -> Value {
    let mut html = String::with_capacity(text.len());
    let mut parts = text.split('`').peekable();
    let mut is_code = false;
    while let Some(part) = parts.next() {
        let escaped = HtmlEscape(part);
        // A backtick without a second one is a backtick.
        let _ = match (is_code, parts.peek().is_some()) {
            (true, true) => write!(html, "<code>{escaped}</code>"),
            (true, false) => write!(html, "`{escaped}"),
            (false, _) => write!(html, "{escaped}"),
        };
        is_code = !is_code;
    }
    Value::from_safe_string(html)
}

/// Renders a template.
///
/// # Errors
/// A sentence: the template and the view do not fit. Tests render every page with every fixture.
pub fn render(template: &str, view: &impl Serialize) -> Result<String, String> {
    let template = ENVIRONMENT.get_template(template).map_err(|error| error.to_string())?;
    template.render(Serde(view)).map_err(|error| format!("{error:#}"))
}

/// A page with a status.
pub fn page_with(status: StatusCode, template: &str, view: &impl Serialize) -> Response {
    match render(template, view) {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(template, error, "a page cannot be rendered");
            let text = "This page cannot be shown; the node's log says why. Recording is not touched.";
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_backticks_are_code_and_all_else_is_words() {
        let told = |text: &str| prose(text.to_owned()).to_string();
        assert_eq!(told("`1,2` or `<b>`."), "<code>1,2</code> or <code>&lt;b&gt;</code>.");
        assert_eq!(told("a ` b"), "a ` b");
        assert_eq!(told("<i>"), "&lt;i&gt;");
    }
}
