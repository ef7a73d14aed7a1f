//! A WebSocket server that follows a script: a plain thread per connection on port 0.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses its part; a test fails by panicking"
)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use loadtest::options::Options;

pub(crate) const UPGRADE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A connection on the server's side.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
}

impl Peer {
    /// Reads the request and answers it.
    pub(crate) fn upgrade(&mut self, answer: &str) {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        self.stream.write_all(answer.as_bytes()).unwrap();
    }

    /// Reads one short masked frame: its first byte and its payload.
    pub(crate) fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 6];
        self.stream.read_exact(&mut head).unwrap();
        let length = usize::from(head[1] & 0x7f);
        assert!(head[1] & 0x80 != 0 && length < 126, "a short masked frame");
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).unwrap();
        let unmasked =
            payload.iter().enumerate().map(|(at, byte)| byte ^ head[2 + at % 4]).collect();
        (head[0], unmasked)
    }

    /// Reads the subscribe and acknowledges it with this seq.
    pub(crate) fn subscribed(&mut self, seq: u64) {
        self.upgrade(UPGRADE);
        self.frame();
        let payload =
            format!(r#"{{"op":"subscribe","pos":0,"topics":[{{"topic":"t:a","seq":{seq}}}]}}"#);
        self.text(&format!(r#"{{"type":"ack","id":1,"payload":{payload},"timestamp":1}}"#));
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // The client may have left already, having seen enough.
        let _ = self.stream.write_all(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.send(&frame(0x81, text.as_bytes()));
    }

    pub(crate) fn events(&mut self, seqs: &[u64]) {
        let all: Vec<u8> =
            seqs.iter().flat_map(|seq| frame(0x81, event(*seq).as_bytes())).collect();
        self.send(&all);
    }

    /// Reads until the client is gone.
    pub(crate) fn until_gone(&mut self) {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
    }
}

pub(crate) fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![head];
    match payload.len() {
        short @ 0..=125 => frame.push(u8::try_from(short).unwrap()),
        long => {
            frame.push(126);
            frame.extend(u16::try_from(long).unwrap().to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

pub(crate) fn event(seq: u64) -> String {
    format!(
        r#"{{"type":"a","topic":"t:a","seq":{seq},"pos":{seq},"us":1,"payload":{{"x":"{seq}"}},"timestamp":1}}"#
    )
}

/// Serves every connection, the n-th by `script(n, …)`; ends with the test.
pub(crate) fn server(script: impl Fn(usize, Peer) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = Arc::new(script);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let script = Arc::clone(&script);
            thread::spawn(move || script(number, Peer { stream: stream.unwrap() }));
        }
    });
    address
}

pub(crate) fn options(address: SocketAddr, clients: usize) -> Options {
    Options {
        address,
        host: address.to_string(),
        path: "/v1".to_owned(),
        topics: vec!["t:a".to_owned()],
        clients,
        stalled: 0,
        duration: Duration::from_secs(20),
        settle: Duration::ZERO,
        connect_rate: None,
        expect_events: None,
        expect_each: None,
    }
}
