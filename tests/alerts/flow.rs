//! From a trade to an alert, each step an event that clients can have.

use super::client::Client;
use super::world::{SECOND_US, START_US, SYMBOL, World};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Fires as soon as a second closes higher than the one before by more than a twentieth.
const AT_ONCE: &str = r#"
[[rule]]
name = "jump"
severity = "info"
subject = "indicator:*"
interval = "1s"
field = "return"
is = "above"
threshold = 0.05
"#;

#[test]
fn s54_s62_a_trade_a_candle_an_indicator_and_an_alert_are_events_in_this_order() {
    let mut world = World::new(AT_ONCE, |config| config);
    let topics = ["sim:trade:BTC-USD", "candle:BTC-USD:*", "indicator:BTC-USD:*", "alert"];
    let mut client = world.client(&topics);
    world.close(4_200_000);
    world.close(4_620_000);
    let frames = world.settle(&mut client);
    let of = |topic: &str, is_it: &dyn Fn(&Value) -> bool| {
        let found = frames.iter().find(|frame| frame["topic"] == topic && is_it(&frame["payload"]));
        found.unwrap_or_else(|| panic!("no such {topic} among {frames:?}"))
    };
    let open_ms = START_US / 1_000 + 1_000;
    let trade =
        of("sim:trade:BTC-USD", &|payload| payload["time_us"] == START_US + 3 * SECOND_US / 2);
    let is_whole = |payload: &Value| payload["final"] == true && payload["open_time_ms"] == open_ms;
    let candle = of("candle:BTC-USD:1s", &is_whole);
    let indicator = of("indicator:BTC-USD:1s", &|payload| !payload["return"].is_null());
    let alert = of("alert", &|_| true);

    assert_eq!(trade["type"], "trade");
    assert_eq!(trade["payload"]["price"], 46_200.0);
    assert_eq!(candle["type"], "candle");
    let bar = &candle["payload"];
    assert_eq!((&bar["open"], &bar["close"]), (&json!(42_000.0), &json!(46_200.0)));
    assert_eq!((&bar["trades"], &bar["interval"]), (&json!(2), &json!("1s")));
    assert_eq!(
        (&indicator["type"], &indicator["payload"]["interval"]),
        (&json!("indicator"), &json!("1s"))
    );
    let change = indicator["payload"]["return"].as_f64().expect("a number");
    assert!((change - 0.1).abs() < 1e-12, "{change}");
    assert_eq!(alert["type"], "alert");
    assert_eq!(alert["payload"]["value"], change);
    assert_eq!(alert["payload"]["subject"], "indicator:BTC-USD:1s");
    let places =
        [trade, candle, indicator, alert].map(|frame| frame["pos"].as_u64().expect("a place"));
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!(frames.iter().filter(|frame| frame["topic"] == "alert").count(), 1);

    let path = "/api/candles?symbol=BTC-USD&interval=1s";
    let rows = world.get(path).json();
    let row = rows.as_array().expect("a list").iter().find(|row| row["open_time_ms"] == open_ms);
    let close = &row.expect("the candle is there")["close"];
    assert_eq!(close.as_str().expect("exact").parse(), Ok(Decimal::new(4_620_000, 2)));
}

#[test]
fn s54_a_client_that_comes_late_has_the_last_indicator_of_every_interval() {
    let mut world = World::new(AT_ONCE, |config| config);
    let mut early = world.client(&["indicator:BTC-USD:1m"]);
    world.trade(SYMBOL, START_US, Decimal::ONE_HUNDRED);
    // A trade a minute later closes the first second, the first ten and the minute.
    world.trade(SYMBOL, START_US + 60 * SECOND_US, Decimal::ONE_HUNDRED);
    let told = world.settle(&mut early);
    assert_eq!(told.len(), 1, "{told:?}");
    let (mut late, _) = Client::subscribed(world.engine.addresses().ws, &["indicator:*"]);
    let mut seen: Vec<(String, String)> = Vec::new();
    while seen.iter().filter(|(topic, _)| topic.contains(SYMBOL)).count() < 3 {
        let frame = late.json();
        assert_eq!(frame["type"], "snapshot", "{frame}");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        seen.push((text(&frame["topic"]), text(&frame["payload"]["interval"])));
    }
    seen.retain(|(topic, _)| topic.contains(SYMBOL));
    seen.sort();
    let expected = ["10s", "1m", "1s"]
        .map(|interval| (format!("indicator:BTC-USD:{interval}"), interval.to_owned()));
    assert_eq!(seen, expected);
}

#[test]
fn s54_without_the_pipeline_there_are_no_candles_and_without_indicators_there_are_candles_alone() {
    let mut world = World::new(AT_ONCE, |mut config| {
        config.pipeline.has_indicators = false;
        config
    });
    let mut client = world.client(&["candle:BTC-USD:1s", "indicator:*", "alert"]);
    world.close(4_200_000);
    world.close(4_620_000);
    let frames = world.settle(&mut client);
    assert!(
        !frames.is_empty() && frames.iter().all(|frame| frame["type"] == "candle"),
        "{frames:?}"
    );
    let world = World::new(AT_ONCE, |mut config| {
        config.pipeline_enabled = false;
        config
    });
    for path in ["/api/candles?symbol=BTC-USD", "/api/alerts"] {
        let answer = world.get(path);
        assert_eq!(
            (answer.status, &answer.json()["status"]),
            (200, &"not_available".into()),
            "{path}"
        );
    }
    assert!(!world.scrape().contains("lineage_collector_"));
}

#[test]
fn s54_a_symbol_more_than_may_be_is_left_out_and_counted() {
    // The mark is one of them.
    for (most, left_out) in [(1, 2), (2, 1), (3, 0)] {
        let mut world = World::new(AT_ONCE, |mut config| {
            config.pipeline.symbols_max = most;
            config
        });
        let mut client = world.client(&[]);
        world.settle(&mut client);
        for symbol in ["A", "B"] {
            world.trade(symbol, START_US, Decimal::ONE);
        }
        world.settle(&mut client);
        let text = world.scrape();
        let line =
            format!("lineage_collector_trades_left_out_total{{reason=\"symbols\"}} {left_out}");
        assert!(text.lines().any(|found| found == line), "at most {most}");
    }
}
