//! `/associations`: which subjects belong to a topic. `?resourceType&associationType&lifecycle`, `context`, `dryRun`;
//! of several topics at once in `batch`.

mod batch;

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value as Json, json};

use super::{
    Answer, Ask, SCHEMAS_COUNT_MAX, Shared,
    ask::{asked, member, object},
};
use crate::{
    Error,
    entities::{Association, Lifecycle},
    errors::Unassociated,
    journal::Journal,
    names::{context_from, normalized, qualified},
    state::{Associated, Content, Filter, Operation, Request, Wish},
};

pub(super) use batch::{get as batch_get, mutate as batch_mutate};

/// The one kind of resource that there is.
const TOPIC: &str = "topic";
const KEY: &str = "key";
const VALUE: &str = "value";

fn invalid(property: &str, reason: impl Into<String>) -> Error {
    Error::Association(Unassociated::Invalid { property: property.to_owned(), reason: reason.into() })
}

fn filter(ask: &Ask) -> Result<Filter, Error> {
    let given = |name: &str| ask.param(name).filter(|text| !text.is_empty());
    let lifecycle = given("lifecycle").map(|text| serde_json::from_value(text.to_ascii_uppercase().into()));
    let lifecycle: Option<Lifecycle> =
        lifecycle.transpose().map_err(|_| invalid("lifecycle", "it is STRONG or WEAK"))?;
    Ok(Filter {
        resource_type: given("resourceType").unwrap_or(TOPIC).to_owned(),
        association_types: ask.params("associationType"),
        lifecycle,
    })
}

fn listed(ask: &Ask, found: impl FnOnce(&Filter) -> Vec<Association>) -> Answer {
    Answer(
        filter(ask).map(|filter| ask.page(found(&filter), SCHEMAS_COUNT_MAX).map(|one| json!(one)).collect()),
    )
}

pub(super) async fn of_subject(State(journal): Shared, ask: Ask) -> Answer {
    let subject = ask.subject(&journal);
    listed(&ask, |filter| journal.read(|state| state.associations_of_subject(&subject, filter)))
}

pub(super) async fn of_id(State(journal): Shared, ask: Ask) -> Answer {
    let id = ask.text("resource");
    listed(&ask, |filter| journal.read(|state| state.associations_of_id(id, filter)))
}

/// Here the resource is a namespace, which `-` leaves open.
pub(super) async fn of_name(State(journal): Shared, ask: Ask) -> Answer {
    let (namespace, name) = (ask.text("resource"), ask.text("name"));
    listed(&ask, |filter| journal.read(|state| state.associations_of_name(namespace, name, filter)))
}

/// What is there already may only be the same.
pub(super) async fn create(State(journal): Shared, ask: Ask, body: Bytes) -> Answer {
    Answer(associate(&journal, &ask, &body, false).await)
}

pub(super) async fn create_or_update(State(journal): Shared, ask: Ask, body: Bytes) -> Answer {
    Answer(associate(&journal, &ask, &body, true).await)
}

async fn associate(journal: &Journal, ask: &Ask, body: &Bytes, update: bool) -> Result<Json, Error> {
    let (dry, body) = (ask.is_on("dryRun"), object(body)?);
    let operation = |wish| if update { Operation::Upsert(wish) } else { Operation::Create(wish) };
    let read = |one: &Json, of: &Resource| wish(ask, one, of, !update).map(operation);
    carry_out(journal, &request(ask, &body, dry, read)?, dry).await
}

/// What a request asks for, and how the associations are then; of one that was only tried, nothing but whose they would be.
async fn carry_out(journal: &Journal, request: &Request, dry: bool) -> Result<Json, Error> {
    let Request { resource_name, resource_namespace, resource_id, resource_type, .. } = request;
    let mut answer = whose(resource_name, resource_namespace, resource_id, resource_type);
    if dry {
        journal.read(|state| state.associate(request).map(drop))?;
        return Ok(answer);
    }
    let associated = journal.change(|state| state.associate(request)).await?;
    answer["associations"] = associated.into_iter().map(|one| told(journal, one)).collect();
    Ok(answer)
}

/// What says whose associations an answer tells; what is not known is left out.
fn whose(name: &str, namespace: &str, id: &str, kind: &str) -> Json {
    let mut answer = json!({});
    for (property, text) in
        [("resourceName", name), ("resourceNamespace", namespace), ("resourceId", id), ("resourceType", kind)]
    {
        if !text.is_empty() {
            answer[property] = text.into();
        }
    }
    answer
}

fn told(journal: &Journal, associated: Associated) -> Json {
    let Associated { association, registered } = associated;
    let schema = registered.and_then(|registered| {
        let content = journal.read(|state| state.by_id(registered.id, &association.subject)).ok()?;
        Some((registered.id, content))
    });
    with_schema(&association, schema)
}

/// An association without what says whose it is.
fn with_schema(association: &Association, schema: Option<(i32, Arc<Content>)>) -> Json {
    let Association { subject, association_type, lifecycle, frozen, .. } = association;
    let mut told = json!({
        "subject": subject, "associationType": association_type, "lifecycle": lifecycle, "frozen": frozen,
    });
    if let Some((id, content)) = schema {
        let mut members = content.shown(None);
        members.insert("subject".to_owned(), json!(subject));
        members.insert("id".to_owned(), id.into());
        told["schema"] = members.into();
    }
    told
}

/// A text; an empty one is none.
fn text(body: &Json, property: &str) -> Result<Option<String>, Error> {
    Ok(member::<String>(body, property)?.filter(|text| !text.is_empty()))
}

/// A topic, where nothing else is said.
fn resource_type(body: &Json) -> Result<String, Error> {
    Ok(text(body, "resourceType")?.unwrap_or_else(|| TOPIC.to_owned()))
}

/// A name that must be there and hold nothing that a path could not.
fn name(body: &Json, property: &str) -> Result<String, Error> {
    let name = text(body, property)?.ok_or_else(|| invalid(property, "it is missing or empty"))?;
    match name.chars().any(char::is_control) {
        true => Err(invalid(property, "it has control characters")),
        false => Ok(name),
    }
}

/// Whose associations a request is about.
struct Resource<'a> {
    namespace: &'a str,
    name: &'a str,
}

impl Resource<'_> {
    /// The subject of the topic's name, in the context of the namespace's: all that a frozen association may have.
    fn own_subject(&self, association_type: &str) -> String {
        qualified(&context_from(self.namespace), &format!("{}-{association_type}", self.name))
    }
}

fn request(
    ask: &Ask,
    body: &Json,
    dry: bool,
    read: impl Fn(&Json, &Resource) -> Result<Operation, Error>,
) -> Result<Request, Error> {
    let of_path = Some(ask.text("resource")).filter(|id| !id.is_empty());
    let resource_id = match (text(body, "resourceId")?, of_path) {
        (Some(id), Some(of_path)) if id != of_path => {
            return Err(invalid("resourceId", "it is another one than the path's"));
        }
        (None, None) if !dry => return Err(invalid("resourceId", "it is missing or empty")),
        (id, of_path) => id.or_else(|| of_path.map(str::to_owned)).unwrap_or_default(),
    };
    let resource_type = resource_type(body)?;
    if resource_type != TOPIC {
        return Err(invalid("resourceType", format!("it is not '{TOPIC}'")));
    }
    let (resource_name, resource_namespace) = (name(body, "resourceName")?, name(body, "resourceNamespace")?);
    let resource = Resource { namespace: &resource_namespace, name: &resource_name };
    let given: Vec<Json> = member(body, "associations")?.unwrap_or_default();
    let mut operations: Vec<Operation> = Vec::with_capacity(given.len());
    for one in &given {
        let operation = read(one, &resource)?;
        let kind = operation.association_type();
        if operations.iter().any(|other| other.association_type() == kind) {
            return Err(invalid("associationType", format!("'{kind}' comes twice")));
        }
        operations.push(operation);
    }
    if operations.is_empty() {
        return Err(invalid("associations", "it is missing or empty"));
    }
    Ok(Request { resource_name, resource_namespace, resource_id, resource_type, operations })
}

fn association_type(body: &Json) -> Result<String, Error> {
    match text(body, "associationType")? {
        None => Ok(VALUE.to_owned()),
        Some(kind) if [KEY, VALUE].contains(&kind.as_str()) => Ok(kind),
        Some(kind) => Err(invalid("associationType", format!("it is '{KEY}' or '{VALUE}', not '{kind}'"))),
    }
}

/// With a schema a new association is strong and frozen. Without a subject it is the one of the topic's name, which only such
/// a one has by itself.
fn wish(ask: &Ask, body: &Json, resource: &Resource, is_new: bool) -> Result<Wish, Error> {
    let association_type = association_type(body)?;
    let own_subject = resource.own_subject(&association_type);
    let subject = match (text(body, "subject")?, ask.param("context")) {
        (None, _) => None,
        (Some(subject), Some(context)) if !subject.starts_with(":.") => {
            Some(qualified(&context_from(context), &subject))
        }
        (Some(subject), _) => Some(normalized(&subject)),
    };
    let schema: Option<Json> = member(body, "schema")?;
    let mut lifecycle: Option<Lifecycle> = member(body, "lifecycle")?;
    let mut frozen: Option<bool> = member(body, "frozen")?;
    if schema.is_some() {
        match (lifecycle, frozen) {
            (Some(Lifecycle::Weak), _) => {
                return Err(invalid("lifecycle", "with a schema it cannot be WEAK"));
            }
            (_, Some(false)) if is_new => {
                return Err(invalid("frozen", "with a schema a new association is frozen"));
            }
            _ if is_new => (lifecycle, frozen) = (Some(Lifecycle::Strong), Some(true)),
            _ => {}
        }
    }
    match &subject {
        None if is_new && frozen != Some(true) => {
            return Err(invalid("subject", "it is missing or empty, and the association not frozen"));
        }
        Some(subject) if frozen == Some(true) && *subject != own_subject => {
            return Err(invalid("subject", format!("a frozen association has the subject '{own_subject}'")));
        }
        _ => {}
    }
    let subject = subject.unwrap_or(own_subject);
    let schema = schema.map(|schema| asked(&subject, &schema)).transpose()?;
    let normalize = member(body, "normalize")?.unwrap_or(false);
    Ok(Wish { association_type, lifecycle, frozen, schema, normalize, subject })
}

/// `?cascadeLifecycle`: subjects of strong associations go with them.
pub(super) async fn delete(State(journal): Shared, ask: Ask) -> Response {
    match dissociate(&journal, &ask).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => Answer(Err(error)).into_response(),
    }
}

async fn dissociate(journal: &Journal, ask: &Ask) -> Result<(), Error> {
    let (id, filter, cascade) = (ask.text("resource"), filter(ask)?, ask.is_on("cascadeLifecycle"));
    match ask.is_on("dryRun") {
        true => journal.read(|state| state.dissociate(id, &filter, cascade).map(drop)),
        false => journal.change(|state| Ok(((), state.dissociate(id, &filter, cascade)?))).await,
    }
}
