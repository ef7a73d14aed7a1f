//! Simulated prices: a mean-reverting random walk, clamped to a band, in whole cents.
//!
//! Each step pulls the price back by a twentieth of its distance from the middle and adds an equally distributed
//! step of at most an eighth of the band's half width. That settles at a standard deviation of about a quarter of
//! the half width, so the band's edge is met rarely. No floating-point number: the same seed gives the same prices
//! everywhere.

use super::random::Random;
use crate::event::Cents;
use std::sync::Arc;

/// Part of the distance from the middle that is taken back in a step.
const PULL_DIVISOR: i64 = 20;
/// Part of the band's half width that a random step may have.
const STEP_DIVISOR: i64 = 8;

/// One symbol and its price.
#[derive(Debug, Clone)]
pub struct Market {
    symbol: Arc<str>,
    middle: Cents,
    half_width: Cents,
    price: Cents,
    previous: Cents,
    random: Random,
}

impl Market {
    /// A price that starts at `middle` and never leaves it by more than `half_width` (not below 0).
    #[must_use]
    pub fn new(symbol: &str, middle: Cents, half_width: Cents, random: Random) -> Self {
        let half_width = Cents(half_width.0.max(0));
        Self { symbol: symbol.into(), middle, half_width, price: middle, previous: middle, random }
    }

    /// Such as `BTC-USD`.
    #[must_use]
    pub fn symbol(&self) -> &Arc<str> {
        &self.symbol
    }

    /// The price now.
    #[must_use]
    pub fn price(&self) -> Cents {
        self.price
    }

    /// How far the last step went: above 0 when the price rose.
    #[must_use]
    pub fn change(&self) -> Cents {
        Cents(self.price.0 - self.previous.0)
    }

    /// How far the price is from the middle it reverts to: above 0 when it is dear.
    #[must_use]
    pub fn offset(&self) -> Cents {
        Cents(self.price.0 - self.middle.0)
    }

    /// The farthest the price goes from its middle.
    #[must_use]
    pub fn half_width(&self) -> Cents {
        self.half_width
    }

    /// Moves the price on.
    pub(super) fn step(&mut self) {
        let reach = self.half_width.0 / STEP_DIVISOR;
        let choices = u64::try_from(2 * reach + 1).expect("a width is not below zero");
        let random = i64::try_from(self.random.below(choices))
            .expect("below a number that came from i64")
            - reach;
        let offset = self.offset().0;
        let moved = offset - offset / PULL_DIVISOR + random;
        self.previous = self.price;
        self.price = Cents(self.middle.0 + moved.clamp(-self.half_width.0, self.half_width.0));
    }
}

#[cfg(test)]
mod tests {
    use super::{Cents, Market, Random};

    const SEED: u64 = 5;

    #[test]
    fn s14_prices_stay_in_their_band_around_their_middle_for_a_million_steps() {
        for (middle, half_width) in [(4_200_000, 100_000), (230_000, 10_000)] {
            let mut market = Market::new("X", Cents(middle), Cents(half_width), Random::new(SEED));
            let (mut sum, mut squares, mut above) = (0_i64, 0_i64, 0_u32);
            let steps = 1_000_000;
            for _ in 0..steps {
                let before = market.price();
                market.step();
                let offset = market.offset().0;
                assert!(offset.abs() <= half_width, "seed {SEED}: {offset} beyond {half_width}");
                assert_eq!(market.change().0, market.price().0 - before.0, "seed {SEED}");
                assert!(market.change().0.abs() <= half_width / 8 + half_width / 20, "seed {SEED}");
                sum += offset;
                squares += offset * offset;
                above += u32::from(offset > 0);
            }
            assert!(
                (sum / steps).abs() < half_width / 50,
                "seed {SEED}: the mean is off by {}",
                sum / steps
            );
            // A random walk that wanders: its deviation is about a quarter of the half width.
            let deviation_squared = squares / steps;
            let quarter_squared = (half_width / 4) * (half_width / 4);
            assert!(
                deviation_squared > quarter_squared / 2 && deviation_squared < quarter_squared * 2
            );
            assert!(
                (450_000..550_000).contains(&above),
                "seed {SEED}: above the middle {above} times"
            );
        }
    }

    #[test]
    fn s14_a_price_that_would_leave_the_band_is_held_at_its_edge() {
        let mut market = Market::new("X", Cents(1_000), Cents(8), Random::new(SEED));
        let prices: Vec<i64> = (0..100_000).map(|_| (market.step(), market.price().0).1).collect();
        assert_eq!(
            (prices.iter().min(), prices.iter().max()),
            (Some(&992), Some(&1_008)),
            "seed {SEED}"
        );
        let mut still = Market::new("X", Cents(1_000), Cents(-1), Random::new(SEED));
        still.step();
        assert_eq!(still.price(), Cents(1_000), "a band without width holds the price");
    }
}
