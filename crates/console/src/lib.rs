//! The status page: parts with their health, topics, connectors with their lag, subjects; as HTML and as JSON.
//!
//! It asks each part in that part's own protocol and knows none of their insides, so it works against real ones too.
//! Map: `options` what it is told, `service` start and stop, `probe` whether a part answers, `kafka` topics and their
//! ends, `snapshot` all answers together, `page` the HTML.

mod errors;
mod kafka;
mod options;
mod page;
mod probe;
mod service;
mod snapshot;
#[cfg(test)]
mod tests;

pub use errors::Error;
pub use options::{Options, Part};
pub use probe::{probe, url};
pub use service::Service;
