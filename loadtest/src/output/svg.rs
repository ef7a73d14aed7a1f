//! Plots as pictures for documents: SVG without scripts, fonts or links, readable on light and dark pages alike.

use std::fmt::Write as _;

use super::markup::escape;
use super::plot::{self, Line, Plot, float};
use super::scale::Scale;
use crate::result::RunResult;

/// All in pixels.
const WIDTH: f64 = 840.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 30.0;
/// Above the field: the title, and the names of the lines in rows.
const TITLE: f64 = 42.0;
const ROW: f64 = 20.0;
const BOTTOM: f64 = 52.0;
/// Height of the field that holds the lines.
const TALL: f64 = 280.0;
const SHORT: f64 = 130.0;
/// Width of a letter, about.
const LETTER: f64 = 6.8;

const FONT: &str = "system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif";
const BACK: &str = "#ffffff";
const EDGE: &str = "#d0d7de";
const GRID: &str = "#e6e9ed";
const TEXT: &str = "#1b2129";
const QUIET: &str = "#5b6572";
const COLOURS: [&str; 6] = ["#2766c4", "#d2691e", "#1a8f6e", "#b0307a", "#6b5bb5", "#8a6d1b"];

/// Latency percentiles of one or more runs, over each other, by name: from the scheduled time. A single run shows both
/// its curves, from the scheduled and from the actual time. Without any latency the picture says so.
#[must_use]
pub fn latency_svg(results: &[(&str, &RunResult)]) -> String {
    let plots: Vec<Plot> = plot::latency(results).into_iter().collect();
    let names: Vec<&str> = results.iter().map(|(name, _)| *name).collect();
    picture(&format!("Latency percentiles: {}", names.join(", ")), &plots)
}

/// A run second by second: latency, deliveries, connected clients. Where it has no latency, that panel is left out.
#[must_use]
pub fn seconds_svg(result: &RunResult) -> String {
    let plots = [plot::second_latency(result), plot::deliveries(result), plot::clients(result)];
    let plots: Vec<Plot> = plots.into_iter().flatten().collect();
    picture(&format!("Each second: {}", result.environment.scenario), &plots)
}

/// Panels below each other: the first one tall, the others short.
fn picture(title: &str, plots: &[Plot]) -> String {
    let fields = plots.iter().zip(std::iter::once(TALL).chain(std::iter::repeat(SHORT)));
    let height: f64 = fields.clone().map(|(plot, field)| head(plot) + field + BOTTOM).sum();
    let height = height.max(TITLE);
    let title = escape(title);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{title}\" font-family=\"{FONT}\" font-size=\"12\">\n\
         <title>{title}</title>\n\
         <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\" fill=\"{BACK}\" stroke=\"{EDGE}\"/>\n",
        WIDTH - 1.0,
        height - 1.0
    );
    if plots.is_empty() {
        text(&mut out, (LEFT, 26.0), "start", QUIET, "nothing was measured");
    }
    let mut top = 0.0;
    for (plot, field) in fields {
        panel(&mut out, plot, top, field);
        top += head(plot) + field + BOTTOM;
    }
    out.push_str("</svg>\n");
    out
}

/// Where a panel's lines are drawn, and how.
struct Field {
    top: f64,
    height: f64,
    x: Scale,
    y: Scale,
}

impl Field {
    fn new(plot: &Plot, top: f64, height: f64) -> Self {
        let ends = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), value| {
                (low.min(value), high.max(value))
            })
        };
        let (first, last) = ends(&mut plot.at.iter().copied());
        let values = plot.lines.iter().flat_map(|line| line.values.iter().flatten());
        let (low, high) = ends(&mut values.map(|value| float(*value)));
        let x = Scale::new(plot.x.kind, first, last);
        Self { top, height, x, y: Scale::new(plot.y.kind, low, high) }
    }

    fn across(&self, x: f64) -> f64 {
        LEFT + self.x.place(x) * (WIDTH - LEFT - RIGHT)
    }

    fn down(&self, y: f64) -> f64 {
        self.top + self.height * (1.0 - self.y.place(y))
    }
}

fn panel(out: &mut String, plot: &Plot, top: f64, height: f64) {
    let field = Field::new(plot, top + head(plot), height);
    let bottom = field.top + height;
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{}\" font-size=\"15\" font-weight=\"600\" fill=\"{TEXT}\">{}</text>",
        top + 26.0,
        plot.title
    );
    legend(out, &plot.lines, top + 46.0);
    for value in field.y.ticks() {
        let y = field.down(value);
        rule(out, (LEFT, y), (WIDTH - RIGHT, y));
        text(out, (LEFT - 8.0, y + 4.0), "end", QUIET, &field.y.text(value));
    }
    for value in field.x.ticks() {
        let x = field.across(value);
        rule(out, (x, field.top), (x, bottom));
        text(out, (x, bottom + 18.0), "middle", QUIET, &field.x.text(value));
    }
    let centre = f64::midpoint(LEFT, WIDTH - RIGHT);
    text(out, (centre, bottom + 37.0), "middle", QUIET, plot.x.label);
    let middle = field.top + height / 2.0;
    let _ = writeln!(
        out,
        "<text transform=\"translate(20 {middle:.1}) rotate(-90)\" text-anchor=\"middle\" fill=\"{QUIET}\">{}</text>",
        plot.y.label
    );
    for (line, colour) in plot.lines.iter().zip(COLOURS.iter().cycle()) {
        let _ = writeln!(
            out,
            "<path d=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-linejoin=\"round\" stroke-linecap=\"round\"/>",
            path(&field, plot, line)
        );
    }
}

/// Height of what stands above the field.
fn head(plot: &Plot) -> f64 {
    legend_places(&plot.lines).last().map_or(TITLE, |last| TITLE + last.1 + ROW)
}

/// Where the names of the lines stand: from the left, and below the first row. The title alone names a single line.
fn legend_places(lines: &[Line]) -> Vec<(f64, f64)> {
    if lines.len() < 2 {
        return Vec::new();
    }
    let (mut x, mut y) = (LEFT, 0.0);
    let place = |line: &Line| {
        let width = 46.0 + LETTER * float(line.name.chars().count() as u64);
        if x > LEFT && x + width > WIDTH {
            (x, y) = (LEFT, y + ROW);
        }
        x += width;
        (x - width, y)
    };
    lines.iter().map(place).collect()
}

fn legend(out: &mut String, lines: &[Line], top: f64) {
    for (((x, y), line), colour) in
        legend_places(lines).iter().zip(lines).zip(COLOURS.iter().cycle())
    {
        let y = top + y;
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} {:.1}h18\" stroke=\"{colour}\" stroke-width=\"3\"/>",
            y - 4.0
        );
        text(out, (x + 24.0, y), "start", TEXT, &line.name);
    }
}

/// What a line covers within one pixel across: where, its lowest and its highest point (pixels from above).
struct Column {
    x: f64,
    low: f64,
    high: f64,
}

/// The line as a path. Where several points fall on one pixel across, only their lowest and highest are kept: a run of
/// a day stays small, and no spike is lost.
fn path(field: &Field, plot: &Plot, line: &Line) -> String {
    let mut path = String::new();
    let mut column: Option<Column> = None;
    let mut is_first = true;
    for (x, value) in plot.at.iter().zip(&line.values) {
        let point = value.map(|value| (field.across(*x), field.down(float(value))));
        match (&mut column, point) {
            (Some(column), Some((x, y))) if x - column.x < 1.0 => {
                column.low = column.low.max(y);
                column.high = column.high.min(y);
            }
            (_, point) => {
                if let Some(full) = column.take() {
                    draw(&mut path, &full, is_first);
                    is_first = false;
                }
                is_first |= point.is_none();
                column = point.map(|(x, y)| Column { x, low: y, high: y });
            }
        }
    }
    if let Some(last) = column {
        draw(&mut path, &last, is_first);
    }
    path
}

fn draw(path: &mut String, Column { x, low, high }: &Column, is_first: bool) {
    // A line of no length shows a point that has no neighbour.
    let _ = if is_first {
        write!(path, "M{x:.1} {low:.1}h0")
    } else {
        write!(path, "L{x:.1} {low:.1}")
    };
    if low - high >= 0.1 {
        let _ = write!(path, "V{high:.1}");
    }
}

fn rule(out: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        out,
        "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"{GRID}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, colour: &str, words: &str) {
    let words = escape(words);
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{words}</text>"
    );
}
