//! `exec`: signals, exit codes, and what the command finds.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process};
use rustix_libc_wrappers::process::SignalExt;

use super::server::Server;
use super::{PROGRAM, READER, Running, as_member, directory, output, program, text};

const HOUR: Duration = Duration::from_secs(3600);

/// Prints each signal that it gets, and ends with 9 at SIGTERM.
const LISTENER: &str =
    "for s in HUP INT QUIT ABRT USR1 USR2 ALRM CONT WINCH PROF PWR RTMIN RTMAX; do trap \"echo $s\" $s; done
    trap 'echo TERM; exit 9' TERM
    echo ready; while :; do /bin/sleep 60 & wait $!; done";

fn send(process: u32, signal: Signal) {
    let process = Pid::from_raw(process.try_into().expect("an id")).expect("an id");
    kill_process(process, signal).expect("it runs");
}

#[test]
fn every_signal_is_passed_on_without_any_program_to_do_so() {
    let server = Server::issuing(HOUR);
    let directory = directory("signals");
    let arguments = ["exec", "--role", READER, "--refresh", "--", "/bin/bash", "-c", LISTENER];
    let mut running = Running::start(program(&server, &directory, &arguments));
    assert_eq!(running.line(), "ready");
    let named = [
        ("HUP", Signal::HUP),
        ("INT", Signal::INT),
        ("QUIT", Signal::QUIT),
        ("ABRT", Signal::ABORT),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
        ("ALRM", Signal::ALARM),
        ("CONT", Signal::CONT),
        ("WINCH", Signal::WINCH),
        ("PROF", Signal::PROF),
        ("PWR", Signal::POWER),
        ("RTMIN", Signal::from_raw(34).expect("a signal")),
        ("RTMAX", Signal::from_raw(64).expect("a signal")),
        ("TERM", Signal::TERM),
    ];
    for (name, signal) in named {
        send(running.child.id(), signal);
        assert_eq!(running.line(), name);
    }
    assert_eq!(running.code(), Some(9));
}

#[test]
fn what_was_ignored_at_the_start_stays_ignored_in_the_command() {
    let server = Server::issuing(HOUR);
    let directory = directory("ignored");
    for refresh in ["--refresh", "--duration=3600"] {
        let mut command = Command::new("/bin/bash");
        let line = format!(
            "trap '' HUP INT USR1; exec {PROGRAM} exec --role {READER} {refresh} -- /bin/grep SigIgn /proc/self/status"
        );
        command.args(["-c", &line]);
        as_member(&mut command, &server, &directory);
        let shown = text(&output(command).stdout);
        let mask = u64::from_str_radix(shown.trim_start_matches("SigIgn:").trim(), 16).expect("a mask");
        assert_eq!(mask & 0xffff, 1 | 1 << 1 | 1 << 9, "{refresh}: {shown}");
    }
}

#[test]
fn the_exit_code_is_that_of_the_command_where_whoever_started_it_waits_for_no_child() {
    let server = Server::issuing(HOUR);
    let directory = directory("no-children");
    for refresh in ["--refresh", "--duration=3600"] {
        let mut command = Command::new("/bin/bash");
        let line = format!("trap '' CHLD; exec {PROGRAM} exec --role {READER} {refresh} -- /bin/sh -c 'exit 7'");
        command.args(["-c", &line]);
        as_member(&mut command, &server, &directory);
        let done = output(command);
        assert_eq!(done.status.code(), Some(7), "{refresh}: {}", text(&done.stderr));
    }
}

#[test]
fn a_signal_of_the_terminal_reaches_the_command_once() {
    let server = Server::issuing(HOUR);
    let directory = directory("terminal");
    let listener =
        "trap 'echo INT' INT; trap 'echo TERM; exit 9' TERM; echo $$; while :; do /bin/sleep 60 & wait $!; done";
    std::fs::write(directory.join("listener"), listener).expect("a file");
    // Without the echo, which shows the key before or after what the command says of it.
    let line = format!("/bin/stty -echo && exec {PROGRAM} exec --role {READER} --refresh -- /bin/bash listener");
    let mut command = Command::new("/usr/bin/script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    as_member(&mut command, &server, &directory);
    let mut running = Running::start({
        command.stdin(Stdio::piped()).env("SHELL", "/bin/sh");
        command
    });
    let listening: u32 = running.line().parse().expect("an id");
    let mut keyboard = running.child.stdin.take().expect("it is piped");
    keyboard.write_all(b"\x03").expect("script reads");
    assert_eq!(running.line(), "INT");
    send(listening, Signal::TERM);
    assert_eq!(running.rest(), ["TERM"]);
    assert_eq!(running.code(), Some(9));
}

#[test]
fn a_command_that_does_not_start_ends_as_a_shell_ends() {
    let server = Server::issuing(HOUR);
    let directory = directory("not-started");
    std::fs::write(directory.join("text"), "").expect("a file");
    for refresh in ["--refresh", "--duration=3600"] {
        let code = |name: &str| {
            let done = output(program(&server, &directory, &["exec", "--role", READER, refresh, "--", name]));
            assert!(text(&done.stderr).contains("cannot be started"), "{}", text(&done.stderr));
            done.status.code()
        };
        assert_eq!([code("no-such-command"), code("./text")], [Some(127), Some(126)], "{refresh}");
    }
}

#[test]
fn an_empty_role_is_not_the_default_role() {
    let server = Server::issuing(HOUR);
    let directory = directory("empty-role");
    let done = output(program(&server, &directory, &["exec", "--role", "", "--", "true"]));
    let message = "hops-credentials: invalid role: it is empty; leave --role out for the default role\n";
    assert_eq!((done.status.code(), text(&done.stderr).as_ref()), (Some(2), message));
    assert!(server.requests().is_empty());
}

/// Only root can change the user.
#[test]
fn a_command_that_changes_its_user_can_read_the_token_and_nobody_can_find_it() {
    if !geteuid().is_root() {
        return;
    }
    let server = Server::issuing(HOUR);
    let directory = directory("other-user");
    let script = "f=$AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE; echo $f; test \"$(/bin/cat $f)\" = $AWS_CONTAINER_AUTHORIZATION_TOKEN || exit 3
        /bin/ls ${f%/*} && exit 4; /bin/touch ${f%/*}/x && exit 5; echo x > $f && exit 6; exit 0";
    let nobody = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/bin/sh", "-c", script];
    let mut command =
        program(&server, &directory, &[&["exec", "--role", READER, "--refresh", "--"], &nobody[..]].concat());
    // The directories above that of the test may be closed to others.
    command.env("TMPDIR", "/tmp");
    let done = output(command);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let file = text(&done.stdout).trim().to_owned();
    let own_directory = std::path::Path::new(&file).parent().expect("a directory");
    assert!(!own_directory.exists(), "{file}");
}

#[test]
fn the_file_of_the_token_never_depends_on_the_working_directory() {
    let server = Server::issuing(HOUR);
    let directory = directory("relative");
    let script = "cd / && test -r \"$AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE\" && echo \"$AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE\"";
    for relative in ["", "."] {
        let mut command =
            program(&server, &directory, &["exec", "--role", READER, "--refresh", "--", "/bin/sh", "-c", script]);
        command.env("TMPDIR", relative);
        let done = output(command);
        assert!(text(&done.stdout).starts_with("/tmp/"), "{relative}: {}", text(&done.stderr));
    }
}
