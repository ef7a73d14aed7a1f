//! A latency histogram that can be written into a report and read back: three digits, 1 to 2^40 units.
//!
//! Recording costs a few nanoseconds and never fails: values beyond the range count as its ends. The text form is the
//! V2 format of HdrHistogram, deflated, in base64: any HdrHistogram tool reads it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// The largest value that is told apart: 12 days in microseconds.
pub const VALUE_MAX: u64 = 1 << 40;
/// Significant decimal digits.
const DIGITS: u8 = 3;

/// Values with three digits of precision.
#[derive(Clone, PartialEq)]
pub struct Hist(Histogram<u64>);

impl Hist {
    /// Counts a value; beyond the range it counts as the range's end.
    pub fn record(&mut self, value: u64) {
        self.0.saturating_record(value);
    }

    /// Counts a value `count` times.
    pub fn record_n(&mut self, value: u64, count: u64) {
        self.0.saturating_record_n(value, count);
    }

    /// Adds all values of another one.
    pub fn merge(&mut self, other: &Self) {
        self.0 += &other.0;
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value below or at which the share `quantile` (0 to 1) of all values lies; 0 when there are none.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    /// The largest value; 0 when there are none.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.0.max()
    }

    /// The smallest value; 0 when there are none.
    #[must_use]
    pub fn min(&self) -> u64 {
        if self.is_empty() { 0 } else { self.0.min() }
    }

    /// The mean of all values; 0 when there are none.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.0.mean()
    }

    /// The library's histogram, for whoever writes its other forms.
    #[must_use]
    pub fn inner(&self) -> &Histogram<u64> {
        &self.0
    }

    /// Forgets all values and keeps the memory.
    pub fn clear(&mut self) {
        self.0.reset();
    }
}

impl Default for Hist {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, VALUE_MAX, DIGITS)
            .expect("bounds of 1 and 2^40 and three digits are valid");
        Self(histogram)
    }
}

impl fmt::Debug for Hist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hist({} values, p50 {}, max {})", self.len(), self.quantile(0.5), self.max())
    }
}

/// The text form of a histogram: some hundred bytes in place of a quarter of a megabyte.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Packed(String);

impl Packed {
    /// Packs a histogram; an empty one packs to nothing.
    ///
    /// # Panics
    /// When a count is 2^63 or more.
    #[must_use]
    pub fn new(hist: &Hist) -> Self {
        if hist.is_empty() {
            return Self::default();
        }
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&hist.0, &mut bytes)
            .expect("counts of less than 2^63 are written into memory");
        Self(BASE64.encode(bytes))
    }

    /// The histogram again.
    ///
    /// # Errors
    /// When the text is not one, with the reason.
    pub fn unpack(&self) -> Result<Hist, String> {
        let mut hist = Hist::default();
        if self.0.is_empty() {
            return Ok(hist);
        }
        let bytes = BASE64.decode(&self.0).map_err(|error| format!("not a histogram: {error}"))?;
        let read: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| format!("not a histogram: {error:?}"))?;
        // Into our own bounds, so that histograms of any origin can be merged.
        for value in read.iter_recorded() {
            hist.record_n(value.value_iterated_to(), value.count_at_value());
        }
        Ok(hist)
    }
}

impl Serialize for Hist {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Packed::new(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Hist {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Packed::deserialize(deserializer)?.unpack().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_survives_its_text_form_and_merges() {
        let mut hist = Hist::default();
        (1..=10_000).for_each(|value| hist.record(value));
        hist.record(u64::MAX);
        let text = serde_json::to_string(&hist).unwrap();
        let mut back: Hist = serde_json::from_str(&text).unwrap();
        assert_eq!(back, hist);
        back.merge(&hist);
        assert_eq!((back.len(), back.quantile(0.5)), (20_002, hist.quantile(0.5)));
        assert!(hist.max() >= VALUE_MAX && Hist::default().min() == 0);
        assert!(serde_json::from_str::<Hist>("\"nonsense\"").is_err());
    }
}
