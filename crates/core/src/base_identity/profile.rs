//! The profiles of `~/.aws/config` and `~/.aws/credentials` (`AWS_CONFIG_FILE`, `AWS_SHARED_CREDENTIALS_FILE`), and the
//! active one: `AWS_PROFILE`, else `AWS_DEFAULT_PROFILE`, else `default`.
//!
//! We read the files instead of the AWS SDK, because we start a `credential_process` ourselves (`process`), and because a
//! file that exists but cannot be read must not count as empty.

mod source;

use std::io::ErrorKind;
use std::path::PathBuf;

use aws_config::profile::ProfileSet;
use aws_credential_types::Credentials;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_types::os_shim_internal::Fs;
use zeroize::Zeroizing;

use super::environment::{Environment, HOME, PROFILE};
use crate::error::Error;
use crate::settings::AWS_CA_BUNDLE;
use crate::text::quoted;

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
    /// The active profile. It need not exist when no variable names it.
    pub name: String,
    set: ProfileSet,
    /// The text of the configuration file.
    config: String,
    /// The text of the credentials file.
    credentials: String,
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
            .with_contents(EnvConfigFileKind::Config, config.clone())
            .with_contents(EnvConfigFileKind::Credentials, credentials.clone())
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
            Some(_) | None => Ok(Self { name, set, config, credentials }),
        }
    }

    /// A property of the active profile.
    pub fn get(&self, property: &str) -> Option<&str> {
        self.set.get(property)
    }

    /// The file of authorities that the active profile trusts, and the name of the profile. `AWS_CA_BUNDLE` wins.
    ///
    /// Source: AWS SDKs and tools reference guide, "General configuration".
    pub fn ca_bundle(&self, environment: &Environment) -> Option<(&str, &str)> {
        let path = self.get("ca_bundle").filter(|path| !path.trim().is_empty())?;
        environment.get_first(AWS_CA_BUNDLE.variable_names()).is_none().then_some((path, self.name.as_str()))
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

    /// The files for the AWS SDK, which starts no program: where it would, it finds `keys` of the profile of this name.
    pub fn files(&self, keys: Option<(&str, &Credentials)>) -> EnvConfigFiles {
        let mut credentials = Zeroizing::new(without_programs(&self.credentials));
        if let Some((name, keys)) = keys {
            let (id, secret) = (keys.access_key_id(), keys.secret_access_key());
            credentials.push_str(&format!("\n[{name}]\naws_access_key_id={id}\naws_secret_access_key={secret}\n"));
            if let Some(token) = keys.session_token() {
                credentials.push_str(&format!("aws_session_token={token}\n"));
            }
        }
        EnvConfigFiles::builder()
            .with_contents(EnvConfigFileKind::Config, without_programs(&self.config))
            .with_contents(EnvConfigFileKind::Credentials, credentials.as_str())
            .build()
    }
}

/// The profiles that give credentials.
pub(super) struct Identities {
    /// Their names.
    pub names: Vec<String>,
    /// Those among them that start a program for it.
    pub programs: Vec<String>,
}

impl Identities {
    /// Reads both files.
    ///
    /// # Errors
    /// As [`Profiles::read`].
    pub async fn read(environment: &Environment) -> Result<Self, Error> {
        let profiles = Profiles::read(environment).await?;
        let set = &profiles.set;
        let has = |name: &str, properties: &[&str]| {
            let profile = set.get_profile(name);
            profile.is_some_and(|profile| properties.iter().any(|property| profile.get(property).is_some()))
        };
        let names = set.profiles().filter(|name| has(name, &CREDENTIAL_PROPERTIES)).map(str::to_owned);
        let mut names: Vec<String> = names.collect();
        names.sort();
        let programs = names.iter().filter(|name| has(name, &["credential_process"])).cloned().collect();
        Ok(Self { names, programs })
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
pub(super) struct ProfileFile {
    pub variable: &'static str,
    default_path: &'static str,
}

/// The variables that name the files of profiles.
pub(crate) const PROFILE_FILES: [&str; 2] = [CONFIG.variable, CREDENTIALS.variable];

pub(super) const CONFIG: ProfileFile = ProfileFile { variable: "AWS_CONFIG_FILE", default_path: "~/.aws/config" };
pub(super) const CREDENTIALS: ProfileFile =
    ProfileFile { variable: "AWS_SHARED_CREDENTIALS_FILE", default_path: "~/.aws/credentials" };

/// The path of a file of profiles. Without a home directory no file is there.
pub(super) fn path(environment: &Environment, file: &ProfileFile) -> PathBuf {
    expand(environment.get(file.variable).unwrap_or(file.default_path), environment)
        .unwrap_or_else(|| PathBuf::from("/dev/null"))
}

fn expand(path: &str, environment: &Environment) -> Option<PathBuf> {
    let Some(rest) = path.strip_prefix("~/") else { return Some(PathBuf::from(path)) };
    home(environment).map(|home| home.join(rest))
}

/// The home directory of the user, as readers in Python and Java find it, which ask the system where the variable is missing.
pub(crate) fn home(environment: &Environment) -> Option<PathBuf> {
    let home = environment.get(HOME).map(PathBuf::from).or_else(std::env::home_dir);
    home.filter(|home| home.is_absolute())
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
        Err(error) if error.kind() == ErrorKind::NotFound && !is_garbled(environment, file) => Ok(String::new()),
        // A home that nobody may enter, or that is none: the service account of a container, a unit without homes.
        Err(error) if error.kind() != ErrorKind::InvalidData && !is_named(environment, file) => Ok(String::new()),
        Err(error) => Err(Error::NotConfigured {
            problem: format!("the AWS profile file {} cannot be read", path.display()),
            remedy: format!("make it a readable text file, or name another one in {}", file.variable),
            source: Some(Box::new(error)),
        }),
    }
}

/// Whether the variable that names this file holds a path that is not text.
fn is_garbled(environment: &Environment, file: &ProfileFile) -> bool {
    environment.get(file.variable).is_some_and(|path| path.contains(char::REPLACEMENT_CHARACTER))
}

/// Whether somebody counts on this file: a variable names it, or a profile.
fn is_named(environment: &Environment, file: &ProfileFile) -> bool {
    environment.get(file.variable).is_some() || environment.get_first(&PROFILE).is_some()
}

/// The first file of boto with credentials, if any: botocore asks it before an endpoint.
///
/// Source: botocore, `BotoProvider`.
pub(crate) fn boto_file_with_credentials(environment: &Environment) -> Option<PathBuf> {
    let files = [Some(PathBuf::from("/etc/boto.cfg")), expand("~/.boto", environment)];
    files.into_iter().flatten().find(|file| std::fs::read_to_string(file).is_ok_and(|text| has_boto_credentials(&text)))
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

/// Leaves each `credential_process` out, with the lines that continue it.
fn without_programs(contents: &str) -> String {
    let mut is_program = false;
    let mut left = String::with_capacity(contents.len());
    for line in contents.lines() {
        if !line.starts_with([' ', '\t']) {
            let name = line.split_once('=').map(|(name, _)| name.trim_end());
            is_program = name.is_some_and(|name| name.eq_ignore_ascii_case("credential_process"));
        }
        if !is_program {
            left.extend([line, "\n"]);
        }
    }
    left
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
    #[test]
    fn without_home_files_are_looked_for_where_the_system_says() {
        let home = std::env::home_dir().expect("the user of this test is known");
        assert_eq!(path(&Environment::from_pairs([]), &CONFIG), home.join(".aws/config"));
    }

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::from_pairs(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn a_credential_process_is_left_out_with_the_lines_that_continue_it() {
        assert_eq!(
            without_programs(
                "[default]\nCredential_Process = /bin/tool \\\n  --json\nregion=eu-north-1\ns3 =\n  a = b\n"
            ),
            "[default]\nregion=eu-north-1\ns3 =\n  a = b\n"
        );
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
    async fn a_home_that_nobody_may_enter_is_passed_over_unless_somebody_counts_on_it() {
        let home = ("HOME", "/dev/null");
        Profiles::read(&environment(&[home])).await.expect("there are no profiles");
        assert_eq!(default_profile_with_credentials(&environment(&[home])).await.expect("none"), None);
        let error = Profiles::read(&environment(&[home, ("AWS_PROFILE", "prod")])).await.err().expect("it is named");
        assert_eq!(
            error.to_string(),
            "the AWS profile file /dev/null/.aws/config cannot be read; make it a readable text file, or name another one \
             in AWS_CONFIG_FILE"
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
