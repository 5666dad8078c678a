//! TriggerDagRunOperator and ExternalTaskSensor: runs of other DAGs of this scheduler.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tokio::sync::oneshot;

use super::sensors::{Look, parse_time, texts};
use crate::{
    Error, cells,
    dag::Arg,
    executor::{Attempt, Done, Failure, as_text},
    scheduling::{Event, Order, Trigger},
    store::placeholders,
};

/// How often a run that is waited for is looked at: it is our own database.
const WAIT_MS_MAX: i64 = 250;

pub fn trigger(attempt: &mut Attempt) -> Result<Done, Failure> {
    let dag_id =
        attempt.text("trigger_dag_id").ok_or_else(|| Failure::for_good("trigger_dag_id is missing"))?;
    if attempt.flag("fail_when_dag_is_paused", false)
        && attempt.shared.dags.read().get(&dag_id).is_some_and(|known| known.is_paused)
    {
        return Err(Failure::new(format!("Dag {dag_id} is paused")));
    }
    let run_after = time(attempt, "run_after")?;
    let logical_date = match attempt.arg("logical_date") {
        // As in Airflow: without any time it is now.
        None => run_after.is_none().then(|| attempt.now()),
        Some(_given) => time(attempt, "logical_date")?,
    };
    let conf = attempt.arg("conf").map_or_else(|| "{}".to_owned(), |conf| conf.to_json().to_string());
    let trigger = Trigger {
        run_id: attempt.text("trigger_run_id"),
        logical_date,
        run_after,
        conf,
        note: attempt.text("note"),
        triggered_by: "operator",
        reset: attempt.flag("reset_dag_run", false),
        ..Trigger::default()
    };
    let run = match order(attempt, |answer| Order::Trigger { dag_id: dag_id.clone(), trigger, answer }) {
        Ok(run) => run,
        Err(Error::Refused { status: 409, detail }) if attempt.flag("skip_when_already_exists", false) => {
            return Ok(Done::Skipped(detail));
        }
        Err(Error::Refused { status: 409, detail }) => return Err(Failure::for_good(detail)),
        Err(error) => return Err(error.into()),
    };
    attempt.say("info", &format!("Triggered {dag_id}: {}", run.run_id));
    attempt.pushed.push(("trigger_run_id".to_owned(), Value::from(run.run_id.as_str())));
    if attempt.flag("wait_for_completion", false) {
        wait_for(attempt, &dag_id, &run.run_id)?;
    }
    Ok(Done::Success(Value::Null))
}

fn time(attempt: &Attempt, name: &str) -> Result<Option<DateTime<Utc>>, Failure> {
    match attempt.arg(name) {
        None | Some(Arg::Null) => Ok(None),
        Some(Arg::DateTime(time)) => Ok(Some(time.with_timezone(&Utc))),
        Some(other) => {
            let time = as_text(other).and_then(|text| parse_time(&text));
            time.map(Some).ok_or_else(|| Failure::for_good(format!("{name} is not a time")))
        }
    }
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
pub fn poke(attempt: &mut Attempt) -> Result<Look, Failure> {
    let dag_id =
        attempt.text("external_dag_id").ok_or_else(|| Failure::for_good("external_dag_id is missing"))?;
    let mut tasks = texts(attempt, "external_task_ids").unwrap_or_default();
    tasks.extend(attempt.text("external_task_id"));
    if let Some(group) = attempt.text("external_task_group_id") {
        tasks = group_tasks(attempt, &dag_id, &group)?;
    }
    let delta = attempt.arg("execution_delta").and_then(Arg::as_duration).unwrap_or(TimeDelta::zero());
    let date = attempt.run.logical_date.unwrap_or(attempt.run.run_after) - delta;
    let allowed = texts(attempt, "allowed_states").unwrap_or_else(|| vec!["success".to_owned()]);
    let failed = texts(attempt, "failed_states").unwrap_or_default();
    let skipped = texts(attempt, "skipped_states").unwrap_or_default();
    attempt.say("info", &format!("Poking for DAG {dag_id}, tasks {tasks:?}, on {}", date.to_rfc3339()));
    let states = states(attempt, &dag_id, &tasks, date)?;
    let any = |wanted: &[String]| states.iter().flatten().any(|state| wanted.contains(state));
    let what = if tasks.is_empty() { "The run".to_owned() } else { format!("Some of the tasks {tasks:?}") };
    if any(&failed) {
        let reason = format!("{what} of DAG {dag_id} failed.");
        let is_soft = attempt.flag("soft_fail", false);
        return if is_soft { Ok(Look::Skip(reason)) } else { Err(Failure::new(reason)) };
    }
    if any(&skipped) {
        return Ok(Look::Skip(format!("{what} of DAG {dag_id} reached a state to skip on.")));
    }
    let wanted = tasks.len().max(1);
    let is_allowed = |state: &Option<String>| state.as_ref().is_some_and(|it| allowed.contains(it));
    Ok(Look::of(states.len() >= wanted && states.iter().all(is_allowed)))
}

fn group_tasks(attempt: &Attempt, dag_id: &str, group: &str) -> Result<Vec<String>, Failure> {
    let known = attempt.shared.dags.read().get(dag_id);
    let dag = known.filter(|known| known.dag.groups.contains_key(group)).map(|known| known.dag.clone());
    let dag = dag.ok_or_else(|| Failure::new(format!("DAG {dag_id} has no task group {group}")))?;
    let tasks = dag.tasks.values().filter(|task| dag.is_in_group(task, group));
    Ok(tasks.map(|task| task.task_id.clone()).collect())
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
