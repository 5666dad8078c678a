//! The memory that all requests share: their bodies, and records on their way into answers. Where none is left a request is refused,
//! and comes again; nobody waits while he holds some.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Error, Options};

pub(crate) struct Room {
    bytes: Arc<Semaphore>,
    bytes_max: usize,
}

/// What one request holds; dropping it gives that back.
pub(crate) struct Share {
    bytes: Arc<Semaphore>,
    bytes_max: usize,
    held: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// The largest request has room in any case, when it is alone.
    pub fn new(options: &Options) -> Self {
        let bytes_max = options.request_memory_bytes_max.max(options.request_bytes_max);
        let bytes_max = bytes_max.min(Semaphore::MAX_PERMITS);
        Self { bytes: Arc::new(Semaphore::new(bytes_max)), bytes_max }
    }

    pub fn share(&self) -> Share {
        Share { bytes: self.bytes.clone(), bytes_max: self.bytes_max, held: None }
    }
}

impl Share {
    /// Holds so many bytes from here on, more or less than before. What is larger than everything goes through alone.
    ///
    /// # Errors
    /// There is no room for more; what was held is held on.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Error> {
        let bytes = bytes.min(self.bytes_max);
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if bytes < held {
            let given_back = self.held.as_mut().and_then(|permit| permit.split(held - bytes));
            drop(given_back);
            return Ok(());
        }
        let full = || Error::Busy { bytes_max: self.bytes_max };
        let more = u32::try_from(bytes - held).map_err(|_| full())?;
        let more = self.bytes.clone().try_acquire_many_owned(more).map_err(|_| full())?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other_is_refused(room: &Room) -> bool {
        matches!(room.share().hold(1), Err(Error::Busy { bytes_max: 100 }))
    }

    #[test]
    fn shares_come_back_and_the_largest_request_has_room() {
        let options = Options {
            request_bytes_max: 100,
            request_memory_bytes_max: 10,
            ..Options::at(([127, 0, 0, 1], 0).into(), "")
        };
        let room = Room::new(&options);
        let (mut one, mut other) = (room.share(), room.share());
        one.hold(60).unwrap();
        one.hold(40).unwrap();
        other.hold(60).unwrap();
        assert!(one.hold(41).is_err() && other_is_refused(&room));
        one.hold(40).unwrap();
        drop(other);
        one.hold(101).unwrap();
        assert!(other_is_refused(&room));
        one.hold(0).unwrap();
        room.share().hold(100).unwrap();
    }
}
