//! Rows of dlt's own tables; those that dlt wrote are read in `normalize/tests/compare.rs`.

use super::*;
use crate::Tables;

#[test]
fn rows_are_as_dlt_writes_them() {
    let stored = Tables::new("My Pipeline", None).stored();
    insta::assert_snapshot!(load_row(&stored, "1700000000.5", 1_700_000_000_500_000));
    insta::assert_snapshot!(hash_in_name(&stored.version_hash));
    let version: Json = serde_json::from_str(&version_row(&stored, 0)).unwrap();
    assert_eq!(version["schema_name"], "my_pipeline");
    assert_eq!(version["schema"], stored.text);
}

#[test]
fn a_state_comes_back_as_it_was() {
    let state = StateRow {
        version: 3,
        engine_version: 4,
        pipeline_name: "lake".to_owned(),
        state: r#"{"sources":{}}"#.to_owned(),
        created_at_us: 1_700_000_000_500_000,
        version_hash: "hash".to_owned(),
        load_id: "1700000000.5".to_owned(),
    };
    assert_eq!(StateRow::parse(&state.text()), Some(state));
    assert_eq!(StateRow::parse("{}"), None);
}
