//! When events are due, how large they are and to which topic they go: a schedule that is known before it begins.
//!
//! It depends on the plan and its seed alone and never on how the run goes. A due event costs some 20 ns and no memory;
//! a replay reads its file as it goes.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::recorded::Recorded;
use super::{PublishPlan, Shape, Size};

/// An event of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// When it is due, nanoseconds from the start.
    pub at_ns: u64,
    /// Bytes of its payload.
    pub size: usize,
    /// Its topic, by place in the plan.
    pub topic: usize,
}

/// The schedule of a plan, in the order of time.
#[derive(Debug)]
pub struct Schedule {
    times: Times,
    sizes: Option<Recorded>,
    size: usize,
    topics: u64,
    random: Random,
    end_ns: u64,
}

#[derive(Debug)]
enum Times {
    Burst { rate: f64, burst: u64, n: u64 },
    Recorded(Box<Recorded>),
    Replay(Replay),
}

impl Schedule {
    /// The schedule.
    ///
    /// # Errors
    /// When the file of a replay cannot be read, with the reason.
    pub fn new(plan: &PublishPlan) -> Result<Self, String> {
        let times = match &plan.shape {
            Shape::Constant { rate } => Times::Burst { rate: *rate, burst: 1, n: 0 },
            Shape::Burst { rate, burst } => {
                Times::Burst { rate: *rate, burst: (*burst).max(1), n: 0 }
            }
            Shape::Recorded { rate } => Times::Recorded(Box::new(Recorded::new(*rate))),
            Shape::Replay { path, speed } => Times::Replay(Replay::open(path, *speed)?),
        };
        let (size, sizes) = match plan.size {
            Size::Bytes(size) => (size, None),
            Size::Recorded => (0, Some(Recorded::new(None))),
        };
        let end_ns = u64::try_from(plan.duration.as_nanos()).unwrap_or(u64::MAX);
        let topics = plan.topics.len().max(1) as u64;
        Ok(Self { times, sizes, size, topics, random: Random(plan.seed), end_ns })
    }

    /// The next event.
    ///
    /// # Errors
    /// When a replay's file is broken, with the line.
    fn following(&mut self) -> Result<Option<Due>, String> {
        let (at_ns, line_bytes) = match &mut self.times {
            Times::Burst { rate, burst, n } => (burst_ns(*rate, *burst, n), None),
            Times::Recorded(recorded) => (recorded.next_ns(&mut self.random), None),
            Times::Replay(replay) => match replay.next_line()? {
                Some((at_ns, bytes)) => (at_ns, Some(bytes)),
                None => return Ok(None),
            },
        };
        if at_ns >= self.end_ns {
            return Ok(None);
        }
        let size = match (&self.sizes, line_bytes) {
            (None, _) => self.size,
            (Some(_), Some(bytes)) => bytes,
            (Some(sizes), None) => sizes.size(&mut self.random),
        };
        let topic = usize::try_from(self.random.below(self.topics)).unwrap_or_default();
        Ok(Some(Due { at_ns, size, topic }))
    }
}

impl Iterator for Schedule {
    type Item = Result<Due, String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.following().transpose()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "numbers of events and nanoseconds of a run, far below 2^53"
)]
fn burst_ns(rate: f64, burst: u64, n: &mut u64) -> u64 {
    let first = *n / burst * burst;
    *n += 1;
    (first as f64 * 1e9 / rate) as u64
}

/// The times of a recording: lines of `<nanoseconds since the epoch> <anything>`, plain or gzip.
struct Replay {
    lines: Box<dyn BufRead + Send>,
    name: String,
    number: u64,
    first_ns: Option<u64>,
    speed: f64,
    line: Vec<u8>,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Replay({} at line {})", self.name, self.number)
    }
}

impl Replay {
    fn open(path: &Path, speed: f64) -> Result<Self, String> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| format!("cannot read {name}: {error}"))?;
        let is_gzip = path.extension().is_some_and(|extension| extension == "gz");
        let lines: Box<dyn BufRead + Send> = if is_gzip {
            Box::new(BufReader::new(MultiGzDecoder::new(file)))
        } else {
            Box::new(BufReader::new(file))
        };
        Ok(Self { lines, name, number: 0, first_ns: None, speed, line: Vec::new() })
    }

    /// Time from the first line and length of the text; none at the end.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "nanoseconds of a run, far below 2^53"
    )]
    fn next_line(&mut self) -> Result<Option<(u64, usize)>, String> {
        self.line.clear();
        self.number += 1;
        let at = format!("{}, line {}", self.name, self.number);
        let read = self.lines.read_until(b'\n', &mut self.line);
        if read.map_err(|error| format!("{at}: {error}"))? == 0 {
            return Ok(None);
        }
        let (time, text) =
            self.line.split_at(self.line.iter().position(|b| *b == b' ').unwrap_or(0));
        let ns: u64 = std::str::from_utf8(time).ok().and_then(|time| time.parse().ok()).ok_or_else(
            || format!("{at}: a line is `<nanoseconds since the epoch> <text>`, as `lineage` replays it"),
        )?;
        let since = ns.saturating_sub(*self.first_ns.get_or_insert(ns));
        Ok(Some(((since as f64 / self.speed) as u64, text.trim_ascii().len())))
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): small, fast, the same everywhere.
#[derive(Debug, Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        u64::try_from((u128::from(self.next()) * u128::from(bound)) >> 64).unwrap_or_default()
    }

    /// A number from 0 to 1, 1 excluded.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::time::Duration;

    fn plan(shape: Shape, size: Size, seconds: u64) -> PublishPlan {
        PublishPlan {
            host: String::new(),
            path: String::new(),
            token: None,
            topics: ["a", "b", "c"].map(str::to_owned).to_vec(),
            shape,
            size,
            has_checksum: false,
            duration: Duration::from_secs(seconds),
            seed: 7,
        }
    }

    fn all(plan: &PublishPlan) -> Vec<Due> {
        Schedule::new(plan).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn a_constant_rate_is_even_and_bursts_come_together() {
        let even = all(&plan(Shape::Constant { rate: 1_000.0 }, Size::Bytes(99), 2));
        assert_eq!(even.len(), 2_000);
        assert!(even.windows(2).all(|two| two[1].at_ns - two[0].at_ns == 1_000_000));
        assert!(even.iter().all(|due| due.size == 99));
        let bursts = all(&plan(Shape::Burst { rate: 640.0, burst: 64 }, Size::Bytes(99), 1));
        let mut times: Vec<u64> = bursts.iter().map(|due| due.at_ns).collect();
        times.dedup();
        assert_eq!((bursts.len(), times.len(), times[1]), (640, 10, 100_000_000));
    }

    #[test]
    fn the_same_seed_gives_the_same_schedule_and_all_topics_have_their_share() {
        let mut plan = plan(Shape::Recorded { rate: None }, Size::Recorded, 10);
        let (one, two) = (all(&plan), all(&plan));
        assert_eq!(one, two);
        plan.seed = 8;
        assert_ne!(one, all(&plan));
        for topic in 0..3 {
            let share = one.iter().filter(|due| due.topic == topic).count() * 100 / one.len();
            assert!((30..37).contains(&share), "{share} %");
        }
    }

    #[test]
    fn a_recording_is_replayed_at_its_times_and_a_broken_line_is_named() {
        let folder = std::env::temp_dir().join(format!("loadtest-replay-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("lines.jsonl");
        let mut file = File::create(&path).unwrap();
        writeln!(file, "1000000000 {{\"a\":1}}\n1250000000 xyz\nnonsense").unwrap();
        let shape = Shape::Replay { path: path.clone(), speed: 2.0 };
        let mut schedule = Schedule::new(&plan(shape, Size::Recorded, 60)).unwrap();
        let first = schedule.next().unwrap().unwrap();
        let second = schedule.next().unwrap().unwrap();
        assert_eq!((first.at_ns, first.size, second.at_ns, second.size), (0, 7, 125_000_000, 3));
        let error = schedule.next().unwrap().unwrap_err();
        assert!(error.contains("lines.jsonl, line 3"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
        let missing = Shape::Replay { path, speed: 1.0 };
        assert!(
            Schedule::new(&plan(missing, Size::Recorded, 60)).unwrap_err().contains("lines.jsonl")
        );
    }
}
