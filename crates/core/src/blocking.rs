//! Blocking calls, for hosts whose callers wait: one runtime per call.
//!
//! Nothing is pooled across calls: a connection that outlives the runtime which drives it fails. Make everything that
//! holds connections inside of each call.

use tokio::runtime::{Builder, Runtime};

use crate::error::Error;

/// Runs `future` to its end on a runtime of its own, on the caller's thread.
///
/// Panics when called from within another runtime.
///
/// # Errors
/// As `future`; [`Error::Unavailable`] when the operating system refuses a runtime (out of file descriptors).
pub fn block_on<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = new_runtime()?;
    let result = runtime.block_on(future);
    // A name server that does not answer holds a thread of the runtime for longer than any timeout of ours.
    runtime.shutdown_background();
    result
}

// Apart, since the compiler repeats the function above for each future.
fn new_runtime() -> Result<Runtime, Error> {
    Builder::new_current_thread().enable_io().enable_time().build().map_err(|source| Error::Unavailable {
        attempted: "starting a network runtime".to_owned(),
        code: 0,
        problem: "the operating system refused".to_owned(),
        remedy: "raise the limit of open files of this process".to_owned(),
        source: Some(Box::new(source)),
    })
}
