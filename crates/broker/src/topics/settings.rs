//! The settings of a topic, in Kafka's words ("Topic Configs" of its documentation): one table says name, type, default,
//! what is allowed and what it does here. A name that is not in the table is refused, as Kafka refuses it.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use wire::compression::{Compression, Packing};

use super::{
    Refusal,
    defaults::{Defaults, Source},
};
use crate::{
    log::{Cleanup, LogOptions, TimestampType},
    options::Options,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    Text,
    Int,
    Long,
    Double,
    List,
}

impl Kind {
    /// DescribeConfigs v3: Kafka's `ConfigResponse.ConfigType`.
    pub fn id(self) -> i8 {
        match self {
            Kind::Boolean => 1,
            Kind::Text => 2,
            Kind::Int => 3,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Allowed {
    /// Whole numbers from and to.
    Whole(i64, i64),
    /// The same, or -1.
    WholeOrDefault(i64, i64),
    /// Numbers from 0 to 1.
    Share,
    Boolean,
    OneOf(&'static [&'static str]),
    /// A comma-separated list of these.
    Some(&'static [&'static str]),
    /// A comma-separated list of `PARTITION:BROKER`, or `*`.
    Replicas,
}

#[derive(Debug, Clone, Copy)]
pub enum Fallback {
    Fixed(&'static str),
    /// The same, where the broker's setting has no default of its own: Kafka's is another one, of hours or of none.
    Alone(&'static str),
    /// From the broker's own settings.
    Broker(fn(&Options) -> String),
}

pub struct Definition {
    pub name: &'static str,
    pub kind: Kind,
    pub allowed: Allowed,
    pub default: Fallback,
    /// The broker's setting that stands behind it; empty where there is none.
    pub broker_name: &'static str,
    pub doc: &'static str,
}

/// Kafka's default for LZ4, by which its fast way of packing is meant; the other levels are those of LZ4 HC.
const LZ4_LEVEL: i32 = 9;

const LONG: Allowed = Allowed::Whole(0, i64::MAX);
const LONG_OR_NONE: Allowed = Allowed::Whole(-1, i64::MAX);
const NO_EFFECT: &str = "Accepted as Kafka's; without effect on this one broker.";

macro_rules! definitions {
    ($($name:literal $kind:ident $allowed:expr, $default:expr, $broker:literal, $doc:expr;)*) => {
        &[$(Definition {
            name: $name, kind: Kind::$kind, allowed: $allowed, default: $default, broker_name: $broker, doc: $doc,
        }),*]
    };
}

use Fallback::{Alone, Broker, Fixed};

/// Every setting a topic can have, by name.
pub const DEFINITIONS: &[Definition] = definitions! {
    "cleanup.policy" List Allowed::Some(&["delete", "compact"]), Fixed("delete"), "log.cleanup.policy",
        "delete: old segments go by retention; compact: the last record of each key stays; both may be given.";
    "compression.gzip.level" Int Allowed::WholeOrDefault(1, 9), Fixed("-1"), "compression.gzip.level",
        "How hard gzip tries, where compression.type says so.";
    "compression.lz4.level" Int Allowed::Whole(1, 17), Fixed("9"), "compression.lz4.level",
        "How hard LZ4 tries, where compression.type says so; 9 is its fast way.";
    "compression.type" Text Allowed::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Fixed("producer"), "compression.type",
        "How batches are packed; producer: as they came. Others are packed anew, which costs the broker what it takes.";
    "compression.zstd.level" Int Allowed::Whole(-131_072, 22), Fixed("3"), "compression.zstd.level",
        "How hard Zstandard tries, where compression.type says so.";
    "delete.retention.ms" Long LONG, Fixed("86400000"), "log.cleaner.delete.retention.ms",
        "How long a tombstone stays in a compacted topic.";
    "file.delete.delay.ms" Long LONG, Fixed("60000"), "log.segment.delete.delay.ms", NO_EFFECT;
    "flush.messages" Long Allowed::Whole(1, i64::MAX), Fixed("9223372036854775807"), "log.flush.interval.messages", NO_EFFECT;
    "flush.ms" Long LONG, Alone("9223372036854775807"), "log.flush.interval.ms", NO_EFFECT;
    "follower.replication.throttled.replicas" List Allowed::Replicas, Fixed(""), "", NO_EFFECT;
    "index.interval.bytes" Int Allowed::Whole(0, i32::MAX as i64), Fixed("4096"), "log.index.interval.bytes",
        "Bytes of log between two entries of the offset index.";
    "leader.replication.throttled.replicas" List Allowed::Replicas, Fixed(""), "", NO_EFFECT;
    "local.retention.bytes" Long Allowed::Whole(-2, i64::MAX), Fixed("-2"), "log.local.retention.bytes", NO_EFFECT;
    "local.retention.ms" Long Allowed::Whole(-2, i64::MAX), Fixed("-2"), "log.local.retention.ms", NO_EFFECT;
    "max.compaction.lag.ms" Long Allowed::Whole(1, i64::MAX), Fixed("9223372036854775807"), "log.cleaner.max.compaction.lag.ms",
        "After this time a record is compacted at the latest.";
    "max.message.bytes" Int Allowed::Whole(0, i32::MAX as i64), Broker(|options| options.batch_bytes_max.to_string()), "message.max.bytes",
        "The largest record batch, as received.";
    "message.timestamp.after.max.ms" Long LONG, Fixed("3600000"), "log.message.timestamp.after.max.ms",
        "How far a record's time may lie ahead of the broker's clock.";
    "message.timestamp.before.max.ms" Long LONG, Fixed("9223372036854775807"), "log.message.timestamp.before.max.ms",
        "How far a record's time may lie behind the broker's clock.";
    "message.timestamp.type" Text Allowed::OneOf(&["CreateTime", "LogAppendTime"]), Fixed("CreateTime"), "log.message.timestamp.type",
        "Whose clock stamps the records: the producer's or the broker's.";
    "min.cleanable.dirty.ratio" Double Allowed::Share, Fixed("0.5"), "log.cleaner.min.cleanable.ratio",
        "The share of a log that is not yet compacted, from which on it is.";
    "min.compaction.lag.ms" Long LONG, Fixed("0"), "log.cleaner.min.compaction.lag.ms",
        "For this time a record is not compacted away.";
    "min.insync.replicas" Int Allowed::Whole(1, i32::MAX as i64), Fixed("1"), "min.insync.replicas", NO_EFFECT;
    "preallocate" Boolean Allowed::Boolean, Fixed("false"), "log.preallocate", NO_EFFECT;
    "remote.log.copy.disable" Boolean Allowed::Boolean, Fixed("false"), "", NO_EFFECT;
    "remote.log.delete.on.disable" Boolean Allowed::Boolean, Fixed("false"), "", NO_EFFECT;
    "remote.storage.enable" Boolean Allowed::OneOf(&["false"]), Fixed("false"), "",
        "There is no tiered storage here.";
    "retention.bytes" Long LONG_OR_NONE, Broker(|options| options.retention_bytes.to_string()), "log.retention.bytes",
        "A partition larger than this loses its oldest segments; -1: never.";
    "retention.ms" Long LONG_OR_NONE, Broker(|options| options.retention_ms.to_string()), "log.retention.ms",
        "Segments older than this are deleted; -1: never.";
    "segment.bytes" Int Allowed::Whole(1024, i32::MAX as i64), Broker(|options| options.segment_bytes.to_string()), "log.segment.bytes",
        "A segment file is closed at this size.";
    "segment.index.bytes" Int Allowed::Whole(4, i32::MAX as i64), Fixed("10485760"), "log.index.size.max.bytes", NO_EFFECT;
    "segment.jitter.ms" Long LONG, Alone("0"), "log.roll.jitter.ms", NO_EFFECT;
    "segment.ms" Long Allowed::Whole(1, i64::MAX), Alone("604800000"), "log.roll.ms",
        "A segment file is closed at this age.";
    "unclean.leader.election.enable" Boolean Allowed::Boolean, Fixed("false"), "unclean.leader.election.enable", NO_EFFECT;
};

pub fn definition(name: &str) -> Option<&'static Definition> {
    DEFINITIONS
        .binary_search_by_key(&name, |definition| definition.name)
        .ok()
        .map(|place| &DEFINITIONS[place])
}

/// What the broker calls so: the default of topics that have no such setting of their own.
pub fn of_broker(name: &str) -> Option<&'static Definition> {
    DEFINITIONS.iter().find(|definition| definition.broker_name == name && !name.is_empty())
}

impl Definition {
    pub fn default(&self, options: &Options) -> String {
        match self.default {
            Fixed(text) | Alone(text) => text.to_owned(),
            Broker(read) => read(options),
        }
    }

    fn check(&self, value: &str) -> Result<(), Refusal> {
        let wrong = |what: String| {
            let reason = format!("Invalid value {value} for configuration {}: {what}", self.name);
            Err(Refusal::new(ResponseError::InvalidConfig, reason))
        };
        match self.allowed {
            Allowed::Whole(least, most) => match value.trim().parse::<i64>() {
                Ok(number) if (least..=most).contains(&number) => Ok(()),
                Ok(_) => wrong(format!("Value must be at least {least} and at most {most}")),
                Err(_) => wrong("Not a whole number".to_owned()),
            },
            Allowed::WholeOrDefault(least, most) => match value.trim().parse::<i64>() {
                Ok(number) if number == -1 || (least..=most).contains(&number) => Ok(()),
                _ => wrong(format!("Value must be between {least} and {most}, or -1")),
            },
            Allowed::Share => match value.trim().parse::<f64>() {
                Ok(number) if (0.0..=1.0).contains(&number) => Ok(()),
                _ => wrong("Value must be a number from 0 to 1".to_owned()),
            },
            Allowed::Boolean if matches!(value, "true" | "false") => Ok(()),
            Allowed::Boolean => wrong("Expected value to be either true or false".to_owned()),
            Allowed::OneOf(words) if words.contains(&value) => Ok(()),
            Allowed::OneOf(words) => wrong(format!("String must be one of: {}", words.join(", "))),
            Allowed::Some(words)
                if list(value).all(|word| words.contains(&word)) && list(value).next().is_some() =>
            {
                Ok(())
            }
            Allowed::Some(words) => wrong(format!("Entries must be of: {}", words.join(", "))),
            Allowed::Replicas if value.trim() == "*" || list(value).all(is_replica) => Ok(()),
            Allowed::Replicas => wrong("Expected * or a list of PARTITION:BROKER".to_owned()),
        }
    }
}

fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn is_replica(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once(':').is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
}

/// `compression.type` with the level of that codec.
fn packing(codec: &str, level: impl Fn(&str) -> i64) -> Option<Packing> {
    let (codec, name) = match codec {
        "uncompressed" => (Compression::None, None),
        "gzip" => (Compression::Gzip, Some("compression.gzip.level")),
        "lz4" => (Compression::Lz4, Some("compression.lz4.level")),
        "snappy" => (Compression::Snappy, None),
        "zstd" => (Compression::Zstd, Some("compression.zstd.level")),
        _ => return None,
    };
    let is_default = |level: i32| match codec {
        Compression::Gzip => level == -1,
        Compression::Lz4 => level == LZ4_LEVEL,
        _ => false,
    };
    let level = name.and_then(|name| i32::try_from(level(name)).ok()).filter(|level| !is_default(*level));
    Some(Packing { codec, level })
}

/// One step of IncrementalAlterConfigs (KIP-339).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Set,
    Delete,
    Append,
    Subtract,
}

/// What was set for one topic. Each name is in the table, each value allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// As the catalog has them; they were checked when they were set.
    pub fn stored(own: BTreeMap<String, String>) -> Self {
        Self(own)
    }

    pub fn own(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// All at once, as CreateTopics gives them.
    pub fn from_pairs<'a>(
        pairs: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Settings, Refusal> {
        let mut settings = Settings::default();
        for (name, value) in pairs {
            settings.apply(name, Operation::Set, value)?;
        }
        Ok(settings)
    }

    pub fn apply(&mut self, name: &str, operation: Operation, value: Option<&str>) -> Result<(), Refusal> {
        let known = known(name)?;
        let invalid = |reason: String| Refusal::new(ResponseError::InvalidConfig, reason);
        match operation {
            Operation::Delete => {
                self.0.remove(name);
            }
            Operation::Set => {
                let value = value.ok_or_else(|| invalid(format!("{name} is given no value.")))?;
                known.check(value)?;
                self.0.insert(name.to_owned(), value.trim().to_owned());
            }
            Operation::Append | Operation::Subtract => {
                if known.kind != Kind::List {
                    return Err(invalid(format!(
                        "Config value append is not allowed for config key: {name}"
                    )));
                }
                let (Fixed(default) | Alone(default)) = known.default else {
                    return Err(invalid(format!("{name} has no list")));
                };
                let current = self.0.get(name).map_or(default, String::as_str);
                let words: Vec<&str> = list(value.unwrap_or_default()).collect();
                let mut kept: Vec<&str> = list(current).filter(|word| !words.contains(word)).collect();
                if operation == Operation::Append {
                    kept.extend(words);
                }
                let joined = kept.join(",");
                known.check(&joined)?;
                self.0.insert(name.to_owned(), joined);
            }
        }
        Ok(())
    }

    /// The value in use, and where it comes from.
    pub fn in_use(&self, definition: &Definition, defaults: &Defaults) -> (String, Source) {
        match self.0.get(definition.name) {
            Some(own) => (own.clone(), Source::Topic),
            None => defaults.value(definition),
        }
    }

    /// What the logs of the topic need of it.
    pub fn log_options(&self, defaults: &Defaults) -> LogOptions {
        let text = |name: &str| self.in_use(definition(name).expect("the table has the name"), defaults).0;
        let long = |name: &str| text(name).parse::<i64>().unwrap_or(i64::MAX); // checked when it was set
        let policy = text("cleanup.policy");
        let cleanup = Cleanup {
            delete: list(&policy).any(|word| word == "delete"),
            compact: list(&policy).any(|word| word == "compact"),
        };
        let timestamp_type = match text("message.timestamp.type").as_str() {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        };
        LogOptions {
            segment_bytes: long("segment.bytes").max(0) as u64,
            segment_ms: long("segment.ms"),
            index_interval_bytes: long("index.interval.bytes").max(0) as u64,
            retention_ms: long("retention.ms"),
            retention_bytes: long("retention.bytes"),
            cleanup,
            min_cleanable_dirty_ratio: text("min.cleanable.dirty.ratio").parse().unwrap_or(0.5),
            min_compaction_lag_ms: long("min.compaction.lag.ms"),
            max_compaction_lag_ms: long("max.compaction.lag.ms"),
            delete_retention_ms: long("delete.retention.ms"),
            compression: packing(&text("compression.type"), long),
            message_bytes_max: u32::try_from(long("max.message.bytes")).unwrap_or(u32::MAX),
            timestamp_type,
            timestamp_before_ms_max: long("message.timestamp.before.max.ms"),
            timestamp_after_ms_max: long("message.timestamp.after.max.ms"),
        }
    }
}

fn known(name: &str) -> Result<&'static Definition, Refusal> {
    definition(name).ok_or_else(|| {
        Refusal::new(ResponseError::InvalidConfig, format!("Unknown topic config name: {name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_its_defaults_are_allowed() {
        let options = Options::at("/nowhere", ([127, 0, 0, 1], 0).into());
        assert!(DEFINITIONS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for definition in DEFINITIONS {
            definition.check(&definition.default(&options)).unwrap();
        }
    }

    #[track_caller]
    fn check(pairs: &[(&str, &str)], expected: Result<&str, &str>) {
        let got = Settings::from_pairs(pairs.iter().map(|(name, value)| (*name, Some(*value))));
        let got = got.map(|settings| format!("{:?}", settings.0)).map_err(|refusal| refusal.reason);
        assert_eq!(got.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn settings_are_checked() {
        check(&[("cleanup.policy", "compact,delete")], Ok(r#"{"cleanup.policy": "compact,delete"}"#));
        check(&[("retention.msec", "1")], Err("Unknown topic config name: retention.msec"));
        check(
            &[("retention.ms", "-2")],
            Err(
                "Invalid value -2 for configuration retention.ms: Value must be at least -1 and at most 9223372036854775807",
            ),
        );
        check(
            &[("cleanup.policy", "shred")],
            Err("Invalid value shred for configuration cleanup.policy: Entries must be of: delete, compact"),
        );
        check(
            &[("compression.type", "brotli")],
            Err(
                "Invalid value brotli for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
            ),
        );
        check(
            &[("compression.gzip.level", "10")],
            Err(
                "Invalid value 10 for configuration compression.gzip.level: Value must be between 1 and 9, or -1",
            ),
        );
        let throttled = "leader.replication.throttled.replicas";
        check(&[(throttled, "0:1, 1:1")], Ok(r#"{"leader.replication.throttled.replicas": "0:1, 1:1"}"#));
        check(&[(throttled, "*")], Ok(r#"{"leader.replication.throttled.replicas": "*"}"#));
        check(
            &[(throttled, "one")],
            Err(
                "Invalid value one for configuration leader.replication.throttled.replicas: Expected * or a list of PARTITION:BROKER",
            ),
        );
    }

    #[test]
    fn a_codec_has_its_level() {
        let options = Options::at("/nowhere", ([127, 0, 0, 1], 0).into());
        let defaults = Defaults::open(options.into()).unwrap();
        let packing = |pairs: &[(&str, &str)]| {
            let settings = Settings::from_pairs(pairs.iter().map(|(name, value)| (*name, Some(*value))));
            settings.unwrap().log_options(&defaults).compression
        };
        let of = |codec, level| Some(Packing { codec, level });
        assert_eq!(packing(&[("compression.zstd.level", "19")]), None);
        assert_eq!(packing(&[("compression.type", "uncompressed")]), of(Compression::None, None));
        assert_eq!(packing(&[("compression.type", "zstd")]), of(Compression::Zstd, Some(3)));
        assert_eq!(packing(&[("compression.type", "lz4")]), of(Compression::Lz4, None));
        let hard = [("compression.type", "lz4"), ("compression.lz4.level", "12")];
        assert_eq!(packing(&hard), of(Compression::Lz4, Some(12)));
        assert_eq!(packing(&[("compression.type", "gzip")]), of(Compression::Gzip, None));
    }

    #[test]
    fn lists_grow_and_shrink() {
        let mut settings = Settings::default();
        settings.apply("cleanup.policy", Operation::Append, Some("compact")).unwrap();
        assert_eq!(settings.own()["cleanup.policy"], "delete,compact");
        settings.apply("cleanup.policy", Operation::Subtract, Some("delete")).unwrap();
        assert_eq!(settings.own()["cleanup.policy"], "compact");
        settings.apply("cleanup.policy", Operation::Delete, None).unwrap();
        assert!(settings.own().is_empty());
        assert!(settings.apply("retention.ms", Operation::Append, Some("1")).is_err());
    }
}
