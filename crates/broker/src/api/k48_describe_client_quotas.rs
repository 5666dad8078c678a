//! DescribeClientQuotas (key 48), versions 0-1 (KIP-546).
//! v1 flexible. Each component of the filter names a kind of entity, and which of it; strict: no other kind may be there.

use std::{collections::BTreeSet, sync::Arc};

use kafka_protocol::{
    ResponseError,
    messages::{
        DescribeClientQuotasRequest, DescribeClientQuotasResponse,
        describe_client_quotas_request::ComponentData,
        describe_client_quotas_response::{EntityData, EntryData, ValueData},
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, k29_describe_acls::denied, shapes};
use crate::{
    broker::Broker,
    quotas::{Entity, Who},
    security::{access::Resource, acl::Operation},
    topics::Refusal,
};

pub const HANDLER: Handler = Handler {
    key: DescribeClientQuotasRequest::KEY,
    name: "DescribeClientQuotas",
    versions: 0..=1,
    shape: &shapes::DESCRIBE_CLIENT_QUOTAS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, &request, &caller) }),
    notes: "users, client ids and ips",
};

pub const USER: &str = "user";
pub const CLIENT_ID: &str = "client-id";
pub const IP: &str = "ip";
/// How a component means its entity.
const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const SPECIFIED: i8 = 2;

fn act(
    broker: &Arc<Broker>,
    request: &DescribeClientQuotasRequest,
    caller: &Caller,
) -> DescribeClientQuotasResponse {
    let allowed = broker.check(caller, Operation::DescribeConfigs, Resource::Cluster).map_err(denied);
    if let Err(refusal) = allowed.and_then(|()| check(&request.components)) {
        return DescribeClientQuotasResponse::default()
            .with_error_code(refusal.error.code())
            .with_error_message(Some(StrBytes::from_string(refusal.reason)))
            .with_entries(None);
    }
    let entities = broker.quotas.entities();
    let meant = entities.iter().filter(|(entity, _)| is_meant(entity, &request.components, request.strict));
    let entries = meant.map(|(entity, values)| {
        let value = |(limit, value): (&crate::quotas::Limit, &f64)| {
            ValueData::default().with_key(StrBytes::from_static_str(limit.word())).with_value(*value)
        };
        EntryData::default().with_entity(shown(entity)).with_values(values.iter().map(value).collect())
    });
    DescribeClientQuotasResponse::default().with_entries(Some(entries.collect()))
}

fn check(components: &[ComponentData]) -> Result<(), Refusal> {
    let refuse = |reason: String| Err(Refusal::new(ResponseError::InvalidRequest, reason));
    let mut seen = BTreeSet::new();
    for component in components {
        let kind = &*component.entity_type;
        if ![USER, CLIENT_ID, IP].contains(&kind) {
            return refuse(format!("Custom entity type {kind} not supported"));
        }
        if !seen.insert(kind) {
            return refuse(format!("Duplicate filter component entity type {kind}"));
        }
        match (component.match_type, &component._match) {
            (EXACT, Some(_)) | (DEFAULT | SPECIFIED, None) => {}
            (EXACT | DEFAULT | SPECIFIED, _) => {
                return refuse("Request specifies a match type that does not go with its match".to_owned());
            }
            (other, _) => return refuse(format!("Unknown match type {other}")),
        }
    }
    if components.len() > 1 && seen.contains(IP) {
        let reason = "Invalid entity filter component combination, IP filter component should not be used with user or clientId filter component.";
        return refuse(reason.to_owned());
    }
    Ok(())
}

fn is_meant(entity: &Entity, components: &[ComponentData], strict: bool) -> bool {
    let part = |kind: &str| match kind {
        USER => entity.user.as_ref(),
        CLIENT_ID => entity.client_id.as_ref(),
        IP => entity.ip.as_ref(),
        _ => None,
    };
    let fits = |component: &ComponentData| match (part(&component.entity_type), component.match_type) {
        (None, _) => false,
        (Some(Who::Named(name)), EXACT) => component._match.as_deref() == Some(name.as_str()),
        (Some(Who::Default), DEFAULT) => true,
        (Some(_), SPECIFIED) => true,
        (Some(_), _) => false,
    };
    let parts_count = [&entity.user, &entity.client_id, &entity.ip].into_iter().flatten().count();
    components.iter().all(fits) && (!strict || parts_count == components.len())
}

fn shown(entity: &Entity) -> Vec<EntityData> {
    let part = |(kind, who): (&'static str, &Option<Who>)| {
        let name = match who.as_ref()? {
            Who::Default => None,
            Who::Named(name) => Some(StrBytes::from_string(name.clone())),
        };
        Some(EntityData::default().with_entity_type(StrBytes::from_static_str(kind)).with_entity_name(name))
    };
    let parts = [(USER, &entity.user), (CLIENT_ID, &entity.client_id), (IP, &entity.ip)];
    parts.into_iter().filter_map(part).collect()
}
