//! One call for all who ask for the same at the same time: of STS for credentials, of a cluster for who somebody is.
//!
//! A request joins a flight for credentials only after it has been authorised by itself, and writes its own audit row after
//! it. What came of a flight goes to those who were waiting and to nobody later: nothing is cached here.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

use hops_credentials_core::request::{SessionDuration, SessionName};
use hops_credentials_core::role::RoleArn;
use tokio::sync::OnceCell;

/// What makes two requests for credentials the same. Compared as a whole, value by value: no text is made of it that two could
/// share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SameCredentials {
    /// The e-mail address of the member. Two members never share credentials.
    pub member: String,
    /// The project.
    pub project_id: i64,
    /// The role.
    pub role: RoleArn,
    /// The session name.
    pub session_name: SessionName,
    /// The duration asked for.
    pub duration: SessionDuration,
}

/// The flights that are in the air, by what they bring.
#[derive(Debug)]
pub struct Flights<Cargo, Outcome>(Mutex<HashMap<Cargo, Arc<OnceCell<Outcome>>>>);

impl<Cargo, Outcome> Default for Flights<Cargo, Outcome> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Cargo: Eq + Hash + Clone, Outcome: Clone> Flights<Cargo, Outcome> {
    /// Waits for the flight there is, or starts it with `call`; the outcome is that of the one call for all who waited.
    ///
    /// If the task that runs `call` is dropped, one of those who wait runs its own instead.
    pub async fn join(&self, cargo: Cargo, call: impl AsyncFnOnce() -> Outcome) -> Outcome {
        let landing = self.lock().entry(cargo.clone()).or_default().clone();
        let outcome = landing.get_or_init(async || {
            // On the heap: a call of the AWS SDK takes tens of KiB, and those who only wait need no room for one.
            let outcome = Box::pin(call()).await;
            self.lock().remove(&cargo);
            outcome
        });
        outcome.await.clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Cargo, Arc<OnceCell<Outcome>>>> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, SystemTime};

    use hops_credentials_core::credentials::Credentials;
    use hops_credentials_core::error::Error;
    use hops_credentials_core::sts::Issued;
    use tokio::sync::Notify;
    use tokio::task::{JoinHandle, yield_now};

    use super::*;

    type Outcome = Result<Issued, Arc<Error>>;
    type Sky = Arc<Flights<SameCredentials, Outcome>>;

    /// An STS that answers when it is told to, and numbers its answers.
    #[derive(Default)]
    struct Calls {
        begun: AtomicUsize,
        go: Notify,
    }

    fn issued(number: usize) -> Issued {
        let role = "arn:aws:iam::123456789012:role/r".parse().ok();
        let (secret, token) = ("secret".to_owned(), "token".to_owned());
        let life = Duration::from_secs(3600);
        let expiration = SystemTime::now() + life;
        let credentials = Credentials::new(format!("ASIA{number}"), secret, token, expiration, life, role);
        Issued { credentials, request_id: None, warnings: Vec::new() }
    }

    fn flight() -> SameCredentials {
        SameCredentials {
            member: "ada@example.org".to_owned(),
            project_id: 119,
            role: "arn:aws:iam::123456789012:role/r".parse().expect("a role ARN"),
            session_name: "ada-churn".parse().expect("a session name"),
            duration: SessionDuration::default(),
        }
    }

    /// Asks, and lets everybody go on until all wait.
    async fn ask(flights: &Sky, calls: &Arc<Calls>, flight: SameCredentials, fails: bool) -> JoinHandle<Outcome> {
        let (flights, calls) = (flights.clone(), calls.clone());
        let asking = tokio::spawn(async move {
            let call = async || {
                let number = calls.begun.fetch_add(1, Ordering::Relaxed) + 1;
                calls.go.notified().await;
                if !fails {
                    Ok(issued(number))
                } else {
                    Err(Arc::new(Error::InvalidArgument { field: "role ARN", reason: format!("call {number}") }))
                }
            };
            flights.join(flight, call).await
        });
        yield_now().await;
        asking
    }

    async fn land(asking: Vec<JoinHandle<Outcome>>) -> Vec<String> {
        let mut outcomes = Vec::new();
        for one in asking {
            outcomes.push(match one.await.expect("no panic") {
                Ok(issued) => issued.credentials.access_key_id().to_owned(),
                Err(error) => error.to_string(),
            });
        }
        outcomes
    }

    #[tokio::test]
    async fn fifty_who_ask_for_the_same_at_once_share_one_call_and_the_next_makes_its_own() {
        let (flights, calls) = (Sky::default(), Arc::default());
        let mut asking = Vec::new();
        for _ in 0..50 {
            asking.push(ask(&flights, &calls, flight(), false).await);
        }
        calls.go.notify_one();
        assert_eq!(land(asking).await, vec!["ASIA1"; 50]);
        let next = ask(&flights, &calls, flight(), false).await;
        calls.go.notify_one();
        assert_eq!(land(vec![next]).await, ["ASIA2"]);
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn whoever_differs_in_anything_makes_an_own_call() {
        let (flights, calls) = (Sky::default(), Arc::<Calls>::default());
        let others = [
            flight(),
            SameCredentials { member: "eve@example.org".to_owned(), ..flight() },
            SameCredentials { project_id: 120, ..flight() },
            SameCredentials { role: "arn:aws:iam::123456789012:role/s".parse().expect("a role ARN"), ..flight() },
            SameCredentials { session_name: "ada-fraud".parse().expect("a session name"), ..flight() },
            SameCredentials { duration: SessionDuration::from_seconds(900).expect("legal"), ..flight() },
        ];
        let mut asking = Vec::new();
        for other in others {
            asking.push(ask(&flights, &calls, other, false).await);
        }
        assert_eq!(calls.begun.load(Ordering::Relaxed), 6);
        calls.go.notify_waiters();
        assert_eq!(land(asking).await, ["ASIA1", "ASIA2", "ASIA3", "ASIA4", "ASIA5", "ASIA6"]);
    }

    #[tokio::test]
    async fn a_failure_goes_to_all_who_waited_and_to_nobody_later() {
        let (flights, calls) = (Sky::default(), Arc::<Calls>::default());
        let asking = vec![ask(&flights, &calls, flight(), true).await, ask(&flights, &calls, flight(), true).await];
        calls.go.notify_one();
        assert_eq!(land(asking).await, vec!["invalid role ARN: call 1"; 2]);
        let next = ask(&flights, &calls, flight(), false).await;
        calls.go.notify_one();
        assert_eq!(land(vec![next]).await, ["ASIA2"]);
    }

    #[tokio::test]
    async fn a_task_that_is_dropped_takes_nobody_with_it() {
        let (flights, calls) = (Sky::default(), Arc::<Calls>::default());
        let first = ask(&flights, &calls, flight(), false).await;
        let second = ask(&flights, &calls, flight(), false).await;
        first.abort();
        assert!(first.await.expect_err("it is dropped").is_cancelled());
        while calls.begun.load(Ordering::Relaxed) < 2 {
            yield_now().await;
        }
        calls.go.notify_one();
        assert_eq!(land(vec![second]).await, ["ASIA2"]);
        assert!(flights.lock().is_empty());
    }
}
