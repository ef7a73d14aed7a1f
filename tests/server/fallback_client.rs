//! A client of the fallbacks over HTTP: it reads a chunked body byte by byte as it comes, and may go away at any byte.

use super::support::PATIENCE;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer whose body is being read.
#[derive(Debug)]
pub(crate) struct Answer {
    stream: TcpStream,
    pub(crate) status: u16,
    pub(crate) head: String,
    /// Bytes of the body's transfer that are not decoded yet.
    raw: Vec<u8>,
    /// Of the chunk that has begun: bytes to come, its line end included.
    chunk_left: usize,
    /// The body, as far as it was not taken.
    body: Vec<u8>,
    has_ended: bool,
}

/// One Server-Sent Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) id: Option<String>,
    pub(crate) json: String,
}

/// Numbers that look random; the same seed gives the same ones.
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Asks, and reads the head of the answer.
pub(crate) fn ask(address: SocketAddr, path: &str, headers: &str) -> Answer {
    let stream = TcpStream::connect(address).expect("the listener is open");
    ask_over(stream, "GET", path, headers)
}

/// The same over a connection that is there.
pub(crate) fn ask_over(mut stream: TcpStream, method: &str, path: &str, headers: &str) -> Answer {
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).expect("an answer"), 1, "{head:?}");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text").to_ascii_lowercase();
    let status = head[9..12].parse().expect("a status");
    Answer {
        stream,
        status,
        head,
        raw: Vec::new(),
        chunk_left: 0,
        body: Vec::new(),
        has_ended: false,
    }
}

impl Answer {
    /// From now on something has to come within this time.
    pub(crate) fn hurry(&self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).expect("a socket");
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Reads at most so many bytes; false at the end of the body, or of the connection.
    pub(crate) fn read(&mut self, bytes_max: usize) -> bool {
        let mut bytes = vec![0; bytes_max];
        let count = match self.stream.read(&mut bytes) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("nothing came: {error}"),
        };
        self.raw.extend_from_slice(&bytes[..count]);
        self.decode();
        count > 0 && !self.has_ended
    }

    fn decode(&mut self) {
        loop {
            if self.chunk_left > 0 {
                let taken = self.chunk_left.min(self.raw.len());
                let of_body = taken.min(self.chunk_left.saturating_sub(2));
                self.body.extend_from_slice(&self.raw[..of_body]);
                self.raw.drain(..taken);
                self.chunk_left -= taken;
            }
            let end = self.raw.windows(2).position(|two| two == b"\r\n");
            let Some(end) = end.filter(|_| self.chunk_left == 0) else { return };
            let size = std::str::from_utf8(&self.raw[..end]).expect("a size");
            let size = usize::from_str_radix(size, 16).expect("a size");
            self.raw.drain(..end + 2);
            self.chunk_left = size + 2;
            self.has_ended |= size == 0;
        }
    }

    /// The next event that is whole already.
    pub(crate) fn whole_event(&mut self) -> Option<Sent> {
        let end = self.body.windows(2).position(|two| two == b"\n\n")?;
        let text: Vec<u8> = self.body.drain(..end + 2).collect();
        let text = String::from_utf8(text).expect("text");
        if text == "retry: 1000\n\n" {
            return self.whole_event();
        }
        let (mut id, mut json) = (None, None);
        for line in text.trim_end().lines() {
            match line.split_once(": ").expect("a field") {
                ("id", value) => id = Some(value.to_owned()),
                ("data", value) => assert!(json.replace(value.to_owned()).is_none(), "{text}"),
                _ => panic!("no such field: {line}"),
            }
        }
        Some(Sent { id, json: json.expect("data") })
    }

    /// The next event; `None` at the end.
    pub(crate) fn event(&mut self) -> Option<Sent> {
        loop {
            if let Some(event) = self.whole_event() {
                return Some(event);
            }
            if !self.read(64 * 1024) {
                return self.whole_event();
            }
        }
    }

    /// The body to its end, and whether that end is one.
    pub(crate) fn rest(&mut self) -> (String, bool) {
        match self.header("content-length").map(|length| length.parse().expect("a length")) {
            Some(length) => {
                let mut bytes = vec![0; length];
                self.stream.read_exact(&mut bytes).expect("the whole body");
                (String::from_utf8(bytes).expect("text"), true)
            }
            None => {
                while self.read(64 * 1024) {}
                let body = std::mem::take(&mut self.body);
                (String::from_utf8(body).expect("text"), self.has_ended)
            }
        }
    }

    /// The elements of an array that came as a whole.
    pub(crate) fn array(&mut self) -> Vec<serde_json::Value> {
        let (text, is_whole) = self.rest();
        assert!(is_whole, "cut off: {text}");
        assert_eq!(self.status, 200, "{text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}
