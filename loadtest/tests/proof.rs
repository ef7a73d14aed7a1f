//! The proof is proved: a broadcast server does one thing wrong to one of its clients, and the load tester must find it
//! and name client, topic and seq; and it must find nothing where nothing is wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::broadcast::{AT, Fault, SKIPPED, STALL, VICTIM, broadcast};
use support::{Run, run};

/// Clients of a server with this fault, for a second.
fn judged(fault: Fault, words: &str) -> Run {
    let address = broadcast(fault);
    let clients = if words.contains("-c ") { "" } else { "-c 10 -z 1s" };
    run(&format!(
        "--url ws://{address}/v1 --subscribe t:0 t:1 who:{{i}} {clients} {words} --drain 1s --checksum"
    ))
}

/// Whether the victim, the topic and one of these words are told.
fn is_named(run: &Run, word: &str) -> bool {
    run.tells(&[&format!("client {VICTIM}:"), "t:0", word])
}

#[test]
fn a_server_without_fault_passes_and_every_delivery_is_counted() {
    let run = judged(Fault::None, "");
    assert_eq!(run.code, 0, "{}", run.out);
    let events = &run.result.events;
    assert_eq!(events.delivered, events.expected);
    assert!(events.delivered > 10 * 100 && events.snapshots <= 20, "{}", run.out);
    let latency = run.result.latency_us.unwrap();
    assert!(latency.scheduled.is_some() && latency.actual.is_some());
    assert!(run.result.skew_us.events > 0, "{}", run.out);
}

#[test]
fn one_event_that_is_left_out_is_found_and_named() {
    let run = judged(Fault::Drop, "");
    assert_eq!((run.code, run.faults()), (99, [1, 0, 0]), "{}", run.out);
    assert!(is_named(&run, &format!("{AT}..{AT} did not come")), "{}", run.out);
}

#[test]
fn two_events_that_are_swapped_are_found_and_named() {
    let run = judged(Fault::Swap, "");
    assert_eq!((run.code, run.faults()), (99, [0, 0, 1]), "{}", run.out);
    assert!(is_named(&run, &format!("{AT} came after {}", AT + 1)), "{}", run.out);
}

#[test]
fn one_event_that_comes_twice_is_found_and_named() {
    let run = judged(Fault::Repeat, "");
    assert_eq!((run.code, run.faults()), (99, [0, 1, 0]), "{}", run.out);
    assert!(is_named(&run, &format!("{AT} came again")), "{}", run.out);
}

#[test]
fn a_gap_that_is_announced_passes_and_one_that_is_not_fails() {
    let announced = judged(Fault::Gap, "");
    assert_eq!((announced.code, announced.faults()), (0, [0, 0, 0]), "{}", announced.out);
    let events = &announced.result.events;
    assert_eq!((events.announced_gaps, events.gap_events), (1, SKIPPED));
    let silent = judged(Fault::SilentGap, "");
    assert_eq!((silent.code, silent.faults()), (99, [SKIPPED, 0, 0]), "{}", silent.out);
    assert!(
        is_named(&silent, &format!("{AT}..{} did not come", AT + SKIPPED - 1)),
        "{}",
        silent.out
    );
}

#[test]
fn a_gap_that_names_one_event_too_few_is_found() {
    let run = judged(Fault::ShortGap, "");
    let last = AT + SKIPPED - 1;
    assert_eq!((run.code, run.faults()), (99, [1, 0, 0]), "{}", run.out);
    assert!(is_named(&run, &format!("{last}..{last} did not come")), "{}", run.out);
}

#[test]
fn one_wrong_byte_is_found_and_named_and_only_looked_for_on_request() {
    let run = judged(Fault::Corrupt, "");
    assert_eq!(
        (run.code, run.faults(), run.result.events.corrupt),
        (99, [0, 0, 0], 1),
        "{}",
        run.out
    );
    assert!(is_named(&run, &format!("{AT} is corrupt")), "{}", run.out);
    let address = broadcast(Fault::Corrupt);
    let blind = support::run(&format!(
        "--url ws://{address}/v1 --subscribe t:0 t:1 who:{{i}} -c 10 -z 1s --drain 1s"
    ));
    assert_eq!((blind.code, blind.result.events.corrupt), (0, 0), "{}", blind.out);
}

#[test]
fn an_event_that_never_comes_at_the_end_is_lost_too() {
    let run = judged(Fault::NoTail, "");
    assert_eq!((run.code, run.faults()[1..].to_vec()), (99, vec![0, 0]), "{}", run.out);
    assert!(run.result.events.lost >= 9, "{}", run.out);
    assert!(is_named(&run, &format!("{AT}..")), "{}", run.out);
}

#[test]
fn a_publisher_that_stands_still_shows_in_the_scheduled_latency_and_not_in_the_actual_one() {
    let address = broadcast(Fault::StalledPublisher);
    let run = run(&format!(
        "--url ws://{address}/v1 --subscribe t:0 t:1 who:{{i}} -c 10 -z 3s --drain 1s"
    ));
    assert_eq!(run.code, 0, "{}", run.out);
    let latency = run.result.latency_us.unwrap();
    let (scheduled, actual) = (latency.scheduled.unwrap(), latency.actual.unwrap());
    let stall_us = u64::try_from(STALL.as_micros()).unwrap();
    assert!(scheduled.p99_9.unwrap() > stall_us * 8 / 10, "{}", run.out);
    assert!(actual.p99_9.unwrap() < scheduled.p99_9.unwrap() / 3, "{}", run.out);
}

#[test]
fn a_stale_snapshot_is_found_and_named() {
    let run = judged(Fault::StaleSnapshot, "-c 10 -z 1s --connect-rate 40");
    // Not all at once: the victim's snapshot can be stale only once the topic has had two events.
    assert_eq!((run.code, run.result.events.reordered), (99, 1), "{}", run.out);
    assert!(is_named(&run, "a snapshot of"), "{}", run.out);
}

#[test]
fn clients_that_come_back_get_all_they_missed_or_it_is_found() {
    let storm = "--storm 50%@300ms --resume";
    let good = judged(Fault::None, storm);
    assert_eq!((good.code, good.faults()), (0, [0, 0, 0]), "{}", good.out);
    let clients = &good.result.clients.strict;
    assert_eq!((clients.reconnected, good.result.events.recovered), (5, 5), "{}", good.out);
    let hole = judged(Fault::HoleOnResume, storm);
    assert_eq!((hole.code, hole.faults()), (99, [5, 0, 0]), "{}", hole.out);
    let repeat = judged(Fault::RepeatOnResume, storm);
    assert_eq!((repeat.code, repeat.faults()), (99, [0, 5, 0]), "{}", repeat.out);
    let expired = judged(Fault::ExpiredOnResume, storm);
    assert_eq!((expired.code, expired.faults()), (0, [0, 0, 0]), "{}", expired.out);
    assert_eq!(expired.result.events.announced_gaps, 10, "{}", expired.out);
}

#[test]
fn clients_that_leave_and_are_reset_come_back_and_are_judged_apart() {
    let run = judged(Fault::None, "-c 40 -z 2s --churn 5/s --rst 5/s --half-open 3");
    assert_eq!(run.code, 0, "{}", run.out);
    let faulty = &run.result.clients.faulty;
    assert!((8..=10).contains(&faulty["churn"].reconnected), "{}", run.out);
    assert!((8..=10).contains(&faulty["rst"].reconnected), "{}", run.out);
    assert_eq!(faulty["half-open"].connected, 3);
    assert_eq!(run.result.clients.strict.reconnected, 0);
}
