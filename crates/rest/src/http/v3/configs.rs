//! Configurations of topics, of brokers, and of all brokers at once: the same six requests for each.

use axum::extract::State;
use cloud::answers::Refused;
use serde_json::{Value as Json, json};

use super::{
    Answer, Ask, Shared,
    ask::{member, needed, only},
    batch_of, cluster_of,
    links::{Links, with},
    topics::text,
};
use crate::{
    Error,
    http::Reply,
    kafka::{
        configs::{Change, Config, Owner},
        topics::Asked,
    },
    service::Proxy,
};

/// Whose configuration a path names, and the links to it.
async fn owner_of(proxy: &Proxy, ask: &Ask) -> Result<(Owner, Links), Error> {
    let (topic, broker) = (ask.named("topic"), ask.named("broker"));
    let asked = if topic.is_empty() { Asked::None } else { Asked::One(topic) };
    let (cluster, links) = cluster_of(proxy, ask, asked).await?;
    let owner = match (topic, broker) {
        ("", "") => Owner::AllBrokers,
        ("", _) => {
            let id = ask.number("broker")?;
            let is_there = cluster.brokers.iter().any(|broker| broker.id == id);
            Owner::Broker(if is_there { id } else { return Err(Error::Http(Refused::Page)) })
        }
        (topic, _) if cluster.topics.is_empty() => {
            tracing::debug!(topic, "settings of a topic that is not there were asked for");
            return Err(Error::refused(3, None));
        }
        (topic, _) => Owner::Topic(topic.to_owned()),
    };
    Ok((owner, links))
}

pub(super) async fn all(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let (owner, links) = owner_of(&proxy, &ask).await?;
        let configs = proxy.kafka.configs(&owner, None).await?;
        Ok(shown_all(&owner, &configs, &links))
    };
    Answer::from(found.await)
}

pub(super) async fn one(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let (owner, links) = owner_of(&proxy, &ask).await?;
        let name = ask.named("name");
        let configs = proxy.kafka.configs(&owner, Some(&[name])).await?;
        let config = configs.iter().find(|config| config.name == name).ok_or(Error::Http(Refused::Page))?;
        Ok(shown(&owner, config, &links))
    };
    Answer::from(found.await)
}

/// What a topic has that says nothing of its own; there need not be one of that name.
pub(super) async fn defaults(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let (_, links) = cluster_of(&proxy, &ask, Asked::None).await?;
        let name = ask.named("topic");
        let configs = proxy.kafka.default_configs().await?;
        let owner = Owner::Topic(name.to_owned());
        let data = configs.iter().map(|config| shown(&owner, config, &links)).collect();
        Ok(links.list("KafkaTopicConfigList", &["topics", name, "default-configs"], data))
    };
    Answer::from(found.await)
}

pub(super) async fn of_all_topics(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let (cluster, links) = cluster_of(&proxy, &ask, Asked::All).await?;
        let mut data = Vec::new();
        for topic in cluster.topics {
            let owner = Owner::Topic(topic.name);
            let configs = proxy.kafka.configs(&owner, None).await?;
            data.extend(configs.iter().map(|config| shown(&owner, config, &links)));
        }
        Ok(links.list("KafkaTopicConfigList", &["topics", "-", "configs"], data))
    };
    Answer::from(found.await)
}

/// What was set for single brokers.
pub(super) async fn of_all_brokers(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let (cluster, links) = cluster_of(&proxy, &ask, Asked::None).await?;
        let mut data = Vec::new();
        for broker in cluster.brokers {
            let owner = Owner::Broker(broker.id);
            let configs = proxy.kafka.configs(&owner, None).await?;
            data.extend(configs.iter().map(|config| shown(&owner, config, &links)));
        }
        Ok(links.list("KafkaBrokerConfigList", &["brokers", "-", "configs"], data))
    };
    Answer::from(found.await)
}

pub(super) async fn set(State(proxy): Shared, ask: Ask) -> Answer {
    let changed = async {
        let body = ask.object(&["value"])?;
        let value = member(&body, "value", |value| Some(text(value)))?;
        change(&proxy, &ask, value).await
    };
    Answer(changed.await)
}

pub(super) async fn reset(State(proxy): Shared, ask: Ask) -> Answer {
    Answer(change(&proxy, &ask, None).await)
}

async fn change(proxy: &Proxy, ask: &Ask, value: Option<String>) -> Result<Reply, Error> {
    let (owner, _) = owner_of(proxy, ask).await?;
    let name = ask.named("name").to_owned();
    known(proxy, &owner, &[&name]).await?;
    proxy.kafka.alter_configs(&owner, &[Change { name, value }], false).await?;
    Ok(Reply::nothing())
}

/// Kafka would take a name that means nothing and keep it.
async fn known(proxy: &Proxy, owner: &Owner, names: &[&str]) -> Result<(), Error> {
    // Of all brokers only what was set is told, so that there nothing can be known.
    if *owner == Owner::AllBrokers {
        return Ok(());
    }
    let configs = proxy.kafka.configs(owner, Some(names)).await?;
    match names.iter().find(|name| !configs.iter().any(|config| config.name == **name)) {
        Some(name) => Err(Error::NotFound { what: format!("Config {name}") }),
        None => Ok(()),
    }
}

/// `{"data": [{"name", "value", "operation": "SET" | "DELETE"}], "validate_only": false}`
pub(super) async fn alter(State(proxy): Shared, ask: Ask) -> Answer {
    let altered = async {
        let body = ask.object(&["data", "validate_only"])?;
        let mut changes = Vec::new();
        for entry in batch_of(&body)? {
            only(entry, &["name", "value", "operation"])?;
            let name = needed(entry, "name", Json::as_str)?.to_owned();
            let value = member(entry, "value", |value| Some(text(value)))?;
            let operation = member(entry, "operation", Json::as_str)?.unwrap_or("SET");
            let value = match operation.to_ascii_uppercase().as_str() {
                "SET" => value,
                "DELETE" => None,
                other => {
                    return Err(Error::Unprocessable { reason: format!("operation cannot be {other}") });
                }
            };
            changes.push(Change { name, value });
        }
        let validate_only = member(&body, "validate_only", Json::as_bool)?.unwrap_or(false);
        let (owner, _) = owner_of(&proxy, &ask).await?;
        let names: Vec<&str> = changes.iter().map(|change| change.name.as_str()).collect();
        known(&proxy, &owner, &names).await?;
        proxy.kafka.alter_configs(&owner, &changes, validate_only).await?;
        Ok(Reply::nothing())
    };
    Answer(altered.await)
}

fn shown_all(owner: &Owner, configs: &[Config], links: &Links) -> Json {
    let data = configs.iter().map(|config| shown(owner, config, links)).collect();
    match owner {
        Owner::Topic(name) => links.list("KafkaTopicConfigList", &["topics", name, "configs"], data),
        Owner::Broker(id) => {
            links.list("KafkaBrokerConfigList", &["brokers", &id.to_string(), "configs"], data)
        }
        Owner::AllBrokers => links.list("KafkaClusterConfigList", &["broker-configs"], data),
    }
}

fn shown(owner: &Owner, config: &Config, links: &Links) -> Json {
    let name = config.name.as_str();
    let (mut members, whose) = match owner {
        Owner::Topic(topic) => {
            let path = ["topics", topic, "configs", name];
            let called = [("topic", Some(topic.as_str())), ("config", Some(name))];
            (links.resource("KafkaTopicConfig", &path, &called), ("topic_name", json!(topic)))
        }
        Owner::Broker(id) => {
            let text = id.to_string();
            let path = ["brokers", &text, "configs", name];
            let called = [("broker", Some(text.as_str())), ("config", Some(name))];
            (links.resource("KafkaBrokerConfig", &path, &called), ("broker_id", json!(id)))
        }
        Owner::AllBrokers => {
            let called = [("broker-config", Some(name))];
            let members = links.resource("KafkaClusterConfig", &["broker-configs", name], &called);
            (members, ("config_type", json!("BROKER")))
        }
    };
    let synonyms = config
        .synonyms
        .iter()
        .map(|synonym| json!({ "name": synonym.name, "value": synonym.value, "source": synonym.source }));
    let own = json!({
        "name": name,
        "value": config.value,
        "is_default": config.is_default(),
        "is_read_only": config.is_read_only,
        "is_sensitive": config.is_sensitive,
        "source": config.source,
        "synonyms": synonyms.collect::<Vec<_>>(),
    });
    members.insert(whose.0.to_owned(), whose.1);
    with(members, own)
}
