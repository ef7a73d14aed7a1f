//! A WebSocket server that follows a script: a plain thread per connection on port 0.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses its part; a test fails by panicking"
)]

pub(crate) mod broadcast;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread;

use loadtest::result::RunResult;

pub(crate) const UPGRADE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A connection on the server's side.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    /// The client has left: a write has failed.
    pub(crate) is_gone: bool,
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
        self.is_gone |= self.stream.write_all(bytes).is_err();
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
            thread::spawn(move || script(number, Peer { stream: stream.unwrap(), is_gone: false }));
        }
    });
    address
}

/// The program, with these words.
pub(crate) fn loadtest(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest")).args(words).output().unwrap()
}

/// A run of the program: what it said.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) result: RunResult,
    pub(crate) out: String,
}

impl Run {
    /// Lost, duplicated, reordered.
    pub(crate) fn faults(&self) -> [u64; 3] {
        let events = &self.result.events;
        [events.lost, events.duplicated, events.reordered]
    }

    /// Whether one of the faults in words has all of these.
    pub(crate) fn tells(&self, words: &[&str]) -> bool {
        let has_all = |fault: &String| words.iter().all(|word| fault.contains(word));
        self.result.faults.iter().any(has_all)
    }
}

/// Runs the program with `--json` and these words.
pub(crate) fn run(words: &str) -> Run {
    let words = words.split_whitespace().chain(["--quiet", "--json"]);
    let output = loadtest(&words.collect::<Vec<_>>());
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = out.lines().last().unwrap_or_default();
    let result = serde_json::from_str(line).unwrap_or_else(|error| {
        panic!("{error}: {out}{}", String::from_utf8_lossy(&output.stderr))
    });
    Run { code: output.status.code().unwrap(), result, out }
}

/// The words for clients of a scripted server.
pub(crate) fn v1(address: SocketAddr, words: &str) -> String {
    let duration = if words.contains("-z ") { "" } else { "-z 20s" };
    format!("--url ws://{address}/v1 --subscribe t:a {duration} --drain 1s {words}")
}
