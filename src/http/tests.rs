//! Routes, methods and health through whole responses, without sockets.

use super::*;
use crate::clock::Clock;
use crate::event::{Event, Topics};
use crate::shard::Dispatch;
use crate::source::OpenGate;
use crate::telemetry;
use crate::wake::Wake;
use http_body_util::BodyExt as _;
use hyper::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE};
use std::io::Read as _;
use std::time::Duration;

/// A ring without room.
#[derive(Debug)]
struct NoRing;

impl Intake for NoRing {
    fn enqueue(&self, event: Event) -> Result<(), Event> {
        Err(event)
    }
    fn announce(&self) {}
    fn is_drained(&self) -> bool {
        true
    }
}

fn context(checks: &[(&'static str, bool)]) -> Context<NoRing> {
    let telemetry = Telemetry::new(1);
    let parts = publish::Parts {
        intake: NoRing,
        topics: Arc::new(Topics::new()),
        clock: Clock::system(),
        gate: Arc::new(OpenGate),
        head: Box::new(|| 0),
        telemetry: Arc::clone(&telemetry),
    };
    let checks: Vec<Check> = checks
        .iter()
        .map(|(name, ok)| Check { name, ok: *ok, detail: "as the test says".to_owned() })
        .collect();
    Context {
        telemetry,
        health: Box::new(move || Health { checks: checks.clone() }),
        door: Door::new(parts, publish::Options::default()),
        gateway: Gateway::new(
            Vec::new(),
            Clock::system(),
            telemetry::Systems::new(telemetry::Options::default()),
        ),
        streams: stream::tests::hub(stream::Options::default()),
        shards: Shards::new(Arc::new(Dispatch::new(2, Arc::new(Wake::new(2)))))
            .patience(Duration::from_millis(1)),
    }
}

struct Answer {
    status: u16,
    headers: hyper::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn ask(
    context: &Context<NoRing>,
    surface: Surface,
    request: hyper::http::request::Builder,
) -> Answer {
    let request = request.body(Full::new(Bytes::new())).unwrap();
    let peer = "127.0.0.1:9".parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (head, body) = route(surface, context, request, peer).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    })
}

fn get(context: &Context<NoRing>, surface: Surface, path: &str) -> Answer {
    ask(context, surface, Request::get(path))
}

#[test]
fn s19_metrics_are_served_as_text_0_0_4_plain_and_compressed() {
    let context = context(&[]);
    let plain = get(&context, Surface::Metrics, "/metrics?x=1");
    assert_eq!(plain.status, 200);
    assert_eq!(plain.headers[CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
    assert!(!plain.headers.contains_key(CONTENT_ENCODING));
    assert!(String::from_utf8(plain.body).unwrap().contains("\nlineage_active_connections 0\n"));
    let request = Request::get("/metrics").header("accept-encoding", "gzip");
    let packed = ask(&context, Surface::Metrics, request);
    assert_eq!(packed.headers[CONTENT_ENCODING], "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut text).unwrap();
    assert!(text.contains("\nlineage_active_connections 0\n"));
}

#[test]
fn s55_health_lists_the_checks_and_is_503_when_one_fails() {
    for (checks, status, word) in [
        (&[("shards", true), ("source", true)][..], 200, "ready"),
        (&[("shards", true), ("source", false)], 503, "not_ready"),
    ] {
        let context = context(checks);
        for surface in [Surface::Metrics, Surface::Http] {
            for path in ["/health", "/health/ready"] {
                let answer = get(&context, surface, path);
                let json = answer.json();
                assert_eq!(
                    (answer.status, json["status"].as_str()),
                    (status, Some(word)),
                    "{path}"
                );
                assert_eq!(json["checks"][1]["name"], "source");
                assert_eq!(json["checks"][1]["ok"], checks[1].1);
                assert_eq!(answer.headers[CONTENT_TYPE], "application/json");
            }
            assert_eq!(
                get(&context, surface, "/health/live").status,
                200,
                "not ready is still alive"
            );
        }
        let detail = get(&context, Surface::Metrics, "/health").json();
        assert_eq!(detail["version"], env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn other_methods_are_told_which_are_allowed() {
    let context = context(&[]);
    for (surface, path, allow) in [
        (Surface::Metrics, "/metrics", "GET, HEAD"),
        (Surface::Metrics, "/health", "GET, HEAD"),
        (Surface::Http, "/health/ready", "GET, HEAD"),
        (Surface::Http, "/v1/publish", "POST"),
        (Surface::Http, "/api/connections", "GET, HEAD"),
    ] {
        let answer = ask(&context, surface, Request::delete(path));
        assert_eq!(
            (answer.status, answer.headers[ALLOW].to_str().unwrap()),
            (405, allow),
            "{path}"
        );
    }
    assert_eq!(ask(&context, Surface::Metrics, Request::head("/metrics")).status, 200);
    let answer = get(&context, Surface::Http, "/api/connections/1-2-3");
    assert_eq!((answer.status, answer.headers[ALLOW].to_str().unwrap()), (405, "DELETE"));
}

#[test]
fn other_paths_are_problems_that_name_what_is_served() {
    let context = context(&[]);
    for (surface, path, named) in [
        (Surface::Metrics, "/v1/publish", "/metrics"),
        (Surface::Http, "/metrics", "/v1/publish"),
        (Surface::Http, "/", "/v1/publish"),
        (Surface::Http, "/api/connectionsx", "/api/connections"),
        (Surface::Metrics, "/api/connections", "/metrics"),
        (Surface::Metrics, "/health/", "/health/live"),
    ] {
        let answer = get(&context, surface, path);
        assert_eq!(answer.headers[CONTENT_TYPE], "application/problem+json");
        let problem = answer.json();
        assert_eq!((answer.status, &problem["status"]), (404, &404.into()), "{path}");
        assert!(problem["detail"].as_str().unwrap().contains(named), "{problem}");
    }
}

#[test]
fn publishing_is_off_until_it_is_asked_for() {
    let answer = ask(&context(&[]), Surface::Http, Request::post("/v1/publish"));
    assert_eq!(answer.status, 403);
    assert!(answer.json()["detail"].as_str().unwrap().contains("--publish"));
}

#[test]
fn a_shard_that_does_not_answer_is_named_and_one_with_too_many_inquiries_too() {
    let context = context(&[]);
    // Nobody works on them: sixteen fit.
    for n in 1..=17 {
        let answer = get(&context, Surface::Http, "/api/connections");
        assert_eq!((answer.status, &answer.headers["retry-after"]), (503, &"1".parse().unwrap()));
        let why = if n <= 16 { "did not answer within 1ms" } else { "has too many inquiries" };
        let json = answer.json();
        assert!(json["detail"].as_str().unwrap().starts_with(&format!("shard 0 {why}")), "{json}");
    }
    let unknown = ask(&context, Surface::Http, Request::delete("/api/connections/nobody"));
    assert_eq!(unknown.status, 404, "no shard is asked");
    let known = ask(&context, Surface::Http, Request::delete("/api/connections/0-1-2"));
    assert_eq!(known.status, 503);
}

#[test]
fn connections_are_for_peers_on_this_machine() {
    let context = context(&[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for (method, path) in [
        (Method::GET, "/api/connections"),
        (Method::GET, "/api/connections?limit=0"),
        (Method::DELETE, "/api/connections/0-1-2"),
        (Method::DELETE, "/api/connections/nobody"),
    ] {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Full::new(Bytes::new())).unwrap();
        let peer = "192.0.2.7:5000".parse().unwrap();
        let answer = runtime.block_on(route(Surface::Http, &context, request, peer));
        assert_eq!(answer.status(), 403, "{path}");
    }
}
