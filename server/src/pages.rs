//! The pages: server-rendered forms and tables that work without JavaScript.
//!
//! They call the same functions as the REST interface. A permission is an extractor in `visitor`. [`forms::guard`] refuses
//! every form without the token of its session. A page loads nothing from another server.

mod assets;
mod audit;
pub mod base_identity;
pub mod error;
mod forms;
mod frame;
mod home;
mod mapping_change;
mod mapping_form;
mod mapping_remove;
mod mapping_try;
mod mappings;
mod new_key;
mod paging;
mod path;
mod project;
mod project_settings;
mod projects;
mod remedy;
mod sign_in;
mod users;
mod visitor;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware;
use axum::response::Response;
use axum::routing::{get, post};

use crate::app::App;
use crate::http::request_log::tell_member;

/// Allows scripts, styles and pictures of this server only, and none inline. Forbids framing, and forms to other servers.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// Routes all pages, and every path that is neither a page nor part of the REST interface.
pub fn routes(app: &App) -> Router<App> {
    let for_members = Router::new()
        .route(path::HOME, get(home::show))
        .route(path::SIGN_IN, get(sign_in::show).post(sign_in::sign_in))
        .route(path::SIGN_OUT, post(sign_in::sign_out))
        .route("/projects/{project}", get(project_settings::show))
        .route("/projects/{project}/default", post(project_settings::move_default))
        .route_layer(middleware::from_fn(tell_member));
    let for_administrators = Router::new()
        .route(path::MAPPINGS, get(mappings::show).post(mappings::add))
        .route("/admin/role-mappings/{id}", get(mapping_change::show).post(mapping_change::change))
        .route("/admin/role-mappings/{id}/remove", get(mapping_remove::show).post(mapping_remove::remove))
        .route("/admin/role-mappings/{id}/try", get(mapping_try::show).post(mapping_try::try_it))
        .route(path::BASE_IDENTITY, get(base_identity::show))
        .route(path::PROJECTS, get(projects::show).post(projects::add))
        .route("/admin/projects/{project}", get(project::show).post(project::set_member))
        .route("/admin/projects/{project}/remove-member", get(project::confirm_removal).post(project::remove_member))
        .route(path::USERS, get(users::show).post(users::add))
        .route("/admin/users/new-key", get(new_key::show).post(new_key::renew))
        .route(path::AUDIT, get(audit::show));
    for_members
        .merge(for_administrators)
        .merge(assets::routes())
        .fallback(error::no_such_page)
        .method_not_allowed_fallback(error::wrong_method)
        .layer(middleware::from_fn_with_state(app.clone(), forms::guard))
        .layer(middleware::map_response(async |response: Response| secure(response)))
}

/// Adds the headers that make the browser protect the page.
fn secure(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // Not "no-referrer": with it a browser sends `Origin: null` even with this server's own forms.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}
