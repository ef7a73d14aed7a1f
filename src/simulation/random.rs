//! The simulation's own random numbers: the same seed gives the same numbers on every machine and in every version.
//!
//! SplitMix64, from G. Steele, D. Lea and C. Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014):
//! a counter that grows by the golden ratio's fraction, and a mixing function of it. One multiplication pair per
//! number, about 1 ns. It is no source of secrets.

/// A stream of random numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Random(u64);

impl Random {
    /// The stream of `seed`; every seed is as good as another.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own, so that what one part draws does not move another.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self(self.next())
    }

    /// A number below `limit`, each equally likely; 0 when `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        // The high half of the product scales the number into the range; the bias is below limit / 2^64.
        let product = u128::from(self.next()) * u128::from(limit);
        (product >> 64) as u64
    }

    /// True in `permille` of a thousand cases.
    pub fn chance(&mut self, permille: u32) -> bool {
        self.below(1_000) < u64::from(permille)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn numbers_are_those_of_the_published_algorithm() {
        // The first five numbers of seed 1234567, as its reference programs print them.
        let mut random = Random::new(1_234_567);
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!([(); 5].map(|()| random.next()), expected);
    }

    #[test]
    fn numbers_below_a_limit_reach_both_ends_and_no_further() {
        let mut random = Random::new(7);
        let drawn: Vec<u64> = (0..1_000).map(|_| random.below(6)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&0), Some(&5)));
        assert_eq!((random.below(1), random.below(0)), (0, 0));
    }

    #[test]
    fn a_chance_is_met_as_often_as_it_says() {
        let mut random = Random::new(11);
        let hits = (0..100_000).filter(|_| random.chance(400)).count();
        assert!(hits.abs_diff(40_000) < 620, "{hits}: more than four standard deviations off");
        assert!((0..1_000).all(|_| random.chance(1_000) && !random.chance(0)));
    }

    #[test]
    fn split_streams_differ_and_do_not_move_each_other() {
        let mut root = Random::new(1);
        let (mut one, mut two) = (root.split(), root.split());
        let expected = two.clone().next();
        assert_ne!(one.next(), expected);
        assert_eq!(two.next(), expected);
    }
}
