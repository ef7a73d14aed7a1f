//! An echo server on Lineage's connection layer: what the WebSocket conformance suite is pointed at.
//!
//! `PORT` (default 9002) and `MAX_MESSAGE` (bytes, default 16 MiB) come from the environment. Text and binary
//! messages come back as they are, on any path; nothing is sent unasked.

#![allow(clippy::print_stderr, reason = "a program for the terminal")]

use lineage::Engine;
use lineage::config::{Config, SourceChoice};
use lineage::encode::frame;
use lineage::shard::{Handler, Message};
use std::net::SocketAddr;
use std::time::Duration;

/// Longer than any conformance case: a ping would be a frame that nobody asked for.
const PING_INTERVAL: Duration = Duration::from_secs(3_600);

#[derive(Debug)]
struct Echo {
    message_bytes_max: usize,
}

impl Handler for Echo {
    fn message_bytes_max(&self) -> usize {
        self.message_bytes_max
    }

    fn on_message(&self, message: &Message, reply: &mut Vec<u8>) {
        match message {
            Message::Text(text) => frame::text(text.as_bytes(), reply),
            Message::Binary(bytes) => frame::binary(bytes, reply),
            _ => {}
        }
    }
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config {
        ws: SocketAddr::from(([127, 0, 0, 1], setting("PORT", 9002))),
        http: None,
        metrics: None,
        source: SourceChoice::None,
        ping_interval: PING_INTERVAL,
        silence_max: PING_INTERVAL * 2,
        ..Config::default()
    };
    let echo = Echo { message_bytes_max: setting("MAX_MESSAGE", 16 << 20) };
    let engine = Engine::builder(config).handler(echo).start()?;
    eprintln!("echoing on ws://{}", engine.addresses().ws);
    loop {
        std::thread::park();
    }
}
