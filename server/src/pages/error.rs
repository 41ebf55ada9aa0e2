//! Pages for what went wrong: what happened and what to do.

use askama::Template;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::frame::{Frame, Notice, page, redirect_with_notice};
use super::path;
use crate::error::Error;
use crate::http::request_log::Cause;

/// Why there is no page.
#[derive(Debug)]
pub enum PageError {
    /// Nobody is signed in.
    NotSignedIn {
        /// The page that was asked for.
        back_to: Option<String>,
    },
    /// The session has ended, or never was.
    SessionEnded {
        /// The page that was asked for.
        back_to: Option<String>,
    },
    /// A form that no page of this session has sent.
    ForeignForm,
    /// The server said no.
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
                    "This form is not valid any more",
                    "It was not sent from a page of your present session, so nothing was changed.".to_owned(),
                    "Go back, load the page anew and try again. If it happens again, cookies may be blocked, or a proxy may \
                     change the headers Host and Origin.",
                );
                (StatusCode::FORBIDDEN, page).into_response()
            }
            PageError::Refused(error) => refusal_page(&error),
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

fn refusal_page(error: &Error) -> Response {
    let status = error.status();
    let what = match status {
        StatusCode::INTERNAL_SERVER_ERROR => "The server failed, and nothing was changed.".to_owned(),
        _ => sentence(&error.to_string()),
    };
    let (title, remedy) = match status {
        StatusCode::FORBIDDEN => (
            "This page is not for you",
            "Go to the home page to see what is. If you should see more, ask an administrator.",
        ),
        StatusCode::NOT_FOUND => ("There is no such page", "Check the address, or start from the home page."),
        StatusCode::CONFLICT => ("Not kept here", "What this server keeps are the role mappings and the audit."),
        StatusCode::INTERNAL_SERVER_ERROR => (
            "Something broke",
            "Try again. If it stays so, tell the operator: the server's log has the cause, under the id in the header \
             X-Request-Id of this answer.",
        ),
        _ => ("That did not work", "Go back, correct it and try again."),
    };
    let mut response = (status, error_page(title, what, remedy)).into_response();
    response.extensions_mut().insert(Cause(error.with_sources()));
    response
}

/// An error's text as a sentence of a page: with a capital letter and a period.
pub fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| format!("{}{}.", first.to_uppercase(), characters.as_str())).unwrap_or_default()
}

/// Where there is neither page nor REST interface: a page for a browser, JSON for anybody else.
pub async fn no_such_page(request: Request) -> Response {
    page_or_json(request.headers(), Error::NoSuchPath)
}

/// A page asked by a method that it does not know.
pub async fn wrong_method(request: Request) -> Response {
    page_or_json(request.headers(), Error::MethodNotAllowed)
}

fn page_or_json(headers: &HeaderMap, error: Error) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/html") { refusal_page(&error) } else { error.into_response() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_becomes_a_sentence() {
        assert_eq!(sentence("there is nothing at this path"), "There is nothing at this path.");
        assert_eq!(sentence(""), "");
    }
}
