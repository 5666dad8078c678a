//! Running the operators that the DAG files may name. Each gives what it came to; none knows states, retries or the database's
//! tables of runs.

mod bash;
mod dag_runs;
mod http;
mod python;
mod s3;
mod sensors;
mod sql;

pub use sensors::parse_time;

use crate::{
    dag::{OperatorKind, Task},
    executor::{Attempt, Done, Failure},
};
use serde_json::Value;

pub fn run(attempt: &mut Attempt, task: &Task) -> Result<Done, Failure> {
    match task.operator.kind {
        OperatorKind::Bash => bash::run(attempt),
        OperatorKind::Python => python::run(attempt, task),
        OperatorKind::BranchPython => python::branch(attempt, task),
        OperatorKind::ShortCircuit => python::short_circuit(attempt, task),
        OperatorKind::Empty => Ok(Done::Success(Value::Null)),
        OperatorKind::TriggerDagRun => dag_runs::trigger(attempt),
        OperatorKind::Http => http::run(attempt),
        OperatorKind::Sql => sql::run(attempt),
        OperatorKind::Email => Ok(email(attempt)),
        OperatorKind::FileSensor
        | OperatorKind::TimeSensor
        | OperatorKind::TimeDeltaSensor
        | OperatorKind::DateTimeSensor
        | OperatorKind::ExternalTaskSensor
        | OperatorKind::PythonSensor
        | OperatorKind::BashSensor
        | OperatorKind::HttpSensor
        | OperatorKind::S3KeySensor => sensors::run(attempt, task),
    }
}

/// Mail is not sent from here: the log shows what would have been.
fn email(attempt: &mut Attempt) -> Done {
    let part = |attempt: &Attempt, name| attempt.text(name).unwrap_or_default();
    let (to, subject, content) =
        (part(attempt, "to"), part(attempt, "subject"), part(attempt, "html_content"));
    attempt.say("info", &format!("Email to {to}: {subject}"));
    attempt.say("info", &content);
    Done::Success(Value::Null)
}
