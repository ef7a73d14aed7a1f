//! What the store lends to those who keep candles and alerts in memory: the older ones, in their own types.
//!
//! Each call is a query and waits for the disk. Never: writes, or keeps anything.

use super::reader::Reader;
use super::rows::{Alert, Candle};
use crate::event::{
    self, AlertHistory, AlertRecord, AlertState, Bar, Interval, OlderCandles, Severity,
};

impl OlderCandles for Reader {
    fn older(
        &self,
        symbol: &str,
        interval: Interval,
        from_ms: Option<u64>,
        before_ms: u64,
        limit: usize,
    ) -> Result<Vec<Bar>, String> {
        let found = self.candles_before(symbol, interval.word(), from_ms, before_ms, limit);
        Ok(found.map_err(|error| error.to_string())?.iter().map(bar).collect())
    }
}

impl AlertHistory for Reader {
    fn alerts_before(&self, before_us: u64, limit: usize) -> Result<Vec<AlertRecord>, String> {
        let found = Self::alerts_before(self, before_us, limit);
        found.map_err(|error| error.to_string())?.iter().rev().map(|row| self.record(row)).collect()
    }

    fn firing(&self) -> Result<Vec<AlertRecord>, String> {
        let found = Self::firing(self).map_err(|error| error.to_string())?;
        found.iter().map(|row| self.record(row)).collect()
    }
}

impl Reader {
    fn record(&self, row: &Alert) -> Result<AlertRecord, String> {
        let unknown = |word: &str| {
            self.error(&format!("{word:?} is no state or severity of an alert")).to_string()
        };
        let state = AlertState::parse(&row.state).ok_or_else(|| unknown(&row.state))?;
        let severity = Severity::parse(&row.severity).ok_or_else(|| unknown(&row.severity))?;
        let alert = event::Alert {
            rule: (&*row.rule).into(),
            state,
            severity,
            subject: (&*row.subject).into(),
            value: row.value,
            threshold: row.threshold,
            since_ms: row.since_ms,
        };
        Ok(AlertRecord { us: row.time_us, alert })
    }
}

fn bar(row: &Candle) -> Bar {
    Bar {
        open_time_ms: row.open_time_ms,
        open: row.open,
        high: row.high,
        low: row.low,
        close: row.close,
        volume: row.volume,
        taker_buy_volume: row.taker_buy_volume,
        trades: row.trades,
        is_final: row.is_final,
    }
}
