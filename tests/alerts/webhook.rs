//! Alerts of a whole engine at a receiver: signed, again until they are taken, never after, and no more than may wait.

use super::receiver::Receiver;
use super::world::World;
use lineage::config::Config;
use std::time::Duration;

const SECRET: &str = "a secret of the test";

/// A rule that fires when a second closes higher by more than `above`, and one that holds for as many as wanted.
fn rule(name: &str, above: f64) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\nseverity = \"info\"\nsubject = \"indicator:BTC-USD\"\ninterval = \"1s\"\n\
         field = \"return\"\nis = \"above\"\nthreshold = {above:?}\n"
    )
}

fn sending_to(receiver: &Receiver) -> impl FnOnce(Config) -> Config {
    let url = format!("http://{}/hook", receiver.address());
    move |mut config| {
        config.webhook.url = url;
        config.webhook.secret = Some(SECRET.to_owned());
        config.webhook.backoff_min = Duration::from_millis(5);
        config.webhook.backoff_max = Duration::from_millis(20);
        config.webhook.attempts_max = 100;
        config
    }
}

#[test]
fn s54_a_receiver_that_fails_gets_the_alert_again_and_not_once_more_when_it_took_it() {
    let receiver = Receiver::open(None);
    let address = receiver.address();
    let mut world = World::new(&rule("jump", 0.05), |config| {
        let mut config = sending_to(&receiver)(config);
        config.webhook.timeout = Duration::from_millis(300);
        config
    });
    let mut client = world.client(&["alert"]);
    [10_000, 10_000, 11_000].into_iter().for_each(|cents| world.close(cents));
    let told = world.settle(&mut client);
    assert_eq!(told.len(), 1, "{told:?}");

    // An error; then nobody is there; then an answer that does not come.
    let first = receiver.next();
    let delivery = first.header("x-lineage-delivery");
    let fired = first.alert(SECRET);
    assert_eq!((&fired["rule"], &fired["state"]), (&"jump".into(), &"firing".into()));
    assert_eq!(fired["us"], told[0]["us"]);
    assert_eq!(fired["value"], told[0]["payload"]["value"]);
    drop(receiver);
    first.answer(500);
    let refused = || world.count("lineage_webhook_retries_total");
    super::support::wait_until("a try that nobody takes", || refused() >= 2);
    let receiver = Receiver::open(Some(address));
    let slow = receiver.next();
    assert_eq!(slow.header("x-lineage-delivery"), delivery);
    slow.outwait();
    let again = receiver.next();
    assert_eq!(
        (again.header("x-lineage-delivery"), again.alert(SECRET)),
        (delivery.clone(), fired)
    );
    assert_eq!(world.count("lineage_webhook_delivered_total"), 0);
    again.answer(204);
    world.wait_for("lineage_webhook_delivered_total", 1);

    // The next request is of the next alert.
    world.close(11_000);
    world.settle(&mut client);
    let next = receiver.next();
    assert_ne!(next.header("x-lineage-delivery"), delivery);
    assert_eq!(next.alert(SECRET)["state"], "resolved");
    next.answer(200);
    world.wait_for("lineage_webhook_delivered_total", 2);
    let telemetry = world.engine.telemetry().clone();
    drop(client);
    let _ = world.engine.drain(super::support::PATIENCE);
    assert!(receiver.is_idle(), "something was sent after it was taken");
    let text = String::from_utf8(telemetry.text()).expect("text");
    for (name, count) in [("failed", 0), ("dropped", 0), ("delivered", 2)] {
        let name = format!("lineage_webhook_{name}_total");
        assert_eq!(super::world::value(&text, &name), Some(count), "{name}");
    }
}

#[test]
fn s54_what_waits_at_a_stop_is_delivered_and_what_did_not_fit_is_counted() {
    // One alert is under way; of the next ones two may wait.
    for (further, dropped) in [(1, 0), (2, 0), (3, 1)] {
        let receiver = Receiver::open(None);
        let all: String = (0..further).map(|n| rule(&format!("jump_{n}"), 0.15)).collect();
        let mut world = World::new(&(rule("first", 0.05) + &all), |config| {
            let mut config = sending_to(&receiver)(config);
            config.webhook.queue_max = 2;
            config.webhook.timeout = Duration::from_secs(60);
            config
        });
        let mut client = world.client(&["alert"]);
        [10_000, 10_000, 11_000].into_iter().for_each(|cents| world.close(cents));
        world.settle(&mut client);
        let first = receiver.next();
        assert_eq!(first.alert(SECRET)["rule"], "first");
        // All others fire at once, and the first stays on.
        world.close(13_200);
        assert_eq!(world.settle(&mut client).len(), further);
        world.wait_for("lineage_webhook_dropped_total", dropped);
        let telemetry = world.engine.telemetry().clone();
        let waiting = further - usize::try_from(dropped).expect("few");
        let answering = std::thread::spawn(move || {
            first.answer(200);
            for n in 0..waiting {
                let request = receiver.next();
                assert_eq!(request.alert(SECRET)["rule"], format!("jump_{n}"));
                request.answer(200);
            }
        });
        drop(client);
        let _ = world.engine.drain(super::support::PATIENCE);
        answering.join().expect("every request came");
        let text = String::from_utf8(telemetry.text()).expect("text");
        let count = |name| super::world::value(&text, name);
        let delivered = count("lineage_webhook_delivered_total");
        assert_eq!(delivered, u64::try_from(1 + waiting).ok(), "{further} further ones");
        assert_eq!(count("lineage_webhook_dropped_total"), Some(dropped));
    }
}
