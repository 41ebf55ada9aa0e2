//! The REST interface: the cloud-role contract of Hopsworks, under `/hopsworks-api/api`. Its handlers convert, call, convert
//! back.

mod listing;
mod role_mappings;
mod session_token;

use std::sync::{Arc, LazyLock};

use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::app::App;
use crate::error::Error;
use crate::http::request_log::{Cause, tell_member};

/// The beginning of all paths of the interface.
pub const PREFIX: &str = "/hopsworks-api";

/// The path of its description.
pub const DESCRIPTION: &str = "/openapi.json";

/// All paths of the interface.
pub fn routes() -> Router<App> {
    let for_members = Router::new()
        .route("/project/{project}/cloud/role-mappings", get(role_mappings::list_in_project))
        .route("/project/{project}/cloud/role-mappings/default", get(role_mappings::find_default))
        .route(
            "/project/{project}/cloud/role-mappings/{id}",
            get(role_mappings::find_in_project).put(role_mappings::set_default),
        )
        .route(
            "/project/{project}/cloud/aws/session-token",
            get(session_token::issue).head(allow_get_only).fallback(allow_get_only),
        )
        .route("/admin/cloud/role-mappings/isAvailable", get(role_mappings::is_available))
        .route_layer(from_fn(tell_member));
    let for_administrators =
        Router::new().route("/admin/cloud/role-mappings", get(role_mappings::list).post(role_mappings::add)).route(
            "/admin/cloud/role-mappings/{id}",
            get(role_mappings::find).put(role_mappings::change).delete(role_mappings::remove),
        );
    let interface = Router::new()
        .nest("/api", for_members.merge(for_administrators))
        .fallback(async || Error::NoSuchPath)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed);
    Router::new().nest(PREFIX, interface).route(DESCRIPTION, get(describe))
}

/// Refuses all methods but GET where GET has an effect. HEAD is asked for without an effect in mind, by monitors and caches, and axum
/// would call the handler of GET for it.
async fn allow_get_only() -> impl IntoResponse {
    ([(header::ALLOW, "GET")], Error::MethodNotAllowed)
}

/// Describes the interface as OpenAPI. A test compares the description with what is served.
async fn describe() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let version = concat!("\"version\": \"", env!("CARGO_PKG_VERSION"), "\"");
        include_str!("../openapi.json").replacen("\"version\": \"\"", version, 1)
    });
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

/// An error as the contract writes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody {
    error_code: u32,
    error_msg: &'static str,
    usr_msg: String,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        let usr_msg = match status {
            StatusCode::INTERNAL_SERVER_ERROR => {
                "the server failed; its log has the cause under the id in the header X-Request-Id".to_owned()
            }
            _ => self.to_string(),
        };
        let body = ErrorBody { error_code: self.code(), error_msg: self.name(), usr_msg };
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let schemes = if let Error::NotOfCluster = self {
                "Bearer realm=\"role-mapping-server\", ApiKey realm=\"role-mapping-server\""
            } else {
                "ApiKey realm=\"role-mapping-server\""
            };
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(schemes));
        }
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Cause(Arc::new(self)));
        response
    }
}
