//! Metrics of a program's own agents, as Prometheus reads them: the program sets numbers, the engine serves them.
//!
//!     cargo run --release --example metrics_server_v2
//!     curl -s http://127.0.0.1:9184/metrics | grep agent
//!
//! `LINEAGE_METRICS=127.0.0.1:0` chooses a free port.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use lineage::Engine;
use lineage::config::{Config, Settings, SourceChoice};
use lineage::simulation::Random;
use std::time::Duration;

const AGENTS: [(&str, &str, f64); 2] =
    [("scout", "🔭 Scout", 10_000.0), ("harvester", "🌾 Harvester", 25_000.0)];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut settings = Settings::default();
    settings.apply_environment(|name| std::env::var(name).ok())?;
    // Nothing but metrics: no source and no HTTP, and the WebSocket on a port that nobody needs to know.
    let engine = Engine::start(Config {
        ws: "127.0.0.1:0".parse()?,
        http: None,
        source: SourceChoice::None,
        ..settings.finish()?.config
    })?;
    let metrics = engine.agents();
    for (slug, name, capital) in AGENTS {
        metrics.register(slug, name, capital);
    }
    let address = engine.addresses().metrics.ok_or("no address for metrics")?;
    println!("metrics at http://{address}/metrics");
    println!(
        "look for lineage_agent_capital, lineage_agent_trades_total and their siblings; end with ^C"
    );

    let mut random = Random::new(1);
    let mut won = [0_u32; AGENTS.len()];
    for trades in 1_u32.. {
        for ((slug, name, _), won) in AGENTS.iter().zip(&mut won) {
            let is_won = random.chance(550);
            *won += u32::from(is_won);
            let before = metrics.agent_capital(slug).unwrap_or_default();
            let capital = before + if is_won { 120.0 } else { -100.0 };
            metrics.set_agent_capital(slug, capital);
            metrics.set_agent_trades(slug, trades.into());
            metrics.set_agent_win_rate(slug, f64::from(*won) / f64::from(trades));
            metrics.set_agent_scars(slug, (trades - *won).into());
            println!("{name}: ${capital:.2} after {trades} trades");
        }
        std::thread::sleep(Duration::from_secs(5));
    }
    Ok(())
}
