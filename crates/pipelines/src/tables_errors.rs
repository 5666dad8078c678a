//! What can be wrong with a schema, or with a document that a frozen schema does not take.

use arrow_schema::ArrowError;
use base::{Code, Origin, Problem, Spot, code};

#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    #[error("the stored schema cannot be read")]
    Stored { source: serde_json::Error },
    #[error("the stored schema is not one of dlt's: {reason}")]
    NotSchema { reason: String },
    #[error("the stored schema is of dlt's engine {found}, and this program knows engine 11")]
    Engine { found: u64 },
    #[error("column {column} of {table} is {has} in the schema, and the pipeline file says {wants}")]
    Hint { table: String, column: String, has: String, wants: String },
    #[error("{what}, and the contract of {table} says {entity}: freeze")]
    Frozen { table: String, entity: &'static str, what: String, origin: Origin },
    #[error("a pipeline takes documents, and the source gave columns")]
    Form,
    #[error("rows could not be made into columns")]
    Columns { source: ArrowError },
}

impl Problem for TablesError {
    fn code(&self) -> Code {
        match self {
            TablesError::Stored { .. } | TablesError::NotSchema { .. } => code::TM1203,
            TablesError::Engine { .. } => code::TM1204,
            TablesError::Hint { .. } => code::TM1205,
            TablesError::Frozen { .. } => code::TM1206,
            TablesError::Form => code::TM1208,
            TablesError::Columns { .. } => code::TM1209,
        }
    }

    fn spot(&self) -> Option<Spot> {
        match self {
            TablesError::Frozen { origin, .. } => Some(Spot::Record(origin.clone())),
            TablesError::Stored { .. }
            | TablesError::NotSchema { .. }
            | TablesError::Engine { .. }
            | TablesError::Hint { .. }
            | TablesError::Form
            | TablesError::Columns { .. } => None,
        }
    }

    fn help(&self) -> String {
        match self {
            TablesError::Stored { .. } | TablesError::NotSchema { .. } => {
                "point the pipeline at a dataset of its own, or begin anew: tidemill run PIPELINE --full-refresh".to_owned()
            }
            TablesError::Engine { found } if *found > 11 => {
                "update tidemill, or load into a dataset of its own".to_owned()
            }
            TablesError::Engine { .. } => "load once with dlt 1.31, which brings the schema up to date".to_owned(),
            TablesError::Hint { column, has, .. } => format!(
                "leave {column} as {has}, rename it in the pipeline file, or begin anew: tidemill run PIPELINE --full-refresh"
            ),
            TablesError::Frozen { entity, .. } => format!(
                "set {entity} to evolve in the stream's contract to let it in, to discard_row or discard_value to leave it out, \
                 or correct the document"
            ),
            TablesError::Form => "read the files as JSON Lines or CSV".to_owned(),
            TablesError::Columns { .. } => "please report this, with the document if you can".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
