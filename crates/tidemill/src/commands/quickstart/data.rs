//! The quickstart's data file: what it is called, which column is the key, about how many records it has.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::errors::Error;

/// Records that are looked at to choose a key.
const SAMPLE_RECORDS_COUNT: usize = 100;
/// A record longer than this is not looked at to the end.
const LINE_BYTES_MAX: u64 = 16 << 20;
/// Words in a column's name that make it a likely key.
const KEY_WORDS: [&str; 6] = ["id", "uuid", "key", "num", "code", "name"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Csv,
    JsonLines,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Data {
    pub path: PathBuf,
    pub form: Form,
    /// From the file's name; a name that Kafka, S3 and file systems take.
    pub topic: String,
    pub key: String,
    /// From the sample and the file's size.
    pub records_about: u64,
}

impl Data {
    pub(super) fn look(path: &Path, key: Option<&str>) -> Result<Data, Error> {
        let refuse = |reason: String| Error::Data { path: path.to_path_buf(), reason };
        let form = match path.extension().and_then(|ending| ending.to_str()) {
            Some("csv") => Form::Csv,
            Some("jsonl" | "ndjson") => Form::JsonLines,
            _ => return Err(refuse("its name ends neither in .csv nor in .jsonl".to_owned())),
        };
        let file_bytes = fs::metadata(path).map_err(|error| refuse(error.to_string()))?.len();
        let (sample, sample_bytes) = match form {
            Form::Csv => sample_csv(path),
            Form::JsonLines => sample_json(path),
        }
        .map_err(refuse)?;
        let Some(first) = sample.first() else { return Err(refuse("it has no record".to_owned())) };
        let columns: Vec<String> = first.iter().map(|(name, _)| name.clone()).collect();
        let key = match key {
            Some(key) if columns.iter().any(|column| column == key) => key.to_owned(),
            Some(key) => {
                return Err(refuse(format!("it has no column {key}; it has {}", columns.join(", "))));
            }
            None => choose_key(&columns, &sample),
        };
        let records_about = (file_bytes * sample.len() as u64 / sample_bytes.max(1)).max(sample.len() as u64);
        Ok(Data { path: path.to_path_buf(), form, topic: topic(path), key, records_about })
    }
}

type Sample = Vec<Vec<(String, String)>>;

fn sample_csv(path: &Path) -> Result<(Sample, u64), String> {
    let mut reader = csv::Reader::from_path(path).map_err(|error| error.to_string())?;
    let names = reader.headers().map_err(|error| error.to_string())?.clone();
    let mut sample = Vec::new();
    let mut record = csv::StringRecord::new();
    while sample.len() < SAMPLE_RECORDS_COUNT
        && reader.read_record(&mut record).map_err(|error| error.to_string())?
    {
        sample.push(
            names.iter().zip(record.iter()).map(|(name, cell)| (name.to_owned(), cell.to_owned())).collect(),
        );
    }
    Ok((sample, reader.position().byte()))
}

fn sample_json(path: &Path) -> Result<(Sample, u64), String> {
    let mut reader = BufReader::new(File::open(path).map_err(|error| error.to_string())?);
    let (mut sample, mut bytes) = (Vec::new(), 0);
    while sample.len() < SAMPLE_RECORDS_COUNT {
        let mut line = String::new();
        let read =
            reader.by_ref().take(LINE_BYTES_MAX).read_line(&mut line).map_err(|error| error.to_string())?;
        bytes += read as u64;
        if read == 0 {
            break;
        }
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str::<Value>(&line) {
            Ok(Value::Object(fields)) => sample.push(
                fields
                    .into_iter()
                    .map(|(name, value)| (name, value.as_str().map_or(value.to_string(), str::to_owned)))
                    .collect(),
            ),
            Ok(_) => return Err(format!("line {} is no object", sample.len() + 1)),
            Err(error) => return Err(format!("line {}: {error}", sample.len() + 1)),
        }
    }
    Ok((sample, bytes))
}

/// A column that is named like a key and is never empty, else the first that is never empty, else the first.
fn choose_key(columns: &[String], sample: &Sample) -> String {
    let full = |column: &str| {
        let cell = |record: &Vec<(String, String)>| {
            record.iter().any(|(name, cell)| name == column && !matches!(cell.as_str(), "" | "NA" | "null"))
        };
        sample.iter().all(cell)
    };
    let named = |column: &str| {
        let column = column.to_ascii_lowercase();
        KEY_WORDS.iter().any(|word| column == *word || column.ends_with(word))
    };
    let best = columns.iter().find(|column| named(column) && full(column));
    best.or_else(|| columns.iter().find(|column| full(column))).unwrap_or(&columns[0]).clone()
}

/// The file's name without its ending, with every other letter than a-z, 0-9, `.`, `_` and `-` as `-`.
fn topic(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String = stem
        .chars()
        .map(
            |letter| if letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-') { letter } else { '-' },
        )
        .take(100)
        .collect();
    if name.trim_matches('-').is_empty() { "records".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(name: &str, text: &str, key: Option<&str>) -> Result<Data, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        Data::look(&path, key)
            .map_err(|error| error.to_string().replace(&folder.path().display().to_string(), ""))
    }

    #[test]
    fn topic_and_key_come_from_the_file() {
        let data = look("My Orders.csv", "day,order_id\n1,a\n2,b\n", None).expect("it can be used");
        assert_eq!(
            (data.topic.as_str(), data.key.as_str(), data.records_about),
            ("my-orders", "order_id", 2)
        );
        let data =
            look("x.jsonl", "{\"a\": null, \"b\": 1}\n{\"a\": 2, \"b\": 3}\n", None).expect("it can be used");
        assert_eq!((data.form, data.key.as_str(), data.records_about), (Form::JsonLines, "b", 2));
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let refused = |name, text, key| look(name, text, key).expect_err("refused");
        assert!(refused("a.xml", "<a/>", None).contains("neither in .csv nor in .jsonl"));
        assert!(refused("a.csv", "a,b\n", None).contains("no record"));
        assert!(refused("a.csv", "a,b\n1,2\n", Some("c")).contains("no column c; it has a, b"));
        assert!(refused("a.jsonl", "[1]\n", None).contains("line 1 is no object"));
    }
}
