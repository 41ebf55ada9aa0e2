//! The less common places and settings of the chain.

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
