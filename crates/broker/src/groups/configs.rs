//! Settings of single groups (the resource GROUP of KIP-848): how often the members of a consumer group show themselves, and how long
//! they may be silent. A group need not exist to have some. Kept in `groups.json`.

use std::{
    collections::{BTreeMap, HashMap},
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

/// What can be set, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Setting {
    #[serde(rename = "consumer.heartbeat.interval.ms")]
    HeartbeatInterval,
    #[serde(rename = "consumer.session.timeout.ms")]
    SessionTimeout,
}

pub type Own = BTreeMap<Setting, u32>;

impl Setting {
    pub const ALL: [Setting; 2] = [Setting::HeartbeatInterval, Setting::SessionTimeout];

    pub fn name(self) -> &'static str {
        match self {
            Setting::HeartbeatInterval => "consumer.heartbeat.interval.ms",
            Setting::SessionTimeout => "consumer.session.timeout.ms",
        }
    }

    /// The broker's setting behind it.
    pub fn broker_name(self) -> &'static str {
        match self {
            Setting::HeartbeatInterval => "group.consumer.heartbeat.interval.ms",
            Setting::SessionTimeout => "group.consumer.session.timeout.ms",
        }
    }

    pub fn doc(self) -> &'static str {
        match self {
            Setting::HeartbeatInterval => "How often the members of the consumer group show themselves.",
            Setting::SessionTimeout => {
                "How long a member of the consumer group may be silent before it is removed."
            }
        }
    }

    pub fn default_ms(self, options: &Options) -> u32 {
        match self {
            Setting::HeartbeatInterval => options.group_consumer_heartbeat_interval_ms,
            Setting::SessionTimeout => options.group_consumer_session_timeout_ms,
        }
    }

    /// Kafka's bounds (`group.consumer.min.…`, `group.consumer.max.…`); what the broker is started with is always good.
    fn bounds_ms(self, options: &Options) -> (u32, u32) {
        let (least, most) = match self {
            Setting::HeartbeatInterval => (5_000, 15_000),
            Setting::SessionTimeout => (45_000, 60_000),
        };
        let default = self.default_ms(options);
        (default.min(least), default.max(most))
    }

    fn named(name: &str) -> Result<Setting, Refusal> {
        let found = Setting::ALL.into_iter().find(|setting| setting.name() == name);
        found.ok_or_else(|| invalid(format!("Unknown group config name: {name}")))
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

    /// What is set for this group and no other.
    pub fn own(&self, group: &str) -> Own {
        self.groups.read().get(group).cloned().unwrap_or_default()
    }

    /// What holds for it.
    pub fn value_ms(&self, group: &str, setting: Setting, options: &Options) -> u32 {
        let own = self.groups.read().get(group).and_then(|own| own.get(&setting).copied());
        own.unwrap_or_else(|| setting.default_ms(options))
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
            let number = text.trim().parse::<u32>().map_err(|_| {
                invalid(format!("Invalid value {text} for configuration {name}: Not a number of type INT"))
            })?;
            own.insert(setting, number);
        }
    }
    Ok(())
}

/// Whether a group can have these.
pub fn check(own: &Own, options: &Options) -> Result<(), Refusal> {
    for (setting, value) in own {
        let (least, most) = setting.bounds_ms(options);
        let (name, behind) = (setting.name(), setting.broker_name());
        let bound = |word: &str| behind.replace("group.consumer.", &format!("group.consumer.{word}."));
        if *value < least {
            return Err(invalid(format!("{name} must be greater than or equal to {}", bound("min"))));
        }
        if *value > most {
            return Err(invalid(format!("{name} must be less than or equal to {}", bound("max"))));
        }
    }
    let value = |setting: Setting| own.get(&setting).copied().unwrap_or_else(|| setting.default_ms(options));
    let [interval, session] = [Setting::HeartbeatInterval, Setting::SessionTimeout];
    if value(session) <= value(interval) {
        return Err(invalid(format!("{} must be greater than {}", session.name(), interval.name())));
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
        assert_eq!(own, Own::from([(Setting::SessionTimeout, 50_000)]));
        for (name, value, reason) in [
            ("share.session.timeout.ms", "1", "Unknown group config name: share.session.timeout.ms"),
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
        assert_eq!(configs.value_ms("g", Setting::SessionTimeout, &options()), 46_000);
        assert_eq!(configs.value_ms("h", Setting::SessionTimeout, &options()), 45_000);
        configs.set("g", change(Operation::Delete, None)).unwrap();
        assert_eq!(opened().own("g"), Own::new());
    }
}
