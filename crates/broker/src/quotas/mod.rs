//! Client quotas (KIP-13, KIP-55, KIP-124, KIP-219): how many bytes a second who may send or fetch, and how much of the
//! broker's time he may take. Who takes more gets his answer at once, told how long to wait, and is not read from until then.
//!
//! They are kept in `quotas.json`. Where there are none, a request costs one look at whether there are.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use kafka_protocol::ResponseError;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use crate::{errors::Error, security::kept::Kept, topics::Refusal};

mod rate;
pub mod timed;

#[cfg(test)]
mod tests;

use rate::Rate;

const FILE_NAME: &str = "quotas.json";
const VERSION: u32 = 1;
/// More entities are refused: every change writes all of them.
const ENTITIES_COUNT_MAX: usize = 10_000;
/// Rates that are kept at most; those that nobody adds to go first.
const RATES_COUNT_MAX: usize = 20_000;
/// The longest that a quota of the broker's time mutes a connection at once (`quota.window.size.seconds`).
const TIME_THROTTLE_MS_MAX: u32 = 1_000;

/// What is limited, under Kafka's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Limit {
    #[serde(rename = "producer_byte_rate")]
    Produced,
    #[serde(rename = "consumer_byte_rate")]
    Fetched,
    /// Percent of one processor.
    #[serde(rename = "request_percentage")]
    Time,
}

impl Limit {
    const ALL: [Limit; 3] = [Limit::Produced, Limit::Fetched, Limit::Time];

    pub fn word(self) -> &'static str {
        match self {
            Limit::Produced => "producer_byte_rate",
            Limit::Fetched => "consumer_byte_rate",
            Limit::Time => "request_percentage",
        }
    }

    /// The limit of this name, if that is one that is honoured here and the value is one it can have.
    pub fn checked(word: &str, value: Option<f64>) -> Result<Limit, Refusal> {
        let refuse = |reason: String| Refusal::new(ResponseError::InvalidRequest, reason);
        let limit = Limit::ALL.into_iter().find(|limit| limit.word() == word);
        let limit = limit.ok_or_else(|| refuse(format!("Invalid configuration key {word}")))?;
        match value {
            Some(value) if !(value.is_finite() && value > 0.0) => {
                Err(refuse(format!("{word} must be greater than 0")))
            }
            Some(value) if limit != Limit::Time && value.fract() != 0.0 => {
                Err(refuse(format!("{word} cannot be a fractional value.")))
            }
            _ => Ok(limit),
        }
    }
}

/// Whom a part of an entity means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Who {
    /// Each of those that have no quota of their own.
    #[serde(rename = "default")]
    Default,
    #[serde(rename = "name")]
    Named(String),
}

/// Whose quota it is; one of the two is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entity {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Who>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<Who>,
}

type Values = BTreeMap<Limit, f64>;
pub type Entities = BTreeMap<Entity, Values>;
/// What is to be set (`Some`) and removed (`None`) for an entity.
pub type Change = (Entity, Vec<(Limit, Option<f64>)>);

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    quotas: Vec<StoredQuota>,
}

#[derive(Serialize, Deserialize)]
struct StoredQuota {
    entity: Entity,
    values: Values,
}

/// Who shares a rate: everybody whom the quota takes together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Shared {
    limit: Limit,
    user: Option<Arc<str>>,
    client_id: Option<Arc<str>>,
}

pub struct Quotas {
    entities: RwLock<Arc<Entities>>,
    rates: Mutex<HashMap<Shared, Rate>>,
    /// In the order of `Limit::ALL`: whether anybody has such a quota.
    is_limited: [AtomicBool; 3],
    begun: Instant,
    /// Held for the whole of a change, on a thread that may block.
    kept: Mutex<Kept>,
}

impl Quotas {
    /// Blocks on the disk.
    pub fn open(data_dir: &Path) -> Result<Quotas, Error> {
        let kept = Kept::at(data_dir, FILE_NAME);
        let stored: Option<Stored> = kept.read()?;
        let entities = match stored {
            Some(stored) if stored.version != VERSION => {
                let reason = format!("its version is {}, this broker knows {VERSION}", stored.version);
                return Err(kept.unreadable(reason));
            }
            Some(stored) => stored.quotas.into_iter().map(|quota| (quota.entity, quota.values)).collect(),
            None => Entities::new(),
        };
        let quotas = Quotas {
            entities: RwLock::default(),
            rates: Mutex::default(),
            is_limited: Default::default(),
            begun: Instant::now(),
            kept: Mutex::new(kept),
        };
        quotas.put(entities);
        Ok(quotas)
    }

    /// Whether anybody has such a quota.
    pub fn limits(&self, limit: Limit) -> bool {
        self.is_limited[limit as usize].load(Ordering::Relaxed)
    }

    pub fn entities(&self) -> Arc<Entities> {
        self.entities.read().clone()
    }

    /// How much the caller may take in the whole of the time that is looked at; `None`: as much as he likes.
    pub fn most(&self, limit: Limit, principal: &str, client_id: &str) -> Option<f64> {
        let entities = self.entities();
        find(&entities, limit, user_of(principal), client_id)
            .map(|(_, value)| value * rate::SPAN_MS / 1_000.0)
    }

    /// Adds to what the caller has taken; how long he has to wait for it in milliseconds.
    pub fn record(&self, limit: Limit, principal: &str, client_id: &str, amount: f64) -> u32 {
        self.record_at(limit, principal, client_id, amount, self.begun.elapsed().as_millis() as u64)
    }

    fn record_at(&self, limit: Limit, principal: &str, client_id: &str, amount: f64, now_ms: u64) -> u32 {
        let user = user_of(principal);
        let Some((entity, bound)) = find(&self.entities(), limit, user, client_id) else { return 0 };
        let shared = Shared {
            limit,
            user: entity.user.map(|_| user.into()),
            client_id: entity.client_id.map(|_| client_id.into()),
        };
        let mut rates = self.rates.lock();
        if rates.len() >= RATES_COUNT_MAX && !rates.contains_key(&shared) {
            rates.retain(|_, rate| !rate.is_idle(now_ms));
        }
        let rate = rates.entry(shared).or_default();
        rate.add(amount, now_ms);
        let throttle_ms = rate.throttle_ms(bound, now_ms);
        if limit == Limit::Time { throttle_ms.min(TIME_THROTTLE_MS_MAX) } else { throttle_ms }
    }

    /// Takes back what was recorded but is not given.
    pub fn take_back(&self, limit: Limit, principal: &str, client_id: &str, amount: f64) {
        self.record(limit, principal, client_id, -amount);
    }

    /// Makes all of the changes or none. Durable when it returns; blocks on the disk.
    pub fn alter(&self, changes: Vec<Change>) -> Result<(), Refusal> {
        let kept = self.kept.lock();
        let mut entities = Entities::clone(&self.entities());
        for (entity, limits) in changes {
            let values = entities.entry(entity).or_default();
            for (limit, value) in limits {
                match value {
                    Some(value) => values.insert(limit, value),
                    None => values.remove(&limit),
                };
            }
        }
        entities.retain(|_, values| !values.is_empty());
        if entities.len() > ENTITIES_COUNT_MAX {
            let reason = format!("The number of client quotas cannot exceed {ENTITIES_COUNT_MAX}");
            return Err(Refusal::new(ResponseError::PolicyViolation, reason));
        }
        let each = |(entity, values): (&Entity, &Values)| StoredQuota {
            entity: entity.clone(),
            values: values.clone(),
        };
        let stored = Stored { version: VERSION, quotas: entities.iter().map(each).collect() };
        kept.write(&stored).map_err(|error| {
            tracing::error!(%error, "quotas cannot be kept");
            Refusal::new(ResponseError::KafkaStorageError, error.to_string())
        })?;
        self.put(entities);
        Ok(())
    }

    fn put(&self, entities: Entities) {
        for limit in Limit::ALL {
            let is_limited = entities.values().any(|values| values.contains_key(&limit));
            self.is_limited[limit as usize].store(is_limited, Ordering::Relaxed);
        }
        *self.entities.write() = Arc::new(entities);
    }
}

/// Quotas name users without the kind that principals have in front.
fn user_of(principal: &str) -> &str {
    principal.strip_prefix("User:").unwrap_or(principal)
}

/// The quota that holds: the one that says most exactly whom it means, the user before the client id.
fn find(entities: &Entities, limit: Limit, user: &str, client_id: &str) -> Option<(Entity, f64)> {
    let named = |name: &str| Some(Who::Named(name.to_owned()));
    let order = [
        (named(user), named(client_id)),
        (named(user), Some(Who::Default)),
        (named(user), None),
        (Some(Who::Default), named(client_id)),
        (Some(Who::Default), Some(Who::Default)),
        (Some(Who::Default), None),
        (None, named(client_id)),
        (None, Some(Who::Default)),
    ];
    order.into_iter().find_map(|(user, client_id)| {
        let entity = Entity { user, client_id };
        let value = *entities.get(&entity)?.get(&limit)?;
        Some((entity, value))
    })
}
