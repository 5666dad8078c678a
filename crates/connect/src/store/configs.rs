//! `connect-configs`: `connector-NAME`, `task-NAME-N`, `commit-NAME`, `target-state-NAME`.
//!
//! Tasks count only from the `commit-NAME` that follows them. Keys of other kinds (`session-key`, `tasks-fencing-…`,
//! `restart-connector-…`, `logger-cluster-…`) are requests among real workers and say nothing about a configuration.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::config::Config;

/// What people want of a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Target {
    #[default]
    Started,
    Paused,
    Stopped,
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Configs {
    pub connectors: BTreeMap<String, Config>,
    pub targets: BTreeMap<String, Target>,
    /// By connector and number, as last committed.
    pub tasks: BTreeMap<String, Vec<Config>>,
    uncommitted: BTreeMap<String, BTreeMap<usize, Config>>,
}

impl Target {
    pub fn name(self) -> &'static str {
        match self {
            Target::Started => "STARTED",
            Target::Paused => "PAUSED",
            Target::Stopped => "STOPPED",
        }
    }

    /// The value of `target-state-NAME`: workers before 3.5 read only `state`, and know no STOPPED.
    pub fn record(self) -> Value {
        let state = if self == Target::Stopped { Target::Paused } else { self };
        json!({"state": state.name(), "state.v2": self.name()})
    }

    fn parse(value: &Value) -> Option<Self> {
        let text = value.get("state.v2").filter(|text| text.is_string()).or_else(|| value.get("state"))?;
        [Target::Started, Target::Paused, Target::Stopped].into_iter().find(|target| text == target.name())
    }
}

/// The value of `connector-NAME` and `task-NAME-N`.
pub(crate) fn record(config: &Config) -> Value {
    json!({"properties": config})
}

fn parse(value: &Value) -> Option<Config> {
    let properties = value.get("properties")?.as_object()?;
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Some(
        properties
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), text(value)))
            .collect(),
    )
}

impl Configs {
    /// Takes in one record, in the order of the topic.
    pub fn take(&mut self, key: &str, value: Option<Value>) {
        if let Some(name) = key.strip_prefix("target-state-") {
            match value.as_ref().and_then(Target::parse) {
                Some(target) => self.targets.insert(name.to_owned(), target),
                None => self.targets.remove(name),
            };
        } else if let Some(name) = key.strip_prefix("connector-") {
            match value.as_ref().and_then(parse) {
                Some(config) => {
                    self.connectors.insert(name.to_owned(), config);
                }
                None => {
                    self.connectors.remove(name);
                    self.tasks.remove(name);
                    self.uncommitted.remove(name);
                }
            }
        } else if let Some(name) = key.strip_prefix("commit-") {
            self.commit(name, value.as_ref());
        } else if let Some((name, number)) = key.strip_prefix("task-").and_then(|rest| rest.rsplit_once('-'))
            && let (Ok(number), Some(config)) = (number.parse(), value.as_ref().and_then(parse))
        {
            self.uncommitted.entry(name.to_owned()).or_default().insert(number, config);
        }
    }

    fn commit(&mut self, name: &str, value: Option<&Value>) {
        let Some(tasks_count) = value.and_then(|value| value.get("tasks")).and_then(Value::as_u64) else {
            return;
        };
        let new = self.uncommitted.remove(name).unwrap_or_default();
        let old = self.tasks.remove(name).unwrap_or_default();
        let tasks_count = usize::try_from(tasks_count).unwrap_or(usize::MAX).min(new.len().max(old.len()));
        let tasks =
            (0..tasks_count).filter_map(|number| new.get(&number).or_else(|| old.get(number)).cloned());
        self.tasks.insert(name.to_owned(), tasks.collect());
    }
}
