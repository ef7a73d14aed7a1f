//! One connection, from connecting to closed, and back again where its role says so.
//!
//! ```text
//! Connecting ─► Upgrading ─► Subscribing ─► Live ─► Closed ─► Connecting …
//!                    │            (v1)       ▲
//!                    └───────────────────────┘  other servers
//! ```
//! Runs on the one thread, on readiness. Keeps of the stream only the bytes of a frame, or of a fragmented message,
//! that has not arrived in full; everything else is read in the buffer that all clients share.

mod protocol;

use std::io::{self, Read as _, Write as _};
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use crate::plan::Role;
use crate::proof::{Seen, StreamId, Who};
use crate::wire::frame::{self, BadFrame};
use crate::wire::handshake::{self, Answer};
use crate::worker::shared::Shared;

/// How much is read at a time.
const READ_BYTES: usize = 256 * 1024;
/// Full reads in a row before the other clients have their turn.
const READS_PER_TURN: usize = 4;
/// The code under which an end without a close frame is counted (RFC 6455 §7.1.5).
const ABNORMAL: u16 = 1006;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Connecting,
    Upgrading,
    Subscribing,
    Live,
    Closed,
}

/// Whether a client has read what its socket held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Over,
    /// There is more, but others come first; no event will say so.
    Again,
}

/// How far a socket is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// To a read that leaves room: it has emptied the socket, and what comes later raises a new event.
    Short,
    /// To the last: the end of the stream may have been announced by the same event as the data before it.
    End,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) number: u32,
    pub(crate) role: Role,
    pub(crate) stage: Stage,
    /// Whether it has been live before.
    pub(crate) is_back: bool,
    /// Whether its subscribe asked for what it missed.
    is_resuming: bool,
    /// When it last came back with a request for what it missed, nanoseconds; 0: never.
    back_since_ns: u64,
    /// Events so far.
    pub(crate) events: u64,
    /// Events before the measured time.
    pub(crate) events_before: u64,
    socket: Option<TcpStream>,
    started: Instant,
    pub(crate) seen: Seen,
    stream: StreamId,
    /// The last position in the stream that it had.
    pos: u64,
    /// The start of a frame, or of the handshake's answer.
    partial: Vec<u8>,
    /// The fragments of a message that goes on.
    #[expect(
        clippy::box_collection,
        reason = "8 bytes in place of 24 for each client that never needs it"
    )]
    message: Option<Box<Vec<u8>>>,
    /// What the socket did not take.
    #[expect(
        clippy::box_collection,
        reason = "8 bytes in place of 24 for each client that never needs it"
    )]
    unsent: Option<Box<Vec<u8>>>,
}

impl Client {
    /// A client that has not connected yet.
    pub(crate) fn new(number: u32, role: Role, now: Instant) -> Self {
        Self {
            number,
            role,
            stage: Stage::Closed,
            is_back: false,
            is_resuming: false,
            back_since_ns: 0,
            events: 0,
            events_before: 0,
            socket: None,
            started: now,
            seen: Seen::default(),
            stream: 0,
            pos: 0,
            partial: Vec::new(),
            message: None,
            unsent: None,
        }
    }

    /// Its socket is connecting.
    pub(crate) fn connect(&mut self, socket: TcpStream, now: Instant) {
        self.socket = Some(socket);
        self.started = now;
        self.stage = Stage::Connecting;
    }

    pub(crate) fn who(&self) -> Who {
        Who { number: self.number, is_strict: self.role == Role::Strict }
    }

    /// Whether it has neither come to life nor failed yet.
    pub(crate) fn is_in_flight(&self) -> bool {
        matches!(self.stage, Stage::Connecting | Stage::Upgrading | Stage::Subscribing)
    }

    /// When it started to connect.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// The socket is ready for something.
    pub(crate) fn on_ready(&mut self, event: &mio::event::Event, shared: &mut Shared) -> Turn {
        if self.stage == Stage::Connecting && !self.try_connected(shared) {
            return Turn::Over;
        }
        if event.is_writable() && self.unsent.is_some() {
            self.send(&[], shared);
        }
        if self.stage == Stage::Live && matches!(self.role, Role::Stall | Role::Slow) {
            let is_gone = event.is_error() || event.is_write_closed();
            if is_gone || (event.is_read_closed() && self.role == Role::Stall) {
                self.end(ABNORMAL, shared);
            }
            return Turn::Over;
        }
        let until =
            if event.is_read_closed() || event.is_error() { Until::End } else { Until::Short };
        self.read(until, READ_BYTES, shared)
    }

    /// Reads what there is, up to a turn's worth; `limit`: bytes of one read.
    pub(crate) fn read(&mut self, until: Until, limit: usize, shared: &mut Shared) -> Turn {
        // Taken out for the time being, so that the frames in it can be handled with the rest of `shared`.
        let mut buffer = std::mem::take(&mut shared.buffer);
        let turn = self.read_into(&mut buffer, until, limit, shared);
        shared.buffer = buffer;
        turn
    }

    /// A slow client's share: reads at most that many bytes.
    pub(crate) fn read_slowly(&mut self, bytes: usize, shared: &mut Shared) {
        let mut buffer = std::mem::take(&mut shared.buffer);
        self.read_once(&mut buffer, bytes.min(READ_BYTES), shared);
        shared.buffer = buffer;
    }

    /// Gives up a client that is not live yet.
    pub(crate) fn fail(&mut self, reason: &str, shared: &mut Shared) {
        shared.failed(self.who(), self.role, !self.is_back, reason);
        self.drop_socket();
    }

    /// Leaves by its own will: with a close frame, or with a reset.
    pub(crate) fn leave(&mut self, is_reset: bool, shared: &mut Shared) {
        if self.stage == Stage::Live {
            shared.tally.connected -= 1;
            if is_reset {
                if let Some(socket) = &self.socket {
                    // Without it the kernel says goodbye in the usual way: the next best.
                    let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
                }
            } else if self.role != Role::HalfOpen {
                self.stage = Stage::Closed;
                self.send(&frame::close(1000, shared.mask()), shared);
            }
        }
        self.drop_socket();
    }

    fn try_connected(&mut self, shared: &mut Shared) -> bool {
        let Some(socket) = &self.socket else {
            return false;
        };
        match socket.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => {
                self.fail(&reason(&error), shared);
                return false;
            }
        }
        if socket.peer_addr().is_err() {
            return false;
        }
        self.stage = Stage::Upgrading;
        let targets = shared.requests.len();
        let request = std::mem::take(&mut shared.requests[self.number as usize % targets]);
        if self.role == Role::HalfOpen {
            self.send(&request[..request.len() / 2], shared);
            self.on_live(shared);
        } else {
            self.send(&request, shared);
        }
        shared.requests[self.number as usize % targets] = request;
        true
    }

    fn read_into(
        &mut self,
        buffer: &mut Vec<u8>,
        until: Until,
        limit: usize,
        shared: &mut Shared,
    ) -> Turn {
        for _ in 0..READS_PER_TURN {
            let Some(is_full) = self.read_once(buffer, limit, shared) else {
                return Turn::Over;
            };
            let is_patient = matches!(self.role, Role::Stall | Role::Slow);
            if is_patient && self.stage == Stage::Live || !is_full && until == Until::Short {
                return Turn::Over;
            }
        }
        Turn::Again
    }

    /// One read and what it brought; whether it filled its room. None: there is nothing more to read now.
    #[inline]
    fn read_once(
        &mut self,
        buffer: &mut Vec<u8>,
        limit: usize,
        shared: &mut Shared,
    ) -> Option<bool> {
        let kept = self.partial.len();
        if buffer.len() < kept + limit {
            buffer.resize(kept + limit, 0);
        }
        let room = &mut buffer[kept..kept + limit];
        let count = loop {
            match self.socket.as_mut()?.read(room) {
                Ok(0) => {
                    self.end(ABNORMAL, shared);
                    return None;
                }
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.end(ABNORMAL, shared);
                    return None;
                }
            }
        };
        buffer[..kept].copy_from_slice(&self.partial);
        shared.tally.read(count);
        let taken = self.take(&buffer[..kept + count], shared);
        self.keep(&buffer[taken..kept + count]);
        Some(count == limit)
    }

    /// Keeps what is not whole; a client between frames holds no memory for it.
    #[inline]
    fn keep(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            if self.partial.capacity() > 0 {
                self.partial = Vec::new();
            }
        } else if self.stage != Stage::Closed {
            self.partial = rest.to_vec();
        }
    }

    /// Handles everything that is whole; says how many bytes that was.
    #[inline]
    fn take(&mut self, bytes: &[u8], shared: &mut Shared) -> usize {
        if self.role == Role::HalfOpen {
            // Whatever the server says to half a request: its end of the connection is what counts.
            return bytes.len();
        }
        let mut at = 0;
        while self.stage != Stage::Closed {
            let rest = &bytes[at..];
            if self.stage == Stage::Upgrading {
                match handshake::answer(rest) {
                    Answer::Incomplete => return at,
                    Answer::Upgraded(length) => {
                        at += length;
                        self.on_upgraded(shared);
                        if self.role == Role::Stall {
                            return bytes.len();
                        }
                    }
                    Answer::Refused(reason) => self.fail(&reason, shared),
                }
                continue;
            }
            match frame::first(rest) {
                Ok(None) => return at,
                Ok(Some(frame)) => {
                    at += frame.length;
                    self.on_frame(&frame, shared);
                }
                Err(BadFrame(reason)) => self.on_breach(reason, shared),
            }
        }
        bytes.len()
    }

    /// The connection has ended, by the server or by its fault.
    pub(crate) fn end(&mut self, code: u16, shared: &mut Shared) {
        match self.stage {
            Stage::Closed => {}
            Stage::Live => shared.closed(self.role, code, self.events),
            _ => self.fail(&format!("closed with {code} before it was ready"), shared),
        }
        self.drop_socket();
    }

    fn drop_socket(&mut self) {
        self.stage = Stage::Closed;
        self.socket = None;
        self.partial = Vec::new();
        self.message = None;
        self.unsent = None;
    }

    /// Writes what waits and then `bytes`; what the socket does not take waits for the next event.
    fn send(&mut self, bytes: &[u8], shared: &mut Shared) {
        if let Some(unsent) = &mut self.unsent {
            unsent.extend_from_slice(bytes);
        } else if bytes.is_empty() {
            return;
        }
        let Some(socket) = &mut self.socket else {
            return;
        };
        let all = self.unsent.take();
        let mut left = all.as_deref().map_or(bytes, Vec::as_slice);
        while !left.is_empty() {
            match socket.write(left) {
                Ok(count) => left = &left[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.end(ABNORMAL, shared);
                    return;
                }
            }
        }
        self.unsent = (!left.is_empty()).then(|| Box::new(left.to_vec()));
    }
}

/// An error in a few words, the same for every client that meets it.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_client_takes_less_than_256_bytes() {
        assert!(size_of::<Client>() <= 256, "{}", size_of::<Client>());
    }
}
