//! The topics of this broker: names, ids, partitions and settings, and the log of each partition.
//!
//! A `Topic` never changes; a change puts another one in its place, after the catalog on the disk has it.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use kafka_protocol::ResponseError;
use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use crate::{
    errors::Error,
    log::{Log, Logs},
    options::Options,
};

pub mod catalog;
pub mod defaults;
pub mod settings;

use catalog::{Catalog, Entry};
use defaults::{Defaults, Layer};
use settings::Settings;

/// More partitions in one topic are refused: each has a directory and open files.
pub const PARTITIONS_COUNT_MAX: i32 = 10_000;
/// Kafka's `Topic.MAX_NAME_LENGTH`.
const NAME_LENGTH_MAX: usize = 249;

pub struct Topic {
    pub name: Arc<str>,
    pub id: Uuid,
    pub partitions: Vec<Arc<Log>>,
    /// What was set for this topic; the rest are defaults.
    pub settings: Settings,
}

impl Topic {
    /// Kafka marks these in its answers, and keeps clients from creating or deleting them by accident.
    pub fn is_internal(&self) -> bool {
        is_internal(&self.name)
    }

    pub fn partition(&self, index: i32) -> Result<&Arc<Log>, ResponseError> {
        let index = usize::try_from(index).map_err(|_| ResponseError::UnknownTopicOrPartition)?;
        self.partitions.get(index).ok_or(ResponseError::UnknownTopicOrPartition)
    }
}

pub fn is_internal(name: &str) -> bool {
    ["__consumer_offsets", "__transaction_state", "__share_group_state"].contains(&name)
}

/// Why a change to a topic is refused: Kafka's code, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub error: ResponseError,
    pub reason: String,
}

impl Refusal {
    pub fn new(error: ResponseError, reason: impl Into<String>) -> Self {
        Self { error, reason: reason.into() }
    }
}

#[derive(Default)]
struct Known {
    by_name: BTreeMap<Arc<str>, Arc<Topic>>,
    by_id: HashMap<Uuid, Arc<Topic>>,
}

impl Known {
    fn put(&mut self, topic: Arc<Topic>) {
        self.by_id.insert(topic.id, topic.clone());
        self.by_name.insert(topic.name.clone(), topic);
    }
}

pub struct Topics {
    known: RwLock<Known>,
    /// Held for the whole of a change, on a thread that may block.
    catalog: Mutex<Catalog>,
    logs: Arc<Logs>,
    options: Arc<Options>,
    /// What holds for topics that have nothing of their own.
    pub defaults: Defaults,
    /// Rises when a topic is made, deleted or grown.
    version: AtomicU64,
}

impl Topics {
    /// Reads the catalog and opens every log, recovering those that were not closed. Blocks on the disk.
    pub fn open(logs: Arc<Logs>, options: Arc<Options>) -> Result<Topics, Error> {
        let catalog = Catalog::read(&options.data_dir)?;
        let defaults = Defaults::open(options.clone())?;
        let mut known = Known::default();
        let mut wanted = Vec::new();
        for entry in catalog.entries() {
            let settings = Settings::stored(entry.configs.clone());
            wanted.push((entry, Arc::new(settings.log_options(&defaults)), settings));
        }
        let ranges: Vec<_> = wanted
            .iter()
            .map(|(entry, log_options, _)| (entry.name.as_str(), 0..entry.partitions, log_options.clone()))
            .collect();
        let mut opened = logs.log_each(&ranges)?.into_iter();
        for (entry, _, settings) in wanted {
            let partitions = opened.by_ref().take(entry.partitions.max(0) as usize).collect();
            let topic = Topic { name: entry.name.as_str().into(), id: entry.id, partitions, settings };
            known.put(Arc::new(topic));
        }
        let (known, catalog) = (RwLock::new(known), Mutex::new(catalog));
        Ok(Topics { known, catalog, logs, options, defaults, version: AtomicU64::new(1) })
    }

    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// After the change is to be seen: who meets the new number meets the change.
    fn changed(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    pub fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.known.read().by_name.get(name).cloned()
    }

    /// The same, or what is answered where there is none.
    pub fn named(&self, name: &str) -> Result<Arc<Topic>, Refusal> {
        let reason = || format!("The topic '{name}' does not exist.");
        self.get(name).ok_or_else(|| Refusal::new(ResponseError::UnknownTopicOrPartition, reason()))
    }

    pub fn by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.known.read().by_id.get(&id).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Topic>> {
        self.known.read().by_name.values().cloned().collect()
    }

    pub fn partition(&self, name: &str, index: i32) -> Result<Arc<Log>, ResponseError> {
        let topic = self.get(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        topic.partition(index).cloned()
    }

    /// Whether a topic of this name could be created: its name is good and not taken.
    pub fn check_new(&self, name: &str) -> Result<(), Refusal> {
        check_name(name)?;
        let known = self.known.read();
        if known.by_name.contains_key(name) {
            return Err(Refusal::new(
                ResponseError::TopicAlreadyExists,
                format!("Topic '{name}' already exists."),
            ));
        }
        // Kafka's metrics cannot tell '.' from '_'; a cluster that the topics move to would refuse the second one.
        let folded = |text: &str| text.replace('.', "_");
        if name.contains(['.', '_'])
            && let Some(other) = known.by_name.keys().find(|other| folded(other) == folded(name))
        {
            let reason = format!("Topic '{name}' collides with existing topic: {other}");
            return Err(Refusal::new(ResponseError::InvalidTopicException, reason));
        }
        Ok(())
    }

    /// Whether so many more partitions are within the limit. The internal topics are outside of it: groups need theirs.
    pub fn check_room(&self, name: &str, more: i32) -> Result<(), Refusal> {
        let known = self.known.read();
        let there: usize = known.by_name.values().map(|topic| topic.partitions.len()).sum();
        let most = self.options.partitions_total_max;
        if is_internal(name) || there as u64 + u64::from(more.unsigned_abs()) <= u64::from(most) {
            return Ok(());
        }
        let reason = format!(
            "There are {there} partitions; {more} more would exceed the limit of {most} (broker.partitions_total_max)."
        );
        Err(Refusal::new(ResponseError::PolicyViolation, reason))
    }

    /// Creates a topic: durable when it returns. Blocks on the disk.
    pub fn create(&self, name: &str, partitions: i32, settings: Settings) -> Result<Arc<Topic>, Refusal> {
        let mut catalog = self.catalog.lock();
        self.check_new(name)?;
        check_partitions(partitions)?;
        self.check_room(name, partitions)?;
        let id = Uuid::new_v4();
        for partition in 0..partitions {
            // What an earlier topic of this name left, if its deletion was cut off.
            self.logs.delete(name, partition).map_err(|error| disk_refusal(&error))?;
        }
        let opened = open_topic(&self.logs, &self.defaults, name, id, partitions, settings);
        let put = opened.and_then(|topic| catalog.put(entry_of(&topic)).map(|()| topic));
        let topic = put.map_err(|error| {
            self.take_back(name, 0..partitions);
            refusal(&error)
        })?;
        let topic = Arc::new(topic);
        self.known.write().put(topic.clone());
        self.changed();
        Ok(topic)
    }

    /// Forgets the topic, then deletes its logs. Blocks on the disk.
    pub fn delete(&self, name: &str) -> Result<(), Refusal> {
        let mut catalog = self.catalog.lock();
        let topic = self.named(name)?;
        catalog.remove(name).map_err(|error| refusal(&error))?;
        {
            let mut known = self.known.write();
            known.by_name.remove(name);
            known.by_id.remove(&topic.id);
        }
        self.changed();
        for partition in 0..topic.partitions.len() {
            if let Err(error) = self.logs.delete(name, partition as i32) {
                tracing::warn!(%error, topic = name, partition, "a deleted topic's files are left behind");
            }
        }
        Ok(())
    }

    /// Adds partitions, up to `partitions` in all. Blocks on the disk.
    pub fn grow(&self, name: &str, partitions: i32, validate_only: bool) -> Result<(), Refusal> {
        let mut catalog = self.catalog.lock();
        let topic = self.named(name)?;
        let current = topic.partitions.len() as i32;
        if partitions <= current {
            let reason = if partitions == current {
                format!("Topic already has {current} partition(s).")
            } else {
                format!(
                    "The topic {name} currently has {current} partition(s); {partitions} would not be an increase."
                )
            };
            return Err(Refusal::new(ResponseError::InvalidPartitions, reason));
        }
        check_partitions(partitions)?;
        self.check_room(name, partitions - current)?;
        if validate_only {
            return Ok(());
        }
        for partition in current..partitions {
            self.logs.delete(name, partition).map_err(|error| disk_refusal(&error))?;
        }
        let settings = topic.settings.clone();
        let opened = open_topic(&self.logs, &self.defaults, name, topic.id, partitions, settings);
        let put = opened.and_then(|grown| catalog.put(entry_of(&grown)).map(|()| grown));
        let grown = put.map_err(|error| {
            self.take_back(name, current..partitions);
            refusal(&error)
        })?;
        self.known.write().put(Arc::new(grown));
        self.changed();
        Ok(())
    }

    /// Removes what a change that failed has made: it may be what fills the disk.
    fn take_back(&self, name: &str, partitions: Range<i32>) {
        for partition in partitions {
            if let Err(error) = self.logs.delete(name, partition) {
                tracing::warn!(%error, topic = name, partition, "a folder is left behind");
            }
        }
    }

    /// Puts `settings` in the place of the topic's own. Blocks on the disk.
    pub fn set(
        &self,
        name: &str,
        change: impl FnOnce(&Settings) -> Result<Settings, Refusal>,
    ) -> Result<(), Refusal> {
        let mut catalog = self.catalog.lock();
        let topic = self.named(name)?;
        let settings = change(&topic.settings)?;
        let changed =
            Topic { name: topic.name.clone(), id: topic.id, partitions: topic.partitions.clone(), settings };
        catalog.put(entry_of(&changed)).map_err(|error| refusal(&error))?;
        let options = Arc::new(changed.settings.log_options(&self.defaults));
        for log in &changed.partitions {
            log.set_options(options.clone());
        }
        self.known.write().put(Arc::new(changed));
        Ok(())
    }

    /// Puts other defaults in the place of a layer's, for all topics that have none of their own. Blocks on the disk.
    pub fn set_defaults(
        &self,
        layer: Layer,
        change: impl FnOnce(&Settings) -> Result<Settings, Refusal>,
    ) -> Result<(), Refusal> {
        let _catalog = self.catalog.lock(); // no topic is made by the old ones meanwhile
        self.defaults.change(layer, change)?;
        for topic in self.all() {
            let options = Arc::new(topic.settings.log_options(&self.defaults));
            topic.partitions.iter().for_each(|log| log.set_options(options.clone()));
        }
        Ok(())
    }

    pub fn data_dir(&self) -> &Path {
        &self.options.data_dir
    }
}

fn open_topic(
    logs: &Logs,
    defaults: &Defaults,
    name: &str,
    id: Uuid,
    partitions: i32,
    settings: Settings,
) -> Result<Topic, Error> {
    let log_options = Arc::new(settings.log_options(defaults));
    let partitions = logs.log_each(&[(name, 0..partitions, log_options)])?;
    Ok(Topic { name: name.into(), id, partitions, settings })
}

fn entry_of(topic: &Topic) -> Entry {
    Entry {
        name: topic.name.to_string(),
        id: topic.id,
        partitions: topic.partitions.len() as i32,
        configs: topic.settings.own().clone(),
    }
}

/// Whether a topic may have this name.
pub fn check_name(name: &str) -> Result<(), Refusal> {
    let sound = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    let wrong = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        "'.' or '..' is not allowed".to_owned()
    } else if name.len() > NAME_LENGTH_MAX {
        format!("the length of '{name}' is longer than the max allowed length {NAME_LENGTH_MAX}")
    } else if !name.chars().all(sound) {
        format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
    } else {
        return Ok(());
    };
    Err(Refusal::new(ResponseError::InvalidTopicException, format!("Topic name is invalid: {wrong}")))
}

fn check_partitions(partitions: i32) -> Result<(), Refusal> {
    if (1..=PARTITIONS_COUNT_MAX).contains(&partitions) {
        return Ok(());
    }
    let reason =
        format!("Number of partitions was set to {partitions}; it must be 1 to {PARTITIONS_COUNT_MAX}.");
    Err(Refusal::new(ResponseError::InvalidPartitions, reason))
}

fn refusal(error: &Error) -> Refusal {
    tracing::error!(%error, "a topic cannot be changed");
    Refusal::new(ResponseError::KafkaStorageError, error.to_string())
}

fn disk_refusal(error: &crate::log::LogError) -> Refusal {
    tracing::error!(%error, "a topic cannot be changed");
    Refusal::new(error.answer(), error.to_string())
}
