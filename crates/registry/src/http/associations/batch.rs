//! Associations of several topics in one request: each is answered by itself, with what it brought or why it was refused.
//!
//! Source: Confluent Schema Registry, `AssociationsResource`, `AssociationBatchRequest` and `AssociationBatchGetRequest`.

use axum::{
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value as Json, json};

use super::{
    super::{
        Answer, Ask, Shared,
        ask::{member, object, refusal},
    },
    association_type, carry_out, invalid, name, request, resource_type, text, whose, wish, with_schema,
};
use crate::{
    Error,
    journal::Journal,
    state::{Filter, Operation, Wanted},
};

/// `{"requests": [{"resourceName", "resourceNamespace", "resourceId", "associations": [{"opType": "CREATE", …}]}]}`; the
/// operations of one request are carried out together or not at all. `?dryRun`, `?context`
pub(in super::super) async fn mutate(State(journal): Shared, ask: Ask, body: Bytes) -> Response {
    let dry = ask.is_on("dryRun");
    let requests = match requests(&body) {
        Ok(requests) => requests,
        Err(error) => return Answer(Err(error)).into_response(),
    };
    let mut results = Vec::with_capacity(requests.len());
    for one in &requests {
        let read = request(&ask, one, dry, |one, resource| operation(&ask, one, resource));
        results.push(match read {
            Ok(request) => carry_out(&journal, &request, dry).await,
            Err(error) => Err(error),
        });
    }
    answer(results)
}

/// `{"requests": [{"resourceId" or "resourceNamespace" and "resourceName", "associationTypes", "lifecycle"}]}`;
/// `?includeSchemas` brings the latest one of each subject.
pub(in super::super) async fn get(State(journal): Shared, ask: Ask, body: Bytes) -> Response {
    let with_schemas = ask.is_on("includeSchemas");
    match requests(&body) {
        Ok(requests) => answer(requests.iter().map(|one| found(&journal, one, with_schemas)).collect()),
        Err(error) => Answer(Err(error)).into_response(),
    }
}

fn requests(body: &Bytes) -> Result<Vec<Json>, Error> {
    let requests: Option<Vec<Json>> = member(&object(body)?, "requests")?;
    requests.filter(|all| !all.is_empty()).ok_or_else(|| invalid("requests", "it is missing or empty"))
}

fn answer(results: Vec<Result<Json, Error>>) -> Response {
    let told = |result| match result {
        Ok(result) => json!({ "result": result }),
        Err(error) => json!({ "error": refusal(&error) }),
    };
    let results: Vec<Json> = results.into_iter().map(told).collect();
    let mut response = Answer(Ok(json!({ "results": results }))).into_response();
    *response.status_mut() = StatusCode::MULTI_STATUS;
    response
}

fn operation(ask: &Ask, body: &Json, resource: &super::Resource) -> Result<Operation, Error> {
    let kind: Option<String> = member(body, "opType")?;
    match kind.as_deref() {
        Some("CREATE") => wish(ask, body, resource, true).map(Operation::Create),
        Some("UPSERT") => wish(ask, body, resource, false).map(Operation::Upsert),
        Some("DELETE") => Ok(Operation::Delete {
            association_type: association_type(body)?,
            cascade: member(body, "cascadeLifecycle")?.unwrap_or(false),
        }),
        _ => Err(invalid("opType", "it is CREATE, UPSERT or DELETE")),
    }
}

/// What one topic has; nothing is no error.
fn found(journal: &Journal, body: &Json, with_schemas: bool) -> Result<Json, Error> {
    let filter = Filter {
        resource_type: resource_type(body)?,
        association_types: member(body, "associationTypes")?.unwrap_or_default(),
        lifecycle: member(body, "lifecycle")?,
    };
    let id = text(body, "resourceId")?;
    let associations = match &id {
        Some(id) => journal.read(|state| state.associations_of_id(id, &filter)),
        None => {
            let (namespace, name) = (name(body, "resourceNamespace")?, name(body, "resourceName")?);
            journal.read(|state| state.associations_of_name(&namespace, &name, &filter))
        }
    };
    let (name, namespace) = (text(body, "resourceName")?, text(body, "resourceNamespace")?);
    let mut answer = match associations.first() {
        Some(one) => {
            whose(&one.resource_name, &one.resource_namespace, &one.resource_id, &filter.resource_type)
        }
        None => {
            let [name, namespace, id] = [name, namespace, id].map(Option::unwrap_or_default);
            whose(&name, &namespace, &id, &filter.resource_type)
        }
    };
    answer["associations"] = associations
        .iter()
        .map(|one| {
            let latest = || journal.read(|state| state.version(&one.subject, Wanted::Latest, false)).ok();
            let latest = with_schemas.then(latest).flatten();
            with_schema(one, latest.map(|found| (found.id, found.content)))
        })
        .collect();
    Ok(answer)
}
