//! The cookie by which a browser shows its session.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::browser_session::session_id::SessionId;

/// The cookie that carries the id of a session.
#[derive(Debug, Clone, Copy)]
pub enum Cookie {
    /// The cookie for a browser that speaks TLS with this server or with the proxy in front of it.
    Secure,
    /// The cookie for a browser on this machine.
    Loopback,
}

impl Cookie {
    /// Reads the id that came with a request.
    pub fn read(self, headers: &HeaderMap) -> Option<SessionId> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .find_map(|pair| pair.trim().strip_prefix(self.name())?.strip_prefix('='))
            .map(SessionId::from_cookie)
    }

    /// Hands the id to the browser. The cookie has no end of its own: it goes when the browser closes.
    pub fn set(self, id: &SessionId) -> HeaderValue {
        self.header(id.reveal(), "")
    }

    /// Takes the id away from the browser.
    pub fn clear(self) -> HeaderValue {
        self.header("", "; Max-Age=0")
    }

    fn name(self) -> &'static str {
        match self {
            // Browsers accept this prefix only with Secure, with Path=/ and without Domain (RFC 6265bis, 4.1.3).
            Cookie::Secure => "__Host-role-mapping-session",
            Cookie::Loopback => "role-mapping-session",
        }
    }

    fn header(self, value: &str, more: &str) -> HeaderValue {
        let secure = match self {
            Cookie::Secure => "; Secure",
            Cookie::Loopback => "",
        };
        HeaderValue::try_from(format!("{}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{more}", self.name()))
            .expect("an id has hexadecimal digits only")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(text))])
    }

    #[test]
    fn the_cookie_of_a_secure_server_is_bound_to_its_host() {
        let id = SessionId::from_cookie("ab12");
        assert_eq!(
            Cookie::Secure.set(&id),
            "__Host-role-mapping-session=ab12; Path=/; HttpOnly; SameSite=Strict; Secure"
        );
        assert_eq!(Cookie::Loopback.set(&id), "role-mapping-session=ab12; Path=/; HttpOnly; SameSite=Strict");
        assert_eq!(Cookie::Loopback.clear(), "role-mapping-session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    }

    #[test]
    fn only_the_cookie_of_that_whole_name_is_read() {
        let both = cookies("other=1; role-mapping-session=cd34;__Host-role-mapping-session=ab12");
        assert_eq!(Cookie::Secure.read(&both), Some(SessionId::from_cookie("ab12")));
        assert_eq!(Cookie::Loopback.read(&both), Some(SessionId::from_cookie("cd34")));
        assert_eq!(Cookie::Secure.read(&cookies("role-mapping-session=cd34")), None);
        assert_eq!(Cookie::Loopback.read(&cookies("role-mapping-session-2=cd34")), None);
        assert_eq!(Cookie::Loopback.read(&HeaderMap::new()), None);
    }
}
