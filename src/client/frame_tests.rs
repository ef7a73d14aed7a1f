//! Every message of the protocol, and anything else.

use super::*;
use proptest::prelude::*;

fn of(text: &str) -> Frame {
    parse(&Utf8Bytes::from(text))
}

#[test]
fn an_event_is_cut_out_of_its_text() {
    let text = r#"{"type":"market","topic":"market:BTC-USD","seq":5013,"pos":81301,"us":1738512000123456,"payload":{"symbol":"BTC-USD","price":42000.50},"timestamp":1738512000123}"#;
    let Frame::Event(event) = of(text) else { panic!("no event") };
    assert_eq!(
        (event.seq, event.prev, event.pos, event.us),
        (5013, None, 81_301, 1_738_512_000_123_456)
    );
    assert_eq!((event.kind(), event.topic()), ("market", "market:BTC-USD"));
    assert_eq!(event.payload(), r#"{"symbol":"BTC-USD","price":42000.50}"#);
    assert_eq!(event.text(), text);
    let market: crate::client::payload::Market<'_> = event.parse().expect("a market");
    assert_eq!(market.price, crate::event::Cents(4_200_050));

    let latest = text.replace("\"pos\"", "\"prev\":5001,\"pos\"").replacen("market", "snapshot", 1);
    let Frame::Snapshot(snapshot) = of(&latest) else { panic!("no snapshot") };
    assert_eq!((snapshot.kind(), snapshot.prev), ("snapshot", Some(5001)));
}

#[test]
fn messages_about_the_stream_are_understood() {
    let s = Duration::from_secs;
    let ms = Duration::from_millis;
    assert_eq!(
        of(
            r#"{"type":"welcome","payload":{"protocol":1,"connection":"c","epoch":"k3f9","head":81300,"ping_s":20,"heartbeat_s":15,"limits":{"topics":9}},"timestamp":1}"#
        ),
        Frame::Welcome { epoch: "k3f9".into(), connection: "c".into(), heartbeat: Some(s(15)) }
    );
    let Frame::Ack(ack) = of(
        r#"{"type":"ack","id":2,"payload":{"op":"subscribe","recovered":true,"pos":7,"topics":[{"topic":"a","seq":5},{"pattern":"b:*","count":3}],"rejected":[{"topic":"x y","code":"bad_topic"}]},"timestamp":1}"#,
    ) else {
        panic!("no ack");
    };
    assert_eq!((ack.id, ack.pos, ack.recovered), (2, 7, Some(true)));
    assert_eq!(ack.topics[0], Acknowledged { topic: Some("a".into()), seq: Some(5) });
    assert_eq!(ack.topics[1], Acknowledged { topic: None, seq: None });
    assert_eq!(ack.rejected, [Refused { topic: "x y".into(), code: "bad_topic".into() }]);
    let Frame::Gap(gap) = of(
        r#"{"type":"gap","topic":"a","payload":{"from":5,"to":9,"reason":"slow","action":"snapshot"},"timestamp":1}"#,
    ) else {
        panic!("no gap");
    };
    assert_eq!((&*gap.topic, gap.from, gap.to), ("a", 5, 9));
    assert_eq!((gap.reason, gap.action), (GapReason::Slow, GapAction::Snapshot));
    let Frame::Error { id, retry, trouble } = of(
        r#"{"type":"error","id":1,"payload":{"code":"rate_limited","message":"m","retryable":true,"retry_ms":500},"timestamp":1}"#,
    ) else {
        panic!("no error");
    };
    assert_eq!((id, retry, &*trouble.code), (Some(1), Some(ms(500)), "rate_limited"));
    assert_eq!(
        of(r#"{"type":"heartbeat","payload":{"pos":81410,"heads":{"a":5}},"timestamp":1}"#),
        Frame::Heartbeat { pos: 81_410, heads: HashMap::from([("a".to_owned(), 5)]) }
    );
    assert_eq!(
        of(r#"{"type":"heartbeat","payload":{"pos":1},"timestamp":1}"#),
        Frame::Heartbeat { pos: 1, heads: HashMap::new() }
    );
    assert_eq!(
        of(r#"{"type":"shutdown","payload":{"reconnect_ms":[0,1200]},"timestamp":1}"#),
        Frame::Shutdown { from: ms(0), to: ms(1200) }
    );
}

#[test]
fn unknown_fields_are_ignored_and_unknown_words_are_unknown() {
    let Frame::Event(event) =
        of(r#"{"v":2,"type":"tide","topic":"sea:tide","seq":1,"pos":2,"payload":[1],"more":{}}"#)
    else {
        panic!("no event");
    };
    assert_eq!((event.kind(), event.us, event.payload()), ("tide", 0, "[1]"));
    let Frame::Gap(gap) = of(
        r#"{"type":"gap","topic":"a","payload":{"from":5,"to":9,"reason":"tide","action":"swim","x":1}}"#,
    ) else {
        panic!("no gap");
    };
    assert_eq!((gap.reason, gap.action), (GapReason::Unknown, GapAction::Resume));
}

#[test]
fn what_is_no_message_of_ours_is_other() {
    for text in [
        "",
        "no json",
        "[]",
        "{}",
        r#"{"type":7}"#,
        r#"{"type":"tide"}"#,
        r#"{"type":"market","topic":"a","seq":1,"pos":2}"#,
        r#"{"type":"market","topic":"a","seq":-1,"pos":2,"payload":1}"#,
        r#"{"type":"market","topic":"a\u0062","seq":1,"pos":2,"payload":1}"#,
        r#"{"type":"welcome","payload":{"epoch":""}}"#,
        r#"{"type":"welcome"}"#,
        r#"{"type":"ack","id":1,"payload":{"op":"publish","pos":1}}"#,
        r#"{"type":"ack","id":"one","payload":{"op":"subscribe","pos":1}}"#,
        r#"{"type":"gap","topic":"a","payload":{}}"#,
        r#"{"type":"gap","payload":{"from":5,"to":9}}"#,
        r#"{"type":"heartbeat","payload":{"pos":"7"}}"#,
        r#"{"type":"shutdown","payload":{"reconnect_ms":[1]}}"#,
        r#"{"type":"pong","id":4,"payload":{"t":123,"head":81410,"lag":0},"timestamp":1}"#,
    ] {
        assert_eq!(of(text), Frame::Other, "{text}");
    }
}

/// Texts that are nearly messages: pieces of real ones in any order.
fn nearly() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{\"type\":\"gap\",\"topic\":\"a\",\"payload\":{\"from\":1,\"to\":2}}".to_owned()),
        Just("{\"type\":\"market\",\"topic\":\"a\",\"seq\":1,\"pos\":2,\"payload\":{}}".to_owned()),
        Just("{\"type\":\"ack\",\"id\":1,\"payload\":{\"op\":\"subscribe\",\"pos\":1}}".to_owned()),
        Just("\"payload\":".to_owned()),
        Just("18446744073709551616".to_owned()),
        Just("\\ud800".to_owned()),
        "[{}\\[\\]:,\"⚡0-9a-z]{0,6}",
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in prop_oneof![nearly(), ".{0,200}"]) {
        of(&text);
    }

    /// Any topic and any JSON as payload come back exactly as they were written.
    #[test]
    fn every_event_comes_back_as_it_was_written(
        kind in "[A-Za-z0-9._-]{1,10}", topic in "[A-Za-z0-9._-]{1,9}(:[A-Za-z0-9._-]{1,9}){0,3}",
        seq in 0_u64..1 << 53, prev in prop::option::of(0_u64..1 << 53), pos in 0_u64..1 << 53,
        payload in prop_oneof![any::<f64>().prop_map(|number| serde_json::json!(number)), ".{0,40}".prop_map(|text| serde_json::json!([text, {text.clone(): 1}]))],
        space in "[ \t]{0,2}",
    ) {
        let words = ["welcome", "ack", "error", "snapshot", "gap", "heartbeat", "pong", "shutdown"];
        prop_assume!(!words.contains(&&*kind));
        let prev_member = prev.map_or_else(String::new, |prev| format!("\"prev\":{prev},"));
        let text = format!("{{\"type\":\"{kind}\",\"topic\":\"{topic}\",\"seq\":{seq},{prev_member}\"pos\":{pos},{space}\"payload\":{payload}{space}}}");
        let Frame::Event(event) = of(&text) else { return Err(TestCaseError::fail(text)) };
        prop_assert_eq!((event.kind(), event.topic(), event.payload()), (&*kind, &*topic, &*payload.to_string()));
        prop_assert_eq!((event.seq, event.prev, event.pos), (seq, prev, pos));
    }
}
