//! The API as a page, made from the same document that programs read.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::parts::chrome::{self, About, Chrome};
use super::parts::visit::Guest;
use super::parts::words::capital;
use super::{Answer, show as shown};
use crate::web::api::docs;
use crate::web::{App, Problem, blocking};

/// Where the document is.
const DOCUMENT: &str = "/api/v1/openapi.json";

/// The page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub chrome: Chrome,
    /// The API.
    pub api: Api,
}

/// The API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Api {
    #[allow(missing_docs)]
    pub title: String,
    #[allow(missing_docs)]
    pub version: String,
    /// For programs.
    pub document_url: String,
    /// What holds for all of it.
    pub intro: String,
    /// By what it is about.
    pub groups: Vec<Group>,
}

/// Operations on one kind of thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    #[allow(missing_docs)]
    pub id: String,
    #[allow(missing_docs)]
    pub name: String,
    #[allow(missing_docs)]
    pub operations: Vec<Operation>,
}

/// A method of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    #[allow(missing_docs)]
    pub id: String,
    /// In capitals.
    pub method: String,
    #[allow(missing_docs)]
    pub path: String,
    /// In a line.
    pub summary: String,
    /// More.
    pub description: Option<String>,
    /// What it takes, where the document says.
    pub permission: Option<String>,
    /// What can be sent.
    pub fields: Vec<Field>,
    /// What comes back.
    pub answers: Vec<Reply>,
}

/// Something to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    #[allow(missing_docs)]
    pub name: String,
    /// path, query or body.
    pub place: String,
    /// Its type, for people.
    pub type_text: String,
    #[allow(missing_docs)]
    pub is_required: bool,
    /// What it means.
    pub text: String,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// `200`, `4XX`.
    pub status: String,
    #[allow(missing_docs)]
    pub text: String,
}

/// Shows the page.
pub async fn show(State(app): State<App>, Guest { caller, visit }: Guest) -> Answer {
    Ok(blocking(move || {
        let document = serde_json::to_value(docs::document()).map_err(|error| Problem::internal(&error.to_string()))?;
        let about = About { title: "API", nav: "api", live: "" };
        let view = View { chrome: chrome::chrome(&app, Some(&caller), &visit, about), api: told(&document) };
        Ok::<_, Problem>(shown(&visit, "pages/api.html", &view))
    })
    .await??)
}

/// The document in words.
pub fn told(document: &Value) -> Api {
    let mut groups: Vec<Group> = Vec::new();
    let nothing = serde_json::Map::new();
    for (path, methods) in document["paths"].as_object().unwrap_or(&nothing) {
        for (method, operation) in methods.as_object().unwrap_or(&nothing).iter().filter(|(_, what)| what.is_object()) {
            let tag = operation["tags"][0].as_str().unwrap_or("other");
            let told = self::operation(document, path, method, operation);
            match groups.iter_mut().find(|group| group.id == tag) {
                Some(group) => group.operations.push(told),
                None => groups.push(Group { id: tag.to_owned(), name: capital(tag), operations: vec![told] }),
            }
        }
    }
    Api {
        title: format!("{} API", text(&document["info"]["title"])),
        version: format!("v{}", text(&document["info"]["version"])),
        document_url: DOCUMENT.to_owned(),
        intro: text(&document["info"]["description"]),
        groups,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn said(value: &Value) -> Option<String> {
    Some(text(value)).filter(|text| !text.is_empty())
}

fn operation(document: &Value, path: &str, method: &str, operation: &Value) -> Operation {
    let mut fields: Vec<Field> = operation["parameters"].as_array().into_iter().flatten().map(parameter).collect();
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    fields.extend(body_fields(document, body));
    let answers = operation["responses"].as_object().into_iter().flatten().map(|(status, answer)| Reply {
        status: status.clone(),
        text: said(&answer["description"]).unwrap_or_else(|| plain_answer(status).to_owned()),
    });
    Operation {
        id: said(&operation["operationId"])
            .unwrap_or_else(|| format!("{method}{}", path.replace(['/', '{', '}'], "-"))),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&operation["summary"]),
        description: said(&operation["description"]),
        permission: said(&operation["x-permission"]),
        fields,
        answers: answers.collect(),
    }
}

fn plain_answer(status: &str) -> &'static str {
    match status {
        "200" => "Done; what is there now",
        "201" => "Made",
        "202" => "Begun",
        "204" => "Done",
        "4XX" => "A problem; its code, and the field or the permission it is about",
        "503" => "The recorder does not answer",
        _ => "See the document",
    }
}

fn parameter(parameter: &Value) -> Field {
    Field {
        name: text(&parameter["name"]),
        place: text(&parameter["in"]),
        type_text: type_text(&parameter["schema"]),
        is_required: parameter["required"].as_bool().unwrap_or(false),
        text: text(&parameter["description"]),
    }
}

/// Fields of a body; of one that is a list or not described further, the body as a whole.
fn body_fields(document: &Value, schema: &Value) -> Vec<Field> {
    if schema.is_null() {
        return Vec::new();
    }
    let schema = resolved(document, schema);
    let Some(properties) = schema["properties"].as_object() else {
        let whole = Field {
            name: "body".into(),
            place: "body".into(),
            type_text: type_text(schema),
            is_required: true,
            text: String::new(),
        };
        return vec![whole];
    };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let field = |(name, property): (&String, &Value)| Field {
        name: name.clone(),
        place: "body".to_owned(),
        type_text: type_text(property),
        is_required: required.contains(&name.as_str()),
        text: text(&property["description"]),
    };
    properties.iter().map(field).collect()
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let name = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/components/schemas/"));
    name.map_or(schema, |name| &document["components"]["schemas"][name])
}

fn type_text(schema: &Value) -> String {
    match &schema["type"] {
        Value::String(kind) if kind == "array" => format!("array of {}", type_text(&schema["items"])),
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect();
            if kinds == ["array"] { format!("array of {}", type_text(&schema["items"])) } else { kinds.join(" or ") }
        }
        _ => schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or("any").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_document_is_told() {
        let document = serde_json::to_value(docs::document()).unwrap();
        let api = told(&document);
        let told: usize = api.groups.iter().map(|group| group.operations.len()).sum();
        let operations =
            document["paths"].as_object().unwrap().values().map(|methods| methods.as_object().unwrap().len());
        assert_eq!(told, operations.sum::<usize>());
        let start = api
            .groups
            .iter()
            .flat_map(|group| &group.operations)
            .find(|operation| operation.method == "POST" && operation.path == "/api/v1/recordings");
        assert!(start.unwrap().fields.iter().any(|field| field.name == "title" && field.place == "body"));
    }
}
