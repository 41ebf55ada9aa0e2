//! The authorities that a connection to STS trusts.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

/// Starts an STS over TLS, with a certificate of its own; returns its URL and that certificate as PEM. It answers each
/// connection once.
fn with_tls() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let chain = vec![CertificateDer::from(made.cert.der().to_vec())];
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("they belong together");
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").expect("a free port on loopback"));
    let url = format!("https://{}", listener.local_addr().expect("a bound socket has an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(config.clone()).expect("the configuration is whole");
            let mut stream = StreamOwned::new(connection, stream.expect("a connection"));
            let mut seen = Vec::new();
            let mut buffer = [0; 4096];
            // A client that does not trust the certificate goes away within the handshake.
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                seen.extend_from_slice(&buffer[..length]);
                if String::from_utf8_lossy(&seen).contains("DurationSeconds=3600") {
                    let Reply::Bytes(answer) = success() else { return };
                    let _ = stream.write_all(&answer);
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                    break;
                }
            }
        }
    });
    (url, made.cert.pem())
}

fn keys(url: &str, more: &[(&str, &str)]) -> Environment {
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIABASE"),
        ("AWS_SECRET_ACCESS_KEY", "canary-base-secret"),
        ("AWS_REGION", "eu-north-1"),
        ("AWS_ENDPOINT_URL_STS", url),
    ];
    environment(&[&keys, more].concat())
}

async fn assume_with(settings: &Settings, environment: &Environment) -> Result<IssuedCredentials, Error> {
    assume(&Sts::new(settings, environment)?, ROLE, 3600, &Extras::default()).await
}

async fn trusting(url: &str, settings: Settings) -> Result<IssuedCredentials, Error> {
    assume_with(&settings, &keys(url, &[])).await
}

fn bundle(path: &str) -> Settings {
    Settings::from_environment().with_environment([("AWS_CA_BUNDLE".to_owned(), path.to_owned())])
}

#[tokio::test]
async fn an_unknown_authority_is_refused_and_a_named_one_is_trusted() {
    let (url, pem) = with_tls();
    let nothing = Settings::from_environment().with_environment([]);
    let error = trusting(&url, nothing.clone()).await.expect_err("nobody knows this authority");
    assert_eq!(
        message(&error),
        format!(
            "assuming role {ROLE} at {url} failed: no connection: invalid peer certificate: UnknownIssuer; name the \
             authority that signed the certificate in AWS_CA_BUNDLE (a PEM file), or correct AWS_ENDPOINT_URL_STS"
        )
    );
    let server_only = nothing.clone().with_trust(Some(pem.clone()), None);
    trusting(&url, server_only).await.expect_err("the role-mapping server's authority says nothing about AWS");
    trusting(&url, bundle(&file("authority.pem", &pem))).await.expect("AWS_CA_BUNDLE names it");
    trusting(&url, nothing.with_trust(None, Some(pem))).await.expect("the JVM's truststore has it");
}

#[tokio::test]
async fn a_bundle_without_certificates_is_refused_before_anything_is_sent() {
    for (name, contents) in [
        ("empty.pem", ""),
        ("text.pem", "canary"),
        ("junk.pem", "-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----\n"),
    ] {
        let path = file(name, contents);
        let error = trusting("https://127.0.0.1:1", bundle(&path)).await.expect_err("no certificate");
        let message = message(&error);
        assert!(message.contains("AWS_CA_BUNDLE") && message.contains(&path), "{message}");
        assert_eq!(error.code(), 0);
    }
}

/// Writes a configuration with a profile that trusts the authorities of a file. Returns its path.
fn config_trusting(name: &str, bundle: &str) -> String {
    file(name, &format!("[profile inside]\nca_bundle = {bundle}\n"))
}

#[tokio::test]
async fn the_authorities_of_the_profile_are_trusted_unless_the_environment_names_others() {
    let ((url, pem), (_, other)) = (with_tls(), with_tls());
    let (of_profile, others) = (file("of-profile.pem", &pem), file("others.pem", &other));
    let nothing = Settings::from_environment().with_environment([]);
    let config = config_trusting("trusting-config", &of_profile);
    let profile = [("AWS_PROFILE", "inside"), ("AWS_CONFIG_FILE", config.as_str())];
    assume_with(&nothing, &keys(&url, &profile)).await.expect("the profile names it");
    let variable = keys(&url, &[profile[0], profile[1], ("AWS_CA_BUNDLE", &others)]);
    let error = assume_with(&bundle(&others), &variable).await;
    let message = message(&error.expect_err("the variable wins, as in the AWS SDKs"));
    assert!(message.contains("invalid peer certificate"), "{message}");
}

#[tokio::test]
async fn a_profile_whose_authorities_cannot_be_read_is_refused_before_anything_is_sent() {
    let empty = file("empty-of-profile.pem", "");
    for (path, problem) in [
        ("/nonexistent/ca.pem", "cannot be read: No such file or directory (os error 2)"),
        (empty.as_str(), "holds no certificate"),
    ] {
        let nothing = Settings::from_environment().with_environment([]);
        let config = config_trusting("unreadable-config", path);
        let profile = keys("https://127.0.0.1:1", &[("AWS_PROFILE", "inside"), ("AWS_CONFIG_FILE", &config)]);
        let error = assume_with(&nothing, &profile).await.expect_err(problem);
        assert_eq!(
            message(&error),
            format!(
                "{path} (ca_bundle of the profile \"inside\") {problem}; it must hold the certificates of the authorities to \
                 trust; correct the setting or unset it"
            )
        );
    }
}
