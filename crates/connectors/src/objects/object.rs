//! One open object: encoded bytes that wait, parts that are on their way, and the moment it becomes visible.

use std::{ops::Range, sync::Arc};

use base::{Batch, Fault, Rejects, crash_point};
use formats::Encoder;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, path::Path};
use tokio::task::JoinSet;

use super::{
    Error,
    errors::of_format,
    spill::{Held, Memory, Waiting},
};

/// Parts of one object that are sent at once: the next is encoded while one travels.
const PARTS_IN_FLIGHT_MAX: usize = 2;

/// The store and how its errors read.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) bucket: Option<cloud::store::Bucket>,
    pub(crate) place: Arc<str>,
}

impl Target {
    pub(crate) fn fault(&self, error: object_store::Error, key: &Path) -> Fault {
        match &self.bucket {
            Some(bucket) => bucket.error(error, key.as_ref()).into_fault(),
            None => cloud::Error::of_store(error, &format!("{}/{key}", self.place), &self.place, &self.place)
                .into_fault(),
        }
    }
}

pub(crate) struct OpenObject {
    key: Path,
    encoder: Box<dyn Encoder>,
    waiting: Waiting,
    held: Held,
    rows_count: u64,
    upload: Option<Upload>,
}

struct Upload {
    upload: Box<dyn MultipartUpload>,
    parts: JoinSet<object_store::Result<()>>,
}

impl OpenObject {
    pub(crate) fn new(key: &str, encoder: Box<dyn Encoder>, memory: &Arc<Memory>) -> Result<Self, Error> {
        let key = Path::parse(key).map_err(|source| Error::Key { key: key.to_owned(), source })?;
        Ok(Self {
            key,
            encoder,
            waiting: Waiting::default(),
            held: memory.hold(),
            rows_count: 0,
            upload: None,
        })
    }

    pub(crate) fn append(&mut self, batch: &Batch, rows: Range<usize>) -> Result<Rejects, Fault> {
        let offered = rows.len();
        let rejects = self.encoder.append(batch, rows, &mut self.waiting.memory).map_err(of_format)?;
        self.rows_count += (offered - rejects.0.len()) as u64;
        self.count();
        Ok(rejects)
    }

    /// Sends what waits as a part, if that is enough for one.
    pub(crate) async fn send_full_part(&mut self, target: &Target, part_bytes: usize) -> Result<(), Fault> {
        if self.waiting.len() < part_bytes {
            return Ok(());
        }
        let part = self.waiting.take().await?;
        self.send_part(target, part).await?;
        self.count();
        Ok(())
    }

    pub(crate) async fn spill(&mut self) -> Result<(), Fault> {
        self.waiting.spill().await?;
        self.count();
        Ok(())
    }

    /// Bytes that `spill` would free.
    pub(crate) fn spillable_bytes(&self) -> usize {
        self.waiting.memory.len()
    }

    /// Durable and visible under its name; an object into which no row went does not come to be.
    pub(crate) async fn complete(mut self, target: &Target) -> Result<(), Fault> {
        if self.rows_count == 0 {
            return Ok(());
        }
        self.encoder.finish(&mut self.waiting.memory).map_err(of_format)?;
        let rest = self.waiting.take().await?;
        if self.upload.is_none() {
            crash_point("objects.commit.before_complete");
            target
                .store
                .put(&self.key, PutPayload::from(rest))
                .await
                .map_err(|error| target.fault(error, &self.key))?;
            crash_point("objects.commit.after_complete");
            return Ok(());
        }
        if !rest.is_empty() {
            self.send_part(target, rest).await?;
        }
        let Some(mut upload) = self.upload.take() else { return Ok(()) };
        while let Some(sent) = upload.parts.join_next().await {
            sent.map_err(|_| self.lost())?.map_err(|error| target.fault(error, &self.key))?;
        }
        crash_point("objects.commit.before_complete");
        upload.upload.complete().await.map_err(|error| target.fault(error, &self.key))?;
        crash_point("objects.commit.after_complete");
        Ok(())
    }

    async fn send_part(&mut self, target: &Target, part: Vec<u8>) -> Result<(), Fault> {
        crash_point("objects.part.before_upload");
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => {
                let upload = target
                    .store
                    .put_multipart(&self.key)
                    .await
                    .map_err(|error| target.fault(error, &self.key))?;
                self.upload.insert(Upload { upload, parts: JoinSet::new() })
            }
        };
        while upload.parts.len() >= PARTS_IN_FLIGHT_MAX {
            if let Some(sent) = upload.parts.join_next().await {
                sent.map_err(|_| Error::UploadLost { key: self.key.to_string() })?
                    .map_err(|error| target.fault(error, &self.key))?;
            }
        }
        let mut held = self.held.another();
        held.set(part.len());
        let sending = upload.upload.put_part(PutPayload::from(part));
        upload.parts.spawn(async move {
            let sent = sending.await;
            drop(held);
            sent
        });
        crash_point("objects.part.between");
        Ok(())
    }

    fn lost(&self) -> Error {
        Error::UploadLost { key: self.key.to_string() }
    }

    fn count(&mut self) {
        self.held.set(self.waiting.memory.capacity() + self.encoder.held_bytes());
    }
}
