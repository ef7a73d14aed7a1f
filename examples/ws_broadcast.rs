//! The simulated arena to every WebSocket that connects: prices and agents, without subscribing.
//!
//!     cargo run --release --example ws_broadcast
//!     cargo run --release -- sub ws://127.0.0.1:9001/          in a second terminal
//!
//! Options are read from the environment as the `lineage` binary reads them: `LINEAGE_WS=127.0.0.1:0` chooses a free port.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use lineage::Engine;
use lineage::config::{Config, Settings};
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut settings = Settings::default();
    settings.apply_environment(|name| std::env::var(name).ok())?;
    // The WebSocket alone: no HTTP, no metrics.
    let engine = Engine::start(Config { http: None, metrics: None, ..settings.finish()?.config })?;

    println!("broadcasting the arena on ws://{}/", engine.addresses().ws);
    println!("a price every 5 s, agents every 10 s; end with ^C");
    let mut before = None;
    while engine.is_healthy() {
        let clients = engine.clients();
        if before != Some(clients) {
            println!("{clients} connected");
            before = Some(clients);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Err("a shard has ended".into())
}
