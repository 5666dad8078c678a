//! A project folder: its settings with the line each came from, its connector and contract files, its lock and state.
//!
//! It opens no connection and starts nothing. `settings` holds the layers, `kind` what values look like, `origin` where
//! they came from, `explain` prints them; `folder` finds the project, `documents` reads its JSON files with places;
//! `connections` and `variables` are Airflow's, from what `given` finds, by the rules of Python's library in `python`;
//! `lock`, `running` and `state` are what lies in `.tidemill/`.

mod connections;
mod documents;
mod dotenv;
mod errors;
mod explain;
mod folder;
mod given;
mod kind;
mod lock;
mod origin;
mod python;
mod running;
mod settings;
mod state;
#[cfg(test)]
mod tests;
mod tree;
mod variables;
mod yaml;

pub use connections::{Connection, Connections};
pub use documents::{ConnectorFile, ContractFile};
pub use errors::Error;
pub use explain::{explain, show, show_json};
pub use folder::{Outside, Project, SETTINGS_FILE};
pub use kind::{Kind, bytes, unit_bytes, unit_ms};
pub use lock::ProjectLock;
pub use origin::{Origin, TextFile};
pub use running::{Running, RunningPart};
pub use settings::{DEFAULTS_YAML, Setting, Settings};
pub use state::write_atomic;
pub use variables::{Variable, Variables};
