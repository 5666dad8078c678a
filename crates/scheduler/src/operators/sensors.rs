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

pub fn run(attempt: &mut Attempt, task: &Task) -> Result<Done, Failure> {
    let interval = attempt.arg("poke_interval").and_then(Arg::as_duration).unwrap_or(POKE_INTERVAL_DEFAULT);
    let timeout = attempt.arg("timeout").and_then(Arg::as_duration).unwrap_or(TIMEOUT_DEFAULT);
    let reschedules = attempt.text("mode").as_deref() == Some("reschedule");
    let soft_fail = attempt.flag("soft_fail", false);
    let began = attempt.instance.first_poke_at.unwrap_or_else(|| attempt.now());
    let mut looks: i32 = 0;
    loop {
        match poke(attempt, task) {
            Ok(Some(value)) => {
                attempt.say("info", "Success criteria met. Exiting.");
                return Ok(Done::Success(value));
            }
            Ok(None) => {}
            Err(_ended) if attempt.cancel.is_stopped() => return Err(Failure::new("ended")),
            Err(failure) if soft_fail => {
                return Ok(Done::Skipped(format!("Skipping due to soft_fail: {}", failure.reason)));
            }
            Err(failure) if attempt.flag("silent_fail", false) => attempt.say("error", &failure.reason),
            Err(failure) => return Err(failure),
        }
        let next = attempt.now() + wait(attempt, interval, looks);
        looks = looks.saturating_add(1);
        if attempt.now() - began >= timeout {
            let reason = format!(
                "Sensor has timed out; run duration exceeds the specified timeout of {} s.",
                timeout.as_seconds_f64()
            );
            return if soft_fail { Ok(Done::Skipped(reason)) } else { Err(Failure::for_good(reason)) };
        }
        if reschedules {
            return Ok(Done::Reschedule(next));
        }
        let pause = (next - attempt.now()).to_std().unwrap_or(Duration::ZERO);
        if !attempt.pause(pause) {
            return Err(Failure::new("ended"));
        }
    }
}

/// Until the next look: constant, or growing up to `max_wait`.
fn wait(attempt: &Attempt, interval: TimeDelta, looks: i32) -> TimeDelta {
    if !attempt.flag("exponential_backoff", false) {
        return interval;
    }
    let max = attempt.arg("max_wait").and_then(Arg::as_duration).unwrap_or(TIMEOUT_DEFAULT);
    let seconds = interval.as_seconds_f64() * 2f64.powi(looks.min(30));
    TimeDelta::microseconds((seconds.min(max.as_seconds_f64()) * 1e6) as i64)
}

fn poke(attempt: &mut Attempt, task: &Task) -> Result<Option<Value>, Failure> {
    let seen = match task.operator.kind {
        OperatorKind::FileSensor => file(attempt)?,
        OperatorKind::TimeSensor => attempt.now() > time_of_day(attempt)?,
        OperatorKind::TimeDeltaSensor => attempt.now() > after_interval(attempt)?,
        OperatorKind::DateTimeSensor => attempt.now() > moment(attempt)?,
        OperatorKind::ExternalTaskSensor => dag_runs::poke(attempt)?,
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
    Ok(seen.then_some(Value::Null))
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
    let delta = attempt.arg("delta").and_then(Arg::as_duration);
    let delta = delta.ok_or_else(|| Failure::for_good("delta is not a duration"))?;
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
