//! Real dlt and ours over the same documents: schema, types, nullability, order of columns, rows, ids by structure.

use std::{collections::BTreeMap, fs, process::Command};

use arrow_schema::{DataType as Arrow, TimeUnit};
use serde_json::{Map, json};

use super::*;
use crate::schema::document::Document;

mod cases;

/// One collection: its documents in our extended JSON, and what dlt's resource and our stream say of it.
pub(super) struct Case {
    name: String,
    documents: Vec<Json>,
    shape: Shape,
}

impl Case {
    fn new(name: &str, documents: Json) -> Self {
        let shape = Shape { table: name.to_owned(), ..Shape::default() };
        let Json::Array(documents) = documents else { panic!("{name}: documents are a list") };
        Self { name: name.to_owned(), documents, shape }
    }

    /// Where we refuse one document, dlt gives up the whole load: they are not compared.
    fn leave_out_rejects(&mut self) {
        loop {
            let tables = Arc::new(Tables::new("compare", None));
            let mut normalizer = tables.normalizer(&self.shape).unwrap();
            let fits = |document: &Json| {
                let batch = rows(vec![value_of(document)]);
                normalizer.normalize(&batch, &place()).unwrap().rejects.is_empty()
            };
            let fits: Vec<bool> = self.documents.iter().map(fits).collect();
            if !fits.contains(&false) {
                return;
            }
            let mut fits = fits.into_iter();
            self.documents.retain(|_| fits.next().unwrap_or(false));
        }
    }

    /// As `dlt_tables.py` takes it.
    fn json(&self) -> Json {
        let column = |hint: &ColumnHint| {
            let mut column = Map::new();
            hint.data_type.map(|data_type| column.insert("data_type".to_owned(), data_type.name().into()));
            hint.is_nullable.map(|nullable| column.insert("nullable".to_owned(), nullable.into()));
            hint.precision.map(|precision| column.insert("precision".to_owned(), precision.into()));
            hint.scale.map(|scale| column.insert("scale".to_owned(), scale.into()));
            (hint.name.clone(), Json::Object(column))
        };
        let columns: Map<String, Json> = self.shape.columns.iter().map(column).collect();
        let mut case = json!({"name": self.name, "documents": self.documents});
        if !columns.is_empty() {
            case["columns"] = columns.into();
        }
        if !self.shape.primary_key.is_empty() {
            case["primary_key"] = json!(self.shape.primary_key);
        }
        if let Nested::Flatten { max_nesting: Some(depth) } = self.shape.nested {
            case["max_nesting"] = depth.into();
        }
        case
    }
}

type Rows = BTreeMap<String, Vec<Map<String, Json>>>;

fn theirs(cases: &[Case], format: &str) -> Option<Json> {
    let python = testkit::venv_python("dlt")?;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cases.json");
    let given =
        json!({"names": cases::long_names(), "cases": cases.iter().map(Case::json).collect::<Vec<_>>()});
    fs::write(&path, given.to_string()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/normalize/tests/dlt_tables.py");
    let mut command = Command::new(python);
    command.arg(script).arg(&path).arg(format).arg(folder.path());
    command
        .env("RUNTIME__DLTHUB_TELEMETRY", "false")
        .env("RUNTIME__LOG_LEVEL", "ERROR")
        .env("HOME", folder.path())
        .current_dir(folder.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "dlt failed: {}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Our tables over the same cases: one lane each, in batches of so many documents, as a run would have it.
fn ours(cases: &[Case], batch_records_count: usize) -> (Arc<Tables>, BTreeMap<String, Vec<TableRows>>) {
    let tables = Arc::new(Tables::new("compare", None));
    let mut found: BTreeMap<String, Vec<TableRows>> = BTreeMap::new();
    for case in cases {
        tables.declare(&case.shape).unwrap();
    }
    for case in cases {
        let mut normalizer = tables.normalizer(&case.shape).unwrap();
        for (part, documents) in case.documents.chunks(batch_records_count).enumerate() {
            let place = RowPlace { first_row: (part * batch_records_count) as u64, ..place() };
            let batch = rows(documents.iter().map(value_of).collect());
            let normalized = normalizer.normalize(&batch, &place).unwrap();
            let reasons: Vec<&str> =
                normalized.rejects.0.iter().map(|reject| reject.reason.as_str()).collect();
            assert!(reasons.is_empty(), "{}: {reasons:?}", case.name);
            for rows in normalized.tables {
                found.entry(rows.table.name.to_string()).or_default().push(rows);
            }
        }
    }
    let seen: Vec<Arc<str>> = found.keys().map(|name| name.as_str().into()).collect();
    tables.mark_seen(&seen);
    (tables, found)
}

fn our_rows(found: &BTreeMap<String, Vec<TableRows>>) -> Rows {
    let lines = |parts: &Vec<TableRows>| {
        let mut lines = Vec::new();
        parts.iter().for_each(|rows| jsonl(rows, &mut lines));
        lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    };
    found.iter().map(|(name, parts)| (name.clone(), lines(parts))).collect()
}

/// Rows without what is chance: ids of root rows become their number, ids below follow from them.
fn canonical(rows: &Rows, tables: &Tables) -> Rows {
    let mut numbers: HashMap<String, String> = HashMap::new();
    for (name, rows) in rows {
        for (number, row) in rows.iter().enumerate() {
            let id = row["_dlt_id"].as_str().unwrap_or_else(|| panic!("{name}: {row:?}"));
            assert_eq!(id.len(), 14, "{name}: {id}");
            if let Some(parent) = row.get("_dlt_parent_id").and_then(Json::as_str) {
                let index = row["_dlt_list_idx"].as_u64().unwrap() as usize;
                // dlt's hash; and ours, below a root row whose id nobody else can make again.
                let of = |parent: RowId| ids::child(&parent, name, index).text() == id;
                let placed = parent.as_bytes().try_into().map(RowId::Placed);
                assert!(of(RowId::Given(parent)) || placed.is_ok_and(of), "{name}: {id}");
            }
            numbers.insert(id.to_owned(), format!("{name}#{number}"));
        }
    }
    let canonical_row = |name: &String, row: &Map<String, Json>| {
        let table = tables.table(name).unwrap_or_else(|| panic!("{name} is only theirs"));
        let value = |(column, value): (&String, &Json)| {
            let data_type =
                table.columns.iter().find(|known| *known.name == **column).map(|column| column.data_type);
            let value = match (column.as_str(), value) {
                ("_dlt_load_id", _) => json!("load"),
                ("_dlt_id" | "_dlt_parent_id" | "_dlt_root_id", Json::String(id)) => {
                    numbers[id].clone().into()
                }
                (_, Json::String(text)) if data_type == Some(DataType::Decimal) => {
                    let (unscaled, scale) = crate::types::decimal::parse(text).unwrap();
                    let at_nine = crate::types::decimal::rescaled(unscaled, scale, 9);
                    at_nine.map_or_else(|| text.clone(), |number| number.to_string()).into()
                }
                (_, Json::String(text)) if data_type == Some(DataType::Json) => {
                    serde_json::from_str(text).unwrap_or_else(|_| value.clone())
                }
                (_, value) => value.clone(),
            };
            (column.clone(), value)
        };
        row.iter().map(value).collect::<Map<_, _>>()
    };
    let table = |(name, rows): (&String, &Vec<Map<String, Json>>)| {
        (name.clone(), rows.iter().map(|row| canonical_row(name, row)).collect())
    };
    rows.iter().map(table).collect()
}

fn their_rows(theirs: &Json) -> Rows {
    serde_json::from_value(theirs["rows"].clone()).unwrap()
}

/// pyarrow's name of a type.
fn pyarrow_name(arrow: &Arrow) -> String {
    let unit = |unit: &TimeUnit| match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    };
    match arrow {
        Arrow::Utf8 => "string".to_owned(),
        Arrow::Float64 => "double".to_owned(),
        Arrow::Boolean => "bool".to_owned(),
        Arrow::Binary => "binary".to_owned(),
        Arrow::Date32 => "date32[day]".to_owned(),
        Arrow::Time64(of) => format!("time64[{}]", unit(of)),
        Arrow::Time32(of) => format!("time32[{}]", unit(of)),
        Arrow::Timestamp(of, Some(zone)) => format!("timestamp[{}, tz={zone}]", unit(of)),
        Arrow::Timestamp(of, None) => format!("timestamp[{}]", unit(of)),
        Arrow::Decimal128(digits, scale) => format!("decimal128({digits}, {scale})"),
        other => other.to_string().to_lowercase(),
    }
}

#[track_caller]
fn check_rows(ours: &Rows, theirs: &Rows, tables: &Tables) {
    let (ours, theirs) = (canonical(ours, tables), canonical(theirs, tables));
    for (name, rows) in &theirs {
        let own = ours.get(name).unwrap_or_else(|| panic!("we have no table {name}"));
        for (number, (own, row)) in own.iter().zip(rows).enumerate() {
            assert_eq!(own, row, "row {number} of {name}: ours, then dlt's");
        }
        assert_eq!(own.len(), rows.len(), "rows of {name}");
    }
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "tables");
}

#[track_caller]
fn check_schema(ours: &str, theirs: &str) {
    let (ours, theirs): (Json, Json) =
        (serde_json::from_str(ours).unwrap(), serde_json::from_str(theirs).unwrap());
    for (name, table) in theirs["tables"].as_object().unwrap() {
        let own = &ours["tables"][name];
        let order = |table: &Json| table["columns"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(order(own), order(table), "columns of {name}");
        for (column, has) in table["columns"].as_object().unwrap() {
            assert_eq!(&own["columns"][column], has, "{name}.{column}");
        }
        assert_eq!(own, table, "{name}");
    }
    for part in ["settings", "normalizers", "engine_version", "name"] {
        assert_eq!(ours[part], theirs[part]);
    }
}

#[test]
fn rows_do_not_depend_on_how_documents_are_batched() {
    let cases = cases::all();
    let ((one, one_by_one), (whole, at_once)) = (ours(&cases, 1), ours(&cases, 1_000));
    assert_eq!(our_rows(&one_by_one), our_rows(&at_once));
    assert_eq!(one.stored().text, whole.stored().text);
}

#[test]
fn lanes_side_by_side_fill_one_schema() {
    let documents: Vec<Json> = cases::all().into_iter().flat_map(|case| case.documents).collect();
    let tables = Arc::new(Tables::new("test", None));
    let lane = |lane: usize| {
        let mut normalizer = tables.normalizer(&shape()).unwrap();
        let mut found = Vec::new();
        for documents in documents.iter().skip(lane * 7).step_by(2).collect::<Vec<_>>().chunks(5) {
            let batch = rows(documents.iter().map(|document| value_of(document)).collect());
            found.extend(normalizer.normalize(&batch, &place()).unwrap().tables);
        }
        found
    };
    let found: Vec<TableRows> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..4)
            .map(|number| {
                scope.spawn({
                    let lane = &lane;
                    move || lane(number)
                })
            })
            .collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    });
    for rows in found {
        let whole = tables.table(&rows.table.name).unwrap();
        let count = rows.table.columns.len();
        assert_eq!(rows.table.columns, whole.columns[..count], "{}", whole.name);
        assert_eq!(rows.columns.num_columns(), count);
        assert_eq!(rows.widened(&whole).columns.num_columns(), whole.columns.len());
    }
}

#[test]
fn real_dlt_makes_the_same_tables() {
    let cases = cases::all();
    let Some(lines) = theirs(&cases, "jsonl") else { return };
    let (tables, found) = ours(&cases, 3);
    let stored = tables.stored();
    let text = lines["version"]["schema"].as_str().unwrap();
    check_schema(&stored.text, text);
    check_rows(&our_rows(&found), &their_rows(&lines), &tables);
    let their_hash = lines["version"]["version_hash"].as_str().unwrap();
    assert_eq!(stored.version_hash, their_hash, "the same content has the same hash");
    assert_eq!(Document::parse(text).unwrap().stored().version_hash, their_hash);

    let naming = Naming::new(Some(63));
    let names: Vec<String> = cases::long_names().iter().map(|name| naming.name(name)).collect();
    assert_eq!(json!(names), lines["names"], "shortened names");

    // What dlt stored can be opened and goes on growing.
    let opened = Arc::new(Tables::open(text, None).unwrap());
    assert_eq!(opened.stored().version, lines["version"]["version"].as_u64().unwrap());
    assert_eq!(opened.tables().len(), tables.tables().len());
    let state = crate::StateRow::parse(&lines["states"][0].to_string()).unwrap();
    assert_eq!(state.pipeline_name, "compare");
    assert_eq!(crate::StateRow::parse(&state.text()).unwrap(), state);
}

#[test]
fn real_dlt_makes_the_same_parquet() {
    let cases = cases::all();
    let Some(parquet) = theirs(&cases, "parquet") else { return };
    let (tables, found) = ours(&cases, 3);
    check_rows(&our_rows(&found), &their_rows(&parquet), &tables);
    for (name, fields) in parquet["fields"].as_object().unwrap() {
        let table = tables.table(name).unwrap();
        let own: BTreeMap<String, Json> = table
            .arrow
            .fields()
            .iter()
            .map(|field| {
                (field.name().clone(), json!([pyarrow_name(field.data_type()), field.is_nullable()]))
            })
            .collect();
        let theirs: BTreeMap<String, Json> = fields.as_object().unwrap().clone().into_iter().collect();
        assert_eq!(own, theirs, "{name}: ours, then dlt's");
    }
}

#[test]
fn real_dlt_makes_the_same_csv() {
    let cases = [cases::flat()];
    let Some(csv) = theirs(&cases, "csv") else { return };
    let (_, found) = ours(&cases, 1_000);
    let rows = &found["flat"][0];
    let mut text = Vec::new();
    crate::csv_header(&rows.table, &mut text);
    crate::csv(rows, &mut text);
    // Load and id stand last; they are chance.
    let without_ids = |line: &str| line.trim_end().rsplitn(3, ',').last().unwrap_or_default().to_owned();
    let own: Vec<String> = String::from_utf8(text).unwrap().lines().map(without_ids).collect();
    let lines: Vec<String> = serde_json::from_value(csv["rows"]["flat"].clone()).unwrap();
    assert_eq!(own, lines.iter().map(|line| without_ids(line)).collect::<Vec<_>>());
}
