//! The configuration of fsspec: variables and files whose credentials s3fs prefers to everything else.
//!
//! Source: fsspec, `fsspec/config.py`; s3fs, `S3FileSystem`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

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

/// The warnings about what is taken out with credentials, and about a file that cannot be.
pub(super) fn warnings(environment: &Environment) -> Vec<String> {
    let file = file_with_credentials(environment);
    let of_file = file.map(|file| format!("s3fs prefers the credentials in {}, which are not ours", file.display()));
    let of_variables = FSSPEC.into_iter().filter_map(|variable| {
        let held: Map<String, Value> = serde_json::from_str(environment.get(variable)?).unwrap_or_default();
        let left: Vec<&str> = held.keys().map(String::as_str).filter(|name| !CREDENTIALS.contains(name)).collect();
        let text = format!(
            "readers no longer see {variable}, and what it says about {}: set it in variables {variable}_<NAME>",
            left.join(", ")
        );
        (!left.is_empty()).then_some(text)
    });
    of_variables.chain(of_file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_for_s3fs_are_found_in_files_and_what_goes_with_a_variable_is_named() {
        let directory = std::env::temp_dir().join(format!("hops-credentials-fsspec-{}", std::process::id()));
        std::fs::create_dir(&directory).expect("a directory of this test's own");
        let path = directory.to_str().expect("UTF-8");
        let variables = [(DIRECTORY, path), ("FSSPEC_S3", r#"{"key": "AKIA", "endpoint_url": "http://minio"}"#)];
        let pairs = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = Environment::from_pairs(pairs);
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
            assert_eq!(warnings(&environment).len(), if counts { 2 } else { 1 }, "{name}");
            std::fs::remove_file(&file).expect("it is there");
        }
        assert_eq!(
            warnings(&environment),
            [
                "readers no longer see FSSPEC_S3, and what it says about endpoint_url: set it in variables FSSPEC_S3_<NAME>"
            ]
        );
        std::fs::remove_dir(&directory).expect("it is empty");
    }
}
