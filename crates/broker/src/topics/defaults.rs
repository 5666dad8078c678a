//! What holds for topics without a setting of their own: what was set for the broker or its cluster while it ran (KIP-226), or else
//! what it was started with. The former is kept in `broker.json`.
//!
//! A cluster of one broker has both layers all the same, and tools ask for both: the broker's own is stronger.

use std::{collections::BTreeMap, sync::Arc};

use kafka_protocol::ResponseError;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::{
    Refusal,
    settings::{Definition, Fallback, Operation, Settings, of_broker},
};
use crate::{cluster::NODE_ID, errors::Error, options::Options, security::kept::Kept};

const FILE_NAME: &str = "broker.json";
const VERSION: u32 = 1;

/// Where the value of a topic's setting comes from; the numbers are those of Kafka's `ConfigSource`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Topic = 1,
    Broker = 2,
    Cluster = 3,
    Started = 4,
    Default = 5,
}

/// For whom something is set while the broker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    Broker,
    Cluster,
}

impl Layer {
    /// By the name of a resource: a broker's id, or nothing for all brokers.
    pub fn named(name: &str) -> Result<Layer, Refusal> {
        if name.is_empty() {
            return Ok(Layer::Cluster);
        }
        if name == NODE_ID.to_string() {
            return Ok(Layer::Broker);
        }
        let reason = format!("Unexpected broker id, expected {NODE_ID}, but received {name}");
        Err(Refusal::new(ResponseError::InvalidRequest, reason))
    }
}

/// By the names that topics have for it.
#[derive(Default, Clone)]
struct Layers {
    broker: Settings,
    cluster: Settings,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    broker: BTreeMap<String, String>,
    cluster: BTreeMap<String, String>,
}

pub struct Defaults {
    options: Arc<Options>,
    kept: Kept,
    layers: RwLock<Layers>,
}

impl Defaults {
    pub fn open(options: Arc<Options>) -> Result<Defaults, Error> {
        let kept = Kept::at(&options.data_dir, FILE_NAME);
        let layers = match kept.read::<Stored>()? {
            None => Layers::default(),
            Some(stored) if stored.version == VERSION => {
                Layers { broker: Settings::stored(stored.broker), cluster: Settings::stored(stored.cluster) }
            }
            Some(stored) => return Err(kept.unreadable(format!("version {} is not known", stored.version))),
        };
        Ok(Defaults { options, kept, layers: RwLock::new(layers) })
    }

    /// What is set in this layer.
    pub fn own(&self, layer: Layer) -> Settings {
        let layers = self.layers.read();
        match layer {
            Layer::Broker => layers.broker.clone(),
            Layer::Cluster => layers.cluster.clone(),
        }
    }

    /// What holds where a topic has nothing of its own.
    pub fn value(&self, definition: &Definition) -> (String, Source) {
        self.set(definition).into_iter().next().unwrap_or_else(|| self.started(definition))
    }

    /// All values that stand behind a topic's own, the one that holds first.
    pub fn behind(&self, definition: &Definition) -> Vec<(String, Source)> {
        let mut all = self.set(definition);
        if !definition.broker_name.is_empty() && !matches!(definition.default, Fallback::Alone(_)) {
            all.push(self.started(definition));
        }
        all
    }

    fn set(&self, definition: &Definition) -> Vec<(String, Source)> {
        let layers = self.layers.read();
        let both = [(&layers.broker, Source::Broker), (&layers.cluster, Source::Cluster)];
        let set = |(layer, source): (&Settings, _)| Some((layer.own().get(definition.name)?.clone(), source));
        both.into_iter().filter_map(set).collect()
    }

    fn started(&self, definition: &Definition) -> (String, Source) {
        let value = definition.default(&self.options);
        // As Kafka: what was not set differently where the broker is started is a default.
        match value == definition.default(&Options::at("", self.options.listen)) {
            true => (value, Source::Default),
            false => (value, Source::Started),
        }
    }

    /// Puts what `change` makes of a layer in its place; durable when it returns. Blocks on the disk. Whoever calls lets one change
    /// come after another: each writes the whole file.
    pub(super) fn change(
        &self,
        layer: Layer,
        change: impl FnOnce(&Settings) -> Result<Settings, Refusal>,
    ) -> Result<(), Refusal> {
        let changed = change(&self.own(layer))?;
        let mut layers = self.layers.read().clone();
        match layer {
            Layer::Broker => layers.broker = changed,
            Layer::Cluster => layers.cluster = changed,
        }
        let (broker, cluster) = (layers.broker.own().clone(), layers.cluster.own().clone());
        self.kept.write(&Stored { version: VERSION, broker, cluster }).map_err(|error| {
            tracing::error!(%error, "settings of the broker cannot be kept");
            Refusal::new(ResponseError::KafkaStorageError, "The settings cannot be written.")
        })?;
        *self.layers.write() = layers;
        Ok(())
    }
}

/// One change of one setting, by the broker's name for it. What is refused is `INVALID_REQUEST`, as in Kafka.
pub fn apply(
    settings: &mut Settings,
    name: &str,
    operation: Operation,
    value: Option<&str>,
) -> Result<(), Refusal> {
    let refused = |reason: String| Refusal::new(ResponseError::InvalidRequest, reason);
    let Some(definition) = of_broker(name) else {
        return Err(refused(format!(
            "Cannot update {name} while the broker runs: that is possible for what topics have as well, such as log.retention.ms; \
             the rest is set where the broker is started."
        )));
    };
    let applied = settings.apply(definition.name, operation, value);
    applied.map_err(|refusal| refused(refusal.reason.replacen(definition.name, name, 1)))
}
