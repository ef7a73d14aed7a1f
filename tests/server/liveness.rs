//! Peers that are there and peers that only seem to be.
//!
//! Method: short intervals; who answers pings outlives several times the silence that ends the others.

use super::client::{Client, Next, PING, PONG, masked};
use super::support::{config, start, wait_until};
use lineage::config::Config;
use lineage::telemetry::ShardCounter;
use std::time::{Duration, Instant};

#[test]
fn s05_a_silent_peer_is_pinged_and_then_closed_with_4010_and_one_that_answers_stays() {
    let seconds = Duration::from_secs;
    let engine = start(Config { ping_interval: seconds(1), silence_max: seconds(2), ..config() });
    for path in ["/", "/v1"] {
        let mut silent = Client::open(engine.addresses().ws, path);
        let mut living = Client::open(engine.addresses().ws, path);
        let begun = Instant::now();
        let silence = std::thread::spawn(move || {
            let mut pings = 0;
            while let Next::Frame(opcode, range) = silent.next() {
                pings += u32::from(opcode == PING);
                if opcode == super::client::CLOSE {
                    return (pings, silent.bytes(range).to_vec());
                }
            }
            panic!("ended without a close frame after {pings} pings");
        });
        let mut pings = 0;
        while pings < 4 {
            let Next::Frame(opcode, range) = living.next() else { panic!("the end") };
            if opcode == PING {
                let pong = masked(PONG, living.bytes(range));
                living.raw(&pong);
                pings += 1;
            }
        }
        assert!(begun.elapsed() >= seconds(3), "four pings, a second apart");
        let (pings, close) = silence.join().expect("no panic");
        assert_eq!(pings, 1, "asked once");
        assert_eq!(close[..2], 4010_u16.to_be_bytes());
        assert!(close[2..].starts_with(b"peer_silent"), "{close:?}");
        living.assert_served();
    }
    wait_until("two were found silent", || {
        engine.telemetry().sum(ShardCounter::EvictedSilent) == 2
    });
}

#[test]
fn times_below_a_second_do_not_cut_off_a_client_that_answers() {
    let millis = Duration::from_millis;
    let engine = start(Config { ping_interval: millis(100), silence_max: millis(200), ..config() });
    let mut client = Client::open(engine.addresses().ws, "/");
    for _ in 0..3 {
        let Next::Frame(PING, range) = client.next() else { panic!("a ping") };
        let pong = masked(PONG, client.bytes(range));
        client.raw(&pong);
    }
    client.assert_served();
}
