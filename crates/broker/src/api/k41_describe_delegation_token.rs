//! DescribeDelegationToken (key 41), versions 1-3 (KIP-48).
//! v2 flexible; v3 who asked for a token (KIP-373). What is shown holds the tokens' secrets, so one sees those that one may renew, and
//! others where an ACL allows it: for the token, or for its owner.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        DescribeDelegationTokenRequest, DescribeDelegationTokenResponse,
        describe_delegation_token_request::DescribeDelegationTokenOwner,
        describe_delegation_token_response::{DescribedDelegationToken, DescribedDelegationTokenRenewer},
    },
    protocol::{Request, StrBytes},
};

use super::{
    Caller, Handler,
    k38_create_delegation_token::{REQUESTER_SINCE, ask, check_connection, parts},
    shapes,
};
use crate::{
    broker::Broker,
    security::{access::Resource, acl::Operation, delegation::Token},
};

pub const HANDLER: Handler = Handler {
    key: DescribeDelegationTokenRequest::KEY,
    name: "DescribeDelegationToken",
    versions: 1..=3,
    shape: &shapes::DESCRIBE_DELEGATION_TOKEN,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "",
};

async fn act(
    broker: Arc<Broker>,
    request: DescribeDelegationTokenRequest,
    caller: Caller,
) -> DescribeDelegationTokenResponse {
    let response = DescribeDelegationTokenResponse::default();
    match describe(&broker, request, &caller).await {
        Ok(tokens) => response.with_tokens(tokens),
        Err(error) => response.with_error_code(error.code()),
    }
}

async fn describe(
    broker: &Arc<Broker>,
    request: DescribeDelegationTokenRequest,
    caller: &Caller,
) -> Result<Vec<DescribedDelegationToken>, ResponseError> {
    check_connection(broker, caller)?;
    let principal = caller.peer.principal();
    let named = |owner: &DescribeDelegationTokenOwner| {
        format!("{}:{}", &*owner.principal_type, &*owner.principal_name)
    };
    let owners: Option<Vec<String>> = request.owners.map(|owners| owners.iter().map(named).collect());
    let tokens = ask(broker, |delegation, now_ms| {
        let tokens = delegation.list(now_ms).into_iter();
        Ok(tokens.map(|token| (delegation.secret(&token.id), token)).collect::<Vec<_>>())
    })
    .await?;
    let is_shown = |token: &Token| {
        let is_wanted =
            owners.as_ref().is_none_or(|owners| owners.iter().any(|owner| token.belongs_to(owner)));
        is_wanted
            && (token.belongs_to(&principal)
                || broker.allows(caller, Operation::Describe, Resource::DelegationToken(&token.id))
                || broker.allows(caller, Operation::DescribeTokens, Resource::User(&token.owner)))
    };
    let shown = tokens.into_iter().filter(|(_, token)| is_shown(token));
    Ok(shown.map(|(secret, token)| described(secret, token, caller.version)).collect())
}

fn described(secret: Vec<u8>, token: Token, version: i16) -> DescribedDelegationToken {
    let (kind, name) = parts(&token.owner);
    let renewer = |principal: &String| {
        let (kind, name) = parts(principal);
        DescribedDelegationTokenRenewer::default().with_principal_type(kind).with_principal_name(name)
    };
    let mut described = DescribedDelegationToken::default()
        .with_principal_type(kind)
        .with_principal_name(name)
        .with_issue_timestamp(token.issued_ms)
        .with_expiry_timestamp(token.expires_ms)
        .with_max_timestamp(token.max_ms)
        .with_renewers(token.renewers.iter().map(renewer).collect())
        .with_token_id(StrBytes::from_string(token.id))
        .with_hmac(secret.into());
    if version >= REQUESTER_SINCE {
        (described.token_requester_principal_type, described.token_requester_principal_name) =
            parts(&token.requester);
    }
    described
}
