//! The frame around every page: title, navigation, the signed-in user, and a notice about the last action.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};

use super::path;
use crate::error::Error;
use crate::http::auth::Caller;
use crate::http::parameters::Parameters;
use crate::http::request_log::Cause;

/// The hidden form field that carries the token of the session.
pub const TOKEN_FIELD: &str = "form_token";

/// The frame around a page.
pub struct Frame {
    /// The title of the page.
    pub title: String,
    /// The links of the navigation.
    pub links: Vec<Link>,
    /// The address of the signed-in user.
    pub email: Option<String>,
    /// The token for the forms of this session.
    pub form_token: String,
    /// The notice about the last form, as a sentence.
    pub notice: Option<&'static str>,
}

/// A link of the navigation.
pub struct Link {
    /// The path that it leads to.
    pub href: &'static str,
    /// Its text.
    pub text: &'static str,
    /// Whether it leads to this page, or to the page above it.
    pub is_here: bool,
}

impl Frame {
    /// Makes the frame for a user who is not signed in, or whom the page does not know.
    pub fn anonymous(title: &str) -> Self {
        Self { title: title.to_owned(), links: Vec::new(), email: None, form_token: String::new(), notice: None }
    }

    /// Makes the frame for a signed-in user. `here` is the path of the navigation link to highlight.
    pub fn for_caller(title: &str, here: &str, caller: &Caller, form_token: String) -> Self {
        let for_all = [(path::HOME, "Home")];
        let for_administrators = [
            (path::MAPPINGS, "Role mappings"),
            (path::PROJECTS, "Projects"),
            (path::USERS, "Users"),
            (path::BASE_IDENTITY, "Base identity"),
            (path::AUDIT, "Audit"),
        ];
        let admin_links = if caller.user.is_admin { for_administrators.as_slice() } else { &[] };
        let is_ours = |path| caller.is_local_user() || ![path::PROJECTS, path::USERS].contains(path);
        let admin_links = admin_links.iter().filter(|(path, _)| is_ours(path));
        let links = for_all.iter().chain(admin_links).map(|(href, text)| Link { href, text, is_here: *href == here });
        Self {
            title: title.to_owned(),
            links: links.collect(),
            email: Some(caller.user.email.to_string()),
            form_token,
            notice: None,
        }
    }

    /// Adds the notice that [`redirect_with_notice`] put into the query.
    pub fn with_notice(mut self, parameters: &Parameters) -> Self {
        let name = parameters.all("done").next();
        self.notice = NOTICES.iter().find(|notice| Some(notice.name()) == name).map(|notice| notice.sentence());
        self
    }
}

/// A notice about what a form has done. Only its name travels in the query, so a link cannot put text into a page.
#[derive(Debug, Clone, Copy)]
pub enum Notice {
    /// The user signed out.
    SignedOut,
    /// The session has ended, so the user has to sign in again.
    SessionEnded,
    /// A role mapping was added.
    MappingAdded,
    /// A role mapping was changed.
    MappingChanged,
    /// A role mapping was removed.
    MappingRemoved,
    /// The default of a project role was changed.
    DefaultMoved,
    /// A project was added.
    ProjectAdded,
    /// A user became a member, or got another project role.
    MemberSet,
    /// A member was removed.
    MemberRemoved,
}

const NOTICES: [Notice; 9] = [
    Notice::SignedOut,
    Notice::SessionEnded,
    Notice::MappingAdded,
    Notice::MappingChanged,
    Notice::MappingRemoved,
    Notice::DefaultMoved,
    Notice::ProjectAdded,
    Notice::MemberSet,
    Notice::MemberRemoved,
];

impl Notice {
    /// Returns its name in the query.
    pub fn name(self) -> &'static str {
        match self {
            Notice::SignedOut => "signed-out",
            Notice::SessionEnded => "session-ended",
            Notice::MappingAdded => "mapping-added",
            Notice::MappingChanged => "mapping-changed",
            Notice::MappingRemoved => "mapping-removed",
            Notice::DefaultMoved => "default-moved",
            Notice::ProjectAdded => "project-added",
            Notice::MemberSet => "member-set",
            Notice::MemberRemoved => "member-removed",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Notice::SignedOut => "You are signed out.",
            Notice::SessionEnded => "Your session has ended. Sign in to continue.",
            Notice::MappingAdded => "Role mapping added.",
            Notice::MappingChanged => "Role mapping updated.",
            Notice::MappingRemoved => "Role mapping removed.",
            Notice::DefaultMoved => "Default changed.",
            Notice::ProjectAdded => "Project added.",
            Notice::MemberSet => "Member updated.",
            Notice::MemberRemoved => "Member removed.",
        }
    }
}

/// Redirects the browser to a page that shows the notice. Reloading that page does not repeat the action.
pub fn redirect_with_notice(path: &str, notice: Notice) -> Response {
    Redirect::to(&format!("{path}?done={}", notice.name())).into_response()
}

/// Renders a page.
pub fn page(template: &impl Template) -> Response {
    Html(template.render().expect("rendering text and numbers cannot fail")).into_response()
}

/// Renders a page whose form shows a problem and keeps what the user typed. The log gets the cause.
pub fn page_with_problem(template: &impl Template, error: Error) -> Response {
    let status = match error.status() {
        StatusCode::NOT_FOUND => StatusCode::BAD_REQUEST,
        status => status,
    };
    (status, Extension(Cause(Arc::new(error))), page(template)).into_response()
}
