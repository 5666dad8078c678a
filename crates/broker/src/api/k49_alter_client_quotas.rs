//! AlterClientQuotas (key 49), versions 0-1 (KIP-546).
//! v1 flexible. What is wrong with one entity does not keep the others from being changed; all that is changed is on the disk
//! before the answer.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        AlterClientQuotasRequest, AlterClientQuotasResponse,
        alter_client_quotas_request::EntryData as Wanted,
        alter_client_quotas_response::{EntityData, EntryData},
    },
    protocol::{Request, StrBytes},
};

use super::{
    Caller, Handler,
    k29_describe_acls::denied,
    k48_describe_client_quotas::{CLIENT_ID, IP, USER},
    shapes,
};
use crate::{
    broker::Broker,
    quotas::{Change, Entity, Limit, Who},
    security::{access::Resource, acl::Operation},
    topics::Refusal,
};

pub const HANDLER: Handler = Handler {
    key: AlterClientQuotasRequest::KEY,
    name: "AlterClientQuotas",
    versions: 0..=1,
    shape: &shapes::ALTER_CLIENT_QUOTAS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "users and client ids: `producer_byte_rate`, `consumer_byte_rate`, `request_percentage`, \
            `controller_mutation_rate`; ips, by address: `connection_creation_rate`",
};

async fn act(
    broker: Arc<Broker>,
    request: AlterClientQuotasRequest,
    caller: Caller,
) -> AlterClientQuotasResponse {
    let allowed = broker.check(&caller, Operation::AlterConfigs, Resource::Cluster).map_err(denied);
    let wanted = |entry: &Wanted| allowed.clone().and_then(|()| checked(entry));
    let mut changes: Vec<Result<Change, Refusal>> = request.entries.iter().map(wanted).collect();
    let good: Vec<Change> = changes.iter().filter_map(|change| change.as_ref().ok()).cloned().collect();
    if !request.validate_only
        && !good.is_empty()
        && let Err(refusal) = broker.blocking(move |broker| broker.quotas.alter(good)).await
    {
        changes.iter_mut().filter(|change| change.is_ok()).for_each(|change| *change = Err(refusal.clone()));
    }
    let answered = |(entry, change): (Wanted, Result<Change, Refusal>)| {
        let part = |part: kafka_protocol::messages::alter_client_quotas_request::EntityData| {
            EntityData::default().with_entity_type(part.entity_type).with_entity_name(part.entity_name)
        };
        let answered = EntryData::default().with_entity(entry.entity.into_iter().map(part).collect());
        match change {
            Ok(_) => answered,
            Err(refusal) => answered
                .with_error_code(refusal.error.code())
                .with_error_message(Some(StrBytes::from_string(refusal.reason))),
        }
    };
    let entries = request.entries.into_iter().zip(changes).map(answered).collect();
    AlterClientQuotasResponse::default().with_entries(entries)
}

fn checked(wanted: &Wanted) -> Result<Change, Refusal> {
    let refuse = |reason: String| Refusal::new(ResponseError::InvalidRequest, reason);
    let mut entity = Entity::default();
    for part in &wanted.entity {
        let who = match part.entity_name.as_deref() {
            None => Who::Default,
            Some("") => {
                return Err(refuse(format!("Empty name of a client quota entity {}", &*part.entity_type)));
            }
            Some(name) => Who::Named(name.to_owned()),
        };
        let place = match &*part.entity_type {
            USER => &mut entity.user,
            CLIENT_ID => &mut entity.client_id,
            IP => &mut entity.ip,
            other => return Err(refuse(format!("Unhandled client quota entity type: {other}"))),
        };
        if place.replace(who).is_some() {
            return Err(refuse(format!("Duplicate client quota entity type: {}", &*part.entity_type)));
        }
    }
    let entity = entity.checked()?;
    let limit = |op: &kafka_protocol::messages::alter_client_quotas_request::OpData| {
        let value = (!op.remove).then_some(op.value);
        Limit::checked(&op.key, value, &entity).map(|limit| (limit, value))
    };
    let limits = wanted.ops.iter().map(limit).collect::<Result<_, _>>()?;
    Ok((entity, limits))
}
