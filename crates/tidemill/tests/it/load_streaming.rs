//! `tidemill load` as a stream and into topics: every option of a topic as kcat and confluent-kafka see it, on our broker and on
//! Apache Kafka; pace, watching, going on after kill -9, dead letters, events.

mod going_on;
pub(crate) mod letters;
mod letters_of_stores;
mod letters_of_topics;
mod pace;
mod serializers;
mod topics;

use std::process::Command;

use serde_json::Value;
use testkit::Parts;

use crate::shared::beside;

/// Records as kcat prints them, in the order of partitions and offsets: `%p` partition, `%k` key, `%h` headers, `%T` time, `%S`
/// size of the value, -1 where there is none, `%s` the value.
fn kcat(bootstrap: &str, topic: &str, format: &str, isolation: &str) -> Option<Vec<String>> {
    let kcat = testkit::kcat()?;
    let mut read = Command::new(kcat);
    read.args([
        "-b",
        bootstrap,
        "-C",
        "-t",
        topic,
        "-o",
        "beginning",
        "-e",
        "-q",
        "-f",
        &format!("{format}\n"),
    ]);
    read.args(["-X", &format!("isolation.level={isolation}")]);
    Some(testkit::ran(&mut read, 60).expect_success().lines().map(str::to_owned).collect())
}

/// Brokers to load into: ours, and Apache Kafka where it is there.
fn brokers(parts: &Parts) -> Vec<String> {
    let mut all = vec![parts.kafka()];
    all.extend(testkit::kafka().map(|kafka| kafka.bootstrap.clone()));
    all
}

/// The events that a load told with `--output json`.
fn events(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).expect("an event a line")).collect()
}

/// The last event.
fn finished(stdout: &str) -> Value {
    events(stdout).pop().expect("an event")
}

/// Numbered records of JSON Lines.
fn numbers(count: usize) -> String {
    (0..count).map(|number| format!("{{\"n\":{number},\"text\":\"number {number}\"}}\n")).collect()
}
