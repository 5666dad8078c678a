//! The scheduler: DAGs in dag-factory's format, run as Airflow's LocalExecutor runs them, behind Airflow's REST API v2.
//!
//! `dag` is what a DAG is, as plain data; `files` reads it from `dags/*.yml`; `timetable` says when its runs are due;
//! `template` renders its tasks' arguments. `scheduling` decides, and alone writes to the `store`; `executor` runs what it
//! launches by the `operators`, with `logs`; `api` shows and orders. It knows no other part: tasks reach those as any
//! program does, and a pipeline is a command in a task.

mod api;
pub mod dag;
mod errors;
mod executor;
pub mod files;
mod known;
mod logs;
mod lookup;
mod operators;
mod options;
mod scheduling;
mod service;
mod state;
mod store;
pub mod template;
pub mod timetable;

pub use errors::Error;
pub use options::{Options, OwnStore};
pub use service::Service;
use store::cells;

/// The machine's name, as task instances have it.
fn hostname() -> String {
    static NAME: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let read = || std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned());
    NAME.get_or_init(|| read().unwrap_or_else(|_| "localhost".to_owned())).clone()
}

/// The same number for the same text in every life.
fn hash32(text: &str) -> u32 {
    // FNV-1a.
    text.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
