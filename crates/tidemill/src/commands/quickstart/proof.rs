//! Proof that the objects hold what the file held: records counted and a checksum for each key, on both sides, by a
//! reader that shares no code with the writer.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::data::{Data, Form};

/// What a CSV file says where it has no value.
const MISSING: [&str; 2] = ["", "NA"];

/// Records of each key, and the sum of their checksums, which does not depend on their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    keys: BTreeMap<String, (u64, u64)>,
    pub records_count: u64,
}

impl Tally {
    pub(super) fn keys_count(&self) -> usize {
        self.keys.len()
    }

    /// `fields`: name and canonical text of every field that has a value.
    fn add(&mut self, key: &str, mut fields: Vec<(String, String)>) {
        fields.sort();
        let mut hash = Sha256::new();
        for (name, text) in &fields {
            for part in [name, text] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part.as_bytes());
            }
        }
        let digest = hash.finalize();
        let mut first = [0_u8; 8];
        first.copy_from_slice(&digest[..8]);
        let entry = self.keys.entry(key.to_owned()).or_default();
        entry.0 += 1;
        entry.1 = entry.1.wrapping_add(u64::from_le_bytes(first));
        self.records_count += 1;
    }

    /// The first difference in words; `None` where there is none.
    pub(super) fn difference(&self, objects: &Tally) -> Option<String> {
        if self.records_count != objects.records_count {
            return Some(format!(
                "{} records in the input, {} in the objects",
                self.records_count, objects.records_count
            ));
        }
        let keys: BTreeSet<&String> = self.keys.keys().chain(objects.keys.keys()).collect();
        let differing = keys.into_iter().find(|key| self.keys.get(*key) != objects.keys.get(*key))?;
        let count = |tally: &Tally| tally.keys.get(differing).map_or(0, |(count, _)| *count);
        Some(format!(
            "key {differing:?} has {} records in the input and {} in the objects, or other values in them",
            count(self),
            count(objects)
        ))
    }

    /// Reads the input. `texts`: columns that the contract takes for texts, whatever they look like.
    pub(super) fn of_input(data: &Data, texts: &BTreeSet<String>) -> Result<Tally, String> {
        match data.form {
            Form::Csv => of_csv(data, texts),
            Form::JsonLines => {
                let file = File::open(&data.path).map_err(|error| error.to_string())?;
                let mut tally = Tally::default();
                for line in BufReader::new(file).lines() {
                    tally.add_json(line.map_err(|error| error.to_string())?.as_bytes(), &data.key)?;
                }
                Ok(tally)
            }
        }
    }

    /// Adds the records of an object: a JSON value a line.
    pub(super) fn add_object(&mut self, content: &[u8], key: &str) -> Result<(), String> {
        content.split(|byte| *byte == b'\n').try_for_each(|line| self.add_json(line, key))
    }

    fn add_json(&mut self, line: &[u8], key: &str) -> Result<(), String> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let value: Value =
            serde_json::from_slice(line).map_err(|error| format!("a record is not JSON: {error}"))?;
        let Value::Object(fields) = value else { return Err("a record is no object".to_owned()) };
        let key = fields.get(key).and_then(canonical).unwrap_or_default();
        let fields = fields.iter().filter_map(|(name, value)| Some((name.clone(), canonical(value)?)));
        self.add(&key, fields.collect());
        Ok(())
    }
}

/// Columns whose property in a JSON Schema may be a string: `"type": "string"` or a list with it.
pub(super) fn text_columns(contract: &Path) -> Result<BTreeSet<String>, String> {
    let text = std::fs::read_to_string(contract).map_err(|error| error.to_string())?;
    let schema: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let is_text = |property: &Value| match &property["type"] {
        Value::String(kind) => kind == "string",
        Value::Array(kinds) => kinds.iter().any(|kind| kind == "string"),
        _ => property.to_string().contains("\"string\""),
    };
    let properties = schema["properties"].as_object().into_iter().flatten();
    Ok(properties.filter(|(_, property)| is_text(property)).map(|(name, _)| name.clone()).collect())
}

fn of_csv(data: &Data, texts: &BTreeSet<String>) -> Result<Tally, String> {
    let mut reader = csv::Reader::from_path(&data.path).map_err(|error| error.to_string())?;
    let names = reader.headers().map_err(|error| error.to_string())?.clone();
    let mut tally = Tally::default();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| error.to_string())? {
        let mut fields = Vec::with_capacity(names.len());
        let mut key = String::new();
        for (name, cell) in names.iter().zip(record.iter()) {
            if MISSING.contains(&cell) {
                continue;
            }
            let text = if texts.contains(name) { format!("s{cell}") } else { number(cell) };
            if name == data.key {
                key = text.clone();
            }
            fields.push((name.to_owned(), text));
        }
        tally.add(&key, fields);
    }
    Ok(tally)
}

/// A value in one form whoever wrote it: `1`, `1.0` and `1e0` are the same; a text is never a number. `None`: no value.
fn canonical(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => format!("n{value}"),
        Value::Number(value) => number(&value.to_string()),
        Value::String(text) => format!("s{text}"),
        Value::Array(items) => {
            let items = items.iter().map(|item| canonical(item).unwrap_or_else(|| "null".to_owned()));
            format!("a{:?}", items.collect::<Vec<_>>())
        }
        Value::Object(fields) => {
            let fields = fields.iter().filter_map(|(name, value)| Some((name, canonical(value)?)));
            format!("o{:?}", fields.collect::<BTreeMap<_, _>>())
        }
    })
}

fn number(text: &str) -> String {
    if let Ok(whole) = text.parse::<i128>() {
        return format!("n{whole}");
    }
    match text.parse::<f64>() {
        Ok(value) if value.fract() == 0.0 && value.abs() < 9e15 => format!("n{}", value as i64),
        Ok(value) => format!("n{value:?}"),
        Err(_) => format!("n{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(text: &str) -> Tally {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.csv");
        std::fs::write(&path, text).expect("written");
        let data =
            Data { path, form: Form::Csv, topic: String::new(), key: "k".to_owned(), records_about: 0 };
        Tally::of_input(&data, &BTreeSet::from(["k".to_owned()])).expect("readable")
    }

    fn objects(lines: &str) -> Tally {
        let mut tally = Tally::default();
        tally.add_object(lines.as_bytes(), "k").expect("readable");
        tally
    }

    #[test]
    fn the_same_records_in_another_order_and_form_are_the_same() {
        let input = input("k,v,w\n1,2.0,NA\nb,1e3,\n");
        let objects = objects("{\"k\":\"b\",\"v\":1000}\n{\"v\":2,\"k\":\"1\",\"w\":null}\n");
        assert_eq!(input.difference(&objects), None);
    }

    #[test]
    fn what_is_lost_twice_or_changed_is_told() {
        let input = input("k,v\na,1\nb,2\n");
        let told = |lines: &str| input.difference(&objects(lines)).expect("they differ");
        assert!(told("{\"k\":\"a\",\"v\":1}\n").contains("2 records in the input, 1"));
        assert!(told("{\"k\":\"a\",\"v\":1}\n{\"k\":\"a\",\"v\":1}\n").contains("key \"sa\" has 1 records"));
        assert!(told("{\"k\":\"a\",\"v\":1}\n{\"k\":\"b\",\"v\":\"2\"}\n").contains("key \"sb\""));
    }
}
