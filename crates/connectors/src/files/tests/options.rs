//! What can be said of how a file is written: dialects of CSV, encodings, headers, paths to the records of a JSON document; and how
//! formats and packings are told.

use std::io::Write;

use super::*;

/// The records of a file under a configuration, whatever the size of a batch.
async fn read_with(name: &str, content: &[u8], set: impl Fn(&mut Config)) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("writes");
    let mut all = Vec::new();
    for bytes_max in [1, 1 << 20] {
        let mut config = Config::new(vec![path.clone()]);
        set(&mut config);
        let read = read_from(config, Position::Start, bytes_max).await;
        all.push(read.map_err(|text| text.replace(&*folder.path().to_string_lossy(), "")));
    }
    assert_eq!(all[0], all[1], "the size of a batch changes nothing");
    all.remove(0)
}

#[tokio::test]
async fn csv_is_read_as_it_was_said_to_be_written() {
    let dialect = |delimiter, quote, escape| {
        move |config: &mut Config| {
            config.delimiter = Some(delimiter);
            config.quote = quote;
            config.escape = escape;
        }
    };
    let text = b"id;name\n1;'a;\nb'\n2;c\n";
    let read = read_with("a.csv", text, dialect(b';', Some(b'\''), None)).await;
    assert_eq!(read.expect("reads"), ["2:1;'a;\nb'", "4:2;c"]);
    let text = b"id,name\n1,\"a \\\"b\\\",\nc\"\n2,d\\\ne\n3,f\n";
    let read = read_with("a.csv", text, dialect(b',', Some(b'"'), Some(b'\\'))).await;
    assert_eq!(read.expect("reads"), ["2:1,\"a \\\"b\\\",\nc\"", "4:2,d\\\ne", "6:3,f"]);
    let read = read_with("a.csv", b"id,name\n1,\"a\n2,b\"\n", dialect(b',', None, None)).await;
    assert_eq!(read.expect("reads"), ["2:1,\"a", "3:2,b\""]);
    let text = b"# made by hand\nsecond line\nid,name\n#1,a\n2,b#\n";
    let read = read_with("a.csv", text, |config| {
        config.comment = Some(b'#');
        config.skip_lines = 2;
    });
    assert_eq!(read.await.expect("reads"), ["5:2,b#"]);
    let read = read_with("a.csv", b"1,a\n2,b\n", |config| config.has_header = false).await;
    assert_eq!(read.expect("reads"), ["1:1,a", "2:2,b"]);
}

#[test]
fn fields_are_unescaped() {
    let dialect = Dialect { escape: Some(b'\\'), ..Dialect::of(b',') };
    let fields = |record: &str| {
        let mut fields = Vec::new();
        split(record.as_bytes(), dialect, &mut fields).expect("splits");
        fields.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect::<Vec<_>>().join("|")
    };
    assert_eq!(fields(r#"1,"a \"b\", ""c""",\N,d\,e,f\\"#), r#"1|a "b", "c"|\N|d,e|f\"#);
    assert_eq!(fields(r"\Nx,\N"), r"Nx|\N");
}

#[tokio::test]
async fn texts_of_other_encodings_become_utf8() {
    let latin = encoding_rs::WINDOWS_1252;
    let read = read_with("a.csv", b"id,name\n1,caf\xe9\n", |config| config.encoding = Some(latin)).await;
    assert_eq!(read.expect("reads"), ["2:1,caf\u{e9}"]);
    let utf16: Vec<u8> =
        "\u{feff}id,name\n1,caf\u{e9} \u{1F600}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    // A byte order mark is enough.
    assert_eq!(read_with("a.csv", &utf16, |_| {}).await.expect("reads"), ["2:1,caf\u{e9} \u{1F600}"]);
    let long = "\u{3042}".repeat(200_000);
    let (japanese, _, _) = encoding_rs::SHIFT_JIS.encode(&long);
    let mut file = b"a\n".to_vec();
    file.extend_from_slice(&japanese);
    let read = read_with("a.csv", &file, |config| config.encoding = Some(encoding_rs::SHIFT_JIS)).await;
    assert_eq!(read.expect("reads"), [format!("2:{long}")]);
    let utf8 = |config: &mut Config| config.encoding = Some(encoding_rs::UTF_8);
    let error = read_with("a.csv", b"id\n1\n\xff\n", utf8).await.expect_err("not UTF-8");
    assert!(error.starts_with("TM1433") && error.contains("a.csv:3:1"), "{error}");
}

#[tokio::test]
async fn records_of_a_json_document_are_found() {
    let labels =
        br#" {"note": ["]", {"a": "\"}"}], "target": {"10": "No", "1\u0031": {"is": [1]}}, "rest": "#;
    let path = |path: &'static str| move |config: &mut Config| config.records = path.parse().expect("a path");
    let read = read_with("a.json", labels, path("$.target")).await;
    assert_eq!(
        read.expect("what follows the records is nobody's concern"),
        [r#"1:{"id":"10","value":"No"}"#, r#"2:{"id":"1\u0031","value":{"is": [1]}}"#]
    );
    let nested = br#"{"a b": {"c": {"items": [ 1 , {"x": 2}]}}}"#;
    let read = read_with("a.json", nested, path("$['a b'].c.items[*]")).await;
    assert_eq!(read.expect("reads"), ["1:1", r#"2:{"x": 2}"#]);
    // An object without a path: its entries; lines where another value follows.
    let codes = b"{\n\"5812\": \"Eating Places\",\n\"1711\":\"Heating\"}\n";
    let read = read_with("mcc_codes.json", codes, |_| {}).await;
    assert_eq!(
        read.expect("reads"),
        [r#"1:{"id":"5812","value":"Eating Places"}"#, r#"2:{"id":"1711","value":"Heating"}"#]
    );
    let read = read_with("a.json", b"{\"a\":1}\n{\"a\":2}\n", |_| {}).await;
    assert_eq!(read.expect("reads"), [r#"1:{"a":1}"#, r#"2:{"a":2}"#]);
    let mut texts = Vec::new();
    for (name, content, at) in [
        ("missing", &b"{\"a\": {\"b\": 1}}"[..], "$.a.c"),
        ("scalar", b"{\"a\": 5}", "$.a"),
        ("through", b"{\"a\": [1]}", "$.a.b"),
        ("cut", b"{\"z\": [1, 2", "$.a"),
        ("open", b"{\"a\": {\"b\": 1", "$.a"),
        ("colon", b"{\"a\": {\"b\" 1}}", "$.a"),
    ] {
        let read = read_with("a.json", content, path(at)).await;
        texts.push(format!("{name}\n{}", read.expect_err(name)));
    }
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn paths_to_records_have_one_spelling() {
    let path = |text: &str| text.parse::<RecordsPath>().map(|path| path.to_string()).unwrap_or_default();
    assert_eq!(["$", "$.a", "$.a.b[*]", "$['a'].b", "$[*]"].map(path), ["$", "$.a", "$.a.b", "$.a.b", "$"]);
    assert!(
        ["", "a", "$a", "$.", "$..a", "$.a[0]", "$.a[*].b", "$['a"].map(path).iter().all(String::is_empty)
    );
}

#[tokio::test]
async fn a_document_is_passed_over_in_little_memory() {
    // Larger than a record may be, before the records and in one text.
    let mut text = b"{\"before\": \"".to_vec();
    text.resize(3 << 20, b'x');
    text.extend_from_slice(b"\", \"target\": [1]}");
    let read = read_with("a.json", &text, |config| {
        config.record_bytes_max = 1 << 20;
        config.records = "$.target".parse().expect("a path");
    });
    assert_eq!(read.await.expect("reads"), ["1:1"]);
}

#[tokio::test]
async fn every_packing_is_known_by_its_name_and_by_its_bytes() {
    let plain = b"id,name\n1,a\n2,b\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(plain).expect("packs");
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(plain).expect("packs");
    let mut snappy = snap::write::FrameEncoder::new(Vec::new());
    snappy.write_all(plain).expect("packs");
    for (ending, packed) in [
        ("gz", gzip.finish().expect("packs")),
        ("bz2", bzip2.finish().expect("packs")),
        ("zst", zstd::encode_all(&plain[..], 1).expect("packs")),
        ("sz", snappy.into_inner().expect("packs")),
    ] {
        for name in [format!("a.csv.{ending}"), "without-an-ending".to_owned()] {
            let read = read_with(&name, &packed, |_| {}).await;
            assert_eq!(read.expect("reads"), ["2:1,a", "3:2,b"], "{name}");
        }
    }
}

#[tokio::test]
async fn formats_are_told_by_what_a_file_holds() {
    for (content, expected) in [
        (&b"id;name\n1;a,b\n"[..], vec!["2:1;a,b"]),
        (b"[1,2]", vec!["1:1", "2:2"]),
        (b"{\"a\":1}\n{\"a\":2}\n", vec!["1:{\"a\":1}", "2:{\"a\":2}"]),
        (b"\xef\xbb\xbf[1]", vec!["1:1"]),
    ] {
        assert_eq!(read_with("odd", content, |_| {}).await.expect("reads"), expected);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("odd");
    std::fs::write(&path, "a|b,c\n1|2\n").expect("writes");
    let source = FileSource::open(Config::new(vec![path.clone()])).expect("opens");
    assert_eq!(source.columns(&path.to_string_lossy()).expect("a header"), ["a|b", "c"]);
    std::fs::write(&path, "a|b|c\n1|2|3\n").expect("writes");
    let source = FileSource::open(Config::new(vec![path.clone()])).expect("opens");
    assert_eq!(source.columns(&path.to_string_lossy()).expect("a header"), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_position_in_a_document_counts_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.json");
    std::fs::write(&path, "[1,2,3,4]").expect("writes");
    let config = Config::new(vec![path]);
    let read = read_from(config.clone(), Position::Mark(3), 1 << 20).await;
    assert_eq!(read.expect("reads"), ["3:3", "4:4"]);
    // A limit counts from the start of the file, whichever life it is.
    let limited = Config { records_count_max: Some(3), ..config };
    assert_eq!(read_from(limited, Position::Mark(3), 1 << 20).await.expect("reads"), ["3:3"]);
}
