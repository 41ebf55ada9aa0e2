//! The instance metadata service, the last provider of the chain.

use super::base::{found, generous, json, missing, with_sts};
use super::*;

/// Answers as an instance metadata service in eu-north-1 with the role `hop`.
pub fn instance(request: &Request) -> Reply {
    match request.line.as_str() {
        "PUT /latest/api/token HTTP/1.1" => {
            Reply::http("200 OK", "x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n", "token")
        }
        _ if request.header("x-aws-ec2-metadata-token") != Some("token") => Reply::http("401 Unauthorized", "", ""),
        "GET /latest/meta-data/placement/region HTTP/1.1" => Reply::http("200 OK", "", "eu-north-1"),
        "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1" => Reply::http("200 OK", "", "hop"),
        "GET /latest/meta-data/iam/security-credentials/hop HTTP/1.1" => Reply::http("200 OK", "", json("ASIAHOP")),
        _ => Reply::http("404 Not Found", "", "canary"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_machine_gives_its_role_and_its_region() {
    let sts = generous().await;
    let metadata = Fake::start(instance).await;
    let url = metadata.url();
    let base = with_sts(&sts, &machine(&url));
    let issued = assume(&sts_client(&base), ROLE, 7200, &Extras::default()).await.expect("one hour");
    assert_eq!(
        issued.warnings,
        ["7200 s were requested, but AWS gives 3600 s, because the base identity (instance profile) is itself a \
          role"]
    );
    let request = &sts.seen()[0];
    assert_eq!((request.signer(), request.field("DurationSeconds")), ("ASIAHOP", Some("3600")));
    assert!(request.head.contains("/eu-north-1/sts/aws4_request"));
    assert_eq!(found(&base).await, ("instance profile".to_owned(), true, "ASIAHOP".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_profile_may_have_the_machine_as_its_source() {
    let sts = generous().await;
    let metadata = Fake::start(instance).await;
    let url = metadata.url();
    let config = file(
        "machine_as_source",
        "[default]\nregion=eu-north-1\nrole_arn=arn:aws:iam::123456789012:role/hop\n\
         credential_source=Ec2InstanceMetadata\n",
    );
    let base = with_sts(&sts, &[machine(&url).as_slice(), &[("AWS_CONFIG_FILE", &config)]].concat());
    assert_eq!(found(&base).await, ("profile".to_owned(), true, "ASIAREADER".to_owned()));
    assert_eq!(sts.seen()[0].signer(), "ASIAHOP");
}

#[tokio::test(start_paused = true)]
async fn the_message_says_why_the_metadata_service_has_no_role() {
    for (status, code, text) in [
        ("404 Not Found", 0, "the instance metadata service has no role for this machine"),
        ("403 Forbidden", 0, "the instance metadata service answered HTTP 403"),
        ("500 Internal Server Error", 500, "the instance metadata service answered HTTP 500"),
        ("200 OK", 200, "the answer of the instance metadata service is not what its contract says"),
    ] {
        let metadata = Fake::start(move |request| {
            if request.line.contains("security-credentials") {
                Reply::http(status, "", "canary")
            } else {
                instance(request)
            }
        })
        .await;
        let base = environment(&machine(&metadata.url()));
        let error = assume_reader(&base).await.expect_err("no role");
        let message = message(&error);
        assert!(message.contains(text), "{message}");
        assert_eq!(error.code(), code, "{message}");
        let credentials = |request: &&Request| request.line.contains("security-credentials");
        let asked = metadata.seen().iter().filter(credentials).count();
        // One that cannot at the moment is asked again.
        let expected = match code {
            200 => 2,
            500 => 3,
            _ => 1,
        };
        assert_eq!(asked, expected, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_profile_whose_source_has_no_credentials_is_not_the_machine() {
    let metadata = Fake::start(instance).await;
    let url = metadata.url();
    let role = "role_arn=arn:aws:iam::123456789012:role/hop\nsource_profile";
    for (name, config, problem) in [
        (
            "missing",
            format!("[profile own]\n{role}=bsae\n"),
            "\"own\" has the source_profile \"bsae\", which does not exist",
        ),
        (
            "bare",
            format!("[profile own]\n{role}=next\n[profile next]\n{role}=bare\n[profile bare]\nregion=eu-north-1\n"),
            "\"next\" has the source_profile \"bare\", which has no credentials",
        ),
    ] {
        let config = file(name, &config);
        let pairs = [machine(&url).as_slice(), &[("AWS_CONFIG_FILE", &config), ("AWS_PROFILE", "own")]].concat();
        let message = missing(&environment(&pairs)).await;
        assert_eq!(message, format!("the profile {problem}; correct source_profile"));
    }
    let config = file("without_role", "[default]\nsource_profile=base\n");
    let message = missing(&environment(&[machine(&url).as_slice(), &[("AWS_CONFIG_FILE", &config)]].concat())).await;
    assert!(message.starts_with("the profile \"default\" has a source_profile and no role_arn; "), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_metadata_service_that_is_busy_for_a_moment_is_asked_again() {
    for status in
        ["429 Too Many Requests", "408 Request Timeout", "500 Internal Server Error", "503 Service Unavailable"]
    {
        for path in ["/latest/api/token", "placement/region", "security-credentials/ ", "security-credentials/hop"] {
            let sts = generous().await;
            let is_first = std::sync::atomic::AtomicBool::new(true);
            let metadata = Fake::start(move |request| {
                let is_meant = request.line.contains(path);
                let is_busy = is_meant && is_first.swap(false, std::sync::atomic::Ordering::SeqCst);
                if is_busy { Reply::http(status, "", "<html>") } else { instance(request) }
            })
            .await;
            let base = with_sts(&sts, &machine(&metadata.url()));
            assert_eq!(found(&base).await.2, "ASIAHOP", "{status} at {path}");
        }
    }
}

const BUSY: &str = "loading the base identity failed: the instance metadata service answered HTTP 429; check the instance \
                    metadata service if it lasts";

#[tokio::test(start_paused = true)]
async fn a_metadata_service_that_stays_busy_may_answer_later() {
    for (path, region) in
        [("placement/region", ", or set AWS_REGION, for example AWS_REGION=eu-north-1"), ("security-credentials/", "")]
    {
        let metadata = Fake::start(move |request| {
            let is_meant = request.line.contains(path);
            if is_meant { Reply::http("429 Too Many Requests", "", "") } else { instance(request) }
        })
        .await;
        let url = metadata.url();
        // Ten tries end within the time of a call.
        for tries in ["1", "10"] {
            let pairs = [machine(&url).as_slice(), &[("AWS_METADATA_SERVICE_NUM_ATTEMPTS", tries)]].concat();
            let error = sts_client(&environment(&pairs)).base_identity().await.expect_err("busy");
            assert_eq!((error.is_retryable(), error.code()), (true, 429), "{error}");
            assert_eq!(error.to_string(), format!("{BUSY}{region}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn keys_without_a_region_beside_a_busy_metadata_service_are_told_to_set_one() {
    let metadata = Fake::start(|_| Reply::http("429 Too Many Requests", "", "")).await;
    let keys = [("AWS_ACCESS_KEY_ID", "AKIABASE"), ("AWS_SECRET_ACCESS_KEY", "canary-base-secret")];
    let url = metadata.url();
    let pairs = [machine(&url).as_slice(), &keys].concat();
    let error = sts_client(&environment(&pairs)).base_identity().await.expect_err("no region");
    assert_eq!(error.to_string(), format!("{BUSY}, or set AWS_REGION, for example AWS_REGION=eu-north-1"));
}

#[tokio::test(start_paused = true)]
async fn the_message_says_that_the_metadata_service_refused_a_token() {
    let metadata = Fake::start(|_| Reply::http("403 Forbidden", "", "canary")).await;
    let message = missing(&environment(&machine(&metadata.url()))).await;
    assert!(message.contains("and the instance metadata service answered HTTP 403; "), "{message}");
}

// Time is not paused, because the promise is about real time. One of three tries is enough: a busy machine delays one
// or the other, and a service that is too slow is too slow each time.
#[tokio::test]
async fn a_silent_metadata_service_is_abandoned_within_two_seconds_and_not_asked_again() {
    let mut took = Vec::new();
    while took.len() < 3 && took.iter().all(|time| *time >= Duration::from_secs(2)) {
        let metadata = Fake::start(|_| Reply::Silence).await;
        let url = metadata.url();
        let base = environment(&[machine(&url).as_slice(), &[("KUBERNETES_SERVICE_HOST", "10.0.0.1")]].concat());
        let began = std::time::Instant::now();
        let first = missing(&base).await;
        took.push(began.elapsed());
        let second = missing(&base).await;
        let expected = format!(
            "no base identity to call STS with: AWS_ACCESS_KEY_ID is not set, the profile \"default\" has no credentials, \
             there is no web identity and no container identity, and the instance metadata service at {url} did not answer \
             within 1 s; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or run where a service account, a \
             container or an instance profile gives an identity; in a container on EC2 the answer needs a second hop: aws ec2 \
             modify-instance-metadata-options --instance-id <id> --http-put-response-hop-limit 2"
        );
        assert_eq!((first.as_str(), second.as_str()), (expected.as_str(), expected.as_str()));
        assert_eq!(metadata.seen().len(), 1);
    }
    assert!(took.iter().any(|time| *time < Duration::from_secs(2)), "{took:?}");
}

/// Answers as [`instance`], but gives what matches `slow` only after `seconds`.
fn slowly(slow: &'static str, seconds: u64) -> impl Fn(&Request) -> Reply {
    move |request| match instance(request) {
        Reply::Bytes(bytes) if request.line.contains(slow) => Reply::Late(Duration::from_secs(seconds), bytes),
        reply => reply,
    }
}

#[tokio::test(start_paused = true)]
async fn a_metadata_service_that_asks_sts_itself_is_given_the_time() {
    let sts = generous().await;
    let metadata = Fake::start(slowly("security-credentials/hop", 3)).await;
    let url = metadata.url();
    assert_eq!(found(&with_sts(&sts, &machine(&url))).await.2, "ASIAHOP");
}

#[tokio::test(start_paused = true)]
async fn a_metadata_service_that_takes_longer_says_which_setting_gives_it_more_time() {
    let sts = generous().await;
    let metadata = Fake::start(slowly("security-credentials/hop", 8)).await;
    let url = metadata.url();
    let error = assume_reader(&with_sts(&sts, &machine(&url))).await.expect_err("eight seconds are too long");
    assert_eq!(
        message(&error),
        format!(
            "loading the base identity failed: the instance metadata service at {url} is there and gave no \
             credentials within 5 s; give it more time by AWS_METADATA_SERVICE_TIMEOUT, in seconds"
        )
    );
    assert!(error.is_retryable());
    let patient = [machine(&url).as_slice(), &[("AWS_METADATA_SERVICE_TIMEOUT", "10")]].concat();
    assert_eq!(found(&with_sts(&sts, &patient)).await.2, "ASIAHOP");
}

#[tokio::test(start_paused = true)]
async fn a_probe_takes_as_long_and_is_repeated_as_often_as_the_environment_or_the_profile_says() {
    let sts = generous().await;
    let late = Fake::start(slowly("api/token", 2)).await;
    let url = late.url();
    let patient = [machine(&url).as_slice(), &[("AWS_METADATA_SERVICE_TIMEOUT", "3")]].concat();
    assert_eq!(found(&with_sts(&sts, &patient)).await.2, "ASIAHOP");
    let config = file("patience", "[default]\nmetadata_service_timeout = 3\nmetadata_service_num_attempts = 3\n");
    for (name, value) in [("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "3"), ("AWS_CONFIG_FILE", config.as_str())] {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let wakes = Fake::start(move |request| match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 | 1 => Reply::Silence,
            _ => instance(request),
        })
        .await;
        let url = wakes.url();
        let base = with_sts(&sts, &[machine(&url).as_slice(), &[(name, value)]].concat());
        assert_eq!(found(&base).await.2, "ASIAHOP", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_metadata_service_that_has_answered_is_asked_again_after_a_silence() {
    let sts = generous().await;
    let is_silent = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let silence = is_silent.clone();
    let metadata = Fake::start(move |request| {
        if silence.load(std::sync::atomic::Ordering::Relaxed) { Reply::Silence } else { instance(request) }
    })
    .await;
    let url = metadata.url();
    let base = with_sts(&sts, &machine(&url));
    assert_eq!(found(&base).await.2, "ASIAHOP");
    is_silent.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(missing(&base).await.contains("did not answer within 5 s"));
    is_silent.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(found(&base).await.2, "ASIAHOP", "without a minute of waiting");
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_nobody_named_does_not_change_where_the_machine_is_found() {
    let sts = generous().await;
    let metadata = Fake::start(instance).await;
    let url = metadata.url();
    let config = file(
        "machine_elsewhere",
        "[profile x]\nrole_arn=arn:aws:iam::123456789012:role/hop\ncredential_source=Ec2InstanceMetadata\n",
    );
    let base = with_sts(&sts, &[machine(&url).as_slice(), &[("AWS_CONFIG_FILE", &config)]].concat());
    assert_eq!(found(&base).await, ("instance profile".to_owned(), true, "ASIAHOP".to_owned()));
}
