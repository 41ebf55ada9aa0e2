//! API keys: `<prefix>.<secret>`. The prefix finds the user and may be shown; the secret is 32 random bytes.
//!
//! The database keeps only the SHA-256 of the whole key. A password hash would add nothing: there is nothing to guess.

use hops_credentials_core::text::hex;
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use crate::random;

/// A new API key. It is shown once; the database keeps only its hash.
pub struct ApiKey(String);

impl ApiKey {
    /// Makes a key that nobody can guess.
    pub fn generate() -> Self {
        Self(format!("{}.{}", random::hex::<6>(), random::hex::<32>()))
    }

    /// The key itself. Secret.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Reads the part of a key that may be shown.
pub fn read_prefix(key: &str) -> &str {
    key.split_once('.').map_or("", |(prefix, _)| prefix)
}

/// Hashes a key for the database, which keeps nothing else of it.
pub fn hash_key(key: &str) -> String {
    hex(digest(&SHA256, key.as_bytes()).as_ref())
}

/// Whether this is the key whose hash the database keeps. The time it takes does not tell where the two hashes differ.
pub fn has_hash(key: &str, key_hash: &str) -> bool {
    hash_key(key).as_bytes().ct_eq(key_hash.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_32_random_bytes_behind_its_prefix() {
        let (one, other) = (ApiKey::generate(), ApiKey::generate());
        let (prefix, secret) = one.reveal().split_once('.').expect("two parts");
        assert_eq!((prefix.len(), secret.len()), (12, 64));
        assert_ne!(one.reveal(), other.reveal());
    }

    #[test]
    fn a_key_matches_only_its_own_whole_hash() {
        let hash = hash_key("abc.def");
        assert!(has_hash("abc.def", &hash));
        assert!(!has_hash("abc.deg", &hash));
        for other in [&hash[..63], &format!("{hash}0"), &hash.to_uppercase(), ""] {
            assert!(!has_hash("abc.def", other), "{other}");
        }
    }
}
