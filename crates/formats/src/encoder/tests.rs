//! What holds for every format: it can be read back by code that we did not write, and batches leave no trace in it.

use arrow_array::BinaryViewArray;
use base::{Body, ContractKind, Envelope, Field, Kind, Lease, Place, Position, Schema, Value};
use bytes::Bytes;

use super::*;
use crate::read_json_lines;

fn field(name: &str, schema: Schema) -> Field {
    Field { name: name.into(), schema: Arc::new(schema) }
}

/// Every kind there is, required and optional, nested.
fn schema() -> Schema {
    let inner = Schema::optional(Kind::Struct(
        vec![field("x", Schema::of(Kind::Int32)), field("y", Schema::optional(Kind::String))].into(),
    ))
    .named("made.Inner");
    Schema::of(Kind::Struct(
        vec![
            field("tiny", Schema::of(Kind::Int8)),
            field("small", Schema::optional(Kind::Int16)),
            field("number", Schema::of(Kind::Int32)),
            field("long", Schema::of(Kind::Int64)),
            field("single", Schema::of(Kind::Float32)),
            field("double", Schema::optional(Kind::Float64)),
            field("flag", Schema::of(Kind::Boolean)),
            field("text", Schema::optional(Kind::String)),
            field("bytes", Schema::of(Kind::Bytes)),
            field("day", Schema::of(Kind::Date)),
            field("time", Schema::of(Kind::TimeMs)),
            field("at", Schema::optional(Kind::TimestampMs)),
            field("price", Schema::of(Kind::Decimal { scale: 2 })),
            field("list", Schema::of(Kind::Array(Arc::new(Schema::optional(Kind::Int32))))),
            field(
                "map",
                Schema::of(Kind::Map {
                    key: Arc::new(Schema::of(Kind::String)),
                    value: Arc::new(Schema::of(Kind::Int64)),
                }),
            ),
            field("inner", inner),
        ]
        .into(),
    ))
    .named("made.Row")
}

fn row(number: i64) -> Value {
    let odd = number % 2 == 1;
    let or_null = |value: Value| if odd { Value::Null } else { value };
    let inner = Value::Struct(vec![("x".into(), Value::Int(number)), ("y".into(), Value::Null)]);
    Value::Struct(vec![
        ("tiny".into(), Value::Int(number % 100)),
        ("small".into(), or_null(Value::Int(-number))),
        ("number".into(), Value::Int(number * 1_000)),
        ("long".into(), Value::Int(number << 40)),
        ("single".into(), Value::Float(0.5)),
        ("double".into(), or_null(Value::Float(number as f64 / 4.0))),
        ("flag".into(), Value::Boolean(odd)),
        ("text".into(), or_null(Value::string(format!("row {number} ü")))),
        ("bytes".into(), Value::Bytes(number.to_be_bytes().to_vec().into())),
        ("day".into(), Value::Date(19_000 + number as i32)),
        ("time".into(), Value::TimeMs(number as i32)),
        ("at".into(), or_null(Value::TimestampMs(1_700_000_000_000 + number))),
        ("price".into(), Value::Decimal { unscaled: i128::from(number) - 50, scale: 2 }),
        ("list".into(), Value::List(vec![Value::Int(number), Value::Null])),
        ("map".into(), Value::Map(vec![(Value::string("k"), Value::Int(number))])),
        ("inner".into(), or_null(inner)),
    ])
}

fn contract() -> Arc<Contract> {
    Arc::new(Contract {
        kind: ContractKind::Avro,
        subject: "made".into(),
        id: Some(1),
        text: "".into(),
        schema: Arc::new(schema()),
    })
}

fn batch(rows: Vec<Value>, contract: &Arc<Contract>) -> Batch {
    Batch {
        envelope: Envelope { marks: Some((0..rows.len() as i64).collect()), ..Envelope::default() },
        end: Position::Mark(rows.len() as i64),
        body: Body::Rows(rows.into()),
        contract: Some(contract.clone()),
        place: Arc::new(Place::Made { name: "made".into() }),
        lease: Lease::free(),
    }
}

fn settings() -> Vec<Settings> {
    let plain = |format| Settings { format, compression: Compression::None };
    let avro = |codec| plain(Format::Avro { codec, is_enhanced: false });
    let parquet = |codec| plain(Format::Parquet { codec });
    let gzip = Settings {
        format: Format::Json(JsonSettings::default()),
        compression: Compression::Gzip { level: -1 },
    };
    vec![
        plain(Format::Json(JsonSettings::default())),
        gzip,
        plain(Format::Csv { delimiter: b',' }),
        avro(AvroCodec::Null),
        avro(AvroCodec::Deflate),
        avro(AvroCodec::Snappy),
        avro(AvroCodec::Zstandard),
        parquet(ParquetCodec::None),
        parquet(ParquetCodec::Snappy),
        parquet(ParquetCodec::Gzip),
        parquet(ParquetCodec::Zstd),
    ]
}

/// The file of `count` rows in batches of `size`.
fn file(settings: &Settings, count: i64, size: usize) -> Vec<u8> {
    let contract = contract();
    let rows: Vec<Value> = (0..count).map(row).collect();
    let mut encoder = encoder(settings, Some(&contract)).unwrap();
    let mut out = Vec::new();
    for rows in rows.chunks(size) {
        let rejects = encoder.append(&batch(rows.to_vec(), &contract), 0..rows.len(), &mut out).unwrap();
        assert!(rejects.is_empty(), "{:?}", rejects.0[0].reason);
    }
    encoder.finish(&mut out).unwrap();
    out
}

#[test]
fn how_records_were_batched_leaves_no_trace() {
    for settings in settings() {
        let whole = file(&settings, 9_000, 9_000);
        assert!(whole == file(&settings, 9_000, 7), "{settings:?}");
        assert!(whole == file(&settings, 9_000, 1_000), "{settings:?}");
    }
}

/// Columns of every kind there is give the file that their rows give.
#[test]
fn columns_are_written_as_rows_are() {
    let contract = contract();
    let rows: Vec<Value> = (0..300).map(row).collect();
    let arrow = crate::arrow_schema(&contract.schema).unwrap();
    let columns = crate::columns::record_batch(&rows, &contract.schema, &arrow).unwrap();
    let of_rows = batch(rows, &contract);
    let of_columns = of_rows.with_body(Body::Columns(columns));
    let settings =
        settings().into_iter().filter(|settings| !matches!(settings.format, Format::Parquet { .. }));
    for settings in settings {
        let written = |batch: &Batch| {
            let (mut encoder, mut out) = (encoder(&settings, Some(&contract)).unwrap(), Vec::new());
            for rows in [0..100, 100..101, 101..300] {
                assert!(encoder.append(batch, rows, &mut out).unwrap().is_empty());
            }
            encoder.finish(&mut out).unwrap();
            out
        };
        assert!(written(&of_rows) == written(&of_columns), "{settings:?}");
    }
}

#[test]
fn files_are_read_back_by_other_code() {
    let json = &settings()[0];
    let mut expected = Vec::new();
    read_json_lines("a.json", file(json, 100, 30).into(), &mut |line| {
        expected.push(serde_json::from_slice::<serde_json::Value>(line).unwrap());
        true
    })
    .unwrap();
    assert_eq!(expected.len(), 100);
    for settings in settings().iter().filter(|settings| !matches!(settings.format, Format::Csv { .. })) {
        let name = format!("a{}", settings.extension());
        let mut found = Vec::new();
        read_json_lines(&name, file(settings, 100, 30).into(), &mut |line| {
            found.push(serde_json::from_slice::<serde_json::Value>(line).unwrap());
            true
        })
        .unwrap();
        assert_eq!(found.len(), 100, "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            for name in ["tiny", "small", "number", "long", "double", "flag", "text", "list", "map", "inner"]
            {
                assert_eq!(found[name], expected[name], "{name} of {settings:?}");
            }
        }
    }
}

#[test]
fn a_row_that_does_not_fit_is_refused_and_the_others_are_written() {
    let contract = contract();
    let bad = Value::Struct(vec![("tiny".into(), Value::Int(1_000))]);
    for settings in settings().iter().filter(|settings| settings.format.compresses_itself()) {
        let mut encoder = encoder(settings, Some(&contract)).unwrap();
        let mut out = Vec::new();
        let rows = batch(vec![row(0), bad.clone(), row(2)], &contract);
        let rejects = encoder.append(&rows, 0..3, &mut out).unwrap();
        encoder.finish(&mut out).unwrap();
        assert_eq!(rejects.0[0].code.id, "TM0601");
        let reasons: Vec<&str> = rejects.0.iter().map(|reject| reject.reason.as_str()).collect();
        assert_eq!(reasons, ["tiny: 1000 is not within -128..=127"], "{settings:?}");
        let mut count = 0;
        let name = format!("a{}", settings.extension());
        read_json_lines(&name, out.into(), &mut |_| {
            count += 1;
            true
        })
        .unwrap();
        assert_eq!(count, 2, "{settings:?}");
    }
}

#[test]
fn formats_with_a_schema_in_the_file_need_one() {
    for settings in settings().iter().filter(|settings| settings.format.needs_schema()) {
        assert!(matches!(encoder(settings, None), Err(Error::NoSchema { .. })), "{settings:?}");
    }
}

#[test]
fn files_of_nothing_can_be_read() {
    for settings in settings() {
        let name = format!("a{}", settings.extension());
        let mut count = 0;
        read_json_lines(&name, Bytes::from(file(&settings, 0, 1)), &mut |_| {
            count += 1;
            true
        })
        .unwrap();
        assert_eq!(count, usize::from(matches!(settings.format, Format::Csv { .. })), "{name}");
    }
}

#[test]
fn names_end_in_what_the_file_is() {
    let extensions: Vec<String> = settings().iter().map(Settings::extension).collect();
    let expected =
        ".json .json.gz .csv .avro .avro .avro .avro .parquet .snappy.parquet .gz.parquet .zstd.parquet";
    assert_eq!(extensions.join(" "), expected);
}

#[test]
fn raw_values_are_parted_by_the_separator() {
    let settings = Settings {
        format: Format::Raw { separator: b"\n".as_slice().into() },
        compression: Compression::None,
    };
    let values = BinaryViewArray::from_iter_values([b"a".as_slice(), b"\xff\x00"]);
    let batch = Batch { body: Body::Raw(values), ..batch(vec![Value::Null, Value::Null], &contract()) };
    let mut out = Vec::new();
    encoder(&settings, None).unwrap().append(&batch, 0..2, &mut out).unwrap();
    assert_eq!(out, b"a\n\xff\x00\n");
}

#[test]
fn the_gzip_header_tells_no_time() {
    let gzip = file(&settings()[1], 1, 1);
    assert_eq!(gzip[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
}
