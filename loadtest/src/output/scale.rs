//! The axes of the pictures: from a value to its place, and which values are written beside it.

use super::plot::Kind;

/// An axis with its ends, in values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    kind: Kind,
    low: f64,
    high: f64,
}

impl Scale {
    /// An axis of that kind that shows `low` to `high`; where nothing lies between them, it is made wider.
    pub(super) fn new(kind: Kind, low: f64, high: f64) -> Self {
        let (low, high) = match kind {
            Kind::Percentile => (1.0, high.max(10.0)),
            Kind::Duration => (below(low.max(1.0)), above(high.max(low.max(1.0) * 1.5))),
            Kind::Time => (low, high.max(low + 1.0)),
            Kind::Amount => (0.0, ceiling(high.max(1.0))),
        };
        Self { kind, low, high }
    }

    /// Where a value lies: 0 at the low end, 1 at the high one.
    pub(super) fn place(&self, value: f64) -> f64 {
        if self.is_logarithmic() {
            (value / self.low).log10() / (self.high / self.low).log10()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    /// The values to be written beside the axis.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let within = |value: &f64| *value >= self.low * 0.999 && *value <= self.high * 1.001;
        if self.is_logarithmic() {
            let is_long = self.kind == Kind::Percentile || self.high / self.low > 1e4;
            let digits: &[f64] = if is_long { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let powers = (0..=18).map(|power| 10_f64.powi(power));
            return powers
                .flat_map(|power| digits.iter().map(move |digit| digit * power))
                .filter(within)
                .collect();
        }
        let step = step(self.high - self.low);
        let first = (self.low / step).ceil();
        let all = (0..=12).map(|at| (first + f64::from(at)) * step);
        all.filter(within).collect()
    }

    /// How a value is written.
    pub(super) fn text(&self, value: f64) -> String {
        match self.kind {
            Kind::Percentile => percentile(value),
            Kind::Duration => duration(value),
            Kind::Time => format!("{value}"),
            Kind::Amount => amount(value),
        }
    }

    fn is_logarithmic(&self) -> bool {
        matches!(self.kind, Kind::Percentile | Kind::Duration)
    }
}

/// The largest of 1, 2 and 5 times a power of ten that is not above `value` (1 or more).
fn below(value: f64) -> f64 {
    let power = 10_f64.powf((value * (1.0 + 1e-9)).log10().floor());
    [5.0, 2.0].iter().map(|digit| digit * power).find(|step| *step <= value).unwrap_or(power)
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below `value` (1 or more).
fn above(value: f64) -> f64 {
    let power = 10_f64.powf((value * (1.0 - 1e-9)).log10().floor());
    let steps = [1.0, 2.0, 5.0].iter().map(|digit| digit * power);
    steps.into_iter().find(|step| *step >= value).unwrap_or(10.0 * power)
}

/// A round distance between the ticks of a linear axis of that length: 3 to 8 of them, whole numbers.
fn step(length: f64) -> f64 {
    above((length / 7.0).max(1.0))
}

/// The first tick that leaves room above `value`.
fn ceiling(value: f64) -> f64 {
    let step = step(value);
    (value * 1.02 / step).ceil() * step
}

/// One in `x` as a percentile: as many nines as it needs.
fn percentile(x: f64) -> String {
    let digits = if x > 100.5 { (x.log10() - 2.0 - 1e-9).ceil().max(0.0) } else { 0.0 };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the decimal logarithm of a count, 0 to 20"
    )]
    let digits = digits as usize;
    format!("{:.digits$} %", 100.0 - 100.0 / x)
}

/// Microseconds in the unit that keeps the number short.
fn duration(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{us} µs"),
        us if us < 1e6 => format!("{} ms", us / 1e3),
        us => format!("{} s", us / 1e6),
    }
}

fn amount(value: f64) -> String {
    let rounded = |value: f64| (value * 100.0).round() / 100.0;
    match value {
        value if value < 1e3 => format!("{}", rounded(value)),
        value if value < 1e6 => format!("{} k", rounded(value / 1e3)),
        value => format!("{} M", rounded(value / 1e6)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(kind: Kind, low: f64, high: f64) -> Vec<String> {
        let scale = Scale::new(kind, low, high);
        scale.ticks().iter().map(|value| scale.text(*value)).collect()
    }

    #[test]
    fn ticks_are_round_and_written_with_their_unit() {
        let percentiles = ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"];
        assert_eq!(texts(Kind::Percentile, 1.0, 23_456.0), percentiles);
        let durations = ["200 µs", "500 µs", "1 ms", "2 ms", "5 ms"];
        assert_eq!(texts(Kind::Duration, 240.0, 4_100.0), durations);
        assert_eq!(texts(Kind::Duration, 7.0, 3e6)[..2], ["10 µs", "100 µs"]);
        assert_eq!(texts(Kind::Time, 0.0, 61.0), ["0", "10", "20", "30", "40", "50", "60"]);
        assert_eq!(
            texts(Kind::Amount, 0.0, 104_000.0),
            ["0", "20 k", "40 k", "60 k", "80 k", "100 k", "120 k"]
        );
    }

    #[test]
    fn every_value_lies_within_its_axis() {
        for (low, high) in [(1.0, 1.0), (1.0, 9.9), (10.0, 10.0), (99.0, 101.0), (3.0, 1e12)] {
            for kind in [Kind::Percentile, Kind::Duration, Kind::Time, Kind::Amount] {
                let scale = Scale::new(kind, low, high);
                for value in [low, high, f64::midpoint(low, high)] {
                    let place = scale.place(value);
                    assert!(
                        (-1e-9..=1.0 + 1e-9).contains(&place),
                        "{kind:?} {low} {high}: {place}"
                    );
                }
                let ticks = scale.ticks();
                assert!((2..=20).contains(&ticks.len()), "{kind:?} {low} {high}: {ticks:?}");
            }
        }
    }
}
