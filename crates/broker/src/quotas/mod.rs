//! Client quotas (KIP-13, KIP-55, KIP-124, KIP-219): how many bytes a second who may send or fetch, and how much of the
//! broker's time he may take. Who takes more gets his answer at once, told how long to wait, and is not read from until then.
//! Of partitions that are made and deleted `mutations` says more; of connections an address may open so many a second (KIP-612).
//!
//! They are kept in `quotas.json`. Where there are none, a request costs one look at whether there are.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
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

mod entity;
pub mod mutations;
mod rate;
pub mod timed;

#[cfg(test)]
mod tests;

pub use entity::{Entity, Limit, Who};
use mutations::Bucket;
use rate::Rate;

const FILE_NAME: &str = "quotas.json";
const VERSION: u32 = 1;
/// More entities are refused: every change writes all of them.
const ENTITIES_COUNT_MAX: usize = 10_000;
/// Rates that are kept at most; those that nobody adds to go first.
const RATES_COUNT_MAX: usize = 20_000;
/// The longest that a quota of the broker's time mutes a connection at once (`quota.window.size.seconds`).
const TIME_THROTTLE_MS_MAX: u32 = 1_000;
/// The longest that a connection is held which came too soon, before it is closed.
const CONNECTION_THROTTLE_MS_MAX: u32 = 1_000;

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
    ip: Option<IpAddr>,
}

pub struct Quotas {
    entities: RwLock<Arc<Entities>>,
    rates: Mutex<HashMap<Shared, Rate>>,
    buckets: Mutex<HashMap<Shared, Bucket>>,
    /// In the order of `Limit::ALL`: whether anybody has such a quota.
    is_limited: [AtomicBool; Limit::ALL.len()],
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
            buckets: Mutex::default(),
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
        let Some((shared, bound)) = self.shared(limit, principal, client_id) else { return 0 };
        let throttle_ms = self.rated(shared, now_ms, |rate| {
            rate.add(amount, now_ms);
            rate.throttle_ms(bound, now_ms)
        });
        if limit == Limit::Time { throttle_ms.min(TIME_THROTTLE_MS_MAX) } else { throttle_ms }
    }

    /// Whom the caller shares his quota with, and how much it is.
    fn shared(&self, limit: Limit, principal: &str, client_id: &str) -> Option<(Shared, f64)> {
        let user = user_of(principal);
        let (entity, bound) = find(&self.entities(), limit, user, client_id)?;
        let user = entity.user.map(|_| user.into());
        let client_id = entity.client_id.map(|_| client_id.into());
        Some((Shared { limit, user, client_id, ip: None }, bound))
    }

    fn rated<T>(&self, shared: Shared, now_ms: u64, act: impl FnOnce(&mut Rate) -> T) -> T {
        let mut rates = self.rates.lock();
        if rates.len() >= RATES_COUNT_MAX && !rates.contains_key(&shared) {
            rates.retain(|_, rate| !rate.is_idle(now_ms));
        }
        act(rates.entry(shared).or_default())
    }

    /// A connection from there: how long it is held before it is closed; 0: it may come in, and counts.
    pub fn connect(&self, ip: IpAddr) -> u32 {
        self.connect_at(ip, self.begun.elapsed().as_millis() as u64)
    }

    fn connect_at(&self, ip: IpAddr, now_ms: u64) -> u32 {
        if !self.limits(Limit::Connections) {
            return 0;
        }
        let entities = self.entities();
        let bound = [Who::Named(ip.to_string()), Who::Default].into_iter().find_map(|who| {
            let entity = Entity { ip: Some(who), ..Entity::default() };
            entities.get(&entity)?.get(&Limit::Connections).copied()
        });
        let Some(bound) = bound else { return 0 };
        let shared = Shared { limit: Limit::Connections, user: None, client_id: None, ip: Some(ip) };
        self.rated(shared, now_ms, |rate| {
            rate.add(1.0, now_ms);
            let throttle_ms = rate.throttle_ms(bound, now_ms);
            if throttle_ms > 0 {
                rate.add(-1.0, now_ms); // it does not come in
            }
            throttle_ms.min(CONNECTION_THROTTLE_MS_MAX)
        })
    }

    /// Takes tokens for partitions that are made or deleted: how long the caller has to wait after that; `Err`: how long
    /// before it.
    fn take(&self, principal: &str, client_id: &str, count: usize, is_strict: bool) -> Result<u32, u32> {
        let now_ms = self.begun.elapsed().as_millis() as u64;
        self.take_at(principal, client_id, count, is_strict, now_ms)
    }

    fn take_at(
        &self,
        principal: &str,
        client_id: &str,
        count: usize,
        is_strict: bool,
        now_ms: u64,
    ) -> Result<u32, u32> {
        let Some((shared, bound)) = self.shared(Limit::Mutations, principal, client_id) else { return Ok(0) };
        let mut buckets = self.buckets.lock();
        if buckets.len() >= RATES_COUNT_MAX && !buckets.contains_key(&shared) {
            buckets.retain(|_, bucket| !bucket.is_full(now_ms));
        }
        let bucket = buckets.entry(shared).or_insert_with(|| Bucket::full(bound, now_ms));
        bucket.take(count as f64, is_strict, bound, now_ms)
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
        let entity = Entity { user, client_id, ip: None };
        let value = *entities.get(&entity)?.get(&limit)?;
        Some((entity, value))
    })
}
