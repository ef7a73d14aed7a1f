//! What comes in from clients, and what the shard does about it.
//!
//! One read of at most 64 KiB per readiness event into a shared buffer; a full buffer, or a peer that has ended, puts
//! the socket on a list of its own, because readiness is told once: bytes and the end behind them are one event. Messages go to the session, to the mounted handler, or, on a legacy
//! connection, nowhere but into a counter.

use super::connections::{Flags, NONE, number};
use super::inbound::{Fed, Half};
use super::lanes::Lane;
use super::output::{ACK_BYTES_MAX, CONTROL_BYTES_MAX};
use super::{Shard, Transport, slice};
use crate::encode::frame;
use crate::event::{Body, Event, TopicError};
use crate::session::{CLOSE_CODES, CloseCode, Command, Context, Fare, Publish, RequestId};
use crate::telemetry::{EngineCounter, ShardCounter};
use std::io::ErrorKind;
use tokio_tungstenite::tungstenite::Message;

/// Bytes read and thrown away after our close frame, so that no RST overtakes it.
const DRAINED_BYTES_MAX: usize = 1 << 20;

impl<T: Transport> Shard<T> {
    /// A socket's peer will send nothing more: [`readable`](Self::readable) then goes on to the end.
    pub(super) fn note_ended(&mut self, k: usize) {
        if self.connections.is_open(k) {
            self.connections.flags[k].set(Flags::ENDED);
        }
    }

    /// A socket has something to read, or its peer is gone.
    pub(super) fn readable(&mut self, k: usize) {
        let is_paused = self.connections.flags[k].has(Flags::CUSTOM)
            && self.connections.flags[k].has(Flags::OWN_OUTPUT);
        if is_paused {
            return;
        }
        let mut buffer = std::mem::take(&mut self.read_buffer);
        if let Some(socket) = &mut self.connections.socket[k] {
            match socket.try_read(&mut buffer) {
                // FIN, with or without a close frame before it: there is nobody to write to.
                Ok(0) => {
                    self.telemetry.add(ShardCounter::ClosedByPeer, 1);
                    self.drop_connection(k);
                }
                Ok(read) => {
                    self.telemetry.add(ShardCounter::Reads, 1);
                    if self.connections.flags[k].has(Flags::CLOSING) {
                        self.drain_read(k, read);
                    } else {
                        self.feed(k, &buffer[..read]);
                    }
                    let may_have_more =
                        read == buffer.len() || self.connections.flags[k].has(Flags::ENDED);
                    if may_have_more && self.connections.is_open(k) {
                        self.read_later(k);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => {
                    self.telemetry.add(ShardCounter::ClosedByPeer, 1);
                    self.drop_connection(k);
                }
            }
        }
        self.read_buffer = buffer;
    }

    fn drain_read(&mut self, k: usize, read: usize) {
        let cold = self.connections.cold(k);
        cold.drained_bytes += read;
        if cold.drained_bytes > DRAINED_BYTES_MAX {
            self.evict(k);
        }
    }

    /// Puts a socket on the list of those that may have more to read.
    pub(super) fn read_later(&mut self, k: usize) {
        let flags = &mut self.connections.flags[k];
        if !flags.has(Flags::AGAIN) {
            flags.set(Flags::AGAIN);
            self.again.push(number(k));
        }
    }

    /// Reads once more from each socket on that list; true when there was one.
    pub(super) fn read_again(&mut self) -> bool {
        let again = std::mem::take(&mut self.again);
        for &slot in &again {
            let k = slot as usize;
            if self.connections.flags[k].has(Flags::AGAIN) {
                self.connections.flags[k].clear(Flags::AGAIN);
                self.readable(k);
            }
        }
        !again.is_empty()
    }

    /// Takes bytes from the peer in.
    pub(super) fn feed(&mut self, k: usize, bytes: &[u8]) {
        self.connections.heard_s[k] = self.millisecond() / 1_000;
        self.connections.flags[k].clear(Flags::PINGED);
        let is_custom = self.connections.flags[k].has(Flags::CUSTOM);
        let kept = self.connections.cold[k].as_deref_mut().and_then(|cold| cold.half.take());
        let mut half = kept
            .or_else(|| self.spares[usize::from(is_custom)].take())
            .unwrap_or_else(|| Box::new(Half::new(self.message_bytes_max(is_custom))));
        let mut pongs = std::mem::take(&mut self.pongs);
        let mut replies = std::mem::take(&mut self.replies);
        pongs.clear();
        replies.clear();
        let mut verdict = None;
        let fed = half.feed(bytes, &mut pongs, |message| {
            verdict = self.on_message(k, &message, &mut replies);
            verdict.is_none()
        });
        match fed {
            Fed::Whole => self.spares[usize::from(is_custom)] = Some(half),
            Fed::Half => self.connections.cold(k).half = Some(half),
            Fed::Stopped | Fed::ClosedByPeer | Fed::Violation(_) => {}
        }
        if fed == Fed::ClosedByPeer {
            // The answer to the close frame stands among the pongs, and is the last that may be sent.
            std::mem::swap(&mut pongs, &mut replies);
        }
        // Else pongs first: they answer what came before or between the messages.
        pongs.extend_from_slice(&replies);
        let limit = match self.connections.flags[k] {
            flags if flags.has(Flags::CUSTOM) => usize::MAX,
            flags if flags.has(Flags::V1) => ACK_BYTES_MAX,
            _ => CONTROL_BYTES_MAX,
        };
        self.finish_feed(k, fed, verdict, &mut pongs, limit);
        self.pongs = pongs;
        self.replies = replies;
    }

    fn message_bytes_max(&self, is_custom: bool) -> usize {
        match &self.handler {
            Some(handler) if is_custom => handler.message_bytes_max(),
            _ => self.options.message_bytes_max,
        }
    }

    fn finish_feed(
        &mut self,
        k: usize,
        fed: Fed,
        verdict: Option<(CloseCode, &'static str)>,
        frames: &mut Vec<u8>,
        limit: usize,
    ) {
        match (fed, verdict) {
            (Fed::Whole | Fed::Half, _) => return self.reply_within(k, frames, limit),
            (Fed::ClosedByPeer, _) => self.telemetry.add(ShardCounter::ClosedByPeer, 1),
            (Fed::Violation(code), _) => {
                let counter = match code {
                    1007 => ShardCounter::ClosedUtf8,
                    1009 => ShardCounter::ClosedTooBig,
                    _ => ShardCounter::ClosedProtocol,
                };
                self.telemetry.add(counter, 1);
                let word = CLOSE_CODES
                    .iter()
                    .find(|row| row.code as u16 == code)
                    .map_or("", |row| row.word);
                frame::close(code, word, frames);
            }
            (Fed::Stopped, Some((code, reason))) => {
                if code == CloseCode::Policy {
                    self.telemetry.add(ShardCounter::EvictedFlood, 1);
                }
                frame::close(code as u16, reason, frames);
            }
            (Fed::Stopped, None) => {}
        }
        self.close_with(k, frames);
    }

    /// One message; `Some` ends the connection with that close code.
    fn on_message(
        &mut self,
        k: usize,
        message: &Message,
        replies: &mut Vec<u8>,
    ) -> Option<(CloseCode, &'static str)> {
        self.telemetry.add(ShardCounter::MessagesIn, 1);
        if self.connections.flags[k].has(Flags::CUSTOM) {
            if let Some(handler) = &self.handler {
                handler.on_message(message, replies);
            }
            return None;
        }
        let Some(mut session) =
            self.connections.cold[k].as_deref_mut().and_then(|cold| cold.session.take())
        else {
            self.answer_legacy(k, message, replies);
            return None;
        };
        let may_publish = self.connections.cold(k).may_publish;
        let lag_events = self.lag_events(k);
        let context = self.context(lag_events, may_publish);
        let command = match message {
            Message::Text(text) => session.on_text(text, &context, replies),
            _ => session.on_binary(&context, replies),
        };
        let notes = session.take_notes();
        self.telemetry.add(ShardCounter::RateLimited, u64::from(notes.rate_limited));
        self.telemetry.add(ShardCounter::IgnoredMessages, u64::from(notes.bad_messages));
        self.connections.cold(k).session = Some(session);
        match command? {
            Command::Publish(publish) => self.publish(k, &publish, replies),
            Command::Close(code, reason) => return Some((code, reason)),
            Command::Stats(id) => self.stats(k, id.as_ref(), replies),
            command => return self.change_subscription(k, command, replies),
        }
        None
    }

    /// What a session needs to know.
    pub(super) fn context(&self, lag_events: u64, may_publish: bool) -> Context<'_> {
        Context {
            now_us: self.now_us,
            epoch: &self.epoch,
            head: self.readers[Lane::V1].head(),
            lag_events,
            may_publish,
            limits: &self.options.limits,
        }
    }

    /// Events of a connection's own topics that it has not been sent.
    fn lag_events(&self, k: usize) -> u64 {
        let mut events = 0;
        let mut nth = 0;
        while let Some(s) = self.connections.slot_of(k, nth) {
            nth += 1;
            let g = self.connections.group[s];
            if g != NONE && self.unsent_bytes(s) > 0 {
                let group = self.groups.at(g);
                let reader = &self.readers[group.key.lane];
                let range = self.connections.cursor[s]..reader.head();
                slice::for_each_wanted(group, reader, range, |_, _| events += 1);
            }
        }
        events
    }

    /// How a connection fares.
    pub(super) fn fare(&self, k: usize) -> Fare {
        let cold = self.connections.cold[k].as_deref();
        Fare {
            age_ms: u64::from(self.millisecond().saturating_sub(self.connections.born_ms[k])),
            lag_events: self.lag_events(k),
            lag_bytes: self.owed_bytes(k),
            lag_ms: self.lag_us(k) / 1_000,
            gaps: cold.map_or(0, |cold| cold.gaps),
            conflated: cold.map_or(0, |cold| cold.conflated),
        }
    }

    fn stats(&self, k: usize, id: Option<&RequestId>, replies: &mut Vec<u8>) {
        let session = self.connections.cold[k].as_deref().and_then(|cold| cold.session.as_deref());
        if let Some(session) = session {
            session.stats(id, &self.fare(k), &self.context(0, false), replies);
        }
    }

    fn publish(&mut self, k: usize, publish: &Publish, replies: &mut Vec<u8>) {
        let outcome = match self.topics.register(&publish.topic, publish.class) {
            Ok(topic) => {
                let body = Body::External(publish.payload.clone());
                self.publisher
                    .publish(Event { topic, key: 0, time_us: self.clock.now_us(), body })
                    .map(|()| self.readers[Lane::V1].head())
                    .map_err(|_| "ring_full")
            }
            Err(TopicError::ClassConflict) => Err("class_conflict"),
            Err(TopicError::TooMany) => Err("too_many_topics"),
            Err(_) => Err("bad_topic"),
        };
        let counter = match outcome {
            Ok(_) => EngineCounter::PublishAccepted,
            Err("ring_full") => EngineCounter::PublishRefused,
            Err(_) => EngineCounter::PublishRejected,
        };
        self.totals.add(counter, 1);
        let context = self.context(0, true);
        if let Some(session) =
            self.connections.cold[k].as_deref().and_then(|cold| cold.session.as_deref())
        {
            session.published(publish, outcome, &context, replies);
        }
    }
}
