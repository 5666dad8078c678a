//! A collection as a source: one split, or ranges of `_id` that are read beside each other.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use base::{Ask, Batch, Body, Discovery, Envelope, Fault, Position, Read, Reader, Source, Split};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::timeout_at};

use super::{
    Error, SourceConfig,
    client::Connection,
    config::nearest,
    errors::{self, fatal},
    plan::{self, Plan, Size},
    query::{Query, Range},
    reader::CollectionReader,
};
use crate::Selection;

pub struct MongoSource {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) connection: Connection,
    pub(super) collection: String,
    pub(super) query: Query,
    splits_count: Option<usize>,
    state: Mutex<State>,
    planned: Notify,
}

#[derive(Default)]
struct State {
    told: Told,
    size: Size,
    /// Safe, since the engine has saved it.
    plan: Option<Plan>,
}

/// What the engine has heard so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Told {
    #[default]
    Nothing,
    /// Of the split that is the plan; the others wait until it is saved.
    Plan,
    All,
}

impl MongoSource {
    /// Checks what can be checked without the server.
    ///
    /// # Errors
    /// `Query`: a filter that is no JSON, a cursor that cannot be.
    pub fn open(config: SourceConfig, selection: &Selection) -> Result<Self, Error> {
        let query = Query::new(&config.collection, selection)?;
        let inner = Inner {
            connection: Connection::new(config.uri, config.database),
            collection: config.collection,
            query,
            splits_count: selection.splits_count,
            state: Mutex::default(),
            planned: Notify::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl Inner {
    /// Whether the collection is there, and how large it is.
    async fn look(&self) -> Result<Size, Fault> {
        let database = self.connection.database().await?;
        let name = self.collection.clone();
        let read = |source| Error::Read { collection: name, source };
        match database.list_collection_names().authorized_collections(true).await {
            Ok(names) if names.contains(&self.collection) => {}
            Ok(names) => {
                return Err(fatal(Error::CollectionMissing {
                    database: self.connection.database_name().to_owned(),
                    nearest: nearest(&self.collection, names.iter().map(String::as_str)),
                    collection: self.collection.clone(),
                }));
            }
            Err(error) => return Err(errors::first_fault(&self.connection.hosts, &error, read)),
        }
        plan::size(&self.connection.collection(&self.collection).await?, &self.connection.hosts).await
    }

    async fn first(&self) -> Result<Discovery, Fault> {
        let size = self.look().await?;
        let mut state = self.state.lock();
        state.size = size;
        let is_whole = match self.splits_count {
            Some(count) => count <= 1,
            // The same in every life of a run, as its cursor is.
            None => self.query.is_incremental,
        };
        let split = if is_whole {
            state.told = Told::All;
            plan::whole_split(&self.collection)
        } else {
            state.told = Told::Plan;
            plan::plan_split(&self.collection)
        };
        Ok(Discovery::Changed { assigned: vec![split], revoked: Vec::new() })
    }

    /// The splits of the plan, once it is safe.
    async fn others(&self, deadline: Instant) -> Discovery {
        let planned = self.planned.notified();
        if self.state.lock().plan.is_none() {
            timeout_at(deadline.into(), planned).await.ok();
        }
        let mut state = self.state.lock();
        let mut assigned = Vec::new();
        if let Some(count) = state.plan.as_ref().map(Plan::splits_count) {
            state.told = Told::All;
            assigned = (0..count).map(|number| plan::data_split(&self.collection, number, count)).collect();
        }
        Discovery::Changed { assigned, revoked: Vec::new() }
    }

    fn keep(&self, plan: Plan) {
        self.state.lock().plan = Some(plan);
        self.planned.notify_one();
    }

    async fn draw(&self) -> Result<Plan, Fault> {
        let size = self.state.lock().size;
        let count = self.splits_count.unwrap_or_else(|| plan::splits_count(size));
        let collection = self.connection.collection(&self.collection).await?;
        plan::draw(&collection, &self.connection.hosts, count, size).await
    }

    pub(super) fn position_fault(&self, position: &Position) -> Fault {
        let (collection, position) = (self.collection.clone(), position.to_string());
        fatal(Error::Position { collection, position })
    }

    /// The bytes of a document, or a guess where the server does not tell.
    pub(super) fn record_bytes(&self) -> i64 {
        let size = self.state.lock().size;
        if size.records > 0 { (size.bytes / size.records).max(1) } else { RECORD_BYTES }
    }

    /// Whether the collection has an index over `_id`: a view tells no size, and has none.
    pub(super) fn has_index(&self) -> bool {
        self.state.lock().size.records > 0
    }

    fn range(&self, split: &Split) -> Option<Range> {
        if *split.id == *self.collection {
            return Some(Range::default());
        }
        let state = self.state.lock();
        let plan = state.plan.as_ref()?;
        Some(plan.range(plan::number_of(split, plan)?))
    }
}

const RECORD_BYTES: i64 = 1_024;

#[async_trait]
impl Source for MongoSource {
    async fn discover(&self, ask: &Ask) -> Result<Discovery, Fault> {
        let told = self.inner.state.lock().told;
        match told {
            Told::Nothing => self.inner.first().await,
            Told::Plan => Ok(self.inner.others(ask.deadline).await),
            Told::All => Ok(Discovery::Complete),
        }
    }

    async fn open(&self, split: &Split, from: &Position) -> Result<Box<dyn Reader>, Fault> {
        let inner = self.inner.clone();
        if *split.id == *plan::plan_split(&inner.collection).id {
            let is_drawn = match from {
                Position::Start => false,
                position => {
                    inner.keep(Plan::of(position).ok_or_else(|| inner.position_fault(position))?);
                    true
                }
            };
            return Ok(Box::new(PlanReader { inner, split: split.clone(), is_drawn }));
        }
        let Some(range) = inner.range(split) else { return Err(inner.position_fault(from)) };
        let after = match from {
            Position::Start => None,
            position => Some(plan::last_id(position).ok_or_else(|| inner.position_fault(position))?),
        };
        Ok(Box::new(CollectionReader::start(inner, split.place.clone(), range, after)))
    }

    async fn covered(&self, split: &Split, upto: &Position) -> Result<(), Fault> {
        if *split.id == *plan::plan_split(&self.inner.collection).id {
            self.inner.keep(Plan::of(upto).ok_or_else(|| self.inner.position_fault(upto))?);
        }
        Ok(())
    }
}

/// Draws the plan: no records, but a position behind them.
struct PlanReader {
    inner: Arc<Inner>,
    split: Split,
    is_drawn: bool,
}

#[async_trait]
impl Reader for PlanReader {
    async fn read(&mut self, ask: &Ask) -> Result<Read, Fault> {
        if self.is_drawn {
            return Ok(Read::End);
        }
        let plan = self.inner.draw().await?;
        self.is_drawn = true;
        Ok(Read::Batch(Batch {
            body: Body::Rows(Vec::new().into()),
            envelope: Envelope::default(),
            contract: None,
            place: self.split.place.clone(),
            end: plan.position(),
            lease: ask.lease.clone(),
        }))
    }
}
