//! What messages mean for a client: texts in, updates out, and from where to resume. No sockets, no clock.
//!
//! Invariants: each text is exactly one update that carries it, in order; the position never covers an event that is
//! not among the updates; until the first event or heartbeat after a subscription that was not resumed, the position
//! stays where it was, because its gaps and snapshots may still be under way.

use super::builder::Plan;
use super::frame::{self, Ack, Frame};
use super::proof::{Flaw, Proof};
use super::update::{
    Broken, Connected, Event, Gap, GapReason, Position, Rejected, Text, Trouble, Update, Why,
};
use super::{Counts, Error};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Utf8Bytes;

const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(15);
const HEARTBEAT_MAX: Duration = Duration::from_secs(3_600);

/// The longest wait that a server can ask for.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(300);

/// Why there is no connection, and what follows.
#[derive(Debug, PartialEq)]
pub(super) enum Loss {
    /// Another, not before so long.
    Again { why: Why, at_least: Duration },
    /// Nothing.
    End(Error),
}

impl Loss {
    pub(super) fn again(why: Why) -> Self {
        Self::Again { why, at_least: Duration::ZERO }
    }
}

/// What the messages so far come to.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) plan: Plan,
    /// Updates that nobody has taken: those of one message.
    pub(super) ready: VecDeque<Update>,
    pub(super) counts: Counts,
    position: Option<Position>,
    proof: Proof,
    /// Of the last welcome, or of the position to begin with.
    epoch: Option<String>,
    connected_before: bool,
    link: Link,
}

/// What is known of the connection.
#[derive(Debug, Default)]
struct Link {
    connection: String,
    has_new_epoch: bool,
    has_asked_from: bool,
    is_subscribed: bool,
    heartbeat: Option<Duration>,
    reconnect: Option<(Duration, Duration)>,
}

impl Intake {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            position: plan.from.clone(),
            epoch: plan.from.as_ref().map(|from| from.epoch.clone()),
            plan,
            ready: VecDeque::new(),
            counts: Counts::default(),
            proof: Proof::default(),
            connected_before: false,
            link: Link::default(),
        }
    }

    /// A connection is about to be made: what to say on it.
    pub(super) fn begin(&mut self) -> Vec<String> {
        let from = self.position.as_ref().filter(|_| self.plan.has_all);
        self.link = Link { has_asked_from: from.is_some(), ..Link::default() };
        self.plan.hello(from)
    }

    /// Up to where everything was had.
    pub(super) fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// How often the server gives a sign of life.
    pub(super) fn heartbeat(&self) -> Duration {
        self.link.heartbeat.map_or(HEARTBEAT_DEFAULT, |heartbeat| heartbeat.min(HEARTBEAT_MAX))
    }

    /// When the server wants its clients back after it closed: at least and at most so long after.
    pub(super) fn reconnect_window(&self) -> Option<(Duration, Duration)> {
        self.link.reconnect.map(|(from, to)| (from.min(WAIT_MAX), to.min(WAIT_MAX)))
    }

    /// Takes one message.
    ///
    /// # Errors
    /// When the connection has no use any more.
    pub(super) fn take(&mut self, text: Utf8Bytes) -> Result<(), Loss> {
        match frame::parse(&text) {
            Frame::Event(event) => return self.event(event),
            Frame::Snapshot(event) => return self.snapshot(event),
            Frame::Gap(gap) => return self.gap(gap),
            Frame::Ack(ack) if ack.id == 1 => return self.acknowledged(ack, text),
            Frame::Ack(ack) if self.plan.has_asked(ack.id) => {
                self.ready.push_back(Update::Other(Text(text)));
                self.ready.extend(rejections(ack));
                return Ok(());
            }
            Frame::Error { id, retry, trouble } => return self.error(id, retry, trouble),
            Frame::Heartbeat { pos, heads } => self.heartbeat_at(pos, heads),
            Frame::Welcome { epoch, connection, heartbeat } => {
                (self.link.connection, self.link.heartbeat) = (connection, heartbeat);
                self.enter(epoch);
            }
            Frame::Shutdown { from, to } => {
                self.link.reconnect = Some((from, to));
                self.ready.push_back(Update::Shutdown(Text(text)));
                return Ok(());
            }
            Frame::Ack(_) | Frame::Other => {}
        }
        self.ready.push_back(Update::Other(Text(text)));
        Ok(())
    }

    /// The connection is to this stream.
    fn enter(&mut self, epoch: String) {
        if self.epoch.as_ref().is_some_and(|before| *before != epoch) {
            self.proof.forget();
            self.link.has_new_epoch = true;
        }
        self.epoch = Some(epoch);
    }

    fn event(&mut self, event: Event) -> Result<(), Loss> {
        self.counts.events += 1;
        if self.link.is_subscribed {
            let verdict = self.proof.event(event.topic(), event.seq, event.prev);
            self.judge(verdict, event.topic(), event.seq)?;
            // Views run beside the stream: what they show says nothing about it.
            if event.prev.is_none() {
                self.reach(event.pos);
            }
        }
        self.ready.push_back(Update::Event(event));
        Ok(())
    }

    fn snapshot(&mut self, event: Event) -> Result<(), Loss> {
        if self.link.is_subscribed {
            let verdict = self.proof.snapshot(event.topic(), event.seq);
            self.judge(verdict, event.topic(), event.seq)?;
        }
        self.ready.push_back(Update::Snapshot(event));
        Ok(())
    }

    fn gap(&mut self, gap: Gap) -> Result<(), Loss> {
        self.counts.gaps += 1;
        let mut from = gap.from;
        if self.link.is_subscribed {
            let is_exact = matches!(gap.reason, GapReason::Slow | GapReason::Overrun);
            let to = (gap.reason != GapReason::Restart).then_some(gap.to);
            let verdict = self.proof.gap(&gap.topic, is_exact.then_some(gap.from), to);
            match verdict {
                Ok(known) if gap.from == 0 && to.is_some() => from = known.unwrap_or_default(),
                Ok(_) => {}
                Err(flaw) => self.judge(Err(flaw), &gap.topic, gap.from)?,
            }
        }
        self.ready.push_back(Update::Gap(Gap { from, ..gap }));
        Ok(())
    }

    fn acknowledged(&mut self, mut ack: Ack, text: Utf8Bytes) -> Result<(), Loss> {
        let recovered = if self.link.has_asked_from {
            Some(ack.recovered.unwrap_or(false))
        } else {
            self.connected_before.then_some(false)
        };
        if recovered == Some(true) {
            self.proof.resume();
        } else {
            self.proof.start_over();
        }
        if self.plan.has_all {
            for entry in ack.topics.drain(..) {
                let (Some(topic), Some(seq)) = (entry.topic, entry.seq) else { continue };
                let verdict = self.proof.begin(&topic, seq);
                self.judge(verdict, &topic, seq)?;
            }
            let nothing_comes_first = !self.plan.is_snapshot_wanted && !self.link.has_asked_from;
            if recovered == Some(true) || nothing_comes_first {
                self.reach(ack.pos);
            }
        }
        (self.link.is_subscribed, self.connected_before) = (true, true);
        self.ready.push_back(Update::Connected(Connected {
            epoch: self.epoch.clone().unwrap_or_default(),
            connection: self.link.connection.clone(),
            recovered,
            has_new_epoch: self.link.has_new_epoch,
            pos: ack.pos,
            text: Text(text),
        }));
        self.ready.extend(rejections(ack));
        Ok(())
    }

    fn error(
        &mut self,
        id: Option<u64>,
        retry: Option<Duration>,
        trouble: Trouble,
    ) -> Result<(), Loss> {
        let (code, message) = (trouble.code.clone(), trouble.message.clone());
        self.ready.push_back(Update::Trouble(trouble));
        if !id.is_some_and(|id| self.plan.has_asked(id)) {
            return Ok(());
        }
        // Without all of its subscriptions a client would miss events in silence.
        Err(match retry {
            Some(wait) => Loss::Again { why: Why::Refused { code }, at_least: wait.min(WAIT_MAX) },
            None => Loss::End(Error::Refused { code, message }),
        })
    }

    fn heartbeat_at(&mut self, pos: u64, heads: HashMap<String, u64>) {
        if !self.link.is_subscribed {
            return;
        }
        for (topic, seq) in heads {
            if let Err(Flaw::Expected(expected)) = self.proof.head(&topic, seq) {
                self.broken(Broken { topic, expected, seq });
            }
        }
        self.reach(pos);
    }

    /// Everything up to `pos` was had.
    fn reach(&mut self, pos: u64) {
        let Some(epoch) = self.epoch.as_ref().filter(|_| self.plan.has_all) else { return };
        match &mut self.position {
            Some(position) if position.epoch == *epoch => position.pos = position.pos.max(pos),
            position => *position = Some(Position { epoch: epoch.clone(), pos }),
        }
        self.proof.settle();
    }

    fn judge(&mut self, verdict: Result<(), Flaw>, topic: &str, seq: u64) -> Result<(), Loss> {
        match verdict {
            Ok(()) => Ok(()),
            Err(Flaw::Expected(expected)) => {
                self.broken(Broken { topic: topic.to_owned(), expected, seq });
                Ok(())
            }
            Err(Flaw::TooManyTopics) => {
                self.proof.forget();
                Err(Loss::again(Why::TooManyTopics))
            }
        }
    }

    fn broken(&mut self, broken: Broken) {
        self.counts.broken += 1;
        self.ready.push_back(Update::Broken(broken));
    }
}

fn rejections(ack: Ack) -> impl Iterator<Item = Update> {
    ack.rejected.into_iter().map(|refused| Update::Rejected(Rejected::from(refused)))
}

#[cfg(test)]
#[path = "intake_tests.rs"]
mod tests;
