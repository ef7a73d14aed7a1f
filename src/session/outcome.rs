//! What a client is told once the shard has done what it asked.

use super::command::{Fare, Joined, Matched, Publish, Subscribe, Unsubscribe};
use super::message::RequestId;
use super::reply::{self, Entry};
use super::{Context, Session};

impl Session {
    /// Appends the ack of a subscribe that was [joined](Self::join). `stands` says of each of its patterns, in their
    /// order, what it stands at where the stream goes on.
    pub fn subscribed(
        &self,
        subscribe: &Subscribe,
        context: &Context<'_>,
        joined: Joined,
        stands: &[Matched],
        out: &mut Vec<u8>,
    ) {
        let Subscribe { id, patterns, rejected, .. } = subscribe;
        let entries = patterns
            .iter()
            .zip(stands)
            .map(|(pattern, &matched)| Entry { pattern, matched: Some(matched) });
        let op = "subscribe";
        reply::ack_topics(id.as_ref(), op, joined, entries, rejected, context.now_us, out);
    }

    /// Takes an unsubscribe into effect and appends its ack; `pos` is the position from which on nothing of what
    /// was left is sent. Patterns match by their text; what is not in the set is rejected `not_subscribed`.
    pub fn unsubscribed(
        &mut self,
        unsubscribe: Unsubscribe,
        context: &Context<'_>,
        pos: u64,
        out: &mut Vec<u8>,
    ) {
        let Unsubscribe { id, patterns, mut rejected } = unsubscribe;
        let (left, unknown): (Vec<_>, Vec<_>) =
            patterns.into_iter().partition(|pattern| self.rules.remove(pattern));
        rejected
            .extend(unknown.iter().map(|pattern| (pattern.as_str().to_owned(), "not_subscribed")));
        let entries = left.iter().map(|pattern| Entry { pattern, matched: None });
        let joined = Joined { pos, recovered: None };
        let op = "unsubscribe";
        reply::ack_topics(id.as_ref(), op, joined, entries, &rejected, context.now_us, out);
    }

    /// Appends the answer to a request for [statistics](super::Command::Stats).
    pub fn stats(
        &self,
        id: Option<&RequestId>,
        fare: &Fare,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) {
        reply::ack_stats(id, self.rules.len(), fare, context.now_us, out);
    }

    /// Appends the answer to a publish: an ack with the head position after which the event comes, or an error
    /// with the code that names why it was not taken (`ring_full` may be tried again).
    pub fn published(
        &self,
        publish: &Publish,
        outcome: Result<u64, &'static str>,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) {
        let id = publish.id.as_ref();
        match outcome {
            Ok(pos) => reply::ack_publish(id, pos, context.now_us, out),
            Err(code) => {
                let is_full = code == "ring_full";
                let retry_ms = is_full.then_some(context.limits.ring_full_retry_ms);
                let message = if is_full { "intake is full" } else { "event was not taken" };
                reply::error(id, code, message, retry_ms, context.now_us, out);
            }
        }
    }
}
