//! Taps: readers of typed events inside the process.
//!
//! After an event has its position and seq, the encoder hands a clone to the bounded private ring of every tap
//! whose patterns name its topic. A full tap is counted and its reader learns how many events it missed; the
//! encoder never waits. A tap's reader that publishes back uses [`OnFull::Help`](super::OnFull) and runs on a
//! thread of its own, never inside the role.
//!
//! Cost per event and tap: one table look-up, and for a wanted event one clone and one ring slot.

use crate::event::{Event, Pattern, TopicInfo};
use crate::ring;
use crate::sync::{Arc, Flag, Tally, Watermark};

/// Part of a tap that sources without a pace of their own leave to the live ones.
const LIVE_DIVISOR: u64 = 8;

/// An event with its place in the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Tapped {
    /// Place in the whole stream, from 1.
    pub pos: u64,
    /// Place within its topic, from 1.
    pub seq: u64,
    /// The event.
    pub event: Event,
}

/// A tap's reading end; dropping it ends the tap.
#[derive(Debug)]
pub struct Tap {
    receiver: ring::Receiver<Tapped>,
    state: Arc<TapState>,
    taken: u64,
    missed_told: u64,
}

/// Events that found the tap full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed(pub u64);

impl Tap {
    /// The next event, if one waits; never blocks.
    ///
    /// # Errors
    /// [`Missed`] with the number of events that found the tap full since the last call that said so; the next
    /// call goes on with what the tap holds.
    pub fn receive(&mut self) -> Result<Option<Tapped>, Missed> {
        let missed = self.state.missed.value();
        if missed != self.missed_told {
            let count = missed - self.missed_told;
            self.missed_told = missed;
            return Err(Missed(count));
        }
        let tapped = self.receiver.receive();
        if tapped.is_some() {
            self.taken += 1;
            self.state.taken.publish(self.taken);
        }
        Ok(tapped)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.state.gone.raise();
    }
}

/// What both ends and the flow gate know of a tap.
#[derive(Debug)]
pub(crate) struct TapState {
    capacity: u64,
    sent: Watermark,
    taken: Watermark,
    missed: Tally,
    gone: Flag,
}

impl TapState {
    /// Events that a source which asks may still publish; a tap whose reader is gone fits everything. An eighth of the
    /// tap stays free for the sources that do not ask.
    pub(crate) fn room(&self) -> u64 {
        if self.gone.is_raised() {
            return u64::MAX;
        }
        let taken = self.taken.observe();
        let waiting = self.sent.observe().saturating_sub(taken);
        (self.capacity - self.capacity / LIVE_DIVISOR).saturating_sub(waiting)
    }
}

/// The encoder's end of a tap.
#[derive(Debug)]
pub(super) struct TapSender {
    sender: ring::Sender<Tapped>,
    patterns: Vec<Pattern>,
    /// By topic index: whether the patterns name it; filled when a topic is first met.
    wanted: Vec<Option<bool>>,
    state: Arc<TapState>,
    sent: u64,
}

impl TapSender {
    /// Hands `event` over if the patterns name its topic; false when the tap was full.
    pub(super) fn offer(&mut self, topic: &TopicInfo, pos: u64, seq: u64, event: &Event) -> bool {
        let index = usize::from(event.topic.index());
        if self.wanted.len() <= index {
            self.wanted.resize(index + 1, None);
        }
        let patterns = &self.patterns;
        let is_wanted = *self.wanted[index]
            .get_or_insert_with(|| patterns.iter().any(|pattern| pattern.matches(&topic.name)));
        if !is_wanted {
            return true;
        }
        if self.sender.send(Tapped { pos, seq, event: event.clone() }).is_err() {
            self.state.missed.add(1);
            return false;
        }
        self.sent += 1;
        self.state.sent.publish(self.sent);
        true
    }

    /// Whether the reader is gone.
    pub(super) fn is_gone(&self) -> bool {
        self.state.gone.is_raised()
    }

    /// The shared state, for the flow gate.
    pub(super) fn state(&self) -> Arc<TapState> {
        self.state.clone()
    }
}

/// Makes a tap of `capacity` events (a power of two) for the topics that `patterns` name.
pub(super) fn tap(patterns: Vec<Pattern>, capacity: usize) -> (TapSender, Tap) {
    let (sender, receiver) = ring::pair(capacity);
    let state = Arc::new(TapState {
        capacity: capacity as u64,
        sent: Watermark::new(),
        taken: Watermark::new(),
        missed: Tally::new(),
        gone: Flag::new(),
    });
    let writing = TapSender { sender, patterns, wanted: Vec::new(), state: state.clone(), sent: 0 };
    (writing, Tap { receiver, state, taken: 0, missed_told: 0 })
}

#[cfg(test)]
mod tests {
    use super::{Tapped, tap};
    use crate::event::{Body, Event, Json, Pattern, Topics};

    #[test]
    fn an_eighth_of_a_tap_is_left_to_sources_that_do_not_ask() {
        let topics = Topics::new();
        let topic = topics.register("bench", None).expect("a name");
        let body = Body::External(Json::vouched(bytes::Bytes::from_static(b"1")));
        let event = Event { topic, key: 0, time_us: 0, body };
        for (capacity, room) in [(2, 2), (4, 4), (8, 7), (16, 14)] {
            let (mut sender, mut reader) = tap(vec![Pattern::all()], capacity);
            let state = sender.state();
            for sent in 0..capacity as u64 {
                assert_eq!(state.room(), u64::saturating_sub(room, sent), "{sent} of {capacity}");
                assert!(sender.offer(topics.info(topic), sent + 1, sent + 1, &event));
            }
            assert!(!sender.offer(topics.info(topic), 0, 0, &event), "{capacity} and one more");
            assert_eq!(state.room(), 0);
            assert!(reader.receive().is_err(), "it is told what it missed");
            while let Ok(Some(Tapped { .. })) = reader.receive() {}
            assert_eq!(state.room(), room);
            drop(reader);
            assert_eq!(state.room(), u64::MAX);
        }
    }
}
