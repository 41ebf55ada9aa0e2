//! The credentials that call AssumeRole: which provider gives them, and why there may be none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::metadata::instance;
use super::*;

const HOUR: Duration = Duration::from_secs(3600);

/// Returns credentials in the JSON of the metadata services.
pub fn json(access_key_id: &str) -> String {
    format!(
        "{{\"Code\":\"Success\",\"AccessKeyId\":\"{access_key_id}\",\"SecretAccessKey\":\"canary-base-secret\",\
         \"Token\":\"canary-base-token\",\"Expiration\":\"{}\"}}",
        instant(SystemTime::now() + HOUR)
    )
}

/// Starts an STS that says who signed, and gives credentials of any role to everybody.
pub async fn generous() -> Fake {
    Fake::start(|request| match request.field("Action") {
        Some("GetCallerIdentity") => Reply::http(
            "200 OK",
            "",
            format!(
                "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                 <GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/{}</Arn><UserId>u</UserId>\
                 <Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
                request.signer()
            ),
        ),
        Some(_) | None => success(),
    })
    .await
}

pub fn with_sts(sts: &Fake, variables: &[(&str, &str)]) -> Environment {
    let url = sts.url();
    environment(&[&[("AWS_ENDPOINT_URL_STS", url.as_str())], variables].concat())
}

/// Returns the base identity in short: provider, whether it is a role, and who signed.
pub async fn found(environment: &Environment) -> (String, bool, String) {
    let identity = sts_client(environment).base_identity().await.expect("a base identity");
    let signer = identity.arn.rsplit('/').next().expect("an ARN of a user").to_owned();
    assert_eq!(identity.account, "123456789012");
    (identity.provider.to_string(), identity.is_role, signer)
}

pub async fn missing(environment: &Environment) -> String {
    message(&assume_reader(environment).await.expect_err("no base identity"))
}

#[tokio::test(start_paused = true)]
async fn keys_in_the_environment_win_over_a_profile() {
    let sts = generous().await;
    let config = file("keys_win", "[default]\naws_access_key_id=AKIAPROFILE\naws_secret_access_key=canary-secret\n");
    let base = with_sts(
        &sts,
        &[
            ("AWS_ACCESS_KEY_ID", "AKIABASE"),
            ("AWS_SECRET_ACCESS_KEY", "canary-base-secret"),
            ("AWS_REGION", "eu-north-1"),
            ("AWS_CONFIG_FILE", &config),
        ],
    );
    assert_eq!(found(&base).await, ("environment".to_owned(), false, "AKIABASE".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_profile_gives_keys_and_region() {
    let sts = generous().await;
    let config = file(
        "profile",
        "[profile prod]\nregion=eu-west-1\naws_access_key_id=AKIAPROD\naws_secret_access_key=canary-secret\n\
         [default]\naws_access_key_id=AKIADEFAULT\naws_secret_access_key=canary-secret\nregion=eu-north-1\n",
    );
    for (variable, key) in [("AWS_PROFILE", "AKIAPROD"), ("AWS_DEFAULT_PROFILE", "AKIAPROD"), ("AWS_X", "AKIADEFAULT")]
    {
        let base = with_sts(&sts, &[("AWS_CONFIG_FILE", &config), (variable, "prod")]);
        assert_eq!(found(&base).await, ("profile".to_owned(), false, key.to_owned()), "{variable}");
    }
    assert!(sts.seen()[0].head.contains("/eu-west-1/sts/aws4_request"));
}

#[tokio::test(start_paused = true)]
async fn a_profile_with_a_role_is_a_role_and_gets_one_hour() {
    let sts = generous().await;
    let config = file(
        "source_profile",
        "[default]\nregion=eu-north-1\nrole_arn=arn:aws:iam::123456789012:role/hop\nsource_profile=keys\n\
         [profile keys]\naws_access_key_id=AKIAKEYS\naws_secret_access_key=canary-secret\n",
    );
    let base = with_sts(&sts, &[("AWS_CONFIG_FILE", &config)]);
    let issued = assume(&sts_client(&base), ROLE, 7200, &Extras::default()).await.expect("one hour");
    assert_eq!(
        issued.warnings,
        ["7200 s were requested, but AWS gives 3600 s, because the base identity (profile) is itself a role"]
    );
    let seen = sts.seen();
    let roles: Vec<_> = seen.iter().map(|request| request.field("RoleArn").unwrap_or_default()).collect();
    assert_eq!(
        roles,
        ["arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fhop", "arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Freader"]
    );
    assert_eq!((seen[0].signer(), seen[1].signer()), ("AKIAKEYS", "ASIAREADER"));
}

#[tokio::test(start_paused = true)]
async fn the_message_names_the_profile_whose_role_is_refused() {
    let sts = Fake::start(|_| Reply::http("403 Forbidden", "", error_xml("AccessDenied", "no"))).await;
    let config = file(
        "refused_profile",
        "[default]\nregion=eu-north-1\nrole_arn=arn:aws:iam::123456789012:role/hop\nsource_profile=keys\n\
         [profile keys]\naws_access_key_id=AKIAKEYS\naws_secret_access_key=canary-secret\n",
    );
    let error = assume_reader(&with_sts(&sts, &[("AWS_CONFIG_FILE", &config)])).await.expect_err("refused");
    assert_eq!(
        message(&error),
        "loading the base identity with the role of the profile \"default\" was refused: AccessDenied: no; check the \
         trust policy of the base role, and what it asks for"
    );
    assert_eq!((error.code(), sts.seen().len()), (403, 1));
}

// Time is not paused: the chain waits for a child process.
#[tokio::test]
async fn a_credential_process_gives_keys_and_its_output_never_shows() {
    let sts = generous().await;
    let config = file(
        "process",
        "[default]\nregion=eu-north-1\ncredential_process=echo '{\"Version\":1,\"AccessKeyId\":\"AKIAPROCESS\",\
         \"SecretAccessKey\":\"canary-secret\"}'\n\
         [profile broken]\nregion=eu-north-1\ncredential_process=echo canary >&2; exit 3\n\
         [profile garbled]\nregion=eu-north-1\ncredential_process=echo canary\n",
    );
    let base = with_sts(&sts, &[("AWS_CONFIG_FILE", &config)]);
    assert_eq!(found(&base).await, ("profile".to_owned(), false, "AKIAPROCESS".to_owned()));
    for (profile, problem) in [("broken", "failed with exit status: 3"), ("garbled", "did not print a JSON object")] {
        let base = with_sts(&sts, &[("AWS_CONFIG_FILE", &config), ("AWS_PROFILE", profile)]);
        let message = missing(&base).await;
        let expected = format!(
            "loading the base identity failed: the credential_process of the profile \"{profile}\" {problem}; "
        );
        assert!(message.starts_with(&expected), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_message_for_identity_center_says_how_to_use_it() {
    let sts = generous().await;
    let config = file(
        "sso",
        "[profile corp]\nregion=eu-north-1\nsso_session=corp\nsso_account_id=123456789012\nsso_role_name=r\n\
         [sso-session corp]\nsso_region=eu-north-1\nsso_start_url=https://corp.example\n",
    );
    assert_eq!(
        missing(&with_sts(&sts, &[("AWS_CONFIG_FILE", &config), ("AWS_PROFILE", "corp")])).await,
        "the profile \"corp\" signs in through IAM Identity Center (sso) or a console login, which is not built in; add \
         a profile with `credential_process = aws configure export-credentials --profile corp` and name that one in \
         AWS_PROFILE"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unusable_profile_ends_the_search() {
    let sts = generous().await;
    let metadata = Fake::start(instance).await;
    let config = file(
        "unusable",
        "[profile loop]\nrole_arn=arn:aws:iam::123456789012:role/hop\nsource_profile=other\n\
         [profile other]\nrole_arn=arn:aws:iam::123456789012:role/hop\nsource_profile=loop\n",
    );
    let malformed = file("malformed", "[default]\nregion eu-north-1 canary\n");
    let metadata_url = metadata.url();
    for (variables, start) in [
        (
            vec![("AWS_CONFIG_FILE", config.as_str()), ("AWS_PROFILE", "loop"), ("AWS_REGION", "eu-north-1")],
            "the base identity is configured and cannot be used: ProfileFile provider could not be built: profile formed \
             an infinite loop.",
        ),
        (
            vec![("AWS_CONFIG_FILE", config.as_str()), ("AWS_PROFILE", "typo")],
            "AWS_PROFILE names the profile \"typo\", which is in neither ~/.aws/config nor ~/.aws/credentials; correct or \
             remove AWS_PROFILE",
        ),
        (
            vec![("AWS_CONFIG_FILE", malformed.as_str())],
            "~/.aws/config or ~/.aws/credentials is malformed on line 2: Expected an '=' sign defining a property; \
             correct the file",
        ),
        (
            vec![("AWS_ACCESS_KEY_ID", "AKIABASE")],
            "the base identity is incomplete: AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is not; set \
             AWS_SECRET_ACCESS_KEY, or remove AWS_ACCESS_KEY_ID",
        ),
    ] {
        let message = missing(&with_sts(&sts, &[machine(&metadata_url).to_vec(), variables].concat())).await;
        assert!(message.starts_with(start), "{message}");
    }
    let credentials = |request: &Request| request.line.contains("security-credentials");
    assert!(!metadata.seen().iter().any(credentials), "the role of the machine was asked for");
    assert_eq!(sts.seen().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_container_gives_its_role_for_its_token() {
    let sts = generous().await;
    let container = Fake::start(|request| match request.header("authorization") {
        Some("canary-container-token") => Reply::http("200 OK", "", json("ASIATASK")),
        Some(_) | None => Reply::http("403 Forbidden", "", "canary"),
    })
    .await;
    let url = format!("{}/role", container.url());
    let token = file("container_token", "canary-container-token");
    for token in [
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary-container-token"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.as_str()),
    ] {
        let base = with_sts(&sts, &[("AWS_REGION", "eu-north-1"), ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url), token]);
        assert_eq!(found(&base).await, ("container".to_owned(), true, "ASIATASK".to_owned()));
    }
    let refused = with_sts(&sts, &[("AWS_REGION", "eu-north-1"), ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)]);
    let message = missing(&refused).await;
    assert!(
        message.starts_with(
            "loading the base identity failed: Non-success status from HTTP credential provider: StatusCode(403); check \
             the network and what gives this process its identity: "
        ),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_container_endpoint_is_asked_again_within_the_timeout() {
    let sts = generous().await;
    for (limit, seconds, requests) in [(30, 15..20, 3), (7, 7..8, 2)] {
        let container = Fake::start(|_| Reply::Silence).await;
        let url = format!("{}/role", container.url());
        let base = with_sts(&sts, &[("AWS_REGION", "eu-north-1"), ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)]);
        let client = sts_client(&base).with_timeout(Duration::from_secs(limit));
        let began = tokio::time::Instant::now();
        let error = assume(&client, ROLE, 3600, &Extras::default()).await.expect_err("no base identity");
        let took = began.elapsed();
        assert_eq!(
            message(&error),
            "loading the base identity failed: no answer in time; check the network and what gives this process its \
             identity: the profile \"default\", the web identity token or the container's credentials endpoint"
        );
        assert!(error.is_retryable());
        assert!(seconds.contains(&took.as_secs()), "{took:?}");
        assert_eq!(container.seen().len(), requests);
    }
}

#[tokio::test(start_paused = true)]
async fn the_message_for_a_refused_web_identity_names_its_token_file() {
    let sts = Fake::start(|_| {
        Reply::http("400 Bad Request", "", error_xml("InvalidIdentityToken", "No OpenIDConnect provider found"))
    })
    .await;
    let token = token_file("refused_web_identity");
    let base = with_sts(
        &sts,
        &[
            ("AWS_REGION", "eu-north-1"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &token),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/hop"),
        ],
    );
    assert_eq!(
        missing(&base).await,
        format!(
            "loading the base identity with the web identity token {token} was refused: InvalidIdentityToken: No \
             OpenIDConnect provider found; check the web identity token and the OIDC provider in IAM"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn the_message_without_a_base_identity_says_what_to_set() {
    assert_eq!(
        missing(&environment(&[])).await,
        "no base identity to call STS with: AWS_ACCESS_KEY_ID is not set, the profile \"default\" has no credentials, \
         there is no web identity and no container identity, and the instance metadata service is switched off \
         (AWS_EC2_METADATA_DISABLED); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or run where a \
         service account, a container or an instance profile gives an identity"
    );
}

#[tokio::test(start_paused = true)]
async fn the_message_without_a_region_says_what_to_set() {
    let keys = [("AWS_ACCESS_KEY_ID", "AKIABASE"), ("AWS_SECRET_ACCESS_KEY", "canary-base-secret")];
    assert_eq!(
        missing(&environment(&keys)).await,
        "no AWS region to call STS in; set AWS_REGION, for example AWS_REGION=eu-north-1"
    );
    assert_eq!(
        missing(&environment(&[keys.as_slice(), &[("AWS_REGION", "eu north")]].concat())).await,
        "\"eu north\" is not an AWS region; set AWS_REGION to a region such as eu-north-1"
    );
}

/// Answers as an STS that knows `AKIANEW` and no other key, of which it says `code`.
fn knows_the_new_key(code: &'static str) -> impl Fn(&Request) -> Reply {
    move |request| match request.signer() {
        "AKIANEW" => success(),
        _ => Reply::http("403 Forbidden", "", error_xml(code, "The security token is invalid")),
    }
}

#[tokio::test]
async fn whatever_a_service_calls_old_keys_new_ones_are_looked_for() {
    for code in ["InvalidClientTokenId", "InvalidAccessKeyId", "UnrecognizedClientException", "InvalidToken"] {
        let sts = Fake::start(knows_the_new_key(code)).await;
        let profile =
            |key: &str| format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = canary-base-secret\n");
        let credentials = file("old-keys", &profile("AKIAOLD"));
        let variables = [("AWS_SHARED_CREDENTIALS_FILE", credentials.as_str()), ("AWS_REGION", "eu-north-1")];
        let client = sts_client(&with_sts(&sts, &variables));
        assume(&client, ROLE, 3600, &Extras::default()).await.expect_err("nobody has rotated them yet");
        assume(&client, ROLE, 3600, &Extras::default()).await.expect_err("the old keys are in memory again");
        file("old-keys", &profile("AKIANEW"));
        assume(&client, ROLE, 3600, &Extras::default()).await.unwrap_or_else(|error| panic!("{code}: {error}"));
    }
}

#[tokio::test]
async fn rotated_keys_of_the_base_identity_are_found_within_the_same_call() {
    let sts = Fake::start(knows_the_new_key("InvalidClientTokenId")).await;
    let profile =
        |key: &str| format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = canary-base-secret\n");
    let credentials = file("rotated-credentials", &profile("AKIAOLD"));
    let client =
        sts_client(&with_sts(&sts, &[("AWS_SHARED_CREDENTIALS_FILE", &credentials), ("AWS_REGION", "eu-north-1")]));
    assume(&client, ROLE, 3600, &Extras::default()).await.expect_err("nobody has rotated them yet");
    assert_eq!(sts.seen().len(), 1, "the same keys are not tried twice");
    // The old keys are in memory again.
    assume(&client, ROLE, 3600, &Extras::default()).await.expect_err("nobody has rotated them yet");
    file("rotated-credentials", &profile("AKIANEW"));
    assume(&client, ROLE, 3600, &Extras::default()).await.expect("the new keys");
    let signers: Vec<String> = sts.seen().iter().map(|request| request.signer().to_owned()).collect();
    assert_eq!(signers.last().map(String::as_str), Some("AKIANEW"), "{signers:?}");
}

#[tokio::test]
async fn keys_that_are_rotated_between_two_calls_cost_the_second_call_nothing_but_time() {
    let rotated = Arc::new(AtomicBool::new(false));
    let known = rotated.clone();
    let sts = Fake::start(move |request| {
        let is_known = request.signer() == if known.load(Ordering::Relaxed) { "AKIANEW" } else { "AKIAOLD" };
        if is_known {
            success()
        } else {
            Reply::http("403 Forbidden", "", error_xml("InvalidClientTokenId", "The security token is invalid"))
        }
    })
    .await;
    let profile =
        |key: &str| format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = canary-base-secret\n");
    let credentials = file("rotated-later", &profile("AKIAOLD"));
    let client =
        sts_client(&with_sts(&sts, &[("AWS_SHARED_CREDENTIALS_FILE", &credentials), ("AWS_REGION", "eu-north-1")]));
    assume(&client, ROLE, 3600, &Extras::default()).await.expect("the old keys");
    rotated.store(true, Ordering::Relaxed);
    file("rotated-later", &profile("AKIANEW"));
    assume(&client, ROLE, 3600, &Extras::default()).await.expect("the new keys, within the same call");
    let signers: Vec<String> = sts.seen().iter().map(|request| request.signer().to_owned()).collect();
    assert_eq!(signers, ["AKIAOLD", "AKIAOLD", "AKIANEW"]);
}
