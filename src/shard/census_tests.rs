//! Goal: an inquiry is answered whole, in bounded pieces, whatever comes and goes meanwhile; a sleeping shard hears it.
//!
//! Method: a shard with scripted sockets, asked through its inbox; turns are counted.

use super::census::{SLOTS_MAX, TOPICS_SHOWN_MAX};
use super::model_frames::parse;
use super::model_world::{Kind, World};
use super::{Census, ConnectionId, Inquiry, Sort};
use std::sync::mpsc::{Receiver, sync_channel};

/// Room for everything.
const WIDE: usize = usize::MAX >> 1;

fn ask_list(world: &World, sort: Sort, count_max: usize) -> Receiver<Census> {
    let (sender, receiver) = sync_channel(1);
    let reply = Box::new(move |census| sender.send(census).expect("the test waits"));
    world.dispatch.ask(0, Inquiry::List { sort, count_max, reply }).expect("room");
    receiver
}

fn list(world: &mut World, sort: Sort, count_max: usize) -> Census {
    let receiver = ask_list(world, sort, count_max);
    while world.shard.turn() {}
    receiver.try_recv().expect("answered when there is nothing more to do")
}

fn close(world: &mut World, id: ConnectionId) -> bool {
    let (sender, receiver) = sync_channel(1);
    let reply = Box::new(move |was_here| sender.send(was_here).expect("the test waits"));
    world.dispatch.ask(0, Inquiry::Close { id, reply }).expect("room");
    while world.shard.turn() {}
    receiver.try_recv().expect("answered when there is nothing more to do")
}

#[test]
fn a_turn_looks_at_so_many_slots_and_no_more() {
    for (slots, turns) in [(SLOTS_MAX - 1, 1), (SLOTS_MAX, 2), (SLOTS_MAX + 1, 2)] {
        let mut world = World::new();
        for _ in 0..slots {
            world.connect(Kind::Handler, WIDE);
        }
        while world.shard.turn() {}
        assert!(!world.shard.has_work());
        let answer = ask_list(&world, Sort::Age, 10);
        assert!(world.shard.has_work(), "what waits in the inbox keeps the shard awake");
        for turn in 1..turns {
            assert!(world.shard.turn(), "{slots} slots: more to do after turn {turn}");
            assert!(answer.try_recv().is_err(), "{slots} slots: too early");
        }
        world.shard.turn();
        let census = answer.try_recv().expect("answered");
        assert_eq!((census.total, census.reports.len()), (slots, 10));
    }
}

#[test]
fn the_first_ones_are_listed_in_order_whatever_the_order_of_the_slots() {
    let mut world = World::new();
    let mut ages = Vec::new();
    for n in 0..40_u64 {
        let k = world.connect(Kind::Flat, WIDE);
        // Neither rising nor falling, and none twice.
        let born_ms = u32::try_from(n * 17 % 40).expect("small");
        let slot = world.clients[k].slot;
        world.shard.connections.born_ms[slot] = born_ms;
        ages.push(1_000 - u64::from(born_ms));
    }
    world.time.advance_us(1_000_000);
    ages.sort_unstable_by(|a, b| b.cmp(a));
    for count_max in [1, 2, 19, 20, 21, 39, 40, 41, 1_000] {
        let census = list(&mut world, Sort::Age, count_max);
        let listed: Vec<u64> = census.reports.iter().map(|report| report.fare.age_ms).collect();
        assert_eq!(listed, ages[..count_max.min(40)], "of 40 at most {count_max}");
        assert_eq!(census.total, 40);
    }
}

#[test]
fn a_report_tells_kind_topics_and_what_is_owed() {
    let mut world = World::new();
    for kind in [Kind::V1, Kind::Flat, Kind::Nested, Kind::OnlyA, Kind::Handler] {
        world.connect(kind, WIDE);
    }
    world.subscribe(0, &[2, 0]);
    while world.shard.turn() {}
    world.clients[3].peer.borrow_mut().room = 0;
    for _ in 0..3 {
        world.publish(0, 0);
        world.time.advance_us(1_000);
        while world.encoder.run() > 0 {}
        while world.shard.turn() {}
    }
    world.time.advance_us(7_000);
    let census = list(&mut world, Sort::Lag, 10);
    let first = &census.reports[0];
    assert_eq!((first.kind, &first.topics[..]), ("legacy", &["market:A".to_owned()][..]));
    assert_eq!((first.fare.lag_events, first.fare.lag_ms), (3, 10), "{first:?}");
    assert!(first.fare.lag_bytes > 3 * 30, "{first:?}");
    let slot = u32::try_from(world.clients[3].slot).expect("small");
    assert!(matches!(first.id, ConnectionId::Slot { shard: 0, slot: s, .. } if s == slot));
    for report in &census.reports[1..] {
        assert_eq!((report.fare.lag_events, report.fare.lag_bytes, report.fare.lag_ms), (0, 0, 0));
    }
    let of = |kind: &str| {
        let found: Vec<_> = census.reports.iter().filter(|report| report.kind == kind).collect();
        (found.len(), found[0].topics.clone(), found[0].topics_total)
    };
    let (count, topics, total) = of("v1");
    assert_eq!((count, topics.len(), total), (1, 2, 2), "{topics:?}");
    assert!(topics.is_sorted() && topics[0] == "*", "{topics:?}");
    let firehose = ["agent:*", "market:*"].map(str::to_owned);
    assert_eq!(of("legacy-nested"), (1, firehose.into(), 2));
    assert_eq!(of("legacy").0, 2);
    assert_eq!(of("custom"), (1, vec![], 0));
}

#[test]
fn sixty_four_patterns_are_named_and_all_are_counted() {
    for (held, named) in [(63, 63), (64, 64), (65, TOPICS_SHOWN_MAX)] {
        let mut world = World::new();
        world.connect(Kind::V1, WIDE);
        let names: Vec<String> = (0..held).map(|n| format!("own:{n}")).collect();
        let message = serde_json::json!({ "op": "subscribe", "topics": names });
        world.send(0, 1, message.to_string().as_bytes());
        while world.shard.turn() {}
        let census = list(&mut world, Sort::Lag, 1);
        let report = &census.reports[0];
        assert_eq!((report.topics.len(), report.topics_total), (named, held));
    }
}

#[test]
fn a_closed_connection_gets_1008_and_is_neither_listed_nor_closed_again() {
    let mut world = World::new();
    let kinds = [Kind::V1, Kind::Flat, Kind::Handler];
    for kind in kinds {
        world.connect(kind, WIDE);
    }
    while world.shard.turn() {}
    let ids: Vec<ConnectionId> =
        list(&mut world, Sort::Age, 10).reports.iter().map(|report| report.id).collect();
    for (n, id) in ids.iter().enumerate() {
        assert!(close(&mut world, *id), "{id}");
        assert!(!close(&mut world, *id), "{id} was there once");
        assert_eq!(list(&mut world, Sort::Age, 10).total, kinds.len() - n - 1);
    }
    for client in &world.clients {
        let peer = client.peer.borrow();
        let reason = b"\x03\xf0policy closed by an operator";
        assert!(peer.written.ends_with(reason), "{:?}: 1008 comes last", client.kind);
        assert!(peer.is_finished);
    }
    assert!(parse(&world.clients[0].peer.borrow().written, false).messages.len() == 1);
}

#[test]
fn the_id_of_one_who_has_gone_does_not_name_whoever_has_its_slot() {
    let mut world = World::new();
    world.connect(Kind::Flat, WIDE);
    let old = list(&mut world, Sort::Age, 1).reports[0].id;
    world.clients[0].peer.borrow_mut().is_gone = true;
    let slot = world.clients[0].slot;
    world.shard.readable(slot);
    world.time.advance_us(5_000);
    world.connect(Kind::Flat, WIDE);
    assert_eq!(world.clients[1].slot, slot, "the slot is used again");
    assert!(!close(&mut world, old));
    let new = list(&mut world, Sort::Age, 1).reports[0].id;
    assert!(close(&mut world, new));
}
