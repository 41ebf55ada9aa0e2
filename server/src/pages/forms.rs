//! What a form sends, and the guard that lets nothing in but the forms of this server's own pages.

use axum::body::{Bytes, to_bytes};
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

/// The longest form has a role ARN of 2048 characters.
const MAX_FORM_BYTES: usize = 16 * 1024;

/// The fields of a form. [`guard`] has let it in.
#[derive(Clone)]
pub struct Fields(Bytes);

impl Fields {
    /// The fields by name; an empty one is none.
    pub fn parameters(&self) -> Parameters {
        Parameters::of(&String::from_utf8_lossy(&self.0))
    }

    /// The text of a field without the blanks around it; an absent field is an empty text.
    pub fn text(&self, name: &'static str) -> String {
        self.parameters().all(name).next().unwrap_or_default().trim().to_owned()
    }

    /// Whether a box is ticked.
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

/// Refuses every form that did not come from a page of this server, shown to this very session.
///
/// Signing in is the one form that has no session yet; it is held to its origin alone.
pub async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    if !is_same_origin(request.headers()) {
        return PageError::ForeignForm.into_response();
    }
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_FORM_BYTES).await else { return PageError::ForeignForm.into_response() };
    let fields = Fields(body);
    let is_let_in = parts.uri.path() == path::SIGN_IN
        || app.cookie.read(&parts.headers).is_some_and(|id| id.has_form_token(&fields.text(TOKEN_FIELD)));
    if !is_let_in {
        return PageError::ForeignForm.into_response();
    }
    parts.extensions.insert(fields);
    next.run(Request::from_parts(parts, axum::body::Body::empty())).await
}

/// Whether the page that sent the form is of this server. `Sec-Fetch-Site` cannot be set by a page and knows nothing of
/// proxies, so it goes before `Origin`, which is compared with `Host`; a browser that sends neither is none we know.
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

    fn is_let_in(headers: &[(&'static str, &str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| {
            (name.parse().expect("a name"), value.parse::<axum::http::HeaderValue>().expect("a value"))
        });
        is_same_origin(&headers.collect())
    }

    #[test]
    fn a_form_comes_from_a_page_of_this_server() {
        assert!(is_let_in(&[("host", "roles.example.org"), ("origin", "https://roles.example.org")]));
        assert!(is_let_in(&[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080")]));
        assert!(is_let_in(&[("host", "inside:80"), ("origin", "https://outside"), ("sec-fetch-site", "same-origin")]));
    }

    #[test]
    fn a_form_of_another_site_or_of_no_known_page_is_refused() {
        assert!(!is_let_in(&[("host", "roles.example.org"), ("origin", "https://evil.example.org")]));
        assert!(!is_let_in(&[("host", "roles.example.org"), ("origin", "https://roles.example.org:8443")]));
        assert!(!is_let_in(&[("host", "h"), ("origin", "https://h"), ("sec-fetch-site", "same-site")]));
        assert!(!is_let_in(&[("host", "h"), ("origin", "https://h"), ("sec-fetch-site", "cross-site")]));
        assert!(!is_let_in(&[("host", "h"), ("origin", "null")]));
        assert!(!is_let_in(&[("host", "h")]));
    }
}
