//! What it costs to turn one event into bytes: nanoseconds per event into a reused buffer.
//!
//! Each group has two baselines from the same run: `copy`, a copy of the finished bytes (the least any encoder
//! could cost), and `serde_json` over a struct with the same fields. The aim is 100 ns for a 200-byte event.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lineage::encode::frame::FrameBuffer;
use lineage::encode::json::write_v1;
use lineage::encode::legacy::write_legacy;
use lineage::event::{
    Action, Agent, AgentName, Body, Cents, Event, Json, Market, Side, Status, Topic, Topics, Trade,
};
use serde::Serialize;
use std::hint::black_box;
use std::sync::Arc;

const TIME_US: u64 = 1_738_512_000_123_456;
const PAYLOAD: &str = concat!(
    r#"{"e":"trade","E":1723161253937,"s":"BTCUSDT","t":3735683259,"#,
    r#""p":"61685.99000000","q":"0.00010000"}"#
);

#[derive(Serialize)]
struct Envelope<'a, P> {
    r#type: &'a str,
    topic: &'a str,
    seq: u64,
    pos: u64,
    us: u64,
    payload: P,
    timestamp: u64,
}

#[derive(Serialize)]
struct MarketPayload<'a> {
    symbol: &'a str,
    price: f64,
}

#[derive(Serialize)]
struct AgentPayload<'a> {
    agent: &'a str,
    name: &'a str,
    capital: f64,
    trades: u32,
    win_rate: f64,
    scars: u32,
    status: &'a str,
    action: String,
}

#[derive(Serialize)]
struct TradePayload<'a> {
    agent: &'a str,
    symbol: &'a str,
    side: &'a str,
    price: f64,
    quantity: f64,
    pnl: f64,
    won: bool,
}

#[derive(Serialize)]
struct LegacyMarket<'a> {
    r#type: &'a str,
    symbol: &'a str,
    price: f64,
    timestamp: u64,
}

/// One group: the encoder under test, and its baselines.
fn compare(
    criterion: &mut Criterion,
    name: &str,
    encode: impl Fn(&mut Vec<u8>),
    with_serde: impl Fn(&mut Vec<u8>),
) {
    let mut out = Vec::with_capacity(1_024);
    encode(&mut out);
    let finished = out.clone();
    let mut group = criterion.benchmark_group(format!("encode/{name}"));
    group.throughput(Throughput::Bytes(finished.len() as u64));
    let mut run = |label: &str, write: &dyn Fn(&mut Vec<u8>)| {
        group.bench_function(label, |bencher| {
            bencher.iter(|| {
                out.clear();
                write(&mut out);
                black_box(&out);
            });
        });
    };
    run("ours", &encode);
    run("copy", &|out| out.extend_from_slice(black_box(&finished)));
    run("serde_json", &with_serde);
    group.finish();
}

fn to_writer(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value).expect("a vector takes all that is written");
}

fn envelope<'a, P>(r#type: &'a str, topic: &'a str, payload: P) -> Envelope<'a, P> {
    let (us, timestamp) = (black_box(TIME_US), TIME_US / 1_000);
    Envelope {
        r#type,
        topic,
        seq: black_box(5_013),
        pos: black_box(81_301),
        us,
        payload,
        timestamp,
    }
}

fn momentum() -> Arc<AgentName> {
    Arc::new(AgentName { slug: "momentum".into(), name: "⚡ Momentum".into() })
}

fn market() -> Body {
    Body::Market(Market { symbol: "BTC-USD".into(), price: Cents(4_200_050) })
}

fn agent() -> Body {
    Body::Agent(Agent {
        agent: momentum(),
        capital: Cents(5_000_000),
        trades: 5,
        wins: 3,
        scars: 1,
        status: Status::Active,
        action: Action::Won(450),
    })
}

fn trade() -> Body {
    Body::Trade(Trade {
        agent: momentum(),
        symbol: "BTC-USD".into(),
        side: Side::Buy,
        price: Cents(4_200_050),
        quantity: Cents(25),
        pnl: Cents(45_012),
        won: true,
    })
}

/// Calls `write` with the v1 encoder of one event.
fn v1(topics: &Topics, name: &str, body: Body) -> impl Fn(&mut Vec<u8>) {
    let topic = topics.register(name, None).expect("a valid name");
    let event = Event { topic, key: 0, time_us: TIME_US, body };
    move |out: &mut Vec<u8>| {
        write_v1(out, topics.info(topic), black_box(5_013), black_box(81_301), black_box(&event));
    }
}

fn own_events(criterion: &mut Criterion) {
    let topics = Topics::new();
    compare(criterion, "market_v1", v1(&topics, "market:BTC-USD", market()), |out| {
        let payload = MarketPayload { symbol: "BTC-USD", price: black_box(42_000.5) };
        to_writer(out, &envelope("market", "market:BTC-USD", payload));
    });
    compare(criterion, "agent_v1", v1(&topics, "agent:momentum", agent()), |out| {
        let payload = AgentPayload {
            agent: "momentum",
            name: "⚡ Momentum",
            capital: black_box(50_000.0),
            trades: black_box(5),
            win_rate: black_box(0.6),
            scars: black_box(1),
            status: "active",
            action: format!("⚡ Momentum WON trade (+${})", black_box(450)),
        };
        to_writer(out, &envelope("agent", "agent:momentum", payload));
    });
    compare(criterion, "trade_v1", v1(&topics, "trade:momentum", trade()), |out| {
        let payload = TradePayload {
            agent: "momentum",
            symbol: "BTC-USD",
            side: "buy",
            price: black_box(42_000.5),
            quantity: black_box(0.25),
            pnl: black_box(450.12),
            won: true,
        };
        to_writer(out, &envelope("trade", "trade:momentum", payload));
    });
}

fn foreign_events(criterion: &mut Criterion) {
    let topics = Topics::new();
    let body = Body::External(Json::parse(Bytes::from_static(PAYLOAD.as_bytes())).expect("valid"));
    // What a foreign payload costs with serde_json: it has to be a value first, so it is parsed outside the loop.
    let value: serde_json::Value = serde_json::from_str(PAYLOAD).expect("valid");
    compare(criterion, "external_v1", v1(&topics, "binance:trade:BTCUSDT", body), |out| {
        to_writer(out, &envelope("trade", "binance:trade:BTCUSDT", black_box(&value)));
    });
    criterion.bench_function("encode/check_external", |bencher| {
        let bytes = Bytes::from_static(PAYLOAD.as_bytes());
        bencher.iter(|| Json::parse(black_box(bytes.clone())));
    });
}

fn legacy(criterion: &mut Criterion) {
    let event = Event { topic: Topic::from_index(0), key: 0, time_us: TIME_US, body: market() };
    let ours = |out: &mut Vec<u8>| {
        black_box(write_legacy(out, black_box(&event)));
    };
    compare(criterion, "market_legacy", ours, |out| {
        let (price, timestamp) = (black_box(42_000.5), black_box(TIME_US) / 1_000_000);
        to_writer(out, &LegacyMarket { r#type: "market", symbol: "BTC-USD", price, timestamp });
    });
}

fn framed(criterion: &mut Criterion) {
    let topics = Topics::new();
    let write = v1(&topics, "agent:momentum", agent());
    let mut buffer = FrameBuffer::default();
    criterion.bench_function("encode/agent_v1_framed", |bencher| {
        bencher.iter(|| {
            write(buffer.begin());
            black_box(buffer.finish().len())
        });
    });
}

criterion_group!(benches, own_events, foreign_events, legacy, framed);
criterion_main!(benches);
