//! Access control lists.

use axum::{extract::State, http::StatusCode};
use cloud::http::segment;
use serde_json::{Value as Json, json};

use super::{
    Answer, Ask, Shared,
    ask::{needed, only},
    batch_of, cluster_of,
    links::{Links, list, with},
};
use crate::{
    Error,
    http::Reply,
    kafka::{
        acls::{Acl, Filter, OPERATIONS, PATTERN_TYPES, PERMISSIONS, RESOURCE_TYPES, number, word},
        topics::Asked,
    },
};

const MEMBERS: [&str; 7] =
    ["resource_type", "resource_name", "pattern_type", "principal", "host", "operation", "permission"];
/// Kafka's numbers of words that only a search may have.
const UNKNOWN: i8 = 0;
const ANY: i8 = 1;
const MATCH: i8 = 2;

pub(super) async fn search(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let filter = filter(&ask)?;
        let (_, links) = cluster_of(&proxy, &ask, Asked::None).await?;
        let acls = proxy.kafka.acls(&filter).await?;
        let data = acls.iter().map(|acl| shown(acl, &links)).collect();
        Ok(list("KafkaAclList", &url_of(&links, &filter), data))
    };
    Answer::from(found.await)
}

pub(super) async fn delete(State(proxy): Shared, ask: Ask) -> Answer {
    let deleted = async {
        for name in ["resource_type", "pattern_type", "operation", "permission"] {
            if ask.param(name).is_none() {
                return Err(Error::Body { reason: format!("{name} has to be given, and may be ANY") });
            }
        }
        let filter = filter(&ask)?;
        let (_, links) = cluster_of(&proxy, &ask, Asked::None).await?;
        let acls = proxy.kafka.delete_acls(&filter).await?;
        Ok(json!({ "data": acls.iter().map(|acl| shown(acl, &links)).collect::<Vec<_>>() }))
    };
    Answer::from(deleted.await)
}

pub(super) async fn create(State(proxy): Shared, ask: Ask) -> Answer {
    let made = async {
        let acl = acl(&ask.object(&MEMBERS)?)?;
        let (_, links) = cluster_of(&proxy, &ask, Asked::None).await?;
        proxy.kafka.create_acls(std::slice::from_ref(&acl)).await?;
        Ok(Reply::created(None, url_of(&links, &exactly(&acl))))
    };
    Answer(made.await)
}

pub(super) async fn create_many(State(proxy): Shared, ask: Ask) -> Answer {
    let made = async {
        let body = ask.object(&["data"])?;
        let acls = batch_of(&body)?.iter().map(|entry| {
            only(entry, &MEMBERS)?;
            acl(entry)
        });
        let acls = acls.collect::<Result<Vec<_>, _>>()?;
        cluster_of(&proxy, &ask, Asked::None).await?;
        proxy.kafka.create_acls(&acls).await?;
        Ok(Reply { status: StatusCode::CREATED, body: None, location: None })
    };
    Answer(made.await)
}

/// From the query; what it does not say may be anything.
fn filter(ask: &Ask) -> Result<Filter, Error> {
    let of = |name: &str, words| match ask.param(name).filter(|word| !word.is_empty()) {
        None => Ok(ANY),
        Some(word) => match number(words, word) {
            Some(number) if number != UNKNOWN => Ok(number),
            _ => Err(Error::Body { reason: format!("{name} cannot be {word}") }),
        },
    };
    let text = |name: &str| ask.param(name).filter(|text| !text.is_empty()).map(str::to_owned);
    Ok(Filter {
        resource_type: of("resource_type", RESOURCE_TYPES)?,
        resource_name: text("resource_name"),
        pattern_type: of("pattern_type", PATTERN_TYPES)?,
        principal: text("principal"),
        host: text("host"),
        operation: of("operation", OPERATIONS)?,
        permission: of("permission", PERMISSIONS)?,
    })
}

/// From a body, where everything has to be told.
fn acl(body: &Json) -> Result<Acl, Error> {
    let of = |name: &str, words| {
        let word = needed(body, name, Json::as_str)?;
        let is_exact = |number: &i8| *number > ANY && !(name == "pattern_type" && *number == MATCH);
        let found = number(words, word).filter(is_exact);
        found.ok_or_else(|| Error::Body { reason: format!("{name} cannot be {word}") })
    };
    let text = |name: &str| needed(body, name, Json::as_str).map(str::to_owned);
    Ok(Acl {
        resource_type: of("resource_type", RESOURCE_TYPES)?,
        resource_name: text("resource_name")?,
        pattern_type: of("pattern_type", PATTERN_TYPES)?,
        principal: text("principal")?,
        host: text("host")?,
        operation: of("operation", OPERATIONS)?,
        permission: of("permission", PERMISSIONS)?,
    })
}

fn exactly(acl: &Acl) -> Filter {
    Filter {
        resource_type: acl.resource_type,
        resource_name: Some(acl.resource_name.clone()),
        pattern_type: acl.pattern_type,
        principal: Some(acl.principal.clone()),
        host: Some(acl.host.clone()),
        operation: acl.operation,
        permission: acl.permission,
    }
}

/// An entry has no address of its own: it is the search that finds it.
fn url_of(links: &Links, filter: &Filter) -> String {
    let text = |value: &Option<String>| segment(value.as_deref().unwrap_or_default());
    format!(
        "{}?resource_type={}&resource_name={}&pattern_type={}&principal={}&host={}&operation={}&permission={}",
        links.url(&["acls"]),
        word(RESOURCE_TYPES, filter.resource_type),
        text(&filter.resource_name),
        word(PATTERN_TYPES, filter.pattern_type),
        text(&filter.principal),
        text(&filter.host),
        word(OPERATIONS, filter.operation),
        word(PERMISSIONS, filter.permission),
    )
}

fn shown(acl: &Acl, links: &Links) -> Json {
    let mut members = links.resource("KafkaAcl", &["acls"], &[]);
    members.insert("metadata".to_owned(), json!({ "self": url_of(links, &exactly(acl)) }));
    let own = json!({
        "resource_type": word(RESOURCE_TYPES, acl.resource_type),
        "resource_name": acl.resource_name,
        "pattern_type": word(PATTERN_TYPES, acl.pattern_type),
        "principal": acl.principal,
        "host": acl.host,
        "operation": word(OPERATIONS, acl.operation),
        "permission": word(PERMISSIONS, acl.permission),
    });
    with(members, own)
}
