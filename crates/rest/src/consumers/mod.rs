//! Consumer instances of v2: made, found, left alone for too long, deleted. What one does is in `instance`, how records come
//! out of it in `read`.

mod config;
mod instance;
mod read;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{Error, Options};
pub(crate) use config::Config;
pub(crate) use instance::{Committed, Instance, Place, To};

/// How long leaving the groups may take when the proxy stops.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The shortest and the longest that goes by between two looks at what was left alone.
const LOOK_INTERVALS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// A group, and a name within it.
type Id = (String, String);

pub(crate) struct Consumers {
    options: Options,
    /// None while one is being made.
    instances: Mutex<HashMap<Id, Option<Arc<Instance>>>>,
    /// The first one has come.
    came: Notify,
    closing: CancellationToken,
}

impl Consumers {
    pub fn new(options: &Options) -> Self {
        Self {
            options: options.clone(),
            instances: Mutex::default(),
            came: Notify::new(),
            closing: CancellationToken::new(),
        }
    }

    /// Makes an instance and gives its name.
    pub async fn create(&self, group: &str, mut config: Config) -> Result<String, Error> {
        let name = config.name.clone().unwrap_or_else(|| format!("rest-consumer-{}", uuid::Uuid::new_v4()));
        config.name = Some(name.clone());
        let id = (group.to_owned(), name.clone());
        {
            let mut instances = self.instances.lock();
            if instances.contains_key(&id) {
                return Err(Error::InstanceExists);
            }
            let count_max = self.options.consumer_instances_max;
            if instances.len() >= count_max {
                return Err(Error::TooManyInstances { count_max });
            }
            instances.insert(id.clone(), None);
        }
        let (options, of_group, closing) = (self.options.clone(), group.to_owned(), self.closing.clone());
        // librdkafka starts threads: not on this one.
        let made = tokio::task::spawn_blocking(move || Instance::new(&options, &of_group, config, &closing));
        let made = made
            .await
            .unwrap_or_else(|error| Err(Error::Client { reason: error.to_string(), retriable: false }));
        let mut instances = self.instances.lock();
        match made {
            Ok(instance) => {
                instances.insert(id, Some(Arc::new(instance)));
                self.came.notify_one();
                Ok(name)
            }
            Err(error) => {
                instances.remove(&id);
                Err(error)
            }
        }
    }

    pub fn get(&self, group: &str, name: &str) -> Result<Arc<Instance>, Error> {
        let instances = self.instances.lock();
        let found = instances.get(&(group.to_owned(), name.to_owned())).and_then(Option::clone);
        found.inspect(|instance| instance.touch()).ok_or(Error::InstanceNotFound)
    }

    pub async fn delete(&self, group: &str, name: &str) -> Result<(), Error> {
        let found = {
            let mut instances = self.instances.lock();
            let id = (group.to_owned(), name.to_owned());
            match instances.get(&id) {
                Some(Some(_)) => instances.remove(&id).flatten(),
                // It is only just being made.
                Some(None) | None => None,
            }
        };
        let instance = found.ok_or(Error::InstanceNotFound)?;
        // Its group is left before the answer, so that the next member finds its partitions free.
        instance.close(CLOSE_TIMEOUT).await;
        Ok(())
    }

    /// Closes what is left alone for too long, until asked to stop. While there is no instance it sleeps.
    pub async fn expire(&self, stop: CancellationToken) {
        let patience = Duration::from_millis(self.options.consumer_instance_timeout_ms);
        loop {
            if self.instances.lock().is_empty() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.came.notified() => {}
                }
            }
            let interval = (patience / 4).clamp(LOOK_INTERVALS.0, LOOK_INTERVALS.1);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
            for ((group, name), instance) in self.left_alone(patience) {
                tracing::info!(group, name, "a consumer instance was left alone and is closed");
                instance.close(CLOSE_TIMEOUT).await;
            }
        }
    }

    fn left_alone(&self, patience: Duration) -> Vec<(Id, Arc<Instance>)> {
        let now = Instant::now();
        let mut instances = self.instances.lock();
        let is_left = |instance: &Arc<Instance>| !instance.is_busy() && now >= instance.touched() + patience;
        let left: Vec<Id> = instances
            .iter()
            .filter(|(_, instance)| instance.as_ref().is_some_and(is_left))
            .map(|(id, _)| id.clone())
            .collect();
        let taken = left.into_iter().filter_map(|id| {
            let instance = instances.remove(&id).flatten()?;
            Some((id, instance))
        });
        taken.collect()
    }

    /// Ends what is being read and leaves all groups.
    pub async fn close(&self) {
        self.closing.cancel();
        let all: Vec<Arc<Instance>> = self.instances.lock().drain().filter_map(|(_, one)| one).collect();
        let mut closed = tokio::task::JoinSet::new();
        for instance in all {
            closed.spawn(async move { instance.close(CLOSE_TIMEOUT).await });
        }
        closed.join_all().await;
    }
}
