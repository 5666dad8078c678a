//! AlterConfigs (key 33), versions 0-2.
//! v2 flexible. Puts the given settings in the place of all that were set (IncrementalAlterConfigs changes single ones).

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        AlterConfigsRequest, AlterConfigsResponse,
        alter_configs_request::{AlterConfigsResource, AlterableConfig},
        alter_configs_response::AlterConfigsResourceResponse,
    },
    protocol::{Request, StrBytes},
};

use super::{
    Caller, Handler,
    k32_describe_configs::{BROKER, GROUP, TOPIC, check, check_group},
    shapes,
};
use crate::{
    broker::Broker,
    groups::configs::{self, Own},
    options::Options,
    security::acl::Operation,
    topics::{
        Refusal,
        defaults::{self, Layer},
        settings::{self, Settings},
    },
};

pub const HANDLER: Handler = Handler {
    key: AlterConfigsRequest::KEY,
    name: "AlterConfigs",
    versions: 0..=2,
    shape: &shapes::ALTER_CONFIGS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "topics, groups, and what topics have from the broker or its cluster",
};

async fn act(broker: Arc<Broker>, request: AlterConfigsRequest, caller: Caller) -> AlterConfigsResponse {
    let mut response = AlterConfigsResponse::default();
    for resource in request.resources {
        let altered = alter(&broker, &caller, &resource, request.validate_only).await;
        let mut answered = AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name)
            .with_error_message(None);
        if let Err(refusal) = altered {
            answered.error_code = refusal.error.code();
            answered.error_message = Some(StrBytes::from_string(refusal.reason));
        }
        response.responses.push(answered);
    }
    response
}

async fn alter(
    broker: &Arc<Broker>,
    caller: &Caller,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refusal> {
    check(broker, caller, Operation::AlterConfigs, resource.resource_type, &resource.resource_name)?;
    if matches!(resource.resource_type, GROUP | BROKER) {
        let step = |config: &AlterableConfig| {
            let value = config.value.as_deref().map(str::to_owned);
            (config.name.to_string(), settings::Operation::Set, value)
        };
        let steps = resource.configs.iter().map(step).collect();
        let (kind, name) = (resource.resource_type, &resource.resource_name);
        return alter_by_steps(broker, kind, name, true, steps, validate_only).await;
    }
    check_topic(broker, resource.resource_type, &resource.resource_name)?;
    let pairs = resource.configs.iter().map(|config| (&*config.name, config.value.as_deref()));
    let settings = Settings::from_pairs(pairs)?;
    if validate_only {
        return Ok(());
    }
    let name = resource.resource_name.to_string();
    broker.blocking(move |broker| broker.topics.set(&name, |_| Ok(settings))).await
}

/// One step of a change: name, what to do, and the value.
pub type Step = (String, settings::Operation, Option<String>);

/// What all steps make of what is set, or of nothing.
fn stepped<S: Clone + Default>(
    own: &S,
    replaces: bool,
    steps: &[Step],
    apply: impl Fn(&mut S, &str, settings::Operation, Option<&str>) -> Result<(), Refusal>,
) -> Result<S, Refusal> {
    let mut own = if replaces { S::default() } else { own.clone() };
    for (name, operation, value) in steps {
        apply(&mut own, name, *operation, value.as_deref())?;
    }
    Ok(own)
}

/// Changes what is set for a group, or for the broker or its cluster, or puts something else in its place; all of it or nothing.
pub async fn alter_by_steps(
    broker: &Arc<Broker>,
    resource_type: i8,
    name: &str,
    replaces: bool,
    steps: Vec<Step>,
    validate_only: bool,
) -> Result<(), Refusal> {
    match resource_type {
        GROUP => alter_group(broker, name, replaces, steps, validate_only).await,
        _ => alter_defaults(broker, name, replaces, steps, validate_only).await,
    }
}

async fn alter_group(
    broker: &Arc<Broker>,
    name: &str,
    replaces: bool,
    steps: Vec<Step>,
    validate_only: bool,
) -> Result<(), Refusal> {
    check_group(name)?;
    let changed = move |own: &Own, options: &Options| {
        let own = stepped(own, replaces, &steps, configs::apply)?;
        configs::check(&own, options)?;
        Ok(own)
    };
    if validate_only {
        return changed(&broker.groups.configs.own(name), &broker.options).map(|_| ());
    }
    let name = name.to_owned();
    let set =
        move |broker: &Arc<Broker>| broker.groups.configs.set(&name, |own| changed(own, &broker.options));
    broker.blocking(set).await
}

/// What topics have that have nothing of their own.
async fn alter_defaults(
    broker: &Arc<Broker>,
    name: &str,
    replaces: bool,
    steps: Vec<Step>,
    validate_only: bool,
) -> Result<(), Refusal> {
    let layer = Layer::named(name)?;
    let changed = move |own: &Settings| stepped(own, replaces, &steps, defaults::apply);
    if validate_only {
        return changed(&broker.topics.defaults.own(layer)).map(|_| ());
    }
    broker.blocking(move |broker| broker.topics.set_defaults(layer, changed)).await
}

/// What else has settings is a topic that exists.
pub fn check_topic(broker: &Broker, resource_type: i8, name: &str) -> Result<(), Refusal> {
    if resource_type != TOPIC {
        let reason = format!("Unsupported resource type {resource_type}");
        return Err(Refusal::new(ResponseError::InvalidRequest, reason));
    }
    if broker.topics.get(name).is_none() {
        return Err(Refusal::new(
            ResponseError::UnknownTopicOrPartition,
            format!("The topic '{name}' does not exist."),
        ));
    }
    Ok(())
}
