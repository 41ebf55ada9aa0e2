//! What stands around every page: title, navigation, who is signed in, and what has just been done.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};

use super::path;
use crate::error::Error;
use crate::http::auth::Caller;
use crate::http::parameters::Parameters;

/// The hidden form field that carries the token of the session.
pub const TOKEN_FIELD: &str = "form_token";

/// What stands around a page.
pub struct Frame {
    /// The title of the page.
    pub title: String,
    /// Where one can go.
    pub links: Vec<Link>,
    /// Who is signed in.
    pub email: Option<String>,
    /// The token for the forms of this session.
    pub form_token: String,
    /// What has just been done.
    pub notice: Option<&'static str>,
}

/// A link of the navigation.
pub struct Link {
    /// Where to.
    pub href: &'static str,
    /// What it says.
    pub text: &'static str,
    /// Whether this page is it, or is below it.
    pub is_here: bool,
}

impl Frame {
    /// Around a page for somebody who is not signed in, or of whom nothing is known.
    pub fn anonymous(title: &str) -> Self {
        Self { title: title.to_owned(), links: Vec::new(), email: None, form_token: String::new(), notice: None }
    }

    /// Around a page for somebody who is signed in. `here` is the path of the navigation's link to it.
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
        let is_ours = |path| caller.has_members_here() || ![path::PROJECTS, path::USERS].contains(path);
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

    /// With the notice that [`redirect_with_notice`] put into the query.
    pub fn with_notice(mut self, parameters: &Parameters) -> Self {
        let name = parameters.all("done").next();
        self.notice = NOTICES.iter().find(|notice| Some(notice.name()) == name).map(|notice| notice.sentence());
        self
    }
}

/// What has just been done. Only its name travels in the query, so nobody can put words into a page.
#[derive(Debug, Clone, Copy)]
pub enum Notice {
    SignedOut,
    SessionEnded,
    MappingAdded,
    MappingChanged,
    MappingRemoved,
    DefaultMoved,
    ProjectAdded,
    MemberSet,
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
    /// How it is called in a query.
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
            Notice::SessionEnded => "Your session has ended. Sign in to go on.",
            Notice::MappingAdded => "The role mapping is added.",
            Notice::MappingChanged => "The role mapping is changed.",
            Notice::MappingRemoved => "The role mapping is removed.",
            Notice::DefaultMoved => "The default is moved.",
            Notice::ProjectAdded => "The project is added.",
            Notice::MemberSet => "The member is set.",
            Notice::MemberRemoved => "The member is removed.",
        }
    }
}

/// Sends the browser to a page, which then says what has been done; loading that page anew does nothing anew.
pub fn redirect_with_notice(path: &str, notice: Notice) -> Response {
    Redirect::to(&format!("{path}?done={}", notice.name())).into_response()
}

/// A page.
pub fn page(template: &impl Template) -> Response {
    Html(template.render().expect("texts and numbers can be written into a page")).into_response()
}

/// A page that says what is wrong with what was typed, which stands in its form as it was typed.
pub fn page_with_problem(template: &impl Template, error: &Error) -> Response {
    let status = match error.status() {
        StatusCode::NOT_FOUND => StatusCode::BAD_REQUEST,
        status => status,
    };
    (status, page(template)).into_response()
}
