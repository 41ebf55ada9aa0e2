//! `GET /project/{project}/cloud/aws/session-token`: credentials of a mapped role for a member who may assume it.
//!
//! The request is in the audit before its answer leaves, granted or refused: no row, no credentials.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use hops_credentials_core::credentials::Credentials;
use hops_credentials_core::request::{Extras, SessionDuration, SessionName};
use hops_credentials_core::role::RoleArn;
use hops_credentials_core::sts::IssuedCredentials;
use hops_credentials_core::text::rfc3339;
use serde::Serialize;

use crate::app::App;
use crate::audit::{self, Purpose, SessionRequest};
use crate::error::Error;
use crate::flights::CredentialsKey;
use crate::http::auth::{Caller, Member};
use crate::http::parameters::{Parameters, ProjectId};
use crate::metrics::GaugeGuard;
use crate::{log, mapping};

/// Credentials as the contract writes them. Secret: it has no `Debug`, and it lives only as long as its response.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionToken {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
    role_session_name: Option<String>,
}

impl SessionToken {
    fn new(credentials: &Credentials) -> Self {
        Self {
            access_key_id: credentials.access_key_id().to_owned(),
            secret_access_key: credentials.secret_access_key().to_owned(),
            session_token: credentials.session_token().to_owned(),
            expiration: rfc3339(credentials.expiration()),
            role_session_name: credentials.session_name().map(SessionName::to_string),
        }
    }
}

/// Authorises the request, calls STS, writes the audit row, answers.
pub async fn issue(
    State(app): State<App>,
    caller: Caller,
    ProjectId(project_id): ProjectId,
    parameters: Parameters,
) -> Result<Json<SessionToken>, Error> {
    // A task of its own: a client that hangs up cannot end a request between STS and the audit row.
    tokio::spawn(async move {
        let actor = caller.actor.clone();
        let mut record = SessionRequest { project_id, ..SessionRequest::default() };
        let outcome = assume(&app, caller, &parameters, &mut record).await;
        record.refusal = outcome.as_ref().err().map(Error::to_string);
        let mut transaction = app.database.begin_write().await?;
        audit::record_session(&mut transaction, &actor, Purpose::SessionToken, &record).await?;
        transaction.commit().await?;
        app.metrics.count_session_token(&outcome);
        let issued = outcome?;
        for warning in &issued.warnings {
            log::note(&actor.request_id, warning);
        }
        Ok(Json(SessionToken::new(&issued.credentials)))
    })
    .await
    .expect("the task neither panics nor is it cancelled")
}

/// Fills `record` step by step, so that a refusal is recorded with everything known by then.
async fn assume(
    app: &App,
    caller: Caller,
    parameters: &Parameters,
    record: &mut SessionRequest,
) -> Result<IssuedCredentials, Error> {
    let member = Member::find(app, caller, record.project_id).await?;
    record.project_name = Some(member.project.name.clone());
    let asked: Option<RoleArn> = parameters.one("roleARN")?;
    record.role = asked.as_ref().map(RoleArn::to_string);
    let duration = match parameters.one("durationSeconds")? {
        Some(seconds) => SessionDuration::from_seconds(seconds)?,
        None => SessionDuration::default(),
    };
    record.duration_seconds = Some(duration.seconds().into());
    let session_name = match parameters.one("roleSessionName")? {
        Some(session_name) => session_name,
        None => SessionName::from_parts(member.caller.user.email.local_part(), &member.project.name),
    };
    record.session_name = Some(session_name.to_string());

    let mappings = mapping::list_in_project(app.database.pool(), member.project.id).await?;
    let mapping = match &asked {
        Some(role) => mapping::find_for_role(&mappings, role, member.project_role)?,
        None => mapping::find_default(&mappings, member.project_role)?,
    };
    record.role = Some(mapping.role.to_string());

    let key = CredentialsKey {
        member: member.caller.user.email.to_string(),
        project_id: member.project.id,
        role: mapping.role.clone(),
        session_name: session_name.clone(),
        duration,
    };
    let call = async || {
        let begin = Instant::now();
        let result = app.sts.assume_role(&mapping.role, &session_name, duration, &Extras::default()).await;
        app.metrics.count_sts_call(&result, begin.elapsed());
        result.map_err(Arc::new)
    };
    let waiting = GaugeGuard::new(&app.metrics.waiting_for_sts);
    let issued = app.flights.join(key, call).await.map_err(Error::Assume)?;
    drop(waiting);
    record.access_key_id = Some(issued.credentials.access_key_id().to_owned());
    record.sts_request_id.clone_from(&issued.request_id);
    record.duration_seconds = i64::try_from(issued.credentials.valid_for().as_secs()).ok();
    Ok(issued)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn an_expiration_is_written_in_whole_seconds_of_utc() {
        let instant = SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_225_599_999);
        assert_eq!(rfc3339(instant), "2025-12-31T23:59:59Z");
    }
}
