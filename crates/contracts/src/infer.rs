//! A contract from examples: what rows have in common, with a note on each decision and why it was taken.
//!
//! Texts (CSV) are an integer, number, boolean, date or date-time only where every value of the column is; `007` and numbers
//! beyond 64 bits stay texts. JSON values have the types they have.

use std::collections::BTreeMap;

use base::Kind;
use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};

use crate::{
    Error,
    avro::is_name,
    validate::{boolean, float, format, integer},
};

/// What has been seen so far. Memory is bounded by the columns, not the rows.
#[derive(Debug, Default)]
pub struct Inference {
    nulls: Vec<Box<[u8]>>,
    columns: IndexMap<String, Seen>,
    rows_count: u64,
}

/// The contract and why it is so.
#[derive(Debug, Clone, PartialEq)]
pub struct Inferred {
    /// Pretty JSON with a newline at its end, ready for a file.
    pub text: String,
    pub notes: Vec<Note>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub field: String,
    /// `integer or null: 8255 of 336776 are null`
    pub text: String,
}

#[derive(Debug, Default)]
struct Seen {
    count: u64,
    nulls: u64,
    integers: u64,
    floats: u64,
    booleans: u64,
    strings: u64,
    dates: u64,
    date_times: u64,
    /// Texts that look like numbers but would lose something: leading zeros, more than 64 bits.
    codes: u64,
    /// Texts of a CSV column, which has one type, as against JSON values, which may have several.
    is_text: bool,
    objects: u64,
    members: IndexMap<String, Seen>,
    arrays: u64,
    items: Option<Box<Seen>>,
    /// A value that kept the column from a narrower type.
    odd: Option<String>,
}

impl Inference {
    /// `nulls`: the texts that stand for no value.
    pub fn new(nulls: &[&str]) -> Self {
        Self { nulls: nulls.iter().map(|null| null.as_bytes().into()).collect(), ..Self::default() }
    }

    pub fn rows_count(&self) -> u64 {
        self.rows_count
    }

    /// A row of texts under their columns' names. Gives the columns that are something else since this row.
    pub fn add_texts<'a>(&mut self, header: &[&str], row: impl IntoIterator<Item = &'a [u8]>) -> Vec<usize> {
        self.rows_count += 1;
        let mut decided = Vec::new();
        for (number, (name, text)) in header.iter().zip(row).enumerate() {
            let place = self.place(name);
            if self.add_cell(place, text) {
                decided.push(number);
            }
        }
        decided
    }

    /// Where the columns of these names stand: asked once for many rows that have them all.
    pub fn places(&mut self, header: &[&str]) -> Vec<usize> {
        header.iter().map(|name| self.place(name)).collect()
    }

    /// A row of texts whose columns stand at these places. Gives the columns that are something else since this row.
    pub fn add_cells<'a>(&mut self, places: &[usize], row: impl IntoIterator<Item = &'a [u8]>) -> Vec<usize> {
        self.rows_count += 1;
        let mut decided = Vec::new();
        for (number, (place, text)) in places.iter().zip(row).enumerate() {
            if self.add_cell(*place, text) {
                decided.push(number);
            }
        }
        decided
    }

    fn place(&mut self, name: &str) -> usize {
        self.columns.get_index_of(name).unwrap_or_else(|| {
            self.columns.insert_full(name.to_owned(), Seen { is_text: true, ..Seen::default() }).0
        })
    }

    /// Whether the column is something else since this text.
    fn add_cell(&mut self, place: usize, text: &[u8]) -> bool {
        let is_null = self.nulls.iter().any(|null| **null == *text);
        let seen = &mut self.columns[place];
        let before = seen.counted();
        seen.add_text(text, is_null);
        let after = seen.counted();
        // Only the first value of a sort can change what the column is.
        let is_new = before.iter().zip(after).any(|(before, after)| *before == 0 && after > 0);
        is_new && seen.types() != Seen::types_of(&before)
    }

    pub fn add_object(&mut self, object: &Map<String, Json>) {
        self.rows_count += 1;
        for (name, value) in object {
            self.columns.entry(name.clone()).or_default().add_json(value);
        }
    }

    /// What a column of texts is; a text where it was never seen.
    pub fn kind(&self, column: &str) -> Kind {
        let types = self.columns.get(column).map(Seen::types);
        match types.as_ref().map(|(words, format)| (&words[..], *format)) {
            Some((["integer"], _)) => Kind::Int64,
            Some((["number"], _)) => Kind::Float64,
            Some((["boolean"], _)) => Kind::Boolean,
            Some((_, Some("date"))) => Kind::Date,
            Some((_, Some("date-time"))) => Kind::TimestampMs,
            _ => Kind::String,
        }
    }

    /// Whether a column has dates and moments, and nothing else.
    pub fn is_date_or_time(&self, column: &str) -> bool {
        self.columns.get(column).is_some_and(|seen| {
            seen.dates > 0 && seen.date_times > 0 && seen.dates + seen.date_times == seen.count - seen.nulls
        })
    }

    /// What a column of texts is, and why, in words.
    pub fn decision(&self, column: &str) -> (String, String) {
        let Some(seen) = self.columns.get(column) else {
            return ("string".to_owned(), "no record was seen".to_owned());
        };
        let (words, format) = seen.types();
        let note = seen.note(column.to_owned(), self.rows_count, &words, format);
        match note.text.split_once(": ") {
            Some((what, why)) => (what.to_owned(), why.to_owned()),
            None => match seen.odd.as_deref().filter(|_| words == ["string"] && format.is_none()) {
                Some(odd) => (note.text, format!("one is {odd:?}")),
                None => (note.text, String::new()),
            },
        }
    }

    /// A draft-07 schema; `title` names it (and the rows made by it).
    pub fn json_schema(&self, title: &str) -> Result<Inferred, Error> {
        self.check()?;
        let mut notes = Vec::new();
        let mut schema = json!({ "$schema": "http://json-schema.org/draft-07/schema#", "title": title });
        let body = object_schema(&self.columns, self.rows_count, "", &mut notes);
        if let (Json::Object(schema), Json::Object(body)) = (&mut schema, body) {
            schema.extend(body);
        }
        Ok(Inferred { text: pretty(&schema), notes })
    }

    /// An Avro record; names that Avro does not allow are changed, which a note says.
    pub fn avro(&self, name: &str) -> Result<Inferred, Error> {
        self.check()?;
        let mut notes = Vec::new();
        let mut names = BTreeMap::new();
        let record = avro_record(&allowed(name), &self.columns, self.rows_count, "", &mut notes, &mut names);
        Ok(Inferred { text: pretty(&record), notes })
    }

    fn check(&self) -> Result<(), Error> {
        match (self.rows_count, self.columns.is_empty()) {
            (0, _) => Err(Error::NothingToInfer { reason: "there are no rows".to_owned() }),
            (_, true) => Err(Error::NothingToInfer { reason: "the rows have no fields".to_owned() }),
            _ => Ok(()),
        }
    }
}

impl Seen {
    fn add_text(&mut self, text: &[u8], is_null: bool) {
        self.count += 1;
        if is_null {
            self.nulls += 1;
            return;
        }
        if boolean(text).is_some() {
            self.booleans += 1;
        } else if integer(text).is_some() && !has_leading_zero(text) {
            self.integers += 1;
        } else if float(text).is_some() && !has_leading_zero(text) && !is_long_integer(text) {
            self.floats += 1;
        } else {
            self.strings += 1;
            let text = String::from_utf8_lossy(text);
            match (format::is_date(&text), format::is_date_time(&text)) {
                (true, _) => self.dates += 1,
                (_, true) => self.date_times += 1,
                _ => {
                    self.codes += u64::from(float(text.as_bytes()).is_some());
                    self.odd.get_or_insert_with(|| crate::shorten(&text, 40));
                }
            }
        }
    }

    /// How many values of each sort a column of texts has had.
    fn counted(&self) -> [u64; 6] {
        let plain = self.strings - self.dates - self.date_times;
        [self.integers, self.floats, self.booleans, self.dates, self.date_times, plain]
    }

    /// What a column of texts with these values is.
    fn types_of(counted: &[u64; 6]) -> (Vec<&'static str>, Option<&'static str>) {
        let [integers, floats, booleans, dates, date_times, plain] = *counted;
        let count = counted.iter().sum();
        let strings = dates + date_times + plain;
        let seen = Seen {
            count,
            integers,
            floats,
            booleans,
            strings,
            dates,
            date_times,
            is_text: true,
            ..Seen::default()
        };
        match count {
            0 => (Vec::new(), None),
            _ => seen.types(),
        }
    }

    fn add_json(&mut self, value: &Json) {
        self.count += 1;
        match value {
            Json::Null => self.nulls += 1,
            Json::Bool(_) => self.booleans += 1,
            Json::Number(number) if number.is_f64() => self.floats += 1,
            Json::Number(_) => self.integers += 1,
            Json::String(text) => {
                self.strings += 1;
                self.dates += u64::from(format::is_date(text));
                self.date_times += u64::from(format::is_date_time(text));
            }
            Json::Array(list) => {
                self.arrays += 1;
                let items = self.items.get_or_insert_with(Box::default);
                list.iter().for_each(|item| items.add_json(item));
            }
            Json::Object(object) => {
                self.objects += 1;
                for (name, value) in object {
                    self.members.entry(name.clone()).or_default().add_json(value);
                }
            }
        }
    }

    /// The type words besides null, and a format.
    fn types(&self) -> (Vec<&'static str>, Option<&'static str>) {
        let values = self.count - self.nulls;
        if values == 0 {
            return (vec!["string"], None);
        }
        if self.is_text {
            return match values {
                _ if self.integers == values => (vec!["integer"], None),
                _ if self.integers + self.floats == values => (vec!["number"], None),
                _ if self.booleans == values => (vec!["boolean"], None),
                _ if self.dates == values => (vec!["string"], Some("date")),
                _ if self.date_times == values => (vec!["string"], Some("date-time")),
                _ => (vec!["string"], None),
            };
        }
        let mut words = Vec::new();
        match (self.integers, self.floats) {
            (0, 0) => {}
            (_, 0) => words.push("integer"),
            _ => words.push("number"),
        }
        let others = [
            (self.booleans, "boolean"),
            (self.strings, "string"),
            (self.objects, "object"),
            (self.arrays, "array"),
        ];
        words.extend(others.iter().filter(|(count, _)| *count > 0).map(|(_, word)| *word));
        let format = match self.strings {
            0 => None,
            strings if self.dates == strings => Some("date"),
            strings if self.date_times == strings => Some("date-time"),
            _ => None,
        };
        (words, format)
    }

    fn note(&self, field: String, rows: u64, words: &[&str], format: Option<&str>) -> Note {
        let mut text = words.join(" or ");
        if let Some(format) = format {
            text += &format!(" ({format})");
        }
        let values = self.count - self.nulls;
        let mut reasons = Vec::new();
        if values == 0 {
            reasons.push("no value was seen, so the type is a guess".to_owned());
        }
        if self.nulls > 0 {
            text += " or null";
            reasons.push(format!("{} of {rows} are null", self.nulls));
        }
        if self.count < rows {
            reasons.push(format!("missing from {} of {rows}", rows - self.count));
        }
        if self.is_text && words == ["string"] && self.codes == values && values > 0 {
            reasons.push("numbers with leading zeros or too many digits are codes".to_owned());
        } else if self.is_text && words == ["string"] && self.integers + self.floats > 0 {
            let odd = self.odd.as_deref().unwrap_or("");
            reasons.push(format!("{} are numbers, but one is {odd:?}", self.integers + self.floats));
        }
        if words == ["number"] && self.integers > 0 && self.floats > 0 {
            reasons.push("some values have a fraction".to_owned());
        }
        if !reasons.is_empty() {
            text += &format!(": {}", reasons.join("; "));
        }
        Note { field, text }
    }
}

fn object_schema(columns: &IndexMap<String, Seen>, rows: u64, path: &str, notes: &mut Vec<Note>) -> Json {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, seen) in columns {
        let place = format!("{path}{name}");
        properties.insert(name.clone(), value_schema(seen, rows, &place, notes));
        if seen.nulls == 0 && seen.count >= rows {
            required.push(name.as_str());
        }
    }
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema["additionalProperties"] = json!(false);
    schema
}

fn value_schema(seen: &Seen, rows: u64, place: &str, notes: &mut Vec<Note>) -> Json {
    let (words, format) = seen.types();
    notes.push(seen.note(place.to_owned(), rows, &words, format));
    let mut all = words.clone();
    if seen.nulls > 0 {
        all.insert(0, "null");
    }
    let mut schema = match &all[..] {
        [only] => json!({ "type": only }),
        several => json!({ "type": several }),
    };
    if let Some(format) = format {
        schema["format"] = json!(format);
    }
    if words.contains(&"object")
        && let Json::Object(body) = object_schema(&seen.members, seen.objects, &format!("{place}."), notes)
    {
        for (key, value) in body.into_iter().filter(|(key, _)| key != "type") {
            schema[key] = value;
        }
    }
    if words.contains(&"array") {
        let empty = Seen::default();
        let items = seen.items.as_deref().filter(|items| items.count > 0).unwrap_or(&empty);
        schema["items"] = value_schema(items, items.count, &format!("{place}[]"), notes);
    }
    schema
}

fn avro_record(
    name: &str,
    columns: &IndexMap<String, Seen>,
    rows: u64,
    path: &str,
    notes: &mut Vec<Note>,
    names: &mut BTreeMap<String, u32>,
) -> Json {
    let uses = names.entry(name.to_owned()).or_default();
    *uses += 1;
    let name = if *uses == 1 { name.to_owned() } else { format!("{name}_{uses}") };
    let mut fields = Vec::new();
    for (column, seen) in columns {
        let place = format!("{path}{column}");
        let field = allowed(column);
        if field != *column {
            notes.push(Note {
                field: place.clone(),
                text: format!("renamed to {field}: Avro does not allow its name"),
            });
        }
        let kind = avro_value(&field, seen, rows, &place, notes, names);
        fields.push(match seen.nulls > 0 || seen.count < rows {
            true => json!({ "name": field, "type": ["null", kind], "default": null }),
            false => json!({ "name": field, "type": kind }),
        });
    }
    json!({ "type": "record", "name": name, "fields": fields })
}

fn avro_value(
    name: &str,
    seen: &Seen,
    rows: u64,
    place: &str,
    notes: &mut Vec<Note>,
    names: &mut BTreeMap<String, u32>,
) -> Json {
    let (words, format) = seen.types();
    notes.push(seen.note(place.to_owned(), rows, &words, format));
    match (&words[..], format) {
        (["string"], Some("date")) if seen.is_text => json!({ "type": "int", "logicalType": "date" }),
        (["string"], Some("date-time")) if seen.is_text => {
            json!({ "type": "long", "logicalType": "timestamp-millis" })
        }
        (["integer"], _) => json!("long"),
        (["number"], _) => json!("double"),
        (["boolean"], _) => json!("boolean"),
        (["object"], _) => avro_record(name, &seen.members, seen.objects, &format!("{place}."), notes, names),
        (["array"], _) => {
            let empty = Seen::default();
            let items = seen.items.as_deref().filter(|items| items.count > 0).unwrap_or(&empty);
            let item = avro_value(name, items, items.count, &format!("{place}[]"), notes, names);
            json!({ "type": "array", "items": if items.nulls > 0 { json!(["null", item]) } else { item } })
        }
        // Values of several types: a text holds them all.
        _ => json!("string"),
    }
}

/// A name as Avro allows it.
fn allowed(name: &str) -> String {
    if is_name(name) {
        return name.to_owned();
    }
    let clean: String =
        name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
    match clean.chars().next() {
        Some(first) if !first.is_ascii_digit() => clean,
        _ => format!("_{clean}"),
    }
}

fn has_leading_zero(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    matches!(digits, [b'0', b'0'..=b'9', ..]) || text.first() == Some(&b'+')
}

fn is_long_integer(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    digits.iter().all(u8::is_ascii_digit)
}

fn pretty(json: &Json) -> String {
    let mut text = serde_json::to_string_pretty(json).expect("JSON is always writable");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests;
