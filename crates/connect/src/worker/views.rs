//! What GET requests show, in the shapes of Connect's `ConnectorInfo`, `ConnectorStateInfo` and `TaskInfo`.

use serde_json::{Map, Value, json};

use crate::{Error, config::Config, store::status};

use super::{Connector, Status, Worker};

impl Worker {
    pub fn names(&self) -> Vec<String> {
        self.connectors.lock().keys().cloned().collect()
    }

    pub fn config(&self, name: &str) -> Result<Config, Error> {
        self.with(name, |connector| connector.config.clone())
    }

    pub fn info(&self, name: &str) -> Result<Value, Error> {
        self.with(name, |connector| {
            let tasks = (0..connector.tasks.len()).map(|task| json!({"connector": name, "task": task}));
            json!({
                "name": name,
                "config": connector.config,
                "tasks": tasks.collect::<Vec<_>>(),
                "type": "sink",
            })
        })
    }

    pub fn status(&self, name: &str) -> Result<Value, Error> {
        let what = format!("No status found for connector {name}");
        let connectors = self.connectors.lock();
        let connector = connectors.get(name).ok_or(Error::NotFound { what })?;
        let tasks =
            connector.tasks.iter().enumerate().map(|(number, task)| self.state(Some(number), &task.state));
        Ok(json!({
            "name": name,
            "connector": self.state(None, &connector.state),
            "tasks": tasks.collect::<Vec<_>>(),
            "type": "sink",
        }))
    }

    pub fn task_status(&self, name: &str, task: usize) -> Result<Value, Error> {
        let what = format!("No status found for task {name}-{task}");
        let connectors = self.connectors.lock();
        let found = connectors.get(name).and_then(|connector| connector.tasks.get(task));
        Ok(self.state(Some(task), &found.ok_or(Error::NotFound { what })?.state))
    }

    fn state(&self, number: Option<usize>, status: &Status) -> Value {
        let mut shown = Map::new();
        if let Some(number) = number {
            shown.insert("id".to_owned(), json!(number));
        }
        shown.insert("state".to_owned(), json!(status.state.name()));
        shown.insert("worker_id".to_owned(), json!(self.id));
        if let Some(trace) = &status.trace {
            shown.insert("trace".to_owned(), json!(trace));
        }
        Value::Object(shown)
    }

    pub fn tasks(&self, name: &str) -> Result<Value, Error> {
        self.with(name, |connector| {
            let tasks = connector.tasks.iter().enumerate();
            let shown = tasks.map(
                |(number, task)| json!({"id": {"connector": name, "task": number}, "config": task.config}),
            );
            shown.collect()
        })
    }

    pub fn tasks_config(&self, name: &str) -> Result<Value, Error> {
        self.with(name, |connector| {
            let tasks = connector.tasks.iter().enumerate();
            Value::Object(
                tasks.map(|(number, task)| (format!("{name}-{number}"), json!(task.config))).collect(),
            )
        })
    }

    pub fn topics(&self, name: &str) -> Result<Value, Error> {
        self.with(name, |connector| json!({name: {"topics": connector.topics}}))
    }

    pub async fn reset_topics(&self, name: &str) -> Result<(), Error> {
        let topics = match self.connectors.lock().get_mut(name) {
            Some(connector) => std::mem::take(&mut connector.topics),
            None => return Err(Error::connector_not_found(name)),
        };
        for topic in topics {
            self.journal.put_status(&status::topic_key(name, &topic), None).await?;
        }
        Ok(())
    }

    fn with<T>(&self, name: &str, show: impl FnOnce(&Connector) -> T) -> Result<T, Error> {
        self.connectors.lock().get(name).map(show).ok_or_else(|| Error::connector_not_found(name))
    }
}
