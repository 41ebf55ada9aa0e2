//! Flights: callers who ask the cluster for the same at the same time share one call.
//!
//! The outcome of a flight goes to those who waited and to nobody later: nothing is cached here.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::OnceCell;

/// The calls that are under way, by their keys.
#[derive(Debug)]
pub struct Flights<Key, Outcome>(Mutex<HashMap<Key, Arc<OnceCell<Outcome>>>>);

impl<Key, Outcome> Default for Flights<Key, Outcome> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Key: Eq + Hash + Clone, Outcome: Clone> Flights<Key, Outcome> {
    /// Waits for the call under way for this key, or makes it with `call`. All who wait get its outcome.
    ///
    /// If the task that runs `call` is dropped, one of the waiting tasks runs its own instead; if nobody waits, nothing of the call stays.
    pub async fn join(&self, key: Key, call: impl AsyncFnOnce() -> Outcome) -> Outcome {
        let cell = self.lock().entry(key.clone()).or_default().clone();
        let seat = Seat { flights: self, key, cell };
        let outcome = seat.cell.get_or_init(async || {
            // On the heap: tasks that only wait do not need the room of a call.
            let outcome = Box::pin(call()).await;
            self.lock().remove(&seat.key);
            outcome
        });
        outcome.await.clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<OnceCell<Outcome>>>> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

/// The place of one who waits for a call. The last one who leaves before the call has an outcome takes the call with them.
struct Seat<'a, Key: Eq + Hash, Outcome> {
    flights: &'a Flights<Key, Outcome>,
    key: Key,
    cell: Arc<OnceCell<Outcome>>,
}

impl<Key: Eq + Hash, Outcome> Drop for Seat<'_, Key, Outcome> {
    fn drop(&mut self) {
        // A call with an outcome has left the map, and another call may be under its key.
        if self.cell.initialized() {
            return;
        }
        let mut flights = self.flights.0.lock().expect("nobody panics while holding it");
        // Seats are taken and left under this lock, so two owners are the map and this seat.
        let is_last = |cell: &Arc<OnceCell<Outcome>>| Arc::ptr_eq(cell, &self.cell) && Arc::strong_count(cell) == 2;
        if flights.get(&self.key).is_some_and(is_last) {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;
    use tokio::task::{JoinHandle, yield_now};

    use super::*;

    /// The number of the call, or that of one that failed.
    type Outcome = Result<usize, usize>;

    /// A cluster that answers on a signal, and numbers its answers.
    #[derive(Default)]
    struct Calls {
        begun: AtomicUsize,
        go: Notify,
    }

    /// Asks, and lets all tasks run until each of them waits.
    async fn ask(
        flights: &Arc<Flights<&'static str, Outcome>>,
        calls: &Arc<Calls>,
        key: &'static str,
        answer: fn(usize) -> Outcome,
    ) -> JoinHandle<Outcome> {
        let (flights, calls) = (flights.clone(), calls.clone());
        let asking = tokio::spawn(async move {
            let call = async || {
                let number = calls.begun.fetch_add(1, Ordering::Relaxed) + 1;
                calls.go.notified().await;
                answer(number)
            };
            flights.join(key, call).await
        });
        yield_now().await;
        asking
    }

    async fn finish(asking: Vec<JoinHandle<Outcome>>) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for one in asking {
            outcomes.push(one.await.expect("no panic"));
        }
        outcomes
    }

    #[tokio::test]
    async fn fifty_callers_at_once_share_one_call_and_the_next_one_makes_its_own() {
        let (flights, calls) = (Arc::default(), Arc::default());
        let mut asking = Vec::new();
        for _ in 0..50 {
            asking.push(ask(&flights, &calls, "ada", Ok).await);
        }
        calls.go.notify_one();
        assert_eq!(finish(asking).await, [Ok(1); 50]);
        let next = ask(&flights, &calls, "ada", Ok).await;
        calls.go.notify_one();
        assert_eq!(finish(vec![next]).await, [Ok(2)]);
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn a_caller_with_another_key_makes_a_call_of_their_own() {
        let (flights, calls) = (Arc::default(), Arc::<Calls>::default());
        let asking = vec![ask(&flights, &calls, "ada", Ok).await, ask(&flights, &calls, "eve", Ok).await];
        assert_eq!(calls.begun.load(Ordering::Relaxed), 2);
        calls.go.notify_waiters();
        assert_eq!(finish(asking).await, [Ok(1), Ok(2)]);
    }

    #[tokio::test]
    async fn a_failure_goes_to_all_who_wait_and_to_nobody_later() {
        let (flights, calls) = (Arc::default(), Arc::<Calls>::default());
        let asking = vec![ask(&flights, &calls, "ada", Err).await, ask(&flights, &calls, "ada", Err).await];
        calls.go.notify_one();
        assert_eq!(finish(asking).await, [Err(1); 2]);
        let next = ask(&flights, &calls, "ada", Ok).await;
        calls.go.notify_one();
        assert_eq!(finish(vec![next]).await, [Ok(2)]);
    }

    #[tokio::test]
    async fn a_dropped_task_does_not_end_the_wait_of_others() {
        let (flights, calls) = (Arc::default(), Arc::<Calls>::default());
        let first = ask(&flights, &calls, "ada", Ok).await;
        let second = ask(&flights, &calls, "ada", Ok).await;
        first.abort();
        assert!(first.await.expect_err("it is dropped").is_cancelled());
        while calls.begun.load(Ordering::Relaxed) < 2 {
            yield_now().await;
        }
        calls.go.notify_one();
        assert_eq!(finish(vec![second]).await, [Ok(2)]);
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_leaves_nothing() {
        let (flights, calls) = (Arc::default(), Arc::<Calls>::default());
        let first = ask(&flights, &calls, "ada", Ok).await;
        let second = ask(&flights, &calls, "ada", Ok).await;
        for asking in [first, second] {
            assert_eq!(flights.lock().len(), 1);
            asking.abort();
            assert!(asking.await.expect_err("it is dropped").is_cancelled());
        }
        assert!(flights.lock().is_empty());
    }
}
