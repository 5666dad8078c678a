//! Files and objects as what a load writes: one file or object, or a folder of them, in the order of the input.
//!
//! `format` what a file is, by its name and the arguments; `place` where files lie and how they appear; `schema` the columns of records
//! that no contract describes; `look` finds them by looking at the first records; `direct` the short ways of CSV and JSON,
//! without a value for each cell; records that come as columns stay such; `plan` the way from a source to a format; `run` many hands, one order.
//!
//! It is no sink of the engine's: there a lane writes one batch at a time, and here all cores encode and compress parts of one
//! file. What it promises is less than a checkpoint, and enough: a file appears whole, under its name, or not at all; a run that was
//! cut off is run again and leaves what one run leaves.

mod direct;
mod errors;
mod format;
mod look;
mod place;
mod plan;
mod run;
mod schema;

pub use errors::Error;
pub use format::{FileFormat, Word};
pub use place::Place;
pub use plan::{Form, Plan, Wanted, plan};
pub use run::{Announce, Cut, Job};
pub use schema::Seen;

#[cfg(test)]
mod tests;
