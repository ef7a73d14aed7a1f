//! The JSON of the views for older clients, whose bytes are fixed: they compare and parse them as they stand.
//!
//! It knows prices, agents' states, the hub's status and the ledger's updates, and nothing else; it never adds a key,
//! changes an order or a number format. Golden files hold the bytes. In the firehose timestamps are whole seconds, money
//! has two decimals, a win rate is in percent with one decimal.
//!
//! Data path: called by the holder of the encoder role, once per event while somebody reads such a view.

use super::frame;
use super::json::{win_rate, write_action, write_cents, write_fixed, write_integer, write_text};
use crate::event::{
    Agent, Body, Event, HubStatus, Market, Typed, hub, write_chain_message, write_chain_welcome,
};
use uuid::Uuid;

/// Appends the legacy message; false (and nothing appended) when the event has no legacy form.
pub fn write_legacy(out: &mut Vec<u8>, event: &Event) -> bool {
    match &event.body {
        Body::Market(market) => write_market(out, market),
        Body::Agent(agent) => write_agent(out, agent),
        Body::Typed(record) => return write_record(out, record, event),
        Body::Trade(_) | Body::External(_) | Body::Recorded { .. } => return false,
    }
    out.extend_from_slice(br#","timestamp":"#);
    write_integer(out, event.time_us / 1_000_000);
    out.push(b'}');
    true
}

/// Appends the nested form of a legacy frame as a frame: `{"market":{…}}` or `{"agent":{…}}`; older clients read it.
/// `kind` is the message's type.
pub fn nest(frame: &[u8], kind: &str, out: &mut Vec<u8>) {
    let message = frame::payload(frame);
    let mut nested = Vec::with_capacity(message.len() + kind.len() + 5);
    write_nested(&mut nested, kind, message);
    frame::text(&nested, out);
}

/// Appends the nested form of a legacy message of type `kind`.
pub(super) fn write_nested(out: &mut Vec<u8>, kind: &str, message: &[u8]) {
    out.extend_from_slice(br#"{""#);
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(br#"":"#);
    out.extend_from_slice(message);
    out.push(b'}');
}

/// The legacy message of a record: the hub's status, or one of the ledger's updates.
fn write_record(out: &mut Vec<u8>, record: &Typed, event: &Event) -> bool {
    match record.get::<HubStatus>() {
        Some(status) => {
            out.extend_from_slice(&hub::legacy_message(Some(status), event.time_us));
            true
        }
        None => write_chain_message(out, event),
    }
}

/// Appends, as a frame, what a client of the ledger's view is greeted with.
pub fn chain_welcome(connection: &Uuid, now_us: u64, frames: &mut Vec<u8>) {
    let mut message = Vec::new();
    write_chain_welcome(&mut message, connection, now_us);
    frame::text(&message, frames);
}

/// Appends, as a frame, what a client of the hub's view is told while there is no hub.
pub fn hub_off(now_us: u64, frames: &mut Vec<u8>) {
    frame::text(&hub::legacy_message(None, now_us), frames);
}

fn write_market(out: &mut Vec<u8>, market: &Market) {
    out.extend_from_slice(br#"{"type":"market","symbol":"#);
    write_text(out, &[&market.symbol]);
    out.extend_from_slice(br#","price":"#);
    write_cents(out, market.price);
}

fn write_agent(out: &mut Vec<u8>, agent: &Agent) {
    out.extend_from_slice(br#"{"type":"agent","agent_name":"#);
    write_text(out, &[&agent.agent.name]);
    out.extend_from_slice(br#","capital":"#);
    write_cents(out, agent.capital);
    out.extend_from_slice(br#","trades":"#);
    write_integer(out, agent.trades.into());
    out.extend_from_slice(br#","win_rate":"#);
    write_fixed::<1>(out, win_rate(agent, 1_000));
    out.extend_from_slice(br#","scars":"#);
    write_integer(out, agent.scars.into());
    out.extend_from_slice(br#","action":"#);
    write_action(out, &agent.agent, agent.action);
}
