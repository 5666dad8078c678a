//! Bytes on their way to one object: those that wait, parts that travel, and the moment it becomes visible.
//!
//! What encodes them is the caller's business: the object sink's formats here, the tables of a pipeline elsewhere.

use std::sync::Arc;

use base::{Fault, crash_point};
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, path::Path};
use tokio::task::JoinSet;

use super::{
    Error,
    spill::{Held, Memory, Taken, Waiting},
};

/// Parts of one object that are sent at once: the next is encoded while one travels.
const PARTS_IN_FLIGHT_MAX: usize = 2;

/// The store and how its errors read.
#[derive(Clone)]
pub struct Target {
    pub store: Arc<dyn ObjectStore>,
    /// Where it is one: the calls that `ObjectStore` has not.
    pub bucket: Option<cloud::store::Bucket>,
    /// For messages: `s3://lake`, or the folder.
    pub place: Arc<str>,
}

impl Target {
    pub fn of(bucket: cloud::store::Bucket) -> Self {
        let place = bucket.address().into();
        Self { store: bucket.store.clone(), bucket: Some(bucket), place }
    }

    pub fn fault(&self, error: object_store::Error, key: &Path) -> Fault {
        match &self.bucket {
            Some(bucket) => bucket.error(error, key.as_ref()).into_fault(),
            None => cloud::Error::of_store(error, &format!("{}/{key}", self.place), &self.place, &self.place)
                .into_fault(),
        }
    }
}

/// One object that is being written; dropped before `complete`, it never was.
pub struct Upload {
    key: Path,
    waiting: Waiting,
    held: Held,
    sent: Option<Sent>,
    sent_bytes: u64,
}

struct Sent {
    upload: Box<dyn MultipartUpload>,
    parts: JoinSet<object_store::Result<()>>,
}

impl Upload {
    /// # Errors
    /// `Key`: it cannot be an object's name.
    pub fn new(key: &str, memory: &Arc<Memory>) -> Result<Self, Error> {
        let key = Path::parse(key).map_err(|source| Error::Key { key: key.to_owned(), source })?;
        let (waiting, held) = (Waiting::default(), memory.hold());
        Ok(Self { key, waiting, held, sent: None, sent_bytes: 0 })
    }

    pub fn key(&self) -> &Path {
        &self.key
    }

    /// Bytes are appended here; afterwards, `count` says what is held.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.waiting.memory
    }

    /// Counts what is held, with `more` bytes of whoever encodes.
    pub fn count(&mut self, more: usize) {
        self.held.set(self.waiting.memory.capacity() + more);
    }

    /// All bytes so far, sent and waiting.
    pub fn bytes(&self) -> u64 {
        self.sent_bytes + self.waiting.len() as u64
    }

    /// Whether `send_full_part` will send the first part, and so begin an upload that only an end or an abort takes away.
    pub fn is_about_to_begin(&self, part_bytes: usize) -> bool {
        self.sent.is_none() && self.waiting.len() >= part_bytes
    }

    /// Sends what waits as a part, if that is enough for one.
    pub async fn send_full_part(&mut self, target: &Target, part_bytes: usize) -> Result<(), Fault> {
        if self.waiting.len() < part_bytes {
            return Ok(());
        }
        let part = self.waiting.take(&self.held).await?;
        self.send_part(target, part).await
    }

    pub async fn spill(&mut self) -> Result<(), Fault> {
        self.waiting.spill().await?;
        Ok(())
    }

    /// Bytes that `spill` would free.
    pub fn spillable_bytes(&self) -> usize {
        self.waiting.memory.len()
    }

    /// Durable and visible under its name.
    pub async fn complete(mut self, target: &Target) -> Result<(), Fault> {
        let rest = self.waiting.take(&self.held).await?;
        if self.sent.is_none() {
            crash_point("objects.commit.before_complete");
            target
                .store
                .put(&self.key, PutPayload::from(rest.bytes))
                .await
                .map_err(|error| target.fault(error, &self.key))?;
            crash_point("objects.commit.after_complete");
            return Ok(());
        }
        if !rest.bytes.is_empty() {
            self.send_part(target, rest).await?;
        }
        let Some(mut sent) = self.sent.take() else { return Ok(()) };
        while let Some(part) = sent.parts.join_next().await {
            part.map_err(|_| self.lost())?.map_err(|error| target.fault(error, &self.key))?;
        }
        crash_point("objects.commit.before_complete");
        sent.upload.complete().await.map_err(|error| target.fault(error, &self.key))?;
        crash_point("objects.commit.after_complete");
        Ok(())
    }

    async fn send_part(&mut self, target: &Target, part: Taken) -> Result<(), Fault> {
        crash_point("objects.part.before_upload");
        let Taken { bytes, permit } = part;
        self.sent_bytes += bytes.len() as u64;
        let sent = match &mut self.sent {
            Some(sent) => sent,
            None => {
                let upload = target
                    .store
                    .put_multipart(&self.key)
                    .await
                    .map_err(|error| target.fault(error, &self.key))?;
                self.sent.insert(Sent { upload, parts: JoinSet::new() })
            }
        };
        while sent.parts.len() >= PARTS_IN_FLIGHT_MAX {
            if let Some(part) = sent.parts.join_next().await {
                part.map_err(|_| Error::UploadLost { key: self.key.to_string() })?
                    .map_err(|error| target.fault(error, &self.key))?;
            }
        }
        let mut held = self.held.another();
        held.set(bytes.len());
        let sending = sent.upload.put_part(PutPayload::from(bytes));
        sent.parts.spawn(async move {
            let sent = sending.await;
            drop((held, permit));
            sent
        });
        crash_point("objects.part.between");
        Ok(())
    }

    fn lost(&self) -> Error {
        Error::UploadLost { key: self.key.to_string() }
    }
}
