//! `/api/connections`: who is connected and how they fare, and a way to close somebody. For peers on this machine.
//!
//! Every shard is asked at once and answers for its own connections; here the answers are merged. Never: state of its
//! own. Invariant: a request is answered within the patience given, with 503 and the number of the shard that was not
//! heard of. Dropping a future gives up the answer, not the work that shards do for it, which is bounded.

use super::{answer, query};
use crate::shard::{Census, ConnectionId, Dispatch, Inquiry, Report, Sort};
use bytes::Bytes;
use http_body_util::Full;
use hyper::http::Uri;
use hyper::{Method, Response, StatusCode};
use serde::Serialize;
use std::cmp::Reverse;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// The path of the list; below it are the connections.
pub(super) const PATH: &str = "/api/connections";
/// Connections shown, unless the request says otherwise.
const SHOWN_DEFAULT: usize = 100;
/// Connections shown at most.
const SHOWN_MAX: usize = 1_000;
/// How long shards are waited for. A healthy one with ten thousand connections needs a tenth of it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The shards that are asked.
#[derive(Debug)]
pub struct Shards {
    dispatch: Arc<Dispatch>,
    patience: Duration,
}

impl Shards {
    /// All shards of an engine.
    #[must_use]
    pub fn new(dispatch: Arc<Dispatch>) -> Self {
        Self { dispatch, patience: PATIENCE }
    }

    /// Waits for answers so long.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Puts a question to each shard and waits for all answers.
    async fn ask_all<A: Send + 'static>(
        &self,
        inquiry: impl Fn(oneshot::Sender<A>) -> Inquiry,
    ) -> Result<Vec<A>, Unheard> {
        let deadline = Instant::now() + self.patience;
        let mut asked = Vec::new();
        for shard in 0..self.dispatch.shards() {
            let (reply, answer) = oneshot::channel();
            self.dispatch.ask(shard, inquiry(reply)).map_err(|_| Unheard::Busy(shard))?;
            asked.push(answer);
        }
        let mut answers = Vec::new();
        for (shard, answer) in asked.into_iter().enumerate() {
            match timeout_at(deadline, answer).await {
                Ok(Ok(answer)) => answers.push(answer),
                // Out of time, or the shard has ended.
                Ok(Err(_)) | Err(_) => return Err(Unheard::Late(shard, self.patience)),
            }
        }
        Ok(answers)
    }

    async fn census(&self, sort: Sort, count_max: usize) -> Result<Census, Unheard> {
        let answers = self
            .ask_all(|reply| Inquiry::List {
                sort,
                count_max,
                // An error means that the asker has gone.
                reply: Box::new(move |census| {
                    let _ = reply.send(census);
                }),
            })
            .await?;
        let total = answers.iter().map(|census: &Census| census.total).sum();
        let mut reports: Vec<Report> =
            answers.into_iter().flat_map(|census| census.reports).collect();
        reports.sort_by_cached_key(|report| Reverse(report.rank(sort)));
        reports.truncate(count_max);
        Ok(Census { total, reports })
    }

    async fn close(&self, id: ConnectionId) -> Result<bool, Unheard> {
        let answers = self
            .ask_all(|reply| Inquiry::Close {
                id,
                reply: Box::new(move |was_here| {
                    let _ = reply.send(was_here);
                }),
            })
            .await?;
        Ok(answers.contains(&true))
    }
}

/// A shard that has not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unheard {
    Busy(usize),
    Late(usize, Duration),
}

impl Unheard {
    fn answer(self) -> Response<Full<Bytes>> {
        let detail = match self {
            Self::Busy(shard) => {
                format!("shard {shard} has too many inquiries to answer; try again in a moment")
            }
            Self::Late(shard, patience) => {
                format!("shard {shard} did not answer within {patience:?}; try again in a moment")
            }
        };
        answer::retry_soon(answer::problem(StatusCode::SERVICE_UNAVAILABLE, &detail))
    }
}

/// Answers a request for [`PATH`] or a path below it.
pub(super) async fn respond(
    shards: &Shards,
    method: &Method,
    uri: &Uri,
    peer: SocketAddr,
) -> Response<Full<Bytes>> {
    if !may_ask(peer) {
        return answer::problem(StatusCode::FORBIDDEN, "only this machine may look at connections");
    }
    let id = uri.path().strip_prefix(PATH).and_then(|below| below.strip_prefix('/'));
    match (id, method) {
        (None, &Method::GET | &Method::HEAD) => list(shards, uri.query().unwrap_or_default()).await,
        (None, _) => answer::method_not_allowed("GET, HEAD"),
        (Some(id), &Method::DELETE) => close(shards, id).await,
        (Some(_), _) => answer::method_not_allowed("DELETE"),
    }
}

/// Whether a peer may look and close: it is on this machine (a proxy on it included).
fn may_ask(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

async fn list(shards: &Shards, query: &str) -> Response<Full<Bytes>> {
    let (sort, count_max) = match asked(query) {
        Ok(asked) => asked,
        Err(detail) => return answer::problem(StatusCode::BAD_REQUEST, &detail),
    };
    match shards.census(sort, count_max).await {
        Ok(census) => answer::json(StatusCode::OK, &Page::of(&census)),
        Err(unheard) => unheard.answer(),
    }
}

async fn close(shards: &Shards, id: &str) -> Response<Full<Bytes>> {
    let is_closed = match ConnectionId::parse(id) {
        Some(id) => shards.close(id).await,
        None => Ok(false),
    };
    match is_closed {
        Ok(true) => {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Ok(false) => answer::problem(
            StatusCode::NOT_FOUND,
            "no open connection has this id; GET /api/connections tells the ids",
        ),
        Err(unheard) => unheard.answer(),
    }
}

/// How a list is asked for, or what is wrong with that. Other parameters are ignored; the last one counts.
fn asked(query: &str) -> Result<(Sort, usize), String> {
    let (mut sort, mut count_max) = (Sort::Lag, SHOWN_DEFAULT);
    for (name, value) in query::parameters(query) {
        match &*name {
            "sort" => {
                let names = Sort::NAMES.map(|(name, _)| name).join(", ");
                sort = Sort::named(&value).ok_or_else(|| bad(&name, &value, &names))?;
            }
            "limit" => {
                let count = value.parse().ok().filter(|count| (1..=SHOWN_MAX).contains(count));
                count_max = count.ok_or_else(|| bad(&name, &value, format!("1 to {SHOWN_MAX}")))?;
            }
            _ => {}
        }
    }
    Ok((sort, count_max))
}

fn bad(parameter: &str, value: &str, allowed: impl Display) -> String {
    let shown: String = value.chars().take(64).collect();
    format!("{parameter} cannot be {shown:?}; allowed: {allowed}")
}

/// The list as JSON.
#[derive(Serialize)]
struct Page<'a> {
    connections: Vec<Row<'a>>,
    total: usize,
    shown: usize,
}

#[derive(Serialize)]
struct Row<'a> {
    id: String,
    kind: &'a str,
    peer: Option<String>,
    age_ms: u64,
    topics: &'a [String],
    topics_total: usize,
    lag: Lag,
    sent_bytes: u64,
    unsent_bytes: u64,
    rtt_us: u64,
    gaps: u64,
    conflated: u64,
}

#[derive(Serialize)]
struct Lag {
    events: u64,
    bytes: u64,
    ms: u64,
}

impl<'a> Page<'a> {
    fn of(census: &'a Census) -> Self {
        let connections: Vec<_> = census.reports.iter().map(Row::of).collect();
        Self { total: census.total, shown: connections.len(), connections }
    }
}

impl<'a> Row<'a> {
    fn of(report: &'a Report) -> Self {
        let Report { id, kind, peer, fare, topics, topics_total, vitals } = report;
        Self {
            id: id.to_string(),
            kind,
            peer: peer.map(|peer| peer.to_string()),
            age_ms: fare.age_ms,
            topics,
            topics_total: *topics_total,
            lag: Lag { events: fare.lag_events, bytes: fare.lag_bytes, ms: fare.lag_ms },
            sent_bytes: vitals.sent_bytes,
            unsent_bytes: vitals.unsent_bytes,
            rtt_us: vitals.rtt_us,
            gaps: fare.gaps,
            conflated: fare.conflated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_this_machine_may_ask() {
        for (peer, expected) in [
            ("127.0.0.1:5000", true),
            ("127.8.9.1:5000", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("192.0.2.7:5000", false),
            ("[::ffff:192.0.2.7]:1", false),
            ("[2001:db8::1]:1", false),
            ("0.0.0.0:1", false),
        ] {
            assert_eq!(may_ask(peer.parse().unwrap()), expected, "{peer}");
        }
    }

    #[test]
    fn a_limit_is_from_one_to_a_thousand_and_what_is_wrong_is_named() {
        for (query, expected) in [
            ("", Ok((Sort::Lag, 100))),
            ("limit=1&sort=age", Ok((Sort::Age, 1))),
            ("limit=999", Ok((Sort::Lag, 999))),
            ("limit=1000&sort=r%74t&x=y", Ok((Sort::Rtt, 1_000))),
            ("limit=0", Err("limit cannot be \"0\"; allowed: 1 to 1000")),
            ("limit=1001", Err("limit cannot be \"1001\"; allowed: 1 to 1000")),
            ("limit", Err("limit cannot be \"\"; allowed: 1 to 1000")),
            ("limit=ten", Err("limit cannot be \"ten\"; allowed: 1 to 1000")),
            ("sort=size", Err("sort cannot be \"size\"; allowed: lag, sent, age, rtt")),
        ] {
            assert_eq!(asked(query), expected.map_err(str::to_owned), "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_query_is_a_list_or_wrong(query in "((sort|limit|x)=([a-z]{0,4}|[0-9-]{0,5})&?){0,4}") {
            if let Ok((_, count_max)) = asked(&query) {
                prop_assert!((1..=SHOWN_MAX).contains(&count_max));
            }
        }
    }
}
