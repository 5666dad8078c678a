//! Producing: all records of a request are sent, and each has its line in the answer.

use std::sync::Arc;

use axum::extract::State;
use cloud::answers::Refused;
use futures::future::join_all;
use serde_json::{Value as Json, json};

use super::{
    Answer, Ask, Shared,
    ask::{integer, member, needed, only},
    embedded,
};
use crate::{
    Error,
    formats::{self, Format},
    produce::Record,
    schemas::{Schema, Side, SubjectNames},
    service::Proxy,
};

pub(super) async fn to_topic(State(proxy): Shared, ask: Ask) -> Answer {
    Answer::from(produce(&proxy, &ask, None).await)
}

pub(super) async fn to_partition(State(proxy): Shared, ask: Ask) -> Answer {
    let partition = match ask.number("partition") {
        Ok(partition) => partition,
        Err(error) => return Answer(Err(error)),
    };
    Answer::from(produce(&proxy, &ask, Some(partition)).await)
}

/// `{"key_schema": …, "key_schema_id": …, "value_schema": …, "value_schema_id": …, "records": [{"key", "value", "partition"}]}`
async fn produce(proxy: &Proxy, ask: &Ask, partition: Option<i32>) -> Result<Json, Error> {
    let format = ask.content_type.as_deref().and_then(embedded).ok_or(Error::Http(Refused::MediaType))?;
    let body = match format.kind() {
        None => ask.object(&["records"])?,
        Some(_) => {
            ask.object(&["key_schema", "key_schema_id", "value_schema", "value_schema_id", "records"])?
        }
    };
    let records = needed(&body, "records", Json::as_array)?;
    let count_max = proxy.options.request_records_max;
    if records.is_empty() || records.len() > count_max {
        let reason = format!("records has {} entries; it may have 1 to {count_max}", records.len());
        return Err(Error::Unprocessable { reason });
    }
    let topic = ask.named("topic");
    let partitions_count = proxy.producer.partitions_count(&proxy.kafka, topic).await?;
    let is_there = |id: i32| usize::try_from(id).is_ok_and(|id| id < partitions_count);
    if partition.is_some_and(|partition| !is_there(partition)) {
        return Err(Error::PartitionNotFound);
    }
    let key_schema = schema_of(proxy, &body, format, Side { topic, is_key: true }, records).await?;
    let value_schema = schema_of(proxy, &body, format, Side { topic, is_key: false }, records).await?;
    // Nothing is sent of a request that holds what cannot be.
    let mut all = Vec::with_capacity(records.len());
    for record in records {
        let members: &[&str] =
            if partition.is_some() { &["key", "value"] } else { &["key", "value", "partition"] };
        only(record, members)?;
        all.push(Record {
            partition: member(record, "partition", integer)?.or(partition),
            key: written(format, key_schema.as_deref(), record.get("key"))?,
            value: written(format, value_schema.as_deref(), record.get("value"))?,
            ..Record::default()
        });
    }
    let mut sent = Vec::with_capacity(all.len());
    for record in &all {
        sent.push(match record.partition {
            Some(partition) if !is_there(partition) => Err(Error::PartitionNotFound),
            _ => proxy.producer.send(topic, record).await,
        });
    }
    let delivered = join_all(sent.into_iter().map(async |sent| proxy.producer.delivered(sent?).await)).await;
    let offsets = delivered.into_iter().map(|delivered| match delivered {
        Ok(at) => {
            json!({ "partition": at.partition, "offset": at.offset, "error_code": null, "error": null })
        }
        Err(error) => {
            json!({ "partition": null, "offset": null, "error_code": error.record_code(),
                "error": error.to_string() })
        }
    });
    Ok(json!({
        "offsets": offsets.collect::<Vec<_>>(),
        "key_schema_id": key_schema.map(|schema| schema.id),
        "value_schema_id": value_schema.map(|schema| schema.id),
    }))
}

/// The schema of all keys or all values; none where the format has none, or there is nothing that needs it.
async fn schema_of(
    proxy: &Proxy,
    body: &Json,
    format: Format,
    side: Side<'_>,
    records: &[Json],
) -> Result<Option<Arc<Schema>>, Error> {
    let Some(kind) = format.kind() else { return Ok(None) };
    let id = member(body, &format!("{}_schema_id", side.word()), integer)?;
    let text = member(body, &format!("{}_schema", side.word()), Json::as_str)?;
    let schema = match (id, text) {
        (Some(id), _) => proxy.schemas.by_id(id).await?,
        (None, Some(text)) => {
            proxy.schemas.of_text(text, format, side, None, SubjectNames::Topic).await?.schema
        }
        (None, None) => {
            let needs_it = records.iter().any(|record| !record.get(side.word()).is_none_or(Json::is_null));
            return match (needs_it, side.is_key) {
                (false, _) => Ok(None),
                (true, true) => Err(Error::KeySchemaMissing),
                (true, false) => Err(Error::ValueSchemaMissing),
            };
        }
    };
    if schema.format.kind() != Some(kind) {
        let (found, wanted) = (schema.format.word(), format.word());
        let reason = format!("schema {} is {found}, and the content type says {wanted}", schema.id);
        return Err(Error::InvalidSchema { reason });
    }
    Ok(Some(schema))
}

fn written(format: Format, schema: Option<&Schema>, json: Option<&Json>) -> Result<Option<Vec<u8>>, Error> {
    match (json, schema) {
        (None | Some(Json::Null), _) => Ok(None),
        (Some(json), Some(schema)) => schema.write(json).map(Some),
        (Some(json), None) => formats::write(format, json),
    }
}
