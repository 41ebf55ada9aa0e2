//! *Sign in* with an API key, and *Sign out*.

use std::time::SystemTime;

use askama::Template;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::error::{PageError, sentence};
use super::forms::Fields;
use super::frame::{Frame, Notice, page, redirect_with_notice};
use super::path;
use crate::app::App;
use crate::browser_session::session;
use crate::error::Error;
use crate::http::auth::{Caller, actor, authenticate, client_address};
use crate::http::parameters::Parameters;
use crate::identity::login::Login;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    frame: Frame,
    next: String,
    problem: Option<String>,
}

/// The actor in the audit where the server cannot tell who it is.
const NOBODY: &str = "nobody";

/// Shows the form.
pub async fn show(parameters: Parameters) -> Response {
    let frame = Frame::anonymous("Sign in").with_notice(&parameters);
    page(&SignIn { frame, next: local_path(parameters.all("next").next()), problem: None })
}

/// Starts a session. Ends the previous session of the browser, so that an attacker cannot plant a session id.
pub async fn sign_in(State(app): State<App>, parts: Parts, fields: Fields) -> Result<Response, PageError> {
    let next = local_path(fields.parameters().all("next").next());
    let found = authenticate(&app, &parts, Login::with_api_key(&fields.text("key"))).await;
    app.metrics.count_sign_in(&found);
    let (user, login) = match found {
        Ok(found) => found,
        Err(error) if error.status().is_server_error() => return Err(error.into()),
        Err(error) => {
            app.recorder.refuse_sign_in(&actor(&app, &parts, NOBODY.to_owned()), &error).await?;
            return Ok(refusal_page(&error, next));
        }
    };
    let Caller { user, actor, .. } = Caller::new(&app, &parts, user);
    let before = app.cookie.read(&parts.headers);
    let id = session::start(&app.database, &actor, &user, &login, before.as_ref()).await?;
    Ok(([(header::SET_COOKIE, app.cookie.set(&id))], Redirect::to(&next)).into_response())
}

fn refusal_page(error: &Error, next: String) -> Response {
    let again = |problem: String| page(&SignIn { frame: Frame::anonymous("Sign in"), next, problem: Some(problem) });
    if let Error::TooManyWrongKeys(seconds) | Error::TooManyWrongLogins(seconds) = error {
        let headers = [(header::RETRY_AFTER, HeaderValue::from(*seconds))];
        return (error.status(), headers, again(sentence(&error.to_string()))).into_response();
    }
    if let Error::LoginNotAccepted = error {
        return (error.status(), again(sentence(&error.to_string()))).into_response();
    }
    let problem = "This API key is not valid. Copy the whole key, or ask an administrator for a new one.";
    // Not 401: a browser answers it with its own password dialog.
    (StatusCode::FORBIDDEN, again(problem.to_owned())).into_response()
}

/// Ends the session.
pub async fn sign_out(State(app): State<App>, parts: Parts) -> Result<Response, PageError> {
    if let Some(id) = app.cookie.read(&parts.headers) {
        // Whoever cannot be told any more, because the cluster does not answer for instance, may still sign out.
        let found =
            session::find_user(&app.database, &app.identity, &id, client_address(&app, &parts), SystemTime::now())
                .await;
        let actor = match found {
            Ok(Some(signed_in)) => Caller::new(&app, &parts, signed_in.user).actor,
            Ok(None) | Err(_) => actor(&app, &parts, NOBODY.to_owned()),
        };
        session::sign_out(&app.database, &actor, &id).await?;
    }
    Ok(([(header::SET_COOKIE, app.cookie.clear())], redirect_with_notice(path::SIGN_IN, Notice::SignedOut))
        .into_response())
}

/// Returns `next` if it is a path of this server, else the home page. `//evil.example.org` is on another server.
fn local_path(next: Option<&str>) -> String {
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
    fn signing_in_leads_only_to_a_page_of_this_server() {
        assert_eq!(local_path(Some("/admin/audit?q=ada")), "/admin/audit?q=ada");
        for elsewhere in
            ["//evil.example.org", "/\\evil.example.org", "https://evil.example.org", "x", "/a\nb", "/\t/e"]
        {
            assert_eq!(local_path(Some(elsewhere)), "/", "{elsewhere:?}");
        }
        assert_eq!(local_path(None), "/");
    }
}
