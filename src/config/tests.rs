//! Settings through their layers: precedence, messages, ranges. Goal: whoever mistypes learns what and where.

use super::*;
use std::collections::HashMap;

fn key(name: &str) -> &'static Key {
    Key::ALL.iter().find(|key| key.name == name).unwrap()
}

fn from_toml(text: &str) -> Result<Settings, String> {
    let mut settings = Settings::default();
    settings.apply_toml(text, "lineage.toml").map_err(|error| error.to_string())?;
    Ok(settings)
}

fn from_flag(name: &str, text: &str) -> Result<Settings, String> {
    let mut settings = Settings::default();
    settings.apply_flag(key(name), text).map_err(|error| error.to_string())?;
    Ok(settings)
}

#[test]
fn defaults_are_valid_and_survive_being_written_and_read() {
    Settings::default().finish().unwrap();
    for key in Key::ALL {
        let mut settings = Settings::default();
        (key.apply)(&mut settings, &key.default_text()).unwrap();
        assert_eq!(settings.config, Config::default(), "{}", key.name);
        assert_eq!((key.show)(&settings), key.default_text(), "{}", key.name);
    }
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let mut settings = from_toml("seed = 2\nshards = 2\ncontrol_rate = 20").unwrap();
    let environment = HashMap::from([
        ("LINEAGE_SHARDS", "3"),
        ("LINEAGE_CONTROL_RATE", "30"),
        ("LINEAGE_SEED", ""),
        ("LINEAGE_PORT", "tcp://10.0.0.1:9001"),
    ]);
    settings.apply_environment(|name| environment.get(name).map(|v| (*v).to_owned())).unwrap();
    settings.apply_flag(key("control_rate"), "40").unwrap();
    let config = settings.finish().unwrap().config;
    assert_eq!((config.seed, config.shards, config.control_rate), (2, 3, 40));
    assert_eq!(config.control_burst, Config::default().control_burst);
}

#[test]
fn an_unknown_key_is_named_with_its_file_and_the_key_that_was_meant() {
    for (written, meant) in [
        ("shard = 1", "`shards`"),
        ("max_connections = 1", "`connections_max`"),
        ("ring-capacity = 8", "`ring_capacity`"),
        ("lag_byte_max = 1", "`lag_bytes_max`"),
    ] {
        let message = from_toml(written).unwrap_err();
        assert!(message.starts_with("lineage.toml: unknown key"), "{message}");
        assert!(message.contains(&format!("did you mean {meant}?")), "{message}");
    }
    let message = from_toml("[limits]\nseed = 1").unwrap_err();
    assert!(message.contains("unknown key `limits.seed`; `lineage serve --help`"), "{message}");
    let message = from_toml("[log]\nsegment = 1").unwrap_err();
    assert!(
        message.contains("unknown key `log.segment`; did you mean `log_segments`?"),
        "{message}"
    );
    // A table is another spelling of a name with several words.
    assert_eq!(
        from_toml("[log]\nsegments = 8").map(|settings| settings.config.log_segments),
        Ok(8)
    );
}

#[test]
fn a_wrong_value_is_named_with_its_key_and_what_is_allowed() {
    for (written, parts) in [
        ("ws = true", ["ws = true", "127.0.0.1:9001"]),
        ("seed = -1", ["seed = -1", "whole number"]),
        ("shards = 65", ["shards = 65", "from 1 to 64"]),
        ("ping_interval = 20", ["ping_interval = 20", "with its unit"]),
        ("ring_capacity = 1000", ["ring_capacity = 1000", "a power of two"]),
        ("publish = \"on\"", ["publish = \"on\"", "`loopback`"]),
        ("source = \"replay:\"", ["source = \"replay:\"", "a recording"]),
        ("coalesce = \"21ms\"", ["coalesce = \"21ms\"", "1ms to 20ms"]),
        ("loop = 0", ["loop = 0", "at least 1, nor `forever`"]),
        ("from = \"90s\"", ["from = \"90s\"", "`+90s`"]),
        ("pace = \"clock\"", ["pace = \"clock\"", "`publish` or `receive`"]),
        ("origins = [1]", ["origins = [1]", "ORIGIN"]),
    ] {
        let message = from_toml(written).unwrap_err();
        assert!(message.starts_with("lineage.toml: "), "{message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    let message = from_flag("speed", "fast").unwrap_err();
    assert!(message.starts_with("--speed fast is not"), "{message}");
    let broken = from_toml("seed = ").unwrap_err();
    assert!(broken.starts_with("lineage.toml: "), "{broken}");
}

#[test]
fn ranges_hold_at_their_ends() {
    for (name, inside, outside) in [
        ("shards", ["1", "64"], ["0", "65"]),
        ("ring_capacity", ["2", "1048576"], ["1", "2097152"]),
        ("event_bytes_max", ["1KiB", "1MiB"], ["1023", "1048577"]),
        ("coalesce", ["1ms", "20ms"], ["999us", "20001us"]),
        ("head_timeout", ["100ms", "10m"], ["99ms", "601s"]),
        ("connections_max", ["1", "auto"], ["0", "10000001"]),
        ("control_rate", ["1", "1000000"], ["0", "1000001"]),
        ("log_segments", ["2", "4096"], ["1", "8192"]),
        ("feed_symbols_max", ["1", "65536"], ["0", "65537"]),
        ("feed_frame_bytes_max", ["1KiB", "16MiB"], ["1023", "16777217"]),
        ("feed_held_levels_max", ["1", "10000000"], ["0", "10000001"]),
        ("feed_side_levels_max", ["10", "1000000"], ["9", "1000001"]),
        ("loop", ["1", "forever"], ["0", "ever"]),
        ("pace", ["publish", "receive"], ["", "both"]),
        ("from", ["0", "+90s"], ["-1", "90s"]),
    ] {
        for text in inside {
            assert!(from_flag(name, text).is_ok(), "{name} {text}");
        }
        for text in outside {
            assert!(from_flag(name, text).is_err(), "{name} {text}");
        }
    }
}

#[test]
fn options_of_the_store_hold_at_their_limits() {
    for (name, inside, outside) in [
        ("store_batch_rows", ["1", "2", "99999", "100000"], ["0", "100001"]),
        ("store_batch_wait", ["0s", "1us", "59999ms", "60s"], ["-1us", "60000001us"]),
        ("store_queue_rows", ["1", "2", "999999", "1000000"], ["0", "1000001"]),
        (
            "store_file_bytes_max",
            ["1MiB", "1048577", "17592186044415", "16384GiB"],
            ["1048575", "17592186044417"],
        ),
        ("store_fsync", ["batch", "checkpoint", "batch", "checkpoint"], ["", "always"]),
    ] {
        for text in inside {
            assert!(from_flag(name, text).is_ok(), "{name} {text}");
        }
        for text in outside {
            assert!(from_flag(name, text).is_err(), "{name} {text}");
        }
    }
    let text = "[store]\npath = \"a/b.db\"\nfsync = \"batch\"\nfile_bytes_max = \"2MiB\"";
    let store = from_toml(text).unwrap().config.store;
    assert_eq!((store.path, store.file_bytes_max), (PathBuf::from("a/b.db"), 2 << 20));
    assert_eq!(store.fsync.to_string(), "batch");
    let mut config = Config::default();
    config.store.queue_rows = 0;
    assert!(config.validate().unwrap_err().to_string().starts_with("store_queue_rows = 0"));
}

#[test]
fn s18_symbols_of_feeds_are_mapped_to_markets() {
    let read =
        |text: &str| from_flag("symbol_map", text).map(|settings| settings.config.symbol_map);
    let pair = |feed: &str, market: &str| (feed.to_owned(), market.to_owned());
    assert_eq!(read("").unwrap(), BTreeMap::new());
    let two = BTreeMap::from([pair("BNBUSDT", "BNB"), pair("XBT-USD", "BTC-USD")]);
    assert_eq!(read("xbt-usd=BTC-USD, BNBUSDT = BNB").unwrap(), two);
    assert_eq!(Config::default().symbol_map["BTCUSDT"], "BTC-USD");
    let long = "A".repeat(64);
    assert_eq!(read(&format!("{long}={long}")).unwrap()[&long], long);
    for wrong in ["A", "=A", "A=", "A=B=C", "A=B,A=C", "A:1=B", "A=B C", "Ä=B"] {
        assert!(read(wrong).unwrap_err().contains("BTCUSDT=BTC-USD"), "{wrong}");
    }
    assert!(read(&format!("{long}A=B")).is_err());
    let many = |count: usize| (0..count).map(|n| format!("S{n}=M,")).collect::<String>();
    assert_eq!(read(&many(1_024)).map(|symbols| symbols.len()), Ok(1_024));
    assert!(read(&many(1_025)).is_err());
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_map_of_symbols_that_reads_back_or_is_refused(text in "[A-Ca-c=,. Ä:]{0,24}|.{0,40}") {
        if let Ok(symbols) = text::symbol_map(&text) {
            let shown = text::show_symbol_map(&symbols);
            proptest::prop_assert_eq!(text::symbol_map(&shown), Ok(symbols), "{}", shown);
        }
    }
}

#[test]
fn s54_limits_of_pipeline_alerts_and_webhook_hold_one_step_around_their_ends() {
    // Just inside, at, and just outside of either end; a number has no place below 0.
    let limits: [(&str, [&str; 4], &[&str]); 14] = [
        ("pipeline_grace", ["0ms", "1ms", "59999ms", "60s"], &["60001ms"]),
        ("pipeline_update_interval", ["10ms", "11ms", "59999ms", "60s"], &["9ms", "60001ms"]),
        ("pipeline_quiet_close", ["0ms", "1ms", "3599s", "60m"], &["3601s"]),
        ("pipeline_ahead_max", ["0ms", "1ms", "3599s", "60m"], &["3601s"]),
        ("pipeline_symbols_max", ["1", "2", "4095", "4096"], &["0", "4097"]),
        ("pipeline_candles_kept", ["1", "2", "99999", "100000"], &["0", "100001"]),
        ("alerts_subjects_max", ["1", "2", "65535", "65536"], &["0", "65537"]),
        ("alerts_recent_max", ["1", "2", "99999", "100000"], &["0", "100001"]),
        ("webhook_queue_max", ["1", "2", "65535", "65536"], &["0", "65537"]),
        ("webhook_attempts_max", ["1", "2", "99", "100"], &["0", "101"]),
        ("webhook_timeout", ["100ms", "101ms", "59999ms", "60s"], &["99ms", "60001ms"]),
        ("webhook_backoff_min", ["1ms", "2ms", "59999ms", "60s"], &["999us", "60001ms"]),
        ("webhook_backoff_max", ["1ms", "2ms", "3599s", "60m"], &["999us", "3601s"]),
        ("pipeline_indicators", ["true", "false", "true", "false"], &["", "on", "1"]),
    ];
    for (name, inside, outside) in limits {
        for text in inside {
            assert!(from_flag(name, text).is_ok(), "{name} {text}");
        }
        for text in outside {
            assert!(from_flag(name, text).is_err(), "{name} {text}");
        }
    }
}

#[test]
fn s54_a_table_of_the_file_sets_what_its_part_is_told() {
    let written = "[pipeline]\ngrace = \"2s\"\nindicators = false\n[alerts]\nrules = \"my.toml\"\nrecent_max = 7\n\
        [webhook]\nurl = \"https://host/hook\"\nsecret = \"k\"\nattempts_max = 3";
    let config = from_toml(written).unwrap().finish().unwrap().config;
    assert_eq!(config.pipeline.grace, Duration::from_secs(2));
    assert!(!config.pipeline.has_indicators);
    assert_eq!(config.alerts_rules, Some(PathBuf::from("my.toml")));
    assert_eq!(config.alerts.recent_max, 7);
    assert_eq!(
        (&*config.webhook.url, config.webhook.secret.as_deref()),
        ("https://host/hook", Some("k"))
    );
    assert_eq!(config.webhook.attempts_max, 3);
    assert_eq!(Config::default().alerts_rules, None);
    assert!(!Config::default().webhook.is_on());
}

#[test]
fn neither_the_webhooks_secret_nor_its_address_is_ever_shown() {
    let settings =
        from_toml("webhook_url = \"https://host/t0ken\"\nwebhook_secret = \"s3cret\"").unwrap();
    let shown = format!("{settings:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
    let message = from_toml("webhook_secret = [1, \"s3cret\"]").unwrap_err();
    assert!(!message.contains("s3cret"), "{message}");
    for url in ["ftp://host/t0ken", "t0ken", "http:///t0ken"] {
        let settings = from_flag("webhook_url", url).unwrap();
        let error = settings.finish().unwrap_err();
        assert_eq!(error.exit_code(), 78);
        let message = error.to_string();
        assert!(message.contains("webhook_url") && message.contains("https://"), "{message}");
        assert!(!message.contains("t0ken"), "{message}");
    }
}

#[test]
fn the_webhooks_longest_wait_is_not_shorter_than_its_first() {
    for (longest, is_valid) in [("999ms", false), ("1000ms", true), ("1001ms", true)] {
        let mut settings = from_flag("webhook_backoff_min", "1s").unwrap();
        settings.apply_flag(key("webhook_backoff_max"), longest).unwrap();
        assert_eq!(settings.finish().is_ok(), is_valid, "{longest}");
    }
}

#[test]
fn addresses_without_a_host_stay_on_loopback() {
    let loopback: SocketAddr = "127.0.0.1:9100".parse().unwrap();
    for text in ["9100", ":9100", "localhost:9100", "127.0.0.1:9100"] {
        assert_eq!(from_flag("ws", text).unwrap().config.ws, loopback, "{text}");
    }
    assert_eq!(from_flag("ws", "[::1]:0").unwrap().config.ws, "[::1]:0".parse().unwrap());
    assert_eq!(from_flag("ws", "0.0.0.0:9001").unwrap().config.ws.ip().to_string(), "0.0.0.0");
    assert_eq!(from_flag("http", "off").unwrap().config.http, None);
    for text in ["", "localhost", "65536", "+1", "off", "a b:1"] {
        assert!(from_flag("ws", text).is_err(), "{text}");
    }
}

#[test]
fn sizes_and_times_are_read_in_their_units() {
    let lag = |text| from_flag("lag_bytes_max", text).map(|settings| settings.config.lag_bytes_max);
    assert_eq!(lag("65536"), lag("64KiB"));
    assert_eq!(lag("2MiB"), Ok(2 << 20));
    assert_eq!(lag("1_000_000"), Ok(1_000_000));
    for text in ["64KB", "1.5MiB", "-1", "", "17179869184GiB"] {
        assert!(lag(text).is_err(), "{text}");
    }
    let ping =
        |text| from_flag("ping_interval", text).map(|settings| settings.config.ping_interval);
    assert_eq!(ping("20s"), Ok(Duration::from_secs(20)));
    assert_eq!(ping("2m"), Ok(Duration::from_secs(120)));
    assert_eq!(ping("250000us"), ping("250ms"));
    for text in ["20", "1h", "s", "1.5s"] {
        assert!(ping(text).is_err(), "{text}");
    }
}

#[test]
fn sources_are_chosen_by_one_word_or_a_recording() {
    let source = |text| from_flag("source", text).map(|settings| settings.config.source);
    assert_eq!(source("none"), Ok(SourceChoice::None));
    assert_eq!(source("simulation"), Ok(SourceChoice::Simulation));
    let path = PathBuf::from("a/b.ndjson.gz");
    assert_eq!(
        source("replay:a/b.ndjson.gz"),
        Ok(SourceChoice::Replay { path: path.clone(), feed: None })
    );
    let named = SourceChoice::Replay { path, feed: Some(Feed::Binance) };
    assert_eq!(source("replay:binance=a/b.ndjson.gz"), Ok(named));
    for text in ["", "replay", "replay:", "kafka:x", "simulation:"] {
        assert!(source(text).is_err(), "{text}");
    }
}

#[test]
fn a_token_is_required_where_it_is_asked_for_and_never_shown() {
    let mut settings = from_toml("publish = \"token\"").unwrap();
    let error = settings.clone().finish().unwrap_err();
    assert!(error.to_string().contains("LINEAGE_PUBLISH_TOKEN"), "{error}");
    assert_eq!(error.exit_code(), 78);
    settings
        .apply_environment(|name| (name == "LINEAGE_PUBLISH_TOKEN").then(|| "s3cret".to_owned()))
        .unwrap();
    assert!(!format!("{settings:?}").contains("s3cret"));
    let config = settings.finish().unwrap().config;
    assert_eq!(config.publish, PublishAccess::Token("s3cret".to_owned()));
    assert!(!format!("{config:?}").contains("s3cret"));
    let message = from_toml("publish_token = [1, \"s3cret\"]").unwrap_err();
    assert!(!message.contains("s3cret"), "{message}");
}

#[test]
fn a_config_filled_by_hand_is_checked_like_one_from_a_file() {
    let check = |config: Config| config.validate().map_err(|error| error.to_string());
    let message = check(Config { shards: 0, ..Config::default() }).unwrap_err();
    assert_eq!(message, "shards = 0 is not a whole number from 1 to 64");
    let equal = Config { ping_interval: Duration::from_secs(30), ..Config::default() };
    assert!(check(equal).unwrap_err().contains("ping_interval = 30s"));
    let just = Config { ping_interval: Duration::from_millis(29_999), ..Config::default() };
    assert_eq!(check(just), Ok(()));
    let longer = Config { v1_message_bytes_max: 65 * 1024, ..Config::default() };
    assert!(check(longer).unwrap_err().contains("v1_message_bytes_max = 65KiB"));
    let odd = SourceChoice::Replay { path: "a=b".into(), feed: None };
    assert_eq!(check(Config { source: odd, ..Config::default() }), Ok(()));
}
