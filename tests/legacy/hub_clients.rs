//! The hub's clients come, die and read; its figures over time add up, wherever they are read.

use super::client::Client;
use super::stage::Stage;
use super::support::wait_until;
use serde_json::Value;
use socket2::SockRef;
use std::time::Duration;

const LANES: [&str; 3] = ["research", "trading", "risk"];

fn whole(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a whole number, not {value}"))
}

#[test]
fn s42_a_client_that_dies_is_no_longer_counted_and_the_others_get_every_status() {
    let mut stage = Stage::all();
    let before = stage.engine.clients();
    let mut clients: Vec<Client> = (0..4).flat_map(|_| stage.on_both("/ws")).collect();
    for client in &mut clients {
        assert_eq!(client.json()["type"], "hub_status_update");
    }
    wait_until("all are counted", || stage.engine.clients() == before + 8);
    for dead in clients.drain(..3) {
        SockRef::from(&dead.stream).set_linger(Some(Duration::ZERO)).expect("a socket");
    }
    wait_until("the dead are gone", || stage.engine.clients() == before + 5);
    for _ in 0..10 {
        stage.pass(2, 1);
        let told: Vec<String> =
            clients.iter_mut().map(|client| client.message().to_owned()).collect();
        assert!(told.iter().all(|text| *text == told[0]), "{told:?}");
    }
    assert_eq!(stage.engine.clients(), before + 5);
}

#[test]
fn s39_s42_figures_rise_over_time_and_agree_with_the_metrics_lane_by_lane() {
    let mut stage = Stage::all();
    let mut client = Client::open(stage.engine.addresses().ws, "/ws");
    let mut last = client.json();
    for _ in 0..30 {
        stage.pass(2, 1);
        let next = client.json();
        for key in ["enqueued", "completed", "failed"] {
            let sum: u64 =
                LANES.iter().map(|lane| whole(&next["data"]["metrics"][lane][key])).sum();
            assert_eq!(whole(&next["data"]["stats"][key]), sum, "{key}: {next}");
            for lane in LANES {
                let [was, is] = [&last, &next].map(|at| whole(&at["data"]["metrics"][lane][key]));
                assert!(was <= is, "{lane} {key} fell from {was} to {is}");
            }
        }
        last = next;
    }
    let data = &last["data"];
    assert!(whole(&data["stats"]["completed"]) > 0, "{last}");
    for lane in LANES {
        let series = |name: &str| stage.metric(&format!("lineage_hub_{name}{{lane=\"{lane}\"}}"));
        let told = whole(&data["metrics"][lane]["enqueued"]);
        assert!((series("tasks_enqueued_total") - told as f64).abs() < 0.5, "{lane}: {last}");
        let waiting = whole(&data["metrics"][lane]["queue_size"]);
        assert!((series("queue_size") - waiting as f64).abs() < 0.5, "{lane}: {last}");
    }
}
