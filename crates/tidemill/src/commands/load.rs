//! `tidemill load SOURCE… TARGET`: a transfer from files or a generator to a store, once.
//!
//! Map: this file the arguments; `load/job.rs` the transfer; `load/input.rs` where records come from (`load/generate.rs` generators,
//! `load/http.rs` pages, `load/records.rs` stores and topics), `load/reading.rs` how they are read, `load/look.rs` what is shown
//! instead of loading; `load/kafka.rs` topics, `load/contract.rs` and `load/registry.rs` what
//! their values keep; `load/stores.rs` tables and collections, which take rows; `load/objects.rs` files and objects, and
//! `load/convert.rs` the command that has only those; `load/pace.rs` how fast and how long; `load/watch.rs` files that appear;
//! `load/state.rs` what a resumed load knows; `load/again.rs` dead letters that are sent again, `load/aside.rs` and
//! `load/beside.rs` those of files; `load/show.rs` progress and the summary; `load/failure.rs` what ends a load,
//! `load/hindrance.rs` what keeps it from beginning or going on.

mod again;
mod aside;
mod beside;
mod contract;
pub mod convert;
mod failure;
mod generate;
mod hindrance;
mod http;
mod input;
mod job;
mod kafka;
mod look;
mod objects;
mod pace;
mod reading;
mod records;
mod registry;
mod show;
mod state;
mod stores;
mod watch;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub(crate) use again::{Letters, kind_of_source, send_again};
use base::{ContractKind, Sink};
pub(crate) use beside::{find, writes_files};
use connectors::rows::Planned;
use engine::Stage;
use failure::LoadError;
pub(crate) use hindrance::Hindrance;
use state::State;
pub(crate) use state::{Manifest, loads_folder};
pub(super) use stores::Store;

use crate::{
    context::{Context, Failure},
    notices::Showing,
};

#[derive(clap::Args)]
#[command(
    after_help = "More options and what they mean: tidemill load --help",
    after_long_help = "Examples:
  tidemill load data/flights.csv kafka://local/flights --contract flights --key tailnum
  tidemill load data/planes.csv dynamodb://local/planes --key tailnum --create
  tidemill load data/planes.csv mongodb://127.0.0.1:27017/fleet/planes --key tailnum
  tidemill load 'generate:finance.transactions?count=1000000' kafka://local/transactions --key card_id --create
  tidemill load data/flights.csv s3://lake/flights/ --target-format parquet --file-rows 100000
  tidemill load mongodb://127.0.0.1:27017/fleet/planes dynamodb://local/planes --key tailnum --create
  tidemill load kafka://local/flights flights.parquet
  zcat events.jsonl.gz | tidemill load - kafka://broker:9092/events --format jsonl --serializer json
  tidemill load generate:users kafka://local/users --create --rate 500/s --loop
  tidemill load --watch inbox kafka://local/events --transactional
  tidemill load --resume"
)]
pub struct Args {
    /// Where records come from, and, last of all, where they go: files, objects, topics, stores, generators
    ///
    /// Sources are files, folders and patterns (.csv .tsv .jsonl .ndjson .json .avro .parquet .xlsx .xls .ods; .gz .zst .bz2 .sz),
    /// s3://BUCKET/KEY, gs://BUCKET/KEY, https://…, - for standard input, or a generator: generate:users,
    /// generate:finance.TABLE?count=N&seed=N&customers=N (users, cards, transactions, mcc_codes, fraud_labels), generate:CONTRACT?count=N&seed=N
    /// (a name in contracts/, or a file), or pages of JSON at an https:// address without a file's ending. Then the target:
    /// kafka://local/TOPIC, kafka://HOST:PORT/TOPIC, dynamodb://local/TABLE, dynamodb://CONNECTION/TABLE,
    /// mongodb://HOST/DATABASE/COLLECTION, mongodb://CONNECTION/COLLECTION, firestore://PROJECT/COLLECTION, or files:
    /// out.parquet, FOLDER/, s3://BUCKET/KEY.jsonl.gz, gs://BUCKET/PREFIX/. Topics and stores are sources too.
    #[arg(required_unless_present_any = ["resume", "list"], num_args = 1.., value_name = "SOURCE... TARGET")]
    paths: Vec<String>,
    /// Contract the records keep: a name in contracts/, or a file (.json JSON Schema, .avsc Avro, .proto Protobuf)
    #[arg(long, value_name = "NAME|FILE")]
    contract: Option<String>,
    /// Field whose text becomes the record's key; several with commas
    ///
    /// The key of several is an object of JSON for a topic. For a topic it may be an expression too: '{{ region }}-{{ id }}'
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    key: Vec<String>,
    /// What a record does to one that is there already: insert refuses it [default: what a second load leaves as it is]
    #[arg(long, value_enum)]
    write: Option<Write>,
    /// Make the topic or the table if it is not there
    #[arg(long, alias = "create-topic")]
    create: bool,
    /// Stop after so many records of all sources together
    #[arg(long, value_name = "RECORDS")]
    limit: Option<u64>,
    /// What a bad record does
    #[arg(long, value_enum, default_value = "stop")]
    on_error: OnBad,
    /// Folder for dead letters [default: .tidemill/dead-letters/NAME of the topic, table or collection]
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    dead_letters: Option<PathBuf>,
    /// Format of the sources, where the names do not tell
    #[arg(long, value_parser = ["csv", "jsonl", "json", "avro", "parquet", "excel", "text", "bytes"], help_heading = "Reading")]
    format: Option<String>,
    /// What separates fields of CSV [default: a comma, a tab for .tsv]
    #[arg(long, value_name = "CHARACTER", help_heading = "Reading")]
    delimiter: Option<String>,
    /// Text of CSV that stands for a missing value; may be given several times [default: empty and NA]
    #[arg(long, value_name = "MARKER", help_heading = "Reading")]
    null: Vec<String>,
    #[command(flatten)]
    reading: reading::ReadingArgs,
    /// How values of a topic are written [default: json-schema, avro or protobuf as the contract is, json without one]
    #[arg(long, value_enum, help_heading = "Topics")]
    serializer: Option<Serial>,
    /// How keys become partitions: murmur2 (Kafka's), crc32 (librdkafka's), fnv1a; or whatever the key: random, round-robin,
    /// sticky, an expression: '{{ id % 8 }}'
    #[arg(long, default_value = "murmur2", help_heading = "Topics", hide_short_help = true)]
    partitioner: String,
    /// Partitions of a topic that is made
    #[arg(long, default_value_t = 1, requires = "create", help_heading = "Topics")]
    partitions: i32,
    /// Schema registry, instead of the project's
    #[arg(long, value_name = "URL", help_heading = "Topics")]
    registry: Option<String>,
    /// How that one is reached, by the names of Confluent's clients: basic.auth.user.info=USER:PASSWORD, bearer.auth.token=TOKEN,
    /// ssl.ca.location=FILE; may be given several times [default: registry.properties, for the project's]
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Topics", hide_short_help = true)]
    registry_property: Vec<String>,
    /// Use the schema only if the registry has it already
    #[arg(long, help_heading = "Topics", hide_short_help = true)]
    no_register: bool,
    /// Wait so long for records to fill a batch
    #[arg(long, value_name = "MS", help_heading = "Topics", hide_short_help = true)]
    linger_ms: Option<u32>,
    /// Bytes of a batch
    #[arg(long, value_name = "BYTES", help_heading = "Topics", hide_short_help = true)]
    batch_bytes: Option<u32>,
    /// A producer setting by librdkafka's name; may be given several times
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Topics", hide_short_help = true)]
    property: Vec<String>,
    #[command(flatten)]
    topics: kafka::TopicArgs,
    /// Give each row of a table or collection a field with the time of this load, for a pipeline's cursor
    #[arg(long, value_name = "FIELD", help_heading = "Tables and collections", hide_short_help = true)]
    stamp: Option<String>,
    #[command(flatten)]
    tables: stores::TableArgs,
    /// Of files, or of a topic's batches: none, gzip, snappy, lz4 or zstd
    #[arg(long, help_heading = "Files and objects")]
    compression: Option<String>,
    #[command(flatten)]
    files: objects::FileArgs,
    #[command(flatten)]
    http: http::HttpArgs,
    #[command(flatten)]
    select: records::SelectArgs,
    #[command(flatten)]
    pace: pace::PaceArgs,
    #[command(flatten)]
    resume: state::ResumeArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Serial {
    JsonSchema,
    Avro,
    Protobuf,
    Json,
    String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnBad {
    Stop,
    DeadLetter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Write {
    // One that is there already is an error.
    Insert,
    // Its fields are set; others stay, where the store can do that.
    Upsert,
    // It takes the other's place.
    Replace,
    // Its fields are set where one is there; where none is, the record is refused.
    Update,
    // The one that has its key goes.
    Delete,
}

pub async fn run(mut args: Args, context: &Context) -> Result<(), Failure> {
    if args.resume.list {
        return state::list(context);
    }
    let _showing = Showing::of_command(context.is_json());
    if let Some(id) = &args.resume.resume {
        let (state, mut again, then) = State::reopen(context, id)?;
        generate::adopt(&mut again, &then)?;
        return job::run(&again, &then, Some(state), args.resume.accept_changes).await;
    }
    generate::adopt(&mut args, context)?;
    job::run(&args, context, None, false).await
}

/// Where to load to.
enum Target {
    Kafka(kafka::Topic),
    Store(stores::Store),
    Files(objects::Files),
}

impl Target {
    /// As people call it: the topic, the table, the collection.
    fn name(&self) -> &str {
        match self {
            Target::Kafka(topic) => &topic.name,
            Target::Store(store) => store.name(),
            Target::Files(files) => files.shown(),
        }
    }

    fn parse(text: &str, args: &Args, context: &Context) -> Result<Self, Failure> {
        if let Some(files) = objects::Files::parse(text, &args.files) {
            return files.map(Target::Files);
        }
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        match scheme {
            "kafka" => kafka::Topic::parse(text).map(Target::Kafka),
            _ => stores::Store::parse(text, context).map(Target::Store),
        }
    }
}

/// What a target's kind makes of the arguments.
struct Prepared {
    stage: Arc<dyn Stage>,
    sink: Arc<dyn Sink>,
    /// As people call it: the topic, the table, the collection.
    name: String,
    /// What `--output json` says of it.
    told: serde_json::Value,
    /// A second load leaves what the first would have left.
    is_repeatable: bool,
    budget_bytes: u32,
    /// The files with what their columns were found to be, where that mattered.
    planned: Vec<Planned>,
}

/// The text of the contract that `--contract` names, with its path and kind.
fn contract_text(args: &Args, context: &Context) -> Result<Option<(PathBuf, ContractKind, String)>, Failure> {
    let Some(named) = &args.contract else { return Ok(None) };
    let path = contract_path(context, named)?;
    let text = std::fs::read_to_string(&path)
        .map_err(|source| LoadError::Contract { path: path.clone(), source })?;
    let kind = contracts::kind_of_file(&path.to_string_lossy()).unwrap_or(ContractKind::JsonSchema);
    Ok(Some((path, kind, text)))
}

fn contract_path(context: &Context, named: &str) -> Result<PathBuf, Failure> {
    let typed = context.path(Path::new(named))?;
    if typed.is_file() {
        return Ok(typed);
    }
    let folder = context.root()?.join("contracts");
    for extension in ["json", "avsc", "proto"] {
        let path = folder.join(format!("{named}.{extension}"));
        if path.is_file() {
            return Ok(path);
        }
    }
    Err(Box::new(LoadError::NoContract { name: named.to_owned(), folder }))
}

fn nulls(args: &Args) -> Vec<String> {
    if args.null.is_empty() { vec![String::new(), "NA".to_owned()] } else { args.null.clone() }
}

fn dead_letter_folder(args: &Args, context: &Context, name: &str) -> Result<PathBuf, Failure> {
    match &args.dead_letters {
        Some(folder) => Ok(folder.clone()),
        None => Ok(context.root()?.join(".tidemill").join("dead-letters").join(name)),
    }
}

#[cfg(test)]
mod tests;
