//! What arrives behind a 101, and what the socket is like.

use super::support::{Client, Front, get, upgrade};
use lineage::server::{self, Options};
use lineage::shard::{Endpoint, LegacyView};
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// A masked text frame.
const FRAME: &[u8] = b"\x81\x82\x01\x02\x03\x04ik";

#[test]
fn an_upgrade_is_answered_and_handed_over() {
    let front = Front::open(Options::default());
    for (path, endpoint) in [
        ("/", Endpoint::Legacy(LegacyView::default())),
        ("/?compat=nested", Endpoint::Legacy(LegacyView::default())),
        ("/v1", Endpoint::V1),
    ] {
        let mut client = front.send(upgrade(path));
        let answer = client.answer().expect("an answer");
        assert_eq!(answer.status, 101);
        assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(answer.header("upgrade"), Some("websocket"));
        assert_eq!(answer.header("connection"), Some("upgrade"));
        let mut arrival = front.recorder.arrival();
        assert_eq!((arrival.endpoint, arrival.early.len()), (endpoint, 0));
        assert_eq!(arrival.peer, client.0.local_addr().expect("a socket"));
        let error = arrival.stream.read(&mut [0]).expect_err("nothing was sent");
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "the socket stays non-blocking");
        arrival.stream.write_all(b"\x81\x02hi").expect("room for four bytes");
        let mut frame = [0; 4];
        client.0.read_exact(&mut frame).expect("the frame, with nothing before it");
        assert_eq!(&frame, b"\x81\x02hi");
    }
    front.recorder.wait_until("three counts", |state| state.accepted == 3);
}

#[test]
fn the_sub_protocol_is_echoed_at_v1_alone() {
    let front = Front::open(Options::default());
    for (path, expected) in [("/v1", Some("lineage.v1")), ("/", None)] {
        let request = upgrade(path).replacen(
            "\r\n\r\n",
            "\r\nSec-WebSocket-Protocol: x, lineage.v1\r\n\r\n",
            1,
        );
        let answer = front.ask(request);
        assert_eq!((answer.status, answer.header("sec-websocket-protocol")), (101, expected));
    }
}

#[test]
fn bytes_sent_with_the_request_arrive_with_the_socket() {
    let front = Front::open(Options::default());
    for early in [FRAME, &FRAME[..3], &FRAME.repeat(500)] {
        let mut client = front.send([upgrade("/v1").as_bytes(), early].concat());
        client.send("behind");
        let arrival = front.recorder.arrival();
        // What hyper had not read is still in the socket; together they are whole and in order.
        let mut received = arrival.early.to_vec();
        arrival.stream.set_nonblocking(false).expect("a socket");
        let mut stream = &arrival.stream;
        while received.len() < early.len() + 6 {
            let mut buffer = [0; 4096];
            let bytes = stream.read(&mut buffer).expect("the rest");
            received.extend_from_slice(&buffer[..bytes]);
        }
        assert!(!arrival.early.is_empty(), "the frame came in the request's segment");
        assert_eq!(received, [early, b"behind"].concat());
    }
}

#[test]
fn requests_before_the_upgrade_are_answered_first() {
    let front = Front::open(Options::default());
    let mut client =
        front.send([get("/page").as_bytes(), upgrade("/v1").as_bytes(), FRAME].concat());
    assert_eq!(client.answer().expect("an answer").text(), "/page");
    assert_eq!(client.answer().expect("an answer").status, 101);
    assert_eq!(front.recorder.arrival().early, FRAME);
}

#[test]
fn a_request_in_small_pieces_is_upgraded() {
    let front = Front::open(Options::default());
    let mut client = Client::connect(front.address);
    client.0.set_nodelay(true).expect("a socket");
    for piece in upgrade("/").as_bytes().chunks(7) {
        client.send(piece);
    }
    assert_eq!(client.answer().expect("an answer").status, 101);
    assert!(front.recorder.arrival().early.is_empty());
}

#[test]
fn clients_that_reset_behind_their_request_do_no_harm() {
    let front = Front::open(Options::default());
    for i in 0..300 {
        let client = front.send([upgrade("/v1").as_bytes(), FRAME].concat());
        if i % 3 > 0 {
            SockRef::from(&client.0).set_linger(Some(Duration::ZERO)).expect("a socket");
        }
    }
    let mut client = front.send(upgrade("/v1"));
    assert_eq!(client.answer().expect("an answer").status, 101);
    let here = client.0.local_addr().expect("a socket");
    front.recorder.wait_until("the sound one", |state| {
        state.arrivals.iter().any(|arrival| arrival.peer == here)
    });
}

#[test]
fn every_hand_over_is_followed_by_a_nudge_and_a_pass_has_one() {
    let front = Front::open(Options::default());
    let clients: Vec<_> = (0..200).map(|_| front.send(upgrade("/"))).collect();
    let state = front.recorder.when("a nudge behind the last hand-over", |state| {
        state.arrivals.len() == clients.len() && state.unannounced == 0
    });
    assert!(state.nudges <= clients.len(), "{} nudges", state.nudges);
}

#[test]
fn a_full_inbox_is_tried_again_until_there_is_room() {
    let front = Front::open(Options::default());
    front.recorder.state().is_full = true;
    let mut client = front.send(upgrade("/"));
    assert_eq!(client.answer().expect("an answer").status, 101);
    front.recorder.when("two tries", |state| state.returned >= 2).is_full = false;
    assert_eq!(front.recorder.arrival().peer, client.0.local_addr().expect("a socket"));
}

#[test]
fn an_inbox_that_stays_full_ends_the_connection() {
    let front =
        Front::open(Options { place_timeout: Duration::from_millis(5), ..Options::default() });
    front.recorder.state().is_full = true;
    let mut client = front.send(upgrade("/"));
    assert_eq!(client.answer().expect("an answer").status, 101);
    assert!(client.is_closed());
    front.recorder.wait_until("the count", |state| state.refused.get(&503) == Some(&1));
}

#[test]
fn accepted_sockets_inherit_the_options_of_the_listener() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let address: SocketAddr = address.parse().expect("an address");
        let listener = match server::bind(address, &Options::default()) {
            Ok(listener) => listener,
            Err(error) if address.is_ipv6() => {
                eprintln!("SKIPPED for {address}: no IPv6 here ({error})");
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let nobody = listener.accept().expect_err("nobody has come");
        assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock, "the listener is non-blocking");
        listener.set_nonblocking(false).expect("a socket");
        let _client = Client::connect(listener.local_addr().expect("bound"));
        let (stream, _) = listener.accept().expect("a client");
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().expect("an option"));
        // Linux doubles the size, for its own bookkeeping.
        assert_eq!(socket.send_buffer_size().expect("an option"), 2 * 64 * 1024);
        assert_eq!(socket.tcp_notsent_lowat().expect("an option"), 16 * 1024);
    }
}

#[test]
fn a_port_in_use_is_an_error_and_a_restart_is_not() {
    let options = Options::default();
    let listener = server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), &options).expect("a port");
    let address = listener.local_addr().expect("bound");
    let error = server::bind(address, &options).expect_err("it is taken");
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    // The server's side closes first and stays in TIME_WAIT.
    listener.set_nonblocking(false).expect("a socket");
    let mut client = Client::connect(address);
    drop(listener.accept().expect("a client"));
    assert!(client.is_closed());
    drop((client, listener));
    server::bind(address, &options).expect("TIME_WAIT does not stand in the way");
}
