//! A mapping of a DAG file, read key by key: what is unknown is refused with the nearest right key, what does not fit with
//! what is expected.

use base::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use indexmap::IndexMap;

use super::{
    Error, dates,
    yaml::{Data, Map, Node, Place, with_offset},
};
use crate::dag::{Arg, Param};

/// Below this Jaro-Winkler likeness a name is no suggestion, but a wild guess.
const LIKENESS_MIN: f64 = 0.75;

/// Longer texts are not repeated in a message.
const SHOWN_LENGTH_MAX: usize = 60;

/// The most similar of `names`, if any is similar enough.
pub(crate) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let rated = names.into_iter().map(|known| (strsim::jaro_winkler(known, name), known));
    let (likeness, known) = rated.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (likeness >= LIKENESS_MIN).then(|| known.to_owned())
}

/// Where values are looked up: the first of some mappings that has the key. A key with nothing behind it is not there.
#[derive(Clone)]
pub(crate) struct Section<'a> {
    /// For messages: `the DAG orders`, `the task extract`.
    pub what: String,
    /// For what is missing.
    pub place: &'a Place,
    pub maps: Vec<&'a Map>,
}

impl<'a> Section<'a> {
    pub(crate) fn new(what: String, place: &'a Place, map: &'a Map) -> Self {
        Self { what, place, maps: vec![map] }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        self.maps.iter().find_map(|map| map.get(key)).map(|(_, node)| node).filter(|node| !node.is_null())
    }

    /// Of the first mapping: what is written at this very place.
    pub(crate) fn own(&self, key: &str) -> Option<&'a Node> {
        self.maps[0].get(key).map(|(_, node)| node).filter(|node| !node.is_null())
    }

    pub(crate) fn value_error(&self, key: &str, node: &Node, expected: &str) -> Error {
        let short = node.as_str().filter(|text| text.chars().count() <= SHOWN_LENGTH_MAX);
        let shown = short.map(|text| format!("`{text}`"));
        let shown = shown.or_else(|| node.as_int().map(|number| number.to_string()));
        let shown = shown.unwrap_or_else(|| node.kind().to_owned());
        Error::Value {
            place: node.place.clone(),
            what: self.what.clone(),
            key: key.to_owned(),
            found: shown,
            expected: expected.to_owned(),
        }
    }

    /// `why` begins with a comma, or is empty.
    pub(crate) fn missing(&self, key: &str, why: &'static str) -> Error {
        Error::Missing { place: self.place.clone(), what: self.what.clone(), key: key.to_owned(), why }
    }

    pub(crate) fn unsupported(&self, place: &Place, thing: &str, instead: &str) -> Error {
        Error::Unsupported {
            place: place.clone(),
            what: self.what.clone(),
            thing: thing.to_owned(),
            instead: instead.to_owned(),
        }
    }

    fn typed<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl Fn(&Node) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(node) = self.get(key) else { return Ok(None) };
        read(node).map(Some).ok_or_else(|| self.value_error(key, node, expected))
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<String>, Error> {
        self.typed(key, "a text", |node| node.as_str().map(str::to_owned))
    }

    pub(crate) fn boolean(&self, key: &str) -> Result<Option<bool>, Error> {
        self.typed(key, "true or false", Node::as_bool)
    }

    pub(crate) fn whole(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Result<Option<i64>, Error> {
        let expected = match (*range.start(), *range.end()) {
            (low, high) if high >= i64::from(u32::MAX) => format!("a whole number from {low} on"),
            (low, high) => format!("a whole number from {low} to {high}"),
        };
        self.typed(key, &expected, |node| node.as_int().filter(|value| range.contains(value)))
    }

    pub(crate) fn count(&self, key: &str, min: i64) -> Result<Option<u32>, Error> {
        Ok(self.whole(key, min..=i64::from(u32::MAX))?.map(|value| value as u32))
    }

    /// Only a timedelta, as Airflow has it for time-outs.
    pub(crate) fn duration(&self, key: &str) -> Result<Option<TimeDelta>, Error> {
        let expected = "a duration: {__type__: datetime.timedelta, minutes: 5}";
        self.typed(
            key,
            expected,
            |node| if let Data::Duration(value) = node.data { Some(value) } else { None },
        )
    }

    /// A timedelta, or a number of seconds.
    pub(crate) fn seconds(&self, key: &str) -> Result<Option<TimeDelta>, Error> {
        self.typed(key, "seconds, or {__type__: datetime.timedelta, minutes: 5}", |node| {
            arg(node).as_duration().filter(|value| *value >= TimeDelta::zero())
        })
    }

    pub(crate) fn texts(&self, key: &str) -> Result<Option<Vec<String>>, Error> {
        self.typed(key, "a list of texts", |node| {
            let Data::List(items) = &node.data else { return None };
            items.iter().map(Node::as_text).collect()
        })
    }

    pub(crate) fn map(&self, key: &str) -> Result<Option<&'a Map>, Error> {
        let Some(node) = self.get(key) else { return Ok(None) };
        node.as_map().map(Some).ok_or_else(|| self.value_error(key, node, "a map"))
    }

    /// A date as dag-factory reads it for a DAG: its wall clock stands in `zone`.
    pub(crate) fn date(
        &self,
        key: &str,
        zone: Tz,
        clock: &dyn Clock,
    ) -> Result<Option<DateTime<Utc>>, Error> {
        let expected = "a date, a time, or how long before today: 2 days";
        self.typed(key, expected, |node| dates::read(node, zone, clock))
    }

    /// A time as Airflow reads it for a task.
    pub(crate) fn moment(&self, key: &str) -> Result<Option<DateTime<Utc>>, Error> {
        self.typed(key, "a time with seconds: 2026-01-31 00:00:00", |node| {
            let Data::DateTime(time, offset) = node.data else { return None };
            Some(with_offset(time, offset).to_utc())
        })
    }

    pub(crate) fn zone(&self) -> Result<Tz, Error> {
        let zone =
            self.typed("timezone", "a name such as Europe/Zurich", |node| node.as_str()?.parse().ok())?;
        Ok(zone.unwrap_or(Tz::UTC))
    }

    /// The values of `params`, each with what describes it.
    pub(crate) fn params(&self, map: &Map) -> IndexMap<String, Param> {
        map.iter().map(|(name, (_, node))| (name.clone(), param(node))).collect()
    }
}

fn param(node: &Node) -> Param {
    if let Data::Param(object) = &node.data {
        let schema = object.schema.iter().map(|(key, node)| (key.clone(), arg(node).to_json())).collect();
        let value = object.default.as_ref().map_or(Arg::Null, arg);
        return Param { value, description: object.description.clone(), schema };
    }
    Param { value: arg(node), description: None, schema: serde_json::Map::new() }
}

/// A value as an argument.
pub(crate) fn arg(node: &Node) -> Arg {
    match &node.data {
        Data::Null => Arg::Null,
        Data::Boolean(value) => Arg::Boolean(*value),
        Data::Int(value) => Arg::Int(*value),
        Data::Float(value) => Arg::Float(*value),
        Data::String(text) => Arg::String(text.clone()),
        Data::Date(date) => Arg::Date(*date),
        Data::DateTime(time, offset) => Arg::DateTime(with_offset(*time, *offset)),
        Data::Time(time) => Arg::Time(*time),
        Data::Duration(value) => Arg::Duration(*value),
        Data::Param(object) => object.default.as_ref().map_or(Arg::Null, arg),
        Data::List(items) => Arg::List(items.iter().map(arg).collect()),
        Data::Map(map) => Arg::Map(map.iter().map(|(key, (_, node))| (key.clone(), arg(node))).collect()),
    }
}
