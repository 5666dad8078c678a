//! What an object sink is told: plain data, made by whoever reads the user's settings.

use std::{path::PathBuf, sync::Arc};

use chrono_tz::Tz;
use cloud::store::{GcsConfig, S3Config};

use super::{Error, Pattern};

/// S3 takes no part below 5 MiB but the last.
pub const PART_BYTES_MIN: usize = 5 << 20;
/// Confluent's default, 25 MiB.
pub const PART_BYTES_DEFAULT: usize = 26_214_400;
/// The largest object that S3 takes at once is 5 GiB; a buffer of this size is more than anyone needs.
pub const PART_BYTES_MAX: usize = 1 << 30;

#[derive(Debug, Clone)]
pub struct Config {
    pub store: StoreConfig,
    /// `topics.dir`; may be empty.
    pub topics_dir: String,
    /// `file.delim`
    pub file_delim: String,
    /// `directory.delim`
    pub directory_delim: String,
    /// `filename.offset.zero.pad.width`
    pub zero_pad_width: usize,
    pub format: formats::Settings,
    pub partitioner: Partitioner,
    /// `s3.part.size`: what is held of an object before it is sent.
    pub part_bytes: usize,
    /// `behavior.on.null.values`
    pub on_null: OnNull,
    /// All open objects together; beyond it they go to a temporary file.
    pub memory_bytes_max: usize,
}

#[derive(Debug, Clone)]
pub enum StoreConfig {
    S3(S3Config),
    Gcs(GcsConfig),
    /// A folder of this machine, in place of a bucket.
    Folder(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnNull {
    Ignore,
    #[default]
    Fail,
}

#[derive(Debug, Clone)]
pub enum Partitioner {
    /// `partition=P`
    Default,
    /// `name=value/…`, by `partition.field.name`.
    Field {
        names: Vec<Arc<str>>,
    },
    Time(TimeRule),
}

/// TimeBased, Daily and Hourly: folders from a record's time.
#[derive(Debug, Clone)]
pub struct TimeRule {
    /// `path.format`
    pub pattern: Pattern,
    pub timezone: Tz,
    /// `partition.duration.ms`: times are rounded down to it, in local time, before they are written.
    pub duration_ms: i64,
    pub extractor: Extractor,
}

/// `timestamp.extractor`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extractor {
    /// When it is written: two lives give two answers, so nothing is exactly once.
    Wallclock,
    /// The record's own timestamp.
    Record,
    /// `timestamp.field`: a number of milliseconds, an ISO 8601 text or a timestamp; dots go down.
    RecordField(Arc<str>),
}

impl Config {
    /// Confluent's defaults.
    pub fn of(store: StoreConfig, format: formats::Settings) -> Self {
        Self {
            store,
            topics_dir: "topics".to_owned(),
            file_delim: "+".to_owned(),
            directory_delim: "/".to_owned(),
            zero_pad_width: 10,
            format,
            partitioner: Partitioner::Default,
            part_bytes: PART_BYTES_DEFAULT,
            on_null: OnNull::default(),
            memory_bytes_max: 64 << 20,
        }
    }

    /// What plain types cannot rule out.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |key: &'static str, what: String| Err(Error::Setting { key, what });
        if !(PART_BYTES_MIN..=PART_BYTES_MAX).contains(&self.part_bytes) {
            let what =
                format!("{} is not within {PART_BYTES_MIN} to {PART_BYTES_MAX} bytes", self.part_bytes);
            return refuse("s3.part.size", what);
        }
        if self.zero_pad_width > 64 {
            return refuse(
                "filename.offset.zero.pad.width",
                format!("{} is more than 64", self.zero_pad_width),
            );
        }
        match &self.partitioner {
            Partitioner::Field { names } if names.is_empty() => {
                refuse("partition.field.name", "no field is named".to_owned())
            }
            Partitioner::Time(rule) if rule.duration_ms <= 0 => {
                refuse("partition.duration.ms", format!("{} is not above 0", rule.duration_ms))
            }
            Partitioner::Default | Partitioner::Field { .. } | Partitioner::Time(_) => Ok(()),
        }
    }
}
