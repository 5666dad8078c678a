//! Topics and their ends, asked of the broker as any client would.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};

use crate::snapshot::Topic;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// More topics than a page can show; the rest is counted.
pub(crate) const TOPICS_COUNT_MAX: usize = 500;
/// Partitions whose ends are asked in one go.
const PARTITIONS_COUNT_MAX: usize = 5_000;

/// First and next offset of each partition of a topic.
pub(crate) type Ends = BTreeMap<(String, i32), (i64, i64)>;

pub(crate) fn consumer(
    bootstrap: &str,
    properties: &BTreeMap<String, String>,
) -> Result<BaseConsumer, String> {
    let mut config = ClientConfig::new();
    for (key, value) in properties {
        config.set(key, value);
    }
    config
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "tidemill-console")
        // Nothing is consumed; librdkafka wants a name before it asks for ends.
        .set("group.id", "tidemill-console")
        .set("enable.auto.commit", "false")
        .set("log_level", "2");
    config.create().map_err(|error| error.to_string())
}

/// Blocks for as long as the broker takes, four seconds at most.
pub(crate) fn topics(consumer: &BaseConsumer) -> Result<(Vec<Topic>, Ends), String> {
    let metadata = consumer.fetch_metadata(None, ANSWER_TIMEOUT).map_err(|error| error.to_string())?;
    let mut names: Vec<(String, i32)> = metadata
        .topics()
        .iter()
        .filter(|topic| topic.error().is_none())
        .map(|topic| (topic.name().to_owned(), topic.partitions().len() as i32))
        .collect();
    names.sort();
    names.truncate(TOPICS_COUNT_MAX);
    let ends = ends(consumer, &names)?;
    let topics = names.into_iter().map(|(name, partitions_count)| {
        let of_topic = (0..partitions_count).filter_map(|partition| ends.get(&(name.clone(), partition)));
        let records_count = of_topic.map(|(first, next)| (next - first).max(0)).sum();
        Topic { name, partitions_count, records_count }
    });
    Ok((topics.collect(), ends))
}

fn ends(consumer: &BaseConsumer, names: &[(String, i32)]) -> Result<Ends, String> {
    let all = names.iter().flat_map(|(name, count)| (0..*count).map(move |partition| (name, partition)));
    let all: Vec<(&String, i32)> = all.take(PARTITIONS_COUNT_MAX).collect();
    let ask = |offset: Offset| -> Result<BTreeMap<(String, i32), i64>, String> {
        let mut list = TopicPartitionList::with_capacity(all.len());
        for (name, partition) in &all {
            list.add_partition_offset(name, *partition, offset).map_err(|error| error.to_string())?;
        }
        // A time of -2 is the beginning, -1 the end: one ListOffsets request for all partitions of a broker.
        let found = consumer.offsets_for_times(list, ANSWER_TIMEOUT).map_err(|error| error.to_string())?;
        let found = found.elements().into_iter().filter_map(|element| match element.offset() {
            Offset::Offset(offset) => Some(((element.topic().to_owned(), element.partition()), offset)),
            _ => None,
        });
        Ok(found.collect())
    };
    if all.is_empty() {
        return Ok(Ends::new());
    }
    let first = ask(Offset::Beginning)?;
    let next = ask(Offset::End)?;
    Ok(next
        .into_iter()
        .map(|(key, next)| (key.clone(), (first.get(&key).copied().unwrap_or(0), next)))
        .collect())
}
