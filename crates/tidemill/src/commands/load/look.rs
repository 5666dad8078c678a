//! What is shown instead of loading: `--infer`, what each column is and why; `--preview`, the first records as the target gets them.

use std::{
    io::{ErrorKind, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use arrow_array::Array;
use base::{
    Ask, Batch, Body, ContractKind, Discovery, Fault, Header, Lease, Position, Read, Reader, Value,
    units::count_text,
};
use connectors::record::Shape;
use contracts::infer::Inference;
use engine::Stage;
use serde_json::{Value as Json, json};

use super::{
    Args,
    failure::LoadError,
    input::{Input, told},
    kafka::TopicArgs,
};
use crate::context::{Context, Failure};

const LOOK_BYTES: u64 = 1 << 20;
/// A source that has nothing yet is asked again after this long.
const PAUSE: Duration = Duration::from_millis(20);
const LOOK_TIME: Duration = Duration::from_secs(60);
/// Records of JSON that are looked at.
const JSON_COUNT_MAX: u64 = 100_000;

fn ask(records_max: usize) -> Ask {
    Ask { bytes_max: LOOK_BYTES, records_max, deadline: Instant::now() + LOOK_TIME, lease: Lease::free() }
}

fn failed(fault: Fault) -> Failure {
    LoadError::of(fault, 0, "the preview").into()
}

/// What `--infer` says of one column or field.
struct Line {
    name: String,
    what: String,
    why: String,
}

/// Prints what each column is, and why.
pub(super) async fn infer(input: &Input, args: &Args, context: &Context) -> Result<(), Failure> {
    let mut groups = Vec::new();
    for (paths, seen) in input.seen(args.files.infer_rows).await? {
        let line = |decision: connectors::rows::seen::Decision| Line {
            name: decision.column,
            what: decision.what,
            why: decision.why,
        };
        groups.push((paths, seen.rows_count(), seen.decisions().into_iter().map(line).collect()));
    }
    for (path, shape) in input.read_shapes() {
        if !matches!(shape, Shape::Csv { .. }) {
            let (count, lines) = fields(input, &path).await?;
            groups.push((vec![path], count, lines));
        }
    }
    let text = if context.is_json() { infer_json(&groups) } else { infer_text(&groups) };
    print(&text)
}

type Group = (Vec<Arc<str>>, u64, Vec<Line>);

fn infer_json(groups: &[Group]) -> String {
    let line = |line: &Line| json!({ "name": line.name, "type": line.what, "why": line.why });
    let group = |(paths, count, lines): &Group| {
        let columns: Vec<Json> = lines.iter().map(line).collect();
        json!({ "sources": paths, "records_count": count, "columns": columns }).to_string() + "\n"
    };
    groups.iter().map(group).collect()
}

fn infer_text(groups: &[Group]) -> String {
    let mut text = String::new();
    for (paths, count, lines) in groups {
        let more = if paths.len() > 1 { format!(" and {} more", paths.len() - 1) } else { String::new() };
        text += &format!("{}{more}: {} records looked at\n", paths[0], count_text(*count));
        let width =
            |of: fn(&Line) -> &str| lines.iter().map(|line| of(line).chars().count()).max().unwrap_or(0);
        let (names, types) = (width(|line| &line.name), width(|line| &line.what));
        for Line { name, what, why } in lines {
            text += format!("  {name:names$}  {what:types$}  {why}").trim_end();
            text.push('\n');
        }
    }
    text
}

/// The fields of JSON, as they were seen; of typed records as the first batch has them.
async fn fields(input: &Input, path: &Arc<str>) -> Result<(u64, Vec<Line>), Failure> {
    let mut reader = opened(input, path).await?;
    let mut inference = Inference::new(&[]);
    let mut typed: Vec<Line> = Vec::new();
    let mut count = 0;
    while count < JSON_COUNT_MAX {
        let batch = match reader.read(&ask(usize::MAX)).await.map_err(failed)? {
            Read::Batch(batch) => batch,
            Read::Idle => continue,
            Read::End => break,
        };
        count += batch.len() as u64;
        match &batch.body {
            Body::Raw(records) => {
                let objects =
                    (0..records.len()).filter_map(|row| serde_json::from_slice(records.value(row)).ok());
                objects.for_each(|object| inference.add_object(&object));
            }
            Body::Rows(rows) => {
                rows.iter().for_each(|row| add_typed(row, &mut typed));
                break;
            }
            Body::Columns(_) => break,
        }
    }
    if !typed.is_empty() {
        return Ok((count, typed));
    }
    let inferred = inference.json_schema("records").map_err(|error| Box::new(error) as Failure)?;
    let lines = inferred.notes.into_iter().map(|note| {
        let (what, why) = note.text.split_once(": ").unwrap_or((&note.text, ""));
        Line { name: note.field.clone(), what: what.to_owned(), why: why.to_owned() }
    });
    Ok((count, lines.collect()))
}

fn add_typed(row: &Value, lines: &mut Vec<Line>) {
    let Value::Struct(fields) = row else { return };
    for (name, value) in fields {
        let what = value.kind_name().to_owned();
        match lines.iter_mut().find(|line| line.name == **name) {
            None => lines.push(Line { name: name.to_string(), what, why: "the file says so".to_owned() }),
            Some(line) if line.what == "null" => line.what = what,
            Some(_) => {}
        }
    }
}

/// A reader from the first record that leaves everything where it is.
async fn opened(input: &Input, path: &str) -> Result<Box<dyn Reader>, Failure> {
    match input {
        Input::Files(files) => files.source.look(path).await.map_err(failed),
        Input::Made { .. } | Input::Watched { .. } | Input::Given { .. } | Input::Records(_) => {
            let source = input.source();
            loop {
                match source.discover(&ask(1)).await.map_err(failed)? {
                    Discovery::Changed { assigned, .. } => match assigned.first() {
                        Some(split) => return source.open(split, &Position::Start).await.map_err(failed),
                        None => tokio::time::sleep(PAUSE).await,
                    },
                    Discovery::Complete => {
                        return Err(Box::new(LoadError::Plan { source: "there is nothing to read".into() }));
                    }
                }
            }
        }
    }
}

/// Prints the first records as they leave the last stage; `topic`: they are for one, and have what a topic's records have besides.
pub(super) async fn preview(
    input: &Input,
    stages: &[Arc<dyn Stage>],
    count: usize,
    topic: Option<&TopicArgs>,
    context: &Context,
) -> Result<(), Failure> {
    let (mut left, mut text) = (count, String::new());
    for (path, _) in input.read_shapes() {
        let mut reader = opened(input, &path).await?;
        while left > 0 {
            let batch = match reader.read(&ask(left)).await.map_err(failed)? {
                Read::Batch(batch) => batch,
                Read::Idle => continue,
                Read::End => break,
            };
            let batch = batch.slice(0..batch.len().min(left));
            left -= batch.len();
            show(batch, stages, topic, context.is_json(), &mut text)?;
        }
    }
    if !context.is_json() {
        let shown = count - left;
        let plural = if shown == 1 { "" } else { "s" };
        text += &format!("{shown} record{plural}; nothing was loaded\n");
    }
    print(&text)
}

fn show(
    received: Batch,
    stages: &[Arc<dyn Stage>],
    topic: Option<&TopicArgs>,
    is_json: bool,
    text: &mut String,
) -> Result<(), Failure> {
    let mut batches = vec![received.clone()];
    for stage in stages {
        let mut next = Vec::new();
        for batch in batches {
            let (made, rejects) = stage.apply(batch).map_err(failed)?;
            next.extend(made);
            for reject in rejects.0 {
                *text += &match is_json {
                    true => {
                        json!({ "refused": reject.reason, "code": reject.code.to_string() }).to_string()
                            + "\n"
                    }
                    false => format!("refused  {} {}\n", reject.code, reject.reason),
                };
            }
        }
        batches = next;
    }
    for batch in batches {
        for row in 0..batch.len() {
            let made = batch.origin(row);
            let came = received.row_of(&made).map_or(made, |row| received.origin(row));
            let beside = topic.map(|topic| Beside::of(&batch, row, topic)).unwrap_or_default();
            let key = batch.envelope.key(row).map(text_of);
            *text += &record(&batch, row, &came.to_string(), key.as_deref(), &beside, is_json);
        }
    }
    Ok(())
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a topic's record has besides key and value, where it is not left to its broker.
#[derive(Default)]
struct Beside {
    partition: Option<i32>,
    timestamp_ms: Option<i64>,
    headers: Vec<(Arc<str>, Option<String>)>,
}

impl Beside {
    fn of(batch: &Batch, row: usize, topic: &TopicArgs) -> Self {
        let headers = batch.envelope.headers.as_ref().map(|headers| headers[row].as_slice());
        let header = |header: &Header| (header.name.clone(), header.value.as_deref().map(text_of));
        Self {
            partition: topic.partition.or(batch.envelope.partition(row)),
            timestamp_ms: batch.envelope.timestamp_ms(row).filter(|ms| *ms >= 0),
            headers: headers.unwrap_or_default().iter().map(header).collect(),
        }
    }

    fn add_to(&self, record: &mut Json) {
        if let Some(partition) = self.partition {
            record["partition"] = json!(partition);
        }
        if let Some(timestamp_ms) = self.timestamp_ms {
            record["timestamp_ms"] = json!(timestamp_ms);
        }
        if !self.headers.is_empty() {
            let header =
                |(name, value): &(Arc<str>, Option<String>)| json!({ "name": **name, "value": value });
            record["headers"] = self.headers.iter().map(header).collect();
        }
    }
}

/// One record: its place, its key, what a topic has besides, and each field with its type.
fn record(
    batch: &Batch,
    row: usize,
    place: &str,
    key: Option<&str>,
    beside: &Beside,
    is_json: bool,
) -> String {
    let value = value(batch, row);
    if is_json {
        let value = match &value {
            Ok(row) => serde_json::from_str(&told(row).1).unwrap_or_default(),
            Err(text) => serde_json::from_str(text).unwrap_or_else(|_| Json::from(text.as_str())),
        };
        let mut record = json!({ "place": place, "key": key, "value": value });
        beside.add_to(&mut record);
        return record.to_string() + "\n";
    }
    let mut text = place.to_owned();
    if let Some(key) = key {
        text += &format!("  key {key}");
    }
    if let Some(partition) = beside.partition {
        text += &format!("  partition {partition}");
    }
    if let Some(ms) = beside.timestamp_ms {
        text += &format!("  time {}", told(&Value::TimestampMs(ms)).1.trim_matches('"'));
    }
    text.push('\n');
    for (name, value) in &beside.headers {
        text += &format!("  header {name} = {}\n", value.as_deref().unwrap_or("null"));
    }
    match &value {
        Err(value) => text += &format!("  {value}\n"),
        Ok(Value::Struct(fields)) => {
            let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
            for (name, value) in fields {
                let (kind, value) = told(value);
                text += &format!("  {name:width$}  {kind:9}  {value}\n");
            }
        }
        Ok(other) => text += &format!("  {}\n", told(other).1),
    }
    text
}

/// The value with its types, or the text that a topic gets.
fn value(batch: &Batch, row: usize) -> Result<Value, String> {
    match &batch.body {
        Body::Rows(rows) => Ok(rows[row].clone()),
        Body::Raw(values) if values.is_valid(row) => {
            let bytes = values.value(row);
            let contract = batch.contract.as_deref().filter(|contract| contract.kind == ContractKind::Avro);
            if let Some(contract) = contract
                && let Ok(decoder) = contracts::avro::Decoder::new(&contract.subject, &contract.text)
                && let Ok(row) = decoder.decode(bytes)
            {
                return Ok(row);
            }
            Err(String::from_utf8_lossy(bytes).into_owned())
        }
        Body::Raw(_) => Err("null".to_owned()),
        Body::Columns(columns) => Err(format!("{columns:?}")),
    }
}

/// To standard output; whoever reads us may have seen enough.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(LoadError::of(Fault::Fatal(error.into()), 0, "standard output").into())
        }
        _ => Ok(()),
    }
}
