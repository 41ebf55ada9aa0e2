//! The profiles of `~/.aws/config` and `~/.aws/credentials` (`AWS_CONFIG_FILE`, `AWS_SHARED_CREDENTIALS_FILE`), and the
//! active one: `AWS_PROFILE`, else `AWS_DEFAULT_PROFILE`, else `default`.
//!
//! We read the files instead of the AWS SDK, because a `credential_process` must not inherit what we wrote into the
//! environment, and because a file that exists but cannot be read must not count as empty.

use std::io::ErrorKind;
use std::path::PathBuf;

use aws_config::profile::ProfileSet;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_types::os_shim_internal::Fs;
use zeroize::Zeroizing;

use super::environment::{Environment, HOME, PROFILE};
use crate::error::Error;
use crate::text::quoted;
use crate::variables;

/// Tells a `credential_process` that it provides the base identity, so that ours does not look for its own.
pub const IN_CREDENTIAL_PROCESS: &str = "HOPS_CREDENTIALS_IN_PROCESS";
/// The properties by which a profile gets credentials. Any of these in `[default]` gives readers an identity.
///
/// Source: AWS SDKs and tools reference guide, "Settings reference".
const CREDENTIAL_PROPERTIES: [&str; 10] = [
    "aws_access_key_id",
    "credential_process",
    "credential_source",
    "login_session",
    "role_arn",
    "source_profile",
    "sso_account_id",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
];

/// The name of the active profile.
pub(super) fn profile_name(environment: &Environment) -> &str {
    environment.get_first(&PROFILE).unwrap_or("default")
}

/// All profiles, and the active one.
pub(crate) struct Profiles {
    /// The files for the AWS SDK.
    pub files: EnvConfigFiles,
    /// The active profile. It need not exist when no variable names it.
    pub name: String,
    set: ProfileSet,
    /// The text of the configuration file.
    config: String,
}

impl Profiles {
    /// Reads both files.
    ///
    /// # Errors
    /// [`Error::NotConfigured`] when a file cannot be read or is malformed, or when a variable names a profile that
    /// does not exist.
    pub async fn read(environment: &Environment) -> Result<Self, Error> {
        let config = contents(environment, &CONFIG)?;
        let credentials = contents(environment, &CREDENTIALS)?;
        let files = EnvConfigFiles::builder()
            .with_contents(EnvConfigFileKind::Config, with_clean_processes(&config, environment))
            .with_contents(EnvConfigFileKind::Credentials, with_clean_processes(&credentials, environment))
            .build();
        let named = environment.get_first(&PROFILE);
        let name = profile_name(environment).to_owned();
        let no_variables = environment.to_sdk_env(&[]);
        let set = aws_config::profile::load(&Fs::real(), &no_variables, &files, Some(name.clone().into()))
            .await
            .map_err(malformed)?;
        match named {
            Some(name) if set.get_profile(name).is_none() => Err(Error::NotConfigured {
                problem: format!(
                    "AWS_PROFILE names the profile {}, which is in neither ~/.aws/config nor ~/.aws/credentials",
                    quoted(name)
                ),
                remedy: "correct or remove AWS_PROFILE".to_owned(),
                source: None,
            }),
            Some(_) | None => Ok(Self { files, name, set, config }),
        }
    }

    /// A property of the active profile.
    pub fn get(&self, property: &str) -> Option<&str> {
        self.set.get(property)
    }

    /// The services that the section `services` of the active profile names, with their endpoints.
    pub fn services(&self) -> Vec<(&str, Option<&str>)> {
        let Some(section) = self.get("services").map(str::trim) else { return Vec::new() };
        let is_header = |line: &str| {
            let header = line.trim().strip_prefix('[').and_then(|line| line.split_once(']'));
            header.map(|(header, _)| header.split_whitespace().eq(["services", section]))
        };
        let mut services = Vec::new();
        let mut is_inside = false;
        for line in self.config.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])) {
            if let Some(begins) = is_header(line) {
                is_inside = begins;
            } else if let (true, Some((name, value))) = (is_inside, line.split_once('=')) {
                match (line.starts_with([' ', '\t']), services.last_mut()) {
                    (false, _) => services.push((name.trim(), None)),
                    (true, Some((_, endpoint))) if name.trim() == "endpoint_url" => *endpoint = Some(value.trim()),
                    (true, _) => {}
                }
            }
        }
        services
    }

    /// Whether a profile has the machine's role as its source.
    pub fn use_metadata_service(&self) -> bool {
        let source = |name| self.set.get_profile(name)?.get("credential_source");
        self.set.profiles().filter_map(source).any(|source| source.eq_ignore_ascii_case("Ec2InstanceMetadata"))
    }
}

/// The file whose profile `[default]` holds credentials, if any: readers that ask profiles before an endpoint use
/// these.
///
/// # Errors
/// [`Error::NotConfigured`] when a file cannot be read or is malformed.
pub(crate) async fn default_profile_with_credentials(environment: &Environment) -> Result<Option<PathBuf>, Error> {
    for (file, kind) in [(&CONFIG, EnvConfigFileKind::Config), (&CREDENTIALS, EnvConfigFileKind::Credentials)] {
        let files = EnvConfigFiles::builder().with_contents(kind, contents(environment, file)?).build();
        let set = aws_config::profile::load(&Fs::real(), &environment.to_sdk_env(&[]), &files, Some("default".into()))
            .await
            .map_err(malformed)?;
        if CREDENTIAL_PROPERTIES.iter().any(|property| set.get(property).is_some()) {
            return Ok(Some(path(environment, file)));
        }
    }
    Ok(None)
}

/// A file of profiles: the variable that names it, and its path otherwise.
struct ProfileFile {
    variable: &'static str,
    default_path: &'static str,
}

const CONFIG: ProfileFile = ProfileFile { variable: "AWS_CONFIG_FILE", default_path: "~/.aws/config" };
const CREDENTIALS: ProfileFile =
    ProfileFile { variable: "AWS_SHARED_CREDENTIALS_FILE", default_path: "~/.aws/credentials" };

fn path(environment: &Environment, file: &ProfileFile) -> PathBuf {
    expand(environment.get(file.variable).unwrap_or(file.default_path), environment)
}

fn expand(path: &str, environment: &Environment) -> PathBuf {
    match (path.strip_prefix("~/"), environment.get(HOME)) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        (Some(_), None) | (None, _) => PathBuf::from(path),
    }
}

/// What both files hold now, or why they cannot be read. Secret.
pub(crate) fn profile_files(environment: &Environment) -> Zeroizing<String> {
    let texts =
        [&CONFIG, &CREDENTIALS].map(|file| contents(environment, file).unwrap_or_else(|error| error.to_string()));
    Zeroizing::new(texts.join("\n"))
}

fn contents(environment: &Environment, file: &ProfileFile) -> Result<String, Error> {
    let path = path(environment, file);
    match std::fs::read_to_string(&path) {
        Ok(contents) => Ok(contents),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Error::NotConfigured {
            problem: format!("the AWS profile file {} cannot be read", path.display()),
            remedy: format!("make it a readable text file, or name another one in {}", file.variable),
            source: Some(Box::new(error)),
        }),
    }
}

/// The first file of boto with credentials, if any: botocore asks it before an endpoint.
///
/// Source: botocore, `BotoProvider`.
pub(crate) fn boto_file_with_credentials(environment: &Environment) -> Option<PathBuf> {
    let files = [PathBuf::from("/etc/boto.cfg"), expand("~/.boto", environment)];
    files.into_iter().find(|file| std::fs::read_to_string(file).is_ok_and(|text| has_boto_credentials(&text)))
}

fn has_boto_credentials(text: &str) -> bool {
    let mut is_inside = false;
    text.lines().map(str::trim).any(|line| {
        if line.starts_with('[') {
            is_inside = line == "[Credentials]";
        }
        let name = line.split(['=', ':']).next().unwrap_or_default();
        is_inside && name.trim().eq_ignore_ascii_case("aws_access_key_id")
    })
}

/// Makes each `credential_process` start with the environment from before we wrote anything.
fn with_clean_processes(contents: &str, environment: &Environment) -> String {
    // What follows `sh -c` stands in the list of processes.
    let is_secret = |name: &str| name.contains("KEY") || (name.contains("TOKEN") && !name.ends_with("_FILE"));
    let value = |name: &str| environment.get(name).filter(|_| !is_secret(name));
    let unset: Vec<&str> = variables::names().filter(|name| value(name).is_none()).collect();
    let mut prefix = format!("unset {}; export {IN_CREDENTIAL_PROCESS}=1;", unset.join(" "));
    for name in variables::names() {
        if let Some(value) = value(name) {
            prefix.push_str(&format!(" export {name}='{}';", value.replace('\'', r"'\''")));
        }
    }
    let mut clean = String::with_capacity(contents.len());
    for line in contents.lines() {
        match line.split_once('=') {
            Some((name, command)) if name.trim_end().eq_ignore_ascii_case("credential_process") => {
                clean.push_str(&format!("{name}= {prefix} {}\n", command.trim_start()));
            }
            Some(_) | None => clean.extend([line, "\n"]),
        }
    }
    clean
}

fn malformed(error: aws_config::profile::ProfileFileLoadError) -> Error {
    let text = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    let place = match text.split_once(" on line ") {
        Some((_, place)) => format!(" on line {}", place.replace(":\n  ", ": ")),
        None => String::new(),
    };
    Error::NotConfigured {
        problem: format!("~/.aws/config or ~/.aws/credentials is malformed{place}"),
        remedy: "correct the file".to_owned(),
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::from_pairs(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn a_credential_process_starts_without_our_variables_and_with_those_from_before() {
        let clean = with_clean_processes(
            "[default]\ncredential_process = /bin/tool --json\nregion=eu-north-1\n",
            &environment(&[
                ("AWS_PROFILE", "o'neill"),
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/var/run/token"),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary-token"),
                ("AWS_SECRET_ACCESS_KEY", "canary-secret"),
            ]),
        );
        let (unset, rest) = clean.split_once("; ").expect("several commands");
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_CREDENTIAL_EXPIRATION",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            "HOPS_CREDENTIALS_ISSUED",
            "no_proxy",
        ] {
            assert!(unset.split(' ').any(|word| word == name), "{name}: {unset}");
        }
        assert_eq!(
            rest,
            "export HOPS_CREDENTIALS_IN_PROCESS=1; \
             export AWS_CONTAINER_CREDENTIALS_FULL_URI='http://169.254.170.23/v1/credentials'; \
             export AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE='/var/run/token'; export AWS_PROFILE='o'\\''neill'; \
             /bin/tool --json\nregion=eu-north-1\n"
        );
        assert!(!clean.contains("canary"), "{clean}");
    }

    #[test]
    fn a_file_of_boto_counts_when_it_holds_credentials() {
        assert!(has_boto_credentials("[Boto]\ndebug = 0\n[Credentials]\nAWS_Access_Key_Id: AKIA\n"));
        assert!(!has_boto_credentials("[Credentials]\ngs_oauth2_refresh_token = 1\n[Other]\naws_access_key_id = A\n"));
    }

    #[tokio::test]
    async fn a_named_profile_that_does_not_exist_is_refused() {
        let error = Profiles::read(&environment(&[
            ("AWS_PROFILE", "prdo"),
            ("AWS_CONFIG_FILE", "/nonexistent"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent"),
        ]))
        .await
        .err()
        .expect("no such profile");
        assert_eq!(
            error.to_string(),
            "AWS_PROFILE names the profile \"prdo\", which is in neither ~/.aws/config nor ~/.aws/credentials; correct \
             or remove AWS_PROFILE"
        );
    }

    #[tokio::test]
    async fn a_profile_file_that_exists_but_cannot_be_read_does_not_count_as_empty() {
        let error = Profiles::read(&environment(&[("AWS_CONFIG_FILE", "/")])).await.err().expect("a directory");
        assert_eq!(
            error.to_string(),
            "the AWS profile file / cannot be read; make it a readable text file, or name another one in AWS_CONFIG_FILE"
        );
    }
}
