//! The end of a load: everything is read and durable; now it becomes true, step by step, each of which may be repeated.

use std::sync::Arc;

use base::{Fault, crash_point};
use futures::{StreamExt, TryStreamExt, stream};

use super::{Run, Target};
use crate::{
    CursorValue, Error, Stored,
    incremental::merge,
    state::{About, LoadKind, Phase, State, StreamState, Swap, TopicState},
    target::Lake,
};

/// Files that are moved or deleted at once.
const FILES_AT_ONCE_MAX: usize = 8;

impl Run {
    pub(super) async fn finish(&mut self) -> Result<(), Fault> {
        if !self.journal.is_finishing() {
            let swap = self.swap().await?;
            self.journal.phase = Phase::Finishing { ended_ms: self.options.clock.now_ms(), swap };
            self.options.state.save_journal(&self.journal).map_err(Error::fatal)?;
            crash_point("pipelines.finish.after_journal");
        }
        let Phase::Finishing { ended_ms, swap } = self.journal.phase.clone() else { return Ok(()) };
        let state = self.moved_state();
        if let Target::Lake(lake) = &self.options.target {
            self.show(lake, &swap).await?;
            lake.remove_staging(&self.options.file.name);
            let schema = self.schema();
            if self.is_anything(&swap, &state) {
                self.tell(lake, &schema, &state, ended_ms).await?;
            }
            self.options.state.save_schema(&schema.text).map_err(Error::fatal)?;
        }
        self.end(&state, ended_ms).map_err(Error::fatal)
    }

    /// What was staged, and what it replaces.
    async fn swap(&self) -> Result<Swap, Fault> {
        let Target::Lake(lake) = &self.options.target else { return Ok(Swap::default()) };
        let staging =
            format!("{}/{}/{}/", crate::target::STAGING, self.options.file.name, self.journal.load_id);
        let staged = lake.list(&staging).await?;
        let arrive: Vec<String> =
            staged.iter().filter_map(|path| path.strip_prefix(&staging)).map(str::to_owned).collect();
        let schema_name = self.tables.name();
        let mut names = self.journal.leaving_tables.clone();
        for stream in self.options.streams.iter().filter(|stream| self.is_staged(stream)) {
            names.extend(self.tables.tables_of(&stream.shape).iter().map(|table| table.name.to_string()));
        }
        names.sort();
        names.dedup();
        let mut leave = Vec::new();
        for table in names {
            leave.extend(lake.list(&self.options.file.target.layout.prefix(&schema_name, &table)).await?);
        }
        leave.retain(|path| !arrive.contains(path) && !path.starts_with(crate::target::STAGING));
        Ok(Swap { arrive, leave })
    }

    fn is_staged(&self, stream: &crate::file::StreamSpec) -> bool {
        super::begin::is_staged(&self.journal, stream)
    }

    /// New files first: who reads meanwhile may see both, but never nothing.
    async fn show(&self, lake: &Lake, swap: &Swap) -> Result<(), Fault> {
        let staging =
            format!("{}/{}/{}/", crate::target::STAGING, self.options.file.name, self.journal.load_id);
        let moves = swap.arrive.iter().map(|path| {
            let from = format!("{staging}{path}");
            async move {
                lake.rename(&from, path).await?;
                crash_point("pipelines.finish.between_shown");
                Ok::<_, Fault>(())
            }
        });
        stream::iter(moves).buffer_unordered(FILES_AT_ONCE_MAX).try_collect::<()>().await?;
        crash_point("pipelines.finish.after_shown");
        let leaves = swap.leave.iter().map(|path| async move {
            lake.delete(path).await?;
            crash_point("pipelines.finish.between_left");
            Ok::<_, Fault>(())
        });
        stream::iter(leaves).buffer_unordered(FILES_AT_ONCE_MAX).try_collect::<()>().await
    }

    /// A load that changed nothing leaves nothing at the target, as dlt's does.
    fn is_anything(&self, swap: &Swap, state: &State) -> bool {
        let has_rows = self.journal.done.values().any(|done| !done.tables.is_empty());
        has_rows || *swap != Swap::default() || state.version != self.state.version
    }

    /// The schema as it is after the load: tables that got rows have seen data.
    fn schema(&self) -> Stored {
        let written = self.journal.done.values().flat_map(|done| done.tables.keys());
        let tables: Vec<Arc<str>> = written.map(|name| name.as_str().into()).collect();
        self.tables.mark_seen(&tables);
        self.tables.stored()
    }

    /// Schema, state, and last of all that the load is complete.
    async fn tell(&self, lake: &Lake, schema: &Stored, state: &State, at_ms: i64) -> Result<(), Fault> {
        let load_id = self.journal.load_id.as_str();
        lake.store_schema(schema, load_id, at_ms).await?;
        crash_point("pipelines.finish.after_schema");
        if state.version != self.state.version {
            let about = About {
                pipeline: &self.options.file.name,
                dataset: &self.options.file.target.dataset,
                schema_name: &schema.name,
                load_id,
                at_ms,
            };
            lake.store_state(&about, schema, state).await?;
            crash_point("pipelines.finish.after_state");
        }
        lake.store_load(schema, load_id, at_ms).await?;
        crash_point("pipelines.finish.after_load");
        Ok(())
    }

    /// The cursors behind the load. A backfill moves none, nor do dead letters.
    fn moved_state(&self) -> State {
        let mut state = self.state.clone();
        match self.journal.kind {
            LoadKind::Backfill(_) | LoadKind::Letters => return state,
            LoadKind::Incremental => {}
        }
        for stream in &self.options.streams {
            let (Some(spec), Some(done)) = (&stream.cursor, self.journal.done.get(&stream.name)) else {
                continue;
            };
            let before = self.state.streams.get(&stream.name);
            let before = before.filter(|before| before.field == spec.field && !self.journal.is_full_refresh);
            let seen = done.last_value.as_ref().map(|value| (CursorValue::from(value), done.hashes.clone()));
            let (last_value, hashes) = merge(before, seen);
            let (field, initial_value) = (spec.field.clone(), spec.initial_value.clone());
            let start_value = match before {
                Some(before) if done.tables.is_empty() => before.start_value.clone(),
                Some(before) => before.last_value.clone(),
                None => initial_value.clone(),
            };
            let moved = StreamState { field, initial_value, start_value, last_value, hashes };
            state.streams.insert(stream.name.clone(), moved);
        }
        let reads_topics = self.options.file.reads_topics(&self.options.places);
        for stream in self.options.streams.iter().filter(|_| reads_topics) {
            let Some(done) = self.journal.done.get(&stream.name) else { continue };
            let topic = stream.collection.clone();
            let before = self.state.topics.get(&stream.name).filter(|before| before.topic == topic);
            let before = before.filter(|_| !self.is_staged(stream));
            let mut offsets = before.map(|before| before.offsets.clone()).unwrap_or_default();
            offsets.extend(&done.offsets);
            let id = self.journal.topic_ids.get(&stream.name).cloned();
            state.topics.insert(stream.name.clone(), TopicState { topic, id, offsets });
        }
        // The first load tells the target a state too, as dlt's does.
        if state != self.state || self.state.version == 0 {
            state.version += 1;
        }
        state
    }

    /// The load is complete here too, from the moment that the state names it.
    fn end(&self, state: &State, ended_ms: i64) -> Result<(), Error> {
        let folder = &self.options.state;
        folder.add_history(&self.finished("loaded", ended_ms))?;
        crash_point("pipelines.finish.before_local");
        folder.save_state(&State { last_load_id: Some(self.journal.load_id.clone()), ..state.clone() })?;
        crash_point("pipelines.finish.after_local");
        folder.clear_load()
    }
}
