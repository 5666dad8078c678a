//! Settings of single groups (the resource GROUP of KIP-848, KIP-932 and KIP-1071): how often the members of a group show themselves, how long
//! they may be silent, and what a share group delivers. A group need not exist to have some. Kept in `groups.json`.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::Path,
};

use kafka_protocol::ResponseError;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use crate::{
    errors::Error,
    options::Options,
    security::kept::Kept,
    topics::{Refusal, settings::Operation},
};

const FILE_NAME: &str = "groups.json";
const VERSION: u32 = 1;
/// More groups with settings of their own are refused: every change writes all of them.
const GROUPS_COUNT_MAX: usize = 10_000;

/// What can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Setting {
    #[serde(rename = "consumer.assignment.interval.ms")]
    AssignmentInterval,
    #[serde(rename = "consumer.heartbeat.interval.ms")]
    HeartbeatInterval,
    #[serde(rename = "consumer.session.timeout.ms")]
    SessionTimeout,
    #[serde(rename = "share.assignment.interval.ms")]
    ShareAssignmentInterval,
    #[serde(rename = "share.auto.offset.reset")]
    ShareOffsetReset,
    #[serde(rename = "share.delivery.count.limit")]
    ShareDeliveries,
    #[serde(rename = "share.heartbeat.interval.ms")]
    ShareHeartbeatInterval,
    #[serde(rename = "share.isolation.level")]
    ShareIsolationLevel,
    #[serde(rename = "share.partition.max.record.locks")]
    ShareLocks,
    #[serde(rename = "share.record.lock.duration.ms")]
    ShareLockDuration,
    #[serde(rename = "share.renew.acknowledge.enable")]
    ShareRenewal,
    #[serde(rename = "share.session.timeout.ms")]
    ShareSessionTimeout,
    #[serde(rename = "streams.assignment.interval.ms")]
    StreamsAssignmentInterval,
    #[serde(rename = "streams.heartbeat.interval.ms")]
    StreamsHeartbeatInterval,
    #[serde(rename = "streams.initial.rebalance.delay.ms")]
    StreamsInitialDelay,
    #[serde(rename = "streams.num.standby.replicas")]
    StreamsStandbys,
    #[serde(rename = "streams.session.timeout.ms")]
    StreamsSessionTimeout,
}

/// A setting's value: a number, yes or no, or one of Kafka's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Number(u32),
    Flag(bool),
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => write!(formatter, "{number}"),
            Value::Flag(flag) => write!(formatter, "{flag}"),
            Value::Text(text) => formatter.write_str(text),
        }
    }
}

pub type Own = BTreeMap<Setting, Value>;

/// Where a share group begins to read a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    Earliest,
    Latest,
    /// At what came no longer ago than this.
    Within(i64),
}

impl Reset {
    fn of(text: &str) -> Option<Reset> {
        match text {
            "earliest" => Some(Reset::Earliest),
            "latest" => Some(Reset::Latest),
            text => text.strip_prefix("by_duration:").and_then(duration_ms).map(Reset::Within),
        }
    }
}

/// ISO 8601, as Java's `Duration` reads it: `P2DT3H4M5.5S`, of at most a year's milliseconds times a million.
fn duration_ms(text: &str) -> Option<i64> {
    let (days, time) = match text.to_ascii_uppercase().strip_prefix('P')?.split_once('T') {
        Some((days, time)) if !time.is_empty() => (days.to_owned(), time.to_owned()),
        Some(_) => return None,
        None => (text.to_ascii_uppercase()[1..].to_owned(), String::new()),
    };
    let mut total_ms = 0f64;
    for (mut rest, units) in
        [(&*days, &[('D', 86_400e3)][..]), (&*time, &[('H', 3_600e3), ('M', 60e3), ('S', 1e3)])]
    {
        for (unit, factor) in units {
            if let Some((number, after)) = rest.split_once(*unit) {
                let number: f64 =
                    number.parse().ok().filter(|number: &f64| *number >= 0.0 && *number < 1e9)?;
                total_ms += number * factor;
                rest = after;
            }
        }
        if !rest.is_empty() {
            return None;
        }
    }
    (!days.is_empty() || !time.is_empty()).then_some(total_ms as i64)
}

const READ_UNCOMMITTED: &str = "read_uncommitted";
const READ_COMMITTED: &str = "read_committed";

impl Setting {
    pub const ALL: [Setting; 17] = [
        Setting::AssignmentInterval,
        Setting::HeartbeatInterval,
        Setting::SessionTimeout,
        Setting::ShareAssignmentInterval,
        Setting::ShareOffsetReset,
        Setting::ShareDeliveries,
        Setting::ShareHeartbeatInterval,
        Setting::ShareIsolationLevel,
        Setting::ShareLocks,
        Setting::ShareLockDuration,
        Setting::ShareRenewal,
        Setting::ShareSessionTimeout,
        Setting::StreamsAssignmentInterval,
        Setting::StreamsHeartbeatInterval,
        Setting::StreamsInitialDelay,
        Setting::StreamsStandbys,
        Setting::StreamsSessionTimeout,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Setting::AssignmentInterval => "consumer.assignment.interval.ms",
            Setting::HeartbeatInterval => "consumer.heartbeat.interval.ms",
            Setting::SessionTimeout => "consumer.session.timeout.ms",
            Setting::ShareAssignmentInterval => "share.assignment.interval.ms",
            Setting::ShareOffsetReset => "share.auto.offset.reset",
            Setting::ShareDeliveries => "share.delivery.count.limit",
            Setting::ShareHeartbeatInterval => "share.heartbeat.interval.ms",
            Setting::ShareIsolationLevel => "share.isolation.level",
            Setting::ShareLocks => "share.partition.max.record.locks",
            Setting::ShareLockDuration => "share.record.lock.duration.ms",
            Setting::ShareRenewal => "share.renew.acknowledge.enable",
            Setting::ShareSessionTimeout => "share.session.timeout.ms",
            Setting::StreamsAssignmentInterval => "streams.assignment.interval.ms",
            Setting::StreamsHeartbeatInterval => "streams.heartbeat.interval.ms",
            Setting::StreamsInitialDelay => "streams.initial.rebalance.delay.ms",
            Setting::StreamsStandbys => "streams.num.standby.replicas",
            Setting::StreamsSessionTimeout => "streams.session.timeout.ms",
        }
    }

    /// The broker's setting behind it.
    pub fn broker_name(self) -> Option<&'static str> {
        match self {
            Setting::AssignmentInterval => Some("group.consumer.assignment.interval.ms"),
            Setting::HeartbeatInterval => Some("group.consumer.heartbeat.interval.ms"),
            Setting::SessionTimeout => Some("group.consumer.session.timeout.ms"),
            Setting::ShareAssignmentInterval => Some("group.share.assignment.interval.ms"),
            Setting::ShareDeliveries => Some("group.share.delivery.count.limit"),
            Setting::ShareHeartbeatInterval => Some("group.share.heartbeat.interval.ms"),
            Setting::ShareLocks => Some("group.share.partition.max.record.locks"),
            Setting::ShareLockDuration => Some("group.share.record.lock.duration.ms"),
            Setting::ShareSessionTimeout => Some("group.share.session.timeout.ms"),
            Setting::StreamsAssignmentInterval => Some("group.streams.assignment.interval.ms"),
            Setting::StreamsHeartbeatInterval => Some("group.streams.heartbeat.interval.ms"),
            Setting::StreamsInitialDelay => Some("group.streams.initial.rebalance.delay.ms"),
            Setting::StreamsStandbys => Some("group.streams.num.standby.replicas"),
            Setting::StreamsSessionTimeout => Some("group.streams.session.timeout.ms"),
            Setting::ShareOffsetReset | Setting::ShareIsolationLevel | Setting::ShareRenewal => None,
        }
    }

    pub fn doc(self) -> &'static str {
        match self {
            Setting::AssignmentInterval => {
                "How long the consumer group's partitions stay assigned as they are before members that came or went change it."
            }
            Setting::HeartbeatInterval => "How often the members of the consumer group show themselves.",
            Setting::SessionTimeout => {
                "How long a member of the consumer group may be silent before it is removed."
            }
            Setting::ShareAssignmentInterval => {
                "How long the share group's partitions stay as they are shared out before members that came or went change it."
            }
            Setting::ShareOffsetReset => {
                "Where the share group begins: `earliest`, `latest`, or `by_duration:PnDTnHnMn.nS` ago."
            }
            Setting::ShareDeliveries => "How often the share group delivers a record that nobody accepts.",
            Setting::ShareHeartbeatInterval => "How often the members of the share group show themselves.",
            Setting::ShareIsolationLevel => {
                "Whether the share group is shown records before their transaction is committed."
            }
            Setting::ShareLocks => "How many records of a partition the share group has in flight.",
            Setting::ShareLockDuration => "How long a member of the share group may keep a record.",
            Setting::ShareRenewal => "Whether the share group's members may keep records for longer.",
            Setting::ShareSessionTimeout => {
                "How long a member of the share group may be silent before it is removed."
            }
            Setting::StreamsAssignmentInterval => {
                "How long the streams group's tasks stay with whom they are before members that came or went change it."
            }
            Setting::StreamsHeartbeatInterval => {
                "How often the members of the streams group show themselves."
            }
            Setting::StreamsInitialDelay => {
                "How long the first member of the streams group waits for others before anybody is given a task."
            }
            Setting::StreamsStandbys => {
                "How many standby replicas each stateful task of the streams group has."
            }
            Setting::StreamsSessionTimeout => {
                "How long a member of the streams group may be silent before it is removed."
            }
        }
    }

    pub fn default(self, options: &Options) -> Value {
        match self {
            Setting::AssignmentInterval => Value::Number(options.group_consumer_assignment_interval_ms),
            Setting::HeartbeatInterval => Value::Number(options.group_consumer_heartbeat_interval_ms),
            Setting::SessionTimeout => Value::Number(options.group_consumer_session_timeout_ms),
            Setting::ShareAssignmentInterval => Value::Number(options.group_share_assignment_interval_ms),
            Setting::ShareDeliveries => Value::Number(options.group_share_delivery_count_limit),
            Setting::ShareLocks => Value::Number(options.group_share_partition_max_record_locks),
            Setting::ShareHeartbeatInterval => Value::Number(options.group_share_heartbeat_interval_ms),
            Setting::ShareLockDuration => Value::Number(options.group_share_record_lock_duration_ms),
            Setting::ShareSessionTimeout => Value::Number(options.group_share_session_timeout_ms),
            Setting::StreamsAssignmentInterval => Value::Number(options.group_streams_assignment_interval_ms),
            Setting::StreamsHeartbeatInterval => Value::Number(options.group_streams_heartbeat_interval_ms),
            Setting::StreamsInitialDelay => Value::Number(options.group_streams_initial_rebalance_delay_ms),
            Setting::StreamsStandbys => Value::Number(options.group_streams_num_standby_replicas),
            Setting::StreamsSessionTimeout => Value::Number(options.group_streams_session_timeout_ms),
            Setting::ShareOffsetReset => Value::Text("latest".to_owned()),
            Setting::ShareIsolationLevel => Value::Text(READ_UNCOMMITTED.to_owned()),
            Setting::ShareRenewal => Value::Flag(true),
        }
    }

    fn default_number(self, options: &Options) -> u32 {
        number(&self.default(options))
    }

    /// Kafka's bounds (`group.consumer.min.…`, `group.consumer.max.…`); what the broker is started with is always good.
    fn bounds(self, options: &Options) -> (u32, u32) {
        let (least, most) = match self {
            Setting::HeartbeatInterval
            | Setting::ShareHeartbeatInterval
            | Setting::StreamsHeartbeatInterval => (5_000, 15_000),
            Setting::SessionTimeout | Setting::ShareSessionTimeout | Setting::StreamsSessionTimeout => {
                (45_000, 60_000)
            }
            Setting::AssignmentInterval
            | Setting::ShareAssignmentInterval
            | Setting::StreamsAssignmentInterval => (0, 15_000),
            Setting::StreamsStandbys => (0, 2),
            Setting::StreamsInitialDelay => (0, i32::MAX as u32),
            Setting::ShareLockDuration => (15_000, 60_000),
            Setting::ShareDeliveries => (2, 10),
            Setting::ShareLocks => (100, 4_000),
            Setting::ShareOffsetReset | Setting::ShareIsolationLevel | Setting::ShareRenewal => (0, u32::MAX),
        };
        let default = self.default_number(options);
        (default.min(least), default.max(most))
    }

    fn named(name: &str) -> Result<Setting, Refusal> {
        let found = Setting::ALL.into_iter().find(|setting| setting.name() == name);
        found.ok_or_else(|| invalid(format!("Unknown group config name: {name}")))
    }

    fn parse(self, text: &str) -> Result<Value, Refusal> {
        let name = self.name();
        let wrong = |why: &str| invalid(format!("Invalid value {text} for configuration {name}: {why}"));
        match self {
            Setting::ShareOffsetReset => match Reset::of(text) {
                Some(_) => Ok(Value::Text(text.to_owned())),
                None => {
                    Err(wrong("must be 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS.>'."))
                }
            },
            Setting::ShareIsolationLevel => match text {
                READ_UNCOMMITTED | READ_COMMITTED => Ok(Value::Text(text.to_owned())),
                _ => Err(wrong("String must be one of: read_committed, read_uncommitted")),
            },
            Setting::ShareRenewal => match text.trim().to_ascii_lowercase().parse() {
                Ok(flag) => Ok(Value::Flag(flag)),
                Err(_) => Err(wrong("Expected value to be either true or false")),
            },
            Setting::AssignmentInterval
            | Setting::HeartbeatInterval
            | Setting::SessionTimeout
            | Setting::ShareAssignmentInterval
            | Setting::ShareDeliveries
            | Setting::ShareHeartbeatInterval
            | Setting::ShareLocks
            | Setting::ShareLockDuration
            | Setting::ShareSessionTimeout
            | Setting::StreamsAssignmentInterval
            | Setting::StreamsHeartbeatInterval
            | Setting::StreamsInitialDelay
            | Setting::StreamsStandbys
            | Setting::StreamsSessionTimeout => {
                let number = text.trim().parse::<u32>();
                number.map(Value::Number).map_err(|_| wrong("Not a number of type INT"))
            }
        }
    }
}

fn number(value: &Value) -> u32 {
    match value {
        Value::Number(number) => *number,
        Value::Flag(_) | Value::Text(_) => 0,
    }
}

fn invalid(reason: String) -> Refusal {
    Refusal::new(ResponseError::InvalidConfig, reason)
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    groups: BTreeMap<String, Own>,
}

pub struct GroupConfigs {
    kept: Kept,
    groups: RwLock<HashMap<String, Own>>,
    /// One change after another: each writes the whole file.
    changing: Mutex<()>,
}

impl GroupConfigs {
    pub fn open(data_dir: &Path) -> Result<GroupConfigs, Error> {
        let kept = Kept::at(data_dir, FILE_NAME);
        let groups = match kept.read::<Stored>()? {
            None => HashMap::new(),
            Some(stored) if stored.version == VERSION => stored.groups.into_iter().collect(),
            Some(stored) => return Err(kept.unreadable(format!("version {} is not known", stored.version))),
        };
        Ok(GroupConfigs { kept, groups: RwLock::new(groups), changing: Mutex::default() })
    }

    /// The groups for which anything is set, in no order.
    pub fn names(&self) -> Vec<String> {
        self.groups.read().keys().cloned().collect()
    }

    /// What is set for this group and no other.
    pub fn own(&self, group: &str) -> Own {
        self.groups.read().get(group).cloned().unwrap_or_default()
    }

    /// What holds for it.
    pub fn value(&self, group: &str, setting: Setting, options: &Options) -> Value {
        let own = self.groups.read().get(group).and_then(|own| own.get(&setting).cloned());
        own.unwrap_or_else(|| setting.default(options))
    }

    /// The same of a setting that is a number.
    pub fn number(&self, group: &str, setting: Setting, options: &Options) -> u32 {
        number(&self.value(group, setting, options))
    }

    /// Where a share group begins to read a partition.
    pub fn reset(&self, group: &str, options: &Options) -> Reset {
        Reset::of(&self.value(group, Setting::ShareOffsetReset, options).to_string()).unwrap_or(Reset::Latest)
    }

    /// Whether a share group is shown no record before its transaction is committed.
    pub fn reads_committed(&self, group: &str, options: &Options) -> bool {
        self.value(group, Setting::ShareIsolationLevel, options) == Value::Text(READ_COMMITTED.to_owned())
    }

    /// Whether members of a share group may keep records for longer.
    pub fn renews(&self, group: &str, options: &Options) -> bool {
        self.value(group, Setting::ShareRenewal, options) != Value::Flag(false)
    }

    /// Puts what `change` makes of the group's own settings in their place; durable when it returns. Blocks on the disk.
    pub fn set(&self, group: &str, change: impl FnOnce(&Own) -> Result<Own, Refusal>) -> Result<(), Refusal> {
        let _one = self.changing.lock();
        let changed = change(&self.own(group))?;
        let mut groups = self.groups.read().clone();
        match changed.is_empty() {
            true => _ = groups.remove(group),
            false => _ = groups.insert(group.to_owned(), changed),
        }
        if groups.len() > GROUPS_COUNT_MAX {
            let reason = format!("{GROUPS_COUNT_MAX} groups have settings of their own already.");
            return Err(Refusal::new(ResponseError::PolicyViolation, reason));
        }
        let stored = Stored { version: VERSION, groups: groups.clone().into_iter().collect() };
        self.kept.write(&stored).map_err(|error| {
            tracing::error!(%error, "settings of groups cannot be kept");
            Refusal::new(ResponseError::KafkaStorageError, "The settings cannot be written.".to_owned())
        })?;
        *self.groups.write() = groups;
        Ok(())
    }
}

/// One change of one setting.
pub fn apply(own: &mut Own, name: &str, operation: Operation, value: Option<&str>) -> Result<(), Refusal> {
    let setting = Setting::named(name)?;
    let append = |word: &str| invalid(format!("Can't {word} to key {name} because its type is not LIST."));
    match operation {
        Operation::Delete => _ = own.remove(&setting),
        Operation::Append => return Err(append("APPEND")),
        Operation::Subtract => return Err(append("SUBTRACT")),
        Operation::Set => {
            let text = value.unwrap_or_default();
            own.insert(setting, setting.parse(text)?);
        }
    }
    Ok(())
}

/// Whether a group can have these.
pub fn check(own: &Own, options: &Options) -> Result<(), Refusal> {
    for (setting, value) in own {
        let (Value::Number(value), Some(behind)) = (value, setting.broker_name()) else { continue };
        let (least, most) = setting.bounds(options);
        let name = setting.name();
        let bound = |word: &str| {
            let (kind, rest) = behind.split_at("group.".len() + name.find('.').map_or(0, |dot| dot + 1));
            format!("{kind}{word}.{}", rest.trim_start_matches("num."))
        };
        if *value < least {
            return Err(invalid(format!("{name} must be greater than or equal to {}", bound("min"))));
        }
        if *value > most {
            return Err(invalid(format!("{name} must be less than or equal to {}", bound("max"))));
        }
    }
    let value = |setting: Setting| match own.get(&setting) {
        Some(value) => number(value),
        None => setting.default_number(options),
    };
    let pairs = [
        [Setting::HeartbeatInterval, Setting::SessionTimeout],
        [Setting::ShareHeartbeatInterval, Setting::ShareSessionTimeout],
        [Setting::StreamsHeartbeatInterval, Setting::StreamsSessionTimeout],
    ];
    for [interval, session] in pairs {
        if value(session) <= value(interval) {
            return Err(invalid(format!("{} must be greater than {}", session.name(), interval.name())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options::at("", "127.0.0.1:0".parse().unwrap())
    }

    fn set(pairs: &[(&str, &str)]) -> Result<Own, String> {
        let mut own = Own::new();
        let mut all = pairs.iter();
        all.try_for_each(|(name, value)| apply(&mut own, name, Operation::Set, Some(value)))
            .and_then(|()| check(&own, &options()))
            .map_err(|refusal| refusal.reason)?;
        Ok(own)
    }

    #[test]
    fn values_have_kafkas_names_and_bounds() {
        let own = set(&[("consumer.session.timeout.ms", "50000")]).unwrap();
        assert_eq!(own, Own::from([(Setting::SessionTimeout, Value::Number(50_000))]));
        let own =
            set(&[("share.isolation.level", "read_committed"), ("share.auto.offset.reset", "earliest")])
                .unwrap();
        assert_eq!(own[&Setting::ShareOffsetReset], Value::Text("earliest".to_owned()));
        let own = set(&[("share.assignment.interval.ms", "0"), ("share.renew.acknowledge.enable", " False")])
            .unwrap();
        assert_eq!(own[&Setting::ShareRenewal], Value::Flag(false));
        let kept: Own = serde_json::from_str(&serde_json::to_string(&own).unwrap()).unwrap();
        assert_eq!(kept, own);
        for (name, value, reason) in [
            (
                "share.renew.acknowledge.enable",
                "1",
                "Invalid value 1 for configuration share.renew.acknowledge.enable: Expected value to be either true or false",
            ),
            (
                "share.assignment.interval.ms",
                "15001",
                "share.assignment.interval.ms must be less than or equal to group.share.max.assignment.interval.ms",
            ),
            (
                "consumer.assignment.interval.ms",
                "15001",
                "consumer.assignment.interval.ms must be less than or equal to group.consumer.max.assignment.interval.ms",
            ),
            ("share.timeout.ms", "1", "Unknown group config name: share.timeout.ms"),
            (
                "share.record.lock.duration.ms",
                "1",
                "share.record.lock.duration.ms must be greater than or equal to group.share.min.record.lock.duration.ms",
            ),
            (
                "share.isolation.level",
                "all",
                "Invalid value all for configuration share.isolation.level: String must be one of: read_committed, read_uncommitted",
            ),
            (
                "consumer.session.timeout.ms",
                "soon",
                "Invalid value soon for configuration consumer.session.timeout.ms: Not a number of type INT",
            ),
            (
                "consumer.session.timeout.ms",
                "1000",
                "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
            ),
            (
                "consumer.heartbeat.interval.ms",
                "60000",
                "consumer.heartbeat.interval.ms must be less than or equal to group.consumer.max.heartbeat.interval.ms",
            ),
        ] {
            assert_eq!(set(&[(name, value)]), Err(reason.to_owned()));
        }
    }

    #[test]
    fn resets_are_read_as_java_reads_durations() {
        let within = |text: &str| Reset::of(&format!("by_duration:{text}"));
        assert_eq!(within("PT1H"), Some(Reset::Within(3_600_000)));
        assert_eq!(within("P2DT3H4M5.5S"), Some(Reset::Within(183_845_500)));
        assert_eq!(within("P1D"), Some(Reset::Within(86_400_000)));
        for wrong in ["", "P", "PT", "1H", "PT1X", "PT-1S", "P1DT"] {
            assert_eq!(within(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn they_are_kept_and_go_when_they_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let opened = || GroupConfigs::open(folder.path()).unwrap();
        let change = |operation, value| {
            move |own: &Own| {
                let mut own = own.clone();
                apply(&mut own, "consumer.session.timeout.ms", operation, value)?;
                Ok(own)
            }
        };
        opened().set("g", change(Operation::Set, Some("46000"))).unwrap();
        let configs = opened();
        assert_eq!(configs.number("g", Setting::SessionTimeout, &options()), 46_000);
        assert_eq!(configs.number("h", Setting::SessionTimeout, &options()), 45_000);
        configs.set("g", change(Operation::Delete, None)).unwrap();
        assert_eq!(opened().own("g"), Own::new());
    }
}
