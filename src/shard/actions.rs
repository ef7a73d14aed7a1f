//! What clients of legacy views may ask: the hub's clients its status, and nobody anything else.

use super::connections::Flags;
use super::lanes::Lane;
use super::{Shard, Transport};
use crate::encode::legacy;
use crate::telemetry::ShardCounter;
use serde::Deserialize;
use std::borrow::Cow;
use tokio_tungstenite::tungstenite::Message;

/// `{"action":"get_hub_status"}`
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
}

impl<T: Transport> Shard<T> {
    /// A message of a legacy client: one of the hub's that asks for the status gets it, at once; anything else means
    /// nothing, and is counted.
    pub(super) fn answer_legacy(&mut self, k: usize, message: &Message, replies: &mut Vec<u8>) {
        let asks = self.connections.flags[k].has(Flags::HUB) && asks_for_status(message);
        if !asks {
            return self.telemetry.add(ShardCounter::IgnoredMessages, 1);
        }
        let start = replies.len();
        self.encoder.legacy_values(
            Lane::Legacy.encoded().expect("the encoder writes the legacy lanes"),
            |_, values| {
                replies.truncate(start);
                values.for_each(|topic, frame| {
                    if &*self.topics.info(topic).name == "hub" {
                        replies.extend_from_slice(frame);
                    }
                });
            },
        );
        if replies.len() == start {
            legacy::hub_off(self.now_us, replies);
        }
    }
}

fn asks_for_status(message: &Message) -> bool {
    let Message::Text(text) = message else { return false };
    let request = serde_json::from_str::<Request<'_>>(text);
    request.is_ok_and(|request| matches!(&*request.action, "get_hub_status" | "subscribe_hub"))
}
