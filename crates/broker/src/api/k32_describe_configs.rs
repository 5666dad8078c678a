//! DescribeConfigs (key 32), versions 1-4.
//! v1 where a value comes from, and synonyms (KIP-226); v3 types and documentation (KIP-569); v4 flexible.

use std::{iter, sync::Arc};

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
        defaults::{Defaults, Layer, Source},
        settings::{DEFINITIONS, Definition, Kind, Settings},
    },
};

/// Kafka's `ConfigResource.Type`.
pub const TOPIC: i8 = 2;
pub const BROKER: i8 = 4;
pub const GROUP: i8 = 32;
/// Kafka's `ConfigSource` of what is a group's own.
const OF_GROUP: i8 = 8;

pub const HANDLER: Handler = Handler {
    key: DescribeConfigsRequest::KEY,
    name: "DescribeConfigs",
    versions: 1..=4,
    shape: &shapes::DESCRIBE_CONFIGS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, &request, &caller) }),
    notes: "topics, groups, and the broker's own settings; of those the defaults of topics can be changed",
};

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
            let topic = broker.topics.named(name)?;
            let described = DEFINITIONS.iter().filter(|definition| wanted(definition.name));
            Ok(described
                .map(|definition| of_topic(&topic.settings, definition, &broker.topics.defaults, request))
                .collect())
        }
        GROUP => {
            check_group(name)?;
            let described = Setting::ALL.into_iter().filter(|setting| wanted(setting.name()));
            Ok(described.map(|setting| of_group(broker, name, setting, request)).collect())
        }
        BROKER => {
            let settings = match Layer::named(name)? {
                Layer::Broker => of_broker(broker, request),
                Layer::Cluster => of_cluster(&broker.topics.defaults, request),
            };
            Ok(settings.into_iter().filter(|result| wanted(&result.name)).collect())
        }
        other => Err(unsupported(other)),
    }
}

fn of_topic(
    settings: &Settings,
    definition: &Definition,
    defaults: &Defaults,
    request: &DescribeConfigsRequest,
) -> DescribeConfigsResourceResult {
    let own = settings.own().get(definition.name).into_iter();
    let own = own.map(|value| synonym(definition.name, value, Source::Topic as i8));
    let synonyms = own.chain(behind(definition, defaults));
    described(definition.name, definition, settings.in_use(definition, defaults), synonyms, request)
}

/// What holds for topics that have nothing of their own, as the broker calls it.
fn of_default(
    definition: &Definition,
    defaults: &Defaults,
    request: &DescribeConfigsRequest,
) -> DescribeConfigsResourceResult {
    let synonyms = behind(definition, defaults);
    described(definition.broker_name, definition, defaults.value(definition), synonyms, request)
}

fn described(
    name: &'static str,
    definition: &Definition,
    (value, source): (String, Source),
    synonyms: impl Iterator<Item = DescribeConfigsSynonym>,
    request: &DescribeConfigsRequest,
) -> DescribeConfigsResourceResult {
    let mut result = DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(name))
        .with_value(Some(StrBytes::from_string(value)))
        .with_config_source(source as i8)
        .with_config_type(definition.kind.id());
    if request.include_documentation {
        result.documentation = Some(StrBytes::from_static_str(definition.doc));
    }
    if request.include_synonyms {
        result.synonyms = synonyms.collect();
    }
    result
}

fn behind(definition: &Definition, defaults: &Defaults) -> impl Iterator<Item = DescribeConfigsSynonym> {
    let all = defaults.behind(definition).into_iter();
    all.map(|(value, source)| synonym(definition.broker_name, &value, source as i8))
}

fn synonym(name: &'static str, value: &impl ToString, source: i8) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(StrBytes::from_static_str(name))
        .with_value(Some(StrBytes::from_string(value.to_string())))
        .with_source(source)
}

pub fn unsupported(resource_type: i8) -> Refusal {
    Refusal::new(ResponseError::InvalidRequest, format!("Unsupported resource type {resource_type}"))
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
    let own = broker.groups.configs.own(group).get(&setting).cloned();
    let behind = setting.default(&broker.options);
    // As for topics: what was not set differently where the broker is started is a default.
    let of_broker = match behind == setting.default(&Options::at("", broker.options.listen)) {
        true => Source::Default as i8,
        false => Source::Started as i8,
    };
    let kind = match behind {
        Value::Number(_) => Kind::Int,
        Value::Flag(_) => Kind::Boolean,
        Value::Text(_) => Kind::Text,
    };
    let mut result = DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(setting.name()))
        .with_value(Some(StrBytes::from_string(own.as_ref().unwrap_or(&behind).to_string())))
        .with_config_source(if own.is_some() { OF_GROUP } else { of_broker })
        .with_config_type(kind.id());
    if request.include_documentation {
        result.documentation = Some(StrBytes::from_static_str(setting.doc()));
    }
    if request.include_synonyms {
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

/// What is set for all brokers of the cluster.
fn of_cluster(defaults: &Defaults, request: &DescribeConfigsRequest) -> Vec<DescribeConfigsResourceResult> {
    let set = defaults.own(Layer::Cluster);
    let each = |definition: &Definition| {
        let (name, value) = (definition.broker_name, set.own().get(definition.name)?);
        let synonyms = iter::once(synonym(name, value, Source::Cluster as i8));
        Some(described(name, definition, (value.clone(), Source::Cluster), synonyms, request))
    };
    DEFINITIONS.iter().filter_map(each).collect()
}

/// What the broker was started with and what topics have from it, under Kafka's names.
fn of_broker(broker: &Broker, request: &DescribeConfigsRequest) -> Vec<DescribeConfigsResourceResult> {
    let options = &broker.options;
    let listed = |shown: &dyn Fn(&Listener) -> String| {
        broker.listeners.iter().map(|listener| shown(listener)).collect::<Vec<_>>().join(",")
    };
    let advertised = listed(&|at| format!("{}://{}:{}", at.name, &*at.host, at.port));
    let protocols = listed(&|at| format!("{}:{}", at.name, at.protocol.word()));
    let tokens = &options.security.sasl.delegation;
    let int_max = |count: u32| i32::try_from(count).unwrap_or(i32::MAX).to_string();
    let rows: [Row; 18] = [
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
        ("log.retention.check.interval.ms", options.housekeeping_interval_ms.to_string(), Kind::Long),
        ("max.connections", int_max(options.connections_count_max), Kind::Int),
        ("max.connections.per.ip", int_max(options.connections_per_ip_count_max), Kind::Int),
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
            .with_config_source(Source::Started as i8)
            .with_config_type(kind.id())
    };
    let fixed = rows.into_iter().chain(of_groups(options)).chain(of_streams_groups(options)).map(each);
    let changeable = DEFINITIONS
        .iter()
        .filter(|definition| !definition.broker_name.is_empty())
        .map(|definition| of_default(definition, &broker.topics.defaults, request));
    let mut all: Vec<_> = fixed.chain(changeable).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}
