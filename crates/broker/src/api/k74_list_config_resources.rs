//! ListConfigResources (key 74), versions 0-1 (KIP-714, KIP-1142).
//! v0 asks for the clients' metrics that somebody receives: there are none. v1 for any types; none named are all of them.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        ListConfigResourcesRequest, ListConfigResourcesResponse,
        list_config_resources_response::ConfigResource,
    },
    protocol::{Request, StrBytes},
};

use super::{
    Caller, Handler,
    k32_describe_configs::{BROKER, GROUP, TOPIC},
    shapes,
};
use crate::{
    broker::Broker,
    cluster::NODE_ID,
    security::{access::Resource, acl::Operation},
};

/// Kafka's `ConfigResource.Type`, those of which nothing can be set here.
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const TYPES: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

pub const HANDLER: Handler = Handler {
    key: ListConfigResourcesRequest::KEY,
    name: "ListConfigResources",
    versions: 0..=1,
    shape: &shapes::LIST_CONFIG_RESOURCES,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, &request, &caller) }),
    notes: "topics, the broker, and groups with settings of their own; nobody receives clients' metrics",
};

fn act(
    broker: &Arc<Broker>,
    request: &ListConfigResourcesRequest,
    caller: &Caller,
) -> ListConfigResourcesResponse {
    let response = ListConfigResourcesResponse::default();
    if let Err(error) = broker.check(caller, Operation::DescribeConfigs, Resource::Cluster) {
        return response.with_error_code(error.code());
    }
    let types: &[i8] = match (caller.version, request.resource_types.as_slice()) {
        (0, _) => &[CLIENT_METRICS],
        (_, []) => &TYPES,
        (_, types) => types,
    };
    if types.iter().any(|kind| !TYPES.contains(kind)) {
        return response.with_error_code(ResponseError::UnsupportedVersion.code());
    }
    let wanted = TYPES.iter().filter(|kind| types.contains(kind));
    response.with_config_resources(wanted.flat_map(|kind| listed(broker, *kind)).collect())
}

fn listed(broker: &Broker, kind: i8) -> Vec<ConfigResource> {
    let names: Vec<String> = match kind {
        TOPIC => broker.topics.all().iter().map(|topic| topic.name.to_string()).collect(),
        GROUP => broker.groups.configs.names(),
        BROKER | BROKER_LOGGER => vec![NODE_ID.to_string()],
        _ => Vec::new(),
    };
    let resource = |name| {
        ConfigResource::default().with_resource_name(StrBytes::from_string(name)).with_resource_type(kind)
    };
    names.into_iter().map(resource).collect()
}
