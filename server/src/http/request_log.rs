//! What happens around every request: an id, a bound on time and size, no caching, and one line in the log (stderr).
//!
//! A line names method and path, never the query, a header or a body: they hold what only the caller may know.

use std::time::{Duration, Instant};

use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::error::Error;
use crate::{log, random};

/// No endpoint needs a body; what is larger is refused unread.
const MAXIMUM_BODY: u64 = 64 * 1024;

/// Longer than two calls of STS, which the page *Try it* makes, and the wait for a writer of the database.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The id of a request: in the log, in the audit, and in the answer as `X-Request-Id`.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Why the answer is an error, for the log; an extension of the response.
#[derive(Debug, Clone)]
pub struct Cause(pub String);

/// The outermost layer of the router.
pub async fn wrap(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = random::hex::<8>();
    request.extensions_mut().insert(RequestId(id.clone()));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = if is_too_large(&request) {
        Error::TooLarge(MAXIMUM_BODY).into_response()
    } else {
        match tokio::time::timeout(TIMEOUT, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Error::TimedOut.into_response(),
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers
        .insert("x-request-id", HeaderValue::try_from(id.as_str()).expect("hexadecimal digits are legal in a header"));
    let cause = response.extensions().get::<Cause>().map(|cause| format!(" cause={:?}", cause.0)).unwrap_or_default();
    app.metrics.count_answer(response.status(), started.elapsed());
    let (status, milliseconds) = (response.status().as_u16(), started.elapsed().as_millis());
    log::line(&format_args!("request={id} method={method} path={path:?} status={status} ms={milliseconds}{cause}"));
    response
}

/// A body without a length is bounded too: nobody reads it, and the connection is closed after the answer.
fn is_too_large(request: &Request) -> bool {
    request.body().size_hint().lower() > MAXIMUM_BODY
}
