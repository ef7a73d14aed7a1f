//! Goal: what the hub tells over HTTP, in metrics and in its log is what its figures are. Method: the answers of its
//! routes, a scrape, and what a subscriber of the log writes, after made-up updates of agents.

use super::tests::{SECOND_US, SEED, World, plain};
use super::{Board, Hub, Options, routes};
use crate::api::Asked;
use crate::event::{Action, Topics};
use crate::simulation::Random;
use crate::telemetry::{PerformanceMetrics, Telemetry};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// What the route at `path` answers.
pub(super) fn ask(board: Option<&Arc<Board>>, path: &str) -> Value {
    let route = routes(board).into_iter().find(|route| route.path == path).expect("it is there");
    (route.answer)(&Asked::default()).expect("it always answers")
}

#[test]
fn s32_the_status_names_lanes_sessions_and_tasks() {
    let mut world = World::new(&plain(8));
    (0..3).for_each(|agent| world.update(agent, Action::Holds, 0));
    let answer = ask(Some(&world.board), "/api/hub/status");
    let hub = &answer["hub"];
    assert_eq!((&answer["status"], &answer["architecture"]), (&json!("available"), &json!("new")));
    assert_eq!((&hub["running"], &hub["sessions"]), (&json!(true), &json!(3)));
    let research = json!({ "queued": 2, "running": 1, "capacity": 8 });
    let idle = json!({ "queued": 0, "running": 0, "capacity": 8 });
    assert_eq!(hub["lane_status"], json!({ "research": research, "trading": idle, "risk": idle }));
    assert_eq!(hub["stats"], json!({ "enqueued": 3, "completed": 0, "failed": 0 }));
    assert_eq!(hub["metrics"]["research"]["queue_size"], json!(2));
}

#[test]
fn s33_the_stats_have_times_and_rates_by_lane_and_the_measurements() {
    let mut world = World::new(&plain(8));
    world.trade(0, false, 0);
    world.run(SECOND_US);
    let answer = ask(Some(&world.board), "/api/hub/stats");
    let lane = json!({
        "queued": 0, "running": 0, "capacity": 8, "enqueued": 1, "completed": 1, "failed": 0,
        "rejected": 0, "success_rate": 1.0,
        // A quantile is the highest value that the distribution does not tell from the one it is.
        "execution_ms": { "mean": 10.0, "p50": 10.047, "p99": 10.047 },
    });
    for name in ["research", "trading", "risk"] {
        assert_eq!(answer["lanes"][name], lane, "{name}");
    }
    let performance = &answer["performance"];
    let enqueued = &performance["hub_tasks_enqueued{lane=\"risk\"}"];
    assert_eq!(enqueued, &json!({ "kind": "count", "total": 1 }));
    let timing = &performance["hub_task{lane=\"risk\",outcome=\"completed\"}"];
    let expected = json!({ "kind": "timing", "count": 1, "sum_us": 10_000, "min_us": 10_000, "max_us": 10_000 });
    assert_eq!(timing, &expected);
}

#[test]
fn s32_s33_s41_without_a_hub_both_answers_are_not_available() {
    for path in ["/api/hub/status", "/api/hub/stats"] {
        let expected = json!({ "status": "not_available", "architecture": "legacy" });
        assert_eq!(ask(None, path), expected, "{path}");
    }
}

#[test]
fn s32_s33_the_examples_have_the_shape_of_the_answers() {
    /// The keys of an answer, all the way down.
    fn shape(value: &Value) -> Value {
        value.as_object().map_or(Value::Null, |fields| {
            fields.iter().map(|(key, value)| (key.clone(), shape(value))).collect()
        })
    }
    let world = World::new(&Options::default());
    for route in routes(Some(&world.board)) {
        let (mut example, mut answer) =
            (shape(&route.example), shape(&ask(Some(&world.board), route.path)));
        for value in [&mut example, &mut answer] {
            value["performance"] = Value::Null;
        }
        assert_eq!(example, answer, "{}", route.path);
    }
}

#[test]
fn s39_each_lane_has_its_metrics_from_the_first_scrape_on() {
    let mut world = World::new(&plain(1));
    let telemetry = Telemetry::new(1);
    for collector in world.board.collectors() {
        telemetry.register(collector).expect("the names are free");
    }
    let scrape = || String::from_utf8(telemetry.text()).expect("it is text");
    let first = scrape();
    for lane in ["research", "trading", "risk"] {
        for name in [
            "tasks_enqueued_total",
            "tasks_rejected_total",
            "tasks_completed_total",
            "tasks_failed_total",
            "queue_size",
            "tasks_running",
            "task_duration_seconds_count",
        ] {
            let line = format!("lineage_hub_{name}{{lane=\"{lane}\"}} 0\n");
            assert!(first.contains(&line), "{line} is not in\n{first}");
        }
    }
    (0..3).for_each(|agent| world.update(agent, Action::Holds, 0));
    let holds = |lines: [&str; 4]| {
        let text = scrape();
        lines.iter().for_each(|line| assert!(text.contains(line), "{line} is not in\n{text}"));
    };
    holds([
        "lineage_hub_sessions 3\n",
        "lineage_hub_queue_size{lane=\"research\"} 1\n",
        "lineage_hub_tasks_running{lane=\"research\"} 1\n",
        "lineage_hub_tasks_rejected_total{lane=\"research\"} 1\n",
    ]);
    world.run(SECOND_US);
    holds([
        "lineage_hub_tasks_completed_total{lane=\"research\"} 2\n",
        "lineage_hub_task_duration_seconds_sum{lane=\"research\"} 0.02\n",
        "lineage_hub_task_duration_seconds_bucket{lane=\"research\",le=\"0.005\"} 0\n",
        "lineage_hub_task_duration_seconds_bucket{lane=\"research\",le=\"0.01\"} 2\n",
    ]);
}

#[test]
fn s38_measurements_of_the_hub_stand_among_those_of_others() {
    let performance = Arc::new(PerformanceMetrics::new());
    performance.increment("ours", 1, &[]);
    let board = Board::new(&Options::default(), Arc::clone(&performance));
    let (topics, random) = (Topics::new(), Random::new(SEED));
    let _hub = Hub::new(&Options::default(), random, &board, &topics, 0).expect("it begins");
    assert!(board.performance().all().contains_key("ours"));
}

/// Where a subscriber writes its lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A task that is dropped behind one that fails and one that succeeds.
fn three_updates() {
    let mut world = World::new(&plain(1));
    (0..3).for_each(|agent| world.update(agent, Action::Holds, 0));
    world.run(SECOND_US);
    let mut world = World::new(&Options { failure_permille: 1_000, ..plain(1) });
    world.update(0, Action::Holds, 0);
    world.run(SECOND_US);
}

#[test]
fn s37_each_task_is_a_line_with_its_context_on_a_console() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, three_updates);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for line in [
        "task_enqueued task_id=1 lane=\"research\" agent=\"momentum\" queue_size=0",
        "task_enqueued task_id=2 lane=\"research\" agent=\"balanced\" queue_size=1",
        "task_rejected task_id=3 lane=\"research\" agent=\"custom\"",
        "task_completed task_id=1 lane=\"research\" agent=\"momentum\" took_us=10000",
        "task_failed task_id=1 lane=\"research\" agent=\"momentum\" took_us=30000",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let first = text.lines().find(|line| line.contains("task_enqueued")).unwrap();
    assert!(first.contains("DEBUG") && first.starts_with("20"), "level and time: {first}");
}

#[test]
fn s37_each_task_is_an_object_with_its_context_in_json() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, three_updates);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let objects: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let enqueued = objects.iter().find(|object| object["fields"]["message"] == "task_enqueued");
    let enqueued = enqueued.expect("there is one");
    let fields = json!({
        "message": "task_enqueued", "task_id": 1, "lane": "research", "agent": "momentum",
        "queue_size": 0,
    });
    assert_eq!((&enqueued["fields"], &enqueued["level"]), (&fields, &json!("DEBUG")));
    assert!(enqueued["timestamp"].is_string());
}
