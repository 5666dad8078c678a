//! AlterUserScramCredentials (key 51), version 0 (KIP-554): makes and deletes users of SCRAM.
//! The client sends the salted password, so the broker never sees the password itself; what it keeps is on the disk before the
//! answer. As in Kafka all that is asked for one user is done, or nothing.

use std::{collections::BTreeSet, sync::Arc};

use kafka_protocol::{
    ResponseError,
    messages::{
        AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
        alter_user_scram_credentials_request::{ScramCredentialDeletion, ScramCredentialUpsertion},
        alter_user_scram_credentials_response::AlterUserScramCredentialsResult,
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, k29_describe_acls::denied, shapes};
use crate::{
    broker::Broker,
    errors::Error,
    security::{
        access::Resource,
        acl::Operation,
        sasl::scram::{Credential, Hash, ITERATIONS},
    },
    topics::Refusal,
};

pub const HANDLER: Handler = Handler {
    key: AlterUserScramCredentialsRequest::KEY,
    name: "AlterUserScramCredentials",
    versions: 0..=0,
    shape: &shapes::ALTER_USER_SCRAM_CREDENTIALS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "4,096 to 16,384 iterations",
};

async fn act(
    broker: Arc<Broker>,
    request: AlterUserScramCredentialsRequest,
    caller: Caller,
) -> AlterUserScramCredentialsResponse {
    let allowed = broker.check(&caller, Operation::Alter, Resource::Cluster).map_err(denied);
    let deleted = request.deletions.iter().map(|each| each.name.to_string());
    let users: BTreeSet<String> =
        deleted.chain(request.upsertions.iter().map(|each| each.name.to_string())).collect();
    let request = Arc::new(request);
    let mut response = AlterUserScramCredentialsResponse::default();
    for user in users {
        let (request, name) = (request.clone(), user.clone());
        let altered = match &allowed {
            Ok(()) => broker.blocking(move |broker| alter(broker, &request, &name)).await,
            Err(refusal) => Err(refusal.clone()),
        };
        let result = AlterUserScramCredentialsResult::default().with_user(StrBytes::from_string(user));
        response.results.push(match altered {
            Ok(()) => result,
            Err(refusal) => result
                .with_error_code(refusal.error.code())
                .with_error_message(Some(StrBytes::from_string(refusal.reason))),
        });
    }
    response
}

/// All that the request says of one user.
fn alter(broker: &Broker, request: &AlterUserScramCredentialsRequest, user: &str) -> Result<(), Refusal> {
    if user.is_empty() {
        return Err(Refusal::new(ResponseError::UnacceptableCredential, "Username must not be empty"));
    }
    let users = &broker.security.users;
    let mut seen = BTreeSet::new();
    let mut once = |hash: Hash| match seen.insert(hash) {
        true => Ok(()),
        false => {
            let reason = format!("A user credential cannot be altered twice in the same request: {user}");
            Err(Refusal::new(ResponseError::DuplicateResource, reason))
        }
    };
    let (mut gone, mut made) = (Vec::new(), Vec::new());
    for ScramCredentialDeletion { mechanism, .. } in
        request.deletions.iter().filter(|each| *each.name == *user)
    {
        let hash = hash_of(*mechanism)?;
        once(hash)?;
        if !users.made().get(user).is_some_and(|own| own.iter().any(|(other, _)| *other == hash)) {
            let reason = format!("Attempt to delete a user credential that does not exist: {user}");
            return Err(Refusal::new(ResponseError::ResourceNotFound, reason));
        }
        gone.push(hash);
    }
    for wanted in request.upsertions.iter().filter(|each| *each.name == *user) {
        let hash = hash_of(wanted.mechanism)?;
        once(hash)?;
        made.push((hash, credential(hash, wanted)?));
    }
    users.alter(user, &gone, made).map_err(|error| storage(&error))
}

fn credential(hash: Hash, wanted: &ScramCredentialUpsertion) -> Result<Credential, Refusal> {
    let refuse = |reason: &str| Err(Refusal::new(ResponseError::UnacceptableCredential, reason));
    if wanted.iterations < *ITERATIONS.start() {
        return refuse("Too few iterations");
    }
    if wanted.iterations > *ITERATIONS.end() {
        return refuse("Too many iterations");
    }
    if wanted.salt.is_empty() || wanted.salted_password.is_empty() {
        return refuse("The salt and the salted password must not be empty");
    }
    Ok(Credential::from_salted(hash, wanted.salt.to_vec(), wanted.iterations, &wanted.salted_password))
}

fn hash_of(mechanism: i8) -> Result<Hash, Refusal> {
    let found = Hash::ALL.into_iter().find(|hash| hash.id() == mechanism);
    found.ok_or_else(|| Refusal::new(ResponseError::UnsupportedSaslMechanism, "Unknown SCRAM mechanism"))
}

fn storage(error: &Error) -> Refusal {
    tracing::error!(%error, "SCRAM credentials cannot be kept");
    Refusal::new(ResponseError::KafkaStorageError, error.to_string())
}
