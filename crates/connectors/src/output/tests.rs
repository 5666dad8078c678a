//! Files in every format from CSV, JSON and rows: short ways and long ways give the same, cut anywhere, and a second run
//! leaves what the first one left.

use std::{fs, path::Path, sync::Arc};

use base::{Kind, Source};
use bytes::Bytes;
use engine::{Progress, Summary};
use formats::read_json_lines;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    files::{Config, FileSource},
    mapping::Mapping,
    record::{self, Shape},
    rows::{Planned, seen},
};

const CSV: &str = "id,name,price,day,at,code\n\
    1,\"a, \"\"b\"\"\",12.50,2013-01-31,2013-01-31T10:00:00Z,007\n\
    2,NA,3,2013-02-01,2013-01-31T10:00:00.5Z,010\n\
    3,\"two\nlines\",-0.5,,,001\n";

fn config(paths: &[&Path]) -> Config {
    Config::new(paths.iter().map(|path| path.to_path_buf()).collect())
}

/// Converts files into one, or into a folder where the target has no extension.
async fn convert(paths: &[&Path], target: &Path, name: &str, cut: Cut) -> Result<Summary, String> {
    convert_by(Way::Short, paths, target, name, cut).await
}

/// How records become parts: by values in any case, without them where that goes, or as the columns that they come as.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Long,
    Short,
    Columns,
}

async fn convert_by(
    way: Way,
    paths: &[&Path],
    target: &Path,
    name: &str,
    cut: Cut,
) -> Result<Summary, String> {
    let config = config(paths);
    let mut source = Arc::new(FileSource::open(config.clone()).map_err(|error| error.to_string())?);
    let shapes = record::shapes(&source, &config, &Mapping::default()).map_err(|error| error.to_string())?;
    let format = FileFormat::new(name, None, None, None, None).map_err(|error| error.to_string())?;
    let extension = format.extension();
    let wanted = Wanted {
        format,
        contract: None,
        nulls: vec![String::new(), "NA".to_owned()],
        stamp: None,
        records_max: 1_000,
        columns: None,
    };
    let open = || -> Result<Arc<dyn Source>, base::BoxError> { Ok(Arc::new(source.looking())) };
    let form = match way {
        Way::Columns => Form::Columns(source.arrow().expect("it can be read").expect("columns")),
        Way::Long | Way::Short => {
            let planned = planned(&source, shapes, wanted.format.word).await;
            Form::Files { planned, stages: Vec::new() }
        }
    };
    let mut plan = plan(&open, form, wanted).await.map_err(|error| error.to_string())?;
    match way {
        Way::Long => plan.direct = None,
        Way::Short => {}
        Way::Columns => source = Arc::new(source.in_columns()),
    }
    let place = match target.extension() {
        Some(_) => Place::file(target),
        None => Place::folder(target, extension),
    };
    let job = Job {
        source,
        plan,
        place: place.map_err(|error| error.to_string())?,
        cut,
        dead_letters: None,
        progress: Arc::new(Progress::default()),
        announce: None,
    };
    job.run(CancellationToken::new()).await.map_err(|fault| fault.to_string())
}

/// Text to text stays the text that it is.
async fn planned(source: &FileSource, shapes: Vec<(Arc<str>, Shape)>, word: Word) -> Vec<Planned> {
    let mut planned = Vec::new();
    for (path, shape) in shapes {
        let kinds = match &shape {
            Shape::Csv { header, .. } if matches!(word, Word::Csv | Word::Tsv) => {
                vec![Kind::String; header.len()]
            }
            Shape::Csv { header, cells } => {
                let mut seen = seen::Seen::new(header, cells.clone()).up_to(1_000);
                seen.look(source, &path).await.expect("looks");
                seen.kinds()
            }
            Shape::Json | Shape::Document | Shape::Rows => Vec::new(),
        };
        planned.push(Planned { path, shape, kinds });
    }
    planned
}

fn lines(path: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let bytes = Bytes::from(fs::read(path).expect("the file is there"));
    let mut keep = |line: &[u8]| {
        lines.push(String::from_utf8_lossy(line).into_owned());
        true
    };
    read_json_lines(&path.to_string_lossy(), bytes, &mut keep).expect("reads");
    lines
}

fn written(folder: &TempDir, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).expect("writes");
    path
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_becomes_every_format() {
    let folder = tempfile::tempdir().expect("a folder");
    let csv = written(&folder, "in.csv", CSV);
    let mut texts = Vec::new();
    for name in ["out.jsonl", "out.jsonl.gz", "out.json", "out.csv", "out.tsv", "out.parquet", "out.avro"] {
        let out = folder.path().join(name);
        let summary = convert(&[&csv], &out, name, Cut::default()).await.expect(name);
        assert_eq!((summary.records_count, summary.extents_count), (3, 1), "{name}");
        texts.push(format!("{name}\n{}", lines(&out).join("\n")));
    }
    insta::assert_snapshot!(texts.join("\n\n"));
}

const JSON: &str = r#"{"id":1,"tags":["a",null],"in":{"x":1.5},"big":18446744073709551615,"is":true}
{"in":{"x":2,"y":"\u00e9"},"id":2,"odd":true,"big":7}
{"id":3,"odd":"text","tags":[],"none":null}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn short_ways_and_long_ways_give_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let csv = written(&folder, "in.csv", CSV);
    let jsonl = written(&folder, "in.jsonl", JSON);
    let parquet = folder.path().join("in.parquet");
    convert(&[&jsonl], &parquet, "in.parquet", Cut::default()).await.expect("converts");
    let avro = folder.path().join("in.avro");
    convert(&[&jsonl], &avro, "in.avro", Cut::default()).await.expect("converts");
    let columns = ["out.csv", "out.tsv.zst", "out.parquet", "out.avro"];
    // From text to text what is written stays as it is.
    let all = ["out.jsonl", "out.json.gz", "out.csv", "out.tsv.zst", "out.parquet", "out.avro"];
    for (path, other, names) in [
        (&csv, Way::Short, &columns[..]),
        (&jsonl, Way::Short, &columns[..]),
        (&parquet, Way::Columns, &all[..]),
        (&avro, Way::Columns, &all[..]),
    ] {
        for name in names {
            let mut told = Vec::new();
            for way in [Way::Long, other] {
                let out = folder.path().join(format!("{way:?}-{name}"));
                let ended = convert_by(way, &[path], &out, name, Cut::default()).await.expect(name);
                assert_eq!(ended.records_count, 3);
                told.push(lines(&out));
            }
            assert_eq!(told[0], told[1], "{} to {name}", path.display());
        }
    }
}

/// Parts that are plain and parts that are not, in one file and in their order.
/// The lines of records that are numbered in their order, without a header.
#[track_caller]
fn in_order(out: &Path, count: usize) -> Vec<String> {
    let mut lines = lines(out);
    if out.extension().is_some_and(|ending| ending == "csv") {
        lines.remove(0);
    }
    assert_eq!(lines.len(), count, "{}", out.display());
    let is_in_order = |(number, line): (usize, &String)| {
        line.starts_with(&format!("{{\"id\":{number},")) || line.starts_with(&format!("{number},"))
    };
    assert!(lines.iter().enumerate().all(is_in_order), "{}", out.display());
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_several_types_go_the_long_way_part_by_part() {
    const COUNT: usize = 120_000;
    let folder = tempfile::tempdir().expect("a folder");
    let line = |number: usize| match number % 40_000 {
        39_999 => format!("{{\"id\":{number},\"odd\":{{\"n\":{number}}}}}\n"),
        _ => format!("{{\"id\":{number},\"odd\":\"text of the number {number}\"}}\n"),
    };
    let jsonl = written(&folder, "in.jsonl", &(0..COUNT).map(line).collect::<String>());
    for name in ["out.parquet", "out.csv"] {
        let out = folder.path().join(name);
        convert(&[&jsonl], &out, name, Cut::default()).await.expect(name);
        let lines = in_order(&out, COUNT);
        assert!(lines[39_999].contains("39999}"), "{}", lines[39_999]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_keeps_types_that_we_have_no_word_for() {
    use arrow_array::{ArrayRef, DictionaryArray, RecordBatch, TimestampMicrosecondArray, types::Int8Type};
    let folder = tempfile::tempdir().expect("a folder");
    let words: DictionaryArray<Int8Type> = ["a", "b", "a"].into_iter().collect();
    let columns: [(&str, ArrayRef); 2] = [
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3]).with_timezone("UTC"))),
        ("word", Arc::new(words)),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("columns");
    let path = folder.path().join("in.parquet");
    let file = fs::File::create(&path).expect("a file");
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).and_then(|()| writer.close()).expect("writes");
    let out = folder.path().join("out.parquet");
    convert_by(Way::Columns, &[&path], &out, "out.parquet", Cut::default()).await.expect("converts");
    let arrow = |path: &Path| FileSource::open(config(&[path])).expect("opens").arrow().expect("reads");
    assert_eq!(arrow(&out).expect("columns").fields(), batch.schema().fields());
    assert_eq!(lines(&out), lines(&path));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_read_back_into_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let jsonl = written(
        &folder,
        "in.jsonl",
        "{\"id\":1,\"tags\":[\"a\"],\"in\":{\"x\":1.5}}\n{\"id\":2,\"odd\":true}\n{\"id\":3,\"odd\":\"text\"}\n",
    );
    for name in ["out.parquet", "out.avro", "out.csv"] {
        convert(&[&jsonl], &folder.path().join(name), name, Cut::default()).await.expect(name);
    }
    let parquet = [
        r#"{"id":1,"tags":["a"],"in":{"x":1.5},"odd":null}"#,
        r#"{"id":2,"tags":null,"in":null,"odd":"true"}"#,
        r#"{"id":3,"tags":null,"in":null,"odd":"text"}"#,
    ];
    assert_eq!(lines(&folder.path().join("out.parquet")), parquet);
    assert_eq!(lines(&folder.path().join("out.avro")), parquet);
    let csv = ["id,tags,in,odd", r#"1,"[""a""]","{""x"":1.5}","#, "2,,,true", "3,,,text"];
    assert_eq!(lines(&folder.path().join("out.csv")), csv);
}

/// Enough that there are many units, whose order shows.
fn many(count: usize) -> String {
    let mut text = String::from("id,text,amount\n");
    for number in 0..count {
        text += &format!("{number},some text of number {number},{}.25\n", number % 100);
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn many_hands_keep_the_order() {
    const COUNT: usize = 200_000;
    let folder = tempfile::tempdir().expect("a folder");
    let csv = written(&folder, "in.csv", &many(COUNT));
    for name in ["out.jsonl.gz", "out.parquet", "out.csv"] {
        let out = folder.path().join(name);
        convert(&[&csv], &out, name, Cut::default()).await.expect(name);
        in_order(&out, COUNT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_cut_and_a_shorter_run_leaves_nothing_of_a_longer_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (long, short) = (written(&folder, "a.csv", &many(10)), written(&folder, "b.csv", &many(4)));
    let out = folder.path().join("out");
    let cut = Cut { bytes: None, records: Some(3) };
    let ended = convert(&[&long], &out, "x.jsonl", cut).await.expect("converts");
    assert_eq!((ended.records_count, ended.extents_count), (10, 4));
    let kept = written(&folder, "out/part-notes.jsonl", "mine\n");
    written(&folder, "out/part-00000.jsonl#1", "half");
    let four = ["part-00000.jsonl", "part-00001.jsonl", "part-00002.jsonl", "part-00003.jsonl"];
    assert_eq!(names(&out)[..4], [four[0], "part-00000.jsonl#1", four[1], four[2]]);
    assert_eq!(lines(&out.join(four[3])).len(), 1);
    convert(&[&short], &out, "x.jsonl", cut).await.expect("converts");
    assert_eq!(names(&out), [four[0], four[1], "part-notes.jsonl"]);
    assert!(kept.exists());
    // Each part is about as large as asked, and none is lost between them.
    let large = written(&folder, "c.csv", &many(200_000));
    let cut = Cut { bytes: Some(4 << 20), records: None };
    let ended = convert(&[&large], &out, "x.jsonl", cut).await.expect("converts");
    assert!(ended.extents_count == 2, "{ended:?}");
    let total: usize =
        names(&out).iter().filter(|name| name.contains("000")).map(|name| lines(&out.join(name)).len()).sum();
    assert_eq!(total, 200_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_record_leaves_no_file_and_the_old_one_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut texts = Vec::new();
    let bad = [
        ("ragged.csv", "id,name\n1,a\n2\n".to_owned(), "out.jsonl"),
        ("quote.csv", "id,name\n1,\"a\n2,b\n".to_owned(), "out.parquet"),
        ("late.csv", format!("id,name\n{}x,late\n", "1,a\n".repeat(2_000)), "out.parquet"),
        ("bad.jsonl", "{\"id\":1}\n{\"id\":}\n".to_owned(), "out.jsonl"),
        ("late.jsonl", format!("{}{{\"new\":1}}\n", "{\"id\":1}\n".repeat(2_000)), "out.parquet"),
        ("none.jsonl", String::new(), "out.parquet"),
        ("scalars.jsonl", "1\n2\n".to_owned(), "out.csv"),
    ];
    for (name, text, to) in bad {
        let path = written(&folder, name, &text);
        let out = written(&folder, to, "as before");
        let error = convert(&[&path], &out, to, Cut::default()).await.expect_err(name);
        let error = error.replace(&*folder.path().to_string_lossy(), "");
        texts.push(format!("{name} -> {to}: {error}"));
        assert_eq!(fs::read_to_string(&out).expect("it is there"), "as before", "{name}");
    }
    assert!(names(folder.path()).iter().all(|name| !name.contains('#')), "{:?}", names(folder.path()));
    insta::assert_snapshot!(texts.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_other_columns_are_put_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = written(&folder, "a.csv", "id,x\n1,2\n");
    let other = written(&folder, "b.csv", "y,id,x\nhere,2,3.5\n");
    let out = folder.path().join("out.parquet");
    convert(&[&one, &other], &out, "out.parquet", Cut::default()).await.expect("converts");
    assert_eq!(lines(&out), [r#"{"id":1,"x":2.0,"y":null}"#, r#"{"id":2,"x":3.5,"y":"here"}"#]);
}

#[test]
fn names_tell_formats() {
    let told = |name: &str| Word::of_name(name).map(|(word, packed)| (word.name(), packed));
    assert_eq!(told("s3://lake/a/b.JSONL.gz"), Some(("JSON Lines", Some("gzip"))));
    assert_eq!(told("b.csv.zst"), Some(("CSV", Some("zstd"))));
    assert_eq!(told("b.parquet"), Some(("Parquet", None)));
    assert_eq!((told("b.parquet.gz"), told("flights"), told("a.b/c")), (None, None, None));
}

#[test]
fn every_error_says_what_to_do() {
    let errors = [
        Error::NoFormat { name: "out".to_owned() },
        Error::Compression { format: "Parquet", given: "lz4".to_owned() },
        Error::Compression { format: "Avro", given: "lz4".to_owned() },
        Error::Compression { format: "CSV", given: "snappy".to_owned() },
        Error::Level { given: 12, compression: "gzip" },
        Error::Level { given: 40, compression: "zstd" },
        Error::NoColumns { format: "Parquet", reason: "there are no records with fields".to_owned() },
        Error::Look { source: "standard input can be read only once".into() },
    ];
    let texts: Vec<String> = errors.iter().map(|error| base::problem::plain(error)).collect();
    insta::assert_snapshot!(texts.join("\n"));
}
