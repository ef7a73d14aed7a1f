//! Why a client that is behind is moved on: too many bytes, too old, or the log went on without it; and what it gets
//! instead if it asked to be closed.
//!
//! Method: a socket that holds little, which nobody reads until the engine has shown what it did; then every frame is
//! held against a ledger of what was published.

use super::client::{CLOSE, Client, Next, TEXT};
use super::cycle_press::locked;
use super::cycle_proof::Ledger;
use super::desk::{Desk, Watcher, patient};
use super::slow::narrow;
use super::support::{start, wait_until};
use lineage::Engine;
use lineage::config::Config;
use lineage::event::Class;
use lineage::telemetry::ShardCounter;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

/// A narrow connection, greeted, and the epoch it was told.
fn greeted(address: SocketAddr) -> (Client, Value) {
    let mut client = Client::upgrade(narrow(address), "/v1").expect("101");
    let epoch = client.json()["payload"]["epoch"].clone();
    (client, epoch)
}

fn tight() -> Config {
    Config { send_buffer_bytes: 4 * 1024, shards: 1, ..patient() }
}

fn ledger() -> Mutex<Ledger> {
    let named = |name: &str, class| (format!("tape:{name}"), class);
    Mutex::new(Ledger::new(vec![
        named("quote", Class::State),
        named("trade", Class::Event),
        named("rare", Class::State),
    ]))
}

/// Publishes until the counter shows that something was done about a client.
fn press_until(engine: &Engine, desk: &mut Desk<'_>, counter: ShardCounter) {
    wait_until("something is done about the client", || {
        desk.publish([0, 1, 1]);
        engine.telemetry().sum(counter) > 0
    });
}

/// Reads to the close frame, whose code and reason have to be these of a client that lags; the frames before it fit.
fn read_to_the_close(watcher: &mut Watcher<'_>, ledger: &Mutex<Ledger>) {
    loop {
        match watcher.client.next() {
            Next::Frame(TEXT, range) => {
                let text = std::str::from_utf8(watcher.client.bytes(range)).expect("text");
                watcher.proof.take(&locked(ledger), text);
            }
            Next::Frame(CLOSE, range) => {
                let payload = watcher.client.bytes(range);
                assert_eq!(payload[..2], 4008_u16.to_be_bytes());
                assert!(payload[2..].starts_with(b"slow_consumer"), "{payload:?}");
                break;
            }
            Next::Frame(..) => {}
            other => panic!("a close frame, not {other:?}"),
        }
    }
    watcher.assert_whole();
}

/// Whoever asked to be closed is closed in place of gaps, and gets everything else with a new connection.
fn assert_closed_and_resumed(engine: &Engine, is_recovered: bool) {
    let (ledger, address) = (&ledger(), engine.addresses().ws);
    let mut desk = Desk::new(engine, ledger);
    desk.publish(0..3);
    let (mut client, epoch) = greeted(address);
    let mut request = json!({"op": "subscribe", "topics": ["tape:*"], "on_lag": "disconnect"});
    client.text(&request.to_string());
    let mut watcher = Watcher::joined(client, ledger, &["tape:*"]);
    // From here on there is a position to go on from.
    watcher.read();
    desk.publish(0..3);
    watcher.read();
    press_until(engine, &mut desk, ShardCounter::EvictedLagging);
    read_to_the_close(&mut watcher, ledger);
    request["from"] = json!({"epoch": epoch, "pos": watcher.proof.safe()});
    let (mut client, _) = greeted(address);
    client.text(&request.to_string());
    let ack = client.json();
    assert_eq!(watcher.proof.joined(&locked(ledger), &ack), Some(is_recovered), "{ack}");
    watcher.client = client;
    watcher.read();
    watcher.assert_equals();
    watcher.assert_whole();
    assert_eq!(engine.telemetry().sum(ShardCounter::EvictedLagging), 1);
}

#[test]
fn past_its_bytes_who_asked_for_it_is_closed_with_4008_and_resumes_without_a_loss() {
    let engine = start(Config { lag_bytes_max: 64 * 1024, ..tight() });
    assert_closed_and_resumed(&engine, true);
}

#[test]
fn past_its_age_who_asked_for_it_is_closed_with_4008_and_resumes_without_a_loss() {
    let engine = start(Config { lag_age_max: Duration::from_millis(500), ..tight() });
    assert_closed_and_resumed(&engine, true);
}

#[test]
fn overrun_by_the_log_who_asked_for_it_is_closed_with_4008_and_told_what_has_expired() {
    let engine = start(Config { log_segments: 2, ..tight() });
    assert_closed_and_resumed(&engine, false);
}

/// Whoever is behind is told exact gaps of one reason, the newest values, and then goes on like any other.
fn assert_told(engine: &Engine, is_overrun: bool) {
    let ledger = &ledger();
    let mut desk = Desk::new(engine, ledger);
    desk.publish(0..3);
    let (client, _) = greeted(engine.addresses().ws);
    let mut watcher = Watcher::new(client, ledger, &["tape:*"]);
    watcher.read();
    press_until(engine, &mut desk, ShardCounter::GapEvents);
    watcher.read();
    let (slow, overruns) = (watcher.proof.slow_gaps, watcher.proof.overruns);
    assert!(if is_overrun { slow == 0 && overruns >= 2 } else { slow >= 2 && overruns == 0 });
    watcher.assert_equals();
    for _ in 0..10 {
        desk.publish(0..3);
        watcher.read();
        watcher.assert_equals();
    }
    assert_eq!(engine.telemetry().sum(ShardCounter::EvictedLagging), 0);
}

#[test]
fn past_its_age_a_client_is_told_exact_gaps_and_goes_on() {
    let engine = start(Config { lag_age_max: Duration::from_millis(500), ..tight() });
    assert_told(&engine, false);
}

#[test]
fn overrun_by_the_log_a_client_is_told_exact_gaps_and_goes_on() {
    let engine = start(Config { log_segments: 2, ..tight() });
    assert_told(&engine, true);
}

#[test]
fn the_last_word_about_lag_counts_and_silence_changes_nothing() {
    for (words, is_closed) in [
        (["gap", "disconnect"], true),
        (["disconnect", "gap"], false),
        (["disconnect", "none"], true),
        (["none", "none"], false),
    ] {
        let engine = start(Config { lag_bytes_max: 64 * 1024, ..tight() });
        let ledger = &ledger();
        let mut desk = Desk::new(&engine, ledger);
        let (mut client, _) = greeted(engine.addresses().ws);
        for word in words {
            let mut request = json!({"op": "subscribe", "topics": ["tape:*"]});
            if word != "none" {
                request["on_lag"] = word.into();
            }
            client.text(&request.to_string());
        }
        assert_eq!(client.json()["type"], "ack");
        let mut watcher = Watcher::joined(client, ledger, &["tape:*"]);
        let counter =
            if is_closed { ShardCounter::EvictedLagging } else { ShardCounter::GapEvents };
        desk.publish(0..3);
        press_until(&engine, &mut desk, counter);
        if is_closed {
            read_to_the_close(&mut watcher, ledger);
        } else {
            watcher.read();
            watcher.assert_equals();
        }
    }
}
