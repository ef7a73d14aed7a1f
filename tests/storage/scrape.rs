//! The store's metrics as Prometheus sees them.

use super::support::{Folder, World, value, wait_until};

const INSERT: &str = "metrics_calculator_db_insert_duration_seconds";
const POOL: &str = "database_connection_pool_size";

/// The buckets of a histogram without other labels: upper bounds and how many lie at or below each.
fn buckets(scrape: &str, name: &str) -> Vec<(f64, f64)> {
    let prefix = format!("{name}_bucket{{le=\"");
    let lines = scrape.lines().filter_map(|line| line.strip_prefix(&prefix));
    let parts = lines.map(|line| line.split_once("\"} ").unwrap());
    parts.map(|(bound, count)| (bound.parse().unwrap(), count.parse().unwrap())).collect()
}

/// As `histogram_quantile` of Prometheus: linear within the bucket that holds the rank; in the last one its lower bound.
fn quantile(q: f64, buckets: &[(f64, f64)]) -> f64 {
    let Some(&(_, total)) = buckets.last() else { return f64::NAN };
    let rank = q * total;
    let (mut low, mut below) = (0.0, 0.0);
    for &(bound, count) in buckets {
        if count >= rank && count > 0.0 {
            let share = (rank - below) / (count - below);
            return if bound.is_finite() { low + (bound - low) * share } else { low };
        }
        (low, below) = (bound, count);
    }
    f64::NAN
}

#[test]
fn quantiles_are_those_of_the_buckets() {
    let all = [(1.0, 50.0), (2.0, 100.0), (f64::INFINITY, 100.0)];
    assert_eq!([0.25, 0.5, 0.95, 1.0].map(|q| quantile(q, &all)), [0.5, 1.0, 1.9, 2.0]);
    assert_eq!(quantile(0.95, &[(1.0, 50.0), (f64::INFINITY, 100.0)]), 1.0);
    assert!(quantile(0.95, &[(1.0, 0.0), (f64::INFINITY, 0.0)]).is_nan());
    assert!(quantile(0.95, &[]).is_nan());
}

#[test]
fn s57_a_scrape_has_the_histogram_of_inserts_and_a_finite_p95() {
    let folder = Folder::new();
    let mut world = World::new(folder.file());
    let stored = |scrape: &str| value(scrape, "lineage_store_rows_total{result=\"stored\"}");
    for time_us in 1..=40 {
        world.agent(time_us * 1_000_000, 5_000_000);
        wait_until("the row in the file", || {
            stored(&world.metrics()).unwrap_or_default() >= time_us as f64
        });
    }
    let scrape = world.metrics();
    for name in [INSERT, "lineage_calculator_db_insert_duration_seconds"] {
        assert!(scrape.contains(&format!("# TYPE {name} histogram")), "{scrape}");
        let buckets = buckets(&scrape, name);
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{buckets:?}");
        let count = value(&scrape, &format!("{name}_count")).unwrap();
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, count)));
        assert!(count >= 40.0, "each row waited for the one before: {count}");
        let sum = value(&scrape, &format!("{name}_sum")).unwrap();
        let p95 = quantile(0.95, &buckets);
        assert!(sum > 0.0 && p95 > 0.0 && p95.is_finite(), "{p95} of {buckets:?}");
    }
    assert!(scrape.contains(&format!("# TYPE {POOL} gauge")), "{scrape}");
    assert_eq!(value(&scrape, POOL), Some(2.0), "one that writes and one that reads");
    assert_eq!(value(&scrape, "lineage_store_events_missed_total"), Some(0.0));
    world.end();
}

#[test]
fn s57_without_a_store_its_families_are_absent() {
    let world = World::new("");
    let scrape = world.metrics();
    assert!(value(&scrape, "lineage_uptime_seconds").is_some(), "{scrape}");
    for name in [INSERT, POOL, "lineage_store", "lineage_calculator_db", "lineage_database"] {
        assert!(!scrape.contains(name), "{name}: {scrape}");
    }
    world.end();
}
