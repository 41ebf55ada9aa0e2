//! One AssumeRole request: which role, under which session name, for how long, and what else STS takes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::Error;
use crate::role::RoleArn;
use crate::text::{is_name_character, quoted};

/// One AssumeRole request. [`Default`] asks for the default role for one hour, under a session name that the source
/// makes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct AssumeRole {
    /// The role; `None` asks for the caller's default.
    pub role: Option<RoleArn>,
    /// The session name; `None` asks for one that names the user and the project.
    pub session_name: Option<SessionName>,
    /// The requested duration of the session.
    pub duration: SessionDuration,
    /// Fields that only STS itself takes.
    pub extras: Extras,
    /// Whether the caller fetches anew long before the credentials end. A role-mapping server may then answer with some
    /// that STS gave earlier, with half of their time left; STS is not told.
    pub renews: bool,
}

/// The fields of AssumeRole that a role-mapping server does not pass on.
///
/// Source: AWS STS API reference, `AssumeRole`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Extras {
    /// The value that the role's trust policy compares with `sts:ExternalId`; 2 to 1224 characters of `[\w+=,.@:/-]`.
    pub external_id: Option<String>,
    /// A session policy, a JSON object; the session may do what both it and the role allow.
    pub policy: Option<String>,
    /// ARNs of managed policies used as session policies; at most 10.
    pub policy_arns: Vec<String>,
    /// Session tags, key and value; at most 50.
    pub tags: Vec<(String, String)>,
    /// The STS attribute `SourceIdentity`; 2 to 64 characters of `[\w+=,.@-]`, not beginning with `aws:`.
    pub source_identity: Option<String>,
}

/// A legal `RoleSessionName`: 2 to 64 characters of `[\w+=,.@-]`.
///
/// Source: AWS STS API reference, `AssumeRole`, `RoleSessionName`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionName(String);

impl SessionName {
    /// Makes `<user>-<context>` a legal name: replaces illegal characters by `-` and cuts the longer part at its end.
    ///
    /// CloudTrail shows the name, so it should tell a person who the caller was. `context` is the application, the
    /// project or whatever else the user runs; an empty part becomes `hops`.
    pub fn from_parts(user: &str, context: &str) -> Self {
        let legal = |text: &str| -> String {
            text.chars().map(|character| if is_name_character(character) { character } else { '-' }).collect()
        };
        let (mut user, mut context) = (legal(user), legal(context));
        while user.len() + context.len() + 1 > 64 {
            if user.len() > context.len() {
                user.pop()
            } else {
                context.pop()
            };
        }
        match (user.is_empty(), context.is_empty()) {
            (true, true) => Self("hops".to_owned()),
            (true, false) => Self(format!("hops-{}", &context[..context.len().min(59)])),
            (false, true) => Self(format!("{}-hops", &user[..user.len().min(59)])),
            (false, false) => Self(format!("{user}-{context}")),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for SessionName {
    type Err = Error;

    /// # Errors
    /// [`Error::InvalidArgument`] when STS would refuse it.
    fn from_str(text: &str) -> Result<Self, Error> {
        if (2..=64).contains(&text.len()) && text.chars().all(is_name_character) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::InvalidArgument {
                field: "session name",
                reason: format!("{} is not 2 to 64 letters, digits and characters of _+=,.@-", quoted(text)),
            })
        }
    }
}

/// A `DurationSeconds` that STS may accept: 900 to 43 200 seconds. [`Default`] is one hour.
///
/// STS refuses more than 3 600 s to a caller that is itself a role (role chaining), and more than the role's own
/// maximum session duration to every caller.
///
/// Source: AWS STS API reference, `AssumeRole`, `DurationSeconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionDuration(u32);

impl SessionDuration {
    /// The longest session that STS gives to a caller that is itself a role: 3 600 s.
    pub const CHAINED_MAXIMUM: Self = Self(3600);

    /// Makes a duration of 900 to 43 200 whole seconds.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] outside that range.
    pub fn from_seconds(seconds: i64) -> Result<Self, Error> {
        match u32::try_from(seconds) {
            Ok(seconds @ 900..=43_200) => Ok(Self(seconds)),
            Ok(_) | Err(_) => Err(Error::InvalidArgument {
                field: "duration",
                reason: format!("{seconds} s is not between 900 and 43200 seconds"),
            }),
        }
    }

    /// The duration in whole seconds.
    pub fn seconds(self) -> u32 {
        self.0
    }
}

impl Default for SessionDuration {
    fn default() -> Self {
        Self(3600)
    }
}

impl From<SessionDuration> for Duration {
    fn from(duration: SessionDuration) -> Self {
        Duration::from_secs(duration.0.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_name_has_2_to_64_legal_characters() {
        for legal in ["ab", "a_b+c=d,e.f@g-h", &"a".repeat(64)] {
            assert_eq!(legal.parse::<SessionName>().expect("legal").as_str(), legal);
        }
        for illegal in ["", "a", &"a".repeat(65), "a b", "a/b", "é-é", "a:b"] {
            assert!(illegal.parse::<SessionName>().is_err(), "{illegal:?}");
        }
    }

    #[test]
    fn a_made_session_name_is_legal_and_keeps_both_parts_readable() {
        assert_eq!(SessionName::from_parts("meb10000", "churn").as_str(), "meb10000-churn");
        assert_eq!(SessionName::from_parts("Åsa Öberg", "a/b").as_str(), "-sa--berg-a-b");
        assert_eq!(SessionName::from_parts("", "").as_str(), "hops");
        assert_eq!(SessionName::from_parts("", "p").as_str(), "hops-p");
        assert_eq!(SessionName::from_parts("u", "").as_str(), "u-hops");
        let long = SessionName::from_parts(&"u".repeat(100), "churn");
        assert_eq!(long.as_str(), format!("{}-churn", "u".repeat(58)));
        for (user, context) in [("u".repeat(100), "p".repeat(100)), (String::new(), "p".repeat(100))] {
            let name = SessionName::from_parts(&user, &context);
            assert!(name.as_str().parse::<SessionName>().is_ok(), "{name}");
        }
    }

    #[test]
    fn a_duration_is_900_to_43200_seconds_and_an_hour_by_default() {
        for legal in [900, 3600, 43_200] {
            assert_eq!(i64::from(SessionDuration::from_seconds(legal).expect("legal").seconds()), legal);
        }
        for illegal in [i64::MIN, -1, 0, 899, 43_201, i64::MAX] {
            assert!(SessionDuration::from_seconds(illegal).is_err(), "{illegal}");
        }
        assert_eq!(SessionDuration::default().seconds(), 3600);
    }
}
