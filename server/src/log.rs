//! The log: lines on stderr, each with its instant.
//!
//! The same lines go to whoever collects the logs, so no line holds a secret. There are no levels, and nothing collects what dependencies
//! would say through `log` or `tracing`.
//!
//! A thread of its own writes the lines, so a log that nobody reads stops nobody: while its queue is full, lines are dropped and counted.

use std::any::Any;
use std::collections::HashSet;
use std::fmt::Display;
use std::io::Write;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use hops_credentials_core::text::rfc3339;
use prometheus_client::metrics::counter::Counter;

/// The most that may wait for the writer.
const MAX_QUEUE_BYTES: usize = 1024 * 1024;

/// The longest wait of [`flush`].
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The number of lines that were dropped.
pub static DROPPED: LazyLock<Counter> = LazyLock::new(Counter::default);

static LOG: LazyLock<Log> = LazyLock::new(|| {
    std::thread::spawn(write);
    Log::default()
});

/// What waits for the writer, and how it and the others wake each other.
#[derive(Default)]
struct Log {
    queue: Mutex<Queue>,
    is_filled: Condvar,
    is_written: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: String,
    /// The lines that found no room behind `lines`.
    dropped: u64,
    is_writing: bool,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("nobody panics while holding it")
    }
}

impl Queue {
    fn push(&mut self, line: &str) {
        if self.lines.len() + line.len() > MAX_QUEUE_BYTES {
            self.dropped += 1;
            DROPPED.inc();
        } else {
            self.lines.push_str(line);
        }
    }

    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0
    }
}

/// Puts a line into the queue of the writer, or drops it when the queue is full.
pub fn line(text: &dyn Display) {
    let line = format(text);
    LOG.lock().push(&line);
    LOG.is_filled.notify_one();
}

/// Puts a line that belongs to a request into the queue.
pub fn note(request_id: &str, text: &str) {
    line(&format_args!("request={request_id} note={text:?}"));
}

/// Writes a line for each panic from now on.
pub fn watch_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or("an unknown place".to_owned(), ToString::to_string);
        line(&describe_panic(&place, panic.payload()));
    }));
}

/// Says where a panic was, and why if that is a text of the program: what a value prints may be a secret.
fn describe_panic(place: &str, payload: &dyn Any) -> String {
    let reason = payload.downcast_ref::<&'static str>().copied();
    format!("panic at {place}: {:?}", reason.unwrap_or("a text that may quote a value and is left out"))
}

/// The number of damaged rows that are remembered. The server does not name further ones.
const MAX_DAMAGED_ROWS: usize = 1000;

/// Writes once for each row that the database holds a value which no program wrote, and what to do about it.
pub fn damaged_row(row: &dyn Display, problem: &dyn Display, remedy: &dyn Display) {
    static KNOWN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);
    let text = format!("damaged row: {row}: {problem}; it counts for nobody; {remedy}");
    let mut known = KNOWN.lock().expect("nobody panics while holding it");
    if known.len() < MAX_DAMAGED_ROWS && known.insert(text.clone()) {
        line(&text.replace(['\n', '\r'], " "));
    }
}

/// Waits at most 1 s for the queue to be written; returns whether it is. While it is not, a write to stderr would wait as well.
pub fn flush() -> bool {
    let is_busy = |queue: &mut Queue| queue.is_writing || !queue.is_empty();
    let waited = LOG.is_written.wait_timeout_while(LOG.lock(), FLUSH_TIMEOUT, is_busy);
    !waited.expect("nobody panics while holding it").1.timed_out()
}

fn format(text: &dyn Display) -> String {
    format!("{} {text}\n", rfc3339(SystemTime::now()))
}

/// Writes what is in the queue, for as long as the process lives.
fn write() {
    let mut queue = LOG.lock();
    loop {
        queue.is_writing = false;
        LOG.is_written.notify_all();
        queue = LOG.is_filled.wait_while(queue, |queue| queue.is_empty()).expect("nobody panics while holding it");
        let Queue { mut lines, dropped, .. } = std::mem::take(&mut *queue);
        queue.is_writing = true;
        drop(queue);
        if dropped > 0 {
            lines.push_str(&format(&format_args!("{dropped} lines were dropped: nobody read the log in time")));
        }
        for line in lines.split_inclusive('\n') {
            // One write for a whole line: several servers may share a log. Failing to write is not a reason to stop serving.
            if std::io::stderr().lock().write_all(line.as_bytes()).is_err() {
                DROPPED.inc();
            }
        }
        queue = LOG.lock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_place_and_without_a_value() {
        let told = |payload: Box<dyn Any>| describe_panic("server/src/x.rs:1:2", &*payload);
        assert_eq!(told(Box::new("it is never closed")), "panic at server/src/x.rs:1:2: \"it is never closed\"");
        let canary = told(Box::new(format!("{}: {:?}", "never", "canary")));
        assert!(canary.starts_with("panic at server/src/x.rs:1:2: ") && !canary.contains("canary"), "{canary}");
    }

    #[test]
    fn what_finds_no_room_in_the_queue_is_counted() {
        let mut queue = Queue::default();
        queue.push(&"x".repeat(MAX_QUEUE_BYTES - 1));
        queue.push("yy");
        queue.push("z");
        queue.push("z");
        assert_eq!((queue.lines.len(), queue.dropped), (MAX_QUEUE_BYTES, 2));
        assert!(queue.lines.ends_with('z'));
    }
}
