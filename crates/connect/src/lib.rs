//! The Connect worker: Kafka Connect's REST API, its connectors' configurations as people have them, and the tasks.
//!
//! Map: `options` settings; `service` start, run, drain; `http` one file for each noun of the REST API; `config` what
//! each configuration key is and what is wrong with a value; `store` the internal topics in Connect's own form;
//! `worker` connectors, tasks and their states; `converters` bytes to values; `dead_letters` where refused records go.
//!
//! It reaches Kafka as a client does, never the embedded broker's insides; it writes no object itself (`connectors`
//! does) and moves no record itself (`engine` does). It knows no registry but by its REST API.

mod config;
mod converters;
mod dead_letters;
mod errors;
mod http;
mod kafka;
mod options;
mod service;
mod store;
mod worker;

pub use config::{Definition, check_config, is_secret_key};
pub use errors::{Error, Reason};
pub use options::{Options, OwnStore};
pub use service::Service;
pub use worker::topic_matches;
