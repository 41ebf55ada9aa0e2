//! Every failure of STS, of the places of a base identity and of what stands before them: who can act, whether the same
//! may succeed later, and whether what was given earlier must not be used any more.

use super::metadata::instance;
use super::*;

/// A kind, whether the same may succeed later, and whether what is held must not be used any more.
type Answers = (&'static str, bool, bool);

/// A name, the answer, and what comes of it.
type Row<Last> = (&'static str, fn() -> Reply, Answers, Last);

const LATER: Answers = ("Unavailable", true, false);
const NO: Answers = ("Refused", false, false);
const NO_TO_THE_ROLE: Answers = ("Refused", false, true);
const OPERATOR: Answers = ("NotConfigured", false, false);
const NONSENSE: Answers = ("BadAnswer", false, false);

const BASE: &str = "base identity";
const PLACE: &str = "AWS_ENDPOINT_URL_STS";

fn check(name: &str, error: &Error, answers: Answers, names: &str) {
    let text = message(error);
    assert_eq!((error.kind(), error.is_retryable(), error.withdraws()), answers, "{name}: {text}");
    assert!(text.contains(names), "{name}: {text}");
}

async fn fail(variables: &[(&str, &str)]) -> Error {
    assume_reader(&environment(variables)).await.expect_err("each of them is a failure")
}

fn refusal(status: &str, code: &str) -> Reply {
    Reply::http(status, "", error_xml(code, "no"))
}

fn html(status: &str) -> Reply {
    Reply::http(status, "Content-Type: text/html\r\n", "<html>canary</html>")
}

fn ended() -> Reply {
    Reply::http("200 OK", "", credentials_xml("ASIAREADER", "2020-01-01T00:00:00Z"))
}

#[tokio::test(start_paused = true)]
async fn each_answer_of_sts_or_of_a_proxy_before_it_answers_three_questions() {
    let rows: [Row<&str>; 23] = [
        ("no to the role", || refusal("403 Forbidden", "AccessDenied"), NO_TO_THE_ROLE, "trust policy of that role"),
        (
            "ended keys of the base",
            || refusal("403 Forbidden", "ExpiredToken"),
            NO,
            "renew the credentials of the base",
        ),
        ("unknown keys of the base", || refusal("403 Forbidden", "InvalidClientTokenId"), NO, BASE),
        ("a wrong secret of the base", || refusal("403 Forbidden", "SignatureDoesNotMatch"), NO, BASE),
        ("a clock that is wrong", || refusal("400 Bad Request", "RequestExpired"), NO, "clock of this machine"),
        ("a region that is off", || refusal("403 Forbidden", "RegionDisabledException"), NO, "AWS_REGION"),
        ("a policy", || refusal("400 Bad Request", "MalformedPolicyDocument"), NO, "session policy"),
        ("a duration", || refusal("400 Bad Request", "ValidationError"), NO, "correct the request"),
        ("another code", || refusal("400 Bad Request", "SomethingElse"), NO, "SomethingElse"),
        ("a 403 of something else", || html("403 Forbidden"), NO, PLACE),
        ("a 404 of something else", || html("404 Not Found"), NO, PLACE),
        ("throttling", || refusal("400 Bad Request", "Throttling"), LATER, "later"),
        ("too many requests", || html("429 Too Many Requests"), LATER, "later"),
        ("a proxy that waited in vain", || html("408 Request Timeout"), LATER, "later"),
        ("a fault", || refusal("500 Internal Server Error", "InternalFailure"), LATER, "later"),
        ("a gateway without a server", || html("503 Service Unavailable"), LATER, "later"),
        ("silence", || Reply::Silence, LATER, "network"),
        ("it hangs up", || Reply::Bytes(Vec::new()), LATER, "network"),
        ("a proxy without a login", || html("407 Proxy Authentication Required"), OPERATOR, "https.proxyUser"),
        ("a page of a proxy", || html("200 OK"), NONSENSE, PLACE),
        (
            "a sign-in page",
            || Reply::http("302 Found", "Location: https://login.example.com/\r\n", ""),
            NONSENSE,
            PLACE,
        ),
        ("an empty answer", || Reply::http("200 OK", "", ""), NONSENSE, PLACE),
        ("credentials that have ended", ended, NONSENSE, PLACE),
    ];
    for (name, reply, answers, names) in rows {
        let sts = Fake::start(move |_| reply()).await;
        check(name, &assume_reader(&keys_for(&sts)).await.expect_err(name), answers, names);
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_that_is_the_base_and_is_refused_says_nothing_about_the_role_that_was_asked_for() {
    let sts = Fake::start(|_| refusal("403 Forbidden", "AccessDenied")).await;
    let config = file(
        "matrix_base_role",
        "[default]\nregion=eu-north-1\nrole_arn=arn:aws:iam::123456789012:role/hop\nsource_profile=keys\n\
         [profile keys]\naws_access_key_id=AKIAKEYS\naws_secret_access_key=canary-secret\n",
    );
    let error = fail(&[("AWS_CONFIG_FILE", &config), ("AWS_ENDPOINT_URL_STS", &sts.url())]).await;
    check("base role", &error, NO, "trust policy of the base role");
}

#[tokio::test(start_paused = true)]
async fn each_answer_of_a_place_of_the_base_identity_answers_three_questions() {
    let rows: [Row<Answers>; 6] = [
        ("no role", || Reply::http("404 Not Found", "", "canary"), OPERATOR, LATER),
        ("forbidden", || Reply::http("403 Forbidden", "", "canary"), OPERATOR, LATER),
        ("a fault", || Reply::http("500 Internal Server Error", "", "canary"), LATER, LATER),
        ("a page of a proxy", || html("200 OK"), NONSENSE, LATER),
        ("silence", || Reply::Silence, LATER, LATER),
        ("it hangs up", || Reply::Bytes(Vec::new()), LATER, LATER),
    ];
    for (name, reply, of_metadata, of_container) in rows {
        let metadata =
            Fake::start(
                move |request| {
                    if request.line.contains("security-credentials/hop") { reply() } else { instance(request) }
                },
            )
            .await;
        let metadata = metadata.url();
        let on_machine = [machine(&metadata).as_slice(), &[("AWS_REGION", "eu-north-1")]].concat();
        check(name, &fail(&on_machine).await, of_metadata, "instance metadata service");
        let container = Fake::start(move |_| reply()).await;
        let url = format!("{}/role", container.url());
        let in_container = [("AWS_REGION", "eu-north-1"), ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)];
        check(name, &fail(&in_container).await, of_container, "container's credentials endpoint");
    }
}

#[tokio::test]
async fn each_file_that_cannot_be_used_answers_three_questions() {
    let region = ("AWS_REGION", "eu-north-1");
    let malformed = file("matrix_malformed", "[default]\nno property\n");
    let sso = file(
        "matrix_sso",
        "[default]\nsso_start_url=https://x\nsso_region=eu-north-1\nsso_account_id=1\nsso_role_name=r\n",
    );
    let fails = file("matrix_fails", "[default]\ncredential_process = echo canary >&2; exit 3\n");
    let nonsense = file("matrix_nonsense", "[default]\ncredential_process = echo canary\n");
    let web = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token"), ("AWS_ROLE_ARN", ROLE)];
    for (name, variables, answers, names) in [
        ("malformed", vec![("AWS_CONFIG_FILE", malformed.as_str())], OPERATOR, "correct the file"),
        ("unreadable", vec![("AWS_CONFIG_FILE", "/")], OPERATOR, "AWS_CONFIG_FILE"),
        ("a typo", vec![("AWS_PROFILE", "typo")], OPERATOR, "AWS_PROFILE"),
        ("a sign-in", vec![("AWS_CONFIG_FILE", &sso), region], OPERATOR, "credential_process = aws configure"),
        ("a program that fails", vec![("AWS_CONFIG_FILE", &fails), region], LATER, "profile \"default\""),
        (
            "a program that says something else",
            vec![("AWS_CONFIG_FILE", &nonsense), region],
            LATER,
            "profile \"default\"",
        ),
        ("no token", [web.as_slice(), &[region]].concat(), LATER, "web identity token"),
        ("half of the keys", vec![("AWS_ACCESS_KEY_ID", "AKIA")], OPERATOR, "AWS_SECRET_ACCESS_KEY"),
        ("nothing", vec![region], OPERATOR, "set AWS_ACCESS_KEY_ID"),
    ] {
        check(name, &fail(&variables).await, answers, names);
    }
}
