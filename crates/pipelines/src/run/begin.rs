//! Which load this is: the one that an earlier life left, or a new one.

use std::sync::Arc;

use base::{BoxError, Fault};
use connectors::objects::Memory;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::{Options, Run, Target};
use crate::{
    Error, Naming, Tables, WriteDisposition,
    file::StreamSpec,
    incremental::Backfill,
    source::Asked,
    state::{Bounds, CursorText, Journal, LoadKind, Phase, State, StateFolder},
    target::Lake,
};

/// What a lock's file says of a run that is over: its last life removes the rest.
pub(super) async fn begin(options: Options) -> Result<Run, BoxError> {
    let folder = options.state.clone();
    for stream in &options.streams {
        // What cannot be read is told before anything is begun.
        let letters = options.letters.as_ref().and_then(|letters| letters.get(&stream.name));
        let asked = Asked { selection: super::selection(stream, None), topic: None, letters };
        options.file.open_source(stream, &asked, &options.places)?;
    }
    let checkpoints = folder.lock()?;
    let mut state = folder.state()?;
    let mut journal = folder.journal()?;
    let last_load_id = state.as_ref().and_then(|state| state.last_load_id.as_ref());
    let is_complete = |running: &Journal| last_load_id == Some(&running.load_id);
    if journal.as_ref().map_or_else(|| folder.open_files().exists(), is_complete) {
        // The load before died while it tidied up; it is complete.
        folder.clear_load()?;
        checkpoints.forget()?;
        journal = None;
    }
    let mut is_restored = false;
    if let (None, None, Target::Lake(lake)) = (&state, &journal, &options.target) {
        // It says at once what a listing would say after its retries.
        lake.check().await.map_err(Fault::into_inner)?;
        state = restore(&folder, lake, &options.file.name).await.map_err(Fault::into_inner)?;
        is_restored = state.is_some();
    }
    let state = state.unwrap_or_default();
    let digest = digest(&options);
    let is_resumed = journal.is_some();
    let journal = match journal {
        Some(journal) => same(journal, &options, &digest)?,
        None => fresh(&options, &state, digest)?,
    };
    let tables = Arc::new(tables(&folder, &journal, &options)?);
    if let Target::Lake(_) = &options.target {
        declare(&tables, &options)?;
    }
    let saved_revision = Arc::new(Mutex::new(tables.revision()));
    let memory_bytes = usize::try_from(options.file.files_bytes_max()).unwrap_or(usize::MAX);
    Ok(Run {
        journal,
        state,
        tables,
        saved_revision,
        checkpoints: Arc::new(checkpoints),
        memory: Memory::new(memory_bytes),
        is_resumed,
        is_restored,
        options,
    })
}

/// State and schema from the target, saved here; `None` where it has none.
pub async fn restore(folder: &StateFolder, lake: &Lake, pipeline: &str) -> Result<Option<State>, Fault> {
    let Some(mut state) = lake.stored_state(pipeline).await? else { return Ok(None) };
    // The load that wrote it is over, but no load of ours has that name.
    state.last_load_id = None;
    if let Some(schema) = lake.stored_schema(&schema_name(pipeline)).await? {
        folder.save_schema(&schema).map_err(Error::fatal)?;
    }
    folder.save_state(&state).map_err(Error::fatal)?;
    Ok(Some(state))
}

/// As dlt names the schema of a pipeline.
pub(crate) fn schema_name(pipeline: &str) -> String {
    Naming::new(None).name(pipeline)
}

pub(crate) fn is_replaced(stream: &StreamSpec) -> bool {
    stream.shape.write_disposition == WriteDisposition::Replace
}

/// Its files stay hidden until they take the place of those that are there.
pub(super) fn is_staged(journal: &Journal, stream: &StreamSpec) -> bool {
    match journal.kind {
        LoadKind::Letters => false,
        LoadKind::Incremental | LoadKind::Backfill(_) => journal.is_full_refresh || is_replaced(stream),
    }
}

/// The load that runs, if it is the one that is asked for.
fn same(journal: Journal, options: &Options, digest: &str) -> Result<Journal, Error> {
    if journal.phase == Phase::GivingUp {
        let pipeline = options.file.name.clone();
        return Err(Error::GivingUp { pipeline, load_id: journal.load_id });
    }
    let kind = kind(options);
    let streams: Vec<String> = options.streams.iter().map(|stream| stream.name.clone()).collect();
    let difference = if journal.kind != kind {
        match (&journal.kind, &kind) {
            (LoadKind::Letters, _) => "it sends dead letters again".to_owned(),
            (_, LoadKind::Letters) => "it is no load of dead letters".to_owned(),
            (LoadKind::Incremental, _) => "it was begun without --from and --to".to_owned(),
            (LoadKind::Backfill(_), _) => "it was begun with other --from and --to".to_owned(),
        }
    } else if journal.streams != streams {
        format!("it was begun with --streams {}", journal.streams.join(","))
    } else if journal.is_full_refresh != options.full_refresh {
        let with = if journal.is_full_refresh { "with" } else { "without" };
        format!("it was begun {with} --full-refresh")
    } else if journal.plan_digest != digest {
        "the pipeline's file has changed since".to_owned()
    } else {
        return Ok(journal);
    };
    let pipeline = options.file.name.clone();
    Err(Error::OtherLoad { pipeline, load_id: journal.load_id, difference })
}

fn fresh(options: &Options, state: &State, digest: String) -> Result<Journal, Error> {
    let now_ms = options.clock.now_ms();
    let mut journal = Journal::begin(load_id(now_ms, state), now_ms, digest, kind(options));
    journal.streams = options.streams.iter().map(|stream| stream.name.clone()).collect();
    journal.is_full_refresh = options.full_refresh;
    if let (Some(text), None) = (options.state.schema()?, &options.letters) {
        let tables = open_schema(&options.state, &text)?;
        for stream in options.streams.iter().filter(|stream| options.full_refresh || is_replaced(stream)) {
            let of_stream = tables.tables_of(&stream.shape);
            journal.leaving_tables.extend(of_stream.iter().map(|table| table.name.to_string()));
        }
    }
    options.state.save_journal(&journal)?;
    base::crash_point("pipelines.begin.after_journal");
    Ok(journal)
}

/// Seconds since 1970 with a fraction; two loads of one pipeline never have the same.
fn load_id(now_ms: i64, state: &State) -> String {
    let text = |ms: i64| format!("{}.{:03}", ms.div_euclid(1_000), ms.rem_euclid(1_000));
    let first = text(now_ms);
    if state.last_load_id.as_ref() == Some(&first) { text(now_ms + 1) } else { first }
}

fn kind(options: &Options) -> LoadKind {
    let text = |value: &Option<crate::CursorValue>| value.as_ref().map(CursorText::from);
    match (&options.letters, &options.backfill) {
        (Some(_), _) => LoadKind::Letters,
        (None, None) => LoadKind::Incremental,
        (None, Some(Backfill { from, to })) => LoadKind::Backfill(Bounds { from: text(from), to: text(to) }),
    }
}

/// The schema that the load goes on with.
fn tables(folder: &StateFolder, journal: &Journal, options: &Options) -> Result<Tables, Error> {
    let begins_anew = journal.is_full_refresh && journal.streams.len() == options.file.streams.len();
    let text = match folder.load_schema()? {
        Some(text) => Some(text),
        None if begins_anew => None,
        None => folder.schema()?,
    };
    text.map_or_else(|| Ok(Tables::new(&options.file.name, None)), |text| open_schema(folder, &text))
}

/// What the pipeline's file says of its tables. In dlt that is a version of the schema of its own, which the first life counts.
fn declare(tables: &Tables, options: &Options) -> Result<(), BoxError> {
    for stream in &options.streams {
        tables.declare(&stream.shape)?;
    }
    if options.state.load_schema()?.is_none() {
        tables.stored();
        options.state.save_load_schema(&tables.draft())?;
    }
    Ok(())
}

pub(super) fn open_schema(folder: &StateFolder, text: &str) -> Result<Tables, Error> {
    Tables::open(text, None).map_err(|source| Error::StateFormat {
        what: folder.path().join("schema.json").display().to_string(),
        reason: source.to_string(),
    })
}

/// What a second life must not do otherwise: where things lie, and what they are made of.
fn digest(options: &Options) -> String {
    let (file, target) = (&options.file, &options.file.target);
    let mut text = format!(
        "{:?} {:?} {:?} {:?} {} {:?} {:?} {} {} {}",
        file.source.connection,
        file.source.url,
        file.source.database,
        (&target.connection, &target.url),
        target.dataset,
        target.format,
        target.compression,
        target.layout,
        target.file_bytes_max,
        target.file_records_max,
    );
    if file.reads_topics(&options.places) {
        text += &format!("\n{:?}", file.source.settings);
    }
    for stream in &options.streams {
        let StreamSpec { name, collection, shape, cursor, fields, filter, span: _, disposition_span: _ } =
            stream;
        text += &format!("\n{name} {collection} {shape:?} {cursor:?} {fields:?} {filter:?}");
    }
    Sha256::digest(text)[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}
