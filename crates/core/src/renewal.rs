//! One role in use: when its credentials are fetched anew, and when a fetch that failed is tried again.
//!
//! Pure functions of what the host has measured on its monotonic clock. `chance` is a random number from 0 to 1 that the
//! host draws, so that many applications that started together do not ask together.

use std::time::Duration;

/// The credentials of a short session are not fetched anew in its first half.
const MIN_LEAD: Duration = Duration::from_secs(60);
/// The first try after a failure, while time is not pressing.
const FIRST_RETRY_WAIT: Duration = Duration::from_secs(1);
/// Nobody is asked more often than this.
const MIN_RETRY_WAIT: Duration = Duration::from_millis(200);
/// A source that is back is noticed within this.
const MAX_RETRY_WAIT: Duration = Duration::from_secs(60);

/// How long after the answer the credentials are fetched anew, when `valid_for` was left of them in the answer.
///
/// A third of the valid_for ahead of the end; of lives below three minutes a minute, or half the valid_for if that is less. Up to
/// a twentieth of the valid_for earlier by chance, never later.
pub fn refresh_after(valid_for: Duration, chance: f64) -> Duration {
    let lead = (valid_for / 3).max((valid_for / 2).min(MIN_LEAD));
    (valid_for - lead).saturating_sub((valid_for / 20).mul_f64(chance.clamp(0.0, 1.0)))
}

/// How long to wait after a failed fetch: the `failures`-th since the last success, when `left` is left of the credentials
/// in use, whose valid_for was `valid_for`.
///
/// Doubles from a second up, and is never longer than an eighth of what is left, so that a source that is back when a
/// fifth of the valid_for is left is in time. Up to half of it earlier by chance.
///
/// Who follows somebody else that has not renewed them yet waits as after a first failure.
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
    fn a_short_life_is_refreshed_a_minute_or_half_of_it_ahead() {
        assert_eq!(left_at_refresh(900, 0.0), 300.0);
        assert_eq!(left_at_refresh(150, 0.0), 60.0);
        assert_eq!(left_at_refresh(12, 0.0), 6.0);
        assert_eq!(left_at_refresh(12, 1.0), 6.6);
    }

    #[test]
    fn no_life_and_no_chance_makes_the_instant_negative() {
        for chance in [-1.0, 0.0, 0.5, 1.0, 2.0] {
            assert_eq!(refresh_after(Duration::ZERO, chance), Duration::ZERO);
            assert!(refresh_after(Duration::from_secs(2), chance) <= Duration::from_secs(1));
        }
    }

    #[test]
    fn tries_double_from_a_second_to_a_minute_while_time_is_not_pressing() {
        let hour = Duration::from_secs(3600);
        let waits: Vec<u64> = (1..=9).map(|failures| retry_after(failures, hour / 3, hour, 0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(retry_after(u32::MAX, hour / 3, hour, 0.0).as_secs(), 60);
        assert_eq!(retry_after(4, hour / 3, hour, 1.0).as_secs(), 4);
    }

    #[test]
    fn a_source_that_is_back_with_a_fifth_of_the_life_left_is_in_time() {
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

    #[test]
    fn nobody_is_asked_more_often_than_five_times_a_second() {
        for chance in [0.0, 1.0] {
            assert_eq!(retry_after(1, Duration::ZERO, Duration::from_secs(3), chance), MIN_RETRY_WAIT);
        }
    }
}
