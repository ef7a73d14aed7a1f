//! The described counters: one table each for what a shard counts and for what the engine counts.
//!
//! A row is everything that is known of a counter: its variant, its kind, its unit, its name in the exposition and
//! the sentence that explains it. The exposition, the documentation and the tests read the same rows, so that a
//! counter cannot exist without a name and a help text. This file counts nothing.

/// How a value behaves over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// What a raw value counts, and so what its name ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things; no suffix.
    Things,
    /// Bytes; the name has `_bytes`.
    Bytes,
    /// Kept in microseconds, exposed in seconds; the name has `_seconds`.
    Microseconds,
    /// Seconds; the name has `_seconds`.
    Seconds,
}

/// One row of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Name in the exposition, such as `lineage_deliveries_total`.
    pub name: &'static str,
    /// A label that tells rows of the same name apart: name and value.
    pub label: Option<(&'static str, &'static str)>,
    /// One sentence; the same for all rows of a name.
    pub help: &'static str,
    /// Counter or gauge.
    pub kind: Kind,
    /// Unit of the raw value.
    pub unit: Unit,
}

impl Description {
    /// The value as it is exposed: in base units.
    #[must_use]
    pub fn exposed(&self, raw: u64) -> f64 {
        // Exact up to 2^53; the exposition format has no integers.
        let value = raw as f64;
        match self.unit {
            Unit::Things | Unit::Bytes | Unit::Seconds => value,
            Unit::Microseconds => value / 1e6,
        }
    }
}

/// Declares an enum of counters whose rows share one shape: `Variant Kind Unit "name" ("label" = "value") "help"`.
macro_rules! table {
    (
        $(#[$about:meta])*
        $table:ident {
            $($variant:ident $kind:ident $unit:ident $name:literal $(($label:literal = $value:literal))? $help:literal)*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $table {
            $(#[doc = concat!("`", $name, $("{", $label, "=\"", $value, "\"}",)? "`: ", $help)] $variant,)*
        }

        impl $table {
            /// Every row, in the order of the table; a row's place in it is its variant's number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// What is known of this counter.
            #[must_use]
            pub const fn description(self) -> Description {
                match self {
                    $(Self::$variant => Description {
                        name: $name,
                        label: table!(@label $(($label = $value))?),
                        help: $help,
                        kind: Kind::$kind,
                        unit: Unit::$unit,
                    },)*
                }
            }
        }
    };
    (@label) => { None };
    (@label ($label:literal = $value:literal)) => { Some(($label, $value)) };
}

table! {
    /// What one shard counts. Single writer: the shard's thread. Exposed with the label `shard`.
    ShardCounter {
        Connections Gauge Things "lineage_shard_connections"
            "Open connections of the shard."
        Subscribed Gauge Things "lineage_subscribed_connections"
            "Connections with at least one subscription."
        Laggards Gauge Things "lineage_laggards"
            "Connections that wait for their socket to take more bytes."
        Deliveries Counter Things "lineage_deliveries_total"
            "Events written to connections: one per event and connection."
        Bytes Counter Bytes "lineage_sent_bytes_total"
            "Bytes written to connections, frame headers included."
        Writes Counter Things "lineage_writes_total"
            "Write calls that took at least one byte."
        BlockedWrites Counter Things "lineage_blocked_writes_total"
            "Write calls that took fewer bytes than were offered."
        Gaps Counter Things "lineage_gaps_total"
            "Gap messages: one per topic that a connection missed events of."
        GapEvents Counter Things "lineage_gap_events_total"
            "Events that gap messages named as missed."
        Conflated Counter Things "lineage_conflated_events_total"
            "Events that a conflated view passed over for a newer one."
        Snapshots Counter Things "lineage_snapshots_total"
            "Last values queued for clients that subscribed."
        SnapshotsDeferred Counter Things "lineage_snapshots_deferred_total"
            "Subscribes that waited because the shard was sending as many long snapshots as it may."
        ResumesRecovered Counter Things "lineage_resumes_total" ("outcome" = "recovered")
            "Clients that asked to resume from a position."
        ResumesExpired Counter Things "lineage_resumes_total" ("outcome" = "expired")
            "Clients that asked to resume from a position."
        ResumesRestarted Counter Things "lineage_resumes_total" ("outcome" = "restart")
            "Clients that asked to resume from a position."
        ResumeEvents Gauge Things "lineage_resume_window_events"
            "Events back to the oldest position from which a client of the shard can resume."
        ResumeSpanUs Gauge Microseconds "lineage_resume_window_seconds"
            "Age of the oldest event that a client of the shard can resume from."
        Heartbeats Counter Things "lineage_heartbeats_total"
            "Heartbeats sent to v1 clients."
        Reads Counter Things "lineage_reads_total"
            "Read calls that returned at least one byte."
        MessagesIn Counter Things "lineage_messages_received_total"
            "Whole messages received from clients."
        IgnoredMessages Counter Things "lineage_messages_ignored_total"
            "Valid messages without a meaning where they arrived."
        RateLimited Counter Things "lineage_messages_rate_limited_total"
            "Control messages dropped because a client sent too many."
        EvictedStalled Counter Things "lineage_evictions_total" ("reason" = "stalled")
            "Connections that the server ended for how the client behaved or because an operator asked."
        EvictedSilent Counter Things "lineage_evictions_total" ("reason" = "silent")
            "Connections that the server ended for how the client behaved or because an operator asked."
        EvictedLagging Counter Things "lineage_evictions_total" ("reason" = "lagging")
            "Connections that the server ended for how the client behaved or because an operator asked."
        EvictedFlood Counter Things "lineage_evictions_total" ("reason" = "flood")
            "Connections that the server ended for how the client behaved or because an operator asked."
        EvictedOperator Counter Things "lineage_evictions_total" ("reason" = "operator")
            "Connections that the server ended for how the client behaved or because an operator asked."
        ClosedByPeer Counter Things "lineage_closes_total" ("reason" = "peer")
            "Connections that ended because the client left or sent what the protocol forbids."
        ClosedProtocol Counter Things "lineage_closes_total" ("reason" = "protocol")
            "Connections that ended because the client left or sent what the protocol forbids."
        ClosedUtf8 Counter Things "lineage_closes_total" ("reason" = "utf8")
            "Connections that ended because the client left or sent what the protocol forbids."
        ClosedTooBig Counter Things "lineage_closes_total" ("reason" = "too_big")
            "Connections that ended because the client left or sent what the protocol forbids."
        Pings Counter Things "lineage_pings_total"
            "Pings sent to clients."
        Parks Counter Things "lineage_shard_parks_total"
            "Times the shard went to sleep."
        Slices Counter Things "lineage_sweep_slices_total"
            "Slices of sweeps; the ring is looked at between two of them."
        Overruns Counter Things "lineage_overruns_total"
            "Times the log went on past what the shard had read."
        ControlOverflows Counter Things "lineage_control_overflows_total"
            "Connections closed because they did not take the replies they asked for, or had more subscription changes wait \
             for them than may."
    }
}

table! {
    /// What the engine counts. Several writers: one relaxed addition each.
    EngineCounter {
        Events Counter Things "lineage_messages_broadcast_total"
            "Events encoded into the log."
        EventsRefused Counter Things "lineage_events_refused_total"
            "Events that a full ring refused."
        EncodeFailures Counter Things "lineage_encode_failures_total"
            "Events skipped because encoding them failed."
        EncoderHolds Counter Things "lineage_encoder_holds_total"
            "Times a thread held the encoder role."
        HandshakesAccepted Counter Things "lineage_handshakes_accepted_total"
            "WebSocket handshakes answered with 101."
        HandshakesRefused400 Counter Things "lineage_handshakes_refused_total" ("status" = "400")
            "Requests refused at the front door, by HTTP status."
        HandshakesRefused403 Counter Things "lineage_handshakes_refused_total" ("status" = "403")
            "Requests refused at the front door, by HTTP status."
        HandshakesRefused404 Counter Things "lineage_handshakes_refused_total" ("status" = "404")
            "Requests refused at the front door, by HTTP status."
        HandshakesRefused405 Counter Things "lineage_handshakes_refused_total" ("status" = "405")
            "Requests refused at the front door, by HTTP status."
        HandshakesRefused408 Counter Things "lineage_handshakes_refused_total" ("status" = "408")
            "Requests refused at the front door, by HTTP status."
        HandshakesRefused426 Counter Things "lineage_handshakes_refused_total" ("status" = "426")
            "Requests refused at the front door, by HTTP status."
        HandshakesRefused429 Counter Things "lineage_handshakes_refused_total" ("status" = "429")
            "Requests refused at the front door, by HTTP status."
        HandshakesRefused431 Counter Things "lineage_handshakes_refused_total" ("status" = "431")
            "Requests refused at the front door, by HTTP status."
        HandshakesRefused503 Counter Things "lineage_handshakes_refused_total" ("status" = "503")
            "Requests refused at the front door, by HTTP status."
        HandshakesRefusedOther Counter Things "lineage_handshakes_refused_total" ("status" = "other")
            "Requests refused at the front door, by HTTP status."
        AcceptPaused Counter Things "lineage_accept_pauses_total"
            "Times accepting paused: too many request heads in progress, or no descriptors."
        DescriptorsExhausted Counter Things "lineage_descriptors_exhausted_total"
            "Accepts that failed for want of file descriptors."
        PublishAccepted Counter Things "lineage_publish_accepted_total"
            "Events taken over HTTP."
        PublishRejected Counter Things "lineage_publish_rejected_total"
            "Lines published over HTTP that are not events."
        PublishRefused Counter Things "lineage_publish_refused_total"
            "Publish requests turned away: not permitted, or the ring stayed full."
        HttpStreams Gauge Things "lineage_http_streams"
            "Event streams, polls and snapshots over HTTP that are being answered."
        HttpStreamsRefused Counter Things "lineage_http_streams_refused_total"
            "Requests for a stream, poll or snapshot turned away because as many were being answered as may."
        HttpRejected Counter Things "lineage_http_rejected_total"
            "Requests for a stream, poll or snapshot with a wrong parameter, a name that is none, or too many topics."
        HttpPolls Counter Things "lineage_http_polls_total"
            "Long polls taken."
        HttpFrames Counter Things "lineage_http_frames_total"
            "Events written to streams and polls over HTTP."
        HttpGaps Counter Things "lineage_http_gaps_total"
            "Gap messages written to streams and polls over HTTP."
        HttpStalled Counter Things "lineage_http_stalled_total"
            "HTTP connections reset because a stream's reader took nothing for too long."
        TapMissed Counter Things "lineage_tap_missed_events_total"
            "Events that a full tap missed."
        SourceEvents Counter Things "lineage_source_events_total"
            "Events published by sources."
        SourceBadLines Counter Things "lineage_source_bad_lines_total"
            "Lines of recordings and feeds that are not events."
        SourcePacingErrorUs Gauge Microseconds "lineage_source_pacing_error_max_seconds"
            "Largest delay of a source behind its own timetable since the start."
        TopicsRefused Counter Things "lineage_topics_refused_total"
            "Topics that could not be registered."
        FramesTooLarge Counter Things "lineage_frames_too_large_total"
            "Events refused because their frame would be too large."
    }
}

impl EngineCounter {
    /// The counter of requests refused with this HTTP status.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            400 => Self::HandshakesRefused400,
            403 => Self::HandshakesRefused403,
            404 => Self::HandshakesRefused404,
            405 => Self::HandshakesRefused405,
            408 => Self::HandshakesRefused408,
            426 => Self::HandshakesRefused426,
            429 => Self::HandshakesRefused429,
            431 => Self::HandshakesRefused431,
            503 => Self::HandshakesRefused503,
            _ => Self::HandshakesRefusedOther,
        }
    }
}
