//! The seconds of a run as comma-separated lines, for spreadsheets and plots.

use std::fmt::Write as _;

use crate::result::{RunResult, SecondLine};

/// One line per second, under a header; times in microseconds, empty where a second has no latency.
#[must_use]
pub fn csv(result: &RunResult) -> String {
    let mut text = String::from("at_s,delivered,bytes,connected,p50_us,p99_us,p99_9_us,max_us\n");
    for second in &result.per_second {
        let SecondLine { at_s, delivered, bytes, connected, p50_us, p99_us, p99_9_us, max_us } =
            second;
        // Writing to a string cannot fail.
        let _ = write!(text, "{at_s},{delivered},{bytes},{connected}");
        let _ = if *max_us > 0 {
            writeln!(text, ",{p50_us},{p99_us},{p99_9_us},{max_us}")
        } else {
            writeln!(text, ",,,,")
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Hist, Packed, Part, Second};
    use crate::result::{Environment, Notes};

    #[test]
    fn each_second_is_a_line_with_as_many_cells_as_the_header() {
        let mut hist = Hist::default();
        [20, 30, 40].into_iter().for_each(|us| hist.record(us));
        let mut part = Part::default();
        let (bytes, latency) = (900, Packed::new(&hist));
        part.seconds.insert(50, Second { delivered: 3, bytes, connected: 2, latency });
        part.seconds
            .insert(52, Second { delivered: 1, bytes: 80, connected: 2, ..Second::default() });
        let result = RunResult::new(Environment::default(), part, None, &Notes::default());
        let text = csv(&result);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1..], ["0,3,900,2,30,40,40,40", "1,0,0,0,,,,", "2,1,80,2,,,,"]);
        let cells = |line: &str| line.split(',').count();
        assert!(lines.iter().all(|line| cells(line) == cells(lines[0])), "{text}");
        assert_eq!(csv(&RunResult { per_second: Vec::new(), ..result }).lines().count(), 1);
    }
}
