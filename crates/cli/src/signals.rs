//! The signals that reach this process while it waits for a command, and their way to that command.
//!
//! Those of a terminal reach the command by themselves, since it is of the same process group; every other one is
//! passed on, but for those that the C library keeps. A signal that was ignored when this process started stays
//! ignored, here and in the command.

use std::io;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use rustix_libc_wrappers::process::SignalExt;
use signal_hook::consts::signal::{
    SIGABRT, SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGIO, SIGPIPE, SIGPROF, SIGQUIT, SIGSYS, SIGTERM, SIGTRAP,
    SIGURG, SIGUSR1, SIGUSR2, SIGVTALRM, SIGWINCH, SIGXCPU, SIGXFSZ,
};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The signals that a process may pass on, but for those of realtime. Without a handler SIGSTOP, SIGTSTP, SIGTTIN and
/// SIGTTOU stop this process; they stop the command as well where the terminal sends them.
const PASSED_ON: [i32; 19] = [
    SIGHUP, SIGINT, SIGQUIT, SIGTRAP, SIGABRT, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGCONT, SIGURG, SIGXCPU,
    SIGXFSZ, SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGSYS,
];
/// The names of Linux for the two signals that the crate does not name: SIGSTKFLT and SIGPWR.
const OF_LINUX: [i32; 2] = [16, 30];

/// Catches the signals that reach this process from now on, and hands over those that are for the command.
///
/// # Errors
/// As the system, when it gives no socket or no thread.
pub(crate) fn for_command() -> io::Result<UnboundedReceiver<i32>> {
    // The C library keeps the first ones to itself: glibc two, musl three.
    let realtime = Signal::rt_min().as_raw()..=Signal::rt_max().as_raw();
    let numbers = PASSED_ON.into_iter().chain(OF_LINUX).chain(realtime);
    catch(numbers, |origin| !reaches_command_by_itself(origin))
}

/// Catches the signals that end this process from now on, and hands them over. A standard error that nobody reads any
/// more does not end it.
///
/// # Errors
/// As [`for_command`].
pub(crate) fn that_end() -> io::Result<UnboundedReceiver<i32>> {
    catch([SIGHUP, SIGINT, SIGTERM, SIGPIPE], |origin| origin.signal != SIGPIPE)
}

fn catch(
    numbers: impl IntoIterator<Item = i32>,
    is_wanted: impl Fn(&Origin) -> bool + Send + 'static,
) -> io::Result<UnboundedReceiver<i32>> {
    let ignored = ignored_signals(&own_status());
    let caught: Vec<i32> = numbers.into_iter().filter(|number| ignored & (1 << (number - 1)) == 0).collect();
    // Where whoever started this process ignored it, the system would wait for the command itself, and drop its exit code.
    let caught = caught.into_iter().chain([SIGCHLD]);
    let mut signals = SignalsInfo::<WithOrigin>::new(caught)?;
    let (sender, receiver) = unbounded_channel();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let own = i32::try_from(std::process::id()).ok();
        for origin in signals.forever() {
            // The signal of a write of ours, to a pipe that nobody reads, is not for the command.
            let is_own = origin.process.is_some_and(|process| Some(process.pid) == own);
            if !is_own && origin.signal != SIGCHLD && is_wanted(&origin) && sender.send(origin.signal).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// Sends a signal to a process that has not been waited for.
pub(crate) fn send(signal: i32, process: u32) {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    if let (Some(signal), Some(process)) = (Signal::from_raw(signal), process) {
        let _ = kill_process(process, signal);
    }
}

/// Whether the kernel sent the signal to the whole group.
///
/// A terminal that goes away hangs up the leader of its session alone.
fn reaches_command_by_itself(origin: &Origin) -> bool {
    let is_for_all = match origin.signal {
        SIGINT | SIGQUIT | SIGWINCH => true,
        SIGHUP => !leads_session(&own_status()),
        _ => false,
    };
    origin.cause == Cause::Kernel && is_for_all
}

/// Whether the process of a status leads its session. Where the session began outside of the process's container, it has the
/// number 0 inside.
fn leads_session(status: &str) -> bool {
    find(status, "NSsid").is_some_and(|session| Some(session) == find(status, "NSpid"))
}

/// The set of signals that the process of a status ignores: bit 0 is signal 1.
fn ignored_signals(status: &str) -> u64 {
    // The runtime of Rust ignores SIGPIPE, and gives commands the default.
    let of_runtime = 1 << (SIGPIPE - 1);
    find(status, "SigIgn").and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0) & !of_runtime
}

/// What the kernel says of this process. Source: proc_pid_status(5).
fn own_status() -> String {
    std::fs::read_to_string("/proc/self/status").unwrap_or_default()
}

fn find<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::getpid;

    use super::*;

    #[test]
    fn a_signal_of_this_process_is_not_handed_over_and_one_of_another_is() {
        let mut caught = catch([SIGIO, SIGURG], |_| true).expect("a handler");
        kill_process(getpid(), Signal::IO).expect("it is ours");
        let other = Command::new("/bin/sh").args(["-c", "kill -URG $PPID"]).status();
        assert!(other.expect("a shell").success());
        assert_eq!(caught.blocking_recv(), Some(SIGURG));
        assert!(caught.try_recv().is_err());
    }

    #[test]
    fn a_session_that_began_outside_of_the_container_is_led_by_none_of_its_processes() {
        assert!(leads_session("Name:\tsh\nNSpid:\t70\nNSsid:\t70\n"));
        assert!(leads_session("NSpid:\t8070\t1\nNSsid:\t8070\t1\n"));
        assert!(!leads_session("NSpid:\t70\nNSsid:\t12\n"));
        assert!(!leads_session("NSpid:\t1\nNSsid:\t0\n"));
        assert!(!leads_session(""));
    }
}
