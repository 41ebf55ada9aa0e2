//! Open connections: how many there are, which of them are idle, and how long a client may take for the head of a request.
//!
//! A connection that waits for its next request may wait for long: a proxy in front keeps its own end open for about two minutes, and
//! would send a request into a connection that closes earlier. In return the one that is idle longest closes when another needs its place.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, Sleep};

use super::address_limit::{AddressLimit, Place};
use super::listen::CLIENT_TIMEOUT;

/// All open connections.
pub struct Connections {
    /// The most that may be open.
    pub capacity: u32,
    /// One permit for each connection that may still be opened.
    permits: Arc<Semaphore>,
    share: AddressLimit,
    idle: Mutex<Idle>,
    /// Whether all have to end.
    end: watch::Sender<bool>,
}

/// The idle connections, the one that is idle longest first.
#[derive(Default)]
struct Idle {
    next: u64,
    waiting: BTreeMap<u64, Arc<Notify>>,
}

impl Connections {
    /// Allows so many connections; `each` of them from one address.
    pub fn new(capacity: u32, each: u32) -> Arc<Self> {
        let permits = usize::try_from(capacity).expect("32 bits").min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            capacity,
            permits: Arc::new(Semaphore::new(permits)),
            share: AddressLimit::new(usize::MAX, usize::try_from(each).expect("32 bits")),
            idle: Mutex::default(),
            end: watch::Sender::default(),
        })
    }

    /// Takes a place for a connection, the place of the one that is idle longest if none is free. `None` when this address has as many
    /// as it may.
    pub async fn open(self: &Arc<Self>, address: IpAddr) -> Option<Arc<Connection>> {
        let place = self.share.enter(address)?;
        let permit = match self.permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                if let Some((_, longest)) = self.idle().waiting.pop_first() {
                    longest.notify_one();
                }
                self.permits.clone().acquire_owned().await.expect("it is never closed")
            }
        };
        Some(self.connection(Some((permit, place))))
    }

    /// A connection without a place, which only learns that there is none.
    pub fn beyond(self: &Arc<Self>) -> Arc<Connection> {
        self.connection(None)
    }

    fn connection(self: &Arc<Self>, place: Option<(OwnedSemaphorePermit, Place)>) -> Arc<Connection> {
        let close = Arc::new(Notify::new());
        let number = self.idle().add(close.clone());
        let phase = Phase::Unused { number, deadline: Instant::now() + CLIENT_TIMEOUT };
        Arc::new(Connection {
            connections: self.clone(),
            end: self.end.subscribe(),
            close,
            phase: Mutex::new(phase),
            _place: place,
        })
    }

    /// Asks all connections to end with their present requests, and waits until they have.
    pub async fn end(&self) {
        self.end.send_replace(true);
        let _all = self.permits.acquire_many(self.capacity).await;
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().expect("nobody panics while holding it")
    }
}

impl Idle {
    fn add(&mut self, close: Arc<Notify>) -> u64 {
        self.next += 1;
        self.waiting.insert(self.next, close);
        self.next
    }
}

/// What a connection waits for.
#[derive(Clone, Copy)]
enum Phase {
    /// For the first byte of its first request.
    Unused { number: u64, deadline: Instant },
    /// For the first byte of its next request.
    Idle { number: u64 },
    /// For the rest of a head.
    Head { deadline: Instant },
    /// For us.
    Busy,
}

/// An open connection.
pub struct Connection {
    connections: Arc<Connections>,
    end: watch::Receiver<bool>,
    close: Arc<Notify>,
    phase: Mutex<Phase>,
    _place: Option<(OwnedSemaphorePermit, Place)>,
}

impl Connection {
    /// Waits until the connection has to end with its present request.
    pub async fn asked_to_end(&self) {
        let mut end = self.end.clone();
        tokio::select! {
            () = self.close.notified() => {}
            _ = end.wait_for(|end| *end) => {}
        }
    }

    /// Whether not a byte of a request has come.
    pub fn is_unused(&self) -> bool {
        matches!(*self.phase(), Phase::Unused { .. })
    }

    /// The head of a request is complete.
    pub fn begin_request(&self) {
        self.change(Phase::Busy);
    }

    /// The response is on its way.
    pub fn end_request(&self) {
        let number = self.connections.idle().add(self.close.clone());
        self.change(Phase::Idle { number });
    }

    fn receive(&self) {
        let phase = *self.phase();
        match phase {
            Phase::Unused { deadline, .. } => self.change(Phase::Head { deadline }),
            Phase::Idle { .. } => self.change(Phase::Head { deadline: Instant::now() + CLIENT_TIMEOUT }),
            Phase::Head { .. } | Phase::Busy => {}
        }
    }

    fn change(&self, next: Phase) {
        match std::mem::replace(&mut *self.phase(), next) {
            Phase::Unused { number, .. } | Phase::Idle { number } => {
                drop(self.connections.idle().waiting.remove(&number))
            }
            Phase::Head { .. } | Phase::Busy => {}
        }
    }

    /// The instant by which the head must have come; an idle connection has as long as hyper gives it.
    fn deadline(&self) -> Option<Instant> {
        match *self.phase() {
            Phase::Unused { deadline, .. } | Phase::Head { deadline } => Some(deadline),
            Phase::Idle { .. } | Phase::Busy => None,
        }
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().expect("nobody panics while holding it")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.change(Phase::Busy);
    }
}

/// A stream that fails when the head of a request takes too long.
pub struct HeadTimeout<S> {
    stream: S,
    connection: Arc<Connection>,
    timer: Pin<Box<Sleep>>,
}

impl<S> HeadTimeout<S> {
    /// Watches what is read from the stream.
    pub fn new(stream: S, connection: Arc<Connection>) -> Self {
        Self { stream, connection, timer: Box::pin(tokio::time::sleep(Duration::ZERO)) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            if buffer.filled().len() > before {
                self.connection.receive();
            }
            return Poll::Ready(read);
        }
        let Some(deadline) = self.connection.deadline() else { return Poll::Pending };
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        self.timer.as_mut().poll(context).map(|()| Err(std::io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeadTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
