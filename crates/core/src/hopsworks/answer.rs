//! The answer of a role-mapping server: the fields of a success, or the one error that says what went wrong.
//!
//! No error message repeats a success, which consists of secrets. Of an error answer it repeats code and message, cut
//! to a length that fits a log line, without control characters and without the caller's own token.

use std::io;
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::login::Login;
use crate::error::{Error, causes};
use crate::network::{NO_AUTHORITY, is_proxy_login_wanted, proxy_login_wanted};
use crate::retry::FailedTry;
use crate::settings::{PROJECT_ID, REST_ENDPOINT, TRUSTSTORE, TRUSTSTORE_PEM};
use crate::text::parse_http_date;

/// The largest answer that we read. A page of role mappings has some tens of kilobytes.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// The longest message of a server that we show.
const MAX_MESSAGE_CHARACTERS: usize = 300;

/// The `errorCode`s that say no to every role: the project is gone, or the caller is not a member of it. Something before
/// the server, a proxy, has no such code.
const NO_TO_ALL_ROLES: [u64; 2] = [150_004, 160_000];
/// The `errorCode`s that say no to one role: its mapping is not for the caller's project role, or is gone.
const NO_TO_THE_ROLE: [u64; 2] = [380_002, 380_003];

/// A request as error messages describe it.
pub(super) struct Exchange {
    /// `assuming role arn:… for project 119 at https://…`
    pub(super) attempted: String,
    /// The remedy when the server has no such role mapping.
    pub(super) if_unmapped: &'static str,
    /// Whether it names a role: what a server says of a default tells nothing about the role that was the default.
    pub(super) names_role: bool,
}

/// A success.
pub(super) struct Answer {
    /// The fields of its JSON object.
    pub(super) fields: Map<String, Value>,
    /// The time at which the server sent it, by its own clock.
    pub(super) date: Option<SystemTime>,
}

impl Exchange {
    /// The error for an answer that breaks the contract.
    pub(super) fn bad_answer(&self, status: StatusCode, problem: impl Into<String>) -> Error {
        Error::BadAnswer {
            attempted: self.attempted.clone(),
            code: status.as_u16().into(),
            problem: problem.into(),
            remedy: format!("check that {REST_ENDPOINT} names a role-mapping server, else ask its administrator"),
            source: None,
        }
    }

    /// The error when no answer came within `time`.
    pub(super) fn unreachable(&self, error: reqwest::Error, time: Duration) -> Error {
        let check = format!("check {REST_ENDPOINT}, the network and the proxy settings");
        let error = error.without_url();
        let problem = match tls_error(&error) {
            Some(untrusted @ rustls::Error::InvalidCertificate(_)) => {
                return Error::NotConfigured {
                    problem: format!("{} failed: {untrusted}", self.attempted),
                    remedy: format!("name the authority that issued it by {TRUSTSTORE_PEM} or {TRUSTSTORE}"),
                    source: Some(Box::new(error)),
                };
            }
            Some(rustls::Error::General(text)) if text == NO_AUTHORITY => {
                return Error::NotConfigured {
                    problem: format!("{} failed: {NO_AUTHORITY}", self.attempted),
                    remedy: format!("install them (ca-certificates), or name a PEM file by {TRUSTSTORE_PEM}"),
                    source: Some(Box::new(error)),
                };
            }
            Some(rustls::Error::InvalidMessage(_)) => {
                return Error::BadAnswer {
                    attempted: self.attempted.clone(),
                    code: 0,
                    problem: "what answers there does not speak TLS".to_owned(),
                    remedy: format!("check {REST_ENDPOINT}: for a server without TLS write http://<host>:<port>"),
                    source: Some(Box::new(error)),
                };
            }
            Some(_) | None => match (error.is_connect(), error.is_timeout()) {
                (true, true) => "no connection in time".to_owned(),
                (true, false) => format!("no connection: {}", innermost(&error)),
                (false, true) => format!("no answer within {} s", time.as_secs_f64().ceil()),
                (false, false) => innermost(&error),
            },
        };
        if is_proxy_login_wanted(&problem) {
            return proxy_login_wanted(&self.attempted);
        }
        // hyper's errors have a private type, so only their texts tell: an answer that does not parse, and a greeting
        // before the request.
        if problem.starts_with("invalid HTTP") || problem.starts_with("received unexpected message") {
            Error::BadAnswer {
                attempted: self.attempted.clone(),
                code: 0,
                problem: "what answers there does not speak HTTP".to_owned(),
                remedy: check,
                source: Some(Box::new(error)),
            }
        } else {
            Error::Unavailable {
                attempted: self.attempted.clone(),
                code: 0,
                problem,
                remedy: check,
                source: Some(Box::new(error)),
            }
        }
    }

    /// Reads `response`, whose body may take `time`.
    pub(super) async fn read(
        &self,
        mut response: Response,
        login: &Login,
        time: Duration,
    ) -> Result<Answer, FailedTry> {
        let status = response.status();
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(error, time))? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(self.bad_answer(status, "the answer is larger than 1 MiB").into());
            }
            body.extend_from_slice(&chunk);
        }
        let headers = response.headers();
        if status.is_success() {
            let fields = self.fields(status, &body, is_html(headers, &body))?;
            Ok(Answer { fields, date: http_date(headers, DATE.as_str()) })
        } else {
            Err(FailedTry {
                error: self.refused(status, headers, &body, login),
                retry_after: retry_after(headers, SystemTime::now()),
            })
        }
    }

    fn fields(&self, status: StatusCode, body: &[u8], is_html: bool) -> Result<Map<String, Value>, Error> {
        let problem = match std::str::from_utf8(body) {
            Err(_) => "the answer is not UTF-8",
            Ok(text) if text.trim().is_empty() => "the answer is empty",
            Ok(_) if is_html => "the answer is HTML, not JSON",
            // serde's message may quote the answer.
            Ok(text) => match serde_json::from_str(text) {
                Ok(Value::Object(fields)) => return Ok(fields),
                Ok(_) => "the answer is not a JSON object",
                Err(error) if error.is_eof() => "the answer is cut off",
                Err(_) => "the answer is not JSON",
            },
        };
        Err(self.bad_answer(status, problem))
    }

    /// The error for a status that is not a success, from the server or something before it.
    fn refused(&self, status: StatusCode, headers: &HeaderMap, body: &[u8], login: &Login) -> Error {
        let fields = match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) | Err(_) => Map::new(),
        };
        let sent = fields.get("errorCode").and_then(Value::as_u64);
        let message = ["usrMsg", "errorMsg"].iter().find_map(|name| clean_message(fields.get(*name)?.as_str()?, login));
        let answer = [
            Some(format!("HTTP {}", status.as_u16())),
            sent.map(|code| format!(", code {code}")),
            message.map(|message| format!(": \"{message}\"")),
        ]
        .into_iter()
        .flatten()
        .collect::<String>();
        let code = match sent {
            Some(code @ 380_000..=380_004) => code as u32,
            Some(_) | None => status.as_u16().into(),
        };
        if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return proxy_login_wanted(&self.attempted);
        }
        let attempted = self.attempted.clone();
        let may_pass = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT;
        if may_pass {
            let remedy = "try again later; if it lasts, ask the administrator of the server".to_owned();
            Error::Unavailable { attempted, code, problem: answer, remedy, source: None }
        } else if status.is_redirection() {
            self.bad_answer(status, format!("{answer}, a redirect{}", redirect_target(headers)))
        } else if status != StatusCode::UNAUTHORIZED && is_html(headers, body) {
            self.bad_answer(status, format!("{answer} with HTML, not JSON"))
        } else {
            let withdraws = sent.is_some_and(|code| {
                NO_TO_ALL_ROLES.contains(&code) || (self.names_role && NO_TO_THE_ROLE.contains(&code))
            });
            Error::Refused { attempted, code, answer, remedy: self.remedy(code, login), withdraws }
        }
    }

    fn remedy(&self, code: u32, login: &Login) -> String {
        match code {
            380_000 => "cloud roles are switched off there: ask its administrator to enable them, or use a \
                        role-mapping server"
                .to_owned(),
            380_001 => "ask the administrator whether the role trusts the base identity of the server and allows the \
                        duration"
                .to_owned(),
            380_002 => "ask the administrator to map the role to your project role".to_owned(),
            380_003 => self.if_unmapped.to_owned(),
            380_004 => "use the mapping that exists, or remove it first".to_owned(),
            401 => login.remedy(),
            403 => format!("check {PROJECT_ID}: only members of a project may ask"),
            404 => format!("check {REST_ENDPOINT} and {PROJECT_ID}"),
            _ => "ask the administrator of the server".to_owned(),
        }
    }
}

/// Cleans a message of the server for a log line; `None` when nothing is left of it.
fn clean_message(message: &str, login: &Login) -> Option<String> {
    let cleaned = message.replace(login.secret.as_str(), "***");
    let words: Vec<&str> = cleaned.split(|letter: char| letter.is_whitespace() || letter.is_control()).collect();
    let line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let cut: String = line.chars().take(MAX_MESSAGE_CHARACTERS).collect();
    if cut.len() < line.len() { Some(cut + "…") } else { (!cut.is_empty()).then_some(cut) }
}

fn is_html(headers: &HeaderMap, body: &[u8]) -> bool {
    let is_declared = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.to_ascii_lowercase().contains("html"));
    is_declared || body.trim_ascii_start().starts_with(b"<")
}

/// The scheme and host of a redirect. The rest of a login page's address may hold a secret.
fn redirect_target(headers: &HeaderMap) -> String {
    let target = headers.get(LOCATION).and_then(|value| value.to_str().ok()).and_then(|value| Url::parse(value).ok());
    match target {
        Some(url) if url.has_host() => format!(" to {}", url.origin().ascii_serialization()),
        Some(_) | None => String::new(),
    }
}

fn http_date(headers: &HeaderMap, name: &str) -> Option<SystemTime> {
    parse_http_date(headers.get(name)?.to_str().ok()?)
}

/// The wait that a server asks for, in seconds or as a date.
///
/// Source: RFC 9110, section 10.2.3.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(http_date(headers, RETRY_AFTER.as_str())?.duration_since(now).unwrap_or_default()),
    }
}

fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    causes(error).find_map(|cause| cause.downcast_ref().or_else(|| tls_error_within(cause.downcast_ref()?)))
}

/// Looks into an `io::Error`, which hides its content from the chain of sources; the content may be an `io::Error`
/// again.
fn tls_error_within(error: &io::Error) -> Option<&rustls::Error> {
    let content = error.get_ref()?;
    content.downcast_ref().or_else(|| tls_error_within(content.downcast_ref()?))
}

fn innermost(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}
