//! What goes out before the log: the remainder of a half-written frame, control frames and replies, gap notices.
//!
//! A reply is written directly only when nothing of the connection's own waits; after a close frame the log is
//! never visited again.

use super::connections::{Flags, Remainder};
use super::{Shard, Transport};
use crate::encode::frame;
use crate::session::{self, CloseCode};
use crate::telemetry::ShardCounter;
use std::io::ErrorKind;

/// Bytes of pongs and short replies that may wait for one client.
pub(super) const CONTROL_BYTES_MAX: usize = 2 * 1024;
/// Bytes that may wait for a v1 client: the ack of a long list and the first piece of its snapshot are among them.
pub(super) const ACK_BYTES_MAX: usize = 144 * 1024;
/// How long a closing connection may take to deliver its close frame and to finish, microseconds.
const CLOSING_US_MAX: u64 = 500_000;

/// What became of a connection's own output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flushed {
    /// All of it is written.
    Done,
    /// The socket takes no more now.
    Blocked,
    /// The connection is gone.
    Gone,
}

impl<T: Transport> Shard<T> {
    /// Sends frames of our own to a connection: directly when nothing waits, else through the control queue. Nothing
    /// follows a close frame.
    pub(super) fn reply(&mut self, k: usize, frames: &[u8]) {
        if !self.is_talking(k) || frames.is_empty() {
            return;
        }
        let mut written = 0;
        if !self.connections.flags[k].has(Flags::OWN_OUTPUT) {
            let Some(socket) = &mut self.connections.socket[k] else { return };
            written = match socket.try_write(frames) {
                Ok(written) => written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(_) => return self.drop_connection(k),
            };
        }
        if written == frames.len() {
            return self.note_served(k);
        }
        // A cut frame must be finished before anything else: it is the remainder then.
        let is_cut = written > 0;
        let rest = &frames[written..];
        let cold = self.connections.cold(k);
        if is_cut {
            cold.remainder = Remainder::Bytes(rest.to_vec(), 0);
        } else {
            cold.control.extend_from_slice(rest);
        }
        self.connections.flags[k].set(Flags::OWN_OUTPUT);
        self.become_laggard(k);
    }

    /// Whether a connection is open and no close frame was sent to it.
    pub(super) fn is_talking(&self, k: usize) -> bool {
        self.connections.is_open(k) && !self.connections.flags[k].has(Flags::CLOSING)
    }

    /// As [`reply`](Self::reply), within the control queue's limit: a client that asks and does not read is closed.
    pub(super) fn reply_within(&mut self, k: usize, frames: &[u8], limit: usize) {
        let waiting = self.connections.cold[k]
            .as_deref()
            .map_or(0, |cold| cold.control.len() - cold.control_written);
        if !frames.is_empty() && waiting > 0 && waiting + frames.len() > limit {
            self.telemetry.add(ShardCounter::ControlOverflows, 1);
            return self.evict(k);
        }
        self.reply(k, frames);
    }

    /// Writes remainder, control queue and gap notices, in this order.
    pub(super) fn flush(&mut self, k: usize) -> Flushed {
        while let Some(cold) = self.connections.cold[k].as_deref_mut() {
            let Some(socket) = &mut self.connections.socket[k] else { return Flushed::Gone };
            let result = match &mut cold.remainder {
                Remainder::Bytes(bytes, written) => {
                    let result = socket.try_write(&bytes[*written..]);
                    *written += *result.as_ref().unwrap_or(&0);
                    if *written == bytes.len() {
                        cold.remainder = Remainder::None;
                    }
                    result
                }
                Remainder::Segment(segment, range) => {
                    let result = socket.try_write(segment.bytes(range.clone()));
                    let written = *result.as_ref().unwrap_or(&0);
                    range.start += u32::try_from(written).expect("frames are shorter than 4 GiB");
                    if range.start == range.end {
                        cold.remainder = Remainder::None;
                    }
                    result
                }
                Remainder::None if cold.control_written < cold.control.len() => {
                    let result = socket.try_write(&cold.control[cold.control_written..]);
                    cold.control_written += *result.as_ref().unwrap_or(&0);
                    if cold.control_written == cold.control.len() {
                        cold.control = Vec::new();
                        cold.control_written = 0;
                    }
                    result
                }
                Remainder::None => {
                    let Some(pieces) = &mut cold.pieces else { break };
                    let is_v1 = self.connections.flags[k].has(Flags::V1);
                    let mut frames = Vec::new();
                    pieces.produce(&self.topics, is_v1, self.now_us, &mut frames);
                    let is_done = pieces.is_done();
                    if is_done {
                        cold.pieces = None;
                    }
                    if !frames.is_empty() {
                        cold.remainder = Remainder::Bytes(frames, 0);
                    }
                    if is_done {
                        self.end_snapshot(k);
                    }
                    continue;
                }
            };
            match result {
                Ok(_) => cold.progress_us = self.now_us,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Flushed::Blocked,
                Err(_) => {
                    self.drop_connection(k);
                    return Flushed::Gone;
                }
            }
        }
        self.note_flushed(k);
        Flushed::Done
    }

    fn note_flushed(&mut self, k: usize) {
        self.connections.flags[k].clear(Flags::OWN_OUTPUT);
        if self.connections.flags[k].has(Flags::CLOSING)
            && let Some(socket) = &mut self.connections.socket[k]
        {
            socket.finish();
        }
        self.note_served(k);
        if self.connections.flags[k].has(Flags::CUSTOM)
            && !self.connections.flags[k].has(Flags::AGAIN)
        {
            // Reading was paused while the handler's answer waited.
            self.read_later(k);
        }
        let is_idle = self.connections.cold[k].as_deref().is_some_and(|cold| {
            cold.session.is_none()
                && cold.half.is_none()
                && cold.seat.is_none()
                && cold.told_id.is_none()
                && cold.deadline_us == 0
                && !cold.has_output()
        });
        if is_idle && !self.connections.flags[k].has(Flags::LAGGARD) {
            self.connections.cold[k] = None;
        }
    }

    /// A v1 client counts as served when its first ack is written.
    fn note_served(&mut self, k: usize) {
        let is_served = self.connections.cold[k].as_deref_mut().is_some_and(|cold| {
            std::mem::take(&mut cold.is_ack_queued) && !std::mem::replace(&mut cold.is_served, true)
        });
        if is_served {
            self.served.add(1);
        }
    }

    /// Sends a close frame, then FIN, then drops the connection when the peer is done or the time is over.
    pub(super) fn close(&mut self, k: usize, code: u16, reason: &str) {
        let mut frames = Vec::new();
        frame::close(code, reason, &mut frames);
        self.close_with(k, &frames);
    }

    /// As [`close`](Self::close), with frames that end in the close frame (or with none: it went out already).
    pub(super) fn close_with(&mut self, k: usize, frames: &[u8]) {
        if !self.is_talking(k) {
            return;
        }
        self.reply(k, frames);
        if !self.connections.is_open(k) {
            return;
        }
        self.leave_all(k);
        self.end_snapshot(k);
        self.connections.flags[k].set(Flags::CLOSING);
        let now_us = self.now_us;
        let cold = self.connections.cold(k);
        cold.deadline_us = now_us + CLOSING_US_MAX;
        cold.pieces = None;
        cold.commands.clear();
        self.closing.push(u32::try_from(k).expect("slots are numbered in 32 bits"));
        if self.connections.flags[k].has(Flags::OWN_OUTPUT) {
            // Out of its groups, but still waiting for its socket: the close frame goes out when that is writable.
            self.become_laggard(k);
        } else if let Some(socket) = &mut self.connections.socket[k] {
            socket.finish();
        }
    }

    /// Tells a client that the server ends, and closes with 1001.
    pub(super) fn say_goodbye(&mut self, k: usize, clients: usize) {
        let mut frames = Vec::new();
        if self.connections.flags[k].has(Flags::V1) {
            session::shutdown(session::reconnect_window_ms(clients), self.now_us, &mut frames);
        }
        frame::close(CloseCode::Drain as u16, "drain server shuts down", &mut frames);
        self.close_with(k, &frames);
    }

    /// Drops a connection whose peer is gone.
    pub(super) fn drop_connection(&mut self, k: usize) {
        drop(self.forget(k));
    }

    /// Drops a connection by RST, so that the kernel forgets what it has not sent.
    pub(super) fn evict(&mut self, k: usize) {
        if let Some(socket) = self.forget(k) {
            socket.reset();
        }
    }
}
