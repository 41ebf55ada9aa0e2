//! Credentials that we issued never become the base identity: not at the next fetch, not for the next role, not in a
//! child process.
//!
//! These tests change the environment of a process, so each one starts this program again with an environment of its
//! own, in which the same test plays the part that `PART` names.

use std::process::Command;
use std::sync::Mutex;

use hops_credentials_core::base_identity::{Environment, ISSUED};
use hops_credentials_core::variables::{self, Change, Written};

use super::*;

const PART: &str = "HOPS_TEST_PART";
const WRITER: &str = "arn:aws:iam::123456789012:role/writer";

/// Answers as an STS whose roles trust `AKIABASE` and nobody else, not even themselves.
fn trusts_the_base(request: &Request) -> Reply {
    let role = request.field("RoleArn").and_then(|role| role.rsplit_once("%2F")).map(|(_, name)| name);
    match (request.signer(), role) {
        ("AKIABASE", Some(role)) => {
            let hour = instant(SystemTime::now() + Duration::from_secs(3600));
            Reply::http("200 OK", "", credentials_xml(&format!("ASIA{}", role.to_uppercase()), &hour))
        }
        (signer, _) => Reply::http("403 Forbidden", "", error_xml("AccessDenied", &format!("{signer} may not"))),
    }
}

/// What this process wrote, as a binding keeps it.
static WRITTEN: Mutex<Vec<Written>> = Mutex::new(Vec::new());

fn base() -> Environment {
    Environment::now(&WRITTEN.lock().expect("one thread"))
}

/// Writes credentials as a binding does.
async fn write(issued: &IssuedCredentials) {
    let effects = variables::for_credentials(&issued.credentials, &base()).await;
    let mut written = WRITTEN.lock().expect("one thread");
    let plan = variables::plan(effects.changes, &written, |name| std::env::var(name).ok());
    plan.writes.iter().for_each(set);
    *written = plan.written;
}

#[expect(unsafe_code, reason = "this program has one thread while the test runs")]
fn set((name, value): &Change) {
    // SAFETY: the runtime of the test is current-thread, and nothing else reads the environment meanwhile.
    match value {
        Some(value) => unsafe { std::env::set_var(name, value.as_str()) },
        None => unsafe { std::env::remove_var(name) },
    }
}

/// Fetches as a binding does: with a new source for each call, from the process's own environment.
async fn fetch(role: &str) -> Result<IssuedCredentials, Error> {
    let sts = Sts::new(&Settings::from_environment(), &base()).expect("nothing is set that could be wrong");
    assume(&sts, role, 3600, &Extras::default()).await
}

/// Starts this program again for one part of a test, and waits until it has succeeded.
async fn play(test: &str, part: &str, environment: &[(&str, &str)]) {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env_clear().envs(environment.iter().copied());
    // The metadata service of the machine that runs the tests is never asked.
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command.env(PART, part).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it runs").expect("it starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "{part}: {stdout}{stderr}");
    assert!(!stdout.contains("canary") && !stderr.contains("canary"), "{part}: {stdout}{stderr}");
}

fn part() -> Option<String> {
    std::env::var(PART).ok()
}

fn signers(sts: &Fake) -> Vec<String> {
    sts.seen().iter().map(|request| request.signer().to_owned()).collect()
}

#[tokio::test]
async fn a_role_that_may_not_assume_itself_can_be_fetched_repeatedly() {
    const TEST: &str = "issued::a_role_that_may_not_assume_itself_can_be_fetched_repeatedly";
    match part().as_deref() {
        None => {
            let sts = Fake::start(trusts_the_base).await;
            let variables = [
                ("AWS_ACCESS_KEY_ID", "AKIABASE"),
                ("AWS_SECRET_ACCESS_KEY", "canary-base-secret"),
                ("AWS_REGION", "eu-north-1"),
                ("AWS_ENDPOINT_URL_STS", &sts.url()),
                ("AWS_CONFIG_FILE", "/nonexistent/config"),
                ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials"),
            ];
            play(TEST, "process", &variables).await;
            assert_eq!(signers(&sts), ["AKIABASE"; 4]);
        }
        Some("process") => {
            for (role, key) in
                [(ROLE, "ASIAREADER"), (ROLE, "ASIAREADER"), (ROLE, "ASIAREADER"), (WRITER, "ASIAWRITER")]
            {
                let issued = fetch(role).await.expect("the base may");
                assert_eq!(issued.credentials.access_key_id(), key);
                write(&issued).await;
            }
            let inherited: Vec<(String, String)> = std::env::vars().collect();
            let inherited: Vec<_> = inherited.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            play(TEST, "child", &inherited).await;
        }
        Some(_) => {
            let error = fetch(ROLE).await.expect_err("only issued credentials are here");
            assert_eq!(
                message(&error),
                "this process has no base identity of its own: that of the process that assumed the role, access key \
                 AKIABASE, is not handed on; call assumeRole in the process that has the base identity, or give this one \
                 its own (AWS_PROFILE, a service account, a container or an instance profile)"
            );
        }
    }
}

#[tokio::test]
async fn a_child_process_uses_its_own_profile() {
    const TEST: &str = "issued::a_child_process_uses_its_own_profile";
    match part() {
        None => {
            let sts = Fake::start(trusts_the_base).await;
            let config = file(
                "child_profile",
                "[default]\nregion=eu-north-1\naws_access_key_id=AKIABASE\naws_secret_access_key=canary-base-secret\n",
            );
            let variables = [
                ("AWS_ACCESS_KEY_ID", "ASIAISSUED"),
                ("AWS_SECRET_ACCESS_KEY", "canary-issued-secret"),
                ("AWS_SESSION_TOKEN", "canary-issued-token"),
                (ISSUED, "ASIAISSUED"),
                ("AWS_CONFIG_FILE", &config),
                ("AWS_ENDPOINT_URL_STS", &sts.url()),
            ];
            play(TEST, "child", &variables).await;
            assert_eq!(signers(&sts), ["AKIABASE"]);
            assert_eq!(sts.seen()[0].header("x-amz-security-token"), None);
        }
        Some(_) => {
            fetch(ROLE).await.expect("the profile may");
        }
    }
}

#[tokio::test]
async fn a_credential_process_does_not_see_what_we_wrote() {
    const TEST: &str = "issued::a_credential_process_does_not_see_what_we_wrote";
    match part() {
        None => {
            let sts = Fake::start(trusts_the_base).await;
            let config = file(
                "process_sees",
                "[default]\nregion=eu-north-1\ncredential_process=test -z \"$AWS_ACCESS_KEY_ID$AWS_SESSION_TOKEN\" && \
                 echo '{\"Version\":1,\"AccessKeyId\":\"AKIABASE\",\"SecretAccessKey\":\"canary-base-secret\"}'\n",
            );
            let variables = [
                ("AWS_CONFIG_FILE", config.as_str()),
                ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials"),
                ("AWS_ENDPOINT_URL_STS", &sts.url()),
            ];
            play(TEST, "process", &variables).await;
            assert_eq!(signers(&sts), ["AKIABASE"; 2]);
        }
        Some(_) => {
            write(&fetch(ROLE).await.expect("the base may")).await;
            fetch(ROLE).await.expect("the base may, again");
        }
    }
}

#[tokio::test]
async fn a_credential_process_gets_all_variables_as_they_were_when_the_base_identity_was_asked_for() {
    const TEST: &str =
        "issued::a_credential_process_gets_all_variables_as_they_were_when_the_base_identity_was_asked_for";
    match part() {
        None => {
            let sts = Fake::start(trusts_the_base).await;
            let config = file(
                "process_inherits",
                "[default]\nregion=eu-north-1\ncredential_process=test \"$COLOUR $NEW $HOME\" = 'blue  /nonexistent' && \
                 echo '{\"Version\":1,\"AccessKeyId\":\"AKIABASE\",\"SecretAccessKey\":\"canary-base-secret\"}'\n",
            );
            let variables = [
                ("AWS_CONFIG_FILE", config.as_str()),
                ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials"),
                ("AWS_ENDPOINT_URL_STS", &sts.url()),
                ("COLOUR", "blue"),
                ("HOME", "/nonexistent"),
            ];
            play(TEST, "process", &variables).await;
            assert_eq!(signers(&sts), ["AKIABASE"]);
        }
        Some(_) => {
            let asked = Sts::new(&Settings::from_environment(), &base()).expect("nothing is set that could be wrong");
            // Another thread of the program goes on meanwhile.
            for name in ["COLOUR", "NEW"] {
                set(&(name, Some("red".to_owned().into())));
            }
            assume(&asked, ROLE, 3600, &Extras::default()).await.expect("the program finds what it needs");
        }
    }
}

#[tokio::test]
async fn a_base_identity_that_is_set_or_corrected_later_counts_from_then_on() {
    const TEST: &str = "issued::a_base_identity_that_is_set_or_corrected_later_counts_from_then_on";
    let change = |name: &'static str, value: &str| set(&(name, Some(value.to_owned().into())));
    match part() {
        None => {
            let sts = Fake::start(trusts_the_base).await;
            let config = file(
                "set_later",
                "[profile other]\naws_access_key_id=AKIAOTHER\naws_secret_access_key=canary-other-secret\n",
            );
            let variables = [
                ("AWS_ACCESS_KEY_ID", "AKIABASE"),
                ("AWS_SECRET_ACCESS_KEY", "canary-base-secret"),
                ("AWS_ENDPOINT_URL_STS", &sts.url()),
                ("AWS_CONFIG_FILE", &config),
                ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials"),
            ];
            play(TEST, "process", &variables).await;
            assert_eq!(signers(&sts), ["AKIABASE", "AKIARENEWED", "AKIAOTHER"]);
        }
        Some(_) => {
            let error = fetch(ROLE).await.expect_err("no region");
            assert_eq!(
                message(&error),
                "no AWS region to call STS in; set AWS_REGION, for example AWS_REGION=eu-north-1"
            );
            change("AWS_REGION", "eu-north-1");
            write(&fetch(ROLE).await.expect("the remedy was followed")).await;
            change("AWS_ACCESS_KEY_ID", "AKIARENEWED");
            change("AWS_SECRET_ACCESS_KEY", "canary-renewed-secret");
            fetch(ROLE).await.expect_err("the renewed keys are asked for, and may not");
            set(&("AWS_ACCESS_KEY_ID", None));
            set(&("AWS_SECRET_ACCESS_KEY", None));
            change("AWS_PROFILE", "other");
            fetch(ROLE).await.expect_err("the other profile is asked for, and may not");
        }
    }
}

#[tokio::test]
async fn another_copy_of_the_library_finds_the_base_by_the_record_of_the_first() {
    const TEST: &str = "issued::another_copy_of_the_library_finds_the_base_by_the_record_of_the_first";
    match part() {
        None => {
            let sts = Fake::start(trusts_the_base).await;
            let variables = [
                ("AWS_ACCESS_KEY_ID", "ASIAISSUED"),
                ("AWS_SECRET_ACCESS_KEY", "canary-issued-secret"),
                ("AWS_SESSION_TOKEN", "canary-issued-token"),
                (ISSUED, "ASIAISSUED"),
                ("AWS_REGION", "eu-north-1"),
                ("AWS_ENDPOINT_URL_STS", &sts.url()),
            ];
            play(TEST, "second copy", &variables).await;
            assert_eq!(signers(&sts), ["AKIABASE"]);
        }
        Some(_) => {
            let record = [
                (ISSUED, None, "ASIAISSUED"),
                ("AWS_ACCESS_KEY_ID", Some("AKIABASE"), "ASIAISSUED"),
                ("AWS_SECRET_ACCESS_KEY", Some("canary-base-secret"), "canary-issued-secret"),
                ("AWS_SESSION_TOKEN", None, "canary-issued-token"),
            ];
            let written = record.map(|(name, before, ours)| {
                Written::new(name, before.map(str::to_owned), Some(ours.to_owned())).expect("a variable that we write")
            });
            *WRITTEN.lock().expect("one thread") = written.to_vec();
            fetch(ROLE).await.expect("the base may");
        }
    }
}
