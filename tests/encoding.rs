//! Goal: the bytes that leave the process are the ones the protocol fixes. Method: golden files for one event of
//! each kind, and random events, odd names included, against the same message built with serde_json.

use bytes::Bytes;
use lineage::encode::json::write_v1;
use lineage::encode::legacy::write_legacy;
use lineage::event::{
    Action, Agent, AgentName, Body, Cents, Class, Event, Json, Market, Side, Status, Topic, Topics,
    Trade,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

const TIME_US: u64 = 1_738_512_000_123_456;

fn momentum() -> Arc<AgentName> {
    Arc::new(AgentName { slug: "momentum".into(), name: "⚡ Momentum".into() })
}

fn market() -> Body {
    Body::Market(Market { symbol: "BTC-USD".into(), price: Cents(4_200_050) })
}

fn agent(action: Action) -> Body {
    let (capital, status) = (Cents(5_000_000), Status::Active);
    Body::Agent(Agent { agent: momentum(), capital, trades: 5, wins: 3, scars: 1, status, action })
}

fn v1(topic: &str, seq: u64, pos: u64, body: Body) -> String {
    let topics = Topics::new();
    let topic = topics.register(topic, None).expect("a valid name");
    let mut out = Vec::new();
    write_v1(
        &mut out,
        topics.info(topic),
        seq,
        pos,
        &Event { topic, key: 0, time_us: TIME_US, body },
    );
    String::from_utf8(out).expect("written as text")
}

fn legacy(body: Body) -> Option<String> {
    let mut out = b"before".to_vec();
    let is_written = write_legacy(
        &mut out,
        &Event { topic: Topic::from_index(0), key: 0, time_us: TIME_US, body },
    );
    let text = String::from_utf8(out).expect("written as text");
    let message = text.strip_prefix("before").expect("appended");
    assert_eq!(is_written, !message.is_empty());
    is_written.then(|| message.to_owned())
}

#[test]
fn s08_market_message_has_the_legacy_bytes() {
    let golden = include_str!("golden/legacy_market.json");
    assert_eq!(legacy(market()).as_deref(), golden.strip_suffix('\n'));
}

#[test]
fn s09_agent_message_has_the_legacy_bytes() {
    let golden = include_str!("golden/legacy_agent.json");
    assert_eq!(legacy(agent(Action::Won(450))).as_deref(), golden.strip_suffix('\n'));
}

#[test]
fn s09_win_rate_is_in_percent_with_one_decimal_and_zero_before_the_first_trade() {
    let expected = [
        (0, 0, "0.0"),
        (0, 7, "0.0"),
        (1, 3, "33.3"),
        (2, 3, "66.7"),
        (1, 16, "6.3"),
        (7, 7, "100.0"),
    ];
    for (wins, trades, percent) in expected {
        let Body::Agent(agent) = agent(Action::Holds) else { unreachable!() };
        let message = legacy(Body::Agent(Agent { wins, trades, ..agent }))
            .expect("agents have a legacy form");
        assert!(message.contains(&format!(r#""win_rate":{percent},"scars""#)), "{message}");
    }
}

#[test]
fn s09b_action_forms() {
    let expected = [
        (Action::Won(450), "⚡ Momentum WON trade (+$450)"),
        (Action::Lost(252), "⚡ Momentum LOSS trade (-$252)"),
        (Action::Holds, "⚡ Momentum holds"),
        (Action::Rests, "⚡ Momentum rests"),
    ];
    for (action, text) in expected {
        let ending = format!(r#","action":"{text}","timestamp":1738512000}}"#);
        let message = legacy(agent(action)).expect("agents have a legacy form");
        assert!(message.ends_with(&ending), "{message}");
        assert!(
            v1("agent:momentum", 1, 1, agent(action)).contains(&format!(r#""action":"{text}"}}"#))
        );
    }
}

#[test]
fn trades_and_foreign_events_have_no_legacy_form() {
    assert_eq!(legacy(trade()), None);
    assert_eq!(legacy(Body::External(Json::vouched(Bytes::from_static(b"{}")))), None);
}

fn trade() -> Body {
    Body::Trade(Trade {
        agent: momentum(),
        symbol: "BTC-USD".into(),
        side: Side::Sell,
        price: Cents(4_200_050),
        quantity: Cents(25),
        pnl: Cents(-25_207),
        won: false,
    })
}

#[test]
fn v1_messages_have_the_golden_bytes() {
    let payload = r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161253937,"s":"BTCUSDT","t":3735683259,"p":"61685.99000000","q":"0.00010000","T":1723161253936,"m":true,"M":true}}"#;
    let external =
        Body::External(Json::parse(Bytes::from_static(payload.as_bytes())).expect("valid"));
    let written = [
        (v1("market:BTC-USD", 5_013, 81_301, market()), include_str!("golden/v1_market.json")),
        (
            v1("agent:momentum", 17, 81_302, agent(Action::Won(450))),
            include_str!("golden/v1_agent.json"),
        ),
        (v1("trade:momentum", 3, 81_303, trade()), include_str!("golden/v1_trade.json")),
        (
            v1("binance:trade:BTCUSDT", 9_007, 81_304, external),
            include_str!("golden/v1_external.json"),
        ),
    ];
    for (message, golden) in written {
        assert_eq!(Some(message.as_str()), golden.strip_suffix('\n'));
    }
}

#[test]
fn a_recorded_event_is_told_with_the_time_at_which_it_was_published_first() {
    let payload = Json::vouched(Bytes::from_static(b" 7"));
    let recorded = v1("x:y", 1, 2, Body::Recorded { us: 1_999, payload });
    let said = r#"{"type":"y","topic":"x:y","seq":1,"pos":2,"us":1999,"payload": 7,"timestamp":1}"#;
    assert_eq!(recorded, said);
}

#[test]
fn v1_numbers_are_written_over_their_whole_range() {
    let body = Body::Market(Market { symbol: "X".into(), price: Cents(i64::MIN) });
    let message = v1("market:X", u64::MAX, u64::MAX, body);
    assert!(
        message.contains(r#""seq":18446744073709551615,"pos":18446744073709551615,"#),
        "{message}"
    );
    assert!(message.contains(r#""price":-92233720368547758.08}"#), "{message}");
}

#[test]
fn writing_into_a_grown_buffer_does_not_move_it() {
    let topics = Topics::new();
    let topic = topics.register("agent:momentum", Some(Class::State)).expect("a valid name");
    let event = Event { topic, key: 0, time_us: TIME_US, body: agent(Action::Lost(252)) };
    let mut out = Vec::with_capacity(512);
    let (place, capacity) = (out.as_ptr(), out.capacity());
    for seq in 0..1_000 {
        out.clear();
        write_v1(&mut out, topics.info(topic), seq, seq, &event);
        assert!(write_legacy(&mut out, &event));
    }
    assert_eq!((out.as_ptr(), out.capacity()), (place, capacity));
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9-]{1,12}",
        "(?s).{0,16}",
        Just("\"\\\u{0}\u{1f}\u{7f}\u{2028}⚡🛡️".to_owned())
    ]
}

prop_compose! {
    fn any_agent_name()(slug in any_name(), name in any_name()) -> Arc<AgentName> {
        Arc::new(AgentName { slug: slug.into(), name: name.into() })
    }
}

/// Amounts whose decimal form a double reads back exactly to the cent.
fn any_cents() -> impl Strategy<Value = Cents> {
    prop_oneof![-1_000_i64..1_000, -9_000_000_000_000..9_000_000_000_000_i64].prop_map(Cents)
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        any::<u32>().prop_map(Action::Won),
        any::<u32>().prop_map(Action::Lost),
        Just(Action::Holds),
        Just(Action::Rests)
    ]
}

prop_compose! {
    fn any_agent()(
        agent in any_agent_name(), capital in any_cents(), (wins, trades) in (0_u32..=u32::MAX).prop_flat_map(
            |trades| (0..=trades, Just(trades))
        ), scars in any::<u32>(), is_active in any::<bool>(), action in any_action(),
    ) -> Agent {
        let status = if is_active { Status::Active } else { Status::Resting };
        Agent { agent, capital, trades, wins, scars, status, action }
    }
}

prop_compose! {
    fn any_trade()(
        agent in any_agent_name(), symbol in any_name(), is_buy in any::<bool>(), price in any_cents(),
        quantity in any_cents(), pnl in any_cents(), won in any::<bool>(),
    ) -> Trade {
        let side = if is_buy { Side::Buy } else { Side::Sell };
        Trade { agent, symbol: symbol.into(), side, price, quantity, pnl, won }
    }
}

fn any_body() -> impl Strategy<Value = (&'static str, Body)> {
    let external = (any_name(), any::<i64>()).prop_map(|(name, number)| {
        let bytes = Bytes::from(json!({ "name": name, "number": [number, null] }).to_string());
        ("desk:signal:X", Body::External(Json::parse(bytes).expect("written by serde_json")))
    });
    prop_oneof![
        (any_name(), any_cents()).prop_map(|(symbol, price)| (
            "market:X",
            Body::Market(Market { symbol: symbol.into(), price })
        )),
        any_agent().prop_map(|agent| ("agent:x", Body::Agent(agent))),
        any_trade().prop_map(|trade| ("trade:x", Body::Trade(trade))),
        external,
    ]
}

/// The definition of an amount: its decimal text, read as a number.
fn amount(cents: Cents) -> Value {
    let (sign, size) = (if cents.0 < 0 { "-" } else { "" }, cents.0.unsigned_abs());
    serde_json::from_str(&format!("{sign}{}.{:02}", size / 100, size % 100)).expect("a number")
}

fn action(agent: &Agent) -> String {
    let name = &agent.agent.name;
    match agent.action {
        Action::Won(dollars) => format!("{name} WON trade (+${dollars})"),
        Action::Lost(dollars) => format!("{name} LOSS trade (-${dollars})"),
        Action::Holds => format!("{name} holds"),
        Action::Rests => format!("{name} rests"),
    }
}

fn payload(body: &Body) -> Value {
    match body {
        Body::Market(market) => json!({ "symbol": *market.symbol, "price": amount(market.price) }),
        Body::Agent(agent) => json!({
            "agent": agent.agent.slug, "name": agent.agent.name, "capital": amount(agent.capital),
            "trades": agent.trades, "win_rate": null, "scars": agent.scars,
            "status": if agent.status == Status::Active { "active" } else { "resting" }, "action": action(agent),
        }),
        Body::Trade(trade) => json!({
            "agent": trade.agent.slug, "symbol": *trade.symbol,
            "side": if trade.side == Side::Buy { "buy" } else { "sell" }, "price": amount(trade.price),
            "quantity": amount(trade.quantity), "pnl": amount(trade.pnl), "won": trade.won,
        }),
        Body::External(json) | Body::Recorded { payload: json, .. } => {
            serde_json::from_slice(json.bytes()).expect("checked")
        }
        Body::Typed(typed) => {
            let mut json = Vec::new();
            typed.0.write_json(&mut json);
            serde_json::from_slice(&json).expect("a payload writes json")
        }
    }
}

/// Takes the win rate out of an object and compares it with the counts: it is rounded, so to half a step.
fn check_win_rate(
    object: &mut Value,
    agent: &Agent,
    of_one: f64,
    step: f64,
) -> Result<(), TestCaseError> {
    let rate = std::mem::take(&mut object["win_rate"]).as_f64();
    let exact = f64::from(agent.wins) / f64::from(agent.trades.max(1)) * of_one;
    prop_assert!(
        rate.is_some_and(|rate| (rate - exact).abs() <= step / 2.0 + 1e-9),
        "{rate:?}, not {exact}"
    );
    Ok(())
}

proptest! {
    #[test]
    fn v1_says_what_serde_json_says((topic, body) in any_body(), seq in any::<u64>(), pos in any::<u64>()) {
        let text = v1(topic, seq, pos, body.clone());
        prop_assert!(!text.bytes().any(|byte| byte < b' '), "one line: {text:?}");
        let mut message: Value = serde_json::from_str(&text)?;
        if let Body::Agent(agent) = &body {
            check_win_rate(&mut message["payload"], agent, 1.0, 0.0001)?;
        }
        let kind = if topic.starts_with("desk") { "signal" } else { topic.split(':').next().unwrap_or(topic) };
        prop_assert_eq!(message, json!({
            "type": kind, "topic": topic, "seq": seq, "pos": pos, "us": TIME_US, "payload": payload(&body),
            "timestamp": TIME_US / 1_000,
        }));
    }

    #[test]
    fn legacy_says_what_serde_json_says((_, body) in any_body()) {
        let message = legacy(body.clone());
        let expected = match &body {
            Body::Market(market) => json!({
                "type": "market", "symbol": *market.symbol, "price": amount(market.price),
                "timestamp": TIME_US / 1_000_000,
            }),
            Body::Agent(agent) => json!({
                "type": "agent", "agent_name": agent.agent.name, "capital": amount(agent.capital),
                "trades": agent.trades, "win_rate": null, "scars": agent.scars, "action": action(agent),
                "timestamp": TIME_US / 1_000_000,
            }),
            Body::Trade(_) | Body::External(_) | Body::Recorded { .. } | Body::Typed(_) => {
                prop_assert!(message.is_none());
                return Ok(());
            }
        };
        let mut message: Value = serde_json::from_str(&message.unwrap_or_default())?;
        if let Body::Agent(agent) = &body {
            check_win_rate(&mut message, agent, 100.0, 0.1)?;
        }
        prop_assert_eq!(message, expected);
    }
}
