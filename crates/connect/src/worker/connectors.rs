//! Creating, changing, deleting, pausing and restarting connectors. Each change is in Kafka before it is answered.

use std::sync::Arc;

use crate::{
    Error,
    config::{self, Checked, Config},
    store::{
        configs::{self, Target},
        status::{self, State},
    },
};

use super::{Connector, Status, Task, Worker};

/// Whether a PUT made the connector or changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Created {
    New,
    Changed,
}

impl Worker {
    /// A configuration as it will be used: placeholders resolved, what the worker has for all filled in.
    pub(super) fn effective(&self, name: &str, config: &Config) -> Result<Config, Error> {
        let failed = |(key, reason)| Error::Placeholder { name: name.to_owned(), key, reason };
        let mut config = config::resolve(config).map_err(failed)?;
        for side in ["key.converter", "value.converter"] {
            if !config.contains_key(side) {
                let inherited = self.options.converters.iter().filter(|(key, _)| key.starts_with(side));
                config.extend(inherited.map(|(key, value)| (key.clone(), value.clone())));
            }
            let asks = config.get(side).is_some_and(|class| class.starts_with("io.confluent.connect."));
            if let (true, Some(registry)) = (asks, &self.options.registry) {
                config.entry(format!("{side}.schema.registry.url")).or_insert_with(|| registry.clone());
            }
        }
        Ok(config)
    }

    /// Checks a configuration as Connect does before it takes it.
    pub(crate) fn check(&self, name: &str, config: &Config) -> Result<Checked, Error> {
        let class = config.get("connector.class").map(|class| class.trim()).filter(|class| !class.is_empty());
        let Some(class) = class else {
            return Err(Error::Request {
                reason: format!("Connector config {} contains no connector type", shown(config)),
            });
        };
        let plugin = config::plugin(class).ok_or_else(|| unknown_plugin(class))?;
        Ok(config::validate(plugin, &self.effective(name, config)?))
    }

    fn check_strictly(&self, name: &str, config: &Config) -> Result<Checked, Error> {
        let checked = self.check(name, config)?;
        let checked = super::runs::refuse_errors(checked)?;
        super::settings::check(&checked)?;
        Ok(checked)
    }

    /// `POST /connectors`.
    pub async fn create(
        self: &Arc<Self>,
        name: &str,
        mut config: Config,
        target: Option<Target>,
    ) -> Result<(), Error> {
        config.insert("name".to_owned(), name.to_owned());
        self.check_strictly(name, &config)?;
        let _turn = self.turn.lock().await;
        if self.connectors.lock().contains_key(name) {
            return Err(Error::Exists { name: name.to_owned() });
        }
        self.write_new(name, config, target).await
    }

    /// `PUT /connectors/NAME/config`.
    pub async fn put_config(self: &Arc<Self>, name: &str, mut config: Config) -> Result<Created, Error> {
        config.insert("name".to_owned(), name.to_owned());
        self.check_strictly(name, &config)?;
        let _turn = self.turn.lock().await;
        if !self.connectors.lock().contains_key(name) {
            self.write_new(name, config, None).await?;
            return Ok(Created::New);
        }
        self.journal.put_config(&format!("connector-{name}"), Some(configs::record(&config))).await?;
        self.halt(name).await;
        if let Some(connector) = self.connectors.lock().get_mut(name) {
            connector.config = config;
        }
        self.bring_up(name).await;
        Ok(Created::Changed)
    }

    /// `PATCH /connectors/NAME/config` (KIP-477): null takes a key away.
    pub async fn patch_config(
        self: &Arc<Self>,
        name: &str,
        patch: impl IntoIterator<Item = (String, Option<String>)>,
    ) -> Result<(), Error> {
        let mut config = self.config(name)?;
        for (key, value) in patch {
            match value {
                Some(value) => config.insert(key, value),
                None => config.shift_remove(&key),
            };
        }
        self.put_config(name, config).await.map(|_| ())
    }

    async fn write_new(
        self: &Arc<Self>,
        name: &str,
        config: Config,
        target: Option<Target>,
    ) -> Result<(), Error> {
        // As Connect does: the state comes first, or a worker that reads along would start it for a moment.
        if let Some(target) = target {
            self.journal.put_config(&format!("target-state-{name}"), Some(target.record())).await?;
        }
        self.journal.put_config(&format!("connector-{name}"), Some(configs::record(&config))).await?;
        let connector = Connector { config, target: target.unwrap_or_default(), ..Connector::default() };
        self.connectors.lock().insert(name.to_owned(), connector);
        self.bring_up(name).await;
        Ok(())
    }

    /// `DELETE /connectors/NAME`. The consumer group's offsets stay, as they do in Connect.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        if !self.connectors.lock().contains_key(name) {
            return Err(Error::connector_not_found(name));
        }
        self.journal.put_config(&format!("connector-{name}"), None).await?;
        self.journal.put_config(&format!("target-state-{name}"), None).await?;
        self.halt(name).await;
        let Some(connector) = self.connectors.lock().remove(name) else { return Ok(()) };
        self.tell(self.journal.put_status(&status::connector_key(name), None).await);
        for task in 0..connector.tasks.len() {
            self.tell(self.journal.put_status(&status::task_key(name, task), None).await);
        }
        for topic in &connector.topics {
            self.tell(self.journal.put_status(&status::topic_key(name, topic), None).await);
        }
        Ok(())
    }

    /// `PUT /connectors/NAME/pause|resume|stop`.
    pub async fn set_target(self: &Arc<Self>, name: &str, target: Target) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        let before = match self.connectors.lock().get(name) {
            Some(connector) => connector.target,
            None => return Err(Error::connector_not_found(name)),
        };
        self.journal.put_config(&format!("target-state-{name}"), Some(target.record())).await?;
        if let Some(connector) = self.connectors.lock().get_mut(name) {
            connector.target = target;
        }
        match target {
            Target::Stopped => {
                self.halt(name).await;
                self.commit_tasks(name, Vec::new()).await?;
                self.set_connector(name, Status::of(State::Stopped)).await;
            }
            Target::Paused | Target::Started if before == Target::Stopped => self.bring_up(name).await,
            Target::Paused | Target::Started => self.hold(name, target == Target::Paused).await,
        }
        Ok(())
    }

    /// `POST /connectors/NAME/restart`.
    pub async fn restart(
        self: &Arc<Self>,
        name: &str,
        include_tasks: bool,
        only_failed: bool,
    ) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        let (connector_failed, states) = match self.connectors.lock().get(name) {
            Some(connector) => {
                let states: Vec<State> = connector.tasks.iter().map(|task| task.state.state).collect();
                (connector.state.state == State::Failed, states)
            }
            None => return Err(Error::NotFound { what: format!("Unknown connector: {name}") }),
        };
        if connector_failed {
            self.bring_up(name).await;
            return Ok(());
        }
        if !include_tasks {
            return Ok(());
        }
        let chosen = states.iter().enumerate().filter(|(_, state)| !only_failed || **state == State::Failed);
        for (task, _) in chosen {
            self.restart_in_turn(name, task).await;
        }
        Ok(())
    }

    /// `POST /connectors/NAME/tasks/N/restart`.
    pub async fn restart_task(self: &Arc<Self>, name: &str, task: usize) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        let known = self.connectors.lock().get(name).map(|connector| connector.tasks.len());
        match known {
            None => Err(Error::NotFound { what: format!("Unknown connector: {name}") }),
            Some(tasks_count) if task >= tasks_count => {
                Err(Error::NotFound { what: format!("Unknown task: {name}-{task}") })
            }
            Some(_) => {
                self.restart_in_turn(name, task).await;
                Ok(())
            }
        }
    }

    /// Writes the tasks of a connector as Connect does: each, then the commit that makes them count.
    pub(super) async fn commit_tasks(&self, name: &str, tasks: Vec<Config>) -> Result<(), Error> {
        let before = match self.connectors.lock().get(name) {
            Some(connector) => connector.tasks.iter().map(|task| task.config.clone()).collect(),
            None => Vec::new(),
        };
        if before != tasks {
            for (number, config) in tasks.iter().enumerate() {
                let key = format!("task-{name}-{number}");
                self.journal.put_config(&key, Some(configs::record(config))).await?;
            }
            let commit = serde_json::json!({"tasks": tasks.len()});
            self.journal.put_config(&format!("commit-{name}"), Some(commit)).await?;
        }
        for task in tasks.len()..before.len() {
            self.tell(self.journal.put_status(&status::task_key(name, task), None).await);
        }
        if let Some(connector) = self.connectors.lock().get_mut(name) {
            let task = |config| Task { config, state: Status::default(), running: None };
            connector.tasks = tasks.into_iter().map(task).collect();
        }
        Ok(())
    }
}

pub(crate) fn unknown_plugin(class: &str) -> Error {
    let available: Vec<&str> = config::PLUGINS.iter().map(|plugin| plugin.class).collect();
    Error::UnknownPlugin { class: class.to_owned(), available: available.join(", ") }
}

/// A configuration in a message, without what must not be printed.
fn shown(config: &Config) -> String {
    let hide = |key: &str| config::is_secret_key(key);
    let shown =
        config.iter().map(|(key, value)| format!("{key}={}", if hide(key) { "[hidden]" } else { value }));
    format!("{{{}}}", shown.collect::<Vec<_>>().join(", "))
}
