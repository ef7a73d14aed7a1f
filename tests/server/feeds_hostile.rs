//! A recording with every fault a line can have, replayed through the engine to a subscriber.
//!
//! Method: a good trade with a number of its own follows each faulty line; every one of them must arrive, in order, and
//! every fault must be found on the metrics page under its reason, no more and no less.

use super::client::Client;
use super::faulty_lines::{GOOD, hostile};
use super::feeds::{metric, replaying};
use super::order::payload;
use super::support::wait_until;
use lineage::feeds::Reason;
use lineage::source::replay::BadReason;
use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn s54_hostile_lines_of_a_replay_are_counted_by_reason_and_the_next_line_is_delivered() {
    let lines = hostile();
    let good = |at: usize| GOOD.replacen("\"t\":7", &format!("\"t\":{}", 1_000 + at), 1);
    let mut text = Vec::new();
    for (at, (line, _)) in lines.iter().enumerate() {
        text.extend_from_slice(line);
        text.extend_from_slice(format!("\n{} {}\n", 1_000 + at, good(at)).as_bytes());
    }
    // Time runs backwards, and the last line has no end.
    text.extend_from_slice(format!("5 {}", good(lines.len())).as_bytes());
    let name = format!("feeds-{}-hostile.jsonl", std::process::id());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("a folder for tests");

    let engine = replaying(path.clone(), 1);
    std::fs::remove_file(path).expect("it was just written");
    let (mut client, _) = Client::subscribed(engine.addresses().ws, &["binance:*"]);
    let mut next = 0;
    while next <= lines.len() {
        if payload(client.message()) == good(next) {
            next += 1;
        }
    }

    let mut expected = BTreeMap::<String, u64>::new();
    for name in BadReason::NAMES {
        expected.insert(format!("lineage_replay_bad_lines_total{{reason=\"{name}\"}}"), 0);
    }
    for reason in Reason::ALL {
        let series = format!("lineage_feed_frames_refused_total{{reason=\"{}\"}}", reason.name());
        expected.insert(series, 0);
    }
    let (mut bad, mut read) = (0, 1);
    for (_, fault) in &lines {
        read += 1;
        let series = match fault {
            Some(Ok(reason)) => {
                bad += 1;
                format!("lineage_replay_bad_lines_total{{reason=\"{}\"}}", reason.name())
            }
            Some(Err(reason)) => {
                format!("lineage_feed_frames_refused_total{{reason=\"{}\"}}", reason.name())
            }
            None => {
                read += 1;
                continue;
            }
        };
        *expected.get_mut(&series).expect("a known reason") += 1;
    }
    for (series, count) in expected {
        wait_until(&format!("{series} {count}"), || metric(&engine, &series) == Some(count));
    }
    assert_eq!(metric(&engine, "lineage_source_bad_lines_total"), Some(bad));
    wait_until("every good trade is read", || {
        metric(&engine, "lineage_feed_trades_total") == Some(read)
    });
    assert_eq!(metric(&engine, "lineage_encode_failures_total"), Some(0));
}
