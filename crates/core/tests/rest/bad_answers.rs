//! The answers of a server that are not credentials: one clear error each, without secrets, and no needless request.

use std::time::Duration;

use hops_credentials_core::error::Error;
use hops_credentials_core::request::AssumeRole;
use hops_credentials_core::retry::Retry;

use crate::loopback::{Server, answer, json, session_token};
use crate::{READER, member, message, quick};

const FAILED: &str = "assuming the default role for project 119 at <server> failed";
const REFUSED: &str = "assuming the default role for project 119 at <server> was refused";
const CHECK: &str =
    "check that hopsworks.restendpoint / REST_ENDPOINT names a role-mapping server, else ask its administrator";
const REACH: &str = "check hopsworks.restendpoint / REST_ENDPOINT, the network and the proxy settings";
const LATER: &str = "try again later; if it lasts, ask the administrator of the server";

/// Requests the default role, and expects this error after this many requests.
#[track_caller]
fn check(answers: Vec<Vec<u8>>, expected: &str, code: u32, requests: usize) {
    let server = Server::answering(answers);
    let error = assume(&server, quick()).expect_err(expected);
    assert_eq!(message(&error, &server.endpoint), expected);
    assert_eq!(error.code(), code, "{expected}");
    assert_eq!(server.requests().len(), requests, "{expected}");
    assert_eq!(error.is_retryable(), requests == 3, "{expected}");
}

fn assume(server: &Server, retry: Retry) -> Result<hops_credentials_core::credentials::Credentials, Error> {
    let member = member(&server.endpoint, &[]).with_retry(retry);
    hops_credentials_core::blocking::block_on(member.assume_role(&AssumeRole::default()))
}

fn refusal(status: &str, code: u32) -> Vec<u8> {
    json(
        status,
        &format!(r#"{{"errorCode":{code},"errorMsg":"in general","usrMsg":"in this case","devMsg":"canary"}}"#),
    )
}

#[test]
fn each_code_of_the_contract_has_its_own_remedy() {
    for (status, code, remedy) in [
        (
            "405 Method Not Allowed",
            380_000,
            "cloud roles are switched off there: ask its administrator to enable them, or use a role-mapping server",
        ),
        (
            "400 Bad Request",
            380_001,
            "ask the administrator whether the role trusts the base identity of the server and allows the duration",
        ),
        ("403 Forbidden", 380_002, "ask the administrator to map the role to your project role"),
        ("400 Bad Request", 380_003, "name a role, or ask a data owner of the project to set a default"),
        ("400 Bad Request", 380_004, "use the mapping that exists, or remove it first"),
    ] {
        let number = &status[..3];
        let expected = format!("{REFUSED}: HTTP {number}, code {code}: \"in this case\"; {remedy}");
        check(vec![refusal(status, code)], &expected, code, 1);
    }
}

#[test]
fn an_unmapped_role_has_another_remedy_than_a_missing_default() {
    let server = Server::answering(vec![refusal("400 Bad Request", 380_003)]);
    let request = AssumeRole { role: Some(READER.parse().expect("an ARN")), ..AssumeRole::default() };
    let member = member(&server.endpoint, &[("HOPSWORKS_PROJECT_NAME", "churn")]);
    let error = hops_credentials_core::blocking::block_on(member.assume_role(&request)).expect_err("not mapped");
    assert_eq!(
        message(&error, &server.endpoint),
        format!(
            "assuming role {READER} for project 119 (\"churn\") at <server> was refused: HTTP 400, code 380003: \"in this \
             case\"; ask the administrator to map the role to the project, or take one from the list of role mappings"
        )
    );
    let error = hops_credentials_core::blocking::block_on(member.role_mapping(Some(7))).expect_err("no such id");
    assert_eq!(
        message(&error, &server.endpoint),
        "reading role mapping 7 for project 119 (\"churn\") at <server> was refused: HTTP 400, code 380003: \"in this \
         case\"; take an id from the list of role mappings"
    );
    assert_eq!(error.code(), 380_003);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_refusal_may_lack_any_part_of_its_body() {
    let remedy = "check hopsworks.projectid / HOPSWORKS_PROJECT_ID: only members of a project may ask";
    for (body, said) in [
        ("", "HTTP 403"),
        ("no JSON", "HTTP 403"),
        ("{}", "HTTP 403"),
        (r#"{"errorCode":160000}"#, "HTTP 403, code 160000"),
        (r#"{"errorCode":160000,"errorMsg":"No valid role"}"#, "HTTP 403, code 160000: \"No valid role\""),
        (r#"{"errorCode":160000,"errorMsg":"No valid role","usrMsg":""}"#, "HTTP 403, code 160000: \"No valid role\""),
        (r#"{"errorCode":160000,"errorMsg":"No valid role","usrMsg":7}"#, "HTTP 403, code 160000: \"No valid role\""),
        (r#"{"errorCode":"160000","errorMsg":null}"#, "HTTP 403"),
    ] {
        check(vec![json("403 Forbidden", body)], &format!("{REFUSED}: {said}; {remedy}"), 403, 1);
    }
}

#[test]
fn a_message_of_the_server_is_cut_cleaned_and_without_the_callers_own_login() {
    let long = "x".repeat(400);
    for (sent, shown) in [
        (r"one\r\ntwo\u0000\u001b[31m  three", "one two [31m three".to_owned()),
        ("the key canary.key is void", "the key *** is void".to_owned()),
        (long.as_str(), format!("{}…", "x".repeat(300))),
    ] {
        let body = format!(r#"{{"errorCode":1,"usrMsg":"{sent}"}}"#);
        let expected = format!("{REFUSED}: HTTP 400, code 1: \"{shown}\"; ask the administrator of the server");
        check(vec![json("400 Bad Request", &body)], &expected, 400, 1);
    }
}

#[test]
fn an_unknown_address_says_which_settings_to_check() {
    let remedy = "check hopsworks.restendpoint / REST_ENDPOINT and hopsworks.projectid / HOPSWORKS_PROJECT_ID";
    check(vec![json("404 Not Found", "")], &format!("{REFUSED}: HTTP 404; {remedy}"), 404, 1);
}

#[test]
fn a_temporary_failure_is_tried_three_times() {
    for status in [408, 429, 500, 502, 503, 504] {
        let answers = vec![answer(&format!("{status} Busy"), "Content-Type: text/html\r\n", "<html>canary</html>")];
        check(answers, &format!("{FAILED}: HTTP {status}; {LATER}"), status, 3);
    }
    let out_of_reach = format!("{FAILED}: HTTP 502, code 380001: \"in this case\"; {LATER}");
    check(vec![refusal("502 Bad Gateway", 380_001)], &out_of_reach, 380_001, 3);
}

#[test]
fn a_temporary_failure_is_hidden_when_a_later_try_succeeds() {
    let server = Server::answering(vec![json("503 Busy", ""), json("429 Slower", ""), session_token()]);
    let credentials = assume(&server, quick()).expect("the third try");
    assert_eq!(credentials.access_key_id(), "ASIA1");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_wait_longer_than_the_budget_is_not_begun() {
    let busy = answer("503 Busy", "Retry-After: 31\r\n", "");
    check_once(vec![busy], &format!("{FAILED}: HTTP 503; {LATER}"));
    let busy = answer("503 Busy", "Retry-After: Fri, 31 Dec 2049 23:59:59 GMT\r\n", "");
    check_once(vec![busy], &format!("{FAILED}: HTTP 503; {LATER}"));
}

#[track_caller]
fn check_once(answers: Vec<Vec<u8>>, expected: &str) {
    let server = Server::answering(answers);
    let error = assume(&server, quick()).expect_err(expected);
    assert_eq!(message(&error, &server.endpoint), expected);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn the_message_says_what_an_answer_is_instead_of_a_json_object() {
    let valid = r#"{"accessKeyId":"ASIA1","secretAccessKey":"canary","sessionToken":"canary"}"#;
    let html = "Content-Type: text/html; charset=utf-8\r\n";
    for (bytes, problem) in [
        (json("200 OK", ""), "the answer is empty"),
        (answer("204 No Content", "", ""), "the answer is empty"),
        (json("200 OK", " \r\n"), "the answer is empty"),
        (answer("200 OK", html, "Please log in, canary"), "the answer is HTML, not JSON"),
        (json("200 OK", "\n<!DOCTYPE html><p>canary"), "the answer is HTML, not JSON"),
        (json("200 OK", &valid[..30]), "the answer is cut off"),
        (json("200 OK", "canary"), "the answer is not JSON"),
        (json("200 OK", &format!("{valid}{valid}")), "the answer is not JSON"),
        (json("200 OK", "[\"canary\"]"), "the answer is not a JSON object"),
        (answer("200 OK", "", b"{\"accessKeyId\":\"\xff canary\"}"), "the answer is not UTF-8"),
    ] {
        let code = if bytes.starts_with(b"HTTP/1.1 204") { 204 } else { 200 };
        check(vec![bytes], &format!("{FAILED}: {problem}; {CHECK}"), code, 1);
    }
}

#[test]
fn html_from_a_proxy_is_not_mistaken_for_a_refusal_of_the_server() {
    let login = answer("403 Forbidden", "Content-Type: text/html\r\n", "<h1>canary</h1>");
    check(vec![login], &format!("{FAILED}: HTTP 403 with HTML, not JSON; {CHECK}"), 403, 1);
}

#[test]
fn a_redirect_is_not_followed_and_only_its_host_is_shown() {
    let elsewhere = answer("302 Found", "Location: https://login.example.com/canary?canary=1\r\n", "");
    check(vec![elsewhere], &format!("{FAILED}: HTTP 302, a redirect to https://login.example.com; {CHECK}"), 302, 1);
    let nearby = answer("301 Moved Permanently", "Location: /canary\r\n", "");
    check(vec![nearby], &format!("{FAILED}: HTTP 301, a redirect; {CHECK}"), 301, 1);
}

#[test]
fn an_answer_of_more_than_one_mebibyte_is_not_read_to_its_end() {
    let endless = format!("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}", " ".repeat(2 << 20));
    check(vec![endless.into_bytes()], &format!("{FAILED}: the answer is larger than 1 MiB; {CHECK}"), 200, 1);
    let object = r#"{"canary":1}"#;
    let padded = |length| object.to_owned() + &" ".repeat(length - object.len());
    let most = json("200 OK", &padded(1 << 20));
    check(vec![most], &format!("{FAILED}: the field accessKeyId is missing or empty; {CHECK}"), 200, 1);
    let too_much = json("200 OK", &padded((1 << 20) + 1));
    check(vec![too_much], &format!("{FAILED}: the answer is larger than 1 MiB; {CHECK}"), 200, 1);
}

#[test]
fn credentials_without_a_field_are_refused() {
    for (body, field) in [
        (r#"{"secretAccessKey":"canary","sessionToken":"canary"}"#, "accessKeyId"),
        (r#"{"accessKeyId":"","secretAccessKey":"canary","sessionToken":"canary"}"#, "accessKeyId"),
        (r#"{"accessKeyId":"A","sessionToken":"canary"}"#, "secretAccessKey"),
        (r#"{"accessKeyId":"A","secretAccessKey":null,"sessionToken":"canary"}"#, "secretAccessKey"),
        (r#"{"accessKeyId":"A","secretAccessKey":"canary"}"#, "sessionToken"),
        (r#"{"accessKeyId":"A","secretAccessKey":"canary","sessionToken":{"canary":1}}"#, "sessionToken"),
    ] {
        check(vec![json("200 OK", body)], &format!("{FAILED}: the field {field} is missing or empty; {CHECK}"), 200, 1);
    }
    let body = r#"{"accessKeyId":"A","secretAccessKey":"canary","sessionToken":"canary","expiration":"canary"}"#;
    check(
        vec![json("200 OK", body)],
        &format!("{FAILED}: the field expiration is not an RFC 3339 time; {CHECK}"),
        200,
        1,
    );
}

#[test]
fn credentials_that_expire_before_the_date_of_the_answer_are_refused() {
    for (expiration, shown) in [
        ("2030-01-01T12:00:00Z", "2030-01-01T12:00:00Z"),
        ("2030-01-01T14:00:01.5+02:00", "2030-01-01T12:00:01Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
    ] {
        let body = format!(
            r#"{{"accessKeyId":"A","secretAccessKey":"canary","sessionToken":"canary","expiration":"{expiration}"}}"#
        );
        let bytes = answer("200 OK", "Date: Tue, 01 Jan 2030 12:00:00 GMT\r\n", body);
        let problem = format!("the credentials in the answer end at {shown}, and it was made at 2030-01-01T12:00:00Z");
        check(vec![bytes], &format!("{FAILED}: {problem}; {CHECK}"), 200, 1);
    }
}

#[test]
fn a_role_mapping_without_a_field_is_refused() {
    for (body, field) in [
        (r#"{"cloudRole":"arn:aws:iam::123456789012:role/r","projectRole":"ALL","defaultRole":true}"#, "id"),
        (r#"{"id":-1,"cloudRole":"arn:aws:iam::123456789012:role/r","projectRole":"ALL","defaultRole":true}"#, "id"),
        (r#"{"id":1,"cloudRole":"canary","projectRole":"ALL","defaultRole":true}"#, "cloudRole"),
        (
            r#"{"id":1,"cloudRole":"arn:aws:iam::123456789012:role/r","projectRole":"canary","defaultRole":true}"#,
            "projectRole",
        ),
        (r#"{"id":1,"cloudRole":"arn:aws:iam::123456789012:role/r","projectRole":"ALL"}"#, "defaultRole"),
    ] {
        let server = Server::answering(vec![json("200 OK", body)]);
        let member = member(&server.endpoint, &[]);
        let error = hops_credentials_core::blocking::block_on(member.role_mapping(None)).expect_err(field);
        assert_eq!(
            message(&error, &server.endpoint),
            format!(
                "reading the default role mapping for project 119 at <server> failed: the field {field} of a role mapping \
                 is missing or illegal; {CHECK}"
            )
        );
        assert_eq!(server.requests().len(), 1);
    }
    let server = Server::answering(vec![json("200 OK", r#"{"items":{"canary":1}}"#)]);
    let error =
        hops_credentials_core::blocking::block_on(member(&server.endpoint, &[]).role_mappings()).expect_err("no list");
    assert_eq!(
        message(&error, &server.endpoint),
        format!(
            "listing the role mappings for project 119 at <server> failed: the field items is not a list of role mappings; \
             {CHECK}"
        )
    );
}

#[test]
fn a_server_that_hangs_up_is_tried_three_times() {
    let expected = format!("{FAILED}: connection closed before message completed; {REACH}");
    check(vec![Vec::new()], &expected, 0, 3);
    let short = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 80\r\n\r\n{\"canary\":".to_vec();
    let expected = format!("{FAILED}: end of file before message length reached; {REACH}");
    check(vec![short], &expected, 0, 3);
}

#[test]
fn a_server_that_does_not_speak_http_has_its_own_message() {
    let ssh = b"SSH-2.0-OpenSSH_9.2\r\n".to_vec();
    check(vec![ssh], &format!("{FAILED}: what answers there does not speak HTTP; {REACH}"), 0, 1);
}

#[test]
fn a_server_that_does_not_answer_is_abandoned_in_time() {
    let server = Server::start(|_| {
        loop {
            std::thread::park();
        }
    });
    let retry = Retry { tries: 2, answer_timeout: Duration::from_secs(1), ..quick() };
    let error = assume(&server, retry).expect_err("no answer");
    assert_eq!(message(&error, &server.endpoint), format!("{FAILED}: no answer within 1 s; {REACH}"));
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn the_message_for_a_closed_port_has_the_cause() {
    let endpoint = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        format!("http://{}", listener.local_addr().expect("an address"))
    };
    let member = member(&endpoint, &[]);
    let error =
        hops_credentials_core::blocking::block_on(member.assume_role(&AssumeRole::default())).expect_err("nobody");
    assert_eq!(
        message(&error, &endpoint),
        format!("{FAILED}: no connection: Connection refused (os error 111); {REACH}")
    );
    assert!(error.is_retryable());
    assert_eq!(error.code(), 0);
}
