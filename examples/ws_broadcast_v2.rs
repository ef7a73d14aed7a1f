//! The simulated arena for clients that subscribe to topics, and its metrics.
//!
//!     cargo run --release --example ws_broadcast_v2
//!     cargo run --release --example ws_client                  in a second terminal
//!     curl http://127.0.0.1:9184/metrics
//!
//! Options are read from the environment as the `lineage` binary reads them: `LINEAGE_WS=127.0.0.1:0` chooses a free port.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use lineage::Engine;
use lineage::config::{Config, Settings};
use lineage::telemetry::{EngineCounter, ShardCounter};
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut settings = Settings::default();
    settings.apply_environment(|name| std::env::var(name).ok())?;
    let engine = Engine::start(Config { http: None, ..settings.finish()?.config })?;

    let addresses = engine.addresses();
    println!("broadcasting topics on ws://{}/v1", addresses.ws);
    if let Some(metrics) = addresses.metrics {
        println!("metrics at http://{metrics}/metrics");
    }
    println!("subscribe to market:*, agent:*, trade:*, arena or *; end with ^C");
    while engine.is_healthy() {
        std::thread::sleep(Duration::from_secs(10));
        let telemetry = engine.telemetry();
        println!(
            "{} connected, {} events, {} deliveries",
            engine.clients(),
            telemetry.value(EngineCounter::Events),
            telemetry.sum(ShardCounter::Deliveries)
        );
    }
    Err("a shard has ended".into())
}
