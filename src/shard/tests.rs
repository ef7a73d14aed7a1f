//! Goal: every bound on what a client may make the shard keep holds exactly: one below, at it, one above.
//!
//! Method: a shard with a scripted socket that takes nothing, and as much owed to it as the case says.

use super::connections::Flags;
use super::lanes::Lane;
use super::model_checks::Asked;
use super::model_frames::parse;
use super::model_world::{Kind, World};
use super::output::{ACK_BYTES_MAX, CONTROL_BYTES_MAX};
use super::{Shard, Transport};

const MARKET_A: usize = 0;
const NOTE: usize = 4;
/// A pattern of the model's list: `*`.
const ALL: usize = 0;

/// A world with one client that has what `patterns` name, or is a legacy client.
fn world(patterns: Option<&[usize]>) -> World {
    let mut world = World::new();
    let kind = if patterns.is_some() { Kind::V1 } else { Kind::Flat };
    world.connect(kind, usize::MAX >> 1);
    if let Some(patterns) = patterns {
        world.subscribe(0, patterns);
    }
    while world.shard.turn() {}
    world
}

fn unsubscribe(world: &mut World, pattern: usize) {
    let asked =
        Asked { op: "unsubscribe", mode: 0, wants_snapshot: false, from: None, is_strict: false };
    world.ask(0, &[pattern], asked);
}

/// What the client was told, but for heartbeats.
fn said(world: &World) -> Vec<serde_json::Value> {
    let mut messages = parse(&world.clients[0].peer.borrow().written, false).messages;
    messages.retain(|message| message["type"] != "heartbeat");
    messages
}

fn block(world: &World) {
    world.clients[0].peer.borrow_mut().room = 0;
}

fn encode_and_turn(world: &mut World) {
    while world.encoder.run() > 0 {}
    while world.shard.turn() {}
}

fn is_reset(world: &World) -> bool {
    world.clients[0].peer.borrow().is_reset
}

#[test]
fn pongs_wait_for_a_client_up_to_the_limit_and_one_byte_more_resets_it() {
    for (bytes, expected) in
        [(CONTROL_BYTES_MAX - 1, false), (CONTROL_BYTES_MAX, false), (CONTROL_BYTES_MAX + 1, true)]
    {
        let mut world = world(None);
        block(&world);
        // A pong is as long as its payload and two bytes.
        let mut left = bytes;
        while left > 0 {
            let length = if left > 127 + 2 { 127 } else { left.min(100) };
            assert!(!is_reset(&world), "{bytes} bytes: too early, {left} are left");
            world.send(0, 9, &vec![b'p'; length - 2]);
            left -= length;
        }
        assert_eq!(is_reset(&world), expected, "{bytes} bytes");
        if !expected {
            assert_eq!(waiting(&world.shard), bytes);
            world.finish();
            assert_eq!(world.clients[0].peer.borrow().written.len(), bytes);
        }
    }
}

fn waiting<T: Transport>(shard: &Shard<T>) -> usize {
    shard.connections.cold[0].as_deref().map_or(0, |cold| cold.control.len() - cold.control_written)
}

#[test]
fn acks_wait_up_to_their_own_limit_and_a_first_reply_of_any_length_is_kept() {
    for (bytes, expected) in
        [(ACK_BYTES_MAX - 1, false), (ACK_BYTES_MAX, false), (ACK_BYTES_MAX + 1, true)]
    {
        let mut world = world(None);
        block(&world);
        world.shard.reply_within(0, &[0x8a, 0], ACK_BYTES_MAX);
        world.shard.reply_within(0, &vec![0; bytes - 2], ACK_BYTES_MAX);
        assert_eq!(is_reset(&world), expected, "{bytes} bytes");
    }
    let mut world = world(None);
    block(&world);
    world.shard.reply_within(0, &vec![0; ACK_BYTES_MAX + 1], ACK_BYTES_MAX);
    assert!(!is_reset(&world), "nothing waited before it");
}

#[test]
fn sixteen_subscription_changes_wait_for_the_cursor_and_one_more_closes() {
    for (changes, expected) in [(15, false), (16, false), (17, true)] {
        let mut world = world(Some(&[ALL]));
        block(&world);
        world.publish(MARKET_A, 0);
        encode_and_turn(&mut world);
        let acks = |world: &World| {
            let peer = world.clients[0].peer.borrow();
            parse(&peer.written, false)
                .messages
                .iter()
                .filter(|message| message["type"] == "ack")
                .count()
        };
        assert_eq!(acks(&world), 1, "of the subscription that the client began with");
        for change in 0..changes {
            unsubscribe(&mut world, 1 + change % 2);
            let is_last = change + 1 == changes;
            let is_closing = world.shard.connections.flags[0].has(Flags::CLOSING);
            assert_eq!(is_closing, expected && is_last, "change {change} of {changes}");
        }
        if !expected {
            world.finish();
            assert_eq!(acks(&world), 1 + changes);
        }
    }
}

#[test]
fn a_client_whose_socket_was_full_gets_the_close_frame_when_it_is_not() {
    let mut world = world(Some(&[ALL]));
    block(&world);
    world.publish(MARKET_A, 0);
    encode_and_turn(&mut world);
    world.clients[0].peer.borrow_mut().written.clear();
    for _ in 0..17 {
        unsubscribe(&mut world, 1);
    }
    assert!(!world.clients[0].peer.borrow().is_finished, "the close frame waits");
    world.finish();
    let peer = world.clients[0].peer.borrow();
    assert_eq!((peer.written[0], &peer.written[2..4]), (0x88, &1_008u16.to_be_bytes()[..]));
    assert!(peer.is_finished);
}

#[test]
fn a_laggard_is_moved_on_when_it_is_owed_more_than_the_limit_and_not_at_it() {
    for (beyond, is_skipped) in [(-1, false), (0, false), (1, true)] {
        let mut world = world(Some(&[ALL]));
        block(&world);
        world.publish(NOTE, 50);
        world.publish(MARKET_A, 0);
        encode_and_turn(&mut world);
        let owed = world.shard.unsent_bytes(0);
        assert!(owed > 100 && world.shard.connections.flags[0].has(Flags::LAGGARD));
        world.shard.options.lag_bytes_max = owed.checked_add_signed(-beyond).expect("positive");
        world.shard.run_soon(0);
        while world.shard.turn() {}
        let has_notices = world.shard.connections.flags[0].has(Flags::OWN_OUTPUT);
        assert_eq!(has_notices, is_skipped, "{beyond} beyond the limit");
        assert_eq!(world.shard.unsent_bytes(0), if is_skipped { 0 } else { owed });
        world.clients[0].peer.borrow_mut().written.clear();
        world.finish();
        let messages = said(&world);
        let kinds: Vec<_> = messages.iter().map(|message| &message["type"]).collect();
        let expected =
            if is_skipped { vec!["gap", "gap", "snapshot"] } else { vec!["note", "market"] };
        assert_eq!(kinds, expected, "{beyond} beyond the limit");
    }
}

#[test]
fn a_member_of_the_circle_is_moved_on_only_when_its_rest_is_beyond_the_limit() {
    for (beyond, is_skipped) in [(-1, false), (0, false), (1, true)] {
        let mut world = world(Some(&[ALL]));
        for _ in 0..3 {
            world.publish(NOTE, 50);
        }
        while world.encoder.run() > 0 {}
        let before = world.shard.readers[Lane::V1].head_bytes();
        // A visit writes one frame; two are left behind it.
        world.shard.options.visit_bytes_max = 1;
        world.shard.advance_routed();
        let frame = (world.shard.readers[Lane::V1].head_bytes() - before) / 3;
        let limit = i64::try_from(2 * frame).expect("short") - beyond;
        world.shard.options.lag_bytes_max = u64::try_from(limit).expect("positive");
        while world.shard.turn() {}
        let messages = said(&world);
        let gaps = messages.iter().filter(|message| message["type"] == "gap").count();
        assert_eq!(gaps, usize::from(is_skipped), "{beyond} beyond the limit");
        let notes = messages.iter().filter(|message| message["type"] == "note").count();
        assert_eq!(notes, if is_skipped { 1 } else { 3 }, "{beyond} beyond the limit");
    }
}

#[test]
fn a_visit_writes_whole_frames_up_to_its_limit() {
    for (beyond, expected) in [(-1, 1), (0, 2), (1, 2)] {
        let mut world = world(Some(&[ALL]));
        for _ in 0..3 {
            world.publish(NOTE, 50);
        }
        while world.encoder.run() > 0 {}
        let before = world.shard.readers[Lane::V1].head_bytes();
        world.shard.advance_routed();
        let frame = (world.shard.readers[Lane::V1].head_bytes() - before) / 3;
        let limit = i64::try_from(2 * frame).expect("short") + beyond;
        world.shard.options.visit_bytes_max = u32::try_from(limit).expect("positive");
        world.clients[0].peer.borrow_mut().offered.clear();
        while world.shard.turn() {}
        let first = world.clients[0].peer.borrow().offered[0] as u64;
        assert_eq!(first, expected * frame, "{beyond} beyond two frames");
    }
}
