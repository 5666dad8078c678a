//! The end-to-end tests: the built binary, driven from outside by programs that nobody here wrote. One binary.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod airflow_client;
mod apicurio;
mod auth;
mod bad_input;
mod cli;
mod clients;
mod confluent;
mod connect_http;
mod connections;
mod consumer_groups;
mod crash;
mod csvw;
mod dag_commands;
mod dag_runs;
mod dynamodb_clients;
mod external;
mod faults;
mod flow;
mod java;
mod kafka_answers;
mod kafka_python;
mod kcat;
mod lifecycle;
mod load_generate;
mod load_nowhere;
mod load_pairs;
mod load_reading;
mod load_resumed;
mod load_stores;
mod load_streaming;
mod load_told;
mod load_typed;
mod load_writing;
mod pipelines;
mod placement;
mod registry_clients;
mod rest_clients;
mod s3_clients;
mod security;
mod share_groups;
mod shared;
mod streams_groups;
mod transactions;
