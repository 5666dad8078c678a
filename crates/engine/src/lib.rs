//! Transfers: records leave a source, pass stages, and reach a sink, and a checkpoint makes a crash harmless.
//!
//! `transfer.rs` keeps the lanes, one for each split the source tells of; `lane.rs` carries a split from its checkpoint
//! on; `extent.rs` decides by `cuts.rs` where a commit lies; `checkpoints.rs` and `dead_letters.rs` hold what must
//! survive; `progress.rs` counts, `histogram.rs` how long commits took; `contract/` is the suite every connector passes.
//!
//! The engine knows no connector, no format and no store. It draws nothing: whoever wants a bar reads [`Progress`].

pub mod checkpoints;
pub mod contract;
mod cuts;
pub mod dead_letters;
mod errors;
mod extent;
mod feed;
mod histogram;
mod lane;
mod progress;
mod stage;
mod transfer;

pub use checkpoints::Checkpoints;
pub use cuts::{Boundary, Cuts, Schedule};
pub use dead_letters::DeadLetters;
pub use errors::Error;
pub use extent::body_bytes;
pub use histogram::Histogram;
pub use progress::Progress;
pub use stage::{Stage, apply_all, as_received};
pub use transfer::{Ended, OnError, Summary, Transfer};
