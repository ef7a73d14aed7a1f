//! The hub's status: what its clients read every few seconds.
//!
//! A [`HubStatus`] is a copy of the hub's figures at one moment; it is the payload of topic `hub`, the `data` of the
//! older clients' message, and part of the answers over HTTP. It counts nothing itself.
//!
//! Times are kept in microseconds and ratios in ten-thousandths, so that equal states are equal bytes; they are
//! written as milliseconds and as numbers from 0 to 1.

use super::Payload;
use serde::ser::{Serialize, Serializer};

/// A lane of the hub: what kind of work waits in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HubLane {
    /// An agent studies the markets.
    Research,
    /// A trade is carried out.
    Trading,
    /// A loss is looked into.
    Risk,
}

impl HubLane {
    /// All lanes, in the order of [`HubLanes`]; a lane's place in it is its variant's number.
    pub const ALL: [Self; 3] = [Self::Research, Self::Trading, Self::Risk];

    /// Name in messages, metrics and logs: `research`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Research => "research",
            Self::Trading => "trading",
            Self::Risk => "risk",
        }
    }
}

/// One value for each lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct HubLanes<T> {
    /// Of [`HubLane::Research`].
    pub research: T,
    /// Of [`HubLane::Trading`].
    pub trading: T,
    /// Of [`HubLane::Risk`].
    pub risk: T,
}

impl<T> HubLanes<T> {
    /// The values that `value` gives.
    #[must_use]
    pub fn new(mut value: impl FnMut(HubLane) -> T) -> Self {
        let [research, trading, risk] = HubLane::ALL.map(&mut value);
        Self { research, trading, risk }
    }

    /// The value of `lane`.
    #[must_use]
    pub fn of(&self, lane: HubLane) -> &T {
        match lane {
            HubLane::Research => &self.research,
            HubLane::Trading => &self.trading,
            HubLane::Risk => &self.risk,
        }
    }
}

/// What the hub does at one moment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HubStatus {
    /// Whether it works.
    pub running: bool,
    /// Agents that were heard of within the last while.
    pub sessions: usize,
    /// Tasks of all lanes together.
    pub stats: HubTasks,
    /// Figures of each lane.
    pub metrics: HubLanes<HubLaneFigures>,
}

/// Tasks since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct HubTasks {
    /// Taken into a queue; those that found it full are not counted.
    pub enqueued: u64,
    /// Done with success.
    pub completed: u64,
    /// Given up.
    pub failed: u64,
}

/// What is known of one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct HubLaneFigures {
    /// Tasks taken into the queue since the start.
    pub enqueued: u64,
    /// Tasks that wait.
    pub queue_size: u64,
    /// Tasks done with success since the start.
    pub completed: u64,
    /// Tasks given up since the start.
    pub failed: u64,
    /// How long finished tasks took, without their time in the queue.
    #[serde(rename = "execution_ms")]
    pub execution: HubTimes,
    /// Tasks done of those finished; 1 before the first one is.
    pub success_rate: TenThousandths,
}

/// A distribution of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct HubTimes {
    /// Mean; 0 when nothing was measured.
    pub mean: Microseconds,
    /// Half of the times are at most this, to 1 % or 16 µs.
    pub p50: Microseconds,
    /// 99 of 100 times are at most this, to 1 % or 16 µs.
    pub p99: Microseconds,
}

/// A time in microseconds, written in milliseconds with up to three decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Microseconds(pub u64);

impl Serialize for Microseconds {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // Exact up to 2^53 µs, which is 285 years.
        to.serialize_f64(self.0 as f64 / 1_000.0)
    }
}

/// A ratio in ten-thousandths, written as a number with up to four decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct TenThousandths(pub u16);

impl TenThousandths {
    /// One.
    pub const ONE: Self = Self(10_000);

    /// `part` of `whole`, rounded down, at most 1; 1 when there is nothing.
    #[must_use]
    pub fn ratio(part: u64, whole: u64) -> Self {
        let scaled = u128::from(part.min(whole)) * 10_000;
        let ratio = scaled.checked_div(u128::from(whole)).and_then(|ratio| ratio.try_into().ok());
        ratio.map_or(Self::ONE, Self)
    }
}

impl Serialize for TenThousandths {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(f64::from(self.0) / 10_000.0)
    }
}

impl Payload for HubStatus {
    fn write_json(&self, out: &mut Vec<u8>) {
        write(self, out);
    }
}

/// Body of an answer and `data` of a message when there is no hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct HubUnavailable {
    /// `not_available`
    pub status: &'static str,
    /// `legacy`
    pub architecture: &'static str,
}

impl HubUnavailable {
    /// The one there is.
    pub const BODY: Self = Self { status: "not_available", architecture: "legacy" };
}

/// The older clients' message: `status` (without one: that there is no hub) as it was at `time_us`, microseconds since
/// the Unix epoch. No newline at its end.
#[must_use]
pub fn legacy_message(status: Option<&HubStatus>, time_us: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(768);
    out.extend_from_slice(br#"{"type":"hub_status_update","data":"#);
    match status {
        Some(status) => write(status, &mut out),
        None => write(&HubUnavailable::BODY, &mut out),
    }
    out.extend_from_slice(format!(r#","timestamp":"{}"}}"#, iso_8601(time_us)).as_bytes());
    out
}

fn write(record: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, record).expect("writing numbers and names to memory succeeds");
}

/// `2026-02-07T19:58:05.386Z`: whole milliseconds, rounded down.
fn iso_8601(time_us: u64) -> String {
    const DAY_MS: u64 = 86_400_000;
    let (days, in_day_ms) = (time_us / 1_000 / DAY_MS, time_us / 1_000 % DAY_MS);
    let (year, month, day) = civil(days);
    let (hour, minute) = (in_day_ms / 3_600_000, in_day_ms / 60_000 % 60);
    let (second, ms) = (in_day_ms / 1_000 % 60, in_day_ms % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Year, month and day of the Gregorian calendar, `days` after 1970-01-01.
///
/// Years are counted from a first of March, so that the day that not every year has is the last one; then a month's
/// first day is a line through 153 days in five months. From H. Hinnant, "chrono-compatible low-level date algorithms".
fn civil(days: u64) -> (u64, u64, u64) {
    // 719,468 days from 0000-03-01 to 1970-01-01; 146,097 days in 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leap_days = day_of_era / 1_460 + day_of_era / 146_096 - day_of_era / 36_524;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::{
        HubLane, HubLaneFigures, HubLanes, HubStatus, HubTasks, HubTimes, Microseconds,
        TenThousandths, civil, iso_8601, legacy_message,
    };
    use crate::event::{Payload as _, Typed};

    /// 2026-02-07T19:58:05.386Z and a bit.
    const TIME_US: u64 = 1_770_494_285_386_999;

    fn status() -> HubStatus {
        let times = |mean, p50, p99| HubTimes {
            mean: Microseconds(mean),
            p50: Microseconds(p50),
            p99: Microseconds(p99),
        };
        let figures = |lane| match lane {
            HubLane::Research => HubLaneFigures {
                enqueued: 1_204,
                queue_size: 2,
                completed: 1_190,
                failed: 9,
                execution: times(41_937, 39_935, 99_839),
                success_rate: TenThousandths::ratio(1_190, 1_199),
            },
            HubLane::Trading => HubLaneFigures {
                enqueued: 481,
                queue_size: 0,
                completed: 480,
                failed: 0,
                execution: times(3_000, 2_991, 5_024),
                success_rate: TenThousandths::ONE,
            },
            HubLane::Risk => HubLaneFigures {
                enqueued: 0,
                queue_size: 0,
                completed: 0,
                failed: 0,
                execution: HubTimes::default(),
                success_rate: TenThousandths::ratio(0, 0),
            },
        };
        HubStatus {
            running: true,
            sessions: 3,
            stats: HubTasks { enqueued: 1_685, completed: 1_670, failed: 9 },
            metrics: HubLanes::new(figures),
        }
    }

    #[test]
    fn s35_the_legacy_message_has_the_golden_bytes() {
        let message = String::from_utf8(legacy_message(Some(&status()), TIME_US)).unwrap();
        assert_eq!(message, include_str!("../../tests/golden/legacy_hub.json").trim_end());
    }

    #[test]
    fn s40_a_status_update_has_about_five_hundred_bytes() {
        let bytes = legacy_message(Some(&status()), TIME_US).len();
        assert!((400..=700).contains(&bytes), "{bytes}");
    }

    #[test]
    fn s34_s41_without_a_hub_the_message_says_not_available() {
        assert_eq!(
            String::from_utf8(legacy_message(None, 0)).unwrap(),
            r#"{"type":"hub_status_update","data":{"status":"not_available","architecture":"legacy"},"timestamp":"1970-01-01T00:00:00.000Z"}"#
        );
    }

    #[test]
    fn s35_the_payload_is_the_data_of_the_legacy_message() {
        let mut payload = Vec::new();
        status().write_json(&mut payload);
        let message = legacy_message(Some(&status()), TIME_US);
        assert!(message.windows(payload.len()).any(|part| part == payload));
        assert_eq!(Typed::new(status()).get::<HubStatus>(), Some(&status()));
    }

    #[test]
    fn dates_are_those_of_the_gregorian_calendar() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (11_015, (2000, 2, 28)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_453, (2025, 12, 31)),
            (20_454, (2026, 1, 1)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(civil(days), date, "{days}");
        }
        assert_eq!(iso_8601(86_399_999_999), "1970-01-01T23:59:59.999Z");
        assert_eq!(iso_8601(TIME_US), "2026-02-07T19:58:05.386Z");
        // Every day follows the one before it, over four centuries.
        for days in 0..146_097_u64 {
            let ((year, month, day), next) = (civil(days), civil(days + 1));
            let follows = next == (year, month, day + 1)
                || (day >= 28 && next == (year, month + 1, 1))
                || (day == 31 && month == 12 && next == (year + 1, 1, 1));
            assert!(follows, "{days}: {next:?}");
        }
    }

    #[test]
    fn a_ratio_stays_between_nothing_and_one() {
        for (part, whole, ratio) in [
            (0, 0, 10_000),
            (0, 1, 0),
            (1, 1, 10_000),
            (2, 1, 10_000),
            (1, 3, 3_333),
            (u64::MAX, u64::MAX, 10_000),
            (u64::MAX - 1, u64::MAX, 9_999),
        ] {
            assert_eq!(TenThousandths::ratio(part, whole), TenThousandths(ratio));
        }
    }

    #[test]
    fn every_lane_has_its_value() {
        let lanes = HubLanes::new(HubLane::as_str);
        for lane in HubLane::ALL {
            assert_eq!(lanes.of(lane), &lane.as_str());
        }
    }
}
