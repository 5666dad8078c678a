//! Consumer instances over HTTP.

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use cloud::http::segment;
use regex::Regex;
use serde_json::{Value as Json, json};

use super::{
    Answer, Ask, Reply, Shared,
    ask::{self, member, needed, only},
    embedded,
};
use crate::{
    Error,
    consumers::{Committed, Config, Instance, Place, To},
    kafka::topics::Asked,
    service::Proxy,
};

fn instance_of(proxy: &Proxy, ask: &Ask) -> Result<Arc<Instance>, Error> {
    proxy.consumers.get(ask.named("group"), ask.named("instance"))
}

fn done(result: Result<(), Error>) -> Answer {
    Answer(result.map(|()| Reply::nothing()))
}

pub(super) async fn create(State(proxy): Shared, ask: Ask) -> Answer {
    let made = async {
        let body = ask.json()?.unwrap_or_else(|| json!({}));
        let config = Config::read(&body, &proxy.options)?;
        let group = ask.named("group");
        let name = proxy.consumers.create(group, config).await?;
        let base = ask.base.trim_end_matches('/');
        let uri = format!("{base}/consumers/{}/instances/{}", segment(group), segment(&name));
        Ok(json!({ "instance_id": name, "base_uri": uri }))
    };
    Answer::from(made.await)
}

pub(super) async fn delete(State(proxy): Shared, ask: Ask) -> Answer {
    done(proxy.consumers.delete(ask.named("group"), ask.named("instance")).await)
}

/// `{"topics": […]}` or `{"topic_pattern": …}`
pub(super) async fn subscribe(State(proxy): Shared, ask: Ask) -> Answer {
    let subscribed = async {
        let instance = instance_of(&proxy, &ask)?;
        let body = ask.object(&["topics", "topic_pattern"])?;
        let texts = |json: &Json| {
            json.as_array()?.iter().map(|topic| topic.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        };
        let topics = member(&body, "topics", texts)?;
        let pattern = member(&body, "topic_pattern", Json::as_str)?;
        match (topics, pattern) {
            (Some(topics), None) => instance.subscribe(topics, None).await,
            (None, Some(pattern)) => {
                let invalid = |error: regex::Error| Error::ConsumerConfig { reason: error.to_string() };
                Regex::new(pattern).map_err(invalid)?;
                instance.subscribe(Vec::new(), Some(pattern.to_owned())).await
            }
            _ => Err(Error::Unprocessable { reason: "give either topics or topic_pattern".to_owned() }),
        }
    };
    done(subscribed.await)
}

pub(super) async fn subscription(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let (mut topics, pattern) = instance_of(&proxy, &ask)?.subscription().await;
        // As Java's client has it: the topics that the pattern fits now.
        if let Some(pattern) = pattern.and_then(|pattern| Regex::new(&format!("^(?:{pattern})$")).ok()) {
            let cluster = proxy.kafka.metadata(Asked::All).await?;
            let fits = |name: &String| !name.starts_with("__") && pattern.is_match(name);
            topics.extend(cluster.topics.into_iter().map(|topic| topic.name).filter(fits));
        }
        Ok(json!({ "topics": topics }))
    };
    Answer::from(found.await)
}

pub(super) async fn unsubscribe(State(proxy): Shared, ask: Ask) -> Answer {
    let left = async { instance_of(&proxy, &ask)?.unsubscribe().await };
    done(left.await)
}

/// `{"partitions": [{"topic", "partition"}]}`
fn places(body: &Json) -> Result<Vec<Place>, Error> {
    let places = needed(body, "partitions", Json::as_array)?.iter().map(|entry| {
        only(entry, &["topic", "partition"])?;
        ask::place(entry)
    });
    places.collect()
}

pub(super) async fn assign(State(proxy): Shared, ask: Ask) -> Answer {
    let assigned = async {
        let instance = instance_of(&proxy, &ask)?;
        instance.assign(places(&ask.object(&["partitions"])?)?).await
    };
    done(assigned.await)
}

pub(super) async fn assignments(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let places = instance_of(&proxy, &ask)?.assignments().await?;
        let shown = places.iter().map(|(topic, partition)| json!({ "topic": topic, "partition": partition }));
        Ok(json!({ "partitions": shown.collect::<Vec<_>>() }))
    };
    Answer::from(found.await)
}

/// `{"offsets": [{"topic", "partition", "offset", "metadata"}]}`
fn offsets(body: &Json) -> Result<Vec<Committed>, Error> {
    let offsets = needed(body, "offsets", Json::as_array)?.iter().map(|entry| {
        only(entry, &["topic", "partition", "offset", "metadata"])?;
        let offset = needed(entry, "offset", |json| json.as_i64().filter(|offset| *offset >= 0))?;
        let metadata = member(entry, "metadata", Json::as_str)?.unwrap_or_default().to_owned();
        Ok(Committed { place: ask::place(entry)?, offset, metadata })
    });
    offsets.collect()
}

pub(super) async fn seek(State(proxy): Shared, ask: Ask) -> Answer {
    let moved = async {
        let instance = instance_of(&proxy, &ask)?;
        let wanted = offsets(&ask.object(&["offsets"])?)?.into_iter();
        instance.seek(wanted.map(|to| (to.place, To::Offset(to.offset))).collect()).await
    };
    done(moved.await)
}

pub(super) async fn seek_to_beginning(State(proxy): Shared, ask: Ask) -> Answer {
    done(seek_to(&proxy, &ask, To::Beginning).await)
}

pub(super) async fn seek_to_end(State(proxy): Shared, ask: Ask) -> Answer {
    done(seek_to(&proxy, &ask, To::End).await)
}

async fn seek_to(proxy: &Proxy, ask: &Ask, to: To) -> Result<(), Error> {
    let instance = instance_of(proxy, ask)?;
    let wanted = places(&ask.object(&["partitions"])?)?;
    instance.seek(wanted.into_iter().map(|place| (place, to)).collect()).await
}

/// Without a body everything that was given out. An offset of a body is that of the last record that is done.
pub(super) async fn commit(State(proxy): Shared, ask: Ask) -> Answer {
    let committed = async {
        let instance = instance_of(&proxy, &ask)?;
        let given = match ask.json()? {
            None => None,
            Some(body) => {
                only(&body, &["offsets"])?;
                Some(offsets(&body)?)
            }
        };
        let waits = ask.param("async").is_none_or(|text| !text.eq_ignore_ascii_case("true"));
        instance.commit(given, waits).await?;
        Ok(json!([]))
    };
    Answer::from(committed.await)
}

pub(super) async fn committed(State(proxy): Shared, ask: Ask) -> Answer {
    let found = async {
        let instance = instance_of(&proxy, &ask)?;
        let body = ask.json()?.ok_or(Error::PartitionNotFound)?;
        only(&body, &["partitions"])?;
        let committed = instance.committed(places(&body)?).await?;
        let shown = committed.iter().map(|one| {
            json!({ "topic": one.place.0, "partition": one.place.1, "offset": one.offset,
                "metadata": one.metadata })
        });
        Ok(json!({ "offsets": shown.collect::<Vec<_>>() }))
    };
    Answer::from(found.await)
}

/// `?timeout&max_bytes`, in the instance's own format.
pub(super) async fn records(State(proxy): Shared, mut ask: Ask) -> Answer {
    let read = async {
        let instance = instance_of(&proxy, &ask)?;
        let named = ask.accept.as_deref().unwrap_or_default().split(',').filter_map(embedded);
        let named: Vec<_> = named.collect();
        // Those with schemas read each other's: the schema's id says which it is.
        let fits = |format: &crate::formats::Format| {
            *format == instance.format || (format.kind().is_some() && instance.format.kind().is_some())
        };
        if !named.is_empty() && !named.iter().any(fits) {
            return Err(Error::FormatMismatch);
        }
        let wait = ask.positive("timeout")?.map(Duration::from_millis);
        let bytes_max = ask.positive("max_bytes")?.and_then(|bytes| usize::try_from(bytes).ok());
        Ok(Json::Array(instance.records(&proxy.schemas, wait, bytes_max, &mut ask.share).await?))
    };
    Answer::from(read.await)
}
