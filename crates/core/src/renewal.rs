//! The renewal of credentials in use: when they are fetched again, and when a failed fetch is tried again.
//!
//! Pure functions of what the host measures on both of its clocks: the monotonic one stands still while a machine sleeps,
//! and the wall clock can be set. `chance` is a random number from 0 to 1 that the host draws, so that applications which
//! start together do not ask together.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

/// The shortest time between refresh and expiration, unless half of the validity is shorter.
const MIN_LEAD: Duration = Duration::from_secs(60);
/// The wait after a first failure, while enough time is left.
const FIRST_RETRY_WAIT: Duration = Duration::from_secs(1);
/// The shortest wait: no source is asked more often.
const MIN_RETRY_WAIT: Duration = Duration::from_millis(200);
/// The longest wait: a source that is back is noticed within this time.
const MAX_RETRY_WAIT: Duration = Duration::from_secs(60);
/// The longest sleep at once: a machine that slept is noticed within this time.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// One reading of both clocks of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The time since a point that does not move while the host runs.
    pub monotonic: Duration,
    /// The time of day, UTC.
    pub wall: SystemTime,
}

impl Clocks {
    /// Reads both clocks of this machine, for a host that has no clocks of its own.
    pub fn now() -> Self {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        Self { monotonic: BEGAN.elapsed(), wall: SystemTime::now() }
    }
}

/// The time until `span` has passed since `since`, by the clock that says so first; zero when it has.
pub fn due(since: Clocks, span: Duration, now: Clocks) -> Duration {
    let passed = now.monotonic.saturating_sub(since.monotonic).max(wall_passed(since, now));
    span.saturating_sub(passed)
}

/// The time to sleep before looking again: [`due`], and 30 s at most.
pub fn wait(since: Clocks, span: Duration, now: Clocks) -> Duration {
    due(since, span, now).min(LOOK_INTERVAL)
}

/// The time for which credentials are still good; zero when they have ended. They were valid for `valid_for` when the
/// answer came at `since`, and end at `expiration` by the clock of the service.
///
/// The wall clock counts only where it says so twice, by the time that passed and by the time of day: a clock that is set
/// right does not end good credentials, and a wrong one does not either.
pub fn left(since: Clocks, valid_for: Duration, expiration: SystemTime, now: Clocks) -> Duration {
    let by_monotonic = valid_for.saturating_sub(now.monotonic.saturating_sub(since.monotonic));
    let by_passed = valid_for.saturating_sub(wall_passed(since, now));
    let by_time_of_day = expiration.duration_since(now.wall).unwrap_or_default();
    by_monotonic.min(by_passed.max(by_time_of_day))
}

/// The time that the wall clock says has passed; zero when it was set back.
fn wall_passed(since: Clocks, now: Clocks) -> Duration {
    now.wall.duration_since(since.wall).unwrap_or_default()
}

/// The time from an answer to the refresh of its credentials, which are valid for `valid_for` from the answer on.
///
/// The refresh is a third of `valid_for` ahead of the expiration, but at least a minute, or half of `valid_for` where
/// that is less. Chance makes it earlier by up to a twentieth of `valid_for`, never later.
pub fn refresh_after(valid_for: Duration, chance: f64) -> Duration {
    let lead = (valid_for / 3).max((valid_for / 2).min(MIN_LEAD));
    (valid_for - lead).saturating_sub((valid_for / 20).mul_f64(chance.clamp(0.0, 1.0)))
}

/// The wait after a failed fetch, the `failures`-th since the last success, when the credentials in use expire in
/// `left` and were valid for `valid_for` at first.
///
/// It doubles from one second up to a minute, and is at most the longer of `left / 8` and `valid_for / 60`, so that a
/// source that is back when a fifth of the validity is left is in time. Chance makes it shorter by up to half.
///
/// A host that waits for somebody else's renewal uses the wait after a first failure.
pub fn retry_after(failures: u32, left: Duration, valid_for: Duration, chance: f64) -> Duration {
    let doubled = FIRST_RETRY_WAIT.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    let longest = (left / 8).max(valid_for / 60).clamp(MIN_RETRY_WAIT, MAX_RETRY_WAIT);
    doubled.min(longest).mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0).max(MIN_RETRY_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_at_refresh(valid_for: u64, chance: f64) -> f64 {
        let valid_for = Duration::from_secs(valid_for);
        (valid_for - refresh_after(valid_for, chance)).as_secs_f64()
    }

    #[test]
    fn an_hour_is_refreshed_with_20_to_23_minutes_left() {
        assert_eq!(left_at_refresh(3600, 0.0), 1200.0);
        assert_eq!(left_at_refresh(3600, 1.0), 1380.0);
    }

    #[test]
    fn short_credentials_are_refreshed_a_minute_or_half_of_their_validity_ahead() {
        assert_eq!(left_at_refresh(900, 0.0), 300.0);
        assert_eq!(left_at_refresh(150, 0.0), 60.0);
        assert_eq!(left_at_refresh(12, 0.0), 6.0);
        assert_eq!(left_at_refresh(12, 1.0), 6.6);
    }

    #[test]
    fn the_time_to_the_refresh_is_never_negative() {
        for chance in [-1.0, 0.0, 0.5, 1.0, 2.0] {
            assert_eq!(refresh_after(Duration::ZERO, chance), Duration::ZERO);
            assert!(refresh_after(Duration::from_secs(2), chance) <= Duration::from_secs(1));
        }
    }

    #[test]
    fn waits_double_from_a_second_to_a_minute_while_enough_time_is_left() {
        let hour = Duration::from_secs(3600);
        let waits: Vec<u64> = (1..=9).map(|failures| retry_after(failures, hour / 3, hour, 0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(retry_after(u32::MAX, hour / 3, hour, 0.0).as_secs(), 60);
        assert_eq!(retry_after(4, hour / 3, hour, 1.0).as_secs(), 4);
    }

    #[test]
    fn a_source_that_is_back_with_a_fifth_of_the_validity_left_is_in_time() {
        for valid_for in [10, 60, 900, 3600, 43_200].map(Duration::from_secs) {
            let mut left = valid_for - refresh_after(valid_for, 0.0);
            let mut failures = 0;
            while left > valid_for / 5 {
                failures += 1;
                left = left.saturating_sub(retry_after(failures, left, valid_for, 0.0));
            }
            assert!(left > valid_for / 10, "{valid_for:?}: asked only when {left:?} were left");
        }
    }

    const HOUR: Duration = Duration::from_secs(3600);

    /// A reading, in seconds, of the monotonic clock and of the wall clock.
    fn clocks(monotonic: u64, wall: u64) -> Clocks {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + wall);
        Clocks { monotonic: Duration::from_secs(monotonic), wall }
    }

    #[test]
    fn a_refresh_is_due_by_the_clock_that_says_so_first() {
        let span = Duration::from_secs(2400);
        for (now, seconds) in [
            (clocks(1000, 1000), 1400),
            // The machine slept, or the wall clock was set ahead.
            (clocks(10, 7200), 0),
            (clocks(10, 2000), 400),
            // The wall clock was set back.
            (clocks(2400, 0), 0),
        ] {
            assert_eq!(due(clocks(0, 0), span, now).as_secs(), seconds, "{now:?}");
        }
        let set_back = Clocks { wall: SystemTime::UNIX_EPOCH, ..clocks(2000, 0) };
        assert_eq!(due(clocks(0, 0), span, set_back).as_secs(), 400);
    }

    #[test]
    fn no_sleep_is_longer_than_thirty_seconds() {
        assert_eq!(wait(clocks(0, 0), HOUR, clocks(0, 0)).as_secs(), 30);
        assert_eq!(wait(clocks(0, 0), HOUR, clocks(3590, 3590)).as_secs(), 10);
        assert_eq!(wait(clocks(0, 0), HOUR, clocks(0, 4000)).as_secs(), 0);
    }

    #[test]
    fn credentials_end_while_a_machine_sleeps_and_not_when_its_clock_is_set() {
        let expiration = clocks(0, 3600).wall;
        for (now, seconds, reason) in [
            (clocks(600, 600), 3000, "ten minutes have passed"),
            (clocks(3600, 3600), 0, "an hour has passed"),
            (clocks(10, 7200), 0, "the monotonic clock stood still for two hours"),
            (clocks(10, 3000), 600, "it stood still for fifty minutes"),
            (clocks(3600, 10), 0, "the wall clock was set back"),
        ] {
            assert_eq!(left(clocks(0, 0), HOUR, expiration, now).as_secs(), seconds, "{reason}");
        }
        // A clock that was two hours behind when the answer came, and is right ten minutes later.
        let expiration = clocks(0, 7200 + 3600).wall;
        assert_eq!(left(clocks(0, 0), HOUR, expiration, clocks(600, 7200 + 600)).as_secs(), 3000);
        // A clock that is, and stays, two hours ahead.
        let expiration = clocks(0, 3600).wall;
        assert_eq!(left(clocks(0, 7200), HOUR, expiration, clocks(600, 7200 + 600)).as_secs(), 3000);
    }

    #[test]
    fn no_source_is_asked_more_often_than_five_times_a_second() {
        for chance in [0.0, 1.0] {
            assert_eq!(retry_after(1, Duration::ZERO, Duration::from_secs(3), chance), MIN_RETRY_WAIT);
        }
    }
}
