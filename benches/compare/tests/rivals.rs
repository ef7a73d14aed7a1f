//! A rival that loses, reorders or cuts events would be compared with nothing: each is started as the figures start it, and
//! two clients check every event.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

const SIZE_BYTES: usize = 200;
const EVENTS: u64 = 300;

/// A rival that ends with its owner.
struct Rival {
    child: Child,
    port: u16,
    acknowledge: UdpSocket,
}

impl Rival {
    fn start(name: &str, settings: &[(&str, u64)]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("it is bound").port();
        let ack = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let ack_address = ack.local_addr().expect("it is bound");
        drop((free, ack));
        let mut command = Command::new(env!("CARGO_BIN_EXE_rivals"));
        command.arg(name).env("PORT", port.to_string());
        command.env("ACK_UDP", ack_address.port().to_string());
        command.env("START_AT", "2").env("SIZE", SIZE_BYTES.to_string());
        command.envs(settings.iter().map(|(name, value)| (name, value.to_string())));
        let child = command.spawn().expect("it was built");
        let acknowledge = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        acknowledge.connect(ack_address).expect("loopback is there");
        Self { child, port, acknowledge }
    }

    fn connect(&mut self) -> WebSocket<TcpStream> {
        let stream = loop {
            match TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(stream) => break stream,
                Err(_) => std::thread::yield_now(),
            }
            let ended = self.child.try_wait().expect("it is a child");
            assert!(ended.is_none(), "it ended before it listened: {ended:?}");
        };
        client(format!("ws://127.0.0.1:{}/", self.port), stream).expect("a handshake").0
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        // Both fail only when it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two clients get `EVENTS` events, in order and whole; each one is acknowledged when both have it.
fn check(name: &str, settings: &[(&str, u64)]) {
    let mut rival = Rival::start(name, settings);
    let mut clients = [rival.connect(), rival.connect()];
    for seq in 1..=EVENTS {
        for client in &mut clients {
            let message = client.read().expect("the connection stays open");
            let Message::Text(text) = message else { panic!("{name}: {message:?}") };
            assert_eq!(text.len(), SIZE_BYTES, "{name}: {text}");
            assert!(text.starts_with("{\"ts\":1"), "{name}: {text}");
            assert!(text.contains(&format!("\"seq\":{seq},")), "{name}: not {seq} but {text}");
        }
        rival.acknowledge.send(seq.to_string().as_bytes()).expect("the rival listens");
    }
}

#[test]
fn every_rival_delivers_every_event_in_order_in_the_closed_loop() {
    for name in ["raw", "naive", "tuned", "axum", "fastwebsockets"] {
        check(name, &[("WINDOW", 1), ("BURST", 1)]);
        check(name, &[("WINDOW", 128), ("BURST", 64)]);
    }
    check("raw", &[("WINDOW", 16), ("BURST", 0)]);
}

#[test]
fn every_rival_delivers_every_event_in_order_at_a_fixed_rate() {
    for name in ["raw", "naive", "tuned", "axum", "fastwebsockets"] {
        check(name, &[("RATE", 2_000), ("BURST", u64::from(name != "raw"))]);
    }
}

#[test]
fn an_unknown_rival_is_refused() {
    let mut rival = Rival::start("no-such", &[]);
    assert!(!rival.child.wait().expect("it is a child").success());
}
