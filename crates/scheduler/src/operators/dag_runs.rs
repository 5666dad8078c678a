//! TriggerDagRunOperator and ExternalTaskSensor: runs of other DAGs of this scheduler.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tokio::sync::oneshot;

use super::sensors::{parse_time, texts};
use crate::{
    Error, cells,
    dag::Arg,
    executor::{Attempt, Done, Failure},
    scheduling::{Event, Order, Trigger},
    store::placeholders,
};

/// How often a run that is waited for is looked at: it is our own database.
const WAIT_MS_MAX: i64 = 250;

pub fn trigger(attempt: &mut Attempt) -> Result<Done, Failure> {
    let dag_id =
        attempt.text("trigger_dag_id").ok_or_else(|| Failure::for_good("trigger_dag_id is missing"))?;
    let logical_date = match attempt.arg("logical_date") {
        Some(Arg::DateTime(time)) => Some(time.with_timezone(&Utc)),
        Some(Arg::String(text)) => {
            Some(parse_time(text).ok_or_else(|| Failure::for_good("logical_date is not a time"))?)
        }
        _none => None,
    };
    let conf = attempt.arg("conf").map_or_else(|| "{}".to_owned(), |conf| conf.to_json().to_string());
    let trigger = Trigger {
        run_id: attempt.text("trigger_run_id"),
        logical_date,
        conf,
        triggered_by: "operator",
        reset: attempt.flag("reset_dag_run", false),
        ..Trigger::default()
    };
    let run = match order(attempt, |answer| Order::Trigger { dag_id: dag_id.clone(), trigger, answer }) {
        Ok(run) => run,
        Err(Error::Refused { status: 409, detail }) if attempt.flag("skip_when_already_exists", false) => {
            return Ok(Done::Skipped(detail));
        }
        Err(error) => return Err(error.into()),
    };
    attempt.say("info", &format!("Triggered {dag_id}: {}", run.run_id));
    attempt.pushed.push(("trigger_run_id".to_owned(), Value::from(run.run_id.as_str())));
    if attempt.flag("wait_for_completion", false) {
        wait_for(attempt, &dag_id, &run.run_id)?;
    }
    Ok(Done::Success(Value::Null))
}

fn wait_for(attempt: &mut Attempt, dag_id: &str, run_id: &str) -> Result<(), Failure> {
    let allowed = texts(attempt, "allowed_states").unwrap_or_else(|| vec!["success".to_owned()]);
    let failed = texts(attempt, "failed_states").unwrap_or_else(|| vec!["failed".to_owned()]);
    let interval = attempt
        .arg("poke_interval")
        .and_then(Arg::as_duration)
        .map_or(WAIT_MS_MAX, |it| it.num_milliseconds());
    let pause = Duration::from_millis(u64::try_from(interval.clamp(1, WAIT_MS_MAX)).unwrap_or(1));
    loop {
        let run = attempt.runtime.block_on(attempt.shared.database.run(dag_id, run_id))?;
        let state = run.map(|run| run.state.word());
        match state {
            Some(state) if failed.iter().any(|it| it == state) => {
                return Err(Failure::new(format!("{dag_id} failed with failed states {state}")));
            }
            Some(state) if allowed.iter().any(|it| it == state) => return Ok(()),
            Some(_not_yet) => {}
            None => return Err(Failure::new(format!("the run {run_id} of {dag_id} is gone"))),
        }
        if !attempt.pause(pause) {
            return Err(Failure::new("ended"));
        }
    }
}

fn order<T>(
    attempt: &Attempt,
    order: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Order,
) -> Result<T, Error> {
    let (answer, answered) = oneshot::channel();
    let gone = || Error::Store { reason: "the scheduler stops".to_owned() };
    attempt.runtime.block_on(async {
        attempt.shared.events.send(Event::Order(order(answer))).await.map_err(|_closed| gone())?;
        answered.await.map_err(|_dropped| gone())?
    })
}

/// Whether another DAG's tasks, or its whole run, have the wanted states for the same logical date.
pub fn poke(attempt: &mut Attempt) -> Result<bool, Failure> {
    let dag_id =
        attempt.text("external_dag_id").ok_or_else(|| Failure::for_good("external_dag_id is missing"))?;
    let mut tasks = texts(attempt, "external_task_ids").unwrap_or_default();
    tasks.extend(attempt.text("external_task_id"));
    let delta = attempt.arg("execution_delta").and_then(Arg::as_duration).unwrap_or(TimeDelta::zero());
    let date = attempt.run.logical_date.unwrap_or(attempt.run.run_after) - delta;
    let allowed = texts(attempt, "allowed_states").unwrap_or_else(|| vec!["success".to_owned()]);
    let failed = texts(attempt, "failed_states").unwrap_or_default();
    let skipped = texts(attempt, "skipped_states").unwrap_or_default();
    attempt.say("info", &format!("Poking for DAG {dag_id}, tasks {tasks:?}, on {}", date.to_rfc3339()));
    let states = states(attempt, &dag_id, &tasks, date)?;
    let any = |wanted: &[String]| states.iter().flatten().any(|state| wanted.contains(state));
    if any(&failed) {
        return Err(Failure::new(format!("Some of the external tasks {tasks:?} in DAG {dag_id} failed.")));
    }
    if any(&skipped) {
        return Err(Failure::new(format!(
            "Some of the external tasks {tasks:?} in DAG {dag_id} were skipped."
        )));
    }
    let wanted = tasks.len().max(1);
    Ok(states.len() >= wanted
        && states.iter().all(|state| state.as_ref().is_some_and(|it| allowed.contains(it))))
}

fn states(
    attempt: &Attempt,
    dag_id: &str,
    tasks: &[String],
    date: DateTime<Utc>,
) -> Result<Vec<Option<String>>, Failure> {
    let mut cells = cells![dag_id, date];
    let sql = if tasks.is_empty() {
        "SELECT r.state FROM dag_run r WHERE r.dag_id = ?1 AND r.logical_date = ?2".to_owned()
    } else {
        cells.extend(tasks.iter().map(crate::store::Cell::from));
        format!(
            "SELECT t.state FROM task_instance t JOIN dag_run r ON r.id = t.run WHERE r.dag_id = ?1 \
             AND r.logical_date = ?2 AND t.task_id IN ({})",
            placeholders(2, tasks.len())
        )
    };
    let rows = attempt.runtime.block_on(attempt.shared.database.rows(sql, cells))?;
    Ok(rows.iter().map(|row| row[0].text().map(str::to_owned)).collect())
}
