//! The end-to-end tests: the built binary, driven from outside by programs that nobody here wrote. One binary.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod bad_input;
mod cli;
mod confluent;
mod connect_http;
mod crash;
mod external;
mod flow;
mod java;
mod kafka_python;
mod kcat;
mod lifecycle;
mod s3_clients;
mod shared;
