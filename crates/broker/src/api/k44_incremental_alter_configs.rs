//! IncrementalAlterConfigs (key 44), versions 0-1.
//! v1 flexible. Sets, deletes, and appends to or subtracts from lists (KIP-339); all of a topic's changes or none.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
        incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
        incremental_alter_configs_response::AlterConfigsResourceResponse,
    },
    protocol::{Request, StrBytes},
};

use super::{
    Caller, Handler,
    k32_describe_configs::check,
    k33_alter_configs::{Change, Step, alter_by_steps},
    shapes,
};
use crate::{
    broker::Broker,
    security::acl,
    topics::{Refusal, settings::Operation},
};

pub const HANDLER: Handler = Handler {
    key: IncrementalAlterConfigsRequest::KEY,
    name: "IncrementalAlterConfigs",
    versions: 0..=1,
    shape: &shapes::INCREMENTAL_ALTER_CONFIGS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "topics, groups, and what topics have from the broker or its cluster",
};

async fn act(
    broker: Arc<Broker>,
    request: IncrementalAlterConfigsRequest,
    caller: Caller,
) -> IncrementalAlterConfigsResponse {
    let mut response = IncrementalAlterConfigsResponse::default();
    for resource in request.resources {
        let answered = AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        let altered = alter(&broker, &caller, resource, request.validate_only).await;
        response.responses.push(match altered {
            Ok(()) => answered.with_error_message(None),
            Err(refusal) => answered
                .with_error_code(refusal.error.code())
                .with_error_message(Some(StrBytes::from_string(refusal.reason))),
        });
    }
    response
}

async fn alter(
    broker: &Arc<Broker>,
    caller: &Caller,
    resource: AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refusal> {
    let name = resource.resource_name.to_string();
    check(broker, caller, acl::Operation::AlterConfigs, resource.resource_type, &name)?;
    let steps = resource.configs.iter().map(step).collect::<Result<_, _>>()?;
    let change = Change { replaces: false, steps, validate_only };
    alter_by_steps(broker, resource.resource_type, &name, change).await
}

fn step(change: &AlterableConfig) -> Result<Step, Refusal> {
    let operation = match change.config_operation {
        0 => Operation::Set,
        1 => Operation::Delete,
        2 => Operation::Append,
        3 => Operation::Subtract,
        other => {
            let reason = format!("Unknown operation {other} for {}", &*change.name);
            return Err(Refusal::new(ResponseError::InvalidRequest, reason));
        }
    };
    Ok((change.name.to_string(), operation, change.value.as_deref().map(str::to_owned)))
}
