//! The memory a transfer may hold, as a semaphore of bytes. Who asks for how much is the engine's business.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bound on bytes held at once by all lanes of a transfer.
#[derive(Debug, Clone)]
pub struct Budget {
    permits: Arc<Semaphore>,
    total_bytes: u32,
}

/// Held by a batch or a buffer; dropping it is the release, so none can be forgotten.
#[derive(Debug, Default)]
pub struct Lease {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Budget {
    pub fn new(total_bytes: u32) -> Self {
        let total_bytes = total_bytes.max(1);
        Self { permits: Arc::new(Semaphore::new(total_bytes as usize)), total_bytes }
    }

    pub fn total_bytes(&self) -> u32 {
        self.total_bytes
    }

    /// Waits for room. What is larger than everything goes through alone instead of waiting for ever.
    pub async fn lease(&self, bytes: u32) -> Lease {
        let permit = self.permits.clone().acquire_many_owned(bytes.clamp(1, self.total_bytes)).await;
        Lease { _permit: Some(permit.expect("the budget's semaphore is never closed")) }
    }
}

impl Lease {
    /// For records that live outside any budget: a test's, or a handful made in memory.
    pub fn free() -> Arc<Self> {
        Arc::new(Self { _permit: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_lease_lets_the_next_one_in() {
        let budget = Budget::new(100);
        let held = budget.lease(80).await;
        let waits = tokio::spawn({
            let budget = budget.clone();
            async move { drop(budget.lease(1_000).await) }
        });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished(), "more than the budget waits until it is alone");
        drop(held);
        waits.await.expect("it was let in");
    }
}
