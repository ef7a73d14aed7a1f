//! The thread of a shard: a poll, a waker, and turn after turn.
//!
//! Readiness is edge-triggered; read and write interest are registered once, because the write edge comes only
//! after a socket took less than it was given. The first, spurious "writable" of a socket is ignored, because only
//! laggards wait for one. A sleeping shard is woken through its eventfd by whoever clears its parked bit.

use super::{Setup, Shard};
use crate::sync::{Arc, Flag};
use crate::telemetry::ShardCounter;
use crate::wake::Wake;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::thread::JoinHandle;
use std::time::Duration;

const WAKE: Token = Token(usize::MAX);
/// Readiness events of one poll.
const EVENTS_MAX: usize = 256;
const STACK_BYTES: usize = 512 * 1024;

/// A running shard.
#[derive(Debug)]
pub struct Broadcaster {
    thread: JoinHandle<()>,
    control: Arc<Control>,
    wake: Arc<Wake>,
    index: usize,
}

#[derive(Debug, Default)]
struct Control {
    drain: Flag,
    stop: Flag,
}

impl Broadcaster {
    /// Starts the thread of a shard.
    ///
    /// # Errors
    /// When the poll or the thread cannot be made.
    pub fn start(setup: Setup<TcpStream>, wake: Arc<Wake>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let index = setup.index;
        wake.register(index, move || {
            // An eventfd write fails only when its counter is full, and then the shard is awake.
            let _ = waker.wake();
        });
        let control = Arc::new(Control::default());
        let (thread_control, thread_wake) = (control.clone(), wake.clone());
        // Here and not on the thread: a reader sees from its making on, and what is published as soon as this
        // returns must not be before it.
        let shard = Shard::new(setup);
        let thread = std::thread::Builder::new()
            .name(format!("shard-{index}"))
            .stack_size(STACK_BYTES)
            .spawn(move || run(shard, poll, &thread_wake, &thread_control))?;
        Ok(Self { thread, control, wake, index })
    }

    /// Every client gets a close frame with 1001, and no arrivals are taken any more.
    pub fn drain(&self) {
        self.control.drain.raise();
        self.wake.nudge(self.index);
    }

    /// Ends the thread at its next turn; connections still open are dropped. Call [`join`](Self::join) then.
    pub fn stop(&self) {
        self.control.stop.raise();
        self.wake.nudge(self.index);
    }

    /// Waits until the thread has ended; false when it panicked.
    pub fn join(self) -> bool {
        self.thread.join().is_ok()
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

fn run(mut shard: Shard<TcpStream>, mut poll: Poll, wake: &Wake, control: &Control) {
    let mut events = Events::with_capacity(EVENTS_MAX);
    let mut is_draining = false;
    while !control.stop.is_raised() {
        if control.drain.is_raised() && !is_draining {
            is_draining = true;
            shard.drain();
        }
        let is_busy = shard.turn();
        register(&mut shard, &poll);
        let mut timeout = Duration::ZERO;
        if !is_busy {
            wake.park(shard.index);
            let has_orders =
                control.stop.is_raised() || (control.drain.is_raised() && !is_draining);
            if shard.has_work() || has_orders {
                wake.unpark(shard.index);
            } else {
                timeout = Duration::from_micros(shard.timeout_us());
                shard.telemetry.add(ShardCounter::Parks, 1);
            }
        }
        // An interrupted poll is a poll that found nothing.
        let _ = poll.poll(&mut events, Some(timeout));
        if !is_busy {
            wake.unpark(shard.index);
        }
        shard.refresh_now();
        for event in &events {
            if event.token() == WAKE {
                continue;
            }
            let k = event.token().0;
            let has_ended = event.is_read_closed() || event.is_error();
            if has_ended {
                shard.note_ended(k);
            }
            if event.is_readable() || has_ended {
                shard.readable(k);
            }
            if event.is_writable() {
                shard.run_soon(k);
            }
        }
    }
}

fn register(shard: &mut Shard<TcpStream>, poll: &Poll) {
    while let Some(slot) = shard.admitted.pop() {
        let k = slot as usize;
        let Some(socket) = &shard.connections.socket[k] else { continue };
        let fd = socket.as_raw_fd();
        let interest = Interest::READABLE | Interest::WRITABLE;
        match poll.registry().register(&mut SourceFd(&fd), Token(k), interest) {
            Ok(()) => {}
            // The slot was given out twice in one turn and is in the list twice.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(_) => shard.drop_connection(k),
        }
    }
}
