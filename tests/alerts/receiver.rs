//! A receiver of a webhook: it takes one request after another, shows it to the test, and answers as it is told.

use super::support::PATIENCE;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

/// A request that waits for its answer.
pub(crate) struct Request {
    stream: TcpStream,
    head: String,
    body: Vec<u8>,
}

/// Where requests come in.
pub(crate) struct Receiver(TcpListener);

impl Receiver {
    /// On a free port, or on the one it had before.
    pub(crate) fn open(address: Option<SocketAddr>) -> Self {
        let address = address.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = TcpListener::bind(address).expect("the port is free");
        listener.set_nonblocking(true).expect("a socket");
        Self(listener)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("a socket")
    }

    /// The next request, whole.
    pub(crate) fn next(&self) -> Request {
        let begun = Instant::now();
        loop {
            if let Ok((stream, _)) = self.0.accept() {
                return Request::read(stream);
            }
            assert!(begun.elapsed() < PATIENCE, "no request came");
            std::thread::park_timeout(std::time::Duration::from_millis(1));
        }
    }

    /// Whether nobody has come who was not taken.
    pub(crate) fn is_idle(&self) -> bool {
        self.0.accept().is_err()
    }
}

impl Request {
    fn read(mut stream: TcpStream) -> Self {
        stream.set_nonblocking(false).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let (mut bytes, mut chunk) = (Vec::new(), [0; 1_024]);
        loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
                let mut request = Self { stream, head, body: bytes[end + 4..].to_vec() };
                let length = request.header("content-length").parse().expect("a length");
                let have = request.body.len();
                request.body.resize(length, 0);
                request.stream.read_exact(&mut request.body[have..]).expect("the rest");
                return request;
            }
            let read = stream.read(&mut chunk).expect("a request");
            assert!(read > 0, "the request ends early");
            bytes.extend_from_slice(&chunk[..read]);
        }
    }

    pub(crate) fn header(&self, name: &str) -> String {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut values = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        values.next().unwrap_or_else(|| panic!("no {name} in {}", self.head)).1.to_owned()
    }

    /// The alert, after its signature was checked.
    pub(crate) fn alert(&self, secret: &str) -> Value {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
        mac.update(self.header("x-lineage-timestamp").as_bytes());
        mac.update(b".");
        mac.update(&self.body);
        let signature = self.header("x-lineage-signature");
        let hex = signature.strip_prefix("sha256=").expect("the kind of hash");
        let bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hexadecimal"))
            .collect();
        mac.verify_slice(&bytes).expect("signed with the secret");
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(crate) fn answer(mut self, status: u16) {
        let answer =
            format!("HTTP/1.1 {status} Word\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        self.stream.write_all(answer.as_bytes()).expect("it waits for the answer");
    }

    /// Answers nothing until the other side has given up.
    pub(crate) fn outwait(mut self) {
        let mut rest = Vec::new();
        // An end or a reset: both mean that it is gone.
        let _ = self.stream.read_to_end(&mut rest);
    }
}
