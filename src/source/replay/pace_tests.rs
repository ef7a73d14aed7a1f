//! Pacing, on a clock moved by hand and an outlet that records.
//!
//! The pacer runs on a thread of its own; the outlet hands every batch over a channel, so that the test waits for
//! facts and never for time. What must *not* have happened yet is read from the publish times.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::Bytes;

use super::pace::{Ended, Outlet, Pacer, Prepared};
use super::{ReplayError, ReplayReport};
use crate::clock::Clock;
use crate::event::{Body, Event, Json, Topic};
use crate::source::{FlowGate, OpenGate, Stop};

const START_US: u64 = 5_000_000;

/// An event as it was published: which one, and when.
type Seen = (u32, u64);

/// Takes up to `capacity` events at a time, `room` of them per call.
struct Recorder {
    batches: SyncSender<Vec<Seen>>,
    capacity: usize,
    room: usize,
    drained: Arc<AtomicBool>,
}

impl Outlet for Recorder {
    fn publish_batch(&mut self, events: &mut Vec<Event>) -> usize {
        assert!(
            events.len() <= self.capacity,
            "a batch of {} for a ring of {}",
            events.len(),
            self.capacity
        );
        let count = events.len().min(self.room);
        let seen: Vec<Seen> =
            events.drain(..count).map(|event| (event.key, event.time_us)).collect();
        self.batches.send(seen).unwrap();
        count
    }
    fn is_drained(&self) -> bool {
        self.drained.load(Ordering::SeqCst)
    }
    fn capacity(&self) -> usize {
        self.capacity
    }
}

fn recorder(capacity: usize, room: usize) -> (Recorder, Receiver<Vec<Seen>>) {
    let (batches, seen) = sync_channel(64);
    (Recorder { batches, capacity, room, drained: Arc::new(AtomicBool::new(true)) }, seen)
}

/// Frames of `bytes` bytes each, received at these microseconds; numbered from 0 in `key`.
fn frames(
    received_us: &[u64],
    bytes: usize,
) -> impl Iterator<Item = Result<Prepared, ReplayError>> + use<> {
    let payload = Json::vouched(Bytes::from(format!("\"{}\"", "x".repeat(bytes - 2))));
    let received_us = received_us.to_vec();
    (0..).zip(received_us).map(move |(key, at_us)| {
        let body = Body::External(payload.clone());
        let event = Event { topic: Topic::from_index(0), key, time_us: 0, body };
        Ok(Prepared { received_ns: at_us * 1_000, event })
    })
}

/// Runs a paced replay while the clock is moved to each of `looks` (after the start); the batches seen at each.
fn paced(
    received_us: &[u64],
    factor: f64,
    looks: &[(u64, usize)],
) -> (Vec<Vec<Seen>>, Arc<ReplayReport>) {
    let (clock, hand) = Clock::manual(START_US);
    let (mut outlet, seen) = recorder(4_096, usize::MAX);
    let (stop, report) = (Stop::new(), Arc::new(ReplayReport::new()));
    let frames = frames(received_us, 10);
    let (running_stop, running_report) = (stop.clone(), Arc::clone(&report));
    let running = thread::spawn(move || {
        Pacer::new(frames, &mut outlet, &clock, &running_stop, &running_report)
            .run_paced(factor)
            .unwrap()
    });
    let mut batches = Vec::new();
    let mut now_us = 0;
    for (at_us, count) in looks {
        hand.advance_us(at_us - now_us);
        now_us = *at_us;
        batches.extend((0..*count).map(|_| seen.recv().unwrap()));
    }
    stop.stop();
    running.join().unwrap();
    batches.extend(seen.try_iter());
    (batches, report)
}

#[test]
fn each_frame_is_published_at_its_time_after_the_first() {
    let (batches, report) = paced(&[100, 2_100, 5_100], 1.0, &[(0, 1), (2_000, 1), (5_000, 1)]);
    assert_eq!(
        batches,
        [[(0, START_US)], [(1, START_US + 2_000)], [(2, START_US + 5_000)]],
        "due at 0, 2,000 and 5,000 after the start"
    );
    assert_eq!(report.pacing_error().max_us, 0);
    assert_eq!(report.events(), 3);
}

#[test]
fn a_factor_divides_the_time_between_frames() {
    let (batches, _) = paced(&[0, 20_000], 10.0, &[(0, 1), (2_000, 1)]);
    assert_eq!(batches, [[(0, START_US)], [(1, START_US + 2_000)]]);
    let (batches, _) = paced(&[0, 20_000], 0.5, &[(0, 1), (40_000, 1)]);
    assert_eq!(batches, [[(0, START_US)], [(1, START_US + 40_000)]]);
}

#[test]
fn what_is_due_within_250_us_goes_out_together_and_the_error_says_so() {
    let (batches, report) = paced(&[0, 249, 250, 251], 1.0, &[(0, 1), (251, 1)]);
    assert_eq!(
        batches,
        [vec![(0, START_US), (1, START_US), (2, START_US)], vec![(3, START_US + 251)]]
    );
    assert_eq!(report.pacing_error().max_us, 250);
}

#[test]
fn a_late_replay_catches_up_in_order_and_counts_how_late_it_was() {
    let (batches, report) = paced(&[0, 2_000, 3_000, 9_000], 1.0, &[(0, 1), (8_000, 1)]);
    assert_eq!(batches[0], [(0, START_US)]);
    let late: Vec<Seen> = batches[1..].concat();
    assert_eq!(late[..2], [(1, START_US + 8_000), (2, START_US + 8_000)]);
    assert_eq!(report.pacing_error().max_us, 6_000);
}

#[test]
fn receive_times_that_run_backwards_are_due_at_once_and_move_nothing_after_them() {
    let (batches, _) =
        paced(&[5_000, 7_000, 1_000, 6_999, 9_000], 1.0, &[(0, 1), (2_000, 1), (4_000, 1)]);
    let second = START_US + 2_000;
    assert_eq!(batches[1], [(1, second), (2, second), (3, second)]);
    assert_eq!(batches[2], [(4, START_US + 4_000)]);
}

#[test]
fn a_stop_ends_a_replay_that_waits_for_a_frame_of_tomorrow() {
    let (batches, report) = paced(&[0, 86_400_000_000], 1.0, &[(0, 1)]);
    assert_eq!(batches, [[(0, START_US)]]);
    assert_eq!(report.events(), 1);
}

#[test]
fn a_full_ring_delays_frames_and_loses_none() {
    let (clock, _hand) = Clock::manual(START_US);
    let (mut outlet, seen) = recorder(8, 3);
    let (stop, report) = (Stop::new(), ReplayReport::new());
    let pacer = Pacer::new(frames(&[7; 20], 10), &mut outlet, &clock, &stop, &report);
    assert_eq!(pacer.run_paced(1.0).unwrap(), Ended::Complete);
    let keys: Vec<u32> = seen.try_iter().flatten().map(|(key, _)| key).collect();
    assert_eq!(keys, (0..20).collect::<Vec<_>>());
    assert_eq!(report.events(), 20);
}

#[test]
fn a_file_that_breaks_off_is_published_up_to_there_before_the_error() {
    let broken = || Err(ReplayError::NoPath);
    for is_gated in [false, true] {
        let (clock, _hand) = Clock::manual(START_US);
        let (mut outlet, seen) = recorder(8, usize::MAX);
        let (stop, report) = (Stop::new(), ReplayReport::new());
        let frames = frames(&[1; 5], 10).chain(std::iter::once_with(broken));
        let pacer = Pacer::new(frames, &mut outlet, &clock, &stop, &report);
        let ended = if is_gated { pacer.run_gated(&OpenGate) } else { pacer.run_paced(1.0) };
        assert!(matches!(ended, Err(ReplayError::NoPath)));
        assert_eq!(seen.try_iter().flatten().count(), 5);
    }
}

/// Gives each batch the next of these windows, the last one for good.
#[derive(Debug)]
struct Windows {
    bytes: Mutex<Vec<u64>>,
    events: u64,
}

impl FlowGate for Windows {
    fn window_bytes(&self) -> u64 {
        let mut bytes = self.bytes.lock().unwrap();
        if bytes.len() > 1 { bytes.remove(0) } else { bytes[0] }
    }
    fn window_events(&self) -> u64 {
        self.events
    }
}

/// The sizes of the batches in which 6 frames of 808 bytes (1,000 with their envelope) leave.
fn batch_sizes(windows_bytes: &[u64], window_events: u64, capacity: usize) -> Vec<usize> {
    let (clock, _hand) = Clock::manual(START_US);
    let (mut outlet, seen) = recorder(capacity, usize::MAX);
    let (stop, report) = (Stop::new(), ReplayReport::new());
    let gate = Windows { bytes: Mutex::new(windows_bytes.to_vec()), events: window_events };
    let pacer = Pacer::new(frames(&[9, 8, 7, 6, 5, 4], 808), &mut outlet, &clock, &stop, &report);
    assert_eq!(pacer.run_gated(&gate).unwrap(), Ended::Complete);
    let batches: Vec<Vec<Seen>> = seen.try_iter().collect();
    let keys: Vec<u32> = batches.iter().flatten().map(|(key, _)| *key).collect();
    assert_eq!(keys, [0, 1, 2, 3, 4, 5], "whole and in order");
    assert_eq!(report.pacing_error().max_us, 0, "no frame has a time at full speed");
    batches.iter().map(Vec::len).collect()
}

#[test]
fn at_full_speed_a_batch_fits_the_window_in_bytes_with_envelopes() {
    assert_eq!(batch_sizes(&[1_999, 2_000, 2_001, u64::MAX], u64::MAX, 64), [1, 2, 2, 1]);
}

#[test]
fn at_full_speed_one_frame_passes_however_narrow_the_open_window() {
    assert_eq!(batch_sizes(&[1], u64::MAX, 64), [1; 6]);
}

#[test]
fn at_full_speed_a_batch_fits_the_window_in_events_and_the_ring() {
    assert_eq!(batch_sizes(&[u64::MAX], 4, 64), [4, 2]);
    assert_eq!(batch_sizes(&[u64::MAX], 100, 5), [5, 1]);
    assert_eq!(batch_sizes(&[u64::MAX], 100, 6), [6]);
}

#[test]
fn at_full_speed_nothing_is_published_while_the_gate_is_shut_or_the_ring_not_drained() {
    #[derive(Debug, Default)]
    struct Counting {
        looks: AtomicU64,
    }
    impl FlowGate for Counting {
        fn window_bytes(&self) -> u64 {
            self.looks.fetch_add(1, Ordering::SeqCst);
            0
        }
        fn window_events(&self) -> u64 {
            u64::MAX
        }
    }
    for is_drained in [true, false] {
        let (clock, _hand) = Clock::manual(START_US);
        let (mut outlet, seen) = recorder(8, usize::MAX);
        outlet.drained.store(is_drained, Ordering::SeqCst);
        let (stop, report, gate) =
            (Stop::new(), ReplayReport::new(), Arc::new(Counting::default()));
        let (running_stop, running_gate) = (stop.clone(), Arc::clone(&gate));
        let running = thread::spawn(move || {
            let pacer = Pacer::new(frames(&[1], 10), &mut outlet, &clock, &running_stop, &report);
            pacer.run_gated(&*running_gate).unwrap()
        });
        while is_drained && gate.looks.load(Ordering::SeqCst) < 3 {
            thread::yield_now();
        }
        stop.stop();
        assert_eq!(running.join().unwrap(), Ended::Stopped);
        assert_eq!(seen.try_iter().count(), 0);
        assert_eq!(
            gate.looks.load(Ordering::SeqCst) > 0,
            is_drained,
            "a ring in use hides the true window"
        );
    }
}
