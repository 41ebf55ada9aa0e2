//! `process`: what is kept, for whom, and for how long.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::server::{Server, credentials};
use super::{PROGRAM, READER, Running, as_member, directory, output, private, program, text};

const HOUR: Duration = Duration::from_secs(3600);

fn process(server: &Server, directory: &Path) -> Command {
    let mut command = program(server, directory, &["process", "--role", READER]);
    command.env("XDG_RUNTIME_DIR", directory.join("run"));
    command
}

pub(super) fn key(done: &Output) -> String {
    let printed: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", text(&done.stderr)));
    printed["AccessKeyId"].as_str().expect("a key").to_owned()
}

/// The one file with this ending that programs of this user share.
fn shared(directory: &Path, ending: &str) -> PathBuf {
    let entries = std::fs::read_dir(directory.join("run/hops-credentials")).expect("it is there").flatten();
    let mut paths = entries.map(|entry| entry.path()).filter(|path| path.to_string_lossy().ends_with(ending));
    paths.next().expect("one file")
}

/// Changes what is kept.
pub(super) fn edit(directory: &Path, change: impl FnOnce(&mut Value)) {
    let path = shared(directory, ".kept");
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&path).expect("it is there")).expect("JSON");
    change(&mut kept);
    std::fs::write(path, kept.to_string()).expect("it is ours");
}

pub(super) fn make_due(kept: &mut Value) {
    kept["pause"] = json!({"secs": 0, "nanos": 0});
}

fn seconds(value: &mut Value) -> &mut Value {
    let name = if value.get("secs").is_some() { "secs" } else { "secs_since_epoch" };
    &mut value[name]
}

/// Moves an instant or a duration by seconds.
fn shift(value: &mut Value, by: i64) {
    let seconds = seconds(value);
    *seconds = json!(seconds.as_i64().expect("a number") + by);
}

#[test]
fn nothing_is_kept_in_a_place_that_others_may_read_or_that_is_not_absolute() {
    let server = Server::issuing(HOUR);
    let directory = directory("places");
    private(&directory.join("elsewhere"));
    let of_somebody = directory.join("of-somebody");
    private(&of_somebody.join("hops-credentials"));
    std::fs::create_dir(directory.join("link")).expect("a directory");
    symlink(directory.join("elsewhere"), directory.join("link/hops-credentials")).expect("a link");
    std::fs::create_dir(directory.join("relative")).expect("a directory");
    let is_root = chown(of_somebody.join("hops-credentials"), Some(65534), None).is_ok();
    let login_of_somebody = directory.join("login-of-somebody");
    private(&login_of_somebody);
    let _ = chown(&login_of_somebody, Some(65534), None);
    let [link, of_somebody, login] =
        [&directory.join("link"), &of_somebody, &login_of_somebody].map(|path| path.display().to_string());
    let places = ["", "relative", "./relative", &link, &of_somebody, &login];
    for place in places.into_iter().take(if is_root { 6 } else { 4 }) {
        let before = server.requests().len();
        for _ in 0..2 {
            let mut command = process(&server, &directory);
            command.env("XDG_RUNTIME_DIR", place);
            assert_eq!(output(command).status.code(), Some(0), "{place}");
        }
        assert_eq!(server.requests().len(), before + 2, "{place}");
    }
    for empty in ["elsewhere", "relative", "of-somebody/hops-credentials", "login-of-somebody"] {
        assert_eq!(std::fs::read_dir(directory.join(empty)).expect("it is there").count(), 0, "{empty}");
    }
    assert!(!directory.join("hops-credentials").exists());
}

#[test]
fn what_is_kept_may_lie_in_a_place_of_root() {
    let directory = directory("of-root");
    let server = Server::issuing(HOUR);
    let run = directory.join("run");
    private(&run);
    // As /tmp is, which some images name.
    std::fs::set_permissions(&run, Permissions::from_mode(0o1777)).expect("it is ours");
    let as_user = || {
        let mut command = process(&server, &directory);
        command.uid(65534).gid(65534).output()
    };
    // Root alone can play another user, who does not reach a program below a private directory.
    let Some(first) = as_user().ok().filter(|first| first.status.code() != Some(126)) else { return };
    assert_eq!((key(&first), key(&as_user().expect("it started"))), ("ASIA1".to_owned(), "ASIA1".to_owned()));
}

#[test]
fn what_is_kept_is_used_to_its_end_whatever_the_failure_is() {
    let no = |code: u32, message: &str| json!({ "errorCode": code, "errorMsg": message }).to_string();
    let answers = [
        ("not signed in", "401 Unauthorized", no(160_003, "canary")),
        ("a page of a proxy", "200 OK", "<html>sign in</html>".to_owned()),
        ("a proxy that wants a password", "407 Proxy Authentication Required", String::new()),
        ("another server", "404 Not Found", "nothing".to_owned()),
        ("a fault", "500 Internal Server Error", no(0, "fault")),
        ("half an answer", "200 OK", "{\"accessKeyId\":\"A\"}".to_owned()),
    ];
    for (name, status, body) in answers {
        let failing = std::sync::Arc::new(AtomicBool::new(false));
        let fails = failing.clone();
        let server =
            Server::start(move |_| match fails.load(Ordering::SeqCst).then(|| (status.to_owned(), body.clone())) {
                Some(failure) => failure,
                None => credentials(1, HOUR),
            });
        let directory = directory(&format!("failure-{}", name.replace(' ', "-")));
        private(&directory.join("run"));
        assert_eq!(key(&output(process(&server, &directory))), "ASIA1");
        failing.store(true, Ordering::SeqCst);
        edit(&directory, make_due);
        let done = output(process(&server, &directory));
        assert_eq!(key(&done), "ASIA1", "{name}");
        assert!(
            text(&done.stderr).contains("renewing fails, the credentials end in 35"),
            "{name}: {}",
            text(&done.stderr)
        );
        // The next try comes after a pause.
        let asked = server.requests().len();
        edit(&directory, |kept| kept["pause"] = json!({"secs": 60, "nanos": 0}));
        assert_eq!(key(&output(process(&server, &directory))), "ASIA1", "{name}");
        assert_eq!(server.requests().len(), asked, "{name}");
        // At the end of what is kept the failure is told.
        edit(&directory, |kept| kept["valid_for"] = json!({"secs": 0, "nanos": 0}));
        let ended = output(process(&server, &directory));
        assert_eq!((ended.stdout.len(), ended.status.success()), (0, false), "{name}");
    }
}

#[test]
fn what_is_kept_of_a_role_that_is_taken_away_is_not_used() {
    let taken = std::sync::Arc::new(AtomicBool::new(false));
    let is_taken = taken.clone();
    let server = Server::start(move |_| {
        let refusal = json!({ "errorCode": 380_002, "errorMsg": "not yours" }).to_string();
        let refused = is_taken.load(Ordering::SeqCst).then(|| ("403 Forbidden".to_owned(), refusal));
        refused.unwrap_or_else(|| credentials(1, HOUR))
    });
    let directory = directory("taken-away");
    private(&directory.join("run"));
    assert_eq!(key(&output(process(&server, &directory))), "ASIA1");
    taken.store(true, Ordering::SeqCst);
    edit(&directory, make_due);
    for _ in 0..2 {
        assert_eq!(output(process(&server, &directory)).status.code(), Some(3));
    }
}

#[test]
fn what_is_kept_ends_by_both_clocks() {
    let server = Server::issuing(Duration::from_secs(20));
    let directory = directory("clocks");
    private(&directory.join("run"));
    assert_eq!(key(&output(process(&server, &directory))), "ASIA1");
    // It was fetched 21 s ago, while the clock was a day ahead.
    edit(&directory, |kept| {
        for moment in ["answered", "last_try"] {
            shift(&mut kept[moment]["since_boot"], -21);
            shift(&mut kept[moment]["wall"], 86_400);
        }
    });
    assert_eq!(key(&output(process(&server, &directory))), "ASIA2");
    // The other clock stood still for 21 s.
    edit(&directory, |kept| {
        for moment in ["answered", "last_try"] {
            shift(&mut kept[moment]["wall"], -21);
        }
        shift(&mut kept["expiration"], -21);
    });
    assert_eq!(key(&output(process(&server, &directory))), "ASIA3");
}

#[test]
fn nobody_waits_for_another_one_while_what_is_kept_is_good() {
    let server = Server::issuing(HOUR);
    let directory = directory("no-wait");
    private(&directory.join("run"));
    assert_eq!(key(&output(process(&server, &directory))), "ASIA1");
    edit(&directory, make_due);
    let lock = File::open(shared(&directory, ".lock")).expect("it is there");
    lock.lock().expect("nobody holds it");
    assert_eq!(key(&output(process(&server, &directory))), "ASIA1");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn those_who_wait_share_one_failure() {
    let server = Server::start(|_| ("503 Service Unavailable".to_owned(), String::new()));
    let directory = directory("one-failure");
    private(&directory.join("run"));
    let mut waiting: Vec<Running> = (0..6).map(|_| Running::start(process(&server, &directory))).collect();
    for process in &mut waiting {
        assert_eq!(process.code(), Some(1));
    }
    // One of them made its three tries.
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn each_caller_gets_what_is_kept_for_that_caller() {
    let server = Server::issuing(HOUR);
    let directory = directory("callers");
    private(&directory.join("run"));
    let key_of = |subdirectory: &str, user: &str| {
        let mut command = process(&server, &directory);
        key(&output({
            command.current_dir(directory.join(subdirectory)).env("USER", user);
            command
        }))
    };
    for name in ["of-ada", "of-bob", "of-nobody"] {
        std::fs::create_dir(directory.join(name)).expect("a directory");
    }
    std::fs::write(directory.join("of-ada/token.jwt"), "canary.of.ada").expect("a file");
    std::fs::write(directory.join("of-bob/token.jwt"), "canary.of.bob").expect("a file");
    let first: Vec<String> = ["of-ada", "of-bob", "of-nobody"].map(|name| key_of(name, "eve")).to_vec();
    assert_eq!(first, ["ASIA1", "ASIA2", "ASIA3"]);
    assert_eq!(key_of("of-ada", "eve"), "ASIA1");
    assert_eq!(key_of("of-ada", "mallory"), "ASIA4");
    std::fs::write(directory.join("of-ada/token.jwt"), "canary.of.eve").expect("a file");
    assert_eq!(key_of("of-ada", "eve"), "ASIA5");
}

#[test]
fn what_is_kept_is_not_for_another_network() {
    let server = Server::issuing(HOUR);
    let directory = directory("networks");
    private(&directory.join("run"));
    assert_eq!(key(&output(process(&server, &directory))), "ASIA1");
    let inside = |namespaces: &[&str]| {
        let mut command = Command::new("/usr/bin/unshare");
        command.args(namespaces).args([PROGRAM, "process", "--role", READER]);
        as_member(&mut command, &server, &directory);
        command.env("XDG_RUNTIME_DIR", directory.join("run"));
        output(command)
    };
    assert_eq!(key(&inside(&["--map-root-user"])), "ASIA1");
    assert_eq!(server.requests().len(), 1);
    // A container may share the directory, and its loopback is another one, on which nobody listens.
    let done = inside(&["--map-root-user", "--net"]);
    assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(1), ""), "{}", text(&done.stderr));
}

#[test]
fn what_an_earlier_login_left_is_removed_when_nobody_can_need_it() -> io::Result<()> {
    let server = Server::issuing(HOUR);
    let directory = directory("old-logins");
    private(&directory.join("run"));
    assert_eq!(key(&output(process(&server, &directory))), "ASIA1");
    let left = |name: &str| directory.join("run/hops-credentials").join(name);
    for (name, hours) in [("a.kept", 25), ("a.failed", 25), ("a.lock", 25), ("b.kept", 23)] {
        File::create(left(name))?.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600))?;
    }
    assert_eq!(key(&output(process(&server, &directory))), "ASIA1");
    assert_eq!(["a.kept", "a.failed", "a.lock", "b.kept"].map(|name| left(name).exists()), [false, false, false, true]);
    Ok(())
}

#[test]
fn the_directory_is_private() -> io::Result<()> {
    let server = Server::issuing(HOUR);
    let directory = directory("modes");
    private(&directory.join("run"));
    assert_eq!(key(&output(process(&server, &directory))), "ASIA1");
    let kept = directory.join("run/hops-credentials");
    assert_eq!(std::fs::metadata(&kept)?.permissions().mode() & 0o777, 0o700);
    for entry in std::fs::read_dir(&kept)? {
        assert_eq!(entry?.metadata()?.permissions().mode() & 0o777, 0o600);
    }
    std::fs::set_permissions(&kept, Permissions::from_mode(0o750))?;
    assert_eq!(key(&output(process(&server, &directory))), "ASIA2");
    Ok(())
}
