//! What a client asked: the v1 protocol as a state machine without IO.
//!
//! A [`Session`] is fed the text messages of one connection. It answers what it can by appending whole WebSocket
//! frames to a buffer, and hands back a [`Command`] where the shard has to act; the shard then reports what came
//! of it, and the session renders the acknowledgement. It never sees a socket, a runtime, the log or the ring;
//! the time and everything else it needs to know comes in a [`Context`].
//!
//! ```text
//!  text ──► on_text ──► frames: pong, error                     (answered at once)
//!                  └──► Command::Subscribe ──► shard ──► subscribed ──► frame: ack
//! ```
//!
//! A shard owns its sessions, boxed, one per v1 connection; nothing blocks. Costs are said in `message` and `reply`.
//!
//! **Errors.** The answer to a message that cannot be obeyed is an `error` whose payload has, in this order,
//! `code`, `message` (for people), `retryable` and, where that is true, `retry_ms`:
//!
//! | code | when |
//! |---|---|
//! | `bad_message` | not JSON, no object with a string `op`, or binary: the third in a row closes (4011) |
//! | `too_big` | a message above the limit; counts as a bad one |
//! | `bad_request` | a field is missing or has the wrong shape; the message names it |
//! | `unknown_op` | the message says what there is |
//! | `resume_not_first` | `from` in a subscribe that is not the connection's first |
//! | `bad_topic`, `reserved` | a publish to what is no topic, or to one whose type is a word of the protocol |
//! | `publishing_disabled` | this connection may not publish |
//! | `ring_full` | the intake is full; retryable |
//! | `rate_limited` | too many messages; retryable; the hundredth in a row closes (1008) |
//!
//! An ack lists the topics that were taken; `rejected` follows where some were not: `bad_topic`, `reserved`,
//! `too_many_topics`, `not_conflatable`, `not_subscribed`.

mod ask;
mod close;
mod command;
mod limits;
mod message;
mod outcome;
mod reply;
mod rules;
#[cfg(test)]
mod tests;

pub use close::{CLOSE_CODES, CloseCode, CloseRow};
pub use command::{Command, Fare, Joined, Matched, OnLag, Publish, Resume, Subscribe, Unsubscribe};
pub use limits::{Limits, reconnect_window_ms};
pub use message::RequestId;
pub use reply::{GapAction, GapReason, gap, heartbeat, shutdown, snapshot_frame};
pub use rules::{Mode, Rate, Rules, Selection};

use crate::event::Class;
use limits::Bucket;
use message::{Asked, Message, Request, Unreadable};
use uuid::Uuid;

/// What the session needs to know from outside when it answers.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Now, microseconds since the Unix epoch.
    pub now_us: u64,
    /// Identity of this stream.
    pub epoch: &'a str,
    /// Position of the newest event.
    pub head: u64,
    /// Events of this connection's own topics that it has not been sent yet.
    pub lag_events: u64,
    /// Whether this connection may publish.
    pub may_publish: bool,
    /// What clients are held to.
    pub limits: &'a Limits,
}

/// The state of one v1 connection: 112 bytes and its patterns.
#[derive(Debug)]
pub struct Session {
    id: Uuid,
    rules: Rules,
    on_lag: OnLag,
    /// A subscribe was read: `from` is no longer possible.
    has_asked: bool,
    bucket: Bucket,
    /// Patterns of subscribes that were handed to the shard and have not come back: they count for the limit.
    asked: u32,
    bad_in_a_row: u16,
    dropped_in_a_row: u16,
    notes: Notes,
}

/// What happened in a session that its shard counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Notes {
    /// Messages dropped for their rate.
    pub rate_limited: u32,
    /// Messages that were not of the protocol.
    pub bad_messages: u32,
}

impl Session {
    /// Of a connection that has just opened: no patterns, a full bucket.
    #[must_use]
    pub fn new(id: Uuid, now_us: u64) -> Self {
        Self {
            id,
            rules: Rules::default(),
            on_lag: OnLag::Gap,
            has_asked: false,
            bucket: Bucket::new(now_us),
            asked: 0,
            bad_in_a_row: 0,
            dropped_in_a_row: 0,
            notes: Notes::default(),
        }
    }

    /// Appends the greeting, the first frame of every v1 connection.
    pub fn welcome(&self, context: &Context<'_>, out: &mut Vec<u8>) {
        reply::welcome(&self.id, context, out);
    }

    /// Identity of the connection, as its welcome says.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The patterns in effect, with their modes.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What is to be done when the client is too slow.
    #[must_use]
    pub fn on_lag(&self) -> OnLag {
        self.on_lag
    }

    /// What happened since the last call.
    pub fn take_notes(&mut self) -> Notes {
        std::mem::take(&mut self.notes)
    }

    /// Takes one text message: appends what it is answered at once, and says what the shard has to do.
    pub fn on_text(
        &mut self,
        text: &str,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Command> {
        self.on_message(message::parse(text, context.limits), context, out)
    }

    /// Takes one binary message, which the protocol does not have: it counts as a bad one.
    pub fn on_binary(&mut self, context: &Context<'_>, out: &mut Vec<u8>) -> Option<Command> {
        self.on_message(Err(Unreadable::Binary), context, out)
    }

    fn on_message(
        &mut self,
        message: Result<Message, Unreadable>,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Command> {
        if let Err(retry_ms) = self.bucket.take(context.now_us, context.limits) {
            let id = message.ok().and_then(|message| message.id);
            return self.drop_message(id.as_ref(), retry_ms, context, out);
        }
        self.dropped_in_a_row = 0;
        match message {
            Ok(message) => {
                self.bad_in_a_row = 0;
                self.obey(message, context, out)
            }
            Err(unreadable) => self.refuse_unreadable(unreadable, context, out),
        }
    }

    fn drop_message(
        &mut self,
        id: Option<&RequestId>,
        retry_ms: u64,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Command> {
        self.notes.rate_limited = self.notes.rate_limited.saturating_add(1);
        self.dropped_in_a_row = self.dropped_in_a_row.saturating_add(1);
        let limits = context.limits;
        let rate = format!(
            "more than {} messages per second; this one was dropped",
            limits.messages_per_s
        );
        reply::error(id, "rate_limited", &rate, Some(retry_ms), context.now_us, out);
        let is_flood = self.dropped_in_a_row >= limits.dropped_in_a_row;
        is_flood.then_some(Command::Close(
            CloseCode::Policy,
            "policy: too many messages over the rate in a row",
        ))
    }

    fn refuse_unreadable(
        &mut self,
        unreadable: Unreadable,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Command> {
        self.notes.bad_messages = self.notes.bad_messages.saturating_add(1);
        self.bad_in_a_row = self.bad_in_a_row.saturating_add(1);
        let limits = context.limits;
        let (code, message) = match unreadable {
            Unreadable::TooBig => {
                ("too_big", format!("message is larger than {} bytes", limits.message_bytes))
            }
            Unreadable::NotJson => {
                ("bad_message", format!("message is not JSON of at most {} levels", limits.nesting))
            }
            Unreadable::NoOp => {
                ("bad_message", "message is not an object with a string op".to_owned())
            }
            Unreadable::Binary => ("bad_message", "message is binary, not text".to_owned()),
        };
        reply::error(None, code, &message, None, context.now_us, out);
        let is_hopeless = self.bad_in_a_row >= limits.bad_in_a_row;
        is_hopeless
            .then_some(Command::Close(CloseCode::BadMessage, "bad_message: too many in a row"))
    }

    fn obey(
        &mut self,
        message: Message,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Command> {
        let Message { id, request } = message;
        match request {
            Ok(Request::Subscribe(Asked { from: Some(_), .. })) if self.has_asked => {
                let message = "from is for the first subscribe of a connection";
                let code = "resume_not_first";
                reply::error(id.as_ref(), code, message, None, context.now_us, out);
                None
            }
            Ok(Request::Subscribe(asked)) => {
                self.has_asked = true;
                Some(Command::Subscribe(self.admit(id, asked, context.limits)))
            }
            Ok(Request::Stats) => Some(Command::Stats(id)),
            Ok(Request::Auth) => {
                reply::ack_auth(id.as_ref(), context.now_us, out);
                None
            }
            Ok(Request::Unsubscribe(names)) => {
                let (patterns, rejected) = command::split(names);
                Some(Command::Unsubscribe(Unsubscribe { id, patterns, rejected }))
            }
            Ok(Request::Publish { topic, class, payload }) if context.may_publish => {
                Some(Command::Publish(Publish { id, topic, class, payload }))
            }
            Ok(Request::Publish { .. }) => {
                let message =
                    "this server was started without --publish, or the client lacks the right";
                reply::error(
                    id.as_ref(),
                    "publishing_disabled",
                    message,
                    None,
                    context.now_us,
                    out,
                );
                None
            }
            Ok(Request::Ping(t)) => {
                reply::pong(id.as_ref(), t.as_deref(), context, out);
                None
            }
            Err(refusal) => {
                reply::error(
                    id.as_ref(),
                    refusal.code,
                    &refusal.message,
                    None,
                    context.now_us,
                    out,
                );
                None
            }
        }
    }

    /// Holds a subscribe against the limit on patterns: the first ones are taken, the rest rejected.
    fn admit(&mut self, id: Option<RequestId>, asked: Asked, limits: &Limits) -> Subscribe {
        let Asked { names, mode, wants_snapshot, from, on_lag } = asked;
        let held = self.rules.len() + self.asked as usize;
        let mut room = u32::try_from(limits.topics.saturating_sub(held)).unwrap_or(u32::MAX);
        let mut asked = 0;
        let names = names.into_iter().map(|name| {
            let pattern = name?;
            if !self.rules.has(&pattern) {
                room = room
                    .checked_sub(1)
                    .ok_or_else(|| (pattern.as_str().to_owned(), "too_many_topics"))?;
                asked += 1;
            }
            Ok(pattern)
        });
        let (patterns, rejected) = command::split(names);
        self.asked += asked;
        Subscribe { id, patterns, rejected, asked, mode, wants_snapshot, from, on_lag }
    }

    /// Takes a subscribe into effect: from now on [`rules`](Self::rules) has its patterns. `class_of` says what is
    /// known of a topic; one whose events each matter is rejected in mode `latest`.
    pub fn join(
        &mut self,
        subscribe: &mut Subscribe,
        class_of: &mut dyn FnMut(&str) -> Option<Class>,
    ) {
        let Subscribe { patterns, rejected, asked, mode, on_lag, .. } = subscribe;
        self.asked = self.asked.saturating_sub(*asked);
        self.on_lag = on_lag.unwrap_or(self.on_lag);
        patterns.retain(|pattern| {
            let class = if pattern.is_exact() { class_of(pattern.as_str()) } else { None };
            let is_possible = class.is_none_or(|class| mode.applies_to(class));
            if !is_possible {
                rejected.push((pattern.as_str().to_owned(), "not_conflatable"));
            }
            is_possible
        });
        for pattern in patterns.iter() {
            self.rules.add(pattern.clone(), *mode);
        }
    }
}
