//! What an application of Kafka Streams is made of, as its members tell it (KIP-1071), and what that takes of topics: how many partitions
//! each internal one has, which are still to be made, and how many tasks there are. Who gets which task is not here.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;

use super::Status;
use crate::groups::consumer::{Refused, layout::Layout};

/// Names of topics that a status lists.
const NAMES_COUNT_MAX: usize = 3;
/// What a group is looked through for with each change of the topics; Kafka has no such limits, but applications have a thousandth of this.
const SUBTOPOLOGIES_COUNT_MAX: usize = 1_000;
const PARTS_COUNT_MAX: usize = 10_000;
const TASKS_COUNT_MAX: i64 = 100_000;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topology {
    pub epoch: i32,
    /// By their ids.
    pub subtopologies: BTreeMap<String, Subtopology>,
}

/// A part of the application that has tasks of its own: one for each partition that it reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subtopology {
    pub source_topics: Vec<String>,
    pub source_topic_regex: Vec<String>,
    pub state_changelog_topics: Vec<TopicInfo>,
    pub repartition_sink_topics: Vec<String>,
    pub repartition_source_topics: Vec<TopicInfo>,
    pub copartition_groups: Vec<CopartitionGroup>,
}

/// An internal topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicInfo {
    pub name: String,
    /// 0: as many as follow from what is read.
    pub partitions: i32,
    /// 0: the broker's default.
    pub replication_factor: i16,
    pub configs: Vec<(String, String)>,
}

/// Topics with as many partitions as each other, by their places in the subtopology's lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CopartitionGroup {
    pub source_topics: Vec<i16>,
    pub source_topic_regex: Vec<i16>,
    pub repartition_source_topics: Vec<i16>,
}

/// What follows from a topology and the topics that there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Configured {
    /// How many each subtopology has; nothing where that cannot be told.
    pub tasks: BTreeMap<String, i32>,
    /// How many partitions each internal topic has, or is to have.
    pub partitions: Counts,
    /// Internal topics that are not there, with their partitions.
    pub missing: Vec<TopicInfo>,
    /// Why nobody can have a task yet.
    pub trouble: Option<Status>,
}

/// Partitions by topic.
pub type Counts = BTreeMap<String, i32>;

/// Why a topology cannot be worked on.
enum Unfit {
    /// As the topics are now.
    Now(Status),
    /// Whatever topics there are.
    Ever(String),
}

impl Subtopology {
    /// Whether its tasks keep something, so that a standby of one is worth having.
    pub fn is_stateful(&self) -> bool {
        !self.state_changelog_topics.is_empty()
    }

    /// The topics that it reads.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        let repartitioned = self.repartition_source_topics.iter().map(|topic| &*topic.name);
        self.source_topics.iter().map(String::as_str).chain(repartitioned)
    }

    fn internal_topics(&self) -> impl Iterator<Item = &TopicInfo> {
        self.repartition_source_topics.iter().chain(&self.state_changelog_topics)
    }

    /// Topics, and places of topics in its lists.
    fn parts_count(&self) -> usize {
        let places = |group: &CopartitionGroup| {
            1 + group.source_topics.len()
                + group.source_topic_regex.len()
                + group.repartition_source_topics.len()
        };
        let configs = self.internal_topics().map(|topic| 1 + topic.configs.len()).sum::<usize>();
        let named =
            self.source_topics.len() + self.source_topic_regex.len() + self.repartition_sink_topics.len();
        configs + named + self.copartition_groups.iter().map(places).sum::<usize>()
    }

    fn copartitioned(&self, group: &CopartitionGroup) -> BTreeSet<&str> {
        let at = |place: &i16| usize::try_from(*place).unwrap_or(usize::MAX);
        let external = group.source_topics.iter().filter_map(|place| self.source_topics.get(at(place)));
        let internal = group
            .repartition_source_topics
            .iter()
            .filter_map(|place| self.repartition_source_topics.get(at(place)));
        external.map(String::as_str).chain(internal.map(|topic| &*topic.name)).collect()
    }
}

impl Topology {
    /// Every topic that it reads or keeps its state in.
    pub fn required_topics(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        for one in self.subtopologies.values() {
            names.extend(one.inputs());
            names.extend(one.state_changelog_topics.iter().map(|topic| &*topic.name));
        }
        names
    }

    /// The subtopology whose tasks read this topic.
    pub fn reader_of(&self, topic: &str) -> Option<&str> {
        let reads = |(_, one): &(&String, &Subtopology)| one.inputs().any(|name| name == topic);
        self.subtopologies.iter().find(reads).map(|(id, _)| &**id)
    }

    /// # Errors
    /// It is larger than what is looked through.
    pub fn check_size(&self) -> Result<(), Refused> {
        let too_many = |what: String| Err(Refused::new(ResponseError::StreamsInvalidTopology, what));
        let (subtopologies, parts) = (
            self.subtopologies.len(),
            self.subtopologies.values().map(Subtopology::parts_count).sum::<usize>(),
        );
        if subtopologies > SUBTOPOLOGIES_COUNT_MAX {
            return too_many(format!(
                "{subtopologies} subtopologies are more than {SUBTOPOLOGIES_COUNT_MAX}."
            ));
        }
        if parts > PARTS_COUNT_MAX {
            return too_many(format!(
                "{parts} topics and settings in the topology are more than {PARTS_COUNT_MAX}."
            ));
        }
        Ok(())
    }

    /// What it takes of topics.
    ///
    /// # Errors
    /// It can never be worked on.
    pub fn configure(&self, layout: &dyn Layout) -> Result<Configured, Refused> {
        match self.counts(layout).and_then(|counts| self.configured(counts, layout)) {
            Ok(configured) => Ok(configured),
            Err(Unfit::Now(status)) => Ok(Configured { trouble: Some(status), ..Configured::default() }),
            Err(Unfit::Ever(reason)) => Err(Refused::new(ResponseError::StreamsInvalidTopology, reason)),
        }
    }

    fn configured(&self, counts: Counts, layout: &dyn Layout) -> Result<Configured, Unfit> {
        let mut configured = Configured::default();
        for (id, one) in &self.subtopologies {
            let tasks = one.inputs().filter_map(|topic| partitions(topic, &counts, layout)).max();
            configured.tasks.insert(id.clone(), tasks.unwrap_or(0));
            for topic in one.internal_topics() {
                let expected = counts.get(&topic.name).copied().unwrap_or(topic.partitions);
                match layout.find(&topic.name) {
                    None => configured.missing.push(TopicInfo { partitions: expected, ..topic.clone() }),
                    Some((_, found)) if found != expected => {
                        return Err(Unfit::Now(Status::incorrectly_partitioned(format!(
                            "Existing topic {} has different number of partitions: expected {expected}, found {found}",
                            topic.name
                        ))));
                    }
                    Some(_) => {}
                }
            }
        }
        let tasks = configured.tasks.values().map(|count| i64::from(*count)).sum::<i64>();
        if tasks > TASKS_COUNT_MAX {
            return Err(Unfit::Ever(format!("{tasks} tasks are more than {TASKS_COUNT_MAX}.")));
        }
        if !configured.missing.is_empty() {
            let names: Vec<&str> = configured.missing.iter().map(|topic| &*topic.name).collect();
            let detail = format!("Internal topics are missing: {}", listed(&names));
            configured.trouble = Some(Status::missing_internal(detail));
        }
        configured.partitions = counts;
        Ok(configured)
    }

    /// How many partitions each internal topic is to have.
    fn counts(&self, layout: &dyn Layout) -> Result<Counts, Unfit> {
        let all = || self.subtopologies.values();
        let sources: BTreeSet<&str> = all().flat_map(|one| &one.source_topics).map(String::as_str).collect();
        let missing: Vec<&str> = sources.into_iter().filter(|topic| layout.find(topic).is_none()).collect();
        if !missing.is_empty() {
            let detail = format!("Source topics {} are missing.", listed(&missing));
            return Err(Unfit::Now(Status::missing_source(detail)));
        }
        let mut counts = self.repartitioned(layout)?;
        let repartitions = all().flat_map(|one| &one.repartition_source_topics);
        let mut is_set: BTreeMap<&str, bool> = BTreeMap::new();
        for topic in repartitions {
            *is_set.entry(&topic.name).or_default() |= topic.partitions != 0;
        }
        for one in all() {
            for group in &one.copartition_groups {
                copartition(&one.copartitioned(group), &is_set, &mut counts, layout)?;
            }
        }
        for (id, one) in &self.subtopologies {
            let Some(most) = one.inputs().filter_map(|topic| partitions(topic, &counts, layout)).max() else {
                return Err(Unfit::Ever(format!("No source topics found for subtopology {id}")));
            };
            counts.extend(one.state_changelog_topics.iter().map(|topic| (topic.name.clone(), most)));
        }
        Ok(counts)
    }

    /// Those of repartition topics: as set, or as many as what is written there was read from.
    fn repartitioned(&self, layout: &dyn Layout) -> Result<Counts, Unfit> {
        let all = || self.subtopologies.values();
        let repartitions = || all().flat_map(|one| &one.repartition_source_topics);
        let set = repartitions().filter(|topic| topic.partitions != 0);
        let mut counts: Counts = set.map(|topic| (topic.name.clone(), topic.partitions)).collect();
        let mut waiting: Vec<&Subtopology> = all().collect();
        while !waiting.is_empty() {
            let waited_count = waiting.len();
            waiting.retain(|one| {
                let external = one.source_topics.iter().filter_map(|topic| layout.find(topic));
                let internal =
                    one.repartition_source_topics.iter().filter_map(|topic| counts.get(&topic.name));
                let most = external.map(|(_, count)| count).chain(internal.copied()).max();
                let unset: Vec<&String> =
                    one.repartition_sink_topics.iter().filter(|sink| !counts.contains_key(*sink)).collect();
                let Some(most) = most else { return !unset.is_empty() };
                counts.extend(unset.into_iter().map(|sink| (sink.clone(), most)));
                false
            });
            if waiting.len() == waited_count {
                let reason = "Failed to compute number of partitions for all repartition topics. \
                              There may be loops in the topology that cannot be resolved.";
                return Err(Unfit::Ever(reason.to_owned()));
            }
        }
        match repartitions().all(|topic| counts.contains_key(&topic.name)) {
            true => Ok(counts),
            false => Err(Unfit::Ever(
                "Failed to compute number of partitions for all repartition topics, because a repartition source \
                 topic is never used as a sink topic."
                    .to_owned(),
            )),
        }
    }
}

/// Gives the repartition topics among these as many partitions as the others have.
/// `is_set` knows the repartition topics, and which of them say how many they have.
fn copartition(
    topics: &BTreeSet<&str>,
    is_set: &BTreeMap<&str, bool>,
    counts: &mut Counts,
    layout: &dyn Layout,
) -> Result<(), Unfit> {
    let is_internal = |topic: &str| is_set.contains_key(topic);
    let is_set = |topic: &str| is_set.get(topic) == Some(&true);
    let count = |topic: &str| partitions(topic, counts, layout).unwrap_or(0);
    let differ = |of: &[&str]| {
        let shown: Vec<String> = of.iter().map(|topic| format!("{topic}={}", count(topic))).collect();
        let detail =
            format!("Following topics do not have the same number of partitions: [{{{}}}]", shown.join(", "));
        Err(Unfit::Now(Status::incorrectly_partitioned(detail)))
    };
    let (internal, external): (Vec<&str>, Vec<&str>) =
        topics.iter().copied().partition(|topic| is_internal(topic));
    let set: Vec<&str> = internal.iter().copied().filter(|topic| is_set(topic)).collect();
    let leading = match (&external[..], &set[..]) {
        ([], []) => internal.iter().map(|topic| count(topic)).max(),
        ([], set) if set.iter().any(|topic| count(topic) != count(set[0])) => return differ(&internal),
        ([], set) => Some(count(set[0])),
        (external, _) if external.iter().any(|topic| count(topic) != count(external[0])) => {
            return differ(external);
        }
        (external, _) => Some(count(external[0])),
    };
    let Some(leading) = leading else { return Ok(()) };
    if let Some(topic) = set.iter().find(|topic| count(topic) != leading) {
        let detail = format!(
            "Number of partitions [{}] of repartition topic [{topic}] doesn't match number of partitions \
             [{leading}] of the source topic.",
            count(topic)
        );
        return Err(Unfit::Now(Status::incorrectly_partitioned(detail)));
    }
    counts.extend(internal.iter().map(|topic| ((*topic).to_owned(), leading)));
    Ok(())
}

/// Those that the topic has, or is to have.
fn partitions(topic: &str, counts: &Counts, layout: &dyn Layout) -> Option<i32> {
    layout.find(topic).map(|(_, count)| count).or_else(|| counts.get(topic).copied())
}

fn listed(names: &[&str]) -> String {
    let shown = names[..names.len().min(NAMES_COUNT_MAX)].join(", ");
    match names.len().checked_sub(NAMES_COUNT_MAX) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} additional topics"),
    }
}

#[cfg(test)]
mod tests;
