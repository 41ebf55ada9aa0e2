//! Places of the chain that are rare here and usual elsewhere, seen by the requests that they lead to.

use super::base::{found, generous, with_sts};
use super::metadata;
use super::*;

const REGION: (&str, &str) = ("AWS_REGION", "eu-north-1");
const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIABASE"), ("AWS_SECRET_ACCESS_KEY", "canary-base-secret")];

/// Starts a proxy that answers what it is asked for: as a container's endpoint, or as nobody.
async fn proxy() -> Fake {
    Fake::start(|_| Reply::http("502 Bad Gateway", "", "canary")).await
}

/// Asks through this proxy, and returns the first lines of the requests that it saw.
async fn asked_through(proxy: &Fake, variables: &[(&str, &str)]) -> Vec<String> {
    let address = [("HTTPS_PROXY".to_owned(), proxy.url()), ("HTTP_PROXY".to_owned(), proxy.url())];
    let settings = Settings::from_environment().with_environment(address);
    let sts = Sts::new(&settings, &environment(variables)).expect("a proxy is a URL");
    let sts = sts.with_timeout(Duration::from_secs(5));
    assume(&sts, ROLE, 3600, &Extras::default()).await.expect_err("the proxy reaches nobody");
    let mut lines: Vec<String> = proxy.seen().into_iter().map(|request| request.line).collect();
    lines.dedup();
    lines
}

#[tokio::test(start_paused = true)]
async fn the_hosts_of_containers_are_never_asked_through_a_proxy() {
    for place in [
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://[fd00:ec2::23]/v1/credentials"),
    ] {
        let proxy = proxy().await;
        let lines = asked_through(&proxy, &[REGION, place]).await;
        assert_eq!(lines, [""; 0], "{place:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_region_has_its_own_host_of_sts() {
    for (variables, role, host) in [
        (vec![REGION], ROLE, "sts.eu-north-1.amazonaws.com"),
        (vec![("AWS_REGION", "cn-north-1")], "arn:aws-cn:iam::123456789012:role/r", "sts.cn-north-1.amazonaws.com.cn"),
        (
            vec![("AWS_REGION", "us-gov-west-1")],
            "arn:aws-us-gov:iam::123456789012:role/r",
            "sts.us-gov-west-1.amazonaws.com",
        ),
        (vec![("AWS_REGION", "us-iso-east-1")], "arn:aws-iso:iam::123456789012:role/r", "sts.us-iso-east-1.c2s.ic.gov"),
        (
            vec![("AWS_REGION", "us-isob-east-1")],
            "arn:aws-iso-b:iam::123456789012:role/r",
            "sts.us-isob-east-1.sc2s.sgov.gov",
        ),
        (
            vec![("AWS_REGION", "eusc-de-east-1")],
            "arn:aws-eusc:iam::123456789012:role/r",
            "sts.eusc-de-east-1.amazonaws.eu",
        ),
        (
            vec![("AWS_REGION", "us-east-1"), ("AWS_USE_FIPS_ENDPOINT", "true")],
            ROLE,
            "sts-fips.us-east-1.amazonaws.com",
        ),
        (vec![REGION, ("AWS_USE_DUALSTACK_ENDPOINT", "true")], ROLE, "sts.eu-north-1.api.aws"),
    ] {
        let proxy = proxy().await;
        let address = [("HTTPS_PROXY".to_owned(), proxy.url())];
        let settings = Settings::from_environment().with_environment(address);
        let sts = Sts::new(&settings, &environment(&[KEYS.as_slice(), &variables].concat())).expect("a proxy is a URL");
        assume(&sts, role, 3600, &Extras::default()).await.expect_err("the proxy reaches nobody");
        let line = proxy.seen().first().map(|request| request.line.clone());
        assert_eq!(line, Some(format!("CONNECT {host}:443 HTTP/1.1")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_profile_may_have_a_web_identity_and_an_external_id() {
    let sts = Fake::start(|request| match request.field("Action") {
        Some("AssumeRoleWithWebIdentity") => {
            let hour = instant(SystemTime::now() + Duration::from_secs(3600));
            let answer = credentials_xml("ASIAREADER", &hour);
            Reply::http("200 OK", "", answer.replace("AssumeRole", "AssumeRoleWithWebIdentity"))
        }
        Some(_) | None => success(),
    })
    .await;
    let token = token_file("profile_web_identity");
    let config = file(
        "profile_web_identity_config",
        &format!(
            "[profile pod]\nregion=eu-north-1\nrole_arn=arn:aws:iam::123456789012:role/pod\n\
             web_identity_token_file={token}\n\
             [profile partner]\nregion=eu-north-1\nrole_arn=arn:aws:iam::123456789012:role/partner\nexternal_id=canary-id\n\
             role_session_name=me\nsource_profile=keys\n\
             [profile keys]\naws_access_key_id=AKIAKEYS\naws_secret_access_key=canary-secret\n"
        ),
    );
    for (profile, fields) in [
        ("pod", [("Action", "AssumeRoleWithWebIdentity"), ("WebIdentityToken", "canary-jwt")]),
        ("partner", [("ExternalId", "canary-id"), ("RoleSessionName", "me")]),
    ] {
        let before = sts.seen().len();
        let base = with_sts(&sts, &[("AWS_CONFIG_FILE", &config), ("AWS_PROFILE", profile)]);
        assume_reader(&base).await.expect("the base may");
        let (first, second) = (sts.seen()[before].clone(), sts.seen()[before + 1].clone());
        assert_eq!(second.signer(), "ASIAREADER", "{profile}");
        for (name, value) in fields {
            assert_eq!(first.field(name), Some(value), "{profile}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_of_sts_comes_from_variables_and_then_from_the_services_of_the_profile() {
    let (of_services, of_variable) = (generous().await, generous().await);
    let config = file(
        "services",
        &format!(
            "[default]\nregion=eu-north-1\nservices=dev\nendpoint_url=http://127.0.0.1:1\n\
             [services dev]\nsts =\n  endpoint_url = {}\n",
            of_services.url()
        ),
    );
    let base = [KEYS.as_slice(), &[("AWS_CONFIG_FILE", config.as_str())]].concat();
    found(&environment(&base)).await;
    assert_eq!(of_services.seen().len(), 1);
    let variable = of_variable.url();
    found(&environment(&[base.as_slice(), &[("AWS_ENDPOINT_URL", variable.as_str())]].concat())).await;
    assert_eq!((of_services.seen().len(), of_variable.seen().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn endpoints_can_be_switched_off() {
    let sts = generous().await;
    let proxy = proxy().await;
    let url = sts.url();
    let switched_off =
        [("AWS_ENDPOINT_URL_STS", url.as_str()), ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"), REGION];
    let lines = asked_through(&proxy, &[KEYS.as_slice(), &switched_off].concat()).await;
    assert_eq!(lines, ["CONNECT sts.eu-north-1.amazonaws.com:443 HTTP/1.1"]);
    assert_eq!(sts.seen().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_metadata_service_may_be_at_an_ipv6_address() {
    let sts = generous().await;
    let metadata = Fake::start(metadata::instance).await;
    let url = format!("http://[::1]:{}", metadata.port);
    let listener = tokio::net::TcpListener::bind(("::1", metadata.port)).await;
    // Not every machine has IPv6.
    let Ok(listener) = listener else { return };
    let port = metadata.port;
    tokio::spawn(async move {
        while let Ok((mut here, _)) = listener.accept().await {
            let mut there = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut here, &mut there).await });
        }
    });
    assert_eq!(found(&with_sts(&sts, &machine(&url))).await.2, "ASIAHOP");
}
