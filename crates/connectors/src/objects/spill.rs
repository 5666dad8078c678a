//! Bytes of an open object that wait for a part: in memory, and beyond the sink's share of it in a temporary file.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Error;

/// What all open objects of a sink hold in memory, counted; beyond its bound they go to temporary files.
#[derive(Debug)]
pub struct Memory {
    held_bytes: AtomicUsize,
    bytes_max: usize,
    /// A permit for each KiB that may be on its way back from temporary files.
    returning: Arc<Semaphore>,
}

impl Memory {
    pub fn new(bytes_max: usize) -> Arc<Self> {
        let returning = Arc::new(Semaphore::new(permits(bytes_max) as usize));
        Arc::new(Self { held_bytes: AtomicUsize::new(0), bytes_max, returning })
    }

    pub fn is_over(&self) -> bool {
        self.held_bytes.load(Ordering::Relaxed) > self.bytes_max
    }

    pub(crate) fn hold(self: &Arc<Self>) -> Held {
        Held { memory: self.clone(), bytes: 0 }
    }
}

/// One holder's part of the count; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Held {
    /// A second holder of the same memory, of nothing yet.
    pub(crate) fn another(&self) -> Held {
        self.memory.hold()
    }

    /// Waits until so many bytes may come back from a temporary file. More than the bound comes alone.
    async fn may_return(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let count = permits(bytes).min(permits(self.memory.bytes_max));
        // It is never closed.
        self.memory.returning.clone().acquire_many_owned(count).await.ok()
    }

    pub(crate) fn set(&mut self, bytes: usize) {
        self.memory.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.memory.held_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// A permit for each KiB, one at least; Tokio's counts end at 32 bits.
fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes >> 10).unwrap_or(u32::MAX).clamp(1, u32::MAX >> 3)
}

/// Bytes that have left an open object, and their share of what may be on its way back from files.
pub(crate) struct Taken {
    pub(crate) bytes: Vec<u8>,
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// The waiting bytes: those in the file come first.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) memory: Vec<u8>,
    file: Option<File>,
    file_bytes: usize,
}

impl Waiting {
    pub(crate) fn len(&self) -> usize {
        self.file_bytes + self.memory.len()
    }

    /// Moves what is in memory to the end of the file, which has no name and goes with its handle.
    pub(crate) async fn spill(&mut self) -> Result<(), Error> {
        let (memory, file) = (mem::take(&mut self.memory), self.file.take());
        let count = memory.len();
        let written = tokio::task::spawn_blocking(move || -> io::Result<File> {
            let mut file = match file {
                Some(file) => file,
                None => tempfile::tempfile()?,
            };
            file.write_all(&memory)?;
            Ok(file)
        });
        self.file = Some(joined(written.await)?);
        self.file_bytes += count;
        Ok(())
    }

    /// Everything, in its order; nothing waits afterwards.
    pub(crate) async fn take(&mut self, held: &Held) -> Result<Taken, Error> {
        let Some(mut file) = self.file.take() else {
            return Ok(Taken { bytes: mem::take(&mut self.memory), permit: None });
        };
        let permit = held.may_return(self.file_bytes).await;
        let memory = mem::take(&mut self.memory);
        let whole_bytes = mem::take(&mut self.file_bytes) + memory.len();
        let read = tokio::task::spawn_blocking(move || -> io::Result<Vec<u8>> {
            let mut whole = Vec::with_capacity(whole_bytes);
            file.seek(SeekFrom::Start(0))?;
            file.read_to_end(&mut whole)?;
            whole.extend_from_slice(&memory);
            Ok(whole)
        });
        Ok(Taken { bytes: joined(read.await)?, permit })
    }
}

fn joined<T>(joined: Result<io::Result<T>, tokio::task::JoinError>) -> Result<T, Error> {
    let spill = |source| Error::Spill { source };
    joined.map_err(|error| spill(io::Error::other(error)))?.map_err(spill)
}
