//! `tidemill load SOURCE… TARGET`: a transfer from files or a generator to a store, once.
//!
//! Map: this file the arguments and the transfer; `load/input.rs` where records come from; `load/kafka.rs` topics and their serializers; `load/stores.rs` tables and
//! collections, which take rows; `load/show.rs` progress and the summary; `load/failure.rs` what ends a load.

mod failure;
mod input;
mod kafka;
mod registry;
mod show;
mod stores;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use base::{Backoff, Budget, ContractKind, Load, Sink, SystemClock};
use engine::{
    Cuts, DeadLetters, OnError, Progress, Stage, Transfer,
    checkpoints::NoCheckpoints,
    dead_letters::{FileDeadLetters, NoDeadLetters},
};
use failure::LoadError;
use input::Input;
use tokio_util::sync::CancellationToken;

use crate::context::{Context, Failure};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tidemill load data/flights.csv kafka://local/flights --contract flights --key tailnum
  tidemill load data/planes.csv dynamodb://local/planes --key tailnum --create
  tidemill load data/planes.csv mongodb://127.0.0.1:27017/fleet/planes --key tailnum
  tidemill load 'generate:finance.transactions?count=1000000' kafka://local/transactions --key card_id --create
  zcat events.jsonl.gz | tidemill load - kafka://broker:9092/events --format jsonl --serializer json")]
pub struct Args {
    /// Files (.csv .tsv .jsonl .ndjson .json, also .gz and .zst), - for standard input, or a generator: generate:users,
    /// generate:finance.TABLE?count=N&seed=N&customers=N (users, cards, transactions, mcc_codes, fraud_labels). Then the target:
    /// kafka://local/TOPIC, kafka://HOST:PORT/TOPIC, dynamodb://local/TABLE, dynamodb://CONNECTION/TABLE,
    /// mongodb://HOST/DATABASE/COLLECTION, mongodb://CONNECTION/COLLECTION or firestore://PROJECT/COLLECTION
    #[arg(required = true, num_args = 2.., value_name = "SOURCE... TARGET")]
    paths: Vec<String>,
    /// Contract the records keep: a name in contracts/, or a file (.json JSON Schema, .avsc Avro)
    #[arg(long, value_name = "NAME|FILE")]
    contract: Option<String>,
    /// Field whose text becomes the record's key; of a store that takes several, with commas
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    key: Vec<String>,
    /// What a record does to one that is there already: insert refuses it [default: what a second load leaves as it is]
    #[arg(long, value_enum)]
    write: Option<Write>,
    /// How values of a topic are written [default: json-schema or avro as the contract is, json without one]
    #[arg(long, value_enum)]
    serializer: Option<Serial>,
    /// How keys become partitions: murmur2 (Kafka's), consistent (librdkafka's), fnv1a
    #[arg(long, default_value = "murmur2")]
    partitioner: String,
    /// Text of CSV that stands for a missing value; may be given several times [default: empty and NA]
    #[arg(long, value_name = "MARKER")]
    null: Vec<String>,
    /// Format of the sources, where the names do not tell
    #[arg(long, value_parser = ["csv", "jsonl", "json"])]
    format: Option<String>,
    /// What separates fields of CSV
    #[arg(long, default_value = ",", value_name = "CHARACTER")]
    delimiter: String,
    /// What a bad record does
    #[arg(long, value_enum, default_value = "stop")]
    on_error: OnBad,
    /// Folder for dead letters [default: .tidemill/dead-letters/NAME of the topic, table or collection]
    #[arg(long, value_name = "DIR")]
    dead_letters: Option<PathBuf>,
    /// Stop after so many records of each source
    #[arg(long, value_name = "RECORDS")]
    limit: Option<u64>,
    /// Give each row of a table or collection a field with the time of this load, for a pipeline's cursor
    #[arg(long, value_name = "FIELD")]
    stamp: Option<String>,
    /// Make the topic or the table if it is not there
    #[arg(long, alias = "create-topic")]
    create: bool,
    /// Partitions of a topic that is made
    #[arg(long, default_value_t = 1, requires = "create")]
    partitions: i32,
    /// Schema registry, instead of the project's
    #[arg(long, value_name = "URL")]
    registry: Option<String>,
    /// Use the schema only if the registry has it already
    #[arg(long)]
    no_register: bool,
    /// Wait so long for records to fill a batch
    #[arg(long, value_name = "MS")]
    linger_ms: Option<u32>,
    /// Bytes of a batch
    #[arg(long, value_name = "BYTES")]
    batch_bytes: Option<u32>,
    /// none, gzip, snappy, lz4 or zstd
    #[arg(long)]
    compression: Option<String>,
    /// A producer setting by librdkafka's name; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    property: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Serial {
    JsonSchema,
    Avro,
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
}

/// Records between two waits for acknowledgements.
const EXTENT_RECORDS: u64 = 250_000;
/// Files that are read at once.
const LANES_MAX: usize = 2;

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (target, sources) = args.paths.split_last().expect("clap asks for two");
    let target = Target::parse(target, context)?;
    let input = Input::open(&args, context, sources)?;
    let prepared = match &target {
        Target::Kafka(topic) => kafka::prepare(&args, context, topic, &input).await?,
        Target::Store(store) => stores::prepare(&args, context, store, &input).await?,
    };
    let Prepared { stage, sink, name, told, is_repeatable, budget_bytes } = prepared;
    let dead_letters = match args.on_error {
        OnBad::Stop => None,
        OnBad::DeadLetter => Some(Arc::new(FileDeadLetters::at(&dead_letter_folder(&args, context, &name)?))),
    };
    let progress = Arc::new(Progress::default());
    let transfer = Transfer {
        load: Load { id: "load".into(), transfer: format!("load-{name}").into() },
        source: input.source(),
        stages: vec![stage],
        sink,
        cuts: Cuts::records(EXTENT_RECORDS),
        budget: Budget::new(budget_bytes),
        checkpoints: Arc::new(NoCheckpoints::default()),
        dead_letters: match &dead_letters {
            Some(folder) => folder.clone() as Arc<dyn DeadLetters>,
            None => Arc::new(NoDeadLetters),
        },
        progress: progress.clone(),
        on_error: if dead_letters.is_some() { OnError::DeadLetter } else { OnError::CommitThenStop },
        clock: Arc::new(SystemClock),
        // Sending again what may have been acknowledged would double a topic's records: a load that fails says so and ends.
        retries: Backoff::new(100, 1_000, 0, 1),
        lanes_count_max: LANES_MAX,
    };
    let stop = CancellationToken::new();
    let on_interrupt = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            on_interrupt.cancel();
        }
    });
    let shown = show::begin(input.bytes());
    let ended = shown.until(transfer.run(stop), |seconds| show::line(&progress, seconds)).await;
    let summary = ended.map_err(|fault| LoadError::of(fault, progress.records_committed(), &name))?;
    let folder = dead_letters.as_ref().filter(|_| summary.rejected_count > 0).map(|letters| letters.folder());
    show::result(context, &summary, &name, told, shown.seconds(), folder);
    if summary.ended == engine::Ended::Stopped {
        let sent_count = summary.records_count;
        return Err(Box::new(LoadError::Interrupted { sent_count, target: name, is_repeatable }));
    }
    Ok(())
}

/// Where to load to.
enum Target {
    Kafka(kafka::Topic),
    Store(stores::Store),
}

impl Target {
    fn parse(text: &str, context: &Context) -> Result<Self, Failure> {
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
    for extension in ["json", "avsc"] {
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
