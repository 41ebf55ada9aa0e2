//! The static files that pages use: one style sheet, one script that adds copy buttons, one icon.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::app::App;

/// Serves each file at its path.
pub fn routes() -> Router<App> {
    let file = |content_type: &'static str, text: &'static str| {
        get(move || async move { ([(CONTENT_TYPE, content_type)], text).into_response() })
    };
    Router::new()
        .route("/assets/pages.css", file("text/css; charset=utf-8", include_str!("../../assets/pages.css")))
        .route("/assets/copy.js", file("text/javascript; charset=utf-8", include_str!("../../assets/copy.js")))
        .route("/assets/icon.svg", file("image/svg+xml", include_str!("../../assets/icon.svg")))
}
