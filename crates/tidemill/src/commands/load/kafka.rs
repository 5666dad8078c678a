//! A topic as the target of a load: its address, what of a record becomes what, its producer and its transactions.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use bytes::Bytes;
use connectors::{
    kafka::{Create, KafkaSink, Partitioner, Scope, SinkConfig, Transaction},
    record,
    serialize::{EnvelopePlan, Expression, HeaderText, Key, Plan, Serialize, Tombstones},
};
use engine::Stage;
use serde_json::json;

use super::{
    Args, Prepared,
    contract::{self, Promised},
    failure::LoadError,
    hindrance::Hindrance,
    input::Input,
    nulls,
    watch::Lazy,
};
use crate::context::{Context, Failure};

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Topics")]
pub(super) struct TopicArgs {
    /// Partition that every record goes to
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub(super) partition: Option<i32>,
    /// A header of each record: NAME=TEXT, or NAME=$FIELD; may be given several times
    #[arg(long, value_name = "NAME=VALUE", hide_short_help = true)]
    pub(super) headers: Vec<String>,
    /// Field with the record's time: milliseconds since 1970, or ISO 8601
    #[arg(long, value_name = "FIELD", hide_short_help = true)]
    pub(super) timestamp_field: Option<String>,
    /// Records without a value: those whose fields but the key's are all null, or those that FIELD marks as deleted
    #[arg(long, value_name = "FIELD", num_args = 0..=1, default_missing_value = "", hide_short_help = true)]
    pub(super) tombstones: Option<String>,
    /// Which subject of the registry the contract is under
    #[arg(long, value_enum, default_value = "topic", hide_short_help = true)]
    pub(super) subject_strategy: Strategy,
    /// Message of a Protobuf contract that records are [default: the first of the file]
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub(super) message: Option<String>,
    /// Send in a transaction: what is cut off is seen by nobody who reads committed records, and a resumed load sends nothing
    /// twice. ID is Kafka's transactional.id [default: one of the load's own]
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
    pub(super) transactional: Option<String>,
    /// Commit after so many records, instead of all as one
    #[arg(long, value_name = "RECORDS", requires = "transactional", hide_short_help = true)]
    pub(super) transaction_records: Option<u64>,
    /// Replicas of a topic that is made [default: as the cluster has it]
    #[arg(long, value_name = "N", requires = "create", hide_short_help = true)]
    pub(super) replication: Option<i32>,
    /// A setting of a topic that is made: cleanup.policy=compact; may be given several times
    #[arg(long, value_name = "KEY=VALUE", requires = "create", hide_short_help = true)]
    pub(super) config: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Strategy {
    // TOPIC-value
    #[default]
    Topic,
    // The record's own name
    Record,
    // TOPIC-NAME
    TopicRecord,
}

/// Read, being encoded, being sent: three batches of 256 KiB of input, which stay in a processor's cache and whose memory is used
/// again before it was given back. Of 2 MiB they took a sixth more of a processor, of 64 KiB a sixth too.
const BUDGET_BYTES: u32 = 3 * (256 << 10);

pub(super) struct Topic {
    /// `None`: the project's own broker.
    pub(super) server: Option<String>,
    pub(super) name: String,
}

impl Topic {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let refuse = || Box::new(LoadError::Target { target: text.to_owned() });
        let rest = text.strip_prefix("kafka://").ok_or_else(refuse)?;
        let (server, name) = rest.split_once('/').ok_or_else(refuse)?;
        let is_topic = !name.is_empty()
            && name.len() <= 249
            && name.chars().all(|one| one.is_ascii_alphanumeric() || "._-".contains(one));
        if server.is_empty() || !is_topic {
            return Err(refuse());
        }
        let server = match server {
            "local" => None,
            server if server.contains(':') => Some(server.to_owned()),
            server => Some(format!("{server}:9092")),
        };
        Ok(Self { server, name: name.to_owned() })
    }
}

impl TopicArgs {
    /// Flags that only a topic takes, and whether each was given.
    pub(super) fn given(&self) -> [(&'static str, bool); 10] {
        [
            ("--partition", self.partition.is_some()),
            ("--headers", !self.headers.is_empty()),
            ("--timestamp-field", self.timestamp_field.is_some()),
            ("--tombstones", self.tombstones.is_some()),
            ("--subject-strategy", self.subject_strategy != Strategy::Topic),
            ("--message", self.message.is_some()),
            ("--transactional", self.transactional.is_some()),
            ("--transaction-records", self.transaction_records.is_some()),
            ("--replication", self.replication.is_some()),
            ("--config", !self.config.is_empty()),
        ]
    }

    /// The transactions of the load with this id. One without an end commits every moment.
    pub(super) fn transaction(&self, load: &str, has_end: bool) -> Option<Transaction> {
        let given = self.transactional.as_ref()?;
        let own = format!("tidemill-load-{load}");
        let scope =
            if self.transaction_records.is_some() || !has_end { Scope::Extent } else { Scope::Transfer };
        Some(Transaction {
            id: if given.is_empty() { own.clone() } else { given.clone() },
            group: own,
            scope,
        })
    }
}

pub(super) async fn prepare(
    args: &Args,
    context: &Context,
    topic: &Topic,
    input: &Input,
    transaction: Option<Transaction>,
) -> Result<Prepared, Failure> {
    if args.write.is_some() {
        return Err(Box::new(LoadError::NotForTopics { flag: "--write" }));
    }
    let envelope = envelope(args)?;
    let promised = contract::for_topic(args, context, &topic.name).await?;
    let stage = stage(args, input, envelope, promised)?;
    let config = sink_config(args, context, topic, transaction)?;
    let told = json!({ "topic": topic.name, "bootstrap": config.bootstrap });
    let sink = KafkaSink::connect(config).map_err(|error| Box::new(error) as Failure)?;
    Ok(Prepared {
        stage,
        sink: Arc::new(sink),
        name: topic.name.clone(),
        told,
        is_repeatable: false,
        budget_bytes: BUDGET_BYTES,
        planned: Vec::new(),
    })
}

/// After a load that has ended: nobody will ask for its position again.
pub(super) async fn forget(
    args: &Args,
    context: &Context,
    topic: &Topic,
    transaction: Transaction,
) -> Result<(), Failure> {
    let config = sink_config(args, context, topic, Some(transaction))?;
    if let Err(error) = connectors::kafka::forget(&config).await {
        tracing::debug!(%error, "the group of the load's position goes by itself");
    }
    Ok(())
}

fn stage(
    args: &Args,
    input: &Input,
    envelope: EnvelopePlan,
    promised: Promised,
) -> Result<Arc<dyn Stage>, Failure> {
    let Promised { serializer, contract, message } = promised;
    let plan = Plan { serializer, contract, message, envelope, nulls: nulls(args) };
    let refuse = |source| Box::new(LoadError::Plan { source }) as Failure;
    let Some(read) = input.watched().cloned() else {
        return Ok(Arc::new(Serialize::new(plan, input.shapes()).map_err(refuse)?));
    };
    // A plan that no file could keep is told now.
    Serialize::new(plan.clone(), vec![("".into(), record::Shape::Json)]).map_err(refuse)?;
    Ok(Arc::new(Lazy::new(0, move |path| {
        let (_, shape) = read.open(path)?;
        let shapes = vec![(path.into(), shape.mapped(&read.mapping))];
        Ok(Arc::new(Serialize::new(plan.clone(), shapes)?) as Arc<dyn Stage>)
    })))
}

/// What of a record is its key, headers, time and partition.
fn envelope(args: &Args) -> Result<EnvelopePlan, Failure> {
    let expression = |option, text: &str| {
        Expression::compile(option, text)
            .map_err(|error| Box::new(LoadError::Plan { source: error.into() }) as Failure)
    };
    // clap has cut it at its commas.
    let whole_key = args.key.join(",");
    let key = match args.key.as_slice() {
        [] => Key::None,
        _ if Expression::is_one(&whole_key) => Key::Expression(expression("--key", &whole_key)?),
        [key] => Key::Field(key.clone()),
        keys => Key::Fields(keys.to_vec()),
    };
    let header = |header: &String| {
        let Some((name, value)) = header.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            let refused = Hindrance::Header { header: header.clone() };
            return Err(Box::new(refused) as Failure);
        };
        let text = match value.strip_prefix('$') {
            Some(rest) if rest.starts_with('$') => HeaderText::Text(Bytes::copy_from_slice(rest.as_bytes())),
            Some(field) => HeaderText::Field(field.to_owned()),
            None => HeaderText::Text(Bytes::copy_from_slice(value.as_bytes())),
        };
        Ok((Arc::from(name), text))
    };
    let is_expression = Expression::is_one(&args.partitioner);
    if args.topics.partition.is_some() && args.partitioner != "murmur2" {
        return Err(Box::new(Hindrance::Contradiction { one: "--partition", other: "--partitioner" }));
    }
    Ok(EnvelopePlan {
        key,
        headers: args.topics.headers.iter().map(header).collect::<Result<_, Failure>>()?,
        timestamp: args.topics.timestamp_field.clone(),
        partition: is_expression.then(|| expression("--partitioner", &args.partitioner)).transpose()?,
        tombstones: args.topics.tombstones.as_ref().map(|field| match field.as_str() {
            "" => Tombstones::Empty,
            field => Tombstones::Field(field.to_owned()),
        }),
    })
}

fn sink_config(
    args: &Args,
    context: &Context,
    topic: &Topic,
    transaction: Option<Transaction>,
) -> Result<SinkConfig, Failure> {
    let mut config = SinkConfig::new(context.kafka(topic.server.as_deref())?, &topic.name);
    if topic.server.is_none() {
        config.properties = context.kafka_properties()?;
    }
    config.partitioner = if Expression::is_one(&args.partitioner) {
        Partitioner::Given
    } else {
        args.partitioner.parse().map_err(|error: connectors::kafka::Error| Box::new(error) as Failure)?
    };
    config.partition = args.topics.partition;
    config.transaction = transaction;
    if args.create {
        let replication_factor = args.topics.replication.unwrap_or(-1);
        let settings: Result<BTreeMap<_, _>, Failure> =
            args.topics.config.iter().map(|text| pair(text)).collect();
        config.create =
            Some(Create { partitions_count: args.partitions, replication_factor, config: settings? });
    }
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            config.properties.insert(key.to_owned(), value);
        }
    };
    set("linger.ms", args.linger_ms.map(|ms| ms.to_string()));
    set("batch.size", args.batch_bytes.map(|bytes| bytes.to_string()));
    set("compression.type", args.compression.clone());
    for property in &args.property {
        let (key, value) = pair(property)?;
        set(&key, Some(value));
    }
    Ok(config)
}

fn pair(text: &str) -> Result<(String, String), Failure> {
    let pair = text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    pair.ok_or_else(|| Box::new(LoadError::Property { property: text.to_owned() }) as Failure)
}

/// The folder that a contract's imports are looked for in.
pub(super) fn beside(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}
