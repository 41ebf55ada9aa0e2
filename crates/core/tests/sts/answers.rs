//! The answers of STS, and the errors that callers see.

use super::*;

/// Assumes [`ROLE`] once and returns the error with the number of requests that STS saw.
async fn refused(reply: Reply) -> (Error, usize) {
    let sts = Fake::start(move |_| reply.clone()).await;
    let error = assume_reader(&keys_for(&sts)).await.expect_err("an error");
    let place = sts.url();
    let requests = sts.seen().len();
    let message = message(&error);
    assert!(message.contains(&format!("{ROLE} at {place}")), "{message}");
    (error, requests)
}

/// Asserts kind, code, text after the attempt, and the number of requests.
async fn check(reply: Reply, kind: &str, code: u32, text: &str, requests: usize) {
    let (error, seen) = refused(reply).await;
    let message = error.to_string();
    let (_, rest) = message.split_once(' ').expect("a sentence");
    let rest = rest.split_once(" at http://127.0.0.1:").map(|(_, rest)| rest).expect("it names the endpoint");
    let (_, rest) = rest.split_once(' ').expect("the port ends with a space");
    let found_kind = match error {
        Error::InvalidArgument { .. } => "InvalidArgument",
        Error::NotConfigured { .. } => "NotConfigured",
        Error::Refused { .. } => "Refused",
        Error::Unavailable { .. } => "Unavailable",
        Error::BadAnswer { .. } => "BadAnswer",
    };
    assert_eq!((found_kind, error.code(), rest, seen), (kind, code, text, requests));
}

const DAMAGED: &str = "check what answers there: AWS_ENDPOINT_URL_STS, a proxy, and the clocks of both machines";
const ELSEWHERE: &str = "check what answers there: AWS_ENDPOINT_URL_STS, HTTPS_PROXY, NO_PROXY";

#[tokio::test(start_paused = true)]
async fn a_success_gives_credentials_and_the_request_id() {
    let sts = Fake::start(|_| success()).await;
    let issued = assume_reader(&keys_for(&sts)).await.expect("a success");
    assert_eq!(issued.credentials.access_key_id(), "ASIAREADER");
    assert_eq!(issued.credentials.secret_access_key(), "canary-issued-secret");
    assert_eq!(issued.credentials.session_token(), "canary-issued-token");
    assert_eq!(issued.credentials.role().map(|role| role.as_str()), Some(ROLE));
    assert_eq!(issued.request_id.as_deref(), Some("request-1"));
    assert_eq!(issued.warnings, Vec::<String>::new());
    assert!(!format!("{issued:?}").contains("canary"));
    assert_eq!(sts.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_validity_counts_by_the_clock_of_sts() {
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let sts = Fake::start(move |_| {
        Reply::http("200 OK", &date(then), credentials_xml("ASIA", &instant(then + Duration::from_secs(900))))
    })
    .await;
    let issued = assume_reader(&keys_for(&sts)).await.expect("good for 900 s by its own date");
    assert_eq!(issued.credentials.valid_for(), Duration::from_secs(900));
    assert_eq!(issued.credentials.expiration(), then + Duration::from_secs(900));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_success_is_an_error() {
    let now = SystemTime::now();
    let hour = instant(now + Duration::from_secs(3600));
    let whole = credentials_xml("ASIAREADER", &hour);
    let without = |field: &str| {
        let (before, rest) = whole.split_once(&format!("<{field}>")).expect("the field is there");
        let (_, after) = rest.split_once(&format!("</{field}>")).expect("the field ends");
        format!("{before}{after}")
    };
    let empty = |field: &str| {
        let (before, rest) = whole.split_once(&format!("<{field}>")).expect("the field is there");
        let (_, after) = rest.split_once(&format!("</{field}>")).expect("the field ends");
        format!("{before}<{field}></{field}>{after}")
    };
    let unreadable = "the answer is not what the contract of STS says";
    let invalid_utf8 = whole.replace("canary-issued-secret", "canary-\u{ff}").replace('\u{ff}', "\u{1}").into_bytes();
    let invalid_utf8: Vec<u8> = invalid_utf8.into_iter().map(|byte| if byte == 1 { 0xff } else { byte }).collect();
    for (body, problem, remedy) in [
        (Vec::new(), unreadable, ELSEWHERE),
        (b"<html><body>canary</body></html>".to_vec(), unreadable, ELSEWHERE),
        (b"canary, and no XML at all".to_vec(), unreadable, ELSEWHERE),
        (invalid_utf8, unreadable, ELSEWHERE),
        (whole.replace(&hour, "canary").into_bytes(), unreadable, ELSEWHERE),
        (result_xml("").into_bytes(), "the answer holds no credentials", DAMAGED),
        (without("AccessKeyId").into_bytes(), "the answer holds no access key id", DAMAGED),
        (without("SecretAccessKey").into_bytes(), "the answer holds no secret access key", DAMAGED),
        (without("SessionToken").into_bytes(), "the answer holds no session token", DAMAGED),
        (without("Expiration").into_bytes(), "the answer holds no expiration", DAMAGED),
        (empty("AccessKeyId").into_bytes(), "the answer holds no access key id", DAMAGED),
        (empty("SecretAccessKey").into_bytes(), "the answer holds no secret access key", DAMAGED),
        (empty("SessionToken").into_bytes(), "the answer holds no session token", DAMAGED),
        (
            whole.replace("canary-issued-token", "canary\ntoken").into_bytes(),
            "the session token in the answer is not readable",
            DAMAGED,
        ),
        (
            whole.replace("<SessionToken>canary-issued-token</SessionToken>", "").into_bytes(),
            "the answer holds no session token",
            DAMAGED,
        ),
    ] {
        let text = format!("failed: {problem}; {remedy}");
        check(Reply::http("200 OK", &date(now), &body), "BadAnswer", 200, &text, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_that_breaks_off_before_its_credentials_end_is_an_error() {
    let whole = credentials_xml("ASIAREADER", &instant(SystemTime::now() + Duration::from_secs(3600)));
    // The AWS SDK takes a field whose end it has not seen; the last one is a time, which is whole or refused.
    let enough = whole.find("</Expiration>").expect("a last field");
    for length in (1..whole.len()).step_by(37).chain([enough - 1, enough]) {
        let sts = {
            let reply = Reply::http("200 OK", "", &whole[..length]);
            Fake::start(move |_| reply.clone()).await
        };
        match assume_reader(&keys_for(&sts)).await {
            Ok(issued) => {
                assert!(length >= enough, "{length}: {}", &whole[..length]);
                assert_eq!(issued.credentials.session_token(), "canary-issued-token", "{length}");
            }
            Err(error) => {
                message(&error);
                assert!(length < enough, "{length}: {}", &whole[..length]);
                assert_eq!((error.kind(), error.code()), ("BadAnswer", 200), "{length}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_end_within_two_seconds_are_refused() {
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000);
    let reply = move |seconds: u64| {
        Reply::http("200 OK", &date(then), credentials_xml("ASIA", &instant(then + Duration::from_secs(seconds))))
    };
    let text = "failed: the credentials in the answer end at 2030-03-17T17:46:41Z, and it was made at \
                2030-03-17T17:46:40Z; check what answers there: AWS_ENDPOINT_URL_STS, a proxy, and the clocks of both \
                machines";
    check(reply(1), "BadAnswer", 200, text, 1).await;
    let sts = Fake::start(move |_| reply(2)).await;
    let issued = assume_reader(&keys_for(&sts)).await.expect("good for two seconds");
    assert_eq!(issued.credentials.valid_for(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn credentials_that_expire_before_the_answers_own_date_are_refused() {
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    let body = credentials_xml("ASIA", &instant(SystemTime::now() + Duration::from_secs(3600)));
    let (error, _) = refused(Reply::http("200 OK", &date(then), body)).await;
    assert!(error.to_string().contains("and it was made at 2096-10-02T07:06:40Z"), "{error}");
    assert_eq!(error.code(), 200);
}

#[tokio::test(start_paused = true)]
async fn without_a_date_the_clock_of_this_machine_counts() {
    let past = credentials_xml("ASIA", "2020-01-01T00:00:00Z");
    let (error, _) = refused(Reply::http("200 OK", "", past)).await;
    assert!(error.to_string().contains("the credentials in the answer end at 2020-01-01T00:00:00Z"), "{error}");
    let hour = credentials_xml("ASIA", &instant(SystemTime::now() + Duration::from_secs(3600)));
    let sts = Fake::start(move |_| Reply::http("200 OK", "", &hour)).await;
    let life = assume_reader(&keys_for(&sts)).await.expect("good for an hour").credentials.valid_for();
    assert!(life > Duration::from_secs(3590) && life <= Duration::from_secs(3600), "{life:?}");
}

#[tokio::test(start_paused = true)]
async fn an_endless_answer_is_not_read_to_its_end() {
    let body = credentials_xml(&"canary".repeat(200_000), "2030-01-01T00:00:00Z");
    let text = format!("failed: the answer broke off or is too long; {ELSEWHERE}");
    check(Reply::http("200 OK", "", body), "BadAnswer", 200, &text, 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_sts_is_tried_once_and_has_its_own_remedy() {
    let trust = "check both policies: the base identity (environment) must be allowed sts:AssumeRole on \
                 arn:aws:iam::123456789012:role/reader, and the trust policy of that role must name the base identity \
                 and hold for this request (external id, tags, source identity)";
    for (status, code, message, remedy) in [
        ("403 Forbidden", "AccessDenied", "User: arn:aws:iam::1:user/base is not authorized", trust),
        (
            "403 Forbidden",
            "ExpiredToken",
            "The security token included in the request is expired",
            "renew the credentials of the base identity (environment)",
        ),
        (
            "400 Bad Request",
            "ExpiredTokenException",
            "expired",
            "renew the credentials of the base identity (environment)",
        ),
        (
            "403 Forbidden",
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            "correct the access key id of the base identity (environment), which STS does not know there",
        ),
        (
            "403 Forbidden",
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.",
            "correct the secret access key of the base identity (environment); if it is right, set the clock of this machine",
        ),
        (
            "403 Forbidden",
            "RegionDisabledException",
            "STS is not activated in this region",
            "activate STS for this region in the account settings of IAM, or set AWS_REGION to an active one",
        ),
        ("400 Bad Request", "MalformedPolicyDocument", "Syntax errors in policy.", "correct the session policy"),
        (
            "400 Bad Request",
            "PackedPolicyTooLarge",
            "Packed size of session tags consumes 120% of allotted space.",
            "shorten the session policy, the policy ARNs or the tags: together they are too large",
        ),
        (
            "400 Bad Request",
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            "ask for a shorter duration, or raise the maximum session duration of the role",
        ),
        (
            "400 Bad Request",
            "ValidationError",
            "1 validation error detected",
            "correct the request as the message says",
        ),
        ("404 Not Found", "NoSuchEntity", "no such role", "check the role ARN: there is no such role"),
        (
            "400 Bad Request",
            "OptInRequired",
            "subscribe first",
            "see OptInRequired in the AWS STS API reference, common errors",
        ),
    ] {
        let number = status[..3].parse().expect("a status");
        let text = format!("was refused: {code}: {message}; {remedy}");
        check(Reply::http(status, "", error_xml(code, message)), "Refused", number, &text, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_in_the_form_of_ceph_keeps_its_code() {
    let body = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><RequestId>tx1</RequestId></Error>";
    let (error, requests) = refused(Reply::http("403 Forbidden", "", body)).await;
    assert!(error.to_string().contains("was refused: AccessDenied; check both policies: "), "{error}");
    assert_eq!((error.code(), requests), (403, 1));
}

#[tokio::test(start_paused = true)]
async fn an_error_without_a_code_of_sts_shows_its_status_and_no_body() {
    for body in ["", "<html>canary</html>", "{\"message\":\"canary\"}", "<Error><Code>canary <b></Code></Error>"] {
        let text = format!("was refused: HTTP 403 without an error code of STS; {ELSEWHERE}");
        check(Reply::http("403 Forbidden", "", body), "Refused", 403, &text, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_not_followed() {
    let text = format!("failed: HTTP 302, a redirect, which is not followed; {ELSEWHERE}");
    let reply = Reply::http("302 Found", "Location: http://127.0.0.1:1/canary\r\n", "");
    check(reply, "BadAnswer", 302, &text, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_temporary_fault_is_tried_three_times() {
    let remedy = "try again later; if it lasts, see the AWS Health Dashboard";
    for (status, code, problem) in [
        ("400 Bad Request", "Throttling", "Throttling: later"),
        ("503 Service Unavailable", "ServiceUnavailable", "ServiceUnavailable: later"),
        ("500 Internal Server Error", "InternalFailure", "InternalFailure: later"),
    ] {
        let number = status[..3].parse().expect("a status");
        let text = format!("failed: {problem}; {remedy}");
        check(Reply::http(status, "", error_xml(code, "later")), "Unavailable", number, &text, 3).await;
    }
    let text = format!("failed: HTTP 502 without an error code of STS; {remedy}");
    check(Reply::http("502 Bad Gateway", "", "<html>canary</html>"), "Unavailable", 502, &text, 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_temporary_fault_is_hidden_when_a_later_try_succeeds() {
    let tries = std::sync::atomic::AtomicU32::new(0);
    let sts = Fake::start(move |_| match tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Reply::http("400 Bad Request", "", error_xml("Throttling", "Rate exceeded")),
        1 => Reply::Bytes(Vec::new()),
        _ => success(),
    })
    .await;
    assume_reader(&keys_for(&sts)).await.expect("the third try");
    assert_eq!(sts.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn secrets_that_sts_repeats_are_cut_out() {
    let message = "The request signature we calculated does not match canary-base-token. The Canonical String for this \
                   request should have been\n'POST\nx-amz-security-token:canary-base-token'";
    let (error, _) = refused(Reply::http("403 Forbidden", "", error_xml("SignatureDoesNotMatch", message))).await;
    assert!(
        error.to_string().contains(
            "was refused: SignatureDoesNotMatch: The request signature we calculated does not match ***.; correct"
        ),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_sts_that_does_not_answer_is_abandoned_after_thirty_seconds() {
    let began = tokio::time::Instant::now();
    let text = "failed: no answer in time; check the network, AWS_ENDPOINT_URL_STS, HTTPS_PROXY and NO_PROXY";
    check(Reply::Silence, "Unavailable", 0, text, 3).await;
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(29) && took <= Duration::from_secs(31), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_shorter_timeout_still_leaves_time_for_two_tries() {
    let sts = Fake::start(|_| Reply::Silence).await;
    let client = sts_client(&keys_for(&sts)).with_timeout(Duration::from_secs(7));
    let began = tokio::time::Instant::now();
    let error = assume(&client, ROLE, 3600, &Extras::default()).await.expect_err("no answer");
    assert!(error.is_retryable(), "{error}");
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(6_900) && took <= Duration::from_millis(7_100), "{took:?}");
    assert_eq!(sts.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_message_for_an_unreachable_sts_names_its_url() {
    let sts = Fake::start(|_| Reply::Silence).await;
    let environment = environment(&[
        ("AWS_ACCESS_KEY_ID", "AKIABASE"),
        ("AWS_SECRET_ACCESS_KEY", "canary-base-secret"),
        ("AWS_REGION", "eu-north-1"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
    ]);
    let error = assume_reader(&environment).await.expect_err("nobody listens there");
    assert_eq!(
        message(&error),
        "assuming role arn:aws:iam::123456789012:role/reader at http://127.0.0.1:1 failed: no connection: Connection \
         refused (os error 111); check the network, AWS_ENDPOINT_URL_STS, HTTPS_PROXY and NO_PROXY"
    );
    assert!(error.is_retryable());
    assert_eq!(sts.seen().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_message_for_https_to_a_plain_server_names_its_url() {
    let sts = Fake::start(|_| Reply::http("400 Bad Request", "", "canary")).await;
    let url = format!("https://127.0.0.1:{}", sts.port);
    let environment = environment(&[
        ("AWS_ACCESS_KEY_ID", "AKIABASE"),
        ("AWS_SECRET_ACCESS_KEY", "canary-base-secret"),
        ("AWS_REGION", "eu-north-1"),
        ("AWS_ENDPOINT_URL_STS", &url),
    ]);
    let error = assume_reader(&environment).await.expect_err("no TLS there");
    let message = message(&error);
    assert!(message.contains(&format!("{ROLE} at {url} failed: no connection: ")), "{message}");
    assert_eq!(error.code(), 0);
}
