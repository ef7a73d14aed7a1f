//! The latency of each second in HdrHistogram's log form, which its tools read, slice and merge. Values are
//! microseconds; the log begins with the run's first second.

use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;

use super::printable;
use crate::result::RunResult;

/// One interval per second that has values.
///
/// # Errors
/// When a histogram cannot be written: none of our own.
pub fn hlog(result: &RunResult) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let failed = |error: String| format!("cannot write the histogram log: {error}");
    let start_s = result.detail.seconds.first_key_value().map_or(0, |(at_s, _)| *at_s);
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment(&format!("{}: latency in microseconds", printable(&result.environment.tool)))
        .with_start_time(UNIX_EPOCH + Duration::from_secs(start_s));
    let mut log = builder
        .begin_log_with(&mut bytes, &mut serializer)
        .map_err(|error| failed(error.to_string()))?;
    for (at_s, second) in &result.detail.seconds {
        let hist = second.latency.unpack().map_err(failed)?;
        if hist.is_empty() {
            continue;
        }
        let since_start = Duration::from_secs(at_s - start_s);
        log.write_histogram(hist.inner(), since_start, Duration::from_secs(1), None)
            .map_err(|error| failed(format!("{error:?}")))?;
    }
    drop(log);
    String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Hist, Packed, Part, Second};
    use crate::result::{Environment, Notes};
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    fn result(seconds: impl IntoIterator<Item = (u64, Hist)>) -> RunResult {
        let mut part = Part::default();
        for (at, hist) in seconds {
            let second = Second { latency: Packed::new(&hist), ..Second::default() };
            part.seconds.insert(at, second);
        }
        RunResult::new(Environment::default(), part, None, &Notes::default())
    }

    #[test]
    fn the_log_is_read_back_by_the_library_value_by_value() {
        let hist = |at: u64| {
            let mut hist = Hist::default();
            hist.record_n(at, at);
            hist.record(1_000 * at);
            hist
        };
        // The first second and one in the middle have no values.
        let seconds = (99..105)
            .map(|at| (at, if at == 99 || at == 102 { Hist::default() } else { hist(at) }));
        let text = hlog(&result(seconds)).unwrap();
        let mut read = Vec::new();
        for entry in IntervalLogIterator::new(text.as_bytes()) {
            let entry = entry.unwrap_or_else(|error| panic!("{error:?} in\n{text}"));
            match entry {
                LogEntry::StartTime(start) => assert_eq!(start.as_secs(), 99),
                LogEntry::BaseTime(_) => panic!("times count from the start\n{text}"),
                LogEntry::Interval(interval) => {
                    assert_eq!(interval.duration().as_secs(), 1);
                    let at = 99 + interval.start_timestamp().as_secs();
                    let packed = format!("\"{}\"", interval.encoded_histogram());
                    let back: Hist = serde_json::from_str(&packed).unwrap();
                    assert_eq!(back, hist(at));
                    read.push(at);
                }
            }
        }
        assert_eq!(read, [100, 101, 103, 104]);
    }

    #[test]
    fn without_latency_the_log_has_a_head_and_no_intervals() {
        for result in [result([]), result([(7, Hist::default())])] {
            let text = hlog(&result).unwrap();
            let intervals = IntervalLogIterator::new(text.as_bytes())
                .filter(|entry| matches!(entry.as_ref().unwrap(), LogEntry::Interval(_)));
            assert_eq!(intervals.count(), 0, "{text}");
            assert!(text.contains("#[StartTime: "), "{text}");
        }
    }
}
