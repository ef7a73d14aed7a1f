//! What the console says: at the start, for each trade, for each task of the hub.

use super::binary::Server;
use super::client::Client;
use serde_json::Value;

/// The trade of a line such as `… [7] ⚖️ Balanced - Capital: $48030, Trades: 1, WR: 100.0%`: its number, the name, and
/// whether all of it has the form.
fn trade(line: &str) -> Option<(u64, String)> {
    let (_, line) = line.split_once(": [")?;
    let (number, rest) = line.split_once("] ")?;
    let (name, rest) = rest.split_once(" - Capital: ")?;
    let (dollars, rest) =
        rest.strip_prefix('-').unwrap_or(rest).strip_prefix('$')?.split_once(", Trades: ")?;
    let (trades, rate) = rest.split_once(", WR: ")?;
    let (whole, tenths) = rate.strip_suffix('%')?.split_once('.')?;
    let numbers = [dollars, trades, whole, tenths];
    let are_numbers = numbers.iter().all(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let is_form = are_numbers && tenths.len() == 1 && numbers.iter().all(|text| !text.is_empty());
    is_form.then(|| Some((number.parse().ok()?, name.to_owned())))?
}

#[test]
fn s12_the_console_names_what_runs_and_where_and_says_ready_last() {
    for (profile, systems, market, agents) in [
        ("", "profile all: arena, hub, chain, pipeline", "every 5s", "every 10s"),
        ("--profile arena", "profile arena: arena", "every 5s", "every 10s"),
        ("--profile arena-slow", "profile arena-slow: arena", "every 30s", "every 15s"),
        ("--profile hub --market-interval 7s", "profile hub: arena, hub", "every 7s", "every 10s"),
        ("--profile chain", "profile chain: arena, chain", "every 5s", "every 10s"),
        ("--profile pipeline", "profile pipeline: arena, pipeline", "every 1s", "every 10s"),
    ] {
        let server = Server::start(profile);
        let console = &server.console;
        for line in [
            format!("lineage {}", env!("CARGO_PKG_VERSION")),
            systems.to_owned(),
            format!("listening on ws://{}", server.ws),
            format!("  dashboard  http://{}/dashboard.html", server.http),
            format!("  metrics    http://{}/metrics", server.metrics),
            format!("market ticker started, {market}"),
            format!("agent simulator started, {agents}"),
        ] {
            assert!(console.contains(&line), "{profile}: {line} is not in {console:?}");
        }
        assert_eq!(console.last().map(String::as_str), Some("ready"), "{profile}");
        let (code, _) = server.end();
        assert_eq!(code, Some(0), "{profile}");
    }
}

#[test]
fn s12_without_a_simulation_nothing_is_said_to_have_started() {
    let server = Server::start("--source none");
    assert!(server.console.iter().any(|line| line == "profile all: no source, pipeline"));
    assert!(!server.console.iter().any(|line| line.contains("started")), "{:?}", server.console);
}

#[test]
fn s12_a_json_log_says_the_same_as_objects() {
    let server = Server::start("--log-format json --profile arena");
    let objects: Vec<Value> = server
        .console
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let said = |text: &str| objects.iter().any(|object| object["message"] == text);
    assert!(said("market ticker started, every 5s"), "{objects:?}");
    assert!(said("agent simulator started, every 10s"), "{objects:?}");
    let ready = objects.last().expect("lines");
    assert_eq!((&ready["message"], &ready["profile"]), (&"ready".into(), &"arena".into()));
    assert_eq!(ready["systems"], "arena");
}

#[test]
fn s12_every_trade_of_an_arena_is_a_numbered_line_at_info() {
    let server = Server::start("--profile arena --agent-interval 5ms --seed 12");
    let (mut expected, mut names) = (1, Vec::new());
    // Lines may come before `ready` already.
    let mut before = server.console.clone().into_iter();
    while expected <= 60 {
        let line = before.next().unwrap_or_else(|| server.line());
        let Some((number, name)) = trade(&line) else { continue };
        assert!(line.contains("INFO"), "{line}");
        assert_eq!(number, expected, "{line}");
        expected += 1;
        names.push(name);
    }
    for name in ["⚡ Momentum", "🛡️ Conservative", "⚖️ Balanced"] {
        assert!(names.iter().any(|other| other == name), "{name} is not among {names:?}");
    }
}

#[test]
fn s12_a_bench_tells_its_trades_at_debug_alone() {
    let server = Server::start("--profile bench --log-level info");
    // Many trades have been made when this has been read.
    let mut client = Client::open(server.ws, "/?types=agent");
    for _ in 0..300 {
        client.message();
    }
    drop(client);
    let console = server.console.clone();
    let (code, rest) = server.end();
    assert_eq!(code, Some(0));
    let told: Vec<_> = console.iter().chain(&rest).filter(|line| trade(line).is_some()).collect();
    assert!(told.is_empty(), "{told:?}");

    let server = Server::start("--profile bench --log-level info,lineage::simulation=debug");
    let mut before = server.console.clone().into_iter();
    let line = loop {
        let line = before.next().unwrap_or_else(|| server.line());
        if trade(&line).is_some() {
            break line;
        }
    };
    assert!(line.contains("DEBUG"), "{line}");
}

#[test]
fn s37_each_task_of_the_hub_is_a_line_with_its_context_for_people_and_for_programs() {
    let options =
        "--profile hub --agent-interval 20ms --log-level info,lineage::simulation::hub=debug";
    let server = Server::start(options);
    let mut before = server.console.clone().into_iter();
    for word in ["task_enqueued", "task_completed"] {
        let line = loop {
            let line = before.next().unwrap_or_else(|| server.line());
            if line.contains(word) {
                break line;
            }
        };
        for part in ["DEBUG", "task_id=", "lane=\"research\"", "agent=\""] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
        // The time comes first.
        assert!(line.starts_with("20"), "{line}");
    }
    drop(server);

    let server = Server::start(&format!("{options} --log-format json"));
    let mut before = server.console.clone().into_iter();
    let object = loop {
        let line = before.next().unwrap_or_else(|| server.line());
        let object: Value = serde_json::from_str(&line).expect("every line is an object");
        if object["message"] == "task_enqueued" {
            break object;
        }
    };
    assert!(object["task_id"].as_u64().is_some_and(|id| id > 0), "{object}");
    assert_eq!((&object["lane"], &object["level"]), (&"research".into(), &"DEBUG".into()));
    let has_text = |key: &str| object[key].as_str().is_some_and(|text| !text.is_empty());
    assert!(has_text("agent") && has_text("timestamp"), "{object}");
}
