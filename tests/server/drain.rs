//! Taking leave: everything published is written, everybody is told, nobody is dropped.
//!
//! Method: clients that read to the end while the engine drains beside them.

use super::client::{CLOSE, Client, Next, TEXT};
use super::support::{PATIENCE, config, external, publisher, start, topic};
use lineage::event::Class;

#[test]
fn two_hundred_clients_are_told_and_closed_with_1001_and_nobody_is_dropped() {
    const EVENTS: u64 = 500;
    let engine = start(config());
    let ws = engine.addresses().ws;
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let mut clients: Vec<Client> = (0..25).map(|_| Client::open(ws, "/")).collect();
            clients.extend((0..25).map(|_| Client::subscribed(ws, &["t"]).0));
            std::thread::spawn(move || clients.into_iter().map(farewell).collect::<Vec<_>>())
        })
        .collect();
    assert!(engine.wait_for_clients(200, PATIENCE));
    let (mut publisher, t) = (publisher(&engine), topic(&engine, "t", Class::Event));
    for n in 0..EVENTS {
        publisher.publish(external(t, &n.to_string())).expect("room");
    }
    let drained = engine.drain(PATIENCE);
    assert_eq!((drained.clients, drained.dropped), (200, 0));
    let farewells: Vec<Farewell> =
        readers.into_iter().flat_map(|reader| reader.join().expect("no panic")).collect();
    assert_eq!(farewells.len(), 200);
    for (n, Farewell { events, shutdown, code, reason }) in farewells.into_iter().enumerate() {
        assert!(code == 1001 && reason.starts_with("drain"), "{code} {reason}");
        let is_v1 = n % 50 >= 25;
        assert_eq!(events, if is_v1 { EVENTS } else { 0 }, "all that was published came first");
        assert_eq!(shutdown.is_some(), is_v1, "v1 clients alone are told in words");
        if let Some(shutdown) = shutdown {
            let message: serde_json::Value = serde_json::from_str(&shutdown).expect("JSON");
            let window = &message["payload"]["reconnect_ms"];
            assert_eq!(window, &serde_json::json!([0, 250]), "{shutdown}");
        }
    }
}

/// What a client got to its end.
#[derive(Debug)]
struct Farewell {
    events: u64,
    shutdown: Option<String>,
    code: u16,
    reason: String,
}

fn farewell(mut client: Client) -> Farewell {
    let mut farewell = Farewell { events: 0, shutdown: None, code: 0, reason: String::new() };
    loop {
        match client.next() {
            Next::Frame(TEXT, range) => {
                let text = String::from_utf8(client.bytes(range).to_vec()).expect("text");
                assert_eq!(farewell.shutdown, None, "nothing comes behind the shutdown: {text}");
                if text.starts_with("{\"type\":\"shutdown\"") {
                    farewell.shutdown = Some(text);
                } else {
                    farewell.events += 1;
                }
            }
            Next::Frame(CLOSE, range) => {
                let payload = client.bytes(range);
                farewell.code = u16::from_be_bytes([payload[0], payload[1]]);
                farewell.reason = String::from_utf8(payload[2..].to_vec()).expect("text");
                return farewell;
            }
            Next::Frame(..) => {}
            other => panic!("{other:?} without a close frame"),
        }
    }
}
