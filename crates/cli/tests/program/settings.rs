//! Where the settings come from, and what scripts read.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use super::server::{Server, credentials};
use super::{PROGRAM, READER, directory, output, program, text};

const HOUR: Duration = Duration::from_secs(3600);

/// The program without settings in its environment, but for these.
fn without_settings(server: &Server, directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = program(server, directory, arguments);
    for name in ["REST_ENDPOINT", "HOPSWORKS_PROJECT_ID", "API_KEY"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    command
}

fn write_settings(path: &Path, text: &str, mode: u32) {
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("it is ours");
}

fn login(server: &Server) -> String {
    let requests = server.requests();
    let head = requests.last().expect("a request").clone();
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("authorization: ")).expect("a login");
    line["authorization: ".len()..].to_owned()
}

#[test]
fn a_program_without_variables_finds_the_settings_of_its_user() {
    let server = Server::issuing(HOUR);
    let directory = directory("settings");
    let file = directory.join("home/.config/hops-credentials/settings");
    let common = format!("# ours\n\nREST_ENDPOINT = {}\nHOPSWORKS_PROJECT_ID=119\n", server.endpoint);
    write_settings(&file, &format!("{common}API_KEY=canary.of.file\n"), 0o600);
    let arguments = ["process", "--role", READER];
    // A key of another program is not for this server.
    let done = output(without_settings(&server, &directory, &arguments, &[("API_KEY", "canary.of.another.program")]));
    assert!(text(&done.stdout).contains("ASIA1"), "{}", text(&done.stderr));
    assert_eq!(login(&server), "ApiKey canary.of.file");
    // A key of the file is not for another server.
    let other = Server::issuing(HOUR);
    let variables = [
        ("REST_ENDPOINT", other.endpoint.as_str()),
        ("HOPSWORKS_PROJECT_ID", "1"),
        ("API_KEY", "canary.of.environment"),
    ];
    assert!(output(without_settings(&server, &directory, &arguments, &variables)).status.success());
    assert_eq!(login(&other), "ApiKey canary.of.environment");
    // Others may not read it.
    write_settings(&file, &format!("{common}API_KEY=canary.of.file\n"), 0o644);
    let refused = output(without_settings(&server, &directory, &arguments, &[]));
    assert_eq!(refused.status.code(), Some(4));
    assert!(
        text(&refused.stderr)
            .ends_with("holds API_KEY, and others may read it; take their permission away: chmod 600\n")
    );
    // Others may read the file that names the file of the key.
    let key = directory.join("key");
    write_settings(&key, "canary.of.key.file\n", 0o600);
    write_settings(&file, &format!("{common}API_KEY_FILE={}\n", key.display()), 0o644);
    assert!(output(without_settings(&server, &directory, &arguments, &[])).status.success());
    assert_eq!(login(&server), "ApiKey canary.of.key.file");
    write_settings(&file, "REST_ENDPONT=x\n", 0o644);
    let mistyped = output(without_settings(&server, &directory, &arguments, &[]));
    assert!(
        text(&mistyped.stderr).contains("holds no setting in line 1; write NAME=VALUE"),
        "{}",
        text(&mistyped.stderr)
    );
}

#[test]
fn what_directory_and_environment_say_of_their_own_server_is_not_for_the_server_of_the_file() {
    let server = Server::issuing(HOUR);
    let directory = directory("settings-alone");
    let file = directory.join("settings");
    std::fs::write(directory.join("token.jwt"), "canary.jwt.of.another.server").expect("a file");
    std::fs::write(directory.join("key"), "canary.of.key.file").expect("a file");
    let common = format!("REST_ENDPOINT={}\nHOPSWORKS_PROJECT_ID=119\n", server.endpoint);
    let arguments = ["process", "--role", READER, "--settings", "settings"];
    let of_another_server = [
        ("REST_ENDPOINT", "https://another.example"),
        ("SECRETS_DIR", "."),
        ("REQUESTS_VERIFY", "whatever the other server needs"),
        ("DOMAIN_CA_TRUSTSTORE_PEM", "/nonexistent"),
    ];
    for (line, key) in [("API_KEY=canary.of.file", "canary.of.file"), ("API_KEY_FILE=key", "canary.of.key.file")] {
        write_settings(&file, &format!("{common}{line}\n"), 0o600);
        let done = output(without_settings(&server, &directory, &arguments, &of_another_server));
        assert!(done.status.success(), "{}", text(&done.stderr));
        assert_eq!(login(&server), format!("ApiKey {key}"));
    }
    write_settings(&file, &common, 0o600);
    let asked = server.requests().len();
    let none = output(without_settings(&server, &directory, &arguments, &of_another_server));
    assert_eq!((none.status.code(), server.requests().len()), (Some(4), asked));
    assert!(text(&none.stderr).contains("the settings file names no login; set "), "{}", text(&none.stderr));
}

#[test]
fn a_file_of_a_key_that_is_named_is_the_login_and_one_that_is_missing_an_error() {
    let server = Server::issuing(HOUR);
    let directory = directory("key-file");
    std::fs::write(directory.join("token.jwt"), "canary.jwt").expect("a file");
    std::fs::write(directory.join("key"), "canary.of.file\n").expect("a file");
    let named = output(program(&server, &directory, &["process", "--role", READER, "--api-key-file", "key"]));
    assert!(named.status.success(), "{}", text(&named.stderr));
    assert_eq!(login(&server), "ApiKey canary.of.file");
    for (file, problem) in
        [("no-such", "cannot be read: No such file or directory (os error 2)"), ("empty", "holds no API key")]
    {
        std::fs::write(directory.join("empty"), "\n").expect("a file");
        let missing = output(program(&server, &directory, &["process", "--role", READER, "--api-key-file", file]));
        assert_eq!(missing.status.code(), Some(4));
        let sentence = format!(
            "hops-credentials: the file of the API key {file} {problem}; write the key into it, or correct \
             hopsworks.apikey.file / API_KEY_FILE\n"
        );
        assert_eq!(text(&missing.stderr), sentence);
    }
    let nowhere = output(program(&server, &directory, &["roles", "--settings", "nowhere"]));
    assert_eq!(
        text(&nowhere.stderr),
        "hops-credentials: the settings file nowhere does not exist; correct --settings\n"
    );
}

#[test]
fn a_home_that_cannot_be_read_is_passed_over() {
    let server = Server::issuing(HOUR);
    let directory = directory("home");
    for home in ["/dev/null", "/proc/1", "relative", ""] {
        let mut command = program(&server, &directory, &["process", "--role", READER]);
        command.env("HOME", home);
        assert!(output(command).status.success(), "{home}");
    }
}

#[test]
fn without_a_home_the_settings_lie_in_the_one_of_the_user_database() {
    let server = Server::issuing(HOUR);
    let directory = directory("no-home");
    let settings = format!("REST_ENDPOINT={}\nHOPSWORKS_PROJECT_ID=119\nAPI_KEY=canary.of.file\n", server.endpoint);
    write_settings(&directory.join("of-database/.config/hops-credentials/settings"), &settings, 0o600);
    let database = directory.join("passwd");
    std::fs::write(&database, format!("root:x:0:0::{}/of-database:/bin/sh\n", directory.display())).expect("a file");
    let mut command = Command::new("/usr/bin/unshare");
    let script = "/bin/mount --bind \"$0\" /etc/passwd && exec \"$@\"";
    command.args(["--map-root-user", "--mount", "/bin/sh", "-c", script]).arg(&database);
    command.args([PROGRAM, "process", "--role", READER]);
    command.env_clear().current_dir(&directory).env("XDG_CONFIG_HOME", "relative");
    let done = output(command);
    assert!(text(&done.stdout).contains("ASIA1"), "{}", text(&done.stderr));
    assert_eq!(login(&server), "ApiKey canary.of.file");
}

#[test]
fn json_holds_values_and_errors_are_json_too() {
    let server = Server::start(|head| {
        let refusal =
            |code: u32| ("403 Forbidden".to_owned(), json!({ "errorCode": code, "errorMsg": "no" }).to_string());
        if head.contains("session-token") { refusal(380_002) } else { ("404 Not Found".to_owned(), refusal(380_003).1) }
    });
    let directory = directory("json");
    let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_else(|_| panic!("{}", text(bytes)));
    let who = output(program(&server, &directory, &["whoami", "--json"]));
    assert_eq!(parsed(&who.stdout)["defaultRole"], Value::Null);
    let refused: Output = output(program(&server, &directory, &["process", "--json", "--role", READER]));
    let error = &parsed(&refused.stderr)["error"];
    assert_eq!((refused.status.code(), &error["kind"], &error["code"]), (Some(3), &json!("Refused"), &json!(380_002)));
    assert_eq!((&error["isRetryable"], &error["exitCode"]), (&json!(false), &json!(3)));
    let mut explain = program(&server, &directory, &["explain", "--json"]);
    explain.env("AWS_ACCESS_KEY_ID", "AKIAX");
    assert_eq!(parsed(&output(explain).stdout), json!({ "found": "keys", "name": "AKIAX", "isOurs": false }));
}

#[test]
fn somebody_who_waits_hears_of_it() {
    let server = Server::start(|_| {
        // The only way to take long is to take long.
        std::thread::sleep(Duration::from_secs(4));
        credentials(1, HOUR)
    });
    let directory = directory("waiting");
    let done = output(program(&server, &directory, &["process", "--role", READER]));
    assert_eq!(text(&done.stderr), "hops-credentials: waiting for an answer ...\n");
}

#[test]
fn shells_complete_its_words() {
    let server = Server::issuing(HOUR);
    let directory = directory("completions");
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let printed = output(program(&server, &directory, &["completions", shell]));
        assert!(text(&printed.stdout).contains("whoami"), "{shell}");
    }
}

#[test]
fn a_file_that_names_roles_leaves_nothing_of_the_server_of_the_environment() {
    let server = Server::issuing(HOUR);
    let directory = directory("direct-file");
    let file = directory.join("direct");
    write_settings(&file, "HOPS_CLOUD_ROLES=arn:aws:iam::123456789012:role/direct\n", 0o600);
    let named = ["roles", "--settings", file.to_str().expect("UTF-8")];
    let done = output(program(&server, &directory, &named));
    assert!(text(&done.stdout).contains(":role/direct"), "{}", text(&done.stderr));
    assert!(server.requests().is_empty());
}
