//! What a client makes of a server's messages: when it is connected, what it resumes from, what it calls broken.

use super::*;
use crate::client::{Client, GapAction};

const WELCOME: &str = r#"{"type":"welcome","payload":{"protocol":1,"connection":"c1","epoch":"k3f9","head":9,"heartbeat_s":15},"timestamp":1}"#;
const ACK: &str = r#"{"type":"ack","id":1,"payload":{"op":"subscribe","pos":100,"topics":[{"topic":"a","seq":5},{"pattern":"b:*","count":1}]},"timestamp":1}"#;

fn intake(from: Option<&str>) -> Intake {
    let builder = Client::builder("ws://localhost/v1").topic("a").topic("b:*").latest("view:*", 10);
    let builder = match from {
        Some(from) => builder.from(from.parse().expect("a position")),
        None => builder,
    };
    let mut intake = builder.build().expect("a good description").intake;
    intake.begin();
    intake
}

fn event(topic: &str, seq: u64, pos: u64) -> String {
    format!(
        r#"{{"type":"x","topic":"{topic}","seq":{seq},"pos":{pos},"us":1,"payload":{seq},"timestamp":1}}"#
    )
}

fn snapshot(topic: &str, seq: u64, pos: u64) -> String {
    event(topic, seq, pos).replacen("\"x\"", "\"snapshot\"", 1)
}

fn gap(topic: &str, from: u64, to: u64, reason: &str) -> String {
    format!(
        r#"{{"type":"gap","topic":"{topic}","payload":{{"from":{from},"to":{to},"reason":"{reason}","action":"snapshot"}},"timestamp":1}}"#
    )
}

fn resumed(pos: u64) -> String {
    ACK.replace("\"pos\":100", &format!("\"recovered\":true,\"pos\":{pos}"))
}

fn not_resumed(pos: u64) -> String {
    resumed(pos).replace("true", "false")
}

/// Takes the texts in order and tells what each came to; every text must be exactly one update.
fn take<T: AsRef<str>>(intake: &mut Intake, texts: impl IntoIterator<Item = T>) -> Vec<String> {
    let mut told = Vec::new();
    for text in texts {
        let text = text.as_ref();
        intake.take(Utf8Bytes::from(text)).expect("the connection goes on");
        let updates: Vec<Update> = intake.ready.drain(..).collect();
        assert_eq!(updates.iter().filter_map(Update::text).collect::<Vec<_>>(), [text]);
        told.extend(updates.iter().filter_map(short));
    }
    told
}

fn short(update: &Update) -> Option<String> {
    Some(match update {
        Update::Connected(c) => format!("connected {:?} {}", c.recovered, c.has_new_epoch),
        Update::Event(event) => format!("{} {}", event.topic(), event.seq),
        Update::Snapshot(event) => format!("={} {}", event.topic(), event.seq),
        Update::Gap(gap) => format!("gap {} {}-{}", gap.topic, gap.from, gap.to),
        Update::Broken(broken) => {
            format!("broken {} {} for {}", broken.topic, broken.seq, broken.expected)
        }
        Update::Rejected(rejected) => format!("rejected {} {}", rejected.topic, rejected.code),
        Update::Trouble(trouble) => format!("trouble {}", trouble.code),
        Update::Reconnecting(_) => "reconnecting".to_owned(),
        Update::Shutdown(_) => "shutdown".to_owned(),
        Update::Other(_) => return None,
    })
}

fn position(intake: &Intake) -> String {
    intake.position().map(ToString::to_string).unwrap_or_default()
}

/// The `from` of the next connection's first message.
fn asked_from(intake: &mut Intake) -> serde_json::Value {
    let hello = intake.begin();
    assert_eq!(hello.len(), 2);
    assert!(!hello[1].contains("\"from\""), "only the first may resume: {hello:?}");
    serde_json::from_str::<serde_json::Value>(&hello[0]).expect("JSON")["from"].clone()
}

#[test]
fn a_client_resumes_after_the_last_event_or_heartbeat() {
    let mut intake = intake(None);
    let told = take(&mut intake, [WELCOME, ACK, &event("a", 6, 101), &event("b:x", 70, 104)]);
    assert_eq!(told, ["connected None false", "a 6", "b:x 70"]);
    assert_eq!(asked_from(&mut intake), serde_json::json!({"epoch": "k3f9", "pos": 104}));

    let told =
        take(&mut intake, [WELCOME, &*resumed(104), &event("a", 7, 105), &event("b:x", 71, 109)]);
    assert_eq!(told, ["connected Some(true) false", "a 7", "b:x 71"]);
    take(&mut intake, [r#"{"type":"heartbeat","payload":{"pos":230},"timestamp":1}"#]);
    assert_eq!(asked_from(&mut intake), serde_json::json!({"epoch": "k3f9", "pos": 230}));
}

#[test]
fn before_the_snapshots_are_complete_there_is_nothing_to_resume_from() {
    let mut intake = intake(None);
    take(&mut intake, [WELCOME, ACK, &snapshot("b:x", 69, 90)]);
    assert_eq!(position(&intake), "");
    assert_eq!(asked_from(&mut intake), serde_json::Value::Null);
    let told = take(&mut intake, [WELCOME, ACK, &snapshot("b:x", 75, 99), &event("b:x", 76, 101)]);
    assert_eq!(told, ["connected Some(false) false", "=b:x 75", "b:x 76"]);
    assert_eq!(position(&intake), "k3f9.101");
}

#[test]
fn without_snapshots_the_acknowledged_position_counts_at_once() {
    let client = Client::builder("ws://localhost/v1").topic("a").snapshot(false).build();
    let mut intake = client.expect("a good description").intake;
    intake.begin();
    take(&mut intake, [WELCOME, ACK]);
    assert_eq!(position(&intake), "k3f9.100");
    assert_eq!(take(&mut intake, [event("a", 7, 103)]), ["broken a 7 for 6", "a 7"]);
}

#[test]
fn an_expired_position_is_asked_for_again_until_all_gaps_were_told() {
    let mut intake = intake(None);
    take(&mut intake, [WELCOME, ACK, &event("a", 6, 101)]);
    let ack = not_resumed(900).replace("\"seq\":5", "\"seq\":50");
    for _ in 0..2 {
        assert_eq!(asked_from(&mut intake), serde_json::json!({"epoch": "k3f9", "pos": 101}));
        let told = take(&mut intake, [WELCOME, &*ack, &gap("a", 0, 50, "expired")]);
        assert_eq!(told, ["connected Some(false) false", "gap a 7-50"], "it knows what it had");
    }
    let told = take(&mut intake, [snapshot("a", 50, 890), event("a", 51, 901)]);
    assert_eq!(told, ["=a 50", "a 51"]);
    assert_eq!(position(&intake), "k3f9.901");
}

#[test]
fn a_restart_begins_all_seqs_anew() {
    let mut intake = intake(None);
    take(&mut intake, [WELCOME, ACK, &event("a", 6, 101), &event("b:x", 7, 102)]);
    intake.begin();
    let welcome = WELCOME.replace("k3f9", "n3w5");
    let ack = not_resumed(3).replace("\"seq\":5", "\"seq\":1");
    let told = take(
        &mut intake,
        [
            &*welcome,
            &ack,
            &gap("a", 0, 0, "restart"),
            &snapshot("a", 1, 2),
            &event("a", 2, 4),
            &event("b:x", 1, 5),
        ],
    );
    let expected = ["connected Some(false) true", "gap a 0-0", "=a 1", "a 2", "b:x 1"];
    assert_eq!(told, expected);
    assert_eq!(position(&intake), "n3w5.5");
}

#[test]
fn a_position_of_another_client_is_asked_for_and_checked() {
    let mut intake = intake(Some("k3f9.77"));
    assert_eq!(asked_from(&mut intake), serde_json::json!({"epoch": "k3f9", "pos": 77}));
    let told =
        take(&mut intake, [WELCOME, &*resumed(77), &event("a", 6, 101), &event("a", 8, 102)]);
    assert_eq!(told, ["connected Some(true) false", "a 6", "broken a 8 for 7", "a 8"]);
    assert_eq!(intake.counts.broken, 1);
    assert_eq!(intake.counts.events, 2);
}

#[test]
fn an_answer_that_does_not_say_recovered_did_not_recover() {
    let mut intake = intake(Some("k3f9.77"));
    assert_eq!(take(&mut intake, [WELCOME, ACK]), ["connected Some(false) false"]);
    assert_eq!(position(&intake), "k3f9.77");
}

#[test]
fn a_gap_is_no_breach_and_a_wrong_gap_is_one() {
    let mut intake = intake(None);
    let told = take(
        &mut intake,
        [
            WELCOME,
            ACK,
            &event("a", 6, 101),
            &gap("a", 7, 9, "slow"),
            &snapshot("a", 9, 140),
            &event("a", 10, 150),
        ],
    );
    assert_eq!(told, ["connected None false", "a 6", "gap a 7-9", "=a 9", "a 10"]);
    let told = take(&mut intake, [gap("a", 12, 20, "overrun"), event("a", 21, 170)]);
    assert_eq!(told, ["broken a 12 for 11", "gap a 12-20", "a 21"]);
    assert_eq!((intake.counts.gaps, intake.counts.broken), (2, 1));
}

#[test]
fn a_lost_connection_between_gap_and_event_brings_the_missed_events_again() {
    let mut intake = intake(None);
    take(&mut intake, [WELCOME, ACK, &event("a", 6, 101), &gap("a", 7, 9, "slow")]);
    assert_eq!(asked_from(&mut intake)["pos"], 101);
    let told =
        take(&mut intake, [WELCOME, &*resumed(101), &event("a", 7, 120), &event("a", 8, 121)]);
    assert_eq!(told, ["connected Some(true) false", "a 7", "a 8"]);
}

#[test]
fn views_are_checked_by_prev_and_do_not_move_the_position() {
    let mut intake = intake(None);
    let view = |seq: u64, prev: u64, pos: u64| {
        event("view:x", seq, pos).replace("\"pos\"", &format!("\"prev\":{prev},\"pos\""))
    };
    take(&mut intake, [WELCOME, ACK, &event("a", 6, 101), &snapshot("view:x", 40, 99)]);
    assert_eq!(
        take(&mut intake, [view(45, 40, 800), view(60, 44, 801)]),
        ["view:x 45", "broken view:x 60 for 45", "view:x 60"]
    );
    assert_eq!(position(&intake), "k3f9.101");
}

#[test]
fn a_heartbeat_that_knows_of_more_events_is_a_breach() {
    let mut intake = intake(None);
    take(&mut intake, [WELCOME, ACK, &event("a", 6, 101)]);
    let beat = |seq: u64| {
        format!(
            r#"{{"type":"heartbeat","payload":{{"pos":130,"heads":{{"a":{seq}}}}},"timestamp":1}}"#
        )
    };
    assert_eq!(take(&mut intake, [beat(6)]), [""; 0]);
    assert_eq!(take(&mut intake, [beat(7)]), ["broken a 7 for 7"]);
}

#[test]
fn what_comes_before_the_answer_is_passed_on_unchecked() {
    let mut intake = intake(None);
    let told = take(
        &mut intake,
        [event("a", 6, 101), event("a", 6, 101), snapshot("a", 1, 1), gap("a", 3, 4, "slow")],
    );
    assert_eq!(told, ["a 6", "a 6", "=a 1", "gap a 3-4"]);
    assert_eq!(position(&intake), "");
}

#[test]
fn rejections_are_told_and_a_refusal_ends_or_delays() {
    let mut intake = intake(None);
    let with_rejected = |id: u64| {
        ACK.replace("\"id\":1", &format!("\"id\":{id}")).replace(
            "]},\"t",
            "],\"rejected\":[{\"topic\":\"hub\",\"code\":\"not_conflatable\"}]},\"t",
        )
    };
    let told = take(&mut intake, [with_rejected(2), with_rejected(3), with_rejected(1)]);
    let expected =
        ["rejected hub not_conflatable", "connected None false", "rejected hub not_conflatable"];
    assert_eq!(told, expected, "nobody asked for the third");

    let error = |id: u64, rest: &str| {
        let text = format!(
            r#"{{"type":"error","id":{id},"payload":{{"code":"c","message":"m"{rest}}},"timestamp":1}}"#
        );
        Utf8Bytes::from(text)
    };
    assert_eq!(intake.take(error(9, "")), Ok(()));
    let end = Loss::End(Error::Refused { code: "c".to_owned(), message: "m".to_owned() });
    assert_eq!(intake.take(error(2, "")), Err(end));
    for (asked_ms, waited_ms) in
        [(500, 500), (299_999, 299_999), (300_000, 300_000), (300_001, 300_000)]
    {
        let again = Loss::Again {
            why: Why::Refused { code: "c".to_owned() },
            at_least: Duration::from_millis(waited_ms),
        };
        let rest = format!(",\"retryable\":true,\"retry_ms\":{asked_ms}");
        assert_eq!(intake.take(error(1, &rest)), Err(again));
    }
    assert_eq!(
        intake.ready.drain(..).filter_map(|update| short(&update)).collect::<Vec<_>>(),
        ["trouble c"; 6]
    );
}

#[test]
fn what_a_server_asks_for_is_kept_within_limits() {
    let mut intake = intake(None);
    let s = Duration::from_secs;
    assert_eq!((intake.heartbeat(), intake.reconnect_window()), (s(15), None));
    for (told, kept) in [(1, 1), (3_599, 3_599), (3_600, 3_600), (3_601, 3_600), (u64::MAX, 3_600)]
    {
        take(
            &mut intake,
            [WELCOME.replace("\"heartbeat_s\":15", &format!("\"heartbeat_s\":{told}"))],
        );
        assert_eq!(intake.heartbeat(), s(kept));
    }
    let ms = Duration::from_millis;
    for (told, kept) in [(1_200, 1_200), (299_999, 299_999), (300_000, 300_000), (300_001, 300_000)]
    {
        let shutdown = format!(
            r#"{{"type":"shutdown","payload":{{"reconnect_ms":[7,{told}]}},"timestamp":1}}"#
        );
        assert_eq!(take(&mut intake, [shutdown]), ["shutdown"]);
        assert_eq!(intake.reconnect_window(), Some((ms(7), ms(kept))));
    }
    intake.begin();
    assert_eq!(intake.reconnect_window(), None, "a window is for one return");
}

#[test]
fn a_gap_tells_what_makes_good_for_it() {
    let mut intake = intake(None);
    intake.take(gap("a", 1, 2, "slow").replace("snapshot", "resume").into()).expect("it goes on");
    let Some(Update::Gap(gap)) = intake.ready.pop_front() else { panic!("no gap") };
    assert_eq!((gap.action, gap.reason), (GapAction::Resume, GapReason::Slow));
}
