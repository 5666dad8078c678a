//! What ends a run: the problem nearest to the cause, in its own words.

use std::{error::Error as StdError, fmt};

use base::{BoxError, Code, Problem, Spot, code};

use crate::causes::deepest;

#[derive(Debug)]
pub(crate) enum RunError {
    Failed { source: BoxError },
    Interrupted { pipeline: String, load_id: String },
}

impl RunError {
    /// A record that was refused keeps its own words; all else is the error below the engine's.
    pub(crate) fn of(source: BoxError) -> Box<Self> {
        Box::new(RunError::Failed { source })
    }
}

impl From<Box<RunError>> for Box<dyn Problem> {
    fn from(error: Box<RunError>) -> Self {
        error
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Failed { source } => match deepest(&**source) {
                Some(problem) => write!(f, "{problem}"),
                None => write!(f, "{source}"),
            },
            RunError::Interrupted { pipeline, load_id } => {
                write!(f, "interrupted; the load {load_id} of {pipeline} is not complete")
            }
        }
    }
}

impl StdError for RunError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            RunError::Failed { source } => match deepest(&**source) {
                Some(problem) => problem.source(),
                None => source.source(),
            },
            RunError::Interrupted { .. } => None,
        }
    }
}

impl Problem for RunError {
    fn code(&self) -> Code {
        match self {
            RunError::Failed { source } => deepest(&**source).map_or(code::TM1030, |problem| problem.code()),
            RunError::Interrupted { .. } => code::TM1014,
        }
    }

    fn spot(&self) -> Option<Spot> {
        match self {
            RunError::Failed { source } => deepest(&**source).and_then(|problem| problem.spot()),
            RunError::Interrupted { .. } => None,
        }
    }

    fn help(&self) -> String {
        match self {
            RunError::Failed { source } => deepest(&**source).map_or_else(
                || "mend the cause and run it again: it goes on where it was".to_owned(),
                |problem| problem.help(),
            ),
            RunError::Interrupted { pipeline, .. } => format!("go on with it: tidemill run {pipeline}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_and_what_to_do() {
        let interrupted =
            RunError::Interrupted { pipeline: "planes_to_lake".into(), load_id: "1795840419.731".into() };
        let errors = [*RunError::of("the disk is full".into()), interrupted];
        let texts: Vec<String> = errors.iter().map(|error| base::problem::plain(error)).collect();
        insta::assert_snapshot!(texts.join("\n"));
    }
}
