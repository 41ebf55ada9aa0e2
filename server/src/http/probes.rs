//! What the machinery around the server asks: is it alive, is it ready, what has it counted. Open to everybody who reaches
//! the server: nothing here tells who or what.

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

/// For the database, when somebody wants to know whether the server is ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// `/healthz`, `/readyz` and `/metrics`.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

/// Ready is who can answer members: that takes the database. STS is not asked; when it is out of reach, another server
/// beside this one fares no better.
async fn ready(State(app): State<App>) -> Response {
    let cause = match tokio::time::timeout(PATIENCE, app.database.ping()).await {
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
