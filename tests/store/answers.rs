//! What the store tells others: its metrics, and its answers over HTTP.

use super::support::{Folder, agent, open, registered, round, trade, value};
use lineage::api::{Asked, Refusal, Route};
use lineage::store::{Options, Store};
use serde_json::{Value, json};

#[test]
fn s57_the_insert_histogram_and_the_pool_are_those_of_the_store() {
    let folder = Folder::new();
    let store = open(Options { batch_rows: 10, ..Options::new(folder.file()) });
    let telemetry = registered(&store);
    let inserts = ["metrics_calculator", "lineage_calculator"]
        .map(|part| format!("{part}_db_insert_duration_seconds"));
    let pools = ["database_connection_pool_size", "lineage_database_connection_pool_size"];
    inserts.iter().for_each(|name| assert_eq!(value(&telemetry, &format!("{name}_count")), 0.0));
    for row in 0..25 {
        assert!(store.writer().round(round(row)));
    }
    store.flush().unwrap();
    for name in inserts {
        let batches = value(&telemetry, &format!("{name}_count"));
        assert!((3.0..=25.0).contains(&batches), "{batches}");
        assert_eq!(value(&telemetry, &format!("{name}_bucket{{le=\"+Inf\"}}")), batches);
        assert!(value(&telemetry, &format!("{name}_sum")) > 0.0);
    }
    let routes = store.routes();
    pools.iter().for_each(|name| assert_eq!(value(&telemetry, name), 2.0));
    drop(store);
    pools.iter().for_each(|name| assert_eq!(value(&telemetry, name), 1.0, "the routes still read"));
    drop(routes);
    pools.iter().for_each(|name| assert_eq!(value(&telemetry, name), 0.0));
}

/// Asks a route as the gateway does.
fn ask(store: &Store, path: &str, given: &[(&str, &str)]) -> Result<Value, Refusal> {
    let routes = store.routes();
    let route: &Route = routes.iter().find(|route| route.path == path).expect("the path is served");
    assert!(route.is_blocking, "it reads a file");
    let asked = Asked::check(&route.parameters, given.iter().copied())?;
    (route.answer)(&asked)
}

const HISTORY: &str = "/api/agents/{name}/history";

#[test]
fn the_history_of_an_agent_is_answered_oldest_first() {
    let folder = Folder::new();
    let store = folder.open();
    let writer = store.writer();
    for second in 1..=3 {
        assert!(writer.agent(agent("momentum", second * 1_000_000, 100)));
    }
    assert!(writer.trade(trade("momentum", 2_000_000, 150)) && writer.agent(agent("other", 9, -5)));
    store.flush().unwrap();

    let all = ask(&store, HISTORY, &[("name", "momentum")]).unwrap();
    let trade = json!({
        "time_us": 2_000_000, "symbol": "BTC-USD", "side": "buy", "price": 42000.5, "quantity": 1.5, "pnl": -1.5,
        "won": true
    });
    assert_eq!((&all["agent"], &all["trades"]), (&json!("momentum"), &json!([trade])));
    let times = |answer: &Value| -> Vec<u64> {
        let states = answer["states"].as_array().expect("a list");
        states.iter().map(|state| state["time_us"].as_u64().expect("a number")).collect()
    };
    assert_eq!(times(&all), [1_000_000, 2_000_000, 3_000_000]);
    for (limit, expected) in [("1", 1), ("2", 2), ("3", 3), ("4", 3)] {
        let answer = ask(&store, HISTORY, &[("name", "momentum"), ("limit", limit)]).unwrap();
        assert_eq!(times(&answer).len(), expected);
        assert_eq!(times(&answer).last(), Some(&3_000_000), "without `from` the newest");
    }
    for (from, expected) in [("1999", 2), ("2000", 2), ("2001", 1), ("3001", 0)] {
        let answer = ask(&store, HISTORY, &[("name", "momentum"), ("from", from)]).unwrap();
        assert_eq!(times(&answer).len(), expected, "from {from} ms");
    }
    let other = ask(&store, HISTORY, &[("name", "other")]).unwrap();
    let state = &other["states"][0];
    assert_eq!((&state["capital"], &state["status"]), (&json!(-0.05), &json!("resting")));
}

#[test]
fn an_agent_without_rows_is_unknown_and_limits_are_checked() {
    let folder = Folder::new();
    let store = folder.open();
    for given in [&[("name", "nobody")][..], &[("name", "nobody"), ("from", "0")], &[("name", "")]]
    {
        let refusal = ask(&store, HISTORY, given).unwrap_err();
        assert!(matches!(refusal, Refusal::Unknown(_)), "{refusal:?}");
    }
    for limit in ["0", "5001"] {
        let refusal = ask(&store, "/api/rounds", &[("limit", limit)]).unwrap_err();
        assert!(matches!(refusal, Refusal::Bad(_)), "{refusal:?}");
    }
    for limit in ["1", "5000"] {
        assert_eq!(ask(&store, "/api/rounds", &[("limit", limit)]).unwrap(), json!([]));
    }
}

#[test]
fn rounds_are_answered_as_their_example_looks() {
    let folder = Folder::new();
    let store = folder.open();
    (1..=3).for_each(|number| assert!(store.writer().round(round(number))));
    store.flush().unwrap();
    let answer = ask(&store, "/api/rounds", &[("limit", "2")]).unwrap();
    let numbers: Vec<_> = answer.as_array().unwrap().iter().map(|round| &round["round"]).collect();
    assert_eq!(numbers, [&json!(2), &json!(3)]);
    for route in store.routes() {
        let keys =
            |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
        if route.path == "/api/rounds" {
            assert_eq!(keys(&route.example[0]), keys(&answer[0]));
        }
    }
}
