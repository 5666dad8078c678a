//! A table as a sink: every record is there when `write` returns, so a commit has nothing left to do.

use std::{collections::HashMap, sync::Arc};

use arrow_array::Array;
use async_trait::async_trait;
use base::{
    Batch, Body, Extent, Fault, Load, Position, Receipt, Reject, Rejects, Saved, Sink, Split, Value, Writer,
    code,
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::OnceCell;

use super::{
    Create, Error, SinkConfig, Write as How,
    batch::{self, REQUESTS_COUNT_MAX, Write},
    client::Client,
    errors::Refusal,
    tables::{self, KeyKind, Keys},
    types::{self, Unfit},
};

/// Records that are looked at for the kinds of a key.
const TOLD_RECORDS_MAX: usize = 100;
/// What an update finds where it finds nothing.
const MISSING: &str = "there is no item that it could update";
/// DynamoDB's own bound, names and values together.
const ITEM_BYTES_MAX: usize = 400 << 10;

pub struct DynamoSink {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    config: SinkConfig,
    keys: OnceCell<Keys>,
}

/// A record on its way.
struct Item {
    row: usize,
    key: Vec<u8>,
    /// DynamoDB's JSON; `None`: to be deleted.
    json: Option<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Got<'a> {
    #[serde(borrow)]
    item: Option<&'a RawValue>,
}

impl DynamoSink {
    /// Sets the client up; the table is looked at by `begin`.
    ///
    /// # Errors
    /// Why there is no client.
    pub fn connect(config: SinkConfig) -> Result<Self, Error> {
        let client = Client::new(config.access.clone())?;
        Ok(Self { shared: Arc::new(Shared { client, config, keys: OnceCell::new() }) })
    }
}

#[async_trait]
impl Sink for DynamoSink {
    /// A table that the first record has to say the key's kind of is not there yet, and that is all right.
    async fn begin(&self, _: &Load) -> Result<(), Fault> {
        let SinkConfig { table, create, .. } = &self.shared.config;
        let is_told = create.as_ref().is_none_or(|create| {
            create.key.iter().chain(create.indexes.iter().flatten()).all(|(_, kind)| kind.is_some())
        });
        if is_told {
            self.shared.keys().await?;
            return Ok(());
        }
        match tables::describe(&self.shared.client, table).await {
            Ok(_) => self.shared.keys().await.map(drop)?,
            Err(Error::NoTable { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn writer(&self, _: &Split) -> Result<Box<dyn Writer>, Fault> {
        Ok(Box::new(TableWriter { shared: self.shared.clone() }))
    }

    /// The table is there, even if no record was.
    async fn finish(&self, _: &Load) -> Result<(), Fault> {
        self.shared.keys().await?;
        Ok(())
    }
}

struct TableWriter {
    shared: Arc<Shared>,
}

#[async_trait]
impl Writer for TableWriter {
    async fn recover(&mut self, _: &Saved) -> Result<Option<Position>, Fault> {
        Ok(None) // what an earlier life wrote is replaced by its key
    }

    async fn write(&mut self, batch: &Batch) -> Result<Rejects, Fault> {
        if batch.is_empty() {
            return Ok(Rejects::default());
        }
        let keys = self.shared.keys_for(batch).await?.clone();
        let (how, taken) = (self.shared.config.write, batch.clone());
        let made = tokio::task::spawn_blocking(move || items(&taken, &keys, how)).await;
        let (items, mut refused) = made.map_err(|panicked| Fault::Fatal(Box::new(panicked)))??;
        match how {
            How::Put => refused.extend(self.shared.put(items).await?),
            How::Insert => refused.extend(self.shared.insert(items).await?),
            How::Update => refused.extend(self.shared.update(items).await?),
            How::Delete => refused.extend(self.shared.put(items).await?),
        }
        refused.sort_by_key(|(row, _)| *row);
        Ok(Rejects(refused.into_iter().map(|(row, reason)| reject(batch, row, reason)).collect()))
    }

    async fn commit(&mut self, _: &Extent) -> Result<Receipt, Fault> {
        Ok(Receipt::default())
    }
}

impl Shared {
    async fn keys(&self) -> Result<&Keys, Error> {
        self.keys.get_or_try_init(|| self.ensure(self.config.create.clone())).await
    }

    /// The same, where these records say what is not said of the key of a table that is made.
    async fn keys_for(&self, batch: &Batch) -> Result<&Keys, Error> {
        let create = || self.config.create.as_ref().map(|create| told(create, batch));
        self.keys.get_or_try_init(|| self.ensure(create())).await
    }

    async fn ensure(&self, create: Option<Create>) -> Result<Keys, Error> {
        Ok(tables::ensure(&self.client, &self.config.table, create.as_ref()).await?.keys)
    }

    async fn put(&self, items: Vec<Item>) -> Result<Vec<(usize, String)>, Error> {
        let write = |item: Item| Write {
            row: item.row,
            json: match &item.json {
                Some(json) => batch::put_json(json),
                None => batch::delete_json(&item.key),
            },
        };
        let writes = items.into_iter().map(write).collect();
        let refused = batch::send(&self.client, &self.config.table, writes).await?;
        Ok(refused.into_iter().map(|(row, refusal)| (row, refusal.to_string())).collect())
    }

    async fn insert(&self, items: Vec<Item>) -> Result<Vec<(usize, String)>, Error> {
        let inserted = stream::iter(items.into_iter().map(|item| self.insert_one(item)));
        let refused: Vec<Option<(usize, String)>> =
            inserted.buffer_unordered(REQUESTS_COUNT_MAX).try_collect().await?;
        Ok(refused.into_iter().flatten().collect())
    }

    /// The same item, there already, is what an earlier life wrote.
    async fn insert_one(&self, item: Item) -> Result<Option<(usize, String)>, Error> {
        let (table, keys) = (&self.config.table, self.keys().await?);
        let Some(json) = &item.json else { return Ok(None) };
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let body = format!(
            "{{\"TableName\":{},\"Item\":{},\"ConditionExpression\":\"attribute_not_exists(#k)\",\
             \"ExpressionAttributeNames\":{{\"#k\":{}}}}}",
            quoted(table),
            String::from_utf8_lossy(json),
            quoted(&keys.partition.name)
        );
        match self.client.call("PutItem", table, body).await {
            Ok(_) => Ok(None),
            Err(error) if error.is("ConditionalCheckFailedException") => {
                let same = self.there(&item.key).await? == read(json, table, keys)?;
                let reason = || (item.row, "another item with this key is there already".to_owned());
                Ok((!same).then(reason))
            }
            Err(Error::Refused { source, .. }) if is_about_the_item(&source) => {
                Ok(Some((item.row, source.to_string())))
            }
            Err(other) => Err(other),
        }
    }

    /// Records of one key follow each other: each sets attributes of its own.
    async fn update(&self, items: Vec<Item>) -> Result<Vec<(usize, String)>, Error> {
        let mut groups: Vec<Vec<Item>> = Vec::new();
        let mut places: HashMap<Vec<u8>, usize> = HashMap::with_capacity(items.len());
        for item in items {
            match places.get(&item.key) {
                Some(place) => groups[*place].push(item),
                None => {
                    places.insert(item.key.clone(), groups.len());
                    groups.push(vec![item]);
                }
            }
        }
        let updated = stream::iter(groups.into_iter().map(|group| self.update_all(group)));
        let refused: Vec<Vec<(usize, String)>> =
            updated.buffer_unordered(REQUESTS_COUNT_MAX).try_collect().await?;
        Ok(refused.into_iter().flatten().collect())
    }

    async fn update_all(&self, group: Vec<Item>) -> Result<Vec<(usize, String)>, Error> {
        let table = &self.config.table;
        let mut refused = Vec::new();
        for item in group {
            let (operation, json) = match item.json {
                // There is nothing to set: only whether it is there is asked.
                Some(json) if json.is_empty() => {
                    if self.there(&item.key).await?.is_none() {
                        refused.push((item.row, MISSING.to_owned()));
                    }
                    continue;
                }
                Some(json) => ("UpdateItem", json),
                None => ("DeleteItem", [b",\"Key\":", &item.key[..]].concat()),
            };
            let name = serde_json::Value::from(table.as_str());
            let body = format!("{{\"TableName\":{name}{}}}", String::from_utf8_lossy(&json));
            match self.client.call(operation, table, body).await {
                Ok(_) => {}
                Err(error) if error.is("ConditionalCheckFailedException") => {
                    refused.push((item.row, MISSING.to_owned()));
                }
                Err(Error::Refused { source, .. }) if is_about_the_item(&source) => {
                    refused.push((item.row, source.to_string()));
                }
                Err(other) => return Err(other),
            }
        }
        Ok(refused)
    }

    async fn there(&self, key: &[u8]) -> Result<Option<Value>, Error> {
        const OPERATION: &str = "GetItem";
        let table = &self.config.table;
        let name = serde_json::Value::from(table.as_str());
        let key = String::from_utf8_lossy(key);
        let body = format!("{{\"TableName\":{name},\"Key\":{key},\"ConsistentRead\":true}}");
        let answer = self.client.call(OPERATION, table, body).await?;
        let got: Got<'_> = serde_json::from_slice(&answer).map_err(|source| Error::Answer {
            operation: OPERATION,
            table: table.clone(),
            source: source.into(),
        })?;
        match got.item {
            Some(item) => read(item.get().as_bytes(), table, self.keys().await?),
            None => Ok(None),
        }
    }
}

/// The kinds of a table's and its indexes' keys by the first record that has them.
fn told(create: &Create, batch: &Batch) -> Create {
    let rows = (0..batch.len()).filter(|row| !batch.envelope.is_tombstone(*row));
    let rows: Vec<Value> = rows
        .filter_map(|row| match &batch.body {
            Body::Raw(values) if values.is_valid(row) => types::plain(values.value(row)).ok(),
            Body::Rows(rows) => Some(rows[row].plain().clone()),
            Body::Raw(_) | Body::Columns(_) => None,
        })
        .take(TOLD_RECORDS_MAX)
        .collect();
    let kind = |(name, kind): &(String, Option<KeyKind>)| {
        let of_rows = || rows.iter().find_map(|row| kind_of(row.get(name)?));
        (name.clone(), kind.or_else(of_rows))
    };
    Create {
        key: create.key.iter().map(kind).collect(),
        billing: create.billing,
        indexes: create.indexes.iter().map(|index| index.iter().map(kind).collect()).collect(),
    }
}

/// What a value can be as a key.
fn kind_of(value: &Value) -> Option<KeyKind> {
    match value.plain() {
        Value::Int(_) | Value::Float(_) | Value::Decimal { .. } => Some(KeyKind::Number),
        Value::Bytes(_) => Some(KeyKind::Bytes),
        Value::String(_)
        | Value::Date(_)
        | Value::TimeMs(_)
        | Value::TimestampMs(_)
        | Value::TimestampUs(_) => Some(KeyKind::Text),
        Value::Null
        | Value::Boolean(_)
        | Value::List(_)
        | Value::Struct(_)
        | Value::Map(_)
        | Value::Tagged { .. } => None,
    }
}

fn is_about_the_item(refusal: &Refusal) -> bool {
    matches!(refusal.kind.as_str(), "ValidationException" | "ItemCollectionSizeLimitExceededException")
}

/// An item of DynamoDB's JSON as a row, to be compared.
fn read(json: &[u8], table: &str, keys: &Keys) -> Result<Option<Value>, Error> {
    let rows = types::rows(&[b"[", json, b"]"].concat(), keys);
    let rows = rows.map_err(|source| Error::Answer {
        operation: "GetItem",
        table: table.to_owned(),
        source: source.into(),
    })?;
    Ok(rows.into_iter().next())
}

/// Rows that cannot be written, each with its reason.
type Refused = Vec<(usize, String)>;

/// The batch as items, no key twice: the last one wins, or the first one where only new items may be written.
fn items(batch: &Batch, keys: &Keys, how: How) -> Result<(Vec<Item>, Refused), Fault> {
    if let Body::Columns(_) = &batch.body {
        return Err(Fault::Fatal(
            "DynamoDB takes rows: this transfer needs a stage that makes them of columns".into(),
        ));
    }
    let (mut items, mut refused): (Vec<Item>, Refused) = (Vec::with_capacity(batch.len()), Vec::new());
    let mut places: HashMap<Vec<u8>, usize> = HashMap::with_capacity(batch.len());
    for row in 0..batch.len() {
        let item = match item(batch, row, keys, how) {
            Ok(item) => item,
            Err(unfit) => {
                refused.push((row, unfit.to_string()));
                continue;
            }
        };
        match (how, places.get(&item.key)) {
            (How::Insert, _) if item.json.is_none() => {
                refused.push((row, "write = insert has no deletes".to_owned()));
            }
            (How::Insert, Some(place)) if items[*place].json != item.json => {
                refused.push((row, "an earlier record of the batch has this key".to_owned()));
            }
            (How::Insert, Some(_)) => {}
            (How::Put | How::Delete, Some(place)) => items[*place] = item,
            (How::Update, _) => items.push(item),
            (How::Put | How::Insert | How::Delete, None) => {
                places.insert(item.key.clone(), items.len());
                items.push(item);
            }
        }
    }
    Ok((items, refused))
}

fn item(batch: &Batch, row: usize, keys: &Keys, how: How) -> Result<Item, Unfit> {
    let parsed;
    let value = match &batch.body {
        Body::Raw(values) if values.is_valid(row) && !batch.envelope.is_tombstone(row) => {
            parsed =
                types::plain(values.value(row)).map_err(|error| Unfit::new(format!("not JSON: {error}")))?;
            &parsed
        }
        Body::Rows(rows) if !batch.envelope.is_tombstone(row) => rows[row].plain(),
        Body::Raw(_) | Body::Rows(_) | Body::Columns(_) => {
            return Ok(Item { row, key: deleted(batch.envelope.key(row), keys)?, json: None });
        }
    };
    let Value::Struct(fields) = value else {
        return Err(Unfit::new(format!("an item is a set of named fields, not {}", value.kind_name())));
    };
    let key = batch::key_json(value, keys)?;
    match how {
        How::Delete => return Ok(Item { row, key, json: None }),
        How::Update => {
            let json = Some(update_json(fields, &key, keys)?);
            return Ok(Item { row, key, json });
        }
        How::Put | How::Insert => {}
    }
    let mut json = Vec::with_capacity(256);
    let size = types::write_fields(fields, &mut json, 0)?;
    if size > ITEM_BYTES_MAX {
        return Err(Unfit::new(format!("{size} bytes are more than the {ITEM_BYTES_MAX} of an item")));
    }
    Ok(Item { row, key, json: Some(json) })
}

/// What an UpdateItem says behind the table's name: each attribute that is no key is set, where the item is there.
fn update_json(fields: &[(Arc<str>, Value)], key: &[u8], keys: &Keys) -> Result<Vec<u8>, Unfit> {
    let (mut names, mut values, mut sets) = (Vec::new(), Vec::new(), Vec::new());
    let mut size = 0;
    for (name, value) in fields.iter().filter(|(name, _)| keys.rank(name) > 1) {
        let number = sets.len();
        let separator: &[u8] = if number == 0 { b"" } else { b"," };
        size += name.len();
        names.extend_from_slice(format!(",\"#a{number}\":").as_bytes());
        types::write_text(name, &mut names)?;
        values.extend_from_slice(separator);
        values.extend_from_slice(format!("\":v{number}\":").as_bytes());
        size += types::write_attribute(value, &mut values).map_err(|unfit| unfit.within(name))?;
        sets.push(format!("#a{number} = :v{number}"));
    }
    if size > ITEM_BYTES_MAX {
        return Err(Unfit::new(format!("{size} bytes are more than the {ITEM_BYTES_MAX} of an item")));
    }
    if sets.is_empty() {
        return Ok(Vec::new());
    }
    let mut json = [b",\"Key\":", key].concat();
    json.extend_from_slice(b",\"ConditionExpression\":\"attribute_exists(#k)\"");
    json.extend_from_slice(b",\"ExpressionAttributeNames\":{\"#k\":");
    types::write_text(&keys.partition.name, &mut json)?;
    json.extend_from_slice(&names);
    json.push(b'}');
    json.extend_from_slice(format!(",\"UpdateExpression\":\"SET {}\"", sets.join(", ")).as_bytes());
    json.extend_from_slice(b",\"ExpressionAttributeValues\":{");
    json.extend_from_slice(&values);
    json.push(b'}');
    Ok(json)
}

/// The key of a record that deletes: as this connector's source writes it, or a JSON object of the key attributes.
fn deleted(key: Option<&[u8]>, keys: &Keys) -> Result<Vec<u8>, Unfit> {
    let key = key.ok_or_else(|| Unfit::new("a record without value and without key deletes nothing"))?;
    if key.first() == Some(&b'{')
        && let Ok(row @ Value::Struct(_)) = types::plain(key)
    {
        return batch::key_json(&row, keys);
    }
    let text = std::str::from_utf8(key).map_err(|_| Unfit::new("the key is no text"))?;
    let typed = |text: &str, kind: KeyKind| match kind {
        KeyKind::Text => Value::string(text),
        KeyKind::Number => types::number(text),
        KeyKind::Bytes => {
            contracts::json_schema::base64(text).map_or(Value::Null, |bytes| Value::Bytes(bytes.into()))
        }
    };
    let (first, rest) = match &keys.sort {
        None => (text.to_owned(), None),
        Some(_) => types::split_key_text(text),
    };
    let mut fields = vec![(keys.partition.name.clone(), typed(&first, keys.partition.kind))];
    if let (Some(sort), Some(rest)) = (&keys.sort, rest) {
        fields.push((sort.name.clone(), typed(rest, sort.kind)));
    }
    batch::key_json(&Value::Struct(fields), keys)
}

fn reject(batch: &Batch, row: usize, reason: String) -> Reject {
    let raw = match &batch.body {
        Body::Raw(values) if values.is_valid(row) => Some(Bytes::copy_from_slice(values.value(row))),
        Body::Raw(_) | Body::Rows(_) | Body::Columns(_) => None,
    };
    Reject {
        origin: batch.origin(row),
        code: if reason == MISSING { code::TM1456 } else { code::TM0747 },
        reason,
        stage: "TASK_PUT",
        key: batch.envelope.key(row).map(Bytes::copy_from_slice),
        value: raw,
        headers: batch.envelope.headers.as_ref().map(|rows| rows[row].clone()).unwrap_or_default(),
        timestamp_ms: batch.envelope.timestamp_ms(row),
    }
}
