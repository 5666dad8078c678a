//! The suite that every connector passes: one call runs all rules, and its text is a snapshot of what a store keeps.
//!
//! A rule that a store cannot show is a line with the reason, so that none is forgotten and a new rule reaches every
//! store at once. The rules run through [`Transfer`](crate::Transfer) with a source and checkpoints made here.

mod made;
mod rules;
mod source;

pub use rules::sink;
pub use source::{SourceFixture, source};

use std::{future::Future, pin::Pin, sync::Arc};

use base::{Sink, Split};

/// What is asked of a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    EmptyBatch,
    EveryType,
    NoKey,
    Headers,
    Tombstones,
    KeyTwiceInABatch,
    ContractChanges,
    RejectAmongGood,
    KilledBeforeCommit,
    KilledAfterCommit,
    CommitRepeated,
    AnotherCutInTheSecondLife,
    Cancelled,
    BeginTwice,
    Throttled,
    Denied,
    MemoryWithinBudget,
}

impl Rule {
    pub const ALL: [Rule; 17] = [
        Rule::EmptyBatch,
        Rule::EveryType,
        Rule::NoKey,
        Rule::Headers,
        Rule::Tombstones,
        Rule::KeyTwiceInABatch,
        Rule::ContractChanges,
        Rule::RejectAmongGood,
        Rule::KilledBeforeCommit,
        Rule::KilledAfterCommit,
        Rule::CommitRepeated,
        Rule::AnotherCutInTheSecondLife,
        Rule::Cancelled,
        Rule::BeginTwice,
        Rule::Throttled,
        Rule::Denied,
        Rule::MemoryWithinBudget,
    ];

    /// `killed before commit`, in a snapshot's words.
    pub fn words(self) -> String {
        let mut words = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !words.is_empty() {
                words.push(' ');
            }
            words.extend(letter.to_lowercase());
        }
        words
    }
}

pub type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Makes a sink as a new process would.
pub type Open = Box<dyn Fn() -> Arc<dyn Sink> + Send + Sync>;

/// Looks into the store, without the sink's own code where that can be.
pub type ReadBack = Box<dyn Fn(&Split) -> Boxed<Vec<Vec<u8>>> + Send + Sync>;

/// A store under test.
pub struct SinkFixture {
    pub open: Open,
    /// The values that are visible for a split, in any order; a record without value is left out.
    pub read_back: ReadBack,
    /// The `number`th record's value, as this store takes it; [`value`] where it takes any bytes.
    pub value: fn(u64) -> Vec<u8>,
    /// A value that the store never takes.
    pub bad_value: Option<Vec<u8>>,
    /// A sink that may not write.
    pub denied: Option<Open>,
    /// A sink whose store answers "slow down" at first.
    pub throttled: Option<Open>,
    /// Rules that this store cannot show, and why.
    pub cannot: &'static [(Rule, &'static str)],
}

/// A small JSON object that differs for each number.
pub fn value(number: u64) -> Vec<u8> {
    format!("{{\"n\":{number}}}").into_bytes()
}

#[cfg(test)]
mod tests;
