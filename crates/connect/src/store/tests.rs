//! Tests of store: the records of the internal topics, as a real worker writes them.

use serde_json::{Value, json};

use super::{configs::*, status::*};

fn configs(records: &[(&str, Value)]) -> Configs {
    let mut configs = Configs::default();
    for (key, value) in records {
        configs.take(key, Some(value.clone()).filter(|value| !value.is_null()));
    }
    configs
}

#[test]
fn configurations_are_read_as_a_real_worker_writes_them() {
    let read = configs(&[
        ("session-key", json!({"key": "c2VjcmV0", "algorithm": "HmacSHA256", "creation-timestamp": 1})),
        ("target-state-a-b", json!({"state": "PAUSED", "state.v2": "STOPPED"})),
        ("connector-a-b", json!({"properties": {"name": "a-b", "tasks.max": "2", "gone": null}})),
        ("task-a-b-0", json!({"properties": {"task.class": "T"}})),
        ("task-a-b-1", json!({"properties": {"task.class": "T"}})),
        ("commit-a-b", json!({"tasks": 2})),
        ("connector-old", json!({"properties": {"name": "old"}})),
        ("target-state-old", json!({"state": "PAUSED"})),
        ("connector-old", Value::Null),
        ("target-state-old", Value::Null),
        ("task-half-0", json!({"properties": {}})),
        ("connector-half", json!({"properties": {"name": "half"}})),
    ]);
    assert_eq!(read.connectors.keys().collect::<Vec<_>>(), ["a-b", "half"]);
    assert_eq!(read.connectors["a-b"].keys().collect::<Vec<_>>(), ["name", "tasks.max"]);
    assert_eq!(read.targets, [("a-b".to_owned(), Target::Stopped)].into());
    assert_eq!(read.tasks["a-b"].len(), 2);
    assert!(!read.tasks.contains_key("half"), "tasks without a commit do not count");
}

#[test]
fn fewer_tasks_need_only_a_commit() {
    let read = configs(&[
        ("task-x-0", json!({"properties": {"n": "0"}})),
        ("task-x-1", json!({"properties": {"n": "1"}})),
        ("commit-x", json!({"tasks": 2})),
        ("commit-x", json!({"tasks": 0})),
    ]);
    assert_eq!(read.tasks["x"].len(), 0);
}

#[test]
fn records_have_the_shapes_of_a_real_worker() {
    let config = [("name".to_owned(), "x".to_owned())].into_iter().collect();
    assert_eq!(record_text(configs::record(&config)), r#"{"properties":{"name":"x"}}"#);
    assert_eq!(record_text(Target::Stopped.record()), r#"{"state":"PAUSED","state.v2":"STOPPED"}"#);
    assert_eq!(record_text(Target::Started.record()), r#"{"state":"STARTED","state.v2":"STARTED"}"#);
    let status = status::record(State::Running, None, "127.0.0.1:8083", 1);
    assert_eq!(
        record_text(status),
        r#"{"state":"RUNNING","trace":null,"worker_id":"127.0.0.1:8083","generation":1}"#
    );
    let topic = topic_record("x", "flights", 0, 7);
    let expected = r#"{"topic":{"connector":"x","discoverTimestamp":7,"name":"flights","task":0}}"#;
    assert_eq!(record_text(topic), expected);
}

fn record_text(value: Value) -> String {
    value.to_string()
}

use super::{configs, status};

#[test]
fn topics_in_use_survive_and_can_be_reset() {
    let mut statuses = Statuses::default();
    statuses.take(&topic_key("x", "flights"), Some(topic_record("x", "flights", 0, 7)));
    statuses.take(&topic_key("x", "planes"), Some(topic_record("x", "planes", 0, 7)));
    statuses.take(&topic_key("x", "planes"), None);
    statuses.take(&task_key("x", 1), Some(json!({})));
    assert_eq!(statuses.topics["x"].iter().collect::<Vec<_>>(), ["flights"]);
    assert!(statuses.tasks["x"].contains(&1));
}
