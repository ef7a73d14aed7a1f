//! What a client does with what arrives: upgrades, subscribes, answers, hands events to the judge.
//!
//! Calls neither read nor poll; what it sends goes through the client's own `send`.

use super::{Client, Stage};
use crate::envelope::{self, Message};
use crate::frame::{self, Frame, Opcode};
use crate::run::Shared;

/// The code under which a close frame without a code is counted (RFC 6455 §7.1.5).
const NO_CODE: u16 = 1005;
const PROTOCOL_ERROR: u16 = 1002;

impl Client {
    pub(super) fn on_upgraded(&mut self, shared: &mut Shared) {
        shared.outcome.record_connect(self.started.elapsed());
        if shared.subscribe.is_empty() {
            self.on_live(shared);
            return;
        }
        self.stage = Stage::Subscribing;
        let mask = shared.mask();
        let message = frame::text(&shared.subscribe, mask);
        self.send(&message, shared);
        if self.is_stalled {
            // Its ack will never be read.
            self.on_live(shared);
        }
    }

    fn on_live(&mut self, shared: &mut Shared) {
        self.stage = Stage::Live;
        shared.connected(self.is_stalled);
    }

    pub(super) fn on_frame(&mut self, frame: &Frame<'_>, shared: &mut Shared) {
        match (frame.opcode, &mut self.message) {
            (Opcode::Text | Opcode::Binary, None) if frame.is_final => {
                self.on_message(frame.payload, shared)
            }
            (Opcode::Text | Opcode::Binary, None) => {
                self.message = Some(Box::new(frame.payload.to_vec()))
            }
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                self.on_breach("a message inside a fragmented one", shared)
            }
            (Opcode::Continuation, None) => self.on_breach("a continuation of nothing", shared),
            (Opcode::Continuation, Some(message)) => {
                message.extend_from_slice(frame.payload);
                if message.len() as u64 > frame::PAYLOAD_BYTES_MAX {
                    self.on_breach("a message of more than 16 MiB", shared);
                } else if frame.is_final {
                    let message = self.message.take().unwrap_or_default();
                    self.on_message(&message, shared);
                }
            }
            (Opcode::Ping, _) => {
                let pong = frame::pong(frame.payload, shared.mask());
                self.send(&pong, shared);
            }
            (Opcode::Pong, _) => {}
            (Opcode::Close, _) => {
                let code = match frame.payload {
                    [high, low, ..] => u16::from_be_bytes([*high, *low]),
                    _ => NO_CODE,
                };
                let answer = if code == NO_CODE { 1000 } else { code };
                self.send(&frame::close(answer, shared.mask()), shared);
                self.end(code, shared);
            }
        }
    }

    fn on_message(&mut self, payload: &[u8], shared: &mut Shared) {
        if shared.subscribe.is_empty() {
            self.count_event(shared);
            return;
        }
        let (number, seen, judge) = (self.number, &mut self.seen, &mut shared.judge);
        match envelope::read(payload) {
            Message::Event { topic, seq } => {
                judge.event(number, seen, &topic, seq);
                self.count_event(shared);
            }
            Message::Snapshot { topic, seq } => judge.snapshot(number, seen, &topic, seq),
            Message::Gap { topic, from, to } => judge.gap(number, seen, &topic, from, to),
            Message::Ack { rejected, .. } if !rejected.is_empty() => {
                self.refuse(&rejected.join(", "), shared)
            }
            Message::Ack { topics, .. } => {
                for (topic, seq) in &topics {
                    judge.ack(seen, topic, *seq);
                }
                if self.stage == Stage::Subscribing {
                    self.on_live(shared);
                }
            }
            Message::Error(code) => self.refuse(&code, shared),
            Message::Other => {}
            Message::Broken => {
                let start = String::from_utf8_lossy(&payload[..payload.len().min(60)]).into_owned();
                shared.breach(|| format!("client {number}: not a v1 message: {start}"));
            }
        }
    }

    /// The server refused what was asked: before the ack the client is of no use, after it it is a fault.
    fn refuse(&mut self, reason: &str, shared: &mut Shared) {
        if self.stage == Stage::Subscribing {
            self.fail(&format!("subscription refused: {reason}"), shared);
        } else {
            let number = self.number;
            shared.breach(|| format!("client {number}: error {reason}"));
        }
    }

    fn count_event(&mut self, shared: &mut Shared) {
        self.events += 1;
        shared.delivered(self.events);
    }

    /// The server broke the protocol: nothing after it can be understood.
    pub(super) fn on_breach(&mut self, reason: &str, shared: &mut Shared) {
        let number = self.number;
        shared.breach(|| format!("client {number}: protocol error: {reason}"));
        self.send(&frame::close(PROTOCOL_ERROR, shared.mask()), shared);
        self.end(PROTOCOL_ERROR, shared);
    }
}
