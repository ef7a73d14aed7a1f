//! What the shared parts of an engine lend to its shards and to its HTTP surfaces.

use super::{Parts, pages};
use crate::config::Config;
use crate::http;
use crate::http::publish::{self, Door, PublishAccess};
use crate::session::Limits;
use crate::shard::{self, Floors, Handler, PublishRight, Setup};
use crate::source::replay::ReplayReport;
use crate::telemetry::{EngineCounter, Probe};
use crate::wake::Wake;
use std::sync::Arc;

/// What v1 clients are held to.
pub(super) fn limits(config: &Config) -> Limits {
    Limits {
        message_bytes: config.v1_message_bytes_max,
        topics: config.topics_per_connection_max,
        messages_per_s: u64::from(config.control_rate),
        burst: u64::from(config.control_burst),
        ping_s: config.ping_interval.as_secs(),
        heartbeat_s: config.heartbeat_interval.as_secs(),
        ..Limits::default()
    }
}

impl Parts {
    pub(super) fn setup(
        &self,
        index: usize,
        floors: &Arc<Floors>,
        handler: Option<Arc<dyn Handler>>,
    ) -> Setup<std::net::TcpStream> {
        Setup {
            index,
            options: self.shard_options(),
            encoder: self.encoder.clone(),
            values: self.values.clone(),
            dispatch: self.dispatch.clone(),
            publisher: self.shared_publisher(),
            telemetry: self.telemetry.shard(index),
            totals: self.telemetry.clone(),
            clock: self.clock.clone(),
            epoch: self.epoch.clone(),
            served: self.served.clone(),
            floors: floors.clone(),
            handler,
        }
    }

    fn shard_options(&self) -> shard::Options {
        let config = &self.config;
        shard::Options {
            lag_bytes_max: config.lag_bytes_max,
            lag_age_max: config.lag_age_max,
            write_stall_max: config.write_stall_max,
            ping_interval: config.ping_interval,
            silence_max: config.silence_max,
            message_bytes_max: config.message_bytes_max,
            coalesce: config.coalesce,
            snapshots_max: config.snapshots_at_once,
            limits: limits(config),
            publish: match config.publish {
                PublishAccess::Loopback => PublishRight::Loopback,
                PublishAccess::Off | PublishAccess::Token(_) => PublishRight::Nobody,
            },
            ..shard::Options::default()
        }
    }

    pub(super) fn http_context(&self) -> http::Context {
        let parts = self.clone();
        let telemetry = self.telemetry.clone();
        let door = publish::Parts {
            intake: self.shared_publisher(),
            topics: self.topics.clone(),
            clock: self.clock.clone(),
            gate: self.gate.clone(),
            head: Box::new(move || telemetry.value(EngineCounter::Events)),
            telemetry: self.telemetry.clone(),
        };
        let options = publish::Options {
            access: self.config.publish.clone(),
            event_bytes_max: self.config.event_bytes_max,
            patience: self.config.publish_patience,
            pace_patience: self.config.publish_pace_patience,
            ..publish::Options::default()
        };
        let mut routes = self.systems.routes();
        routes.extend(pages::routes(self.encoder.clone(), self.values.clone()));
        http::Context {
            telemetry: self.telemetry.clone(),
            health: Box::new(move || parts.health()),
            door: Door::new(door, options),
            shards: http::Shards::new(self.dispatch.clone()),
            gateway: http::Gateway::new(routes, self.clock.clone(), self.systems.figures().clone()),
            streams: self.streams.clone(),
        }
    }

    /// What a scrape reads beside the counters. It holds the encoder, which holds the telemetry: the engine takes
    /// the probe back when it ends.
    pub(super) fn probe(
        &self,
        wake: &Arc<Wake>,
        [fd_limit, connections_max]: [u64; 2],
        report: Option<Arc<ReplayReport>>,
    ) -> Box<dyn Fn() -> Probe + Send + Sync> {
        let (intake, encoder, topics, wake) =
            (self.intake.clone(), self.encoder.clone(), self.topics.clone(), wake.clone());
        let telemetry = Arc::downgrade(&self.telemetry);
        Box::new(move || {
            let mut log_head = 0;
            if let Some(telemetry) = telemetry.upgrade() {
                log_head = telemetry.value(EngineCounter::Events);
                if let Some(report) = &report {
                    telemetry.raise_to(EngineCounter::SourceBadLines, report.bad_lines());
                    let error_us = report.pacing_error().max_us;
                    telemetry.raise_to(EngineCounter::SourcePacingErrorUs, error_us);
                }
            }
            Probe {
                ring_depth: intake.depth(),
                ring_capacity: intake.capacity() as u64,
                wakes: wake.wakes(),
                log_head,
                log_bytes: encoder.head_bytes(),
                topics: topics.len() as u64,
                fd_limit,
                connections_max,
            }
        })
    }
}
