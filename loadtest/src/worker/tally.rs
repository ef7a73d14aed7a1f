//! What is measured: counts by the second, latency, reads. One clock read serves a whole read of the socket.
//!
//! An event costs two records of a histogram, some nanoseconds each: its latency from due goes into the second's
//! histogram alone, which is added to the whole once a second.

use std::collections::BTreeMap;

use crate::measure::clock::now_ns;
use crate::measure::{Hist, Latency, Packed, Second, Traffic};
use crate::wire::stamps::Stamps;

/// The measurements of one worker.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Nanoseconds since the Unix epoch, of the read in progress.
    pub(crate) now_ns: u64,
    pub(crate) is_measuring: bool,
    /// Whether stamps may be compared with this host's clock.
    pub(crate) has_latency: bool,
    pub(crate) traffic: Traffic,
    pub(crate) latency: Latency,
    pub(crate) connect: Hist,
    pub(crate) loop_delay: Hist,
    pub(crate) seconds: BTreeMap<u64, Second>,
    /// Events in the measured time.
    pub(crate) measured: u64,
    pub(crate) untimed: u64,
    pub(crate) from_the_future: u64,
    pub(crate) connected: u64,
    /// Median and 99 % of the last whole second.
    pub(crate) last_us: (u64, u64),
    at_s: u64,
    delivered: u64,
    bytes: u64,
    second: Hist,
}

impl Tally {
    pub(crate) fn new(has_latency: bool) -> Self {
        let now_ns = now_ns();
        Self {
            now_ns,
            is_measuring: false,
            has_latency,
            traffic: Traffic::default(),
            latency: Latency::default(),
            connect: Hist::default(),
            loop_delay: Hist::default(),
            seconds: BTreeMap::new(),
            measured: 0,
            untimed: 0,
            from_the_future: 0,
            connected: 0,
            last_us: (0, 0),
            at_s: now_ns / 1_000_000_000,
            delivered: 0,
            bytes: 0,
            second: Hist::default(),
        }
    }

    /// Bytes were read.
    pub(crate) fn read(&mut self, bytes: usize) {
        self.now_ns = now_ns();
        if self.now_ns / 1_000_000_000 != self.at_s {
            self.roll();
        }
        self.bytes += bytes as u64;
        if self.is_measuring {
            self.traffic.reads += 1;
            self.traffic.bytes += bytes as u64;
        }
    }

    /// A message of the read in progress.
    #[inline]
    pub(crate) fn message(&mut self) {
        self.traffic.messages += u64::from(self.is_measuring);
    }

    /// An event of the read in progress. `us` is what the envelope says of its publishing, microseconds; 0: nothing.
    /// What was published before `since_ns` is not timed: its client was away.
    #[inline]
    pub(crate) fn event(&mut self, stamps: Stamps, us: u64, since_ns: u64) {
        self.delivered += 1;
        if !self.is_measuring {
            return;
        }
        self.measured += 1;
        let sent_ns = stamps.sent_ns.or((us > 0).then(|| us.saturating_mul(1_000)));
        let was_away = sent_ns.or(stamps.due_ns).is_some_and(|sent_ns| sent_ns < since_ns);
        if !self.has_latency || was_away {
            return;
        }
        if let Some(due_ns) = stamps.due_ns {
            let waited = self.since_us(due_ns);
            self.second.record(waited);
        }
        if let Some(sent_ns) = sent_ns {
            let waited = self.since_us(sent_ns);
            self.latency.actual.record(waited);
        }
        self.untimed += u64::from(stamps.due_ns.is_none() && sent_ns.is_none());
    }

    /// Moves what a second held to the seconds, and begins the one of `now_ns`.
    pub(crate) fn roll(&mut self) {
        let second = Second {
            delivered: self.delivered,
            bytes: self.bytes,
            connected: self.connected,
            latency: Packed::new(&self.second),
        };
        self.last_us = (self.second.quantile(0.5), self.second.quantile(0.99));
        self.latency.scheduled.merge(&self.second);
        self.second.clear();
        self.seconds.insert(self.at_s, second);
        (self.delivered, self.bytes) = (0, 0);
        self.at_s = self.now_ns / 1_000_000_000;
    }

    /// Rolls when the clock says so, although nothing was read.
    pub(crate) fn tick(&mut self) {
        self.now_ns = now_ns();
        if self.now_ns / 1_000_000_000 != self.at_s {
            self.roll();
        }
    }

    #[inline]
    fn since_us(&mut self, then_ns: u64) -> u64 {
        self.from_the_future += u64::from(then_ns > self.now_ns);
        self.now_ns.saturating_sub(then_ns) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_taken_from_due_and_from_publishing_and_only_while_measuring() {
        let mut tally = Tally::new(true);
        tally.read(100);
        let now_ns = tally.now_ns;
        let stamps = Stamps { due_ns: Some(now_ns - 5_000_000), sent_ns: Some(now_ns - 1_000_000) };
        tally.event(stamps, 0, 0);
        tally.is_measuring = true;
        tally.event(stamps, 0, 0);
        tally.event(Stamps::default(), (now_ns - 2_000_000) / 1_000, 0);
        tally.event(Stamps::default(), 0, 0);
        tally.event(stamps, 0, now_ns - 999_999);
        tally.event(Stamps { due_ns: Some(now_ns + 5_000_000), sent_ns: None }, 0, 0);
        tally.roll();
        assert_eq!((tally.latency.scheduled.len(), tally.latency.actual.len()), (2, 2));
        assert!((4_990..5_010).contains(&tally.latency.scheduled.max()));
        assert!((990..1_010).contains(&tally.latency.actual.min()));
        assert_eq!((tally.measured, tally.untimed, tally.from_the_future), (5, 1, 1));
        let second = tally.seconds.values().next().unwrap();
        assert_eq!((second.delivered, second.bytes), (6, 100));
    }

    #[test]
    fn without_a_common_clock_events_are_counted_and_not_timed() {
        let mut tally = Tally::new(false);
        tally.is_measuring = true;
        tally.event(Stamps { due_ns: Some(1), sent_ns: Some(1) }, 1, 0);
        tally.roll();
        assert_eq!((tally.measured, tally.untimed), (1, 0));
        assert!(tally.latency.scheduled.is_empty() && tally.latency.actual.is_empty());
    }
}
