//! One order of time for everything that is simulated.
//!
//! The [`Scheduler`] runs its steppers each at the moment it is due, the earliest first and of equals the first in the
//! list (arena, hub, chain). So the same seed gives the same events in the same order, however the time is cut into
//! calls. It reads no clock and publishes nothing.
//!
//! Who calls late gets what was missed at the times it was due, up to [`CATCH_UP_US`]; a stepper that is farther
//! behind (the machine slept) moves on from the moment of the call, and what lies between is left out.

use super::Arena;
use super::chain::Chain;
use super::hub::Hub;
use crate::event::Event;

/// How far behind a stepper may be and still catch up.
pub const CATCH_UP_US: u64 = 1_000_000;
/// Events after which a call returns, although more may be due.
const BATCH_EVENTS: usize = 4_096;

/// A part of the simulation that is told the time and answers with the events that are due.
///
/// It reads no clock, sleeps nowhere, and draws from a [`Random`](super::Random) of its own, so that the same seed and
/// the same times give the same events.
pub trait Stepper: std::fmt::Debug + Send {
    /// When something is due next, in microseconds since the Unix epoch; `u64::MAX` for never.
    fn next_due_us(&self) -> u64;

    /// Appends what is due at `now_us`, stamped with it, and moves [`next_due_us`](Self::next_due_us) on, in a few
    /// calls at most.
    fn step(&mut self, now_us: u64, out: &mut Vec<Event>);

    /// Sees what another part has just emitted: called once after each of its steps that emitted something.
    fn watch(&mut self, events: &[Event]) {
        let _ = events;
    }
}

impl Stepper for Arena {
    fn next_due_us(&self) -> u64 {
        self.next_due_us()
    }

    fn step(&mut self, now_us: u64, out: &mut Vec<Event>) {
        self.step(now_us, out);
    }
}

impl Stepper for Hub {
    fn next_due_us(&self) -> u64 {
        self.next_due_us()
    }

    fn step(&mut self, now_us: u64, out: &mut Vec<Event>) {
        self.step(now_us, out);
    }

    fn watch(&mut self, events: &[Event]) {
        events.iter().for_each(|event| self.observe(event));
    }
}

impl Stepper for Chain {
    fn next_due_us(&self) -> u64 {
        self.next_due_us()
    }

    fn step(&mut self, now_us: u64, out: &mut Vec<Event>) {
        self.step(now_us, out);
    }

    fn watch(&mut self, events: &[Event]) {
        events.iter().for_each(|event| self.observe(event));
    }
}

/// The steppers of a simulation in one order of time.
#[derive(Debug)]
pub struct Scheduler {
    steppers: Vec<Box<dyn Stepper>>,
    /// The time of the last step; time does not go back.
    reached_us: u64,
}

impl Scheduler {
    /// Of steppers that are due at the same moment, the first in the list comes first.
    #[must_use]
    pub fn new(steppers: Vec<Box<dyn Stepper>>) -> Self {
        Self { steppers, reached_us: 0 }
    }

    /// When something is due next, in microseconds since the Unix epoch; `u64::MAX` for never.
    #[must_use]
    pub fn next_due_us(&self) -> u64 {
        self.first().map_or(u64::MAX, |(_, due_us)| due_us)
    }

    /// Appends what is due up to `now_us`, each event stamped with the moment it was due.
    ///
    /// Returns early after some thousand events: then something is due still, and the caller calls again.
    pub fn advance(&mut self, now_us: u64, out: &mut Vec<Event>) {
        let had = out.len();
        while let Some((index, due_us)) = self.first() {
            if due_us > now_us || out.len() - had >= BATCH_EVENTS {
                return;
            }
            let is_far_behind = now_us - due_us > CATCH_UP_US;
            let at_us = if is_far_behind { now_us } else { due_us }.max(self.reached_us);
            self.reached_us = at_us;
            let before = out.len();
            self.steppers[index].step(at_us, out);
            self.show(index, &out[before..]);
        }
    }

    /// Shows what stepper `from` emitted to the others.
    fn show(&mut self, from: usize, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        let others = self.steppers.iter_mut().enumerate().filter(|(index, _)| *index != from);
        others.for_each(|(_, stepper)| stepper.watch(events));
    }

    /// Who is next, and when; of equals the first in the list.
    fn first(&self) -> Option<(usize, u64)> {
        let due = self.steppers.iter().map(|stepper| stepper.next_due_us());
        due.enumerate().min_by_key(|(_, due_us)| *due_us)
    }
}

#[cfg(test)]
mod tests {
    use super::{BATCH_EVENTS, CATCH_UP_US, Scheduler, Stepper};
    use crate::event::{Body, Event, Json, Topic};
    use bytes::Bytes;
    use std::sync::{Arc, Mutex};

    type Seen = Arc<Mutex<Vec<(u16, usize)>>>;

    /// Emits one event of its own topic at each of its moments.
    #[derive(Debug)]
    struct Beat {
        topic: u16,
        interval_us: u64,
        next_us: u64,
        seen: Seen,
    }

    impl Stepper for Beat {
        fn next_due_us(&self) -> u64 {
            self.next_us
        }

        fn step(&mut self, now_us: u64, out: &mut Vec<Event>) {
            let body = Body::External(Json::vouched(Bytes::from_static(b"1")));
            let topic = Topic::from_index(self.topic);
            out.push(Event { topic, key: 0, time_us: now_us, body });
            self.next_us = now_us + self.interval_us;
        }

        fn watch(&mut self, events: &[Event]) {
            let mut seen = self.seen.lock().expect("no panic");
            seen.extend(events.iter().map(|event| (self.topic, usize::from(event.topic.index()))));
        }
    }

    fn scheduler(intervals_us: &[u64]) -> (Scheduler, Seen) {
        let seen = Seen::default();
        let beat = |(topic, &interval_us): (u16, &u64)| {
            let seen = seen.clone();
            Box::new(Beat { topic, interval_us, next_us: 0, seen }) as Box<dyn Stepper>
        };
        (Scheduler::new((0..).zip(intervals_us).map(beat).collect()), seen)
    }

    fn places(events: &[Event]) -> Vec<(u64, u16)> {
        events.iter().map(|event| (event.time_us, event.topic.index())).collect()
    }

    #[test]
    fn the_earliest_comes_first_and_of_equals_the_first_in_the_list() {
        let (mut scheduler, _) = scheduler(&[20, 10, 20]);
        let mut out = Vec::new();
        scheduler.advance(20, &mut out);
        let expected = [(0, 0), (0, 1), (0, 2), (10, 1), (20, 0), (20, 1), (20, 2)];
        assert_eq!(places(&out), expected);
        assert_eq!(scheduler.next_due_us(), 30);
        assert_eq!(Scheduler::new(Vec::new()).next_due_us(), u64::MAX);
    }

    #[test]
    fn each_stepper_sees_what_the_others_emit_and_not_its_own() {
        let (mut scheduler, seen) = scheduler(&[1_000, 1_000]);
        scheduler.advance(0, &mut Vec::new());
        assert_eq!(*seen.lock().expect("no panic"), [(1, 0), (0, 1)]);
    }

    #[test]
    fn what_is_too_far_behind_goes_on_from_the_call_and_the_rest_catches_up() {
        let cases: [(u64, &[u64]); 3] = [
            (CATCH_UP_US - 1, &[0]),
            (CATCH_UP_US, &[0, CATCH_UP_US]),
            (CATCH_UP_US + 1, &[CATCH_UP_US + 1]),
        ];
        for (late_us, expected) in cases {
            let (mut scheduler, _) = scheduler(&[CATCH_UP_US]);
            let mut out = Vec::new();
            scheduler.advance(late_us, &mut out);
            let times: Vec<u64> = out.iter().map(|event| event.time_us).collect();
            assert_eq!(times, expected, "{late_us}");
        }
    }

    #[test]
    fn a_call_returns_once_it_has_many_events_and_the_next_goes_on() {
        let (mut scheduler, _) = scheduler(&[1]);
        let mut out = Vec::new();
        let last_us = BATCH_EVENTS as u64 + 10;
        scheduler.advance(last_us, &mut out);
        assert_eq!((out.len(), scheduler.next_due_us()), (BATCH_EVENTS, BATCH_EVENTS as u64));
        scheduler.advance(last_us, &mut out);
        assert_eq!(out.len(), BATCH_EVENTS + 11, "whatever the caller still holds");
    }

    #[test]
    fn time_does_not_go_back_when_a_stepper_is_due_in_the_past() {
        let (mut scheduler, _) = scheduler(&[50]);
        scheduler.advance(500, &mut Vec::new());
        let late = Beat { topic: 9, interval_us: 1_000, next_us: 100, seen: Seen::default() };
        scheduler.steppers.push(Box::new(late));
        let mut out = Vec::new();
        scheduler.advance(500, &mut out);
        assert_eq!(places(&out), [(500, 9)]);
    }
}
