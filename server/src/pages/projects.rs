//! *Admin › projects*: the list, and the form that adds to it.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::error::PageError;
use super::forms::Fields;
use super::frame::{Frame, Notice, page, page_with_problem, redirect_with_notice};
use super::paging::{Paging, ROWS_PER_PAGE, Search};
use super::path;
use super::remedy::problem;
use super::visitor::{LocalAdministrator, Visitor};
use crate::app::App;
use crate::error::Error;
use crate::http::parameters::Parameters;
use crate::project::{self, Project, ProjectName};

#[derive(Template)]
#[template(path = "projects.html")]
struct Projects {
    frame: Frame,
    search: Search,
    projects: Vec<(Project, i64)>,
    paging: Paging,
    name: String,
    problem: Option<String>,
}

impl Projects {
    async fn new(app: &App, visitor: Visitor, parameters: &Parameters) -> Result<Self, PageError> {
        let frame =
            Frame::for_caller("Projects", path::PROJECTS, &visitor.caller, visitor.form_token).with_notice(parameters);
        let search = Search::from_query(path::PROJECTS.to_owned(), "Search for a project", parameters);
        let count = project::count(&app.database, &search.text).await?;
        let paging = search.paging(count, project::count(&app.database, "").await?);
        let projects = project::search(&app.database, &search.text, paging.offset, ROWS_PER_PAGE).await?;
        Ok(Self { frame, search, projects, paging, name: String::new(), problem: None })
    }
}

/// Shows the list.
pub async fn show(
    State(app): State<App>,
    LocalAdministrator(visitor): LocalAdministrator,
    parameters: Parameters,
) -> Result<Response, PageError> {
    Ok(page(&Projects::new(&app, visitor, &parameters).await?))
}

/// Adds a project.
pub async fn add(
    State(app): State<App>,
    LocalAdministrator(visitor): LocalAdministrator,
    fields: Fields,
) -> Result<Response, PageError> {
    let name = fields.text("name");
    let added = match name.parse::<ProjectName>() {
        Ok(name) => project::add(&app.database, &visitor.caller.actor, &name).await,
        Err(problem) => Err(Error::InvalidArgument(problem.to_owned())),
    };
    match added {
        Ok(project) => Ok(redirect_with_notice(&format!("{}/{}", path::PROJECTS, project.id), Notice::ProjectAdded)),
        Err(error) if error.status().is_server_error() => Err(error.into()),
        Err(error) => {
            let page = Projects::new(&app, visitor, &Parameters::from_query("")).await?;
            Ok(page_with_problem(&Projects { name, problem: Some(problem(&error)), ..page }, error))
        }
    }
}
