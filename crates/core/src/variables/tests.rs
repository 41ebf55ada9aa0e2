//! What readers find after each single write: who they found before, the role, or an error.

mod handed_on;
mod leftovers;

mod workers;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::*;
use crate::blocking::block_on;

type Variables = BTreeMap<String, String>;

/// Who readers find behind our endpoint.
const ROLE: &str = "role";
const URL: &str = "http://127.0.0.1:40001/credentials";

fn credentials(name: &str) -> Credentials {
    Credentials::new(
        format!("ASIA{name}"),
        format!("{name} secret"),
        format!("{name} token"),
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        Duration::from_secs(3600),
        None,
    )
}

fn variables(pairs: &[(&str, &str)]) -> Variables {
    let nothing = [("AWS_CONFIG_FILE", "/nonexistent"), ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")];
    nothing.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn environment(held: &Variables, written: &[Written]) -> Environment {
    Environment::from_pairs(held.clone()).before(written)
}

fn apply(held: &mut Variables, (name, value): &Change) {
    match value {
        Some(value) => held.insert((*name).to_owned(), value.to_string()),
        None => held.remove(*name),
    };
}

fn credentials_changes(name: &str, environment: &Environment) -> Vec<Change> {
    block_on(async { Ok(for_credentials(&credentials(name), environment).await) }).expect("a runtime").changes
}

fn endpoint_changes(environment: &Environment) -> Vec<Change> {
    let changes = for_endpoint(URL, "canary-token", Path::new("/run/token"), environment);
    block_on(changes).expect("no file is preferred").changes
}

/// The changes to the endpoint of [`ROLE`], or to credentials of this name.
fn changes_to(name: &str, environment: &Environment) -> Vec<Change> {
    if name == ROLE { endpoint_changes(environment) } else { credentials_changes(name, environment) }
}

fn get(held: &Variables) -> impl Fn(&str) -> Option<String> {
    |name| held.get(name).cloned()
}

/// The keys of the environment as one identity: `error` when they do not belong together.
fn keys(held: &Variables) -> Option<String> {
    let get = |name: &str| held.get(name).map(String::as_str);
    let key = get(ACCESS_KEY_ID)?;
    let name = key.strip_prefix("ASIA").or(key.strip_prefix("AKIA"))?;
    let token = get("AWS_SECURITY_TOKEN").or(get(SESSION_TOKEN));
    let has_token = if key.starts_with("ASIA") { token == Some(&format!("{name} token")) } else { token.is_none() };
    let is_whole = has_token && get(SECRET_ACCESS_KEY) == Some(&format!("{name} secret"));
    Some(if is_whole { name.to_owned() } else { "error".to_owned() })
}

fn profile(held: &Variables) -> Option<String> {
    held.get("AWS_PROFILE").map(|name| format!("profile {name}"))
}

fn web_identity(held: &Variables) -> Option<String> {
    held.get("AWS_WEB_IDENTITY_TOKEN_FILE").and(held.get("AWS_ROLE_ARN")).map(|_| "web identity".to_owned())
}

fn container(held: &Variables) -> Option<String> {
    let path = held.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|_| "container".to_owned());
    path.or_else(|| {
        let url = held.get(CONTAINER_URL)?;
        let file = held.get(CONTAINER_TOKEN_FILE)?;
        Some(match (url.as_str(), file.as_str()) {
            (URL, "/run/token") => ROLE.to_owned(),
            ("http://169.254.170.23/v1/credentials", "/var/run/token") => "container".to_owned(),
            _ => "error".to_owned(),
        })
    })
}

/// What three readers with different orders find: botocore, the SDK for JavaScript, the SDK for .NET.
fn found(held: &Variables) -> [String; 3] {
    let machine = || "the machine's role".to_owned();
    let botocore = keys(held).or(profile(held)).or(web_identity(held)).or(container(held));
    let javascript = profile(held).or(keys(held)).or(web_identity(held)).or(container(held));
    let dotnet = web_identity(held).or(profile(held)).or(keys(held)).or(container(held));
    [botocore, javascript, dotnet].map(|identity| identity.unwrap_or_else(machine))
}

/// Makes the writes one by one; after each, every reader finds what it found before, `new`, or an error.
fn check_each_write(held: &mut Variables, writes: &[Change], new: &str) {
    let before = found(held);
    for change in writes {
        apply(held, change);
        for (now, before) in found(held).iter().zip(&before) {
            assert!(
                [before.as_str(), new, "error"].contains(&now.as_str()),
                "{now} after {}: {before} to {new}",
                change.0
            );
        }
    }
}

/// The environments that a process may have before we write.
fn bases() -> Vec<Variables> {
    let keys = [("AWS_ACCESS_KEY_ID", "AKIAbase"), ("AWS_SECRET_ACCESS_KEY", "base secret")];
    let session = [
        ("AWS_ACCESS_KEY_ID", "ASIAbase"),
        ("AWS_SECRET_ACCESS_KEY", "base secret"),
        ("AWS_SECURITY_TOKEN", "base token"),
        ("AWS_CREDENTIAL_EXPIRATION", "2026-01-01T00:00:00Z"),
    ];
    let profile = [("AWS_PROFILE", "base")];
    let web_identity = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"), ("AWS_ROLE_ARN", "arn:aws:iam::1:role/sa")];
    let container = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/var/run/token"),
    ];
    let task = [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials")];
    vec![
        variables(&[]),
        variables(&keys),
        variables(&session),
        variables(&profile),
        variables(&web_identity),
        variables(&container),
        variables(&task),
        variables(&[keys.as_slice(), &profile, &web_identity, &container].concat()),
    ]
}

#[test]
fn after_each_write_a_reader_finds_the_base_or_the_role_or_an_error() {
    for base in bases() {
        let mut held = base.clone();
        let mut written = Vec::new();
        for new in ["A", ROLE, "B", "C"] {
            let plan = plan(changes_to(new, &environment(&held, &written)), &written, get(&held));
            check_each_write(&mut held, &plan.writes, new);
            assert_eq!(found(&held), [new; 3], "{base:?}");
            written = plan.written;
        }
        let renewal = plan_renewal(&credentials("D"), &written, get(&held)).expect("nobody has touched them");
        check_each_write(&mut held, &renewal.writes, "D");
        assert_eq!(found(&held), ["D"; 3]);
        let before = found(&base);
        let writes = plan_release(&renewal.written, get(&held));
        for change in &writes {
            apply(&mut held, change);
            for (now, before) in found(&held).iter().zip(&before) {
                assert!(["D", before.as_str(), "error"].contains(&now.as_str()), "{now} after {}", change.0);
            }
        }
        let expected: Variables = base.into_iter().filter(|(name, _)| name != CREDENTIAL_EXPIRATION).collect();
        assert_eq!(held, expected);
    }
}

#[test]
fn a_program_that_starts_between_two_writes_never_takes_a_role_for_its_base() {
    let issued = ["ASIAA", "ASIAB", "ASIAC"];
    for base in bases() {
        let mut held = base;
        let mut written = Vec::new();
        let check = |held: &Variables| {
            let child = environment(held, &[]);
            let key = child.get(ACCESS_KEY_ID);
            assert!(key.is_none_or(|key| !issued.contains(&key)), "{key:?}");
            assert_ne!(child.get(CONTAINER_URL), Some(URL));
        };
        for name in ["A", ROLE, "B"] {
            let plan = plan(changes_to(name, &environment(&held, &written)), &written, get(&held));
            for change in &plan.writes {
                apply(&mut held, change);
                check(&held);
            }
            written = plan.written;
        }
        let renewal = plan_renewal(&credentials("C"), &written, get(&held)).expect("nobody has touched them");
        let release = |held: &Variables| plan_release(&renewal.written, get(held));
        for change in &renewal.writes {
            apply(&mut held, change);
            check(&held);
        }
        for change in &release(&held) {
            apply(&mut held, change);
            check(&held);
        }
    }
}

#[test]
fn a_failed_step_leaves_everything_as_it_was() {
    for base in bases() {
        let first = plan(credentials_changes("A", &environment(&base, &[])), &[], get(&base));
        let mut held = base.clone();
        first.writes.iter().for_each(|change| apply(&mut held, change));
        let with_first = held.clone();
        let second = plan(endpoint_changes(&environment(&held, &first.written)), &first.written, get(&held));
        second.writes.iter().for_each(|change| apply(&mut held, change));
        second.undo.iter().for_each(|change| apply(&mut held, change));
        assert_eq!(held, with_first);
        first.undo.iter().for_each(|change| apply(&mut held, change));
        assert_eq!(held, base);
    }
}

#[test]
fn the_base_is_what_it_was_however_often_roles_are_assumed() {
    for base in bases() {
        let (mut held, mut written) = (base.clone(), Vec::new());
        for name in ["A", "B"] {
            let before = environment(&held, &written);
            let expected: Variables =
                base.clone().into_iter().filter(|(name, _)| name != CREDENTIAL_EXPIRATION).collect();
            let known = before.saved().into_iter().filter(|(name, _)| name != CREDENTIAL_EXPIRATION);
            assert_eq!(known.map(|(name, value)| (name, value.to_string())).collect::<Variables>(), expected);
            let plan = plan(credentials_changes(name, &before), &written, get(&held));
            plan.writes.iter().for_each(|change| apply(&mut held, change));
            written = plan.written;
        }
    }
}

#[test]
fn what_somebody_else_has_written_since_stays() {
    let base = variables(&[("AWS_PROFILE", "base")]);
    let first = plan(credentials_changes("A", &environment(&base, &[])), &[], get(&base));
    let mut held = base;
    first.writes.iter().for_each(|change| apply(&mut held, change));
    for (name, value) in
        [("AWS_PROFILE", "prod"), ("AWS_ACCESS_KEY_ID", "AKIAown"), ("AWS_SECRET_ACCESS_KEY", "own secret")]
    {
        held.insert(name.to_owned(), value.to_owned());
    }
    assert!(plan_renewal(&credentials("B"), &first.written, get(&held)).is_none(), "the keys are somebody else's");
    for change in plan_release(&first.written, get(&held)) {
        apply(&mut held, &change);
    }
    let own = [("AWS_PROFILE", "prod"), ("AWS_ACCESS_KEY_ID", "AKIAown"), ("AWS_SECRET_ACCESS_KEY", "own secret")];
    assert_eq!(held, variables(&own));
}

#[test]
fn both_modes_remove_what_some_reader_prefers() {
    let preferred = [
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_SECURITY_TOKEN",
        "AWS_CREDENTIAL_FILE",
        "AWS_BEARER_TOKEN_BEDROCK",
        "AWS_ACCESS_KEY",
        "AWS_SECRET_KEY",
        "AWS_CREDENTIAL_PROFILES_FILE",
        "AWS_IAM_ROLE_ARN",
        "AWS_S3_ASSUME_ROLE_ARN",
        "FSSPEC_S3_KEY",
        "FSSPEC_S3A_PROFILE",
    ];
    let nothing = environment(&variables(&[]), &[]);
    for changes in [credentials_changes("A", &nothing), endpoint_changes(&nothing)] {
        for name in preferred {
            assert!(changes.contains(&(name, None)), "{name}");
        }
    }
    let endpoint = endpoint_changes(&nothing);
    for name in
        ["AWS_ACCESS_KEY_ID", "AWS_CREDENTIAL_EXPIRATION", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "BOTO_CONFIG"]
    {
        assert!(endpoint.contains(&(name, None)), "{name}");
    }
    let last = credentials_changes("A", &nothing).pop().expect("changes");
    assert_eq!(
        (last.0, last.1.as_deref().map(String::as_str)),
        ("AWS_CREDENTIAL_EXPIRATION", Some("2027-01-15T08:00:00Z"))
    );
}

#[test]
fn proxies_are_kept_away_from_an_endpoint_and_from_what_they_were_kept_away_from() {
    for (held, expected) in [
        (vec![], ["127.0.0.1", "127.0.0.1"]),
        (vec![("NO_PROXY", "a,b,")], ["a,b,127.0.0.1", "a,b,127.0.0.1"]),
        (vec![("no_proxy", "c")], ["c,127.0.0.1", "c,127.0.0.1"]),
        (vec![("NO_PROXY", "a"), ("no_proxy", "127.0.0.1, c")], ["a,127.0.0.1", "127.0.0.1, c"]),
        (vec![("NO_PROXY", "*")], ["*", "*"]),
    ] {
        let changes = endpoint_changes(&environment(&variables(&held), &[]));
        for (name, expected) in NO_PROXY.iter().zip(expected) {
            let value = changes.iter().find(|(changed, _)| changed == name).and_then(|(_, value)| value.as_deref());
            assert_eq!(value.map(String::as_str), Some(expected), "{name} of {held:?}");
        }
    }
    let with_credentials = credentials_changes("A", &environment(&variables(&[]), &[]));
    assert!(!with_credentials.iter().any(|(name, _)| NO_PROXY.contains(name)));
}

/// Writes a file of this test and returns its path.
fn file(name: &str, contents: &str) -> String {
    let path = std::env::temp_dir().join(format!("hops-variables-{}-{name}", std::process::id()));
    std::fs::write(&path, contents).expect("the temporary directory can be written");
    path.to_string_lossy().into_owned()
}

#[test]
fn a_profile_that_is_removed_leaves_its_region_its_endpoints_and_its_authorities() {
    let config = file(
        "carried",
        "[profile base]\nregion = eu-north-1\nendpoint_url = http://127.0.0.1:4566\nca_bundle = /etc/ca.pem\n\
         services = dev\nrequest_checksum_calculation = when_required\nretry_mode = adaptive\noutput = table\naws_access_key_id = AKIAbase\naws_secret_access_key = canary\ns3 =\n  addressing_style = path\n\
         [services dev]\ns3 =\n  endpoint_url = http://127.0.0.1:9000\niot =\n  endpoint_url = http://127.0.0.1:9001\n\
         [services other]\nsts =\n  endpoint_url = http://127.0.0.1:9002\n",
    );
    let base = [("AWS_CONFIG_FILE", config.as_str()), ("AWS_PROFILE", "base"), ("AWS_CA_BUNDLE", "/own.pem")];
    let effects = |pairs: &[(&str, &str)]| {
        let environment = environment(&variables(pairs), &[]);
        block_on(async { Ok(for_credentials(&credentials("A"), &environment).await) }).expect("a runtime")
    };
    let carried = |effects: &Effects| {
        let carried = effects.changes.iter().filter_map(|(name, value)| Some((*name, value.as_ref()?.to_string())));
        let ours = [ISSUED, ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN, CREDENTIAL_EXPIRATION];
        carried.filter(|(name, _)| !ours.contains(name) && !name.starts_with("HOPS_BASE_")).collect::<Vec<_>>()
    };
    let all = effects(&base);
    let expected = [
        ("AWS_REGION", "eu-north-1"),
        ("AWS_DEFAULT_REGION", "eu-north-1"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000"),
        ("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required"),
        ("AWS_RETRY_MODE", "adaptive"),
        ("AWS_DEFAULT_OUTPUT", "table"),
    ];
    assert_eq!(carried(&all), expected.map(|(name, value)| (name, value.to_owned())));
    assert_eq!(
        all.warnings,
        [
            "readers no longer see the profile \"base\", and what it says about the service iot, `s3` has no variable: set it \
          in the program"
        ]
    );
    let with_region = effects(&[base.as_slice(), &[("AWS_DEFAULT_REGION", "us-east-1")]].concat());
    assert_eq!(carried(&with_region)[0], ("AWS_REGION", "us-east-1".to_owned()));
    let unnamed = effects(&[("AWS_CONFIG_FILE", config.as_str())]);
    assert_eq!((carried(&unnamed), unnamed.warnings), (Vec::new(), Vec::new()));
}

#[test]
fn an_endpoint_is_refused_where_boto_would_prefer_a_file() {
    let home = file("home", "");
    std::fs::remove_file(&home).and_then(|()| std::fs::create_dir_all(&home)).expect("a directory");
    std::fs::write(format!("{home}/.boto"), "[Credentials]\naws_access_key_id = AKIASTRANGER\n").expect("a file");
    let environment = environment(&variables(&[("HOME", &home)]), &[]);
    let error = block_on(for_endpoint(URL, "canary-token", Path::new("/run/token"), &environment));
    assert_eq!(
        error.expect_err("a file that some readers prefer").to_string(),
        format!(
            "{home}/.boto holds credentials, which some readers prefer to an endpoint, so they would read as somebody \
             else; take the section [Credentials] out of it, or leave the endpoint out and assume the role without refresh"
        )
    );
}

#[test]
fn the_endpoint_of_somebody_else_stays_when_credentials_are_written() {
    let url = (CONTAINER_URL, "http://127.0.0.1:1/credentials");
    let names = |pairs: &[(&str, &str)]| {
        let changes = credentials_changes("A", &environment(&variables(pairs), &[]));
        changes.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert!(names(&[url, (ISSUED, url.1)]).contains(&CONTAINER_URL));
    assert!(!names(&[url]).contains(&CONTAINER_URL));
}
