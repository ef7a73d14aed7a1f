//! What a round of the arena came to.

use super::{AgentName, Cents, Payload};
use serde::ser::{Error, SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::sync::Arc;

/// A round that has ended: `{"round":2,"winner":"momentum","capital":{"momentum":50123.00,…}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Which one, from 1.
    pub round: u64,
    /// Who gained most in it; of equals the first in `capital`.
    pub winner: Arc<AgentName>,
    /// Every agent's capital at its end.
    pub capital: Vec<(Arc<AgentName>, Cents)>,
}

impl Payload for Round {
    fn write_json(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self).expect("a vector takes everything, and no key is missing");
    }
}

impl Serialize for Round {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_struct("Round", 3)?;
        record.serialize_field("round", &self.round)?;
        record.serialize_field("winner", &self.winner.slug)?;
        record.serialize_field("capital", &Capital(&self.capital))?;
        record.end()
    }
}

/// Amounts by the agents' names in topics, with two decimals.
struct Capital<'a>(&'a [(Arc<AgentName>, Cents)]);

impl Serialize for Capital<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut amounts = serializer.serialize_map(Some(self.0.len()))?;
        for (agent, Cents(amount)) in self.0 {
            let sign = if *amount < 0 { "-" } else { "" };
            let (dollars, cents) = (amount.unsigned_abs() / 100, amount.unsigned_abs() % 100);
            let number = RawValue::from_string(format!("{sign}{dollars}.{cents:02}"));
            amounts.serialize_entry(&agent.slug, &number.map_err(S::Error::custom)?)?;
        }
        amounts.end()
    }
}

#[cfg(test)]
mod tests {
    use super::{AgentName, Cents, Payload, Round};
    use std::sync::Arc;

    #[test]
    fn s17_a_round_is_written_in_the_order_of_the_protocol_with_two_decimals() {
        let agent = |slug: &str| Arc::new(AgentName { slug: slug.into(), name: "⚡".into() });
        let capital = vec![
            (agent("momentum"), Cents(5_012_300)),
            (agent("b\"c"), Cents(-5)),
            (agent("poor"), Cents(-12_345)),
        ];
        let round = Round { round: 2, winner: agent("momentum"), capital };
        let mut out = Vec::new();
        round.write_json(&mut out);
        let expected = r#"{"round":2,"winner":"momentum","capital":{"momentum":50123.00,"b\"c":-0.05,"poor":-123.45}}"#;
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }
}
