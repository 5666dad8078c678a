//! What can be wrong with a template when its task runs.

use base::{Code, Problem, code};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the template in {field} of {dag_id}.{task_id} ({file}) cannot be rendered: {reason}")]
    Render { dag_id: String, task_id: String, file: String, field: String, reason: String },
    #[error("{field} of {dag_id}.{task_id} wants `{key}` of {from}, which gave no such XCom")]
    Output { dag_id: String, task_id: String, field: String, from: String, key: String },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Render { .. } => code::TM1315,
            Error::Output { .. } => code::TM1316,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Render { .. } => {
                "mend the template; docs/dags.md lists what templates may name".to_owned()
            }
            Error::Output { from, key, .. } => {
                format!("let {from} return a dict with `{key}` in it, and set multiple_outputs: true")
            }
        }
    }
}
