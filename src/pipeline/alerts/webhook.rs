//! Alerts to an HTTP receiver of the operator's: a thread with a bounded queue, retries, and a signature.
//!
//! ```text
//! POST <url>
//! Content-Type: application/json
//! X-Lineage-Delivery: <uuid>           the same at every try of one alert, so that a receiver can tell repeats
//! X-Lineage-Timestamp: <seconds>       when this try was made, since the Unix epoch
//! X-Lineage-Signature: sha256=<hex>    HMAC-SHA256 of "<timestamp>.<body>" with the secret, if there is one
//!
//! {"us":…,"rule":…,"state":…,"severity":…,"subject":…,"value":…,"threshold":…,"since_ms":…}
//! ```
//!
//! Alerts go out one at a time, in the order in which they were published. An answer of 200 to 299 is a delivery; 408, 429,
//! 500 and above, and no answer at all are tried again; anything else is final, redirects too: what is signed goes to the
//! receiver that was named. It never blocks who hands alerts in, never logs the URL's path or the secret (receivers keep
//! tokens there), and uses no proxy.
//!
//! Invariant: every alert handed in is counted once as delivered, failed or dropped, as soon as its fate is known.

use super::metrics::counter;
use crate::clock::Clock;
use crate::error::Error;
use crate::event::{Alert, AlertRecord, Body, Event};
use crate::source::Stop;
use backon::{BackoffBuilder as _, ExponentialBuilder};
use hmac::{Hmac, KeyInit as _, Mac as _};
use prometheus::IntCounter;
use prometheus::core::Collector;
use sha2::Sha256;
use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{debug, warn};
use ureq::http::Uri;
use uuid::Uuid;

/// How often an end with a limit looks whether all is delivered.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Where alerts go, and how hard it is tried.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookOptions {
    /// `http://` or `https://`, with a host; empty: nowhere.
    pub url: String,
    /// Key of the signature; none: not signed.
    pub secret: Option<String>,
    /// Alerts that wait at most (default 256, at least 1); a further one is dropped and counted.
    pub queue_max: usize,
    /// Tries of one alert at most, the first included (default 6, at least 1).
    pub attempts_max: usize,
    /// How long one try may take, from looking the host up to the head of the answer (default 5 s).
    pub timeout: Duration,
    /// Wait before the second try (default 500 ms); it doubles with every further one. A random time of up to as much again
    /// is added to each wait, so that several servers do not come back at once.
    pub backoff_min: Duration,
    /// The longest wait, before what is added (default 30 s).
    pub backoff_max: Duration,
}

impl WebhookOptions {
    /// The defaults, for this receiver.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            secret: None,
            queue_max: 256,
            attempts_max: 6,
            timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
        }
    }

    /// Whether there is an address to send to.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.url.is_empty()
    }

    /// Looks at the address.
    ///
    /// # Errors
    /// [`Error::Config`] when it is none; the message does not repeat it.
    pub fn check(&self) -> Result<(), Error> {
        self.uri().map(drop)
    }

    fn uri(&self) -> Result<Uri, Error> {
        let uri = self.url.parse::<Uri>().ok().filter(|uri| {
            let is_known = matches!(uri.scheme_str(), Some("http" | "https"));
            is_known && uri.host().is_some_and(|host| !host.is_empty())
        });
        uri.ok_or_else(|| {
            let allowed = "http:// or https://, a host, and a path if need be";
            Error::Config(format!("webhook_url is not a URL to send to; allowed: {allowed}"))
        })
    }

    fn backoff(&self) -> ExponentialBuilder {
        ExponentialBuilder::new()
            .with_factor(2.0)
            .with_min_delay(self.backoff_min)
            .with_max_delay(self.backoff_max)
            .with_max_times(self.attempts_max.saturating_sub(1))
            .with_jitter()
    }
}

impl Default for WebhookOptions {
    /// The defaults, and no receiver.
    fn default() -> Self {
        Self::new("")
    }
}

impl fmt::Debug for WebhookOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WebhookOptions")
            .field("is_signed", &self.secret.is_some())
            .field("queue_max", &self.queue_max)
            .field("attempts_max", &self.attempts_max)
            .field("timeout", &self.timeout)
            .field("backoff_min", &self.backoff_min)
            .field("backoff_max", &self.backoff_max)
            .finish_non_exhaustive()
    }
}

/// The handing-in end of the webhook's thread. Dropping it ends the thread: the try under way is made to its end, which takes
/// up to [`timeout`](WebhookOptions::timeout), and what still waits is dropped and counted.
#[derive(Debug)]
pub struct Webhook {
    /// None once nothing more may be handed in.
    queue: Option<SyncSender<AlertRecord>>,
    thread: Option<JoinHandle<()>>,
    stop: Stop,
    metrics: WebhookMetrics,
}

impl Webhook {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Error::Config`] when the URL is none, [`Error::Runtime`] when the thread cannot be started.
    pub fn start(options: &WebhookOptions, clock: Clock) -> Result<Self, Error> {
        let uri = options.uri()?;
        let (queue, waiting) = sync_channel(options.queue_max.max(1));
        let (stop, metrics) = (Stop::new(), WebhookMetrics::new());
        let courier = Courier {
            host: uri.host().unwrap_or_default().to_owned(),
            uri,
            secret: options.secret.clone(),
            agent: agent(options.timeout),
            backoff: options.backoff(),
            clock,
            stop: stop.clone(),
            metrics: metrics.clone(),
        };
        let thread = std::thread::Builder::new().name("webhook".into());
        let thread = thread
            .spawn(move || courier.run(&waiting))
            .map_err(|error| Error::Runtime(format!("cannot start the webhook: {error}")))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), stop, metrics })
    }

    /// Hands an alert in; false when it was dropped because too many wait. Never blocks.
    pub fn send(&self, record: AlertRecord) -> bool {
        let is_queued = self.queue.as_ref().is_some_and(|queue| queue.try_send(record).is_ok());
        if !is_queued {
            self.metrics.dropped.inc();
            warn!("webhook: too many alerts wait, one is dropped");
        }
        is_queued
    }

    /// Hands in the alerts among `events`. Never blocks.
    pub fn send_alerts(&self, events: &[Event]) {
        for event in events {
            if let Body::Typed(typed) = &event.body
                && let Some(alert) = typed.get::<Alert>()
            {
                self.send(AlertRecord { us: event.time_us, alert: alert.clone() });
            }
        }
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &WebhookMetrics {
        &self.metrics
    }

    /// Delivers what waits, with all its tries, and ends. Blocks as long as that takes.
    pub fn finish(mut self) {
        self.close();
    }

    /// As [`finish`](Self::finish), for `patience` at most and what is left of the try under way: then what still waits
    /// is dropped and counted.
    pub fn finish_within(mut self, patience: Duration) {
        self.queue = None;
        let begun = Instant::now();
        let is_at_work = |thread: &JoinHandle<()>| !thread.is_finished();
        while self.thread.as_ref().is_some_and(is_at_work) && begun.elapsed() < patience {
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn close(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            warn!("webhook: its thread ended in a panic");
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.stop.stop();
        self.close();
    }
}

/// What the webhook counts; clones count together.
#[derive(Debug, Clone)]
pub struct WebhookMetrics {
    delivered: IntCounter,
    failed: IntCounter,
    retries: IntCounter,
    dropped: IntCounter,
}

impl WebhookMetrics {
    fn new() -> Self {
        Self {
            delivered: counter(
                "lineage_webhook_delivered_total",
                "Alerts that the webhook's receiver took.",
            ),
            failed: counter(
                "lineage_webhook_failed_total",
                "Alerts that the webhook's receiver refused, or did not take at the last try.",
            ),
            retries: counter("lineage_webhook_retries_total", "Further tries of the webhook."),
            dropped: counter(
                "lineage_webhook_dropped_total",
                "Alerts that the webhook dropped because too many waited, or because the engine stopped.",
            ),
        }
    }

    /// Alerts that the receiver took.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.get()
    }

    /// Alerts that the receiver refused, or did not take at the last try.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.get()
    }

    /// Further tries.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.retries.get()
    }

    /// Alerts dropped because too many waited, or because the engine stopped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// For the exposition.
    #[must_use]
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let all = [&self.delivered, &self.failed, &self.retries, &self.dropped];
        all.map(|counter| Box::new(counter.clone()) as Box<dyn Collector>).into()
    }
}

/// What runs on the thread.
struct Courier {
    uri: Uri,
    /// Of the URL: what logs may say of it.
    host: String,
    secret: Option<String>,
    agent: ureq::Agent,
    backoff: ExponentialBuilder,
    clock: Clock,
    stop: Stop,
    metrics: WebhookMetrics,
}

/// How a try ended.
enum Outcome {
    Taken,
    /// It makes no sense to ask again.
    Refused(u16),
    /// It may be otherwise the next time; why.
    NotTaken(String),
}

impl Courier {
    fn run(&self, waiting: &Receiver<AlertRecord>) {
        while let Ok(record) = waiting.recv() {
            if self.stop.is_stopped() {
                self.metrics.dropped.inc();
                warn!(rule = &*record.alert.rule, "webhook: stopped before this alert was sent");
            } else {
                self.deliver(&record);
            }
        }
    }

    fn deliver(&self, record: &AlertRecord) {
        let (rule, host) = (&*record.alert.rule, &*self.host);
        let body = serde_json::to_vec(record).expect("plain data is always JSON");
        let delivery = Uuid::new_v4().to_string();
        let mut waits = self.backoff.build();
        loop {
            match self.attempt(&body, &delivery) {
                Outcome::Taken => return self.metrics.delivered.inc(),
                Outcome::Refused(status) => {
                    warn!(rule, host, status, "webhook: the receiver refused an alert");
                    return self.metrics.failed.inc();
                }
                Outcome::NotTaken(why) => {
                    let Some(wait) = waits.next() else {
                        warn!(rule, host, why, "webhook: an alert was not taken at the last try");
                        return self.metrics.failed.inc();
                    };
                    debug!(rule, host, why, ?wait, "webhook: an alert was not taken");
                    if self.stop.wait_for(wait) {
                        return self.metrics.dropped.inc();
                    }
                    self.metrics.retries.inc();
                }
            }
        }
    }

    fn attempt(&self, body: &[u8], delivery: &str) -> Outcome {
        let timestamp = (self.clock.now_us() / 1_000_000).to_string();
        let mut request = self
            .agent
            .post(&self.uri)
            .header("Content-Type", "application/json")
            .header("X-Lineage-Delivery", delivery)
            .header("X-Lineage-Timestamp", &timestamp);
        if let Some(secret) = &self.secret {
            request = request.header("X-Lineage-Signature", signature(secret, &timestamp, body));
        }
        match request.send(body).map(|response| response.status().as_u16()) {
            Ok(200..=299) => Outcome::Taken,
            Ok(status @ (408 | 429 | 500..)) => Outcome::NotTaken(format!("status {status}")),
            Ok(status) => Outcome::Refused(status),
            Err(error) => Outcome::NotTaken(error.to_string()),
        }
    }
}

fn agent(timeout: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("lineage/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

/// The value of the header: what a receiver compares with what it computes itself.
fn signature(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is a key");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    digest.iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
