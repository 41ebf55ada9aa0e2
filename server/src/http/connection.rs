//! Open connections: how many there are, which of them wait for their client, and how long a client may take for the head of a request.
//!
//! A connection that waits for its next request may wait for long: a proxy in front keeps its own end open for about two minutes, and
//! would send a request into a connection that closes earlier. In return it gives its place to another one that needs it, and so does one
//! that waits for the rest of a head or of a body. The address with most of them loses the one that waits longest: clients that dawdle,
//! even from several addresses, keep out nobody who has fewer connections.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::address_limit::{AddressLimit, Place};
use super::listen::CLIENT_TIMEOUT;
use crate::wrong_keys::to_network;

/// All open connections.
pub struct Connections {
    /// The most that may be open.
    pub capacity: u32,
    /// One permit for each connection that may still be opened.
    permits: Arc<Semaphore>,
    share: AddressLimit,
    waiting: Mutex<Waiting>,
    /// Whether all have to end.
    end: watch::Sender<bool>,
}

/// The connections that wait for their client. Numbers grow, so the smallest one waits longest.
#[derive(Default)]
struct Waiting {
    next: u64,
    by_address: HashMap<IpAddr, BTreeMap<u64, Arc<Notify>>>,
    /// How many connections of an address wait, and which one longest. The last address gives a place first.
    ranks: BTreeSet<(usize, Reverse<u64>, IpAddr)>,
}

impl Connections {
    /// Allows so many connections; `each` of them from one address.
    pub fn new(capacity: u32, each: u32) -> Arc<Self> {
        let permits = usize::try_from(capacity).expect("32 bits").min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            capacity,
            permits: Arc::new(Semaphore::new(permits)),
            share: AddressLimit::new(usize::MAX, usize::try_from(each).expect("32 bits")),
            waiting: Mutex::default(),
            end: watch::Sender::default(),
        })
    }

    /// Takes a place for a connection; if none is free, another connection that waits for its client has to end. `None` when this address
    /// has as many as it may, or when no connection waits for its client.
    pub fn open(self: &Arc<Self>, address: IpAddr) -> Option<Opening> {
        let place = self.share.enter(address)?;
        let permit = self.permits.clone().try_acquire_owned().ok();
        if permit.is_none() {
            self.waiting().take_next()?.notify_one();
        }
        let connection = self.connection(address, Some(place));
        connection.wait_for_client(For::First { deadline: Instant::now() + CLIENT_TIMEOUT });
        Some(Opening { connection, permit })
    }

    /// A connection without a place, which only learns that there is none.
    pub fn beyond(self: &Arc<Self>, address: IpAddr) -> Arc<Connection> {
        self.connection(address, None)
    }

    fn connection(self: &Arc<Self>, address: IpAddr, place: Option<Place>) -> Arc<Connection> {
        Arc::new(Connection {
            connections: self.clone(),
            address: to_network(address),
            end: self.end.subscribe(),
            close: Arc::new(Notify::new()),
            phase: Mutex::new(Phase::Busy),
            place,
        })
    }

    /// Asks all connections to end with their present requests, and waits until they have.
    pub async fn end(&self) {
        self.end.send_replace(true);
        let _all = self.permits.acquire_many(self.capacity).await;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nobody panics while holding it")
    }
}

/// A connection that has been accepted.
pub struct Opening {
    connection: Arc<Connection>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Opening {
    /// Waits until the connection whose place it takes has ended. The permit ends with this connection. `None` when this one has to end
    /// itself.
    pub async fn ready(self) -> Option<(Arc<Connection>, OwnedSemaphorePermit)> {
        let Self { connection, permit } = self;
        let permit = match permit {
            Some(permit) => permit,
            None => tokio::select! {
                permit = connection.connections.permits.clone().acquire_owned() => permit.expect("it is never closed"),
                _ = connection.asked_to_end() => return None,
            },
        };
        Some((connection, permit))
    }
}

impl Waiting {
    fn add(&mut self, address: IpAddr, close: Arc<Notify>) -> u64 {
        self.next += 1;
        let number = self.next;
        self.change(address, |connections| connections.insert(number, close));
        number
    }

    /// Removes a connection; `None` when it has been taken.
    fn remove(&mut self, address: IpAddr, number: u64) -> Option<Arc<Notify>> {
        self.change(address, |connections| connections.remove(&number))
    }

    /// Takes the one that has to give its place.
    fn take_next(&mut self) -> Option<Arc<Notify>> {
        let (_, Reverse(number), address) = *self.ranks.last()?;
        self.change(address, |connections| connections.remove(&number))
    }

    fn change<T>(&mut self, address: IpAddr, change: impl FnOnce(&mut BTreeMap<u64, Arc<Notify>>) -> T) -> T {
        let connections = self.by_address.entry(address).or_default();
        let rank = |connections: &BTreeMap<u64, _>| {
            connections.first_key_value().map(|(number, _)| (connections.len(), Reverse(*number), address))
        };
        if let Some(rank) = rank(connections) {
            self.ranks.remove(&rank);
        }
        let changed = change(connections);
        match rank(connections) {
            Some(rank) => drop(self.ranks.insert(rank)),
            None => drop(self.by_address.remove(&address)),
        }
        changed
    }
}

/// What a connection waits for.
#[derive(Clone, Copy)]
enum Phase {
    /// For its client. The number says since when.
    Waiting { number: u64, for_what: For },
    /// For us.
    Busy,
    /// As the others; it gives its place as soon as it may, to one that already waits for it.
    Leaving { for_what: Option<For> },
}

/// What a client has to send.
#[derive(Clone, Copy)]
enum For {
    /// The first byte of its first request.
    First { deadline: Instant },
    /// The first byte of its next request.
    Next,
    /// The rest of a head.
    Head { deadline: Instant },
    /// The rest of a body.
    Body,
}

/// Why a connection has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Another one needs its place.
    GivesPlace,
    /// The server stops.
    Stop,
}

/// An open connection.
pub struct Connection {
    connections: Arc<Connections>,
    address: IpAddr,
    end: watch::Receiver<bool>,
    close: Arc<Notify>,
    phase: Mutex<Phase>,
    place: Option<Place>,
}

impl Connection {
    /// Waits until the connection has to end with its present request.
    pub async fn asked_to_end(&self) -> End {
        let mut end = self.end.clone();
        tokio::select! {
            () = self.close.notified() => End::GivesPlace,
            _ = end.wait_for(|end| *end) => End::Stop,
        }
    }

    /// Whether not a byte of a request has come.
    pub fn is_unused(&self) -> bool {
        matches!(*self.phase(), Phase::Waiting { for_what: For::First { .. }, .. })
    }

    /// Whether a part of a request has come, but not all of it.
    pub fn has_part_of_request(&self) -> bool {
        matches!(
            *self.phase(),
            Phase::Waiting { for_what: For::Head { .. } | For::Body, .. }
                | Phase::Leaving { for_what: Some(For::Head { .. } | For::Body) }
        )
    }

    /// Whether a request is complete and its response is not on its way.
    pub fn is_busy(&self) -> bool {
        matches!(*self.phase(), Phase::Busy | Phase::Leaving { for_what: None })
    }

    /// The head of a request is complete, and a body follows.
    pub fn wait_for_body(&self) {
        self.wait_for_client(For::Body);
    }

    /// The request is complete.
    pub fn be_busy(&self) {
        self.change(None);
    }

    /// The response is on its way.
    pub fn end_request(&self) {
        self.wait_for_client(For::Next);
    }

    /// Some bytes of the client have come.
    pub fn receive(&self) {
        let phase = *self.phase();
        let Phase::Waiting { number, for_what } = phase else { return };
        match for_what {
            For::First { deadline } => {
                // It has waited since it was opened.
                *self.phase() = Phase::Waiting { number, for_what: For::Head { deadline } };
            }
            For::Next => self.wait_for_client(For::Head { deadline: Instant::now() + CLIENT_TIMEOUT }),
            For::Head { .. } | For::Body => {}
        }
    }

    fn wait_for_client(&self, for_what: For) {
        self.change(Some(for_what));
    }

    fn change(&self, next: Option<For>) {
        let (mut phase, mut waiting) = (self.phase(), self.connections.waiting());
        let is_leaving = match *phase {
            Phase::Waiting { number, .. } => waiting.remove(self.address, number).is_none(),
            Phase::Busy => false,
            Phase::Leaving { .. } => true,
        };
        *phase = match next {
            for_what if is_leaving => Phase::Leaving { for_what },
            // One without a place has none to give.
            Some(for_what) if self.place.is_some() => {
                Phase::Waiting { number: waiting.add(self.address, self.close.clone()), for_what }
            }
            Some(_) | None => Phase::Busy,
        };
    }

    /// The instant by which the head must have come; an idle connection has as long as hyper gives it.
    pub fn deadline(&self) -> Option<Instant> {
        match *self.phase() {
            Phase::Waiting { for_what: For::First { deadline } | For::Head { deadline }, .. } => Some(deadline),
            Phase::Waiting { for_what: For::Next | For::Body, .. } | Phase::Busy | Phase::Leaving { .. } => None,
        }
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().expect("nobody panics while holding it")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.be_busy();
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn is_asked(connection: &Connection) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        std::pin::pin!(connection.asked_to_end()).as_mut().poll(&mut context) == Poll::Ready(End::GivesPlace)
    }

    #[tokio::test]
    async fn the_address_with_most_connections_that_wait_gives_the_one_that_waits_longest_and_once_only() {
        let connections = Connections::new(4, 4);
        let open = |address: &str| connections.open(address.parse().expect("an address"));
        let addresses = ["192.0.2.1", "2001:db8::1", "2001:db8::2", "192.0.2.2"];
        let mut held = Vec::new();
        for address in addresses {
            held.push(open(address).expect("a place").ready().await.expect("it is free"));
        }
        let asked = || held.iter().map(|(connection, _)| is_asked(connection)).collect::<Vec<_>>();
        let newcomer = open("192.0.2.3").expect("the place of another one");
        assert_eq!(asked(), [false, true, false, false]);
        // A request that came at that moment does not make it wait for its client again.
        held[1].0.be_busy();
        held[1].0.end_request();
        let next = open("192.0.2.4").expect("the place of another one");
        assert_eq!(asked(), [true, false, false, false]);
        drop((newcomer, next));
        held.iter().for_each(|(connection, _)| connection.be_busy());
        assert!(open("192.0.2.5").is_none(), "all are at work for their clients");
    }
}
