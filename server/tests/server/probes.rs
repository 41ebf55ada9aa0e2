//! `/healthz`, `/readyz`, `/metrics`.

use crate::postgres;
use crate::world::World;

#[test]
fn everybody_may_ask_whether_the_server_is_alive_and_ready() {
    let world = World::sqlite();
    let server = world.serve();
    for (path, text) in [("/healthz", "alive\n"), ("/readyz", "ready\n")] {
        let answer = server.send("GET", path, &[]);
        assert_eq!((answer.status, answer.text.as_str()), (200, text));
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

#[test]
fn a_server_without_its_database_is_alive_and_not_ready() {
    let world = World::postgres();
    let server = world.serve();
    assert_eq!(server.send("GET", "/readyz", &[]).status, 200);
    postgres::drop_database(&world.database);
    let answer = server.send("GET", "/readyz", &[]);
    assert_eq!((answer.status, answer.text.as_str()), (503, "the database does not answer\n"));
    assert_eq!(server.send("GET", "/healthz", &[]).status, 200);
    server.wait_for_log("does not exist");
}

#[test]
fn the_metrics_hold_no_text_that_a_client_chose() {
    let world = World::sqlite();
    let server = world.serve();
    server.send("CANARY", "/canary?canary=1", &["Authorization: ApiKey canary.canary", "X-Canary: canary"]);
    server.send("GET", "/nowhere", &[]);
    let answer = server.send("GET", "/metrics", &[]);
    assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(!answer.text.to_lowercase().contains("canary"), "{}", answer.text);
    assert!(answer.text.contains("# TYPE role_mapping_server_answer_duration_seconds histogram\n"), "{}", answer.text);
    assert!(answer.text.ends_with("# EOF\n"), "{}", answer.text);
    assert_eq!(server.metric("answers_total{status=\"403\"}"), 1.0, "a form of nobody's");
    assert_eq!(server.metric("answers_total{status=\"404\"}"), 1.0);
    assert_eq!(server.metric("answer_duration_seconds_count"), 5.0);
    server.wait_for_metric("connections", 1.0);
}
