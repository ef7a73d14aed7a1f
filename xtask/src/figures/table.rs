//! The runs as two tables in Markdown: delivery, and idle clients. Absolute figures are medians over the rounds;
//! a ratio is the median of the ratios within each round, with their range behind it.

use super::runs::Run;
use std::fmt::Write;

const RAW: &str = "raw C";

/// Both tables.
pub(crate) fn text(runs: &[Run]) -> String {
    let (idle, delivery): (Vec<&Run>, Vec<&Run>) =
        runs.iter().partition(|run| run.setting.is_idle());
    let mut out = String::new();
    if !delivery.is_empty() {
        out += "| setting | program | deliveries/s | / raw C | CPU µs each | / raw C | p50 ms | / raw C | p99 ms | / raw C \
                | events per read | / raw C | slowest / fastest | user share | gaps | disorder | generator busy |\n";
        out += "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n";
        rows(&mut out, &delivery, delivery_row);
    }
    if !delivery.is_empty() && !idle.is_empty() {
        out.push('\n');
    }
    if !idle.is_empty() {
        out += "| setting | program | user bytes per client | / raw C | kernel slab per client, both ends | handshakes/s \
                | / raw C | CPU µs per handshake | / raw C |\n";
        out += "|---|---|---|---|---|---|---|---|---|\n";
        rows(&mut out, &idle, idle_row);
    }
    out
}

fn rows(out: &mut String, runs: &[&Run], row: fn(&Comparison<'_>) -> String) {
    let mut done: Vec<(&str, &str)> = Vec::new();
    for run in runs {
        let key = (run.setting.name, run.program);
        if !done.contains(&key) {
            done.push(key);
            let comparison = Comparison { runs, setting: run.setting.name, program: run.program };
            let lost = comparison.sum(&Run::lost_connections);
            let lost =
                if lost > 0.0 { format!(" ({lost} connections lost)") } else { String::new() };
            let (title, cells) = (run.setting.title(), row(&comparison));
            let _ = writeln!(out, "| {title} | {}{lost} | {cells} |", run.program);
        }
    }
}

fn delivery_row(of: &Comparison<'_>) -> String {
    let user_share = |run: &Run| {
        let (user, system) = (run.number("server_user_s"), run.number("server_sys_s"));
        user / (user + system) * 100.0
    };
    let fairness = |run: &Run| run.number("conn_msgs_min") / run.number("conn_msgs_max");
    let busy = of.median(&|run| run.number("client_cpu_s") / run.number("seconds") * 100.0);
    let floor = if busy > 90.0 { " (a floor)" } else { "" };
    [
        format!("{:.0}", of.median(&|run| run.number("msgs_per_s"))),
        of.ratio(&|run| run.number("msgs_per_s")),
        format!("{:.3}", of.median(&|run| run.number("server_us_per_msg"))),
        of.ratio(&|run| run.number("server_us_per_msg")),
        format!("{:.2}", of.median(&|run| run.number("lat_us/p50") / 1e3)),
        of.ratio(&|run| run.number("lat_us/p50")),
        format!("{:.2}", of.median(&|run| run.number("lat_us/p99") / 1e3)),
        of.ratio(&|run| run.number("lat_us/p99")),
        format!("{:.1}", of.median(&|run| run.number("msgs_per_read"))),
        of.ratio(&|run| run.number("msgs_per_read")),
        format!("{:.3}", of.median(&fairness)),
        format!("{:.0} %", of.median(&user_share)),
        format!("{}", of.sum(&|run| run.number("gap_events"))),
        format!("{}", of.sum(&|run| run.number("disorder"))),
        format!("{busy:.0} %{floor}"),
    ]
    .join(" | ")
}

fn idle_row(of: &Comparison<'_>) -> String {
    [
        format!("{:.0}", of.median(&|run| run.number("rss_bytes_per_conn"))),
        of.ratio(&|run| run.number("rss_bytes_per_conn")),
        format!("{:.0}", of.median(&|run| run.number("slab_bytes_per_conn_both_ends"))),
        format!("{:.0}", of.median(&|run| run.number("handshakes_per_s"))),
        of.ratio(&|run| run.number("handshakes_per_s")),
        format!("{:.1}", of.median(&|run| run.number("server_cpu_us_per_handshake"))),
        of.ratio(&|run| run.number("server_cpu_us_per_handshake")),
    ]
    .join(" | ")
}

/// One program in one setting, beside raw C in the same rounds.
struct Comparison<'a> {
    runs: &'a [&'a Run],
    setting: &'static str,
    program: &'static str,
}

type Field<'a> = &'a dyn Fn(&Run) -> f64;

impl Comparison<'_> {
    fn values(&self, program: &str, field: Field<'_>) -> Vec<(u32, f64)> {
        let own = self
            .runs
            .iter()
            .filter(|run| run.setting.name == self.setting && run.program == program);
        own.map(|run| (run.round, field(run))).collect()
    }

    fn median(&self, field: Field<'_>) -> f64 {
        median(self.values(self.program, field).into_iter().map(|(_, value)| value).collect())
    }

    fn sum(&self, field: Field<'_>) -> f64 {
        self.values(self.program, field).into_iter().map(|(_, value)| value).sum()
    }

    fn ratio(&self, field: Field<'_>) -> String {
        if self.program == RAW {
            return "1".to_owned();
        }
        let raw = self.values(RAW, field);
        let own = self.values(self.program, field);
        let of_round = |&(round, value): &(u32, f64)| {
            let (_, base) = raw.iter().find(|(other, _)| *other == round)?;
            Some(value / base)
        };
        let mut ratios: Vec<f64> = own.iter().filter_map(of_round).collect();
        ratios.sort_by(f64::total_cmp);
        match (ratios.first(), ratios.last()) {
            (Some(low), Some(high)) => {
                format!("**{:.2}** ({low:.2}–{high:.2})", median(ratios.clone()))
            }
            _ => "–".to_owned(),
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::SETTINGS;
    use super::*;
    use serde_json::json;

    #[test]
    fn a_ratio_is_the_median_of_the_ratios_within_the_rounds() {
        let setting = &SETTINGS[1];
        let run = |round, program, rate: f64| {
            Run::of(setting, round, program, json!({ "msgs_per_s": rate }))
        };
        // The machine is twice as fast in the last round: the ratio of the medians would be 1.5.
        let runs = [
            run(1, "Lineage", 150.0),
            run(1, RAW, 100.0),
            run(2, "Lineage", 120.0),
            run(2, RAW, 100.0),
            run(3, "Lineage", 280.0),
            run(3, RAW, 200.0),
        ];
        let runs: Vec<&Run> = runs.iter().collect();
        let ours = Comparison { runs: &runs, setting: setting.name, program: "Lineage" };
        assert_eq!(ours.ratio(&|run| run.number("msgs_per_s")), "**1.40** (1.20–1.50)");
        assert!((ours.median(&|run| run.number("msgs_per_s")) - 150.0).abs() < 1e-9);
        assert_eq!(Comparison { program: RAW, ..ours }.ratio(&|run| run.number("msgs_per_s")), "1");
    }

    #[test]
    fn every_row_has_as_many_cells_as_its_head() {
        let runs = [
            Run::of(&SETTINGS[0], 1, "Lineage", json!({})),
            Run::of(&SETTINGS[10], 1, RAW, json!({})),
        ];
        let text = text(&runs);
        let tables: Vec<Vec<usize>> = text
            .split("\n\n")
            .map(|table| table.lines().map(|line| line.matches('|').count()).collect())
            .collect();
        assert_eq!(tables.len(), 2);
        for rows in tables {
            assert_eq!(rows.len(), 3);
            assert!(rows.iter().all(|cells| cells == &rows[0]), "{rows:?}\n{text}");
        }
    }

    #[test]
    fn lost_connections_stand_beside_the_program() {
        let lossy = json!({ "failed": 3, "closed": 1 });
        let runs =
            [Run::of(&SETTINGS[0], 1, "Lineage", lossy), Run::of(&SETTINGS[0], 1, RAW, json!({}))];
        let text = text(&runs);
        assert!(
            text.contains("| Lineage (4 connections lost) |") && text.contains("| raw C |"),
            "{text}"
        );
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert!((median(vec![4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-9);
        assert!(median(Vec::new()).is_nan());
    }
}
