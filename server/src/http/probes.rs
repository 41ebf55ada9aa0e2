//! Probes, which answer orchestration and monitoring: is the server alive, is it ready, what has it counted. They are open to
//! everybody who reaches the server: nothing here names a user or a role.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::app::App;
use crate::metrics::MEDIA_TYPE;

/// The paths. No limit on requests refuses them.
pub const PATHS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// `/healthz`, `/readyz` and `/metrics`.
pub fn routes() -> Router<App> {
    let [alive, readiness, numbers] = PATHS;
    Router::new().route(alive, get(async || "alive\n")).route(readiness, get(ready)).route(numbers, get(metrics))
}

/// Reports whether the server can answer members, which takes a database that can be written. The answer is that of the last second:
/// asking costs no query. It does not ask STS: when STS cannot be reached, another server beside this one cannot reach it either.
async fn ready(State(app): State<App>) -> Response {
    match app.database.health().last() {
        Ok(()) => "ready\n".into_response(),
        Err(unready) => (StatusCode::SERVICE_UNAVAILABLE, format!("{unready}\n")).into_response(),
    }
}

async fn metrics(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], app.metrics.text()).into_response()
}
