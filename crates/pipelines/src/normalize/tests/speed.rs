//! How long documents take, printed and not asserted.

use std::{fmt::Write as _, io::Write as _, time::Instant};

use super::*;

const DOCUMENTS: usize = 2_000;

#[test]
fn documents_of_25_fields_take_microseconds() {
    let mut documents = Vec::new();
    for n in 0..DOCUMENTS {
        let mut text = format!(r#"{{"_id": "doc{n}", "when": {{"$timestamp_us": {}}}, "#, n * 1_000);
        for field in 0..14 {
            write!(text, r#""field_{field}": {}, "#, n + field).unwrap();
        }
        write!(
            text,
            r#""customer": {{"name": "c{n}", "address": {{"city": "Ulm", "zip": "89073"}}, "score": 0.5}}, "#
        )
        .unwrap();
        write!(
            text,
            r#""lines": [{{"sku": "a", "price": 1.5}}, {{"sku": "b", "price": 2.5}}], "tags": ["x"]}}"#
        )
        .unwrap();
        documents.push(value_of(&serde_json::from_str(&text).unwrap()));
    }
    let batches: Vec<Batch> = documents.chunks(500).map(|chunk| rows(chunk.to_vec())).collect();
    let tables = Arc::new(Tables::new("test", None));
    let mut normalizer = tables.normalizer(&shape()).unwrap();
    let begun = Instant::now();
    let mut rows_count = 0;
    for batch in &batches {
        let found = normalizer.normalize(batch, &place()).unwrap();
        rows_count += found.tables.iter().map(|rows| rows.columns.num_rows()).sum::<usize>();
    }
    let us = begun.elapsed().as_secs_f64() * 1e6 / DOCUMENTS as f64;
    assert_eq!(rows_count, DOCUMENTS * 4);
    let line = format!("documents into tables: {us:.2} us a document of 25 fields and 3 child rows\n");
    std::io::stderr().write_all(line.as_bytes()).ok();
}
