//! What a client is told: every message of the server that is not an event, as a complete WebSocket text frame.
//!
//! Rendering neither decides nor keeps state: each function appends one frame to `out`, keys in the order of the
//! protocol. Whatever text comes from outside is escaped. `timestamp` is in milliseconds.
//!
//! Called by a shard, on its thread, for one client at a time; costs one or two short-lived buffers per message.
//! None is on the path of events. An ack is one frame, however many topics it lists: the largest subscribe that the
//! default limits admit is answered with 115 KiB.

use super::message::{Rejected, RequestId};
use super::{Context, Fare, Joined, Matched};
use crate::encode::frame;
use crate::event::Pattern;
use uuid::Uuid;

/// Why events of a topic are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// The client was too slow for the lag budget.
    Slow,
    /// The log went on past what the client had.
    Overrun,
    /// The position to resume from is out of the log's reach: `from` is 0.
    Expired,
    /// The position to resume from is of an earlier run of the server: `from` and `to` are 0.
    Restart,
}

/// How a client makes good for a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapAction {
    /// It need not: the newest value follows.
    Snapshot,
    /// By resuming from a position that it has.
    Resume,
}

/// Says that the events `from` to `to` (seqs, both included) of `topic` will not come.
pub fn gap(
    topic: &str,
    from: u64,
    to: u64,
    reason: GapReason,
    action: GapAction,
    now_us: u64,
    out: &mut Vec<u8>,
) {
    let mut json = open("gap");
    json.extend_from_slice(b",\"topic\":");
    string(&mut json, topic);
    json.extend_from_slice(b",\"payload\":{\"from\":");
    integer(&mut json, from);
    json.extend_from_slice(b",\"to\":");
    integer(&mut json, to);
    json.extend_from_slice(match reason {
        GapReason::Slow => b",\"reason\":\"slow\"",
        GapReason::Overrun => b",\"reason\":\"overrun\"",
        GapReason::Expired => b",\"reason\":\"expired\"",
        GapReason::Restart => b",\"reason\":\"restart\"",
    });
    json.extend_from_slice(match action {
        GapAction::Snapshot => b",\"action\":\"snapshot\"",
        GapAction::Resume => b",\"action\":\"resume\"",
    });
    close(json, now_us, out);
}

/// Makes the `snapshot` message of an event out of its v1 message (the frame's payload, without the WebSocket
/// header): the value of the leading `type` differs, and `prev`, which a conflated event has, is left out.
///
/// # Panics
/// When `event` is not a v1 message, which starts with its `type`.
pub fn snapshot_frame(event: &[u8], out: &mut Vec<u8>) {
    const PREV: &[u8] = b",\"prev\":";
    let rest = event
        .strip_prefix(b"{\"type\":\"")
        .and_then(|rest| rest.iter().position(|&byte| byte == b'"').map(|end| &rest[end..]))
        .expect("a v1 message starts with its type");
    let mut json = Vec::with_capacity(rest.len() + 20);
    json.extend_from_slice(b"{\"type\":\"snapshot");
    // Neither type nor topic has a comma, so the third one stands behind the seq.
    let seq_end = rest.iter().enumerate().filter(|(_, byte)| **byte == b',').nth(2);
    match seq_end.map(|(at, _)| rest.split_at(at)) {
        Some((head, tail)) if tail.starts_with(PREV) => {
            let digits = tail[PREV.len()..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            json.extend_from_slice(head);
            json.extend_from_slice(&tail[PREV.len() + digits..]);
        }
        _ => json.extend_from_slice(rest),
    }
    frame::text(&json, out);
}

/// Says that the server is about to close, and after how many milliseconds (at least, at most) to come back.
pub fn shutdown(window_ms: (u64, u64), now_us: u64, out: &mut Vec<u8>) {
    let mut json = open("shutdown");
    json.extend_from_slice(b",\"payload\":{\"reconnect_ms\":[");
    integer(&mut json, window_ms.0);
    json.push(b',');
    integer(&mut json, window_ms.1);
    json.push(b']');
    close(json, now_us, out);
}

pub(super) fn welcome(connection: &Uuid, context: &Context<'_>, out: &mut Vec<u8>) {
    let mut json = open("welcome");
    json.extend_from_slice(b",\"payload\":{\"protocol\":1,\"connection\":");
    string(&mut json, connection.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    json.extend_from_slice(b",\"epoch\":");
    string(&mut json, context.epoch);
    let limits = context.limits;
    for (key, value) in
        [("head", context.head), ("ping_s", limits.ping_s), ("heartbeat_s", limits.heartbeat_s)]
    {
        member(&mut json, key, value);
    }
    json.extend_from_slice(b",\"limits\":{\"message_bytes\":");
    integer(&mut json, limits.message_bytes as u64);
    member(&mut json, "topics", limits.topics as u64);
    member(&mut json, "topic_bytes", limits.topic_bytes as u64);
    member(&mut json, "messages_per_s", limits.messages_per_s);
    member(&mut json, "burst", limits.burst);
    json.push(b'}');
    close(json, context.now_us, out);
}

pub(super) fn pong(
    id: Option<&RequestId>,
    t: Option<&str>,
    context: &Context<'_>,
    out: &mut Vec<u8>,
) {
    let mut json = answer("pong", id);
    if let Some(t) = t {
        json.extend_from_slice(b"\"t\":");
        json.extend_from_slice(t.as_bytes());
        json.push(b',');
    }
    json.extend_from_slice(b"\"head\":");
    integer(&mut json, context.head);
    member(&mut json, "lag", context.lag_events);
    close(json, context.now_us, out);
}

pub(super) fn error(
    id: Option<&RequestId>,
    code: &str,
    message: &str,
    retry_ms: Option<u64>,
    now_us: u64,
    out: &mut Vec<u8>,
) {
    let mut json = answer("error", id);
    json.extend_from_slice(b"\"code\":");
    string(&mut json, code);
    json.extend_from_slice(b",\"message\":");
    string(&mut json, message);
    match retry_ms {
        None => json.extend_from_slice(b",\"retryable\":false"),
        Some(retry_ms) => {
            json.extend_from_slice(b",\"retryable\":true");
            member(&mut json, "retry_ms", retry_ms);
        }
    }
    close(json, now_us, out);
}

/// An entry of the `topics` of an answer.
pub(super) struct Entry<'a> {
    /// What was asked for.
    pub(super) pattern: &'a Pattern,
    /// What it stands at; none where it was left.
    pub(super) matched: Option<Matched>,
}

/// Acknowledges an `op` on topics. `rejected` is left out where it would be empty.
pub(super) fn ack_topics<'a>(
    id: Option<&RequestId>,
    op: &str,
    joined: Joined,
    entries: impl Iterator<Item = Entry<'a>>,
    rejected: &[Rejected],
    now_us: u64,
    out: &mut Vec<u8>,
) {
    let mut json = ack(id, op);
    match joined.recovered {
        None => {}
        Some(true) => json.extend_from_slice(b",\"recovered\":true"),
        Some(false) => json.extend_from_slice(b",\"recovered\":false"),
    }
    member(&mut json, "pos", joined.pos);
    json.extend_from_slice(b",\"topics\":");
    list(&mut json, entries, |json, entry| {
        let key = if entry.pattern.is_exact() { "topic" } else { "pattern" };
        string(json, key);
        json.push(b':');
        string(json, entry.pattern.as_str());
        match entry.matched {
            None => {}
            Some(Matched::Topic { seq }) => member(json, "seq", seq),
            Some(Matched::Pattern { count }) => member(json, "count", count),
        }
    });
    if !rejected.is_empty() {
        json.extend_from_slice(b",\"rejected\":");
        list(&mut json, rejected.iter(), |json, (topic, code)| {
            json.extend_from_slice(b"\"topic\":");
            string(json, topic);
            json.extend_from_slice(b",\"code\":");
            string(json, code);
        });
    }
    close(json, now_us, out);
}

pub(super) fn ack_publish(id: Option<&RequestId>, pos: u64, now_us: u64, out: &mut Vec<u8>) {
    let mut json = ack(id, "publish");
    member(&mut json, "pos", pos);
    close(json, now_us, out);
}

/// The answer to a token where nobody needs one.
pub(super) fn ack_auth(id: Option<&RequestId>, now_us: u64, out: &mut Vec<u8>) {
    let mut json = ack(id, "auth");
    json.extend_from_slice(b",\"required\":false");
    close(json, now_us, out);
}

pub(super) fn ack_stats(
    id: Option<&RequestId>,
    topics: usize,
    fare: &Fare,
    now_us: u64,
    out: &mut Vec<u8>,
) {
    let mut json = ack(id, "stats");
    member(&mut json, "age_ms", fare.age_ms);
    member(&mut json, "topics", topics as u64);
    json.extend_from_slice(b",\"lag\":{\"events\":");
    integer(&mut json, fare.lag_events);
    member(&mut json, "bytes", fare.lag_bytes);
    member(&mut json, "ms", fare.lag_ms);
    json.push(b'}');
    member(&mut json, "gaps", fare.gaps);
    member(&mut json, "conflated", fare.conflated);
    close(json, now_us, out);
}

/// Says that everything up to `pos` was sent, and the newest seqs of the topics that moved since the last heartbeat,
/// unless they are too many.
pub fn heartbeat<'a>(
    pos: u64,
    heads: Option<impl Iterator<Item = (&'a str, u64)>>,
    now_us: u64,
    out: &mut Vec<u8>,
) {
    let mut json = open("heartbeat");
    json.extend_from_slice(b",\"payload\":{\"pos\":");
    integer(&mut json, pos);
    if let Some(heads) = heads {
        json.extend_from_slice(b",\"heads\":{");
        for (place, (topic, seq)) in heads.enumerate() {
            if place > 0 {
                json.push(b',');
            }
            string(&mut json, topic);
            json.push(b':');
            integer(&mut json, seq);
        }
        json.push(b'}');
    }
    close(json, now_us, out);
}

fn ack(id: Option<&RequestId>, op: &str) -> Vec<u8> {
    let mut json = answer("ack", id);
    json.extend_from_slice(b"\"op\":");
    string(&mut json, op);
    json
}

/// `{"type":kind,"id":id,"payload":{`
fn answer(kind: &str, id: Option<&RequestId>) -> Vec<u8> {
    let mut json = open(kind);
    if let Some(id) = id {
        json.extend_from_slice(b",\"id\":");
        json.extend_from_slice(id.as_json().as_bytes());
    }
    json.extend_from_slice(b",\"payload\":{");
    json
}

/// `{"type":kind`
fn open(kind: &str) -> Vec<u8> {
    let mut json = Vec::with_capacity(256);
    json.extend_from_slice(b"{\"type\":");
    string(&mut json, kind);
    json
}

/// Ends the payload and the message, and appends its frame.
fn close(mut json: Vec<u8>, now_us: u64, out: &mut Vec<u8>) {
    json.push(b'}');
    member(&mut json, "timestamp", now_us / 1000);
    json.push(b'}');
    frame::text(&json, out);
}

/// `[{…},{…}]`, the insides written by `write`.
fn list<T>(
    json: &mut Vec<u8>,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    json.push(b'[');
    for (place, item) in items.enumerate() {
        json.extend_from_slice(if place == 0 { b"{" } else { b",{" });
        write(json, item);
        json.push(b'}');
    }
    json.push(b']');
}

/// `,"key":value`
fn member(json: &mut Vec<u8>, key: &str, value: u64) {
    json.push(b',');
    string(json, key);
    json.push(b':');
    integer(json, value);
}

fn integer(json: &mut Vec<u8>, value: u64) {
    json.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `text` as a JSON string.
pub(super) fn string(json: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    json.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' => json.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                json.extend_from_slice(b"\\u00");
                json.push(HEX[usize::from(byte >> 4)]);
                json.push(HEX[usize::from(byte & 15)]);
            }
            _ => json.push(byte),
        }
    }
    json.push(b'"');
}
