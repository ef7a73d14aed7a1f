//! What the engine depends on, looked at when somebody asks: a list of checks, each with its state in words.
//!
//! Writers of events enter the [`Roster`] before they start, and their entry learns how they end, a panic included.
//! Never: waits for anything; an answer takes one lock for a moment.

use super::Parts;
use crate::http::{Check, Health};
use crate::store::Condition;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How the thread of the pipeline is entered.
pub(super) const PIPELINE: &str = "pipeline";

/// What has become of a writer of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Runs,
    Ended,
    /// With the reason.
    Failed(String),
}

/// All writers of events on threads of their own.
#[derive(Debug, Default)]
pub(crate) struct Roster(Mutex<Vec<(&'static str, State)>>);

/// A writer's line in the roster. Dropped without a word, by a panic, it says so.
#[derive(Debug)]
pub(super) struct Entry {
    roster: Arc<Roster>,
    place: usize,
    is_told: bool,
}

impl Roster {
    /// A line for a writer that is about to start.
    pub(super) fn enter(roster: &Arc<Self>, name: &'static str) -> Entry {
        let mut lines = roster.lines();
        lines.push((name, State::Runs));
        Entry { roster: roster.clone(), place: lines.len() - 1, is_told: false }
    }

    fn lines(&self) -> MutexGuard<'_, Vec<(&'static str, State)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no source has failed; they may end.
    fn sources(&self) -> Check {
        let lines = self.lines();
        let mut sources = lines.iter().filter(|(name, _)| *name != PIPELINE);
        let failed = sources.find_map(|(name, state)| match state {
            State::Failed(why) => Some(format!("{name} has failed: {why}")),
            State::Runs | State::Ended => None,
        });
        let detail = failed.clone().unwrap_or_else(|| {
            let runs = |(name, state): &&(&str, State)| *name != PIPELINE && *state == State::Runs;
            match lines.iter().filter(runs).map(|(name, _)| *name).collect::<Vec<_>>() {
                names if names.is_empty() => "none runs".to_owned(),
                names => format!("runs: {}", names.join(", ")),
            }
        });
        Check { name: "source", ok: failed.is_none(), detail }
    }

    /// Whether the pipeline runs, if it is on: it has no end of its own.
    fn pipeline(&self, is_on: bool) -> Check {
        let lines = self.lines();
        let state = lines.iter().find(|(name, _)| *name == PIPELINE).map(|(_, state)| state);
        let (ok, detail) = match state {
            None if is_on => (false, "starts".to_owned()),
            None => (true, "off".to_owned()),
            Some(State::Runs) => (true, "runs".to_owned()),
            Some(State::Ended) => (false, "has ended".to_owned()),
            Some(State::Failed(why)) => (false, format!("has failed: {why}")),
        };
        Check { name: PIPELINE, ok, detail }
    }
}

impl Entry {
    pub(super) fn end(mut self, state: State) {
        self.tell(state);
    }

    fn tell(&mut self, state: State) {
        self.is_told = true;
        self.roster.lines()[self.place].1 = state;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.is_told {
            self.tell(State::Failed("it panicked".to_owned()));
        }
    }
}

impl Parts {
    /// All checks.
    pub(super) fn health(&self) -> Health {
        let is_draining = self.is_draining.is_raised();
        let depth = self.intake.depth();
        let [has_hub, has_chain, has_pipeline] = self.systems.has();
        let source = self.roster.sources();
        // Hub and ledger are stepped by the simulation's thread, and live and die with it.
        let stepped = |name, is_on: bool| {
            let (ok, detail) = match is_on {
                false => (true, "off".to_owned()),
                true if source.ok => (true, "runs in the simulation".to_owned()),
                true => (false, source.detail.clone()),
            };
            Check { name, ok, detail }
        };
        let serving = if is_draining { "draining" } else { "taking new clients" };
        let store = self.systems.store();
        let (trouble, kept) =
            (store.and_then(Condition::trouble), store.map_or("off", |_| "keeps"));
        let gateway = self.config.http.map_or("off", |_| "answers");
        let check = |name, ok, detail: String| Check { name, ok, detail };
        Health {
            checks: vec![
                check("serving", !is_draining, serving.to_owned()),
                check(
                    "intake",
                    depth < self.intake.capacity() as u64,
                    format!("{depth} events wait in the rings"),
                ),
                stepped("hub", has_hub),
                stepped("chain", has_chain),
                self.roster.pipeline(has_pipeline),
                check("store", trouble.is_none(), trouble.unwrap_or(kept).to_owned()),
                check("gateway", true, gateway.to_owned()),
                source,
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(roster: &Roster) -> [(bool, String); 2] {
        [roster.sources(), roster.pipeline(true)].map(|check| (check.ok, check.detail))
    }

    #[test]
    fn s55_a_source_may_end_and_the_pipeline_may_not() {
        let roster = Arc::new(Roster::default());
        assert_eq!(told(&roster), [(true, "none runs".to_owned()), (false, "starts".to_owned())]);
        assert_eq!(roster.pipeline(false).detail, "off");
        let [source, pipeline] = ["replay", PIPELINE].map(|name| Roster::enter(&roster, name));
        assert_eq!(told(&roster), [(true, "runs: replay".to_owned()), (true, "runs".to_owned())]);
        source.end(State::Ended);
        pipeline.end(State::Ended);
        assert_eq!(
            told(&roster),
            [(true, "none runs".to_owned()), (false, "has ended".to_owned())]
        );
    }

    #[test]
    fn s55_a_writer_that_fails_or_panics_is_named_with_the_reason() {
        let roster = Arc::new(Roster::default());
        Roster::enter(&roster, "replay").end(State::Failed("no such file".to_owned()));
        drop(Roster::enter(&roster, PIPELINE));
        let [source, pipeline] = told(&roster);
        assert_eq!(source, (false, "replay has failed: no such file".to_owned()));
        assert_eq!(pipeline, (false, "has failed: it panicked".to_owned()));
    }
}
