//! Role mappings over REST: those of a project for its members, those of all projects for administrators.

use std::future::ready;
use std::mem::replace;

use axum::Json;
use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt, stream};
use hops_credentials_core::role::RoleArn;
use serde::Serialize;

use crate::api::listing::{Listing, Page};
use crate::app::App;
use crate::database::Database;
use crate::error::{Error, with_sources};
use crate::http::auth::{Admin, Caller, DataOwner, Member, MemberDefaults, MemberMappings, MemberShortList};
use crate::http::parameters::{MappingId, Parameters, illegal};
use crate::identity::Identity;
use crate::identity::cluster_client::Asker;
use crate::identity::login::Login;
use crate::log;
use crate::mapping::change::{self, Changes};
use crate::mapping::list::load;
use crate::mapping::terms::Terms;
use crate::mapping::{self, Mapping};

/// A role mapping as the contract writes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MappingBody {
    href: String,
    id: i64,
    project_id: i64,
    project_name: String,
    project_role: &'static str,
    cloud_role: String,
    default_role: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    source_identity: bool,
}

impl MappingBody {
    fn new(href: String, mapping: Mapping) -> Json<Self> {
        Json(Self {
            href,
            id: mapping.id,
            project_id: mapping.project.id,
            project_name: mapping.project.name,
            project_role: mapping.project_role.display_name(),
            cloud_role: mapping.role.to_string(),
            default_role: mapping.is_default,
            external_id: mapping.external_id.map(|id| id.to_string()),
            source_identity: mapping.source_identity,
        })
    }
}

/// The mappings that a list loads at once.
const PART: usize = 500;

/// The longest list that is written before it is sent: the client learns its length, and a failure has a status. A longer one is sent
/// part by part, so that all mappings of a large server need no more memory than some.
const LONGEST_WHOLE: usize = 5_000;

/// A list of role mappings as the contract writes it.
#[derive(Serialize)]
pub struct ListBody {
    count: usize,
    href: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<MappingBody>,
}

fn items(href: &str, mappings: Vec<Mapping>) -> Vec<MappingBody> {
    mappings.into_iter().map(|mapping| MappingBody::new(format!("{href}/{}", mapping.id), mapping).0).collect()
}

/// Answers with the page, each mapping as it is when its part is loaded. A database that fails while a part is sent breaks the connection.
async fn list_response(database: Database, href: &str, page: Page) -> Result<Response, sqlx::Error> {
    let head = ListBody { count: page.count, href: href.to_owned(), items: Vec::new() };
    if page.ids.is_empty() {
        return Ok(Json(head).into_response());
    }
    let is_whole = page.ids.len() <= LONGEST_WHOLE;
    let head = json_text(&head).trim_end_matches('}').to_owned() + ",\"items\":[";
    let href = href.to_owned();
    let parts = stream::try_unfold(page.ids, move |mut ids| {
        let (database, href) = (database.clone(), href.clone());
        async move {
            if ids.is_empty() {
                return Ok(None);
            }
            let later = ids.split_off(ids.len().min(PART));
            let mappings = load(database.pool(), &ids).await.inspect_err(|error| {
                log::line(&format_args!("a list of role mappings broke off: {}", with_sources(error)));
            })?;
            let text = json_text(&items(&href, mappings));
            Ok::<_, sqlx::Error>(Some((text.trim_matches(['[', ']']).to_owned(), later)))
        }
    });
    let mut comma = "";
    let parts = parts
        .try_filter(|text| ready(!text.is_empty()))
        .map_ok(move |text| replace(&mut comma, ",").to_owned() + &text);
    let text = stream::iter([Ok(head)]).chain(parts).chain(stream::iter([Ok("]}".to_owned())]));
    let body = if is_whole { Body::from(text.try_collect::<String>().await?) } else { Body::from_stream(text) };
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers are always written")
}

/// `GET /project/{project}/cloud/role-mappings`
pub async fn list_in_project(
    State(app): State<App>,
    MemberShortList(MemberMappings { member, mappings }): MemberShortList,
    OriginalUri(uri): OriginalUri,
    parameters: Parameters,
) -> Result<Response, Error> {
    let listing = Listing::from_parameters(&parameters)?;
    if let Some((count, mappings)) = listing.pick(&mappings) {
        let items = items(uri.path(), mappings);
        return Ok(Json(ListBody { count, items, href: uri.path().to_owned() }).into_response());
    }
    let page = listing.within_project(member.project.id).find(&app.database).await?;
    Ok(list_response(app.database, uri.path(), page).await?)
}

/// `GET /project/{project}/cloud/role-mappings/{id}`
pub async fn find_in_project(
    State(app): State<App>,
    member: Member,
    MappingId(id): MappingId,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<MappingBody>, Error> {
    Ok(MappingBody::new(uri.path().to_owned(), mapping::find_in_project(&app.database, &member.project, id).await?))
}

/// `GET /project/{project}/cloud/role-mappings/default`
pub async fn find_default(
    MemberDefaults(MemberMappings { member, mappings }): MemberDefaults,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<MappingBody>, Error> {
    let mapping = mappings.find_default(member.project_role)?;
    Ok(MappingBody::new(uri.path().to_owned(), mapping.clone()))
}

/// `PUT /project/{project}/cloud/role-mappings/{id}?defaultRole=true|false`
pub async fn set_default(
    State(app): State<App>,
    DataOwner(member): DataOwner,
    MappingId(id): MappingId,
    OriginalUri(uri): OriginalUri,
    parameters: Parameters,
) -> Result<Json<MappingBody>, Error> {
    let changes = Changes { is_default: Some(parameters.required("defaultRole")?), ..Changes::default() };
    let mapping = mapping::find_in_project(&app.database, &member.project, id).await?;
    let mapping = change::change(&app.database, &member.caller.actor, mapping.id, &changes).await?;
    Ok(MappingBody::new(uri.path().to_owned(), mapping))
}

/// `GET /admin/cloud/role-mappings`
pub async fn list(
    State(app): State<App>,
    _: Admin,
    OriginalUri(uri): OriginalUri,
    parameters: Parameters,
) -> Result<Response, Error> {
    let page = Listing::from_parameters(&parameters)?.find(&app.database).await?;
    Ok(list_response(app.database, uri.path(), page).await?)
}

/// `GET /admin/cloud/role-mappings/{id}`
pub async fn find(
    State(app): State<App>,
    _: Admin,
    MappingId(id): MappingId,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<MappingBody>, Error> {
    Ok(MappingBody::new(uri.path().to_owned(), mapping::find(app.database.pool(), id).await?))
}

/// `POST /admin/cloud/role-mappings?cloudRole=…&projectId=…&projectRole=…`, optionally `&defaultRole=…&externalId=…&sourceIdentity=…`
pub async fn add(
    State(app): State<App>,
    Admin(caller): Admin,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    parameters: Parameters,
) -> Result<(StatusCode, Json<MappingBody>), Error> {
    let project_id = parameters.required("projectId")?;
    let terms = Terms {
        project_role: parameters.required("projectRole")?,
        role: parameters.required::<RoleArn>("cloudRole")?,
        is_default: parameters.one("defaultRole")?.unwrap_or(false),
        external_id: parameters.one("externalId")?,
        source_identity: parameters.one("sourceIdentity")?.unwrap_or(false),
    };
    if let (Identity::Hopsworks(cluster), Some(login)) = (&app.identity, Login::from_headers(&headers)) {
        let asker = Asker { login: &login, address: Some(caller.address) };
        cluster.import_project(asker, &caller.user, project_id).await?;
    }
    let mapping = change::add(&app.database, &caller.actor, project_id, terms).await?;
    Ok((StatusCode::CREATED, MappingBody::new(format!("{}/{}", uri.path(), mapping.id), mapping)))
}

/// `PUT /admin/cloud/role-mappings/{id}`, with any of `cloudRole`, `projectRole`, `defaultRole`, `externalId` and `sourceIdentity`. An
/// empty `externalId` counts as absent, so `removeExternalId=true` takes it away.
pub async fn change(
    State(app): State<App>,
    Admin(caller): Admin,
    MappingId(id): MappingId,
    OriginalUri(uri): OriginalUri,
    parameters: Parameters,
) -> Result<Json<MappingBody>, Error> {
    let changes = Changes {
        role: parameters.one("cloudRole")?,
        project_role: parameters.one("projectRole")?,
        is_default: parameters.one("defaultRole")?,
        external_id: match (parameters.one("externalId")?, parameters.one("removeExternalId")?) {
            (Some(_), Some(true)) => return Err(illegal("removeExternalId", &"externalId is given as well")),
            (None, Some(true)) => Some(None),
            (given, Some(false) | None) => given.map(Some),
        },
        source_identity: parameters.one("sourceIdentity")?,
    };
    let mapping = change::change(&app.database, &caller.actor, id, &changes).await?;
    Ok(MappingBody::new(uri.path().to_owned(), mapping))
}

/// `DELETE /admin/cloud/role-mappings/{id}`. Idempotent: a mapping that does not exist is not an error.
pub async fn remove(
    State(app): State<App>,
    Admin(caller): Admin,
    MappingId(id): MappingId,
) -> Result<StatusCode, Error> {
    match change::remove(&app.database, &caller.actor, id).await {
        Ok(()) | Err(Error::NoSuchMapping(_)) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(error),
    }
}

/// Whether roles can be mapped.
#[derive(Serialize)]
pub struct Availability {
    enabled: bool,
}

/// `GET /admin/cloud/role-mappings/isAvailable`, open to every user: clients ask whether roles can be mapped at all.
pub async fn is_available(_: Caller) -> Json<Availability> {
    Json(Availability { enabled: true })
}
