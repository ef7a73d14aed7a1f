//! Telemetry through its public face: counts are exact, the text is what Prometheus reads, nothing waits.

use super::*;

fn line(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn text_of(telemetry: &Telemetry) -> String {
    String::from_utf8(telemetry.text()).unwrap()
}

#[test]
fn counters_of_shards_and_engine_are_exposed_with_their_values() {
    let (clock, hand) = Clock::manual(1_000_000);
    let telemetry = Telemetry::with_clock(2, clock);
    let (first, second) = (telemetry.shard(0), telemetry.shard(1));
    first.add(ShardCounter::Deliveries, 5);
    first.add(ShardCounter::Deliveries, 2);
    second.add(ShardCounter::Deliveries, 1);
    first.set(ShardCounter::Connections, 3);
    second.set(ShardCounter::Connections, 4);
    first.add(ShardCounter::EvictedFlood, 9);
    telemetry.add(EngineCounter::Events, 8);
    telemetry.raise_to(EngineCounter::SourcePacingErrorUs, 1_500_000);
    telemetry.raise_to(EngineCounter::SourcePacingErrorUs, 20);
    telemetry.refused(426);
    telemetry.refused(418);
    hand.advance_us(2_500_000);
    let text = text_of(&telemetry);
    for (series, value) in [
        ("lineage_deliveries_total{shard=\"0\"}", 7.0),
        ("lineage_deliveries_total{shard=\"1\"}", 1.0),
        ("lineage_active_connections", 7.0),
        ("lineage_shard_connections{shard=\"1\"}", 4.0),
        ("lineage_evictions_total{shard=\"0\",reason=\"flood\"}", 9.0),
        ("lineage_evictions_total{shard=\"1\",reason=\"silent\"}", 0.0),
        ("lineage_messages_broadcast_total", 8.0),
        ("lineage_source_pacing_error_max_seconds", 1.5),
        ("lineage_handshakes_refused_total{status=\"426\"}", 1.0),
        ("lineage_handshakes_refused_total{status=\"other\"}", 1.0),
        ("lineage_uptime_seconds", 2.5),
    ] {
        assert_eq!(line(&text, series), Some(value), "{series} in\n{text}");
    }
    assert!(text.contains(&format!("version=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION"))), "{text}");
    assert_eq!(
        (telemetry.sum(ShardCounter::Deliveries), telemetry.value(EngineCounter::Events)),
        (8, 8)
    );
}

#[test]
fn the_probe_is_read_at_every_scrape_and_absent_without_an_engine() {
    let telemetry = Telemetry::new(1);
    assert!(!text_of(&telemetry).contains("lineage_ring_depth"));
    let depth = Arc::new(AtomicU64::new(0));
    let shared = Arc::clone(&depth);
    telemetry.set_probe(Box::new(move || Probe {
        ring_depth: shared.load(Ordering::Relaxed),
        ..Probe::default()
    }));
    for waiting in [3, 17] {
        depth.store(waiting, Ordering::Relaxed);
        let exposed =
            line(&text_of(&telemetry), "lineage_ring_depth").map(|depth| depth.to_string());
        assert_eq!(exposed, Some(waiting.to_string()));
    }
}

#[test]
fn every_name_tells_its_kind_and_unit() {
    let rows = ShardCounter::ALL.iter().map(|c| c.description());
    for row in rows.chain(EngineCounter::ALL.iter().map(|c| c.description())) {
        assert!(row.name.starts_with("lineage_"), "{row:?}");
        assert_eq!(row.name.ends_with("_total"), row.kind == Kind::Counter, "{row:?}");
        assert_eq!(row.name.contains("_bytes"), row.unit == Unit::Bytes, "{row:?}");
        assert_eq!(row.name.contains("_seconds"), row.unit == Unit::Microseconds, "{row:?}");
        assert!(row.help.ends_with('.'), "{row:?}");
    }
    for (place, counter) in ShardCounter::ALL.iter().enumerate() {
        assert_eq!(*counter as usize, place);
    }
}

#[test]
fn every_family_is_announced_once_with_type_and_help() {
    let telemetry = Telemetry::new(2);
    telemetry.set_probe(Box::new(Probe::default));
    let text = text_of(&telemetry);
    let mut seen = std::collections::HashSet::new();
    let announced = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    for (name, kind) in announced {
        assert!(seen.insert(name.to_owned()), "{name} is announced twice");
        assert!(!name.contains(&format!("_{kind}")), "{name}: promtool wants no type in names");
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help");
    }
    assert!(
        seen.contains("lineage_deliveries_total") && seen.contains("process_open_fds"),
        "{seen:?}"
    );
}

#[test]
fn latencies_of_all_shards_are_merged_into_cumulative_buckets() {
    let telemetry = Telemetry::new(2);
    let (mut first, mut second) = (telemetry.shard(0), telemetry.shard(1));
    first.latency().record_n(50, 2);
    first.latency().record_n(51, 1);
    second.latency().record_n(10_000_000, 1);
    second.latency().record_n(11_000_000, 3);
    assert_eq!(
        line(&text_of(&telemetry), "lineage_delivery_latency_seconds_count"),
        Some(0.0),
        "not flushed yet"
    );
    first.flush();
    second.flush();
    first.flush();
    let text = text_of(&telemetry);
    for (series, value) in [
        ("lineage_delivery_latency_seconds_bucket{le=\"0.00005\"}", 2.0),
        ("lineage_delivery_latency_seconds_bucket{le=\"0.0001\"}", 3.0),
        ("lineage_delivery_latency_seconds_bucket{le=\"5\"}", 3.0),
        ("lineage_delivery_latency_seconds_bucket{le=\"10\"}", 4.0),
        ("lineage_delivery_latency_seconds_bucket{le=\"+Inf\"}", 7.0),
        ("lineage_delivery_latency_seconds_count", 7.0),
        ("lineage_delivery_latency_recent_seconds_count", 7.0),
    ] {
        assert_eq!(line(&text, series), Some(value), "{series} in\n{text}");
    }
    let sum = line(&text, "lineage_delivery_latency_seconds_sum").unwrap();
    assert!((sum / 43.000_151 - 1.0).abs() < 0.001, "{sum}");
}

#[test]
fn quantiles_describe_the_last_thirty_to_sixty_seconds_and_scrapes_reset_nothing() {
    let (clock, hand) = Clock::manual(0);
    let telemetry = Telemetry::with_clock(1, clock);
    let series = "lineage_delivery_latency_recent_seconds{quantile=\"0.5\"}";
    let median = || line(&text_of(&telemetry), series).unwrap();
    let mut shard = telemetry.shard(0);
    assert!(median().is_nan(), "nothing was delivered");
    shard.latency().record_n(1_000, 10);
    shard.flush();
    for second in [0, 29, 30, 59] {
        hand.advance_us(second * 1_000_000 - telemetry.cells.clock.now_us());
        assert!((median() / 0.001 - 1.0).abs() < 0.001, "after {second} s");
    }
    hand.advance_us(1_000_000);
    assert!(median().is_nan(), "60 s later the old values are gone");
    assert_eq!(
        line(&text_of(&telemetry), "lineage_delivery_latency_recent_seconds_count"),
        Some(10.0)
    );
    shard.latency().record_n(2_000, 1);
    shard.flush();
    hand.advance_us(600_000_000);
    assert!(median().is_nan(), "a long pause empties both halves");
}

#[test]
fn flush_keeps_what_it_has_while_the_shared_histogram_is_busy() {
    let telemetry = Telemetry::new(1);
    let mut shard = telemetry.shard(0);
    shard.latency().record_n(1_000, 4);
    telemetry.cells.latency.while_busy(|| shard.flush());
    assert_eq!(telemetry.cells.latency.snapshot().count, 0);
    shard.flush();
    assert_eq!(telemetry.cells.latency.snapshot().count, 4);
}

#[test]
fn a_shard_that_ends_hands_on_its_latencies_and_its_place() {
    let telemetry = Telemetry::new(1);
    let mut shard = telemetry.shard(0);
    shard.latency().record_n(70_000_000, 1);
    shard.add(ShardCounter::Writes, 2);
    drop(shard);
    telemetry.shard(0).add(ShardCounter::Writes, 3);
    assert_eq!(telemetry.cells.latency.snapshot().count, 1);
    assert_eq!(telemetry.sum(ShardCounter::Writes), 5);
}

#[test]
#[should_panic(expected = "shard 0 has a writer")]
fn a_second_writer_of_a_shard_is_refused() {
    let telemetry = Telemetry::new(1);
    let _first = telemetry.shard(0);
    let _second = telemetry.shard(0);
}

#[test]
fn engine_counters_add_up_over_threads() {
    let telemetry = Telemetry::new(1);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1_000).for_each(|_| telemetry.add(EngineCounter::Events, 1)));
        }
    });
    assert_eq!(telemetry.value(EngineCounter::Events), 4_000);
}
