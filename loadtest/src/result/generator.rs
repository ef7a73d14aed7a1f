//! The load generator's own effort, and whether it was the bottleneck: then the run says nothing about what the server
//! could bear.

use super::{Generator, PublisherEffort, Quantiles, RunResult};

/// A client thread that is busier than this share of a core is the bottleneck, or may be.
pub const BUSY_MAX: f64 = 0.9;
/// When one arrival in a hundred waited this long within the generator, and longer than half of the median latency,
/// that spoils the latency.
pub const LOOP_DELAY_MAX_US: u64 = 10_000;
/// When one event in a hundred was sent this much later than due, the loop is not open any more.
pub const PUBLISH_DELAY_MAX_US: u64 = 10_000;

/// The effort of a run whose other figures are known.
#[expect(clippy::cast_precision_loss, reason = "figures for reading; exact below 2^53")]
pub(super) fn effort(result: &RunResult) -> Generator {
    let (part, effort) = (&result.detail, &result.detail.effort);
    let publisher = result.published.as_ref().map(|published| PublisherEffort {
        due: published.due,
        dropped: published.dropped,
        rejected: published.rejected,
        cpu_s: published.cpu_s,
    });
    let measured = part.counts.measured + part.faulty_counts.measured;
    let clients = result.clients.connected.max(1);
    let limits = limits(result);
    Generator {
        workers: effort.workers,
        cpu_s: effort.client_cpu_s + publisher.as_ref().map_or(0.0, |publisher| publisher.cpu_s),
        cpu_us_per_delivery: effort.client_cpu_s * 1e6 / measured.max(1) as f64,
        busiest: effort.busiest,
        loop_delay_us: Quantiles::of(&effort.loop_delay),
        bytes_per_client: effort.client_bytes / clients,
        publisher,
        limited: !limits.is_empty(),
        limits,
    }
}

/// What the generator could not keep up with, in words.
fn limits(result: &RunResult) -> Vec<String> {
    let mut limits = Vec::new();
    let effort = &result.detail.effort;
    if effort.busiest > BUSY_MAX {
        let busy = effort.busiest * 100.0;
        limits.push(format!("the busiest client thread used {busy:.0} % of a core"));
    }
    let delay_us = effort.loop_delay.quantile(0.99);
    let latency = result.latency_us.as_ref();
    let latency = latency.and_then(|latency| latency.scheduled.or(latency.actual));
    if delay_us >= LOOP_DELAY_MAX_US && latency.is_some_and(|latency| delay_us > latency.p50 / 2) {
        let ms = delay_us / 1_000;
        limits.push(format!("arrivals waited up to {ms} ms (p99) to be read"));
    }
    if let Some(published) = &result.published {
        if published.dropped > 0 {
            let (dropped, due) = (published.dropped, published.due);
            limits.push(format!("{dropped} of {due} events of the schedule were not sent"));
        }
        let late_us = published.delay.quantile(0.99);
        if late_us >= PUBLISH_DELAY_MAX_US {
            limits.push(format!("events were sent up to {} ms late (p99)", late_us / 1_000));
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Hist, Part};
    use crate::publish::Published;
    use crate::result::{Environment, Notes};

    fn hist(values: impl IntoIterator<Item = u64>) -> Hist {
        let mut hist = Hist::default();
        values.into_iter().for_each(|value| hist.record(value));
        hist
    }

    /// What the generator says of itself after a run with these figures.
    fn limits_of(change: impl FnOnce(&mut Part, &mut Published)) -> Vec<String> {
        let (mut part, mut published) = (Part::default(), Published::default());
        part.latency.scheduled = hist([1_000]);
        change(&mut part, &mut published);
        let notes = Notes::default();
        let result = RunResult::new(Environment::default(), part, Some(published), &notes);
        let generator = result.generator;
        assert_eq!(generator.limited, !generator.limits.is_empty());
        generator.limits
    }

    #[test]
    fn the_generator_says_when_it_was_the_bottleneck() {
        assert_eq!(limits_of(|_, _| ()), [""; 0]);
        for (busiest, count) in [(0.899, 0), (0.9, 0), (0.901, 1)] {
            assert_eq!(
                limits_of(|part, _| part.effort.busiest = busiest).len(),
                count,
                "{busiest}"
            );
        }
        for (us, count) in [(9_999, 0), (10_000, 1), (10_001, 1)] {
            let read = limits_of(|part, _| part.effort.loop_delay = hist([us]));
            let sent = limits_of(|_, published| published.delay = hist([us]));
            assert_eq!((read.len(), sent.len()), (count, count), "{us}");
        }
        assert!(
            limits_of(|_, published| (published.due, published.dropped) = (9, 1))[0]
                .contains("1 of 9")
        );
        let all = limits_of(|part, published| {
            part.effort.busiest = 1.0;
            part.effort.loop_delay = hist([20_000]);
            published.delay = hist([20_000]);
            published.dropped = 3;
        });
        assert_eq!(all.len(), 4, "{all:?}");
    }

    #[test]
    fn waiting_within_the_generator_matters_only_against_the_latency() {
        for (latency_us, count) in [(30_000, 1), (50_000, 0)] {
            let limits = limits_of(|part, _| {
                part.latency.scheduled = hist([latency_us]);
                part.effort.loop_delay = hist([20_000]);
            });
            assert_eq!(limits.len(), count, "{limits:?}");
        }
    }
}
