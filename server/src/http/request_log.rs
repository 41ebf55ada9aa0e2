//! The layer around every request: an id, a limit on time and size, no caching, and one line in the log.
//!
//! The line has the method and the path, never the query, a header or a body: they may hold secrets of the caller.

use std::time::Instant;

use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::browser_session::cookie::Cookie;
use crate::error::{Error, with_sources};
use crate::http::deadline::Deadline;
use crate::{log, random};

/// The longest body. No endpoint needs a longer one, so it is refused unread.
const MAX_BODY_BYTES: u64 = 64 * 1024;

/// Makes browsers use TLS only, for a year, where this server or the proxy in front of it speaks TLS (RFC 6797).
const STRICT_TRANSPORT_SECURITY: &str = "max-age=31536000";

/// The id of a request, in the log, in the audit and in the header `X-Request-Id` of the response.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// The reason why the response is an error, for the log. An extension of the response.
#[derive(Debug, Clone)]
pub struct Cause {
    text: String,
    is_of_database: bool,
}

impl From<&Error> for Cause {
    fn from(error: &Error) -> Self {
        Self { text: with_sources(error), is_of_database: error.is_of_database() }
    }
}

/// Wraps every handler; the outermost layer of the router.
pub async fn wrap(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = random::hex::<8>();
    request.extensions_mut().insert(RequestId(id.clone()));
    let deadline = Deadline::from_now();
    request.extensions_mut().insert(deadline);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = if is_too_large(&request) {
        Error::TooLarge(MAX_BODY_BYTES).into_response()
    } else {
        match tokio::time::timeout_at(deadline.0, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Error::TimedOut.into_response(),
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
    if cause.is_some_and(|cause| cause.is_of_database) {
        app.database.health().suspect();
    }
    let cause = cause.map(|cause| format!(" cause={:?}", cause.text)).unwrap_or_default();
    app.metrics.count_answer(response.status(), started.elapsed());
    let (status, milliseconds) = (response.status().as_u16(), started.elapsed().as_millis());
    log::line(&format_args!("request={id} method={method} path={path:?} status={status} ms={milliseconds}{cause}"));
    response
}

/// Whether the body declares to be too large. A body without a length does no harm: nothing reads it, and the connection closes
/// after the response.
fn is_too_large(request: &Request) -> bool {
    request.body().size_hint().lower() > MAX_BODY_BYTES
}
