//! A table as a source: segments of a parallel Scan, or one Query, a page a batch.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use async_trait::async_trait;
use base::{
    Ask, Batch, Body, Discovery, Envelope, Fault, Place, Position, Read, Reader, Source, Split, Value,
};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::OnceCell;
use tokio_util::task::AbortOnDropHandle;

use super::{
    Error, SourceConfig,
    client::Client,
    expression::{Expressions, expressions},
    tables::{self, Keys},
    types::{self, Field},
};
use crate::{Selection, column::Column};

/// Segments on AWS where nobody says how many: the same in every life, as positions belong to a number of segments.
const SEGMENTS_COUNT: u32 = 4;
/// Asked for in one page: items of 1 MB are about twice as long in JSON.
const PAGE_BYTES_MAX: u64 = 3 << 20;
/// DynamoDB's own bound.
const SEGMENTS_COUNT_MAX: u32 = 1_000_000;
/// An item's bytes of JSON, before any has been seen.
const ITEM_BYTES: u64 = 1_024;

pub struct DynamoSource {
    shared: Arc<Shared>,
    told: Mutex<bool>,
}

struct Shared {
    client: Client,
    config: SourceConfig,
    selection: Selection,
    plan: OnceCell<Plan>,
    /// An item's bytes of JSON, as the last page had them.
    item_bytes: AtomicU64,
}

/// What the table's key makes of the selection.
struct Plan {
    keys: Keys,
    expressions: Expressions,
}

/// Which items a split reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Segment { number: u32, count: u32 },
    Query,
}

/// Where a split goes on: behind the key of the last page, or nowhere.
#[derive(Serialize, Deserialize)]
struct Token {
    part: String,
    /// `LastEvaluatedKey`, in DynamoDB's own JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Box<RawValue>>,
}

enum Next {
    Start,
    After(Bytes),
    Nothing,
}

/// An answer to Scan or Query.
pub(super) struct Page {
    body: Bytes,
    items: std::ops::Range<usize>,
    last_key: Option<Bytes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    #[serde(borrow)]
    items: &'a RawValue,
    #[serde(borrow)]
    last_evaluated_key: Option<&'a RawValue>,
}

impl DynamoSource {
    /// Sets the client up; the table is looked at when the engine asks.
    ///
    /// # Errors
    /// A number of splits that DynamoDB has not.
    pub fn open(config: SourceConfig, selection: &Selection) -> Result<Self, Error> {
        if let Some(count) = selection.splits_count
            && !(1..=SEGMENTS_COUNT_MAX as usize).contains(&count)
        {
            return Err(Error::setting("splits", &count.to_string(), "1 to 1000000 segments"));
        }
        let shared = Shared {
            client: Client::new(config.access.clone())?,
            config,
            selection: selection.clone(),
            plan: OnceCell::new(),
            item_bytes: AtomicU64::new(ITEM_BYTES),
        };
        Ok(Self { shared: Arc::new(shared), told: Mutex::new(false) })
    }
}

#[async_trait]
impl Source for DynamoSource {
    async fn discover(&self, _: &Ask) -> Result<Discovery, Fault> {
        if *self.told.lock() {
            return Ok(Discovery::Complete);
        }
        let parts: Vec<Part> = match self.shared.plan().await?.expressions.is_query {
            true => vec![Part::Query],
            false => {
                let count = self.shared.segments_count();
                (0..count).map(|number| Part::Segment { number, count }).collect()
            }
        };
        *self.told.lock() = true;
        let assigned = parts.into_iter().map(|part| self.shared.split(part)).collect();
        Ok(Discovery::Changed { assigned, revoked: Vec::new() })
    }

    async fn open(&self, split: &Split, from: &Position) -> Result<Box<dyn Reader>, Fault> {
        let strange = || Error::Position { split: split.id.to_string(), position: from.to_string() };
        let part = split.id.strip_prefix(&self.shared.split_prefix()).and_then(Part::parse);
        let part = part.ok_or_else(strange)?;
        let next = match from {
            Position::Start => Next::Start,
            Position::Mark(_) => return Err(strange().into()),
            Position::Token(token) => match serde_json::from_slice::<Token>(token) {
                Ok(token) if token.part == part.words() => match token.key {
                    Some(key) => Next::After(Bytes::copy_from_slice(key.get().as_bytes())),
                    None => Next::Nothing,
                },
                Ok(_) | Err(_) => return Err(strange().into()),
            },
        };
        let (shared, place) = (self.shared.clone(), split.place.clone());
        Ok(Box::new(PageReader { shared, place, part, next, coming: None }))
    }

    async fn covered(&self, _: &Split, _: &Position) -> Result<(), Fault> {
        Ok(())
    }
}

impl Part {
    /// `2/4`: the third of four segments.
    fn words(self) -> String {
        match self {
            Part::Segment { number, count } => format!("{number}/{count}"),
            Part::Query => "query".to_owned(),
        }
    }

    fn parse(words: &str) -> Option<Self> {
        if words == "query" {
            return Some(Part::Query);
        }
        let (number, count) = words.split_once('/')?;
        let (number, count) = (number.parse().ok()?, count.parse().ok()?);
        (number < count && count <= SEGMENTS_COUNT_MAX).then_some(Part::Segment { number, count })
    }
}

impl Shared {
    async fn plan(&self) -> Result<&Plan, Error> {
        self.plan.get_or_try_init(|| self.look()).await
    }

    async fn look(&self) -> Result<Plan, Error> {
        let table = tables::describe(&self.client, &self.config.table).await?;
        if let Some(bytes) = table.bytes.checked_div(table.items_count).filter(|bytes| *bytes > 0) {
            self.item_bytes.store(bytes, Relaxed);
        }
        let read = match &self.config.index {
            None => &table.keys,
            Some(index) => {
                let found = table.indexes.iter().find(|(name, _)| name == index);
                let names: Vec<&str> = table.indexes.iter().map(|(name, _)| name.as_str()).collect();
                let (table, index) = (self.config.table.clone(), index.clone());
                &found.ok_or_else(|| Error::NoIndex { table, index, indexes: names.join(", ") })?.1
            }
        };
        let expressions = expressions(&self.config, &self.selection, read, &table.keys)?;
        Ok(Plan { expressions, keys: table.keys })
    }

    /// One on this machine's own: those sort the whole table for each page of a segment, and have no more disks to read.
    fn segments_count(&self) -> u32 {
        let endpoint =
            self.config.access.endpoint.as_deref().and_then(|endpoint| url::Url::parse(endpoint).ok());
        let is_local = endpoint.is_some_and(|url| url.host_str().is_some_and(cloud::http::is_loopback));
        let default = if is_local { 1 } else { SEGMENTS_COUNT };
        self.selection.splits_count.map_or(default, |count| count as u32)
    }

    /// `planes/`, or `planes:by-year/` for an index.
    fn split_prefix(&self) -> String {
        let index = self.config.index.as_ref().map(|index| format!(":{index}")).unwrap_or_default();
        format!("{}{index}/", self.config.table)
    }

    fn split(&self, part: Part) -> Split {
        let id = format!("{}{}", self.split_prefix(), part.words());
        Split {
            id: id.into(),
            place: Arc::new(Place::Collection { name: self.config.table.as_str().into() }),
        }
    }

    async fn page(&self, part: Part, after: Option<Bytes>, limit: u64) -> Result<Page, Error> {
        let plan = self.plan().await?;
        let mut body = format!("{{\"TableName\":{},\"Limit\":{limit}", serde_json::json!(self.config.table));
        body += &plan.expressions.members;
        let operation = match part {
            Part::Query => "Query",
            Part::Segment { number, count } => {
                if count > 1 {
                    body += &format!(",\"Segment\":{number},\"TotalSegments\":{count}");
                }
                "Scan"
            }
        };
        page(&self.client, operation, &self.config.table, body, after.as_deref()).await
    }
}

/// The next page of the keys alone of a table.
pub(super) async fn keys_page(
    client: &Client,
    table: &str,
    keys: &Keys,
    after: Option<&[u8]>,
) -> Result<Page, Error> {
    let names =
        keys.all().enumerate().map(|(place, key)| (format!("#n{place}"), key.name.to_string().into()));
    let names: serde_json::Map<String, serde_json::Value> = names.collect();
    let projection: Vec<&str> = names.keys().map(String::as_str).collect();
    let body = serde_json::json!({
        "TableName": table,
        "Limit": 4_096,
        "ProjectionExpression": projection.join(", "),
        "ExpressionAttributeNames": names,
    });
    let mut body = body.to_string();
    body.pop();
    page(client, "Scan", table, body, after).await
}

/// `body` is an object that is still open.
async fn page(
    client: &Client,
    operation: &'static str,
    table: &str,
    mut body: String,
    after: Option<&[u8]>,
) -> Result<Page, Error> {
    if let Some(after) = after {
        body += ",\"ExclusiveStartKey\":";
        body += &String::from_utf8_lossy(after);
    }
    body.push('}');
    let body = client.call(operation, table, body).await?;
    let unreadable = |source: serde_json::Error| Error::Answer {
        operation,
        table: table.to_owned(),
        source: source.into(),
    };
    let answer: Answer<'_> = serde_json::from_slice(&body).map_err(unreadable)?;
    // Both texts lie in the body: the items stay there, for whoever makes rows of them.
    let start = answer.items.get().as_ptr() as usize - body.as_ptr() as usize;
    let items = start..start + answer.items.get().len();
    let last_key = answer.last_evaluated_key.map(|key| key.get()).filter(|key| *key != "null");
    let last_key = last_key.map(|key| Bytes::copy_from_slice(key.as_bytes()));
    Ok(Page { body, items, last_key })
}

impl Page {
    /// A list of DynamoDB's JSON.
    pub(super) fn items(&self) -> &[u8] {
        &self.body[self.items.clone()]
    }

    pub(super) fn last_key(&self) -> Option<Bytes> {
        self.last_key.clone()
    }
}

type Coming = AbortOnDropHandle<Result<Page, Error>>;

/// Asks for the next page before it makes rows of the current one.
struct PageReader {
    shared: Arc<Shared>,
    place: Arc<Place>,
    part: Part,
    next: Next,
    coming: Option<Coming>,
}

#[async_trait]
impl Reader for PageReader {
    async fn read(&mut self, ask: &Ask) -> Result<Read, Fault> {
        let Some(mut coming) = self.coming.take().or_else(|| self.request(ask)) else { return Ok(Read::End) };
        let Ok(page) = tokio::time::timeout(ask.remaining(), &mut coming).await else {
            self.coming = Some(coming);
            return Ok(Read::Idle);
        };
        let page = page.map_err(|panicked| Fault::Fatal(Box::new(panicked)))??;
        self.next = page.last_key().map_or(Next::Nothing, Next::After);
        self.coming = self.request(ask);
        let key = page.last_key().map(|key| String::from_utf8_lossy(&key).into_owned());
        let key = key.map(RawValue::from_string).transpose().map_err(|error| Fault::Fatal(error.into()))?;
        let token = Token { part: self.part.words(), key };
        let token = serde_json::to_vec(&token).map_err(|error| Fault::Fatal(error.into()))?;
        let shared = self.shared.clone();
        let made = tokio::task::spawn_blocking(move || shared.rows(&page));
        let (rows, keys) = made.await.map_err(|panicked| Fault::Fatal(Box::new(panicked)))??;
        Ok(Read::Batch(Batch {
            body: Body::Rows(rows.into()),
            envelope: Envelope { keys: Some(keys.finish().map_err(Fault::Fatal)?), ..Envelope::default() },
            contract: None,
            place: self.place.clone(),
            end: Position::Token(token.into()),
            lease: ask.lease.clone(),
        }))
    }
}

impl PageReader {
    /// Sends for the page that comes next, in a task of its own; a page is 1 MB at most.
    fn request(&self, ask: &Ask) -> Option<Coming> {
        let after = match &self.next {
            Next::Start => None,
            Next::After(key) => Some(key.clone()),
            Next::Nothing => return None,
        };
        let limit = ask.bytes_max.min(PAGE_BYTES_MAX) / self.shared.item_bytes.load(Relaxed).max(1);
        let limit = limit.min(ask.records_max as u64).clamp(1, i32::MAX as u64);
        let (shared, part) = (self.shared.clone(), self.part);
        Some(AbortOnDropHandle::new(tokio::spawn(async move { shared.page(part, after, limit).await })))
    }
}

impl Shared {
    fn rows(&self, page: &Page) -> Result<(Vec<Value>, Column), Error> {
        let unreadable = |source: base::BoxError| Error::Answer {
            operation: "Scan",
            table: self.config.table.clone(),
            source,
        };
        let Some(plan) = self.plan.get() else {
            return Err(unreadable("the table was not looked at".into()));
        };
        let mut rows = types::rows(page.items(), &plan.keys).map_err(|error| unreadable(error.into()))?;
        if let Some(bytes) = (page.items.len() as u64).checked_div(rows.len() as u64) {
            self.item_bytes.store(bytes.max(1), Relaxed);
        }
        if let Some((name, values)) = &plan.expressions.excluded {
            rows.retain(|row| !row.field(name).is_some_and(|value| values.contains(value)));
        }
        let (mut keys, mut text) = (Column::default(), Vec::new());
        for row in &rows {
            text.clear();
            types::key_text(row, &plan.keys, &mut text);
            keys.push(Some(&text));
        }
        Ok((rows, keys))
    }
}
