//! The description of the interface holds for the running server: every answer that any test gets is compared with it.

use std::sync::LazyLock;

use serde_json::Value;

use crate::fairness::project_with_a_member;
use crate::world::{API, Answer, World, on_both_stores};

static DESCRIPTION: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../openapi.json")).expect("JSON"));

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "HEAD"];

fn paths() -> impl Iterator<Item = (&'static String, &'static Value)> {
    DESCRIPTION["paths"].as_object().expect("an object").iter()
}

/// Follows a reference.
fn resolve(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => DESCRIPTION.pointer(reference.trim_start_matches('#')).expect("it leads somewhere"),
        None => value,
    }
}

/// Finds the described path that this one is; one without a parameter in its place goes first.
fn find_path(path: &str) -> Option<&'static Value> {
    let is_like = |described: &str| {
        let (described, given): (Vec<_>, Vec<_>) = (described.split('/').collect(), path.split('/').collect());
        let mut pairs = described.iter().zip(&given);
        described.len() == given.len()
            && pairs.all(|(described, given)| described == given || described.starts_with('{'))
    };
    let found = paths().filter(|(described, _)| is_like(described));
    found.min_by_key(|(described, _)| described.matches('{').count()).map(|(_, item)| item)
}

/// Makes sure that the answer is one of those that are described for this path and method, if they are.
pub fn check(method: &str, target: &str, answer: &Answer) {
    // The head of the description says that a body that is too large is refused everywhere.
    if answer.status == 413 {
        return;
    }
    let path = target.split('?').next().unwrap_or_default();
    let Some(operation) = find_path(path).map(|item| &item[method.to_lowercase()]).filter(|found| !found.is_null())
    else {
        return;
    };
    let response = resolve(&operation["responses"][answer.status.to_string()]);
    assert!(!response.is_null(), "{method} {path} does not describe {}: {}", answer.status, answer.text);
    if let Some(code) = answer.json.get("errorCode") {
        let codes = &response["content"]["application/json"]["schema"]["allOf"][1]["properties"]["errorCode"]["enum"];
        let is_described = codes.as_array().is_some_and(|codes| codes.contains(code));
        assert!(is_described, "{method} {path} does not describe {} {code}: {}", answer.status, answer.text);
        assert_eq!(
            answer.headers.contains_key("retry-after"),
            !response["headers"]["Retry-After"].is_null(),
            "{method} {path}: Retry-After of {}: {}",
            answer.status,
            answer.text
        );
    }
}

on_both_stores! {
    fn every_path_answers_to_the_methods_that_are_described_and_to_no_other(world: &World) {
        let key = project_with_a_member(world);
        let admin = world.done(&["user", "add", "admin@example.org", "--admin"]);
        let server = world.serve();
        for (described, item) in paths() {
            let path = described.strip_prefix(API).expect("all are under it").replace("{project}", "1").replace("{id}", "1");
            let caller = if path.starts_with("/admin") { &admin } else { &key };
            for method in METHODS {
                let answer = server.ask(method, &path, caller);
                let is_described = !item[method.to_lowercase()].is_null();
                let serves_head = method == "HEAD" && !path.ends_with("/session-token");
                assert_eq!(answer.status != 405, is_described || serves_head, "{method} {path}: {}", answer.status);
                assert_ne!(answer.status, 404, "{method} {path}");
            }
        }
    }
}
