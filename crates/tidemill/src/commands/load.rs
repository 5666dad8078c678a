//! `tidemill load SOURCE… TARGET`: a transfer from files to a store, once.

mod failure;
mod registry;
mod show;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use base::{Backoff, Budget, Contract, ContractKind, Load, SystemClock};
use connectors::{
    files::{self, FileSource, Format},
    kafka::{Create, KafkaSink, SinkConfig},
    serialize::{Plan, Serialize, Serializer, Shape},
};
use engine::{
    Cuts, DeadLetters, OnError, Progress, Transfer,
    checkpoints::NoCheckpoints,
    dead_letters::{FileDeadLetters, NoDeadLetters},
};
use failure::LoadError;
use tokio_util::sync::CancellationToken;

use crate::context::{Context, Failure};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tidemill load data/flights.csv kafka://local/flights --contract flights --key tailnum
  zcat events.jsonl.gz | tidemill load - kafka://broker:9092/events --format jsonl --serializer json")]
pub struct Args {
    /// Files (.csv .tsv .jsonl .ndjson .json, also .gz and .zst) or - for standard input, then the target:
    /// kafka://local/TOPIC or kafka://HOST:PORT/TOPIC
    #[arg(required = true, num_args = 2.., value_name = "SOURCE... TARGET")]
    paths: Vec<String>,
    /// Contract the records keep: a name in contracts/, or a file (.json JSON Schema, .avsc Avro)
    #[arg(long, value_name = "NAME|FILE")]
    contract: Option<String>,
    /// Field whose text becomes the record's key
    #[arg(long, value_name = "FIELD")]
    key: Option<String>,
    /// How values are written [default: json-schema or avro as the contract is, json without one]
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
    /// Folder for dead letters [default: .tidemill/dead-letters/TOPIC]
    #[arg(long, value_name = "DIR")]
    dead_letters: Option<PathBuf>,
    /// Stop after so many records of each source
    #[arg(long, value_name = "RECORDS")]
    limit: Option<u64>,
    /// Make the topic if it is not there
    #[arg(long)]
    create_topic: bool,
    /// Partitions of a topic that is made
    #[arg(long, default_value_t = 1, requires = "create_topic")]
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

/// Read, being encoded, being sent: three batches of 2 MiB of input.
const BUDGET_BYTES: u32 = 6 << 20;
/// Records between two waits for acknowledgements.
const EXTENT_RECORDS: u64 = 250_000;
/// Files that are read at once.
const LANES_MAX: usize = 2;

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (target, sources) = args.paths.split_last().expect("clap asks for two");
    let target = Target::parse(target)?;
    let source = file_source(&args, context, sources)?;
    let contract = contract(&args, context, &target).await?;
    let stage = stage(&args, &source.0, &source.1, contract)?;
    let config = sink_config(&args, context, &target)?;
    let bootstrap = config.bootstrap.clone();
    let sink = KafkaSink::connect(config).map_err(|error| Box::new(error) as Failure)?;
    let dead_letters = match args.on_error {
        OnBad::Stop => None,
        OnBad::DeadLetter => {
            Some(Arc::new(FileDeadLetters::at(&dead_letter_folder(&args, context, &target)?)))
        }
    };
    let progress = Arc::new(Progress::default());
    let transfer = Transfer {
        load: Load { id: "load".into(), transfer: format!("load-{}", target.topic).into() },
        source: Arc::new(source.0),
        stages: vec![Arc::new(stage)],
        sink: Arc::new(sink),
        cuts: Cuts::records(EXTENT_RECORDS),
        budget: Budget::new(BUDGET_BYTES),
        checkpoints: Arc::new(NoCheckpoints::default()),
        dead_letters: match &dead_letters {
            Some(folder) => folder.clone() as Arc<dyn DeadLetters>,
            None => Arc::new(NoDeadLetters),
        },
        progress: progress.clone(),
        on_error: if dead_letters.is_some() { OnError::DeadLetter } else { OnError::CommitThenStop },
        clock: Arc::new(SystemClock),
        // Sending again what may have been acknowledged would double records: a load that fails says so and ends.
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
    let shown = show::Shown::begin(progress.clone(), &source.1);
    let ended = shown.until(transfer.run(stop)).await;
    let summary = ended.map_err(|fault| LoadError::of(fault, progress.records_committed(), &target.topic))?;
    let folder = dead_letters.as_ref().filter(|_| summary.rejected_count > 0).map(|letters| letters.folder());
    show::result(context, &summary, &target.topic, &bootstrap, shown.seconds(), folder);
    if summary.ended == engine::Ended::Stopped {
        let sent_count = summary.records_count;
        return Err(Box::new(LoadError::Interrupted { sent_count, topic: target.topic }));
    }
    Ok(())
}

/// Where to load to.
struct Target {
    /// `None`: the project's own broker.
    server: Option<String>,
    topic: String,
}

impl Target {
    fn parse(text: &str) -> Result<Self, Failure> {
        let refuse = || Box::new(LoadError::Target { target: text.to_owned() });
        let rest = text.strip_prefix("kafka://").ok_or_else(refuse)?;
        let (server, topic) = rest.split_once('/').ok_or_else(refuse)?;
        let is_topic = !topic.is_empty()
            && topic.len() <= 249
            && topic.chars().all(|one| one.is_ascii_alphanumeric() || "._-".contains(one));
        if server.is_empty() || !is_topic {
            return Err(refuse());
        }
        let server = match server {
            "local" => None,
            server if server.contains(':') => Some(server.to_owned()),
            server => Some(format!("{server}:9092")),
        };
        Ok(Self { server, topic: topic.to_owned() })
    }
}

fn file_source(
    args: &Args,
    context: &Context,
    sources: &[String],
) -> Result<(FileSource, files::Config), Failure> {
    let path =
        |typed: &String| if typed == "-" { Ok(PathBuf::from("-")) } else { context.path(Path::new(typed)) };
    let mut config = files::Config::new(sources.iter().map(path).collect::<Result<_, _>>()?);
    if let Some(format) = &args.format {
        config.format = Some(format.parse().map_err(|error: files::Error| Box::new(error) as Failure)?);
    }
    config.delimiter = match args.delimiter.as_bytes() {
        b"\\t" => b'\t',
        [one] => *one,
        _ => return Err(Box::new(LoadError::Delimiter { delimiter: args.delimiter.clone() })),
    };
    config.records_count_max = args.limit;
    let source = FileSource::open(config.clone()).map_err(|error| Box::new(error) as Failure)?;
    Ok((source, config))
}

/// The contract with its id, registered under `TOPIC-value`, where the serializer frames.
async fn contract(args: &Args, context: &Context, target: &Target) -> Result<Option<Arc<Contract>>, Failure> {
    let Some(named) = &args.contract else { return Ok(None) };
    let path = contract_path(context, named)?;
    let text = std::fs::read_to_string(&path)
        .map_err(|source| LoadError::Contract { path: path.clone(), source })?;
    let name = path.to_string_lossy();
    let kind = contracts::kind_of_file(&name).unwrap_or(ContractKind::JsonSchema);
    // The file's name first, so that a mistake in it is shown there.
    let parsed = contracts::contract(kind, &name, None, &text);
    let mut contract = parsed.map_err(|error| Box::new(error) as Failure)?;
    let frames = matches!(args.serializer, None | Some(Serial::JsonSchema | Serial::Avro));
    if frames {
        let url = context.registry_url(args.registry.as_deref())?;
        let subject = format!("{}-value", target.topic);
        contract.id = Some(registry::id_of(&url, &subject, kind, &text, !args.no_register).await?);
    }
    Ok(Some(Arc::new(contract)))
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

fn stage(
    args: &Args,
    source: &FileSource,
    config: &files::Config,
    contract: Option<Arc<Contract>>,
) -> Result<Serialize, Failure> {
    let serializer = match (args.serializer, &contract) {
        (Some(Serial::JsonSchema), _) => Serializer::JsonSchema,
        (Some(Serial::Avro), _) => Serializer::Avro,
        (Some(Serial::Json), _) | (None, None) => Serializer::Json,
        (Some(Serial::String), _) => Serializer::String,
        (None, Some(contract)) if contract.kind == ContractKind::Avro => Serializer::Avro,
        (None, Some(_)) => Serializer::JsonSchema,
    };
    let mut shapes = Vec::new();
    for path in &config.paths {
        let format = config.format_of(path).map_err(|error| Box::new(error) as Failure)?;
        let shape = match format {
            Format::Csv => Shape::Csv {
                header: source.csv_header(path).map_err(|error| Box::new(error) as Failure)?,
                delimiter: config.delimiter_of(path),
            },
            Format::JsonLines | Format::Json => Shape::Json,
        };
        shapes.push((path.to_string_lossy().into(), shape));
    }
    let nulls = if args.null.is_empty() { vec![String::new(), "NA".to_owned()] } else { args.null.clone() };
    let plan = Plan { serializer, contract, key: args.key.clone(), nulls };
    Serialize::new(plan, shapes).map_err(|source| Box::new(LoadError::Plan { source }) as Failure)
}

fn sink_config(args: &Args, context: &Context, target: &Target) -> Result<SinkConfig, Failure> {
    let mut config = SinkConfig::new(context.kafka(target.server.as_deref())?, &target.topic);
    if target.server.is_none() {
        config.properties = context.kafka_properties()?;
    }
    config.partitioner =
        args.partitioner.parse().map_err(|error: connectors::kafka::Error| Box::new(error) as Failure)?;
    let create = Create { partitions_count: args.partitions, replication_factor: -1 };
    config.create = args.create_topic.then_some(create);
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            config.properties.insert(key.to_owned(), value);
        }
    };
    set("linger.ms", args.linger_ms.map(|ms| ms.to_string()));
    set("batch.size", args.batch_bytes.map(|bytes| bytes.to_string()));
    set("compression.type", args.compression.clone());
    for property in &args.property {
        let Some((key, value)) = property.split_once('=') else {
            return Err(Box::new(LoadError::Property { property: property.clone() }));
        };
        set(key, Some(value.to_owned()));
    }
    Ok(config)
}

fn dead_letter_folder(args: &Args, context: &Context, target: &Target) -> Result<PathBuf, Failure> {
    match &args.dead_letters {
        Some(folder) => Ok(folder.clone()),
        None => Ok(context.root()?.join(".tidemill").join("dead-letters").join(&target.topic)),
    }
}

#[cfg(test)]
mod tests;
