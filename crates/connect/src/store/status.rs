//! `connect-status`: `status-connector-NAME`, `status-task-NAME-N`, `status-topic-TOPIC:connector-NAME`.
//!
//! A worker that starts writes the states anew; only the topics that a connector has used are kept between its lives.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// The state of a connector or of one of its tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Unassigned,
    Running,
    Paused,
    Stopped,
    Failed,
    Restarting,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Unassigned => "UNASSIGNED",
            State::Running => "RUNNING",
            State::Paused => "PAUSED",
            State::Stopped => "STOPPED",
            State::Failed => "FAILED",
            State::Restarting => "RESTARTING",
        }
    }
}

/// The value of `status-connector-NAME` and `status-task-NAME-N`.
pub(crate) fn record(state: State, trace: Option<&str>, worker_id: &str, generation: i32) -> Value {
    json!({"state": state.name(), "trace": trace, "worker_id": worker_id, "generation": generation})
}

pub(crate) fn connector_key(connector: &str) -> String {
    format!("status-connector-{connector}")
}

pub(crate) fn task_key(connector: &str, task: usize) -> String {
    format!("status-task-{connector}-{task}")
}

pub(crate) fn topic_key(connector: &str, topic: &str) -> String {
    format!("status-topic-{topic}:connector-{connector}")
}

/// The value of `status-topic-TOPIC:connector-NAME`.
pub(crate) fn topic_record(connector: &str, topic: &str, task: usize, now_ms: i64) -> Value {
    json!({"topic": {"connector": connector, "discoverTimestamp": now_ms, "name": topic, "task": task}})
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Statuses {
    /// The topics that each connector has read from since it was created or since they were reset.
    pub topics: BTreeMap<String, BTreeSet<String>>,
    /// Tasks that have a state, by connector: those beyond what a new configuration has are taken back.
    pub tasks: BTreeMap<String, BTreeSet<usize>>,
}

impl Statuses {
    pub fn take(&mut self, key: &str, value: Option<Value>) {
        if let Some((topic, connector)) =
            key.strip_prefix("status-topic-").and_then(|rest| rest.split_once(":connector-"))
        {
            let topics = self.topics.entry(connector.to_owned()).or_default();
            if value.is_some() {
                topics.insert(topic.to_owned())
            } else {
                topics.remove(topic)
            };
        } else if let Some((connector, task)) =
            key.strip_prefix("status-task-").and_then(|rest| rest.rsplit_once('-'))
            && let Ok(task) = task.parse()
        {
            let tasks = self.tasks.entry(connector.to_owned()).or_default();
            if value.is_some() {
                tasks.insert(task)
            } else {
                tasks.remove(&task)
            };
        }
    }
}
