//! DescribeUserScramCredentials (key 50), version 0 (KIP-554): which users were made, with which mechanisms; never a key.

use std::{collections::BTreeMap, sync::Arc};

use kafka_protocol::{
    ResponseError,
    messages::{
        DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
        describe_user_scram_credentials_response::{CredentialInfo, DescribeUserScramCredentialsResult},
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    security::{access::Resource, acl::Operation, sasl::scram::Hash},
};

pub const HANDLER: Handler = Handler {
    key: DescribeUserScramCredentialsRequest::KEY,
    name: "DescribeUserScramCredentials",
    versions: 0..=0,
    shape: &shapes::DESCRIBE_USER_SCRAM_CREDENTIALS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, &request, &caller) }),
    notes: "users that were made by AlterUserScramCredentials, not those of the settings",
};

fn act(
    broker: &Arc<Broker>,
    request: &DescribeUserScramCredentialsRequest,
    caller: &Caller,
) -> DescribeUserScramCredentialsResponse {
    let response = DescribeUserScramCredentialsResponse::default();
    if let Err(error) = broker.check(caller, Operation::Describe, Resource::Cluster) {
        let message = StrBytes::from_string(error.to_string());
        return response.with_error_code(error.code()).with_error_message(Some(message));
    }
    let made = broker.security.users.made();
    let wanted: Vec<&str> = request.users.iter().flatten().map(|user| &*user.name).collect();
    if wanted.is_empty() {
        return response.with_results(made.iter().map(|(user, own)| described(user, Some(own))).collect());
    }
    let mut counts = BTreeMap::new();
    wanted.iter().for_each(|user| *counts.entry(*user).or_insert(0) += 1);
    let each = |(user, count): (&str, i32)| match count {
        1 => described(user, made.get(user)),
        _ => refused(
            user,
            ResponseError::DuplicateResource,
            format!("Cannot describe SCRAM credentials for the same user twice in a single request: {user}"),
        ),
    };
    response.with_results(counts.into_iter().map(each).collect())
}

fn described(user: &str, own: Option<&Vec<(Hash, i32)>>) -> DescribeUserScramCredentialsResult {
    let Some(own) = own else {
        let message = format!("Attempt to describe a user credential that does not exist: {user}");
        return refused(user, ResponseError::ResourceNotFound, message);
    };
    let each = |(hash, iterations): &(Hash, i32)| {
        CredentialInfo::default().with_mechanism(hash.id()).with_iterations(*iterations)
    };
    DescribeUserScramCredentialsResult::default()
        .with_user(StrBytes::from_string(user.to_owned()))
        .with_credential_infos(own.iter().map(each).collect())
}

fn refused(user: &str, error: ResponseError, message: String) -> DescribeUserScramCredentialsResult {
    DescribeUserScramCredentialsResult::default()
        .with_user(StrBytes::from_string(user.to_owned()))
        .with_error_code(error.code())
        .with_error_message(Some(StrBytes::from_string(message)))
}
