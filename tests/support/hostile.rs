//! Lines that no recording should have, each with what is wrong with it.

use lineage::feeds::Reason;
use lineage::source::replay::BadReason;

/// A trade that every reader takes.
pub(crate) const GOOD: &str = r#"{"stream":"btcusdt@trade","data":{"e":"trade","t":7,"p":"100.5","q":"2","T":1000,"m":false}}"#;

/// What is wrong with a line: the replay finds it, or else the normaliser.
pub(crate) type Fault = Result<BadReason, Reason>;

/// Lines of a recording, and what is wrong with each.
pub(crate) fn hostile() -> Vec<(Vec<u8>, Option<Fault>)> {
    let with = |from: &str, to: &str| {
        assert!(GOOD.contains(from));
        format!("9 {}", GOOD.replacen(from, to, 1)).into_bytes()
    };
    let line = |frame: &str| format!("9 {frame}").into_bytes();
    let deep = format!("{}{}", "[".repeat(2_000), "]".repeat(2_000));
    let at_fault = |bad: BadReason| Some(Fault::Ok(bad));
    let refused = |reason: Reason| Some(Fault::Err(reason));
    vec![
        (line(&GOOD[..GOOD.len() - 1]), at_fault(BadReason::NotJson)),
        (line(&GOOD[..30]), at_fault(BadReason::NotJson)),
        (with("\"2\"", "NaN"), at_fault(BadReason::NotJson)),
        (with("\"2\"", "\"NaN\""), refused(Reason::Number)),
        (with("\"2\"", "\"-2\""), refused(Reason::Sign)),
        (with("\"2\"", "-2"), refused(Reason::Sign)),
        (with("\"100.5\"", "\"-1\""), refused(Reason::Sign)),
        (with("\"2\"", "\"99999999999999999999999999999999999\""), refused(Reason::Number)),
        (with("\"2\"", "\"1e308\""), refused(Reason::Number)),
        (with("1000", "18446744073709551615"), refused(Reason::Time)),
        // The replay's parser takes no whole number beyond 64 bits.
        (with("\"t\":7", "\"t\":18446744073709551616"), at_fault(BadReason::NotJson)),
        (with("\"t\":7", "\"t\":-7"), refused(Reason::Number)),
        (
            b"9 {\"stream\":\"btcusdt@trade\",\"data\":\"\xff\xfe\"}".to_vec(),
            at_fault(BadReason::NotJson),
        ),
        (format!("\u{feff}9 {GOOD}").into(), at_fault(BadReason::NoStamp)),
        (format!("9 \u{feff}{GOOD}").into(), at_fault(BadReason::NotJson)),
        (format!("9 {GOOD}\r").into(), None),
        (with("\"2\"", &deep), at_fault(BadReason::NotJson)),
        (line(&deep), at_fault(BadReason::NotJson)),
        (with("\"2\"", &format!("\"{}\"", "2".repeat(2 << 20))), at_fault(BadReason::TooLong)),
        (with("\"p\"", "\"x\""), refused(Reason::Shape)),
        (format!("1 {GOOD}").into(), None),
        (b"".to_vec(), at_fault(BadReason::NoStamp)),
    ]
}
