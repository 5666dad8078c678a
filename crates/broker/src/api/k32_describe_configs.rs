//! DescribeConfigs (key 32), versions 1-4.
//! v1 where a value comes from, and synonyms (KIP-226); v3 types and documentation (KIP-569); v4 flexible.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        DescribeConfigsRequest, DescribeConfigsResponse,
        describe_configs_request::DescribeConfigsResource,
        describe_configs_response::{
            DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
        },
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, k29_describe_acls::denied, shapes};
use crate::{
    broker::Broker,
    cluster::NODE_ID,
    groups::configs::{Setting, Value},
    options::Options,
    security::{access::Resource, acl::Operation, listeners::Listener},
    topics::{
        Refusal,
        settings::{DEFINITIONS, Definition, Fallback, Kind, Settings},
    },
};

/// Kafka's `ConfigResource.Type`.
pub const TOPIC: i8 = 2;
pub const BROKER: i8 = 4;
pub const GROUP: i8 = 32;
/// Kafka's `ConfigSource`.
const OF_TOPIC: i8 = 1;
const OF_BROKER: i8 = 4;
const OF_DEFAULT: i8 = 5;
const OF_GROUP: i8 = 8;

pub const HANDLER: Handler = Handler {
    key: DescribeConfigsRequest::KEY,
    name: "DescribeConfigs",
    versions: 1..=4,
    shape: &shapes::DESCRIBE_CONFIGS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, &request, &caller) }),
    notes: "topics, groups, and the broker's own settings, which are read-only",
};

/// Where the value in use comes from.
pub fn source_of(settings: &Settings, definition: &Definition, options: &Options) -> i8 {
    if settings.own().contains_key(definition.name) {
        return OF_TOPIC;
    }
    match definition.default {
        Fallback::Fixed(_) => OF_DEFAULT,
        // As Kafka: what was not set differently where the broker is started is a default too.
        Fallback::Broker(read) if read(options) == read(&Options::at("", options.listen)) => OF_DEFAULT,
        Fallback::Broker(_) => OF_BROKER,
    }
}

fn act(broker: &Arc<Broker>, request: &DescribeConfigsRequest, caller: &Caller) -> DescribeConfigsResponse {
    let each = |resource: &DescribeConfigsResource| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        let allowed = check(
            broker,
            caller,
            Operation::DescribeConfigs,
            resource.resource_type,
            &resource.resource_name,
        );
        match allowed.and_then(|()| describe(broker, resource, request)) {
            Ok(configs) => result.with_configs(configs),
            Err(refusal) => result
                .with_error_code(refusal.error.code())
                .with_error_message(Some(StrBytes::from_string(refusal.reason))),
        }
    };
    DescribeConfigsResponse::default().with_results(request.resources.iter().map(each).collect())
}

/// Whether the caller may do this to the settings of a topic, of a group, or of the broker.
pub fn check(
    broker: &Broker,
    caller: &Caller,
    operation: Operation,
    resource_type: i8,
    name: &str,
) -> Result<(), Refusal> {
    let resource = match resource_type {
        TOPIC => Resource::Topic(name),
        GROUP => Resource::Group(name),
        _ => Resource::Cluster,
    };
    broker.check(caller, operation, resource).map_err(denied)
}

fn describe(
    broker: &Broker,
    resource: &DescribeConfigsResource,
    request: &DescribeConfigsRequest,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let keys = resource.configuration_keys.as_deref().filter(|keys| !keys.is_empty());
    let wanted = |name: &str| keys.is_none_or(|keys| keys.iter().any(|key| **key == *name));
    let name = &*resource.resource_name;
    match resource.resource_type {
        TOPIC => {
            let unknown = || {
                Refusal::new(
                    ResponseError::UnknownTopicOrPartition,
                    format!("The topic '{name}' does not exist."),
                )
            };
            let topic = broker.topics.get(name).ok_or_else(unknown)?;
            let described = DEFINITIONS.iter().filter(|definition| wanted(definition.name));
            Ok(described
                .map(|definition| of_topic(&topic.settings, definition, &broker.options, request))
                .collect())
        }
        GROUP => {
            check_group(name)?;
            let described = Setting::ALL.into_iter().filter(|setting| wanted(setting.name()));
            Ok(described.map(|setting| of_group(broker, name, setting, request)).collect())
        }
        BROKER if name.is_empty() => Ok(vec![]), // what is set for all brokers of a cluster: nothing
        BROKER if name == NODE_ID.to_string() => {
            let settings = of_broker(broker);
            Ok(settings.into_iter().filter(|result| wanted(&result.name)).collect())
        }
        BROKER => {
            let reason = format!("Unexpected broker id, expected {NODE_ID}, but received {name}");
            Err(Refusal::new(ResponseError::InvalidRequest, reason))
        }
        other => {
            Err(Refusal::new(ResponseError::InvalidRequest, format!("Unsupported resource type {other}")))
        }
    }
}

fn of_topic(
    settings: &Settings,
    definition: &Definition,
    options: &Options,
    request: &DescribeConfigsRequest,
) -> DescribeConfigsResourceResult {
    let value = |text: String| Some(StrBytes::from_string(text));
    let source = source_of(settings, definition, options);
    let mut result = DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(definition.name))
        .with_value(value(settings.value(definition, options)))
        .with_config_source(source)
        .with_config_type(definition.kind.id());
    if request.include_documentation {
        result.documentation = Some(StrBytes::from_static_str(definition.doc));
    }
    if request.include_synonyms {
        let synonym = |name: &'static str, text: String, source: i8| {
            DescribeConfigsSynonym::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(value(text))
                .with_source(source)
        };
        if source == OF_TOPIC {
            result.synonyms.push(synonym(definition.name, settings.value(definition, options), OF_TOPIC));
        }
        if !definition.broker_name.is_empty() {
            let behind = source_of(&Settings::default(), definition, options);
            result.synonyms.push(synonym(definition.broker_name, definition.default(options), behind));
        }
    }
    result
}

/// A group need not exist to have settings, but it has a name.
pub fn check_group(name: &str) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err(Refusal::new(ResponseError::InvalidRequest, "Default group resources are not allowed."));
    }
    Ok(())
}

fn of_group(
    broker: &Broker,
    group: &str,
    setting: Setting,
    request: &DescribeConfigsRequest,
) -> DescribeConfigsResourceResult {
    let text = |value: &Value| Some(StrBytes::from_string(value.to_string()));
    let own = broker.groups.configs.own(group).get(&setting).cloned();
    let behind = setting.default(&broker.options);
    // As for topics: what was not set differently where the broker is started is a default.
    let of_broker = match behind == setting.default(&Options::at("", broker.options.listen)) {
        true => OF_DEFAULT,
        false => OF_BROKER,
    };
    let kind = match behind {
        Value::Number(_) => Kind::Int,
        Value::Flag(_) => Kind::Boolean,
        Value::Text(_) => Kind::Text,
    };
    let mut result = DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(setting.name()))
        .with_value(text(own.as_ref().unwrap_or(&behind)))
        .with_config_source(if own.is_some() { OF_GROUP } else { of_broker })
        .with_config_type(kind.id());
    if request.include_documentation {
        result.documentation = Some(StrBytes::from_static_str(setting.doc()));
    }
    if request.include_synonyms {
        let synonym = |name: &'static str, value: &Value, source: i8| {
            DescribeConfigsSynonym::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(text(value))
                .with_source(source)
        };
        result.synonyms.extend(own.iter().map(|value| synonym(setting.name(), value, OF_GROUP)));
        let name = setting.broker_name().unwrap_or(setting.name());
        result.synonyms.push(synonym(name, &behind, of_broker));
    }
    result
}

/// A setting of the broker: name, value, and kind.
type Row = (&'static str, String, Kind);

/// What of it is about groups.
fn of_groups(options: &Options) -> [Row; 14] {
    [
        (
            "group.consumer.assignment.interval.ms",
            options.group_consumer_assignment_interval_ms.to_string(),
            Kind::Int,
        ),
        (
            "group.consumer.heartbeat.interval.ms",
            options.group_consumer_heartbeat_interval_ms.to_string(),
            Kind::Int,
        ),
        ("group.consumer.max.size", options.group_consumer_max_size.to_string(), Kind::Int),
        (
            "group.consumer.migration.policy",
            options.group_consumer_migration_policy.word().to_owned(),
            Kind::Text,
        ),
        (
            "group.consumer.session.timeout.ms",
            options.group_consumer_session_timeout_ms.to_string(),
            Kind::Int,
        ),
        ("group.initial.rebalance.delay.ms", options.initial_rebalance_delay_ms.to_string(), Kind::Int),
        (
            "group.share.assignment.interval.ms",
            options.group_share_assignment_interval_ms.to_string(),
            Kind::Int,
        ),
        ("group.share.delivery.count.limit", options.group_share_delivery_count_limit.to_string(), Kind::Int),
        (
            "group.share.heartbeat.interval.ms",
            options.group_share_heartbeat_interval_ms.to_string(),
            Kind::Int,
        ),
        ("group.share.max.share.sessions", options.group_share_max_share_sessions.to_string(), Kind::Int),
        ("group.share.max.size", options.group_share_max_size.to_string(), Kind::Int),
        (
            "group.share.partition.max.record.locks",
            options.group_share_partition_max_record_locks.to_string(),
            Kind::Int,
        ),
        (
            "group.share.record.lock.duration.ms",
            options.group_share_record_lock_duration_ms.to_string(),
            Kind::Int,
        ),
        ("group.share.session.timeout.ms", options.group_share_session_timeout_ms.to_string(), Kind::Int),
    ]
}

/// And of streams groups.
fn of_streams_groups(options: &Options) -> [Row; 6] {
    [
        (
            "group.streams.assignment.interval.ms",
            options.group_streams_assignment_interval_ms.to_string(),
            Kind::Int,
        ),
        (
            "group.streams.heartbeat.interval.ms",
            options.group_streams_heartbeat_interval_ms.to_string(),
            Kind::Int,
        ),
        (
            "group.streams.initial.rebalance.delay.ms",
            options.group_streams_initial_rebalance_delay_ms.to_string(),
            Kind::Int,
        ),
        ("group.streams.max.size", options.group_streams_max_size.to_string(), Kind::Int),
        (
            "group.streams.num.standby.replicas",
            options.group_streams_num_standby_replicas.to_string(),
            Kind::Int,
        ),
        ("group.streams.session.timeout.ms", options.group_streams_session_timeout_ms.to_string(), Kind::Int),
    ]
}

/// What the broker was started with, under Kafka's names.
fn of_broker(broker: &Broker) -> Vec<DescribeConfigsResourceResult> {
    let options = &broker.options;
    let listed = |shown: &dyn Fn(&Listener) -> String| {
        broker.listeners.iter().map(|listener| shown(listener)).collect::<Vec<_>>().join(",")
    };
    let advertised = listed(&|at| format!("{}://{}:{}", at.name, &*at.host, at.port));
    let protocols = listed(&|at| format!("{}:{}", at.name, at.protocol.word()));
    let tokens = &options.security.sasl.delegation;
    let int_max = |count: u32| i32::try_from(count).unwrap_or(i32::MAX).to_string();
    let rows: [Row; 22] = [
        ("advertised.listeners", advertised, Kind::Text),
        ("auto.create.topics.enable", options.auto_create_topics.to_string(), Kind::Boolean),
        ("connections.max.idle.ms", options.connections_idle_ms_max.to_string(), Kind::Long),
        ("default.replication.factor", "1".to_owned(), Kind::Int),
        ("delegation.token.expiry.time.ms", tokens.expiry_ms.to_string(), Kind::Long),
        ("delegation.token.max.lifetime.ms", tokens.lifetime_ms_max.to_string(), Kind::Long),
        ("fetch.max.bytes", options.fetch_bytes_max.to_string(), Kind::Int),
        ("listener.security.protocol.map", protocols, Kind::Text),
        ("listeners", listed(&|at| format!("{}://{}", at.name, at.address)), Kind::Text),
        ("log.dirs", options.data_dir.display().to_string(), Kind::Text),
        ("log.retention.bytes", options.retention_bytes.to_string(), Kind::Long),
        ("log.retention.check.interval.ms", options.housekeeping_interval_ms.to_string(), Kind::Long),
        ("log.retention.ms", options.retention_ms.to_string(), Kind::Long),
        ("log.segment.bytes", options.segment_bytes.to_string(), Kind::Int),
        ("max.connections", int_max(options.connections_count_max), Kind::Int),
        ("max.connections.per.ip", int_max(options.connections_per_ip_count_max), Kind::Int),
        ("message.max.bytes", options.batch_bytes_max.to_string(), Kind::Int),
        ("node.id", NODE_ID.to_string(), Kind::Int),
        ("num.partitions", options.partitions_default.to_string(), Kind::Int),
        ("offset.metadata.max.bytes", options.offset_metadata_bytes_max.to_string(), Kind::Int),
        ("queued.max.request.bytes", options.request_memory_bytes_max.to_string(), Kind::Long),
        ("socket.request.max.bytes", options.request_bytes_max.to_string(), Kind::Int),
    ];
    let each = |(name, value, kind): Row| {
        DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(Some(StrBytes::from_string(value)))
            .with_read_only(true)
            .with_config_source(OF_BROKER)
            .with_config_type(kind.id())
    };
    let mut all: Vec<Row> =
        rows.into_iter().chain(of_groups(options)).chain(of_streams_groups(options)).collect();
    all.sort_by_key(|(name, ..)| *name);
    all.into_iter().map(each).collect()
}
