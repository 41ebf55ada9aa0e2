//! `serve` and the endpoint of `exec --refresh`: who finds them, and what they withstand.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::server::Server;
use super::{PATIENCE, READER, Running, directory, output, private, program, text};

const HOUR: Duration = Duration::from_secs(3600);

fn with_runtime_dir(server: &Server, directory: &Path, arguments: &[&str]) -> Command {
    let mut command = program(server, directory, &[arguments, &["--role", READER]].concat());
    command.env("XDG_RUNTIME_DIR", directory.join("run"));
    command
}

/// Starts a `serve`. Returns the address at which it listens, too.
fn serve(server: &Server, directory: &Path) -> (Running, String) {
    let running = Running::start(with_runtime_dir(server, directory, &["serve"]));
    let line = running.line();
    let address = line.strip_prefix("listening on http://").and_then(|rest| rest.strip_suffix("/credentials"));
    let address = address.expect("an address").to_owned();
    while !running.line().contains("AUTHORIZATION_TOKEN=") {}
    (running, address)
}

fn end(mut running: Running, signal: Signal) -> Option<i32> {
    kill_process(Pid::from_child(&running.child), signal).expect("it runs");
    running.code()
}

fn announcements(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory.join("run/hops-credentials")).expect("it is there").flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".serve")).count()
}

#[test]
fn it_ends_at_a_hangup_too_and_leaves_nothing() {
    let server = Server::issuing(HOUR);
    let directory = directory("hangup");
    private(&directory.join("run"));
    for signal in [Signal::HUP, Signal::TERM, Signal::INT] {
        let (running, _) = serve(&server, &directory);
        assert_eq!(announcements(&directory), 1);
        assert_eq!(end(running, signal), Some(0));
        assert_eq!(announcements(&directory), 0, "{signal:?}");
        let left = std::fs::read_dir(directory.join("home")).expect("it is there").count();
        assert_eq!(left, 0, "{signal:?}");
    }
}

#[test]
fn a_signal_ends_it_during_its_first_fetch_too() {
    let (sender, asked) = channel();
    let server = Server::start(move |_| {
        sender.send(()).expect("the test waits");
        loop {
            std::thread::park();
        }
    });
    let directory = directory("first-fetch");
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let running = Running::start(with_runtime_dir(&server, &directory, &["serve"]));
        asked.recv_timeout(PATIENCE).expect("a request");
        assert_eq!(end(running, signal), Some(code));
    }
}

#[test]
fn two_for_the_same_role_leave_each_other_alone() {
    let server = Server::issuing(HOUR);
    let directory = directory("two");
    private(&directory.join("run"));
    let (first, _) = serve(&server, &directory);
    let (second, _) = serve(&server, &directory);
    assert_eq!(end(second, Signal::TERM), Some(0));
    assert_eq!(announcements(&directory), 1);
    let asked = server.requests().len();
    assert!(text(&output(with_runtime_dir(&server, &directory, &["process"])).stdout).contains("ASIA1"));
    assert_eq!(server.requests().len(), asked);
    assert_eq!(end(first, Signal::TERM), Some(0));
}

#[test]
fn nobody_sends_the_token_to_the_port_of_one_that_was_killed() {
    let server = Server::issuing(HOUR);
    let directory = directory("killed");
    private(&directory.join("run"));
    let (running, address) = serve(&server, &directory);
    end(running, Signal::KILL);
    let stranger = TcpListener::bind(address).expect("its port is free");
    stranger.set_nonblocking(true).expect("a socket");
    assert!(text(&output(with_runtime_dir(&server, &directory, &["process"])).stdout).contains("ASIA2"));
    assert!(stranger.accept().is_err(), "the token was sent to a stranger");
    assert_eq!(announcements(&directory), 0);
}

#[test]
fn a_crowd_of_silent_connections_costs_few_descriptors_and_readers_are_answered() {
    let server = Server::issuing(HOUR);
    let directory = directory("crowd");
    let (running, address) = serve(&server, &directory);
    let crowd: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(&address).expect("it listens")).collect();
    let mut reader = TcpStream::connect(&address).expect("it listens");
    reader.set_read_timeout(Some(PATIENCE)).expect("a socket");
    std::io::Write::write_all(&mut reader, b"GET /credentials HTTP/1.1\r\nHost: x\r\n\r\n").expect("it listens");
    let mut answer = String::new();
    reader.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", running.child.id())).expect("it runs").count();
    assert!(descriptors < 100, "{descriptors} descriptors");
    drop(crowd);
}

#[test]
fn the_file_of_the_token_outlives_the_login() {
    let server = Server::issuing(HOUR);
    let directory = directory("logout");
    private(&directory.join("run"));
    let mut command = with_runtime_dir(&server, &directory, &["exec", "--refresh"]);
    command.args(["--", "/bin/sh", "-c", "/bin/rm -rf run; /bin/cat $AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]);
    let done = output(command);
    assert_eq!(text(&done.stdout).len(), 64, "{}", text(&done.stderr));
}
