//! How a collection is cut into splits: ranges of `_id` between sampled bounds.
//!
//! Another sample would cut elsewhere, and a second life must not. So the plan is a split of its own, without records,
//! that is read before the others: its position is the plan, and the engine keeps that as it keeps every position.

use std::sync::Arc;

use base::{Fault, Place, Position, Split};
use bytes::Bytes;
use futures::TryStreamExt;
use mongodb::{
    Collection,
    bson::{Bson, Document, RawDocument, RawDocumentBuf, doc},
    error::ErrorKind,
};

use super::{Error, errors, query::Range};

/// Collections below this are read by one lane.
const SPLIT_BYTES_MIN: i64 = 32 << 20;
const SPLIT_RECORDS_MIN: i64 = 10_000;
const SPLITS_MAX: usize = 8;
/// Enough that one of two splits is 2 % larger than the other, and one of eight 5 % larger than most; a sample of a thousand takes mongod
/// some hundredths of a second.
const SAMPLES_PER_SPLIT: usize = 512;
/// mongod reads a small sample by random positions, a larger one by a scan of everything.
const SAMPLE_PART_MAX: i64 = 25;

/// What the server tells of a collection, as far as it does.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    pub(super) records: i64,
    pub(super) bytes: i64,
}

/// The bounds between splits, in MongoDB's order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Plan {
    pub(super) bounds: Vec<Bson>,
}

impl Plan {
    pub(super) fn splits_count(&self) -> usize {
        self.bounds.len() + 1
    }

    pub(super) fn range(&self, number: usize) -> Range {
        let from = number.checked_sub(1).and_then(|at| self.bounds.get(at)).cloned();
        Range { from, below: self.bounds.get(number).cloned() }
    }

    pub(super) fn position(&self) -> Position {
        let document = doc! { "bounds": self.bounds.clone() };
        Position::Token(document.to_vec().unwrap_or_default().into())
    }

    pub(super) fn of(position: &Position) -> Option<Self> {
        let document = document(position)?;
        Some(Self { bounds: document.get_array("bounds").ok()?.clone() })
    }
}

/// The document that a token is.
fn document(position: &Position) -> Option<Document> {
    let Position::Token(token) = position else { return None };
    Document::try_from(RawDocument::from_bytes(token).ok()?).ok()
}

/// The `_id` that a reader goes on behind.
pub(super) fn last_id(position: &Position) -> Option<Bson> {
    let mut document = document(position)?;
    if document.len() == 1 { document.remove("_id") } else { None }
}

/// A reader's position: a document of nothing but the `_id`.
pub(super) fn id_position(kind: u8, id: &[u8]) -> Position {
    Position::Token(Bytes::from(super::types::single(kind, "_id", id)))
}

pub(super) fn plan_split(collection: &str) -> Split {
    Split { id: format!("{collection}#plan").into(), place: place(collection) }
}

pub(super) fn data_split(collection: &str, number: usize, count: usize) -> Split {
    Split { id: format!("{collection}#{}/{count}", number + 1).into(), place: place(collection) }
}

/// The only split of a collection that is not cut.
pub(super) fn whole_split(collection: &str) -> Split {
    Split { id: collection.into(), place: place(collection) }
}

/// The number in the id of a data split, from 0.
pub(super) fn number_of(split: &Split, plan: &Plan) -> Option<usize> {
    let (number, count) = split.id.rsplit_once('#')?.1.split_once('/')?;
    let number = number.parse::<usize>().ok()?.checked_sub(1)?;
    (count.parse() == Ok(plan.splits_count()) && number < plan.splits_count()).then_some(number)
}

fn place(collection: &str) -> Arc<Place> {
    Arc::new(Place::Collection { name: collection.into() })
}

/// How many splits a collection of this size is worth.
pub(super) fn splits_count(size: Size) -> usize {
    let lanes = std::thread::available_parallelism().map_or(1, usize::from).min(SPLITS_MAX);
    let worth = (size.bytes / SPLIT_BYTES_MIN).min(size.records / SPLIT_RECORDS_MIN);
    usize::try_from(worth).unwrap_or(1).clamp(1, lanes)
}

/// Asks for the size; zero where the server does not tell: a view has none, and a user may lack the right.
pub(super) async fn size(collection: &Collection<RawDocumentBuf>, hosts: &str) -> Result<Size, Fault> {
    let stages = [
        doc! { "$collStats": { "storageStats": {} } },
        doc! { "$group": {
            "_id": Bson::Null,
            "records": { "$sum": { "$toLong": "$storageStats.count" } },
            "bytes": { "$sum": { "$toLong": "$storageStats.size" } },
        } },
    ];
    let told = async { collection.aggregate(stages).await?.try_next().await };
    match told.await {
        Ok(sums) => {
            let number = |name| sums.as_ref().and_then(|sums| sums.get_i64(name).ok()).unwrap_or(0);
            Ok(Size { records: number("records"), bytes: number("bytes") })
        }
        Err(error) if matches!(&*error.kind, ErrorKind::Command(_)) => Ok(Size::default()),
        Err(error) => {
            let name = collection.name().to_owned();
            Err(errors::fault(hosts, &error, |source| Error::Read { collection: name, source }))
        }
    }
}

/// Samples `_id`s and takes every so-manieth as a bound.
pub(super) async fn draw(
    collection: &Collection<RawDocumentBuf>,
    hosts: &str,
    count: usize,
    size: Size,
) -> Result<Plan, Fault> {
    if count <= 1 {
        return Ok(Plan::default());
    }
    let wanted = (count * SAMPLES_PER_SPLIT) as i64;
    let sample = wanted.min(size.records / SAMPLE_PART_MAX).max(count as i64);
    let stages = [
        doc! { "$sample": { "size": sample } },
        doc! { "$project": { "_id": 1 } },
        doc! { "$sort": { "_id": 1 } },
    ];
    let drawn = async { collection.aggregate(stages).await?.try_collect::<Vec<Document>>().await };
    let name = || collection.name().to_owned();
    let drawn = drawn.await;
    let drawn = drawn
        .map_err(|error| errors::fault(hosts, &error, |source| Error::Read { collection: name(), source }))?;
    let ids: Vec<Bson> = drawn.into_iter().filter_map(|mut document| document.remove("_id")).collect();
    let mut bounds: Vec<Bson> =
        (1..count).filter_map(|number| ids.get(number * ids.len() / count).cloned()).collect();
    bounds.dedup();
    Ok(Plan { bounds })
}
