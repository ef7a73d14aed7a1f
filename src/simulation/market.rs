//! Simulated prices: a mean-reverting random walk, clamped to a band, in whole cents, calm or wild by turns.
//!
//! Each step pulls the price back by a twentieth of its distance from the middle and adds an equally distributed
//! step of at most an eighth of the band's half width, half as far in calm times and half as far again in wild ones.
//! That settles at a standard deviation of about a quarter of the half width, so the band's edge is met rarely.
//!
//! Times change as they do on real markets: a large move is followed by more large ones, in either direction. Normal
//! times end in calm (three of five) or wild ones, and those in normal times again; each lasts 20 to 100 steps. So the
//! price is calm for three tenths of the time, normal for five and wild for two.
//!
//! A market may also be given its prices from outside; then the middle follows them, a twentieth of the distance with
//! each, and the band is a fortieth of the middle wide to either side (as that of BTC-USD), so that every strategy works on
//! it as on a simulated one.
//!
//! No floating-point number: the same seed gives the same prices everywhere. The times have a random stream of their
//! own, so that they do not move the one the steps are drawn from.

use super::random::Random;
use crate::event::Cents;
use std::sync::Arc;

/// The greatest middle of a band: ten billion dollars.
pub const PRICE_MAX: Cents = Cents(1_000_000_000_000);

/// Part of the distance from the middle that is taken back in a step.
const PULL_DIVISOR: i64 = 20;
/// Part of the band's half width that a random step may have in normal times.
const STEP_DIVISOR: i64 = 8;
/// Part of the middle that the band of a given price is wide, to either side.
const GIVEN_BAND_DIVISOR: i64 = 40;
/// Fewest steps that a regime lasts.
const REGIME_STEPS_MIN: u32 = 20;
/// Most steps that a regime lasts.
const REGIME_STEPS_MAX: u32 = 100;
/// Normal times of a thousand after which it is calm; after the others it is wild.
const CALM_PERMILLE: u32 = 600;

/// How far the random steps go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Regime {
    /// Half as far as in normal times.
    Calm,
    /// As far as the band says.
    Normal,
    /// Half as far again.
    Wild,
}

impl Regime {
    /// The part of a normal step, in halves.
    fn halves(self) -> i64 {
        match self {
            Self::Calm => 1,
            Self::Normal => 2,
            Self::Wild => 3,
        }
    }

    fn next(self, random: &mut Random) -> Self {
        match self {
            Self::Calm | Self::Wild => Self::Normal,
            Self::Normal if random.chance(CALM_PERMILLE) => Self::Calm,
            Self::Normal => Self::Wild,
        }
    }
}

/// One symbol and its price.
#[derive(Debug, Clone)]
pub struct Market {
    symbol: Arc<str>,
    middle: Cents,
    half_width: Cents,
    price: Cents,
    previous: Cents,
    random: Random,
    regime: Regime,
    /// Steps it still lasts.
    regime_left: u32,
    regimes: Random,
}

impl Market {
    /// A price that starts at `middle` (from 0 to [`PRICE_MAX`]) in normal times and never leaves it by more than
    /// `half_width` (from 0 to `middle`); what lies outside becomes the nearest of those.
    #[must_use]
    pub fn new(symbol: &str, middle: Cents, half_width: Cents, random: Random) -> Self {
        let middle = middle.clamp(Cents(0), PRICE_MAX);
        let half_width = half_width.clamp(Cents(0), middle);
        // Split off a copy: the stream of the steps stays where it is.
        let mut regimes = random.clone().split();
        let regime_left = duration(&mut regimes);
        let (symbol, regime) = (symbol.into(), Regime::Normal);
        let (price, previous) = (middle, middle);
        Self { symbol, middle, half_width, price, previous, random, regime, regime_left, regimes }
    }

    /// A market whose first price is `price`; it moves with [`follow`](Self::follow) alone.
    pub(super) fn given(symbol: &str, price: Cents) -> Self {
        // The random numbers are never drawn.
        let price = price.clamp(Cents(0), PRICE_MAX);
        let mut market = Self::new(symbol, price, Cents(0), Random::new(0));
        market.half_width = Cents(price.0 / GIVEN_BAND_DIVISOR);
        market
    }

    /// Moves to a price from outside.
    pub(super) fn follow(&mut self, price: Cents) {
        self.previous = self.price;
        self.price = price.clamp(Cents(0), PRICE_MAX);
        self.middle.0 += self.offset().0 / PULL_DIVISOR;
        self.half_width = Cents(self.middle.0 / GIVEN_BAND_DIVISOR);
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

    /// How far the price is from the middle it reverts to (of a given price: from the mean it leaves behind): above 0 when it is dear.
    #[must_use]
    pub fn offset(&self) -> Cents {
        Cents(self.price.0 - self.middle.0)
    }

    /// The farthest the price goes from its middle; of a given price, what counts as far.
    #[must_use]
    pub fn half_width(&self) -> Cents {
        self.half_width
    }

    /// Whether times are calm, normal or wild.
    #[must_use]
    pub fn regime(&self) -> Regime {
        self.regime
    }

    /// Moves the price on.
    pub(super) fn step(&mut self) {
        let reach = self.half_width.0 / STEP_DIVISOR * self.regime.halves() / 2;
        let choices = u64::try_from(2 * reach + 1).expect("a width is not below zero");
        let random = i64::try_from(self.random.below(choices))
            .expect("below a number that came from i64")
            - reach;
        let offset = self.offset().0;
        let moved = offset - offset / PULL_DIVISOR + random;
        self.previous = self.price;
        self.price = Cents(self.middle.0 + moved.clamp(-self.half_width.0, self.half_width.0));
        self.regime_left -= 1;
        if self.regime_left == 0 {
            self.regime = self.regime.next(&mut self.regimes);
            self.regime_left = duration(&mut self.regimes);
        }
    }
}

/// How many steps a regime lasts.
fn duration(random: &mut Random) -> u32 {
    let above = random.below(u64::from(REGIME_STEPS_MAX - REGIME_STEPS_MIN) + 1);
    REGIME_STEPS_MIN + u32::try_from(above).expect("below a number that came from u32")
}

#[cfg(test)]
mod tests {
    use super::{Cents, Market, PRICE_MAX, REGIME_STEPS_MAX, REGIME_STEPS_MIN, Random, Regime};

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
                let farthest = half_width * 3 / 16 + half_width / 20;
                assert!(market.change().0.abs() <= farthest, "seed {SEED}");
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

    #[test]
    fn s14_bands_outside_the_limits_become_the_nearest_within() {
        let band = |middle, half_width| {
            let market = Market::new("X", Cents(middle), Cents(half_width), Random::new(SEED));
            (market.price().0, market.half_width().0)
        };
        for above in [-1, 0, 1] {
            let expected = PRICE_MAX.0.min(PRICE_MAX.0 + above);
            assert_eq!(band(PRICE_MAX.0 + above, 5), (expected, 5));
            assert_eq!(band(500, 500 + above), (500, 500.min(500 + above)));
            assert_eq!(band(above, 0), (above.max(0), 0));
        }
    }

    #[test]
    fn s14_times_are_calm_normal_and_wild_as_often_and_as_long_as_stated() {
        let mut market = Market::new("X", Cents(4_200_000), Cents(100_000), Random::new(SEED));
        let (mut lasted, mut before) = (0, market.regime());
        assert_eq!(before, Regime::Normal);
        let mut steps = [0_u32; 3];
        for _ in 0..1_000_000 {
            steps[before as usize] += 1;
            market.step();
            lasted += 1;
            let reach = 12_500 * (before as i64 + 1) / 2 + 100_000 / 20;
            assert!(market.change().0.abs() <= reach, "seed {SEED}: {before:?}");
            if market.regime() != before {
                let range = REGIME_STEPS_MIN..=REGIME_STEPS_MAX;
                assert!(range.contains(&lasted), "seed {SEED}: {before:?} lasted {lasted}");
                assert!([before, market.regime()].contains(&Regime::Normal), "seed {SEED}");
                (lasted, before) = (0, market.regime());
            }
        }
        for (count, stated) in steps.into_iter().zip([300_000, 500_000, 200_000_u32]) {
            assert!(count.abs_diff(stated) < 15_000, "seed {SEED}: {steps:?}");
        }
    }
}
