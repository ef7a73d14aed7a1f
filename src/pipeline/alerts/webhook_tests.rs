//! The webhook against a receiver of its own on a real socket, which answers by a script. Nothing waits for time to pass:
//! the receiver says when a request is in, and the webhook says when it is done.

use super::*;
use crate::event::{AlertState, Severity};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

const SECRET: &str = "a secret of the test";

/// What the receiver does with one request.
#[derive(Clone, Copy)]
enum Reply {
    Status(u16),
    /// Closes the connection without an answer.
    Nothing,
    /// Sends the request to another path.
    Elsewhere,
}

/// A request as it came in.
#[derive(Debug)]
struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// A receiver that answers `replies` in their order, each once `gate` lets it, and the URL it is at.
fn receiver(
    replies: Vec<Reply>,
    gate: Option<Receiver<()>>,
) -> (String, Receiver<Request>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, requests) = sync_channel(64);
    let thread = thread::spawn(move || {
        for reply in replies {
            let (mut stream, _) = listener.accept().unwrap();
            sender.send(read(&mut stream)).unwrap();
            if let Some(gate) = &gate {
                gate.recv().unwrap();
            }
            let answer = match reply {
                Reply::Nothing => continue,
                Reply::Status(status) => format!("HTTP/1.1 {status} Word\r\n"),
                Reply::Elsewhere => "HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\n".to_owned(),
            };
            let answer = format!("{answer}Content-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, requests, thread)
}

fn read(stream: &mut TcpStream) -> Request {
    let mut bytes = Vec::new();
    let mut chunk = [0; 1_024];
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let mut request = Request { head, body: bytes[end + 4..].to_vec() };
            let length: usize = request.header("content-length").unwrap().parse().unwrap();
            if request.body.len() >= length {
                request.body.truncate(length);
                return request;
            }
        }
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0, "the request ends early: {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&chunk[..count]);
    }
}

fn record(us: u64) -> AlertRecord {
    let alert = Alert {
        rule: "agent_capital_low".into(),
        state: AlertState::Firing,
        severity: Severity::Warning,
        subject: "agent:momentum".into(),
        value: 0.79,
        threshold: 0.8,
        since_ms: 7,
    };
    AlertRecord { us, alert }
}

fn options(url: &str) -> WebhookOptions {
    WebhookOptions {
        secret: Some(SECRET.into()),
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(2),
        timeout: Duration::from_secs(30),
        ..WebhookOptions::new(url)
    }
}

fn start(options: &WebhookOptions) -> (Webhook, WebhookMetrics) {
    let (clock, _) = Clock::manual(1_738_512_000_999_999);
    let webhook = Webhook::start(options, clock).unwrap();
    let metrics = webhook.metrics().clone();
    (webhook, metrics)
}

/// Delivered, failed, retries, dropped.
fn counts(metrics: &WebhookMetrics) -> [u64; 4] {
    [metrics.delivered(), metrics.failed(), metrics.retries(), metrics.dropped()]
}

#[test]
fn a_receiver_that_fails_now_and_then_gets_every_alert_once_signed_and_in_order() {
    let replies = vec![
        Reply::Status(500),
        Reply::Nothing,
        Reply::Status(429),
        Reply::Status(204),
        Reply::Status(408),
        Reply::Status(200),
    ];
    let (url, requests, thread) = receiver(replies, None);
    let (webhook, metrics) = start(&options(&url));
    assert!(webhook.send(record(1)) && webhook.send(record(2)));
    webhook.finish();
    thread.join().unwrap();
    assert_eq!(counts(&metrics), [2, 0, 4, 0]);
    let requests: Vec<Request> = requests.iter().collect();
    let bodies: Vec<AlertRecord> =
        requests.iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect();
    let times: Vec<u64> = bodies.iter().map(|body| body.us).collect();
    assert_eq!(times, [1, 1, 1, 1, 2, 2]);
    assert_eq!(bodies[0], record(1));
    let deliveries: Vec<&str> =
        requests.iter().map(|request| request.header("x-lineage-delivery").unwrap()).collect();
    assert!(deliveries[..4].iter().all(|one| *one == deliveries[0]), "{deliveries:?}");
    assert!(deliveries[4] == deliveries[5] && deliveries[4] != deliveries[0], "{deliveries:?}");
    for request in &requests {
        assert!(request.head.starts_with("POST /hook HTTP/1.1\r\n"), "{}", request.head);
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("x-lineage-timestamp"), Some("1738512000"));
        let expected = signature(SECRET, "1738512000", &request.body);
        assert_eq!(request.header("x-lineage-signature"), Some(&*expected));
    }
}

#[test]
fn the_last_try_counts_and_there_is_none_after_it() {
    for (failures, expected) in [(2, [1, 0, 2, 0]), (3, [0, 1, 2, 0])] {
        let mut replies = vec![Reply::Status(503); failures];
        replies.extend((failures < 3).then_some(Reply::Status(200)));
        let (url, _requests, thread) = receiver(replies, None);
        let (webhook, metrics) = start(&WebhookOptions { attempts_max: 3, ..options(&url) });
        webhook.send(record(1));
        webhook.finish();
        thread.join().unwrap();
        assert_eq!(counts(&metrics), expected, "{failures} failures");
    }
}

#[test]
fn what_the_receiver_refuses_or_sends_elsewhere_is_not_tried_again() {
    let replies = vec![Reply::Status(400), Reply::Status(499), Reply::Elsewhere];
    let (url, requests, thread) = receiver(replies, None);
    let (webhook, metrics) = start(&options(&url));
    for us in 1..=3 {
        webhook.send(record(us));
    }
    webhook.finish();
    thread.join().unwrap();
    assert_eq!(counts(&metrics), [0, 3, 0, 0]);
    assert_eq!(requests.iter().count(), 3);
}

#[test]
fn one_alert_more_than_may_wait_is_dropped_and_counted() {
    let (open, gate) = sync_channel(8);
    let (url, requests, thread) = receiver(vec![Reply::Status(200); 4], Some(gate));
    let (webhook, metrics) = start(&WebhookOptions { queue_max: 3, ..options(&url) });
    assert!(webhook.send(record(1)));
    requests.recv().unwrap();
    // The first is at the receiver and waits no more: three may.
    let queued: Vec<bool> = (2..=5).map(|us| webhook.send(record(us))).collect();
    assert_eq!(queued, [true, true, true, false]);
    (0..4).for_each(|_| open.send(()).unwrap());
    webhook.finish();
    thread.join().unwrap();
    assert_eq!(counts(&metrics), [4, 0, 0, 1]);
}

#[test]
fn a_stop_ends_a_long_wait_and_counts_what_was_not_sent() {
    let (url, requests, thread) = receiver(vec![Reply::Status(500)], None);
    let hours = Duration::from_secs(36_000);
    let patient = WebhookOptions { backoff_min: hours, backoff_max: hours, ..options(&url) };
    let (webhook, metrics) = start(&patient);
    for us in 1..=3 {
        assert!(webhook.send(record(us)));
    }
    requests.recv().unwrap();
    drop(webhook);
    thread.join().unwrap();
    assert_eq!(counts(&metrics), [0, 0, 0, 3]);
}

#[test]
fn an_https_url_begins_with_a_tls_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/hook", listener.local_addr().unwrap());
    let thread = thread::spawn(move || {
        let mut first = [0; 3];
        listener.accept().unwrap().0.read_exact(&mut first).unwrap();
        first
    });
    let (webhook, metrics) = start(&WebhookOptions { attempts_max: 1, ..options(&url) });
    webhook.send(record(1));
    webhook.finish();
    // A handshake record of TLS 1.x.
    assert_eq!(thread.join().unwrap()[..2], [22, 3]);
    assert_eq!(counts(&metrics), [0, 1, 0, 0]);
}

#[test]
fn only_the_alerts_among_events_are_sent() {
    use crate::event::{Cents, Market, Topic, Typed};
    let (url, requests, thread) = receiver(vec![Reply::Status(200)], None);
    let (webhook, _) = start(&options(&url));
    let event = |time_us, body| Event { topic: Topic::from_index(0), key: 0, time_us, body };
    let price = Market { symbol: "BTC-USD".into(), price: Cents(1) };
    webhook.send_alerts(&[
        event(8, Body::Market(price)),
        event(9, Body::Typed(Typed::new(record(9).alert))),
    ]);
    webhook.finish();
    thread.join().unwrap();
    let bodies: Vec<AlertRecord> =
        requests.iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect();
    assert_eq!(bodies, [record(9)]);
}

#[test]
fn a_signature_is_the_hmac_of_time_and_body() {
    // Computed with another program: printf '1738512000.{}' | openssl dgst -sha256 -hmac key
    assert_eq!(
        signature("key", "1738512000", b"{}"),
        "sha256=057bb0ef71d7d01a3b73937f3f32b1a267ea19439392651cbf0d8386f952e201"
    );
}

#[test]
fn a_url_without_a_host_or_of_another_scheme_is_refused_without_being_repeated() {
    for url in ["", "hook", "/hook", "ftp://host/secret", "http://", "http:///secret", "host:80"] {
        let error = WebhookOptions::new(url).check().unwrap_err();
        assert!(matches!(error, Error::Config(_)), "{url}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    for url in ["http://127.0.0.1:1/a?b=c", "https://host", "http://[::1]:9/"] {
        assert!(WebhookOptions::new(url).check().is_ok(), "{url}");
    }
}

#[test]
fn neither_the_secret_nor_the_url_is_shown() {
    let shown = format!("{:?}", options("http://host/token-in-the-path"));
    assert!(!shown.contains(SECRET) && !shown.contains("token"), "{shown}");
}

#[test]
fn waits_double_up_to_the_longest_and_at_most_as_much_again_is_added() {
    let options = WebhookOptions { attempts_max: 9, ..WebhookOptions::new("http://host") };
    let waits: Vec<u128> = options.backoff().build().map(|wait| wait.as_millis()).collect();
    let least = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
    assert_eq!(waits.len(), least.len());
    for (wait, least) in waits.iter().zip(least) {
        assert!((least..=2 * least).contains(wait), "{waits:?}");
    }
}
