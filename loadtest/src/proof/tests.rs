//! What the judge says of every kind of fault.

use super::order::{Judge, Seen, Who};
use crate::measure::FAULTS_TOLD_MAX;

/// What happens to one client.
enum Step {
    Ack(u64),
    Resumed(u64),
    Event(u64),
    Snapshot(u64),
    Gap(u64, u64),
    /// The topic's head, and the end.
    Close(u64),
}
use Step::{Ack, Close, Event, Gap, Resumed, Snapshot};

const WHO: Who = Who { number: 3, is_strict: true };

fn judged(steps: &[Step]) -> Judge {
    let mut judge = Judge::default();
    let set = judge.topics.set(0, &["t".to_owned()]);
    let topic = judge.topics.topic(0, "t");
    let mut seen = Seen::new(set, &judge.topics);
    for step in steps {
        match *step {
            Ack(seq) => judge.ack(&mut seen, topic, seq),
            Resumed(seq) => judge.resumed(WHO, &mut seen, topic, seq),
            Event(seq) => judge.event(WHO, &mut seen, topic, seq),
            Snapshot(seq) => judge.snapshot(WHO, &mut seen, topic, seq),
            Gap(from, to) => judge.gap(WHO, &mut seen, topic, (from, to)),
            Close(head) => {
                judge.topics.reached(topic, head);
                judge.topics.set_goals();
                let lost = judge.strict.lost;
                let has_all = judge.has_all(&seen);
                judge.close(WHO, &mut seen);
                assert_eq!(has_all, judge.strict.lost == lost);
            }
        }
    }
    judge
}

/// Lost, duplicated, reordered, announced gaps, events in them.
fn counts(steps: &[Step]) -> [u64; 5] {
    let counts = judged(steps).strict;
    let figures = [
        counts.lost,
        counts.duplicated,
        counts.reordered,
        counts.announced_gaps,
        counts.gap_events,
    ];
    assert_eq!(counts.is_clean(), figures[..3] == [0, 0, 0]);
    figures
}

#[test]
fn an_unbroken_sequence_is_clean_from_the_ack_or_from_anywhere() {
    assert_eq!(counts(&[Ack(7), Event(8), Event(9), Close(9)]), [0; 5]);
    assert_eq!(counts(&[Ack(0), Event(1)]), [0; 5]);
    assert_eq!(counts(&[Event(500), Event(501)]), [0; 5]);
    assert_eq!(counts(&[Ack(7), Snapshot(7), Event(8)]), [0; 5]);
    assert_eq!(counts(&[Snapshot(7), Event(8)]), [0; 5]);
    assert_eq!(counts(&[Ack(9), Snapshot(9), Event(10)]), [0; 5]);
}

#[test]
fn a_hole_is_loss_and_is_named() {
    assert_eq!(counts(&[Ack(7), Event(9)]), [1, 0, 0, 0, 0]);
    assert_eq!(counts(&[Event(1), Event(5)]), [3, 0, 0, 0, 0]);
    assert_eq!(counts(&[Ack(7), Snapshot(9), Event(10)]), [1, 0, 0, 0, 0]);
    let judge = judged(&[Ack(7), Event(11)]);
    assert!(judge.faults[0].starts_with("client 3: t 8..10 "), "{:?}", judge.faults);
}

#[test]
fn what_has_not_come_at_the_end_is_lost_too() {
    assert_eq!(counts(&[Ack(7), Event(8), Close(10)]), [2, 0, 0, 0, 0]);
    assert_eq!(counts(&[Ack(7), Close(10)]), [3, 0, 0, 0, 0]);
    assert_eq!(counts(&[Ack(7), Gap(8, 10), Close(10)]), [0, 0, 0, 1, 3]);
    assert_eq!(counts(&[Close(10)]), [1, 0, 0, 0, 0]);
}

#[test]
fn a_late_event_is_reordered_and_a_second_copy_is_duplicated() {
    assert_eq!(counts(&[Ack(0), Event(1), Event(3), Event(2), Event(4)]), [0, 0, 1, 0, 0]);
    assert_eq!(counts(&[Ack(0), Event(1), Event(1), Event(2)]), [0, 1, 0, 0, 0]);
    assert_eq!(counts(&[Ack(0), Event(5), Event(3), Event(3)]), [3, 1, 1, 0, 0]);
    assert_eq!(
        counts(&[Ack(0), Event(5), Event(1), Event(4), Event(2), Event(3)]),
        [0, 0, 4, 0, 0]
    );
    assert_eq!(counts(&[Ack(7), Event(7)]), [0, 1, 0, 0, 0]);
}

#[test]
fn an_announced_gap_is_counted_apart_and_must_fit_what_came() {
    assert_eq!(counts(&[Ack(7), Event(8), Gap(9, 12), Event(13)]), [0, 0, 0, 1, 4]);
    assert_eq!(counts(&[Ack(7), Gap(8, 12), Snapshot(12), Event(13)]), [0, 0, 0, 1, 5]);
    assert_eq!(counts(&[Ack(7), Event(8), Gap(10, 12), Event(13)]), [1, 0, 0, 1, 3]);
    assert_eq!(counts(&[Ack(7), Event(8), Gap(8, 12), Event(13)]), [0, 0, 1, 1, 5]);
    assert_eq!(counts(&[Ack(7), Gap(8, 12), Event(14)]), [1, 0, 0, 1, 5]);
    assert_eq!(counts(&[Ack(7), Gap(8, 12), Event(12)]), [0, 1, 0, 1, 5]);
}

#[test]
fn a_gap_of_unknown_extent_lets_the_topic_go_on_from_where_it_says() {
    assert_eq!(counts(&[Ack(7), Gap(0, 12), Event(13)]), [0, 0, 0, 1, 5]);
    assert_eq!(counts(&[Gap(0, 12), Event(13)]), [0, 0, 0, 1, 0]);
    assert_eq!(counts(&[Ack(7), Gap(0, 0), Event(1)]), [0, 0, 0, 1, 0]);
}

#[test]
fn a_resume_must_go_on_where_the_client_left_off() {
    assert_eq!(counts(&[Ack(7), Event(8), Resumed(8), Event(9)]), [0; 5]);
    assert_eq!(counts(&[Ack(7), Event(8), Resumed(9), Event(10)]), [1, 0, 0, 0, 0]);
    assert_eq!(counts(&[Ack(7), Event(8), Resumed(7), Event(8), Event(9)]), [0, 1, 0, 0, 0]);
    assert_eq!(counts(&[Resumed(5), Event(6)]), [0; 5]);
}

#[test]
fn a_snapshot_older_than_what_the_client_has_is_a_fault() {
    assert_eq!(counts(&[Ack(9), Snapshot(4), Event(10)]), [0, 0, 1, 0, 0]);
    assert_eq!(counts(&[Ack(9), Snapshot(8)]), [0, 0, 1, 0, 0]);
}

#[test]
fn topics_and_clients_are_judged_apart() {
    let mut judge = Judge::default();
    let set = judge.topics.set(0, &["*".to_owned()]);
    let (a, b) = (judge.topics.topic(0, "a"), judge.topics.topic(0, "b"));
    let (mut first, mut second) = (Seen::new(set, &judge.topics), Seen::new(set, &judge.topics));
    let lax = Who { number: 1, is_strict: false };
    for seq in 1..=3 {
        judge.event(WHO, &mut first, a, seq);
        judge.event(WHO, &mut first, b, 10 * seq);
    }
    judge.event(lax, &mut second, b, 1);
    judge.event(lax, &mut second, b, 3);
    assert_eq!((judge.strict.lost, judge.faulty.lost, judge.faults.len()), (18, 1, 3));
    assert!(judge.faults[..2].iter().all(|fault| fault.starts_with("client 3: b ")));
}

#[test]
fn a_topic_that_was_not_asked_for_is_a_breach() {
    let mut judge = Judge::default();
    let set = judge.topics.set(0, &["a".to_owned()]);
    let other = judge.topics.topic(0, "b");
    let mut seen = Seen::new(set, &judge.topics);
    judge.event(WHO, &mut seen, other, 1);
    assert_eq!((judge.strict.breaches, judge.faults.len()), (1, 1));
}

#[test]
fn faults_are_told_up_to_the_limit_and_counted_beyond_it() {
    for told in [FAULTS_TOLD_MAX - 1, FAULTS_TOLD_MAX, FAULTS_TOLD_MAX + 1] {
        let steps: Vec<Step> =
            std::iter::once(Event(1)).chain((0..told).map(|_| Event(1))).collect();
        let judge = judged(&steps);
        assert_eq!(judge.strict.duplicated, told as u64);
        assert_eq!(judge.faults.len(), told.min(FAULTS_TOLD_MAX));
    }
}
