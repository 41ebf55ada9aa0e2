//! Exit codes tell whether something changed, also when nobody can read what a command prints; and the audit tells who ran it.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::world::{Server, World, on_both_stores};

const READER: &str = "arn:aws:iam::123456789012:role/reader";

/// A pipe that nobody reads.
fn broken_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// A device that takes nothing.
fn full_device() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").expect("Linux has it").into()
}

/// Runs a command with this stdout; returns its exit code and what it said on stderr.
fn run(world: &World, arguments: &[&str], variables: &[(&str, &str)], stdout: Stdio) -> (Option<i32>, String) {
    let mut command = world.program(arguments);
    command.envs(variables.iter().copied()).stdout(stdout).stderr(Stdio::piped());
    let output = command.spawn().expect("it starts").wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

fn rows(world: &World) -> String {
    world.sql("select count(*) from role_mappings")[0][0].clone()
}

/// The user of the test, by number.
fn uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").expect("Linux").uid()
}

fn source(there: &World) -> (Server, String) {
    let key = there.done(&["user", "add", "admin@example.org", "--admin"]);
    there.done(&["project", "add", "other"]);
    there.done(&["mapping", "add", "other", "all", READER]);
    (there.serve(), key)
}

on_both_stores! {
    fn a_change_whose_output_nobody_reads_is_done(world: &World) {
        let there = World::sqlite();
        let (server, key) = source(&there);
        let path = world.directory.join("roles.json");
        let line = |name: &str| format!("{{\"project\":\"churn\",\"project_role\":\"all\",\"role\":\"{READER}{name}\"}}");
        std::fs::write(&path, format!("[{},{},{}]", line("1"), line("2"), line("3"))).expect("a file");
        let path = path.to_str().expect("UTF-8");
        for (arguments, changed) in [
            (&["project", "add", "churn"][..], "0"),
            (&["mapping", "add", "churn", "all", READER], "1"),
            (&["mapping", "apply", path, "--dry-run"], "1"),
            (&["mapping", "apply", path], "3"),
            (&["mapping", "list"], "3"),
            (&["mapping", "export"], "3"),
            (&["import", "--from", &server.url], "4"),
        ] {
            assert_eq!(run(world, arguments, &[("API_KEY", &key)], broken_pipe()), (Some(0), String::new()), "{arguments:?}");
            assert_eq!(rows(world), changed, "{arguments:?}");
        }
    }

    fn a_change_whose_output_finds_no_room_is_told_as_made(world: &World) {
        let there = World::sqlite();
        let (server, key) = source(&there);
        world.done(&["project", "add", "churn"]);
        let path = world.directory.join("roles.json");
        std::fs::write(&path, format!("[{{\"project\":\"churn\",\"project_role\":\"all\",\"role\":\"{READER}1\"}}]")).expect("a file");
        let path = path.to_str().expect("UTF-8");
        for (arguments, changed) in [
            (&["project", "add", "fraud"][..], "0"),
            (&["mapping", "add", "churn", "all", READER], "1"),
            (&["mapping", "apply", path], "1"),
            (&["import", "--from", &server.url], "2"),
        ] {
            let (code, said) = run(world, arguments, &[("API_KEY", &key)], full_device());
            assert_eq!((code, said.lines().count()), (Some(3), 1), "{arguments:?}: {said}");
            assert!(said.starts_with("the change was made, ") && said.contains("No space left on device"), "{said}");
            assert_eq!(rows(world), changed, "{arguments:?}");
        }
        assert_eq!(world.sql("select name from projects order by id"), [["churn"], ["fraud"], ["other"]]);
        for arguments in [&["mapping", "list"][..], &["mapping", "export"], &["import", "--from", &server.url, "--dry-run"]] {
            world.done(&["mapping", "remove", &world.sql("select max(id) from role_mappings")[0][0]]);
            world.done(&["mapping", "add", "churn", "all", &format!("{READER}{}", arguments.len())]);
            let (code, said) = run(world, arguments, &[("API_KEY", &key)], full_device());
            assert_eq!(code, Some(1), "{arguments:?}: {said}");
            assert!(said.starts_with("writing to stdout failed: "), "{said}");
        }
    }
}

#[test]
fn a_refusal_that_finds_no_room_on_stderr_is_still_a_refusal() {
    let world = World::sqlite();
    let mut command = world.program(&["mapping", "remove", "1"]);
    let ended = command.stderr(full_device()).status().expect("it ends");
    assert_eq!(ended.code(), Some(1));
}

/// Runs a command as a user without rights. The path of the program may lead through directories that they cannot enter.
fn run_as_nobody(world: &World, arguments: &[&str], sudo_user: &str) {
    let program = File::open(env!("CARGO_BIN_EXE_role-mapping-server")).expect("the program");
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command.args(arguments).env_clear().env("DATABASE_URL", &world.database).env("SUDO_USER", sudo_user);
    let output = command.uid(65_534).gid(65_534).current_dir("/").output().expect("it starts");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_audit_believes_who_root_acts_for_and_nobody_else() {
    let mut world = World::sqlite();
    let is_root = uid() == 0;
    if is_root {
        // The directory of the tests may be one that only root enters.
        let directory = std::env::temp_dir().join(format!("exit-codes-{}", std::process::id()));
        std::fs::create_dir(&directory).expect("a directory");
        let database = format!("sqlite://{}/roles.db", directory.display());
        std::os::unix::fs::chown(&directory, Some(65_534), Some(65_534)).expect("root may");
        world = World { directory, database };
        run_as_nobody(&world, &["project", "add", "three"], "alice");
    }
    let actor = |name: &str| {
        let rows = world.sql("select actor, state_after from audit");
        rows.into_iter().find(|row| row[1].contains(name)).expect("a row")[0].clone()
    };
    world.run_with(&["project", "add", "one"], &[("SUDO_USER", "alice")]);
    assert_eq!(actor("one").contains(" via alice on "), is_root, "{}", actor("one"));
    let long = format!("al\u{1b}[31mice\n) granted (\u{202e}{}", "x".repeat(5_000));
    world.run_with(&["project", "add", "two"], &[("SUDO_USER", &long)]);
    let two = actor("two");
    assert!(
        two.len() < 200 && !two.contains(|character: char| character.is_control() || character == '\u{202e}'),
        "{two}"
    );
    assert_eq!(two.matches(['(', ')']).count(), 2, "{two}");
    if is_root {
        assert!(!actor("three").contains("alice") && !actor("three").contains("root"), "{}", actor("three"));
    }
}
