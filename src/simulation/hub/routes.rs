//! What the hub answers over HTTP: whether it is there and what it does, and the figures of each lane.
//!
//! Without a hub both say so, with status 200: that a part is off is no error. An answer holds the board's lock for
//! some microseconds and never waits for anything else.

use super::board::{Board, Occupancy};
use crate::api::{Answer, Route};
use crate::event::hub::{
    HubLane, HubLaneFigures, HubLanes, HubStatus, HubTasks, HubTimes, HubUnavailable, Microseconds,
    TenThousandths,
};
use crate::sync::Arc;
use crate::telemetry::Measure;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `GET /api/hub/status` and `GET /api/hub/stats` of the hub with this board; none: of a hub that is off.
#[must_use]
pub fn routes(board: Option<&Arc<Board>>) -> Vec<Route> {
    let route = |path, summary, example, tell: fn(&Board) -> Value| Route {
        path,
        summary,
        parameters: Vec::new(),
        example,
        is_blocking: false,
        answer: answer(board.cloned(), tell),
    };
    let (status, occupancy) = example();
    let measures = BTreeMap::from([(
        "hub_tasks_enqueued{lane=\"research\"}".to_owned(),
        Measure::Count { total: 12 },
    )]);
    vec![
        route(
            "/api/hub/status",
            "Whether the hub is there, its sessions, and what waits and runs in its lanes.",
            status_answer(&status, &occupancy),
            |board| {
                let (status, occupancy) = board.look();
                status_answer(&status, &occupancy)
            },
        ),
        route(
            "/api/hub/stats",
            "The hub's tasks by lane, how long they take and how often they succeed, and its measurements.",
            stats_answer(&status, &occupancy, &measures),
            |board| {
                let (status, occupancy) = board.look();
                stats_answer(&status, &occupancy, &board.performance().all())
            },
        ),
    ]
}

fn answer(board: Option<Arc<Board>>, tell: fn(&Board) -> Value) -> Answer {
    Arc::new(move |_| Ok(board.as_deref().map_or_else(|| json!(HubUnavailable::BODY), tell)))
}

fn status_answer(status: &HubStatus, occupancy: &HubLanes<Occupancy>) -> Value {
    let lane_status = HubLanes::new(|lane| {
        let Occupancy { queued, running, capacity, .. } = *occupancy.of(lane);
        json!({ "queued": queued, "running": running, "capacity": capacity })
    });
    json!({
        "status": "available",
        "architecture": "new",
        "hub": {
            "running": status.running,
            "sessions": status.sessions,
            "lane_status": lane_status,
            "stats": status.stats,
            "metrics": status.metrics,
        },
    })
}

fn stats_answer(
    status: &HubStatus,
    occupancy: &HubLanes<Occupancy>,
    performance: &BTreeMap<String, Measure>,
) -> Value {
    let lanes = HubLanes::new(|lane| LaneStats::of(status.metrics.of(lane), occupancy.of(lane)));
    json!({
        "status": "available",
        "architecture": "new",
        "running": status.running,
        "sessions": status.sessions,
        "stats": status.stats,
        "lanes": lanes,
        "performance": performance,
    })
}

/// All that is known of a lane.
#[derive(Debug, Serialize)]
struct LaneStats {
    queued: u64,
    running: u64,
    capacity: usize,
    enqueued: u64,
    completed: u64,
    failed: u64,
    rejected: u64,
    execution_ms: HubTimes,
    success_rate: TenThousandths,
}

impl LaneStats {
    fn of(figures: &HubLaneFigures, occupancy: &Occupancy) -> Self {
        let HubLaneFigures { enqueued, completed, failed, execution, success_rate, .. } = *figures;
        let Occupancy { queued, running, capacity, rejected } = *occupancy;
        Self {
            queued,
            running,
            capacity,
            enqueued,
            completed,
            failed,
            rejected,
            execution_ms: execution,
            success_rate,
        }
    }
}

/// A hub after a minute or so, for the description of the routes.
fn example() -> (HubStatus, HubLanes<Occupancy>) {
    let tasks = |lane| match lane {
        HubLane::Research => (12, 41_937),
        HubLane::Trading => (7, 3_104),
        HubLane::Risk => (3, 12_640),
    };
    let figures = |lane| {
        let (enqueued, us) = tasks(lane);
        HubLaneFigures {
            enqueued,
            queue_size: 0,
            completed: enqueued,
            failed: 0,
            execution: HubTimes {
                mean: Microseconds(us),
                p50: Microseconds(us),
                p99: Microseconds(us * 2),
            },
            success_rate: TenThousandths::ONE,
        }
    };
    let stats = HubTasks { enqueued: 22, completed: 22, failed: 0 };
    let metrics = HubLanes::new(figures);
    let empty = |_| Occupancy { queued: 0, running: 0, capacity: 64, rejected: 0 };
    (HubStatus { running: true, sessions: 3, stats, metrics }, HubLanes::new(empty))
}
