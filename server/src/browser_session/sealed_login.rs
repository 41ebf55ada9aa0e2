//! The login of a cluster's user as the database keeps it: sealed with a key that follows from the id of the session. The
//! database has only the hash of that id, so nobody opens the login without the browser's cookie.

use hops_credentials_core::text::hex;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};

use crate::browser_session::session_id::SessionId;
use crate::identity::login::Login;

/// Seals a login. Call it once for each session: a key seals one text only.
pub fn seal(session: &SessionId, login: &Login) -> String {
    let mut text = login.reveal().as_bytes().to_vec();
    key(session).seal_in_place_append_tag(nonce(), Aad::empty(), &mut text).expect("a header's value is short");
    hex(&text)
}

/// Opens a sealed login; `None` when it was sealed for another session or is damaged.
pub fn open(session: &SessionId, sealed: &str) -> Option<Login> {
    let digits = sealed.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let mut text = digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect::<Option<Vec<u8>>>()?;
    let opened = key(session).open_in_place(nonce(), Aad::empty(), &mut text).ok()?;
    Login::parse(std::str::from_utf8(opened).ok()?)
}

fn key(session: &SessionId) -> LessSafeKey {
    let bytes = digest(&SHA256, format!("key of {}", session.reveal()).as_bytes());
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, bytes.as_ref()).expect("SHA-256 is as long as the key"))
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_opened_by_its_own_session_only() {
        let (session, other) = (SessionId::generate(), SessionId::generate());
        let login = Login::with_api_key("prefix.canary").expect("a key");
        let sealed = seal(&session, &login);
        assert!(!sealed.contains("canary") && !sealed.contains(&hex(b"canary")), "{sealed}");
        assert_eq!(open(&session, &sealed), Some(login));
        assert_eq!(open(&other, &sealed), None);
        for damaged in ["", "zz", "0", &sealed[2..], &format!("{sealed}00")] {
            assert_eq!(open(&session, damaged), None, "{damaged:?}");
        }
    }
}
