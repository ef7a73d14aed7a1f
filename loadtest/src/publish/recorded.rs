//! The pace of a recorded market, from its quantiles.
//!
//! A cycle has as many seconds as the recording (346). Each second takes another part of the distribution of messages
//! per second, in an order that spreads the parts evenly (steps of about the golden ratio), so that a run of a minute
//! has nearly the same quantiles as a whole cycle; the busiest second is the sixth. Within a second the hundred slots of
//! 10 ms have shares of 1/k^a in random order, where `a` is such that the largest slot of the busiest second is the
//! recording's worst 10 ms. Within a slot events crowd towards its start. Sizes follow the quantiles of their kind.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::shape::Random;

const SLOTS: usize = 100;
const SLOT_NS: f64 = 1e7;
/// The busiest second is this one, so that every run has it.
const BUSIEST_AT: u64 = 5;
/// Coprime to 346, and about 0.618 of it.
const STEP: u64 = 213;
/// How events crowd at the start of a slot: 1 would be evenly.
const CROWDING: f64 = 1.5;

/// The aggregate quantiles of a recording.
#[derive(Debug, Clone, Deserialize)]
struct Data {
    seconds: u64,
    mean_per_second: f64,
    per_second: BTreeMap<String, f64>,
    worst_10ms: f64,
    share: BTreeMap<String, f64>,
    frame_bytes_by_kind: BTreeMap<String, BTreeMap<String, f64>>,
}

/// Points of a distribution: quantile and value, rising.
type Curve = Vec<(f64, f64)>;

/// A generator of times and sizes.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    seconds: u64,
    per_second: Curve,
    scale: f64,
    /// Shares of the slots of a second, the largest first.
    shares: Vec<f64>,
    kinds: Vec<(f64, Curve)>,
    second: u64,
    slot: usize,
    /// The current second's slots: events in each, in random order.
    counts: Vec<u64>,
    nth: u64,
    /// What rounding has left over.
    carry: f64,
}

impl Recorded {
    /// As recorded, or scaled to a mean of `rate` events per second.
    ///
    /// # Panics
    /// Never: the data is the tool's own, and a test reads it.
    pub(super) fn new(rate: Option<f64>) -> Self {
        let data: Data = serde_json::from_str(include_str!("../../data/load-shape.json"))
            .expect("the tool's own data is valid, as a test shows");
        let per_second = curve(&data.per_second);
        let busiest = at(&per_second, top(data.seconds));
        let kinds = data.share.iter().map(|(kind, share)| {
            (*share, curve(data.frame_bytes_by_kind.get(kind).unwrap_or(&BTreeMap::new())))
        });
        let mut recorded = Self {
            seconds: data.seconds,
            scale: rate.map_or(1.0, |rate| rate / data.mean_per_second),
            shares: shares(data.worst_10ms / busiest),
            kinds: kinds.collect(),
            per_second,
            second: 0,
            slot: SLOTS,
            counts: vec![0; SLOTS],
            nth: 0,
            carry: 0.0,
        };
        // The recording's mean, whatever the curve between its points makes of it.
        let mean = recorded.mean();
        if let Some(rate) = rate {
            recorded.scale = rate / mean;
        }
        recorded
    }

    fn mean(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "some hundred seconds")]
        let seconds = self.seconds as f64;
        (0..self.seconds).map(|part| at(&self.per_second, middle(part, self.seconds))).sum::<f64>()
            / seconds
    }

    /// When the next event is due, nanoseconds from the start.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "nanoseconds of a run, far below 2^53"
    )]
    pub(super) fn next_ns(&mut self, random: &mut Random) -> u64 {
        while self.slot >= SLOTS || self.nth >= self.counts[self.slot] {
            self.nth = 0;
            self.slot += 1;
            if self.slot >= SLOTS {
                self.begin_second(random);
            }
        }
        let place = (self.nth as f64 + random.unit()) / self.counts[self.slot] as f64;
        self.nth += 1;
        let slot_ns = (self.slot as f64 + place.powf(CROWDING)) * SLOT_NS;
        (self.second - 1) * 1_000_000_000 + slot_ns as u64
    }

    /// The size of an event's frame.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size between the recording's smallest and largest"
    )]
    pub(super) fn size(&self, random: &mut Random) -> usize {
        let mut kind = random.unit();
        let curve = self.kinds.iter().find(|(share, _)| {
            kind -= share;
            kind < 0.0
        });
        let curve = curve.or(self.kinds.last()).map(|(_, curve)| curve);
        curve.map_or(0, |curve| at(curve, random.unit()) as usize)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "numbers of events in a slot"
    )]
    fn begin_second(&mut self, random: &mut Random) {
        let part = (self.second + self.seconds - BUSIEST_AT) * STEP + self.seconds - 1;
        let quantile = middle(part % self.seconds, self.seconds);
        let count = at(&self.per_second, quantile) * self.scale;
        for (slot, share) in self.shares.iter().enumerate() {
            let exact = count * share + self.carry;
            self.counts[slot] = exact.round().max(0.0) as u64;
            self.carry = exact - self.counts[slot] as f64;
        }
        for at in (1..SLOTS).rev() {
            let other = usize::try_from(random.below(at as u64 + 1)).unwrap_or_default();
            self.counts.swap(at, other);
        }
        self.second += 1;
        (self.slot, self.nth) = (0, 0);
    }
}

/// The middle of the `part`-th of `parts` parts of a distribution; of the first and the last one, its end.
#[expect(clippy::cast_precision_loss, reason = "some hundred parts")]
fn middle(part: u64, parts: u64) -> f64 {
    if part + 1 == parts { 1.0 } else { (part as f64 + 0.5) / parts as f64 }
}

fn top(parts: u64) -> f64 {
    middle(parts - 1, parts)
}

/// Shares 1/k^a of the slots, with `a` such that the first is `largest`.
fn shares(largest: f64) -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a hundred slots")]
    let weights = |a: f64| (1..=SLOTS).map(move |k| (k as f64).powf(-a));
    let (mut low, mut high) = (0.0, 5.0);
    for _ in 0..60 {
        let a = f64::midpoint(low, high);
        if 1.0 / weights(a).sum::<f64>() < largest { low = a } else { high = a }
    }
    let sum: f64 = weights(low).sum();
    weights(low).map(|weight| weight / sum).collect()
}

fn curve(quantiles: &BTreeMap<String, f64>) -> Curve {
    let point = |(quantile, value): (&String, &f64)| Some((quantile.parse().ok()?, *value));
    let mut curve: Curve = quantiles.iter().filter_map(point).collect();
    curve.sort_by(|one, two| one.0.total_cmp(&two.0));
    curve
}

/// The value at a quantile, along a straight line between the logarithms of the points.
fn at(curve: &Curve, quantile: f64) -> f64 {
    let after = curve.partition_point(|point| point.0 < quantile);
    let (Some(before), Some(after)) = (curve.get(after.max(1) - 1), curve.get(after)) else {
        return curve.last().map_or(0.0, |point| point.1);
    };
    if after.0 <= before.0 || before.1 <= 0.0 {
        return after.1;
    }
    let share = (quantile - before.0) / (after.0 - before.0);
    (before.1.ln() + share * (after.1.ln() - before.1.ln())).exp()
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "places in short lists"
)]
mod tests {
    use super::*;

    /// Events per slot of that many milliseconds, over whole seconds.
    fn counts(times_ns: &[u64], slot_ms: u64, seconds: u64) -> Vec<u64> {
        let mut counts = vec![0; usize::try_from(seconds * 1_000 / slot_ms).unwrap()];
        for at_ns in times_ns {
            counts[usize::try_from(at_ns / (slot_ms * 1_000_000)).unwrap()] += 1;
        }
        counts.sort_unstable();
        counts
    }

    fn times(rate: Option<f64>, seconds: u64) -> Vec<u64> {
        let (mut recorded, mut random) = (Recorded::new(rate), Random(3));
        let times = std::iter::repeat_with(|| recorded.next_ns(&mut random));
        times.take_while(|at_ns| *at_ns < seconds * 1_000_000_000).collect()
    }

    fn is_within(share: f64, value: f64, expected: f64) -> bool {
        (value / expected - 1.0).abs() <= share
    }

    #[test]
    fn a_cycle_has_the_recordings_rates() {
        let times = times(None, 346);
        assert!(times.is_sorted());
        let per_second = counts(&times, 1_000, 346);
        let per_10ms = counts(&times, 10, 346);
        let quantile = |counts: &[u64], q: f64| {
            counts[((counts.len() - 1) as f64 * q).round() as usize] as f64
        };
        for (what, value, expected) in [
            ("median second", quantile(&per_second, 0.5), 739.0),
            ("p99 second", quantile(&per_second, 0.99), 3_967.0),
            ("worst second", quantile(&per_second, 1.0), 5_807.0),
            ("worst 10 ms", quantile(&per_10ms, 1.0), 668.0),
            ("mean", times.len() as f64 / 346.0, 959.9),
        ] {
            assert!(is_within(0.05, value, expected), "{what}: {value} instead of {expected}");
        }
    }

    #[test]
    fn a_minute_has_them_nearly_too_and_a_scaled_one_its_mean() {
        let times_of_a_minute = times(None, 60);
        let per_second = counts(&times_of_a_minute, 1_000, 60);
        assert!(is_within(0.15, per_second[30] as f64, 739.0), "{}", per_second[30]);
        assert_eq!(
            counts(&times_of_a_minute, 10, 60).last().map(|worst| (640..700).contains(worst)),
            Some(true)
        );
        let scaled = times(Some(200.0), 346).len() as f64 / 346.0;
        assert!(is_within(0.02, scaled, 200.0), "{scaled}");
    }

    #[test]
    fn sizes_follow_their_quantiles() {
        let (recorded, mut random) = (Recorded::new(None), Random(5));
        let mut sizes: Vec<usize> = (0..200_000).map(|_| recorded.size(&mut random)).collect();
        sizes.sort_unstable();
        for (quantile, expected) in [(0.5, 179.0), (0.9, 348.0), (0.99, 2_019.0)] {
            let value = sizes[(sizes.len() as f64 * quantile) as usize] as f64;
            assert!(is_within(0.1, value, expected), "{quantile}: {value} instead of {expected}");
        }
        assert!((144..=34_571).contains(sizes.last().unwrap()) && sizes[0] >= 144);
    }
}
