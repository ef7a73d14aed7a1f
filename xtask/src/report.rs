//! The load tester's HTML report in a real browser: it draws every plot, in light and dark, and asks nobody for
//! anything. Then copies of it with planted faults, each of which must be noticed.
//!
//! The browser is Chromium's headless shell: unlike the whole Chromium it makes no requests of its own, so its log of
//! the network must be empty.

use crate::line::Line;
use crate::{Outcome, only_known, tools};
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};

const FOLDER: &str = "target/report";
/// The pages that the load tester's own test leaves behind.
const SAMPLES: [&str; 2] = ["target/tmp/report.html", "target/tmp/report-failed.html"];
/// The page that the step `load` leaves behind.
const LOADED: &str = "target/smoke/report.html";
/// Width and height of a screenshot, pixels.
const WINDOW: (u32, u32) = (1_280, 3_400);
/// A curve across a plot has more coloured pixels than this, a legend has none.
const PIXELS_MIN: u64 = 200;
/// A blank screenshot is far below this.
const PICTURE_BYTES_MIN: usize = 50_000;
/// What a browser's log of the network holds when anything was asked for.
const NETWORK: [&str; 6] = [
    "REQUEST_ALIVE",
    "URL_REQUEST_START_JOB",
    "HOST_RESOLVER_MANAGER_REQUEST",
    "SOCKET_ALIVE",
    "TCP_CONNECT",
    "UDP_CONNECT",
];

/// A fault to be noticed: its name, the text that it changes, what it becomes, and what the complaint says.
type Planted = (&'static str, &'static str, &'static str, &'static str);

const PLANTED: [Planted; 5] = [
    (
        "request",
        "http-equiv=\"Content-Security-Policy\" content=",
        "name=\"none\"><img src=\"http://192.0.2.1/a.png\"><meta content=",
        "http://192.0.2.1/a.png",
    ),
    ("forbidden", "</body>", "<img src=\"http://192.0.2.1/a.png\"></body>", "the page asked for"),
    ("error", "var uPlot=", "var other=", "uPlot is not defined"),
    ("blank", "width: 2, points", "width: 0, points", "coloured pixels"),
    ("missing", "plots.map(figure)", "plots.slice(1).map(figure)", "plots were drawn"),
];

/// `cargo xtask report [FILE]`: checks that page, or else the samples (with the faults planted in them) and the page of
/// the step `load`, if there is one.
///
/// # Errors
/// Names the page and what is wrong with it, or the planted fault that nobody noticed.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    tools::browser()?;
    std::fs::create_dir_all(FOLDER).map_err(|error| format!("{FOLDER}: {error}"))?;
    if let [file] = arguments
        && !file.starts_with('-')
    {
        return check(Path::new(file));
    }
    only_known(arguments, &[], &[])?;
    Line::new("cargo test --quiet --package loadtest --test html").run()?;
    let loaded = Some(LOADED).filter(|page| Path::new(page).is_file());
    for page in SAMPLES.into_iter().chain(loaded) {
        check(Path::new(page))?;
    }
    PLANTED.iter().try_for_each(|planted| notices(Path::new(SAMPLES[0]), planted))
}

/// Everything about one page.
fn check(page: &Path) -> Outcome {
    look(page).map_err(|why| format!("{}: {why}", page.display()))?;
    let pictures = [picture(page, "light", 1)?, picture(page, "dark", 0)?];
    if pictures[0] == pictures[1] {
        return Err(format!("{}: looks the same in light and dark", page.display()));
    }
    Ok(())
}

/// Whether a fault planted in a copy of the page is noticed.
fn notices(page: &Path, (name, from, to, complaint): &Planted) -> Outcome {
    let text = read(page)?;
    let at = text.rfind(from).ok_or_else(|| format!("the page has no `{from}` to plant in"))?;
    let copy = Path::new(FOLDER).join(format!("planted-{name}.html"));
    let planted = format!("{}{to}{}", &text[..at], &text[at + from.len()..]);
    std::fs::write(&copy, planted).map_err(|error| format!("{}: {error}", copy.display()))?;
    match look(&copy) {
        Err(why) if why.contains(complaint) => {
            println!("planted and noticed: {name}: {why}");
            Ok(())
        }
        Err(why) => Err(format!("planted `{name}` was taken for something else: {why}")),
        Ok(()) => Err(format!("planted `{name}` was not noticed")),
    }
}

/// Opens the page; fails on a request, an error, a plot that is missing or blank.
fn look(page: &Path) -> Outcome {
    let log = output(page, "network.json");
    let dom = output(page, "dom.html");
    // A log of an earlier run would be taken for this one's.
    let _ = std::fs::remove_file(&log);
    let line = browser(page, "#count-pixels")?
        .arg(format!("--log-net-log={}", log.display()))
        .arg("--dump-dom");
    run_into(&line, &dom)?;
    let requests = requests(&read(&log)?)?;
    if !requests.is_empty() {
        return Err(format!("the browser asked for {}", requests.join(", ")));
    }
    drawn(&read(&dom)?, plots(&read(page)?)?)
}

/// Whether the page as the browser left it shows that many plots and no problem.
fn drawn(dom: &str, plots: usize) -> Outcome {
    let start = dom.find("<html").ok_or("the browser shows no page")?;
    let root = dom[start..].split('>').next().unwrap_or_default();
    if let Some(problem) = attributes(root, "data-problem").first() {
        return Err((*problem).to_owned());
    }
    let told: Option<usize> = attributes(root, "data-plots").first().and_then(|n| n.parse().ok());
    let pixels: Vec<u64> =
        attributes(dom, "data-pixels").iter().filter_map(|n| n.parse().ok()).collect();
    if plots == 0 || told != Some(plots) || pixels.len() != plots {
        let (told, count) = (told.unwrap_or(0), pixels.len());
        return Err(format!("{told} plots were drawn, on {count} canvases, instead of {plots}"));
    }
    match pixels.iter().find(|pixels| **pixels < PIXELS_MIN) {
        Some(few) => Err(format!("a plot has only {few} coloured pixels")),
        None => Ok(()),
    }
}

/// How many plots the page has numbers for.
fn plots(page: &str) -> Outcome<usize> {
    let data = page.split_once("id=\"data\">").and_then(|(_, data)| data.split_once("</script>"));
    let (data, _) = data.ok_or("the page holds no result")?;
    let data: Value = serde_json::from_str(data).map_err(|error| format!("its JSON: {error}"))?;
    data["plots"].as_array().map(Vec::len).ok_or_else(|| "its JSON has no plots".to_owned())
}

/// What the log of the network says was asked for: addresses, or else the kind of the event.
fn requests(log: &str) -> Outcome<Vec<String>> {
    let log: Value =
        serde_json::from_str(log).map_err(|error| format!("the network log: {error}"))?;
    let kinds = log["constants"]["logEventTypes"].as_object();
    let kinds = kinds.ok_or("the network log names no kinds of events")?;
    let events = log["events"].as_array().ok_or("the network log has no events")?;
    let mut found: Vec<String> = Vec::new();
    for event in events {
        let kind = kinds.iter().find(|(_, number)| **number == event["type"]);
        let kind = kind.map_or("an unknown event", |(name, _)| name.as_str());
        let address = event["params"]["url"].as_str();
        if address.is_some() || NETWORK.contains(&kind) {
            found.push(address.unwrap_or(kind).to_owned());
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Takes a screenshot and returns its bytes, once they are seen to be a picture of the right size with something on it.
fn picture(page: &Path, name: &str, scheme: u8) -> Outcome<Vec<u8>> {
    let file = output(page, &format!("{name}.png"));
    let _ = std::fs::remove_file(&file);
    let line = browser(page, "")?
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
        .arg(format!("--screenshot={}", file.display()));
    run_into(&line, &output(page, "screenshot.txt"))?;
    let bytes = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    is_picture(&bytes, WINDOW).map_err(|why| format!("{}: {why}", file.display()))?;
    println!("{name}: {} ({} bytes)", file.display(), bytes.len());
    Ok(bytes)
}

fn is_picture(bytes: &[u8], (width, height): (u32, u32)) -> Outcome {
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    if !bytes.starts_with(b"\x89PNG\r\n\x1a\n") || bytes.get(16..24) != Some(&size[..]) {
        return Err(format!("not a PNG of {width} × {height} pixels"));
    }
    let is_blank = bytes.len() < PICTURE_BYTES_MIN;
    if is_blank { Err(format!("blank: {} bytes", bytes.len())) } else { Ok(()) }
}

/// The browser on that page, without a network, for a minute at most. Its clock is its own: it runs ahead as soon as
/// there is nothing to do, so the page has ten seconds of its time and takes far less of ours.
fn browser(page: &Path, fragment: &str) -> Outcome<Line> {
    let page = page.canonicalize().map_err(|error| format!("{}: {error}", page.display()))?;
    let (width, height) = WINDOW;
    let line = format!(
        "timeout 60 {} --no-sandbox --disable-gpu --hide-scrollbars --virtual-time-budget=10000 \
         --user-data-dir={FOLDER}/profile --window-size={width},{height}",
        tools::BROWSER
    );
    let line = Line::new(&line).arg("--host-resolver-rules=MAP * ~NOTFOUND");
    Ok(line.arg(format!("file://{}{fragment}", page.display())))
}

/// Runs it with its output in a file, and its complaints about the machine in another.
fn run_into(line: &Line, file: &Path) -> Outcome {
    let create =
        |file: PathBuf| File::create(&file).map_err(|error| format!("{}: {error}", file.display()));
    let (output, complaints) =
        (create(file.to_owned())?, create(Path::new(FOLDER).join("browser.log"))?);
    let status = line.command().stdout(output).stderr(complaints).status();
    let status = status.map_err(|error| format!("cannot run `{line}`: {error}"))?;
    status.success().then_some(()).ok_or_else(|| format!("`{line}` ended with {status}"))
}

/// A file in our folder that belongs to the page.
fn output(page: &Path, ending: &str) -> PathBuf {
    let name = page.file_stem().map(|name| name.to_string_lossy().into_owned());
    let folder = page.parent().and_then(Path::file_name).map(|name| name.to_string_lossy());
    let (folder, name) = (folder.unwrap_or_default(), name.unwrap_or_default());
    Path::new(FOLDER).join(format!("{folder}-{name}-{ending}"))
}

fn read(file: &Path) -> Outcome<String> {
    std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// The values of that attribute in `html`.
fn attributes<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    let values = html.split(start.as_str()).skip(1);
    values.filter_map(|rest| rest.split('"').next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_in_the_network_log_is_named_and_an_empty_log_is_well() {
        let log = |events: &str| {
            format!(
                r#"{{"constants":{{"logEventTypes":{{"SOCKET_ALIVE":1,"A":2}}}},"events":[{events}]}}"#
            )
        };
        assert_eq!(requests(&log(r#"{"type":2},{"type":3,"params":{}}"#)).unwrap(), [""; 0]);
        assert_eq!(requests(&log(r#"{"type":1},{"type":1}"#)).unwrap(), ["SOCKET_ALIVE"]);
        let url = r#"{"type":2,"params":{"url":"http://a/"}}"#;
        assert_eq!(requests(&log(url)).unwrap(), ["http://a/"]);
        assert!(requests("{}").is_err() && requests("{\"constants\"").is_err());
    }

    #[test]
    fn a_page_is_well_with_every_plot_drawn_and_no_problem() {
        let canvases =
            |pixels: u64| format!("<canvas data-pixels=\"{pixels}\"></canvas>").repeat(2);
        let page = |root: &str, pixels| format!("<!doctype html><html{root}>{}", canvases(pixels));
        let well = " lang=\"en\" data-plots=\"2\"";
        assert!(drawn(&page(well, PIXELS_MIN), 2).is_ok());
        let bad = [
            (page(well, PIXELS_MIN - 1), 2, "coloured pixels"),
            (page(well, PIXELS_MIN), 3, "instead of 3"),
            (page(" data-plots=\"1\"", PIXELS_MIN), 2, "1 plots"),
            (page("", PIXELS_MIN), 2, "0 plots"),
            (page(" data-plots=\"2\" data-problem=\"odd\"", PIXELS_MIN), 2, "odd"),
            ("<html data-plots=\"0\">".to_owned(), 0, "instead of 0"),
            (String::new(), 2, "no page"),
        ];
        for (dom, plots, complaint) in bad {
            let why = drawn(&dom, plots).unwrap_err();
            assert!(why.contains(complaint), "{why}");
        }
    }

    #[test]
    fn a_picture_is_a_png_of_the_right_size_with_something_on_it() {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x05\0\0\0\x06".to_vec();
        bytes.resize(PICTURE_BYTES_MIN, 0);
        assert!(is_picture(&bytes, (5, 6)).is_ok());
        assert!(is_picture(&bytes, (6, 5)).is_err() && is_picture(&[], (5, 6)).is_err());
        bytes.pop();
        assert!(is_picture(&bytes, (5, 6)).unwrap_err().contains("blank"));
    }
}
