//! From settings to a plan: defaults, and every check that needs no server.

use std::net::ToSocketAddrs as _;
use std::time::Duration;

use super::{CLIENTS_MAX, Dialect, Faults, Plan, Storm, Target};
use crate::publish::{PublishPlan, Shape, Size};
use crate::settings::{Bytes, Preset, Rate, Settings, Share, TOPICS_MAX, Template, Time, Via};
use crate::wire::fields::FieldNames;

/// Where Lineage listens for WebSocket clients, unless told otherwise.
const DEFAULT_HOST: &str = "127.0.0.1:9001";
/// The port of its publish API.
const PUBLISH_PORT: u16 = 8000;
/// How long a client that leaves in turn stays, at least, and a client that is reset in turn.
const TURN_S: f64 = 5.0;
/// Events that are followed from the first to the last client, about.
const SKEW_EVENTS: f64 = 2_000.0;
/// Largest payload that is published.
const SIZE_MAX: u64 = 1 << 20;

pub(super) fn plan(scenario: &str, settings: &Settings) -> Result<Plan, String> {
    let targets = targets(settings)?;
    let dialect = dialect(settings, &targets)?;
    check_topics(settings, dialect, &targets)?;
    let clients = settings.clients.map_or(1, |count| count.0);
    let faults = faults(settings, clients)?;
    let connections = clients.saturating_add(faults.half_open);
    if clients == 0 || connections > CLIENTS_MAX {
        return Err(format!("1 to {CLIENTS_MAX} clients, not {connections}"));
    }
    if settings.connect_rate.is_some_and(|rate| rate.0 <= 0.0) {
        return Err("at a connect rate of 0 nobody ever connects".to_owned());
    }
    let time = |time: Option<Time>, default| time.map_or(default, |time| time.0);
    let is_publishing = is_publishing(settings);
    let settle = if is_publishing { Duration::from_secs(1) } else { Duration::ZERO };
    let mut plan = Plan {
        scenario: scenario.to_owned(),
        targets,
        dialect,
        fields: fields(settings, dialect),
        subscribe: settings.subscribe.clone(),
        snapshot: settings.snapshot,
        message: settings.message.clone(),
        clients,
        faults,
        storm: storm(settings, clients)?,
        resume: settings.resume.unwrap_or(false),
        has_checksum: settings.checksum.unwrap_or(false),
        connect_rate: settings.connect_rate.map(|rate| rate.0),
        workers: workers(settings.workers.as_ref().map(|word| word.0.as_str()))?,
        duration: time(settings.duration, Duration::from_secs(10)),
        settle: time(settings.settle, settle),
        drain: time(settings.drain, Duration::from_secs(5)),
        expect_each: settings.expect_each.map(|count| count.0),
        expect_events: settings.expect_events.map(|count| count.0),
        skew_every: 16,
        publish: Vec::new(),
        spawn: settings.spawn.unwrap_or(false),
    };
    if is_publishing {
        plan.publish = publish(settings, &plan)?;
        plan.skew_every = skew_every(&plan);
    }
    Ok(plan)
}

fn is_publishing(settings: &Settings) -> bool {
    match settings.publish {
        Some(via) => via == Via::Http,
        None => settings.rate.is_some() || settings.shape.is_some(),
    }
}

fn targets(settings: &Settings) -> Result<Vec<Target>, String> {
    let path = match settings.preset {
        None | Some(Preset::V1) => "/v1",
        Some(Preset::Firehose | Preset::Raw) => "/",
        Some(Preset::Chain) => "/api/v11/live/stream",
        Some(Preset::Hub) => "/ws",
    };
    if settings.url.is_empty() {
        return Ok(vec![target(&format!("ws://{DEFAULT_HOST}{path}"))?]);
    }
    let with_path = |url: &String| match url.strip_prefix("ws://") {
        Some(rest) if !rest.contains('/') && settings.preset.is_some() => {
            target(&format!("{url}{path}"))
        }
        _ => target(url),
    };
    settings.url.iter().map(with_path).collect()
}

fn target(url: &str) -> Result<Target, String> {
    let rest = url
        .strip_prefix("ws://")
        .ok_or_else(|| format!("{url:?} is not a ws:// URL (TLS is not measured here)"))?;
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let host = with_port(authority, 80);
    let addresses =
        host.to_socket_addrs().map_err(|error| format!("cannot resolve {host:?}: {error}"))?;
    let address = addresses.into_iter().next().ok_or_else(|| format!("{host:?} has no address"))?;
    Ok(Target { url: url.to_owned(), address, host, path })
}

fn with_port(authority: &str, port: u16) -> String {
    if authority.rsplit(']').next().is_some_and(|tail| tail.contains(':')) {
        authority.to_owned()
    } else {
        format!("{authority}:{port}")
    }
}

fn dialect(settings: &Settings, targets: &[Target]) -> Result<Dialect, String> {
    let of = |target: &Target| match settings.preset {
        Some(Preset::V1) => Dialect::V1,
        Some(_) => Dialect::Fields,
        None if target.path.split('?').next() == Some("/v1") => Dialect::V1,
        None => Dialect::Fields,
    };
    let first = of(&targets[0]);
    if targets.iter().any(|target| of(target) != first) {
        return Err("all --url must speak the same protocol".to_owned());
    }
    Ok(first)
}

fn check_topics(settings: &Settings, dialect: Dialect, targets: &[Target]) -> Result<(), String> {
    if dialect == Dialect::V1 && settings.subscribe.is_empty() {
        return Err("a client of /v1 gets nothing without --subscribe TOPIC".to_owned());
    }
    if dialect == Dialect::Fields && !settings.subscribe.is_empty() {
        let path = &targets[0].path;
        return Err(format!(
            "--subscribe needs a /v1 URL, not {path:?}; --message sends any text to other servers"
        ));
    }
    for text in settings.subscribe.iter().chain(&settings.topic) {
        Template::parse(text)?;
    }
    if let Some(star) = settings.topic.iter().find(|topic| topic.contains('*')) {
        return Err(format!("{star:?} cannot be published to: a pattern is no topic"));
    }
    Ok(())
}

fn fields(settings: &Settings, dialect: Dialect) -> FieldNames {
    let is_named = settings.time_field.is_some();
    let default = (dialect == Dialect::V1 || settings.preset == Some(Preset::Raw)) && !is_named;
    FieldNames {
        time: settings.time_field.clone().or_else(|| default.then(|| "ts".to_owned())),
        time_unit: settings.time_unit.unwrap_or_default(),
        sent: settings.sent_field.clone(),
        seq: settings.seq_field.clone(),
        topic: settings.topic_field.clone(),
    }
}

fn workers(text: Option<&str>) -> Result<Option<u64>, String> {
    match text {
        None | Some("auto") => Ok(None),
        Some(text) => match text.parse() {
            Ok(count @ 1..=64) => Ok(Some(count)),
            _ => Err(format!("--workers {text:?}: a number from 1 to 64, or auto")),
        },
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers of clients, from rates that are not negative"
)]
fn faults(settings: &Settings, clients: u64) -> Result<Faults, String> {
    let slow = settings.slow.as_deref().map(slow).transpose()?;
    let (slow, slow_bytes_per_s) = slow.map_or((0, 0), |(share, bytes)| (share.of(clients), bytes));
    let stall = settings.stall.map_or(0, |share| share.of(clients));
    let churn_per_s = settings.churn.as_ref().map_or(Ok(0.0), |word| churn(&word.0, clients))?;
    let rst_per_s = settings.rst.map_or(0.0, |rate| rate.0);
    // So many that each stays for a while between its turns.
    let group = |per_s: f64| match (per_s * TURN_S).ceil() as u64 {
        0 => 0,
        many => many.min(clients / 4).max(1),
    };
    let faults = Faults {
        slow,
        slow_bytes_per_s,
        stall,
        rst: group(rst_per_s),
        rst_per_s,
        churn: group(churn_per_s),
        churn_per_s,
        half_open: settings.half_open.map_or(0, |count| count.0),
    };
    let bad = faults.slow + faults.stall + faults.rst + faults.churn;
    if bad > 0 && bad >= clients {
        return Err(format!(
            "{bad} clients with faults leave none of {clients} to be judged strictly"
        ));
    }
    Ok(faults)
}

/// Which clients, and how many bytes per second each reads.
fn slow(text: &str) -> Result<(Share, u64), String> {
    let parts = text.strip_suffix("/s").unwrap_or(text).split_once('@');
    let parsed = parts.and_then(|(share, bytes)| {
        let bytes = bytes.parse::<Bytes>().ok().filter(|bytes| bytes.0 > 0)?;
        Some((share.parse().ok()?, bytes.0))
    });
    parsed.ok_or_else(|| format!("--slow {text:?} is not such as 1%@64KiB/s"))
}

fn churn(text: &str, clients: u64) -> Result<f64, String> {
    let wrong = || format!("--churn {text:?} is not such as 1%/s or 5/s");
    let rate = text.strip_suffix("/s").unwrap_or(text);
    match rate.strip_suffix('%') {
        Some(percent) => {
            let percent: Rate = percent.parse().map_err(|_| wrong())?;
            #[expect(clippy::cast_precision_loss, reason = "a number of clients, far below 2^53")]
            Ok(percent.0 / 100.0 * clients as f64)
        }
        None => rate.parse::<Rate>().map(|rate| rate.0).map_err(|_| wrong()),
    }
}

fn storm(settings: &Settings, clients: u64) -> Result<Option<Storm>, String> {
    let Some(text) = &settings.storm else {
        return Ok(None);
    };
    let parsed = text.split_once('@').and_then(|(share, at)| {
        let at = at.parse::<Time>().ok()?.0;
        Some(Storm { clients: share.parse::<Share>().ok()?.of(clients), at })
    });
    parsed.map(Some).ok_or_else(|| format!("--storm {text:?} is not such as 50%@10s"))
}

fn publish(settings: &Settings, plan: &Plan) -> Result<Vec<PublishPlan>, String> {
    let topics = topics(settings)?;
    let (shape, size) = (shape(settings)?, size(settings)?);
    if !settings.publish_url.is_empty() && settings.publish_url.len() != plan.targets.len() {
        return Err("as many --publish-url as --url, or none".to_owned());
    }
    let one = |(at, target): (usize, &Target)| {
        let (host, path) = match settings.publish_url.get(at) {
            Some(url) => publish_target(url)?,
            None => (format!("{}:{PUBLISH_PORT}", name_of(&target.host)), "/v1/publish".to_owned()),
        };
        Ok(PublishPlan {
            host,
            path,
            token: settings.token.clone(),
            topics: topics.clone(),
            shape: shape.clone(),
            size: size.clone(),
            has_checksum: plan.has_checksum,
            duration: plan.publish_time(),
            seed: settings.seed.unwrap_or(1),
        })
    };
    plan.targets.iter().enumerate().map(one).collect()
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

fn publish_target(url: &str) -> Result<(String, String), String> {
    let rest =
        url.strip_prefix("http://").ok_or_else(|| format!("{url:?} is not an http:// URL"))?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/v1/publish"),
    };
    Ok((with_port(authority, 80), path.to_owned()))
}

fn topics(settings: &Settings) -> Result<Vec<String>, String> {
    let templates = if settings.topic.is_empty() { &settings.subscribe } else { &settings.topic };
    let mut all = Vec::new();
    for text in templates {
        let is_same_for_all = !text.contains('*') && !text.contains("{i") && !text.contains('/');
        if settings.topic.is_empty() && !is_same_for_all {
            return Err(format!(
                "what {text:?} stands for cannot be published to: name it with --topic"
            ));
        }
        all.extend(Template::parse(text)?.expand(0));
    }
    if all.is_empty() || all.len() as u64 > TOPICS_MAX {
        return Err(format!("1 to {TOPICS_MAX} topics to publish to (--topic), not {}", all.len()));
    }
    Ok(all)
}

fn shape(settings: &Settings) -> Result<Shape, String> {
    let text = settings.shape.as_deref().unwrap_or("constant");
    let rate = settings.rate.map(|rate| rate.0);
    let needed = || {
        let rate = rate.filter(|rate| *rate > 0.0);
        rate.ok_or_else(|| format!("--shape {text} needs a --rate above 0"))
    };
    match text.split_once(':') {
        None if text == "constant" => Ok(Shape::Constant { rate: needed()? }),
        None if text == "recorded" => Ok(Shape::Recorded { rate }),
        Some(("burst", count)) => match count.parse() {
            Ok(burst @ 1..) => Ok(Shape::Burst { rate: needed()?, burst }),
            _ => Err(format!("--shape {text:?}: a burst has at least 1 event")),
        },
        Some(("replay", path)) => Ok(Shape::Replay { path: path.into(), speed: 1.0 }),
        _ => Err(format!("--shape {text:?}; known are constant, burst:N, recorded, replay:FILE")),
    }
}

fn size(settings: &Settings) -> Result<Size, String> {
    let default = if settings.shape.as_deref().is_some_and(|shape| shape.starts_with("replay:")) {
        "recorded"
    } else {
        "256"
    };
    match settings.size.as_ref().map_or(default, |word| word.0.as_str()) {
        "recorded" => Ok(Size::Recorded),
        text => match text.parse::<Bytes>() {
            Ok(Bytes(bytes @ 1..=SIZE_MAX)) => {
                Ok(Size::Bytes(usize::try_from(bytes).map_err(|error| error.to_string())?))
            }
            Ok(_) => Err(format!("--size {text}: 1 byte to 1 MiB, or recorded")),
            Err(error) => Err(format!("--size: {error}, or recorded")),
        },
    }
}

/// So that about [`SKEW_EVENTS`] events are followed.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a quotient of positive numbers, cut to 2^20"
)]
fn skew_every(plan: &Plan) -> u64 {
    let rate = match plan.publish.first().map(|publish| &publish.shape) {
        Some(Shape::Constant { rate } | Shape::Burst { rate, .. }) => *rate,
        Some(Shape::Recorded { rate }) => rate.unwrap_or(1_000.0),
        Some(Shape::Replay { .. }) | None => 1_000.0,
    };
    let events = rate * plan.publish_time().as_secs_f64();
    (events / SKEW_EVENTS).clamp(1.0, f64::from(1 << 20)) as u64
}
