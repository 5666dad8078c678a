//! The readers of files, through the source that a load reads by, and the stage that makes rows of what they give.

use std::{
    cell::OnceCell,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use base::{Ask, Lease, Place, Position, Read, Source, Split};
use connectors::{
    files::{Config, FileSource, Format},
    mapping::{Mapping, Ragged},
    record,
    rows::{Plan, Planned, Rows},
};
use engine::Stage;
use tokio::runtime::Runtime;

/// Buffers of a reader and of one batch, whatever the file.
pub(super) const MEMORY_BYTES: usize = 64 << 20;
/// Batches of one input that are read: a small file may hold many rows.
const BATCHES_COUNT_MAX: usize = 64;

pub(super) const CSV_WORDS: &[&str] =
    &["\"", "\"\"", "\r\n", ",", "\n", "\\", "'", "\u{feff}", "\u{2028}", "NA", "1e5"];
pub(super) const JSON_WORDS: &[&str] = &[
    "{", "}", "[", "]", "\"", ":", ",", "\\u0000", "\\", "null", "{\"a\":", "[[[[", "\n", "\u{feff}", "1e400",
];

/// One runtime and one folder for all inputs.
struct Desk {
    runtime: Runtime,
    folder: tempfile::TempDir,
}

thread_local! {
    static DESK: OnceCell<Desk> = const { OnceCell::new() };
}

fn read(format: Format, input: &[u8], set: impl Fn(&mut Config)) {
    DESK.with(|desk| {
        let desk = desk.get_or_init(|| Desk {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
            folder: tempfile::tempdir().expect("a folder"),
        });
        let path = desk.folder.path().join("input");
        std::fs::write(&path, input).expect("the folder can be written");
        let mut config = Config::new(vec![path.clone()]);
        config.format = Some(format);
        config.record_bytes_max = 1 << 20;
        set(&mut config);
        desk.runtime.block_on(async {
            // Those that can be columns are read a second time.
            all(&config, &path, false).await;
            if matches!(format, Format::Avro | Format::Parquet) {
                all(&config, &path, true).await;
            }
        });
    });
}

/// Everything that the file holds; a refusal is as good.
async fn all(config: &Config, path: &Path, in_columns: bool) {
    let mapping = Mapping { ragged: Ragged::Allow, ..Mapping::default() };
    let Ok(source) = FileSource::open(config.clone()) else { return };
    let source = match in_columns && source.arrow().is_ok_and(|columns| columns.is_some()) {
        true => source.in_columns(),
        false if in_columns => return,
        false => source,
    };
    let Ok(shapes) = record::shapes(&source, config, &mapping) else { return };
    let planned = shapes.into_iter().map(|(path, shape)| Planned { path, shape, kinds: Vec::new() });
    let plan = Plan { contract: None, keys: Vec::new(), nulls: Vec::new(), stamp: None, keeps_json: false };
    let Ok(stage) = Rows::new(plan, planned.collect()) else { return };
    let name: Arc<str> = path.to_string_lossy().into();
    let split = Split { id: name.clone(), place: Arc::new(Place::File { path: name }) };
    let Ok(mut reader) = source.open(&split, &Position::Start).await else { return };
    for _ in 0..BATCHES_COUNT_MAX {
        let deadline = Instant::now() + Duration::from_secs(1);
        let ask = Ask { bytes_max: 1 << 20, records_max: 4_096, deadline, lease: Lease::free() };
        match reader.read(&ask).await {
            // Columns go to their target as they are.
            Ok(Read::Batch(_)) if in_columns => {}
            Ok(Read::Batch(batch)) => drop(stage.apply(batch)),
            Ok(Read::Idle) => {}
            Ok(Read::End) | Err(_) => return,
        }
    }
}

/// The first byte says how it is written.
pub(super) fn csv(input: &[u8]) {
    let (first, rest) = input.split_first().unwrap_or((&0, &[]));
    read(Format::Csv, rest, |config| {
        config.escape = (first & 1 > 0).then_some(b'\\');
        config.quote = (first & 2 == 0).then_some(b'"');
        config.comment = (first & 4 > 0).then_some(b'#');
        config.has_header = first & 8 == 0;
    });
}

pub(super) fn json_lines(input: &[u8]) {
    read(Format::JsonLines, input, |_| {});
}

/// The first byte says whether the records stand below a name.
pub(super) fn json_document(input: &[u8]) {
    let (first, rest) = input.split_first().unwrap_or((&0, &[]));
    read(Format::Json, rest, |config| {
        if first & 1 > 0 {
            config.records = "$.a.b".parse().expect("a path");
        }
    });
}

pub(super) fn avro(input: &[u8]) {
    read(Format::Avro, input, |_| {});
}

pub(super) fn parquet(input: &[u8]) {
    read(Format::Parquet, input, |_| {});
}

pub(super) fn excel(input: &[u8]) {
    read(Format::Excel, input, |_| {});
}
