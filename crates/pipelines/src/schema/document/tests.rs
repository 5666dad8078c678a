//! Documents stay readable: the one in `fixtures` was written by dlt 1.31.

use super::*;

#[test]
fn a_schema_that_dlt_stored_keeps_its_hash_and_what_only_dlt_knows() {
    let row: Json = serde_json::from_str(include_str!("../../../fixtures/schema/dlt_1_31.json")).unwrap();
    let text = row["schema"].as_str().unwrap();
    let mut document = Document::parse(text).unwrap();
    let stored = document.stored();
    assert_eq!(stored.version_hash, row["version_hash"]);
    assert_eq!(stored.version, 2);
    assert_eq!(stored.text, text);
}
