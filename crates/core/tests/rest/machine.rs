//! The machine around a client: one without certificates, and one behind a proxy that asks who it is.

use std::process::Command;

use hops_credentials_core::blocking::block_on;
use hops_credentials_core::credentials::Credentials;
use hops_credentials_core::error::Error;
use hops_credentials_core::hopsworks::Hopsworks;
use hops_credentials_core::request::AssumeRole;
use hops_credentials_core::settings::Settings;
use hops_credentials_core::source::Source;

use crate::loopback::{Server, answer, header, session_token};
use crate::{KEY, READER, message, no_base, quick, settings};

const LOGIN_WANTED: &str = "failed: the proxy wants a user and a password (HTTP 407); set https.proxyUser and \
                            https.proxyPassword (or http.…) beside https.proxyHost, or write HTTPS_PROXY and HTTP_PROXY \
                            as http://<user>:<password>@<host>:<port>";

fn assume(settings: &Settings) -> Result<Credentials, Error> {
    let member = Hopsworks::from_settings(settings)?.with_retry(quick());
    block_on(member.assume_role(&AssumeRole::default()))
}

#[test]
fn a_machine_without_certificates_reaches_everything_that_has_no_tls() {
    const TEST: &str = "machine::a_machine_without_certificates_reaches_everything_that_has_no_tls";
    let Ok(endpoint) = std::env::var("HOPS_TEST_ENDPOINT") else {
        let server = Server::answering(vec![session_token()]);
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", TEST, "--nocapture"]).env("HOPS_TEST_ENDPOINT", &server.endpoint);
        // Where the certificates of a machine are looked for.
        command.env("SSL_CERT_FILE", "/nonexistent/ca.pem").env("SSL_CERT_DIR", "/nonexistent");
        let output = command.output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(server.requests().len(), 1);
        return;
    };
    assume(&settings(&endpoint, &[])).expect("no TLS, no certificates");
    let roles = Settings::new([], []).with_environment([("HOPS_CLOUD_ROLES".to_owned(), READER.to_owned())]);
    let listed = Source::from_settings(&roles, &no_base()).and_then(|source| block_on(source.role_mappings()));
    assert_eq!(listed.expect("nothing is sent").len(), 1);
    let (server, _) = crate::reaching::with_tls();
    let error = assume(&settings(&server.endpoint, &[])).expect_err("no authority is known");
    assert_eq!(
        message(&error, &server.endpoint),
        "assuming the default role for project 119 at <server> failed: this machine has no certificates of authorities; \
         install them (ca-certificates), or name a PEM file by DOMAIN_CA_TRUSTSTORE_PEM"
    );
}

#[test]
fn the_user_and_the_password_of_a_jvms_proxy_are_sent_and_not_shown() {
    let proxy = Server::answering(vec![session_token()]);
    let port = proxy.endpoint.rsplit(':').next().expect("a port");
    let properties = [
        ("http.proxyHost", "127.0.0.1"),
        ("http.proxyPort", port),
        ("http.proxyUser", "me"),
        ("http.proxyPassword", "canary"),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let environment = [("REST_ENDPOINT", "http://hops.example.com"), ("HOPSWORKS_PROJECT_ID", "119"), ("API_KEY", KEY)];
    let settings = Settings::new([], properties.map(owned)).with_environment(environment.map(owned));
    assume(&settings).expect("through the proxy");
    assert_eq!(header(&proxy.requests()[0], "proxy-authorization"), Some("Basic bWU6Y2FuYXJ5"));
    assert!(!format!("{settings:?}").contains("canary"));
}

#[test]
fn a_proxy_that_wants_a_login_is_told_from_the_server_and_names_the_settings() {
    for (endpoint, variable) in [("http://hops.example.com", "HTTP_PROXY"), ("https://hops.example.com", "HTTPS_PROXY")]
    {
        let proxy = Server::answering(vec![answer(
            "407 Proxy Authentication Required",
            "Content-Type: text/html\r\nConnection: close\r\n",
            "<html>canary</html>",
        )]);
        let error = assume(&settings(endpoint, &[(variable, &proxy.endpoint)])).expect_err("no login");
        assert_eq!(
            message(&error, endpoint),
            format!("assuming the default role for project 119 at <server> {LOGIN_WANTED}")
        );
        assert_eq!((error.kind(), error.is_retryable(), error.withdraws()), ("NotConfigured", false, false));
        assert_eq!(proxy.requests().len(), 1);
    }
}
