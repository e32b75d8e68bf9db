//! Secrets of the fleet: sealed, opened by every member, and sealed anew when one is thrown out.

use super::*;
use reqwest::Method;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// In no word list, so that finding it anywhere means one thing.
const VALUE: &str = "zq7-lantern-copper-noon-4491";

fn secrets(member: &Member) -> Value {
    member.get("/api/v1/fleet/secrets").is(200)
}

/// The key's number and the secret, once all of these open it with one key that all of them have.
fn opened(members: &[&Member], number: u64) -> Option<Value> {
    let mut last = None;
    for member in members {
        let told = secrets(member);
        let secret = told["items"].as_array()?.iter().find(|secret| secret["name"] == "archive.s3")?.clone();
        let have = told["key"]["had_by"].as_array()?.len();
        let is_so = secret["opens_here"] == true && secret["is_present"] == true && told["key"]["number"] == number;
        if !is_so || have != members.len() || secret["opened_by"].as_array()?.len() < members.len() {
            return None;
        }
        last = Some(secret);
    }
    last
}

/// Files below a folder that have this in them.
fn files_with(folder: &Path, wanted: &[u8], found: &mut Vec<String>) -> usize {
    let mut looked_at = 0;
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            looked_at += files_with(&entry.path(), wanted, found);
        } else if kind.is_file() {
            looked_at += 1;
            let bytes = std::fs::read(entry.path()).expect("a file");
            if bytes.windows(wanted.len()).any(|window| window == wanted) {
                found.push(entry.path().display().to_string());
            }
        }
    }
    looked_at
}

/// Sends a form of the fleet's page; the answer's status and text.
fn form(member: &Member, act: &str, fields: &str) -> (u16, String) {
    let request = member.http.post(member.at(&format!("/fleet/{act}"))).bearer_auth(&member.token);
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(fields.to_owned());
    let answer = request.send().expect("an answer");
    (answer.status().as_u16(), answer.text().expect("a text"))
}

#[test]
fn the_page_takes_a_secret_and_never_shows_it_again() {
    let first = Member::first();
    in_step("the first key", || secrets(&first)["key"]["number"].as_u64());
    let (status, page) = form(&first, "secret", &format!("name=No+name&value={VALUE}"));
    assert_eq!(status, 422);
    assert!(page.contains("A name has 1 to 64 of a-z") && page.contains("No name") && !page.contains(VALUE), "{page}");
    assert_eq!(form(&first, "secret", "name=archive.smb&value=").0, 422);
    assert_eq!(form(&first, "secret", &format!("name=archive.smb&value={VALUE}")).0, 303);
    let page = first.get("/fleet").text;
    assert!(page.contains("archive.smb") && page.contains("1 node can open it, this one too") && !page.contains(VALUE));
    let viewer = first.person("viewer");
    assert!(!first.get_as(&viewer, "/fleet").text.contains("archive.smb"), "not for who only looks");
    assert_eq!(form(&first, "secret-delete", "name=archive.smb").0, 303);
    assert!(!first.get("/fleet").text.contains("archive.smb"));
    let journal = first.get("/api/v1/audit-events").is(200).to_string();
    assert!(journal.contains("secret.delete") && !journal.contains("No name") && !journal.contains(VALUE));
    assert!(!first.log().contains(VALUE));
}

#[test]
fn a_secret_is_for_members_only_and_nowhere_in_clear() {
    let first = Member::first();
    let (mut second, mut third) = (first.another(), first.another());
    let coordinator = wait_settled(&[&first, &second, &third]);
    assert_eq!(coordinator, first.id(), "it was there first");
    let mut set = Command::new(env!("CARGO_BIN_EXE_rakkr"));
    set.args(["secret", "set", "archive.s3", "--data-dir"]).arg(&second.data);
    let mut set = set.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("rakkr runs");
    writeln!(set.stdin.take().expect("a pipe"), "{VALUE}").expect("it reads");
    assert!(set.wait_with_output().expect("it ends").status.success());
    let secret = in_step("all to open it", || opened(&[&first, &second, &third], 1));
    assert_eq!(secret["known_to"], json!([]));

    // Nobody else is told even the names.
    let viewer = first.person("viewer");
    assert_eq!(first.get_as(&viewer, "/api/v1/fleet/secrets").is(403)["missing_permission"], "fleet:edit");
    let path = "/api/v1/fleet/secrets/archive.s3";
    first.ask(Method::PUT, path, &json!({"value": 5})).is(422);
    first.ask(Method::PUT, path, &json!({"value": "x".repeat(4_097)})).is(422);
    first.ask(Method::PUT, "/api/v1/fleet/secrets/Not%20a%20name", &json!({"value": "x"})).is(422);

    let gone = third.id();
    first.ask(Method::DELETE, &format!("/api/v1/nodes/{gone}"), &json!({})).is(204);
    let secret = in_step("the key to change", || opened(&[&first, &second], 2));
    assert_eq!(secret["known_to"].as_array().map(Vec::len), Some(1), "who is out knew it: {secret}");
    let told = secrets(&third);
    assert_eq!((&told["items"], told["waits"].is_string()), (&json!([]), true), "it is in no fleet: {told}");
    second.ask(Method::PUT, path, &json!({"value": format!("{VALUE}-changed")})).is(204);
    let secret = in_step("the new one to be everywhere", || {
        opened(&[&first, &second], 2).filter(|secret| secret["known_to"] == json!([]))
    });
    assert_eq!(secret["set_by"], "Ana Owner");

    let page = first.get("/fleet").text;
    assert!(page.contains("archive.s3") && !page.contains(VALUE), "the page tells the name alone");
    let journal = first.get("/api/v1/audit-events").is(200).to_string();
    for act in ["secret.set", "fleet.key"] {
        assert!(journal.contains(act), "{act} is in the journal");
    }

    first.ask(Method::DELETE, path, &json!({})).is(204);
    first.ask(Method::DELETE, path, &json!({})).is(404);
    in_step("it to be gone", || (secrets(&second)["items"] == json!([])).then_some(()));
    let mut first = first;
    for member in [&mut first, &mut second, &mut third] {
        assert_eq!(member.node.stop(), Some(0));
        assert!(!member.log().contains(VALUE) && !journal.contains(VALUE));
        let (mut clear, mut names) = (Vec::new(), Vec::new());
        let looked_at = files_with(&member.data, VALUE.as_bytes(), &mut clear);
        files_with(&member.data, b"archive.s3", &mut names);
        assert_eq!(clear, [""; 0], "in clear");
        assert!(looked_at > 5 && !names.is_empty(), "{looked_at} files, the name in {names:?}");
    }
}
