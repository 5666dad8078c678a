//! `__type__` objects: the Python values that a DAG file may build, as dag-factory builds them when it has read a file.

use chrono::{NaiveDate, NaiveTime, TimeDelta};
use indexmap::IndexMap;

use super::{
    Error,
    yaml::{Data, Map, Node, Place},
};

/// What a file may name by `__type__`, for the message that lists them.
const KNOWN: &str = "datetime.timedelta, datetime.datetime, datetime.date, datetime.time, pendulum.datetime, \
                     pendulum.duration, builtins.list, airflow.sdk.Param";
const PARAM_CLASSES: [&str; 3] =
    ["airflow.sdk.Param", "airflow.sdk.definitions.param.Param", "airflow.models.param.Param"];

/// The node with every object in it built.
pub(crate) fn cast(node: Node) -> Result<Node, Error> {
    let Node { place, data } = node;
    let data = match data {
        Data::List(items) => Data::List(items.into_iter().map(cast).collect::<Result<_, _>>()?),
        Data::Map(map) => cast_map(map, &place)?,
        data @ (Data::Null
        | Data::Boolean(_)
        | Data::Int(_)
        | Data::Float(_)
        | Data::String(_)
        | Data::Date(_)
        | Data::DateTime(..)
        | Data::Time(_)
        | Data::Duration(_)
        | Data::Param(_)) => data,
    };
    Ok(Node { place, data })
}

/// `Param(default, description, **schema)`.
#[derive(Debug, Clone)]
pub(crate) struct ParamObject {
    pub default: Option<Node>,
    pub description: Option<String>,
    pub schema: IndexMap<String, Node>,
}

fn cast_map(map: Map, place: &Place) -> Result<Data, Error> {
    for key in ["__and__", "__or__"] {
        if let Some((place, _)) = map.get(key) {
            return Err(unsupported(place, &format!("an asset expression (`{key}`)")));
        }
    }
    let mut entries = Map::with_capacity(map.len());
    for (key, (key_place, value)) in map {
        entries.insert(key, (key_place, cast(value)?));
    }
    if let Some((_, parts)) = entries.get("__join__") {
        return join(parts);
    }
    let Some((_, class)) = entries.shift_remove("__type__") else { return Ok(Data::Map(entries)) };
    let Some(name) = class.as_str().map(str::to_owned) else {
        return Err(value(&class, "__type__", "a class path"));
    };
    let positional = match entries.shift_remove("__args__") {
        Some((_, Node { data: Data::List(items), .. })) => items,
        Some((_, node)) => return Err(value(&node, "__args__", "a list")),
        None => Vec::new(),
    };
    let mut call = Call { name: &name, place, positional, named: entries };
    let built = match name.as_str() {
        "builtins.list" => call.list()?,
        "datetime.timedelta" | "pendulum.duration" => Data::Duration(call.duration()?),
        "datetime.datetime" | "pendulum.datetime" => call.datetime()?,
        "datetime.date" | "pendulum.date" => Data::Date(call.date()?),
        "datetime.time" | "pendulum.time" => Data::Time(call.time()?),
        class if PARAM_CLASSES.contains(&class) => Data::Param(Box::new(call.param()?)),
        _ => return Err(unsupported(&class.place, &format!("the class {name}"))),
    };
    match call.named.first() {
        Some((key, (place, _))) => Err(Error::UnknownKey {
            place: place.clone(),
            what: name.clone(),
            key: key.clone(),
            nearest: None,
        }),
        None => Ok(built),
    }
}

fn unsupported(place: &Place, thing: &str) -> Error {
    Error::Unsupported {
        place: place.clone(),
        what: "a DAG file".to_owned(),
        thing: thing.to_owned(),
        instead: format!("use one of: {KNOWN}"),
    }
}

fn value(node: &Node, key: &str, expected: &str) -> Error {
    Error::Value {
        place: node.place.clone(),
        what: "an object".to_owned(),
        key: key.to_owned(),
        found: node.kind().to_owned(),
        expected: expected.to_owned(),
    }
}

fn join(parts: &Node) -> Result<Data, Error> {
    let Data::List(items) = &parts.data else { return Err(value(parts, "__join__", "a list")) };
    let mut text = String::new();
    for item in items {
        text += &item.as_text().ok_or_else(|| value(item, "__join__", "texts"))?;
    }
    Ok(Data::String(text))
}

/// The arguments of a constructor, taken one by one.
struct Call<'a> {
    name: &'a str,
    place: &'a Place,
    positional: Vec<Node>,
    named: Map,
}

impl Call<'_> {
    fn list(&mut self) -> Result<Data, Error> {
        match self.named.shift_remove("items") {
            Some((_, Node { data: Data::List(items), .. })) => Ok(Data::List(items)),
            Some((_, node)) => Err(value(&node, "items", "a list")),
            None => Err(self.refuse("items")),
        }
    }

    /// Python's order of positional arguments.
    fn duration(&mut self) -> Result<TimeDelta, Error> {
        const UNITS_US: [(&str, f64); 7] = [
            ("days", 86_400e6),
            ("seconds", 1e6),
            ("microseconds", 1.0),
            ("milliseconds", 1e3),
            ("minutes", 60e6),
            ("hours", 3_600e6),
            ("weeks", 604_800e6),
        ];
        let mut micros = 0.0;
        for (index, (unit, scale)) in UNITS_US.iter().enumerate() {
            if let Some(node) = self.take(index, unit) {
                micros += node.as_f64().ok_or_else(|| value(&node, unit, "a number"))? * scale;
            }
        }
        Ok(TimeDelta::microseconds(micros.round() as i64))
    }

    fn date(&mut self) -> Result<NaiveDate, Error> {
        let year = self.whole(0, "year")?.ok_or_else(|| self.refuse("year"))?;
        let month = self.whole(1, "month")?.ok_or_else(|| self.refuse("month"))?;
        let day = self.whole(2, "day")?.ok_or_else(|| self.refuse("day"))?;
        let date = NaiveDate::from_ymd_opt(year as i32, month as u32, day as u32);
        date.ok_or_else(|| self.refuse("date that exists"))
    }

    fn datetime(&mut self) -> Result<Data, Error> {
        let date = self.date()?;
        let time = self.clock(3)?;
        // What dag-factory puts into a zone loses the one it had; elsewhere a time without one is in UTC.
        let zone = self.named.shift_remove("tz").or_else(|| self.named.shift_remove("tzinfo"));
        match zone {
            None => Ok(Data::DateTime(date.and_time(time), None)),
            Some((_, node)) if node.as_str() == Some("UTC") => Ok(Data::DateTime(date.and_time(time), None)),
            Some((_, node)) => Err(value(&node, "tz", "UTC; give other zones by `timezone` of the DAG")),
        }
    }

    fn time(&mut self) -> Result<NaiveTime, Error> {
        self.clock(0)
    }

    fn clock(&mut self, first: usize) -> Result<NaiveTime, Error> {
        let hour = self.whole(first, "hour")?.unwrap_or(0);
        let minute = self.whole(first + 1, "minute")?.unwrap_or(0);
        let second = self.whole(first + 2, "second")?.unwrap_or(0);
        let micros = self.whole(first + 3, "microsecond")?.unwrap_or(0);
        let time = NaiveTime::from_hms_micro_opt(hour as u32, minute as u32, second as u32, micros as u32);
        time.ok_or_else(|| self.refuse("time that exists"))
    }

    fn param(&mut self) -> Result<ParamObject, Error> {
        let default = self.take(0, "default");
        let description = match self.take(1, "description") {
            None => None,
            Some(node) if node.is_null() => None,
            Some(node) => match node.as_str() {
                Some(text) => Some(text.to_owned()),
                None => return Err(value(&node, "description", "a text")),
            },
        };
        self.named.shift_remove("source");
        let mut rest = std::mem::take(&mut self.named);
        let rest = match rest.shift_remove("schema") {
            Some((_, Node { data: Data::Map(schema), .. })) => schema,
            Some((_, node)) => return Err(value(&node, "schema", "a map")),
            None => rest,
        };
        let schema = rest.into_iter().map(|(key, (_, node))| (key, node)).collect();
        Ok(ParamObject { default, description, schema })
    }

    fn whole(&mut self, index: usize, key: &str) -> Result<Option<i64>, Error> {
        match self.take(index, key) {
            None => Ok(None),
            Some(Node { data: Data::Int(number), .. }) if (0..1_000_000).contains(&number) => {
                Ok(Some(number))
            }
            Some(node) => Err(value(&node, key, "a whole number")),
        }
    }

    fn take(&mut self, index: usize, key: &str) -> Option<Node> {
        match self.positional.get_mut(index) {
            Some(node) => {
                let place = node.place.clone();
                Some(std::mem::replace(node, Node { place, data: Data::Null }))
            }
            None => self.named.shift_remove(key).map(|(_, node)| node),
        }
    }

    fn refuse(&self, key: &str) -> Error {
        Error::Missing { place: self.place.clone(), what: self.name.to_owned(), key: key.to_owned(), why: "" }
    }
}
