//! Health over HTTP: every system has a check, and what fails is named.

use super::http::{Reply, get};
use super::support::{self, config, wait_until};
use lineage::config::{Config, SourceChoice};
use lineage::source::{Source, SourceContext, SourceError};
use serde_json::Value;

fn check(reply: &Reply, name: &str) -> (bool, String) {
    let json = reply.json();
    let checks = json["checks"].as_array().expect("a list");
    let check = checks.iter().find(|check| check["name"] == name);
    let check = check.unwrap_or_else(|| panic!("no check {name}: {json}"));
    (check["ok"] == true, check["detail"].as_str().expect("words").to_owned())
}

/// A source that ends at once, in one way or another.
#[derive(Debug)]
enum Ending {
    Well,
    Fails,
    Panics,
}

impl Source for Ending {
    fn name(&self) -> &'static str {
        "ending"
    }

    fn run(&mut self, _: SourceContext) -> Result<(), SourceError> {
        match self {
            Self::Well => Ok(()),
            Self::Fails => Err(SourceError("the line is dead".to_owned())),
            Self::Panics => panic!("as the test wants"),
        }
    }
}

#[test]
fn s55_every_system_has_a_check_in_health_and_readiness() {
    let engine = support::start(Config { source: SourceChoice::Simulation, ..config() });
    let http = support::http(&engine);
    for path in ["/health", "/health/ready"] {
        let reply = get(http, path);
        assert_eq!((reply.status, &reply.json()["status"]), (200, &Value::from("ready")));
        for (name, detail) in [
            ("serving", "taking new clients"),
            ("hub", "runs in the simulation"),
            ("chain", "runs in the simulation"),
            ("pipeline", "runs"),
            ("store", "off"),
            ("gateway", "answers"),
        ] {
            assert_eq!(check(&reply, name), (true, detail.to_owned()), "{path}");
        }
        assert!(check(&reply, "source").1.starts_with("runs: "), "{reply:?}");
    }
    assert_eq!(check(&get(http, "/health/live"), "edge"), (true, "answers requests".to_owned()));
}

#[test]
fn s55_a_system_that_is_off_does_not_keep_the_engine_from_being_ready() {
    let config = Config { hub_enabled: false, pipeline_enabled: false, ..config() };
    let engine = support::start(config);
    let reply = get(support::http(&engine), "/health/ready");
    assert_eq!(reply.status, 200);
    assert_eq!(check(&reply, "hub"), (true, "off".to_owned()));
    assert_eq!(check(&reply, "pipeline"), (true, "off".to_owned()));
    // It has no simulation to run beside.
    assert_eq!(check(&reply, "chain"), (true, "off".to_owned()));
    assert_eq!(check(&reply, "source"), (true, "none runs".to_owned()));
}

#[test]
fn s55_a_source_that_fails_or_panics_makes_the_engine_not_ready_and_is_named() {
    for (source, status, said) in [
        (Ending::Well, 200, "none runs"),
        (Ending::Fails, 503, "ending has failed: the line is dead"),
        (Ending::Panics, 503, "ending has failed: it panicked"),
    ] {
        let builder = lineage::Engine::builder(config());
        let engine = builder.source(source).start().expect("free ports");
        let http = support::http(&engine);
        wait_until(said, || check(&get(http, "/health/ready"), "source").1 == said);
        for path in ["/health", "/health/ready"] {
            assert_eq!(get(http, path).status, status, "{said}");
        }
        assert_eq!(get(http, "/health/live").status, 200, "not ready is still alive");
    }
}
