//! Quotas of controller mutations (KIP-599): how many partitions a second who may have made or deleted. They are a bucket of
//! tokens, so that much may be done at once where little was done before.
//!
//! Clients of newer versions are refused while there are none left; older ones, which know no such error, get what they
//! want and are told to wait.

use std::sync::Arc;

use kafka_protocol::ResponseError;

use super::{Limit, Quotas};
use crate::{api::Caller, topics::Refusal};

/// How many seconds' worth of tokens a bucket holds (`controller.quota.window.num`).
const BURST_S: f64 = 11.0;

/// The tokens of who shares a quota. They may fall below zero, and as long as they are nothing new may begin.
#[derive(Debug)]
pub struct Bucket {
    tokens: f64,
    filled_ms: u64,
    bound: f64,
}

impl Bucket {
    pub fn full(bound: f64, now_ms: u64) -> Bucket {
        Bucket { tokens: bound * BURST_S, filled_ms: now_ms, bound }
    }

    fn fill(&mut self, bound: f64, now_ms: u64) {
        let passed_s = now_ms.saturating_sub(self.filled_ms) as f64 / 1_000.0;
        self.tokens = (self.tokens + passed_s * bound).min(bound * BURST_S);
        (self.filled_ms, self.bound) = (now_ms, bound);
    }

    /// How long until there are some again; 0: there are.
    fn wait_ms(&self) -> u32 {
        (-self.tokens / self.bound * 1_000.0).round().clamp(0.0, f64::from(i32::MAX)) as u32
    }

    /// Whether it is as good as a new one.
    pub fn is_full(&self, now_ms: u64) -> bool {
        let passed_s = now_ms.saturating_sub(self.filled_ms) as f64 / 1_000.0;
        self.tokens + passed_s * self.bound >= self.bound * BURST_S
    }

    /// Takes tokens, also those that are not there; `Err`: there were none, and as long this takes to change.
    pub fn take(&mut self, count: f64, is_strict: bool, bound: f64, now_ms: u64) -> Result<u32, u32> {
        self.fill(bound, now_ms);
        if is_strict && self.tokens < 0.0 {
            return Err(self.wait_ms().max(1));
        }
        self.tokens -= count;
        Ok(if is_strict { 0 } else { self.wait_ms() })
    }
}

/// What one request changes, put to the account of who sent it.
pub struct Mutations<'a> {
    quotas: &'a Quotas,
    principal: Arc<str>,
    client_id: &'a str,
    is_strict: bool,
    throttle_ms: u32,
}

impl<'a> Mutations<'a> {
    /// `strict_since`: the first version of the request whose clients know THROTTLING_QUOTA_EXCEEDED.
    pub fn of(quotas: &'a Quotas, caller: &'a Caller, strict_since: i16) -> Mutations<'a> {
        Mutations {
            quotas,
            principal: caller.peer.principal(),
            client_id: &caller.client_id,
            is_strict: caller.version >= strict_since,
            throttle_ms: 0,
        }
    }

    /// Before so many partitions are made or deleted.
    pub fn charge(&mut self, partitions_count: usize) -> Result<(), Refusal> {
        if !self.quotas.limits(Limit::Mutations) {
            return Ok(());
        }
        let taken = self.quotas.take(&self.principal, self.client_id, partitions_count, self.is_strict);
        let (Ok(wait_ms) | Err(wait_ms)) = taken;
        self.throttle_ms = self.throttle_ms.max(wait_ms);
        taken.map(|_| ()).map_err(|_| {
            Refusal::new(ResponseError::ThrottlingQuotaExceeded, "The throttling quota has been exceeded.")
        })
    }

    /// How long the client has to wait before it sends anything else.
    pub fn throttle_ms(&self) -> u32 {
        self.throttle_ms
    }
}
