//! The way to a server: proxies, trusted authorities, and connections without TLS.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use hops_credentials_core::blocking::block_on;
use hops_credentials_core::credentials::Credentials;
use hops_credentials_core::error::Error;
use hops_credentials_core::hopsworks::Hopsworks;
use hops_credentials_core::network::Network;
use hops_credentials_core::request::AssumeRole;
use hops_credentials_core::settings::Settings;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::loopback::{Server, answer, header, session_token};
use crate::{KEY, directory, message, quick, settings};

const SESSION_TOKEN: &str = "/hopsworks-api/api/project/119/cloud/aws/session-token?durationSeconds=3600";
/// A text that stands in no message.
const NO_ENDPOINT: &str = "http://\0";
const UNTRUSTED: &str = "it must hold the certificates of the authorities to trust; correct the setting or unset it";

fn assume(settings: &Settings) -> Result<Credentials, Error> {
    let member = Hopsworks::from_settings(settings)?.with_retry(quick());
    block_on(member.assume_role(&AssumeRole::default()))
}

/// Returns the URL of the same server with a host that only the operating system knows to be loopback.
fn from_afar(server: &Server) -> String {
    server.endpoint.replace("127.0.0.1", "0.0.0.0")
}

#[test]
fn a_proxy_is_used_but_never_for_loopback() {
    let proxy = Server::answering(vec![session_token()]);
    let server = Server::answering(vec![session_token()]);
    let more = [("HTTP_PROXY", proxy.endpoint.as_str()), ("no_proxy", " ")];
    assume(&settings("http://hops.example.com", &more)).expect("through the proxy");
    assert_eq!(proxy.lines(), [format!("GET http://hops.example.com{SESSION_TOKEN}")]);
    assume(&settings(&server.endpoint, &more)).expect("directly");
    assume(&settings(&server.endpoint.replace("127.0.0.1", "localhost"), &more)).expect("directly");
    assert_eq!((proxy.requests().len(), server.requests().len()), (1, 2));
    assume(&settings(&from_afar(&server), &more)).expect("through the proxy");
    assert_eq!((proxy.requests().len(), server.requests().len()), (2, 2));
}

#[test]
fn hosts_in_no_proxy_are_reached_without_the_proxy() {
    let proxy = Server::answering(vec![session_token()]);
    let server = Server::answering(vec![session_token()]);
    for excepted in ["0.0.0.0", "a.example.com, 0.0.0.0", "0.0.0.0/8", "*"] {
        let more = [("HTTP_PROXY", proxy.endpoint.as_str()), ("NO_PROXY", excepted)];
        assume(&settings(&from_afar(&server), &more)).expect("directly");
    }
    let property = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    for excepted in ["0.0.0.0", "localhost|0.0.0.0|*.example.com", "0.0.*", "*"] {
        let port = proxy.endpoint.rsplit(':').next().expect("a port");
        let jvm = Settings::new(
            [],
            [
                property("http.proxyHost", "127.0.0.1"),
                property("http.proxyPort", port),
                property("http.nonProxyHosts", excepted),
                property("hopsworks.restendpoint", &from_afar(&server)),
                property("hopsworks.projectid", "119"),
                property("hopsworks.apikey", KEY),
            ],
        );
        assume(&jvm.with_environment([])).expect("directly");
    }
    assert_eq!((proxy.requests().len(), server.requests().len()), (0, 8));
}

#[test]
fn the_proxy_of_a_jvm_wins_over_that_of_the_environment() {
    let (jvm_proxy, environment_proxy) =
        (Server::answering(vec![session_token()]), Server::answering(vec![session_token()]));
    let port = jvm_proxy.endpoint.rsplit(':').next().expect("a port");
    let properties = [("http.proxyHost", "127.0.0.1"), ("http.proxyPort", port)];
    let environment = [
        ("REST_ENDPOINT", "http://hops.example.com"),
        ("HOPSWORKS_PROJECT_ID", "119"),
        ("API_KEY", KEY),
        ("HTTP_PROXY", &environment_proxy.endpoint),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let settings = Settings::new([], properties.map(owned)).with_environment(environment.map(owned));
    assume(&settings).expect("through the proxy");
    assert_eq!((jvm_proxy.requests().len(), environment_proxy.requests().len()), (1, 0));
}

#[test]
fn https_goes_through_a_tunnel_and_the_login_of_the_proxy_is_sent_but_not_shown() {
    let proxy = Server::answering(vec![answer("502 No such host", "Connection: close\r\n", "")]);
    let with_login = proxy.endpoint.replace("http://", "http://me:canary@");
    let settings = settings("hops.example.com", &[("https_proxy", &with_login)]);
    let error = assume(&settings).expect_err("no tunnel");
    assert_eq!(
        message(&error, "https://hops.example.com"),
        "assuming the default role for project 119 at <server> failed: no connection: tunnel error: unsuccessful; check \
         hopsworks.restendpoint / REST_ENDPOINT, the network and the proxy settings"
    );
    assert_eq!(proxy.lines(), ["CONNECT hops.example.com:443"; 3]);
    assert_eq!(header(&proxy.requests()[0], "proxy-authorization"), Some("Basic bWU6Y2FuYXJ5"));
    let network = Network::from_settings(&settings).expect("settings");
    assert!(!format!("{network:?} {settings:?}").contains("canary"));
}

#[test]
fn a_text_that_is_not_an_http_proxy_is_refused_and_not_shown() {
    for (name, setting) in [("HTTPS_PROXY", "HTTPS_PROXY"), ("http_proxy", "HTTP_PROXY")] {
        for address in ["socks5://me:canary@proxy:1080", "http://", "http://me:canary@:80 80"] {
            let error = assume(&settings("http://hops.example.com", &[(name, address)])).expect_err("no proxy");
            assert_eq!(
                message(&error, NO_ENDPOINT),
                format!("{setting} is not the address of an HTTP proxy; write it as http://<host>:<port>, or unset it")
            );
        }
    }
}

/// Starts a server with a certificate of its own; returns it and that certificate as PEM.
pub(crate) fn with_tls() -> (Server, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let chain = vec![CertificateDer::from(made.cert.der().to_vec())];
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("they belong together");
    let config = Arc::new(config);
    let server = Server::over(
        "https",
        |_| session_token(),
        move |stream| StreamOwned::new(ServerConnection::new(Arc::clone(&config)).expect("a connection"), stream),
    );
    (server, made.cert.pem())
}

fn file(name: &str, content: &str) -> String {
    let file = directory(name).join("ca.pem");
    fs::write(&file, content).expect("a file");
    file.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_certificate_of_an_unknown_authority_is_not_configured() {
    let (server, _) = with_tls();
    let error = assume(&settings(&server.endpoint, &[])).expect_err("unknown");
    assert_eq!(
        message(&error, &server.endpoint),
        "assuming the default role for project 119 at <server> failed: invalid peer certificate: UnknownIssuer; name the \
         authority that issued it by DOMAIN_CA_TRUSTSTORE_PEM or hopsworks.domain.truststore / DOMAIN_CA_TRUSTSTORE"
    );
    assert!(!error.is_retryable());
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn an_authority_is_trusted_by_pem_file_or_by_what_the_jvm_read() {
    let (server, pem) = with_tls();
    let pem_file = file("trusted", &format!("# a comment\n{pem}"));
    let usual = settings(&server.endpoint, &[]);
    assume(&settings(&server.endpoint, &[("DOMAIN_CA_TRUSTSTORE_PEM", &pem_file)])).expect("by PEM file");
    assume(&usual.clone().with_trust(Some(pem.clone()), None)).expect("by the truststore of the domain");
    assume(&usual.with_trust(None, Some(pem))).expect("by the truststore of the JVM");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn an_unchecked_certificate_gives_a_warning() {
    let (server, _) = with_tls();
    for (insecure, verify, is_checked) in
        [("true", "true", false), ("", "False", false), ("false", "false", true), ("", "", true), ("", "true", true)]
    {
        let property = [("hopsutil.insecure".to_owned(), insecure.to_owned())];
        let environment = [
            ("REST_ENDPOINT", server.endpoint.as_str()),
            ("HOPSWORKS_PROJECT_ID", "119"),
            ("API_KEY", KEY),
            ("REQUESTS_VERIFY", verify),
        ];
        let settings = Settings::new([], property)
            .with_environment(environment.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(assume(&settings).is_err(), is_checked, "{insecure} {verify}");
        let warning = format!(
            "the certificate of {} is not checked: whoever is in between can read the credentials",
            server.endpoint
        );
        let warnings = Hopsworks::from_settings(&settings).expect("settings").take_warnings();
        assert_eq!(warnings, if is_checked { vec![] } else { vec![warning] });
    }
}

#[test]
fn the_message_for_a_truststore_without_a_certificate_has_setting_and_path() {
    let (server, _) = with_tls();
    let key = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    let junk = "-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----\n";
    let no_certificate = "-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----\n";
    let cut = "-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n";
    for (name, content) in
        [("empty", ""), ("key", key.as_str()), ("junk", junk), ("no-certificate", no_certificate), ("cut", cut)]
    {
        let file = file(name, content);
        let error = assume(&settings(&server.endpoint, &[("DOMAIN_CA_TRUSTSTORE_PEM", &file)])).expect_err(name);
        let expected = format!("{file} (DOMAIN_CA_TRUSTSTORE_PEM) holds no certificate; {UNTRUSTED}");
        assert_eq!(message(&error, &server.endpoint), expected);
        let error = aws_client(&settings("h", &[("AWS_CA_BUNDLE", &file)])).expect_err(name);
        assert_eq!(message(&error, NO_ENDPOINT), format!("{file} (AWS_CA_BUNDLE) holds no certificate; {UNTRUSTED}"));
    }
    let handed_over =
        settings("h", &[("DOMAIN_CA_TRUSTSTORE", "/etc/store.jks")]).with_trust(Some(String::new()), None);
    assert_eq!(
        message(&assume(&handed_over).expect_err("empty"), NO_ENDPOINT),
        format!(
            "/etc/store.jks (hopsworks.domain.truststore / DOMAIN_CA_TRUSTSTORE) holds no certificate; {UNTRUSTED}"
        )
    );
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn the_message_for_an_unreadable_truststore_has_the_cause() {
    let missing = directory("missing").join("ca.pem");
    let path = missing.to_str().expect("UTF-8");
    let error = assume(&settings("h", &[("DOMAIN_CA_TRUSTSTORE_PEM", path)])).expect_err("missing");
    assert_eq!(
        message(&error, NO_ENDPOINT),
        format!(
            "{path} (DOMAIN_CA_TRUSTSTORE_PEM) cannot be read: No such file or directory (os error 2); {UNTRUSTED}"
        )
    );
}

fn aws_client(settings: &Settings) -> Result<(), Error> {
    Network::from_settings(settings).expect("settings").aws_client(None).map(drop)
}

#[test]
fn a_server_that_does_not_speak_tls_has_its_own_message() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("https://{}", listener.local_addr().expect("an address"));
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.read_exact(&mut [0; 64]).expect("a greeting");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("an answer");
    });
    let error = assume(&settings(&endpoint, &[])).expect_err("no TLS");
    assert_eq!(
        message(&error, &endpoint),
        "assuming the default role for project 119 at <server> failed: what answers there does not speak TLS; check \
         hopsworks.restendpoint / REST_ENDPOINT: for a server without TLS write http://<host>:<port>"
    );
    server.join().expect("one connection was enough");
}

#[test]
fn plain_text_to_another_machine_gives_a_warning() {
    let warnings = |endpoint: &str| {
        let member = Hopsworks::from_settings(&settings(endpoint, &[])).expect("settings");
        member.take_warnings()
    };
    assert_eq!(
        warnings("http://hops.example.com"),
        ["http://hops.example.com is reached without TLS: whoever is in between can read the credentials"]
    );
    assert_eq!(warnings("http://127.0.0.1:1"), [""; 0]);
    assert_eq!(warnings("hops.example.com"), [""; 0]);
}

#[test]
fn a_truststore_that_only_a_jvm_reads_gives_a_warning_outside_of_one() {
    let store = ("DOMAIN_CA_TRUSTSTORE", "/etc/store.jks");
    let (_, pem) = with_tls();
    let pem_file = file("beside", &pem);
    let warnings = |settings: Settings| Hopsworks::from_settings(&settings).expect("settings").take_warnings();
    assert_eq!(
        warnings(settings("h", &[store])),
        [
            "hopsworks.domain.truststore / DOMAIN_CA_TRUSTSTORE names a Java truststore, which only a JVM reads; name a PEM \
          file by DOMAIN_CA_TRUSTSTORE_PEM"
        ]
    );
    assert_eq!(warnings(settings("h", &[store, ("DOMAIN_CA_TRUSTSTORE_PEM", &pem_file)])), [""; 0]);
    assert_eq!(warnings(settings("h", &[store]).with_trust(Some(pem), None)), [""; 0]);
}
