//! What is measured: clients, how events are published, for how long.

/// One setting of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// What `--only` calls it.
    pub(crate) name: &'static str,
    /// How events come, as the table says it.
    events: &'static str,
    /// Connected clients.
    pub(crate) clients: u32,
    /// How events come.
    pub(crate) load: Load,
    /// Seconds that are measured.
    pub(crate) seconds: u32,
}

/// How events come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// At most `window` events beyond what has arrived everywhere, `burst` published at a time. `raw_burst` is what
    /// rawfan writes at a time: 0 lets it merge whatever is due.
    Closed { window: u32, burst: u32, raw_burst: u32 },
    /// So many events per second, each stamped with the time it was due; rawfan merges whatever is due.
    Open { rate: u32 },
    /// None: memory of connected clients, and the handshakes, so many of them at a time.
    Idle { inflight: u32 },
}

const fn closed(window: u32, burst: u32, raw_burst: u32) -> Load {
    Load::Closed { window, burst, raw_burst }
}

const fn setting(
    name: &'static str,
    events: &'static str,
    clients: u32,
    load: Load,
    seconds: u32,
) -> Setting {
    Setting { name, events, clients, load, seconds }
}

/// All settings, in the order of the table.
pub(crate) const SETTINGS: &[Setting] = &[
    setting("single", "one event per write", 1_000, closed(1, 1, 1), 3),
    setting("flight-16", "16 in flight", 1_000, closed(16, 1, 0), 3),
    setting("bursts-64", "bursts of 64", 1_000, closed(128, 64, 64), 3),
    setting("single-10k", "one event per write", 10_000, closed(1, 1, 1), 5),
    setting("flight-8-10k", "8 in flight", 10_000, closed(8, 1, 0), 5),
    setting("open-500", "500 events/s", 1_000, Load::Open { rate: 500 }, 5),
    setting("open-2000", "2,000 events/s", 1_000, Load::Open { rate: 2_000 }, 5),
    setting("open-100-100", "100 events/s", 100, Load::Open { rate: 100 }, 5),
    setting("open-10-1k", "10 events/s", 1_000, Load::Open { rate: 10 }, 8),
    setting("open-1-10k", "1 event/s", 10_000, Load::Open { rate: 1 }, 12),
    setting("idle-128", "idle, 128 handshakes at a time", 10_000, Load::Idle { inflight: 128 }, 1),
    setting(
        "idle-2000",
        "idle, 2,000 handshakes at a time",
        10_000,
        Load::Idle { inflight: 2_000 },
        1,
    ),
];

impl Setting {
    /// What the table calls it, such as `1,000 clients, 16 in flight`.
    pub(crate) fn title(&self) -> String {
        let (thousands, rest) = (self.clients / 1_000, self.clients % 1_000);
        let clients = match thousands {
            0 => rest.to_string(),
            _ => format!("{thousands},{rest:03}"),
        };
        format!("{clients} clients, {}", self.events)
    }

    /// Whether it measures memory and handshakes rather than delivery.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.load, Load::Idle { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_has_the_number_of_clients() {
        let of = |clients| Setting { clients, ..SETTINGS[1] }.title();
        assert_eq!(of(999), "999 clients, 16 in flight");
        assert_eq!(of(1_000), "1,000 clients, 16 in flight");
        assert_eq!(of(10_016), "10,016 clients, 16 in flight");
    }

    #[test]
    fn names_are_unique() {
        for (at, setting) in SETTINGS.iter().enumerate() {
            assert!(
                SETTINGS[..at].iter().all(|other| other.name != setting.name),
                "{}",
                setting.name
            );
        }
    }
}
