//! CSV on the Web: the cases that npm carries in `rdf-parser-csvw`, each a CSV file, W3C's metadata that say how it is written, and the
//! triples that come of it. Metadata become `tidemill convert`'s options; then each property has to have the same literals.
//!
//! What is no reading is left out: values that a template makes, defaults, and fields that are trimmed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value as Json;
use testkit::World;

use crate::shared::world;

/// Of its 35, those that have triples and a column which is only read.
const CASES_COUNT: usize = 27;

/// How often a property has a literal.
type Literals = BTreeMap<(String, String), usize>;

/// A column that stands in the triples as it stands in the file.
struct Column {
    title: String,
    property: String,
    about: Json,
}

fn columns(metadata: &Json) -> Vec<Column> {
    let all = metadata["tableSchema"]["columns"].as_array().cloned().unwrap_or_default();
    let is_made =
        |column: &Json| ["valueUrl", "default", "virtual"].iter().any(|key| column.get(key).is_some());
    let property_of = |column: &Json| column["propertyUrl"].as_str().unwrap_or_default().to_owned();
    let made: Vec<String> = all.iter().filter(|column| is_made(column)).map(property_of).collect();
    let read = all.iter().filter(|column| !is_made(column) && column.get("suppressOutput").is_none());
    let columns = read.filter_map(|column| {
        let title = column["titles"].as_str()?.to_owned();
        Some(Column { title, property: property_of(column), about: column.clone() })
    });
    let is_plain = |column: &Column| {
        let property = &column.property;
        property.starts_with("http") && !property.contains('{') && !made.contains(property)
    };
    columns.filter(is_plain).collect()
}

/// `yyyyMMdd HHmmss` in the letters of `strftime`.
fn date_format(format: &str) -> String {
    let letters = [("yyyy", "%Y"), ("MM", "%m"), ("dd", "%d"), ("HH", "%H"), ("mm", "%M"), ("ss", "%S")];
    letters.iter().fold(format.to_owned(), |format, (theirs, ours)| format.replace(theirs, ours))
}

fn options(metadata: &Json, columns: &[Column]) -> Vec<String> {
    let (dialect, mut options) = (&metadata["dialect"], Vec::new());
    let mut say = |name: &str, value: &str| options.extend([name.to_owned(), value.to_owned()]);
    if let Some(delimiter) = dialect["delimiter"].as_str() {
        say("--delimiter", delimiter);
    }
    match &dialect["quoteChar"] {
        Json::Null => {}
        Json::String(quote) => say("--quote", quote),
        _ => say("--quote", "none"),
    }
    for Column { title, about, .. } in columns {
        if let Some(null) = about["null"].as_str() {
            say("--null", null);
        }
        let datatype = &about["datatype"];
        let kind = match datatype["base"].as_str() {
            Some("dateTime") => "timestamp",
            Some("date") => "date",
            _ => continue,
        };
        say("--types", &format!("{title}={kind}"));
        if let Some(format) = datatype["format"].as_str() {
            say("--date-format", &date_format(format));
        }
    }
    options
}

fn found(rows: &str, columns: &[Column]) -> Literals {
    let mut found = Literals::new();
    for row in rows.lines() {
        let row: Json = serde_json::from_str(row).unwrap();
        for Column { title, property, .. } in columns {
            let value = match &row[title] {
                Json::Null => continue,
                Json::String(text) => text.clone(),
                other => other.to_string(),
            };
            *found.entry((property.clone(), value)).or_default() += 1;
        }
    }
    found
}

/// The literals of N-Triples: `<subject> <property> "text" .`, with a type or a language behind it.
fn expected(triples: &str, columns: &[Column]) -> Literals {
    let mut expected = Literals::new();
    for triple in triples.lines() {
        let mut parts = triple.splitn(3, ' ');
        let (Some(property), Some(object)) = (parts.nth(1), parts.next()) else { continue };
        let property = property.trim_matches(['<', '>']);
        let Some(end) = object.rfind('"').filter(|_| object.starts_with('"')) else { continue };
        if columns.iter().any(|column| column.property == property) {
            // Within quotes they are written as JSON's texts are.
            let text: String = serde_json::from_str(&object[..=end]).unwrap();
            *expected.entry((property.to_owned(), text)).or_default() += 1;
        }
    }
    expected
}

/// Whether the case was one to compare.
fn compare(world: &World, csv: &Path) -> bool {
    let read = |path: PathBuf| fs::read_to_string(path).ok();
    let metadata: Json =
        serde_json::from_str(&read(format!("{}-metadata.json", csv.display()).into()).unwrap()).unwrap();
    let columns = columns(&metadata);
    let is_trimmed = metadata["dialect"].get("trim").is_some();
    let (Some(triples), false, false) = (read(csv.with_extension("nt")), columns.is_empty(), is_trimmed)
    else {
        return false;
    };
    let (options, out) = (options(&metadata, &columns), world.path("out.jsonl"));
    fs::remove_file(&out).ok();
    let mut words = vec!["convert", csv.to_str().unwrap(), out.to_str().unwrap()];
    words.extend(options.iter().map(String::as_str));
    world.ok(&words);
    let rows = fs::read_to_string(&out).unwrap();
    assert_eq!(found(&rows, &columns), expected(&triples, &columns), "{} {options:?}", csv.display());
    true
}

#[test]
fn what_csv_on_the_web_says_of_a_file_is_read_as_it_says() {
    let Some(folder) = testkit::suite("rdf-parser-csvw") else { return };
    let world = world();
    let files = fs::read_dir(folder.join("test/support")).unwrap().map(|entry| entry.unwrap().path());
    let cases = files.filter(|path| path.extension().is_some_and(|extension| extension == "csv"));
    assert_eq!(cases.filter(|csv| compare(&world, csv)).count(), CASES_COUNT);
}
