//! The requests to STS: their fields, the ones that are never sent, and the shortened durations.

use super::base::generous;
use super::*;

/// Returns the environment of a service account of EKS: a web identity token, and this STS.
fn web_identity_for(sts: &Fake, token_file: &str) -> Environment {
    environment(&[
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token_file),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/hop"),
        ("AWS_ROLE_SESSION_NAME", "pod"),
        ("AWS_REGION", "eu-north-1"),
        ("AWS_ENDPOINT_URL_STS", &sts.url()),
    ])
}

fn web_identity_or_role(request: &Request) -> Reply {
    match request.field("Action") {
        Some("AssumeRoleWithWebIdentity") => {
            let expiration = instant(SystemTime::now() + Duration::from_secs(3600));
            let body = credentials_xml("ASIABASE", &expiration).replace("AssumeRole", "AssumeRoleWithWebIdentity");
            Reply::http("200 OK", "", body)
        }
        Some(_) | None => success(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_holds_role_session_name_duration_and_the_signature_of_the_base() {
    let sts = generous().await;
    assume_reader(&keys_for(&sts)).await.expect("a success");
    let [request] = &sts.seen()[..] else { panic!("one request") };
    assert_eq!(request.line, "POST / HTTP/1.1");
    assert_eq!(
        request.body,
        "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Freader\
         &RoleSessionName=meb10000-churn&DurationSeconds=3600"
    );
    assert_eq!(request.signer(), "AKIABASE");
    assert_eq!(request.header("x-amz-security-token"), Some("canary-base-token"));
    let (_, scope) = request.head.split_once("AKIABASE/").expect("a signature of the base");
    assert!(scope[9..].starts_with("eu-north-1/sts/aws4_request"), "{scope}");
}

#[tokio::test(start_paused = true)]
async fn fields_that_only_sts_takes_are_sent_unchanged() {
    let sts = generous().await;
    let extras = Extras {
        external_id: Some("a:/b@c".to_owned()),
        policy: Some("{\"Version\":\"2012-10-17\"}".to_owned()),
        policy_arns: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()],
        tags: vec![("Projekt Ö".to_owned(), "churn".to_owned())],
        source_identity: Some("meb10000".to_owned()),
    };
    assume(&sts_client(&keys_for(&sts)), ROLE, 900, &extras).await.expect("a success");
    let [request] = &sts.seen()[..] else { panic!("one request") };
    for (field, value) in [
        ("DurationSeconds", "900"),
        ("ExternalId", "a%3A%2Fb%40c"),
        ("Policy", "%7B%22Version%22%3A%222012-10-17%22%7D"),
        ("PolicyArns.member.1.arn", "arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FReadOnlyAccess"),
        ("Tags.member.1.Key", "Projekt%20%C3%96"),
        ("Tags.member.1.Value", "churn"),
        ("SourceIdentity", "meb10000"),
    ] {
        assert_eq!(request.field(field), Some(value), "{field}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_illegal_field_is_refused_before_anything_is_sent() {
    let sts = generous().await;
    let extras = Extras { external_id: Some("canary id".to_owned()), ..Extras::default() };
    let error = assume(&sts_client(&keys_for(&sts)), ROLE, 3600, &extras).await.expect_err("a space");
    assert_eq!(message(&error), "invalid external id: it is not 2 to 1224 letters, digits and characters of _+=,.@:/-");
    assert_eq!(sts.seen().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_base_identity_that_is_a_role_gets_one_hour_and_one_warning() {
    let sts = Fake::start(web_identity_or_role).await;
    let token = token_file("one_hour");
    let issued =
        assume(&sts_client(&web_identity_for(&sts, &token)), ROLE, 7200, &Extras::default()).await.expect("one hour");
    assert_eq!(
        issued.warnings,
        ["7200 s were requested, but AWS gives 3600 s, because the base identity (web identity) is itself a role"]
    );
    let seen = sts.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].field("WebIdentityToken"), Some("canary-jwt"));
    assert_eq!(seen[1].field("DurationSeconds"), Some("3600"));
    assert_eq!(seen[1].signer(), "ASIABASE");
}

#[tokio::test(start_paused = true)]
async fn keys_with_a_session_token_try_the_requested_duration_and_then_an_hour() {
    let sts = Fake::start(|request| match request.field("DurationSeconds") {
        Some("7200") => Reply::http(
            "400 Bad Request",
            "",
            error_xml(
                "ValidationError",
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
            ),
        ),
        Some(_) | None => success(),
    })
    .await;
    let issued = assume(&sts_client(&keys_for(&sts)), ROLE, 7200, &Extras::default()).await.expect("one hour");
    assert_eq!(
        issued.warnings,
        ["7200 s were requested, but AWS gives 3600 s, because the base identity (environment) is itself a role"]
    );
    let durations: Vec<_> =
        sts.seen().iter().map(|request| request.field("DurationSeconds").unwrap_or_default().to_owned()).collect();
    assert_eq!(durations, ["7200", "3600"]);
}

#[tokio::test(start_paused = true)]
async fn a_longer_duration_is_kept_when_sts_accepts_it() {
    let sts = generous().await;
    let issued = assume(&sts_client(&keys_for(&sts)), ROLE, 43_200, &Extras::default()).await.expect("a success");
    assert_eq!(issued.warnings, Vec::<String>::new());
    assert_eq!(sts.seen()[0].field("DurationSeconds"), Some("43200"));
}

#[tokio::test(start_paused = true)]
async fn a_role_of_another_partition_than_the_region_is_refused_before_anything_is_sent() {
    for (role, region, expected) in [
        (
            "arn:aws-cn:iam::123456789012:role/reader",
            "eu-north-1",
            "role arn:aws-cn:iam::123456789012:role/reader belongs to partition aws-cn, and the region eu-north-1 belongs to \
             partition aws; set AWS_REGION to a region of the role's partition",
        ),
        (
            ROLE,
            "us-gov-west-1",
            "role arn:aws:iam::123456789012:role/reader belongs to partition aws, and the region us-gov-west-1 belongs to \
             partition aws-us-gov; set AWS_REGION to a region of the role's partition",
        ),
    ] {
        let base = environment(&[
            ("AWS_ACCESS_KEY_ID", "AKIABASE"),
            ("AWS_SECRET_ACCESS_KEY", "canary-base-secret"),
            ("AWS_REGION", region),
        ]);
        let error = assume(&sts_client(&base), role, 3600, &Extras::default()).await.expect_err("another partition");
        assert_eq!(message(&error), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn sts_is_called_at_the_host_of_the_region_through_the_proxy() {
    for (region, role, host) in [
        ("eu-north-1", ROLE, "CONNECT sts.eu-north-1.amazonaws.com:443 HTTP/1.1"),
        (
            "cn-north-1",
            "arn:aws-cn:iam::123456789012:role/reader",
            "CONNECT sts.cn-north-1.amazonaws.com.cn:443 HTTP/1.1",
        ),
    ] {
        let proxy = Fake::start(|_| Reply::http("403 Forbidden", "", "canary")).await;
        let settings = Settings::from_environment().with_environment([("HTTPS_PROXY".to_owned(), proxy.url())]);
        let base = environment(&[
            ("AWS_ACCESS_KEY_ID", "AKIABASE"),
            ("AWS_SECRET_ACCESS_KEY", "canary-base-secret"),
            ("AWS_REGION", region),
        ]);
        let sts = Sts::new(&settings, &base).expect("a proxy is a URL");
        let error = assume(&sts, role, 3600, &Extras::default()).await.expect_err("the proxy refuses");
        let message = message(&error);
        assert!(message.starts_with(&format!("assuming role {role} at STS in {region} failed: no connection: ")));
        assert_eq!(proxy.seen().first().map(|request| request.line.clone()).as_deref(), Some(host));
    }
}

#[tokio::test(start_paused = true)]
async fn loopback_is_never_reached_through_a_proxy() {
    let sts = generous().await;
    let proxy = Fake::start(|_| Reply::http("403 Forbidden", "", "canary")).await;
    let settings = Settings::from_environment()
        .with_environment([("HTTPS_PROXY".to_owned(), proxy.url()), ("HTTP_PROXY".to_owned(), proxy.url())]);
    let through = Sts::new(&settings, &keys_for(&sts)).expect("a proxy is a URL");
    assume(&through, ROLE, 3600, &Extras::default()).await.expect("a success");
    assert_eq!((sts.seen().len(), proxy.seen().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_not_a_url_is_refused_before_anything_is_sent() {
    for endpoint in ["sts.example.com", "ftp://127.0.0.1", "http://", "https://me:canary@127.0.0.1", "http://a b"] {
        for variable in ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"] {
            let base = environment(&[
                ("AWS_ACCESS_KEY_ID", "AKIABASE"),
                ("AWS_SECRET_ACCESS_KEY", "canary-base-secret"),
                ("AWS_REGION", "eu-north-1"),
                (variable, endpoint),
            ]);
            let extras = Extras { external_id: Some("canary-external-id".to_owned()), ..Extras::default() };
            let error = assume(&sts_client(&base), ROLE, 3600, &extras).await.expect_err("not a URL");
            assert_eq!(
                message(&error),
                "the endpoint of STS is not a URL of the form https://host or http://host:port; correct or remove \
                 AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL or the profile's endpoint_url"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_of_sts_wins_over_the_endpoint_of_all_services() {
    let sts = generous().await;
    let base = environment(&[
        ("AWS_ACCESS_KEY_ID", "AKIABASE"),
        ("AWS_SECRET_ACCESS_KEY", "canary-base-secret"),
        ("AWS_REGION", "eu-north-1"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ENDPOINT_URL_STS", &sts.url()),
    ]);
    assume_reader(&base).await.expect("a success");
    assert_eq!(sts.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_base_identity_is_looked_for_once_in_many_calls() {
    let sts = Fake::start(web_identity_or_role).await;
    let token = token_file("many_calls");
    let client = sts_client(&web_identity_for(&sts, &token));
    for _ in 0..3 {
        assume(&client, ROLE, 3600, &Extras::default()).await.expect("a success");
    }
    let actions: Vec<_> =
        sts.seen().iter().map(|request| request.field("Action").unwrap_or_default().to_owned()).collect();
    assert_eq!(actions, ["AssumeRoleWithWebIdentity", "AssumeRole", "AssumeRole", "AssumeRole"]);
}

#[tokio::test(start_paused = true)]
async fn base_credentials_that_sts_refuses_are_looked_for_again() {
    let sts = Fake::start(|request| match request.field("Action") {
        Some("AssumeRole") => Reply::http("403 Forbidden", "", error_xml("ExpiredToken", "expired")),
        Some(_) | None => web_identity_or_role(request),
    })
    .await;
    let token = token_file("looked_for_again");
    let client = sts_client(&web_identity_for(&sts, &token));
    for _ in 0..2 {
        assume(&client, ROLE, 3600, &Extras::default()).await.expect_err("expired");
    }
    let actions: Vec<_> =
        sts.seen().iter().map(|request| request.field("Action").unwrap_or_default().to_owned()).collect();
    // What is found is what was refused, so it is not tried twice in one call.
    let (look, ask) = ("AssumeRoleWithWebIdentity", "AssumeRole");
    assert_eq!(actions, [look, ask, look, ask, look]);
}

#[tokio::test(start_paused = true)]
async fn base_identity_and_role_share_thirty_seconds() {
    let sts = Fake::start(|request| match (request.field("Action"), web_identity_or_role(request)) {
        (Some("AssumeRoleWithWebIdentity"), Reply::Bytes(bytes)) => Reply::Late(Duration::from_secs(9), bytes),
        _ => Reply::Silence,
    })
    .await;
    let token = token_file("thirty_seconds");
    let began = tokio::time::Instant::now();
    let error = assume_reader(&web_identity_for(&sts, &token)).await.expect_err("no answer");
    assert!(message(&error).contains(" failed: no answer in time; "), "{error}");
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(29) && took <= Duration::from_secs(31), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_base_identity_that_cannot_be_renewed_is_used_until_it_expires() {
    let sts = Fake::start(|_| success()).await;
    let renewals = std::sync::atomic::AtomicU32::new(0);
    let container = Fake::start(move |_| match renewals.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Reply::http(
            "200 OK",
            "",
            format!(
                "{{\"AccessKeyId\":\"ASIATASK\",\"SecretAccessKey\":\"canary-base-secret\",\"Token\":\"canary-token\",\
                 \"Expiration\":\"{}\"}}",
                instant(SystemTime::now() + Duration::from_secs(30))
            ),
        ),
        _ => Reply::http("500 Internal Server Error", "", "canary"),
    })
    .await;
    let client = sts_client(&environment(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container.url()),
        ("AWS_REGION", "eu-north-1"),
        ("AWS_ENDPOINT_URL_STS", &sts.url()),
    ]));
    for _ in 0..2 {
        assume(&client, ROLE, 3600, &Extras::default()).await.expect("the credentials are good for 30 s");
    }
    assert!(container.seen().len() > 1, "less than a minute is left: they are renewed");
    assert_eq!(sts.seen().iter().map(Request::signer).collect::<Vec<_>>(), ["ASIATASK"; 2]);
}
