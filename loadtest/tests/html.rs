//! The report as a page. Goal: it holds every number that it shows, asks nobody for anything, and nothing that comes
//! from outside can become part of its markup. The pages of this test are what `cargo xtask report` opens in a browser.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod sample;

use std::path::Path;

use loadtest::output::html;
use loadtest::result::RunResult;
use serde_json::Value;

const DATA: &str = "<script type=\"application/json\" id=\"data\">";

/// The JSON that stands in the page.
fn data(page: &str) -> Value {
    let (_, behind) = page.split_once(DATA).unwrap();
    serde_json::from_str(behind.split_once("</script>").unwrap().0).unwrap()
}

fn ids(page: &str) -> Vec<String> {
    let data = data(page);
    let plots = data["plots"].as_array().unwrap();
    plots.iter().map(|plot| plot["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_page_holds_every_number_of_the_result() {
    for result in [sample::passed(), sample::failed()] {
        // Through text, as the page: reading a number back may cost its last bit.
        let text = serde_json::to_string(&result).unwrap();
        let mut expected: Value = serde_json::from_str(&text).unwrap();
        expected.as_object_mut().unwrap().remove("detail");
        for key in ["delay", "per_topic"] {
            expected["published"].as_object_mut().unwrap().remove(key);
        }
        let page = html(&result);
        assert!(data(&page)["result"] == expected, "{expected}");
    }
}

#[test]
fn the_page_is_written_for_the_browser_check() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (name, result) in [("report", sample::passed()), ("report-failed", sample::failed())] {
        let page = html(&result);
        assert!(page.len() < 150_000, "{} bytes for a minute", page.len());
        std::fs::write(folder.join(name).with_extension("html"), page).unwrap();
    }
}

#[test]
fn texts_from_outside_stay_texts() {
    let (passed, failed) = (html(&sample::passed()), html(&sample::failed()));
    let count = |page: &str, what: &str| page.to_lowercase().matches(what).count();
    for tag in ["<script", "</script", "<!--", "<title"] {
        assert_eq!(count(&failed, tag), count(&passed, tag), "{tag}");
    }
    let title = "<title>nasty &lt;/script&gt;&lt;script&gt;document.title=&#39;broken out&#39;";
    assert!(failed.contains(title));
    assert!(failed.contains("{{script}}"), "a text that names a part of the page is not that part");
}

#[test]
fn the_page_names_nothing_that_could_be_fetched() {
    let page = html(&sample::passed()).to_lowercase();
    assert!(page.contains("content=\"default-src 'none';"));
    let (head, _) = page.split_once("id=\"data\"").unwrap();
    let fetching = ["src=", "@import", "url(", "<iframe", "<object", "http-equiv=\"refresh\""];
    for word in fetching {
        assert!(!head.contains(word), "{word}");
    }
    let links: Vec<&str> = head.split("href=\"").skip(1).collect();
    assert!(links.iter().all(|link| link.starts_with("data:")), "{links:?}");
}

#[test]
fn only_what_was_measured_is_drawn() {
    let all = ["latency", "second-latency", "deliveries", "clients", "connect", "skew"];
    assert_eq!(ids(&html(&sample::passed())), all);
    let mut untimed = sample::passed();
    untimed.latency_us = None;
    untimed.skew_us.events = 0;
    untimed.per_second.iter_mut().for_each(|second| {
        (second.p50_us, second.p99_us, second.p99_9_us, second.max_us) = (0, 0, 0, 0);
    });
    assert_eq!(ids(&html(&untimed)), ["deliveries", "clients", "connect"]);
    let nothing = RunResult { per_second: Vec::new(), detail: Default::default(), ..untimed };
    assert!(ids(&html(&nothing)).is_empty());
}

#[test]
fn curves_rise_and_seconds_are_those_of_the_result() {
    let result = sample::passed();
    let data = data(&html(&result));
    let plot =
        |id: &str| data["plots"].as_array().unwrap().iter().find(|plot| plot["id"] == id).unwrap();
    let values = |id: &str, line: usize| -> Vec<u64> {
        let values = plot(id)["lines"][line]["values"].as_array().unwrap();
        values.iter().filter_map(Value::as_u64).collect()
    };
    let curves = [("latency", 0), ("latency", 1), ("connect", 0), ("skew", 0)];
    for (id, line) in curves {
        assert!(values(id, line).is_sorted() && values(id, line).len() > 20, "{id} {line}");
    }
    let latency = result.latency_us.unwrap();
    assert_eq!(values("latency", 0).last(), Some(&latency.scheduled.unwrap().max));
    assert_eq!(values("latency", 1).last(), Some(&latency.actual.unwrap().max));
    let p99: Vec<u64> = result
        .per_second
        .iter()
        .filter(|second| second.max_us > 0)
        .map(|second| second.p99_us)
        .collect();
    assert_eq!(values("second-latency", 1), p99);
    assert_eq!(p99.len() as u64, sample::SECONDS);
    let delivered: Vec<u64> = result.per_second.iter().map(|second| second.delivered).collect();
    assert_eq!(values("deliveries", 0), delivered);
}
