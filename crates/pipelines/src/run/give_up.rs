//! Giving a load up: what it wrote goes from the target, and it is forgotten.
//!
//! A load that is being given up cannot be gone on with: files that its checkpoints tell of may be gone already. So that is
//! written down first, and doing it again does the rest.

use std::collections::HashSet;

use base::{BoxError, Fault, crash_point};
use futures::{StreamExt, TryStreamExt, stream};

use super::{Target, begin};
use crate::{
    Error, PipelineFile, Tables,
    file::StreamSpec,
    incremental::tracked_of,
    state::{Journal, Phase, StateFolder},
    target::{
        Lake, STAGING,
        open_files::of_all_splits,
        sink::{Names, Written},
    },
};

/// Files that are deleted at once.
const FILES_AT_ONCE_MAX: usize = 8;

/// What became of a load that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    pub load_id: String,
    /// Files of its that were at the target, shown or hidden.
    pub removed_count: u64,
    /// Files that it wrote and that are not where the pipeline's file says: it may have been changed since.
    pub missing_count: u64,
}

/// Removes what the unfinished load of a pipeline has written, and forgets it; `None` where there is none. What it wrote to
/// a store of documents stays there.
///
/// # Errors
/// `PastGivingUp` for a load that is all read, and what the target says.
pub async fn give_up(
    file: &PipelineFile,
    folder: &StateFolder,
    target: &Target,
) -> Result<Option<GivenUp>, BoxError> {
    let checkpoints = folder.lock()?;
    let Some(mut journal) = folder.journal()?.filter(|journal| !is_complete(folder, journal)) else {
        folder.clear_load()?;
        return Ok(None);
    };
    if journal.is_finishing() {
        let (pipeline, load_id) = (file.name.clone(), journal.load_id);
        return Err(Error::PastGivingUp { pipeline, load_id }.into());
    }
    let mut given_up = GivenUp { load_id: journal.load_id.clone(), removed_count: 0, missing_count: 0 };
    if let Target::Lake(lake) = target {
        lake.check().await.map_err(Fault::into_inner)?;
        journal.phase = Phase::GivingUp;
        folder.save_journal(&journal)?;
        crash_point("pipelines.give_up.after_journal");
        let mut splits = Vec::new();
        for (split, saved) in checkpoints.all()? {
            splits.push((split.to_string(), Written::of(&tracked_of(&saved.receipt)?.inner)?));
        }
        let left = Left { file, folder, lake, journal: &journal, splits };
        (given_up.removed_count, given_up.missing_count) = left.remove().await.map_err(Fault::into_inner)?;
    }
    folder.clear_load()?;
    Ok(Some(given_up))
}

/// It died while it tidied up: nothing of it is unfinished.
fn is_complete(folder: &StateFolder, journal: &Journal) -> bool {
    let state = folder.state().ok().flatten();
    state.is_some_and(|state| state.last_load_id.as_ref() == Some(&journal.load_id))
}

/// What the load has left at the target.
struct Left<'a> {
    file: &'a PipelineFile,
    folder: &'a StateFolder,
    lake: &'a Lake,
    journal: &'a Journal,
    /// Each with what was committed of it; a split's id begins with its stream's name.
    splits: Vec<(String, Written)>,
}

impl Left<'_> {
    /// How many files were removed, and how many are not there.
    async fn remove(&self) -> Result<(u64, u64), Fault> {
        let (pipeline, load_id) = (&self.file.name, &self.journal.load_id);
        let open = of_all_splits(self.folder).map_err(Error::fatal)?;
        self.lake.tidy(pipeline, load_id, &open).await?;
        let mut doomed = self.lake.list(&format!("{STAGING}/{pipeline}/{load_id}/")).await?;
        let shown = self.shown(&open.into_iter().collect()).await?;
        let committed = self.splits.iter().flat_map(|(_, written)| written.tables.values());
        let committed_count: u64 = committed.map(|count| count.files_count).sum();
        doomed.extend(shown);
        let removed_count = doomed.len() as u64;
        let deleted = doomed.iter().map(|path| async move {
            self.lake.delete(path).await?;
            crash_point("pipelines.give_up.between_files");
            Ok::<_, Fault>(())
        });
        stream::iter(deleted).buffer_unordered(FILES_AT_ONCE_MAX).try_collect::<()>().await?;
        self.lake.remove_staging(pipeline);
        Ok((removed_count, committed_count.saturating_sub(removed_count)))
    }

    /// Its files among those of its tables, by their names: they follow from load, split, extent and number. `open` are the
    /// keys of extents that no checkpoint covers.
    async fn shown(&self, open: &HashSet<String>) -> Result<Vec<String>, Fault> {
        let Some(tables) = self.tables().map_err(Error::fatal)? else { return Ok(Vec::new()) };
        let mut shown = Vec::new();
        for stream in self.file.streams.iter().filter(|stream| self.journal.streams.contains(&stream.name)) {
            let names = super::names(self.file, self.journal, &tables.name(), stream);
            let ids = self.file_ids(&names, stream);
            for table in tables.tables_of(&stream.shape) {
                let prefix = names.layout.prefix(&names.schema_name, &table.name);
                let is_ours = |path: &String| {
                    open.contains(&self.lake.key(path))
                        || names.file_id_in(&table.name, path).is_some_and(|id| ids.contains(id))
                };
                shown.extend(self.lake.list(&prefix).await?.into_iter().filter(is_ours));
            }
        }
        shown.sort();
        shown.dedup();
        Ok(shown)
    }

    fn file_ids(&self, names: &Names, stream: &StreamSpec) -> HashSet<String> {
        let start = format!("{}/", stream.name);
        let mut ids = HashSet::new();
        for (id, written) in &self.splits {
            let Some(split) = id.strip_prefix(&start) else { continue };
            // An extent has no more files than its split.
            let files_count: u64 = written.tables.values().map(|count| count.files_count).sum();
            for extent in 0..written.extents_count {
                ids.extend((0..files_count).map(|file| names.file_id(&stream.name, split, extent, file)));
            }
        }
        ids
    }

    /// The schema as the load has changed it, else the pipeline's; without one nothing was written.
    fn tables(&self) -> Result<Option<Tables>, Error> {
        let text = match self.folder.load_schema()? {
            Some(text) => Some(text),
            None => self.folder.schema()?,
        };
        text.map(|text| begin::open_schema(self.folder, &text)).transpose()
    }
}
