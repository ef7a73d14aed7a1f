//! What a client does with what arrives: upgrades, subscribes, answers, hands events to the judge.
//!
//! Calls neither read nor poll; what it sends goes through the client's own `send`.

use super::{Client, Stage};
use crate::plan::{Dialect, Role};
use crate::proof::Seen;
use crate::publish::checksum_ok;
use crate::wire::envelope::{self, Event, Message};
use crate::wire::frame::{self, Frame, Opcode};
use crate::worker::memo::Known;
use crate::worker::shared::Shared;

/// The code under which a close frame without a code is counted (RFC 6455 §7.1.5).
const NO_CODE: u16 = 1005;
const PROTOCOL_ERROR: u16 = 1002;

impl Client {
    pub(super) fn on_upgraded(&mut self, shared: &mut Shared) {
        let us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        shared.tally.connect.record(us);
        // A client that comes back asks for what it missed, where it knows where it stood.
        self.is_resuming = shared.plan.resume && self.is_back && self.pos > 0;
        let from = self.is_resuming.then_some((self.stream, self.pos));
        let first = shared.first_message(u64::from(self.number), from);
        self.stage = Stage::Subscribing;
        if let Some(text) = &first {
            let mask = shared.mask();
            self.send(&frame::text(text, mask), shared);
        }
        if shared.plan.dialect == Dialect::Fields {
            self.stream = self.number % u32::try_from(shared.requests.len()).unwrap_or(1);
            let set = shared.judge.topics.set(self.stream, &["*".to_owned()]);
            self.seen = Seen::new(set, &shared.judge.topics);
            self.on_live(shared);
        } else if self.role == Role::Stall && self.stage == Stage::Subscribing {
            // Its ack will never be read.
            self.on_live(shared);
        }
    }

    pub(super) fn on_live(&mut self, shared: &mut Shared) {
        self.stage = Stage::Live;
        shared.connected(self.role, !self.is_back);
        self.is_back = true;
    }

    #[inline]
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

    #[inline]
    fn on_message(&mut self, payload: &[u8], shared: &mut Shared) {
        shared.tally.message();
        if shared.plan.dialect == Dialect::Fields {
            return self.on_fields(payload, shared);
        }
        if let Some(known) = shared.memo.after(self.stream, self.pos, payload) {
            return self.on_event(known, shared);
        }
        match envelope::read(payload) {
            Message::Event(event) => {
                let known = self.understand(&event, shared);
                shared.memo.learn(self.stream, self.pos, known, payload);
                self.on_event(known, shared);
            }
            other => self.on_other(other, payload, shared),
        }
    }

    fn understand(&self, event: &Event<'_>, shared: &mut Shared) -> Known {
        Known {
            topic: shared.judge.topics.topic(self.stream, &event.topic),
            seq: event.seq,
            pos: event.pos,
            us: event.us,
            stamps: shared.stamps.read(event.payload),
            is_corrupt: shared.plan.has_checksum && checksum_ok(event.payload) == Some(false),
        }
    }

    #[inline]
    fn on_event(&mut self, event: Known, shared: &mut Shared) {
        let who = self.who();
        shared.judge.event(who, &mut self.seen, event.topic, event.seq);
        self.pos = self.pos.max(event.pos);
        self.count_event(shared);
        if who.is_strict {
            shared.tally.event(event.stamps, event.us, self.back_since_ns);
            shared.skew.arrived(event.topic, event.seq, shared.tally.now_ns / 1_000);
        }
        if event.is_corrupt {
            self.on_corrupt(event, shared);
        }
    }

    #[cold]
    fn on_corrupt(&self, event: Known, shared: &mut Shared) {
        let (client, seq) = (self.number, event.seq);
        let topic = shared.judge.topics.name(event.topic).to_owned();
        shared.judge.counts(self.who()).corrupt += 1;
        shared
            .judge
            .tell(|| format!("client {client}: {topic} {seq} is corrupt: a wrong checksum"));
    }

    #[cold]
    fn on_other(&mut self, message: Message<'_>, payload: &[u8], shared: &mut Shared) {
        let who = self.who();
        match message {
            Message::Event(_) => {}
            Message::Snapshot(event) => {
                let known = self.understand(&event, shared);
                shared.judge.snapshot(who, &mut self.seen, known.topic, known.seq);
                if known.is_corrupt {
                    self.on_corrupt(known, shared);
                }
            }
            Message::Gap { topic, from, to } => {
                let topic = shared.judge.topics.topic(self.stream, &topic);
                shared.judge.gap(who, &mut self.seen, topic, (from, to));
            }
            Message::Ack { rejected, .. } if !rejected.is_empty() => {
                self.refuse(&rejected.join(", "), shared)
            }
            Message::Ack { recovered, pos, topics, .. } => {
                self.on_ack(recovered, pos, &topics, shared)
            }
            Message::Welcome { epoch } => {
                let stream = shared.judge.topics.stream(&epoch);
                if stream != self.stream {
                    (self.stream, self.pos) = (stream, 0);
                }
            }
            Message::Error(code) => self.refuse(&code, shared),
            Message::Other => {}
            Message::Broken => {
                let start = String::from_utf8_lossy(&payload[..payload.len().min(60)]).into_owned();
                let number = self.number;
                shared.breach(who, || format!("client {number}: not a v1 message: {start}"));
            }
        }
    }

    fn on_ack(
        &mut self,
        recovered: Option<bool>,
        pos: u64,
        topics: &[(String, u64)],
        shared: &mut Shared,
    ) {
        let list = shared.topics(u64::from(self.number));
        let judge = &mut shared.judge;
        let set = judge.topics.set(self.stream, &list);
        let who = self.who();
        let goes_on = self.is_resuming && self.seen.set() == set;
        if !goes_on {
            self.seen = Seen::new(set, &judge.topics);
        }
        for (name, seq) in topics {
            let topic = judge.topics.topic(self.stream, name);
            match recovered {
                Some(true) if goes_on => judge.resumed(who, &mut self.seen, topic, *seq),
                // What was missed is told by a gap for each topic, which is held against what the client has.
                Some(false) if goes_on => {}
                _ => judge.ack(&mut self.seen, topic, *seq),
            }
        }
        judge.counts(who).recovered += u64::from(goes_on && recovered == Some(true));
        self.pos = self.pos.max(pos);
        if std::mem::take(&mut self.is_resuming) {
            self.back_since_ns = shared.tally.now_ns;
        }
        if self.stage == Stage::Subscribing {
            self.on_live(shared);
        }
    }

    /// A message of any other server.
    #[inline]
    fn on_fields(&mut self, payload: &[u8], shared: &mut Shared) {
        let who = self.who();
        if let Some(field) = &shared.seq_field {
            // Without a number it is no event but a greeting, an answer, a heartbeat.
            let Some(seq) = field.number(payload) else {
                return;
            };
            let name = shared.topic_field.as_ref().and_then(|field| field.text(payload));
            let topic = shared.judge.topics.topic(self.stream, name.unwrap_or("stream"));
            shared.judge.event(who, &mut self.seen, topic, seq);
            shared.skew.arrived(topic, seq, shared.tally.now_ns / 1_000);
        } else {
            shared.judge.counts(who).delivered += 1;
        }
        self.count_event(shared);
        if who.is_strict {
            shared.tally.event(shared.stamps.read(payload), 0, 0);
        }
        if shared.plan.has_checksum && checksum_ok(payload) == Some(false) {
            let number = self.number;
            shared.judge.counts(who).corrupt += 1;
            shared.judge.tell(|| format!("client {number}: a message with a wrong checksum"));
        }
    }

    /// The server refused what was asked: before the ack the client is of no use, after it it is a fault.
    fn refuse(&mut self, reason: &str, shared: &mut Shared) {
        if self.stage == Stage::Subscribing {
            self.fail(&format!("subscription refused: {reason}"), shared);
        } else {
            let number = self.number;
            shared.breach(self.who(), || format!("client {number}: error {reason}"));
        }
    }

    #[inline]
    fn count_event(&mut self, shared: &mut Shared) {
        self.events += 1;
        if shared.plan.expect_each == Some(self.events) && self.role == Role::Strict {
            shared.done += 1;
        }
    }

    /// The server broke the protocol: nothing after it can be understood.
    pub(super) fn on_breach(&mut self, reason: &str, shared: &mut Shared) {
        let number = self.number;
        shared.breach(self.who(), || format!("client {number}: protocol error: {reason}"));
        self.send(&frame::close(PROTOCOL_ERROR, shared.mask()), shared);
        self.end(PROTOCOL_ERROR, shared);
    }
}
