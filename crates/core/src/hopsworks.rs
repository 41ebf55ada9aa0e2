//! The client of the role-mapping contract, which Hopsworks and our role-mapping server speak.
//!
//! Settings: [`REST_ENDPOINT`], [`PROJECT_ID`], a login ([`SECRETS_DIR`](crate::settings::SECRETS_DIR),
//! [`API_KEY`](crate::settings::API_KEY)), and those of [`network`](crate::network). A request without a session name
//! is sent without one: the server knows the caller and makes a name.

mod address;
mod answer;
mod login;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Client, Method, Request, Response, StatusCode};
use serde_json::{Map, Value};
use tokio::time::Instant;

use self::address::ServerAddress;
use self::answer::{Answer, Exchange};
use self::login::{Login, Logins};
use crate::credentials::{Credentials, MIN_VALID_FOR, is_legible};
use crate::error::Error;
use crate::network::Network;
use crate::request::{AssumeRole, Extras};
use crate::retry::{FailedTry, Retry};
use crate::role::RoleMapping;
use crate::settings::{PROJECT_ID, PROJECT_NAME, REST_ENDPOINT, Settings};
use crate::text::{parse_rfc3339, quoted, rfc3339};

/// The number of role mappings in one request.
const PAGE_SIZE: usize = 100;

/// The header by which a client says that it renews the credentials, see [`AssumeRole::renews`]: `true` or `false`. It is
/// ours; Hopsworks knows none such, and ignores it.
pub const RENEWS: HeaderName = HeaderName::from_static("hops-renews");

/// The clock skew from which we warn.
const MAX_SKEW: Duration = Duration::from_secs(300);

/// A member of a project at a server. `Debug` shows no login.
pub struct Hopsworks {
    address: ServerAddress,
    project: u32,
    project_name: Option<String>,
    logins: Logins,
    client: Client,
    retry: Retry,
    warnings: Mutex<Vec<String>>,
}

impl Hopsworks {
    /// Reads the settings. Nothing is sent.
    ///
    /// # Errors
    /// [`Error::NotConfigured`] when one is missing or cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Self, Error> {
        let network = Network::from_settings(settings)?;
        let address = ServerAddress::parse(settings.get(&REST_ENDPOINT).unwrap_or_default())?;
        let project = settings.get(&PROJECT_ID).ok_or_else(|| Error::NotConfigured {
            problem: format!("{REST_ENDPOINT} is set, but {PROJECT_ID} is not"),
            remedy: format!("set {PROJECT_ID} to the number of the project"),
            source: None,
        })?;
        let mut warnings = network.warnings().to_vec();
        warnings.extend(network.unread_truststore_warning());
        if address.is_exposed() {
            warnings.push(format!("{address} is reached without TLS: whoever is in between can read the credentials"));
        }
        if network.is_insecure() {
            warnings.push(format!(
                "the certificate of {address} is not checked: whoever is in between can read the credentials"
            ));
        }
        Ok(Self {
            project: project.trim().parse().map_err(|_| Error::NotConfigured {
                problem: format!("{PROJECT_ID} is {}, which is not a number", quoted(project)),
                remedy: "set it to the number of the project, not its name".to_owned(),
                source: None,
            })?,
            project_name: settings.get(&PROJECT_NAME).map(|name| quoted(name.trim())),
            logins: Logins::from_settings(settings),
            client: network.reqwest_client()?,
            retry: Retry::default(),
            warnings: Mutex::new(warnings),
            address,
        })
    }

    /// Replaces [`Retry::default`] by `retry`.
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Lists the role mappings of the project, in the order of their ids.
    ///
    /// # Errors
    /// [`Error::Refused`] when the server refuses, [`Error::Unavailable`] when a later call may succeed,
    /// [`Error::BadAnswer`] when an answer breaks the contract, [`Error::NotConfigured`] without a login.
    pub async fn role_mappings(&self) -> Result<Vec<RoleMapping>, Error> {
        Ok(self.list_with_skew().await?.0)
    }

    /// Lists the role mappings, and returns a warning when the clocks of this machine and the server differ.
    pub(crate) async fn list_with_skew(&self) -> Result<(Vec<RoleMapping>, Option<String>), Error> {
        let exchange = self.exchange("listing the role mappings", "ask the administrator of the server", false);
        let deadline = self.retry.deadline();
        let mut found = BTreeMap::new();
        loop {
            let (offset, limit) = (found.len().to_string(), PAGE_SIZE.to_string());
            let request = self.request(&["cloud", "role-mappings"], &[("offset", &offset), ("limit", &limit)]);
            let page = self.ask(&exchange, request, deadline).await?;
            let known = found.len();
            for item in items(&exchange, &page)? {
                let mapping = role_mapping(&exchange, item)?;
                found.insert(mapping.id, mapping);
            }
            let count = page.fields.get("count").and_then(Value::as_u64);
            // A page without a new mapping is the last one, whatever the count says.
            if found.len() == known || count.is_some_and(|count| found.len() as u64 >= count) {
                return Ok((found.into_values().collect(), self.skew_warning(page.date, SystemTime::now())));
            }
        }
    }

    /// Reads one role mapping; `None` is the caller's default.
    ///
    /// # Errors
    /// As [`Hopsworks::role_mappings`]; [`Error::Refused`] with code 380003 when there is no such mapping.
    pub async fn role_mapping(&self, id: Option<u32>) -> Result<RoleMapping, Error> {
        let (name, exchange) = match id {
            Some(id) => (
                id.to_string(),
                self.exchange(&format!("reading role mapping {id}"), "take an id from the list of role mappings", true),
            ),
            None => ("default".to_owned(), self.exchange("reading the default role mapping", NO_DEFAULT, false)),
        };
        let request = self.request(&["cloud", "role-mappings", &name], &[]);
        let answer = self.ask(&exchange, request, self.retry.deadline()).await?;
        role_mapping(&exchange, &answer.fields)
    }

    /// Fetches credentials of a role.
    ///
    /// # Errors
    /// As [`Hopsworks::role_mappings`]; [`Error::InvalidArgument`] when `request` holds a field that the contract lacks
    /// (nothing is sent).
    pub async fn assume_role(&self, request: &AssumeRole) -> Result<Credentials, Error> {
        check_supported(&request.extras)?;
        let exchange = match &request.role {
            Some(role) => self.exchange(
                &format!("assuming role {role}"),
                "ask the administrator to map the role to the project, or take one from the list of role mappings",
                true,
            ),
            None => self.exchange("assuming the default role", NO_DEFAULT, false),
        };
        let seconds = request.duration.seconds().to_string();
        let mut query = vec![("durationSeconds", seconds.as_str())];
        query.extend(request.role.as_ref().map(|role| ("roleARN", role.as_str())));
        query.extend(request.session_name.as_ref().map(|name| ("roleSessionName", name.as_str())));
        let asked = SystemTime::now();
        let mut question = self.request(&["cloud", "aws", "session-token"], &query);
        if request.renews {
            question.headers_mut().insert(RENEWS, HeaderValue::from_static("true"));
        }
        let answer = self.ask(&exchange, question, self.retry.deadline()).await?;
        let now = SystemTime::now();
        self.warnings.lock().expect("no holder panics").extend(self.skew_warning(answer.date, now));
        credentials(&exchange, answer, request, asked, now)
    }

    /// Takes the warnings since the last call, which the user should see although nothing failed; one sentence each.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock().expect("no holder panics"))
    }

    fn exchange(&self, doing: &str, if_unmapped: &'static str, names_role: bool) -> Exchange {
        let project = match &self.project_name {
            Some(name) => format!("{} ({name})", self.project),
            None => self.project.to_string(),
        };
        Exchange { attempted: format!("{doing} for project {project} at {}", self.address), if_unmapped, names_role }
    }

    fn request(&self, segments: &[&str], query: &[(&str, &str)]) -> Request {
        let project = self.project.to_string();
        let url = self.address.url(&[&["project", &project], segments].concat(), query);
        let mut request = Request::new(Method::GET, url);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        request
    }

    /// Sends a request and retries where that may help.
    async fn ask(&self, exchange: &Exchange, request: Request, deadline: Instant) -> Result<Answer, Error> {
        self.retry.run(deadline, |time| self.ask_once(exchange, &request, time)).await
    }

    /// Sends a request once. After a 401 it reads the token file and sends once more, since the platform may just have
    /// replaced the file.
    async fn ask_once(&self, exchange: &Exchange, request: &Request, time: Duration) -> Result<Answer, FailedTry> {
        let end = Instant::now() + time;
        let login = self.logins.read()?;
        let response = self.send(exchange, request, &login, end).await?;
        if response.status() != StatusCode::UNAUTHORIZED || login.file.is_none() {
            return exchange.read(response, &login, time).await;
        }
        let login = self.logins.read()?;
        let response = self.send(exchange, request, &login, end).await?;
        exchange.read(response, &login, time).await
    }

    async fn send(
        &self,
        exchange: &Exchange,
        request: &Request,
        login: &Login,
        end: Instant,
    ) -> Result<Response, FailedTry> {
        let time = end.saturating_duration_since(Instant::now());
        let mut request = request.try_clone().expect("a request without a body");
        request.headers_mut().insert(AUTHORIZATION, login.header.clone());
        *request.timeout_mut() = Some(time);
        self.client.execute(request).await.map_err(|error| exchange.unreachable(error, time).into())
    }

    fn skew_warning(&self, date: Option<SystemTime>, now: SystemTime) -> Option<String> {
        let there = date?;
        let difference = there.duration_since(now).unwrap_or_else(|error| error.duration());
        (difference > MAX_SKEW).then(|| {
            let (here, there) = (rfc3339(now), rfc3339(there));
            format!("clocks differ: here it is {here}, at {} it is {there}; set the one that is wrong", self.address)
        })
    }
}

impl fmt::Display for Hopsworks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the role-mapping server at {}, project {}", self.address, self.project)
    }
}

impl fmt::Debug for Hopsworks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Hopsworks")
            .field("address", &format_args!("{}", self.address))
            .field("project", &self.project)
            .finish_non_exhaustive()
    }
}

const NO_DEFAULT: &str = "name a role, or ask a data owner of the project to set a default";

/// Refuses the fields that only STS itself takes.
pub(crate) fn check_supported(extras: &Extras) -> Result<(), Error> {
    let given = [
        (extras.external_id.is_some(), "external id"),
        (extras.policy.is_some(), "policy"),
        (!extras.policy_arns.is_empty(), "policy ARNs"),
        (!extras.tags.is_empty(), "tags"),
        (extras.source_identity.is_some(), "source identity"),
    ];
    match given.into_iter().find(|(is_given, _)| *is_given) {
        None => Ok(()),
        Some((_, field)) => Err(Error::InvalidArgument {
            field,
            reason: format!(
                "a role-mapping server does not carry it; leave it out, or unset {REST_ENDPOINT} to ask AWS STS directly"
            ),
        }),
    }
}

fn items<'page>(exchange: &Exchange, page: &'page Answer) -> Result<Vec<&'page Map<String, Value>>, Error> {
    let bad_answer = || exchange.bad_answer(StatusCode::OK, "the field items is not a list of role mappings");
    match page.fields.get("items") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(|item| item.as_object().ok_or_else(bad_answer)).collect(),
        Some(_) => Err(bad_answer()),
    }
}

fn role_mapping(exchange: &Exchange, fields: &Map<String, Value>) -> Result<RoleMapping, Error> {
    let bad_answer = |field: &str| {
        exchange.bad_answer(StatusCode::OK, format!("the field {field} of a role mapping is missing or illegal"))
    };
    let text = |field: &str| fields.get(field).and_then(Value::as_str).ok_or_else(|| bad_answer(field));
    Ok(RoleMapping {
        id: fields
            .get("id")
            .and_then(Value::as_u64)
            .and_then(|id| id.try_into().ok())
            .ok_or_else(|| bad_answer("id"))?,
        role: text("cloudRole")?.parse().map_err(|_| bad_answer("cloudRole"))?,
        project_role: text("projectRole")?.parse().map_err(|_| bad_answer("projectRole"))?,
        is_default: fields.get("defaultRole").and_then(Value::as_bool).ok_or_else(|| bad_answer("defaultRole"))?,
    })
}

/// Reads the credentials in an answer. `asked` and `now` are times of our clock, the expiration and the date of the
/// answer are times of the server's.
fn credentials(
    exchange: &Exchange,
    answer: Answer,
    request: &AssumeRole,
    asked: SystemTime,
    now: SystemTime,
) -> Result<Credentials, Error> {
    let bad_answer = |problem: String| exchange.bad_answer(StatusCode::OK, problem);
    let mut fields = answer.fields;
    let mut text = |field: &str| match fields.remove(field) {
        Some(Value::String(value)) if !value.is_empty() && is_legible(&value) => Ok(value),
        Some(Value::String(value)) if !value.is_empty() => {
            Err(bad_answer(format!("the field {field} is not readable")))
        }
        Some(_) | None => Err(bad_answer(format!("the field {field} is missing or empty"))),
    };
    let (id, secret, token) = (text("accessKeyId")?, text("secretAccessKey")?, text("sessionToken")?);
    let (expiration, made) = match fields.get("expiration") {
        None | Some(Value::Null) => (asked + Duration::from(request.duration), now),
        Some(value) => (
            value
                .as_str()
                .and_then(parse_rfc3339)
                .ok_or_else(|| bad_answer("the field expiration is not an RFC 3339 time".to_owned()))?,
            answer.date.unwrap_or(now),
        ),
    };
    let valid_for = expiration.duration_since(made).unwrap_or_default();
    if valid_for < MIN_VALID_FOR {
        return Err(bad_answer(format!(
            "the credentials in the answer end at {}, and it was made at {}",
            rfc3339(expiration),
            rfc3339(made)
        )));
    }
    // Not every server returns the session name, and an illegal one is not a reason to refuse credentials.
    let from_server = fields.get("roleSessionName").and_then(Value::as_str).and_then(|name| name.parse().ok());
    let session_name = from_server.or_else(|| request.session_name.clone());
    Ok(Credentials::new(id, secret, token, expiration, valid_for, request.role.clone()).with_session_name(session_name))
}
