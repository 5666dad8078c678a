//! CreateDelegationToken (key 38), versions 1-3 (KIP-48).
//! v2 flexible; v3 a token for another owner (KIP-373), which an ACL has to allow.
//!
//! A token is as good as a password: none is given over a connection that anybody reads, nor to who has come by a token himself.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{CreateDelegationTokenRequest, CreateDelegationTokenResponse},
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    security::{
        access::Resource,
        acl::Operation,
        delegation::{Delegation, Token, Wanted},
        options::Protocol,
        peer::ANONYMOUS,
    },
    topics::Refusal,
};

pub const HANDLER: Handler = Handler {
    key: CreateDelegationTokenRequest::KEY,
    name: "CreateDelegationToken",
    versions: 1..=3,
    shape: &shapes::CREATE_DELEGATION_TOKEN,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "with `delegation_token_secret_key`; 10,000 tokens, 100 renewers each",
};

/// From this version on answers say who asked for a token (KIP-373).
pub const REQUESTER_SINCE: i16 = 3;

/// The only kind of principal that there is.
pub const USER: &str = "User";

/// Whether this connection may deal with tokens at all.
pub fn check_connection(broker: &Broker, caller: &Caller) -> Result<(), ResponseError> {
    let peer = &caller.peer;
    let is_anonymous = &*peer.principal() == ANONYMOUS;
    let is_read_by_others = match peer.listener.protocol {
        Protocol::Plaintext => true,
        Protocol::Ssl => is_anonymous,
        Protocol::SaslPlaintext | Protocol::SaslSsl => false,
    };
    if is_read_by_others || peer.came_by_token() {
        return Err(ResponseError::DelegationTokenRequestNotAllowed);
    }
    delegation(broker)?;
    Ok(())
}

fn delegation(broker: &Broker) -> Result<&Delegation, ResponseError> {
    broker.security.delegation.as_ref().ok_or(ResponseError::DelegationTokenAuthDisabled)
}

/// Asks the tokens on a thread that may block.
pub async fn ask<T: Send + 'static>(
    broker: &Arc<Broker>,
    question: impl FnOnce(&Delegation, i64) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, ResponseError> {
    let asked = broker.blocking(move |broker| match delegation(broker) {
        Ok(delegation) => question(delegation, broker.now_ms()).map_err(|refusal| refusal.error),
        Err(error) => Err(error),
    });
    asked.await
}

/// Gives a token another end as the caller, by its principal and the time: the new end, or -1 and why not.
pub async fn change_end(
    broker: &Arc<Broker>,
    caller: &Caller,
    change: impl FnOnce(&Delegation, &str, i64) -> Result<i64, Refusal> + Send + 'static,
) -> (i64, i16) {
    let principal = caller.peer.principal();
    let changed = match check_connection(broker, caller) {
        Ok(()) => ask(broker, move |delegation, now_ms| change(delegation, &principal, now_ms)).await,
        Err(error) => Err(error),
    };
    changed.map_or_else(|error| (-1, error.code()), |ends_ms| (ends_ms, 0))
}

/// `User:alice` in its two parts.
pub fn parts(principal: &str) -> (StrBytes, StrBytes) {
    let (kind, name) = principal.split_once(':').unwrap_or((USER, principal));
    (StrBytes::from_string(kind.to_owned()), StrBytes::from_string(name.to_owned()))
}

async fn act(
    broker: Arc<Broker>,
    request: CreateDelegationTokenRequest,
    caller: Caller,
) -> CreateDelegationTokenResponse {
    let requester = caller.peer.principal().to_string();
    let owner = match request.owner_principal_name.as_deref() {
        None | Some("") => requester.clone(),
        Some(name) => format!("{}:{name}", request.owner_principal_type.as_deref().unwrap_or_default()),
    };
    let (kind, name) = parts(&owner);
    let mut response =
        CreateDelegationTokenResponse::default().with_principal_type(kind).with_principal_name(name);
    if caller.version >= REQUESTER_SINCE {
        (response.token_requester_principal_type, response.token_requester_principal_name) =
            parts(&requester);
    }
    match create(&broker, request, &caller, owner, requester).await {
        Ok((token, secret)) => response
            .with_issue_timestamp_ms(token.issued_ms)
            .with_expiry_timestamp_ms(token.expires_ms)
            .with_max_timestamp_ms(token.max_ms)
            .with_token_id(StrBytes::from_string(token.id))
            .with_hmac(secret.into()),
        Err(error) => {
            let response = response.with_issue_timestamp_ms(-1).with_expiry_timestamp_ms(-1);
            response.with_max_timestamp_ms(-1).with_error_code(error.code())
        }
    }
}

async fn create(
    broker: &Arc<Broker>,
    request: CreateDelegationTokenRequest,
    caller: &Caller,
    owner: String,
    requester: String,
) -> Result<(Token, Vec<u8>), ResponseError> {
    check_connection(broker, caller)?;
    if owner != requester {
        broker.check(caller, Operation::CreateTokens, Resource::User(&owner))?;
        // Who logs in is a user: a token of another kind of owner could not be used.
        if !owner.starts_with("User:") {
            return Err(ResponseError::InvalidPrincipalType);
        }
    }
    if request.renewers.iter().any(|renewer| &*renewer.principal_type != USER) {
        return Err(ResponseError::InvalidPrincipalType);
    }
    let renewers = request.renewers.iter().map(|renewer| format!("{USER}:{}", &*renewer.principal_name));
    let wanted =
        Wanted { owner, requester, renewers: renewers.collect(), lifetime_ms: request.max_lifetime_ms };
    ask(broker, move |delegation, now_ms| {
        let token = delegation.create(wanted, now_ms)?;
        let secret = delegation.secret(&token.id);
        Ok((token, secret))
    })
    .await
}
