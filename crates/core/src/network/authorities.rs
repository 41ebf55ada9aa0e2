//! The authorities whose certificates we trust: those of files that settings name, and those of the system.
//!
//! A named file is read at once, and every certificate in it parsed, so that an error names it. The system's are read
//! when the first certificate has to be checked: a slim image may have none, and a server without TLS needs none.

use std::sync::{Arc, OnceLock};
use std::{fmt, fs};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::error::{BoxError, Error};
use crate::settings::{Setting, Settings};

/// What a message says where not even one authority is known.
pub(crate) const NO_AUTHORITY: &str = "this machine has no certificates of authorities";

/// A configuration of TLS that trusts `named` and the authorities of the system.
pub(super) fn tls_config(named: Vec<CertificateDer<'static>>) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let verifier = SystemAuthorities { named, provider: provider.clone(), verifier: OnceLock::new() };
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth()
}

/// The check of a server's certificate against `named` and the authorities of the system, which are read at the first
/// one.
#[derive(Debug)]
struct SystemAuthorities {
    named: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    verifier: OnceLock<Result<Verifier, rustls::Error>>,
}

impl SystemAuthorities {
    fn verifier(&self) -> Result<&Verifier, rustls::Error> {
        let made = self.verifier.get_or_init(|| {
            let made = Verifier::new_with_extra_roots(self.named.iter().cloned(), self.provider.clone());
            made.map_err(|_| rustls::Error::General(NO_AUTHORITY.to_owned()))
        });
        made.as_ref().map_err(Clone::clone)
    }
}

impl ServerCertVerifier for SystemAuthorities {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verifier()?.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()?.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()?.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The file that a setting names, and the setting.
pub(super) fn file_label(settings: &Settings, setting: &Setting) -> String {
    format!("{} ({setting})", settings.get(setting).unwrap_or("the truststore").trim())
}

/// Reads the certificates of a file. `place` is what names it.
///
/// # Errors
/// [`Error::NotConfigured`] when it cannot be read, or holds no certificate.
pub(super) fn read_authorities(path: &str, place: impl fmt::Display) -> Result<Vec<CertificateDer<'static>>, Error> {
    let path = path.trim();
    let label = format!("{path} ({place})");
    match fs::read(path) {
        Ok(bytes) => parse_authorities(&String::from_utf8_lossy(&bytes), &label),
        Err(error) => Err(truststore_error(format!("{label} cannot be read: {error}"), Some(Box::new(error)))),
    }
}

/// Reads the certificates that can be trusted. It skips everything else: keys, comments, and certificates that rustls
/// does not understand, which some system bundles hold.
pub(super) fn parse_authorities(pem: &str, label: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let found: Vec<CertificateDer<'static>> = pem
        .split(BEGIN)
        .skip(1)
        .filter_map(|rest| Some(format!("{BEGIN}{}{END}", rest.split_once(END)?.0)))
        .filter_map(|block| {
            let der = CertificateDer::from_pem_slice(block.as_bytes()).ok()?;
            RootCertStore::empty().add(der.clone()).ok()?;
            Some(der)
        })
        .collect();
    if found.is_empty() { Err(truststore_error(format!("{label} holds no certificate"), None)) } else { Ok(found) }
}

fn truststore_error(problem: String, source: Option<BoxError>) -> Error {
    Error::NotConfigured {
        problem,
        remedy: "it must hold the certificates of the authorities to trust; correct the setting or unset it".to_owned(),
        source,
    }
}
