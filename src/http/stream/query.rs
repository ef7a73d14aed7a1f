//! What a request asks for: the query, and where an `EventSource` was.
//!
//! Parses bytes from outside into values that are only ever valid, or names the parameter that is wrong. Of a parameter
//! that stands twice the last one counts; those it does not know are passed over.

use super::Problem;
use crate::http::query::parameters;
use crate::session::Resume;
use std::borrow::Cow;
use std::time::Duration;

/// How long a poll waits unless it says otherwise.
const WAIT_MS_DEFAULT: u64 = 20_000;
/// How long a poll may wait.
const WAIT_MS_MAX: u64 = 60_000;
/// Positions are integers that every client can hold exactly: below 2^53.
const POS_MAX: u64 = (1 << 53) - 1;

/// A checked request; the names in it are not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    /// Topics and patterns, as they were written.
    pub(super) names: Vec<String>,
    /// Where to go on.
    pub(super) from: Option<Resume>,
    /// Whether last values are to come first.
    pub(super) wants_snapshot: bool,
    /// How long to wait for the first event.
    pub(super) wait: Duration,
}

/// Reads a query; `last_event_id`, where there is one, counts in place of `from`.
pub(super) fn parse(query: Option<&str>, last_event_id: Option<&[u8]>) -> Result<Query, Problem> {
    let [mut topics, mut from, mut snapshot, mut wait_ms, mut mode] = [const { None }; 5];
    for (key, value) in parameters(query.unwrap_or_default()) {
        match &*key {
            "topics" => topics = Some(value),
            "from" => from = Some(value),
            "snapshot" => snapshot = Some(value),
            "wait_ms" => wait_ms = Some(value),
            "mode" => mode = Some(value),
            _ => {}
        }
    }
    if mode.is_some_and(|mode| mode != "all") {
        return Err(Problem::bad_request("mode is not all, the only one here"));
    }
    let topics = topics.filter(|topics| !topics.is_empty());
    let topics =
        topics.ok_or_else(|| Problem::bad_request("topics is not a list of one or more topics"))?;
    let from = match last_event_id {
        None => from.map(|from| position(&from).ok_or("from")),
        Some(id) => Some(std::str::from_utf8(id).ok().and_then(position).ok_or("Last-Event-ID")),
    };
    let from = from.transpose().map_err(|name| {
        Problem::bad_request(format!("{name} is not a position such as k3f9.81234"))
    })?;
    Ok(Query {
        names: topics.split(',').map(str::to_owned).collect(),
        from,
        wants_snapshot: match snapshot.as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => return Err(Problem::bad_request("snapshot is neither true nor false")),
        },
        wait: wait(wait_ms)?,
    })
}

fn wait(wait_ms: Option<Cow<'_, str>>) -> Result<Duration, Problem> {
    let ms = wait_ms.map_or(Some(WAIT_MS_DEFAULT), |text| integer(&text));
    let ms = ms.filter(|&ms| ms <= WAIT_MS_MAX);
    ms.map(Duration::from_millis).ok_or_else(|| {
        Problem::bad_request(format!("wait_ms is not an integer from 0 to {WAIT_MS_MAX}"))
    })
}

/// `epoch.pos`
fn position(text: &str) -> Option<Resume> {
    let (epoch, pos) = text.split_once('.')?;
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_epoch = (4..=16).contains(&epoch.len()) && epoch.bytes().all(is_allowed);
    let pos = integer(pos).filter(|&pos| is_epoch && pos <= POS_MAX)?;
    Some(Resume { epoch: epoch.into(), pos })
}

/// Digits alone: no sign, no space.
fn integer(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    fn ok(query: &str) -> Query {
        parse(Some(query), None).unwrap_or_else(|problem| panic!("{query}: {problem:?}"))
    }

    fn problem(query: &str) -> String {
        parse(Some(query), None).expect_err(query).message
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let expected = Query {
            names: vec!["a".to_owned(), "b:*".to_owned()],
            from: None,
            wants_snapshot: true,
            wait: Duration::from_secs(20),
        };
        for query in ["topics=a,b:*", "topics=a%2Cb%3A%2a&mode=all", "topics=x&topics=a,b:*&y=1"] {
            assert_eq!(ok(query), expected, "{query}");
        }
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        for (query, name) in [
            ("", "topics"),
            ("topics=", "topics"),
            ("topic=a", "topics"),
            ("topics=a&mode=latest", "mode"),
            ("topics=a&mode=", "mode"),
            ("topics=a&snapshot=no", "snapshot"),
            ("topics=a&wait_ms=-1", "wait_ms"),
            ("topics=a&wait_ms=60001", "wait_ms"),
            ("topics=a&wait_ms=1.5", "wait_ms"),
            ("topics=a&wait_ms=", "wait_ms"),
            ("topics=a&from=", "from"),
            ("topics=a&from=k3f9", "from"),
            ("topics=a&from=k3f9.-1", "from"),
            ("topics=a&from=k3f9.+1", "from"),
            ("topics=a&from=K3F9.1", "from"),
            ("topics=a&from=k3f.1", "from"),
            ("topics=a&from=k3f9k3f9k3f9k3f9k.1", "from"),
            ("topics=a&from=k3f9.9007199254740992", "from"),
        ] {
            assert!(problem(query).starts_with(name), "{query}: {}", problem(query));
        }
        assert_eq!(parse(None, None).expect_err("nothing").code, "bad_request");
        for wait_ms in [0, 59_999, 60_000] {
            let wait = ok(&format!("topics=a&wait_ms={wait_ms}")).wait;
            assert_eq!(wait, Duration::from_millis(wait_ms));
        }
    }

    #[test]
    fn the_header_wins_over_the_address() {
        let query = Some("topics=a&from=k3f9.5");
        let from = |id: Option<&[u8]>| parse(query, id).map(|query| query.from);
        let at = |pos| Ok(Some(Resume { epoch: "k3f9".into(), pos }));
        assert_eq!(from(None), at(5));
        assert_eq!(from(Some(b"k3f9.7")), at(7));
        let message = from(Some(b"\xff.7")).expect_err("no text").message;
        assert!(message.starts_with("Last-Event-ID"), "{message}");
    }

    proptest! {
        #[test]
        fn whatever_is_written_as_a_position_is_read_back(
            epoch in "[a-z0-9]{4,16}",
            pos in 0..=POS_MAX,
        ) {
            let from = ok(&format!("topics=a&from={epoch}.{pos}")).from;
            prop_assert_eq!(from, Some(Resume { epoch: epoch.into(), pos }));
        }

        #[test]
        fn any_bytes_are_a_query_or_a_problem_and_what_is_taken_is_within_its_bounds(
            query in "(topics=|from=|wait_ms=|snapshot=|mode=|&|=|,|%|%2|%ff|\\+|\\.|[a-z0-9:*]{1,5}|\\PC){0,24}",
            id in prop::option::of(prop::collection::vec(any::<u8>(), 0..12)),
        ) {
            if let Ok(found) = parse(Some(&query), id.as_deref()) {
                prop_assert!(!found.names.is_empty());
                prop_assert!(found.wait <= Duration::from_millis(WAIT_MS_MAX));
                let is_within =
                    |from: Resume| from.pos <= POS_MAX && (4..=16).contains(&from.epoch.len());
                prop_assert!(found.from.is_none_or(is_within));
            }
        }

        #[test]
        fn names_come_back_however_they_are_escaped(
            names in prop::collection::vec("[A-Za-z0-9._:*-]{1,12}", 1..6),
        ) {
            let text = utf8_percent_encode(&names.join(","), NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(ok(&format!("topics={text}")).names, names);
        }
    }
}
