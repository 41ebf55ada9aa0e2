//! What people read of an error: a member, a caller who has to wait, whoever reads the log.

use std::borrow::Cow;
use std::sync::Arc;

use hops_credentials_core::error::{Error as CoreError, causes};

use super::Error;
use crate::database::error::trouble;

impl Error {
    /// The reason without the time to wait, which differs from one request to the next: equal refusals are one row of the audit.
    pub fn reason(&self) -> Cow<'_, str> {
        match self {
            Error::TooManyWrongKeys(_) => "too many wrong API keys came from this address".into(),
            Error::TooManyWrongLogins(_) => "too many wrong tokens and API keys came from this address".into(),
            Error::TooManyAtOnce(reason) => (*reason).into(),
            Error::TooManyRequests { .. } => "too many requests for credentials".into(),
            Error::StsBusy { .. } => "STS takes no more calls from this server at the moment".into(),
            Error::Overloaded { .. } => "the server has too much to do".into(),
            other => other.to_string().into(),
        }
    }

    /// The error as a member reads it, if its cause is not theirs to mend: what they can do, and the id by which the log tells the cause.
    /// `None` when they read it as it is.
    pub fn for_member(self: &Arc<Self>, request_id: &str) -> Option<Self> {
        let ask = format!("ask an administrator of the server, who finds the cause under the request id {request_id}");
        let text = match &**self {
            Error::Assume(error) => text_of_sts(error, &ask),
            Error::Cluster(_) => format!("asking the Hopsworks cluster failed; try again, and if it lasts {ask}"),
            Error::Damaged(row) => format!("{} is damaged in the database of the server; {ask}", row.name()),
            _ => return None,
        };
        Some(Error::ForMember { text, source: self.clone() })
    }

    /// The error for the log: with its sources, and without a word of the query or the form, which may hold a secret of the caller. What is
    /// wrong with a parameter, the caller reads in the answer.
    pub fn for_log(&self) -> String {
        let of_caller = match self {
            Error::IllegalParameter { name, .. } => (*name).to_owned(),
            Error::InvalidArgument(_) => "a value".to_owned(),
            Error::Assume(error) if let CoreError::InvalidArgument { field, .. } = **error => field.to_owned(),
            Error::ForMember { source, .. } => return source.for_log(),
            Error::NoSuchMapping(_)
            | Error::RoleNotForMember { .. }
            | Error::MappingExists { .. }
            | Error::NoSuchProject(_)
            | Error::NoSuchUser(_)
            | Error::UserExists(_)
            | Error::ProjectExists(_)
            | Error::NoSuchMember { .. } => return format!("{} ({})", self.name(), self.code()),
            _ => return with_sources(self),
        };
        format!("{} ({}): {of_caller}", self.name(), self.code())
    }
}

/// What a member reads of an error of STS.
fn text_of_sts(error: &CoreError, ask: &str) -> String {
    match error {
        CoreError::InvalidArgument { .. } => error.to_string(),
        // Only the caller can choose another duration.
        CoreError::Refused { attempted, answer, .. } if answer.contains("MaxSessionDuration") => {
            format!("{attempted} was refused: {answer}; ask for a shorter duration, or {ask}")
        }
        CoreError::Refused { attempted, answer, .. } if attempted.starts_with("assuming role ") => {
            format!("{attempted} was refused: {answer}; {ask}")
        }
        CoreError::Refused { .. } | CoreError::NotConfigured { .. } => {
            format!("the server has no base identity with which it could assume roles; {ask}")
        }
        CoreError::Unavailable { .. } | CoreError::BadAnswer { .. } => {
            format!("the server gets no credentials from STS at the moment; try again, and if it lasts {ask}")
        }
    }
}

/// Says what is wrong with the database, if that may pass.
pub(super) fn database_text(error: &sqlx::Error) -> String {
    match trouble(error) {
        Some(trouble) => format!("the database of the server {trouble}; try again"),
        None => "the database failed".to_owned(),
    }
}

/// The error and its sources in one line, for the operator: the log and the command line.
pub fn with_sources(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for source in causes(error) {
        let source = source.to_string();
        if !text.ends_with(&source) {
            text.push_str(": ");
            text.push_str(&source);
        }
    }
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    #[test]
    fn a_member_reads_nothing_that_only_an_operator_can_do() {
        let (attempted, remedy) =
            ("assuming role arn:aws:iam::1:role/r at https://sts".to_owned(), "set AWS_REGION".to_owned());
        let refused = |attempted: &str, answer: &str| CoreError::Refused {
            attempted: attempted.to_owned(),
            code: 403,
            answer: answer.to_owned(),
            remedy: remedy.clone(),
            withdraws: false,
        };
        let problem = "the profile \"default\" has no credentials".to_owned();
        for (error, beginning) in [
            (
                refused(&attempted, "AccessDenied: no"),
                "assuming role arn:aws:iam::1:role/r at https://sts was refused: AccessDenied: no; ask an",
            ),
            (refused(&attempted, "ValidationError: exceeds the MaxSessionDuration"), "assuming role "),
            (
                refused("loading the base identity with the web identity token /run/token", "ExpiredToken"),
                "the server has no base identity",
            ),
            (
                CoreError::NotConfigured { problem: problem.clone(), remedy: remedy.clone(), source: None },
                "the server has no base identity",
            ),
            (
                CoreError::Unavailable {
                    attempted: attempted.clone(),
                    code: 0,
                    problem: problem.clone(),
                    remedy: remedy.clone(),
                    source: None,
                },
                "the server gets no credentials from STS at the moment; try again",
            ),
            (
                CoreError::BadAnswer {
                    attempted: attempted.clone(),
                    code: 200,
                    problem,
                    remedy: remedy.clone(),
                    source: None,
                },
                "the server gets no credentials from STS at the moment; try again",
            ),
        ] {
            let whole = error.to_string();
            let for_member = Arc::new(Error::from(error)).for_member("id0").expect("a text of its own");
            let text = for_member.to_string();
            assert!(text.starts_with(beginning) && text.ends_with("under the request id id0"), "{text}");
            for word in ["AWS_", "profile", "/run/token"] {
                assert!(!text.contains(word), "{text}");
            }
            assert!(for_member.for_log().contains(&whole), "{}", for_member.for_log());
        }
    }

    #[test]
    fn the_reason_ends_before_the_time_to_wait_and_not_at_what_a_caller_wrote() {
        for error in [
            Error::TooManyWrongKeys(7),
            Error::TooManyWrongLogins(7),
            Error::TooManyRequests { seconds: 7 },
            Error::StsBusy { seconds: 7 },
            Error::Overloaded { seconds: 7 },
        ] {
            assert_eq!(error.to_string(), format!("{}; try again in 7 s", error.reason()));
            assert_eq!(error.retry_after(), Some(7));
        }
        let error = Error::TooManyAtOnce("too many");
        assert_eq!(
            (error.reason().as_ref(), error.to_string().as_str()),
            ("too many", "too many; try again in a second")
        );
        let error = Error::InvalidArgument("x; try again in y".to_owned());
        assert_eq!(error.reason(), error.to_string());
    }

    #[test]
    fn an_error_is_written_with_its_sources_in_one_line() {
        let link = |text, source: Option<Link>| Link { text, source: source.map(Box::new) };
        let last = link("line 1\nline 2", None);
        let repeated = link("refused", Some(last));
        assert_eq!(
            with_sources(&link("cannot connect: refused", Some(repeated))),
            "cannot connect: refused: line 1 line 2"
        );
    }
}
