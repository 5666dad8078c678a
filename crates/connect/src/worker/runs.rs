//! Starting, holding and stopping the tasks of a connector. The caller holds the turn.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    config::{Checked, Config},
    store::{configs::Target, status::State},
};

use super::{Running, Status, Worker, settings, task};

/// How long a task may take to stop before it is cut off; Connect's `task.shutdown.graceful.timeout.ms`.
const STOP_MS_MAX: u64 = 5_000;

impl Worker {
    /// Makes what runs what is wanted: writes the task configurations, starts the tasks, sets the states.
    pub(super) async fn bring_up(self: &Arc<Self>, name: &str) {
        let Some((config, target)) =
            self.connectors.lock().get(name).map(|connector| (connector.config.clone(), connector.target))
        else {
            return;
        };
        if target == Target::Stopped {
            self.tell(self.commit_tasks(name, Vec::new()).await);
            return self.set_connector(name, Status::of(State::Stopped)).await;
        }
        let checked = match self.check(name, &config).and_then(refuse_errors) {
            Ok(checked) => checked,
            Err(error) => return self.fail_connector(name, &error).await,
        };
        if let Err(error) = self.commit_tasks(name, task_configs(&checked, &config)).await {
            return self.fail_connector(name, &error).await;
        }
        let paused = target == Target::Paused;
        let state = if paused { State::Paused } else { State::Running };
        self.set_connector(name, Status::of(state)).await;
        let tasks_count = self.connectors.lock().get(name).map_or(0, |connector| connector.tasks.len());
        let checked = Arc::new(checked);
        for number in 0..tasks_count {
            self.start_task(name, number, &checked, paused).await;
        }
    }

    async fn fail_connector(&self, name: &str, error: &Error) {
        tracing::error!(connector = name, %error, "the connector cannot start");
        let status = Status { state: State::Failed, trace: Some(base::problem::plain(error)) };
        self.set_connector(name, status).await;
    }

    async fn start_task(self: &Arc<Self>, name: &str, number: usize, checked: &Arc<Checked>, paused: bool) {
        let settings = match settings::Settings::read(name, number, checked, self, &self.clock) {
            Ok(settings) => settings,
            Err(error) => {
                let status = Status { state: State::Failed, trace: Some(base::problem::plain(&error)) };
                return self.set_task(name, number, status).await;
            }
        };
        let state = if paused { State::Paused } else { State::Running };
        self.set_task(name, number, Status::of(state)).await;
        let (paused, hold) = watch::channel(paused);
        let (ending, ended) = watch::channel(false);
        let stop = CancellationToken::new();
        let run = {
            let (worker, stop, name) = (self.clone(), stop.clone(), name.to_owned());
            async move {
                let result = task::run(&worker, settings, hold, stop.clone()).await;
                // A task that was asked to stop has no say any more: who asked sets the state.
                if let (Err(trace), false) = (result, stop.is_cancelled()) {
                    tracing::error!(connector = name, task = number, "task failed: {trace}");
                    worker.set_task(&name, number, Status { state: State::Failed, trace: Some(trace) }).await;
                }
                ending.send_replace(true);
            }
        };
        let abort = self.tracker.spawn(run).abort_handle();
        let running = Running { stop, paused, ended, abort };
        match self.connectors.lock().get_mut(name).and_then(|connector| connector.tasks.get_mut(number)) {
            Some(task) => task.running = Some(running),
            None => running.stop.cancel(),
        }
    }

    /// Stops all tasks of a connector and waits for them; their states are the caller's to set.
    pub(super) async fn halt(&self, name: &str) {
        let running: Vec<Running> = match self.connectors.lock().get_mut(name) {
            Some(connector) => connector.tasks.iter_mut().filter_map(|task| task.running.take()).collect(),
            None => return,
        };
        for task in &running {
            task.stop.cancel();
        }
        futures::future::join_all(running.into_iter().map(wait_ended)).await;
    }

    pub(super) async fn restart_in_turn(self: &Arc<Self>, name: &str, number: usize) {
        let (config, target, running) = {
            let mut connectors = self.connectors.lock();
            let Some(connector) = connectors.get_mut(name) else { return };
            let running = connector.tasks.get_mut(number).and_then(|task| task.running.take());
            (connector.config.clone(), connector.target, running)
        };
        self.set_task(name, number, Status::of(State::Restarting)).await;
        if let Some(running) = running {
            running.stop.cancel();
            wait_ended(running).await;
        }
        match self.check(name, &config).and_then(refuse_errors) {
            Ok(checked) => self.start_task(name, number, &Arc::new(checked), target == Target::Paused).await,
            Err(error) => {
                let status = Status { state: State::Failed, trace: Some(base::problem::plain(&error)) };
                self.set_task(name, number, status).await;
            }
        }
    }

    /// Pauses or resumes the tasks where they are: they stay in the group and keep their partitions.
    pub(super) async fn hold(&self, name: &str, paused: bool) {
        let state = if paused { State::Paused } else { State::Running };
        let mut changed = Vec::new();
        if let Some(connector) = self.connectors.lock().get(name) {
            for (number, task) in connector.tasks.iter().enumerate() {
                if let Some(running) = &task.running {
                    running.paused.send_replace(paused);
                }
                if task.state.state != State::Failed {
                    changed.push(number);
                }
            }
        }
        for number in changed {
            self.set_task(name, number, Status::of(state)).await;
        }
        self.set_connector(name, Status::of(state)).await;
    }
}

pub(super) fn refuse_errors(checked: Checked) -> Result<Checked, Error> {
    let errors: Vec<String> = checked.errors().map(|(_, error)| error.to_owned()).collect();
    if errors.is_empty() { Ok(checked) } else { Err(Error::Invalid { errors }) }
}

/// What Connect writes for each task of this connector: the connector's own configuration and the task's class.
fn task_configs(checked: &Checked, config: &Config) -> Vec<Config> {
    let tasks_count = usize::try_from(checked.number("tasks.max")).unwrap_or(1).max(1);
    let mut task = config.clone();
    task.insert("task.class".to_owned(), checked.plugin.task_class.to_owned());
    vec![task; tasks_count]
}

async fn wait_ended(mut running: Running) {
    let ended = running.ended.wait_for(|ended| *ended);
    if tokio::time::timeout(Duration::from_millis(STOP_MS_MAX), ended).await.is_err() {
        tracing::warn!(
            "a task did not stop within {STOP_MS_MAX} ms and was cut off; nothing committed is lost"
        );
        running.abort.abort();
    }
}
