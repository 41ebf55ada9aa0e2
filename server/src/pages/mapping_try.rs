//! *Admin › role mappings › try it*: checks whether the base identity can assume this role.
//!
//! It asks STS as a member's request does and discards the credentials. It writes an audit row, because CloudTrail records
//! the session too.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use hops_credentials_core::base_identity::BaseIdentity;
use hops_credentials_core::error::Error as CoreError;
use hops_credentials_core::request::{Extras, SessionDuration, SessionName};
use hops_credentials_core::text::rfc3339;

use super::base_identity::IdentityView;
use super::error::{PageError, sentence};
use super::frame::{Frame, page};
use super::mapping_form::label;
use super::path;
use super::visitor::{Administrator, Visitor};
use crate::app::App;
use crate::audit::{self, Purpose, SessionRequest};
use crate::error::{Error, with_sources};
use crate::http::parameters::MappingId;
use crate::mapping::policies::Policies;
use crate::mapping::{self, Mapping};

/// The shortest duration that STS allows: nobody uses the credentials.
const DURATION_SECONDS: i64 = 900;

#[derive(Template)]
#[template(path = "mapping_try.html")]
struct MappingTry {
    frame: Frame,
    mapping: Mapping,
    project_role: &'static str,
    identity: Option<IdentityView>,
    success: Option<Success>,
    refusal: Option<String>,
    policies: Option<Policies>,
}

struct Success {
    access_key_id: String,
    session_name: String,
    expiration: String,
    request_id: String,
}

impl MappingTry {
    fn new(visitor: Visitor, mapping: Mapping) -> Self {
        let title = format!("Try role mapping {}", mapping.id);
        Self {
            frame: Frame::for_caller(&title, path::MAPPINGS, &visitor.caller, visitor.form_token),
            project_role: label(mapping.project_role),
            mapping,
            identity: None,
            success: None,
            refusal: None,
            policies: None,
        }
    }
}

/// Shows the role mapping and a button.
pub async fn show(
    State(app): State<App>,
    Administrator(visitor): Administrator,
    MappingId(id): MappingId,
) -> Result<Response, PageError> {
    Ok(page(&MappingTry::new(visitor, mapping::find(app.database.pool(), id).await?)))
}

/// Asks STS and shows what it said.
pub async fn try_it(
    State(app): State<App>,
    Administrator(visitor): Administrator,
    MappingId(id): MappingId,
) -> Result<Response, PageError> {
    // A separate task: a browser that disconnects cannot cancel it between the call of STS and its audit row.
    tokio::spawn(async move {
        let mapping = mapping::find(app.database.pool(), id).await?;
        let identity = app.sts.base_identity().await;
        let mut record = SessionRequest {
            project_id: mapping.project.id,
            project_name: Some(mapping.project.name.clone()),
            role: Some(mapping.role.to_string()),
            duration_seconds: Some(DURATION_SECONDS),
            ..SessionRequest::default()
        };
        let outcome = match &identity {
            Ok(_) => assume(&app, &visitor, &mapping, &mut record).await,
            Err(error) => Err(error.to_string()),
        };
        record.refusal = outcome.as_ref().err().cloned();
        let actor = visitor.caller.actor.clone();
        let mut transaction = app.database.begin_write().await?;
        audit::record_session(&mut transaction, &actor, Purpose::Try, &record).await?;
        transaction.commit().await?;
        let known: Option<&BaseIdentity> = identity.as_ref().ok();
        let policies = match &outcome {
            Ok(_) => None,
            Err(_) => known.map(|identity| Policies::new(identity, &mapping.role)),
        };
        let identity = known.map(IdentityView::from);
        let refusal = outcome.as_ref().err().map(|text| sentence(text));
        let success = outcome.ok();
        Ok(page(&MappingTry { identity, policies, refusal, success, ..MappingTry::new(visitor, mapping) }))
    })
    .await
    .expect("the task neither panics nor is it cancelled")
}

/// Assumes the role and fills `record` on the way. The error is the full text, because an administrator reads it.
async fn assume(
    app: &App,
    visitor: &Visitor,
    mapping: &Mapping,
    record: &mut SessionRequest,
) -> Result<Success, String> {
    let session_name = SessionName::from_parts(visitor.caller.user.email.local_part(), "try");
    record.session_name = Some(session_name.to_string());
    let duration = SessionDuration::from_seconds(DURATION_SECONDS).expect("STS takes 900 s");
    let issued = app
        .sts
        .assume_role(&mapping.role, &session_name, duration, &Extras::default())
        .await
        .map_err(|error: CoreError| with_sources(&Error::from(error)))?;
    let access_key_id = issued.credentials.access_key_id().to_owned();
    record.access_key_id = Some(access_key_id.clone());
    record.sts_request_id.clone_from(&issued.request_id);
    Ok(Success {
        access_key_id,
        session_name: session_name.to_string(),
        expiration: rfc3339(issued.credentials.expiration()),
        request_id: issued.request_id.unwrap_or_else(|| "none".to_owned()),
    })
}
