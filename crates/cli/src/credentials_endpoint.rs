//! A container-credentials endpoint on loopback: it gives renewed credentials to readers that know nothing of us.
//!
//! It hands out the set that was published last ([`CredentialsEndpoint::publish`]) and fetches nothing itself, so it
//! answers at once and gives everybody the same set. Readers find it by the variables of
//! [`hops_credentials_core::variables`] and prove themselves by a random token. Its owner decides which credentials it
//! hands out, and when they are fetched again.
//!
//! Source: Amazon ECS developer guide, "Task IAM role", and AWS SDKs reference guide, "Container credential provider".

mod connections;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hops_credentials_core::credentials::Credentials;
use hops_credentials_core::error::Error;
use hops_credentials_core::renewal::{self, Clocks};
use hops_credentials_core::text::{hex, rfc3339};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tokio::sync::Notify;
use zeroize::Zeroizing;

pub use self::connections::serve;
use crate::clocks;

const PATH: &str = "/credentials";
/// A loopback address and port; the system chooses the port.
pub const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// An endpoint, its token, and the credentials that it hands out. `Debug` shows no secret.
pub struct CredentialsEndpoint {
    url: String,
    token: Zeroizing<String>,
    current: Mutex<Current>,
    asked_after_end: Notify,
}

struct Current {
    credentials: Credentials,
    published: Clocks,
    valid_for: Duration,
    /// Whether the first reader that asks after the end makes the renewal hurry. One that polls must not make it ask the
    /// source more often than a failing renewal does, and a role that was taken away comes back at its own time.
    may_hurry: bool,
    /// The reason why no newer credentials have come; shown once these have expired.
    last_error: Option<String>,
}

impl Current {
    fn new(credentials: Credentials) -> Self {
        let valid_for = credentials.valid_for();
        Self { credentials, published: clocks::read(), valid_for, may_hurry: true, last_error: None }
    }

    fn left(&self, now: Clocks) -> Duration {
        renewal::left(self.published, self.valid_for, self.credentials.expiration(), now)
    }
}

/// The JSON that readers get.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EndpointCredentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Zeroizing<String>,
    pub(crate) token: Zeroizing<String>,
    pub(crate) expiration: String,
}

impl From<&Credentials> for EndpointCredentials {
    fn from(credentials: &Credentials) -> Self {
        Self {
            access_key_id: credentials.access_key_id().to_owned(),
            secret_access_key: Zeroizing::new(credentials.secret_access_key().to_owned()),
            token: Zeroizing::new(credentials.session_token().to_owned()),
            expiration: rfc3339(credentials.expiration()),
        }
    }
}

impl CredentialsEndpoint {
    /// Listens on loopback, on a port that the system chooses. [`serve`] answers.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the system gives no socket or no random bytes.
    pub fn bind(credentials: Credentials) -> Result<(Arc<Self>, TcpListener), Error> {
        Self::bind_to(ANY_PORT, credentials)
    }

    /// As [`CredentialsEndpoint::bind`], in place of an endpoint whose process has ended: with its URL and its token.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when `url` does not belong to such an endpoint; [`Error::Unavailable`] when its port
    /// is taken, because that process still runs or another one was faster.
    pub fn resume(
        url: &str,
        token: Zeroizing<String>,
        credentials: Credentials,
    ) -> Result<(Arc<Self>, TcpListener), Error> {
        let address = url.strip_prefix("http://").and_then(|rest| rest.strip_suffix(PATH)?.parse().ok());
        let address = address.ok_or_else(|| Error::InvalidArgument {
            field: "URL",
            reason: "it does not belong to an endpoint of hops-credentials".to_owned(),
        })?;
        Self::listen(address, token, credentials)
    }

    /// As [`CredentialsEndpoint::bind`], on the port of a loopback address.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when it is not a loopback address; [`Error::Unavailable`] when it is taken.
    pub fn bind_to(address: SocketAddr, credentials: Credentials) -> Result<(Arc<Self>, TcpListener), Error> {
        Self::listen(address, Zeroizing::new(random_hex::<32>()?), credentials)
    }

    fn listen(
        address: SocketAddr,
        token: Zeroizing<String>,
        credentials: Credentials,
    ) -> Result<(Arc<Self>, TcpListener), Error> {
        if !address.ip().is_loopback() {
            return Err(Error::InvalidArgument {
                field: "address",
                reason: format!("{address} is not on loopback, and credentials are handed out nowhere else"),
            });
        }
        let refused = |source: io::Error| Error::Unavailable {
            attempted: format!("listening on {address}"),
            code: 0,
            problem: source.to_string(),
            remedy: "choose another port, or leave it to the system".to_owned(),
            source: Some(Box::new(source)),
        };
        let listener = TcpListener::bind(address).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let url = format!("http://{}{PATH}", listener.local_addr().map_err(refused)?);
        let current = Mutex::new(Current::new(credentials));
        Ok((Arc::new(Self { url, token, current, asked_after_end: Notify::new() }), listener))
    }

    /// The URL at which it answers: `http://127.0.0.1:<port>/credentials`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The token that a request must carry as its `Authorization`. Secret.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Hands out `credentials` from now on.
    pub fn publish(&self, credentials: Credentials) {
        *self.current.lock().expect("no holder panics") = Current::new(credentials);
    }

    /// Hands out no credentials from now on, because the source said no to their role. `error` must hold no secret.
    pub fn withdraw(&self, error: String) {
        let mut current = self.current.lock().expect("no holder panics");
        current.valid_for = Duration::ZERO;
        current.may_hurry = false;
        current.last_error = Some(error);
    }

    /// The time for which the credentials that it hands out are still good.
    pub(crate) fn left(&self) -> Duration {
        self.current.lock().expect("no holder panics").left(clocks::read())
    }

    /// Waits for the first reader that asks when the credentials have ended by time.
    pub async fn asked_after_end(&self) {
        self.asked_after_end.notified().await;
    }

    /// Notes why no newer credentials have come, for readers that ask after the expiration. `error` must hold no
    /// secret.
    pub fn note(&self, error: String) {
        self.current.lock().expect("no holder panics").last_error = Some(error);
    }

    fn respond(&self, request: &Request<Incoming>, now: Clocks) -> Response<Full<Bytes>> {
        if request.uri().path() != PATH {
            return refusal(StatusCode::NOT_FOUND, "NotFound", "there is nothing here");
        }
        if request.method() != Method::GET {
            let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "only GET is answered");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            return response;
        }
        let token = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
        if !bool::from(token.ct_eq(self.token.as_bytes())) {
            return refusal(
                StatusCode::UNAUTHORIZED,
                "Unauthorized",
                "the Authorization of the request is not the token of this endpoint",
            );
        }
        let mut current = self.current.lock().expect("no holder panics");
        if current.left(now).is_zero() {
            if std::mem::take(&mut current.may_hurry) {
                self.asked_after_end.notify_one();
            }
            let role = current.credentials.role().map_or("the default role".to_owned(), ToString::to_string);
            let error = current.last_error.as_deref().unwrap_or("no newer ones have come");
            let message = format!("the credentials of {role} have expired: {error}");
            return refusal(StatusCode::SERVICE_UNAVAILABLE, "ExpiredCredentials", &message);
        }
        let body = Zeroizing::new(json(&current.credentials));
        with_body(StatusCode::OK, body.as_bytes())
    }
}

/// Returns random bytes as hexadecimal digits.
///
/// # Errors
/// [`Error::Unavailable`] when the system gives none.
pub(crate) fn random_hex<const BYTES: usize>() -> Result<String, Error> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    match SystemRandom::new().fill(&mut *bytes) {
        Ok(()) => Ok(hex(&*bytes)),
        Err(_) => Err(Error::Unavailable {
            attempted: "making a token".to_owned(),
            code: 0,
            problem: "the system gives no random bytes".to_owned(),
            remedy: "try again".to_owned(),
            source: None,
        }),
    }
}

impl fmt::Debug for CredentialsEndpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CredentialsEndpoint")
            .field("url", &self.url)
            .field("token", &format_args!("***"))
            .finish()
    }
}

fn json(credentials: &Credentials) -> String {
    serde_json::to_string(&EndpointCredentials::from(credentials)).expect("texts are JSON")
}

/// A refusal. Readers print its body, so it holds no secret.
fn refusal(status: StatusCode, code: &str, message: &str) -> Response<Full<Bytes>> {
    with_body(status, serde_json::json!({ "code": code, "message": message }).to_string().as_bytes())
}

fn with_body(status: StatusCode, body: &[u8]) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .header(CACHE_CONTROL, "no-store")
        .body(Full::new(Bytes::copy_from_slice(body)))
        .expect("status and headers are legal")
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn credentials() -> Credentials {
        Credentials::new(
            "ASIAEXAMPLE".into(),
            "canary-secret".into(),
            "canary-token".into(),
            SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_900),
            Duration::from_secs(3600),
            None,
        )
    }

    #[test]
    fn debug_shows_neither_token_nor_credentials() {
        let (endpoint, _socket) = CredentialsEndpoint::bind(credentials()).expect("loopback has a port");
        assert_eq!(
            format!("{endpoint:?}"),
            format!("CredentialsEndpoint {{ url: \"{}\", token: *** }}", endpoint.url())
        );
        assert_eq!(endpoint.token().len(), 64);
    }

    #[test]
    fn another_process_takes_over_the_url_once_the_first_one_has_ended() {
        let (first, socket) = CredentialsEndpoint::bind(credentials()).expect("loopback has a port");
        let again =
            || CredentialsEndpoint::resume(first.url(), Zeroizing::new(first.token().to_owned()), credentials());
        assert!(matches!(again(), Err(Error::Unavailable { .. })));
        drop(socket);
        let (second, _socket) = again().expect("its port is free");
        assert_eq!((second.url(), second.token()), (first.url(), first.token()));
        let elsewhere =
            CredentialsEndpoint::resume("http://192.0.2.1:80/credentials", Zeroizing::default(), credentials());
        assert!(matches!(elsewhere, Err(Error::InvalidArgument { .. })));
    }

    #[test]
    fn it_listens_on_loopback_only() {
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let error =
            CredentialsEndpoint::bind_to(everywhere, credentials()).expect_err("credentials stay on this machine");
        assert_eq!(
            error.to_string(),
            "invalid address: 0.0.0.0:0 is not on loopback, and credentials are handed out nowhere else"
        );
    }

    #[test]
    fn credentials_end_by_the_clock_that_did_not_stand_still() {
        let hour = Duration::from_secs(3600);
        let [id, secret, token] = ["ASIAEXAMPLE", "canary-secret", "canary-token"].map(str::to_owned);
        let current = Current::new(Credentials::new(id, secret, token, SystemTime::now() + hour, hour, None));
        let Clocks { monotonic, wall } = current.published;
        let left = |monotonic, wall| current.left(Clocks { monotonic, wall });
        assert!(!left(monotonic + hour / 2, wall + hour / 2).is_zero());
        assert!(left(monotonic, wall + hour).is_zero(), "the machine slept");
        assert!(left(monotonic + hour, wall - 24 * hour).is_zero(), "the clock was set back");
    }

    #[test]
    fn credentials_are_good_for_as_long_as_their_source_said_where_the_clock_is_ahead_of_it() {
        let hour = Duration::from_secs(3600);
        let [id, secret, token] = ["ASIAEXAMPLE", "canary-secret", "canary-token"].map(str::to_owned);
        let ended_by_clock = Credentials::new(id, secret, token, SystemTime::now() - hour, hour, None);
        let (endpoint, _socket) = CredentialsEndpoint::bind(ended_by_clock).expect("loopback has a port");
        assert!(endpoint.left() > hour / 2);
    }

    #[test]
    fn an_answer_is_what_the_aws_sdks_read() {
        assert_eq!(
            json(&credentials()),
            "{\"AccessKeyId\":\"ASIAEXAMPLE\",\"SecretAccessKey\":\"canary-secret\",\"Token\":\"canary-token\",\
             \"Expiration\":\"2023-11-14T22:13:20Z\"}"
        );
    }
}
