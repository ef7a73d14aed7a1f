//! How the store fares: among the checks of health, and among the numbers that rules look at.

use super::support::{Folder, World, config};
use lineage::config::Config;
use lineage::store;
use serde_json::Value;

fn check(answer: &Value) -> &Value {
    let checks = answer["checks"].as_array().into_iter().flatten();
    checks.into_iter().find(|check| check["name"] == "store").unwrap_or(&Value::Null)
}

#[test]
fn s55_a_store_that_its_disk_takes_nothing_for_is_not_ready_and_says_so() {
    let folder = Folder::new();
    let full = store::Options { file_bytes_max: 1 << 20, ..config(folder.file()).store };
    let mut world = World::of(Config { store: full, ..config("") });
    assert_eq!(check(&world.ask("/health"))["detail"], "keeps");
    let mut time_us = 0;
    let answer = loop {
        for _ in 0..1_000 {
            time_us += 1;
            world.agent(time_us, 5_000_000);
        }
        let answer = world.ask("/health");
        if check(&answer)["ok"] == false || time_us == 100_000 {
            break answer;
        }
    };
    assert_eq!(answer["status"], "not_ready");
    assert_eq!(check(&answer)["detail"], "the disk does not take rows; the log says why");
    world.end();
}

#[test]
fn rules_look_at_the_share_of_the_disk_that_is_free() {
    let folder = Folder::new();
    let rules = folder.file().with_file_name("rules.toml");
    let text = "[[rule]]\nname = \"disk\"\nseverity = \"info\"\nsubject = \"engine\"\n\
                field = \"store_free_ratio\"\nis = \"above\"\nthreshold = -1\n";
    std::fs::write(&rules, text).unwrap();
    let world = World::of(Config { alerts_rules: Some(rules), ..config(folder.file()) });
    let answer = world.wait("/api/alerts", |answer| answer["active_total"] == 1);
    let ratio = answer["active"][0]["value"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&ratio), "{ratio}");
    world.end();
}
