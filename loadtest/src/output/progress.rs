//! How it goes, on stderr: one line that is drawn again at most ten times a second; without a terminal a plain line
//! now and then.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{number_text, time_text};

/// Pause between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Redraws per second.
const REDRAWS_PER_S: u8 = 10;
/// Steps of the bar.
const STEPS: u64 = 1_000;

/// How it goes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Live {
    /// What is being done.
    pub phase: &'static str,
    /// Clients connected now.
    pub connected: u64,
    /// Clients there should be.
    pub asked: u64,
    /// Since the phase began.
    pub elapsed: Duration,
    /// How long the phase lasts; zero: unknown.
    pub total: Duration,
    /// Events so far, at all clients.
    pub delivered: u64,
    /// Events per second, at all clients.
    pub delivered_per_s: f64,
    /// Events published so far, where this program publishes.
    pub published: Option<u64>,
    /// Latency of the last second, median, microseconds.
    pub p50_us: u64,
    /// 99 %.
    pub p99_us: u64,
    /// Events lost so far.
    pub lost: u64,
}

/// The line on stderr.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    is_quiet: bool,
    next_line: Instant,
}

impl Progress {
    /// A line; `is_quiet`: none at all.
    ///
    /// # Panics
    /// Never: the template is a constant that a test uses.
    #[must_use]
    pub fn new(is_quiet: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = (is_terminal && !is_quiet).then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_S);
            let style = ProgressStyle::with_template("{prefix:10} {bar:24} {msg}")
                .expect("the template is valid, as a test shows");
            ProgressBar::with_draw_target(Some(STEPS), target).with_style(style)
        });
        Self { bar, is_quiet, next_line: Instant::now() + LINE_EVERY }
    }

    /// Shows how it goes.
    pub fn update(&mut self, live: &Live) {
        if let Some(bar) = &self.bar {
            bar.set_position(position(live));
            bar.set_prefix(live.phase);
            bar.set_message(line(live));
        } else if !self.is_quiet && Instant::now() >= self.next_line {
            self.next_line = Instant::now() + LINE_EVERY;
            // Nobody is left to tell when stderr is closed.
            let _ = writeln!(std::io::stderr(), "{:10} {}", live.phase, line(live));
        }
    }

    /// Takes the line away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a thousand steps"
)]
fn position(live: &Live) -> u64 {
    let share = if live.total.is_zero() {
        live.connected as f64 / live.asked.max(1) as f64
    } else {
        live.elapsed.as_secs_f64() / live.total.as_secs_f64()
    };
    (share.clamp(0.0, 1.0) * STEPS as f64) as u64
}

#[expect(clippy::cast_precision_loss, reason = "figures for reading; exact below 2^53")]
fn line(live: &Live) -> String {
    let mut line = format!("{}/{} clients", live.connected, live.asked);
    if !live.total.is_zero() {
        line += &format!("  {}/{} s", live.elapsed.as_secs(), live.total.as_secs());
    }
    if let Some(published) = live.published {
        line += &format!("  {} published", number_text(published as f64));
    }
    line += &format!("  {}/s", number_text(live.delivered_per_s.round()));
    if live.p99_us > 0 {
        let (p50, p99) = (time_text(live.p50_us as f64), time_text(live.p99_us as f64));
        line += &format!("  p50 {p50} p99 {p99}");
    }
    line + &format!("  lost {}", live.lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_what_is_known() {
        let live = Live { phase: "measuring", connected: 9, asked: 10, ..Live::default() };
        assert_eq!(line(&live), "9/10 clients  0/s  lost 0");
        assert_eq!(position(&live), 900);
        let live = Live {
            elapsed: Duration::from_secs(3),
            total: Duration::from_secs(12),
            published: Some(1_234),
            delivered_per_s: 99_999.6,
            p50_us: 850,
            p99_us: 12_300,
            ..live
        };
        assert_eq!(
            line(&live),
            "9/10 clients  3/12 s  1,234 published  100,000/s  p50 850 us p99 12.3 ms  lost 0"
        );
        assert_eq!(position(&live), 250);
        assert!(ProgressStyle::with_template("{prefix:10} {bar:24} {msg}").is_ok());
    }
}
