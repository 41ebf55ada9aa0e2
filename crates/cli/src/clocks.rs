//! The clocks of this machine.

use std::time::{Duration, SystemTime};

use hops_credentials_core::renewal::Clocks;
use rustix::time::{ClockId, clock_gettime};

/// Reads both clocks. The one that nobody sets counts while the machine sleeps, and is the same for all programs.
pub(crate) fn read() -> Clocks {
    let since_boot = clock_gettime(ClockId::Boottime);
    let monotonic = Duration::try_from(since_boot).unwrap_or_default();
    Clocks { monotonic, wall: SystemTime::now() }
}
