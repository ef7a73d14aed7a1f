//! What surrounds a shard in the model test: scripted sockets, and the events that are published, at rest and while
//! the shard is in the midst of a turn.

use super::Transport;
use super::model_checks::{History, TOPICS};
use crate::clock::Clock;
use crate::encode::{Encoder, SharedPublisher};
use crate::event::{Body, Cents, Event, Json, Market, Topic};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::Arc;

/// Who publishes, and what was published.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) publisher: SharedPublisher,
    pub(super) encoder: Arc<Encoder>,
    pub(super) clock: Clock,
    pub(super) topics: Vec<Topic>,
    pub(super) history: RefCell<History>,
    /// Events that others still publish and encode, one whenever the shard touches a socket.
    pub(super) to_come: Cell<usize>,
}

impl Feed {
    /// Publishes an event of `size` bytes, where its topic leaves the choice.
    pub(super) fn publish(&self, topic: usize, size: usize) {
        let body = if TOPICS[topic].0.starts_with("market:") {
            let published =
                i64::try_from(self.history.borrow().events.len()).expect("short histories");
            let price = Cents(published + 100);
            Body::Market(Market { symbol: TOPICS[topic].0[7..].into(), price })
        } else {
            Body::External(
                Json::parse(Bytes::from(format!("\"{}\"", "x".repeat(size)))).expect("json"),
            )
        };
        let event = Event { topic: self.topics[topic], key: 0, time_us: self.clock.now_us(), body };
        if self.publisher.publish(event).is_ok() {
            self.history.borrow_mut().push(topic);
        }
    }

    /// What another thread does meanwhile.
    fn go_on(&self) {
        if let Some(left) = self.to_come.get().checked_sub(1) {
            self.to_come.set(left);
            self.publish(left % TOPICS.len(), left);
            self.encoder.run();
        }
    }
}

/// The scripted end of a socket.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// Bytes the socket takes before it blocks.
    pub(super) room: usize,
    pub(super) written: Vec<u8>,
    /// Lengths of the writes that were tried.
    pub(super) offered: Vec<usize>,
    pub(super) to_read: Vec<u8>,
    pub(super) is_finished: bool,
    pub(super) is_reset: bool,
    /// The other end has hung up.
    pub(super) is_gone: bool,
}

/// A socket whose other end is scripted.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) peer: Rc<RefCell<Peer>>,
    pub(super) feed: Rc<Feed>,
}

impl Transport for Script {
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.feed.go_on();
        let mut peer = self.peer.borrow_mut();
        if peer.is_gone {
            return Ok(0);
        }
        if peer.to_read.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = peer.to_read.len().min(buffer.len());
        buffer[..count].copy_from_slice(&peer.to_read[..count]);
        peer.to_read.drain(..count);
        Ok(count)
    }
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.feed.go_on();
        let mut peer = self.peer.borrow_mut();
        peer.offered.push(bytes.len());
        let count = peer.room.min(bytes.len());
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        peer.room -= count;
        peer.written.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
    fn finish(&mut self) {
        self.peer.borrow_mut().is_finished = true;
    }
    fn reset(self) {
        self.peer.borrow_mut().is_reset = true;
    }
}
