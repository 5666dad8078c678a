//! The words every other crate speaks: records, values, schemas, batches, positions, places, errors, settings-free
//! service handles, and the `Source` and `Sink` traits.
//!
//! It does no I/O and knows no store: no file, no socket, no wall clock but the one in `clock.rs`.

pub mod backoff;
pub mod batch;
pub mod budget;
pub mod clock;
pub mod crash;
pub mod eight;
pub mod panics;
pub mod problem;
pub mod schema;
pub mod secret;
pub mod service;
pub mod sink;
pub mod source;
pub mod units;
pub mod value;

pub use backoff::Backoff;
pub use batch::{Batch, Body, Envelope, Header, Headers, Origin, Place, Position, Shared};
pub use budget::{Budget, Lease};
pub use clock::{Clock, ManualClock, SystemClock};
pub use crash::crash_point;
pub use problem::{Code, Exit, Problem, Spot, code};
pub use schema::{Contract, ContractKind, Field, Kind, Schema};
pub use secret::Secret;
pub use service::{BoxError, Handle};
pub use sink::{Extent, Load, OWN_HEADERS, Receipt, Reject, Rejects, Saved, Sink, Writer};
pub use source::{Ask, Discovery, Fault, Read, Reader, Source, Split};
pub use value::Value;
