//! Forms: what was sent, and fields as they are shown again with what is wrong beside them.

use axum::extract::{FromRequest, Request};
use serde::{Deserialize, Serialize};

use crate::web::caller::Form;
use crate::web::{App, NoPage, Problem};

/// A field of a form: what stands in it, and what is wrong with that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// What stands in it.
    pub value: String,
    /// What is wrong with it.
    pub error: Option<String>,
}

impl Field {
    /// With a value and nothing wrong.
    pub fn of(value: impl Into<String>) -> Self {
        Self { value: value.into(), error: None }
    }
}

/// One of several to choose from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What is sent.
    pub value: String,
    /// What is read.
    pub label: String,
    /// It is chosen.
    pub is_chosen: bool,
}

/// Choices from pairs of value and label.
pub fn choices(pairs: &[(&str, &str)], chosen: &str) -> Vec<Choice> {
    let choice = |(value, label): &(&str, &str)| Choice {
        value: (*value).to_owned(),
        label: (*label).to_owned(),
        is_chosen: *value == chosen,
    };
    pairs.iter().map(choice).collect()
}

/// Choices after one for "any"; a chosen value that is not among them is added, so that a link never lies.
pub fn choices_of(any: &str, values: impl IntoIterator<Item = (String, String)>, chosen: &str) -> Vec<Choice> {
    let first = Choice { value: String::new(), label: any.to_owned(), is_chosen: chosen.is_empty() };
    let mut all = vec![first];
    all.extend(values.into_iter().map(|(value, label)| Choice { is_chosen: value == chosen, value, label }));
    if !all.iter().any(|choice| choice.is_chosen) {
        all.push(Choice { value: chosen.to_owned(), label: chosen.to_owned(), is_chosen: true });
    }
    all
}

/// What a form sent, in order. A field that was left out reads as empty, as browsers leave out unticked boxes.
#[derive(Debug, Clone, Default)]
pub struct Sent(pub Vec<(String, String)>);

impl Sent {
    /// A field's text.
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    /// Every value of a field that may come more than once.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Whether the field was sent at all.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(field, _)| field == name)
    }

    /// A field to show again; a problem about it stands beside it.
    pub fn field(&self, name: &str, problem: Option<&Problem>) -> Field {
        let error =
            problem.filter(|problem| problem.field.as_deref() == Some(name)).map(|problem| problem.detail.clone());
        Field { value: self.text(name).to_owned(), error }
    }

    /// A secret is never sent back.
    pub fn secret(&self, name: &str, problem: Option<&Problem>) -> Field {
        Field { value: String::new(), ..self.field(name, problem) }
    }
}

impl FromRequest<App> for Sent {
    type Rejection = NoPage;

    async fn from_request(request: Request, app: &App) -> Result<Self, NoPage> {
        let Form(fields) = Form::<Vec<(String, String)>>::from_request(request, app).await?;
        Ok(Self(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_stands_beside_its_field_and_what_was_typed_stays() {
        let sent = Sent(vec![("room".into(), "  ".into()), ("password".into(), "secret".into())]);
        let problem = Problem::unprocessable("room", "give a name");
        assert_eq!(sent.field("room", Some(&problem)), Field { value: "  ".into(), error: Some("give a name".into()) });
        assert_eq!(sent.secret("password", Some(&problem)), Field::default());
    }

    #[test]
    fn a_filter_that_is_not_offered_is_shown_all_the_same() {
        let tags = choices_of("Any tag", [("a".to_owned(), "a".to_owned())], "<script>");
        assert!(tags.iter().any(|choice| choice.is_chosen && choice.value == "<script>"));
    }
}
