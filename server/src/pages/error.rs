//! Error pages: they say what happened and what to do.

use std::sync::Arc;

use askama::Template;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::frame::{Frame, Notice, page, redirect_with_notice};
use super::path;
use super::remedy::problem;
use super::secure;
use crate::api;
use crate::error::Error;
use crate::http::probes;
use crate::http::request_log::Cause;

/// The reason why a page cannot be shown.
#[derive(Debug)]
pub enum PageError {
    /// Nobody is signed in.
    NotSignedIn {
        /// The page to return to after signing in.
        back_to: Option<String>,
    },
    /// The session has ended, or never existed.
    SessionEnded {
        /// The page to return to after signing in.
        back_to: Option<String>,
    },
    /// No page of this session sent this form.
    ForeignForm,
    /// The server refused the request.
    Refused(Error),
}

impl<E: Into<Error>> From<E> for PageError {
    fn from(error: E) -> Self {
        PageError::Refused(error.into())
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    what: String,
    remedy: &'static str,
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        match self {
            PageError::NotSignedIn { back_to: None } => Redirect::to(path::SIGN_IN).into_response(),
            PageError::NotSignedIn { back_to: Some(back_to) } => redirect_to_sign_in(&back_to, None),
            PageError::SessionEnded { back_to: None } => redirect_with_notice(path::SIGN_IN, Notice::SessionEnded),
            PageError::SessionEnded { back_to: Some(back_to) } => {
                redirect_to_sign_in(&back_to, Some(Notice::SessionEnded))
            }
            PageError::ForeignForm => {
                let page = error_page(
                    "This form has expired",
                    "It was not sent from a page of your current session. Nothing was changed.".to_owned(),
                    "Go back, reload the page and try again. If this happens again, your browser may block cookies, or a proxy \
                     may change the headers Host and Origin.",
                );
                (StatusCode::FORBIDDEN, page).into_response()
            }
            PageError::Refused(error) => refusal_page(error),
        }
    }
}

fn redirect_to_sign_in(back_to: &str, notice: Option<Notice>) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", back_to);
    if let Some(notice) = notice {
        query.append_pair("done", notice.name());
    }
    Redirect::to(&format!("{}?{}", path::SIGN_IN, query.finish())).into_response()
}

fn error_page(title: &str, what: String, remedy: &'static str) -> Response {
    page(&ErrorPage { frame: Frame::anonymous(title), what, remedy })
}

fn refusal_page(error: Error) -> Response {
    let status = error.status();
    let what = match status {
        StatusCode::INTERNAL_SERVER_ERROR => "The server failed.".to_owned(),
        _ => problem(&error),
    };
    let (title, remedy) = match status {
        StatusCode::FORBIDDEN => {
            ("You do not have access", "The home page shows what you can open. If you need more, ask an administrator.")
        }
        StatusCode::NOT_FOUND => ("Page not found", "Check the address, or start from the home page."),
        StatusCode::CONFLICT => ("Not managed here", "This server manages only the role mappings and the audit."),
        StatusCode::INTERNAL_SERVER_ERROR => (
            "Something went wrong",
            "If you sent a form, look first whether it took effect; then try again. If this happens again, tell the operator: the \
             server's log has the cause under the id in the header X-Request-Id of this answer.",
        ),
        StatusCode::SERVICE_UNAVAILABLE => {
            ("The server is busy", "If you sent a form, look first whether it took effect; then try again in a moment.")
        }
        StatusCode::TOO_MANY_REQUESTS => ("Too many requests", "Nothing was changed. Wait, then try again."),
        StatusCode::BAD_GATEWAY => (
            "No answer from another service",
            "Try again. If this happens again, tell the operator: the server's log has the cause under the id in the header \
             X-Request-Id of this answer.",
        ),
        _ => ("That did not work", "Go back, correct the input and try again."),
    };
    let mut response = (status, error_page(title, what, remedy)).into_response();
    if let Some(seconds) = error.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response.extensions_mut().insert(Cause(Arc::new(error)));
    response
}

/// Turns the text of an error into a sentence: with a capital letter and a period.
pub fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| format!("{}{}.", first.to_uppercase(), characters.as_str())).unwrap_or_default()
}

/// Answers for a path that does not exist: with a page for a browser, with JSON for other clients.
pub async fn no_such_page(request: Request) -> Response {
    page_or_json(request.headers(), Error::NoSuchPath)
}

/// Answers for a page that does not support the method.
pub async fn wrong_method(request: Request) -> Response {
    page_or_json(request.headers(), Error::MethodNotAllowed)
}

/// Answers to a request that no handler has answered: with a page unless the path is one that programs read.
pub fn refuse(path: &str, error: Error) -> Response {
    let is_for_programs = path.starts_with(api::PREFIX) || path == api::DESCRIPTION || probes::PATHS.contains(&path);
    if is_for_programs { error.into_response() } else { secure(refusal_page(error)) }
}

fn page_or_json(headers: &HeaderMap, error: Error) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/html") { refusal_page(error) } else { error.into_response() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_a_later_try_may_show_says_when_to_try() {
        let wait = |error: Error| refusal_page(error).headers().get(header::RETRY_AFTER).cloned();
        assert_eq!(wait(Error::StsBusy { seconds: 3 }), Some(HeaderValue::from(3)));
        assert_eq!(wait(Error::TimedOut), Some(HeaderValue::from(1)));
        assert_eq!(wait(Error::NotAdmin), None);
    }

    #[test]
    fn an_error_becomes_a_sentence() {
        assert_eq!(sentence("there is nothing at this path"), "There is nothing at this path.");
        assert_eq!(sentence(""), "");
    }
}
