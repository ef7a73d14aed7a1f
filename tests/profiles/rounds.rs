//! Rounds on topic `arena` and in the metrics, with the options of the command line.

use super::binary::Server;
use super::client::Client;
use super::support::{get, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;

const START: [(&str, f64); 3] =
    [("momentum", 50_000.0), ("conservative", 45_000.0), ("balanced", 48_000.0)];

/// The value of a series in a scrape.
fn metric(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    line.parse().ok()
}

#[test]
fn s17_rounds_end_after_their_updates_with_a_winner_and_are_counted() {
    for (reset, begins_anew) in [("false", false), ("true", true)] {
        let server = Server::start(&format!(
            "--profile arena --agent-interval 20ms --market-interval 60m --round-updates 5 \
             --round-capital-reset {reset} --trade-log debug --start-at-clients 1"
        ));
        let (mut client, _) = Client::subscribed(server.ws, &["arena", "agent:*"]);
        let mut began: BTreeMap<&str, f64> = START.into();
        let mut wins: BTreeMap<String, f64> = BTreeMap::new();
        for number in 1..=12_u64 {
            let mut capital: BTreeMap<&str, f64> = BTreeMap::new();
            for update in 1..=5 {
                for (slug, _) in START {
                    let state = client.json();
                    assert_eq!(state["topic"], format!("agent:{slug}"), "update {update}: {state}");
                    capital.insert(slug, state["payload"]["capital"].as_f64().expect("a number"));
                }
            }
            let round = client.json();
            assert_eq!((&round["topic"], &round["seq"]), (&"arena".into(), &number.into()));
            let payload = &round["payload"];
            assert_eq!(payload["round"], number);
            let gain = |slug: &str| capital[slug] - began[slug];
            let winner = payload["winner"].as_str().expect("text");
            let best = START.iter().map(|(slug, _)| gain(slug)).fold(f64::MIN, f64::max);
            assert!((gain(winner) - best).abs() < 0.005, "{round}: {began:?}");
            for (slug, dollars) in START {
                assert_eq!(payload["capital"][slug].as_f64(), Some(capital[slug]), "{round}");
                began.insert(slug, if begins_anew { dollars } else { capital[slug] });
            }
            *wins.entry(winner.to_owned()).or_default() += 1.0;
        }
        // The metrics may have more rounds by now, and never fewer.
        let mut text = String::new();
        wait_until("the rounds in the metrics", || {
            text = get(server.metrics, "/metrics").body;
            metric(&text, "lineage_arena_rounds_total").is_some_and(|rounds| rounds >= 12.0)
        });
        let by_agent = |family: &str| {
            ["⚡ Momentum", "🛡️ Conservative", "⚖️ Balanced"].map(|name| {
                let series = format!("{family}{{agent=\"{name}\"}}");
                metric(&text, &series).unwrap_or_else(|| panic!("{series} in\n{text}"))
            })
        };
        let counted = by_agent("lineage_arena_agent_wins_total");
        assert_eq!(Some(counted.iter().sum()), metric(&text, "lineage_arena_rounds_total"));
        for ((slug, _), counted) in START.into_iter().zip(counted) {
            assert!(counted >= wins.get(slug).copied().unwrap_or_default(), "{slug}: {wins:?}");
        }
        let finals = by_agent("lineage_arena_agent_final_capital");
        assert!(finals.iter().all(|dollars| *dollars > 0.0), "{finals:?}");
    }
}

#[test]
fn s17_without_rounds_topic_arena_is_silent() {
    let server = Server::start(
        "--profile arena --agent-interval 20ms --round-updates 0 --trade-log debug --start-at-clients 1",
    );
    let (mut client, _) = Client::subscribed(server.ws, &["arena", "agent:balanced"]);
    for _ in 0..45 {
        let message: Value = client.json();
        assert_eq!(message["topic"], "agent:balanced");
    }
}
