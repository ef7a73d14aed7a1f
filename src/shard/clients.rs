//! What comes in from clients, and what the shard does about it.
//!
//! One read of at most 64 KiB per readiness event into a shared buffer; a full buffer, or a peer that has ended, puts
//! the socket on a list of its own, because readiness is told once: bytes and the end behind them are one event. Messages go to the session, to the mounted handler, or, on a legacy
//! connection, nowhere but into a counter.

use super::connections::{Flags, NONE};
use super::group::Key;
use super::inbound::{Fed, Half};
use super::output::{ACK_BYTES_MAX, CONTROL_BYTES_MAX};
use super::{Lane, Shard, Transport, slice};
use crate::encode::frame;
use crate::event::{Body, Event, Pattern, TopicError};
use crate::session::{CLOSE_CODES, CloseCode, Command, Context, Matched, Publish, Session};
use crate::telemetry::{EngineCounter, ShardCounter};
use std::collections::HashMap;
use std::io::ErrorKind;
use tokio_tungstenite::tungstenite::Message;

/// Subscription changes that may wait for a connection's cursor.
const COMMANDS_MAX: usize = 16;
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
            self.again.push(u32::try_from(k).expect("slots are numbered in 32 bits"));
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
        self.connections.heard_s[k] = self.second();
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
        // Pongs first: they answer what came before or between the messages.
        if !replies.is_empty() {
            pongs.extend_from_slice(&replies);
        }
        let limit = if replies.is_empty() { CONTROL_BYTES_MAX } else { ACK_BYTES_MAX };
        self.finish_feed(k, fed, verdict, &mut pongs, if is_custom { usize::MAX } else { limit });
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
            self.telemetry.add(ShardCounter::IgnoredMessages, 1);
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
            command => return self.change_subscription(k, command, replies),
        }
        None
    }

    /// What a session needs to know.
    pub(super) fn context(&self, lag_events: u64, may_publish: bool) -> Context<'_> {
        Context {
            now_us: self.now_us,
            epoch: &self.epoch,
            head: self.readers[Lane::V1 as usize].head(),
            lag_events,
            may_publish,
            limits: &self.options.limits,
        }
    }

    /// Events of a connection's own topics that it has not been sent.
    fn lag_events(&self, k: usize) -> u64 {
        let g = self.connections.group[k];
        if g == NONE || self.unsent_bytes(k) == 0 {
            return 0;
        }
        let reader = &self.readers[Lane::V1 as usize];
        let mut events = 0;
        let range = self.connections.cursor[k]..reader.head();
        slice::for_each_wanted(self.groups.at(g), reader, range, |_, _| events += 1);
        events
    }

    fn publish(&mut self, k: usize, publish: &Publish, replies: &mut Vec<u8>) {
        let outcome = match self.topics.register(&publish.topic, publish.class) {
            Ok(topic) => {
                let body = Body::External(publish.payload.clone());
                self.publisher
                    .publish(Event { topic, key: 0, time_us: self.clock.now_us(), body })
                    .map(|()| self.readers[Lane::V1 as usize].head())
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

    /// A subscription changes at the head seen now: at once for who is there, else when its cursor is.
    fn change_subscription(
        &mut self,
        k: usize,
        command: Command,
        replies: &mut Vec<u8>,
    ) -> Option<(CloseCode, &'static str)> {
        let at = self.readers[Lane::V1 as usize].head();
        let has_commands =
            self.connections.cold[k].as_deref().is_some_and(|cold| !cold.commands.is_empty());
        if !has_commands
            && self.unsent_bytes(k) == 0
            && !self.connections.flags[k].has(Flags::LAGGARD)
        {
            self.apply(k, command, at, replies);
            return None;
        }
        let commands = &mut self.connections.cold(k).commands;
        if commands.len() == COMMANDS_MAX {
            self.telemetry.add(ShardCounter::ControlOverflows, 1);
            return Some((CloseCode::Policy, "policy too many subscription changes wait"));
        }
        commands.push_back((at, command));
        self.become_laggard(k);
        self.run_soon(k);
        None
    }

    /// The cursor of a laggard stands at `at`, where its next subscription change takes effect.
    pub(super) fn apply_next_command(&mut self, k: usize, at: u64) {
        let next =
            self.connections.cold[k].as_deref_mut().and_then(|cold| cold.commands.pop_front());
        let Some((_, command)) = next else { return };
        let mut replies = std::mem::take(&mut self.replies);
        replies.clear();
        self.apply(k, command, at, &mut replies);
        self.reply_within(k, &replies, ACK_BYTES_MAX);
        self.replies = replies;
    }

    fn apply(&mut self, k: usize, command: Command, at: u64, replies: &mut Vec<u8>) {
        let Some(mut session) =
            self.connections.cold[k].as_deref_mut().and_then(|cold| cold.session.take())
        else {
            return;
        };
        let context = self.context(0, false);
        match command {
            Command::Subscribe(subscribe) => {
                let seqs = self.seqs_at(at);
                let mut seq_of = |pattern: &Pattern| self.matched(pattern, &seqs);
                session.subscribed(subscribe, &context, at, &mut seq_of, replies);
                self.connections.cold(k).is_ack_queued = true;
            }
            Command::Unsubscribe(unsubscribe) => {
                session.unsubscribed(unsubscribe, &context, at, replies)
            }
            Command::Publish(_) | Command::Close(..) => {}
        }
        self.regroup(k, &session, at);
        self.connections.cold(k).session = Some(session);
    }

    /// Seqs of topics that have records at or above `at`, as they were there.
    fn seqs_at(&self, at: u64) -> HashMap<u16, u64> {
        let reader = &self.readers[Lane::V1 as usize];
        let mut seqs = HashMap::new();
        slice::for_each(reader, at..reader.head(), |_, record| {
            seqs.entry(record.topic).or_insert(record.seq - 1);
        });
        seqs
    }

    fn matched(&self, pattern: &Pattern, seqs: &HashMap<u16, u64>) -> Matched {
        if pattern.is_exact() {
            let index = self.topics.find(pattern.as_str()).map(crate::event::Topic::index);
            let newest = index.and_then(|index| self.groups.seqs.get(usize::from(index)).copied());
            let seq = index.and_then(|index| seqs.get(&index).copied()).or(newest).unwrap_or(0);
            return Matched::Topic { seq };
        }
        let known = u16::try_from(self.groups.known().min(u32::from(u16::MAX))).unwrap_or(u16::MAX);
        let names =
            (0..known).map(|index| &self.topics.info(crate::event::Topic::from_index(index)).name);
        Matched::Pattern { count: names.filter(|name| pattern.matches(name)).count() as u64 }
    }

    /// Moves a connection whose cursor is at `at` into the group of its patterns.
    fn regroup(&mut self, k: usize, session: &Session, at: u64) {
        let was_laggard = self.connections.flags[k].has(Flags::LAGGARD);
        if session.patterns().is_empty() {
            self.leave_group(k);
            self.note_subscribed();
            if was_laggard {
                self.become_laggard(k);
            }
            return;
        }
        let head = self.readers[Lane::V1 as usize].head();
        let key = Key { lane: Lane::V1, patterns: session.patterns().into() };
        let g = self.groups.find_or_make(key, &self.readers[Lane::V1 as usize]);
        if self.connections.group[k] == g {
            return;
        }
        self.leave_group(k);
        self.join(k, g, at);
        self.note_subscribed();
        if was_laggard {
            self.become_laggard(k);
            let mut unsent = 0;
            let reader = &self.readers[Lane::V1 as usize];
            let group = self.groups.at(g);
            slice::for_each_wanted(group, reader, at..head, |_, record| {
                unsent += u64::from(record.length)
            });
            self.connections.cold(k).sent_total = group.total_bytes - unsent;
        }
    }
}
