//! Each limit of a connection at limit − 1, limit and limit + 1, and what is counted on the way.

use crate::{code, context, held, join, messages, names, say, session, subscribe};
use lineage::event::Pattern;
use lineage::session::{CloseCode, Command, Context, Joined, Limits, Matched, Notes, Session};

#[test]
fn a_connection_takes_as_many_topics_as_its_limit() {
    for (asked, taken) in [(1023, 1023), (1024, 1024), (1025, 1024)] {
        let limits = Limits::default();
        let mut session = session();
        let ack = subscribe(&mut session, &names(0..asked), &context(&limits));
        assert_eq!(ack["payload"]["topics"].as_array().expect("a list").len(), taken);
        assert_eq!(held(&session).len(), taken);
        let rejected = ack["payload"]["rejected"].as_array().cloned().unwrap_or_default();
        let expected = names(taken..asked);
        assert_eq!(rejected.len(), expected.len());
        for (entry, name) in rejected.iter().zip(&expected) {
            assert_eq!(*entry, serde_json::json!({"topic": name, "code": "too_many_topics"}));
        }
    }
}

#[test]
fn topics_held_already_do_not_count_again_and_topics_asked_for_do() {
    let limits = Limits { topics: 3, ..Limits::default() };
    let context = context(&limits);
    let mut session = session();
    subscribe(&mut session, &names(0..2), &context);
    // Read, but not yet in effect: it holds the last place.
    let (first, _) = say(&mut session, r#"{"op":"subscribe","topics":["t:2","t:0"]}"#, &context);
    let (second, _) = say(&mut session, r#"{"op":"subscribe","topics":["t:3","t:1"]}"#, &context);
    let (Some(Command::Subscribe(first)), Some(Command::Subscribe(second))) = (first, second)
    else {
        panic!("two subscribes")
    };
    assert_eq!(first.patterns().iter().map(Pattern::as_str).collect::<Vec<_>>(), ["t:2", "t:0"]);
    assert_eq!(second.patterns().iter().map(Pattern::as_str).collect::<Vec<_>>(), ["t:1"]);
    let mut out = Vec::new();
    join(&mut session, first, &context, &mut out);
    join(&mut session, second, &context, &mut out);
    let acks = messages(&out);
    assert!(acks[0]["payload"].get("rejected").is_none());
    assert_eq!(acks[1]["payload"]["rejected"][0]["code"], "too_many_topics");
    assert_eq!(held(&session), ["t:0", "t:1", "t:2"]);
    // What is left makes room.
    let (command, _) =
        say(&mut session, r#"{"op":"unsubscribe","topics":["t:0","t:1"]}"#, &context);
    let Some(Command::Unsubscribe(unsubscribe)) = command else { panic!("an unsubscribe") };
    assert_eq!(unsubscribe.patterns().len(), 2);
    session.unsubscribed(unsubscribe, &context, 9, &mut out);
    assert!(subscribe(&mut session, &names(5..7), &context)["payload"].get("rejected").is_none());
    assert_eq!(
        subscribe(&mut session, &names(7..8), &context)["payload"]["rejected"][0]["topic"],
        "t:7"
    );
}

#[test]
fn a_name_may_be_as_long_as_its_limit() {
    let short = Limits { topic_bytes: 100, ..Limits::default() };
    for (limits, limit) in [(Limits::default(), 128), (short, 100)] {
        for (bytes, is_taken) in [(limit - 1, true), (limit, true), (limit + 1, false)] {
            let ack = subscribe(&mut session(), &["x".repeat(bytes)], &context(&limits));
            assert_eq!(
                ack["payload"]["topics"].as_array().map(Vec::len),
                Some(usize::from(is_taken))
            );
            assert_eq!(
                ack["payload"]["rejected"][0]["code"] == "bad_topic",
                !is_taken,
                "{bytes} bytes"
            );
        }
    }
}

#[test]
fn a_message_may_be_as_large_as_its_limit() {
    let limits = Limits::default();
    for (bytes, is_taken) in [(16_383, true), (16_384, true), (16_385, false)] {
        let text = format!(r#"{{"op":"ping","x":"{}"}}"#, "x".repeat(bytes - 20));
        assert_eq!(text.len(), bytes);
        let mut session = session();
        let (command, frames) = say(&mut session, &text, &context(&limits));
        assert_eq!((command, frames[0]["type"] == "pong"), (None, is_taken), "{bytes} bytes");
        assert!(is_taken || code(&frames) == "too_big");
        assert_eq!(session.take_notes().bad_messages, u32::from(!is_taken));
    }
}

#[test]
fn a_message_may_nest_as_deep_as_its_limit() {
    let limits = Limits::default();
    for (levels, is_taken) in [(99, true), (100, true), (101, false), (8_000, false)] {
        let inner = levels - 1;
        let nested = format!("{}{}", "[".repeat(inner), "]".repeat(inner));
        let text = format!(r#"{{"op":"publish","topic":"x","payload":{nested}}}"#);
        let (command, frames) = say(&mut session(), &text, &context(&limits));
        assert_eq!(
            matches!(command, Some(Command::Publish(_))),
            is_taken,
            "{levels} levels: {frames:?}"
        );
        assert!(is_taken || code(&frames) == "bad_message");
    }
}

#[test]
fn an_id_may_be_as_long_as_its_limit() {
    let limits = Limits::default();
    for (bytes, is_taken) in [(63, true), (64, true), (65, false)] {
        let text = format!(r#"{{"op":"ping","id":"{}"}}"#, "x".repeat(bytes));
        let (_, frames) = say(&mut session(), &text, &context(&limits));
        assert_eq!(frames[0]["type"] == "pong", is_taken, "{bytes} bytes");
    }
}

#[test]
fn the_third_bad_message_in_a_row_closes() {
    let limits = Limits::default();
    let context = context(&limits);
    let bad = [
        "",
        "{",
        "[]",
        "1",
        "\"op\"",
        "{}",
        r#"{"op":1}"#,
        r#"{"op":null}"#,
        "{\"op\":\"ping\"} x",
        "\u{feff}{}",
    ];
    for text in bad {
        let mut session = session();
        for _ in 0..2 {
            let (command, frames) = say(&mut session, text, &context);
            assert_eq!((command, code(&frames)), (None, "bad_message"), "{text}");
        }
        // One good message, even one that is refused, and the count begins anew.
        say(&mut session, r#"{"op":"dance"}"#, &context);
        for _ in 0..2 {
            assert_eq!(say(&mut session, text, &context).0, None, "{text}");
        }
        let mut out = Vec::new();
        let command = session.on_binary(&context, &mut out);
        let Some(Command::Close(CloseCode::BadMessage, reason)) = command else {
            panic!("{command:?}")
        };
        assert!(reason.starts_with(CloseCode::BadMessage.word()));
        assert_eq!(code(&messages(&out)), "bad_message");
        assert_eq!(session.take_notes(), Notes { rate_limited: 0, bad_messages: 5 });
        assert_eq!(session.take_notes(), Notes::default());
    }
}

#[test]
fn messages_over_the_rate_are_dropped_and_the_hundredth_in_a_row_closes() {
    let limits = Limits::default();
    let mut context = context(&limits);
    let mut session = session();
    let ping = r#"{"op":"ping","id":5}"#;
    for message in 1..=200 {
        assert_eq!(say(&mut session, ping, &context).1[0]["type"], "pong", "message {message}");
    }
    let drop_99 = |session: &mut Session, context: &Context<'_>| {
        for dropped in 1..=99 {
            let (command, frames) = say(session, ping, context);
            assert_eq!((command, code(&frames)), (None, "rate_limited"), "{dropped}");
            assert_eq!(frames[0]["id"], 5);
            assert_eq!(frames[0]["payload"]["retryable"], true);
            assert_eq!(frames[0]["payload"]["retry_ms"], 20);
        }
    };
    drop_99(&mut session, &context);
    // What the client was told to wait for is right, and one message taken ends the row.
    context.now_us += 20_000;
    assert_eq!(say(&mut session, ping, &context).1[0]["type"], "pong");
    drop_99(&mut session, &context);
    let mut out = Vec::new();
    let command = session.on_binary(&context, &mut out);
    let Some(Command::Close(CloseCode::Policy, reason)) = command else { panic!("{command:?}") };
    assert!(reason.starts_with(CloseCode::Policy.word()));
    assert_eq!(session.take_notes(), Notes { rate_limited: 199, bad_messages: 0 });
}

#[test]
fn a_session_is_small() {
    assert_eq!(size_of::<Session>(), 104);
}

/// The largest answers to the largest subscribes: what a shard must be able to hold for one client.
#[test]
fn an_ack_stays_below_a_bound() {
    let limits = Limits::default();
    let largest = |name: &dyn Fn(usize) -> String| {
        let mut text = r#"{"op":"subscribe","topics":["#.to_owned();
        for place in 0.. {
            let entry = format!("\"{}\",", name(place));
            if text.len() + entry.len() + 2 > limits.message_bytes {
                break;
            }
            text.push_str(&entry);
        }
        text.truncate(text.len() - 1);
        text.push_str("]}");
        let (mut session, mut out) = (session(), Vec::new());
        let context = context(&limits);
        let command = session.on_text(&text, &context, &mut out);
        let Some(Command::Subscribe(mut subscribe)) = command else { panic!("{command:?}") };
        session.join(&mut subscribe, &mut |_| None);
        let joined = Joined { pos: u64::MAX, recovered: None };
        let stands = vec![Matched::Topic { seq: (1 << 53) - 1 }; subscribe.patterns().len()];
        session.subscribed(&subscribe, &context, joined, &stands, &mut out);
        messages(&out);
        out.len()
    };
    let digits = |mut place: usize| {
        let mut name = String::new();
        while place > 0 || name.is_empty() {
            name.push(char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[place % 36]));
            place /= 36;
        }
        name
    };
    let sizes = [largest(&digits), largest(&|place| format!("?{}", digits(place)))];
    assert!(sizes.iter().all(|&size| size < 192 * 1024), "{sizes:?}");
}
