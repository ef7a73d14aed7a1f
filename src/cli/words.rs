//! What an event says, in words for people: one line, by templates for the topics that are known.
//!
//! A template names the payload's fields in braces. `{stats.failed}` is a field of a field, `{bids.0}` the first of a
//! list (`-` when the list is shorter), `{won?won|lost}` one of two words. Numbers stay as they were written, and text
//! keeps its JSON escapes, as in the raw payload. What does not fit its template, and what has none, has no words. Pure:
//! text in, text out.

use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Patterns of topics, a trailing `*` for any rest, and how their events are told.
const TEMPLATES: [(&str, &str); 15] = [
    ("market:*", "{price}"),
    ("agent:*", "{action}; capital {capital}, {trades} trades, win rate {win_rate}, {status}"),
    ("trade:*", "{side} {quantity} {symbol} at {price}, {won?won|lost} {pnl}"),
    ("arena", "round {round} goes to {winner}: {capital}"),
    (
        "candle:*",
        "open {open}, high {high}, low {low}, close {close}, volume {volume}, {trades} trades{final?|, not final}",
    ),
    (
        "indicator:*",
        "{interval}: sma {sma_20}, ema {ema_20}, rsi {rsi_14}, volatility {volatility}, vwap {vwap}, return {return}",
    ),
    ("alert", "{severity} {rule} {state}: {subject} is {value}, threshold {threshold}"),
    ("book:*", "bid {bids.0}, ask {asks.0}{synchronised?|, not synchronised}"),
    (
        "hub",
        "{running?running|stopped}, {sessions} sessions, {stats.enqueued} enqueued, {stats.completed} completed, \
         {stats.failed} failed",
    ),
    (
        "chain:tps",
        "{currentTPS} per second, peak {peakTPS}, mean {averageTPS}, latency {latency} ms",
    ),
    (
        "chain:block",
        "block {blockHeight} by {producer}: {transactions} transactions in {blockTime} ms",
    ),
    (
        "chain:network",
        "{networkHealth}: {activeNodes} of {totalNodes} nodes, latency {avgLatency} ms",
    ),
    (
        "chain:validator",
        "{activeValidators} of {totalValidators} active, {inactiveValidators} inactive, {jailedValidators} jailed",
    ),
    ("sim:trade:*", "{side} {quantity} at {price}"),
    ("sim:quote:*", "bid {bid} x {bid_quantity}, ask {ask} x {ask_quantity}"),
];

/// An event of `topic` in words; none when it is not known, or its payload is another than is known.
pub(super) fn words(topic: &str, payload: &str) -> Option<String> {
    let is_of = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => topic.starts_with(start),
        None => topic == pattern,
    };
    let (_, template) = TEMPLATES.iter().find(|(pattern, _)| is_of(pattern))?;
    let mut pieces = template.split('{');
    let mut line = pieces.next()?.to_owned();
    for piece in pieces {
        let (field, rest) = piece.split_once('}')?;
        line.push_str(&field_words(payload, field)?);
        line.push_str(rest);
    }
    Some(line)
}

/// What stands for `{field}`.
fn field_words(payload: &str, field: &str) -> Option<String> {
    let Some((path, words)) = field.split_once('?') else { return plain(at(payload, field)?) };
    let (yes, no) = words.split_once('|')?;
    match at(payload, path)? {
        "true" => Some(yes.to_owned()),
        "false" => Some(no.to_owned()),
        _ => None,
    }
}

/// The value at a path of keys and places; `null` behind the end of a list, none when a key is missing.
fn at<'a>(json: &'a str, path: &str) -> Option<&'a str> {
    let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
    let value = match key.parse::<usize>() {
        Ok(place) => list(json)?.get(place).map_or("null", |value| value.get()),
        Err(_) => object(json)?.get(key)?.get(),
    };
    rest.map_or(Some(value), |rest| at(value, rest))
}

/// A value without its quotes, braces and brackets; an object in the order of its keys.
fn plain(json: &str) -> Option<String> {
    match json.as_bytes().first()? {
        b'{' => {
            let pairs = object(json)?;
            let words = pairs.iter().map(|(key, it)| Some(format!("{key} {}", plain(it.get())?)));
            Some(words.collect::<Option<Vec<_>>>()?.join(", "))
        }
        b'[' => {
            let words = list(json)?.into_iter().map(|it| plain(it.get()));
            Some(words.collect::<Option<Vec<_>>>()?.join(" x "))
        }
        b'"' => Some(json[1..json.len() - 1].to_owned()),
        b'n' => Some("-".to_owned()),
        _ => Some(json.to_owned()),
    }
}

fn object(json: &str) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(json).ok()
}

fn list(json: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests {
    use super::{TEMPLATES, words};
    use proptest::prelude::*;

    /// Topic, payload and words of an event of each kind.
    const TOLD: [(&str, &str, &str); 17] = [
        ("market:BTC-USD", r#"{"symbol":"BTC-USD","price":42000.50}"#, "42000.50"),
        (
            "agent:momentum",
            r#"{"agent":"momentum","name":"⚡ Momentum","capital":50000.00,"trades":5,"win_rate":0.6000,"scars":1,"status":"active","action":"⚡ Momentum WON trade (+$450)"}"#,
            "⚡ Momentum WON trade (+$450); capital 50000.00, 5 trades, win rate 0.6000, active",
        ),
        (
            "trade:momentum",
            r#"{"agent":"momentum","symbol":"BTC-USD","side":"sell","price":42000.50,"quantity":0.25,"pnl":-252.07,"won":false}"#,
            "sell 0.25 BTC-USD at 42000.50, lost -252.07",
        ),
        (
            "arena",
            r#"{"round":2,"winner":"momentum","capital":{"momentum":50123.00,"balanced":47810.00}}"#,
            "round 2 goes to momentum: balanced 47810.00, momentum 50123.00",
        ),
        (
            "candle:BTC-USD:10s",
            r#"{"open":41998.25,"high":42003.10,"low":41997.00,"close":42000.50,"volume":12.43,"trades":875,"final":true}"#,
            "open 41998.25, high 42003.10, low 41997.00, close 42000.50, volume 12.43, 875 trades",
        ),
        (
            "candle:BTCUSDT:1m",
            r#"{"open":"61837.63","high":"61855.37","low":"61824","close":"61828","volume":"12.43238","trades":875,"final":false}"#,
            "open 61837.63, high 61855.37, low 61824, close 61828, volume 12.43238, 875 trades, not final",
        ),
        (
            "indicator:BTC-USD",
            r#"{"symbol":"BTC-USD","interval":"10s","sma_20":null,"ema_20":42000.50,"rsi_14":62.5,"volatility":0.00012,"vwap":41999.96,"return":-0.0025}"#,
            "10s: sma -, ema 42000.50, rsi 62.5, volatility 0.00012, vwap 41999.96, return -0.0025",
        ),
        (
            "alert",
            r#"{"rule":"agent_capital_low","state":"firing","severity":"warning","subject":"agent:momentum","value":0.79,"threshold":0.8,"since_ms":1738511990123}"#,
            "warning agent_capital_low firing: agent:momentum is 0.79, threshold 0.8",
        ),
        (
            "book:BTCUSDT",
            r#"{"symbol":"BTCUSDT","synchronised":true,"bids":[["61685.99","1.0087"],["61685.5","0.25"]],"asks":[["61686","0.4"]]}"#,
            "bid 61685.99 x 1.0087, ask 61686 x 0.4",
        ),
        (
            "book:BTCUSDT",
            r#"{"symbol":"BTCUSDT","synchronised":false,"bids":[],"asks":[]}"#,
            "bid -, ask -, not synchronised",
        ),
        (
            "hub",
            r#"{"running":true,"sessions":3,"stats":{"enqueued":1685,"completed":1670,"failed":9},"metrics":{}}"#,
            "running, 3 sessions, 1685 enqueued, 1670 completed, 9 failed",
        ),
        (
            "chain:tps",
            r#"{"currentTPS":801234,"peakTPS":812345,"averageTPS":775001,"latency":47}"#,
            "801234 per second, peak 812345, mean 775001, latency 47 ms",
        ),
        (
            "chain:block",
            r#"{"blockHeight":12345,"blockTime":2000,"transactions":1600321,"producer":"validator-17"}"#,
            "block 12345 by validator-17: 1600321 transactions in 2000 ms",
        ),
        (
            "chain:network",
            r#"{"activeNodes":64,"totalNodes":100,"networkHealth":"healthy","avgLatency":42}"#,
            "healthy: 64 of 100 nodes, latency 42 ms",
        ),
        (
            "chain:validator",
            r#"{"totalValidators":100,"activeValidators":92,"inactiveValidators":6,"jailedValidators":2}"#,
            "92 of 100 active, 6 inactive, 2 jailed",
        ),
        (
            "sim:trade:BTC-USD",
            r#"{"symbol":"BTC-USD","price":42000.50,"quantity":0.25,"side":"buy","time_us":1,"id":7}"#,
            "buy 0.25 at 42000.50",
        ),
        (
            "sim:quote:BTC-USD",
            r#"{"symbol":"BTC-USD","bid":42000.49,"bid_quantity":0.25,"ask":42000.51,"ask_quantity":0.08,"time_us":1}"#,
            "bid 42000.49 x 0.25, ask 42000.51 x 0.08",
        ),
    ];

    #[test]
    fn s11_each_kind_of_event_is_told_in_words() {
        for (topic, payload, expected) in TOLD {
            assert_eq!(words(topic, payload).as_deref(), Some(expected), "{topic}");
        }
        for (pattern, _) in TEMPLATES {
            let start = pattern.trim_end_matches('*');
            assert!(TOLD.iter().any(|(topic, ..)| topic.starts_with(start)), "{pattern}");
        }
    }

    #[test]
    fn s11_what_is_not_known_or_looks_different_has_no_words() {
        for (topic, payload) in [
            ("binance:trade:BTCUSDT", r#"{"p":"61685.99"}"#),
            ("desk:signal:BTC", r#"{"side":"buy"}"#),
            ("arenas", r#"{"round":2,"winner":"momentum","capital":{}}"#),
            ("market:BTC-USD", "{}"),
            ("market:BTC-USD", "7"),
            ("market:BTC-USD", ""),
            ("book:X", r#"{"synchronised":1,"bids":[],"asks":[]}"#),
            ("book:X", r#"{"synchronised":true,"bids":{},"asks":[]}"#),
            ("hub", r#"{"running":true,"sessions":3,"stats":7}"#),
        ] {
            assert_eq!(words(topic, payload), None, "{topic} {payload}");
        }
    }

    #[test]
    fn text_keeps_its_escapes() {
        let payload = r#"{"price":"a\u001b[2J\""}"#;
        assert_eq!(words("market:X", payload).as_deref(), Some(r#"a\u001b[2J\""#));
    }

    proptest! {
        #[test]
        fn any_payload_has_words_or_none(index in 0..TOLD.len(), cut in any::<u16>(), text in ".*") {
            let (topic, payload, _) = TOLD[index];
            let cut = usize::from(cut) % payload.chars().count();
            let half: String = payload.chars().take(cut).collect();
            prop_assert_eq!(words(topic, &half), None);
            prop_assert_eq!(words(topic, &format!("{half}{text}")).is_some_and(|it| it.contains('\n')), false);
        }
    }
}
