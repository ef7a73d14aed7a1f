//! Stopping: first the listeners, then what is in progress.

use super::support::{Client, Front, get, upgrade};
use lineage::server::Options;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The edge closes its listeners in a pass of its own: connects until one is refused.
fn wait_until_refused(front: &Front) {
    let began = Instant::now();
    while TcpStream::connect(front.address).is_ok() {
        assert!(began.elapsed() < super::support::PATIENCE, "the listener stays open");
        std::thread::yield_now();
    }
}

#[test]
fn after_stop_accepting_open_connections_go_on() {
    let front = Front::open(Options::default());
    let mut open = front.send(get("/before"));
    assert_eq!(open.answer().expect("an answer").text(), "/before");
    front.edge.stop_accepting();
    wait_until_refused(&front);
    open.send(get("/after"));
    assert_eq!(open.answer().expect("an answer").text(), "/after");
    open.send(upgrade("/v1"));
    assert_eq!(open.answer().expect("an answer").status, 101);
    front.recorder.arrival();
}

#[test]
fn stop_waits_for_responses_in_progress() {
    let front =
        Front::open(Options { drain_timeout: super::support::PATIENCE, ..Options::default() });
    let mut slow = front.send(get("/slow"));
    front.recorder.wait_until("the slow request", |state| !state.served.is_empty());
    let (edge, gate) = (front.edge, front.gate);
    let stopping = std::thread::spawn(move || edge.stop());
    gate.add_permits(1);
    assert_eq!(slow.answer().expect("an answer").text(), "/slow");
    stopping.join().expect("it stops");
}

#[test]
fn stop_does_not_wait_for_ever() {
    let front =
        Front::open(Options { drain_timeout: Duration::from_millis(20), ..Options::default() });
    let mut slow = front.send(get("/slow"));
    front.recorder.wait_until("the slow request", |state| !state.served.is_empty());
    front.edge.stop();
    assert!(slow.answer().is_none());
}

#[test]
fn silent_connections_and_upgraded_ones_do_not_hold_up_a_stop() {
    let front =
        Front::open(Options { drain_timeout: super::support::PATIENCE, ..Options::default() });
    let _silent = Client::connect(front.address);
    let mut upgraded = front.send(upgrade("/"));
    assert_eq!(upgraded.answer().expect("an answer").status, 101);
    let arrival = front.recorder.arrival();
    let began = Instant::now();
    front.edge.stop();
    assert!(began.elapsed() < super::support::PATIENCE / 2);
    drop(arrival);
    assert!(upgraded.is_closed(), "what was handed over is the shard's");
}
