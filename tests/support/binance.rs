//! Recordings in the shape of Binance's streams, made up by a seed: the same seed gives the same lines.
//!
//! The proportions follow what a busy minute of such a feed looks like: mostly quotes, some trades, a diff of the
//! book every 100 ms, one REST snapshot near the start, quiet stretches, and bursts of hundreds of frames within
//! 10 ms. Nothing here is real data.

/// How many lines of each kind a recording holds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) trade: u64,
    pub(crate) quote: u64,
    pub(crate) depth: u64,
    pub(crate) snapshot: u64,
}

/// A made-up recording.
#[derive(Debug)]
pub(crate) struct Recording {
    /// Receive time (ns) and frame.
    pub(crate) lines: Vec<(u64, String)>,
    pub(crate) counts: Counts,
}

impl Recording {
    /// The file's bytes.
    pub(crate) fn text(&self) -> Vec<u8> {
        self.lines
            .iter()
            .flat_map(|(at_ns, frame)| format!("{at_ns} {frame}\n").into_bytes())
            .collect()
    }
}

/// `lines` lines of one symbol, written as its streams name it (`btcusdt`).
pub(crate) fn recording(seed: u64, symbol: &str, lines: usize) -> Recording {
    let mut random = Random(seed.wrapping_mul(2).wrapping_add(1));
    let mut made = Recording { lines: Vec::with_capacity(lines), counts: Counts::default() };
    let mut now_ns = 1_700_000_000_000_000_000;
    let mut burst_left = 0;
    for id in 0..lines as u64 {
        if burst_left == 0 && random.below(500) == 0 {
            burst_left = 200 + random.below(320);
        }
        now_ns += match burst_left {
            0 => 100_000 + random.below(20_000_000),
            // 520 frames within 10 ms.
            _ => random.below(19_000),
        };
        burst_left = u64::saturating_sub(burst_left, 1);
        let frame = match random.below(100) {
            _ if id == 7 => {
                made.counts.snapshot += 1;
                snapshot(&mut random, id)
            }
            0..=7 => {
                made.counts.depth += 1;
                let levels = if random.below(50) == 0 { 400 } else { 1 + random.below(30) };
                depth(&mut random, symbol, id, levels)
            }
            8..=31 => {
                made.counts.trade += 1;
                trade(&mut random, symbol, id)
            }
            _ => {
                made.counts.quote += 1;
                quote(&mut random, symbol, id)
            }
        };
        made.lines.push((now_ns, frame));
    }
    made
}

/// A trade.
pub(crate) fn trade(random: &mut Random, symbol: &str, id: u64) -> String {
    let (price, quantity, upper) = (random.price(), random.quantity(), symbol.to_uppercase());
    let is_maker = random.below(2) == 0;
    format!(
        r#"{{"stream":"{symbol}@trade","data":{{"e":"trade","E":{id},"s":"{upper}","t":{id},"p":"{price}","q":"{quantity}","T":{id},"m":{is_maker},"M":true}}}}"#
    )
}

/// A quote, spot form: without event type and time.
pub(crate) fn quote(random: &mut Random, symbol: &str, id: u64) -> String {
    let (bid, ask, upper) = (random.price(), random.price(), symbol.to_uppercase());
    let (bid_size, ask_size) = (random.quantity(), random.quantity());
    format!(
        r#"{{"stream":"{symbol}@bookTicker","data":{{"u":{id},"s":"{upper}","b":"{bid}","B":"{bid_size}","a":"{ask}","A":"{ask_size}"}}}}"#
    )
}

/// A diff of the book with that many levels on each side.
pub(crate) fn depth(random: &mut Random, symbol: &str, id: u64, levels: u64) -> String {
    let upper = symbol.to_uppercase();
    let (bids, asks) = (random.levels(levels), random.levels(levels));
    format!(
        r#"{{"stream":"{symbol}@depth@100ms","data":{{"e":"depthUpdate","E":{id},"s":"{upper}","U":{id},"u":{id},"b":{bids},"a":{asks}}}}}"#
    )
}

/// The REST snapshot: about 60 KB, and without a stream.
pub(crate) fn snapshot(random: &mut Random, id: u64) -> String {
    let (bids, asks) = (random.levels(1_000), random.levels(1_000));
    format!(r#"{{"lastUpdateId":{id},"bids":{bids},"asks":{asks}}}"#)
}

/// Numbers from a seed (xorshift64*).
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
    fn price(&mut self) -> String {
        format!("{}.{:02}000000", 61_000 + self.below(900), self.below(100))
    }
    fn quantity(&mut self) -> String {
        format!("{}.{:05}000", self.below(4), self.below(100_000))
    }
    fn levels(&mut self, count: u64) -> String {
        let levels: Vec<String> =
            (0..count).map(|_| format!(r#"["{}","{}"]"#, self.price(), self.quantity())).collect();
        format!("[{}]", levels.join(","))
    }
}
