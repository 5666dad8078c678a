//! YAML as dag-factory's loader (PyYAML, so YAML 1.1) reads it, with the place of every key and value: anchors, merge keys,
//! `yes` and `on` as booleans, dates without quotes, and `$NAME` from the environment.

use std::sync::Arc;

use base::Spot;
use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use indexmap::IndexMap;
use project::TextFile;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::{Error, objects::ParamObject};

/// Bounds of one file, aliases counted each time they are used: what a person writes is far smaller, and what a few lines of
/// nested aliases can stand for is not.
const NODES_COUNT_MAX: usize = 200_000;
const DEPTH_MAX: usize = 64;

/// Where something stands: bytes `start..start + length` of a file.
#[derive(Debug, Clone)]
pub struct Place {
    pub file: Arc<TextFile>,
    pub start: usize,
    pub length: usize,
}

impl Place {
    pub(crate) fn spot(&self, label: impl Into<String>) -> Spot {
        Spot::Text {
            path: self.file.path.clone(),
            text: self.file.text.clone(),
            start: self.start,
            length: self.length,
            label: label.into(),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub place: Place,
    pub data: Data,
}

#[derive(Debug, Clone)]
pub(crate) enum Data {
    Null,
    Boolean(bool),
    Int(i64),
    Float(f64),
    String(String),
    Date(NaiveDate),
    /// A time without quotes; without an offset it has no zone yet.
    DateTime(NaiveDateTime, Option<FixedOffset>),
    /// The rest comes from `__type__` objects.
    Time(NaiveTime),
    Duration(TimeDelta),
    Param(Box<ParamObject>),
    List(Vec<Node>),
    Map(Map),
}

/// Entries in their order, each with the place of its key.
pub(crate) type Map = IndexMap<String, (Place, Node)>;

impl Node {
    pub(crate) fn as_map(&self) -> Option<&Map> {
        if let Data::Map(map) = &self.data { Some(map) } else { None }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Data::String(text) = &self.data { Some(text) } else { None }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        if let Data::Boolean(value) = self.data { Some(value) } else { None }
    }

    pub(crate) fn as_int(&self) -> Option<i64> {
        if let Data::Int(value) = self.data { Some(value) } else { None }
    }

    pub(crate) fn as_f64(&self) -> Option<f64> {
        if let Data::Float(value) = self.data { Some(value) } else { self.as_int().map(|value| value as f64) }
    }

    /// A text, or what stands for one without quotes.
    pub(crate) fn as_text(&self) -> Option<String> {
        if let Data::Date(date) = self.data {
            return Some(date.to_string());
        }
        self.as_str().map(str::to_owned).or_else(|| self.as_int().map(|value| value.to_string()))
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.data, Data::Null)
    }

    /// For messages: `a text`, `a list`.
    pub(crate) fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "nothing",
            Data::Boolean(_) => "true or false",
            Data::Int(_) => "a whole number",
            Data::Float(_) => "a number",
            Data::String(_) => "a text",
            Data::Date(_) => "a date",
            Data::DateTime(..) => "a time",
            Data::Time(_) => "a time of day",
            Data::Duration(_) => "a duration",
            Data::Param(_) => "a param",
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
        }
    }
}

/// The one document of a file; `None`: there is nothing in it.
pub(crate) fn read(
    file: &Arc<TextFile>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Node>, Error> {
    let (text, bytes) = expanded(&file.text, environment);
    let mut reading = Reading {
        file,
        bytes: &bytes,
        parser: Parser::new_from_str(&text),
        anchors: IndexMap::new(),
        count: 0,
    };
    reading.document()
}

/// The text with `$NAME` and `${NAME}` replaced where the environment has them, and for each of its characters the byte of
/// the file it comes from.
fn expanded(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> (String, Vec<usize>) {
    let mut bytes: Vec<usize> = Vec::with_capacity(text.len() + 1);
    let mut result = String::new();
    let mut position = 0;
    while let Some(found) = text[position..].find('$').map(|offset| position + offset) {
        push(&text[position..found], position, &mut result, &mut bytes);
        let (name, end) = variable(text, found);
        match environment(name).filter(|_| !name.is_empty()) {
            Some(value) => {
                bytes.extend(value.chars().map(|_| found));
                result.push_str(&value);
            }
            None => push(&text[found..end], found, &mut result, &mut bytes),
        }
        position = end;
    }
    push(&text[position..], position, &mut result, &mut bytes);
    bytes.push(text.len());
    (result, bytes)
}

fn push(text: &str, start: usize, result: &mut String, bytes: &mut Vec<usize>) {
    bytes.extend(text.char_indices().map(|(offset, _)| start + offset));
    result.push_str(text);
}

/// The name behind the `$` at `start`, and where it ends: as `os.path.expandvars` finds it.
fn variable(text: &str, start: usize) -> (&str, usize) {
    let rest = &text[start + 1..];
    if let Some(braced) = rest.strip_prefix('{') {
        return match braced.find('}') {
            Some(end) => (&braced[..end], start + end + 3),
            None => ("", start + 1),
        };
    }
    let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    (&rest[..length], start + 1 + length)
}

struct Reading<'a> {
    file: &'a Arc<TextFile>,
    bytes: &'a [usize],
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: IndexMap<usize, Node>,
    count: usize,
}

impl<'a> Reading<'a> {
    fn document(&mut self) -> Result<Option<Node>, Error> {
        let mut document = None;
        loop {
            let (event, span) = self.event()?;
            match event {
                Event::StreamEnd => return Ok(document),
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                Event::Alias(_)
                | Event::Scalar(..)
                | Event::SequenceStart(..)
                | Event::SequenceEnd
                | Event::MappingStart(..)
                | Event::MappingEnd
                    if document.is_some() =>
                {
                    return Err(self.refuse(span, "a DAG file has one document"));
                }
                Event::Alias(_)
                | Event::Scalar(..)
                | Event::SequenceStart(..)
                | Event::SequenceEnd
                | Event::MappingStart(..)
                | Event::MappingEnd => document = Some(self.node(event, span, 0)?),
            }
        }
    }

    fn event(&mut self) -> Result<(Event<'a>, Span), Error> {
        match self.parser.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => {
                let start = self.byte(error.marker().index());
                let place = Place { file: self.file.clone(), start, length: 1 };
                Err(Error::Yaml { place, reason: error.info().to_owned() })
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Error> {
        self.count += 1;
        if self.count > NODES_COUNT_MAX || depth > DEPTH_MAX {
            return Err(self.refuse(span, "more, or more deeply nested, than a DAG file holds"));
        }
        let place = self.place(span);
        let (data, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (self.scalar(text.into_owned(), style, tag.as_deref(), span)?, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span)?;
                (Data::List(self.list(depth)?), anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span)?;
                (Data::Map(self.map(depth)?), anchor)
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| self.refuse(span, "an alias of itself"))?;
                self.count += size(&node);
                return Ok(node);
            }
            Event::SequenceEnd
            | Event::MappingEnd
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::Nothing => return Err(self.refuse(span, "a value is missing")),
        };
        let node = Node { place, data };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Error> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.event()?;
            if event == Event::SequenceEnd {
                return Ok(items);
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    /// What `<<` brings comes first, and gives way to what the mapping says itself.
    fn map(&mut self, depth: usize) -> Result<Map, Error> {
        let (mut merged, mut own) = (Map::new(), Map::new());
        loop {
            let (event, span) = self.event()?;
            if event == Event::MappingEnd {
                break;
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.node(event, span, depth + 1)?;
            let (event, value_span) = self.event()?;
            let value = self.node(event, value_span, depth + 1)?;
            if is_merge {
                self.merge(value, value_span, &mut merged)?;
                continue;
            }
            let name = match key.data {
                Data::String(text) => text,
                Data::Int(number) => number.to_string(),
                Data::Boolean(value) => value.to_string(),
                Data::Date(date) => date.to_string(),
                Data::Null
                | Data::Float(_)
                | Data::DateTime(..)
                | Data::Time(_)
                | Data::Duration(_)
                | Data::Param(_)
                | Data::List(_)
                | Data::Map(_) => return Err(self.refuse(span, "a key is a plain word")),
            };
            if own.insert(name.clone(), (key.place.clone(), value)).is_some() {
                return Err(Error::Duplicate { place: key.place, what: "key", name });
            }
        }
        merged.extend(own);
        Ok(merged)
    }

    fn merge(&self, value: Node, span: Span, merged: &mut Map) -> Result<(), Error> {
        let maps = match value.data {
            Data::List(items) => items,
            data => vec![Node { place: value.place, data }],
        };
        for item in maps.into_iter().rev() {
            let Data::Map(map) = item.data else {
                return Err(self.refuse(span, "`<<` takes a mapping, or a list of them"));
            };
            merged.extend(map);
        }
        Ok(())
    }

    fn scalar(&self, text: String, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Result<Data, Error> {
        match tag {
            Some(tag) if is_known(tag) && tag.suffix == "str" => Ok(Data::String(text)),
            Some(tag) if is_known(tag) => Ok(plain(&text)),
            Some(_) => Err(self.refuse(span, "tags are not taken; name a class by `__type__`")),
            None if style == ScalarStyle::Plain => Ok(plain(&text)),
            None => Ok(Data::String(text)),
        }
    }

    fn refuse_tag(&self, tag: Option<&Tag>, span: Span) -> Result<(), Error> {
        match tag {
            Some(tag) if !is_known(tag) => {
                Err(self.refuse(span, "tags are not taken; name a class by `__type__`"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn byte(&self, character: usize) -> usize {
        self.bytes[character.min(self.bytes.len() - 1)]
    }

    fn place(&self, span: Span) -> Place {
        let (start, end) = (self.byte(span.start.index()), self.byte(span.end.index()));
        // A mapping is underlined at its beginning only.
        let text = self.file.text.get(start..end.max(start)).unwrap_or("");
        let length = text.lines().next().unwrap_or("").trim_end().len().max(1);
        Place { file: self.file.clone(), start, length }
    }

    fn refuse(&self, span: Span, reason: &str) -> Error {
        Error::Yaml { place: self.place(span), reason: reason.to_owned() }
    }
}

fn size(node: &Node) -> usize {
    match &node.data {
        Data::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Data::Map(map) => 1 + map.values().map(|(_, value)| size(value)).sum::<usize>(),
        Data::Null
        | Data::Boolean(_)
        | Data::Int(_)
        | Data::Float(_)
        | Data::String(_)
        | Data::Date(_)
        | Data::DateTime(..)
        | Data::Time(_)
        | Data::Duration(_)
        | Data::Param(_) => 1,
    }
}

/// A tag of YAML itself, none of PyYAML's own.
fn is_known(tag: &Tag) -> bool {
    let known = ["str", "int", "float", "bool", "null", "timestamp", "seq", "map"];
    tag.is_yaml_core_schema() && known.contains(&tag.suffix.as_str())
}

/// A plain scalar by the rules of YAML 1.1, as PyYAML resolves it.
fn plain(text: &str) -> Data {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Data::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Data::Boolean(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Data::Boolean(false);
        }
        _ => {}
    }
    if let Some(number) = integer(text) {
        return Data::Int(number);
    }
    if let Some(number) = float(text) {
        return Data::Float(number);
    }
    timestamp(text).unwrap_or_else(|| Data::String(text.to_owned()))
}

fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if digits.contains(':') {
        return sexagesimal(digits).map(|value| sign * value);
    }
    let digits = digits.replace('_', "");
    let value = if let Some(binary) = digits.strip_prefix("0b") {
        i64::from_str_radix(binary, 2)
    } else if let Some(hexadecimal) = digits.strip_prefix("0x") {
        i64::from_str_radix(hexadecimal, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(&digits[1..], 8)
    } else {
        digits.parse()
    };
    value.ok().map(|value| sign * value)
}

/// `1:30` is 90 in YAML 1.1: write a time of day in quotes.
fn sexagesimal(digits: &str) -> Option<i64> {
    let mut parts = digits.split(':');
    let first = parts.next().filter(|first| !first.starts_with('0'))?;
    let mut value: i64 = first.replace('_', "").parse().ok()?;
    for part in parts {
        let part: i64 = part.parse().ok().filter(|_| part.len() <= 2)?;
        value = value.checked_mul(60)?.checked_add(part).filter(|_| part < 60)?;
    }
    Some(value)
}

fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" if text.starts_with('-') => return Some(f64::NEG_INFINITY),
        ".inf" | ".Inf" | ".INF" => return Some(f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    // Without a point it is a text to PyYAML: `1e3`. An exponent has a sign.
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let is_number = digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let has_good_exponent = exponent.is_none_or(|exponent| {
        exponent
            .strip_prefix(['-', '+'])
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    });
    if !is_number || !has_good_exponent {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// `2026-01-31`, `2026-01-31 06:00:00`, `2026-1-31T6:00:00.5+02:00`.
fn timestamp(text: &str) -> Option<Data> {
    if text.len() == 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-' {
        return date(text).map(Data::Date);
    }
    let split = text.find(['T', 't', ' ', '\t'])?;
    let date = date(&text[..split])?;
    let rest = text[split + 1..].trim();
    let zone_start = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = (rest[..zone_start].trim(), rest[zone_start..].trim());
    let time = NaiveTime::parse_from_str(time, "%H:%M:%S%.f").ok()?;
    let offset = match zone {
        "" => None,
        "Z" => FixedOffset::east_opt(0),
        _ => Some(offset(zone)?),
    };
    Some(Data::DateTime(date.and_time(time), offset))
}

/// Within Python's years.
fn date(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|date| (1..=9_999).contains(&date.year()))
}

/// `+02:00`, `-5`, `+0530`.
fn offset(zone: &str) -> Option<FixedOffset> {
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits = &zone[1..];
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() == 4 && digits.is_ascii() => digits.split_at(2),
        None => (digits, "0"),
    };
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60))
}

/// A time with its offset, else in UTC.
pub(crate) fn with_offset(time: NaiveDateTime, offset: Option<FixedOffset>) -> DateTime<FixedOffset> {
    match offset.and_then(|offset| time.and_local_timezone(offset).single()) {
        Some(time) => time,
        None => time.and_utc().fixed_offset(),
    }
}
