//! One database, many writers, none of whom waits for ever: the server and the command line on SQLite, and what locks the directory.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::sts::Sts;
use crate::world::{Server, World, on_both_stores};

pub fn role(number: usize) -> String {
    format!("arn:aws:iam::123456789012:role/r{number}")
}

/// Asks for session tokens without pause, under fifty names in turn, while `act` runs. Returns what `act` returned, the number of
/// granted sessions and the longest wait for one. Every request must be granted.
pub fn while_sessions_are_granted<T>(
    server: &Server,
    key: &str,
    clients: usize,
    act: impl FnOnce() -> T,
) -> (T, usize, Duration) {
    let (is_over, number) = (AtomicBool::new(false), AtomicUsize::new(0));
    let grant = || {
        let mut longest = Duration::ZERO;
        while !is_over.load(Ordering::Relaxed) {
            let name = number.fetch_add(1, Ordering::Relaxed) % 50;
            let begin = Instant::now();
            let answer = server.get(&format!("/project/1/cloud/aws/session-token?roleSessionName=n{name}"), key);
            assert_eq!(answer.status, 200, "{}", answer.text);
            longest = longest.max(begin.elapsed());
        }
        longest
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(grant)).collect();
        while number.load(Ordering::Relaxed) < 2 * clients.len() {
            std::thread::yield_now();
        }
        let outcome = act();
        is_over.store(true, Ordering::Relaxed);
        let longest = clients.into_iter().map(|client| client.join().expect("each request is granted")).max();
        (outcome, number.load(Ordering::Relaxed), longest.unwrap_or_default())
    })
}

/// Makes project 1 with a default role and one member; returns the member's key.
pub fn project_with_a_member(world: &World) -> String {
    let key = world.done(&["user", "add", "ada@example.org"]);
    world.done(&["project", "add", "churn"]);
    world.done(&["member", "set", "churn", "ada@example.org", "data-owner"]);
    world.done(&["mapping", "add", "churn", "all", &role(0), "--default"]);
    key
}

/// Locks a file or a directory as `flock` does, until it is dropped.
struct Lock(std::process::Child);

impl Lock {
    fn new(path: &std::path::Path) -> Self {
        let mut command = Command::new("flock");
        command.arg(path).args(["sh", "-c", "echo locked; cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("flock runs");
        let mut line = [0; 7];
        std::io::Read::read_exact(child.stdout.as_mut().expect("piped"), &mut line).expect("it has the lock");
        Self(child)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

on_both_stores! {
    fn the_command_line_writes_within_seconds_beside_a_server_that_writes_without_pause(world: &World) {
        let key = project_with_a_member(world);
        let sts = Sts::start();
        let server = sts.serve(world);
        let (took, _, _) = while_sessions_are_granted(&server, &key, 16, || {
            (1..=5).map(|number| {
                let begin = Instant::now();
                world.done(&["mapping", "add", "churn", "all", &role(number)]);
                begin.elapsed()
            }).collect::<Vec<_>>()
        });
        assert!(took.iter().all(|time| *time < Duration::from_secs(5)), "{took:?}");
    }
}

#[test]
fn whoever_holds_the_files_of_the_turnstile_stops_nobody() {
    let world = World::sqlite();
    let key = project_with_a_member(&world);
    let sts = Sts::start();
    let server = sts.serve(&world);
    for file in ["roles.db-next", "roles.db-now"] {
        let lock = Lock::new(&world.directory.join(file));
        let begin = Instant::now();
        for number in 0..20 {
            let name = format!("/project/1/cloud/aws/session-token?roleSessionName={file}{number}");
            assert_eq!(server.get(&name, &key).status, 200);
        }
        world.done(&["project", "add", file]);
        assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
        drop(lock);
    }
}

#[test]
fn a_directory_that_stays_locked_is_an_error_that_says_who_may_hold_it() {
    let world = World::sqlite();
    let lock = Lock::new(&world.directory);
    let begin = Instant::now();
    let refused = world.run(&["mapping", "list"]);
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    assert_eq!(
        refused.stderr,
        format!(
            "the directory of the database {} stays locked; a command that migrates the schema may hold the lock, or a program such as \
             flock: \"lslocks\" shows which; wait until it ends, then try again\n",
            world.directory.join("roles.db").display()
        )
    );
    drop(lock);
    assert_eq!(world.done(&["mapping", "list"]), "");
}
