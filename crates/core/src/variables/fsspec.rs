//! The configuration of fsspec: variables and files whose credentials s3fs prefers to everything else.
//!
//! Source: fsspec, `fsspec/config.py`; s3fs, `S3FileSystem`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::base_identity::{Environment, home};

/// The variables that hold a JSON object each, for the protocols of s3fs.
pub(super) const FSSPEC: [&str; 2] = ["FSSPEC_S3", "FSSPEC_S3A"];
const DIRECTORY: &str = "FSSPEC_CONFIG_DIR";
const PROTOCOLS: [&str; 2] = ["s3", "s3a"];
const CREDENTIALS: [&str; 6] = ["key", "secret", "token", "username", "password", "profile"];

/// The first file with credentials for s3fs, if any.
pub(super) fn file_with_credentials(environment: &Environment) -> Option<PathBuf> {
    let of_home = || home(environment).map(|home| home.join(".config/fsspec"));
    let directory = environment.get(DIRECTORY).map(PathBuf::from).or_else(of_home)?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.into_iter().find(|file| holds_credentials(file))
}

fn holds_credentials(file: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(file) else { return false };
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("json") => {
            let found: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
            let of_s3 = PROTOCOLS.iter().filter_map(|protocol| found.get(*protocol)?.as_object());
            of_s3.flat_map(Map::keys).any(|name| CREDENTIALS.contains(&name.as_str()))
        }
        Some("ini") => {
            let mut is_inside = false;
            text.lines().map(str::trim).any(|line| {
                if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                    is_inside = PROTOCOLS.contains(&section);
                }
                let name = line.split(['=', ':']).next().unwrap_or_default().trim().to_lowercase();
                is_inside && CREDENTIALS.contains(&name.as_str())
            })
        }
        Some(_) | None => false,
    }
}

/// The warning about a file that cannot be taken away.
pub(super) fn warning(environment: &Environment) -> Option<String> {
    let file = file_with_credentials(environment)?;
    Some(format!("s3fs prefers the credentials in {}, which are not ours", file.display()))
}

/// What one of these variables holds beside credentials. The outer `None`: it holds none. The inner: it holds nothing else.
#[expect(clippy::option_option, reason = "a change of a variable to nothing is not the same as no change")]
pub(super) fn without_credentials(value: &str) -> Option<Option<Zeroizing<String>>> {
    let mut held: Map<String, Value> = serde_json::from_str(value).ok()?;
    let before = held.len();
    held.retain(|name, _| !CREDENTIALS.contains(&name.as_str()));
    if held.len() == before {
        return None;
    }
    Some((!held.is_empty()).then(|| Zeroizing::new(Value::Object(held).to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_credentials_for_s3fs_is_found() {
        let directory = std::env::temp_dir().join(format!("hops-credentials-fsspec-{}", std::process::id()));
        std::fs::create_dir(&directory).expect("a directory of this test's own");
        let path = directory.to_str().expect("UTF-8");
        let environment = Environment::from_pairs([(DIRECTORY.to_owned(), path.to_owned())]);
        for (name, contents, counts) in [
            ("a.json", r#"{"gs": {"token": "x"}, "s3": {"anon": true}}"#, false),
            ("b.json", r#"{"s3a": {"key": "AKIA"}}"#, true),
            ("c.ini", "[gs]\ntoken = x\n[s3]\nanon = true\n", false),
            ("d.ini", "[s3]\nSecret: x\n", true),
            ("e.txt", "[s3]\nsecret: x\n", false),
            ("f.json", "no JSON", false),
        ] {
            let file = directory.join(name);
            std::fs::write(&file, contents).expect("a file");
            assert_eq!(file_with_credentials(&environment), counts.then(|| file.clone()), "{name}");
            assert_eq!(warning(&environment).is_some(), counts, "{name}");
            std::fs::remove_file(&file).expect("it is there");
        }
        std::fs::remove_dir(&directory).expect("it is empty");
    }

    #[test]
    fn only_the_credentials_are_taken_out_of_a_configuration() {
        let left = |value| without_credentials(value).map(|left| left.map(|left| left.to_string()));
        for untouched in [r#"{"endpoint_url":"http://minio"}"#, "{}", "no JSON", "[1]"] {
            assert_eq!(left(untouched), None, "{untouched}");
        }
        assert_eq!(left(r#"{"key": "AKIA", "secret": "x"}"#), Some(None));
        assert_eq!(
            left(r#"{"key": "AKIA", "endpoint_url": "http://minio"}"#),
            Some(Some(r#"{"endpoint_url":"http://minio"}"#.to_owned()))
        );
    }
}
