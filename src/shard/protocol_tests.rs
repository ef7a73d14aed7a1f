//! Goal: the bounds of conflated views, snapshots and heartbeats hold exactly: one below, at it, one above.
//!
//! Method: a shard with scripted sockets and a clock of its own, and as many topics as the case says.

use super::model_checks::Asked;
use super::model_frames::parse;
use super::model_world::{Kind, World};
use crate::event::{Body, Class, Event, Json, Topic};
use bytes::Bytes;
use serde_json::Value;

const ENDLESS: usize = usize::MAX >> 1;
/// A pattern of the model's list: `*`.
const ALL: usize = 0;
/// A pattern of the model's list: `market:A`.
const MARKET_A: usize = 5;

fn latest(hz: u64) -> Asked {
    Asked { op: "subscribe", mode: hz, wants_snapshot: false, from: None, is_strict: false }
}

fn rest(world: &mut World) {
    while world.shard.turn() || world.shard.has_work() {}
}

fn said(world: &World, client: usize, kind: &str) -> Vec<Value> {
    let messages = parse(&world.clients[client].peer.borrow().written, true).messages;
    messages.into_iter().filter(|message| message["type"] == kind).collect()
}

/// Registers state topics beyond the model's own.
fn topics(world: &World, count: usize) -> Vec<Topic> {
    (0..count)
        .map(|topic| {
            let name = format!("wide:level:{topic}");
            world.shard.topics.register(&name, Some(Class::State)).expect("a good name")
        })
        .collect()
}

/// Publishes one event to each topic, with a text of this length.
fn publish(world: &mut World, topics: &[Topic], length: usize) {
    for &topic in topics {
        let text = format!("\"{}\"", "x".repeat(length));
        let body = Body::External(Json::parse(Bytes::from(text)).expect("json"));
        let event = Event { topic, key: 0, time_us: world.feed.clock.now_us(), body };
        while world.shard.publisher.publish(event.clone()).is_err() {
            rest(world);
        }
    }
    rest(world);
}

#[test]
fn a_conflated_view_says_as_much_as_its_rate_allows_and_no_more() {
    for hz in [1, 2, 5, 10, 20, 50, 100] {
        let mut world = World::new();
        world.connect(Kind::V1, ENDLESS);
        world.ask(0, &[MARKET_A], latest(hz));
        rest(&mut world);
        // Four seconds with an event every millisecond.
        for _ in 0..4_000 {
            world.publish(0, 0);
            rest(&mut world);
            world.time.advance_us(1_000);
        }
        let told = said(&world, 0, "market").len() as u64;
        assert_eq!(told, 4 * hz, "at {hz} a second, the first at once");
    }
}

#[test]
fn an_event_after_a_pause_is_told_at_once() {
    let mut world = World::new();
    world.connect(Kind::V1, ENDLESS);
    world.ask(0, &[MARKET_A], latest(1));
    for told in 1..4 {
        world.time.advance_us(1_000_000);
        world.publish(0, 0);
        rest(&mut world);
        assert_eq!(said(&world, 0, "market").len(), told);
    }
}

#[test]
fn clients_of_a_view_share_its_bytes_and_it_is_encoded_once() {
    let mut world = World::new();
    for client in 0..3 {
        world.connect(Kind::V1, ENDLESS);
        world.ask(client, &[MARKET_A], latest(10));
    }
    for _ in 0..50 {
        world.publish(0, 0);
        rest(&mut world);
        world.time.advance_us(10_000);
    }
    let told: Vec<_> = (0..3).map(|client| said(&world, client, "market")).collect();
    assert!(told[0].len() > 3 && told[0] == told[1] && told[1] == told[2]);
    let lane = super::lanes::Lane::of(crate::session::Mode::Latest(crate::session::Rate::DEFAULT));
    assert_eq!(world.shard.readers[lane].head(), told[0].len() as u64);
}

#[test]
fn long_snapshots_are_under_way_up_to_the_limit_and_the_next_waits_for_one_to_end() {
    for (limit, deferred) in [(1, 2), (2, 1), (3, 0), (4, 0)] {
        let mut world = World::new();
        world.shard.options.snapshots_max = limit;
        world.shard.options.lag_bytes_max = 1 << 20;
        let wide = topics(&world, 40);
        publish(&mut world, &wide, 1_000);
        for client in 0..3 {
            // Room for the greeting; the snapshot of 40 KB does not fit.
            world.connect(Kind::V1, 1_000);
            world.clients[client].peer.borrow_mut().room = 0;
            let asked = Asked { wants_snapshot: true, mode: 0, ..latest(0) };
            world.ask(client, &[ALL], asked);
            rest(&mut world);
        }
        let waits = (0..3).filter(|&client| {
            let k = world.clients[client].slot;
            world.shard.connections.cold[k].as_deref().is_some_and(|cold| !cold.commands.is_empty())
        });
        assert_eq!(waits.count(), deferred, "of three, at a limit of {limit}");
        world.finish();
        for client in 0..3 {
            assert_eq!(said(&world, client, "snapshot").len(), 40, "at a limit of {limit}");
        }
    }
}

#[test]
fn a_heartbeat_lists_the_topics_that_moved_unless_they_are_too_many() {
    for (moved, is_listed) in [(63, true), (64, true), (65, false)] {
        let mut world = World::new();
        let wide = topics(&world, moved);
        world.connect(Kind::V1, ENDLESS);
        world.subscribe(0, &[ALL]);
        rest(&mut world);
        world.time.advance_us(1_000_000);
        rest(&mut world);
        publish(&mut world, &wide, 1);
        world.time.advance_us(1_000_000);
        rest(&mut world);
        let beats = said(&world, 0, "heartbeat");
        let beat = &beats.last().expect("one a second")["payload"];
        assert_eq!(beat["pos"], moved, "{beat}");
        let heads = beat["heads"].as_object().map(serde_json::Map::len);
        assert_eq!(heads, is_listed.then_some(moved), "{beat}");
    }
}

#[test]
fn nobody_without_a_subscription_gets_a_heartbeat() {
    let mut world = World::new();
    for kind in [Kind::V1, Kind::Flat, Kind::Nested] {
        world.connect(kind, ENDLESS);
    }
    for _ in 0..5 {
        world.time.advance_us(1_000_000);
        rest(&mut world);
    }
    for client in 0..3 {
        assert!(said(&world, client, "heartbeat").is_empty());
    }
}

#[test]
fn a_client_that_comes_back_gets_all_it_missed_however_much_it_may_lag() {
    let mut world = World::new();
    world.shard.options.lag_bytes_max = 300;
    for _ in 0..40 {
        world.publish(4, 50);
    }
    rest(&mut world);
    // Older than a client may lag.
    world.time.advance_us(60_000_000);
    world.connect(Kind::V1, ENDLESS);
    let from = Some((super::model_checks::EPOCH.to_owned(), 0));
    world.clients[0].peer.borrow_mut().room = 250;
    world.ask(0, &[ALL], Asked { from, ..latest(0) });
    for _ in 0..200 {
        rest(&mut world);
        world.time.advance_us(100_000);
        world.clients[0].peer.borrow_mut().room += 100;
        let k = world.clients[0].slot;
        world.shard.run_soon(k);
    }
    world.finish();
    assert_eq!(said(&world, 0, "ack")[0]["payload"]["recovered"], true);
    let seqs: Vec<_> = said(&world, 0, "note").iter().map(|note| note["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=40).map(Some).collect::<Vec<_>>());
    assert!(said(&world, 0, "gap").is_empty());
}

#[test]
fn so_many_subscription_changes_wait_for_a_slow_client_and_one_more_closes_it() {
    for (changes, is_closed) in [(15, false), (16, false), (17, true)] {
        let mut world = World::new();
        world.connect(Kind::V1, ENDLESS);
        world.ask(0, &[ALL], latest(0));
        rest(&mut world);
        world.clients[0].peer.borrow_mut().room = 0;
        world.publish(0, 0);
        rest(&mut world);
        for _ in 0..changes {
            world.ask(0, &[MARKET_A], latest(0));
        }
        rest(&mut world);
        world.finish();
        let closed = parse(&world.clients[0].peer.borrow().written, true).close_code;
        assert_eq!(closed, is_closed.then_some(1008), "{changes} changes");
        let counted = world.shard.totals.sum(crate::telemetry::ShardCounter::ControlOverflows);
        assert_eq!(counted, u64::from(is_closed));
        assert!(is_closed || said(&world, 0, "ack").len() == changes + 1);
    }
}
