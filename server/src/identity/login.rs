//! A login: the API key or JWT that a caller sends in the header `Authorization`. `identity` finds out whose it is.

use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use ring::digest::{SHA256, digest};

/// A login: `ApiKey <key>` or `Bearer <JWT>`. Secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Login(String);

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Login(…)")
    }
}

impl Login {
    /// Reads the login that came with a request, and spells its scheme as a cluster expects it.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        Self::parse(value.to_str().ok()?)
    }

    /// Reads the value of such a header.
    pub fn parse(value: &str) -> Option<Self> {
        let (scheme, token) = value.split_once(' ')?;
        let scheme = ["ApiKey", "Bearer"].into_iter().find(|known| known.eq_ignore_ascii_case(scheme))?;
        let token = token.trim();
        is_legal(token).then(|| Self(format!("{scheme} {token}")))
    }

    /// Makes a login of an API key; `None` for a text that nobody has as a key.
    pub fn with_api_key(key: &str) -> Option<Self> {
        is_legal(key).then(|| Self(format!("ApiKey {key}")))
    }

    /// The API key, if it is one. Secret.
    pub fn api_key(&self) -> Option<&str> {
        self.0.strip_prefix("ApiKey ")
    }

    /// The header's value. Secret.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The SHA-256 of the header's value. Not secret.
    pub fn hash(&self) -> [u8; 32] {
        digest(&SHA256, self.0.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

/// Whether a text can be a key or a token: visible ASCII, since it travels in a header.
fn is_legal(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(value: &str) -> Option<Login> {
        Login::from_headers(&HeaderMap::from_iter([(AUTHORIZATION, value.parse().expect("a value"))]))
    }

    #[test]
    fn a_login_is_one_header_of_a_known_scheme_and_its_debug_text_shows_nothing() {
        assert_eq!(login("apikey a.b").expect("a key").reveal(), "ApiKey a.b");
        assert_eq!(login("ApiKey a.b").expect("a key").api_key(), Some("a.b"));
        assert_eq!(login("Bearer a.b.c").expect("a token").reveal(), "Bearer a.b.c");
        assert_eq!(login("Bearer a.b.c").expect("a token").api_key(), None);
        for none in ["Basic a", "a.b", "ApiKey", "ApiKey ", "Bearer a b", "ApiKey a\tb"] {
            assert_eq!(login(none), None, "{none:?}");
        }
        for none in ["", "\0.x", "a.b\n", "ä.b", "a b"] {
            assert_eq!(Login::with_api_key(none), None, "{none:?}");
        }
        let value: axum::http::HeaderValue = "ApiKey a.b".parse().expect("a value");
        let mut twice = HeaderMap::new();
        twice.append(AUTHORIZATION, value.clone());
        twice.append(AUTHORIZATION, value);
        assert_eq!(Login::from_headers(&twice), None);
        assert_eq!(format!("{:?}", login("ApiKey canary.canary")), "Some(Login(…))");
    }
}
