//! Chance that is no chance: the same seed, table and number always throw the same.

/// One record's dice.
pub(super) struct Dice(fastrand::Rng);

impl Dice {
    /// `salt` tells apart what is thrown for the same number: tables, and parts that several tables need.
    pub(super) fn new(seed: u64, salt: u64, number: u64) -> Self {
        // Numbers that follow each other must not give dice that do: each step is mixed (splitmix64's finalizer).
        Self(fastrand::Rng::with_seed(mixed(mixed(seed ^ mixed(salt)) ^ number)))
    }

    /// From 0 to `end - 1`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0.u64(..end.max(1))
    }

    pub(super) fn between(&mut self, first: u64, last: u64) -> u64 {
        self.0.u64(first..=last)
    }

    /// True so often in a thousand.
    pub(super) fn per_mille(&mut self, times: u64) -> bool {
        self.below(1000) < times
    }

    /// From 0 to 1.
    pub(super) fn share(&mut self) -> f64 {
        self.0.f64()
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.0.usize(..of.len())]
    }

    /// Around 0 with deviation 1: the sum of twelve throws.
    pub(super) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.0.f64()).sum::<f64>() - 6.0
    }

    pub(super) fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| self.0.digit(10)).collect()
    }

    pub(super) fn alphanumeric(&mut self, count: usize) -> String {
        (0..count).map(|_| self.0.alphanumeric()).collect()
    }

    pub(super) fn bytes<const COUNT: usize>(&mut self) -> [u8; COUNT] {
        let mut bytes = [0; COUNT];
        self.0.fill(&mut bytes);
        bytes
    }
}

fn mixed(mut number: u64) -> u64 {
    number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}
