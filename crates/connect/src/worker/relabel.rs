//! JSON that stays raw is checked by the encoder, in the sink: what it refuses there was the converter's to refuse.

use std::sync::Arc;

use async_trait::async_trait;
use base::{Batch, Extent, Fault, Load, Position, Receipt, Rejects, Saved, Sink, Split, Writer, code};

use crate::converters::Side;

pub(super) struct Relabel {
    pub sink: Arc<dyn Sink>,
    /// The value converter is JsonConverter with `schemas.enable=false`.
    pub is_plain_json: bool,
}

struct RelabelWriter(Box<dyn Writer>);

#[async_trait]
impl Sink for Relabel {
    async fn begin(&self, load: &Load) -> Result<(), Fault> {
        self.sink.begin(load).await
    }

    async fn writer(&self, split: &Split) -> Result<Box<dyn Writer>, Fault> {
        let writer = self.sink.writer(split).await?;
        Ok(if self.is_plain_json { Box::new(RelabelWriter(writer)) } else { writer })
    }

    async fn finish(&self, load: &Load) -> Result<(), Fault> {
        self.sink.finish(load).await
    }
}

#[async_trait]
impl Writer for RelabelWriter {
    async fn recover(&mut self, saved: &Saved) -> Result<Option<Position>, Fault> {
        self.0.recover(saved).await
    }

    async fn write(&mut self, batch: &Batch) -> Result<Rejects, Fault> {
        let mut rejects = self.0.write(batch).await?;
        for reject in rejects.0.iter_mut().filter(|reject| reject.code == code::TM0601) {
            reject.code = code::TM0811;
            reject.stage = Side::Value.stage();
            reject.reason = format!("JsonConverter cannot read the value: {}", reject.reason);
        }
        Ok(rejects)
    }

    async fn commit(&mut self, extent: &Extent) -> Result<Receipt, Fault> {
        self.0.commit(extent).await
    }
}
