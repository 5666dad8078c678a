//! Producing: records one after another in one request, a line of the answer for each as soon as it is there; or some at once.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::{Body, BodyDataStream},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use futures::{Stream, StreamExt, future::join_all, stream};
use serde_json::{Value as Json, json};

use super::{
    Answer, Ask, Shared,
    ask::{Asked, integer, member, needed, only},
    cluster_of,
    splitter::Splitter,
};
use crate::{
    Error,
    formats::{self, Format},
    http::{Reply, error_body},
    kafka::topics,
    produce::{Header, Record, Sent},
    room::Share,
    schemas::{Registered, Side, SubjectNames},
    service::Proxy,
};

/// Records of one request that are on their way at once.
const IN_FLIGHT_COUNT_MAX: usize = 1_000;
/// An entry of a batch has a name of its own.
const ENTRY_ID_LENGTH_MAX: usize = 80;

/// What one request's records share.
struct Target {
    proxy: Arc<Proxy>,
    cluster_id: String,
    topic: String,
    partitions_count: usize,
}

/// A key or a value, written.
#[derive(Default)]
struct Written {
    bytes: Option<Vec<u8>>,
    /// What the answer says of it; none where the request said nothing.
    shown: Option<Json>,
}

/// A record that librdkafka has, and what its answer says beside where it is.
struct Pending {
    sent: Sent,
    key: Option<Json>,
    value: Option<Json>,
}

/// `{"partition_id", "headers", "key": {…}, "value": {…}, "timestamp"}`, any number of times.
pub(super) async fn stream(State(proxy): Shared, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let begun = async {
        let asked = Asked::of(&mut parts, &proxy.options).await?;
        let target = Arc::new(target_of(&proxy, &asked).await?);
        let (bytes_max, share) = (proxy.options.request_bytes_max, proxy.room.share());
        let mut records = Box::pin(split(body.into_data_stream(), bytes_max, share));
        let missing = || Error::Payload { reason: "Null input provided. Data is required.".to_owned() };
        // What is wrong before the first record is the whole answer.
        let first = records.next().await.ok_or_else(missing)??;
        Ok((target, stream::once(async { Ok(first) }).chain(records)))
    };
    let (target, records) = match begun.await {
        Ok(begun) => begun,
        Err(error) => return Answer(Err(error)).into_response(),
    };
    let sending = target.clone();
    let sent = records.then(move |record| {
        let target = sending.clone();
        async move { target.send(&parsed(&record?)?).await }
    });
    let lines = sent.map(move |pending| {
        let target = target.clone();
        async move {
            let line = match target.delivered(pending).await {
                Ok(line) => line,
                Err(error) => error_body(&error),
            };
            Ok::<_, Infallible>(Bytes::from(format!("{line}\r\n")))
        }
    });
    let mut response = Response::new(Body::from_stream(lines.buffered(IN_FLIGHT_COUNT_MAX)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// `{"entries": [{"id": …, "value": {…}, …}]}`, answered with what came through and what did not.
pub(super) async fn batch(State(proxy): Shared, ask: Ask) -> Answer {
    let produced = async {
        let body = ask.object(&["entries"])?;
        let entries = needed(&body, "entries", Json::as_array)?;
        let count_max = proxy.options.request_records_max;
        if entries.is_empty() || entries.len() > count_max {
            let reason = format!("entries has {} records; it may have 1 to {count_max}", entries.len());
            return Err(Error::Unprocessable { reason });
        }
        let ids = entry_ids(entries)?;
        let target = target_of(&proxy, &ask.asked).await?;
        let mut pending = Vec::with_capacity(entries.len());
        for entry in entries {
            let mut record = entry.clone();
            if let Json::Object(members) = &mut record {
                members.shift_remove("id");
            }
            pending.push(target.send(&record).await);
        }
        let delivered = join_all(pending.into_iter().map(|pending| target.delivered(pending))).await;
        let (mut successes, mut failures) = (Vec::new(), Vec::new());
        for (id, delivered) in ids.iter().zip(delivered) {
            let (list, told) = match delivered {
                Ok(line) => (&mut successes, line),
                Err(error) => (&mut failures, error_body(&error)),
            };
            let mut entry = serde_json::Map::from_iter([("id".to_owned(), json!(id))]);
            if let Json::Object(members) = told {
                entry.extend(members);
            }
            list.push(Json::Object(entry));
        }
        let body = json!({ "successes": successes, "failures": failures });
        Ok(Reply { status: StatusCode::MULTI_STATUS, body: Some(body), location: None })
    };
    Answer(produced.await)
}

fn entry_ids(entries: &[Json]) -> Result<Vec<String>, Error> {
    let mut ids: Vec<String> = Vec::with_capacity(entries.len());
    let mut known = std::collections::HashSet::new();
    for entry in entries {
        let id = needed(entry, "id", Json::as_str)?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if id.is_empty() || id.len() > ENTRY_ID_LENGTH_MAX || !id.bytes().all(is_name) || !known.insert(id) {
            return Err(Error::Unprocessable { reason: format!("{id:?} is no id, or it comes twice") });
        }
        ids.push(id.to_owned());
    }
    Ok(ids)
}

async fn target_of(proxy: &Arc<Proxy>, asked: &Asked) -> Result<Target, Error> {
    let (cluster, _) = cluster_of(proxy, asked, topics::Asked::None).await?;
    let topic = asked.named("topic").to_owned();
    let partitions_count = match proxy.producer.partitions_count(&proxy.kafka, &topic).await {
        Err(Error::TopicNotFound) => return Err(Error::refused(3, None)),
        counted => counted?,
    };
    Ok(Target { proxy: proxy.clone(), cluster_id: cluster.id, topic, partitions_count })
}

/// The objects of a body. After what cannot be read nothing comes.
fn split(body: BodyDataStream, bytes_max: usize, share: Share) -> impl Stream<Item = Result<Bytes, Error>> {
    struct Source {
        body: BodyDataStream,
        splitter: Splitter,
        share: Share,
        is_over: bool,
    }
    let source = Source { body, splitter: Splitter::new(bytes_max), share, is_over: false };
    stream::unfold(source, async |mut source| {
        while !source.is_over {
            match source.splitter.next() {
                Ok(Some(object)) => return Some((Ok(object), source)),
                Ok(None) => {}
                Err(error) => {
                    source.is_over = true;
                    return Some((Err(error), source));
                }
            }
            match source.body.next().await {
                Some(Ok(bytes)) => {
                    if let Err(error) = source.share.hold(source.splitter.held() + bytes.len()) {
                        source.is_over = true;
                        return Some((Err(error), source));
                    }
                    source.splitter.push(&bytes);
                }
                Some(Err(error)) => {
                    source.is_over = true;
                    let reason = format!("Error processing message: {error}");
                    return Some((Err(Error::Body { reason }), source));
                }
                None => {
                    source.is_over = true;
                    if let Err(error) = source.splitter.end() {
                        return Some((Err(error), source));
                    }
                }
            }
        }
        None
    })
}

fn parsed(bytes: &[u8]) -> Result<Json, Error> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::Body { reason: format!("Error processing JSON: {error}") })
}

/// In a record, what is wrong with its members is a bad request.
fn bad(error: Error) -> Error {
    match error {
        Error::Unprocessable { reason } => Error::Body { reason: format!("Error processing JSON: {reason}") },
        other => other,
    }
}

impl Target {
    async fn send(&self, json: &Json) -> Result<Pending, Error> {
        only(json, &["partition_id", "headers", "key", "value", "timestamp"]).map_err(bad)?;
        let mut record = Record {
            partition: member(json, "partition_id", integer).map_err(bad)?,
            timestamp_ms: timestamp(json).map_err(bad)?,
            headers: headers(json).map_err(bad)?,
            ..Record::default()
        };
        let is_there = |partition: &i32| {
            usize::try_from(*partition).is_ok_and(|partition| partition < self.partitions_count)
        };
        if record.partition.is_some_and(|partition| !is_there(&partition)) {
            return Err(Error::refused(3, None));
        }
        let key = self.written(json, true).await.map_err(bad)?;
        let value = self.written(json, false).await.map_err(bad)?;
        (record.key, record.value) = (key.bytes, value.bytes);
        let sent = self.proxy.producer.send(&self.topic, &record).await?;
        Ok(Pending { sent, key: key.shown, value: value.shown })
    }

    async fn delivered(&self, pending: Result<Pending, Error>) -> Result<Json, Error> {
        let Pending { sent, key, value } = pending?;
        let at = self.proxy.producer.delivered(sent).await?;
        let mut line = json!({
            "error_code": 200,
            "cluster_id": self.cluster_id,
            "topic_name": self.topic,
            "partition_id": at.partition,
            "offset": at.offset,
        });
        if let Some(at) = at.timestamp_ms.and_then(DateTime::from_timestamp_millis) {
            line["timestamp"] = at.to_rfc3339_opts(SecondsFormat::AutoSi, true).into();
        }
        for (name, shown) in [("key", key), ("value", value)] {
            if let Some(shown) = shown {
                line[name] = shown;
            }
        }
        Ok(line)
    }

    /// One side of a record: `{"type", "schema", "schema_id", "schema_version", "subject", "subject_name_strategy", "data"}`.
    async fn written(&self, record: &Json, is_key: bool) -> Result<Written, Error> {
        let side = Side { topic: &self.topic, is_key };
        let Some(given) = member(record, side.word(), |json| json.is_object().then_some(json))? else {
            return Ok(Written::default());
        };
        const MEMBERS: [&str; 7] =
            ["type", "schema", "schema_id", "schema_version", "subject", "subject_name_strategy", "data"];
        only(given, &MEMBERS)?;
        let data = given.get("data").unwrap_or(&Json::Null);
        let format = member(given, "type", |json| json.as_str().and_then(Format::of_word))?;
        if let Some(format) = format.filter(|format| format.kind().is_none()) {
            let stray =
                MEMBERS[1..6].iter().find(|name| given.get(**name).is_some_and(|json| !json.is_null()));
            if let Some(name) = stray {
                return Err(Error::Body { reason: format!("{} does not support {name}.", format.word()) });
            }
            let bytes = formats::write(format, data)?;
            let size = bytes.as_ref().map_or(0, Vec::len);
            return Ok(Written { bytes, shown: Some(json!({ "type": format.word(), "size": size })) });
        }
        let found = self.schema(given, format, side).await?;
        let bytes = match data {
            Json::Null => None,
            data => Some(found.schema.write(data)?),
        };
        let shown = json!({
            "type": found.schema.format.word(),
            "subject": found.subject,
            "schema_id": found.schema.id,
            "schema_version": found.version,
            "size": bytes.as_ref().map_or(0, Vec::len),
        });
        Ok(Written { bytes, shown: Some(shown) })
    }

    /// By its id, by its version, by its text; else the latest of the subject.
    async fn schema(
        &self,
        given: &Json,
        format: Option<Format>,
        side: Side<'_>,
    ) -> Result<Registered, Error> {
        let subject = member(given, "subject", Json::as_str)?;
        let names = member(given, "subject_name_strategy", |json| SubjectNames::of_word(json.as_str()?))?;
        let names = names.unwrap_or_default();
        let id = member(given, "schema_id", integer)?;
        let version = member(given, "schema_version", integer)?;
        let text = member(given, "schema", Json::as_str)?;
        let schemas = &self.proxy.schemas;
        let conflict = |reason: &str| Err(Error::Body { reason: reason.to_owned() });
        match (id, version, text, format) {
            (Some(id), None, None, None) => schemas.of_id(id, side, subject, names).await,
            (None, None, Some(text), Some(format)) => {
                schemas.of_text(text, format, side, subject, names).await
            }
            (None, None, Some(_), None) => conflict("schema needs a type beside it"),
            (None, version, None, None) => {
                let needed = "Cannot use this subject_name_strategy without schema_id or schema.";
                let subject = subject.map(str::to_owned).or_else(|| names.subject(side, None));
                let Some(subject) = subject else { return conflict(needed) };
                schemas.of_version(&subject, version).await
            }
            (None, None, None, Some(_)) => conflict("a type with a schema needs schema beside it"),
            _ => conflict("only one of schema_id, schema_version, and type with schema may be given"),
        }
    }
}

fn timestamp(record: &Json) -> Result<Option<i64>, Error> {
    member(record, "timestamp", |json| {
        DateTime::parse_from_rfc3339(json.as_str()?).ok().map(|at| at.timestamp_millis())
    })
}

fn headers(record: &Json) -> Result<Vec<Header>, Error> {
    let given = member(record, "headers", Json::as_array)?;
    let headers = given.into_iter().flatten().map(|header| {
        only(header, &["name", "value"])?;
        let name = needed(header, "name", Json::as_str)?.to_owned();
        let value = member(header, "value", |json| BASE64.decode(json.as_str()?).ok())?;
        Ok((name, value))
    });
    headers.collect()
}
