//! The v1 JSON of an event, written by hand; and the few writers of JSON parts that its views share.
//!
//! It appends to a buffer of the caller and never reads back, allocates (beyond the buffer's growth) or uses a
//! floating-point number: money is printed from hundredths, a win rate from its two counts. Names are escaped;
//! foreign payloads are copied byte for byte, since [`Json`](crate::event::Json) vouches for them.
//!
//! Invariant: what is appended is exactly one JSON object, on one line. Keys stand in the order of the protocol;
//! the bytes are held by golden files.
//!
//! Data path: called by the holder of the encoder role, once per event; measured by `benches/encode.rs`.

use crate::event::{
    Action, Agent, AgentName, Body, Cents, Event, Market, Side, Status, TopicInfo, Trade,
};

/// Appends the v1 message: `{"type":…,"topic":…,"seq":…,"pos":…,"us":…,"payload":{…},"timestamp":…}`, where `us` is
/// the time of [`Event::us`] in microseconds and `timestamp` the same in milliseconds. `topic` is that of the event.
pub fn write_v1(out: &mut Vec<u8>, topic: &TopicInfo, seq: u64, pos: u64, event: &Event) {
    out.extend_from_slice(&topic.prefix);
    write_integer(out, seq);
    out.extend_from_slice(br#","pos":"#);
    write_integer(out, pos);
    out.extend_from_slice(br#","us":"#);
    let us = event.us();
    write_integer(out, us);
    out.extend_from_slice(br#","payload":"#);
    match &event.body {
        Body::Market(market) => write_market(out, market),
        Body::Agent(agent) => write_agent(out, agent),
        Body::Trade(trade) => write_trade(out, trade),
        Body::External(json) | Body::Recorded { payload: json, .. } => {
            out.extend_from_slice(json.bytes())
        }
        Body::Typed(typed) => typed.0.write_json(out),
    }
    out.extend_from_slice(br#","timestamp":"#);
    write_integer(out, us / 1_000);
    out.push(b'}');
}

fn write_market(out: &mut Vec<u8>, market: &Market) {
    out.extend_from_slice(br#"{"symbol":"#);
    write_text(out, &[&market.symbol]);
    out.extend_from_slice(br#","price":"#);
    write_cents(out, market.price);
    out.push(b'}');
}

fn write_agent(out: &mut Vec<u8>, agent: &Agent) {
    out.extend_from_slice(br#"{"agent":"#);
    write_text(out, &[&agent.agent.slug]);
    out.extend_from_slice(br#","name":"#);
    write_text(out, &[&agent.agent.name]);
    out.extend_from_slice(br#","capital":"#);
    write_cents(out, agent.capital);
    out.extend_from_slice(br#","trades":"#);
    write_integer(out, agent.trades.into());
    out.extend_from_slice(br#","win_rate":"#);
    write_fixed::<4>(out, win_rate(agent, 10_000));
    out.extend_from_slice(br#","scars":"#);
    write_integer(out, agent.scars.into());
    out.extend_from_slice(match agent.status {
        Status::Active => br#","status":"active","action":"#,
        Status::Resting => br#","status":"resting","action":"#,
    });
    write_action(out, &agent.agent, agent.action);
    out.push(b'}');
}

fn write_trade(out: &mut Vec<u8>, trade: &Trade) {
    out.extend_from_slice(br#"{"agent":"#);
    write_text(out, &[&trade.agent.slug]);
    out.extend_from_slice(br#","symbol":"#);
    write_text(out, &[&trade.symbol]);
    out.extend_from_slice(match trade.side {
        Side::Buy => br#","side":"buy","price":"#,
        Side::Sell => br#","side":"sell","price":"#,
    });
    write_cents(out, trade.price);
    out.extend_from_slice(br#","quantity":"#);
    write_cents(out, trade.quantity);
    out.extend_from_slice(br#","pnl":"#);
    write_cents(out, trade.pnl);
    out.extend_from_slice(if trade.won { br#","won":true}"# } else { br#","won":false}"# });
}

/// The share of trades won, in units of 1 / `scale`, rounded half up; 0 before the first trade.
pub(super) fn win_rate(agent: &Agent, scale: u64) -> u64 {
    let trades = u64::from(agent.trades);
    (u64::from(agent.wins) * scale + trades / 2).checked_div(trades).unwrap_or(0)
}

/// Appends what an agent did, as a string: `"⚡ Momentum WON trade (+$450)"`.
pub(super) fn write_action(out: &mut Vec<u8>, agent: &AgentName, action: Action) {
    let mut digits = itoa::Buffer::new();
    match action {
        Action::Won(dollars) => {
            write_text(out, &[&agent.name, " WON trade (+$", digits.format(dollars), ")"])
        }
        Action::Lost(dollars) => {
            write_text(out, &[&agent.name, " LOSS trade (-$", digits.format(dollars), ")"])
        }
        Action::Holds => write_text(out, &[&agent.name, " holds"]),
        Action::Rests => write_text(out, &[&agent.name, " rests"]),
    }
}

/// What an agent did, as people read it: `⚡ Momentum WON trade (+$450)`.
pub(crate) fn action_text(agent: &AgentName, action: Action) -> String {
    let mut json = Vec::new();
    write_action(&mut json, agent, action);
    serde_json::from_slice(&json).expect("a JSON string was written")
}

/// Appends a decimal integer.
pub(super) fn write_integer(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends an amount with two decimals: `42000.50`, `-0.05`.
pub(super) fn write_cents(out: &mut Vec<u8>, amount: Cents) {
    if amount.0 < 0 {
        out.push(b'-');
    }
    write_fixed::<2>(out, amount.0.unsigned_abs());
}

/// Appends `value` / 10^`DECIMALS` with exactly that many decimals.
pub(super) fn write_fixed<const DECIMALS: usize>(out: &mut Vec<u8>, value: u64) {
    let mut rest = value;
    let mut decimals = [b'0'; DECIMALS];
    for digit in decimals.iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    write_integer(out, rest);
    out.push(b'.');
    out.extend_from_slice(&decimals);
}

/// Appends one JSON string made of `parts`, quotes included.
pub(super) fn write_text(out: &mut Vec<u8>, parts: &[&str]) {
    out.push(b'"');
    for part in parts {
        if part.bytes().any(needs_escape) {
            part.bytes().for_each(|byte| write_escaped(out, byte));
        } else {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out.push(b'"');
}

/// What RFC 8259 does not allow within a string as it is; bytes of longer characters pass.
fn needs_escape(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

fn write_escaped(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(br"\n"),
        b'\r' => out.extend_from_slice(br"\r"),
        b'\t' => out.extend_from_slice(br"\t"),
        0..b' ' => {
            out.extend_from_slice(br"\u00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        _ => out.push(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::{write_cents, write_fixed, write_text};
    use crate::event::Cents;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("written as text")
    }

    #[test]
    fn amounts_have_two_decimals_and_their_sign_over_the_whole_range() {
        let expected = [
            (4_200_050, "42000.50"),
            (0, "0.00"),
            (5, "0.05"),
            (-5, "-0.05"),
            (-100, "-1.00"),
            (99, "0.99"),
            (100, "1.00"),
            (-25_200, "-252.00"),
            (i64::MAX, "92233720368547758.07"),
            (i64::MIN, "-92233720368547758.08"),
        ];
        for (amount, text) in expected {
            assert_eq!(written(|out| write_cents(out, Cents(amount))), text);
        }
    }

    #[test]
    fn fixed_numbers_have_the_decimals_they_were_asked_for() {
        assert_eq!(written(|out| write_fixed::<1>(out, 600)), "60.0");
        assert_eq!(written(|out| write_fixed::<1>(out, 7)), "0.7");
        assert_eq!(written(|out| write_fixed::<4>(out, 6_000)), "0.6000");
        assert_eq!(written(|out| write_fixed::<4>(out, 10_000)), "1.0000");
        assert_eq!(written(|out| write_fixed::<4>(out, u64::MAX)), "1844674407370955.1615");
    }

    proptest! {
        #[test]
        fn texts_are_read_back_as_they_were(parts in prop::collection::vec("(?s).{0,12}", 0..4)) {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let json = written(|out| write_text(out, &parts));
            prop_assert!(!json.bytes().any(|byte| byte < b' '), "one line: {json:?}");
            prop_assert_eq!(serde_json::from_str::<String>(&json)?, parts.concat());
        }
    }
}
