//! The id of a session, and the token that its forms carry.

use std::fmt;

use hops_credentials_core::text::hex;
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use crate::random;

/// The opaque id of a session, 32 random bytes. Secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionId(String);

impl fmt::Debug for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionId(…)")
    }
}

impl SessionId {
    /// Makes an id that nobody can guess.
    pub fn generate() -> Self {
        Self(random::hex::<32>())
    }

    /// Takes the id as a cookie carries it.
    pub fn from_cookie(value: &str) -> Self {
        Self(value.to_owned())
    }

    /// The id itself. Secret.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The token that every form of this session carries. It follows from the id and does not lead back to it, so no other
    /// session, and nobody without the cookie, can know it.
    pub fn form_token(&self) -> String {
        hash_text("form token of ", &self.0)
    }

    /// Whether a form carried the token of this session.
    pub fn has_form_token(&self, token: &str) -> bool {
        self.form_token().as_bytes().ct_eq(token.as_bytes()).into()
    }

    /// The hash of the id. The database keeps nothing else of it.
    pub fn hash(&self) -> String {
        hash_text("", &self.0)
    }
}

fn hash_text(prefix: &str, text: &str) -> String {
    hex(digest(&SHA256, format!("{prefix}{text}").as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_token_belongs_to_one_session_and_is_not_its_id() {
        let (one, other) = (SessionId::from_cookie("ab12"), SessionId::from_cookie("cd34"));
        assert!(one.has_form_token(&one.form_token()));
        assert!(!one.has_form_token(&other.form_token()) && !one.has_form_token("") && !one.has_form_token("ab12"));
        assert_ne!(one.form_token(), one.hash());
        assert_eq!(format!("{one:?}"), "SessionId(…)");
    }
}
