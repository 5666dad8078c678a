//! Writes, 25 to a request and several requests at once; what DynamoDB had no room for is sent again.

use base::Value;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Error,
    client::Client,
    errors::Refusal,
    tables::Keys,
    types::{self, Field, Unfit},
};

/// DynamoDB's own bound.
const REQUEST_WRITES_COUNT_MAX: usize = 25;
/// Below DynamoDB's 16 MB for a request.
const REQUEST_BYTES_MAX: usize = 12 << 20;
/// Enough to fill a connection's waiting; more only gets throttled.
pub(super) const REQUESTS_COUNT_MAX: usize = 8;

/// One item to be put or deleted.
#[derive(Debug)]
pub(super) struct Write {
    /// Of the batch it came from.
    pub(super) row: usize,
    /// `{"PutRequest":{"Item":{…}}}` or `{"DeleteRequest":{"Key":{…}}}`.
    pub(super) json: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    #[serde(borrow)]
    unprocessed_items: Option<&'a RawValue>,
}

/// Sends all; gives the rows that DynamoDB will never take, each with its reason. No key may come twice.
pub(super) async fn send(
    client: &Client,
    table: &str,
    writes: Vec<Write>,
) -> Result<Vec<(usize, Refusal)>, Error> {
    let sent = stream::iter(requests(writes).into_iter().map(|writes| send_one(client, table, writes)));
    let refused: Vec<Vec<(usize, Refusal)>> = sent.buffer_unordered(REQUESTS_COUNT_MAX).try_collect().await?;
    Ok(refused.into_iter().flatten().collect())
}

/// Deletes the items of these rows, which hold at least their keys.
pub(super) async fn delete(client: &Client, table: &str, keys: &Keys, rows: &[Value]) -> Result<(), Error> {
    let write = |(row, item): (usize, &Value)| {
        let unreadable = |source: Unfit| Error::Answer {
            operation: "Scan",
            table: table.to_owned(),
            source: source.to_string().into(),
        };
        Ok(Write { row, json: delete_json(&key_json(item, keys).map_err(unreadable)?) })
    };
    let writes = rows.iter().enumerate().map(write).collect::<Result<_, Error>>()?;
    match send(client, table, writes).await?.into_iter().next() {
        None => Ok(()),
        Some((_, source)) => {
            Err(Error::Refused { operation: "BatchWriteItem", table: table.to_owned(), source })
        }
    }
}

/// `{"carrier":{"S":"UA"},"flight":{"N":"17"}}`, where the row's key attributes are what the table wants.
pub(super) fn key_json(row: &Value, keys: &Keys) -> Result<Vec<u8>, Unfit> {
    const BYTES_MAX: [usize; 2] = [2_048, 1_024];
    let mut json = vec![b'{'];
    for (place, key) in keys.all().enumerate() {
        let unfit = |reason: String| Unfit::new(reason).within(&key.name);
        let value = row.field(&key.name).ok_or_else(|| unfit("the key attribute is missing".to_owned()))?;
        if place > 0 {
            json.push(b',');
        }
        types::write_text(&key.name, &mut json)?;
        json.push(b':');
        let start = json.len();
        let size = types::write_attribute(value, &mut json).map_err(|unfit| unfit.within(&key.name))?;
        let word = key.kind.word();
        if !json[start + 2..].starts_with(format!("{word}\"").as_bytes()) {
            return Err(unfit(format!("the key attribute has to be {word}, not {}", value.kind_name())));
        }
        if size == 0 || size > BYTES_MAX[place] {
            return Err(unfit(format!("the key attribute has {size} bytes, not 1 to {}", BYTES_MAX[place])));
        }
    }
    json.push(b'}');
    Ok(json)
}

pub(super) fn put_json(item: &[u8]) -> Vec<u8> {
    [b"{\"PutRequest\":{\"Item\":", item, b"}}"].concat()
}

pub(super) fn delete_json(key: &[u8]) -> Vec<u8> {
    [b"{\"DeleteRequest\":{\"Key\":", key, b"}}"].concat()
}

fn requests(writes: Vec<Write>) -> Vec<Vec<Write>> {
    let (mut requests, mut open, mut bytes) = (Vec::new(), Vec::new(), 0);
    for write in writes {
        if open.len() == REQUEST_WRITES_COUNT_MAX
            || (!open.is_empty() && bytes + write.json.len() > REQUEST_BYTES_MAX)
        {
            requests.push(std::mem::take(&mut open));
            bytes = 0;
        }
        bytes += write.json.len();
        open.push(write);
    }
    if !open.is_empty() {
        requests.push(open);
    }
    requests
}

/// A request in which one write is invalid is refused as a whole: then each goes alone, and the bad ones stay back.
async fn send_one(client: &Client, table: &str, writes: Vec<Write>) -> Result<Vec<(usize, Refusal)>, Error> {
    match send_until_taken(client, table, &writes).await {
        Ok(()) => Ok(Vec::new()),
        Err(error) if is_about_a_write(&error) => {
            let mut refused = Vec::new();
            for write in writes.chunks(1) {
                match send_until_taken(client, table, write).await {
                    Err(Error::Refused { source, .. }) if source.status < 500 => {
                        refused.push((write[0].row, source))
                    }
                    other => other?,
                }
            }
            Ok(refused)
        }
        Err(error) => Err(error),
    }
}

pub(super) fn is_about_a_write(error: &Error) -> bool {
    error.is("ValidationException") || error.is("ItemCollectionSizeLimitExceededException")
}

async fn send_until_taken(client: &Client, table: &str, writes: &[Write]) -> Result<(), Error> {
    const OPERATION: &str = "BatchWriteItem";
    let length: usize = writes.iter().map(|write| write.json.len() + 1).sum();
    let mut body = Vec::with_capacity(length + table.len() + 32);
    body.extend_from_slice(b"{\"RequestItems\":{");
    body.extend_from_slice(serde_json::Value::from(table).to_string().as_bytes());
    body.extend_from_slice(b":[");
    for (place, write) in writes.iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&write.json);
    }
    body.extend_from_slice(b"]}}");
    let mut waits = client.waits(table);
    let mut body = Bytes::from(body);
    loop {
        let answer = client.call(OPERATION, table, body.clone()).await?;
        let unreadable = |source: serde_json::Error| Error::Answer {
            operation: OPERATION,
            table: table.to_owned(),
            source: source.into(),
        };
        let answer: Answer<'_> = serde_json::from_slice(&answer).map_err(unreadable)?;
        let left = answer.unprocessed_items.map(RawValue::get).filter(|left| left.contains('['));
        let Some(left) = left else { return Ok(()) };
        body = Bytes::from(format!("{{\"RequestItems\":{left}}}"));
        match waits.next() {
            Some(wait) => tokio::time::sleep(wait).await,
            None => {
                let source = Refusal {
                    kind: "UnprocessedItems".to_owned(),
                    message: "DynamoDB had no room for all of a request".to_owned(),
                    status: 200,
                };
                return Err(Error::Throttled {
                    operation: OPERATION,
                    table: table.to_owned(),
                    tries: waits.tries(),
                    source,
                });
            }
        }
    }
}
