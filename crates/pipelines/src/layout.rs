//! Where a table's file lies below its dataset: `{table_name}/{load_id}.{file_id}.{ext}`, with dlt's placeholders.

use std::fmt;

use chrono::{DateTime, Datelike, Timelike, Utc};

/// A layout that has been checked: it says which table a file belongs to, and gives no two files one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Placeholder(String),
}

/// What a name is made of.
#[derive(Debug, Clone, Copy)]
pub struct FileName<'a> {
    pub schema_name: &'a str,
    pub table_name: &'a str,
    pub load_id: &'a str,
    pub file_id: &'a str,
    /// `parquet`, `jsonl.gz`
    pub ext: &'a str,
    /// When the load began: every part of a date comes from it, so that all lives of a load give the same names.
    pub load_ms: i64,
}

const NAMES: &[&str] = &[
    "schema_name",
    "table_name",
    "load_id",
    "file_id",
    "ext",
    "curr_date",
    "timestamp",
    "timestamp_ms",
    "load_package_timestamp",
    "load_package_timestamp_ms",
];
/// Pendulum's words for parts of a date, as dlt takes them.
const DATE_NAMES: &[&str] = &[
    "YYYY", "YY", "Y", "MMMM", "MMM", "MM", "M", "DD", "D", "HH", "H", "mm", "m", "dddd", "ddd", "dd", "d",
    "ss", "s", "SSSS", "SSS", "SS", "S", "Q",
];
const DEFAULT: &str = "{table_name}/{load_id}.{file_id}.{ext}";

impl Default for Layout {
    fn default() -> Self {
        Self::parse(DEFAULT).expect("the default layout is one: a test reads it")
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Layout {
    /// # Errors
    /// Why it is none, as a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = parts(text)?;
        let has =
            |parts: &[Part], name: &str| parts.iter().any(|part| *part == Part::Placeholder(name.to_owned()));
        if !has(&parts, "ext") {
            parts.extend([Part::Literal(".".to_owned()), Part::Placeholder("ext".to_owned())]);
        }
        if !has(&parts, "file_id") {
            return Err("without {file_id} two files would have one name".to_owned());
        }
        let table = parts.iter().position(|part| *part == Part::Placeholder("table_name".to_owned()));
        let Some(table) = table else {
            return Err("without {table_name} no file would tell its table".to_owned());
        };
        let before = parts[..table].iter().find_map(|part| match part {
            Part::Placeholder(name) if name != "schema_name" => Some(name),
            Part::Placeholder(_) | Part::Literal(_) => None,
        });
        if let Some(name) = before {
            return Err(format!("only {{schema_name}} may stand before {{table_name}}, not {{{name}}}"));
        }
        // A table's name may hold `_`, and its nested tables begin with it.
        match parts.get(table + 1) {
            Some(Part::Literal(literal))
                if !literal.starts_with(|c: char| c.is_alphanumeric() || c == '_') => {}
            _ => return Err("behind {table_name} stands a `/` or a `.`".to_owned()),
        }
        if text.starts_with('/') || text.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err("no part of the path is empty, `.` or `..`".to_owned());
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The path of a file below the dataset.
    pub fn path(&self, name: &FileName<'_>) -> String {
        let mut path = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => path += text,
                Part::Placeholder(placeholder) => path += &value(placeholder, name),
            }
        }
        path
    }

    /// What the paths of all files of a table begin with, and no other file's: up to one character behind its name.
    pub fn prefix(&self, schema_name: &str, table_name: &str) -> String {
        let mut prefix = String::new();
        let mut is_behind_table = false;
        for part in &self.parts {
            match part {
                Part::Literal(text) if is_behind_table => {
                    prefix.extend(text.chars().next());
                    break;
                }
                Part::Literal(text) => prefix += text,
                Part::Placeholder(name) if name == "table_name" => {
                    prefix += table_name;
                    is_behind_table = true;
                }
                Part::Placeholder(_) => prefix += schema_name,
            }
        }
        prefix
    }
}

fn parts(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        if open > 0 {
            parts.push(Part::Literal(rest[..open].to_owned()));
        }
        let close = rest[open..].find('}').ok_or_else(|| "a `{` is never closed".to_owned())? + open;
        let name = &rest[open + 1..close];
        if !NAMES.contains(&name) && !DATE_NAMES.contains(&name) {
            return Err(format!(
                "there is no {{{name}}}; there are {} and parts of a date: {}",
                NAMES.join(", "),
                DATE_NAMES.join(", ")
            ));
        }
        parts.push(Part::Placeholder(name.to_owned()));
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.to_owned()));
    }
    let is_open = |part: &Part| matches!(part, Part::Literal(text) if text.contains('}'));
    if parts.iter().any(is_open) {
        return Err("a `}` was never opened".to_owned());
    }
    Ok(parts)
}

fn value(placeholder: &str, name: &FileName<'_>) -> String {
    match placeholder {
        "schema_name" => name.schema_name.to_owned(),
        "table_name" => name.table_name.to_owned(),
        "load_id" => name.load_id.to_owned(),
        "file_id" => name.file_id.to_owned(),
        "ext" => name.ext.to_owned(),
        "timestamp" | "load_package_timestamp" => name.load_ms.div_euclid(1_000).to_string(),
        "timestamp_ms" | "load_package_timestamp_ms" => name.load_ms.to_string(),
        _ => {
            let time = DateTime::from_timestamp_millis(name.load_ms).unwrap_or_default();
            date_part(placeholder, time).to_lowercase()
        }
    }
}

fn date_part(placeholder: &str, time: DateTime<Utc>) -> String {
    let digits = |count: usize| format!("{:06}", time.timestamp_subsec_micros())[..count].to_owned();
    match placeholder {
        "curr_date" => time.format("%Y-%m-%d").to_string(),
        "YYYY" => format!("{:04}", time.year()),
        "YY" => time.format("%y").to_string(),
        "Y" => time.year().to_string(),
        "MMMM" => time.format("%B").to_string(),
        "MMM" => time.format("%b").to_string(),
        "MM" => time.format("%m").to_string(),
        "M" => time.month().to_string(),
        "DD" => time.format("%d").to_string(),
        "D" => time.day().to_string(),
        "HH" => time.format("%H").to_string(),
        "H" => time.hour().to_string(),
        "mm" => time.format("%M").to_string(),
        "m" => time.minute().to_string(),
        "dddd" => time.format("%A").to_string(),
        "ddd" => time.format("%a").to_string(),
        "dd" => time.format("%a").to_string()[..2].to_owned(),
        "d" => time.weekday().num_days_from_sunday().to_string(),
        "ss" => time.format("%S").to_string(),
        "s" => time.second().to_string(),
        "SSSS" => digits(4),
        "SSS" => digits(3),
        "SS" => digits(2),
        "S" => digits(1),
        "Q" => time.month0().div_euclid(3).saturating_add(1).to_string(),
        other => unreachable!("{other} was refused by parse"),
    }
}

#[cfg(test)]
mod tests;
