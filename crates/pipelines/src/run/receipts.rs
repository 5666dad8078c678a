//! The checkpoints of all streams in one file, and the receipts and positions that came through them.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use base::{Extent, Fault, Place, Position, Receipt, Saved, Split};
use engine::{Checkpoints, checkpoints::FileCheckpoints};
use parking_lot::Mutex;

/// One stream's part of the file: two streams may have splits of one name.
pub(super) struct RunCheckpoints {
    file: Arc<FileCheckpoints>,
    stream: String,
    receipts: Mutex<BTreeMap<Arc<str>, Receipt>>,
    /// Of the partitions of a topic.
    offsets: Mutex<BTreeMap<i32, i64>>,
}

impl RunCheckpoints {
    pub(super) fn new(file: Arc<FileCheckpoints>, stream: &str) -> Self {
        Self { file, stream: stream.to_owned(), receipts: Mutex::default(), offsets: Mutex::default() }
    }

    /// The last one of each split, of this life or an earlier one.
    pub(super) fn receipts(&self) -> Vec<Receipt> {
        self.receipts.lock().values().cloned().collect()
    }

    /// Behind the last record of each partition that was read, in this life or an earlier one.
    pub(super) fn offsets(&self) -> BTreeMap<i32, i64> {
        self.offsets.lock().clone()
    }

    fn stands_at(&self, split: &Split, position: &Position) {
        if let (Place::Topic { partition, .. }, Position::Mark(next)) = (&*split.place, position) {
            self.offsets.lock().insert(*partition, *next);
        }
    }

    fn split(&self, split: &Split) -> Split {
        Split { id: format!("{}/{}", self.stream, split.id).into(), place: split.place.clone() }
    }
}

#[async_trait]
impl Checkpoints for RunCheckpoints {
    async fn load(&self, split: &Split) -> Result<Saved, Fault> {
        let saved = self.file.load(&self.split(split)).await?;
        self.receipts.lock().insert(split.id.clone(), saved.receipt.clone());
        self.stands_at(split, &saved.position);
        Ok(saved)
    }

    async fn save(&self, extent: &Extent, receipt: &Receipt) -> Result<(), Fault> {
        let ours = Extent { split: self.split(&extent.split), ..extent.clone() };
        self.file.save(&ours, receipt).await?;
        self.receipts.lock().insert(extent.split.id.clone(), receipt.clone());
        self.stands_at(&extent.split, &extent.end);
        Ok(())
    }
}
