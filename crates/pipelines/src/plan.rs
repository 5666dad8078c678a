//! What a run would do: asked of the source, written nowhere.

use std::time::{Duration, Instant};

use base::{Ask, BoxError, Discovery, Fault, Lease};

use crate::{
    Error, Nested, Options, Target, WriteDisposition,
    file::{Compression, Format, OnMissing, StreamSpec},
    incremental::Cursor,
    layout::FileName,
    run,
    source::Asked,
    state::{LoadKind, TopicState},
    target::encode::extension,
};

/// A run before it is one.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub pipeline: String,
    pub source: String,
    pub target: String,
    /// Whether it begins, goes on, or reads a stretch again.
    pub load: String,
    pub streams: Vec<StreamPlan>,
    pub memory_bytes_max: u64,
    pub lanes_count_max: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StreamPlan {
    pub name: String,
    pub collection: String,
    /// What the source tells of before it is read.
    pub splits: Vec<String>,
    /// What the store does for us.
    pub pushed_down: Vec<String>,
    /// What is looked at in each record here.
    pub checked_here: Vec<String>,
    /// The forms that records take on their way.
    pub conversions: String,
    pub write_disposition: &'static str,
    /// Where the root table's files come to lie, or the collection of a store.
    pub files: String,
}

/// How long a source may take to say what there is.
const DISCOVER_MS: u64 = 10_000;
/// More rounds than this no source needs before it is read.
const DISCOVER_ROUNDS_MAX: usize = 3;

/// # Errors
/// What also stops the run: a source that cannot be opened or reached, a load that is in the way.
pub async fn plan(options: &Options) -> Result<Plan, BoxError> {
    let state = options.state.state()?.unwrap_or_default();
    let journal = options.state.journal()?;
    let load = match (&journal, &options.backfill) {
        (Some(journal), _) => format!("goes on with load {}", journal.load_id),
        (None, Some(_)) => "a backfill that moves no cursor".to_owned(),
        (None, None) if options.full_refresh => "everything anew, in place of what is there".to_owned(),
        (None, None) if state.last_load_id.is_none() => "the first load".to_owned(),
        (None, None) => "a new load".to_owned(),
    };
    let mut streams = Vec::new();
    for stream in &options.streams {
        let known = state.streams.get(&stream.name).filter(|_| !options.full_refresh);
        let backfill = match journal.as_ref().map(|journal| &journal.kind) {
            Some(LoadKind::Backfill(bounds)) => Some(bounds.to_backfill()),
            Some(LoadKind::Incremental | LoadKind::Letters) => None,
            None => options.backfill.clone(),
        };
        let cursor = stream.cursor.as_ref().map(|spec| {
            let known = known.filter(|state| state.field == spec.field);
            Cursor::of(&stream.name, spec, &stream.shape.primary_key, known, backfill.as_ref())
        });
        let topic = state.topics.get(&stream.name).filter(|_| !options.full_refresh);
        streams.push(stream_plan(options, stream, cursor.as_ref(), topic).await?);
    }
    Ok(Plan {
        pipeline: options.file.name.clone(),
        source: options.file.source_address(&options.places),
        target: options.file.target_shown(&options.places),
        load,
        streams,
        memory_bytes_max: options.file.memory_bytes_max,
        lanes_count_max: options.file.lanes_count_max,
    })
}

async fn stream_plan(
    options: &Options,
    stream: &StreamSpec,
    cursor: Option<&Cursor>,
    topic: Option<&TopicState>,
) -> Result<StreamPlan, BoxError> {
    let asked = Asked { selection: run::selection(stream, cursor), topic, letters: None };
    let opened = options.file.open_source(stream, &asked, &options.places)?;
    let selection = asked.selection;
    let is_file = !opened.stages.is_empty();
    let splits = splits(&*opened.source).await.map_err(Fault::into_inner)?;
    let (mut pushed_down, mut checked_here) = (Vec::new(), Vec::new());
    if !selection.fields.is_empty() {
        pushed_down.push(format!("fields {}", selection.fields.join(", ")));
    }
    if let Some(filter) = &selection.filter {
        pushed_down.push(format!("filter {filter}"));
    }
    let is_replaced = stream.shape.write_disposition == WriteDisposition::Replace;
    if let Some(topic) = topic.filter(|topic| topic.topic == stream.collection && !is_replaced) {
        let from: Vec<String> =
            topic.offsets.iter().map(|(partition, next)| format!("{partition} from {next}")).collect();
        pushed_down.push(format!("partitions {}", from.join(", ")));
    }
    if let Some(cursor) = cursor {
        let mut range = cursor.field.clone();
        if let Some(from) = &cursor.from {
            range += &format!(" from {from} on");
        }
        if let Some(to) = &cursor.to {
            range += &format!(" below {to}");
        }
        if is_file { &mut checked_here } else { &mut pushed_down }.push(range);
        if !cursor.known.is_empty() {
            checked_here.push(format!("{} known rows at the last value are left out", cursor.known.len()));
        }
        if cursor.on_missing == OnMissing::Raise {
            checked_here.push(format!("{} is in every record", cursor.field));
        }
    }
    Ok(StreamPlan {
        name: stream.name.clone(),
        collection: stream.collection.clone(),
        splits,
        pushed_down,
        checked_here,
        conversions: conversions(options, stream, opened.first_form),
        write_disposition: stream.shape.write_disposition.name(),
        files: files(options, stream),
    })
}

/// What the source tells of before anything is read.
async fn splits(source: &dyn base::Source) -> Result<Vec<String>, Fault> {
    let mut splits = Vec::new();
    for _ in 0..DISCOVER_ROUNDS_MAX {
        let deadline = Instant::now() + Duration::from_millis(DISCOVER_MS);
        let ask = Ask { bytes_max: 0, records_max: 0, deadline, lease: Lease::free() };
        match source.discover(&ask).await? {
            Discovery::Complete => break,
            Discovery::Changed { assigned, .. } if assigned.is_empty() => break,
            Discovery::Changed { assigned, .. } => {
                splits.extend(assigned.iter().map(|split| split.id.to_string()));
            }
        }
    }
    Ok(splits)
}

fn conversions(options: &Options, stream: &StreamSpec, first_form: &str) -> String {
    let first = if first_form == "rows" { "rows".to_owned() } else { format!("{first_form} -> rows") };
    if let Target::Store { scheme, .. } = &options.target {
        return format!("{first} -> {scheme}");
    }
    let tables = match stream.shape.nested {
        Nested::Flatten { .. } => "columns of flat tables",
        Nested::Keep => "columns, objects and lists as JSON",
    };
    let target = &options.file.target;
    let format = match target.format {
        Format::Parquet => "Parquet",
        Format::Jsonl => "JSON Lines",
        Format::Csv => "CSV",
    };
    let compression = match target.compression {
        Compression::None => "no compression",
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
        Compression::Snappy => "snappy",
    };
    format!("{first} -> {tables} -> {format}, {compression}")
}

fn files(options: &Options, stream: &StreamSpec) -> String {
    let target = &options.file.target;
    if let Target::Store { .. } = options.target {
        return stream.name.clone();
    }
    let table = crate::Naming::new(None).name(&stream.name);
    let name = FileName {
        schema_name: &run::schema_name(&options.file.name),
        table_name: &table,
        load_id: "LOAD",
        file_id: "FILE",
        ext: extension(target.format, target.compression),
        load_ms: options.clock.now_ms(),
    };
    format!("{}/{}", target.dataset, target.layout.path(&name))
}

/// `--from` and `--to` need a cursor in each stream.
///
/// # Errors
/// `NoCursor`.
pub fn check_backfill(options: &Options) -> Result<(), Error> {
    let without = options.streams.iter().find(|stream| stream.cursor.is_none());
    match (&options.backfill, without) {
        (Some(_), Some(stream)) if options.file.reads_topics(&options.places) => Err(Error::TopicRange {
            stream: stream.name.clone(),
            file: options.file.file.clone(),
            span: stream.span,
        }),
        (Some(_), Some(stream)) => Err(Error::NoCursor {
            stream: stream.name.clone(),
            file: options.file.file.clone(),
            span: stream.span,
        }),
        _ => Ok(()),
    }
}
