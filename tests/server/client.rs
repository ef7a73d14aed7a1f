//! A WebSocket client of a few lines: it shows the bytes as they come and sends whatever it is told to, right or wrong.
//!
//! Method: blocking reads with a deadline; pings are answered unless the test asks for the raw frames.

use super::support::PATIENCE;
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;

pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

/// A connection that was upgraded.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
}

/// What came next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// A frame: opcode and payload.
    Frame(u8, Range<usize>),
    /// FIN.
    End,
    /// RST.
    Reset,
}

/// A final frame as a client sends it; the mask is all zeros, so that the payload can be read.
pub(crate) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length).expect("short")),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(length).expect("checked").to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

impl Client {
    /// Connects and upgrades.
    pub(crate) fn open(address: SocketAddr, path: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the listener is open");
        Self::upgrade(stream, path).expect("101")
    }

    /// Upgrades a connection, or tells the status of the refusal (0: closed without one).
    pub(crate) fn upgrade(mut stream: TcpStream, path: &str) -> Result<Self, u16> {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        // A server that refuses may have closed already; its answer tells.
        let _ = stream.write_all(request.as_bytes());
        let mut client = Self { stream, buffer: Vec::new(), start: 0 };
        let end = loop {
            if let Some(end) = client.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if !matches!(client.fill(), Ok(1..)) {
                return Err(0);
            }
        };
        let status = std::str::from_utf8(&client.buffer[9..12]).expect("text");
        match status.parse().expect("a status") {
            101 => client.start = end,
            status => return Err(status),
        }
        Ok(client)
    }

    /// A v1 client that is subscribed, and the payload of its ack.
    pub(crate) fn subscribed(address: SocketAddr, topics: &[&str]) -> (Self, Value) {
        let mut client = Self::open(address, "/v1");
        assert_eq!(client.json()["type"], "welcome");
        client.subscribe(topics);
        let ack = client.json();
        assert_eq!(ack["type"], "ack", "{ack}");
        (client, ack["payload"].clone())
    }

    /// Greeted and not subscribed, on a shard that has taken notice of so many events.
    pub(crate) fn greeted(address: SocketAddr, events: u64) -> Self {
        let mut client = Self::open(address, "/v1");
        client.message();
        super::support::wait_until("the shard has seen the events", || {
            client.text(r#"{"op":"ping"}"#);
            client.json()["payload"]["head"] == events
        });
        client
    }

    pub(crate) fn subscribe(&mut self, topics: &[&str]) {
        self.text(&serde_json::json!({"op": "subscribe", "topics": topics}).to_string());
    }

    /// Sends bytes.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.raw(&masked(TEXT, text.as_bytes()));
    }

    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// The next frame or the end, as it came.
    pub(crate) fn next(&mut self) -> Next {
        loop {
            if let Some((opcode, range)) = self.whole_frame() {
                self.start = range.end;
                return Next::Frame(opcode, range);
            }
            match self.fill() {
                Ok(1..) => {}
                Ok(0) => {
                    assert_eq!(self.start, self.buffer.len(), "the end came inside a frame");
                    return Next::End;
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Next::Reset,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    /// The next text message; pings before it are answered, the fourth ends the wait.
    pub(crate) fn message(&mut self) -> &str {
        for _ in 0..4 {
            match self.next() {
                Next::Frame(TEXT, range) => {
                    return std::str::from_utf8(&self.buffer[range]).expect("text is UTF-8");
                }
                Next::Frame(PING, range) => {
                    let pong = masked(PONG, &self.buffer[range]);
                    self.raw(&pong);
                }
                Next::Frame(opcode, range) => {
                    panic!("a message, not {opcode}: {:?}", &self.buffer[range])
                }
                other => panic!("a message, not {other:?}"),
            }
        }
        panic!("a message, and nothing came but pings");
    }

    /// The next text message as JSON.
    pub(crate) fn json(&mut self) -> Value {
        let text = self.message();
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Reads on until the close frame: its code and reason (0 where it has none).
    pub(crate) fn closed(&mut self) -> (u16, String) {
        loop {
            match self.next() {
                Next::Frame(CLOSE, range) => {
                    let payload = &self.buffer[range];
                    let Some((code, reason)) = payload.split_at_checked(2) else {
                        return (0, String::new());
                    };
                    let reason = String::from_utf8(reason.to_vec()).expect("text");
                    return (u16::from_be_bytes([code[0], code[1]]), reason);
                }
                Next::Frame(..) => {}
                other => panic!("a close frame, not {other:?}"),
            }
        }
    }

    /// Whether the connection is served: a ping comes back.
    pub(crate) fn assert_served(&mut self) {
        self.raw(&masked(PING, b"there?"));
        loop {
            match self.next() {
                Next::Frame(PONG, range) => return assert_eq!(self.bytes(range), b"there?"),
                Next::Frame(TEXT | PING, _) => {}
                other => panic!("a pong, not {other:?}"),
            }
        }
    }

    /// One whole frame of the buffer: opcode and where its payload lies.
    fn whole_frame(&self) -> Option<(u8, Range<usize>)> {
        let bytes = &self.buffer[self.start..];
        let (&[first, second], rest) = bytes.split_first_chunk()?;
        assert_eq!(first & 0xf0, 0x80, "frames are final and have no extension bits");
        let (length, header) = match second {
            0..126 => (u64::from(second), 2),
            126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
            127 => (u64::from_be_bytes(*rest.first_chunk()?), 10),
            _ => panic!("a server must not mask"),
        };
        let start = self.start + header;
        let end = start + usize::try_from(length).expect("fits memory");
        (end <= self.buffer.len()).then_some((first & 0x0f, start..end))
    }

    /// Reads what is there behind what is held.
    fn fill(&mut self) -> std::io::Result<usize> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let held = self.buffer.len();
        self.buffer.resize(held + 64 * 1024, 0);
        let read = self.stream.read(&mut self.buffer[held..]);
        self.buffer.truncate(held + *read.as_ref().unwrap_or(&0));
        read
    }
}
