//! Goal: the alert engine is shown the engine in time, and the webhook hears of everything that is told. Method: the watch
//! called by hand, or the pipeline with its stop raised.

use super::alerts::{Alerts, Rules, Webhook, WebhookOptions};
use super::tests::{MIDNIGHT_US, World};
use super::{AlertOptions, EngineFigures, History, Metrics, Options, Pipeline, Watch};
use crate::event::{Alert, AlertState, Body, Severity, Topics, Typed};
use crate::source::Source;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[test]
fn the_engine_is_looked_at_once_a_second_though_the_clock_is_set_back() {
    let looks = Arc::new(AtomicU64::new(0));
    let engine = looks.clone();
    let engine = EngineFigures(Box::new(move || {
        engine.fetch_add(1, Ordering::Relaxed);
        Vec::new()
    }));
    let alerts = Alerts::new(Rules::none(), &Topics::new(), AlertOptions::default());
    let alerts = alerts.expect("a topic");
    let mut watch = Watch { alerts, engine, webhook: None, due_us: 0 };
    let steps = [(0, 1), (999_999, 1), (1_000_000, 2), (1_000_000, 2), (1_999_999, 2)];
    // An hour back, and on from there.
    let back = [(-3_600_000_000_i64, 3), (-3_599_000_001, 3), (-3_599_000_000, 4)];
    for (after_us, expected) in steps.into_iter().chain(back) {
        let now_us = MIDNIGHT_US.saturating_add_signed(after_us);
        watch.step(now_us, &mut Vec::new());
        assert_eq!(looks.load(Ordering::Relaxed), expected, "{after_us}");
    }
}

#[test]
fn alerts_that_ended_while_nobody_watched_are_sent_too() {
    let world = World::new();
    let (options, metrics) = (Options::default(), Arc::new(Metrics::new()));
    let tap = world.tap(&Pipeline::TOPICS, 2);
    let alerts = Alerts::new(Rules::none(), &world.topics, AlertOptions::default());
    // Nobody listens there: what is handed in is counted as failed at its only try.
    let address = WebhookOptions { attempts_max: 1, ..WebhookOptions::new("http://127.0.0.1:1/") };
    let webhook = Arc::new(Webhook::start(&address, world.clock.clone()).expect("a URL"));
    let alert = Alert {
        rule: "gone".into(),
        state: AlertState::Resolved,
        severity: Severity::Info,
        subject: "agent:momentum".into(),
        value: 1.0,
        threshold: 2.0,
        since_ms: 3,
    };
    let ended = world.event("alert", Body::Typed(Typed::new(alert)));
    let engine = EngineFigures(Box::new(Vec::new));
    let mut pipeline = Pipeline::new(&options, tap, History::new(&options, None), metrics)
        .watched_by(alerts.expect("a topic"), engine, Some(webhook.clone()))
        .beginning_with(vec![ended]);
    world.stop.stop();
    pipeline.run(world.context()).expect("it ends well");
    drop(pipeline);
    let counts = webhook.metrics().clone();
    Arc::into_inner(webhook).expect("nobody else has it").finish();
    assert_eq!((counts.failed(), counts.dropped()), (1, 0));
}
