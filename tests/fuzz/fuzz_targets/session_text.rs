//! Any sequence of messages to one v1 session: no panic, and nothing but whole text frames with one JSON message
//! each. The first byte of a line chooses what happens around the message, the rest is the message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lineage::event::Pattern;
use lineage::session::{Command, Context, Fare, Joined, Limits, Matched, Session};
use serde_json::Value;
use uuid::Uuid;

fuzz_target!(|data: &[u8]| {
    // Small limits, so that short inputs reach them.
    let limits = Limits { topics: 4, message_bytes: 512, burst: 20, ..Limits::default() };
    let mut session = Session::new(Uuid::nil(), 0);
    let mut now_us = 0;
    for message in data.split(|&byte| byte == b'\n') {
        let Some((choice, message)) = message.split_first() else { continue };
        now_us += u64::from(choice >> 2) * 1000;
        let may_publish = choice & 1 == 0;
        let context = Context {
            now_us,
            epoch: "k3f9",
            head: 10,
            lag_events: 0,
            may_publish,
            limits: &limits,
        };
        let mut out = Vec::new();
        let command = match std::str::from_utf8(message) {
            Ok(text) => session.on_text(text, &context, &mut out),
            Err(_) => session.on_binary(&context, &mut out),
        };
        let is_over = matches!(command, Some(Command::Close(..)));
        obey(&mut session, command, &context, &mut out);
        assert_eq!(frames(&out), 1, "each message is answered once");
        assert!(session.rules().len() <= limits.topics);
        if is_over {
            break;
        }
    }
});

fn obey(session: &mut Session, command: Option<Command>, context: &Context<'_>, out: &mut Vec<u8>) {
    match command {
        Some(Command::Subscribe(mut subscribe)) => {
            session.join(&mut subscribe, &mut |_| None);
            let stand = |pattern: &Pattern| {
                if pattern.is_exact() {
                    Matched::Topic { seq: 1 }
                } else {
                    Matched::Pattern { count: 2 }
                }
            };
            let stands: Vec<Matched> = subscribe.patterns().iter().map(stand).collect();
            let joined = Joined { pos: 9, recovered: subscribe.from.as_ref().map(|_| true) };
            session.subscribed(&subscribe, context, joined, &stands, out);
        }
        Some(Command::Unsubscribe(unsubscribe)) => {
            session.unsubscribed(unsubscribe, context, 9, out)
        }
        Some(Command::Stats(id)) => session.stats(id.as_ref(), &Fare::default(), context, out),
        Some(Command::Publish(publish)) => session.published(&publish, Ok(9), context, out),
        Some(Command::Close(code, reason)) => assert!(reason.starts_with(code.word())),
        None => {}
    }
}

/// Counts the frames, each of which must be a whole text frame around one JSON object.
fn frames(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while !bytes.is_empty() {
        assert_eq!(bytes[0], 0x81, "FIN and text");
        let (length, header) = match bytes[1] {
            126 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
            length => (usize::from(length), 2),
        };
        let payload = &bytes[header..header + length];
        assert!(serde_json::from_slice::<Value>(payload).is_ok_and(|message| message.is_object()));
        bytes = &bytes[header + length..];
        count += 1;
    }
    count
}
