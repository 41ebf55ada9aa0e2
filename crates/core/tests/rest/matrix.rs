//! Every failure of a role-mapping server, of a proxy before it and of the login: who can act, whether the same may
//! succeed later, and whether what was given earlier must not be used any more.

use std::fs;

use hops_credentials_core::blocking::block_on;
use hops_credentials_core::error::Error;
use hops_credentials_core::hopsworks::Hopsworks;
use hops_credentials_core::request::AssumeRole;
use hops_credentials_core::settings::Settings;

use crate::loopback::{Server, answer, json};
use crate::{READER, directory, member, message, quick, settings};

/// A kind, whether the same may succeed later, and whether what is held must not be used any more.
type Answers = (&'static str, bool, bool);

const LATER: Answers = ("Unavailable", true, false);
const NO: Answers = ("Refused", false, false);
const NO_TO_THE_ROLE: Answers = ("Refused", false, true);
const OPERATOR: Answers = ("NotConfigured", false, false);
const NONSENSE: Answers = ("BadAnswer", false, false);

const ADMINISTRATOR: &str = "administrator";
const LOGIN: &str = "hopsworks.apikey / API_KEY";
const PLACE_OF_ROLES: &str = "project";
const PLACE: &str = "hopsworks.restendpoint / REST_ENDPOINT";

fn fail(settings: &Settings) -> Error {
    let member = Hopsworks::from_settings(settings).expect("settings").with_retry(quick());
    let reader = AssumeRole { role: Some(READER.parse().expect("an ARN")), ..AssumeRole::default() };
    block_on(member.assume_role(&reader)).expect_err("each of them is a failure")
}

fn check(name: &str, error: &Error, answers: Answers, names: &str) {
    let text = message(error, "http://\0");
    assert_eq!((error.kind(), error.is_retryable(), error.withdraws()), answers, "{name}: {text}");
    assert!(text.contains(names), "{name}: {text}");
}

fn refusal(status: &str, code: u32) -> Vec<u8> {
    json(status, &format!(r#"{{"errorCode":{code},"errorMsg":"no"}}"#))
}

fn html(status: &str) -> Vec<u8> {
    answer(status, "Content-Type: text/html\r\n", "<html>canary</html>")
}

fn credentials(token: &str) -> Vec<u8> {
    json("200 OK", &format!(r#"{{"accessKeyId":"ASIA1","secretAccessKey":"canary-secret","sessionToken":"{token}"}}"#))
}

#[test]
fn each_answer_of_a_server_or_of_a_proxy_before_it_answers_three_questions() {
    let ended =
        r#"{"accessKeyId":"A","secretAccessKey":"canary","sessionToken":"canary","expiration":"2020-01-01T00:00:00Z"}"#;
    for (name, reply, answers, names) in [
        ("not a member", refusal("403 Forbidden", 160_000), NO_TO_THE_ROLE, "members of a project"),
        ("no such project", refusal("404 Not Found", 150_004), NO_TO_THE_ROLE, "hopsworks.projectid"),
        ("another project role", refusal("403 Forbidden", 380_002), NO_TO_THE_ROLE, ADMINISTRATOR),
        ("no such mapping", refusal("400 Bad Request", 380_003), NO_TO_THE_ROLE, ADMINISTRATOR),
        ("switched off", refusal("404 Not Found", 380_000), NO, ADMINISTRATOR),
        ("STS refused the server", refusal("400 Bad Request", 380_001), NO, ADMINISTRATOR),
        ("a login that ended", refusal("401 Unauthorized", 320_013), NO, LOGIN),
        ("a 401 of something else", html("401 Unauthorized"), NO, LOGIN),
        ("a 403 of something else", answer("403 Forbidden", "", "blocked"), NO, "hopsworks.projectid"),
        ("a 404 of something else", answer("404 Not Found", "", ""), NO, PLACE),
        ("STS is silent", refusal("502 Bad Gateway", 380_001), LATER, ADMINISTRATOR),
        ("a role that is unmapped while it restarts", refusal("503 Unavailable", 380_003), LATER, ADMINISTRATOR),
        ("too many requests", refusal("429 Too Many Requests", 429), LATER, ADMINISTRATOR),
        ("a request timeout", answer("408 Request Timeout", "", ""), LATER, ADMINISTRATOR),
        ("a gateway without a server", html("504 Gateway Timeout"), LATER, ADMINISTRATOR),
        ("it hangs up", Vec::new(), LATER, "network"),
        ("a proxy without a login", html("407 Proxy Authentication Required"), OPERATOR, "https.proxyUser"),
        ("a page of a proxy", html("200 OK"), NONSENSE, PLACE),
        ("a block page of a proxy", html("403 Forbidden"), NONSENSE, PLACE),
        ("a sign-in page", answer("302 Found", "Location: https://login.example.com/?canary\r\n", ""), NONSENSE, PLACE),
        ("an answer that is cut off", json("200 OK", "{\"accessKeyId\":"), NONSENSE, PLACE),
        ("not HTTP", b"SSH-2.0-OpenSSH\r\n".to_vec(), NONSENSE, PLACE),
        ("a clock that is wrong", json("200 OK", ended), NONSENSE, PLACE),
        ("a token that no header can hold", credentials(r"a\u0000b"), NONSENSE, PLACE),
        ("a token with a line break", credentials(r"a\nb"), NONSENSE, PLACE),
    ] {
        let server = Server::answering(vec![reply]);
        check(name, &fail(&settings(&server.endpoint, &[])), answers, names);
    }
}

#[test]
fn a_default_that_is_gone_says_nothing_about_the_role_that_was_the_default() {
    for (code, answers) in [(380_002, NO), (380_003, NO), (160_000, NO_TO_THE_ROLE)] {
        let server = Server::answering(vec![refusal("400 Bad Request", code)]);
        let member = member(&server.endpoint, &[]);
        check("default", &block_on(member.role_mapping(None)).expect_err("no default"), answers, PLACE_OF_ROLES);
        let assumed = block_on(member.assume_role(&AssumeRole::default()));
        check("assumed default", &assumed.expect_err("no default"), answers, PLACE_OF_ROLES);
    }
}

#[test]
fn each_way_that_leads_nowhere_answers_three_questions() {
    let (untrusted, _) = crate::reaching::with_tls();
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
    let files = directory("matrix-files");
    let (empty, unusable) = (files.join("empty"), files.join("unusable"));
    fs::create_dir_all(&empty).and_then(|()| fs::write(empty.join("token.jwt"), "")).expect("an empty token file");
    fs::create_dir_all(unusable.join("token.jwt")).expect("a directory instead of a token file");
    let path = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    for (name, endpoint, variable, answers, names) in [
        ("a closed port", format!("http://{port}"), None, LATER, "network"),
        ("an unknown authority", untrusted.endpoint.clone(), None, OPERATOR, "DOMAIN_CA_TRUSTSTORE_PEM"),
        ("an empty token file", format!("http://{port}"), Some(("SECRETS_DIR", path(&empty))), LATER, "log in again"),
        (
            "no token file",
            format!("http://{port}"),
            Some(("SECRETS_DIR", path(&unusable))),
            OPERATOR,
            "make it readable",
        ),
        ("no login", format!("http://{port}"), Some(("API_KEY", " ".to_owned())), OPERATOR, LOGIN),
        ("a key with a space", format!("http://{port}"), Some(("API_KEY", "a b".to_owned())), OPERATOR, "copy the key"),
    ] {
        let mut variables = vec![
            ("REST_ENDPOINT".to_owned(), endpoint),
            ("HOPSWORKS_PROJECT_ID".to_owned(), "119".to_owned()),
            ("API_KEY".to_owned(), "canary.key".to_owned()),
        ];
        if let Some((name, value)) = variable {
            variables.retain(|(known, _)| known != name);
            variables.push((name.to_owned(), value));
        }
        let error = fail(&Settings::new([], []).with_environment(variables));
        check(name, &error, answers, names);
    }
}
