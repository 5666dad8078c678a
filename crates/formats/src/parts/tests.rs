//! Files of parts: read back by code that we did not write, whatever the cut into parts was.

use base::{Field, Kind, Lease, Place, Position};
use bytes::Bytes;

use super::*;
use crate::{AvroCodec, Compression, JsonSettings, ParquetCodec, read_json_lines};

fn contract() -> Arc<Contract> {
    let field =
        |name: &str, kind: Kind| Field { name: name.into(), schema: Arc::new(Schema::optional(kind)) };
    let fields = vec![
        field("id", Kind::Int64),
        field("name", Kind::String),
        field("day", Kind::Date),
        field("at", Kind::TimestampMs),
        field("tags", Kind::Array(Arc::new(Schema::optional(Kind::String)))),
    ];
    Arc::new(Contract {
        kind: base::ContractKind::Avro,
        subject: "made".into(),
        id: None,
        text: "".into(),
        schema: Arc::new(Schema::of(Kind::Struct(fields.into())).named("made")),
    })
}

fn row(number: i64) -> Value {
    Value::Struct(vec![
        ("id".into(), Value::Int(number)),
        (
            "name".into(),
            if number % 3 == 0 { Value::Null } else { Value::string(format!("a \"{number}\", b")) },
        ),
        ("day".into(), Value::Date(number as i32)),
        ("at".into(), Value::TimestampMs(number * 1_000)),
        ("tags".into(), Value::List(vec![Value::string("x")])),
    ])
}

fn batch(rows: std::ops::Range<i64>) -> Batch {
    Batch {
        body: Body::Rows(rows.map(row).collect::<Vec<_>>().into()),
        envelope: base::Envelope::default(),
        contract: None,
        place: Arc::new(Place::Made { name: "made".into() }),
        end: Position::Start,
        lease: Lease::free(),
    }
}

/// The file of rows 0..100 in parts that end at these rows.
fn file(settings: &Settings, is_array: bool, ends: &[i64]) -> Vec<u8> {
    let parts = Parts::new(settings.clone(), Some(contract()), is_array).expect("makes parts");
    let mut joiner = parts.joiner().expect("joins");
    let (mut out, mut start) = (Vec::new(), 0);
    for end in ends {
        let (part, rejects) = parts.of_batches(&[batch(start..*end)]).expect("encodes");
        assert!(rejects.is_empty());
        joiner.push(part, &mut out).expect("joins");
        start = *end;
    }
    joiner.finish(&mut out).expect("ends");
    out
}

fn lines(name: &str, file: Vec<u8>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut keep = |line: &[u8]| {
        lines.push(String::from_utf8_lossy(line).into_owned());
        true
    };
    read_json_lines(name, Bytes::from(file), &mut keep).expect("reads");
    lines
}

#[test]
fn parts_leave_no_trace_in_what_is_read() {
    let json = Format::Json(JsonSettings::plain());
    let csv = Format::Csv { delimiter: b',' };
    let gzip = Compression::Gzip { level: 2 };
    let formats = [
        ("a.jsonl", json.clone(), Compression::None),
        ("a.jsonl.gz", json, gzip),
        ("a.csv", csv.clone(), Compression::None),
        ("a.csv.gz", csv, gzip),
        ("a.avro", Format::Avro { codec: AvroCodec::Deflate, is_enhanced: false }, Compression::None),
        ("a.parquet", Format::Parquet { codec: ParquetCodec::Snappy }, Compression::None),
    ];
    for (name, format, compression) in formats {
        let settings = Settings { format, compression };
        let whole = lines(name, file(&settings, false, &[100]));
        let header = usize::from(name.contains("csv"));
        assert_eq!(whole.len(), 100 + header, "{name}");
        assert_eq!(lines(name, file(&settings, false, &[1, 1, 40, 99, 100])), whole, "{name}");
        assert_eq!(lines(name, file(&settings, false, &[])).len(), header, "{name}");
    }
}

#[test]
fn an_array_is_one_json_text() {
    let settings = Settings { format: Format::Json(JsonSettings::plain()), compression: Compression::None };
    for ends in [&[][..], &[0], &[3], &[0, 1, 1, 50, 100]] {
        let text = file(&settings, true, ends);
        let array: Vec<serde_json::Value> = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(array.len() as i64, ends.last().copied().unwrap_or(0));
    }
    let one = String::from_utf8(file(&settings, true, &[1])).expect("text");
    let row = r#"{"id":0,"name":null,"day":"1970-01-01","at":"1970-01-01T00:00:00Z","tags":["x"]}"#;
    assert_eq!(one, format!("[\n{row}\n]\n"));
}

#[test]
fn zstd_frames_are_read_as_one_text() {
    let settings =
        Settings { format: Format::Json(JsonSettings::plain()), compression: Compression::Zstd { level: 3 } };
    let packed = file(&settings, false, &[40, 100]);
    let text = zstd::stream::decode_all(&packed[..]).expect("zstd");
    assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 100);
}

#[test]
fn columns_come_apart_into_the_rows_they_were_made_of() {
    let contract = contract();
    let arrow = columns::arrow_schema(&contract.schema).expect("columns");
    let rows: Vec<Value> = (0..7).map(row).collect();
    let made = columns::record_batch(&rows, &contract.schema, &arrow).expect("columns");
    assert_eq!(columns::values(&made).expect("rows"), rows);
    let back = columns::schema_of_columns(&arrow).expect("a schema");
    assert_eq!(back.fields(), contract.schema.fields());
}

#[test]
fn a_row_that_does_not_fit_is_refused_and_the_others_stay() {
    let settings =
        Settings { format: Format::Parquet { codec: ParquetCodec::Zstd }, compression: Compression::None };
    let parts = Parts::new(settings, Some(contract()), false).expect("makes parts");
    let mut rows: Vec<Value> = (0..5).map(row).collect();
    rows[2] = Value::Struct(vec![("id".into(), Value::string("x"))]);
    let batch = Batch { body: Body::Rows(rows.into()), ..batch(0..0) };
    let (part, rejects) = parts.of_batches(&[batch]).expect("encodes");
    assert_eq!(part.records_count, 4);
    assert_eq!(rejects.0[0].reason, "id: expected int64, found string");
}

/// Which columns of the first row group have a dictionary.
fn dictionaries(file: Vec<u8>) -> Vec<bool> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let reader = SerializedFileReader::new(Bytes::from(file)).expect("it is Parquet");
    let group = reader.metadata().row_group(0);
    group.columns().iter().map(|column| column.dictionary_page_offset().is_some()).collect()
}

#[test]
fn values_that_all_differ_get_no_dictionary() {
    let settings =
        Settings { format: Format::Parquet { codec: ParquetCodec::Snappy }, compression: Compression::None };
    // The numbers, a third of the texts' rows being null, the days and the moments differ; the tags are all one.
    let many = file(&settings, false, &[20_000, 20_003]);
    assert_eq!(dictionaries(many.clone()), [false, false, false, false, true]);
    assert_eq!(lines("a.parquet", many).len(), 20_003);
    assert_eq!(dictionaries(file(&settings, false, &[100])), [true; 5]);
}
