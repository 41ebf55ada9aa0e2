//! The layer around every request: an id, a limit on time and size, no caching, and one line in the log.
//!
//! The line has the client's address, the caller's e-mail address once it is known, the method and the path, never a word of the query, a
//! header or a body: they may hold secrets of the caller.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use axum::Extension;
use axum::body::{Body, HttpBody};
use axum::extract::{OriginalUri, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;

use crate::app::App;
use crate::browser_session::cookie::Cookie;
use crate::error::Error;
use crate::http::address_limit::Place;
use crate::http::auth::client_address;
use crate::http::deadline::Deadline;
use crate::http::probes;
use crate::pages::error::refuse;
use crate::{log, random};

/// The longest body. No endpoint needs a longer one, so it is refused unread.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Makes browsers use TLS only, for a year, where this server or the proxy in front of it speaks TLS (RFC 6797).
const STRICT_TRANSPORT_SECURITY: &str = "max-age=31536000";

/// The id of a request, in the log, in the audit and in the header `X-Request-Id` of the response.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// The reason why the response is an error, for the log and for [`tell_member`]. An extension of the response.
#[derive(Debug, Clone)]
pub struct Cause(pub Arc<Error>);

/// Who was recognised as the caller, for the log. An extension of the request.
#[derive(Debug, Clone, Default)]
pub struct Recognised(pub Arc<OnceLock<String>>);

/// A request among those under way. An extension of the request.
#[derive(Debug, Clone)]
pub struct UnderWay {
    client: IpAddr,
    may_change: bool,
    places: Arc<Mutex<Option<Places>>>,
}

/// The places of a request: among all, and among those that may change something.
#[derive(Debug)]
struct Places {
    _request: Place,
    _change: Option<Place>,
}

impl UnderWay {
    /// Waits for what the client has yet to send. The request has no place meanwhile: a client that dawdles takes none from others.
    ///
    /// # Errors
    /// [`Error::TooManyAtOnce`] when no place is free afterwards.
    pub async fn wait_for_client<T>(&self, app: &App, waiting: impl Future<Output = T>) -> Result<T, Error> {
        let set = |places| *self.places.lock().expect("nobody panics while holding it") = places;
        set(None);
        let received = waiting.await;
        set(Some(enter(app, self.client, self.may_change)?));
        Ok(received)
    }
}

fn enter(app: &App, client: IpAddr, may_change: bool) -> Result<Places, Error> {
    let request = app.requests.enter(client).ok_or_else(|| {
        app.metrics.count_refusal("requests");
        Error::TooManyAtOnce("as many requests as the server takes from one address, or in all, are under way")
    })?;
    let change = may_change.then(|| app.changes.enter(client));
    if let Some(None) = change {
        app.metrics.count_refusal("changes");
        return Err(Error::TooManyAtOnce(
            "as many changes as the server takes from one address, or in all, are under way",
        ));
    }
    Ok(Places { _request: request, _change: change.flatten() })
}

/// Wraps every handler; the outermost layer of the router.
pub async fn wrap(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = random::hex::<8>();
    let (mut parts, body) = request.into_parts();
    let client = client_address(&app, &parts);
    let recognised = Recognised::default();
    parts.extensions.insert(RequestId(id.clone()));
    parts.extensions.insert(recognised.clone());
    let deadline = Deadline::from_now();
    parts.extensions.insert(deadline);
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let is_probe = probes::PATHS.contains(&path.as_str());
    let may_change = !method.is_safe();
    let places = if is_probe { Ok(None) } else { enter(&app, client, may_change).map(Some) };
    let mut response = match places {
        Err(refusal) => refuse(&path, refusal),
        Ok(_) if is_too_large(&body) => refuse(&path, Error::TooLarge(MAX_BODY_BYTES)),
        Ok(places) => {
            let places = Arc::new(Mutex::new(places));
            parts.extensions.insert(UnderWay { client, may_change, places: places.clone() });
            let answering = survive(next.run(Request::from_parts(parts, body)));
            let answer = tokio::time::timeout_at(deadline.0, answering).await;
            drop(places);
            match answer {
                Ok(Ok(response)) => response,
                Ok(Err(panicked)) => {
                    app.metrics.panics.inc();
                    refuse(&path, panicked)
                }
                Err(_) => refuse(&path, Error::TimedOut),
            }
        }
    };
    let headers = response.headers_mut();
    if let Cookie::Secure = app.cookie {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(STRICT_TRANSPORT_SECURITY));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers
        .insert("x-request-id", HeaderValue::try_from(id.as_str()).expect("hexadecimal digits are legal in a header"));
    let cause = response.extensions().get::<Cause>();
    if cause.is_some_and(|Cause(error)| error.is_of_database()) {
        app.database.health().suspect();
    }
    let cause = cause.map(|Cause(error)| format!(" cause={:?}", error.for_log())).unwrap_or_default();
    let actor = recognised.0.get().map(|name| format!(" actor={name:?}")).unwrap_or_default();
    app.metrics.count_answer(response.status(), started.elapsed());
    let (status, milliseconds) = (response.status().as_u16(), started.elapsed().as_millis());
    log::line(&format_args!(
        "request={id} client={client}{actor} method={method} path={path:?} status={status} ms={milliseconds}{cause}"
    ));
    response
}

/// Wraps the handlers that members call: an error whose cause is not theirs to mend tells them what they can do.
pub async fn tell_member(
    Extension(RequestId(id)): Extension<RequestId>,
    OriginalUri(uri): OriginalUri,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    match response.extensions().get::<Cause>().and_then(|Cause(error)| error.for_member(&id)) {
        Some(error) => refuse(uri.path(), error),
        None => response,
    }
}

/// Runs a handler. One that panics costs its own request alone, which has an answer all the same.
///
/// # Errors
/// [`Error::Panicked`].
async fn survive(handler: impl Future<Output = Response>) -> Result<Response, Error> {
    // A handler shares nothing with others but what keeps itself whole: locks that a panic poisons, and the database.
    AssertUnwindSafe(handler).catch_unwind().await.map_err(|_| Error::Panicked)
}

/// Whether the body declares to be too large. A body without a length does no harm: nothing reads it, and the connection closes
/// after the response.
fn is_too_large(body: &Body) -> bool {
    body.size_hint().lower() > MAX_BODY_BYTES as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_handler_that_panics_is_an_answer_without_the_text_of_the_panic() {
        let calls: fn() -> Response = || panic!("{}", "canary");
        let refused = survive(async { calls() }).await.expect_err("it panics");
        assert_eq!((refused.status().as_u16(), refused.code()), (500, 500));
        for path in ["/", "/hopsworks-api/api/x"] {
            let panicked = survive(async { calls() }).await.expect_err("it panics");
            let response = refuse(path, panicked);
            let cause = response.extensions().get::<Cause>().expect("a cause").0.for_log();
            assert_eq!(cause, "the handler of the request panicked");
            let body = axum::body::to_bytes(response.into_body(), 10_000).await.expect("a body");
            let body = String::from_utf8_lossy(&body);
            assert!(!body.contains("canary") && body.contains("X-Request-Id"), "{body}");
        }
        assert!(survive(async { Response::new(Body::empty()) }).await.is_ok());
    }
}
