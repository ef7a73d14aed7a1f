//! A program that publishes events of its own: what a library user copies.
//!
//! Run it, then watch: `lineage sub ws://127.0.0.1:9001/v1 'sensor:*'`.

#![allow(clippy::print_stderr, reason = "a program for the terminal")]

use lineage::Engine;
use lineage::config::{Config, SourceChoice};
use lineage::event::{Body, Class, Event, Json};
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config { source: SourceChoice::None, ..Config::default() };
    let engine = Engine::start(config)?;
    eprintln!("publishing on ws://{}/v1", engine.addresses().ws);

    // The last value matters: a state topic. Where each value matters, it is an event topic.
    let topic =
        engine.topic("sensor:temperature", Class::State).map_err(|error| format!("{error:?}"))?;
    let mut publisher = engine.publisher()?;
    for step in 0u32.. {
        let celsius = 20 + step % 5;
        let payload = Json::parse(format!("{{\"celsius\":{celsius}}}").into())
            .map_err(|error| format!("{error:?}"))?;
        let event = Event {
            topic,
            key: 0,
            time_us: engine.clock().now_us(),
            body: Body::External(payload),
        };
        // Never blocks; a full ring gives the event back.
        if publisher.publish(event).is_err() {
            eprintln!("the ring is full: one reading lost");
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}
