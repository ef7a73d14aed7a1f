//! The result for people: one screen, the environment first, the verdict last.
//!
//! Text from outside (topics, reasons, addresses) cannot command the terminal. A figure that was not measured is left
//! out or a dash, never 0.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table};

use super::{number_text, printable, time_text};
use crate::measure::Group;
use crate::result::{CANNOT_CONNECT, Events, OK, Quantiles, RunResult, baseline};

/// Columns that the report takes, in a terminal as narrow or as wide.
const WIDTH_MIN: u16 = 80;
const WIDTH_MAX: u16 = 100;
/// Below, the seven figures of a latency fit beside their name only without a blank before each.
const PADDED_WIDTH_MIN: u16 = 90;

/// The whole report; `has_colour`: for a terminal.
#[must_use]
pub fn table(result: &RunResult, old: Option<&RunResult>, has_colour: bool) -> String {
    let columns = Table::new().width().unwrap_or(WIDTH_MAX);
    at_width(columns.clamp(WIDTH_MIN, WIDTH_MAX), result, old, has_colour)
}

fn at_width(width: u16, result: &RunResult, old: Option<&RunResult>, has_colour: bool) -> String {
    let mut text = head(width, result);
    let mut add = |mut table: Table| {
        table.set_width(width);
        text += &format!("{table}\n");
    };
    add(figures(result));
    if result.latency_us.is_some() {
        add(latency(width, result));
    }
    if let Some(old) = old {
        add(deltas(old, result));
    }
    add(checks(result, has_colour));
    if let Some(note) = &result.latency_note {
        text += &format!("no latency: {}\n", printable(note));
    }
    for difference in old.map(|old| baseline::differences(old, result)).unwrap_or_default() {
        text += &format!("not as in the baseline: {}\n", printable(&difference));
    }
    for fault in &result.faults {
        text += &format!("fault   {}\n", printable(fault));
    }
    if result.generator.limited {
        text += "limited by the load generator: no claim about the server's capacity is made, as\n";
    }
    for limit in &result.generator.limits {
        text += &format!("  {}\n", printable(limit));
    }
    text + &format!("result  {}\n", verdict(result))
}

/// The last line's words.
fn verdict(result: &RunResult) -> &'static str {
    match (result.verdict.exit_code, result.verdict.interrupted) {
        (OK, false) => "ok",
        (OK, true) => "interrupted; ok so far",
        (CANNOT_CONNECT, false) => "cannot connect",
        (CANNOT_CONNECT, true) => "interrupted; cannot connect",
        (_, false) => "check failed",
        (_, true) => "interrupted; check failed",
    }
}

/// Where it ran, in as many lines as it takes.
fn head(width: u16, result: &RunResult) -> String {
    let env = &result.environment;
    let scenario = if env.scenario.is_empty() { "load test" } else { &env.scenario };
    let facts = [
        scenario.to_owned(),
        env.url.clone(),
        env.host.clone(),
        env.cpu.clone(),
        format!("{} cores", env.cores),
        env.kernel.clone(),
        format!("{} descriptors", env.descriptors),
    ];
    let (mut text, mut column) = (String::new(), 0);
    for fact in facts.iter().map(|fact| printable(fact)) {
        let length = fact.chars().count();
        if column == 0 {
            text += &fact;
        } else if column + 3 + length > usize::from(width) {
            text += &format!("\n  {fact}");
            column = 2;
        } else {
            text += &format!(" · {fact}");
            column += 3;
        }
        column += length;
    }
    text + "\n"
}

fn empty() -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

fn figures(result: &RunResult) -> Table {
    let mut table = empty();
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    row("clients", group(&result.clients.strict));
    for (name, faulty) in &result.clients.faulty {
        row(name, group(faulty));
    }
    row("events", events(&result.events));
    if !result.clients.faulty.is_empty() {
        row("at those with a fault", events(&result.faulty_events));
    }
    let rates = &result.rates;
    let published =
        rates.published_per_s.map(|rate| format!("{} published/s, ", number_text(rate)));
    if rates.measured_s > 0.0 {
        row(
            "rates",
            format!(
                "{}{} deliveries/s, {} MB/s in {:.1} s; {:.2} messages per read",
                published.unwrap_or_default(),
                number_text(rates.delivered_per_s.round()),
                number_text(rates.bytes_per_s / 1e6),
                rates.measured_s,
                rates.messages_per_read
            ),
        );
    }
    if !result.detail.per_client.is_empty() {
        row(
            "per client",
            format!(
                "{} to {} deliveries, median {}; fairness {:.4}",
                rates.per_client_min, rates.per_client_max, rates.per_client_p50, rates.fairness
            ),
        );
    }
    if result.connect_us.count > 0 {
        row("connecting", times(&result.connect_us));
    }
    let skew = &result.skew_us;
    if skew.events > 0 {
        let times = times(&skew.last_less_first);
        row("last less first client", format!("{times} of {} events", skew.events));
    }
    if rates.measured_s > 0.0 {
        row("generator", generator(result));
    }
    table
}

#[expect(clippy::cast_precision_loss, reason = "figures for reading; exact below 2^53")]
fn times(quantiles: &Quantiles) -> String {
    let us = |us: u64| time_text(us as f64);
    let (p50, p99, max) = (us(quantiles.p50), us(quantiles.p99), us(quantiles.max));
    format!("p50 {p50}, p99 {p99}, max {max}")
}

fn group(group: &Group) -> String {
    let mut text = format!("{} asked, {} connected", group.asked, group.connected);
    for (count, word) in [
        (group.failed, "failed"),
        (group.reconnected, "times back"),
        (group.absent, "not back"),
        (group.closed, "closed"),
    ] {
        if count > 0 {
            text += &format!(", {count} {word}");
        }
    }
    for (code, count) in &group.close_codes {
        text += &format!(", {code}: {count}");
    }
    for (reason, count) in &group.failure_reasons {
        text += &format!(", {}: {count}", printable(reason));
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "figures for reading; exact below 2^53")]
fn events(events: &Events) -> String {
    let count = |count: u64| number_text(count as f64);
    let mut text = events
        .published
        .map_or_else(String::new, |published| format!("{} published, ", count(published)));
    text += &format!(
        "{} deliveries of {} due: {} lost, {} twice, {} out of order",
        count(events.delivered),
        count(events.expected),
        events.lost,
        events.duplicated,
        events.reordered
    );
    for (number, words) in [
        (events.corrupt, "corrupt".to_owned()),
        (events.breaches, "against the protocol".to_owned()),
        (events.announced_gaps, format!("gaps announced for {} events", events.gap_events)),
        (events.snapshots, "snapshots".to_owned()),
        (events.recovered, "resumed".to_owned()),
        (events.untimed, "without a time".to_owned()),
        (events.from_the_future, "from the future".to_owned()),
    ] {
        if number > 0 {
            text += &format!(", {number} {words}");
        }
    }
    text
}

fn generator(result: &RunResult) -> String {
    let generator = &result.generator;
    let mut text = format!(
        "{:.2} CPU s, {:.2} us per delivery; busiest thread {:.0} %; {} B per client",
        generator.cpu_s,
        generator.cpu_us_per_delivery,
        generator.busiest * 100.0,
        generator.bytes_per_client
    );
    if generator.loop_delay_us.count > 0 {
        text += &format!("; waited to be read: {}", times(&generator.loop_delay_us));
    }
    if generator.workers > 1 {
        text += &format!("; {} processes", generator.workers);
    }
    if let Some(publisher) = &generator.publisher {
        text += &format!("; {} of {} events due dropped", publisher.dropped, publisher.due);
    }
    text
}

fn latency(width: u16, result: &RunResult) -> Table {
    let mut table = empty();
    table.set_header(["latency", "p50", "p90", "p99", "p99.9", "p99.99", "max", "count"]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
        column.set_padding((u16::from(width >= PADDED_WIDTH_MIN), 1));
    }
    let Some(latency) = &result.latency_us else {
        return table;
    };
    for (name, quantiles) in [
        ("scheduled", latency.scheduled),
        ("actual", latency.actual),
        ("sent late", latency.publish_delay),
    ] {
        if let Some(quantiles) = quantiles {
            table.add_row(row(name, &quantiles));
        }
    }
    if let (Some(scheduled), Some(actual)) = (&latency.scheduled, &latency.actual) {
        table.add_row(difference(scheduled, actual));
    }
    table
}

#[expect(clippy::cast_precision_loss, reason = "figures for reading; exact below 2^53")]
fn row(name: &str, quantiles: &Quantiles) -> [String; 8] {
    let text = |us: Option<u64>| us.map_or_else(|| "-".to_owned(), |us| time_text(us as f64));
    let [p50, p90, p99, p99_9, p99_99, max] = steps(quantiles).map(text);
    [name.to_owned(), p50, p90, p99, p99_9, p99_99, max, number_text(quantiles.count as f64)]
}

/// What a look at the actual times alone would have hidden.
#[expect(clippy::cast_precision_loss, reason = "figures for reading; exact below 2^53")]
fn difference(scheduled: &Quantiles, actual: &Quantiles) -> [String; 8] {
    let (scheduled, actual) = (steps(scheduled), steps(actual));
    let mut cells = [const { String::new() }; 8];
    "difference".clone_into(&mut cells[0]);
    for (cell, (scheduled, actual)) in cells[1..7].iter_mut().zip(scheduled.iter().zip(&actual)) {
        *cell = match (scheduled, actual) {
            (Some(all), Some(part)) if all >= part => time_text((all - part) as f64),
            (Some(all), Some(part)) => format!("-{}", time_text((part - all) as f64)),
            _ => "-".to_owned(),
        };
    }
    cells
}

fn steps(quantiles: &Quantiles) -> [Option<u64>; 6] {
    let Quantiles { p50, p90, p99, p99_9, p99_99, max, .. } = *quantiles;
    [Some(p50), Some(p90), Some(p99), p99_9, p99_99, Some(max)]
}

fn deltas(old: &RunResult, new: &RunResult) -> Table {
    let mut table = empty();
    table.set_header(["against the baseline", "then", "now", "change"]);
    for delta in baseline::deltas(old, new) {
        let figure =
            |value: f64| if delta.is_time { time_text(value) } else { number_text(value.round()) };
        let change =
            delta.percent().map_or_else(|| "-".to_owned(), |percent| format!("{percent:+.1} %"));
        table.add_row([delta.name.to_owned(), figure(delta.old), figure(delta.new), change]);
    }
    table
}

fn checks(result: &RunResult, has_colour: bool) -> Table {
    let mut table = empty();
    table.set_header(["check", "value", "verdict"]);
    for check in &result.verdict.checks {
        let (word, colour) = if check.pass { ("pass", Color::Green) } else { ("FAIL", Color::Red) };
        let mut cell = Cell::new(word);
        if has_colour {
            cell = cell.fg(colour);
        }
        table.add_row([
            Cell::new(printable(&check.name)),
            Cell::new(printable(&check.value)),
            cell,
        ]);
    }
    table
}

#[cfg(test)]
mod tests;
