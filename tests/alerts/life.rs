//! The life of an alert: it waits, fires, holds, and is over, once each, wherever it is shown.

use super::client::Client;
use super::world::{JUMP, SECOND_US, START_US, World, value};
use serde_json::Value;

/// The payloads of the alerts among frames.
fn alerts(frames: &[Value]) -> Vec<Value> {
    let alerts = frames.iter().filter(|frame| frame["topic"] == "alert");
    alerts.map(|frame| frame["payload"].clone()).collect()
}

/// Closes one second after another, `(cents, seconds that go by after it)`, with the alerts told at each of them.
fn walk(world: &mut World, client: &mut Client, path: &[(i64, u64)]) -> Vec<Vec<Value>> {
    path.iter().map(|&(cents, after_s)| alerts(&world.step(client, cents, after_s))).collect()
}

#[test]
fn s54_s62_an_alert_waits_fires_holds_and_resolves_exactly_once_however_prices_flap() {
    let mut world = World::new(JUMP, |config| config);
    let mut client = world.client(&["alert"]);
    // Nothing; a breach that is over after a second; quiet.
    let path = [(10_000, 1), (10_000, 1), (11_000, 1), (11_100, 1)];
    assert_eq!(walk(&mut world, &mut client, &path).concat(), [] as [Value; 0]);
    assert_eq!(world.get("/api/alerts").json()["active_total"], 0);
    // A breach that lasts two seconds: it fires at the end of them, not before.
    let since_ms = START_US / 1_000 + 4_000;
    let told = walk(&mut world, &mut client, &[(12_210, 1), (13_431, 1)]);
    assert_eq!(told[0], [] as [Value; 0]);
    assert_eq!(told[1].len(), 1, "{told:?}");
    let fired = &told[1][0];
    assert_eq!(fired["rule"], "jump");
    assert_eq!(fired["state"], "firing");
    assert_eq!(fired["severity"], "critical");
    assert_eq!(fired["subject"], "indicator:BTC-USD:1s");
    assert_eq!(fired["threshold"], 0.05);
    assert_eq!(fired["since_ms"], since_ms);
    assert!((fired["value"].as_f64().expect("a number") - 0.1).abs() < 1e-12, "{fired}");
    let shown = world.get("/api/alerts").json();
    assert_eq!((&shown["active_total"], &shown["active"][0]["rule"]), (&1.into(), &"jump".into()));
    assert_eq!(shown["alerts"][0]["us"], START_US + 6 * SECOND_US);
    // Within the hysteresis; back for a second; bad again; all of it one alert.
    let path = [(13_968, 5), (13_968, 1), (15_000, 1), (15_000, 1)];
    assert_eq!(walk(&mut world, &mut client, &path).concat(), [] as [Value; 0]);
    // Back for the second second: it is over. Later nothing more is told.
    let told = walk(&mut world, &mut client, &[(15_000, 1), (15_000, 60), (15_000, 60)]);
    assert_eq!(told.concat().len(), 1, "{told:?}");
    let resolved = &told[0][0];
    assert_eq!((&resolved["state"], &resolved["rule"]), (&"resolved".into(), &"jump".into()));
    assert_eq!(resolved["since_ms"], since_ms);

    let shown = world.get("/api/alerts").json();
    assert_eq!(shown["active_total"], 0);
    let states: Vec<&Value> =
        shown["alerts"].as_array().expect("a list").iter().map(|alert| &alert["state"]).collect();
    assert_eq!(states, ["resolved", "firing"]);
}

#[test]
fn s58_what_fired_is_counted_under_both_names_and_what_is_on_is_shown() {
    let mut world = World::new(JUMP, |config| config);
    let mut client = world.client(&["alert"]);
    let counts = |world: &World| {
        let text = world.scrape();
        let both = ["alert_engine_alerts_triggered_total", "lineage_alerts_triggered_total"];
        (both.map(|name| value(&text, name)), value(&text, "lineage_alerts_active"))
    };
    assert_eq!(counts(&world), ([Some(0); 2], Some(0)), "present at the first scrape");
    let up = [(10_000, 1), (10_000, 1), (11_000, 1), (12_100, 1)];
    assert_eq!(walk(&mut world, &mut client, &up).concat().len(), 1);
    assert_eq!(counts(&world), ([Some(1); 2], Some(1)));
    let down_and_up = [(12_100, 1), (12_100, 1), (13_310, 1), (14_641, 1)];
    assert_eq!(walk(&mut world, &mut client, &down_and_up).concat().len(), 2);
    assert_eq!(counts(&world), ([Some(2); 2], Some(1)));
}

/// A rule on a number of the engine itself.
fn on_engine(name: &str, field: &str, is: &str, threshold: f64) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\nseverity = \"info\"\nsubject = \"engine\"\nfield = \"{field}\"\n\
         is = \"{is}\"\nthreshold = {threshold:?}\n"
    )
}

#[test]
fn s54_rules_on_the_engine_see_what_it_does() {
    let rules = [
        ("connected", "active_connections", "above", 0.5),
        ("subscribed", "subscribed_connections", "above", 0.5),
        ("delivering", "deliveries_total", "above", 3.0),
        ("broadcasting", "events_total", "above", 3.0),
        ("slow", "delivery_latency_p99_ms", "above", -1.0),
        ("errors_at_the_door", "http_errors_total", "above", 0.5),
        ("ring_empty", "ring_depth_share", "below", 1.0),
        ("nobody_waits", "laggards", "below", 0.5),
        ("no_share_waits", "laggard_share", "below", 0.5),
        ("no_evictions", "evictions_total", "below", 0.5),
        ("no_gaps", "gaps_total", "below", 0.5),
        ("no_gap_events", "gap_events_total", "below", 0.5),
        ("nothing_refused", "events_refused_total", "below", 0.5),
        ("nothing_missed", "events_missed_total", "below", 0.5),
        ("api_fine", "request_success_rate", "above", 0.5),
        ("api_asked", "api_requests_total", "above", -1.0),
        ("api_failed", "api_errors_total", "below", 0.5),
        ("cache_fine", "cache_hit_rate", "above", -1.0),
        ("cache_asked", "cache_lookups_total", "above", -1.0),
    ];
    let text: String = rules.map(|(name, field, is, at)| on_engine(name, field, is, at)).concat();
    let mut world = World::new(&text, |config| config);
    let refused = Client::upgrade(
        std::net::TcpStream::connect(world.engine.addresses().ws).expect("open"),
        "/nowhere",
    );
    assert_eq!(refused.map(|_| ()), Err(404));
    let mut client = world.client(&["alert"]);
    // Latencies are handed on by the shards a moment after they were measured, so more than one look may be needed.
    super::support::wait_until("every rule fires", || {
        world.hand.advance_us(SECOND_US);
        world.settle(&mut client);
        world.get("/api/alerts").json()["active_total"] == rules.len()
    });
    let shown = world.get("/api/alerts").json();
    let active = shown["active"].as_array().expect("a list").iter();
    let mut fired: Vec<&str> = active
        .map(|alert| {
            assert_eq!((&alert["state"], &alert["subject"]), (&"firing".into(), &"engine".into()));
            alert["rule"].as_str().expect("a name")
        })
        .collect();
    fired.sort_unstable();
    let mut expected = rules.map(|rule| rule.0);
    expected.sort_unstable();
    assert_eq!(fired, expected);
    let count = world.count("lineage_alerts_triggered_total");
    assert_eq!(usize::try_from(count), Ok(rules.len()), "each exactly once");
}
