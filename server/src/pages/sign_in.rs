//! Signing in with an API key, and signing out.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::error::PageError;
use super::forms::Fields;
use super::frame::{Frame, Notice, done, page};
use super::path;
use crate::App;
use crate::browser_session;
use crate::parameters::Parameters;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    frame: Frame,
    next: String,
    problem: Option<&'static str>,
}

/// The form.
pub async fn show(parameters: Parameters) -> Response {
    let frame = Frame::bare("Sign in").with_notice(&parameters);
    page(&SignIn { frame, next: local(parameters.all("next").next()), problem: None })
}

/// Starts a session. One that the browser had ends, so that nobody can slip in an id chosen before.
pub async fn sign_in(State(app): State<App>, headers: HeaderMap, fields: Fields) -> Result<Response, PageError> {
    let next = local(fields.parameters().all("next").next());
    let Some(id) = browser_session::start(&app.database, &fields.text("key")).await? else {
        let problem = Some("Nobody has this API key. Copy the whole key, or ask an administrator for a new one.");
        return Ok(
            (StatusCode::FORBIDDEN, page(&SignIn { frame: Frame::bare("Sign in"), next, problem })).into_response()
        );
    };
    if let Some(before) = app.cookie.read(&headers) {
        browser_session::end(&app.database, &before).await?;
    }
    Ok(([(header::SET_COOKIE, app.cookie.set(&id))], Redirect::to(&next)).into_response())
}

/// Ends the session.
pub async fn sign_out(State(app): State<App>, headers: HeaderMap) -> Result<Response, PageError> {
    if let Some(id) = app.cookie.read(&headers) {
        browser_session::end(&app.database, &id).await?;
    }
    Ok(([(header::SET_COOKIE, app.cookie.clear())], done(path::SIGN_IN, Notice::SignedOut)).into_response())
}

/// A path of this server; home for everything else, above all for `//evil.example.org`, which is another server's.
fn local(next: Option<&str>) -> String {
    next.filter(|next| {
        next.starts_with('/') && !next[1..].starts_with(['/', '\\']) && next.bytes().all(|byte| byte.is_ascii_graphic())
    })
    .unwrap_or(path::HOME)
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_a_page_of_this_server_only() {
        assert_eq!(local(Some("/admin/audit?q=ada")), "/admin/audit?q=ada");
        for elsewhere in
            ["//evil.example.org", "/\\evil.example.org", "https://evil.example.org", "x", "/a\nb", "/\t/e"]
        {
            assert_eq!(local(Some(elsewhere)), "/", "{elsewhere:?}");
        }
        assert_eq!(local(None), "/");
    }
}
