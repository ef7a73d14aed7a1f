//! What lasts: the lists behind `GET /api/alerts`, older alerts of a history, and what goes on after a restart.

use super::tests::{SECOND_US, START_US, World, rule};
use super::*;
use crate::api::{Asked, Refusal};
use crate::event::Class;
use serde_json::{Value, json};
use std::sync::Mutex;

/// Alerts that somebody keeps, in the order in which they came.
#[derive(Debug, Default)]
struct Kept(Mutex<Vec<AlertRecord>>);

impl Kept {
    fn of(records: Vec<AlertRecord>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(records)))
    }
}

impl AlertHistory for Kept {
    fn alerts_before(&self, before_us: u64, limit: usize) -> Result<Vec<AlertRecord>, String> {
        let kept = self.0.lock().unwrap();
        let earlier = kept.iter().rev().filter(|record| record.us < before_us);
        Ok(earlier.take(limit).cloned().collect())
    }

    fn firing(&self) -> Result<Vec<AlertRecord>, String> {
        let mut newest = HashMap::new();
        for record in self.0.lock().unwrap().iter() {
            newest
                .insert((record.alert.rule.clone(), record.alert.subject.clone()), record.clone());
        }
        let firing = |record: &AlertRecord| record.alert.state == AlertState::Firing;
        Ok(newest.into_values().filter(firing).collect())
    }
}

#[derive(Debug)]
struct Broken;

impl AlertHistory for Broken {
    fn alerts_before(&self, _: u64, _: usize) -> Result<Vec<AlertRecord>, String> {
        Err("the disk is gone".into())
    }

    fn firing(&self) -> Result<Vec<AlertRecord>, String> {
        Err("the disk is gone".into())
    }
}

const PRICE_RULE: &str =
    "subject = \"market:*\"\nfield = \"price\"\nis = \"above\"\nthreshold = 10\nhysteresis = 1";

#[test]
fn what_was_firing_goes_on_after_a_restart_without_firing_again() {
    let mut before = World::with_rule(PRICE_RULE);
    before.price(0.0, 11.0);
    let kept = Kept::of(before.told());
    let mut after = World::with_rule(PRICE_RULE);
    assert_eq!(after.alerts.restore(kept, START_US, &mut after.out), Ok(1));
    assert_eq!((after.alerts.metrics().active(), after.alerts.metrics().triggered()), (1, 0));
    assert_eq!(after.alerts.board().active(), before.told());
    after.price(100.0, 12.0);
    after.price(101.0, 9.5);
    assert_eq!(after.states(), []);
    after.price(102.0, 9.0);
    assert_eq!(after.states(), [(102, "resolved")]);
    assert_eq!(after.told()[0].alert.since_ms, before.told()[0].alert.since_ms);
    assert_eq!((after.alerts.board().active(), after.alerts.metrics().active()), (vec![], 0));
}

#[test]
fn times_go_on_from_the_newest_alert_of_the_history_though_the_clock_was_set_back() {
    let mut before = World::with_rule(PRICE_RULE);
    before.price(0.0, 11.0);
    before.price(100.0, 9.0);
    let newest_us = before.told().last().unwrap().us;
    let mut after = World::with_rule(PRICE_RULE);
    let kept = Kept::of(before.told());
    assert_eq!(after.alerts.restore(kept, START_US, &mut after.out), Ok(0));
    after.price(50.0, 11.0);
    assert_eq!(after.told()[0].us, newest_us + 1);
    let times = after.alerts.board().alerts_before(u64::MAX, 10).unwrap();
    assert_eq!(times.len(), 3, "those of the history are on the page");
}

#[test]
fn what_no_rule_is_for_any_more_is_over_at_the_restart() {
    let mut before = World::with_rule(PRICE_RULE);
    before.price(0.0, 11.0);
    for rules in [Rules::none(), Rules::defaults()] {
        let mut after = World::new(rules);
        let restored = after.alerts.restore(Kept::of(before.told()), START_US - 7, &mut after.out);
        assert_eq!(restored, Ok(0));
        let told = after.told();
        assert_eq!((told.len(), told[0].alert.state), (1, AlertState::Resolved));
        assert_eq!(told[0].alert.since_ms, before.told()[0].alert.since_ms);
        // The clock was set back: its time is still later than that of what it ends.
        assert_eq!(told[0].us, before.told()[0].us + 1);
        assert_eq!(after.alerts.board().active(), []);
    }
}

#[test]
fn a_history_that_cannot_be_read_is_told_and_changes_nothing() {
    let mut world = World::with_rule(PRICE_RULE);
    let restored = world.alerts.restore(Arc::new(Broken), START_US, &mut world.out);
    assert_eq!(restored, Err("the disk is gone".into()));
    world.price(0.0, 11.0);
    assert_eq!(world.states(), [(0, "firing")]);
    assert!(!world.alerts.board().routes()[0].is_blocking);
}

/// What `GET /api/alerts` answers.
fn ask(alerts: &Alerts, given: &[(&str, &str)]) -> Result<Value, Refusal> {
    let route = alerts.board().routes().remove(0);
    assert_eq!(route.path, "/api/alerts");
    (route.answer)(&Asked::check(&route.parameters, given.iter().copied())?)
}

fn times(answer: &Value) -> Vec<u64> {
    let alerts = answer["alerts"].as_array().unwrap();
    alerts.iter().map(|alert| alert["us"].as_u64().unwrap() - START_US).collect()
}

#[test]
fn s54_the_list_shows_what_is_on_and_what_was_published_newest_first() {
    let mut world = World::with_rule(PRICE_RULE);
    for (at, dollars) in [(0.0, 11.0), (1.0, 9.0), (2.0, 12.0)] {
        world.price(at, dollars);
    }
    let answer = ask(&world.alerts, &[]).unwrap();
    assert_eq!(times(&answer), [2 * SECOND_US, SECOND_US, 0]);
    let newest = json!({
        "us": START_US + 2 * SECOND_US, "rule": "x", "state": "firing", "severity": "warning",
        "subject": "market:BTC-USD", "value": 12.0, "threshold": 10.0, "since_ms": START_US / 1_000 + 2_000,
    });
    assert_eq!((&answer["active"], &answer["active_total"]), (&json!([newest]), &json!(1)));
    assert_eq!(answer["alerts"][0], newest);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let example = world.alerts.board().routes().remove(0).example;
    assert_eq!(keys(&example), keys(&answer));
    assert_eq!(keys(&example["active"][0]), keys(&answer["active"][0]));
}

#[test]
fn a_page_goes_on_where_the_last_one_ended_from_memory_into_the_history() {
    let options = Options { recent_max: 2, ..Options::default() };
    let mut world = World::with_options(rule(PRICE_RULE), options);
    let kept = Kept::of(Vec::new());
    world.alerts.restore(kept.clone(), START_US, &mut world.out).unwrap();
    // All at one moment: published a microsecond apart.
    for dollars in [11.0, 9.0, 12.0, 8.0, 13.0] {
        world.price(0.0, dollars);
    }
    // The newest is not written yet.
    kept.0.lock().unwrap().extend(world.told().into_iter().take(4));
    assert_eq!(times(&ask(&world.alerts, &[]).unwrap()), [4, 3, 2, 1, 0]);
    let mut pages = Vec::new();
    let mut before = String::from("9999999999999999");
    loop {
        let page = times(&ask(&world.alerts, &[("limit", "2"), ("before_us", &before)]).unwrap());
        let Some(last) = page.last() else { break };
        before = (START_US + last).to_string();
        pages.push(page);
    }
    assert_eq!(pages, [vec![4, 3], vec![2, 1], vec![0]]);
    assert!(world.alerts.board().routes()[0].is_blocking);
}

#[test]
fn limits_of_the_list_are_held() {
    let mut world =
        World::with_options(rule(PRICE_RULE), Options { recent_max: 3, ..Options::default() });
    for (at, dollars) in [11.0, 9.0, 12.0, 8.0].into_iter().enumerate() {
        world.price(at as f64, dollars);
        assert_eq!(times(&ask(&world.alerts, &[]).unwrap()).len(), (at + 1).min(3));
    }
    for (limit, is_allowed) in [("0", false), ("1", true), ("1000", true), ("1001", false)] {
        assert_eq!(ask(&world.alerts, &[("limit", limit)]).is_ok(), is_allowed, "{limit}");
    }
}

#[test]
fn the_topic_of_alerts_is_one_of_events() {
    let world = World::new(Rules::none());
    let topic = world.topics.find("alert").unwrap();
    assert_eq!(world.topics.info(topic).class, Class::Event);
}
