//! Sensors: each looks whether something is there. In poke mode they keep their slot between looks, in reschedule mode they
//! give it back.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use regex::Regex;
use serde_json::Value;

use super::{bash, dag_runs, http, python};
use crate::{
    dag::{Arg, OperatorKind, Task},
    executor::{Attempt, Done, Failure, as_text},
    template::Lookup,
};

const POKE_INTERVAL_DEFAULT: TimeDelta = TimeDelta::seconds(60);
const TIMEOUT_DEFAULT: TimeDelta = TimeDelta::seconds(7 * 24 * 60 * 60);

/// What a look came to.
pub enum Look {
    /// With the value that the sensor returns.
    Seen(Value),
    NotYet,
    Skip(String),
}

impl Look {
    pub fn of(is_there: bool) -> Look {
        if is_there { Look::Seen(Value::Null) } else { Look::NotYet }
    }
}

pub fn run(attempt: &mut Attempt, task: &Task) -> Result<Done, Failure> {
    let timeout = attempt.arg("timeout").and_then(Arg::as_duration).unwrap_or(TIMEOUT_DEFAULT);
    let reschedules = attempt.text("mode").as_deref() == Some("reschedule");
    let began = attempt.instance.first_poke_at.unwrap_or_else(|| attempt.now());
    for look in 1.. {
        let looked = match poke(attempt, task) {
            Err(_ended) if attempt.cancel.is_stopped() => return Err(Failure::new("ended")),
            Err(failure) => tolerated(attempt, failure)?,
            Ok(looked) => looked,
        };
        match looked {
            Look::Seen(value) => {
                attempt.say("info", "Success criteria met. Exiting.");
                return Ok(Done::Success(value));
            }
            Look::Skip(reason) => return Ok(Done::Skipped(reason)),
            Look::NotYet => {}
        }
        let ran = attempt.now() - began;
        if ran > timeout {
            let [ran, timeout] = [ran, timeout].map(TimeDelta::as_seconds_f64);
            let reason = format!("Sensor has timed out; it ran {ran} s, its timeout is {timeout} s.");
            let is_soft = attempt.flag("soft_fail", false);
            return if is_soft { Ok(Done::Skipped(reason)) } else { Err(Failure::for_good(reason)) };
        }
        let wait = wait(attempt, began, ran, timeout, (!reschedules).then_some(look));
        if reschedules {
            return Ok(Done::Reschedule(attempt.now() + wait));
        }
        if !attempt.pause(wait.to_std().unwrap_or(Duration::ZERO)) {
            break;
        }
    }
    Err(Failure::new("ended"))
}

/// As Airflow: `soft_fail` is for what no other look would change, `silent_fail` for the rest, `never_fail` for both.
fn tolerated(attempt: &mut Attempt, failure: Failure) -> Result<Look, Failure> {
    let skip = |reason: &str| Ok(Look::Skip(format!("Skipping due to {reason}: {}", failure.reason)));
    if !failure.may_retry && attempt.flag("soft_fail", false) {
        return skip("soft_fail");
    }
    if failure.may_retry && attempt.flag("silent_fail", false) {
        attempt.say("error", &format!("Sensor poke failed: {}", failure.reason));
        return Ok(Look::NotYet);
    }
    if attempt.flag("never_fail", false) {
        return skip("never_fail");
    }
    Err(failure)
}

/// Until the next look: constant, or growing with each and spread, as Airflow has it.
fn wait(
    attempt: &Attempt,
    began: DateTime<Utc>,
    ran: TimeDelta,
    timeout: TimeDelta,
    look: Option<i32>,
) -> TimeDelta {
    let interval = attempt.arg("poke_interval").and_then(Arg::as_duration).unwrap_or(POKE_INTERVAL_DEFAULT);
    if !attempt.flag("exponential_backoff", false) {
        return interval;
    }
    let seconds = |look: i32| {
        let least = (interval.as_seconds_f64() * 2f64.powi(look - 2)).floor().clamp(1.0, 1e9) as u32;
        let (dag_id, task_id) = (&attempt.run.dag_id, &attempt.instance.task_id);
        let spread = crate::hash32(&format!("{dag_id}#{task_id}#{began}#{look}")) % least;
        i64::from(least) + i64::from(spread)
    };
    // A sensor that gives its slot back forgets which look it is: that follows from the time that has passed.
    let passed = || {
        let mut until = 0;
        (1..).find(|look| {
            until += seconds(*look);
            until > ran.num_seconds()
        })
    };
    let seconds = seconds(look.or_else(passed).unwrap_or(1)).min((timeout - ran).num_seconds());
    let max = attempt.arg("max_wait").and_then(Arg::as_duration).unwrap_or(TIMEOUT_DEFAULT);
    TimeDelta::seconds(seconds.max(0)).min(max)
}

fn poke(attempt: &mut Attempt, task: &Task) -> Result<Look, Failure> {
    let seen = match task.operator.kind {
        OperatorKind::FileSensor => file(attempt)?,
        OperatorKind::TimeSensor => attempt.now() > time_of_day(attempt)?,
        OperatorKind::TimeDeltaSensor => attempt.now() > after_interval(attempt)?,
        OperatorKind::DateTimeSensor => attempt.now() > moment(attempt)?,
        OperatorKind::ExternalTaskSensor => return dag_runs::poke(attempt),
        OperatorKind::PythonSensor => return python::poke(attempt, task),
        OperatorKind::BashSensor => bash::poke(attempt)?,
        OperatorKind::HttpSensor => http::poke(attempt)?,
        OperatorKind::S3KeySensor => super::s3::poke(attempt)?,
        OperatorKind::Bash
        | OperatorKind::Python
        | OperatorKind::Empty
        | OperatorKind::BranchPython
        | OperatorKind::ShortCircuit
        | OperatorKind::TriggerDagRun
        | OperatorKind::Http
        | OperatorKind::Sql
        | OperatorKind::Email => true,
    };
    Ok(Look::of(seen))
}

/// Today at that time, in the DAG's zone.
fn time_of_day(attempt: &Attempt) -> Result<DateTime<Utc>, Failure> {
    let time = match attempt.arg("target_time") {
        Some(Arg::Time(time)) => Some(*time),
        Some(Arg::String(text)) => NaiveTime::parse_from_str(text, "%H:%M:%S").ok(),
        _other => None,
    };
    let time = time.ok_or_else(|| Failure::for_good("target_time is not a time of day"))?;
    let zone = attempt.dag.timezone;
    // The day on which the run came up, so that a sensor that waits past midnight still ends.
    let today = attempt.run.started_at.unwrap_or_else(|| attempt.now()).with_timezone(&zone).date_naive();
    let at = zone.from_local_datetime(&today.and_time(time)).earliest();
    at.map(|at| at.with_timezone(&Utc))
        .ok_or_else(|| Failure::for_good("target_time does not exist on this day"))
}

fn after_interval(attempt: &Attempt) -> Result<DateTime<Utc>, Failure> {
    let delta = match attempt.arg("delta") {
        Some(Arg::Duration(delta)) => Some(*delta),
        // As Airflow reads a number: in minutes.
        other => other.and_then(as_text).and_then(|text| text.trim().parse().ok().map(TimeDelta::minutes)),
    };
    let delta =
        delta.ok_or_else(|| Failure::for_good("delta is neither a duration nor a number of minutes"))?;
    Ok(attempt.run.interval.map_or(attempt.run.run_after, |interval| interval.end) + delta)
}

fn moment(attempt: &Attempt) -> Result<DateTime<Utc>, Failure> {
    match attempt.arg("target_time") {
        Some(Arg::DateTime(time)) => Ok(time.with_timezone(&Utc)),
        Some(Arg::String(text)) => {
            parse_time(text).ok_or_else(|| Failure::for_good(format!("{text} is not a time")))
        }
        _other => Err(Failure::for_good("target_time is not a time")),
    }
}

/// ISO 8601 with or without a zone; without one it is UTC.
pub fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(&text.replacen(' ', "T", 1)) {
        return Some(time.with_timezone(&Utc));
    }
    let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let naive = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let day =
        || chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|day| day.and_time(NaiveTime::MIN));
    naive.or_else(day).map(|naive| naive.and_utc())
}

/// Whether a file is there: a path, or a pattern with `*`, `?` and `[…]`. A folder counts where a file lies in it.
fn file(attempt: &mut Attempt) -> Result<bool, Failure> {
    let pattern = attempt.text("filepath").ok_or_else(|| Failure::for_good("filepath is missing"))?;
    let connection = attempt.text("fs_conn_id").and_then(|id| attempt.lookup.connection(&id));
    let extra = connection.and_then(|it| serde_json::from_str::<Value>(it.extra?.reveal()).ok());
    let base = extra.and_then(|extra| extra.get("path")?.as_str().map(PathBuf::from));
    let base = base.unwrap_or_else(|| attempt.shared.options.project.clone());
    let full = base.join(pattern);
    attempt.say("info", &format!("Poking for file {}", full.display()));
    Ok(matching(&full).iter().any(|path| path.is_file() || has_file(path)))
}

fn has_file(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| entry.path().is_file() || has_file(&entry.path()))
}

/// The paths that a pattern stands for.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy();
        if !text.contains(['*', '?', '[']) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let Some(name) = glob(&text) else { return Vec::new() };
        let within = |folder: &PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
        let named = |entry: &fs::DirEntry| name.is_match(&entry.file_name().to_string_lossy());
        found = found.iter().flat_map(within).filter(named).map(|entry| entry.path()).collect();
    }
    found.retain(|path| path.exists());
    found
}

/// A shell pattern as a regular expression.
pub fn glob(pattern: &str) -> Option<Regex> {
    let mut text = String::from("^");
    for letter in pattern.chars() {
        match letter {
            '*' => text.push_str(".*"),
            '?' => text.push('.'),
            '[' | ']' | '-' => text.push(letter),
            '!' => text.push('^'),
            other => text.push_str(&regex::escape(&other.to_string())),
        }
    }
    text.push('$');
    Regex::new(&text).ok()
}

/// Texts of an argument that is one or a list of them.
pub fn texts(attempt: &Attempt, name: &str) -> Option<Vec<String>> {
    match attempt.arg(name)? {
        Arg::Null => None,
        Arg::List(items) => Some(items.iter().filter_map(as_text).collect()),
        one => as_text(one).map(|text| vec![text]),
    }
}
