//! The percentile distribution in HdrHistogram's text form, which its plotter takes. Values are milliseconds.

use std::fmt::Write as _;

use crate::measure::{Hist, Part};
use crate::result::RunResult;

/// Lines per halving of the distance to 100 %.
const TICKS_PER_HALF: u32 = 5;

/// Latency from due, or from publishing where the server does not say when events were due.
#[must_use]
pub fn hgrm(result: &RunResult) -> String {
    of(latency(&result.detail))
}

/// The histogram that stands for a part's latency.
pub(super) fn latency(part: &Part) -> &Hist {
    let latency = &part.latency;
    if latency.scheduled.is_empty() { &latency.actual } else { &latency.scheduled }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds as milliseconds, for reading")]
fn of(hist: &Hist) -> String {
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let (inner, mut total) = (hist.inner(), 0);
    // Writing to a string cannot fail.
    for step in inner.iter_quantiles(TICKS_PER_HALF) {
        total += step.count_since_last_iteration();
        let value_ms = step.value_iterated_to() as f64 / 1e3;
        let quantile = step.quantile_iterated_to();
        let _ = write!(text, "{value_ms:>12.3} {quantile:>2.12} {total:>10}");
        let _ = if quantile < 1.0 {
            writeln!(text, " {:>14.2}", 1.0 / (1.0 - quantile))
        } else {
            writeln!(text)
        };
    }
    let _ = writeln!(
        text,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]",
        hist.mean() / 1e3,
        inner.stdev() / 1e3
    );
    let _ = writeln!(
        text,
        "#[Max     = {:>12.3}, Total count    = {:>12}]",
        hist.max() as f64 / 1e3,
        hist.len()
    );
    let _ = writeln!(text, "#[Buckets = {:>12}, SubBuckets     = {:>12}]", inner.buckets(), 2048);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of figures, and the figures of the footer by their names.
    fn parsed(text: &str) -> (Vec<Vec<f64>>, impl Fn(&str) -> f64) {
        let number = |word: &str| word.trim().parse::<f64>().unwrap_or_else(|_| panic!("{word}"));
        let lines = text.lines().skip(2).filter(|line| !line.starts_with('#'));
        let lines = lines.map(|line| line.split_whitespace().map(number).collect()).collect();
        let pairs = text.lines().filter_map(|line| line.strip_prefix("#[")?.strip_suffix(']'));
        let pairs = pairs.flat_map(|line| line.split(',')).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.trim().to_owned(), number(value))
        });
        let footer: std::collections::BTreeMap<String, f64> = pairs.collect();
        (lines, move |name: &str| footer[name])
    }

    #[test]
    fn percentiles_rise_and_the_footer_agrees_with_them() {
        let mut hist = Hist::default();
        (1..=100_000_u64).for_each(|value| hist.record(value * value % 1_000_003 + 1));
        let text = of(&hist);
        let (lines, footer) = parsed(&text);
        assert!(lines.len() > 50, "{text}");
        for pair in lines.windows(2) {
            let rises = (0..3).all(|column| pair[0][column] <= pair[1][column]);
            assert!(rises && pair[0][1] < 1.0, "{pair:?}\n{text}");
            // The last column says the second one in other words, to two decimals.
            let odds = 1.0 / (1.0 - pair[0][1]);
            assert!((pair[0][3] / odds - 1.0).abs() < 0.01, "{pair:?}");
        }
        let last = lines.last().unwrap();
        assert_eq!((last.len(), last[1], last[2]), (3, 1.0, 100_000.0), "as the plotter expects");
        assert_eq!((footer("Max"), footer("Total count")), (last[0], 100_000.0));
        let total: f64 = lines
            .iter()
            .scan(0.0, |before, line| {
                let count = line[2] - std::mem::replace(before, line[2]);
                Some(count * line[0])
            })
            .sum();
        // Each line's value is the largest of its step, so their mean is a little more.
        assert!(footer("Mean") <= total / 100_000.0 && footer("Mean") > 0.8 * total / 100_000.0);
        assert!(footer("StdDeviation") > 0.0 && footer("Buckets") > 0.0);
        assert_eq!(footer("SubBuckets"), 2_048.0);
    }

    #[test]
    fn values_are_milliseconds_with_three_decimals() {
        let mut hist = Hist::default();
        hist.record_n(1_500, 3);
        let text = of(&hist);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "       Value     Percentile TotalCount 1/(1-Percentile)");
        assert_eq!(lines[2], "       1.500 0.000000000000          3           1.00");
        assert_eq!(lines[3], "       1.500 1.000000000000          3");
        assert_eq!(lines[5], "#[Max     =        1.500, Total count    =            3]");
    }

    #[test]
    fn without_latency_there_are_no_lines_and_a_footer_of_zeros() {
        let text = of(&Hist::default());
        let (lines, footer) = parsed(&text);
        assert_eq!(lines.len(), 0);
        for name in ["Mean", "StdDeviation", "Max", "Total count"] {
            assert_eq!(footer(name), 0.0, "{name}");
        }
    }
}
