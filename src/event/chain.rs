//! What the simulated ledger network tells: its rate, its blocks, its nodes and its validators.
//!
//! Each record is the payload of one topic (`chain:tps`, `chain:block`, `chain:network`, `chain:validator`) and, in the
//! envelope of the older clients, of one message. Keys stand in the order of the protocol; golden files hold the
//! bytes. Nothing here counts or decides: the records are copies of figures at one moment.

use super::{Body, Event, Payload};
use serde::Serialize;
use uuid::Uuid;

/// Throughput and latency: payload of `chain:tps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ChainTps {
    /// Transactions committed in the last second.
    #[serde(rename = "currentTPS")]
    pub current_tps: u64,
    /// The greatest of them so far, from a start value on.
    #[serde(rename = "peakTPS")]
    pub peak_tps: u64,
    /// Their mean so far, in which a start value counts as one of them.
    #[serde(rename = "averageTPS")]
    pub average_tps: u64,
    /// Mean time from arrival to commit of the transactions of the last second, in milliseconds.
    #[serde(rename = "latency")]
    pub latency_ms: u64,
}

/// A sealed block: payload of `chain:block`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainBlock {
    /// One more than that of the block before.
    pub block_height: u64,
    /// Time since the block before, in milliseconds.
    #[serde(rename = "blockTime")]
    pub block_time_ms: u64,
    /// Transactions committed since the block before.
    pub transactions: u64,
    /// The validator that sealed it, such as `validator-17`.
    pub producer: Box<str>,
}

/// The nodes: payload of `chain:network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainNetwork {
    /// Nodes that serve.
    pub active_nodes: u32,
    /// All nodes.
    pub total_nodes: u32,
    /// How many of the wanted nodes serve, in a word.
    pub network_health: NetworkHealth,
    /// Mean answer time of the nodes that serve, in milliseconds; 0 when none does.
    #[serde(rename = "avgLatency")]
    pub avg_latency_ms: u64,
}

/// The state of the network in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkHealth {
    /// At least nine tenths of the wanted nodes serve.
    Healthy,
    /// At least two thirds of them do.
    Degraded,
    /// Fewer do.
    Critical,
}

/// The validators: payload of `chain:validator`. The last three add up to the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainValidators {
    /// All validators.
    pub total_validators: u32,
    /// Those that vote.
    pub active_validators: u32,
    /// Those without a node that serves.
    pub inactive_validators: u32,
    /// Those that missed too many votes and sit out their time.
    pub jailed_validators: u32,
}

macro_rules! payload {
    ($($record:ty),+) => {$(
        impl Payload for $record {
            fn write_json(&self, out: &mut Vec<u8>) {
                serde_json::to_writer(out, self).expect("numbers and words are written to memory");
            }
        }
    )+};
}

payload!(ChainTps, ChainBlock, ChainNetwork, ChainValidators);

/// A kind of update that the older clients of the chain know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainUpdate {
    /// Of [`ChainTps`].
    Tps,
    /// Of [`ChainBlock`].
    Block,
    /// Of [`ChainNetwork`].
    Network,
    /// Of [`ChainValidators`].
    Validator,
}

impl ChainUpdate {
    /// All kinds, in the order in which the welcome names them; a kind's place in it is its variant's number.
    pub const ALL: [Self; 4] = [Self::Tps, Self::Block, Self::Network, Self::Validator];

    /// The kind of `event`, if it is of the chain.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        let Body::Typed(typed) = &event.body else { return None };
        let is_of = |kind: &Self| match kind {
            Self::Tps => typed.get::<ChainTps>().is_some(),
            Self::Block => typed.get::<ChainBlock>().is_some(),
            Self::Network => typed.get::<ChainNetwork>().is_some(),
            Self::Validator => typed.get::<ChainValidators>().is_some(),
        };
        Self::ALL.into_iter().find(is_of)
    }

    /// The topic it is published on.
    #[must_use]
    pub fn topic(self) -> &'static str {
        match self {
            Self::Tps => "chain:tps",
            Self::Block => "chain:block",
            Self::Network => "chain:network",
            Self::Validator => "chain:validator",
        }
    }

    /// The type of the older clients' message.
    #[must_use]
    pub fn message_type(self) -> &'static str {
        match self {
            Self::Tps => "tps_update",
            Self::Block => "block_update",
            Self::Network => "network_update",
            Self::Validator => "validator_update",
        }
    }
}

/// Appends the older clients' message of an update: `{"type":"tps_update","payload":{…},"timestamp":…}`, in
/// milliseconds. False (and nothing appended) when the event is not of the chain.
pub fn write_chain_message(out: &mut Vec<u8>, event: &Event) -> bool {
    let (Some(update), Body::Typed(typed)) = (ChainUpdate::of(event), &event.body) else {
        return false;
    };
    out.extend_from_slice(br#"{"type":""#);
    out.extend_from_slice(update.message_type().as_bytes());
    out.extend_from_slice(br#"","payload":"#);
    typed.0.write_json(out);
    write_timestamp(out, event.time_us);
    true
}

/// Appends the first message that an older client of the chain reads: who it is, and what will come. `time_us` is
/// in microseconds since the Unix epoch.
pub fn write_chain_welcome(out: &mut Vec<u8>, connection: &Uuid, time_us: u64) {
    out.extend_from_slice(br#"{"type":"welcome","payload":{"connectionId":""#);
    let id = connection.hyphenated();
    out.extend_from_slice(id.encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    out.extend_from_slice(br#"","channels":["#);
    for (place, update) in ChainUpdate::ALL.into_iter().enumerate() {
        out.extend_from_slice(if place == 0 { br#"""# } else { br#",""# });
        out.extend_from_slice(update.message_type().as_bytes());
        out.push(b'"');
    }
    out.extend_from_slice(b"]}");
    write_timestamp(out, time_us);
}

/// Appends the end of a message: its time in milliseconds.
fn write_timestamp(out: &mut Vec<u8>, time_us: u64) {
    out.extend_from_slice(br#","timestamp":"#);
    out.extend_from_slice(itoa::Buffer::new().format(time_us / 1_000).as_bytes());
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::{
        ChainBlock, ChainNetwork, ChainTps, ChainUpdate, ChainValidators, NetworkHealth,
        write_chain_message, write_chain_welcome,
    };
    use crate::event::{Body, Cents, Event, Market, Payload, Topic, Typed};
    use uuid::Uuid;

    const TIME_US: u64 = 1_730_000_000_000_999;

    const NETWORK: ChainNetwork = ChainNetwork {
        active_nodes: 64,
        total_nodes: 100,
        network_health: NetworkHealth::Healthy,
        avg_latency_ms: 42,
    };

    fn updates() -> [Typed; 4] {
        [
            Typed::new(ChainTps {
                current_tps: 801_234,
                peak_tps: 812_345,
                average_tps: 775_001,
                latency_ms: 47,
            }),
            Typed::new(ChainBlock {
                block_height: 12_345,
                block_time_ms: 2_000,
                transactions: 1_600_321,
                producer: "validator-17".into(),
            }),
            Typed::new(NETWORK),
            Typed::new(ChainValidators {
                total_validators: 100,
                active_validators: 92,
                inactive_validators: 6,
                jailed_validators: 2,
            }),
        ]
    }

    fn event(body: Body) -> Event {
        Event { topic: Topic::from_index(0), key: 0, time_us: TIME_US, body }
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).expect("written as text")
    }

    #[test]
    fn s48_s49b_the_messages_have_the_golden_bytes() {
        let mut lines = Vec::new();
        for update in updates() {
            assert!(write_chain_message(&mut lines, &event(Body::Typed(update))));
            lines.push(b'\n');
        }
        assert_eq!(text(lines), include_str!("../../tests/golden/legacy_chain.jsonl"));
    }

    #[test]
    fn s49_the_welcome_has_the_golden_bytes_and_names_its_connection() {
        let welcome = |connection: &Uuid| {
            let mut line = Vec::new();
            write_chain_welcome(&mut line, connection, TIME_US);
            text(line)
        };
        let connection = Uuid::from_u128(0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8);
        let golden = include_str!("../../tests/golden/legacy_chain_welcome.json");
        assert_eq!(welcome(&connection), golden.trim_end());
        for connection in [Uuid::nil(), Uuid::max(), Uuid::from_u128(17)] {
            let value: serde_json::Value = serde_json::from_str(&welcome(&connection)).unwrap();
            let named = value["payload"]["connectionId"].as_str().expect("a text");
            assert_eq!(Uuid::parse_str(named), Ok(connection));
        }
    }

    #[test]
    fn s49b_the_payload_is_that_of_the_message() {
        for (update, kind) in updates().into_iter().zip(ChainUpdate::ALL) {
            let (mut payload, mut message) = (Vec::new(), Vec::new());
            update.0.write_json(&mut payload);
            let event = event(Body::Typed(update));
            write_chain_message(&mut message, &event);
            let (kind_of, payload) = (ChainUpdate::of(&event), text(payload));
            let expected = format!(
                r#"{{"type":"{}","payload":{payload},"timestamp":1730000000000}}"#,
                kind.message_type()
            );
            assert_eq!((text(message), kind_of), (expected, Some(kind)));
        }
    }

    #[test]
    fn s46_health_is_one_of_three_words() {
        let health = [
            (NetworkHealth::Healthy, "healthy"),
            (NetworkHealth::Degraded, "degraded"),
            (NetworkHealth::Critical, "critical"),
        ];
        for (network_health, word) in health {
            let mut out = Vec::new();
            ChainNetwork { network_health, ..NETWORK }.write_json(&mut out);
            assert!(text(out).contains(&format!(r#","networkHealth":"{word}","#)), "{word}");
        }
    }

    #[test]
    fn what_is_not_of_the_chain_has_no_message() {
        #[derive(Debug)]
        struct Other;
        impl Payload for Other {
            fn write_json(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(b"{}");
            }
        }
        let market = Market { symbol: "BTC-USD".into(), price: Cents(1) };
        for body in [Body::Market(market), Body::Typed(Typed::new(Other))] {
            let (event, mut out) = (event(body), b"before".to_vec());
            assert!(!write_chain_message(&mut out, &event));
            assert_eq!((out.as_slice(), ChainUpdate::of(&event)), (b"before".as_slice(), None));
        }
    }
}
