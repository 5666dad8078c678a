//! What a scheduler's API can refuse, in words.

use base::{BoxError, Code, Problem, code};

#[derive(Debug, thiserror::Error)]
pub(super) enum DagError {
    #[error("the scheduler at {url} does not answer")]
    Unreachable { url: String, source: BoxError },
    #[error("the scheduler at {url} refuses access: {reason}")]
    Denied { url: String, reason: String, has_signed_in: bool },
    #[error("{reason}")]
    Missing { reason: String },
    #[error("{dag} has no runs yet")]
    NoRuns { dag: String },
    #[error("the scheduler refuses: {reason}")]
    Refused { reason: String },
    #[error("the scheduler at {url} failed: {reason}")]
    Failed { url: String, reason: String },
    #[error("run {run} of {dag} failed{}", tasks_text(tasks))]
    RunFailed { dag: String, run: String, tasks: Vec<String> },
    #[error("{reason}")]
    TestFailed { reason: String },
    #[error("`{text}` is no date")]
    Date { text: String },
    #[error("--conf is no JSON object")]
    Conf { source: serde_json::Error },
}

fn tasks_text(tasks: &[String]) -> String {
    if tasks.is_empty() { String::new() } else { format!(": {}", tasks.join(", ")) }
}

impl Problem for DagError {
    fn code(&self) -> Code {
        match self {
            DagError::Unreachable { .. } => code::TM1040,
            DagError::Denied { .. } => code::TM1041,
            DagError::Missing { .. } | DagError::NoRuns { .. } => code::TM1042,
            DagError::Refused { .. } => code::TM1043,
            DagError::Failed { .. } => code::TM1044,
            DagError::RunFailed { .. } | DagError::TestFailed { .. } => code::TM1045,
            DagError::Date { .. } | DagError::Conf { .. } => code::TM1046,
        }
    }

    fn help(&self) -> String {
        match self {
            DagError::Unreachable { .. } => {
                "start it (tidemill up), or name another one: --url http://HOST:8080".to_owned()
            }
            DagError::Denied { has_signed_in: false, .. } => {
                "sign in: --user NAME with TIDEMILL_DAG_PASSWORD, or --token".to_owned()
            }
            DagError::Denied { has_signed_in: true, .. } => {
                "check the name, the password or the token, and what they may do".to_owned()
            }
            DagError::Missing { .. } => {
                "see what there is: tidemill dag list, tidemill dag runs DAG, tidemill dag tasks DAG"
                    .to_owned()
            }
            DagError::NoRuns { dag } => format!("start one: tidemill dag trigger {dag}"),
            DagError::Refused { .. } => "change the command as it says".to_owned(),
            DagError::Failed { .. } => "look into its log, and try again".to_owned(),
            DagError::RunFailed { dag, run, tasks } => match tasks.first() {
                Some(task) => {
                    format!(
                        "read why: tidemill dag logs {dag} {task} --run {run}; then: tidemill dag clear {dag} --run {run} --only-failed"
                    )
                }
                None => format!("see its tasks: tidemill dag tasks {dag} --run {run}"),
            },
            DagError::TestFailed { .. } => "its tasks' logs above say why".to_owned(),
            DagError::Date { .. } => "write 2026-01-31, or 2026-01-31T10:00:00Z".to_owned(),
            DagError::Conf { .. } => "write it as --conf '{\"key\": \"value\"}'".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_and_what_to_do() {
        let (dag, run, url) = ("lake".to_owned(), "manual__1".to_owned(), "http://127.0.0.1:8090".to_owned());
        let errors = [
            DagError::Unreachable { url: url.clone(), source: "connection refused".into() },
            DagError::Denied {
                url: url.clone(),
                reason: "Not authenticated".to_owned(),
                has_signed_in: false,
            },
            DagError::Denied {
                url: url.clone(),
                reason: "Invalid credentials".to_owned(),
                has_signed_in: true,
            },
            DagError::Missing { reason: "The Dag with ID: `lak` was not found".to_owned() },
            DagError::NoRuns { dag: dag.clone() },
            DagError::Refused { reason: "a run with this id is there already".to_owned() },
            DagError::Failed { url, reason: "HTTP 500".to_owned() },
            DagError::RunFailed { dag: dag.clone(), run: run.clone(), tasks: vec!["check".to_owned()] },
            DagError::RunFailed { dag, run, tasks: Vec::new() },
            DagError::TestFailed { reason: "run manual__1 of lake failed: check".to_owned() },
            DagError::Date { text: "yesterday".to_owned() },
            DagError::Conf {
                source: serde_json::from_str::<serde_json::Map<String, serde_json::Value>>("[1]")
                    .expect_err("no object"),
            },
        ];
        let texts: Vec<String> = errors.iter().map(|error| base::problem::plain(error)).collect();
        insta::assert_snapshot!(texts.join("\n"));
    }
}
