//! The fields that a form sends, and the guard that accepts only forms of this server's own pages.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::PageError;
use super::frame::TOKEN_FIELD;
use super::path;
use crate::app::App;
use crate::http::parameters::Parameters;
use crate::http::request_log::UnderWay;

/// The longest form has a role ARN of 2048 characters.
const MAX_FORM_BYTES: usize = 16 * 1024;

/// The fields of a form that [`guard`] has accepted.
#[derive(Clone)]
pub struct Fields(Arc<Parameters>);

impl Fields {
    /// Returns the fields by name; an empty field counts as absent.
    pub fn parameters(&self) -> &Parameters {
        &self.0
    }

    /// Returns the trimmed text of a field; an absent field is an empty text.
    pub fn text(&self, name: &'static str) -> String {
        self.parameters().all(name).next().unwrap_or_default().trim().to_owned()
    }

    /// Returns whether a checkbox is ticked.
    pub fn is_ticked(&self, name: &'static str) -> bool {
        self.parameters().all(name).next().is_some()
    }
}

impl<S: Sync> FromRequestParts<S> for Fields {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        parts.extensions.get::<Self>().cloned().ok_or(PageError::ForeignForm)
    }
}

/// Refuses every form that does not come from a page that this server showed to the same session.
///
/// Only the sign-in form has no session yet, so only its origin is checked.
pub async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    if let Err(error) = Parameters::from_query(request.uri().query().unwrap_or_default()).check() {
        return PageError::Refused(error).into_response();
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    if !is_same_origin(request.headers()) {
        return PageError::ForeignForm.into_response();
    }
    let (mut parts, body) = request.into_parts();
    let under_way = parts.extensions.get::<UnderWay>().expect("the request log adds it to each request");
    let body = match under_way.wait_for_client(&app, to_bytes(body, MAX_FORM_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return PageError::ForeignForm.into_response(),
        Err(refusal) => return PageError::from(refusal).into_response(),
    };
    let fields = Fields(Arc::new(Parameters::from_query(&String::from_utf8_lossy(&body))));
    let is_accepted = parts.uri.path() == path::SIGN_IN
        || app.cookie.read(&parts.headers).is_some_and(|id| id.has_form_token(&fields.text(TOKEN_FIELD)));
    if !is_accepted {
        return PageError::ForeignForm.into_response();
    }
    // Such a key is a wrong key like any other, and counts.
    if parts.uri.path() != path::SIGN_IN
        && let Err(error) = fields.parameters().check()
    {
        return PageError::Refused(error).into_response();
    }
    parts.extensions.insert(fields);
    next.run(Request::from_parts(parts, axum::body::Body::empty())).await
}

/// Returns whether a page of this server sent the form.
///
/// `Sec-Fetch-Site` comes first: a page cannot set it, and a proxy does not change what it means. Without it, `Origin` must
/// match `Host`. Every browser that we support sends one of the two.
///
/// Source: W3C Fetch Metadata; RFC 6454, section 7.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text(header::ORIGIN.as_str()), text(header::HOST.as_str())) {
        (Some(site), _, _) => site == "same-origin",
        (None, Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, authority)| authority == host),
        (None, _, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_accepted(headers: &[(&'static str, &str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| {
            (name.parse().expect("a name"), value.parse::<axum::http::HeaderValue>().expect("a value"))
        });
        is_same_origin(&headers.collect())
    }

    #[test]
    fn a_form_from_a_page_of_this_server_is_accepted() {
        assert!(is_accepted(&[("host", "roles.example.org"), ("origin", "https://roles.example.org")]));
        assert!(is_accepted(&[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080")]));
        assert!(is_accepted(&[
            ("host", "inside:80"),
            ("origin", "https://outside"),
            ("sec-fetch-site", "same-origin")
        ]));
    }

    #[test]
    fn a_form_from_another_site_or_of_unknown_origin_is_refused() {
        assert!(!is_accepted(&[("host", "roles.example.org"), ("origin", "https://evil.example.org")]));
        assert!(!is_accepted(&[("host", "roles.example.org"), ("origin", "https://roles.example.org:8443")]));
        assert!(!is_accepted(&[("host", "h"), ("origin", "https://h"), ("sec-fetch-site", "same-site")]));
        assert!(!is_accepted(&[("host", "h"), ("origin", "https://h"), ("sec-fetch-site", "cross-site")]));
        assert!(!is_accepted(&[("host", "h"), ("origin", "null")]));
        assert!(!is_accepted(&[("host", "h")]));
    }
}
