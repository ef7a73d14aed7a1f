//! The report as one page: result, plots, looks and script in a single file that asks nobody for anything.
//!
//! The numbers stand in the page as JSON, the script shows them; what comes from outside is only ever set as text. The
//! page's own policy (`Content-Security-Policy`) forbids the browser any request.

use serde_json::{Value, json};

use super::{markup, plot};
use crate::result::RunResult;

const PAGE: &str = include_str!("../../assets/report.html");
const STYLE: &str = include_str!("../../assets/report.css");
const SCRIPT: &str = include_str!("../../assets/report.js");
const UPLOT: &str = include_str!("../../assets/uPlot.iife.min.js");
const UPLOT_STYLE: &str = include_str!("../../assets/uPlot.min.css");
const UPLOT_LICENCE: &str = include_str!("../../assets/uPlot.LICENSE.txt");

/// The report of a run as an HTML page, some 100 KB.
///
/// # Panics
/// Never: a result can always be written as JSON.
#[must_use]
pub fn html(result: &RunResult) -> String {
    let verdict = if result.verdict.pass { "passed" } else { "failed" };
    let title = markup::escape(&format!("{}: {verdict}", result.environment.scenario));
    let data = data(result);
    let part = |name: &str| match name {
        "title" => title.as_str(),
        "data" => &data,
        "style" => STYLE,
        "script" => SCRIPT,
        "uplot" => UPLOT,
        "uplot-style" => UPLOT_STYLE,
        "uplot-licence" => UPLOT_LICENCE,
        _ => unreachable!("the page names no other part"),
    };
    fill(PAGE, part)
}

/// The result less what only other programs need, and the plots, as JSON that cannot end a script element.
fn data(result: &RunResult) -> String {
    let mut shown = serde_json::to_value(result).expect("a result can be written as JSON");
    remove(&mut shown, "detail");
    if let Some(published) = shown.get_mut("published") {
        remove(published, "delay");
        remove(published, "per_topic");
    }
    // Within JSON, `<` stands in strings alone.
    json!({ "result": shown, "plots": plot::all(result) }).to_string().replace('<', "\\u003c")
}

fn remove(object: &mut Value, key: &str) {
    if let Some(object) = object.as_object_mut() {
        object.remove(key);
    }
}

/// `{{name}}` becomes the part of that name. What a part holds is not looked at again.
fn fill<'a>(page: &str, part: impl Fn(&str) -> &'a str) -> String {
    let mut filled = String::new();
    let mut rest = page;
    while let Some((before, behind)) = rest.split_once("{{") {
        let (name, after) = behind.split_once("}}").expect("the page closes what it opens");
        filled.push_str(before);
        filled.push_str(part(name));
        rest = after;
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_looks_like_a_name_stays_as_it_is() {
        let part = |name: &str| if name == "a" { "{{b}}" } else { "?" };
        assert_eq!(fill("1 {{a}} 2 {{b}} 3", part), "1 {{b}} 2 ? 3");
    }

    #[test]
    fn no_embedded_part_ends_the_element_it_stands_in() {
        for part in [SCRIPT, UPLOT, STYLE, UPLOT_STYLE, UPLOT_LICENCE] {
            let part = part.to_lowercase();
            assert!(!part.contains("</script") && !part.contains("</style"));
            assert!(!part.contains("<!--"));
        }
        assert!(!UPLOT_LICENCE.contains("*/"));
    }
}
