//! *Admin › role mappings › try it*: checks whether the base identity can assume this role.
//!
//! It asks STS as a member's request does and drops the credentials. It has a row in the audit, because CloudTrail records the session
//! too.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use hops_credentials_core::request::{SessionDuration, SessionName};
use hops_credentials_core::text::rfc3339;

use super::base_identity::IdentityView;
use super::error::{PageError, sentence};
use super::frame::{Frame, page};
use super::mapping_form::label;
use super::path;
use super::visitor::{Administrator, OnPage, Visitor};
use crate::app::App;
use crate::audit::recorder::Outcome;
use crate::audit::{Purpose, SessionRequest};
use crate::error::{Error, with_sources};
use crate::http::deadline::Deadline;
use crate::http::parameters::MappingId;
use crate::issuer::CredentialsKey;
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
    OnPage(MappingId(id)): OnPage<MappingId>,
) -> Result<Response, PageError> {
    Ok(page(&MappingTry::new(visitor, mapping::find(app.database.pool(), id).await?)))
}

/// Asks STS and shows what it said.
pub async fn try_it(
    State(app): State<App>,
    Administrator(visitor): Administrator,
    OnPage(MappingId(id)): OnPage<MappingId>,
    deadline: Deadline,
) -> Result<Response, PageError> {
    let mapping = mapping::find(app.database.pool(), id).await?;
    // The address of whoever tries it stands for that of a member.
    let extras = mapping.extras(&visitor.caller.user.email, app.source_identity)?;
    let session_name = SessionName::from_parts(visitor.caller.user.email.local_part(), "try");
    let duration = SessionDuration::from_seconds(DURATION_SECONDS).expect("STS takes 900 s");
    let key = CredentialsKey {
        member: visitor.caller.user.email.to_string(),
        key_prefix: None,
        project_id: mapping.project.id,
        project_role: mapping.project_role,
        mapping_id: mapping.id,
        role: mapping.role.clone(),
        session_name: session_name.clone(),
        duration,
        extras: extras.clone(),
    };
    let record = SessionRequest {
        project_id: Some(mapping.project.id),
        project_name: Some(mapping.project.name.clone()),
        mapping_id: Some(mapping.id),
        role: Some(mapping.role.to_string()),
        session_name: Some(session_name.to_string()),
        source_identity: extras.source_identity.clone(),
        duration_seconds: Some(DURATION_SECONDS),
        ..SessionRequest::default()
    };
    let actor = visitor.caller.actor.clone();
    if let Err(refusal) = app.issuer.admit_trial(&key.member) {
        return Err(app.recorder.refuse(&actor, Purpose::Try, record.without_role(), refusal.into()).await.into());
    }
    app.recorder.insert(&actor, Purpose::Try, Outcome::Asked, &record).await?;
    // A task of its own: a browser that disconnects cannot end the request between STS and the outcome in the audit.
    tokio::spawn(async move {
        let (identity, asked) = match app.issuer.base_identity(deadline).await {
            Ok(identity) => (Some(identity), app.issuer.assume(&key, deadline).await),
            Err(failure) => (None, Err(failure)),
        };
        let asked = asked.map_err(Error::from);
        // An administrator reads the full text.
        let problem = asked.as_ref().err().map(|error| sentence(&with_sources(error)));
        let is_refused_by_sts = matches!(asked, Err(Error::Assume(_)));
        let success = match app.recorder.finish(&actor, Purpose::Try, record, asked).await {
            Ok(issued) => Some(Success {
                access_key_id: issued.credentials.access_key_id().to_owned(),
                session_name: session_name.to_string(),
                expiration: rfc3339(issued.credentials.expiration()),
                request_id: issued.request_id.unwrap_or_else(|| "none".to_owned()),
            }),
            // STS gave credentials, but the audit does not say so.
            Err(error) if problem.is_none() => return Err(error.into()),
            Err(_) => None,
        };
        let policies = match (&problem, &identity) {
            (Some(_), Some(identity)) if is_refused_by_sts => Some(Policies::new(identity, &mapping.role, &extras)),
            _ => None,
        };
        let identity = identity.as_ref().map(IdentityView::from);
        Ok(page(&MappingTry { identity, policies, refusal: problem, success, ..MappingTry::new(visitor, mapping) }))
    })
    .await
    .expect("the task neither panics nor is it cancelled")
}
