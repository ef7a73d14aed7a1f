//! Pictures of a result. Goal: well-formed XML whatever the names are, curves that rise, no spike lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod sample;

use std::path::Path;

use loadtest::measure::Hist;
use loadtest::output::{latency_svg, seconds_svg};
use loadtest::result::{RunResult, SecondLine};
use roxmltree::Document;

/// The points of each curve: the paths of width 2, in pixels from the upper left.
fn curves(svg: &str) -> Vec<Vec<(f64, f64)>> {
    let document = Document::parse(svg).unwrap();
    let lines = document.descendants().filter(|node| node.attribute("stroke-width") == Some("2"));
    lines.map(|line| points(line.attribute("d").unwrap())).collect()
}

/// `M x y h0`, then `L x y` for a point and `V y` for one above the last.
fn points(path: &str) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for step in
        path.replace("h0", "").replace(['M', 'L'], "|").replace('V', "|V").split('|').skip(1)
    {
        let point = match step.strip_prefix('V') {
            Some(y) => (points.last().unwrap().0, y.parse().unwrap()),
            None => {
                let (x, y) = step.split_once(' ').unwrap();
                (x.parse().unwrap(), y.parse().unwrap())
            }
        };
        points.push(point);
    }
    points
}

fn is_rising(curve: &[(f64, f64)]) -> bool {
    curve.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 >= pair[1].1)
}

fn write(name: &str, svg: &str) {
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), svg).unwrap();
}

/// A run whose every latency is a multiple of the sample's.
fn slower(times: u64) -> RunResult {
    let mut result = sample::passed();
    let mut scheduled = Hist::default();
    for value in result.detail.latency.scheduled.inner().iter_recorded() {
        scheduled.record_n(value.value_iterated_to() * times, value.count_at_value());
    }
    result.detail.latency.scheduled = scheduled;
    result
}

#[test]
fn percentile_curves_of_several_runs_rise_within_the_picture_in_their_order() {
    let runs = [1, 2, 4, 8].map(slower);
    let names = [
        "first <run> & \"its\" name\u{0}",
        "second",
        "third, with a name that is so long that it needs a row",
        "fourth",
    ];
    let named: Vec<(&str, &RunResult)> = names.into_iter().zip(&runs).collect();
    let svg = latency_svg(&named);
    let all = curves(&svg);
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|curve| curve.len() > 50 && is_rising(curve)));
    let document = Document::parse(&svg).unwrap();
    let height: f64 = document.root_element().attribute("height").unwrap().parse().unwrap();
    let within = |(x, y): &(f64, f64)| (0.0..=840.0).contains(x) && (0.0..=height).contains(y);
    assert!(all.iter().flatten().all(within));
    assert!(all.windows(2).all(|pair| pair[0][30].1 > pair[1][30].1), "a slower run lies higher");
    let texts: Vec<&str> = document.descendants().filter_map(|node| node.text()).collect();
    assert!(texts.contains(&names[3]) && texts.contains(&"first <run> & \"its\" name\u{fffd}"));
    write("latency.svg", &svg);
}

#[test]
fn a_single_run_shows_both_its_curves() {
    let result = sample::passed();
    let all = curves(&latency_svg(&[("alone", &result)]));
    assert_eq!(all.len(), 2);
    let top = |curve: &[(f64, f64)]| curve.last().unwrap().1;
    assert!(top(&all[0]) < top(&all[1]), "the stall shows from the scheduled time alone");
}

#[test]
fn each_second_has_three_panels_or_two_without_latency() {
    let mut result = sample::passed();
    let svg = seconds_svg(&result);
    assert_eq!(curves(&svg).len(), 6);
    write("seconds.svg", &svg);
    result.per_second.iter_mut().for_each(|second| second.max_us = 0);
    assert_eq!(curves(&seconds_svg(&result)).len(), 2);
}

#[test]
fn a_result_without_numbers_is_a_picture_that_says_so() {
    let empty = RunResult { latency_us: None, per_second: Vec::new(), ..sample::passed() };
    for svg in [latency_svg(&[]), latency_svg(&[("empty", &empty)]), seconds_svg(&empty)] {
        let document = Document::parse(&svg).unwrap();
        assert!(document.descendants().any(|node| node.text() == Some("nothing was measured")));
    }
}

#[test]
fn a_long_run_stays_small_and_keeps_its_spike_and_its_hole() {
    let mut result = sample::passed();
    let quiet = |at_s| SecondLine {
        at_s,
        delivered: 1_000,
        connected: 10,
        max_us: 100,
        p99_9_us: 100,
        p99_us: 100,
        p50_us: 100,
        bytes: 0,
    };
    result.per_second = (0..86_400).map(quiet).collect();
    result.per_second[43_210].max_us = 90_000;
    result.per_second[50_000..60_000].iter_mut().for_each(|second| second.max_us = 0);
    let svg = seconds_svg(&result);
    assert!(svg.len() < 150_000, "{} bytes", svg.len());
    let all = curves(&svg);
    let top =
        |curve: &[(f64, f64)]| curve.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
    assert!(top(&all[3]) < top(&all[0]) - 50.0, "the spike of the maximum");
    let widest = all[0].windows(2).map(|pair| pair[1].0 - pair[0].0).fold(0.0, f64::max);
    assert!(widest > 80.0, "the hole without latency: {widest}");
}
