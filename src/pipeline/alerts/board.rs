//! The lists of alerts that HTTP shows: what is on, and what was published, newest first.
//!
//! One thread writes at each alert, any thread reads; a lock is held for as long as a list is copied. Alerts older than
//! the newest ones in memory come from an [`AlertHistory`], if there is one. It judges nothing and forgets nothing that is
//! on.

use crate::api::{Asked, Parameter, Refusal, Route, Shape};
use crate::event::{AlertHistory, AlertRecord, AlertState};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Alerts in one answer, if nothing else is asked for, and at most.
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// The alerts that are on and the newest ones published.
#[derive(Debug)]
pub struct Board {
    lists: Mutex<Lists>,
    history: OnceLock<Arc<dyn AlertHistory>>,
    recent_max: usize,
}

#[derive(Debug, Default)]
struct Lists {
    /// In the order in which they fired.
    active: Vec<AlertRecord>,
    /// The newest first.
    recent: VecDeque<AlertRecord>,
}

impl Board {
    pub(super) fn new(recent_max: usize) -> Self {
        Self { lists: Mutex::default(), history: OnceLock::new(), recent_max }
    }

    /// Where older alerts are; the first one given counts.
    pub(super) fn set_history(&self, history: Arc<dyn AlertHistory>) {
        let _ = self.history.set(history);
    }

    /// An alert was on before this process began.
    pub(super) fn restore(&self, record: AlertRecord) {
        self.lock().active.push(record);
    }

    /// An alert was published.
    pub(super) fn publish(&self, record: AlertRecord) {
        let mut lists = self.lock();
        match record.alert.state {
            AlertState::Firing => lists.active.push(record.clone()),
            AlertState::Resolved => lists.active.retain(|other| {
                (&other.alert.rule, &other.alert.subject)
                    != (&record.alert.rule, &record.alert.subject)
            }),
        }
        lists.recent.push_front(record);
        lists.recent.truncate(self.recent_max);
    }

    /// The alerts that are on, in the order in which they fired.
    #[must_use]
    pub fn active(&self) -> Vec<AlertRecord> {
        self.lock().active.clone()
    }

    /// The newest alerts published before `before_us`, newest first, at most `limit`: those in memory, then those of the
    /// history, which may wait for a file.
    ///
    /// # Errors
    /// When the history is needed and cannot be read.
    pub fn alerts_before(&self, before_us: u64, limit: usize) -> Result<Vec<AlertRecord>, String> {
        let (mut found, oldest_us) = {
            let lists = self.lock();
            let oldest_us = lists.recent.back().map_or(u64::MAX, |record| record.us);
            let earlier = lists.recent.iter().filter(|record| record.us < before_us);
            (earlier.take(limit).cloned().collect::<Vec<_>>(), oldest_us)
        };
        let missing = limit - found.len();
        if let Some(history) = self.history.get().filter(|_| missing > 0) {
            found.extend(history.alerts_before(before_us.min(oldest_us), missing)?);
        }
        Ok(found)
    }

    /// The routes that show the lists. To be asked for once the history is known: with one an answer may block.
    #[must_use]
    pub fn routes(self: &Arc<Self>) -> Vec<Route> {
        let board = Arc::clone(self);
        let integer = |name, meaning, most| Parameter {
            name,
            meaning,
            is_required: false,
            shape: Shape::Integer(1, most),
        };
        vec![Route {
            path: "/api/alerts",
            summary: "Alerts that are on, and alerts as they were published, newest first.",
            parameters: vec![
                integer("limit", "alerts in either list, from 1 to 1000 (default 100)", 1_000),
                integer(
                    "before_us",
                    "only alerts published before this time, in microseconds since the Unix epoch: the `us` of the last \
                     one of a page gives the next page (default: the newest)",
                    u64::MAX,
                ),
            ],
            example: example(),
            is_blocking: self.history.get().is_some(),
            answer: Arc::new(move |asked| board.answer(asked)),
        }]
    }

    fn answer(&self, asked: &Asked) -> Result<Value, Refusal> {
        let limit = asked.integer("limit").and_then(|limit| usize::try_from(limit).ok());
        let limit = limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX);
        let before_us = asked.integer("before_us").unwrap_or(u64::MAX);
        let alerts = self.alerts_before(before_us, limit).map_err(Refusal::Unavailable)?;
        let active = self.active();
        let newest: Vec<&AlertRecord> = active.iter().rev().take(limit).collect();
        Ok(json!({ "active_total": active.len(), "active": newest, "alerts": alerts }))
    }

    fn lock(&self) -> MutexGuard<'_, Lists> {
        // Every change is whole before anything can panic.
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn example() -> Value {
    let alert = json!({
        "us": 1_738_512_000_123_456_u64,
        "rule": "agent_capital_low",
        "state": "firing",
        "severity": "warning",
        "subject": "agent:momentum",
        "value": 0.79,
        "threshold": 0.8,
        "since_ms": 1_738_512_000_123_u64,
    });
    json!({ "active_total": 1, "active": [alert.clone()], "alerts": [alert] })
}
