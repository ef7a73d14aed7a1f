//! Goal: the arena in the long run and however it is driven: its agents are calibrated, its prices are distributed as
//! stated, its rounds and its order of time hold. Method: the pure steppers on simulated time, read event by event;
//! every seed is fixed and named in what fails.

mod calibration;
mod prices;
mod rounds;
mod schedule;

use lineage::event::{Event, Topics};
use lineage::simulation::Arena;

/// When the simulated time begins.
pub(crate) const START_US: u64 = 1_767_225_600_000_000;

/// The events of the first `steps` steps of `arena`, each at the moment it is due, handed to `each`.
pub(crate) fn run(arena: &mut Arena, steps: usize, mut each: impl FnMut(&Event)) {
    let mut events = Vec::new();
    for _ in 0..steps {
        arena.step(arena.next_due_us(), &mut events);
        events.drain(..).for_each(|event| each(&event));
    }
}

/// The name of an event's topic.
pub(crate) fn name<'a>(topics: &'a Topics, event: &Event) -> &'a str {
    &topics.info(event.topic).name
}
