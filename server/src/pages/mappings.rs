//! *Admin › role mappings*: the table, and the form that adds to it.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use hops_credentials_core::role::ProjectRole;

use super::base_identity::Panel;
use super::error::PageError;
use super::forms::Fields;
use super::frame::{Frame, Notice, page, page_with_problem, redirect_with_notice};
use super::mapping_form::{Choice, MappingForm, label, project_role_choices};
use super::paging::{Paging, ROWS_PER_PAGE, SUGGESTIONS, read_page};
use super::path;
use super::visitor::{Administrator, Visitor};
use crate::app::App;
use crate::error::Error;
use crate::http::parameters::{Parameters, illegal};
use crate::identity::Identity;
use crate::identity::cluster_client::Asker;
use crate::mapping::Mapping;
use crate::mapping::change;
use crate::mapping::list::{self, Condition, Direction, Filter, Key, Order};
use crate::project::{self, Project, ProjectRef};
use crate::user::Membership;

#[derive(Template)]
#[template(path = "mappings.html")]
struct Mappings {
    frame: Frame,
    panel: Panel,
    view: View,
    columns: Vec<Heading>,
    rows: Vec<Row>,
    paging: Paging,
    form: MappingForm,
    projects: Vec<String>,
    has_more_projects: bool,
}

struct Row {
    id: i64,
    project: String,
    project_role: &'static str,
    role: String,
    account: String,
    is_default: bool,
    external_id: Option<String>,
    source_identity: bool,
}

struct Heading {
    text: &'static str,
    href: String,
    aria_sort: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Id,
    Project,
    ProjectRole,
    Role,
}

const COLUMNS: [Column; 4] = [Column::Id, Column::Project, Column::ProjectRole, Column::Role];

impl Column {
    fn name(self) -> &'static str {
        match self {
            Column::Id => "id",
            Column::Project => "project",
            Column::ProjectRole => "project_role",
            Column::Role => "role",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Column::Id => "Id",
            Column::Project => "Project",
            Column::ProjectRole => "Project role",
            Column::Role => "Role ARN",
        }
    }

    fn key(self) -> Key {
        match self {
            Column::Id => Key::Id,
            Column::Project => Key::ProjectName,
            Column::ProjectRole => Key::ProjectRole,
            Column::Role => Key::Role,
        }
    }
}

/// The part of the table to show, and its order. An illegal value in the query counts as absent: the link is damaged.
#[derive(Debug, Clone)]
struct View {
    text: String,
    project_role: Option<ProjectRole>,
    column: Column,
    is_descending: bool,
    page: i64,
}

impl View {
    fn from_query(parameters: &Parameters) -> Self {
        let text = |name| parameters.all(name).next().unwrap_or_default().trim().to_owned();
        let column = COLUMNS.into_iter().find(|column| column.name() == text("sort")).unwrap_or(Column::Project);
        Self {
            text: text("q"),
            project_role: text("project_role").parse().ok(),
            column,
            is_descending: text("order") == "desc",
            page: read_page(parameters),
        }
    }

    fn filter(&self) -> Filter {
        let mut filter = Filter::default();
        if !self.text.is_empty() {
            filter.add(Condition::Text(self.text.clone()));
        }
        if let Some(project_role) = self.project_role {
            filter.add(Condition::ProjectRole(project_role));
        }
        filter
    }

    fn sort_order(&self) -> Order {
        let direction = if self.is_descending { Direction::Descending } else { Direction::Ascending };
        let mut order = Order::default();
        order.add(self.column.key(), direction);
        order.add(Key::Id, direction);
        order
    }

    fn href(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("q", &self.text).append_pair("project_role", self.project_role_name());
        query.append_pair("sort", self.column.name()).append_pair("order", self.order());
        query.append_pair("page", &self.page.to_string());
        format!("{}?{}", path::MAPPINGS, query.finish())
    }

    fn project_role_name(&self) -> &'static str {
        self.project_role.map_or("", ProjectRole::query_name)
    }

    fn order(&self) -> &'static str {
        if self.is_descending { "desc" } else { "asc" }
    }

    fn choices(&self) -> Vec<Choice> {
        let roles = [ProjectRole::All, ProjectRole::DataOwner, ProjectRole::DataScientist];
        project_role_choices(&roles, self.project_role_name())
    }

    fn heading(&self, column: Column) -> Heading {
        let is_sorted = column == self.column;
        let next = Self { column, is_descending: is_sorted && !self.is_descending, page: 1, ..self.clone() };
        let aria_sort = match (is_sorted, self.is_descending) {
            (false, _) => "none",
            (true, false) => "ascending",
            (true, true) => "descending",
        };
        Heading { text: column.text(), href: next.href(), aria_sort }
    }
}

/// Shows the table.
pub async fn show(
    State(app): State<App>,
    Administrator(visitor): Administrator,
    parameters: Parameters,
) -> Result<Response, PageError> {
    let form = MappingForm { project: parameters.one("project")?.unwrap_or_default(), ..MappingForm::default() };
    Ok(page(&table(&app, visitor, &parameters, form).await?))
}

/// Adds a role mapping.
pub async fn add(
    State(app): State<App>,
    Administrator(visitor): Administrator,
    fields: Fields,
) -> Result<Response, PageError> {
    let form = MappingForm::from_fields(&fields);
    match add_from_form(&app, &visitor, &form).await {
        Ok(()) => Ok(redirect_with_notice(path::MAPPINGS, Notice::MappingAdded)),
        Err(error) if error.status().is_server_error() => Err(error.into()),
        Err(error) => {
            let form = form.with_problem(&error);
            Ok(page_with_problem(&table(&app, visitor, &Parameters::from_query(""), form).await?, error))
        }
    }
}

async fn add_from_form(app: &App, visitor: &Visitor, form: &MappingForm) -> Result<(), Error> {
    let terms = form.parse()?;
    let project = find_project(app, visitor, &form.project).await?;
    let actor = &visitor.caller.actor;
    change::add(&app.database, actor, project.id, terms).await?;
    Ok(())
}

/// Finds the project that the form names. A project of the cluster is found by its id, or by its present name among those of this
/// administrator: other names that this server knows may be old.
async fn find_project(app: &App, visitor: &Visitor, text: &str) -> Result<Project, Error> {
    if text.is_empty() {
        return Err(illegal("Project", &"choose one"));
    }
    let (Identity::Hopsworks(cluster), Some(login)) = (&app.identity, &visitor.login) else {
        return text.parse::<ProjectRef>()?.find(app.database.pool()).await;
    };
    let unknown = |what: &str| Error::InvalidArgument(format!("{what} {text} in the cluster; give its id"));
    let project: ProjectRef = text.parse().map_err(|_| unknown("there is no project"))?;
    let user = &visitor.caller.user;
    let id = match project {
        ProjectRef::Id(id) => id,
        ProjectRef::Name(name) => {
            let mut found = own_projects(visitor).iter().filter(|(own, _)| own.name == name);
            match (found.next(), found.next()) {
                (Some((own, _)), None) => own.id,
                (None, _) => return Err(unknown("you are not a member of a project")),
                (Some(_), Some(_)) => return Err(unknown("you are a member of several projects")),
            }
        }
    };
    let asker = Asker { login, address: Some(visitor.caller.address) };
    match cluster.import_project(asker, user, id).await {
        Ok(()) => project::find_by_id(app.database.pool(), id).await,
        Err(Error::NoSuchProject(_)) => Err(unknown("there is no project")),
        Err(error) => Err(error),
    }
}

/// The projects of a user of a cluster, as the cluster has just listed them.
fn own_projects(visitor: &Visitor) -> &[(Project, ProjectRole)] {
    match &visitor.caller.user.membership {
        Membership::Stored(_) => &[],
        Membership::FromCluster(projects) => projects,
    }
}

/// Suggests names that [`find_project`] takes, and says whether there are more.
async fn suggest_projects(app: &App, visitor: &Visitor) -> Result<(Vec<String>, bool), sqlx::Error> {
    let limit = usize::try_from(SUGGESTIONS).expect("a small number");
    let (mut names, count): (Vec<String>, _) = match &app.identity {
        Identity::Local => {
            let known = project::search(&app.database, "", 0, SUGGESTIONS).await?;
            let count = project::count(&app.database, "").await?;
            (known.into_iter().map(|(project, _)| project.name).collect(), usize::try_from(count).unwrap_or(usize::MAX))
        }
        Identity::Hopsworks(_) => {
            let own = own_projects(visitor);
            (own.iter().map(|(project, _)| project.name.clone()).collect(), own.len())
        }
    };
    names.sort();
    names.truncate(limit);
    Ok((names, count > limit))
}

async fn table(app: &App, visitor: Visitor, parameters: &Parameters, form: MappingForm) -> Result<Mappings, PageError> {
    let view = View::from_query(parameters);
    let (filter, everything) = (view.filter(), Filter::default());
    let (panel, count, total, projects) = tokio::join!(
        Panel::load_within_timeout(app),
        list::count(&app.database, &filter),
        list::count(&app.database, &everything),
        suggest_projects(app, &visitor),
    );
    let paging = Paging::new(view.page, count?, total?, |page| View { page, ..view.clone() }.href());
    let ids = list::find_ids(&app.database, &filter, &view.sort_order(), paging.offset, ROWS_PER_PAGE).await?;
    let (projects, has_more_projects) = projects?;
    let frame = Frame::for_caller("Role mappings", path::MAPPINGS, &visitor.caller, visitor.form_token);
    Ok(Mappings {
        frame: frame.with_notice(parameters),
        panel,
        columns: COLUMNS.map(|column| view.heading(column)).into(),
        rows: list::load(app.database.pool(), &ids).await?.iter().map(to_row).collect(),
        paging,
        form,
        projects,
        has_more_projects,
        view,
    })
}

fn to_row(mapping: &Mapping) -> Row {
    Row {
        id: mapping.id,
        project: mapping.project.name.clone(),
        project_role: label(mapping.project_role),
        role: mapping.role.to_string(),
        account: mapping.role.account().to_owned(),
        is_default: mapping.is_default,
        external_id: mapping.external_id.as_ref().map(ToString::to_string),
        source_identity: mapping.source_identity,
    }
}
