//! A checked configuration as what a task needs: source, converters, cuts, sink, and what is done with bad records.

use std::{collections::BTreeMap, sync::Arc};

use base::{Clock, Secret};
use cloud::store::{Credentials, S3Config};
use connectors::{
    kafka::{SourceConfig, Topics},
    objects::{
        Config as Objects, Extractor, OnNull, PartitionBoundary, Partitioner, Pattern, StoreConfig, TimeRule,
    },
};
use engine::{Cuts, Schedule};
use formats::{
    AvroCodec, Compression, DecimalAs, Format, JsonSettings, ParquetCodec, RawAs, Settings as FileFormat,
};

use super::Worker;
use crate::{
    Error,
    config::{CONSUMER_PROPERTIES, Checked},
    converters::{Plan, Side},
};

/// Bytes that the client of a task may hold of fetched records, for each partition.
const QUEUE_BYTES: u32 = 512 << 10;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
const HOUR_MS: i64 = 60 * 60 * 1_000;

/// What one task is told.
pub(crate) struct Settings {
    pub name: Arc<str>,
    pub number: usize,
    pub source: SourceConfig,
    pub key: Plan,
    pub value: Plan,
    /// Without its credentials: those of the chain are looked up when the task starts.
    pub objects: Objects,
    pub identity: Identity,
    pub cuts: Cuts,
    pub errors: Errors,
    pub retry_backoff_ms: u64,
    pub retry_wait_ms_max: u64,
    pub memory_bytes_max: u64,
}

/// Whose credentials the sink uses.
pub(crate) enum Identity {
    Keys { access_key: String, secret_key: Secret },
    Chain,
}

/// `errors.*`.
#[derive(Debug, Clone)]
pub(crate) struct Errors {
    pub tolerates_all: bool,
    pub logs: bool,
    pub logs_messages: bool,
    /// The dead letter topic and its replication factor.
    pub topic: Option<(String, i32)>,
    pub has_headers: bool,
}

impl Settings {
    /// # Errors
    /// `Error::Invalid` for what only the sink's own checks find: a path format that is no pattern.
    pub fn read(
        name: &str,
        number: usize,
        checked: &Checked,
        worker: &Worker,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let (key, value) = (Plan::read(checked, Side::Key), Plan::read(checked, Side::Value));
        let tasks_count = u64::try_from(checked.number("tasks.max")).unwrap_or(1).max(1);
        let memory_bytes_max = (worker.options.memory_bytes_max / tasks_count).max(MEMORY_BYTES_MIN);
        let (objects, mut identity) = objects(checked, &value, memory_bytes_max)?;
        if let (Identity::Chain, Some(own)) = (&identity, &worker.options.own_store)
            && is_same_endpoint(checked.text("store.url").unwrap_or_default(), &own.endpoint)
        {
            identity =
                Identity::Keys { access_key: own.access_key.clone(), secret_key: own.secret_key.clone() };
        }
        Ok(Self {
            source: source(name, checked, worker),
            cuts: cuts(checked, &objects, clock),
            errors: errors(checked),
            retry_backoff_ms: u64::try_from(checked.number("retry.backoff.ms")).unwrap_or(0).max(50),
            retry_wait_ms_max: u64::try_from(checked.number("errors.retry.delay.max.ms"))
                .unwrap_or(0)
                .max(1_000),
            name: name.into(),
            number,
            key,
            value,
            objects,
            identity,
            memory_bytes_max,
        })
    }
}

/// A task with less could not hold a batch and a part.
const MEMORY_BYTES_MIN: u64 = 12 << 20;

fn source(name: &str, checked: &Checked, worker: &Worker) -> SourceConfig {
    let topics = match checked.text("topics.regex") {
        // Java matches whole names.
        Some(pattern) => Topics::Pattern(format!("^({pattern})$")),
        None => Topics::List(checked.list("topics")),
    };
    let overridden = checked.below("consumer.override.");
    let mut properties: BTreeMap<String, String> = worker.options.kafka_properties.clone();
    for (java, value) in &overridden {
        let known = CONSUMER_PROPERTIES.iter().find(|(known, _)| known == java);
        if let Some((_, ours)) = known.filter(|(_, ours)| !ours.is_empty()) {
            properties.insert((*ours).to_owned(), value.clone());
        }
    }
    let group_id = properties.remove("group.id").unwrap_or_else(|| format!("connect-{name}"));
    let bootstrap = properties.remove("bootstrap.servers").unwrap_or_else(|| worker.options.kafka.clone());
    SourceConfig {
        properties,
        queue_bytes_max: QUEUE_BYTES,
        ..SourceConfig::new(bootstrap, group_id, topics)
    }
}

fn cuts(checked: &Checked, objects: &Objects, clock: &Arc<dyn Clock>) -> Cuts {
    let positive = |key: &str| Some(checked.number(key)).filter(|number| *number > 0);
    let timezone = checked.text("timezone").and_then(|text| text.parse().ok()).unwrap_or(chrono_tz::UTC);
    let schedule =
        positive("rotate.schedule.interval.ms").map(|interval_ms| Schedule { interval_ms, timezone });
    Cuts {
        records_count_max: positive("flush.size").and_then(|count| u64::try_from(count).ok()),
        interval_ms: positive("rotate.interval.ms"),
        schedule,
        on_contract_change: true,
        boundary: Some(Arc::new(PartitionBoundary::new(objects, clock.clone()))),
        ..Cuts::default()
    }
}

fn errors(checked: &Checked) -> Errors {
    let tolerates_all = checked.text("errors.tolerance") == Some("all");
    let replication = checked.number("errors.deadletterqueue.topic.replication.factor");
    let topic = checked.text("errors.deadletterqueue.topic.name").filter(|_| tolerates_all);
    Errors {
        tolerates_all,
        logs: checked.is_true("errors.log.enable"),
        logs_messages: checked.is_true("errors.log.include.messages"),
        topic: topic.map(|topic| (topic.to_owned(), i32::try_from(replication).unwrap_or(-1))),
        has_headers: checked.is_true("errors.deadletterqueue.context.headers.enable"),
    }
}

fn objects(checked: &Checked, value: &Plan, memory_bytes_max: u64) -> Result<(Objects, Identity), Error> {
    let text = |key: &str| checked.text(key).unwrap_or_default().to_owned();
    let number = |key: &str| usize::try_from(checked.number(key)).unwrap_or_default();
    let keys = (checked.text("aws.access.key.id"), checked.text("aws.secret.access.key"));
    let identity = match keys {
        (Some(access_key), Some(secret_key)) => {
            Identity::Keys { access_key: access_key.to_owned(), secret_key: Secret::new(secret_key) }
        }
        _ => Identity::Chain,
    };
    let store = S3Config {
        bucket: text("s3.bucket.name"),
        region: checked.text("s3.region").map(str::to_owned),
        endpoint: checked.text("store.url").map(str::to_owned),
        path_style: checked.is_true("s3.path.style.access.enabled"),
        credentials: Credentials::Anonymous,
    };
    let objects = Objects {
        topics_dir: text("topics.dir"),
        file_delim: text("file.delim"),
        directory_delim: text("directory.delim"),
        zero_pad_width: number("filename.offset.zero.pad.width"),
        partitioner: partitioner(checked)?,
        part_bytes: number("s3.part.size"),
        on_null: match checked.text("behavior.on.null.values") {
            Some(text) if text.eq_ignore_ascii_case("ignore") => OnNull::Ignore,
            _ => OnNull::Fail,
        },
        memory_bytes_max: usize::try_from(memory_bytes_max / 2).unwrap_or(usize::MAX),
        ..Objects::of(StoreConfig::S3(store), file_format(checked, value))
    };
    objects.check().map_err(|error| Error::Invalid { errors: vec![error.to_string()] })?;
    Ok((objects, identity))
}

/// The same host and port; `localhost` is `127.0.0.1`.
fn is_same_endpoint(a: &str, b: &str) -> bool {
    let place = |text: &str| {
        let url = url::Url::parse(text).ok()?;
        let host = url.host_str()?.replace("localhost", "127.0.0.1");
        Some((host, url.port_or_known_default()?))
    };
    matches!((place(a), place(b)), (Some(a), Some(b)) if a == b)
}

fn file_format(checked: &Checked, value: &Plan) -> FileFormat {
    let class = checked.text("format.class").unwrap_or_default();
    let format = match class.rsplit('.').next().unwrap_or_default() {
        "AvroFormat" => Format::Avro {
            codec: match checked.text("avro.codec") {
                Some("deflate") => AvroCodec::Deflate,
                Some("snappy") => AvroCodec::Snappy,
                _ => AvroCodec::Null,
            },
            is_enhanced: checked.is_true("enhanced.avro.schema.support"),
        },
        "ParquetFormat" => Format::Parquet {
            codec: match checked.text("parquet.codec") {
                Some("none") => ParquetCodec::None,
                Some("gzip") => ParquetCodec::Gzip,
                Some("zstd") => ParquetCodec::Zstd,
                _ => ParquetCodec::Snappy,
            },
        },
        "ByteArrayFormat" => {
            Format::Raw { separator: separator(checked.text("format.bytearray.separator")).into() }
        }
        _ => Format::Json(JsonSettings {
            raw: match value {
                Plan::String => RawAs::Text,
                Plan::ByteArray => RawAs::Bytes,
                // All other values leave their converter as rows, or as JSON that it has checked.
                _ => RawAs::CompactJson,
            },
            decimal: DecimalAs::Base64,
            ..JsonSettings::default()
        }),
    };
    let compression = match checked.text("s3.compression.type") {
        Some("gzip") => {
            Compression::Gzip { level: i32::try_from(checked.number("s3.compression.level")).unwrap_or(-1) }
        }
        _ => Compression::None,
    };
    FileFormat { format, compression }
}

/// `\n`, `\r`, `\t` and `\\` stand for what they do in Java.
fn separator(given: Option<&str>) -> Vec<u8> {
    let Some(given) = given else { return b"\n".to_vec() };
    let mut letters = given.chars();
    let mut text = String::new();
    while let Some(letter) = letters.next() {
        match (letter, letter == '\\') {
            (_, true) => match letters.next() {
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('t') => text.push('\t'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
            (letter, false) => text.push(letter),
        }
    }
    text.into_bytes()
}

fn partitioner(checked: &Checked) -> Result<Partitioner, Error> {
    let class = checked.text("partitioner.class").unwrap_or_default();
    let delimiter = checked.text("directory.delim").unwrap_or("/");
    let locale = checked.text("locale").unwrap_or("en");
    let parse = |text: &str| {
        Pattern::parse(text, locale).map_err(|error| Error::Invalid { errors: vec![error.to_string()] })
    };
    let (pattern, duration_ms) = match class.rsplit('.').next().unwrap_or_default() {
        "FieldPartitioner" => {
            let names = checked.list("partition.field.name").into_iter().map(Arc::from).collect();
            return Ok(Partitioner::Field { names });
        }
        "TimeBasedPartitioner" => {
            (parse(checked.text("path.format").unwrap_or_default())?, checked.number("partition.duration.ms"))
        }
        "DailyPartitioner" => (Pattern::daily(delimiter), DAY_MS),
        "HourlyPartitioner" => (Pattern::hourly(delimiter), HOUR_MS),
        _ => return Ok(Partitioner::Default),
    };
    let extractor = match checked.text("timestamp.extractor") {
        Some("Record") => Extractor::Record,
        Some("RecordField") => {
            Extractor::RecordField(checked.text("timestamp.field").unwrap_or("timestamp").into())
        }
        _ => Extractor::Wallclock,
    };
    Ok(Partitioner::Time(TimeRule {
        pattern,
        timezone: checked.text("timezone").and_then(|text| text.parse().ok()).unwrap_or(chrono_tz::UTC),
        duration_ms,
        extractor,
    }))
}

/// What `Settings::read` would refuse: the partitioner's pattern, the sink's own limits.
pub(super) fn check(checked: &Checked) -> Result<(), Error> {
    objects(checked, &Plan::ByteArray, MEMORY_BYTES_MIN).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::separator;

    #[test]
    fn separators_may_be_written_with_escapes() {
        assert_eq!(separator(None), b"\n");
        assert_eq!(separator(Some("\\t|\\\\n")), b"\t|\\n");
        assert_eq!(separator(Some(";\\r\\n")), b";\r\n");
    }
}
