//! Documents by name, in parts that Firestore itself proposes.
//!
//! It would propose others another time, and a second life must read the same ones. So the plan is a split of its own,
//! without records, that is read before the others: its position is the list of them, and the engine keeps that as it
//! keeps every position. The position of any other split is the place behind a document in the query's order.

use std::sync::Arc;

use async_trait::async_trait;
use base::{Ask, Batch, Body, Discovery, Envelope, Fault, Place, Position, Read, Reader, Source, Split};
use googleapis_tonic_google_firestore_v1::google::firestore::v1::{
    self as pb,
    structured_query::{Direction, FieldReference, Order, Projection},
    value::ValueType,
};
use parking_lot::Mutex;
use prost::Message;
use tokio::{sync::Notify, time::timeout_at};
use tonic::Code as Grpc;

use super::{
    Error, SourceConfig, Subcollections,
    client::Client,
    filter::{Condition, NAME, all, path, segment},
    reader::DocumentReader,
    split::{Kind, Part, escaped},
};
use crate::{CursorRange, Selection};

/// Parts of a collection, where nobody says how many.
const SPLITS_COUNT: usize = 8;
const SPLITS_COUNT_MAX: usize = 1_000;

pub struct FirestoreSource {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    config: SourceConfig,
    plan: Arc<Plan>,
    splits_count: usize,
    state: Mutex<State>,
    /// The parts are kept: the others can be told.
    kept: Notify,
}

#[derive(Default)]
struct State {
    told: Told,
    /// Safe, since the engine has saved them.
    parts: Option<Vec<Part>>,
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

/// What every split's query has in common.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) condition: Condition,
    pub(super) fields: Vec<String>,
    /// A range that Firestore cannot keep, since it takes documents without the field.
    pub(super) range: Option<CursorRange>,
}

impl FirestoreSource {
    /// Sets the client up; asks nothing of the network.
    ///
    /// # Errors
    /// A filter or cursor that Firestore has no words for.
    pub fn new(config: SourceConfig, selection: &Selection) -> Result<Self, Error> {
        let client = Client::new(&config.connection)?;
        let mut condition = Condition::default();
        let (mut range, is_bounded) =
            (None, |range: &CursorRange| range.from.is_some() || range.to.is_some());
        match &selection.cursor {
            Some(cursor) if cursor.takes_missing => range = Some(cursor.clone()).filter(is_bounded),
            Some(cursor) => condition.add_range(cursor).map_err(|why| Error::setting("cursor", why))?,
            None => {}
        }
        if let Some(filter) = &selection.filter {
            condition.add_text(filter).map_err(|why| Error::setting("filter", why))?;
        }
        let splits_count = selection.splits_count.unwrap_or(SPLITS_COUNT).clamp(1, SPLITS_COUNT_MAX);
        let plan = Arc::new(Plan { condition, fields: selection.fields.clone(), range });
        let (state, kept) = (Mutex::default(), Notify::new());
        Ok(Self { inner: Arc::new(Inner { client, config, plan, splits_count, state, kept }) })
    }
}

impl Inner {
    fn kind(&self) -> Kind {
        match (&self.config.subcollections, self.config.is_group) {
            (_, true) => Kind::Group,
            (Subcollections::All, false) => Kind::Whole,
            (Subcollections::None | Subcollections::Names(_), false) => Kind::Own,
        }
    }

    async fn parts(&self) -> Result<Vec<Part>, Fault> {
        let collection = &self.config.collection;
        let first = Part::new(collection, self.kind());
        let mut parts = first.cut(self.points(&first).await?);
        if let Subcollections::Names(names) = &self.config.subcollections {
            parts.extend(names.iter().map(|name| Part::new(collection, Kind::Below(name.clone()))));
        }
        Ok(parts)
    }

    /// Whether Firestore is asked for parts. It has none for a query with conditions.
    fn is_cut(&self) -> bool {
        self.splits_count > 1 && self.plan.condition.filters.is_empty()
    }

    fn split(&self, id: String) -> Split {
        let place = Place::Collection { name: self.config.collection.as_str().into() };
        Split { id: id.into(), place: Arc::new(place) }
    }

    fn plan_id(&self) -> String {
        format!("{}?plan=true", escaped(&self.config.collection))
    }

    fn keep(&self, parts: Vec<Part>) {
        self.state.lock().parts = Some(parts);
        self.kept.notify_one();
    }

    /// The parts that a plan's position lists.
    fn parts_of(&self, position: &Position) -> Result<Vec<Part>, Error> {
        let parts = match position {
            Position::Token(token) => std::str::from_utf8(token).ok(),
            Position::Start | Position::Mark(_) => None,
        };
        let parts = parts.and_then(|ids| ids.split(' ').map(Part::parse).collect::<Option<Vec<Part>>>());
        let is_ours = |parts: &Vec<Part>| parts.iter().all(|part| part.collection == self.config.collection);
        parts.filter(is_ours).ok_or_else(|| self.strange(format!("the position {position}")))
    }

    fn strange(&self, position: String) -> Error {
        Error::Position { position, collection: self.config.collection.clone() }
    }

    /// Paths of documents to cut at. Firestore proposes them for all collections of an id; ours are picked out.
    async fn points(&self, part: &Part) -> Result<Vec<String>, Fault> {
        if !self.is_cut() {
            return Ok(Vec::new());
        }
        let group = Part { kind: Kind::Group, ..part.clone() };
        let query = pb::StructuredQuery {
            from: vec![group.selector()],
            order_by: vec![ascending(NAME.to_owned())],
            ..Default::default()
        };
        let names = match self.client.partitions(query, self.splits_count as i64 - 1).await? {
            Ok(names) => names,
            // The emulator has no partitions: one split is as right.
            Err(status) if status.code() == Grpc::Unimplemented => {
                tracing::debug!(%status, "no partitions");
                return Ok(Vec::new());
            }
            Err(status) => return Err(self.client.error(&status, &part.collection).into()),
        };
        let root = self.client.root();
        let paths = names.iter().filter_map(|name| Some(name.strip_prefix(&root)?.trim_start_matches('/')));
        let is_ours = |path: &&str| {
            part.kind == Kind::Group
                || path.rsplit_once('/').is_some_and(|(within, _)| within == part.collection)
        };
        Ok(paths.filter(is_ours).map(str::to_owned).collect())
    }

    fn query(&self, part: &Part) -> pb::StructuredQuery {
        let Plan { condition, fields, range } = &*self.plan;
        let mut condition = condition.clone();
        condition.filters.extend(part.bounds(&self.client.root()));
        let ordered_by = condition.ordered_by.iter().map(|field| path(field));
        let order_by: Vec<Order> = ordered_by.clone().chain([NAME.to_owned()]).map(ascending).collect();
        let needed = ordered_by.chain(range.iter().map(|range| path(&range.field)));
        let mut selected: Vec<String> = fields.iter().map(|field| segment(field)).collect();
        if !selected.is_empty() {
            let missing: Vec<String> = needed.filter(|field| !selected.contains(field)).collect();
            selected.extend(missing);
        }
        let select = Projection { fields: selected.into_iter().map(reference).collect() };
        pb::StructuredQuery {
            select: (!select.fields.is_empty()).then_some(select),
            from: vec![part.selector()],
            r#where: all(condition.filters),
            order_by,
            ..Default::default()
        }
    }

    fn cursor(&self, position: &Position) -> Option<Option<pb::Cursor>> {
        match position {
            Position::Start => Some(None),
            Position::Mark(_) => None,
            Position::Token(token) => {
                let cursor = pb::Cursor::decode(token.clone()).ok()?;
                let is_whole = cursor.values.len() == self.plan.condition.ordered_by.len() + 1;
                let name = cursor.values.last().and_then(|value| value.value_type.as_ref());
                let root = self.client.root();
                let is_ours =
                    matches!(name, Some(ValueType::ReferenceValue(name)) if name.starts_with(&root));
                (is_whole && is_ours).then_some(Some(cursor))
            }
        }
    }
}

fn reference(field_path: String) -> FieldReference {
    FieldReference { field_path }
}

fn ascending(field_path: String) -> Order {
    Order { field: Some(reference(field_path)), direction: Direction::Ascending.into() }
}

#[async_trait]
impl Source for FirestoreSource {
    async fn discover(&self, ask: &Ask) -> Result<Discovery, Fault> {
        let inner = &self.inner;
        let told = inner.state.lock().told;
        let assigned = match told {
            Told::Nothing if inner.is_cut() => {
                inner.state.lock().told = Told::Plan;
                vec![inner.split(inner.plan_id())]
            }
            Told::Nothing => {
                let parts = inner.parts().await?;
                inner.state.lock().told = Told::All;
                parts.iter().map(|part| inner.split(part.id())).collect()
            }
            Told::Plan => {
                let kept = inner.kept.notified();
                if inner.state.lock().parts.is_none() {
                    timeout_at(ask.deadline.into(), kept).await.ok();
                }
                let mut state = inner.state.lock();
                let parts = state.parts.clone().unwrap_or_default();
                if !parts.is_empty() {
                    state.told = Told::All;
                }
                parts.iter().map(|part| inner.split(part.id())).collect()
            }
            Told::All => return Ok(Discovery::Complete),
        };
        Ok(Discovery::Changed { assigned, revoked: Vec::new() })
    }

    async fn open(&self, split: &Split, from: &Position) -> Result<Box<dyn Reader>, Fault> {
        let inner = self.inner.clone();
        if *split.id == inner.plan_id() {
            let is_drawn = *from != Position::Start;
            if is_drawn {
                inner.keep(inner.parts_of(from)?);
            }
            return Ok(Box::new(PlanReader { inner, place: split.place.clone(), is_drawn }));
        }
        let part = Part::parse(&split.id).filter(|part| part.collection == inner.config.collection);
        let part = part.ok_or_else(|| inner.strange(format!("the split {}", split.id)))?;
        let after = inner.cursor(from).ok_or_else(|| inner.strange(format!("the position {from}")))?;
        let (client, plan, query) = (inner.client.clone(), inner.plan.clone(), inner.query(&part));
        Ok(Box::new(DocumentReader::new(client, plan, part, split.place.clone(), query, after)))
    }

    async fn covered(&self, split: &Split, upto: &Position) -> Result<(), Fault> {
        if *split.id == self.inner.plan_id() {
            self.inner.keep(self.inner.parts_of(upto)?);
        }
        Ok(())
    }
}

/// Draws the plan: no records, but a position behind them.
struct PlanReader {
    inner: Arc<Inner>,
    place: Arc<Place>,
    is_drawn: bool,
}

#[async_trait]
impl Reader for PlanReader {
    async fn read(&mut self, ask: &Ask) -> Result<Read, Fault> {
        if self.is_drawn {
            return Ok(Read::End);
        }
        let ids: Vec<String> = self.inner.parts().await?.iter().map(Part::id).collect();
        self.is_drawn = true;
        Ok(Read::Batch(Batch {
            body: Body::Rows(Vec::new().into()),
            envelope: Envelope::default(),
            contract: None,
            place: self.place.clone(),
            end: Position::Token(ids.join(" ").into()),
            lease: ask.lease.clone(),
        }))
    }
}
