//! The address of a role-mapping server.

use std::fmt;

use reqwest::Url;

use crate::error::Error;
use crate::network::is_loopback;
use crate::settings::REST_ENDPOINT;
use crate::text::quoted;

/// The path below which the contract's paths begin.
const API_PATH: [&str; 2] = ["hopsworks-api", "api"];

/// The address of a role-mapping server. `Display` leaves the path of the contract out.
#[derive(Debug, Clone)]
pub(super) struct ServerAddress(Url);

impl ServerAddress {
    /// Parses `host[:port]`, which means https, and `http(s)://host[:port][/path]`. A slash or `/hopsworks-api/api` at
    /// the end is optional.
    pub(super) fn parse(written: &str) -> Result<Self, Error> {
        let written = written.trim();
        let with_scheme = if written.contains("://") { written.to_owned() } else { format!("https://{written}") };
        let unusable = || Error::NotConfigured {
            // The message must not repeat a password.
            problem: if written.contains('@') {
                format!("{REST_ENDPOINT} holds a user name or a password")
            } else {
                format!("{REST_ENDPOINT} is {}, which is not the address of a server", quoted(written))
            },
            remedy: "write it as https://<host>:<port>".to_owned(),
            source: None,
        };
        let mut url = Url::parse(&with_scheme).map_err(|_| unusable())?;
        let is_plain = url.username().is_empty() && url.password().is_none();
        let is_address = matches!(url.scheme(), "http" | "https") && url.has_host();
        if !is_plain || !is_address || url.query().is_some() || url.fragment().is_some() {
            return Err(unusable());
        }
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix(&format!("/{}/{}", API_PATH[0], API_PATH[1])).unwrap_or(path).to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }

    /// The URL of `segments` below the contract's path, each of them percent-encoded.
    pub(super) fn url(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        url.path_segments_mut().expect("http and https have paths").pop_if_empty().extend(API_PATH).extend(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Whether somebody on the way can read what is sent there.
    pub(super) fn is_exposed(&self) -> bool {
        self.0.scheme() == "http" && !is_loopback(&self.0)
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(written: &str) -> String {
        ServerAddress::parse(written).map_or_else(|error| error.to_string(), |address| address.to_string())
    }

    #[test]
    fn an_address_without_a_scheme_means_https() {
        assert_eq!(shown("hops.example.com"), "https://hops.example.com");
        assert_eq!(shown(" hops.example.com:8182\n"), "https://hops.example.com:8182");
        assert_eq!(shown("10.0.0.7:8182"), "https://10.0.0.7:8182");
        assert_eq!(shown("http://hops.example.com"), "http://hops.example.com");
    }

    #[test]
    fn the_end_of_an_address_is_optional() {
        for written in ["https://h", "https://h/", "https://h/hopsworks-api/api", "https://h/hopsworks-api/api/"] {
            let address = ServerAddress::parse(written).expect("an address");
            assert_eq!(address.url(&["project", "1"], &[]).as_str(), "https://h/hopsworks-api/api/project/1");
        }
        let address = ServerAddress::parse("https://gateway/hops/").expect("an address");
        assert_eq!(address.url(&["project"], &[]).as_str(), "https://gateway/hops/hopsworks-api/api/project");
    }

    #[test]
    fn every_path_segment_and_query_value_is_percent_encoded() {
        let url = ServerAddress::parse("h").expect("an address").url(&["a/b?c"], &[("roleARN", "arn:role/+=,.@-é &x")]);
        assert_eq!(
            url.as_str(),
            "https://h/hopsworks-api/api/a%2Fb%3Fc?roleARN=arn%3Arole%2F%2B%3D%2C.%40-%C3%A9+%26x"
        );
    }

    #[test]
    fn a_text_that_is_not_an_address_is_refused_and_a_password_not_shown() {
        for written in ["ftp://h", "https://", "h ost", "https://h?x=1", "https://h/#x"] {
            assert_eq!(
                shown(written),
                format!(
                    "hopsworks.restendpoint / REST_ENDPOINT is {written:?}, which is not the address of a server; write \
                     it as https://<host>:<port>"
                )
            );
        }
        assert_eq!(
            shown("https://me:canary@h"),
            "hopsworks.restendpoint / REST_ENDPOINT holds a user name or a password; write it as https://<host>:<port>"
        );
    }

    #[test]
    fn only_http_to_another_machine_is_exposed() {
        for (written, exposed) in [
            ("http://hops", true),
            ("http://10.0.0.7", true),
            ("https://hops", false),
            ("http://localhost:80", false),
            ("http://127.0.0.2", false),
            ("http://[::1]:80", false),
        ] {
            assert_eq!(ServerAddress::parse(written).expect("an address").is_exposed(), exposed, "{written}");
        }
    }
}
