//! The REST gateway: serves the routes that the parts of the engine describe, and the OpenAPI document made of them.
//!
//! A route without description cannot exist ([`Route`]); `document` writes them down, `cache` keeps answers for a moment,
//! so that a thousand dashboards that ask for the same page cost one answer. Never: what an answer says.
//!
//! Runs on the edge's one thread; a route that may wait for a file is called on a thread of the blocking pool.

mod cache;
mod document;

use super::{answer, query};
use crate::api::{Asked, Refusal, Route};
use crate::clock::Clock;
use crate::telemetry::{Lookup, Systems};
use bytes::Bytes;
use cache::Cache;
use http_body_util::Full;
use hyper::header::HeaderMap;
use hyper::http::Uri;
use hyper::{Method, Response, StatusCode};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// Where the document is.
pub const DOCUMENT: &str = "/api/openapi.json";

/// Shorter answers fit into one packet as they are.
const COMPRESSED_BYTES_MIN: usize = 1_024;

/// All routes.
#[derive(Debug)]
pub struct Gateway {
    routes: Vec<Route>,
    document: Value,
    cache: Cache,
    /// Where requests and look-ups in the cache are counted.
    figures: Arc<Systems>,
}

impl Gateway {
    /// A gateway for these routes, which counts in `figures` what it is asked and answers.
    #[must_use]
    pub fn new(routes: Vec<Route>, clock: Clock, figures: Arc<Systems>) -> Self {
        let document = document::write(&routes);
        Self { routes, document, cache: Cache::new(clock), figures }
    }

    /// Answers a request for one of the routes, or for the document; `None`: the path is neither.
    pub(super) async fn respond(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Option<Response<Full<Bytes>>> {
        let path = uri.path();
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        let found = self.routes.iter().find_map(|route| Some((route, fit(route, path)?)));
        let response = match found {
            None if path != DOCUMENT => return None,
            _ if !is_read => answer::method_not_allowed("GET, HEAD"),
            None => told(self.document.to_string().into(), headers),
            Some((route, in_path)) => self.ask(route, in_path, uri, headers).await,
        };
        self.figures.count_request(response.status().as_u16());
        Some(response)
    }

    async fn ask(
        &self,
        route: &Route,
        in_path: Vec<(&'static str, String)>,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Response<Full<Bytes>> {
        let key = uri.path_and_query().map_or(uri.path(), |whole| whole.as_str());
        if let Some(kept) = self.cache.find(key) {
            self.figures.count_cache(Lookup::Hit);
            return told(kept, headers);
        }
        self.figures.count_cache(Lookup::Miss);
        let in_query: Vec<(Cow<'_, str>, Cow<'_, str>)> =
            query::parameters(uri.query().unwrap_or_default()).collect();
        let given = in_query.iter().map(|(name, value)| (&**name, &**value));
        // The path comes last, and so wins over a query that names the same.
        let given = given.chain(in_path.iter().map(|(name, value)| (*name, &**value)));
        let outcome = match Asked::check(&route.parameters, given) {
            Err(refusal) => Err(refusal),
            Ok(asked) if route.is_blocking => {
                let make = Arc::clone(&route.answer);
                let made = tokio::task::spawn_blocking(move || make(&asked)).await;
                made.unwrap_or_else(|_| Err(Refusal::Unavailable("the answer failed".to_owned())))
            }
            Ok(asked) => (route.answer)(&asked),
        };
        match outcome {
            Ok(value) => {
                let text = Bytes::from(value.to_string());
                self.cache.keep(key, &text);
                told(text, headers)
            }
            Err(Refusal::Bad(detail)) => answer::problem(StatusCode::BAD_REQUEST, &detail),
            Err(Refusal::Unknown(detail)) => answer::problem(StatusCode::NOT_FOUND, &detail),
            Err(Refusal::Unavailable(detail)) => {
                answer::retry_soon(answer::problem(StatusCode::SERVICE_UNAVAILABLE, &detail))
            }
        }
    }
}

/// A whole answer, compressed if that is worth it and the client accepts it.
fn told(text: Bytes, headers: &HeaderMap) -> Response<Full<Bytes>> {
    if text.len() < COMPRESSED_BYTES_MIN {
        return answer::body(StatusCode::OK, "application/json", text);
    }
    answer::compressible("application/json", text, headers)
}

/// The parameters in `path`, decoded, if it is one of the route's.
fn fit(route: &Route, path: &str) -> Option<Vec<(&'static str, String)>> {
    let mut given = path.split('/');
    let mut in_path = Vec::new();
    for segment in route.path.split('/') {
        let found = given.next()?;
        match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(_) if found.is_empty() => return None,
            Some(name) => in_path.push((name, query::decoded(found).into_owned())),
            None if segment == found => {}
            None => return None,
        }
    }
    given.next().is_none().then_some(in_path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Parameter, Shape};
    use crate::telemetry::Options;
    use http_body_util::BodyExt as _;
    use serde_json::json;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn gateway(is_blocking: bool) -> (Gateway, crate::clock::ManualClock) {
        let (clock, time) = Clock::manual(0);
        let asked_times = AtomicU64::new(0);
        let routes = vec![Route {
            path: "/api/things/{name}/size",
            summary: "How large a thing is.",
            parameters: vec![
                Parameter {
                    name: "name",
                    meaning: "which thing",
                    is_required: true,
                    shape: Shape::Text,
                },
                Parameter {
                    name: "limit",
                    meaning: "at most so much, 1 to 5",
                    is_required: false,
                    shape: Shape::Integer(1, 5),
                },
            ],
            example: json!({ "name": "a", "times": 1 }),
            is_blocking,
            answer: Arc::new(move |asked| match asked.text("name") {
                Some("none") => Err(Refusal::Unknown("there is no none".to_owned())),
                Some("late") => Err(Refusal::Unavailable("not yet".to_owned())),
                name => {
                    let times = asked_times.fetch_add(1, Ordering::Relaxed);
                    Ok(json!({ "name": name, "times": times, "limit": asked.integer("limit") }))
                }
            }),
        }];
        (Gateway::new(routes, clock, Systems::new(Options::default())), time)
    }

    fn ask(gateway: &Gateway, method: &Method, uri: &str) -> Option<(u16, Value)> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let uri: Uri = uri.parse().expect("a path");
            let answer = gateway.respond(method, &uri, &HeaderMap::new()).await?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.expect("whole").to_bytes();
            Some((head.status.as_u16(), serde_json::from_slice(&body).expect("json")))
        })
    }

    #[test]
    fn routes_are_found_by_their_segments_and_parameters_are_decoded() {
        for is_blocking in [false, true] {
            let (gateway, _) = gateway(is_blocking);
            let answer = ask(&gateway, &Method::GET, "/api/things/a%20b/size?limit=5&name=c");
            assert_eq!(answer, Some((200, json!({ "name": "a b", "times": 0, "limit": 5 }))));
            for path in ["/api/things/a", "/api/things//size", "/api/things/a/size/", "/api"] {
                assert_eq!(ask(&gateway, &Method::GET, path), None, "{path}");
            }
        }
    }

    #[test]
    fn refusals_are_problems_and_are_counted() {
        let (gateway, _) = gateway(false);
        for (path, status, detail) in [
            ("/api/things/a/size?limit=6", 400, "limit is \"6\", and not an integer from 1 to 5"),
            ("/api/things/none/size", 404, "there is no none"),
            ("/api/things/late/size", 503, "not yet"),
        ] {
            let (found, problem) = ask(&gateway, &Method::GET, path).expect("a route");
            assert_eq!((found, problem["detail"].as_str()), (status, Some(detail)));
        }
        assert_eq!(ask(&gateway, &Method::POST, "/api/things/a/size").expect("a route").0, 405);
        let totals = gateway.figures.api();
        assert_eq!(
            (totals.requests, totals.errors),
            (4, 1),
            "only the last of the problems is ours"
        );
    }

    #[test]
    fn an_answer_is_kept_for_a_moment_and_a_refusal_is_not() {
        let (gateway, time) = gateway(false);
        let times = |path| ask(&gateway, &Method::GET, path).expect("a route").1["times"].as_u64();
        assert_eq!(times("/api/things/a/size"), Some(0));
        time.advance_us(cache::KEPT_US - 1);
        assert_eq!(times("/api/things/a/size"), Some(0));
        assert_eq!(times("/api/things/b/size"), Some(1));
        time.advance_us(1);
        assert_eq!(times("/api/things/a/size"), Some(2));
        let totals = gateway.figures.api();
        assert_eq!(
            (totals.cache_lookups, totals.cache_hit_rate.to_bits()),
            (4, 0.25_f64.to_bits())
        );
    }

    #[test]
    fn the_document_has_every_route() {
        let (gateway, _) = gateway(false);
        let (status, document) = ask(&gateway, &Method::GET, DOCUMENT).expect("the document");
        assert_eq!(status, 200);
        assert_eq!(document["openapi"], "3.1.0");
        let get = &document["paths"]["/api/things/{name}/size"]["get"];
        assert_eq!(get["summary"], "How large a thing is.");
        assert_eq!(get["parameters"][0]["in"], "path");
        assert_eq!(get["parameters"][1]["schema"]["maximum"], 5);
        assert_eq!(get["responses"]["200"]["content"]["application/json"]["example"]["name"], "a");
    }
}
