//! Typed formats: Avro, Parquet and sheets, written by others' code, read with their types and from any position.

use apache_avro::{Codec, Schema, Writer, types::Value as AvroValue};
use arrow_array::{ArrayRef, RecordBatch};
use base::Value;
use std::io::Write;

use super::*;

/// `number: fields` of all records from a position on.
async fn rows(config: Config, from: Position, bytes_max: u64) -> Result<Vec<String>, String> {
    let (source, path) = opened(config)?;
    told_from(source, &path, from, bytes_max, |batch, told| {
        let Body::Rows(rows) = &batch.body else { panic!("rows") };
        tell(batch, rows, told);
    })
    .await
}

/// The same of what is read as columns.
async fn columns(config: Config, from: Position, bytes_max: u64) -> Result<Vec<String>, String> {
    let (source, path) = opened(config)?;
    assert!(source.arrow().expect("it can be read").is_some());
    told_from(source.in_columns(), &path, from, bytes_max, |batch, told| {
        let Body::Columns(columns) = &batch.body else { panic!("columns") };
        tell(batch, &::formats::values(columns).expect("they have values"), told);
    })
    .await
}

fn tell(batch: &Batch, rows: &[Value], told: &mut Vec<String>) {
    for (row, value) in rows.iter().enumerate() {
        let Value::Struct(fields) = value else { panic!("a struct") };
        let fields = fields.iter().map(|(name, value)| format!("{name}={value:?}"));
        let fields: Vec<String> = fields.collect();
        told.push(format!("{}: {}", batch.envelope.mark(row).expect("a number"), fields.join(" ")));
    }
    let last = batch.envelope.mark(batch.len() - 1).expect("a number");
    assert_eq!(batch.end, Position::Mark(last + 1));
}

const AVRO: &str = r#"{"type":"record","name":"r","fields":[
{"name":"n","type":"long"},{"name":"d","type":{"type":"int","logicalType":"date"}},
{"name":"t","type":{"type":"long","logicalType":"timestamp-micros"}},
{"name":"a","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}},
{"name":"u","type":["null","string","long"]}]}"#;

fn avro(codec: Codec) -> Vec<u8> {
    let schema = Schema::parse_str(AVRO).expect("parses");
    let mut writer = Writer::builder()
        .schema(&schema)
        .codec(codec)
        .writer(Vec::new())
        .block_size(100)
        .build()
        .expect("a writer");
    for number in 0..100i64 {
        let mut record = apache_avro::types::Record::new(&schema).expect("a record");
        record.put("n", number);
        record.put("d", AvroValue::Date(number as i32));
        record.put("t", AvroValue::TimestampMicros(number * 1_000_001));
        record.put("a", AvroValue::Decimal((number * 7).to_be_bytes().to_vec().into()));
        let union = match number % 3 {
            0 => AvroValue::Union(0, Box::new(AvroValue::Null)),
            1 => AvroValue::Union(1, Box::new(AvroValue::String("x".repeat(number as usize)))),
            _ => AvroValue::Union(2, Box::new(AvroValue::Long(number))),
        };
        record.put("u", union);
        writer.append_value(record).expect("appends");
    }
    writer.into_inner().expect("finishes")
}

#[tokio::test]
async fn avro_is_read_block_by_block_with_its_types() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.avro");
    let mut whole = None;
    for codec in
        [Codec::Null, Codec::Snappy, Codec::Zstandard(Default::default()), Codec::Deflate(Default::default())]
    {
        std::fs::write(&path, avro(codec)).expect("writes");
        let config = Config::new(vec![path.clone()]);
        let read = rows(config.clone(), Position::Start, 64).await.expect("reads");
        assert_eq!(read.len(), 100);
        for from in [1, 2, 50, 100, 101] {
            let rest = rows(config.clone(), Position::Mark(from), 1 << 20).await.expect("reads");
            assert_eq!(rest, read[from as usize - 1..], "{codec:?} from {from}");
        }
        let limited = Config { records_count_max: Some(60), ..config };
        assert_eq!(rows(limited, Position::Mark(51), 1 << 20).await.expect("reads"), read[50..60]);
        let whole = whole.get_or_insert_with(|| read.clone());
        assert_eq!(*whole, read);
    }
    insta::assert_snapshot!(whole.expect("read")[..3].join("\n"));
    let cut = avro(Codec::Null);
    for length in 0..cut.len() {
        std::fs::write(&path, &cut[..length]).expect("writes");
        if let Ok(read) = rows(Config::new(vec![path.clone()]), Position::Start, 1 << 20).await {
            // Between two blocks nobody can tell.
            assert!(read.len() < 100);
        }
    }
}

/// What columns have a form for.
const COLUMNS: &str = r#"{"type":"record","name":"r","fields":[
{"name":"i","type":"int"},{"name":"f","type":"float"},{"name":"g","type":"double"},{"name":"b","type":"boolean"},
{"name":"d","type":{"type":"int","logicalType":"date"}},{"name":"dm","type":{"type":"int","logicalType":"time-millis"}},
{"name":"du","type":{"type":"long","logicalType":"time-micros"}},
{"name":"tm","type":["null",{"type":"long","logicalType":"timestamp-millis"}]},
{"name":"tu","type":{"type":"long","logicalType":"timestamp-micros"}},
{"name":"tn","type":{"type":"long","logicalType":"timestamp-nanos"}},
{"name":"a","type":[{"type":"bytes","logicalType":"decimal","precision":10,"scale":2},"null"]},
{"name":"e","type":{"type":"enum","name":"e","symbols":["X","Y"]}},{"name":"x","type":{"type":"fixed","name":"x","size":3}},
{"name":"y","type":"bytes"},{"name":"o","type":["null","string"]},
{"name":"l","type":["null",{"type":"array","items":["null","int"]}]},{"name":"m","type":{"type":"map","values":"double"}},
{"name":"s","type":["null",{"type":"record","name":"s","fields":[
  {"name":"n","type":"long"},{"name":"l","type":{"type":"array","items":"string"}}]}]}]}"#;

fn column_records() -> Vec<u8> {
    let schema = Schema::parse_str(COLUMNS).expect("parses");
    let mut writer =
        Writer::builder().schema(&schema).writer(Vec::new()).block_size(200).build().expect("a writer");
    let null = || Box::new(AvroValue::Null);
    for n in 0..60i64 {
        let mut record = apache_avro::types::Record::new(&schema).expect("a record");
        record.put("i", n as i32 - 30);
        record.put("f", n as f32 / 10.0);
        record.put("g", n as f64 / 10.0);
        record.put("b", n % 2 == 0);
        record.put("d", AvroValue::Date(n as i32));
        record.put("dm", AvroValue::TimeMillis(n as i32 * 1_000));
        record.put("du", AvroValue::TimeMicros(n * 1_000_001));
        let at = AvroValue::Union(1, Box::new(AvroValue::TimestampMillis(n * 1_001)));
        record.put("tm", if n % 4 == 0 { AvroValue::Union(0, null()) } else { at });
        record.put("tu", AvroValue::TimestampMicros(n * 1_000_001));
        record.put("tn", AvroValue::TimestampNanos(n * 1_000_000_001 - 5));
        let amount = AvroValue::Decimal(((n - 30) * 7).to_be_bytes().to_vec().into());
        let amount = AvroValue::Union(0, Box::new(amount));
        record.put("a", if n % 3 == 0 { AvroValue::Union(1, null()) } else { amount });
        record.put("e", AvroValue::Enum((n % 2) as u32, ["X", "Y"][n as usize % 2].to_owned()));
        record.put("x", AvroValue::Fixed(3, vec![n as u8; 3]));
        record.put("y", AvroValue::Bytes(vec![n as u8; n as usize % 5]));
        let text = AvroValue::Union(1, Box::new(AvroValue::String("x".repeat(n as usize))));
        record.put("o", if n % 5 == 0 { AvroValue::Union(0, null()) } else { text });
        let item = |i: i64| match i % 2 {
            0 => AvroValue::Union(1, Box::new(AvroValue::Int(i as i32))),
            _ => AvroValue::Union(0, null()),
        };
        let list = AvroValue::Union(1, Box::new(AvroValue::Array((0..n % 4).map(item).collect())));
        record.put("l", if n % 7 == 0 { AvroValue::Union(0, null()) } else { list });
        let entries = (0..n % 2).map(|i| (format!("k{i}"), AvroValue::Double(n as f64)));
        record.put("m", AvroValue::Map(entries.collect()));
        let texts = AvroValue::Array((0..n % 3).map(|i| AvroValue::String(i.to_string())).collect());
        let inner = AvroValue::Record(vec![("n".to_owned(), AvroValue::Long(n)), ("l".to_owned(), texts)]);
        let inner = AvroValue::Union(1, Box::new(inner));
        record.put("s", if n % 3 == 1 { AvroValue::Union(0, null()) } else { inner });
        writer.append_value(record).expect("appends");
    }
    writer.into_inner().expect("finishes")
}

#[tokio::test]
async fn avro_as_columns_is_what_it_is_as_values() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.avro");
    let whole = column_records();
    std::fs::write(&path, &whole).expect("writes");
    let config = Config::new(vec![path.clone()]);
    let read = rows(config.clone(), Position::Start, 1 << 20).await.expect("reads");
    assert_eq!(read.len(), 60);
    for bytes_max in [1, 500, 1 << 20] {
        for from in [1, 2, 30, 60, 61] {
            let rest = columns(config.clone(), Position::Mark(from), bytes_max).await.expect("reads");
            assert_eq!(rest, read[from as usize - 1..], "from {from}");
        }
        let limited = Config { records_count_max: Some(40), ..config.clone() };
        assert_eq!(columns(limited, Position::Mark(21), bytes_max).await.expect("reads"), read[20..40]);
    }
    // What is broken is told in the same words.
    for at in (whole.len() - 2_000..whole.len()).step_by(7) {
        let mut broken = whole.clone();
        broken[at] ^= 0x55;
        std::fs::write(&path, &broken).expect("writes");
        let as_values = rows(config.clone(), Position::Start, 1 << 20).await;
        assert_eq!(columns(config.clone(), Position::Start, 1 << 20).await, as_values, "{at}");
    }
    // A union of several types is no column, nor is one of another file.
    std::fs::write(&path, avro(Codec::Null)).expect("writes");
    assert!(opened(config).expect("opens").0.arrow().expect("it can be read").is_none());
}

/// Row groups of 30 rows each.
fn parquet(count: i64) -> Vec<u8> {
    use arrow_array::{Date32Array, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray};
    let column = |of: &dyn Fn(i64) -> i64| (0..count).map(of).collect::<Vec<i64>>();
    let texts = (0..count).map(|number| (number % 3 > 0).then(|| format!("text {number}")));
    let decimals = Decimal128Array::from_iter_values((0..count).map(|number| i128::from(number) * 7));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("n", Arc::new(Int64Array::from(column(&|number| number)))),
        ("d", Arc::new(Date32Array::from_iter_values((0..count).map(|number| number as i32)))),
        (
            "t",
            Arc::new(
                TimestampMicrosecondArray::from(column(&|number| number * 1_000_001)).with_timezone("UTC"),
            ),
        ),
        ("a", Arc::new(decimals.with_precision_and_scale(10, 2).expect("fits"))),
        ("u", Arc::new(texts.collect::<StringArray>())),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )
    .expect("columns");
    let properties = ::parquet::file::properties::WriterProperties::builder();
    let properties = properties.set_max_row_group_row_count(Some(30)).build();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))
        .expect("a writer");
    writer.write(&batch).expect("writes");
    writer.into_inner().expect("finishes")
}

#[tokio::test]
async fn parquet_is_read_from_any_row() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.parquet");
    std::fs::write(&path, parquet(100)).expect("writes");
    let config = Config::new(vec![path.clone()]);
    let read = rows(config.clone(), Position::Start, 64).await.expect("reads");
    assert_eq!(read.len(), 100);
    for from in [1, 2, 30, 31, 45, 100, 101] {
        let rest = rows(config.clone(), Position::Mark(from), 1 << 20).await.expect("reads");
        assert_eq!(rest, read[from as usize - 1..], "from {from}");
    }
    let limited = Config { records_count_max: Some(60), ..config.clone() };
    assert_eq!(rows(limited.clone(), Position::Mark(51), 1 << 20).await.expect("reads"), read[50..60]);
    // The same as columns, cut by slicing them.
    for bytes_max in [1, 64, 1 << 20] {
        assert_eq!(columns(config.clone(), Position::Mark(31), bytes_max).await.expect("reads"), read[30..]);
        assert_eq!(columns(limited.clone(), Position::Start, bytes_max).await.expect("reads"), read[..60]);
    }
    insta::assert_snapshot!(read[..3].join("\n"));
    // Packed as a whole it is unpacked first; without an ending it is known by its bytes.
    let packed = folder.path().join("b.parquet.zst");
    std::fs::write(&packed, zstd::encode_all(&parquet(3)[..], 1).expect("packs")).expect("writes");
    assert_eq!(rows(Config::new(vec![packed]), Position::Start, 1 << 20).await.expect("reads"), read[..3]);
    let odd = folder.path().join("odd");
    std::fs::write(&odd, parquet(3)).expect("writes");
    assert_eq!(rows(Config::new(vec![odd]), Position::Start, 1 << 20).await.expect("reads"), read[..3]);
}

/// Found by fuzzing: of the one a buffer is empty, of the other a length negative.
#[tokio::test]
async fn a_panic_of_the_library_is_a_broken_file() {
    for name in ["empty-slice", "negative-length"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/parquet").join(name);
        let config = Config { format: Some(Format::Parquet), ..Config::new(vec![path]) };
        let told = rows(config, Position::Start, 1 << 20).await.expect_err(name);
        assert!(told.contains("its reader gave up: ") && told.starts_with("TM0725"), "{name}: {told}");
    }
}

/// A book of two sheets, as few bytes as Excel opens.
fn book() -> Vec<u8> {
    let sheet = |rows: &str| {
        format!(
            r#"<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><dimension ref="A1:E5"/><sheetData>{rows}</sheetData></worksheet>"#
        )
    };
    let text = |cell: &str, text: &str| format!(r#"<c r="{cell}" t="inlineStr"><is><t>{text}</t></is></c>"#);
    let header = ["id", "name", "price", "day", "paid"].iter().zip(["A1", "B1", "C1", "D1", "E1"]);
    let header: String = header.map(|(name, cell)| text(cell, name)).collect();
    let first = format!(
        r#"<row r="1">{header}</row><row r="2">{}{}<c r="C2"><v>1.5</v></c><c r="D2" s="1"><v>41305</v></c><c r="E2" t="b"><v>1</v></c></row>
        <row r="4">{}{}<c r="C4"><v>2</v></c><c r="D4" s="1"><v>41305.5</v></c></row><row r="5"><c r="A5"><v>3</v></c></row>"#,
        text("A2", "007"),
        text("B2", "a &quot;b&quot;,&#10;c"),
        text("A4", "8"),
        text("B4", "d"),
    );
    let parts = [
        ("[Content_Types].xml", r#"<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/></Types>"#.to_owned()),
        ("_rels/.rels", r#"<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#.to_owned()),
        ("xl/workbook.xml", r#"<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Sales" sheetId="1" r:id="r1"/><sheet name="Empty" sheetId="2" r:id="r2"/></sheets></workbook>"#.to_owned()),
        ("xl/_rels/workbook.xml.rels", r#"<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="r2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet2.xml"/><Relationship Id="r3" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>"#.to_owned()),
        ("xl/styles.xml", r#"<?xml version="1.0"?><styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="22" applyNumberFormat="1"/></cellXfs></styleSheet>"#.to_owned()),
        ("xl/worksheets/sheet1.xml", sheet(&first)),
        ("xl/worksheets/sheet2.xml", sheet("")),
    ];
    stored_zip(&parts)
}

/// A zip file of stored parts.
fn stored_zip(parts: &[(&str, String)]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in parts {
        let mut crc = flate2::Crc::new();
        crc.update(text.as_bytes());
        let (offset, size) = (file.len() as u32, text.len() as u32);
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 33, 0];
        common.extend_from_slice(&crc.sum().to_le_bytes());
        common.extend_from_slice(&size.to_le_bytes());
        common.extend_from_slice(&size.to_le_bytes());
        common.extend_from_slice(&(name.len() as u16).to_le_bytes());
        common.extend_from_slice(&[0, 0]);
        file.extend_from_slice(b"PK\x03\x04");
        file.extend_from_slice(&common);
        file.extend_from_slice(name.as_bytes());
        file.extend_from_slice(text.as_bytes());
        directory.extend_from_slice(b"PK\x01\x02\x14\0");
        directory.extend_from_slice(&common);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let (start, size) = (file.len() as u32, directory.len() as u32);
    file.extend_from_slice(&directory);
    file.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    file.extend_from_slice(&(parts.len() as u16).to_le_bytes());
    file.extend_from_slice(&(parts.len() as u16).to_le_bytes());
    file.extend_from_slice(&size.to_le_bytes());
    file.extend_from_slice(&start.to_le_bytes());
    file.extend_from_slice(&[0, 0]);
    file
}

#[tokio::test]
async fn a_sheet_is_read_as_records_with_their_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.xlsx");
    std::fs::File::create(&path).and_then(|mut file| file.write_all(&book())).expect("writes");
    let config = Config::new(vec![path.clone()]);
    let read = read_from(config.clone(), Position::Start, 1).await.expect("reads");
    let expected = [
        "2:\"007\",\"a \"\"b\"\",\nc\",1.5,2013-01-31,true",
        "4:\"8\",\"d\",2,2013-01-31T12:00:00Z,",
        "5:3,,,,",
    ];
    assert_eq!(read, expected);
    assert_eq!(read_from(config.clone(), Position::Mark(4), 1 << 20).await.expect("reads"), expected[1..]);
    let source = FileSource::open(config.clone()).expect("opens");
    let columns = source.columns(&path.to_string_lossy()).expect("a header");
    assert_eq!(columns, ["id", "name", "price", "day", "paid"]);
    // What a column holds: texts are texts, and a date beside moments is its midnight.
    let shapes =
        crate::record::shapes(&source, &config, &crate::mapping::Mapping::default()).expect("shapes");
    let crate::record::Shape::Csv { header, cells } = &shapes[0].1 else { panic!("rows of a sheet") };
    let mut seen = crate::rows::seen::Seen::new(header, cells.clone());
    seen.look(&source, &path.to_string_lossy()).await.expect("reads");
    let kinds = [
        base::Kind::String,
        base::Kind::String,
        base::Kind::Float64,
        base::Kind::TimestampMs,
        base::Kind::Boolean,
    ];
    assert_eq!(seen.kinds(), kinds);
    let of_sheet = |sheet: &str| Config { sheet: Some(sheet.to_owned()), ..config.clone() };
    let none = read_from(of_sheet("May"), Position::Start, 1 << 20).await.expect_err("no such sheet");
    assert!(none.starts_with("TM1431") && none.contains("Sales, Empty"), "{none}");
    let empty = read_from(of_sheet("Empty"), Position::Start, 1 << 20).await.expect_err("no header");
    assert!(empty.starts_with("TM0724"), "{empty}");
}
