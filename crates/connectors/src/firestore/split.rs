//! A split is a run of documents by name; its id holds all that says which, so that a later life reads the same one.

use googleapis_tonic_google_firestore_v1::google::firestore::v1::structured_query::{
    CollectionSelector, Filter, field_filter::Operator,
};
use url::form_urlencoded;

use super::filter::name_bound;

/// The least id there is: what lies below a collection begins with it.
const ID_MIN: &str = "__id-9223372036854775808__";

/// `users`, `users?below=*`, `users?from=users%2Fbob&to=users%2Fmia`; a space within is a `+`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) collection: String,
    pub(super) kind: Kind,
    /// The path of the first document, below `documents`.
    pub(super) from: Option<String>,
    /// The path of the document that ends it, left out.
    pub(super) to: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// The documents of the collection alone.
    Own,
    /// The documents of all collections of its id.
    Group,
    /// Its documents and everything below them.
    Whole,
    /// The documents of the collections of this id below it.
    Below(String),
}

impl Part {
    pub(super) fn new(collection: &str, kind: Kind) -> Self {
        Self { collection: collection.to_owned(), kind, from: None, to: None }
    }

    pub(super) fn id(&self) -> String {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        match &self.kind {
            Kind::Own => {}
            Kind::Group => drop(pairs.append_pair("group", "true")),
            Kind::Whole => drop(pairs.append_pair("below", "*")),
            Kind::Below(name) => drop(pairs.append_pair("below", name)),
        }
        for (name, bound) in [("from", &self.from), ("to", &self.to)] {
            if let Some(path) = bound {
                pairs.append_pair(name, path);
            }
        }
        let collection = escaped(&self.collection);
        match pairs.finish() {
            pairs if pairs.is_empty() => collection,
            pairs => format!("{collection}?{pairs}"),
        }
    }

    /// The part of an id; `None` where it is not one of ours.
    pub(super) fn parse(id: &str) -> Option<Self> {
        let (collection, pairs) = id.split_once('?').unwrap_or((id, ""));
        let parts = collection.split('/').map(|id| {
            let (id, _) = form_urlencoded::parse(id.as_bytes()).next()?;
            Some(id.into_owned())
        });
        let collection = parts.collect::<Option<Vec<String>>>()?.join("/");
        let mut part = Self::new(&collection, Kind::Own);
        for (name, value) in form_urlencoded::parse(pairs.as_bytes()) {
            match &*name {
                "group" => part.kind = Kind::Group,
                "below" if value == "*" => part.kind = Kind::Whole,
                "below" => part.kind = Kind::Below(value.into_owned()),
                "from" => part.from = Some(value.into_owned()),
                "to" => part.to = Some(value.into_owned()),
                _ => return None,
            }
        }
        Some(part)
    }

    /// The parts between these documents' paths.
    pub(super) fn cut(&self, mut points: Vec<String>) -> Vec<Self> {
        points.sort_by(|one, other| one.split('/').cmp(other.split('/')));
        points.dedup();
        let from = std::iter::once(None).chain(points.iter().cloned().map(Some));
        let to = points.iter().cloned().map(Some).chain(std::iter::once(None));
        from.zip(to).map(|(from, to)| Self { from, to, ..self.clone() }).collect()
    }

    /// The document that the collection lies below, or the root: what a query is sent to.
    pub(super) fn parent(&self, root: &str) -> String {
        match (&self.kind, self.collection.rsplit_once('/')) {
            (Kind::Own | Kind::Whole, Some((document, _))) => format!("{root}/{document}"),
            _ => root.to_owned(),
        }
    }

    pub(super) fn selector(&self) -> CollectionSelector {
        let last = self.collection.rsplit('/').next().unwrap_or_default();
        let (collection_id, all_descendants) = match &self.kind {
            Kind::Own => (last, false),
            Kind::Group => (last, true),
            Kind::Whole => ("", true),
            Kind::Below(name) => (&**name, true),
        };
        CollectionSelector { collection_id: collection_id.to_owned(), all_descendants }
    }

    /// The bounds of its names.
    pub(super) fn bounds(&self, root: &str) -> Vec<Filter> {
        let within = match &self.kind {
            Kind::Own | Kind::Group => (None, None),
            Kind::Whole | Kind::Below(_) => (
                Some(format!("{}/{ID_MIN}", self.collection)),
                // The next name that a collection could have.
                Some(format!("{}\0/{ID_MIN}", self.collection)),
            ),
        };
        let (from, to) = (self.from.clone().or(within.0), self.to.clone().or(within.1));
        let bound =
            |op: Operator, path: Option<String>| path.map(|path| name_bound(op, format!("{root}/{path}")));
        let bounds = [bound(Operator::GreaterThanOrEqual, from), bound(Operator::LessThan, to)];
        bounds.into_iter().flatten().collect()
    }

    /// What a document is called among the records: its id, or its path where it may lie deeper.
    pub(super) fn key<'a>(&self, root: &str, name: &'a str) -> &'a str {
        let path = name.strip_prefix(root).map_or(name, |path| path.trim_start_matches('/'));
        match &self.kind {
            Kind::Group => path,
            Kind::Own | Kind::Whole | Kind::Below(_) => {
                path.strip_prefix(&*self.collection).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path)
            }
        }
    }
}

/// The path of a collection with everything escaped but its slashes.
pub(super) fn escaped(collection: &str) -> String {
    let escape = |id: &str| form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>();
    collection.split('/').map(escape).collect::<Vec<_>>().join("/")
}
