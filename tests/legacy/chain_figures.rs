//! What the ledger's updates say over a minute, and what a client of them costs.

use super::chain::{due, greeted};
use super::client::Client;
use super::stage::{SECOND_US, Stage, json, keys, systems};
use lineage::config::Config;
use serde_json::Value;

/// All messages of a minute and of its beginning, and their bytes on the wire.
fn minute() -> (Vec<Value>, usize) {
    let stage = Stage::all();
    let address = stage.engine.addresses().ws;
    let (mut client, _, mut told) = greeted(Client::open(address, "/api/v11/live/stream"));
    for second in 1..=60 {
        stage.advance_us(SECOND_US);
        told.extend(due(second).iter().map(|_| client.message().to_owned()));
    }
    // A header is 2 bytes long, from 126 bytes of payload on 4.
    let framed = |text: &String| text.len() + if text.len() < 126 { 2 } else { 4 };
    let bytes = told.iter().map(framed).sum();
    (told.iter().map(|text| json(text)).collect(), bytes)
}

/// The payloads of a type, in order; their keys are these.
fn payloads<'a>(told: &'a [Value], kind: &str, known: &str) -> Vec<&'a Value> {
    let of_kind: Vec<&Value> = told
        .iter()
        .filter(|message| message["type"] == kind)
        .inspect(|message| assert_eq!(keys(message), "type,payload,timestamp", "{message}"))
        .map(|message| &message["payload"])
        .collect();
    of_kind.iter().for_each(|payload| assert_eq!(keys(payload), known));
    of_kind
}

fn whole(payload: &Value, key: &str) -> u64 {
    payload[key].as_u64().unwrap_or_else(|| panic!("{key} is a whole number: {payload}"))
}

#[test]
fn s44_rates_are_in_their_band_and_peak_and_mean_run_on_from_their_start_values() {
    let (told, _) = minute();
    let updates = payloads(&told, "tps_update", "currentTPS,peakTPS,averageTPS,latency");
    assert_eq!(updates.len(), 61);
    let (mut peak, mut sum) = (800_000, 750_000);
    for (before, update) in updates.iter().enumerate() {
        let current = whole(update, "currentTPS");
        assert!((776_000..=826_000).contains(&current), "{update}");
        assert!((40..=60).contains(&whole(update, "latency")), "{update}");
        (peak, sum) = (peak.max(current), sum + current);
        assert_eq!(whole(update, "peakTPS"), peak, "{update}");
        assert_eq!(whole(update, "averageTPS"), sum / (before as u64 + 2), "{update}");
    }
}

#[test]
fn s45_s49b_heights_begin_at_12345_and_a_block_has_what_was_committed_since_the_last() {
    let (told, _) = minute();
    let known = "blockHeight,blockTime,transactions,producer";
    let blocks = payloads(&told, "block_update", known);
    assert_eq!(blocks.len(), 31);
    for (block, height) in blocks.iter().zip(12_345..) {
        assert_eq!(whole(block, "blockHeight"), height);
        // Two seconds at the rates of the band.
        assert!((1_552_000..=1_652_000).contains(&whole(block, "transactions")), "{block}");
        assert!((1_900..=2_100).contains(&whole(block, "blockTime")), "{block}");
        let producer = block["producer"].as_str().and_then(|name| name.strip_prefix("validator-"));
        assert!(producer.is_some_and(|number| number.parse::<u32>().is_ok()), "{block}");
    }
}

#[test]
fn s46_s49b_about_64_of_100_nodes_serve_and_their_health_is_a_word() {
    let (told, _) = minute();
    let known = "activeNodes,totalNodes,networkHealth,avgLatency";
    let networks = payloads(&told, "network_update", known);
    assert_eq!(networks.len(), 21);
    for network in networks {
        assert!((50..=70).contains(&whole(network, "activeNodes")), "{network}");
        assert_eq!(whole(network, "totalNodes"), 100);
        assert!((35..=50).contains(&whole(network, "avgLatency")), "{network}");
        let words = ["healthy", "degraded", "critical"];
        let word = network["networkHealth"].as_str().expect("text");
        assert!(words.contains(&word), "{network}");
    }
}

#[test]
fn s47_s49b_validators_add_up() {
    let (told, _) = minute();
    let known = "totalValidators,activeValidators,inactiveValidators,jailedValidators";
    let updates = payloads(&told, "validator_update", known);
    assert_eq!(updates.len(), 13);
    for update in updates {
        let parts = ["activeValidators", "inactiveValidators", "jailedValidators"];
        let sum: u64 = parts.iter().map(|key| whole(update, key)).sum();
        assert_eq!((sum, whole(update, "totalValidators")), (100, 100), "{update}");
    }
}

#[test]
fn s52_a_client_of_the_stream_reads_less_than_a_kilobyte_per_second() {
    let (told, bytes) = minute();
    assert_eq!(told.len(), 5 + 60 + 30 + 20 + 12, "no message is lost, none comes twice");
    assert!((60 * 200..60 * 1_000).contains(&bytes), "{bytes} bytes in a minute");
}

#[test]
fn s52_ten_clients_stay_for_five_minutes_of_pings_and_miss_no_update() {
    let Config { ping_interval, silence_max, .. } = Config::default();
    let mut stage = Stage::all_of(Config { ping_interval, silence_max, ..systems() });
    let mut clients: Vec<Client> = (0..5)
        .flat_map(|_| stage.on_both("/api/v11/live/stream"))
        .map(|client| greeted(client).0)
        .collect();
    let open = stage.engine.clients();
    for second in 1..=300 {
        stage.pass(1, 1);
        for kind in due(second) {
            let told = clients[0].message().to_owned();
            let (message, now_ms) = (json(&told), stage.now_us() / 1_000);
            assert_eq!((&message["type"], &message["timestamp"]), (&kind.into(), &now_ms.into()));
            for client in &mut clients[1..] {
                assert_eq!(client.message(), told, "second {second}");
            }
        }
    }
    assert_eq!(stage.engine.clients(), open, "nobody was let go");
}
