//! Goal: a mounted handler's client is answered in order, whole, and without waiting for a timer.
//!
//! Method: a shard with a scripted socket on an endpoint of a handler that sends every message back.

use super::connections::Flags;
use super::model_world::{Kind, World};
use super::{Handler, Message};
use crate::encode::frame;
use std::sync::Arc;

#[derive(Debug)]
struct Echo;

impl Handler for Echo {
    fn message_bytes_max(&self) -> usize {
        1_024
    }

    fn on_message(&self, message: &Message, reply: &mut Vec<u8>) {
        frame::text(&message.clone().into_data(), reply);
    }
}

/// A world whose only client is the handler's; its socket takes `room` bytes.
fn world(room: usize) -> World {
    let mut world = World::new();
    world.shard.handler = Some(Arc::new(Echo));
    world.connect(Kind::Handler, room);
    while world.shard.turn() {}
    world
}

/// What a final, masked frame of a client looks like; the mask is all zeros.
fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("short");
    [&[0x80 | opcode, 0x80 | length, 0, 0, 0, 0][..], payload].concat()
}

#[test]
fn nothing_follows_the_answer_to_a_close_frame() {
    let mut world = world(usize::MAX >> 1);
    let bytes = [
        masked(1, b"one"),
        masked(9, b"p"),
        masked(1, b"two"),
        masked(8, &1_000u16.to_be_bytes()),
        masked(1, b"late"),
    ];
    world.clients[0].peer.borrow_mut().to_read = bytes.concat();
    world.shard.readable(0);
    let peer = world.clients[0].peer.borrow();
    let expected: [&[u8]; 4] = [b"\x81\x03one", b"\x81\x03two", b"\x8a\x01p", b"\x88\x02\x03\xe8"];
    assert_eq!(peer.written, expected.concat());
    assert!(peer.is_finished && !peer.is_reset);
}

#[test]
fn reading_goes_on_as_soon_as_a_blocked_answer_is_out() {
    let mut world = world(0);
    world.send(0, 1, b"one");
    world.send(0, 1, b"two");
    assert!(world.shard.connections.flags[0].has(Flags::OWN_OUTPUT));
    assert!(!world.clients[0].peer.borrow().to_read.is_empty(), "reading is paused");
    world.clients[0].peer.borrow_mut().room = usize::MAX >> 1;
    world.shard.run_soon(0);
    // Once a turn says that there is no more to do, the thread sleeps until a timer or a socket wakes it.
    while world.shard.turn() {}
    assert_eq!(world.clients[0].peer.borrow().written, b"\x81\x03one\x81\x03two");
}
