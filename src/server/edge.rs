//! The edge: one thread with a tokio runtime that accepts, speaks HTTP and hands finished sockets over.
//!
//! Never: frames or events. Invariants: every task belongs to the runtime and ends with it; shards are woken once
//! per pass of the edge, however many sockets were handed over in it.

use super::admission::Admission;
use super::listen::{self, Reserve};
use super::surface::Surface;
use super::{EdgeCounters, Listener, Options, Place, Refusal, farewell};
use crate::kernel;

use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// hyper's smallest read buffer.
const BUFFER_BYTES_MIN: usize = 8_192;
/// So many HTTP phases leave enough memory behind to give it back.
const STORM_CONNECTIONS: usize = 64;
/// A storm is over when a quiet period brings fewer connections than this.
const QUIET_CONNECTIONS: usize = 16;
/// How long is listened for quiet.
const QUIET_PERIOD: Duration = Duration::from_secs(2);

/// The running front door. Dropping it stops it, like [`Edge::stop`].
#[derive(Debug)]
pub struct Edge {
    phase: watch::Sender<Phase>,
    thread: Option<JoinHandle<()>>,
}

/// How far the edge is with stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    NotAccepting,
    Stopped,
}

impl Edge {
    /// Starts the edge thread. Connections that wait in the listeners' backlogs are accepted at once.
    ///
    /// # Errors
    /// Those of the system (thread, descriptors), and invalid input for a limit of zero.
    pub fn start(
        listeners: Vec<Listener>,
        place: Arc<dyn Place>,
        options: Options,
        counters: Arc<dyn EdgeCounters>,
    ) -> io::Result<Self> {
        options.check()?;
        let (phase, phases) = watch::channel(Phase::Open);
        let (ready, started) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("lineage-edge".into()).spawn(move || {
            let opened = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(Default::default());
            let runtime = match opened {
                Ok(runtime) => runtime,
                // Nobody to tell if the starter is gone.
                Err(error) => return drop(ready.send(Err(error))),
            };
            runtime.block_on(async {
                match open(listeners, place, options, counters) {
                    Ok((door, accepting)) => {
                        drop(ready.send(Ok(())));
                        run(&door, accepting, phases).await;
                    }
                    Err(error) => drop(ready.send(Err(error))),
                }
            });
        })?;
        let edge = Self { phase, thread: Some(thread) };
        started
            .recv()
            .map_err(|_| io::Error::other("the edge thread ended before it was open"))??;
        Ok(edge)
    }

    /// Closes the listeners, at the edge's next pass; does not block. Connections in progress go on.
    pub fn stop_accepting(&self) {
        self.advance(Phase::NotAccepting);
    }

    /// Closes the listeners and every connection still in the HTTP phase, and ends the thread. Responses in progress
    /// get up to `drain_timeout`. Blocks until the thread has ended.
    pub fn stop(self) {
        drop(self);
    }

    fn advance(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let is_later = to > *phase;
            *phase = to.max(*phase);
            is_later
        });
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.advance(Phase::Stopped);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the edge thread had panicked");
        }
    }
}

/// What all connections of the edge share.
pub(super) struct Door {
    pub(super) options: Options,
    pub(super) admission: Rc<Admission>,
    pub(super) builder: http1::Builder,
    pub(super) place: Arc<dyn Place>,
    pub(super) counters: Arc<dyn EdgeCounters>,
    pub(super) reserve: Reserve,
    /// Told at each hand-over.
    pub(super) handed_over: Notify,
    /// Connections being turned away by tasks of their own.
    pub(super) turned_away: Cell<usize>,
    pub(super) storm: Storm,
    exchanges: Cell<usize>,
    exchanges_ended: Notify,
}

impl Door {
    /// Counts a refusal, answers it by hand and closes.
    pub(super) async fn refuse(&self, stream: TcpStream, refusal: Refusal) {
        self.counters.refused(refusal.status().as_u16());
        farewell::refuse(stream, refusal).await;
    }
}

type Accepting = Vec<tokio::task::JoinHandle<()>>;

/// Sets the door up and begins to accept.
fn open(
    listeners: Vec<Listener>,
    place: Arc<dyn Place>,
    options: Options,
    counters: Arc<dyn EdgeCounters>,
) -> io::Result<(Rc<Door>, Accepting)> {
    let door = Rc::new(Door {
        admission: Admission::new(Arc::clone(&place), &options),
        builder: builder(&options),
        options,
        place,
        counters,
        reserve: Reserve::new()?,
        handed_over: Notify::new(),
        turned_away: Cell::new(0),
        storm: Storm::default(),
        exchanges: Cell::new(0),
        exchanges_ended: Notify::new(),
    });
    let mut accepting = Vec::new();
    for Listener { socket, routes, service } in listeners {
        let address = socket.local_addr()?.ip();
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from_std(socket)?;
        let surface = Rc::new(Surface::new(address, routes, service, &door.options));
        accepting.push(tokio::task::spawn_local(listen::accept(
            listener,
            surface,
            Rc::clone(&door),
        )));
    }
    Ok((door, accepting))
}

fn builder(options: &Options) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(options.head_timeout)
        .max_headers(options.headers_max)
        .max_header_size(options.head_bytes_max)
        .max_buf_size(options.head_bytes_max.max(BUFFER_BYTES_MIN))
        .half_close(false)
        // Heads and bodies here are small: one copy is cheaper than a vector of two.
        .writev(false)
        .keep_alive(true);
    builder
}

/// The edge's life. When it returns, the runtime ends and every task with it.
async fn run(door: &Rc<Door>, accepting: Accepting, mut phases: watch::Receiver<Phase>) {
    tokio::task::spawn_local(nudge_once_per_pass(Rc::clone(door)));
    tokio::task::spawn_local(release_memory_after_storms(Rc::clone(door)));
    // An error means that the handle is gone, which is a stop.
    let _ = phases.wait_for(|phase| *phase > Phase::Open).await;
    for task in accepting {
        task.abort();
    }
    let _ = phases.wait_for(|phase| *phase == Phase::Stopped).await;
    let drained = async {
        while door.exchanges.get() > 0 {
            door.exchanges_ended.notified().await;
        }
    };
    let _ = tokio::time::timeout(door.options.drain_timeout, drained).await;
}

/// Collects the hand-overs of one pass: what is ready runs first, then the shards are woken.
async fn nudge_once_per_pass(door: Rc<Door>) {
    loop {
        door.handed_over.notified().await;
        tokio::task::yield_now().await;
        door.place.nudge();
    }
}

/// Connections since memory was last given back.
#[derive(Default)]
pub(super) struct Storm {
    connections: Cell<usize>,
    risen: Notify,
}

impl Storm {
    /// Counts a connection that takes HTTP buffers.
    pub(super) fn count(&self) {
        let connections = self.connections.get() + 1;
        self.connections.set(connections);
        if connections == STORM_CONNECTIONS {
            self.risen.notify_one();
        }
    }

    /// Returns when a storm is over, after a quiet `period`, and forgets it.
    async fn over(&self, period: Duration) {
        self.risen.notified().await;
        loop {
            let before = self.connections.get();
            tokio::time::sleep(period).await;
            if self.connections.get() - before < QUIET_CONNECTIONS {
                return self.connections.set(0);
            }
        }
    }
}

/// The buffers of past handshakes stay in the allocator, 20 KB for each that was in progress at a time. Gives them
/// back on this thread, which delivers nothing, when it has time.
async fn release_memory_after_storms(door: Rc<Door>) {
    loop {
        door.storm.over(QUIET_PERIOD).await;
        kernel::release_free_memory();
    }
}

/// A request that a service is answering.
pub(super) struct Exchange(Rc<Door>);

impl Exchange {
    pub(super) fn begin(door: &Rc<Door>) -> Self {
        door.exchanges.set(door.exchanges.get() + 1);
        Self(Rc::clone(door))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.exchanges.set(self.0.exchanges.get() - 1);
        self.0.exchanges_ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_begins_at_its_limit_and_ends_with_a_quiet_period() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let (storm, period) = (Storm::default(), Duration::from_millis(1));
            for _ in 0..STORM_CONNECTIONS - 1 {
                storm.count();
            }
            let calm = tokio::time::timeout(20 * period, storm.over(period)).await;
            assert!(calm.is_err(), "{} connections are no storm", STORM_CONNECTIONS - 1);
            storm.count();
            storm.over(period).await;
            assert_eq!(storm.connections.get(), 0);
        });
    }
}
