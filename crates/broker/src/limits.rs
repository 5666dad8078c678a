//! What clients may take of this broker: connections, in all and from one address, and memory for what they send. The
//! process's own limit of open files bounds both connections and segments.
//!
//! Partitions are counted by `topics`, segments' files by `log`.

use std::{
    collections::HashMap,
    fs,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{errors::Error, options::Options};

/// Files that are neither connections nor segments: listeners, indices while they are read, the runtime's own.
const OTHER_FILES_COUNT: u64 = 128;

pub struct Limits {
    connections: Arc<Semaphore>,
    connections_count_max: u32,
    from_one_address_max: u32,
    by_address: Arc<Mutex<HashMap<IpAddr, u32>>>,
    request_memory: Arc<Semaphore>,
    request_memory_bytes: u32,
    refused_count: AtomicU64,
}

/// A connection's place; dropping it gives it back.
pub struct Place {
    _of_all: OwnedSemaphorePermit,
    address: IpAddr,
    by_address: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

/// A request's share of the memory; dropping it gives it back.
pub type Lease = OwnedSemaphorePermit;

impl Limits {
    pub fn new(options: &Options, files: &Files) -> Self {
        let request_memory_bytes = options.request_memory_bytes_max.clamp(1, u32::MAX / 2);
        Self {
            connections: Arc::new(Semaphore::new(files.connections_count_max as usize)),
            connections_count_max: files.connections_count_max,
            from_one_address_max: options.connections_per_ip_count_max,
            by_address: Arc::default(),
            request_memory: Arc::new(Semaphore::new(request_memory_bytes as usize)),
            request_memory_bytes,
            refused_count: AtomicU64::new(0),
        }
    }

    /// A place for a connection, if there is one.
    pub fn admit(&self, address: IpAddr) -> Result<Place, Error> {
        let Ok(of_all) = self.connections.clone().try_acquire_owned() else {
            let setting = "broker.connections_count_max";
            return Err(Error::TooManyConnections { address, count: self.connections_count_max, setting });
        };
        let mut by_address = self.by_address.lock();
        let count = by_address.entry(address).or_default();
        if *count >= self.from_one_address_max {
            let setting = "broker.connections_per_ip_count_max";
            return Err(Error::TooManyConnections { address, count: *count, setting });
        }
        *count += 1;
        drop(by_address);
        Ok(Place { _of_all: of_all, address, by_address: self.by_address.clone() })
    }

    /// Whether a refusal is to be told: who is refused comes again at once, so each is told half as often as before.
    pub fn is_to_be_told(&self) -> bool {
        (self.refused_count.fetch_add(1, Ordering::Relaxed) + 1).is_power_of_two()
    }

    /// Waits until there is memory for a request. What is larger than all of it goes through alone.
    pub async fn lease(&self, bytes: usize) -> Lease {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, self.request_memory_bytes);
        let leased = self.request_memory.clone().acquire_many_owned(bytes).await;
        leased.expect("the semaphore is never closed")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = self.by_address.lock();
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// How the files that the process may open are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Files {
    pub connections_count_max: u32,
    pub segments_count_max: u32,
}

impl Files {
    /// As the settings say, or less where the system allows less; then a warning says so.
    pub fn shared_out(options: &Options) -> Self {
        let wanted = Files {
            connections_count_max: options.connections_count_max,
            segments_count_max: options.open_files_count_max,
        };
        let Some(allowed) = open_files_allowed() else { return wanted };
        let files = wanted.within(allowed);
        if files != wanted {
            let Files { connections_count_max: connections, segments_count_max: segments } = files;
            let warning = Error::FewFiles { allowed, connections, segments };
            tracing::warn!("{}", base::problem::plain(&warning));
        }
        files
    }

    fn within(self, allowed: u64) -> Self {
        let room = allowed.saturating_sub(OTHER_FILES_COUNT).max(2);
        let segments = u64::from(self.segments_count_max).min(room / 2);
        let connections = u64::from(self.connections_count_max).min(room - segments);
        let small = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        Files { connections_count_max: small(connections), segments_count_max: small(segments) }
    }
}

/// The soft limit of open files; `None` where the system does not say or sets none.
fn open_files_allowed() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_shared_out_within_what_the_system_allows() {
        let wanted = Files { connections_count_max: 4_096, segments_count_max: 4_096 };
        let shared = |allowed| {
            let files = wanted.within(allowed);
            (files.connections_count_max, files.segments_count_max)
        };
        assert_eq!(shared(1 << 20), (4_096, 4_096));
        assert_eq!(shared(1_024), (448, 448));
        assert_eq!(shared(0), (1, 1));
        let few = Files { connections_count_max: 4_096, segments_count_max: 100 };
        assert_eq!(few.within(1_128).connections_count_max, 900);
        assert!(open_files_allowed().is_none_or(|count| count > 0));
    }

    #[tokio::test]
    async fn memory_is_given_back_and_what_is_too_large_goes_alone() {
        let mut options = Options::at("unused", ([127, 0, 0, 1], 0).into());
        options.request_memory_bytes_max = 1_000;
        let limits = Limits::new(&options, &Files::shared_out(&options));
        let all = limits.lease(50_000).await;
        let waiting = limits.lease(10);
        tokio::pin!(waiting);
        let none = tokio::time::timeout(std::time::Duration::from_millis(1), &mut waiting).await;
        assert!(none.is_err());
        drop(all);
        drop(waiting.await);
    }
}
