//! An arena with an agent of your own: implement `Strategy`, add a `Contestant`, start an engine.
//!
//!     cargo run --release --example strategy
//!     cargo run --release -- sub 'agent:ceiling'               in a second terminal
//!
//! Options are read from the environment: `LINEAGE_WS=127.0.0.1:0` chooses a free port.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

// README begins
use lineage::Engine;
use lineage::config::{Config, Settings, SourceChoice};
use lineage::event::Side;
use lineage::simulation::{
    Contestant, Decision, Market, Options, Outcome, Random, Simulation, Strategy,
};

/// Sells what stands in the upper quarter of its band, and waits for it otherwise.
#[derive(Debug)]
struct Ceiling;

impl Strategy for Ceiling {
    fn decide(&mut self, markets: &[Market], _random: &mut Random) -> Option<Decision> {
        let is_dear = |market: &Market| market.offset().0 * 4 > market.half_width().0 * 3;
        let market = markets.iter().position(is_dear)?;
        Some(Decision { market, side: Side::Sell, outcome: Outcome::Calibrated })
    }
}

fn arena(config: Config) -> Result<Engine, lineage::Error> {
    let mut agents = Contestant::defaults();
    agents.push(Contestant::new("ceiling", "🏛️ Ceiling", Ceiling));
    let arena = Simulation::new(Options::arena()).with_contestants(agents);
    Engine::builder(Config { source: SourceChoice::None, ..config }).source(arena).start()
}
// README ends

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut settings = Settings::default();
    settings.apply_environment(|name| std::env::var(name).ok())?;
    let engine = arena(settings.finish()?.config)?;
    println!("an arena of four agents on ws://{}/v1; end with ^C", engine.addresses().ws);
    while engine.is_healthy() {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    Err("a shard has ended".into())
}
