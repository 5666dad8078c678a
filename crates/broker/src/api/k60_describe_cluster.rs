//! DescribeCluster (key 60), versions 0-2.
//! v1 endpoint type (KIP-919): brokers only; v2 fenced brokers (KIP-1073): none.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        BrokerId, DescribeClusterRequest, DescribeClusterResponse,
        describe_cluster_response::DescribeClusterBroker,
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, shapes};
use crate::{broker::Broker, cluster::NODE_ID, security::access::Resource};

const BROKERS: i8 = 1;

pub const HANDLER: Handler = Handler {
    key: DescribeClusterRequest::KEY,
    name: "DescribeCluster",
    versions: 0..=2,
    shape: &shapes::DESCRIBE_CLUSTER,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, &request, &caller) }),
    notes: "",
};

fn act(broker: &Arc<Broker>, request: &DescribeClusterRequest, caller: &Caller) -> DescribeClusterResponse {
    if caller.version >= 1 && request.endpoint_type != BROKERS {
        let reason = StrBytes::from_static_str("This is a broker's endpoint, not a controller's.");
        return DescribeClusterResponse::default()
            .with_error_code(ResponseError::MismatchedEndpointType.code())
            .with_error_message(Some(reason));
    }
    let node = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(NODE_ID))
        .with_host(caller.peer.listener.host.clone())
        .with_port(caller.peer.listener.port);
    let wanted = request.include_cluster_authorized_operations;
    DescribeClusterResponse::default()
        .with_cluster_id(broker.cluster_id.clone())
        .with_controller_id(BrokerId(NODE_ID))
        .with_brokers(vec![node])
        .with_cluster_authorized_operations(broker.operations(caller, wanted, Resource::Cluster))
}
