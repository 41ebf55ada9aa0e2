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

fn keys(url: &str) -> Environment {
    environment(&[
        ("AWS_ACCESS_KEY_ID", "AKIABASE"),
        ("AWS_SECRET_ACCESS_KEY", "canary-base-secret"),
        ("AWS_REGION", "eu-north-1"),
        ("AWS_ENDPOINT_URL_STS", url),
    ])
}

async fn trusting(url: &str, settings: Settings) -> Result<IssuedCredentials, Error> {
    assume(&Sts::new(&settings, &keys(url))?, ROLE, 3600, &Extras::default()).await
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
