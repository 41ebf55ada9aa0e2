//! The less common places and settings of the chain.

use hops_credentials_core::base_identity::ITS_OWN_BASE;
use hops_credentials_core::variables::Written;

use super::base::{found, generous, json, missing, with_sts};
use super::*;

const NO_REGION: &str = "no AWS region to call STS in; set AWS_REGION, for example AWS_REGION=eu-north-1";

#[tokio::test(start_paused = true)]
async fn a_base_that_is_itself_assumed_misses_its_region_before_it_is_assumed() {
    let sts = generous().await;
    let config = file(
        "assumed_without_region",
        "[default]\nrole_arn=arn:aws:iam::123456789012:role/hop\nsource_profile=keys\n\
         [profile keys]\naws_access_key_id=AKIAKEYS\naws_secret_access_key=canary-secret\n",
    );
    let token = token_file("assumed_without_region_token");
    for variables in [
        vec![("AWS_CONFIG_FILE", config.as_str())],
        vec![("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()), ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/hop")],
    ] {
        assert_eq!(missing(&with_sts(&sts, &variables)).await, NO_REGION);
    }
    assert_eq!(sts.seen().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_excludes_the_endpoint_of_sts_is_named() {
    let sts = generous().await;
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIABASE"),
        ("AWS_SECRET_ACCESS_KEY", "canary-base-secret"),
        ("AWS_REGION", "eu-north-1"),
    ];
    for switch in ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"] {
        let base = with_sts(&sts, &[keys.as_slice(), &[(switch, "true")]].concat());
        let error = assume_reader(&base).await.expect_err("they exclude each other");
        assert_eq!(
            message(&error),
            format!(
                "{switch} is true, and the endpoint of STS is set too, which exclude each other; remove {switch}, or \
                 AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL or the profile's endpoint_url"
            )
        );
        assert!(!error.is_retryable());
    }
}

#[tokio::test(start_paused = true)]
async fn a_profile_may_take_its_credentials_from_the_environment_or_a_container() {
    let container = Fake::start(|_| Reply::http("200 OK", "", json("ASIATASK"))).await;
    let url = format!("{}/role", container.url());
    for (source, signer) in [("Environment", "AKIABASE"), ("EcsContainer", "ASIATASK")] {
        let sts = generous().await;
        let config = file(
            &format!("source_{source}"),
            &format!("[profile hop]\nrole_arn=arn:aws:iam::123456789012:role/hop\ncredential_source={source}\n"),
        );
        let mut variables =
            vec![("AWS_CONFIG_FILE", config.as_str()), ("AWS_PROFILE", "hop"), ("AWS_REGION", "eu-north-1")];
        match source {
            // The chain prefers keys to a profile, and both come from the same place.
            "Environment" => {
                variables.extend([("AWS_ACCESS_KEY_ID", "AKIABASE"), ("AWS_SECRET_ACCESS_KEY", "canary-base-secret")])
            }
            _ => variables.push(("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)),
        }
        found(&with_sts(&sts, &variables)).await;
        assert_eq!(sts.seen()[0].signer(), signer, "{source}");
    }
}

#[tokio::test]
async fn a_credential_process_finds_the_endpoint_of_its_container_and_nothing_of_ours() {
    let sts = generous().await;
    let config = file(
        "process_in_container",
        "[default]\nregion=eu-north-1\ncredential_process = test \"$AWS_CONTAINER_AUTHORIZATION_TOKEN\" = canary-own -a \
         \"$AWS_CONTAINER_CREDENTIALS_FULL_URI\" = http://169.254.170.23/v1/credentials -a -z \"$HOPS_CREDENTIALS_ISSUED\" \
         && echo '{\"Version\":1,\"AccessKeyId\":\"AKIATOOL\",\"SecretAccessKey\":\"canary-base-secret\"}'\n",
    );
    let base = with_sts(
        &sts,
        &[
            ("AWS_CONFIG_FILE", &config),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/ours"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary-ours"),
            ("HOPS_CREDENTIALS_ISSUED", "http://127.0.0.1:1/ours"),
        ],
    );
    let record = [
        ("HOPS_CREDENTIALS_ISSUED", None, "http://127.0.0.1:1/ours"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", Some("http://169.254.170.23/v1/credentials"), "http://127.0.0.1:1/ours"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", Some("canary-own"), "canary-ours"),
    ];
    let written = record.map(|(name, before, ours)| {
        Written::new(name, before.map(str::to_owned), Some(ours.to_owned())).expect("a variable that we write")
    });
    assert_eq!(found(&base.before(&written)).await, ("profile".to_owned(), false, "AKIATOOL".to_owned()));
}

#[tokio::test]
async fn a_credential_process_that_hangs_does_not_outlive_the_call() {
    let sts = generous().await;
    let pid = file("hangs_pid", "");
    let config = file("hangs", &format!("[default]\ncredential_process = echo $$ > {pid}; exec sleep 1000\n"));
    let base = with_sts(&sts, &[("AWS_CONFIG_FILE", &config), ("AWS_REGION", "eu-north-1")]);
    let client = sts_client(&base).with_timeout(Duration::from_secs(1));
    let error = assume(&client, ROLE, 3600, &Extras::default()).await.expect_err("it hangs");
    assert!(message(&error).contains("no answer in time"), "{error}");
    let pid = std::fs::read_to_string(pid).expect("it began");
    let is_gone = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    for _ in 0..100 {
        if is_gone() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("process {pid} is left behind");
}

#[tokio::test]
async fn a_profile_that_is_its_own_base_is_named_by_the_process_that_started_it() {
    let sts = generous().await;
    let config = file(
        "own_base",
        &format!("[default]\ncredential_process = echo 'hops-credentials: {ITS_OWN_BASE}; canary' >&2; exit 4\n"),
    );
    let error = assume_reader(&with_sts(&sts, &[("AWS_CONFIG_FILE", &config), ("AWS_REGION", "eu-north-1")]))
        .await
        .expect_err("it would go in circles");
    assert_eq!(
        message(&error),
        "the profile of this credential_process would be its own base identity, the profile \"default\"; name the profile \
         of the base identity: AWS_PROFILE=<base>, and in a credential_process `env AWS_PROFILE=<base> hops-credentials \
         process`"
    );
    assert_eq!(error.kind(), "NotConfigured");
}

#[tokio::test]
async fn a_credential_process_has_another_profile_as_its_base_and_never_its_own() {
    let sts = generous().await;
    let started = file("own_base_started", "");
    let config = file(
        "own_base_of_ours",
        &format!(
            "[profile base]\ncredential_process = echo \"$HOPS_CREDENTIALS_IN_PROCESS\" > {started}; echo \
             '{{\"Version\":1,\"AccessKeyId\":\"AKIATOOL\",\"SecretAccessKey\":\"canary-base-secret\"}}'\n"
        ),
    );
    // The program of the profile "hops" is ours, and asks as the profile "base".
    let of_profile = |outer: &'static str| {
        let variables = [
            ("AWS_CONFIG_FILE", config.as_str()),
            ("AWS_PROFILE", "base"),
            ("AWS_REGION", "eu-north-1"),
            ("HOPS_CREDENTIALS_IN_PROCESS", outer),
        ];
        with_sts(&sts, &variables)
    };
    assert_eq!(found(&of_profile("hops")).await.2, "AKIATOOL");
    assert_eq!(std::fs::read_to_string(&started).expect("it ran"), "hops\nbase\n");
    std::fs::remove_file(&started).expect("it is ours");
    let error = assume_reader(&of_profile("hops\nbase")).await.expect_err("it would go in circles");
    assert!(message(&error).starts_with(&format!("{ITS_OWN_BASE}, the profile \"base\"; ")), "{error}");
    assert!(!std::path::Path::new(&started).exists(), "it was started");
}

#[tokio::test]
async fn what_a_credential_process_prints_is_checked() {
    let sts = generous().await;
    for (number, (printed, problem)) in [
        ("canary", "did not print a JSON object"),
        (r#"{"Version":2}"#, "printed another Version than 1"),
        (r#"{"Version":1,"AccessKeyId":"AKIA"}"#, "printed no legible SecretAccessKey"),
        (
            r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"canary","Expiration":"2020-01-01T00:00:00Z"}"#,
            "printed credentials that have ended",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let config = file(&format!("prints_{number}"), &format!("[default]\ncredential_process = echo '{printed}'\n"));
        let text = missing(&with_sts(&sts, &[("AWS_CONFIG_FILE", &config), ("AWS_REGION", "eu-north-1")])).await;
        assert_eq!(
            text,
            format!(
                "loading the base identity failed: the credential_process of the profile \"default\" {problem}; run it in a \
                 shell to see what it says"
            )
        );
    }
}
