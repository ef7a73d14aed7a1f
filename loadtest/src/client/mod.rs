//! One connection, from connecting to closed.
//!
//! ```text
//! Connecting ─► Upgrading ─► Subscribing ─► Live ─► Closed        (failed before Live: Closed as well)
//!                    │            (v1)       ▲
//!                    └───────────────────────┘  other paths        a stalled client stops reading at Live
//! ```
//! Runs on the one thread, on readiness. Keeps of the stream only the bytes of a frame, or of a fragmented message,
//! that has not arrived in full; everything else is read in the buffer that all clients share.

mod protocol;

use std::io::{self, Read as _, Write as _};
use std::time::Instant;

use mio::net::TcpStream;

use crate::frame::{self, BadFrame};
use crate::handshake::{self, Answer};
use crate::order::Seen;
use crate::run::Shared;

/// How much is read at a time.
const READ_BYTES: usize = 64 * 1024;
/// Full reads in a row before the other clients have their turn.
const READS_PER_TURN: usize = 16;
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
    pub(crate) number: usize,
    /// Never reads once it is live.
    pub(crate) is_stalled: bool,
    pub(crate) stage: Stage,
    pub(crate) events: u64,
    socket: Option<TcpStream>,
    started: Instant,
    seen: Seen,
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
    /// Of a socket that is connecting; of none, when there is one fewer to follow.
    pub(crate) fn new(
        number: usize,
        is_stalled: bool,
        socket: Option<TcpStream>,
        started: Instant,
    ) -> Self {
        Self {
            number,
            is_stalled,
            stage: Stage::Connecting,
            events: 0,
            socket,
            started,
            seen: Seen::default(),
            partial: Vec::new(),
            message: None,
            unsent: None,
        }
    }

    /// Whether it has neither come to life nor failed yet.
    pub(crate) fn is_in_flight(&self) -> bool {
        matches!(self.stage, Stage::Connecting | Stage::Upgrading | Stage::Subscribing)
    }

    /// The socket is ready for something.
    pub(crate) fn on_ready(&mut self, event: &mio::event::Event, shared: &mut Shared) -> Turn {
        if self.stage == Stage::Connecting && !self.try_connected(shared) {
            return Turn::Over;
        }
        if event.is_writable() {
            self.send(&[], shared);
        }
        if self.is_stalled && self.stage == Stage::Live {
            if event.is_error() || event.is_read_closed() || event.is_write_closed() {
                self.end(ABNORMAL, shared);
            }
            return Turn::Over;
        }
        let until =
            if event.is_read_closed() || event.is_error() { Until::End } else { Until::Short };
        self.read(until, shared)
    }

    /// Reads what there is, up to a turn's worth.
    pub(crate) fn read(&mut self, until: Until, shared: &mut Shared) -> Turn {
        // Taken out for the time being, so that the frames in it can be handled with the rest of `shared`.
        let mut buffer = std::mem::take(&mut shared.buffer);
        let turn = self.read_into(&mut buffer, until, shared);
        shared.buffer = buffer;
        turn
    }

    /// Gives up a client that is not live yet.
    pub(crate) fn fail(&mut self, reason: &str, shared: &mut Shared) {
        let number = self.number;
        shared.outcome.verdict_tell(|| format!("client {number}: not connected: {reason}"));
        shared.failed(self.is_stalled);
        self.drop_socket();
    }

    /// Says goodbye, at the end of the run.
    pub(crate) fn leave(&mut self, shared: &mut Shared) {
        if self.stage == Stage::Live && !self.is_stalled {
            self.send(&frame::close(1000, shared.mask()), shared);
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
                self.fail(&error.to_string(), shared);
                return false;
            }
        }
        if socket.peer_addr().is_err() {
            return false;
        }
        self.stage = Stage::Upgrading;
        let request = std::mem::take(&mut shared.request);
        self.send(&request, shared);
        shared.request = request;
        true
    }

    fn read_into(&mut self, buffer: &mut Vec<u8>, until: Until, shared: &mut Shared) -> Turn {
        for _ in 0..READS_PER_TURN {
            let kept = self.partial.len();
            if buffer.len() < kept + READ_BYTES {
                buffer.resize(kept + READ_BYTES, 0);
            }
            let Some(socket) = &mut self.socket else {
                return Turn::Over;
            };
            let count = match socket.read(&mut buffer[kept..]) {
                Ok(0) => {
                    self.end(ABNORMAL, shared);
                    return Turn::Over;
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Turn::Over,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => {
                    self.end(ABNORMAL, shared);
                    return Turn::Over;
                }
            };
            let is_full = kept + count == buffer.len();
            buffer[..kept].copy_from_slice(&self.partial);
            shared.outcome.reads += 1;
            shared.outcome.bytes += count as u64;
            let taken = self.take(&buffer[..kept + count], shared);
            // An empty Vec holds no memory; what is left is as large as it must be.
            self.partial = buffer[taken..kept + count].to_vec();
            if self.is_stalled && self.stage == Stage::Live {
                return Turn::Over;
            }
            if !is_full && until == Until::Short {
                return Turn::Over;
            }
        }
        Turn::Again
    }

    /// Handles everything that is whole; says how many bytes that was.
    fn take(&mut self, bytes: &[u8], shared: &mut Shared) -> usize {
        let mut at = 0;
        while self.stage != Stage::Closed {
            let rest = &bytes[at..];
            if self.stage == Stage::Upgrading {
                match handshake::answer(rest) {
                    Answer::Incomplete => return at,
                    Answer::Upgraded(length) => {
                        at += length;
                        self.on_upgraded(shared);
                        if self.is_stalled {
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
    fn end(&mut self, code: u16, shared: &mut Shared) {
        match self.stage {
            Stage::Closed => {}
            Stage::Live => shared.closed(self.is_stalled, code, self.events),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_client_takes_less_than_256_bytes() {
        assert!(size_of::<Client>() <= 256, "{}", size_of::<Client>());
    }
}
