//! AlterConfigs (key 33), versions 0-2.
//! v2 flexible. Puts the given settings in the place of all that were set (IncrementalAlterConfigs changes single ones).

use std::{collections::BTreeSet, sync::Arc};

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
    k32_describe_configs::{BROKER, GROUP, TOPIC, check, check_group, unsupported},
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
    let step = |config: &AlterableConfig| {
        let value = config.value.as_deref().map(str::to_owned);
        (config.name.to_string(), settings::Operation::Set, value)
    };
    let steps = resource.configs.iter().map(step).collect();
    let change = Change { replaces: true, steps, validate_only };
    alter_by_steps(broker, resource.resource_type, &resource.resource_name, change).await
}

/// One step of a change: name, what to do, and the value.
pub type Step = (String, settings::Operation, Option<String>);

/// A change of what is set, of which all is done or nothing.
pub struct Change {
    /// In the place of all that was set.
    pub replaces: bool,
    pub steps: Vec<Step>,
    pub validate_only: bool,
}

impl Change {
    /// It names a setting once, and gives it a value unless it takes one back.
    fn check(&self) -> Result<(), Refusal> {
        let refused = |reason: String| Err(Refusal::new(ResponseError::InvalidRequest, reason));
        let mut names = BTreeSet::new();
        for (name, operation, value) in &self.steps {
            if value.is_none() && *operation != settings::Operation::Delete {
                return refused(format!("{name} is given no value; to take back what is set, delete it."));
            }
            if !names.insert(name) {
                return refused(format!("{name} is given twice."));
            }
        }
        Ok(())
    }

    /// What it makes of what is set.
    fn of<S: Clone + Default>(
        &self,
        own: &S,
        apply: impl Fn(&mut S, &str, settings::Operation, Option<&str>) -> Result<(), Refusal>,
    ) -> Result<S, Refusal> {
        let mut own = if self.replaces { S::default() } else { own.clone() };
        for (name, operation, value) in &self.steps {
            apply(&mut own, name, *operation, value.as_deref())?;
        }
        Ok(own)
    }
}

/// Changes what is set for a topic, for a group, or for the broker or its cluster, or puts something else in its place; all of it or
/// nothing.
pub async fn alter_by_steps(
    broker: &Arc<Broker>,
    resource_type: i8,
    name: &str,
    change: Change,
) -> Result<(), Refusal> {
    change.check()?;
    match resource_type {
        TOPIC => alter_topic(broker, name, change).await,
        GROUP => alter_group(broker, name, change).await,
        BROKER => alter_defaults(broker, name, change).await,
        other => Err(unsupported(other)),
    }
}

async fn alter_topic(broker: &Arc<Broker>, name: &str, change: Change) -> Result<(), Refusal> {
    if change.validate_only {
        return change.of(&broker.topics.named(name)?.settings, Settings::apply).map(|_| ());
    }
    let name = name.to_owned();
    let set = move |broker: &Arc<Broker>| broker.topics.set(&name, |own| change.of(own, Settings::apply));
    broker.blocking(set).await
}

async fn alter_group(broker: &Arc<Broker>, name: &str, change: Change) -> Result<(), Refusal> {
    check_group(name)?;
    let validate_only = change.validate_only;
    let changed = move |own: &Own, options: &Options| {
        let own = change.of(own, configs::apply)?;
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
async fn alter_defaults(broker: &Arc<Broker>, name: &str, change: Change) -> Result<(), Refusal> {
    let layer = Layer::named(name)?;
    if change.validate_only {
        return change.of(&broker.topics.defaults.own(layer), defaults::apply).map(|_| ());
    }
    let set =
        move |broker: &Arc<Broker>| broker.topics.set_defaults(layer, |own| change.of(own, defaults::apply));
    broker.blocking(set).await
}
