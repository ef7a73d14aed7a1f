//! A client that prints what a server sends as a live table, and comes back by itself after a loss.
//!
//!     cargo run --release --example ws_client                                       everything
//!     cargo run --release --example ws_client -- ws://127.0.0.1:9001/v1 'market:*' 'trade:*'

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use futures_util::StreamExt as _;
use lineage::client::{Client, Event, Update, payload};

const URL_DEFAULT: &str = "ws://127.0.0.1:9001/v1";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1).peekable();
    let url = words.next_if(|word| word.contains("://"));
    let url = url.unwrap_or_else(|| URL_DEFAULT.to_owned());
    let mut topics: Vec<String> = words.collect();
    if topics.is_empty() {
        topics.push("*".to_owned());
    }
    let builder = topics.iter().fold(Client::builder(&url), |builder, topic| builder.topic(topic));
    let mut client = builder.build()?;

    println!("connecting to {url}; end with ^C");
    println!("{:<24} {:>8}  WHAT", "TOPIC", "SEQ");
    while let Some(update) = client.next().await {
        match update? {
            Update::Event(event) | Update::Snapshot(event) => println!(
                "{:<24} {:>8}  {}",
                event.topic(),
                event.seq,
                sentence(&event).unwrap_or_else(|| event.payload().to_owned())
            ),
            Update::Connected(_) => println!("connected"),
            Update::Gap(gap) => println!("{}: {} to {} are missing", gap.topic, gap.from, gap.to),
            Update::Reconnecting(next) => {
                println!("{}; trying again in {} ms", next.why, next.after.as_millis());
            }
            _ => {}
        }
    }
    Ok(())
}

/// What happened, of the events whose payload has a type here.
fn sentence(event: &Event) -> Option<String> {
    let dollars = |cents: i64| {
        let (sign, cents) = (if cents < 0 { "-" } else { "" }, cents.unsigned_abs());
        format!("{sign}${}.{:02}", cents / 100, cents % 100)
    };
    Some(match event.topic().split(':').next()? {
        "market" => {
            let market: payload::Market<'_> = event.parse().ok()?;
            format!("{} at {}", market.symbol, dollars(market.price.0))
        }
        "agent" => {
            let agent: payload::Agent<'_> = event.parse().ok()?;
            let won = agent.win_rate * 100.0;
            let (capital, trades) = (dollars(agent.capital.0), agent.trades);
            format!("{} ({capital}, {trades} trades, {won:.1} % won)", agent.action)
        }
        "trade" => {
            let trade: payload::Trade<'_> = event.parse().ok()?;
            format!("{} {}s {}", trade.agent, trade.side, trade.symbol)
        }
        _ => return None,
    })
}
