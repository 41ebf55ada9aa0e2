//! The program `hops-credentials`, as cargo builds it, in processes of its own.

mod direct;
mod exec;
mod outage;
mod process;
mod serve;
mod server;
mod settings;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use self::server::Server;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_hops-credentials");
pub(crate) const READER: &str = "arn:aws:iam::123456789012:role/reader";
/// The time after which a test gives up: much longer than anything takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Makes an empty directory of its own for each test.
pub(crate) fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("program-{name}"));
    if directory.exists() {
        std::fs::remove_dir_all(&directory).expect("an old directory of ours");
    }
    std::fs::create_dir_all(&directory).expect("a directory");
    directory
}

/// Makes a directory that only this user may look into.
pub(crate) fn private(directory: &Path) {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).expect("a directory");
}

/// Gives a command the settings of a member of project 119, and nothing of this process's environment.
pub(crate) fn as_member(command: &mut Command, server: &Server, directory: &Path) {
    command.env_clear().current_dir(directory).stdin(Stdio::null());
    let home = directory.join("home");
    std::fs::create_dir_all(&home).expect("a directory");
    command.envs([("PATH", "/nowhere"), ("HOPSWORKS_PROJECT_ID", "119"), ("API_KEY", "canary.key")]);
    command.env("REST_ENDPOINT", &server.endpoint).env("HOME", &home).env("TMPDIR", &home);
}

/// The program with these arguments, for a member.
///
/// It ignores no signal, although `nohup` makes whatever it starts ignore SIGHUP, these tests as well.
pub(crate) fn program(server: &Server, directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/env");
    command.args(["--default-signal", PROGRAM]).args(arguments);
    as_member(&mut command, server, directory);
    command
}

/// Runs a command to its end.
pub(crate) fn output(mut command: Command) -> Output {
    command.output().expect("the program starts")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running command, and the lines that it prints. It and its children are killed on drop.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).process_group(0).spawn().expect("the program starts");
        let lines = lines_of(child.stdout.take().expect("it is piped"));
        Self { child, lines }
    }

    /// Waits for the next line.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("another line")
    }

    /// Waits for the end of the output. Returns the lines that came.
    pub(crate) fn rest(&self) -> Vec<String> {
        std::iter::from_fn(|| self.lines.recv_timeout(PATIENCE).ok()).collect()
    }

    /// Waits for the end of the command. Returns its exit code.
    pub(crate) fn code(&mut self) -> Option<i32> {
        self.child.wait().expect("it was started here").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.child);
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}

fn lines_of(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
