//! A result as a run of a minute with 10,000 clients leaves it, the same each time: the publisher stalls once.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses its part; a test fails by panicking"
)]

use std::collections::BTreeMap;

use loadtest::measure::{Group, Hist, Packed, Part, Second, SkewSample};
use loadtest::publish::Published;
use loadtest::result::{
    Check, Clients, Environment, Events, Generator, LatencyUs, PublisherEffort, Quantiles, Rates,
    RunResult, SCHEMA, SecondLine, Skew, Verdict,
};

/// Seconds that it lasted.
pub(crate) const SECONDS: u64 = 60;
const CLIENTS: u64 = 10_000;
const EVENTS_PER_S: u64 = 10;
const DELIVERIES: u64 = SECONDS * EVENTS_PER_S * CLIENTS;
/// The second in which the publisher was 200 ms late.
const STALL_AT_S: u64 = 37;

/// A run that passed.
pub(crate) fn passed() -> RunResult {
    let detail = detail();
    let strict = detail.clients.clone();
    RunResult {
        schema: SCHEMA.to_owned(),
        environment: environment(),
        clients: Clients {
            asked: CLIENTS + 100,
            connected: CLIENTS + 100,
            failed: 0,
            closed: 12,
            strict,
            faulty: detail.faulty.clone(),
        },
        events: events(DELIVERIES),
        faulty_events: Events { announced_gaps: 41, gap_events: 977, ..events(52_118) },
        rates: rates(),
        latency_us: Some(LatencyUs {
            scheduled: Some(quantiles(&detail.latency.scheduled)),
            actual: Some(quantiles(&detail.latency.actual)),
            publish_delay: Some(Quantiles {
                count: 600,
                mean: 347.1,
                p50: 11,
                max: 200_447,
                ..quantiles(&detail.connect)
            }),
        }),
        latency_note: None,
        connect_us: quantiles(&detail.connect),
        skew_us: skew(&detail),
        per_second: per_second(&detail),
        generator: generator(&detail),
        faults: Vec::new(),
        verdict: verdict(&detail),
        detail,
        published: Some(Published { accepted: 600, due: 600, cpu_s: 0.31, ..Published::default() }),
    }
}

/// One that failed, with texts that try to break out of wherever they are written.
pub(crate) fn failed() -> RunResult {
    let mut result = passed();
    let nasty = "</script><script>document.title='broken out'</script>{{script}}<!--&\"'\u{1}";
    result.environment.scenario = format!("nasty {nasty}");
    result.faults = vec![
        format!("client 4711 lost {nasty} seq 17 to 19"),
        "client 4712, topic fire:3: seq 8 after seq 9".to_owned(),
    ];
    result.events.lost = 3;
    result.events.reordered = 1;
    result.clients.strict.close_codes = BTreeMap::from([(1006, 4), (1013, 8)]);
    result.clients.strict.failure_reasons = BTreeMap::from([(nasty.to_owned(), 2)]);
    result.generator.limited = true;
    result.generator.limits = vec!["the busiest client thread used 97 % of a core".to_owned()];
    let lost = Check { name: "lost == 0".to_owned(), value: "3".to_owned(), pass: false };
    result.verdict = Verdict { pass: false, exit_code: 99, interrupted: true, checks: vec![lost] };
    result
}

fn environment() -> Environment {
    Environment {
        tool: "loadtest 0.1.0".to_owned(),
        command: "loadtest 10k-firehose --slow 1%@64KiB/s --html report.html".to_owned(),
        scenario: "10k-firehose".to_owned(),
        url: "ws://127.0.0.1:9001/v1".to_owned(),
        started_unix_ms: 1_760_000_000_123,
        host: "bench".to_owned(),
        boot_id: "5c1f3c9e-0d3b-4a55-9a41-0f6ddf9d3d11".to_owned(),
        kernel: "Linux 6.1.0".to_owned(),
        cpu: "Example CPU @ 2.80GHz".to_owned(),
        cores: 2,
        descriptors: 1_048_576,
    }
}

/// Numbers that look like chance and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn detail() -> Part {
    let mut dice = Dice(7);
    let mut part = Part {
        clients: Group { asked: CLIENTS, connected: CLIENTS, ..Group::default() },
        ..Part::default()
    };
    let slow = Group { asked: 100, connected: 100, closed: 12, reconnected: 9, ..Group::default() };
    part.faulty.insert("slow".to_owned(), slow);
    for _ in 0..CLIENTS {
        part.connect
            .record(180 + dice.below(900) + dice.below(40) * dice.below(40) * dice.below(40));
    }
    let ramp_s = 2;
    for at in 0..SECONDS + ramp_s {
        let mut second =
            Second { connected: CLIENTS.min((at + 1) * CLIENTS / ramp_s), ..Second::default() };
        if at >= ramp_s {
            second_of_events(at, &mut second, &mut part, &mut dice);
        }
        part.seconds.insert(1_760_000_000 + at, second);
    }
    for seq in 0..600 {
        let last_us = 38_000 + dice.below(4_000) + dice.below(60) * dice.below(300);
        part.skew.insert(
            format!("fire:{}#{seq}", seq % 10),
            SkewSample { first_us: 0, last_us, clients: CLIENTS },
        );
    }
    part.effort.loop_delay.record_n(120, 900_000);
    part.effort.loop_delay.record_n(2_400, 9_000);
    part
}

/// Each event reaches the clients one after the other, within some 40 ms.
fn second_of_events(at: u64, second: &mut Second, part: &mut Part, dice: &mut Dice) {
    let mut scheduled = Hist::default();
    for event in 0..EVENTS_PER_S {
        let late_us = if at == STALL_AT_S {
            200_000_u64.saturating_sub(event * 100_000)
        } else {
            dice.below(40)
        };
        let sweep_us = 330 + dice.below(60);
        for step in 1..=100 {
            let waited = 150
                + step * sweep_us
                + dice.below(500)
                + u64::from(dice.below(900) == 0) * dice.below(30_000);
            part.latency.actual.record_n(waited, CLIENTS / 100);
            scheduled.record_n(waited + late_us, CLIENTS / 100);
        }
    }
    part.latency.scheduled.merge(&scheduled);
    second.delivered = scheduled.len();
    second.bytes = second.delivered * 352;
    second.latency = Packed::new(&scheduled);
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn rates() -> Rates {
    Rates {
        measured_s: SECONDS as f64,
        published_per_s: Some(EVENTS_PER_S as f64),
        delivered_per_s: (DELIVERIES / SECONDS) as f64,
        bytes_per_s: (DELIVERIES / SECONDS * 352) as f64,
        messages_per_read: 1.037,
        per_client_min: 600,
        per_client_p50: 600,
        per_client_max: 600,
        fairness: 1.0,
    }
}

fn events(delivered: u64) -> Events {
    Events { published: Some(600), expected: delivered, delivered, ..Events::default() }
}

fn quantiles(hist: &Hist) -> Quantiles {
    Quantiles {
        count: hist.len(),
        mean: hist.mean(),
        p50: hist.quantile(0.5),
        p90: hist.quantile(0.9),
        p99: hist.quantile(0.99),
        p99_9: Some(hist.quantile(0.999)),
        p99_99: Some(hist.quantile(0.9999)),
        max: hist.max(),
    }
}

fn skew(detail: &Part) -> Skew {
    let mut hist = Hist::default();
    detail.skew.values().for_each(|sample| hist.record(sample.last_us - sample.first_us));
    Skew { events: hist.len(), last_less_first: quantiles(&hist) }
}

fn per_second(detail: &Part) -> Vec<SecondLine> {
    let line = |(at_s, second): (u64, &Second)| {
        let hist = second.latency.unpack().unwrap();
        SecondLine {
            at_s,
            delivered: second.delivered,
            bytes: second.bytes,
            connected: second.connected,
            p50_us: hist.quantile(0.5),
            p99_us: hist.quantile(0.99),
            p99_9_us: hist.quantile(0.999),
            max_us: hist.max(),
        }
    };
    (0..).zip(detail.seconds.values()).map(line).collect()
}

fn generator(detail: &Part) -> Generator {
    Generator {
        workers: 1,
        cpu_s: 19.42,
        cpu_us_per_delivery: 3.185,
        busiest: 0.3185,
        loop_delay_us: quantiles(&detail.effort.loop_delay),
        bytes_per_client: 741,
        publisher: Some(PublisherEffort { due: 600, dropped: 0, rejected: 0, cpu_s: 0.31 }),
        limited: false,
        limits: Vec::new(),
    }
}

fn verdict(detail: &Part) -> Verdict {
    let p99 = format!("{} µs", detail.latency.scheduled.quantile(0.99));
    let checks = [
        ("clients connected == asked", "10,100".to_owned()),
        ("lost == 0", "0".to_owned()),
        ("duplicated == 0", "0".to_owned()),
        ("reordered == 0", "0".to_owned()),
        ("p99 > 250ms", p99),
    ];
    let check = |(name, value): (&str, String)| Check { name: name.to_owned(), value, pass: true };
    let checks = checks.map(check).to_vec();
    Verdict { pass: true, exit_code: 0, interrupted: false, checks }
}
