//! The REST interface: the cloud-role contract of Hopsworks, under `/hopsworks-api/api`. Convert, call, convert back.

mod listing;
pub mod session_token;

use std::sync::LazyLock;

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hops_credentials_core::role::{ProjectRole, RoleArn};
use serde::Serialize;

use crate::api::listing::{Listing, Page};
use crate::app::App;
use crate::error::Error;
use crate::http::auth::{Admin, Caller, DataOwner, Member, MemberMappings};
use crate::http::parameters::{MappingId, Parameters};
use crate::http::request_log::Cause;
use crate::identity::Identity;
use crate::identity::login::Login;
use crate::mapping::change::{self, Changes};
use crate::mapping::{self, Mapping};

/// All paths of the interface.
pub fn routes() -> Router<App> {
    let contract = Router::new()
        .route("/project/{project}/cloud/role-mappings", get(list_of_project))
        .route("/project/{project}/cloud/role-mappings/default", get(default_of_caller))
        .route("/project/{project}/cloud/role-mappings/{id}", get(one_of_project).put(set_default))
        .route("/project/{project}/cloud/aws/session-token", get(session_token::issue))
        .route("/admin/cloud/role-mappings", get(list).post(add))
        .route("/admin/cloud/role-mappings/isAvailable", get(is_available))
        .route("/admin/cloud/role-mappings/{id}", get(one).put(change).delete(remove));
    let interface = Router::new()
        .nest("/api", contract)
        .fallback(async || Error::NoSuchPath)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed);
    Router::new().nest("/hopsworks-api", interface).route("/openapi.json", get(describe))
}

/// The interface as OpenAPI describes one. A test holds it to what is served.
async fn describe() -> Response {
    static DESCRIPTION: LazyLock<String> = LazyLock::new(|| {
        let version = concat!("\"version\": \"", env!("CARGO_PKG_VERSION"), "\"");
        include_str!("../openapi.json").replacen("\"version\": \"\"", version, 1)
    });
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION.as_str()).into_response()
}

/// A role mapping as the contract writes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MappingAnswer {
    href: String,
    id: i64,
    project_id: i64,
    project_name: String,
    project_role: &'static str,
    cloud_role: String,
    default_role: bool,
}

impl MappingAnswer {
    fn new(href: String, mapping: Mapping) -> Json<Self> {
        Json(Self {
            href,
            id: mapping.id,
            project_id: mapping.project.id,
            project_name: mapping.project.name,
            project_role: mapping.project_role.display_name(),
            cloud_role: mapping.role.to_string(),
            default_role: mapping.is_default,
        })
    }
}

#[derive(Serialize)]
struct ListAnswer {
    count: usize,
    href: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<MappingAnswer>,
}

impl ListAnswer {
    fn new(href: &str, page: Page) -> Json<Self> {
        let items =
            page.mappings.into_iter().map(|mapping| MappingAnswer::new(format!("{href}/{}", mapping.id), mapping).0);
        Json(Self { count: page.count, items: items.collect(), href: href.to_owned() })
    }
}

async fn list_of_project(
    MemberMappings { mappings, .. }: MemberMappings,
    OriginalUri(uri): OriginalUri,
    parameters: Parameters,
) -> Result<Json<ListAnswer>, Error> {
    let listing = Listing::of(&parameters)?;
    Ok(ListAnswer::new(uri.path(), listing.page(mappings)))
}

async fn one_of_project(
    State(app): State<App>,
    member: Member,
    MappingId(id): MappingId,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<MappingAnswer>, Error> {
    Ok(MappingAnswer::new(uri.path().to_owned(), mapping::in_project_of(&app.database, &member.project, id).await?))
}

async fn default_of_caller(
    MemberMappings { member, mappings }: MemberMappings,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<MappingAnswer>, Error> {
    let mapping = mapping::default_for(&mappings, member.project_role)?;
    Ok(MappingAnswer::new(uri.path().to_owned(), mapping.clone()))
}

async fn set_default(
    State(app): State<App>,
    DataOwner(member): DataOwner,
    MappingId(id): MappingId,
    OriginalUri(uri): OriginalUri,
    parameters: Parameters,
) -> Result<Json<MappingAnswer>, Error> {
    let changes = Changes { is_default: Some(parameters.required("defaultRole")?), ..Changes::default() };
    let mapping = mapping::in_project_of(&app.database, &member.project, id).await?;
    let mapping = change::change(&app.database, &member.caller.actor, mapping.id, &changes).await?;
    Ok(MappingAnswer::new(uri.path().to_owned(), mapping))
}

async fn list(
    State(app): State<App>,
    _: Admin,
    OriginalUri(uri): OriginalUri,
    parameters: Parameters,
) -> Result<Json<ListAnswer>, Error> {
    let listing = Listing::of(&parameters)?;
    Ok(ListAnswer::new(uri.path(), listing.page(mapping::all(&app.database).await?)))
}

async fn one(
    State(app): State<App>,
    _: Admin,
    MappingId(id): MappingId,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<MappingAnswer>, Error> {
    Ok(MappingAnswer::new(uri.path().to_owned(), mapping::by_id(&app.database, id).await?))
}

async fn add(
    State(app): State<App>,
    Admin(caller): Admin,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    parameters: Parameters,
) -> Result<(StatusCode, Json<MappingAnswer>), Error> {
    let role: RoleArn = parameters.required("cloudRole")?;
    let project_id: i64 = parameters.required("projectId")?;
    let project_role: ProjectRole = parameters.required("projectRole")?;
    let is_default = parameters.one("defaultRole")?.unwrap_or(false);
    if let (Identity::Hopsworks(cluster), Some(login)) = (&app.identity, Login::of(&headers)) {
        cluster.check_project(&app.database, &login, project_id).await?;
    }
    let mapping = change::add(&app.database, &caller.actor, project_id, project_role, &role, is_default).await?;
    Ok((StatusCode::CREATED, MappingAnswer::new(format!("{}/{}", uri.path(), mapping.id), mapping)))
}

async fn change(
    State(app): State<App>,
    Admin(caller): Admin,
    MappingId(id): MappingId,
    OriginalUri(uri): OriginalUri,
    parameters: Parameters,
) -> Result<Json<MappingAnswer>, Error> {
    let changes = Changes {
        role: parameters.one("cloudRole")?,
        project_role: parameters.one("projectRole")?,
        is_default: parameters.one("defaultRole")?,
    };
    let mapping = change::change(&app.database, &caller.actor, id, &changes).await?;
    Ok(MappingAnswer::new(uri.path().to_owned(), mapping))
}

async fn remove(State(app): State<App>, Admin(caller): Admin, MappingId(id): MappingId) -> Result<StatusCode, Error> {
    match change::remove(&app.database, &caller.actor, id).await {
        Ok(()) | Err(Error::NoSuchMapping(_)) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(error),
    }
}

#[derive(Serialize)]
struct Availability {
    enabled: bool,
}

/// Open to every user: clients ask it to learn whether there are roles at all.
async fn is_available(_: Caller) -> Json<Availability> {
    Json(Availability { enabled: true })
}

/// An error as the contract writes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorAnswer {
    error_code: u32,
    error_msg: &'static str,
    usr_msg: String,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        let usr_msg = match status {
            StatusCode::INTERNAL_SERVER_ERROR => {
                "the server failed; its log tells why, under the id in the header X-Request-Id".to_owned()
            }
            _ => self.to_string(),
        };
        let answer = ErrorAnswer { error_code: self.code(), error_msg: self.name(), usr_msg };
        let mut response = (status, Json(answer)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("ApiKey realm=\"role-mapping-server\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Error::TooManyWrongKeys(seconds) = self {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Cause(self.with_sources()));
        response
    }
}
