//! Probes, which answer orchestration and monitoring: is the server alive, is it ready, what has it counted. They are open to
//! everybody who reaches the server: nothing here names a user or a role.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::app::App;
use crate::error::{Error, with_sources};
use crate::http::request_log::Cause;
use crate::metrics::MEDIA_TYPE;

/// The longest wait for the database.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// `/healthz`, `/readyz` and `/metrics`.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

/// Reports whether the server can answer members, which takes the database. It does not ask STS: when STS cannot be reached,
/// another server beside this one cannot reach it either.
async fn ready(State(app): State<App>) -> Response {
    let cause = match tokio::time::timeout(DATABASE_TIMEOUT, app.database.ping()).await {
        Ok(Ok(())) => return "ready\n".into_response(),
        Ok(Err(error)) => with_sources(&Error::from(error)),
        Err(_) => "the database did not answer in time".to_owned(),
    };
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response();
    response.extensions_mut().insert(Cause(cause));
    response
}

async fn metrics(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], app.metrics.text()).into_response()
}
