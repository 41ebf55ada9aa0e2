//! The query of a request and the segments of its path. Errors name the parameter.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use hops_credentials_core::text::quoted;

use crate::error::Error;

/// The query of a request. An empty value counts as absent; unknown parameters are ignored.
pub struct Parameters(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let parameters = Self::from_query(parts.uri.query().unwrap_or_default());
        parameters.check()?;
        Ok(parameters)
    }
}

impl Parameters {
    /// Decodes a query.
    pub fn from_query(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// Refuses control characters: no value has any, and PostgreSQL cannot hold all of them.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] that names the parameter.
    pub fn check(&self) -> Result<(), Error> {
        let has_control = |text: &String| text.chars().any(char::is_control);
        match self.0.iter().find(|(name, value)| has_control(name) || has_control(value)) {
            None => Ok(()),
            Some((name, _)) => {
                let name: String = name.escape_debug().take(100).collect();
                Err(Error::InvalidArgument(format!("{name}: it has a control character")))
            }
        }
    }

    /// The values of a parameter that may be repeated.
    pub fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter.
    ///
    /// # Errors
    /// [`Error::IllegalParameter`] when it is illegal or given twice.
    pub fn one<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<Option<T>, Error> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.parse().map(Some).map_err(|error| illegal(name, &error)),
            (Some(_), Some(_)) => Err(illegal(name, &"it is given twice")),
        }
    }

    /// The value of a required parameter.
    ///
    /// # Errors
    /// [`Error::IllegalParameter`] when it is missing, illegal or given twice.
    pub fn required<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<T, Error> {
        self.one(name)?.ok_or_else(|| illegal(name, &"it is missing"))
    }
}

/// Makes the error for an illegal parameter or path segment.
pub fn illegal(name: &'static str, reason: &dyn Display) -> Error {
    Error::IllegalParameter { name, problem: reason.to_string() }
}

/// `{project}` of the path.
pub struct ProjectId(pub i64);

/// `{id}` of the path: that of a role mapping.
pub struct MappingId(pub i64);

impl<S: Send + Sync> FromRequestParts<S> for ProjectId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        parse_number(parts, state, "project").await.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MappingId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        parse_number(parts, state, "id").await.map(Self)
    }
}

async fn parse_number<S: Send + Sync>(parts: &mut Parts, state: &S, name: &'static str) -> Result<i64, Error> {
    let segments = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| Error::InvalidArgument("the path is not UTF-8".to_owned()))?;
    let text = segments.iter().find(|(given, _)| *given == name).map_or("", |(_, value)| value);
    // `parse` would take a sign too.
    let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| illegal(name, &format_args!("{} in the path is not a number", quoted(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_percent_decoded_and_an_empty_value_counts_as_absent() {
        let parameters = Parameters::from_query("roleARN=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%2Bb&roleSessionName=&x=1");
        assert_eq!(parameters.one::<String>("roleARN").expect("legal").as_deref(), Some("arn:aws:iam::1:role/a+b"));
        assert_eq!(parameters.one::<String>("roleSessionName").expect("legal"), None);
    }

    #[test]
    fn an_error_names_the_parameter() {
        let parameters = Parameters::from_query("limit=x&offset=1&offset=2");
        let text = |result: Result<Option<u32>, Error>| result.expect_err("illegal").to_string();
        assert_eq!(text(parameters.one("limit")), "limit: invalid digit found in string");
        assert_eq!(text(parameters.one("offset")), "offset: it is given twice");
        assert_eq!(parameters.required::<u32>("id").expect_err("missing").to_string(), "id: it is missing");
    }
}
