//! Waiting until a sink connector has delivered what is in its topics: the lag of its consumer group, from Kafka itself.

use std::{
    collections::BTreeMap,
    io::IsTerminal,
    time::{Duration, Instant},
};

use base::units::count_text;
use connect::{Error, Reason};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{files::Connector, worker::Worker};
use crate::context::{Context, Failure};

const ANSWER: Duration = Duration::from_secs(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Records that do not fill a file stay open until more come; after so long without progress, that is what it is.
const STILL_MS_MAX: u64 = 3_000;

/// What is left of each partition.
type Lags = BTreeMap<(String, i32), u64>;

pub(super) async fn wait(worker: &Worker, context: &Context, connector: &Connector) -> Result<(), Failure> {
    let kafka = context.kafka(None)?;
    let failed = |error: KafkaError| -> Failure {
        let source = Reason(format!("the lag cannot be read from Kafka at {kafka}: {error}"));
        Box::new(Error::ConnectorFailed { name: connector.name.clone(), source })
    };
    let topics = connector.config.get("topics").map(String::as_str).unwrap_or_default();
    let topics: Vec<String> = topics.split(',').map(|topic| topic.trim().to_owned()).collect();
    let topics: Vec<String> = topics.into_iter().filter(|topic| !topic.is_empty()).collect();
    let group = connector.config.get("consumer.override.group.id").cloned();
    let group = group.unwrap_or_else(|| format!("connect-{}", connector.name));
    let mut config = context.kafka_client(None)?;
    config.set("group.id", group).set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().map_err(failed)?;
    let consumer = std::sync::Arc::new(consumer);
    let bar = progress_bar(&connector.name);
    let mut last: (u64, Instant) = (u64::MAX, Instant::now());
    let mut most = 0;
    loop {
        let (reader, asked, name) =
            (consumer.clone(), topics.clone(), connector.config.get("topics.regex").cloned());
        let looked = tokio::task::spawn_blocking(move || lags(&reader, &asked, name.as_deref())).await;
        let lags = looked.expect("looking at offsets does not panic").map_err(failed)?;
        let left: u64 = lags.values().sum();
        most = most.max(left);
        bar.set_length(most);
        bar.set_position(most - left);
        if left == 0 {
            bar.finish_and_clear();
            println!("{}: lag 0", connector.name);
            return Ok(());
        }
        let status = worker.get(&["connectors", &connector.name, "status"], "").await?;
        worker.refuse_failed(&connector.name, &status)?;
        if left != last.0 {
            last = (left, Instant::now());
        } else if last.1.elapsed() > Duration::from_millis(STILL_MS_MAX) && stays_open(connector, &lags) {
            bar.finish_and_clear();
            let size = connector.config.get("flush.size").map(String::as_str).unwrap_or_default();
            let left = count_text(left);
            println!(
                "{}: {left} records wait in open files until flush.size={size} is reached",
                connector.name
            );
            return Ok(());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn progress_bar(name: &str) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template("{msg} {bar:30} {human_pos}/{human_len} {per_sec} {eta}");
    let style = style.expect("a constant template");
    ProgressBar::with_draw_target(Some(0), target).with_style(style).with_message(name.to_owned())
}

/// Whether what is left of every partition is less than a file, and no clock will commit it.
fn stays_open(connector: &Connector, lags: &Lags) -> bool {
    let number = |key: &str| connector.config.get(key).and_then(|text| text.trim().parse::<i64>().ok());
    let is_scheduled = number("rotate.schedule.interval.ms").is_some_and(|interval_ms| interval_ms > 0);
    let flush_size = number("flush.size").and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
    !is_scheduled && lags.values().all(|left| *left < flush_size)
}

fn lags(consumer: &BaseConsumer, topics: &[String], regex: Option<&str>) -> Result<Lags, KafkaError> {
    let mut asked = TopicPartitionList::new();
    let metadata = patiently(|| consumer.fetch_metadata(None, ANSWER))?;
    for topic in metadata.topics().iter().filter(|topic| takes(topic.name(), topics, regex)) {
        for partition in topic.partitions() {
            asked.add_partition(topic.name(), partition.id());
        }
    }
    if asked.count() == 0 {
        return Ok(Lags::new());
    }
    let mut lags = Lags::new();
    for element in patiently(|| consumer.committed_offsets(asked.clone(), ANSWER))?.elements() {
        let (low, high) =
            patiently(|| consumer.fetch_watermarks(element.topic(), element.partition(), ANSWER))?;
        let done = match element.offset() {
            Offset::Offset(offset) => offset.max(low),
            _ => low,
        };
        let left = u64::try_from(high - done).unwrap_or(0);
        lags.insert((element.topic().to_owned(), element.partition()), left);
    }
    Ok(lags)
}

/// librdkafka drops its bootstrap connection once it knows the brokers, and what was asked on it fails: asks again.
fn patiently<T>(mut ask: impl FnMut() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    const TRIES_COUNT_MAX: u32 = 20;
    for _ in 1..TRIES_COUNT_MAX {
        match ask() {
            Err(error)
                if matches!(
                    error.rdkafka_error_code(),
                    Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::DestroyBroker)
                ) =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            answer => return answer,
        }
    }
    ask()
}

fn takes(topic: &str, topics: &[String], regex: Option<&str>) -> bool {
    if !topics.is_empty() {
        return topics.iter().any(|own| own == topic);
    }
    regex.is_some_and(|pattern| connect::topic_matches(pattern, topic))
}
