//! The configuration of fsspec: variables and files whose credentials s3fs prefers to everything else.
//!
//! Source: fsspec, `fsspec/config.py`; s3fs, `S3FileSystem`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::base_identity::{Environment, home};

/// The variables that hold a JSON object each, for the protocols of s3fs and for the clients that it makes.
pub(super) const FSSPEC: [&str; 4] = ["FSSPEC_S3", "FSSPEC_S3_CLIENT_KWARGS", "FSSPEC_S3A", "FSSPEC_S3A_CLIENT_KWARGS"];
const DIRECTORY: &str = "FSSPEC_CONFIG_DIR";
const PROTOCOLS: [&str; 2] = ["s3", "s3a"];
/// What makes s3fs somebody else, or nobody.
const CREDENTIALS: [&str; 7] = ["key", "secret", "token", "username", "password", "profile", "anon"];
/// What s3fs gives to the client of botocore, whose arguments for credentials begin with `aws_`.
const CLIENT: &str = "client_kwargs";

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
            of_s3.cloned().any(|mut held| take_credentials(&mut held))
        }
        Some("ini") => {
            let (mut section, mut is_in_all) = ("", false);
            text.lines().map(str::trim).any(|line| {
                if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                    section = name;
                }
                // Every value is a text, `false` too, and [DEFAULT] counts in each section.
                let (name, value) = line.split_once(['=', ':']).unwrap_or_default();
                let is_credential = is_credential(&name.trim().to_lowercase(), &Value::from(value.trim()));
                is_in_all |= is_credential && section == "DEFAULT";
                PROTOCOLS.contains(&section) && (is_credential || is_in_all)
            })
        }
        Some(_) | None => false,
    }
}

/// Takes the credentials out, and says whether there were any.
fn take_credentials(held: &mut Map<String, Value>) -> bool {
    let before = held.len();
    held.retain(|name, value| !is_credential(name, value));
    let is_of_client = held.get_mut(CLIENT).and_then(Value::as_object_mut).is_some_and(take_credentials);
    is_of_client || held.len() < before
}

/// Whether s3fs uses this value, which Python takes for true, as a credential.
fn is_credential(name: &str, value: &Value) -> bool {
    let is_unset = value.is_null() || *value == false || *value == "" || *value == 0;
    !is_unset && (CREDENTIALS.contains(&name) || name.starts_with("aws_"))
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
    let is_changed = take_credentials(&mut held);
    is_changed.then(|| (!held.is_empty()).then(|| Zeroizing::new(Value::Object(held).to_string())))
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
            ("a.json", r#"{"gs": {"token": "x"}, "s3": {"use_ssl": true}}"#, false),
            ("b.json", r#"{"s3a": {"key": "AKIA"}}"#, true),
            ("c.ini", "[gs]\ntoken = x\n[s3]\nuse_ssl = x\n", false),
            ("d.ini", "[s3]\nSecret: x\n", true),
            (
                "e.json",
                r#"{"s3": {"client_kwargs": {"region_name": "eu-north-1"}, "key": null, "anon": false}}"#,
                false,
            ),
            ("f.json", r#"{"s3": {"client_kwargs": {"aws_access_key_id": "AKIA"}}}"#, true),
            ("g.json", r#"{"s3": {"anon": true}}"#, true),
            ("h.ini", "[s3]\nkey =\n", false),
            ("i.ini", "[s3]\nanon = false\n", true),
            ("i2.ini", "[DEFAULT]\nkey = AKIA\n[gs]\n", false),
            ("i3.ini", "[DEFAULT]\nkey = AKIA\n[gs]\n[s3]\n", true),
            ("j.txt", "[s3]\nsecret: x\n", false),
            ("k.json", "no JSON", false),
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
        for untouched in [r#"{"endpoint_url":"http://minio"}"#, r#"{"key":null,"anon":false}"#, "{}", "no JSON", "[1]"]
        {
            assert_eq!(left(untouched), None, "{untouched}");
        }
        for nothing_else in
            [r#"{"key": "AKIA", "secret": "x"}"#, r#"{"anon": true}"#, r#"{"aws_access_key_id": "AKIA"}"#]
        {
            assert_eq!(left(nothing_else), Some(None), "{nothing_else}");
        }
        assert_eq!(
            left(r#"{"client_kwargs": {"aws_access_key_id": "AKIA", "aws_secret_access_key": "x", "verify": false}}"#),
            Some(Some(r#"{"client_kwargs":{"verify":false}}"#.to_owned()))
        );
        assert_eq!(
            left(r#"{"key": "AKIA", "endpoint_url": "http://minio"}"#),
            Some(Some(r#"{"endpoint_url":"http://minio"}"#.to_owned()))
        );
    }
}
