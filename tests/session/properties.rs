//! What holds for any text whatever; proptest prints the case, and its seed, that fails.

use crate::{NOW_US, context, held, join, messages, session, subscribe};
use lineage::encode::json::write_v1;
use lineage::event::{Body, Event, Json, Pattern, Topics};
use lineage::session::{
    Command, Context, Fare, GapAction, GapReason, Limits, Session, gap, snapshot_frame,
};
use proptest::prelude::*;
use serde_json::Value;

/// Strings with everything that JSON has to escape, and what it need not.
fn any_text() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![any::<char>(), (0_u8..0x80).prop_map(char::from), Just('"'), Just('\\')],
        0..40,
    )
    .prop_map(String::from_iter)
}

/// Requests with a chance to be right, so that the far ends of the parser are reached too.
fn any_request() -> impl Strategy<Value = String> {
    let json = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| serde_json::json!(number).to_string()),
        any_text().prop_map(|text| serde_json::json!(text).to_string()),
        proptest::collection::vec(any_text(), 0..4)
            .prop_map(|list| serde_json::json!(list).to_string()),
        Just(r#"["market:*","hub","x:y:z"]"#.to_owned()),
        Just(r#"{"a":[{"b":"}]"}],"op":"ping"}"#.to_owned()),
        Just("\"all\"".to_owned()),
        Just("\"desk:x\"".to_owned()),
    ];
    let key = prop_oneof![
        Just("id"),
        Just("topics"),
        Just("t"),
        Just("topic"),
        Just("payload"),
        Just("class"),
        Just("mode"),
        Just("snapshot"),
        Just("from"),
        Just("on_lag"),
        Just("op"),
        Just("x"),
    ];
    let op = prop_oneof![
        Just("subscribe"),
        Just("unsubscribe"),
        Just("ping"),
        Just("publish"),
        Just("stats")
    ];
    (op, proptest::collection::vec((key, json), 0..6)).prop_map(|(op, members)| {
        let members = members.iter().map(|(key, value)| format!(r#" , "{key}" : {value}"#));
        format!(r#"{{"op":"{op}"{}}}"#, members.collect::<String>())
    })
}

/// Plays `text` to its end: the command is carried out as a shard would.
fn play(session: &mut Session, text: &str, context: &Context<'_>) -> (bool, Vec<Value>) {
    let mut out = Vec::new();
    let command = session.on_text(text, context, &mut out);
    let is_command = command.is_some();
    match command {
        Some(Command::Subscribe(subscribe)) => {
            join(session, subscribe, context, &mut out);
        }
        Some(Command::Unsubscribe(unsubscribe)) => {
            session.unsubscribed(unsubscribe, context, 9, &mut out)
        }
        Some(Command::Stats(id)) => {
            session.stats(id.as_ref(), &Fare::default(), context, &mut out);
        }
        Some(Command::Publish(publish)) => session.published(&publish, Ok(9), context, &mut out),
        Some(Command::Close(code, reason)) => assert!(reason.starts_with(code.word())),
        None => {}
    }
    (is_command, messages(&out))
}

proptest! {
    #[test]
    fn any_text_is_answered_with_exactly_one_message(
        texts in proptest::collection::vec(prop_oneof![any_text(), any_request(), "[\\[\\]{}\":,a-z0-9 .eE+-]{0,60}"], 1..8),
        may_publish: bool,
    ) {
        let limits = Limits { topics: 4, burst: 6, ..Limits::default() };
        let context = Context { may_publish, ..context(&limits) };
        let mut session = session();
        for text in &texts {
            let (_, frames) = play(&mut session, text, &context);
            prop_assert_eq!(frames.len(), 1, "{}", text);
            let kind = frames[0]["type"].as_str().unwrap_or_default();
            prop_assert!(["ack", "error", "pong"].contains(&kind), "{}: {}", text, frames[0]);
            prop_assert!(held(&session).len() <= 4);
            prop_assert!(held(&session).is_sorted_by(|a, b| a < b));
        }
    }

    #[test]
    fn what_is_json_for_others_is_json_here(text in any_request()) {
        // Numbers beyond 64 bits and beyond doubles are the one difference, and none is made here.
        let is_object = serde_json::from_str::<Value>(&text).is_ok_and(|value| value["op"].is_string());
        let (_, frames) = play(&mut session(), &text, &context(&Limits::default()));
        let is_bad = frames[0]["payload"]["code"] == "bad_message";
        prop_assert_eq!(is_object, !is_bad, "{}", text);
    }

    #[test]
    fn escaped_text_means_the_same_to_the_reader(id in any_text(), t in any_text(), topic in any_text()) {
        let limits = Limits { id_bytes: 4096, ..Limits::default() };
        let text = serde_json::json!({"op": "ping", "id": id, "t": t}).to_string();
        let (_, frames) = play(&mut session(), &text, &context(&limits));
        prop_assert_eq!(&frames[0]["id"], &Value::from(id));
        prop_assert_eq!(&frames[0]["payload"]["t"], &Value::from(t));
        let ack = subscribe(&mut session(), std::slice::from_ref(&topic), &context(&limits));
        // What is accepted with a `*` is told as a pattern.
        let (list, key) = match Pattern::parse(&topic) {
            Ok(_) if topic.contains('*') => ("topics", "pattern"),
            Ok(_) => ("topics", "topic"),
            Err(_) => ("rejected", "topic"),
        };
        prop_assert_eq!(&ack["payload"][list][0][key], &Value::from(topic));
    }

    #[test]
    fn a_published_payload_is_the_slice_that_was_sent(
        payload in any_request(),
        spaces in "[ \t]{0,3}",
        is_last: bool,
    ) {
        let payload = if is_last { payload } else { format!("[{payload},-0.10e1]") };
        let after = if is_last { "" } else { r#","x":[{"payload":1}]"# };
        let text = format!(r#"{{"x":"payload:}},","op":"publish","topic":"x","payload":{spaces}{payload}{spaces}{after}}}"#);
        let (limits, mut out) = (Limits::default(), Vec::new());
        let command = session().on_text(&text, &context(&limits), &mut out);
        let Some(Command::Publish(publish)) = command else { panic!("{text}: {command:?}") };
        prop_assert_eq!(publish.payload.bytes(), payload.as_bytes());
    }

    #[test]
    fn a_snapshot_is_its_event_under_another_type(name in "[a-z]{1,8}(:[a-zA-Z0-9._-]{1,8}){0,3}", body in any_text()) {
        let topics = Topics::new();
        let Ok(topic) = topics.register(&name, None) else { return Ok(()) };
        let payload = serde_json::json!({"type": body}).to_string();
        let body = Body::External(Json::parse(payload.into()).expect("JSON"));
        let (mut event, mut out) = (Vec::new(), Vec::new());
        write_v1(&mut event, topics.info(topic), 5, 6, &Event { topic, key: 0, time_us: 7, body });
        snapshot_frame(&event, &mut out);
        let mut expected: Value = serde_json::from_slice(&event).expect("JSON");
        expected["type"] = Value::from("snapshot");
        prop_assert_eq!(messages(&out), [expected]);
    }

    #[test]
    fn a_gap_is_one_message(from: u64, to: u64) {
        let mut out = Vec::new();
        gap("x:y", from, to, GapReason::Overrun, GapAction::Resume, NOW_US, &mut out);
        let payload = serde_json::json!({"from": from, "to": to, "reason": "overrun", "action": "resume"});
        prop_assert_eq!(&messages(&out)[0]["payload"], &payload);
    }
}
