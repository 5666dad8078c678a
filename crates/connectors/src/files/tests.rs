//! Files of every kind, read through the source as the engine does, and the places of their flaws.

use std::{io::Write, path::Path, sync::Arc, time::Duration};

use arrow_array::Array;
use base::{Ask, Batch, Body, Lease, Position, Read, Source, Split};
use proptest::prelude::*;

use super::*;

mod formats;
mod options;
mod remote;
mod suites;

fn ask(bytes_max: u64) -> Ask {
    let deadline = std::time::Instant::now() + Duration::from_secs(1);
    Ask { bytes_max, records_max: 1_000, deadline, lease: Lease::free() }
}

fn split_of(path: &Path) -> Split {
    let path: Arc<str> = path.to_string_lossy().into();
    Split { id: path.clone(), place: Arc::new(base::Place::File { path }) }
}

/// What `tell` says of all batches from a position on.
async fn told_from(
    source: FileSource,
    path: &Path,
    from: Position,
    bytes_max: u64,
    tell: impl Fn(&Batch, &mut Vec<String>),
) -> Result<Vec<String>, String> {
    let plain = |fault: base::Fault| match fault.into_inner().downcast::<Error>() {
        Ok(error) => base::problem::plain(&*error),
        Err(error) => error.to_string(),
    };
    let mut reader = source.open(&split_of(path), &from).await.map_err(plain)?;
    let mut records = Vec::new();
    loop {
        match reader.read(&ask(bytes_max)).await.map_err(plain)? {
            Read::Batch(batch) => tell(&batch, &mut records),
            Read::Idle => {}
            Read::End => return Ok(records),
        }
    }
}

fn opened(config: Config) -> Result<(FileSource, std::path::PathBuf), String> {
    let path = std::path::PathBuf::from(&**config.inputs[0].name());
    Ok((FileSource::open(config).map_err(|error| base::problem::plain(&error))?, path))
}

/// All records with their lines: `2:a,b`.
async fn read_from(config: Config, from: Position, bytes_max: u64) -> Result<Vec<String>, String> {
    let (source, path) = opened(config)?;
    let tell = |batch: &Batch, records: &mut Vec<String>| {
        let Body::Raw(values) = &batch.body else { panic!("raw") };
        for row in 0..values.len() {
            let text = String::from_utf8_lossy(values.value(row)).into_owned();
            records.push(format!("{}:{text}", batch.envelope.mark(row).expect("a line")));
        }
    };
    told_from(source, &path, from, bytes_max, tell).await
}

async fn read(name: &str, content: &[u8]) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("writes");
    let mut all = Vec::new();
    for bytes_max in [1, 7, 1 << 20] {
        let read = read_from(Config::new(vec![path.clone()]), Position::Start, bytes_max).await;
        all.push(read.map_err(|text| text.replace(&*folder.path().to_string_lossy(), "")));
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "the size of a batch changes nothing: {all:?}");
    all.remove(0)
}

#[tokio::test]
async fn csv_records_end_where_quotes_say() {
    let text =
        b"\xef\xbb\xbfid,name\r\n1,plain\r\n\r\n2,\"two\nlines, \"\"quoted\"\"\"\n3,bare \"quote\"\n4,end";
    let expected = ["2:1,plain", "4:2,\"two\nlines, \"\"quoted\"\"\"", "6:3,bare \"quote\"", "7:4,end"];
    assert_eq!(read("a.csv", text).await.expect("reads"), expected);
}

#[tokio::test]
async fn a_quote_that_is_never_closed_costs_its_line_alone() {
    let text = b"id,name\n1,\"open\n2,good\n3,good\n";
    assert_eq!(read("a.csv", text).await.expect("reads"), ["2:1,\"open", "3:2,good", "4:3,good"]);
}

#[tokio::test]
async fn json_is_read_by_line_and_by_element() {
    assert_eq!(
        read("a.jsonl", b"{\"a\":1}\n\n  [2] \n3").await.expect("reads"),
        ["1:{\"a\":1}", "3:[2]", "4:3"]
    );
    let array = b" [ {\"a\":\"]},\\\"\"} ,\n [1,[2]], 3.5 ,\"x\"\n]\n";
    assert_eq!(
        read("a.json", array).await.expect("reads"),
        ["1:{\"a\":\"]},\\\"\"}", "2:[1,[2]]", "3:3.5", "4:\"x\""]
    );
    assert_eq!(read("a.json", b"[]").await.expect("reads"), Vec::<String>::new());
}

#[tokio::test]
async fn packed_files_are_unpacked() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"a\n1\n2\n").expect("packs");
    assert_eq!(read("a.csv.gz", &packed.finish().expect("packs")).await.expect("reads"), ["2:1", "3:2"]);
    let packed = zstd::encode_all(&b"1\n2\n"[..], 1).expect("packs");
    assert_eq!(read("a.ndjson.zst", &packed).await.expect("reads"), ["1:1", "2:2"]);
}

#[tokio::test]
async fn flaws_have_their_line_and_column() {
    let mut texts = Vec::new();
    for (name, content) in [
        ("empty.csv", &b""[..]),
        ("number.json", b"5"),
        ("open-object.json", b"{\"a\":1"),
        ("names.json", b"{\"a\":1,b:2}"),
        ("open.json", b"[1,\n 2"),
        ("twice.json", b"[1,\n,2]"),
        ("more.json", b"[1]\n[2]"),
        ("cut.csv.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00"),
        ("what.parquet", b""),
        ("what.avro", b"Obj\x01\x02"),
        ("what.xlsx", b"PK\x03\x04"),
        ("what.xls", b"no"),
        ("what.bin", b"\0\0\0"),
    ] {
        texts.push(format!("{name}\n{}", read(name, content).await.expect_err(name)));
    }
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn every_error_says_what_where_why_and_what_to_do() {
    let io = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let path: Arc<str> = "a.csv".into();
    let name: Arc<str> = "https://example.com/a.csv".into();
    let not_there = cloud::Error::Settings { what: "no".to_owned(), help: "yes".to_owned() };
    let errors = [
        Error::NoPath,
        Error::Open { path: "a.csv".into(), source: std::io::ErrorKind::NotFound.into() },
        Error::UnknownFormat { path: "a.xml".into() },
        Error::Read { path: path.clone(), line: 7, source: io() },
        Error::RecordTooLong { path: path.clone(), line: 7, bytes_max: 1 << 20 },
        Error::NoHeader { path: path.clone() },
        Error::Malformed {
            path: path.clone(),
            line: 7,
            column: 3,
            reason: "a quote is never closed".to_owned(),
        },
        Error::Broken {
            path: "a.avro".into(),
            record: 7,
            format: "Avro",
            reason: "the file ends inside a block".to_owned(),
        },
        Error::Encoding {
            path: path.clone(),
            line: 7,
            reason: "a text is not written in Shift_JIS".to_owned(),
        },
        "data.items".parse::<RecordsPath>().expect_err("no path"),
        Error::NoRecords {
            path: "a.json".into(),
            line: 7,
            column: 3,
            reason: "$.target is not there".to_owned(),
        },
        Error::NoSheet { path: "a.xlsx".into(), sheet: "May".to_owned(), sheets: "March, April".to_owned() },
        Error::Fetch { name: name.clone(), source: "HTTP 404 Not Found".into() },
        Error::Fetch { name, source: Box::new(not_there) },
    ];
    let texts: Vec<String> = errors.iter().map(|error| base::problem::plain(error)).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[tokio::test]
async fn a_second_life_goes_on_at_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.csv");
    std::fs::write(&path, "id\n1\n2\n3\n").expect("writes");
    let config = Config::new(vec![path]);
    assert_eq!(read_from(config, Position::Mark(3), 1 << 20).await.expect("reads"), ["3:2", "4:3"]);
}

#[tokio::test]
async fn a_record_may_not_take_all_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.jsonl");
    std::fs::write(&path, vec![b'x'; 3 << 20]).expect("writes");
    let config = Config { record_bytes_max: 1 << 20, ..Config::new(vec![path]) };
    let error = read_from(config, Position::Start, 1 << 20).await.expect_err("too long");
    assert!(error.starts_with("TM0723 × a record is longer than 1048576 bytes"), "{error}");
}

/// The records of a text with their lines.
fn cut(content: &str, bytes_max: usize, records_max: usize, limit: u64, from: u64) -> Vec<String> {
    let config = Config { records_count_max: Some(limit), ..Config::new(Vec::new()) };
    let cutter = Box::new(csv::Lines { dialect: Dialect::of(b',') });
    let stream = Box::new(std::io::Cursor::new(content.as_bytes().to_vec()));
    let mut reader = text::TextReader::new(stream, cutter, text::Counts::Lines, &config, "a.csv".into());
    reader.from = from;
    let mut records = Vec::new();
    loop {
        match reader.read(bytes_max, records_max, &Lease::free()).expect("reads") {
            Read::Batch(batch) => {
                let Body::Raw(values) = &batch.body else { panic!("raw") };
                assert!(values.len() <= records_max);
                let text = |row: usize| String::from_utf8_lossy(values.value(row)).into_owned();
                let mark = |row: usize| batch.envelope.mark(row).expect("a line");
                records.extend((0..values.len()).map(|row| format!("{}:{}", mark(row), text(row))));
            }
            Read::Idle => {}
            Read::End => return records,
        }
    }
}

proptest! {
    #[test]
    fn lines_are_taken_at_once_as_one_by_one(
        content in "([ab,]{0,5}(\n|\r\n|\"|\"\"|,\"a\nb\",)){0,12}",
        limit in prop_oneof![1 => 0u64..6, 3 => Just(u64::MAX)],
        from in 0u64..4,
    ) {
        // Of one byte none is taken at once.
        let one_by_one = cut(&content, 1, 1_000, limit, from);
        prop_assert_eq!(&cut(&content, 1 << 20, 1_000, limit, from), &one_by_one);
        prop_assert_eq!(&cut(&content, 1 << 20, 2, limit, from), &one_by_one);
        prop_assert_eq!(&cut(&content, 9, 1_000, limit, from), &one_by_one);
    }

    #[test]
    fn what_a_csv_writer_wrote_is_taken_apart(fields in prop::collection::vec("[a-c,\"\n ]{0,6}", 1..6)) {
        let quoted: Vec<String> = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
        let record = quoted.join(",");
        let mut found = Vec::new();
        split(record.as_bytes(), Dialect::of(b','), &mut found).expect("well formed");
        let found: Vec<String> = found.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect();
        prop_assert_eq!(found, fields);
    }

    #[test]
    fn bare_fields_are_what_lies_between_delimiters(
        record in prop::collection::vec(prop_oneof![Just(b','), Just(b','.wrapping_sub(1)), Just(b',' | 0x80), any::<u8>()], 0..40),
        delimiter in prop_oneof![Just(b','), Just(b'\t'), Just(0u8), Just(0xff)],
    ) {
        let dialect = Dialect { quote: None, ..Dialect::of(delimiter) };
        let mut found = Vec::new();
        split(&record, dialect, &mut found).expect("no quotes, nothing to refuse");
        let expected: Vec<&[u8]> = record.split(|byte| *byte == delimiter).collect();
        prop_assert_eq!(found.iter().map(|field| &**field).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for escape in [None, Some(b'\\'), Some(b'"')] {
            let dialect = Dialect { escape, ..Dialect::of(b',') };
            split(&bytes, dialect, &mut Vec::new()).ok();
            field_start(&bytes, dialect, 3);
        }
    }
}

#[tokio::test]
async fn the_source_keeps_the_contract() {
    use engine::contract::{self, SourceFixture};
    let folder = tempfile::tempdir().expect("a folder");
    let (csv, lines) = (folder.path().join("a.csv"), folder.path().join("b.jsonl"));
    std::fs::write(&csv, "id,name\n1,\"two\nlines\"\n2,b\n\n3,c").expect("writes");
    std::fs::write(&lines, "1\n\n{\"a\":2}\n3\n").expect("writes");
    let records = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let expected = vec![
        (csv.to_string_lossy().into(), records(&["1,\"two\nlines\"", "2,b", "3,c"])),
        (lines.to_string_lossy().into(), records(&["1", "{\"a\":2}", "3"])),
    ];
    let config = Config::new(vec![csv, lines]);
    let open = move || Arc::new(FileSource::open(config.clone()).expect("opens")) as Arc<dyn Source>;
    let fixture = SourceFixture { open: Box::new(open), expected };
    insta::assert_snapshot!(contract::source(&fixture).await);
}
