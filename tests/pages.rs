//! Templates and views fit: every template renders strictly with every fixture, every view has exactly the shape of its
//! fixtures, and nothing that people type becomes part of a page's structure.
//!
//! A fixture is `web-assets/fixtures/<page>[.<variant>].json`. A view that reads one and writes the same knows every key
//! of it and has none of its own: the contract between pages and templates cannot drift.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rakkr::web::pages::{self, render};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Markup, a template's own marks, a turned reading direction, and 200 emoji.
fn hostile() -> String {
    format!("\"'><script>alert(1)</script>{{{{7*7}}}}{{% raw %}}\u{202e}{}", "🎙".repeat(200))
}

fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../web-assets")
}

fn names(folder: &str, ending: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(assets().join(folder)).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(ending).map(ToOwned::to_owned)).collect()
}

/// Fixtures with the page each is of.
fn fixtures() -> Vec<(String, String, Value)> {
    let read = |name: String| {
        let text = std::fs::read_to_string(assets().join(format!("fixtures/{name}.json"))).unwrap();
        let page = name.split('.').next().unwrap().to_owned();
        (name, page, serde_json::from_str(&text).unwrap())
    };
    names("fixtures", ".json").into_iter().map(read).collect()
}

#[test]
fn every_page_has_a_fixture_and_renders_with_it() {
    let all = fixtures();
    let with: BTreeSet<String> = all.iter().map(|(_, page, _)| page.clone()).collect();
    assert_eq!(names("templates/pages", ".html"), with);
    for (name, page, fixture) in all {
        let html = render(&format!("pages/{page}.html"), &fixture).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(html.contains("</html>"), "{name} is cut off");
    }
}

#[test]
fn a_template_refuses_a_view_that_lacks_something() {
    let (_, _, mut now) = fixtures().into_iter().find(|(name, _, _)| name == "now").unwrap();
    now.as_object_mut().unwrap().remove("disk");
    assert!(render("pages/now.html", &now).is_err());
}

#[test]
fn what_people_type_stays_text() {
    let hostile = hostile();
    for (name, page, mut fixture) in fixtures() {
        spoil(&mut fixture, &hostile);
        let html = render(&format!("pages/{page}.html"), &fixture).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(!html.contains("<script>alert"), "{name}: a script got in");
        assert!(!html.contains("\"'>"), "{name}: an attribute can be left");
        assert!(html.contains("{{7*7}}") && html.contains("&lt;script&gt;"), "{name}: the text is not shown as it is");
    }
}

/// Puts the text in place of every other one.
fn spoil(value: &mut Value, text: &str) {
    match value {
        Value::String(old) => text.clone_into(old),
        Value::Array(items) => items.iter_mut().for_each(|item| spoil(item, text)),
        Value::Object(fields) => fields.values_mut().for_each(|field| spoil(field, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Five hundred rooms of the fixture's kinds: the whole page, and small enough for a phone's connection, where it is sent
/// compressed.
#[test]
fn a_wall_of_five_hundred_rooms_is_whole() {
    let (_, _, mut wall) = fixtures().into_iter().find(|(name, _, _)| name == "wall.minority").unwrap();
    let kinds = wall["cards"].as_array().unwrap().clone();
    let room = |number: usize| {
        let mut card = kinds[number % kinds.len()].clone();
        card["id"] = Value::from(format!("01993f4e-7c1a-7000-8000-{number:012}"));
        card["name"] = Value::from(format!("Room {number}"));
        card
    };
    wall["cards"] = (0..500).map(room).collect();

    let html = render("pages/wall.html", &wall).unwrap();

    assert_eq!(html.matches("<article ").count(), 500);
    assert!(html.contains("Room 499") && html.len() < 660_000, "{} bytes", html.len());
}

#[test]
fn views_have_the_shape_of_their_fixtures() {
    let mut checked = 0;
    for (name, page, fixture) in fixtures() {
        let there_and_back = match page.as_str() {
            "api" => through::<pages::api::View>(&fixture),
            "audit" => through::<pages::audit::View>(&fixture),
            "claim_channels" => through::<pages::claim_channels::View>(&fixture),
            "claim_owner" => through::<pages::claim_owner::View>(&fixture),
            "claim_room" => through::<pages::claim_room::View>(&fixture),
            "claim_test" => through::<pages::claim_test::View>(&fixture),
            "error" => through::<pages::error::View>(&fixture),
            "fleet" => through::<pages::fleet::view::View>(&fixture),
            "health" => through::<pages::health::View>(&fixture),
            "help" => through::<pages::help::View>(&fixture),
            "join" => through::<pages::join::View>(&fixture),
            "login" => through::<pages::login::View>(&fixture),
            "node" => through::<pages::node::View>(&fixture),
            "now" => through::<pages::now::View>(&fixture),
            "people" => through::<pages::people::View>(&fixture),
            "recording" => through::<pages::recording::view::View>(&fixture),
            "recordings" => through::<pages::recordings::View>(&fixture),
            "settings" => through::<pages::settings::View>(&fixture),
            "wall" => through::<pages::wall::View>(&fixture),
            other => panic!("{other} has no view here: name it"),
        };
        let seen = there_and_back.unwrap_or_else(|why| panic!("{name}: {why}"));
        let differences = differences("", &fixture, &seen);
        assert!(differences.is_empty(), "{name}: {}", differences.join("; "));
        checked += 1;
    }
    assert!(checked >= 19);
}

fn through<View: Serialize + DeserializeOwned>(fixture: &Value) -> Result<Value, String> {
    let view: View = serde_json::from_value(fixture.clone()).map_err(|error| error.to_string())?;
    serde_json::to_value(view).map_err(|error| error.to_string())
}

/// Where two values differ; numbers are compared as numbers.
fn differences(at: &str, fixture: &Value, view: &Value) -> Vec<String> {
    match (fixture, view) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            let differ = |key: &&String| match (a.get(*key), b.get(*key)) {
                (Some(a), Some(b)) => differences(&format!("{at}.{key}"), a, b),
                (None, _) => vec![format!("{at}.{key} is not in the fixture")],
                (_, None) => vec![format!("{at}.{key} is not in the view")],
            };
            keys.iter().flat_map(differ).collect()
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(b).enumerate();
            pairs.flat_map(|(index, (a, b))| differences(&format!("{at}[{index}]"), a, b)).collect()
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => Vec::new(),
        (a, b) if a == b => Vec::new(),
        (a, b) => vec![format!("{at}: {a} became {b}")],
    }
}
