//! *Admin › users*: the list, and the form that adds to it.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::error::PageError;
use super::forms::Fields;
use super::frame::{Frame, page, page_with_problem};
use super::new_key::NewKey;
use super::paging::{Paging, ROWS_PER_PAGE, Search};
use super::path;
use super::remedy::problem;
use super::visitor::{LocalAdministrator, Visitor};
use crate::api_key::ApiKey;
use crate::app::App;
use crate::error::Error;
use crate::http::parameters::Parameters;
use crate::user::{self, Email};

#[derive(Template)]
#[template(path = "users.html")]
struct Users {
    frame: Frame,
    search: Search,
    users: Vec<Row>,
    paging: Paging,
    email: String,
    is_admin: bool,
    problem: Option<String>,
}

struct Row {
    email: String,
    kind: &'static str,
    key_prefix: String,
    new_key_href: String,
}

impl Users {
    async fn new(app: &App, visitor: Visitor, parameters: &Parameters) -> Result<Self, PageError> {
        let frame = Frame::for_caller("Users", path::USERS, &visitor.caller, visitor.form_token);
        let search = Search::from_query(path::USERS.to_owned(), "Search for a user", parameters);
        let count = user::count(&app.database, &search.text).await?;
        let paging = search.paging(count, user::count(&app.database, "").await?);
        let users = user::search(&app.database, &search.text, paging.offset, ROWS_PER_PAGE).await?;
        let users = users.into_iter().map(|(user, key_prefix)| Row {
            new_key_href: super::new_key::href(&user.email),
            email: user.email.to_string(),
            kind: if user.is_admin { "Administrator" } else { "User" },
            key_prefix,
        });
        Ok(Self { frame, search, users: users.collect(), paging, email: String::new(), is_admin: false, problem: None })
    }
}

/// Shows the list.
pub async fn show(
    State(app): State<App>,
    LocalAdministrator(visitor): LocalAdministrator,
    parameters: Parameters,
) -> Result<Response, PageError> {
    Ok(page(&Users::new(&app, visitor, &parameters).await?))
}

/// Adds a user and shows their API key, this one time.
pub async fn add(
    State(app): State<App>,
    LocalAdministrator(visitor): LocalAdministrator,
    fields: Fields,
) -> Result<Response, PageError> {
    let (text, is_admin) = (fields.text("email"), fields.is_ticked("admin"));
    let key = ApiKey::generate();
    let added = match text.parse::<Email>() {
        Ok(email) => user::add(&app.database, &visitor.caller.actor, &email, is_admin, &key).await,
        Err(problem) => Err(Error::InvalidArgument(problem.to_owned())),
    };
    match added {
        Ok(()) => Ok(page(&NewKey::new(visitor, &text, &key))),
        Err(error) if error.status().is_server_error() => Err(error.into()),
        Err(error) => {
            let page = Users::new(&app, visitor, &Parameters::from_query("")).await?;
            let problem = Some(problem(&error));
            Ok(page_with_problem(&Users { email: text, is_admin, problem, ..page }, error))
        }
    }
}
