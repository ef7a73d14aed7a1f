//! The alert engine as its user sees it: events and times in, events, lists and counts out.

use super::*;
use crate::event::{Action, Agent, AgentName, Json, Market, Severity, Status};
use proptest::prelude::*;
use serde_json::{Value, json};

pub(super) const SECOND_US: u64 = 1_000_000;
/// 2026-01-01T00:00:00Z
pub(super) const START_US: u64 = 1_767_225_600_000_000;

/// An engine, the topics it knows, and what it has told.
pub(super) struct World {
    pub(super) topics: Topics,
    pub(super) alerts: Alerts,
    pub(super) out: Vec<Event>,
}

impl World {
    pub(super) fn new(rules: Rules) -> Self {
        Self::with_options(rules, Options::default())
    }

    pub(super) fn with_options(rules: Rules, options: Options) -> Self {
        let topics = Topics::new();
        let alerts = Alerts::new(rules, &topics, options).unwrap();
        Self { topics, alerts, out: Vec::new() }
    }

    pub(super) fn with_rule(lines: &str) -> Self {
        Self::new(rule(lines))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "times of tests are small and not below zero"
    )]
    fn observe(&mut self, at_s: f64, topic: &str, body: Body) {
        let now_us = START_US + (at_s * SECOND_US as f64) as u64;
        let event = Event {
            topic: self.topics.register(topic, None).unwrap(),
            key: 0,
            time_us: now_us,
            body,
        };
        self.alerts.observe(&event, topic, now_us, &mut self.out);
    }

    #[expect(clippy::cast_possible_truncation, reason = "prices of tests are small")]
    pub(super) fn price(&mut self, at_s: f64, dollars: f64) {
        let price = Cents((dollars * 100.0).round() as i64);
        self.observe(
            at_s,
            "market:BTC-USD",
            Body::Market(Market { symbol: "BTC-USD".into(), price }),
        );
    }

    fn agent(&mut self, at_s: f64, capital: i64, trades: u32, wins: u32) {
        self.observe(at_s, "agent:momentum", agent(capital, trades, wins));
    }

    fn engine(&mut self, at_s: u64, numbers: &[(&str, f64)]) {
        self.alerts.observe_engine(numbers, START_US + at_s * SECOND_US, &mut self.out);
    }

    fn tick(&mut self, at_s: u64) {
        self.alerts.tick(START_US + at_s * SECOND_US, &mut self.out);
    }

    pub(super) fn told(&self) -> Vec<AlertRecord> {
        let record = |event: &Event| {
            let Body::Typed(typed) = &event.body else { panic!("{event:?}") };
            assert_eq!(&*self.topics.info(event.topic).name, "alert");
            AlertRecord { us: event.time_us, alert: typed.get::<Alert>().unwrap().clone() }
        };
        self.out.iter().map(record).collect()
    }

    /// What was told, in short: seconds since the start, rule, state.
    fn short(&self) -> Vec<(u64, String, &'static str)> {
        let short = |record: AlertRecord| {
            (
                (record.us - START_US) / SECOND_US,
                record.alert.rule.into(),
                record.alert.state.word(),
            )
        };
        self.told().into_iter().map(short).collect()
    }

    /// States alone, where one rule is.
    pub(super) fn states(&self) -> Vec<(u64, &'static str)> {
        self.short().into_iter().map(|(at, _, state)| (at, state)).collect()
    }
}

pub(super) fn rule(lines: &str) -> Rules {
    Rules::parse(&format!("[[rule]]\nname = \"x\"\nseverity = \"warning\"\n{lines}"), "test")
        .unwrap()
}

fn agent(capital: i64, trades: u32, wins: u32) -> Body {
    Body::Agent(Agent {
        agent: Arc::new(AgentName { slug: "momentum".into(), name: "⚡ Momentum".into() }),
        capital: Cents(capital),
        trades,
        wins,
        scars: 0,
        status: Status::Active,
        action: Action::Holds,
    })
}

fn json_body(value: &Value) -> Body {
    Body::External(Json::parse(value.to_string().into()).unwrap())
}

/// A payload that knows its own JSON, as indicators are.
#[derive(Debug)]
struct Reading(Value);

impl crate::event::Payload for Reading {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.to_string().as_bytes());
    }
}

fn indicator(interval: &str, rsi: &Value) -> Body {
    let payload = json!({"symbol": "BTC-USD", "interval": interval, "sma_20": 1.0, "ema_20": 2.0, "rsi_14": rsi});
    Body::Typed(Typed::new(Reading(payload)))
}

#[test]
fn s62_a_crafted_price_path_fires_holds_and_resolves_without_flapping() {
    let mut world = World::with_rule(
        "subject = \"market:BTC-USD\"\nfield = \"price\"\nis = \"above\"\nthreshold = 42_500\nhysteresis = 100\n\
         for = \"10s\"\nresolve_for = \"20s\"",
    );
    let path = [
        (0.0, 42_000.00),
        (1.0, 42_600.00), // past it …
        (5.0, 42_499.00), // … but not for long enough
        (10.0, 42_500.01),
        (15.0, 42_900.00),
        (19.0, 42_501.00), // nine seconds: not enough
        (21.0, 42_700.00), // eleven: fires
        (25.0, 42_450.00), // within the hysteresis: holds
        (30.0, 42_350.00), // back …
        (40.0, 42_450.00), // … and not any more, before its time: holds
        (50.0, 42_600.00), // past it once more: the same alert
        (60.0, 42_400.00), // exactly at the hysteresis: back
        (79.0, 42_300.00),
    ];
    for (at, dollars) in path {
        world.price(at, dollars);
    }
    assert_eq!(world.states(), [(21, "firing")]);
    world.tick(79);
    assert_eq!(world.out.len(), 1);
    assert_eq!(world.alerts.board().active().len(), 1);
    world.tick(80);
    assert_eq!(world.states(), [(21, "firing"), (80, "resolved")]);
    let told = world.told();
    let since_ms = START_US / 1_000 + 10_000;
    assert_eq!([told[0].alert.since_ms, told[1].alert.since_ms], [since_ms, since_ms]);
    assert_eq!((told[0].alert.value, told[0].alert.threshold), (42_501.0, 42_500.0));
    assert_eq!(
        (&*told[0].alert.subject, told[0].alert.severity),
        ("market:BTC-USD", Severity::Warning)
    );
    assert_eq!(world.alerts.board().active(), []);
    assert_eq!((world.alerts.metrics().triggered(), world.alerts.metrics().active()), (1, 0));
}

#[test]
fn s54_an_alert_fires_after_for_and_not_a_moment_before() {
    let lines =
        "subject = \"market:*\"\nfield = \"price\"\nis = \"below\"\nthreshold = 10\nfor = \"30s\"";
    for (after_us, count) in [(30 * SECOND_US - 1, 0), (30 * SECOND_US, 1), (30 * SECOND_US + 1, 1)]
    {
        let mut world = World::with_rule(lines);
        world.price(0.0, 9.0);
        world.alerts.tick(START_US + after_us, &mut world.out);
        assert_eq!(world.out.len(), count, "after {after_us} µs");
    }
}

#[test]
fn s24_capital_is_held_against_its_start_and_exactly_80_percent_is_enough() {
    let mut world = World::new(Rules::defaults());
    world.alerts.set_start_capital("momentum", Cents(5_000_000));
    for (at, capital) in
        [(0.0, 4_500_000), (1.0, 4_000_000), (2.0, 3_999_999), (3.0, 4_099_999), (4.0, 4_100_000)]
    {
        world.agent(at, capital, 0, 0);
    }
    let rule = || "agent_capital_low".to_owned();
    assert_eq!(world.short(), [(2, rule(), "firing"), (4, rule(), "resolved")]);
    assert_eq!(&*world.told()[0].alert.subject, "agent:momentum");
    // Nobody said what it began with: the first capital seen.
    let mut world = World::new(Rules::defaults());
    world.agent(0.0, 1_000_000, 0, 0);
    world.agent(1.0, 799_999, 0, 0);
    assert_eq!(world.short(), [(1, rule(), "firing")]);
    // A start that is told later counts from then on.
    world.alerts.set_start_capital("momentum", Cents(800_000));
    world.agent(2.0, 799_999, 0, 0);
    assert_eq!(world.short()[1..], [(2, rule(), "resolved")]);
}

#[test]
fn s24_a_low_win_rate_fires_once_there_are_trades_enough_to_tell() {
    let mut world = World::new(Rules::defaults());
    for (at, trades, wins) in
        [(0.0, 1, 0), (1.0, 19, 0), (2.0, 20, 10), (3.0, 21, 10), (4.0, 23, 12)]
    {
        world.agent(at, 5_000_000, trades, wins);
    }
    let rule = "agent_win_rate_low".to_owned();
    assert_eq!(world.short(), [(3, rule.clone(), "firing"), (4, rule, "resolved")]);
}

#[test]
fn s24_every_default_rule_of_the_engine_fires_and_resolves() {
    type Numbers = [(&'static str, f64)];
    let cases: [(&str, &Numbers, &Numbers); 3] = [
        (
            "cache_hit_rate_low",
            &[("cache_hit_rate", 0.89), ("cache_lookups_total", 100.0)],
            &[("cache_hit_rate", 0.92), ("cache_lookups_total", 200.0)],
        ),
        ("no_active_connections", &[("active_connections", 0.0)], &[("active_connections", 1.0)]),
        ("store_disk_low", &[("store_free_ratio", 0.09)], &[("store_free_ratio", 0.13)]),
    ];
    for (name, bad, good) in cases {
        let mut world = World::new(Rules::defaults());
        world.engine(0, bad);
        world.tick(300);
        world.engine(301, good);
        assert_eq!(world.short(), [(300, name.into(), "firing"), (301, name.into(), "resolved")]);
    }
    for (name, field, errors) in [
        ("api_errors_high", "api_errors_total", 40.0),
        ("http_errors_high", "http_errors_total", 400.0),
    ] {
        let mut world = World::new(Rules::defaults());
        world.engine(0, &[(field, 5.0)]);
        world.engine(299, &[(field, 5.0)]);
        world.engine(300, &[(field, 5.0 + errors)]);
        world.tick(360);
        world.tick(601);
        assert_eq!(world.short(), [(360, name.into(), "firing"), (601, name.into(), "resolved")]);
    }
    // Few look-ups say nothing of the hit rate.
    let mut world = World::new(Rules::defaults());
    world.engine(0, &[("cache_hit_rate", 0.1), ("cache_lookups_total", 99.0), ("unknown", 1.0)]);
    world.tick(300);
    assert_eq!(world.short(), []);
}

#[test]
fn s54_an_indicator_is_judged_at_the_interval_of_the_rule_alone() {
    let mut world = World::new(Rules::defaults());
    for (at, interval, rsi) in [
        (0.0, "1m", json!(50)),
        (1.0, "1s", json!(90)),
        (2.0, "1m", json!(null)),
        (3.0, "1m", json!(70.5)),
        (4.0, "1s", json!(10)),
        (5.0, "1m", json!(64)),
        (6.0, "1m", json!(29)),
    ] {
        let topic = format!("indicator:BTC-USD:{interval}");
        world.observe(at, &topic, indicator(interval, &rsi));
    }
    let (over, under) = ("rsi_overbought".to_owned(), "rsi_oversold".to_owned());
    assert_eq!(
        world.short(),
        [(3, over.clone(), "firing"), (5, over, "resolved"), (6, under, "firing")]
    );
}

#[test]
fn s54_a_threshold_may_be_another_number_of_the_same_subject() {
    let mut world = World::with_rule(
        "subject = \"indicator:*\"\ninterval = \"1m\"\nkind = \"crossing\"\nfield = \"ema_20\"\nis = \"above\"\nthreshold = \"sma_20\"",
    );
    for (at, ema, sma) in
        [(0.0, 10.5, 10.0), (1.0, 9.0, 10.0), (2.0, 10.1, 10.0), (3.0, 10.1, 10.2)]
    {
        let payload = json!({"interval": "1m", "ema_20": ema, "sma_20": sma.to_string()});
        world.observe(at, "indicator:BTC-USD:1m", json_body(&payload));
    }
    assert_eq!(world.states(), [(2, "firing"), (3, "resolved")]);
    assert_eq!(world.told()[1].alert.threshold, 10.2);
}

#[test]
fn a_topic_that_is_called_like_the_engine_says_nothing_of_it() {
    let mut world = World::with_rule(
        "subject = \"engine\"\nfield = \"active_connections\"\nis = \"below\"\nthreshold = 1",
    );
    world.observe(0.0, "engine", json_body(&json!({"active_connections": 0})));
    assert_eq!(world.states(), []);
    world.engine(1, &[("active_connections", 0.0)]);
    assert_eq!(world.states(), [(1, "firing")]);
}

#[test]
fn one_subject_more_than_may_be_is_passed_over_and_counted_once() {
    let rules = rule("subject = \"market:*\"\nfield = \"price\"\nis = \"above\"\nthreshold = 0");
    let mut world = World::with_options(rules, Options { subjects_max: 3, ..Options::default() });
    for (round, symbol) in ["A", "B", "C", "D", "D"].into_iter().enumerate() {
        let body = Body::Market(Market { symbol: symbol.into(), price: Cents(1) });
        world.observe(round as f64, &format!("market:{symbol}"), body);
        let refused = world.alerts.metrics().subjects_refused();
        assert_eq!(
            (world.out.len(), refused),
            ((round + 1).min(3), u64::from(round >= 3)),
            "{symbol}"
        );
    }
}

#[test]
fn s58_the_count_has_both_names_from_the_first_scrape() {
    let mut world = World::with_rule(
        "subject = \"market:*\"\nfield = \"price\"\nis = \"above\"\nthreshold = 0",
    );
    let registry = prometheus::Registry::new();
    let metrics = world.alerts.metrics();
    for collector in metrics.collectors().into_iter().chain(metrics.compat_collectors()) {
        registry.register(collector).unwrap();
    }
    let text = || prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for (count, after) in [(0, 0.0), (1, 1.0)] {
        world.price(after, after);
        for name in ["lineage_alerts_triggered_total", "alert_engine_alerts_triggered_total"] {
            let text = text();
            assert!(text.contains(&format!("# TYPE {name} counter\n{name} {count}\n")), "{text}");
        }
    }
    assert!(text().contains("\nlineage_alerts_active 1\n"));
}

proptest! {
    /// Per rule and subject `firing` and `resolved` take turns, times grow strictly, the lists agree with what was told, and
    /// it makes no difference how often time is told.
    #[test]
    fn alerts_of_a_random_path_take_turns_and_ticks_change_nothing(
        path in prop::collection::vec((0_u64..20, 0..3_usize, 0_i64..16, 0..4_u64), 1..150),
        (wait, resolve, hysteresis) in (0..15_u64, 0..15_u64, 0..4_u64),
        is_crossing: bool,
    ) {
        let kind = if is_crossing { "crossing" } else { "threshold" };
        let rules = || rule(&format!(
            "subject = \"market:*\"\nfield = \"price\"\nkind = \"{kind}\"\nis = \"above\"\nthreshold = 8\n\
             hysteresis = {hysteresis}\nfor = \"{wait}s\"\nresolve_for = \"{resolve}s\"",
        ));
        let (mut world, mut ticked) = (World::new(rules()), World::new(rules()));
        let mut now_s = 0;
        for (after_s, symbol, dollars, ticks) in path {
            for tick in 1..=ticks {
                ticked.tick(now_s + after_s * tick / (ticks + 1));
            }
            now_s += after_s;
            let symbol = ["A", "B", "C"][symbol];
            let topic = format!("market:{symbol}");
            let body = Body::Market(Market { symbol: symbol.into(), price: Cents(dollars * 100) });
            for world in [&mut world, &mut ticked] {
                world.observe(now_s as f64, &topic, body.clone());
            }
        }
        world.tick(now_s);
        ticked.tick(now_s);
        let mut on = HashMap::new();
        let mut last_us = 0;
        for record in ticked.told() {
            let is_firing = record.alert.state == AlertState::Firing;
            let was_on = on.insert(record.alert.subject.clone(), is_firing).unwrap_or(false);
            prop_assert!(was_on != is_firing, "{record:?}");
            prop_assert!(record.us > last_us);
            last_us = record.us;
        }
        let active = on.values().filter(|is_on| **is_on).count();
        prop_assert_eq!(ticked.alerts.board().active().len(), active);
        prop_assert_eq!(ticked.alerts.metrics().active(), i64::try_from(active).unwrap());
        for symbol in ["market:A", "market:B", "market:C"] {
            let of = |world: &World| -> Vec<Alert> {
                let told = world.told().into_iter().map(|record| record.alert);
                told.filter(|alert| &*alert.subject == symbol).collect()
            };
            prop_assert_eq!(of(&world), of(&ticked));
        }
    }
}
