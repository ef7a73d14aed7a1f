//! A process without file descriptors still answers. A binary of its own, because it takes all of them.

#[path = "front/support.rs"]
mod support;

use lineage::server::Options;
use socket2::{Domain, Socket, Type};
use std::fs::File;
use support::{Client, Front, PATIENCE, get};

/// A client socket made while there are descriptors, to connect when there are none.
fn unconnected() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket
}

#[test]
fn without_descriptors_clients_get_503_and_accepting_does_not_spin() {
    let front = Front::open(Options::default());
    let sockets: Vec<_> = (0..5).map(|_| unconnected()).collect();
    let (_, hard) = rlimit::Resource::NOFILE.get().expect("a limit");
    rlimit::Resource::NOFILE.set(256, hard).expect("lower is always allowed");
    let hoard: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let mut kept = Vec::new();
    for socket in sockets {
        socket.connect(&front.address.into()).expect("the backlog has room");
        let mut client = Client(socket.into());
        client.send(get("/page"));
        let answer = client.answer().expect("an answer");
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        assert!(client.is_closed());
        // The client's own descriptor would let the next one in.
        kept.push(client);
    }
    {
        let state = front.recorder.when("five pauses", |state| state.accept_pauses == 5);
        assert_eq!((state.descriptors_exhausted, state.refused[&503]), (5, 5));
    }
    drop(hoard);
    let mut client = front.send(get("/page"));
    assert_eq!(client.answer().expect("an answer").status, 200);
    assert_eq!(front.recorder.state().accept_pauses, 5);
}
