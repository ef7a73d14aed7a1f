//! The markets' own order flow: somebody buys or sells at the best price, which may use it up, and everybody learns the
//! new best prices.
//!
//! Each market has a book of one level on each side around its price. An order takes from the level it meets, at most
//! all of it; a level that is used up gives way by a cent, and after some orders somebody offers a cent more or asks one
//! less, so that the spread stays between 1 and 5 cents. Where the book is above the market's price sellers come more
//! often, else buyers, so that it stays near. When the price moves the book moves with it.
//!
//! Orders come at random moments: the time between two is anything up to twice its mean. They have a random stream of
//! their own: prices and agents are the same with and without them.

use super::market::Market;
use super::random::Random;
use crate::event::{Body, Event, Payload, Quote, Tick, Topic, TopicError, Topics, Typed};
use rust_decimal::Decimal;
use std::sync::Arc;

/// Nanoseconds between two orders at one event a second: an order is a trade and a quote.
const ORDER_NS: u64 = 2_000_000_000;
/// Widest spread, in cents.
const SPREAD_MAX: i64 = 5;
/// Orders of a thousand after which somebody offers a better price, if there is room between bid and ask.
const IMPROVE_PERMILLE: u32 = 500;
/// What the largest level and the largest order are worth, in cents.
const VALUE_MAX: i64 = 2_000_000;
/// Fewest hundredths that the largest level may have, however dear.
const SIZE_MAX_LEAST: i64 = 10;
/// How much likelier each cent above the price makes a seller, in permille.
const LEAN_PERMILLE: i64 = 40;

/// The orders of all markets, and when the next one comes.
#[derive(Debug)]
pub(super) struct Flow {
    /// Mean time between two orders; 0: none come.
    gap_ns: u64,
    next_us: u64,
    /// Nanoseconds past `next_us`, below 1,000.
    rest_ns: u64,
    books: Vec<Book>,
    random: Random,
}

/// The best prices of one market, in cents and hundredths.
#[derive(Debug)]
struct Book {
    trades: Topic,
    quotes: Topic,
    /// The market's price when the book last looked.
    price: i64,
    bid: i64,
    ask: i64,
    bid_size: i64,
    ask_size: i64,
    /// Trades so far.
    count: u64,
}

impl Flow {
    /// Flow of `per_s` events a second over all of `markets` from `start_us` on; 0: none, and no topics.
    pub(super) fn new(
        per_s: u32,
        markets: &[Market],
        topics: &Topics,
        start_us: u64,
        mut random: Random,
    ) -> Result<Self, TopicError> {
        let is_off = per_s == 0 || markets.is_empty();
        let mut books = Vec::new();
        for market in markets.iter().filter(|_| !is_off) {
            books.push(Book::new(market, topics, &mut random)?);
        }
        let gap_ns = if is_off { 0 } else { ORDER_NS / u64::from(per_s) };
        let next_us = if is_off { u64::MAX } else { start_us };
        Ok(Self { gap_ns, next_us, rest_ns: 0, books, random })
    }

    /// When the next order comes, microseconds since the Unix epoch; `u64::MAX`: never.
    pub(super) fn next_us(&self) -> u64 {
        self.next_us
    }

    /// The order that is due at `now_us`, if one is: its trade, and the quote after it.
    pub(super) fn step(&mut self, now_us: u64, markets: &[Market], out: &mut Vec<Event>) {
        if self.books.is_empty() || now_us < self.next_us {
            return;
        }
        let gap_ns = self.rest_ns + 1 + self.random.below(2 * self.gap_ns - 1);
        // Who is called late goes on from there: what was missed is left out.
        self.next_us = now_us.saturating_add(gap_ns / 1_000);
        self.rest_ns = gap_ns % 1_000;
        let chosen = self.random.below(self.books.len() as u64);
        let chosen = usize::try_from(chosen).expect("below a length");
        let (book, market) = (&mut self.books[chosen], &markets[chosen]);
        book.follow(market);
        let trade = book.order(market, now_us, &mut self.random);
        let quote = book.quote(market, now_us);
        out.push(event(book.trades, now_us, trade));
        out.push(event(book.quotes, now_us, quote));
    }
}

impl Book {
    fn new(market: &Market, topics: &Topics, random: &mut Random) -> Result<Self, TopicError> {
        let topic = |kind| topics.register(&format!("sim:{kind}:{}", market.symbol()), None);
        let price = market.price().0;
        Ok(Self {
            trades: topic("trade")?,
            quotes: topic("quote")?,
            price,
            bid: price - 1,
            ask: price + 1,
            bid_size: size(market, random),
            ask_size: size(market, random),
            count: 0,
        })
    }

    /// Moves as far as the price did since.
    fn follow(&mut self, market: &Market) {
        let moved = market.price().0 - self.price;
        self.price += moved;
        // Nobody pays less than a cent.
        self.bid = (self.bid + moved).max(1);
        self.ask = (self.ask + moved).max(self.bid + 1);
    }

    /// Somebody takes from the better of the two levels for them.
    fn order(&mut self, market: &Market, now_us: u64, random: &mut Random) -> Tick {
        let above = (self.bid + self.ask) / 2 - self.price;
        let buyers = (500 - above.saturating_mul(LEAN_PERMILLE)).clamp(100, 900);
        let is_taker_buy = random.chance(u32::try_from(buyers).expect("within 100 and 900"));
        let wanted = size(market, random);
        let price = if is_taker_buy { self.ask } else { self.bid };
        let level = if is_taker_buy { &mut self.ask_size } else { &mut self.bid_size };
        let quantity = wanted.min(*level);
        *level -= quantity;
        if *level == 0 {
            *level = size(market, random);
            self.give_way(is_taker_buy, market, random);
        }
        if self.ask - self.bid > 1 && random.chance(IMPROVE_PERMILLE) {
            let is_ask = random.chance(500);
            self.improve(is_ask, market, random);
        }
        self.count += 1;
        Tick {
            symbol: Arc::clone(market.symbol()),
            price: hundredths(price),
            quantity: hundredths(quantity),
            time_us: now_us,
            is_taker_buy,
            id: Some(self.count),
            is_simulated: true,
        }
    }

    /// A level was used up: its side goes back by a cent, and the other side follows when the spread would be too wide.
    fn give_way(&mut self, is_ask: bool, market: &Market, random: &mut Random) {
        if is_ask {
            self.ask += 1;
        } else if self.bid > 1 {
            self.bid -= 1;
        }
        if self.ask - self.bid > SPREAD_MAX {
            self.improve(!is_ask, market, random);
        }
    }

    /// Somebody offers a better price on one side: a cent into the spread.
    fn improve(&mut self, is_ask: bool, market: &Market, random: &mut Random) {
        if is_ask {
            (self.ask, self.ask_size) = (self.ask - 1, size(market, random));
        } else {
            (self.bid, self.bid_size) = (self.bid + 1, size(market, random));
        }
    }

    fn quote(&self, market: &Market, now_us: u64) -> Quote {
        Quote {
            symbol: Arc::clone(market.symbol()),
            bid: Some((hundredths(self.bid), hundredths(self.bid_size))),
            ask: Some((hundredths(self.ask), hundredths(self.ask_size))),
            time_us: now_us,
            is_simulated: true,
        }
    }
}

/// The size of a level or an order, in hundredths: small ones more often than large ones.
fn size(market: &Market, random: &mut Random) -> i64 {
    let most = (VALUE_MAX * 100 / market.price().0.max(1)).max(SIZE_MAX_LEAST);
    let below = |limit: i64, random: &mut Random| {
        let drawn = random.below(u64::try_from(limit).expect("a size is above zero"));
        i64::try_from(drawn).expect("below a number that came from i64")
    };
    let limit = 1 + below(most, random);
    1 + below(limit, random)
}

fn hundredths(amount: i64) -> Decimal {
    Decimal::new(amount, 2)
}

fn event(topic: Topic, time_us: u64, payload: impl Payload) -> Event {
    Event { topic, key: 0, time_us, body: Body::Typed(Typed::new(payload)) }
}

#[cfg(test)]
mod tests {
    use super::{Book, Decimal, Event, Flow, Market, Quote, Random, Tick, Topics};
    use crate::event::{Body, Cents};

    const SEED: u64 = 13;

    fn markets() -> Vec<Market> {
        let market = |name, middle, half_width| {
            Market::new(name, Cents(middle), Cents(half_width), Random::new(SEED))
        };
        vec![market("BTC-USD", 4_200_000, 100_000), market("ETH-USD", 230_000, 10_000)]
    }

    /// The flow of `steps` orders, with a step of the prices after every 100.
    fn flow(per_s: u32, steps: usize) -> (Vec<Event>, Topics, u64) {
        let (topics, mut markets, mut out) = (Topics::new(), markets(), Vec::new());
        let mut flow = Flow::new(per_s, &markets, &topics, 0, Random::new(SEED)).expect("free");
        for step in 0..steps {
            flow.step(flow.next_us(), &markets, &mut out);
            if step % 100 == 99 {
                markets.iter_mut().for_each(Market::step);
            }
        }
        (out, topics, flow.next_us())
    }

    fn typed<T: crate::event::Payload + Clone>(event: &Event) -> T {
        let Body::Typed(typed) = &event.body else { panic!("{event:?}") };
        typed.get::<T>().expect("the payload of its topic").clone()
    }

    #[test]
    fn a_trade_is_at_the_best_price_of_the_quote_before_it_and_takes_at_most_its_size() {
        let (events, topics, _) = flow(100, 20_000);
        let mut last: std::collections::HashMap<String, Quote> = std::collections::HashMap::new();
        let (mut at_touch, mut spreads) = (0, [0_u32; 5]);
        for pair in events.chunks(2) {
            let (trade, quote): (Tick, Quote) = (typed(&pair[0]), typed(&pair[1]));
            let symbol = trade.symbol.to_string();
            assert_eq!(&*topics.info(pair[0].topic).name, format!("sim:trade:{symbol}"));
            assert_eq!(&*topics.info(pair[1].topic).name, format!("sim:quote:{symbol}"));
            assert!(trade.quantity > Decimal::ZERO && trade.is_simulated);
            let ((bid, bid_size), (ask, ask_size)) =
                (quote.bid.expect("a bid"), quote.ask.expect("an ask"));
            assert!(bid_size > Decimal::ZERO && ask_size > Decimal::ZERO);
            let spread = usize::try_from((ask - bid).mantissa()).expect("above zero");
            spreads[spread - 1] += 1;
            if let Some(before) = last.insert(symbol, quote) {
                let level = if trade.is_taker_buy { before.ask } else { before.bid };
                let (price, size) = level.expect("both sides");
                at_touch += u32::from(price == trade.price);
                assert!(price != trade.price || trade.quantity <= size, "seed {SEED}");
            }
        }
        // All but those right after a step of the price, at most one in a hundred for each market.
        assert!(at_touch > 20_000 - 2 - 400, "seed {SEED}: {at_touch}");
        assert!(spreads.iter().all(|&times| times > 0), "seed {SEED}: {spreads:?}");
    }

    #[test]
    fn the_flow_stays_near_the_price_and_both_sides_trade() {
        let (topics, markets) = (Topics::new(), markets());
        let mut random = Random::new(SEED);
        let mut book = Book::new(&markets[0], &topics, &mut random).expect("free");
        let (mut buys, mut farthest) = (0_u32, 0);
        for _ in 0..100_000 {
            buys += u32::from(book.order(&markets[0], 0, &mut random).is_taker_buy);
            farthest = farthest.max(((book.bid + book.ask) / 2 - 4_200_000).abs());
        }
        assert!(buys.abs_diff(50_000) < 1_500, "seed {SEED}: {buys}");
        assert!((3..60).contains(&farthest), "seed {SEED}: {farthest} cents away");
    }

    #[test]
    fn as_many_events_come_as_were_asked_for_and_none_without() {
        for per_s in [1, 2, 70_000, 100_000] {
            let (events, _, end_us) = flow(per_s, 20_000);
            let expected = events.len() as u64 * 1_000_000 / u64::from(per_s);
            assert!(end_us.abs_diff(expected) < expected / 50, "{per_s}: {end_us} µs");
        }
        let (events, topics, next_us) = flow(0, 10);
        assert_eq!((events.len(), topics.len(), next_us), (0, 0, u64::MAX));
    }

    #[test]
    fn an_order_that_comes_late_is_one_order() {
        let (topics, markets, mut out) = (Topics::new(), markets(), Vec::new());
        let mut flow = Flow::new(10, &markets, &topics, 5, Random::new(SEED)).expect("free");
        flow.step(4, &markets, &mut out);
        assert!(out.is_empty(), "nothing before the start");
        flow.step(1_000_000_000, &markets, &mut out);
        assert_eq!(out.len(), 2);
        assert!(flow.next_us() > 1_000_000_000 - 1 && out[1].time_us == 1_000_000_000);
    }
}
