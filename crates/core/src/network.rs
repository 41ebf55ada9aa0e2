//! The network as role-mapping servers and AWS are reached over it: proxies, trusted authorities, HTTP clients.
//!
//! Proxies: a JVM's own settings (`https.proxyHost`, …) win over `HTTPS_PROXY` and `HTTP_PROXY`. Hosts that
//! `http.nonProxyHosts` or `NO_PROXY` lists are reached directly; loopback, link-local addresses and the metadata
//! services of AWS always are. Authorities: those of the system, of the JVM's truststore and of the service's own
//! truststore, together.

mod authorities;
pub(crate) mod aws;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use aws_sdk_sts::config::SharedHttpClient;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, NoProxy, Proxy, Url};
use rustls::pki_types::CertificateDer;

pub(crate) use self::authorities::NO_AUTHORITY;
use self::authorities::{file_label, parse_authorities, read_authorities, tls_config};
use crate::error::Error;
use crate::settings::{
    AWS_CA_BUNDLE, HTTP_PROXY, HTTPS_PROXY, JVM_HTTP_PROXY_HOST, JVM_HTTP_PROXY_PASSWORD, JVM_HTTP_PROXY_PORT,
    JVM_HTTP_PROXY_USER, JVM_HTTPS_PROXY_HOST, JVM_HTTPS_PROXY_PASSWORD, JVM_HTTPS_PROXY_PORT, JVM_HTTPS_PROXY_USER,
    JVM_NON_PROXY_HOSTS, JVM_TRUSTSTORE, NO_PROXY, Setting, Settings, TRUSTSTORE, TRUSTSTORE_PEM,
};
use crate::text::quoted;

/// The time that opening a connection may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The hosts that no proxy serves: loopback, link-local, and the IPv6 addresses of the metadata and pod-identity
/// services.
///
/// Source: EC2 user guide, "Use the Instance Metadata Service"; EKS user guide, "EKS Pod Identity".
const DIRECT_HOSTS: &str = "localhost,127.0.0.0/8,::1,169.254.0.0/16,fe80::/10,fd00:ec2::/32";

/// The proxies and authorities of one process. `Debug` shows no password of a proxy.
#[derive(Clone)]
pub struct Network {
    settings: Settings,
    https_proxy: Option<String>,
    http_proxy: Option<String>,
    no_proxy: String,
    is_insecure: bool,
    warnings: Vec<String>,
}

impl Network {
    /// Reads the proxies. The client methods read the certificates.
    ///
    /// # Errors
    /// [`Error::NotConfigured`] when a proxy is not the address of an HTTP proxy, or a switch neither `true` nor `false`.
    pub fn from_settings(settings: &Settings) -> Result<Self, Error> {
        let mut warnings = Vec::new();
        let https = [&JVM_HTTPS_PROXY_HOST, &JVM_HTTPS_PROXY_PORT, &JVM_HTTPS_PROXY_USER, &JVM_HTTPS_PROXY_PASSWORD];
        let https = proxy_from_jvm(settings, https, "443")?;
        let http = [&JVM_HTTP_PROXY_HOST, &JVM_HTTP_PROXY_PORT, &JVM_HTTP_PROXY_USER, &JVM_HTTP_PROXY_PASSWORD];
        let http = proxy_from_jvm(settings, http, "80")?;
        let no_proxy = no_proxy(settings, &mut warnings);
        Ok(Self {
            https_proxy: https
                .map_or_else(|| proxy_from_environment(settings, &HTTPS_PROXY), |found| Ok(Some(found)))?,
            http_proxy: http.map_or_else(|| proxy_from_environment(settings, &HTTP_PROXY), |found| Ok(Some(found)))?,
            no_proxy,
            is_insecure: settings.is_insecure()?,
            warnings,
            settings: settings.clone(),
        })
    }

    /// The warnings about the proxy settings; one sentence each, without secrets.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Makes a client for AWS. It also trusts the authorities of `AWS_CA_BUNDLE`, and of the file that a profile names
    /// (its path, and the name of the profile).
    ///
    /// # Errors
    /// [`Error::NotConfigured`] when a file cannot be read or holds no certificate.
    pub fn aws_client(&self, of_profile: Option<(&str, &str)>) -> Result<SharedHttpClient, Error> {
        let mut authorities = self.authorities(None, &AWS_CA_BUNDLE)?;
        if let Some((path, profile)) = of_profile {
            let place = format!("ca_bundle of the profile {}", quoted(profile));
            authorities.extend(read_authorities(path, place)?);
        }
        let client = self.client()?.tls_backend_preconfigured(tls_config(authorities));
        Ok(aws::to_sdk_client(client.build().map_err(client_error)?))
    }

    /// Makes a client for the instance metadata service of AWS, which no proxy reaches and which has no TLS.
    ///
    /// # Errors
    /// [`Error::NotConfigured`] when the client cannot be made.
    pub fn metadata_client() -> Result<SharedHttpClient, Error> {
        let client = plain_client().build().map_err(client_error)?;
        Ok(aws::to_sdk_client(client))
    }

    /// Makes a client for the role-mapping server.
    ///
    /// # Errors
    /// [`Error::NotConfigured`] when a truststore cannot be read or holds no certificate.
    pub fn reqwest_client(&self) -> Result<Client, Error> {
        let from_truststore = self.settings.hopsworks_pem().map(|pem| (pem, &TRUSTSTORE));
        let client = if self.is_insecure() {
            self.client()?.tls_danger_accept_invalid_certs(true)
        } else {
            let authorities = self.authorities(from_truststore, &TRUSTSTORE_PEM)?;
            self.client()?.tls_backend_preconfigured(tls_config(authorities))
        };
        client.build().map_err(client_error)
    }

    fn client(&self) -> Result<ClientBuilder, Error> {
        let no_proxy = || NoProxy::from_string(&self.no_proxy);
        let mut client = plain_client();
        if let Some(address) = &self.https_proxy {
            client = client.proxy(Proxy::https(address).map_err(client_error)?.no_proxy(no_proxy()));
        }
        if let Some(address) = &self.http_proxy {
            client = client.proxy(Proxy::http(address).map_err(client_error)?.no_proxy(no_proxy()));
        }
        Ok(client)
    }

    /// Whether the certificate of the role-mapping server is not checked. That of AWS always is.
    pub fn is_insecure(&self) -> bool {
        self.is_insecure
    }

    /// The warning for a truststore that only a JVM reads (JKS, PKCS12), in a process without one. We leave such a
    /// truststore out, so we can only trust less.
    pub fn unread_truststore_warning(&self) -> Option<String> {
        let is_read = self.settings.hopsworks_pem().is_some() || self.settings.get(&TRUSTSTORE_PEM).is_some();
        (self.settings.get(&TRUSTSTORE).is_some() && !is_read).then(|| {
            format!("{TRUSTSTORE} names a Java truststore, which only a JVM reads; name a PEM file by {TRUSTSTORE_PEM}")
        })
    }

    /// The authorities of the JVM's truststore, of `handed_over` (PEM, and the setting it comes from), and of the file
    /// that `setting` names.
    fn authorities(
        &self,
        handed_over: Option<(&str, &Setting)>,
        setting: &Setting,
    ) -> Result<Vec<CertificateDer<'static>>, Error> {
        let from_jvm = self.settings.jvm_pem().map(|pem| (pem, &JVM_TRUSTSTORE));
        let mut found = Vec::new();
        for (pem, from) in from_jvm.into_iter().chain(handed_over) {
            found.extend(parse_authorities(pem, &file_label(&self.settings, from))?);
        }
        if let Some(path) = self.settings.get(setting) {
            found.extend(read_authorities(path, setting)?);
        }
        Ok(found)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Network").field("settings", &self.settings).field("no_proxy", &self.no_proxy).finish()
    }
}

/// A client without a proxy. It does not follow redirects: they would carry the caller's token or a signature along.
fn plain_client() -> ClientBuilder {
    // The first provider that a process installs stays; ours makes sure that reqwest finds one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        // Replaced where TLS is used: a client of its own would read the system's certificates at once.
        .tls_certs_only([])
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("hops-credentials/", env!("CARGO_PKG_VERSION")))
}

/// Whether the host of `url` is this machine: `localhost` or a loopback address.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Makes a client for an endpoint of ours on this machine, which must answer within `answer_timeout`.
///
/// # Errors
/// [`Error::NotConfigured`] when the client cannot be made.
pub fn loopback_client(answer_timeout: Duration) -> Result<Client, Error> {
    plain_client().timeout(answer_timeout).build().map_err(client_error)
}

fn client_error(error: reqwest::Error) -> Error {
    Error::NotConfigured {
        problem: "an HTTP client cannot be made".to_owned(),
        remedy: "correct the proxy settings".to_owned(),
        source: Some(Box::new(error)),
    }
}

/// The error when a proxy wants to know who asks.
pub(crate) fn proxy_login_wanted(attempted: &str) -> Error {
    Error::NotConfigured {
        problem: format!("{attempted} failed: the proxy wants a user and a password (HTTP 407)"),
        remedy: format!(
            "set {JVM_HTTPS_PROXY_USER} and {JVM_HTTPS_PROXY_PASSWORD} (or http.…) beside {JVM_HTTPS_PROXY_HOST}, or write \
             HTTPS_PROXY and HTTP_PROXY as http://<user>:<password>@<host>:<port>"
        ),
        source: None,
    }
}

/// Whether the text of a connection's error says that a proxy wants to know who asks. Its type is private to hyper.
pub(crate) fn is_proxy_login_wanted(text: &str) -> bool {
    text.contains("proxy authorization required")
}

fn proxy_from_jvm(
    settings: &Settings,
    [host, port, user, password]: [&Setting; 4],
    usual_port: &str,
) -> Result<Option<String>, Error> {
    let Some(name) = settings.get(host) else { return Ok(None) };
    let name = if name.contains(':') && !name.starts_with('[') { format!("[{name}]") } else { name.to_owned() };
    let port_number = settings.get(port).unwrap_or(usual_port).trim();
    let address = proxy_address(&format!("{}:{port_number}", name.trim()), host)?;
    let Some(user) = settings.get(user) else { return Ok(Some(address)) };
    let mut url = Url::parse(&address).expect("it was parsed before");
    url.set_username(user).and_then(|()| url.set_password(settings.get(password))).expect("an address with a host");
    Ok(Some(url.into()))
}

fn proxy_from_environment(settings: &Settings, setting: &Setting) -> Result<Option<String>, Error> {
    settings.get(setting).map(|value| proxy_address(value.trim(), setting)).transpose()
}

/// Parses `host:port` and `http(s)://[user:password@]host[:port]`. The error does not repeat it: it may hold a
/// password.
fn proxy_address(written: &str, setting: &Setting) -> Result<String, Error> {
    let address = if written.contains("://") { written.to_owned() } else { format!("http://{written}") };
    match Url::parse(&address) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(address),
        Ok(_) | Err(_) => Err(Error::NotConfigured {
            problem: format!("{setting} is not the address of an HTTP proxy"),
            remedy: "write it as http://<host>:<port>, or unset it".to_owned(),
            source: None,
        }),
    }
}

fn no_proxy(settings: &Settings, warnings: &mut Vec<String>) -> String {
    let mut rules = vec![DIRECT_HOSTS.to_owned()];
    let from_jvm = settings.get(&JVM_NON_PROXY_HOSTS).unwrap_or_default().split('|');
    let from_environment = settings.get(&NO_PROXY).unwrap_or_default().split([',', ' ']);
    for (setting, pattern) in from_jvm
        .map(|pattern| (&JVM_NON_PROXY_HOSTS, pattern))
        .chain(from_environment.map(|pattern| (&NO_PROXY, pattern)))
    {
        match direct_rule(pattern.trim()) {
            Some(rule) => rules.push(rule),
            None if pattern.trim().is_empty() => {}
            None => warnings.push(format!(
                "{setting}: the entry {pattern:?} has no effect; write a host, *.<domain>, or the first numbers of an \
                 address and a star"
            )),
        }
    }
    rules.join(",")
}

/// Turns `*.example.com`, `10.20.*`, `[::1]` or a pattern without a star into a rule of curl; `None` for other
/// patterns. A rule of curl knows no port, and holds for all of them.
fn direct_rule(pattern: &str) -> Option<String> {
    let pattern = match pattern.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']')) => host,
        Some(_) | None => pattern,
    };
    let pattern = pattern.trim_start_matches('[').trim_end_matches(']');
    match pattern.split_once('*') {
        None if pattern.is_empty() => None,
        None => Some(pattern.to_owned()),
        // The star of curl's rules matches names only, not addresses.
        Some(("", "")) => Some("*,0.0.0.0/0,::/0".to_owned()),
        Some(("", domain)) if !domain.contains('*') => Some(domain.to_owned()),
        Some((numbers, "")) => {
            let numbers: Vec<u8> =
                numbers.strip_suffix('.')?.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
            let bits = numbers.len() * 8;
            let number = |index: usize| numbers.get(index).copied().unwrap_or(0);
            (bits < 32).then(|| format!("{}.{}.{}.0/{bits}", number(0), number(1), number(2)))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(properties: &[(&str, &str)], environment: &[(&str, &str)]) -> Network {
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let settings = Settings::new([], owned(properties)).with_environment(owned(environment));
        Network::from_settings(&settings).expect("settings")
    }

    #[test]
    fn a_proxy_may_be_written_with_or_without_scheme_and_port() {
        for (properties, environment, expected) in [
            (vec![], vec![], None),
            (vec![], vec![("HTTPS_PROXY", "proxy:3128")], Some("http://proxy:3128")),
            (vec![], vec![("https_proxy", "https://me:pw@proxy")], Some("https://me:pw@proxy")),
            (vec![("https.proxyHost", "proxy")], vec![("HTTPS_PROXY", "other")], Some("http://proxy:443")),
            (vec![("https.proxyHost", "fd00::1"), ("https.proxyPort", "3128")], vec![], Some("http://[fd00::1]:3128")),
            (vec![("http.proxyHost", "proxy")], vec![], None),
            (
                vec![("https.proxyHost", "proxy"), ("https.proxyUser", "me@corp"), ("https.proxyPassword", "p:/w")],
                vec![],
                Some("http://me%40corp:p%3A%2Fw@proxy:443/"),
            ),
        ] {
            assert_eq!(
                network(&properties, &environment).https_proxy.as_deref(),
                expected,
                "{properties:?} {environment:?}"
            );
        }
        assert_eq!(network(&[("http.proxyHost", "proxy")], &[]).http_proxy.as_deref(), Some("http://proxy:80"));
    }

    #[test]
    fn exceptions_of_a_jvm_and_of_the_environment_become_one_list() {
        let found = network(
            &[("http.nonProxyHosts", "*.hops.local|10.*|192.168.7.*|[fd00::1]|node|a*.b|*x*|1.2.3.4.*")],
            &[("NO_PROXY", "*.corp, .example.com ,172.16.0.0/12,roles.lan:8443 db.lan,[fd00::2]:80,fd00::3")],
        );
        assert_eq!(
            found.no_proxy,
            format!(
                "{DIRECT_HOSTS},.hops.local,10.0.0.0/8,192.168.7.0/24,fd00::1,node,.corp,.example.com,172.16.0.0/12,roles.lan,\
                 db.lan,fd00::2,fd00::3"
            )
        );
        let without_effect = |entry: &str| {
            format!(
                "http.nonProxyHosts: the entry {entry:?} has no effect; write a host, *.<domain>, or the first numbers of an \
                 address and a star"
            )
        };
        assert_eq!(found.warnings(), ["a*.b", "*x*", "1.2.3.4.*"].map(without_effect));
    }
}
