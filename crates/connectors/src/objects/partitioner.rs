//! Which folder a record belongs to: Confluent's Default, Field, TimeBased, Daily and Hourly partitioners.

use std::{borrow::Cow, collections::BTreeMap, ops::Range, sync::Arc};

use arrow_array::Array;
use base::{Batch, Body, Clock, Code, Value, code};
use chrono::{DateTime, LocalResult, NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use serde_json::value::RawValue;

use super::{Partitioner, TimeRule, time::time_ms};

/// Why a record has no folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Homeless {
    pub(crate) code: Code,
    pub(crate) reason: String,
}

/// Rows next to each other that belong to one folder, or to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) rows: Range<usize>,
    pub(crate) folder: Result<Arc<str>, Homeless>,
}

/// Folders of records, remembering the last one: most records go where the one before them went.
pub(crate) struct Folders {
    partitioner: Partitioner,
    directory_delim: String,
    clock: Arc<dyn Clock>,
    of_partition: Arc<str>,
    /// The last slot of time and its folder.
    slot: Option<(Range<i64>, Arc<str>)>,
}

impl Folders {
    pub(crate) fn new(
        partitioner: Partitioner,
        directory_delim: &str,
        partition: i32,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let of_partition = format!("partition={partition}").into();
        Self { partitioner, directory_delim: directory_delim.to_owned(), clock, of_partition, slot: None }
    }

    /// Cuts `rows` where the folder changes.
    pub(crate) fn runs(&mut self, batch: &Batch, rows: Range<usize>) -> Vec<Run> {
        if let Partitioner::Default = self.partitioner {
            return vec![Run { rows, folder: Ok(self.of_partition.clone()) }];
        }
        let mut runs: Vec<Run> = Vec::new();
        for row in rows {
            let folder = self.folder(batch, row);
            match runs.last_mut() {
                Some(run) if run.folder == folder && folder.is_ok() => run.rows.end = row + 1,
                _ => runs.push(Run { rows: row..row + 1, folder }),
            }
        }
        runs
    }

    pub(crate) fn folder(&mut self, batch: &Batch, row: usize) -> Result<Arc<str>, Homeless> {
        match &self.partitioner {
            Partitioner::Default => Ok(self.of_partition.clone()),
            Partitioner::Field { names } => by_fields(batch, row, names, &self.directory_delim)
                .map_err(|reason| Homeless { code: code::TM0753, reason }),
            Partitioner::Time(rule) => {
                let time_ms = time_ms(batch, row, &rule.extractor, &*self.clock)
                    .map_err(|reason| Homeless { code: code::TM0754, reason })?;
                if let Some((slot, folder)) = &self.slot
                    && slot.contains(&time_ms)
                {
                    return Ok(folder.clone());
                }
                let folder =
                    by_time(rule, time_ms).map_err(|reason| Homeless { code: code::TM0754, reason })?;
                // A minute lies in one slot of every rule whose slots are whole minutes; others remember nothing.
                if rule.duration_ms % 60_000 == 0 {
                    let start = time_ms.div_euclid(60_000) * 60_000;
                    self.slot = Some((start..start + 60_000, folder.clone()));
                }
                Ok(folder)
            }
        }
    }
}

/// Rounds down in local time, as TimeBasedPartitioner does, and writes the pattern.
fn by_time(rule: &TimeRule, time_ms: i64) -> Result<Arc<str>, String> {
    let outside = || format!("the time {time_ms} is outside the calendar");
    let time = DateTime::from_timestamp_millis(time_ms).ok_or_else(outside)?.with_timezone(&rule.timezone);
    let local_ms = time.naive_local().and_utc().timestamp_millis();
    let rounded_ms = local_ms.div_euclid(rule.duration_ms) * rule.duration_ms;
    let rounded = DateTime::from_timestamp_millis(rounded_ms).ok_or_else(outside)?.naive_utc();
    Ok(rule.pattern.format(&from_local(rule.timezone, rounded)).into())
}

/// In a gap the time after it, in an overlap the earlier one: Joda's `convertLocalToUTC` without strictness.
fn from_local(timezone: Tz, local: NaiveDateTime) -> DateTime<Tz> {
    match timezone.from_local_datetime(&local) {
        LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => time,
        LocalResult::None => {
            let later = local + chrono::TimeDelta::hours(1);
            timezone
                .from_local_datetime(&later)
                .earliest()
                .unwrap_or_else(|| timezone.from_utc_datetime(&local))
        }
    }
}

fn by_fields(batch: &Batch, row: usize, names: &[Arc<str>], delim: &str) -> Result<Arc<str>, String> {
    let mut folder = String::new();
    for name in names {
        if !folder.is_empty() {
            folder += delim;
        }
        let text = field_text(batch, row, name)?;
        if text.is_empty() || text.contains(|letter: char| letter.is_control()) {
            return Err(format!("{name}: {text:?} cannot be part of a folder's name"));
        }
        folder += &format!("{name}={text}");
    }
    Ok(folder.into())
}

/// Whole numbers, booleans and texts can name a folder; null is `null`, as Java writes it.
fn field_text(batch: &Batch, row: usize, name: &str) -> Result<String, String> {
    match &batch.body {
        Body::Rows(rows) => match rows[row].get(name) {
            Some(Value::Int(number)) => Ok(number.to_string()),
            Some(Value::String(text)) => Ok(text.to_string()),
            Some(Value::Boolean(flag)) => Ok(flag.to_string()),
            Some(Value::Null) => Ok("null".to_owned()),
            Some(other) => Err(format!("{name}: {} cannot name a folder", other.kind_name())),
            None => Err(format!("there is no field {name}")),
        },
        Body::Raw(values) if values.is_valid(row) => match raw_field(values.value(row), name)? {
            Some(serde_json::Value::String(text)) => Ok(text),
            Some(serde_json::Value::Number(number)) if number.is_i64() || number.is_u64() => {
                Ok(number.to_string())
            }
            Some(serde_json::Value::Bool(flag)) => Ok(flag.to_string()),
            Some(serde_json::Value::Null) => Ok("null".to_owned()),
            Some(other) => Err(format!("{name}: {other} cannot name a folder")),
            None => Err(format!("there is no field {name}")),
        },
        Body::Raw(_) => Err("the record has no value".to_owned()),
        Body::Columns(_) => Err("the record's fields are not at hand".to_owned()),
    }
}

/// One field of a JSON document; dots go down where no field has the whole name.
pub(crate) fn raw_field(bytes: &[u8], path: &str) -> Result<Option<serde_json::Value>, String> {
    let fields: BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_slice(bytes).map_err(|error| format!("the value is no JSON object: {error}"))?;
    if let Some(raw) = fields.get(path) {
        return serde_json::from_str(raw.get()).map(Some).map_err(|error| error.to_string());
    }
    match path.split_once('.') {
        Some((head, rest)) => match fields.get(head) {
            Some(raw) => raw_field(raw.get().as_bytes(), rest),
            None => Ok(None),
        },
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests;
