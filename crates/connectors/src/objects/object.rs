//! One open object of the sink: rows go through its encoder to its upload.

use std::{ops::Range, sync::Arc};

use base::{Batch, Fault, Rejects};
use formats::Encoder;

use super::{Error, Target, Upload, errors::of_format, spill::Memory};

pub(crate) struct OpenObject {
    upload: Upload,
    encoder: Box<dyn Encoder>,
    rows_count: u64,
}

impl OpenObject {
    pub(crate) fn new(key: &str, encoder: Box<dyn Encoder>, memory: &Arc<Memory>) -> Result<Self, Error> {
        Ok(Self { upload: Upload::new(key, memory)?, encoder, rows_count: 0 })
    }

    pub(crate) fn append(&mut self, batch: &Batch, rows: Range<usize>) -> Result<Rejects, Fault> {
        let offered = rows.len();
        let rejects = self.encoder.append(batch, rows, self.upload.buffer()).map_err(of_format)?;
        self.rows_count += (offered - rejects.0.len()) as u64;
        self.count();
        Ok(rejects)
    }

    /// Sends what waits as a part, if that is enough for one.
    pub(crate) async fn send_full_part(&mut self, target: &Target, part_bytes: usize) -> Result<(), Fault> {
        self.upload.send_full_part(target, part_bytes).await?;
        self.count();
        Ok(())
    }

    pub(crate) async fn spill(&mut self) -> Result<(), Fault> {
        self.upload.spill().await?;
        self.count();
        Ok(())
    }

    /// Bytes that `spill` would free.
    pub(crate) fn spillable_bytes(&self) -> usize {
        self.upload.spillable_bytes()
    }

    /// Durable and visible under its name; an object into which no row went does not come to be.
    pub(crate) async fn complete(mut self, target: &Target) -> Result<(), Fault> {
        if self.rows_count == 0 {
            return Ok(());
        }
        self.encoder.finish(self.upload.buffer()).map_err(of_format)?;
        self.upload.complete(target).await
    }

    fn count(&mut self) {
        self.upload.count(self.encoder.held_bytes());
    }
}
