//! The same bytes to Apache Kafka and to us: what is announced, batches that are packed wrongly, offsets by the ids of topics, what
//! can be configured and moved, members of streams groups. What is answered otherwise is listed here with the reason.

use std::collections::BTreeMap;

use testkit::run_python;

use crate::shared::{name, shared};

const COMMON: &str = include_str!("consumer_groups/common.py");
const BYTES: &str = include_str!("consumer_groups/bytes.py");

/// `what: answer` of both.
fn answers(script: &str) -> Option<[BTreeMap<String, String>; 2]> {
    let (python, kafka) = (testkit::python()?, testkit::kafka()?);
    let (_, parts) = shared();
    let script = format!("{COMMON}\n{BYTES}\n{script}");
    Some([&parts.kafka(), &kafka.bootstrap].map(|address| {
        let said = run_python(&python, &script, &[address, &name("answers")]);
        let line =
            |line: &str| line.split_once(": ").map(|(what, answer)| (what.to_owned(), answer.to_owned()));
        said.lines().map(|text| line(text).unwrap_or_else(|| panic!("{said}"))).collect()
    }))
}

/// What differs, as `what: ours, theirs`.
fn differences([ours, theirs]: &[BTreeMap<String, String>; 2]) -> String {
    let none = "-".to_owned();
    let mut all: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
    all.sort();
    all.dedup();
    let pair = |what| (what, ours.get(what).unwrap_or(&none), theirs.get(what).unwrap_or(&none));
    let different = all.into_iter().map(pair).filter(|(_, ours, theirs)| ours != theirs);
    different.map(|(what, ours, theirs)| format!("{what}: {ours}, {theirs}\n")).collect()
}

/// What only a cluster of several nodes can do is not there. Telemetry
/// (KIP-714) is announced by neither: a Kafka without a receiver for it does not.
#[test]
fn what_is_announced_is_what_kafka_announces() {
    let Some(both) = answers(include_str!("kafka_answers/announced.py")) else { return };
    assert!(both[0].len() > 45, "{:?}", both[0]);
    insta::assert_snapshot!(differences(&both));
}

#[test]
fn batches_that_are_packed_wrongly_get_kafkas_answers() {
    let Some(both) = answers(include_str!("kafka_answers/batches.py")) else { return };
    assert!(both[0].len() > 25, "{:?}", both[0]);
    insta::assert_snapshot!(differences(&both));
}

#[test]
fn offsets_by_the_ids_of_topics_are_kafkas() {
    let Some(both) = answers(include_str!("kafka_answers/ids.py")) else { return };
    assert_eq!(differences(&both), "");
    assert!(both[0].len() > 8, "{:?}", both[0]);
}

#[test]
fn resources_folders_and_named_times_are_kafkas() {
    let Some(both) = answers(include_str!("kafka_answers/resources.py")) else { return };
    assert_eq!(differences(&both), "");
    assert!(both[0].len() > 14, "{:?}", both[0]);
}

/// Kafka keeps `min.insync.replicas` for the whole cluster as well, and its default of `retention.ms` is one of hours.
#[test]
fn topics_are_set_as_kafkas_and_batches_packed_as_they_say() {
    let Some(both) = answers(include_str!("kafka_answers/settings.py")) else { return };
    assert!(both[0].len() > 75, "{:?}", both[0]);
    assert!(!both[0].values().any(|answer| answer.contains("False")), "{:?}", both[0]);
    insta::assert_snapshot!(differences(&both));
}

#[test]
fn members_of_streams_groups_are_told_what_kafka_tells() {
    let Some(both) = answers(include_str!("kafka_answers/streams.py")) else { return };
    assert_eq!(differences(&both), "");
    assert!(both[0].len() > 30, "{:?}", both[0]);
}
