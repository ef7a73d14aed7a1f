//! `loadtest serve`: an engine in this process that publishes the schedule by itself, without HTTP in between.
//!
//! The one place that links the engine, and only with the feature `engine`: it is the other side of a run, and shares
//! with the clients nothing but the schedule and the payload's form.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use lineage::Engine;
use lineage::config::{Config, SourceChoice};
use lineage::encode::Publisher;
use lineage::event::{Body, Class, Event, Json, Topic};

use crate::measure::system::thread_cpu_s;
use crate::publish::{PayloadWriter, PublishPlan, Published, Schedule};

/// Longest sleep, so that a stop is noticed.
const SLEEP_MAX: Duration = Duration::from_millis(20);
/// How long the engine may take to write out what was published, and its clients to leave.
const DRAIN: Duration = Duration::from_secs(5);

/// What is served.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where clients connect.
    pub ws: SocketAddr,
    /// Publishing begins when so many have subscribed.
    pub start_at_clients: u64,
    /// What is published.
    pub publish: PublishPlan,
}

/// Serves until the schedule is over and the clients have left, or `is_stopped`. Blocks.
///
/// # Errors
/// When the engine cannot start, or the schedule cannot be read.
pub fn serve(options: &ServeOptions, is_stopped: &dyn Fn() -> bool) -> Result<Published, String> {
    let config = Config {
        ws: options.ws,
        http: None,
        metrics: None,
        source: SourceChoice::None,
        ..Config::default()
    };
    let engine = Engine::start(config).map_err(|error| error.to_string())?;
    while !engine.wait_for_clients(options.start_at_clients, SLEEP_MAX) {
        if is_stopped() {
            return Ok(Published::default());
        }
    }
    let mut published = publish(&engine, &options.publish, is_stopped)?;
    let until = Instant::now() + DRAIN;
    while engine.wait_for_clients(1, Duration::ZERO) && Instant::now() < until && !is_stopped() {
        thread::sleep(SLEEP_MAX);
    }
    published.accepted = published.due - published.dropped;
    Ok(published)
}

fn publish(
    engine: &Engine,
    plan: &PublishPlan,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Published, String> {
    let topic = |name: &String| {
        engine.topic(name, Class::Event).map_err(|error| format!("topic {name:?}: {error:?}"))
    };
    let topics = plan.topics.iter().map(topic).collect::<Result<Vec<Topic>, String>>()?;
    let mut publisher = engine.publisher().map_err(|error| error.to_string())?;
    let writer = PayloadWriter::new(&plan.topics, plan.has_checksum);
    let mut schedule = Schedule::new(plan)?.peekable();
    let mut published = Published::default();
    let (begun, begun_ns, cpu_s) = (Instant::now(), engine.clock().now_ns(), thread_cpu_s());
    let mut batch = Vec::new();
    while !is_stopped() {
        let elapsed_ns = nanos(begun.elapsed());
        while let Some(due) =
            schedule.next_if(|due| due.as_ref().is_ok_and(|due| due.at_ns <= elapsed_ns))
        {
            let due = due?;
            published.due += 1;
            let (due_ns, sent_ns) = (begun_ns + due.at_ns, begun_ns + nanos(begun.elapsed()));
            published.delay.record((sent_ns - due_ns) / 1_000);
            let mut payload = Vec::with_capacity(due.size);
            writer.payload(&mut payload, due.size, published.due, (due_ns, sent_ns));
            let body = Body::External(Json::vouched(payload.into()));
            *published.per_topic.entry(plan.topics[due.topic].clone()).or_default() += 1;
            batch.push(Event { topic: topics[due.topic], key: 0, time_us: sent_ns / 1_000, body });
        }
        send(&mut publisher, &mut batch);
        let next_ns = match schedule.peek() {
            Some(Ok(due)) => due.at_ns,
            Some(Err(error)) => return Err(error.clone()),
            None => break,
        };
        let wait = Duration::from_nanos(next_ns.saturating_sub(nanos(begun.elapsed())));
        thread::sleep(wait.min(SLEEP_MAX));
    }
    published.seconds = begun.elapsed().as_secs_f64();
    published.cpu_s = thread_cpu_s() - cpu_s;
    Ok(published)
}

/// Everything goes in, however long the ring is full.
fn send(publisher: &mut Publisher, batch: &mut Vec<Event>) {
    while !batch.is_empty() {
        if publisher.publish_batch(batch) == 0 {
            thread::yield_now();
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
