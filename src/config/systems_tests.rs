//! Profiles, and the options of arena, hub and chain. Goal: a profile sets what nobody else sets, whatever the layer,
//! and every range holds at its ends.

use super::*;
use crate::simulation::{Symbol, TradeLines};
use std::collections::HashMap;

const ENVIRONMENT: [&str; 0] = [];

fn key(name: &str) -> &'static Key {
    Key::ALL.iter().find(|key| key.name == name).unwrap()
}

/// Settings of a file, an environment (`NAME=value`) and flags (`name value`).
fn settings(file: &str, environment: &[&str], flags: &[(&str, &str)]) -> Result<Settings, String> {
    let variables: HashMap<&str, &str> =
        environment.iter().filter_map(|entry| entry.split_once('=')).collect();
    let mut settings = Settings::default();
    let lay = |settings: &mut Settings| {
        settings.apply_toml(file, "lineage.toml")?;
        settings.apply_environment(|name| variables.get(name).map(|text| (*text).to_owned()))?;
        flags.iter().try_for_each(|(name, text)| settings.apply_flag(key(name), text))
    };
    lay(&mut settings).map_err(|error| error.to_string())?;
    settings.finish().map_err(|error| error.to_string())
}

/// What runs beside the arena, and its rates.
fn systems(config: &Config) -> ([bool; 3], [Duration; 2]) {
    (
        [config.hub_enabled, config.chain_enabled, config.pipeline_enabled],
        [config.arena.market_interval, config.arena.agent_interval],
    )
}

#[test]
fn s02_s03_s12_each_profile_has_its_systems_and_its_rates() {
    let (s, us) = (Duration::from_secs, Duration::from_micros);
    for (profile, beside, intervals, flow_per_s, lines) in [
        ("all", [true; 3], [s(5), s(10)], 0, TradeLines::Info),
        ("arena", [false; 3], [s(5), s(10)], 0, TradeLines::Info),
        ("arena-slow", [false; 3], [s(30), s(15)], 0, TradeLines::Info),
        ("bench", [false; 3], [us(200), us(10_000)], 0, TradeLines::Debug),
        ("chain", [false, true, false], [s(5), s(10)], 0, TradeLines::Info),
        ("hub", [true, false, false], [s(5), s(10)], 0, TradeLines::Info),
        ("pipeline", [false, false, true], [s(1), s(10)], 20, TradeLines::Info),
    ] {
        let settings = settings("", &ENVIRONMENT, &[("profile", profile)]).unwrap();
        assert_eq!(systems(&settings.config), (beside, intervals), "{profile}");
        assert_eq!(settings.config.arena.flow_per_s, flow_per_s, "{profile}");
        assert_eq!(settings.config.arena.trade_lines, lines, "{profile}");
        let embedded = Config { seed: 1, ..settings.profile.config() };
        assert_eq!(settings.config.validate().map_err(|error| error.to_string()), Ok(()));
        assert_eq!(systems(&settings.config), systems(&embedded), "{profile}");
    }
    assert_eq!(Profile::All.config(), Config::default());
    let message = settings("", &ENVIRONMENT, &[("profile", "slow")]).unwrap_err();
    assert!(message.starts_with("--profile slow is not one of `all`, `arena`,"), "{message}");
}

#[test]
fn an_option_wins_over_the_profile_in_whatever_layers_they_stand() {
    let profile = ["profile = \"bench\"", "LINEAGE_PROFILE=bench"];
    for (file, environment, flags) in [
        (format!("{}\nmarket_interval = \"7s\"", profile[0]), vec![], vec![]),
        (profile[0].to_owned(), vec!["LINEAGE_MARKET_INTERVAL=7s"], vec![]),
        (profile[0].to_owned(), vec![], vec![("market_interval", "7s")]),
        ("market_interval = \"7s\"".to_owned(), vec![profile[1]], vec![]),
        ("market_interval = \"7s\"".to_owned(), vec![], vec![("profile", "bench")]),
        (String::new(), vec!["LINEAGE_MARKET_INTERVAL=7s"], vec![("profile", "bench")]),
        (String::new(), vec![], vec![("market_interval", "7s"), ("profile", "bench")]),
    ] {
        let config = settings(&file, &environment, &flags).unwrap().config;
        let case = format!("{file} {environment:?} {flags:?}");
        assert_eq!(config.arena.market_interval, Duration::from_secs(7), "{case}");
        assert_eq!(config.arena.agent_interval, Duration::from_millis(10), "{case}");
        assert!(!config.hub_enabled, "{case}");
    }
    // What is given as it stands by default is given all the same.
    let flags = [("profile", "arena"), ("hub_enabled", "true")];
    assert!(settings("", &ENVIRONMENT, &flags).unwrap().config.hub_enabled);
    // A later profile stands for all of an earlier one.
    let config = settings(profile[0], &ENVIRONMENT, &[("profile", "hub")]).unwrap().config;
    assert_eq!(systems(&config), systems(&Profile::Hub.config()));
}

#[test]
fn s32_the_switch_of_older_deployments_turns_the_hub_off_unless_ours_says_otherwise() {
    let hub = |file: &str, environment: &[&str], flags: &[(&str, &str)]| {
        settings(file, environment, flags).unwrap().config.hub_enabled
    };
    for (value, is_on) in [("false", false), ("False", false), ("true", true), ("", true)] {
        let variable = format!("USE_NEW_ARCHITECTURE={value}");
        assert_eq!(hub("", &[&variable], &[]), is_on, "{value:?}");
        assert_eq!(hub("[hub]\nenabled = true", &[&variable], &[]), is_on, "{value:?}");
        assert!(!hub("[hub]\nenabled = false", &[&variable], &[]), "{value:?} turns nothing on");
    }
    let off = "USE_NEW_ARCHITECTURE=false";
    assert!(hub("", &[off, "LINEAGE_HUB_ENABLED=true"], &[]));
    assert!(hub("", &[off], &[("hub_enabled", "true")]));
    assert!(!hub("", &[off], &[("profile", "hub")]));
    assert!(!hub("", &["LINEAGE_HUB_ENABLED=false"], &[]));
}

#[test]
fn ranges_of_the_systems_hold_at_their_ends() {
    for (names, inside, outside) in [
        (&["market_interval"][..], ["20us", "60m"], ["19us", "3600001ms"]),
        (&["agent_interval"], ["60us", "60m"], ["59us", "3600001ms"]),
        (&["flow_per_s"], ["0", "100000"], ["-1", "100001"]),
        (&["trade_permille", "hub_failure_permille"], ["0", "1000"], ["-1", "1001"]),
        (&["pnl_dollars_max"], ["20", "1000000"], ["19", "1000001"]),
        (&["pnl_dollars_min"], ["0", "500"], ["-1", "501"]),
        (&["losses_to_rest", "rest_updates", "round_updates"], ["0", "1000000"], ["-1", "1000001"]),
        (&["round_capital_reset"], ["true", "false"], ["yes", ""]),
        (&["trade_log"], ["info", "debug"], ["warn", ""]),
        (&["hub_status_interval"], ["1ms", "60m"], ["999us", "3600001ms"]),
        (&["hub_sessions_max"], ["1", "65536"], ["0", "65537"]),
        (&["hub_session_idle"], ["1s", "1440m"], ["999ms", "86400001ms"]),
        (&["hub_attempts_max"], ["1", "100"], ["0", "101"]),
        (
            &["hub_research_capacity", "hub_trading_capacity", "hub_risk_capacity"],
            ["1", "1048576"],
            ["0", "1048577"],
        ),
        (
            &["hub_research_workers", "hub_trading_workers", "hub_risk_workers"],
            ["1", "1024"],
            ["0", "1025"],
        ),
        (
            &[
                "chain_tps_interval",
                "chain_block_interval",
                "chain_network_interval",
                "chain_validator_interval",
            ],
            ["100ms", "60s"],
            ["99ms", "60001ms"],
        ),
        (&["chain_load_tps"], ["17000", "100000000"], ["16999", "100000001"]),
        (&["chain_load_spread_tps"], ["0", "801000"], ["-1", "801001"]),
        (&["chain_tps_max", "chain_node_tps_max"], ["0", "100000000"], ["-1", "100000001"]),
    ] {
        for name in names {
            for text in inside {
                let read = settings("", &ENVIRONMENT, &[(name, text)]);
                assert!(read.is_ok(), "{name} {text}: {read:?}");
            }
            for text in outside {
                assert!(settings("", &ENVIRONMENT, &[(name, text)]).is_err(), "{name} {text}");
            }
        }
    }
}

#[test]
fn rates_reach_from_one_event_in_half_a_minute_to_100_000_per_second() {
    // 0.03 events per second, and 100,000: two symbols every 20 µs.
    for interval in ["33333ms", "20us"] {
        let config = settings("", &ENVIRONMENT, &[("market_interval", interval)]).unwrap().config;
        assert_eq!(text::show_duration(config.arena.market_interval), interval);
    }
    let three = "A:1:1,B:1:1,C:1:1";
    let flags = |interval| [("symbols", three), ("market_interval", interval)];
    assert!(settings("", &ENVIRONMENT, &flags("30us")).is_ok());
    let message = settings("", &ENVIRONMENT, &flags("29us")).unwrap_err();
    assert_eq!(
        message,
        "market_interval = 29us must be at least 30us for 3 symbols: 10us for each"
    );
}

#[test]
fn s14_symbols_are_listed_in_a_flag_and_in_a_file() {
    let wanted = vec![Symbol::new("SOL-USD", 150, 20), Symbol::new("DOGE-USD", 1, 0)];
    let config = settings("", &ENVIRONMENT, &[("symbols", "SOL-USD:150:20, DOGE-USD:1:0")]);
    assert_eq!(config.unwrap().config.arena.symbols, wanted);
    let file = "symbols = [\"SOL-USD:150:20\", \"DOGE-USD:1:0\"]";
    assert_eq!(settings(file, &ENVIRONMENT, &[]).unwrap().config.arena.symbols, wanted);
    let many =
        |count: usize| -> String { (0..count).map(|number| format!("S{number}:1:1,")).collect() };
    // Prices of 1,000 symbols at 10 µs each take 10 ms.
    for (text, is_right) in [
        (many(1_000), true),
        (many(1_001), false),
        (many(1), true),
        (many(0), false),
        ("A:1:1,A:2:1".to_owned(), false),
        ("A:1".to_owned(), false),
        ("A:1:2".to_owned(), false),
    ] {
        let read = settings("", &ENVIRONMENT, &[("symbols", &text)]);
        assert_eq!(read.is_ok(), is_right, "{:.40}: {read:?}", text);
    }
}

#[test]
fn options_that_contradict_each_other_are_named_with_both_values() {
    for (flags, message) in [
        (
            [("pnl_dollars_min", "600"), ("trade_permille", "1")],
            "pnl_dollars_min = 600 must not be larger than pnl_dollars_max = 500",
        ),
        (
            [("chain_load_tps", "100"), ("trade_permille", "1")],
            "chain_load_spread_tps = 17000 must not be larger than chain_load_tps = 100",
        ),
    ] {
        assert_eq!(settings("", &ENVIRONMENT, &flags).unwrap_err(), message);
    }
}
