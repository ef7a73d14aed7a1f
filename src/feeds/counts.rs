//! What a normaliser has done: counted by kind, and what it refused by reason.
//!
//! The counters are the exposition's own, so that the metrics page and the tests read the same numbers. Counting costs
//! an atomic addition.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, Opts};

/// Why a frame was refused. One frame has one reason: the first that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Its topic is of no known feed, kind or form.
    Topic,
    /// It is longer than the limit.
    TooLong,
    /// It is not one JSON value in UTF-8.
    NotJson,
    /// It is JSON without the members, or with other types, than such a frame has.
    Shape,
    /// A price, quantity or id is no number, or none that can be kept exactly.
    Number,
    /// A price or quantity is negative, or zero where that cannot be.
    Sign,
    /// A time is none, or lies outside the years 1970 to 9999.
    Time,
    /// There are more symbols than the limit.
    Symbols,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 8] = [
        Self::Topic,
        Self::TooLong,
        Self::NotJson,
        Self::Shape,
        Self::Number,
        Self::Sign,
        Self::Time,
        Self::Symbols,
    ];

    /// The word in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::TooLong => "too_long",
            Self::NotJson => "not_json",
            Self::Shape => "shape",
            Self::Number => "number",
            Self::Sign => "sign",
            Self::Time => "time",
            Self::Symbols => "symbols",
        }
    }
}

macro_rules! counts {
    ($($field:ident $name:literal $help:literal)*) => {
        /// The counts of one normaliser; shared, and readable from any thread.
        #[derive(Debug, Clone)]
        pub struct Counts {
            $(#[doc = concat!("`", $name, "`: ", $help)] pub $field: IntCounter,)*
            refused: IntCounterVec,
            by_reason: [IntCounter; Reason::ALL.len()],
        }

        impl Counts {
            /// All zero.
            pub(super) fn new() -> Self {
                let help = "Frames of feeds that were not understood, by reason.";
                let refused = IntCounterVec::new(Opts::new(REFUSED_NAME, help), &["reason"])
                    .expect("the name is one that the exposition allows");
                $(let $field = IntCounter::new($name, $help)
                    .expect("the name is one that the exposition allows");)*
                let by_reason = Reason::ALL.map(|reason| refused.with_label_values(&[reason.name()]));
                Self { $($field,)* refused, by_reason }
            }

            /// The counters, to be registered with the exposition.
            #[must_use]
            pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
                vec![$(Box::new(self.$field.clone()),)* Box::new(self.refused.clone())]
            }
        }
    };
}

const REFUSED_NAME: &str = "lineage_feed_frames_refused_total";

counts! {
    trades "lineage_feed_trades_total" "Trades read from feeds."
    quotes "lineage_feed_quotes_total" "Quotes read from feeds."
    books "lineage_feed_books_total" "Changes of the published top of rebuilt order books."
    ignored "lineage_feed_frames_ignored_total" "Frames of feeds that are understood but of no use: acknowledgements, past trades, books that are not rebuilt."
    gaps "lineage_feed_book_gaps_total" "Breaks in the chain of an order book's changes."
    resyncs "lineage_feed_book_resyncs_total" "Order books that a snapshot made whole again after a gap."
    diffs_applied "lineage_feed_book_diffs_applied_total" "Changes that went into an order book."
    diffs_dropped "lineage_feed_book_diffs_dropped_total" "Changes that were older than the order book's snapshot, or repeated."
    diffs_lost "lineage_feed_book_diffs_lost_total" "Changes that waited for a snapshot and made room for newer ones at the limit."
    levels_cut "lineage_feed_book_levels_cut_total" "Price levels far from the best that were cut off at the limit."
}

impl Counts {
    /// Frames refused for `reason`.
    #[must_use]
    pub fn refused(&self, reason: Reason) -> u64 {
        self.by_reason[reason as usize].get()
    }

    /// Frames refused for any reason.
    #[must_use]
    pub fn refused_in_all(&self) -> u64 {
        self.by_reason.iter().map(IntCounter::get).sum()
    }

    pub(super) fn refuse(&self, reason: Reason) {
        self.by_reason[reason as usize].inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_can_be_registered_once_and_every_reason_is_seen_at_zero() {
        let counts = Counts::new();
        let registry = prometheus::Registry::new();
        for collector in counts.collectors() {
            registry.register(collector).unwrap();
        }
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!((reason as usize, counts.refused(reason)), (at, 0));
            counts.refuse(reason);
            assert_eq!(counts.refused(reason), 1, "{reason:?}");
        }
        assert_eq!(counts.refused_in_all(), 8);
        let families = registry.gather();
        let refused = families.iter().find(|family| family.name() == REFUSED_NAME).unwrap();
        assert_eq!(refused.get_metric().len(), Reason::ALL.len());
    }
}
