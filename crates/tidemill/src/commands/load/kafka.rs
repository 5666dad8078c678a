//! A topic as the target of a load: its address, its serializer, its producer.

use std::sync::Arc;

use base::{Contract, ContractKind};
use connectors::{
    kafka::{Create, KafkaSink, SinkConfig},
    serialize::{Plan, Serialize, Serializer},
};
use serde_json::json;

use super::{Args, Prepared, Serial, contract_text, failure::LoadError, input::Input, nulls, registry};
use crate::context::{Context, Failure};

/// Read, being encoded, being sent: three batches of 2 MiB of input.
const BUDGET_BYTES: u32 = 6 << 20;

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

pub(super) async fn prepare(
    args: &Args,
    context: &Context,
    topic: &Topic,
    input: &Input,
) -> Result<Prepared, Failure> {
    if args.write.is_some() {
        return Err(Box::new(LoadError::NotForTopics { flag: "--write" }));
    }
    let contract = contract(args, context, topic).await?;
    let stage = stage(args, input, contract)?;
    let config = sink_config(args, context, topic)?;
    let told = json!({ "topic": topic.name, "bootstrap": config.bootstrap });
    let sink = KafkaSink::connect(config).map_err(|error| Box::new(error) as Failure)?;
    Ok(Prepared {
        stage: Arc::new(stage),
        sink: Arc::new(sink),
        name: topic.name.clone(),
        told,
        is_repeatable: false,
        budget_bytes: BUDGET_BYTES,
    })
}

/// The contract with its id, registered under `TOPIC-value`, where the serializer frames.
async fn contract(args: &Args, context: &Context, topic: &Topic) -> Result<Option<Arc<Contract>>, Failure> {
    let Some((path, kind, text)) = contract_text(args, context)? else { return Ok(None) };
    let name = path.to_string_lossy();
    // The file's name first, so that a mistake in it is shown there.
    let parsed = contracts::contract(kind, &name, None, &text);
    let mut contract = parsed.map_err(|error| Box::new(error) as Failure)?;
    let frames = matches!(args.serializer, None | Some(Serial::JsonSchema | Serial::Avro));
    if frames {
        let url = context.registry_url(args.registry.as_deref())?;
        let subject = format!("{}-value", topic.name);
        contract.id = Some(registry::id_of(&url, &subject, kind, &text, !args.no_register).await?);
    }
    Ok(Some(Arc::new(contract)))
}

fn stage(args: &Args, input: &Input, contract: Option<Arc<Contract>>) -> Result<Serialize, Failure> {
    let serializer = match (args.serializer, &contract) {
        (Some(Serial::JsonSchema), _) => Serializer::JsonSchema,
        (Some(Serial::Avro), _) => Serializer::Avro,
        (Some(Serial::Json), _) | (None, None) => Serializer::Json,
        (Some(Serial::String), _) => Serializer::String,
        (None, Some(contract)) if contract.kind == ContractKind::Avro => Serializer::Avro,
        (None, Some(_)) => Serializer::JsonSchema,
    };
    let key = match args.key.as_slice() {
        [] => None,
        [key] => Some(key.clone()),
        _ => return Err(Box::new(LoadError::NotForTopics { flag: "--key with several fields" })),
    };
    let plan = Plan { serializer, contract, key, nulls: nulls(args) };
    Serialize::new(plan, input.shapes()?).map_err(|source| Box::new(LoadError::Plan { source }) as Failure)
}

fn sink_config(args: &Args, context: &Context, topic: &Topic) -> Result<SinkConfig, Failure> {
    let mut config = SinkConfig::new(context.kafka(topic.server.as_deref())?, &topic.name);
    if topic.server.is_none() {
        config.properties = context.kafka_properties()?;
    }
    config.partitioner =
        args.partitioner.parse().map_err(|error: connectors::kafka::Error| Box::new(error) as Failure)?;
    let create = Create { partitions_count: args.partitions, replication_factor: -1 };
    config.create = args.create.then_some(create);
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
