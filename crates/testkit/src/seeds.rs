//! Chance with a number: what a failing test prints is enough to repeat it.

/// Whether the long form of a random test is wanted: `cargo xtask test --deep`.
pub fn deep() -> bool {
    std::env::var_os("TIDEMILL_DEEP").is_some()
}

/// `TIDEMILL_SEED` alone where it is set, else 1..=count.
pub fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("TIDEMILL_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (1..=count).collect(),
    }
}

/// SplitMix64: small, and the same everywhere.
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// One of `range`, each about as likely.
    pub fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.roll() % (range.end - range.start)
    }
}
