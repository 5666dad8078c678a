//! Bytes to values, as Connect's converters do: one stage of a transfer that checks keys and converts values.
//!
//! Map: `stage` the stage; `plan` which converter, from settings; `json` values read by a schema, and without one;
//! `envelope` JsonConverter's `{"schema","payload"}`; `primitive` IntegerConverter and its like; `registered` records
//! framed by a serializer that has a registry; `registry` schemas by id; `filter` rows taken out of a batch.
//!
//! A value that the format can write as it is stays raw: text and bytes as they came, plain JSON checked and compact.

mod envelope;
mod filter;
mod json;
mod plan;
mod primitive;
mod registered;
mod registry;
mod stage;

pub(crate) use plan::{Plan, Side};
pub(crate) use registry::Registry;
pub(crate) use stage::Conversion;

use std::sync::Arc;

use base::{Code, Contract, Value};

/// What became of one record's key or value.
pub(crate) type Converted = Result<(Option<Arc<Contract>>, Value), Refusal>;

/// Why a record cannot be taken.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub code: Code,
    pub reason: String,
}

impl Refusal {
    /// TM0811: the bytes do not match the converter.
    pub fn bytes(reason: impl Into<String>) -> Self {
        Self { code: base::code::TM0811, reason: reason.into() }
    }

    /// TM0812: the schema is missing, or has no shape that rows can take.
    pub fn schema(reason: impl Into<String>) -> Self {
        Self { code: base::code::TM0812, reason: reason.into() }
    }
}

#[cfg(test)]
mod tests;
