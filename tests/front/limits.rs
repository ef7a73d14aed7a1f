//! Each cap at limit - 1, limit and limit + 1.

use super::support::{Client, Front, get, upgrade};
use lineage::server::Options;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(600);

#[test]
fn headers_are_counted() {
    let front = Front::open(Options::default());
    for (headers, status) in [(63, 200), (64, 200), (65, 431)] {
        let more: String = (1..headers).map(|i| format!("X-{i}: {i}\r\n")).collect();
        let answer = front.ask(format!("GET /page HTTP/1.1\r\nHost: localhost\r\n{more}\r\n"));
        assert_eq!(answer.status, status, "{headers} headers");
    }
    front.recorder.wait_until("the count", |state| state.refused.get(&431) == Some(&1));
}

/// A request head of exactly so many bytes.
fn head_of(bytes: usize) -> String {
    let frame = "GET /page HTTP/1.1\r\nHost: localhost\r\nX: \r\n\r\n";
    frame.replace("X: ", &format!("X: {}", "x".repeat(bytes - frame.len())))
}

#[test]
fn head_bytes_are_counted() {
    for limit in [1_000, 16 * 1024] {
        let front = Front::open(Options { head_bytes_max: limit, ..Options::default() });
        for (bytes, status) in [(limit - 1, 200), (limit, 200), (limit + 1, 431)] {
            assert_eq!(head_of(bytes).len(), bytes);
            assert_eq!(front.ask(head_of(bytes)).status, status, "{bytes} of {limit}");
        }
        front.recorder.wait_until("the count", |state| state.refused.get(&431) == Some(&1));
    }
}

#[test]
fn a_long_target_gets_431_and_arrives() {
    let front = Front::open(Options::default());
    let mut client = front.send(get(&format!("/{}", "x".repeat(40_000))));
    assert_eq!(client.answer().expect("an answer").status, 431);
    assert!(client.is_closed());
}

#[test]
fn a_full_http_phase_gets_503_when_it_stays_full() {
    let front = Front::open(Options {
        http_connections_max: 2,
        room_timeout: Duration::from_millis(5),
        ..Options::default()
    });
    let mut inside: Vec<_> = (0..2).map(|_| front.send("")).collect();
    let mut surplus = front.send("");
    let answer = surplus.answer().expect("an answer before any request");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert!(surplus.is_closed());
    for client in &mut inside {
        client.send("GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assert_eq!(client.answer().expect("an answer").status, 200);
        assert!(client.is_closed());
    }
    assert_eq!(front.recorder.state().refused.get(&503), Some(&1));
}

#[test]
fn a_full_http_phase_keeps_the_surplus_in_the_backlog_for_a_moment() {
    let front =
        Front::open(Options { http_connections_max: 2, room_timeout: LONG, ..Options::default() });
    let inside: Vec<_> = (0..2).map(|_| front.send("")).collect();
    let mut surplus = front.send(upgrade("/"));
    assert!(surplus.is_waiting());
    drop(inside);
    assert_eq!(surplus.answer().expect("an answer").status, 101);
    assert!(front.recorder.state().refused.is_empty());
}

#[test]
fn connections_overall_are_capped_with_503() {
    let front = Front::open(Options { connections_max: 3, ..Options::default() });
    let _open: Vec<_> = (0..3)
        .map(|i| {
            let mut client = front.send(upgrade("/"));
            assert_eq!(client.answer().expect("an answer").status, 101, "connection {i} of 3");
            client
        })
        .collect();
    front.recorder.wait_until("three arrivals", |state| state.arrivals.len() == 3);
    let answer = front.ask(upgrade("/"));
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    drop(front.recorder.arrival());
    assert_eq!(front.ask(upgrade("/")).status, 101);
}

#[test]
fn connections_of_one_address_are_capped_with_429() {
    let front = Front::open(Options { connections_per_address_max: Some(2), ..Options::default() });
    let mut open: Vec<_> = (0..2).map(|_| front.send(upgrade("/"))).collect();
    for client in &mut open {
        assert_eq!(client.answer().expect("an answer").status, 101);
    }
    front.recorder.wait_until("two arrivals", |state| state.arrivals.len() == 2);
    let answer = front.ask(upgrade("/"));
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("5")));
    // The shard drops the arrival when the connection ends: the address may come again.
    drop(front.recorder.arrival());
    assert_eq!(front.ask(upgrade("/")).status, 101);
}

#[test]
fn loopback_addresses_are_not_limited_by_default() {
    let front = Front::open(Options::default());
    let open: Vec<_> = (0..300).map(|_| front.send(upgrade("/"))).collect();
    front.recorder.wait_until("300 arrivals", |state| state.arrivals.len() == open.len());
    assert!(front.recorder.state().arrivals.iter().all(|arrival| arrival.seat.is_none()));
}

#[test]
fn request_heads_in_progress_are_capped_and_the_next_one_waits() {
    let front = Front::open(Options {
        heads_in_progress_max: 2,
        head_turn: LONG,
        head_timeout: LONG,
        ..Options::default()
    });
    let mut first = front.send("GET /first HTTP/1.1\r\n");
    assert_eq!(front.ask(get("/beside")).status, 200, "limit - 1 in progress leaves room");
    let mut second = front.send("GET /second HTTP/1.1\r\n");
    let mut third = front.send(get("/third"));
    assert!(third.is_waiting());
    first.send("Host: localhost\r\n\r\n");
    assert_eq!(first.answer().expect("an answer").text(), "/first");
    assert_eq!(third.answer().expect("an answer").text(), "/third");
    second.send("Host: localhost\r\n\r\n");
    assert_eq!(second.answer().expect("an answer").text(), "/second");
    assert_eq!(front.recorder.state().served, ["/beside", "/first", "/third", "/second"]);
}

#[test]
fn slow_openers_lose_their_turn_and_not_their_connection() {
    let front = Front::open(Options {
        heads_in_progress_max: 2,
        head_turn: Duration::from_millis(5),
        head_timeout: LONG,
        ..Options::default()
    });
    let mut slow: Vec<_> = (0..20).map(|_| front.send("GET /slow-head HTTP/1.1\r\n")).collect();
    assert_eq!(front.ask(upgrade("/v1")).status, 101, "the door is not held shut");
    for client in &mut slow {
        client.send("Host: localhost\r\n\r\n");
        assert_eq!(client.answer().expect("an answer").text(), "/slow-head");
    }
}

#[test]
fn a_waiting_service_and_idle_connections_hold_no_head_place() {
    let front = Front::open(Options {
        heads_in_progress_max: 1,
        head_turn: LONG,
        head_timeout: LONG,
        ..Options::default()
    });
    let mut slow = front.send(get("/slow"));
    front.recorder.wait_until("the slow request", |state| !state.served.is_empty());
    let mut idle = front.send(get("/idle"));
    assert_eq!(idle.answer().expect("an answer").text(), "/idle");
    assert_eq!(front.ask(upgrade("/")).status, 101);
    front.gate.add_permits(1);
    assert_eq!(slow.answer().expect("an answer").text(), "/slow");
}

#[test]
fn a_limit_of_zero_does_not_start() {
    let recorder = std::sync::Arc::new(super::support::Recorder::default());
    let options = Options { http_connections_max: 0, ..Options::default() };
    let error = lineage::server::Edge::start(Vec::new(), recorder.clone(), options, recorder)
        .expect_err("no limit");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn a_client_that_leaves_makes_room() {
    let front =
        Front::open(Options { http_connections_max: 1, head_timeout: LONG, ..Options::default() });
    for _ in 0..50 {
        let mut client = Client::connect(front.address);
        client.send("GET /half");
        client.0.shutdown(std::net::Shutdown::Write).expect("open");
        assert!(client.answer().is_none(), "an unfinished head has no answer");
    }
}
