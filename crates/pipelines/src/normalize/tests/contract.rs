//! The schema contract: what is let in, left out, and refused.

use base::problem::plain;

use super::*;
use crate::{Mode, SchemaContract};

const FIRST: &str = r#"{"id": 1, "lines": [{"a": 1}]}"#;
const SECOND: [&str; 4] = [
    r#"{"id": 2, "extra": true}"#,
    r#"{"id": "three", "lines": [{"a": 3, "b": 3}]}"#,
    r#"{"id": 4, "tags": ["x"]}"#,
    r#"{"id": 5, "lines": [{"a": 5}]}"#,
];

/// What a second load with this contract makes of new columns, new types and new tables.
fn second_load(contract: SchemaContract) -> Result<Normalized, TablesError> {
    let tables = Arc::new(Tables::new("test", None));
    let found = tables.normalizer(&shape()).unwrap().normalize(&batch(&[FIRST]), &place()).unwrap();
    tables.mark_seen(&found.tables.iter().map(|rows| rows.table.name.clone()).collect::<Vec<_>>());
    let tables = Arc::new(Tables::open(&tables.stored().text, None).unwrap());
    let shape = Shape { contract, ..shape() };
    tables.declare(&shape).unwrap();
    tables.normalizer(&shape).unwrap().normalize(&batch(&SECOND), &place())
}

fn outcome(found: &Normalized) -> String {
    let discarded = &found.discarded;
    let mut told = text(found);
    told += &format!("{} rows and {} values left out\n", discarded.rows_count, discarded.values_count);
    for reject in &discarded.rejects.0 {
        let value = String::from_utf8_lossy(reject.value.as_ref().unwrap());
        told += &format!("{} × {}: {value}\n", reject.code, reject.reason);
    }
    told
}

#[test]
fn rows_are_left_out() {
    insta::assert_snapshot!(outcome(&second_load(SchemaContract::all(Mode::DiscardRow)).unwrap()));
}

#[test]
fn values_are_left_out() {
    insta::assert_snapshot!(outcome(&second_load(SchemaContract::all(Mode::DiscardValue)).unwrap()));
}

#[test]
fn the_first_load_may_bring_its_columns() {
    let tables = Arc::new(Tables::new("test", None));
    let shape =
        Shape { contract: SchemaContract { columns: Mode::Freeze, ..SchemaContract::default() }, ..shape() };
    let found = tables.normalizer(&shape).unwrap().normalize(&batch(&SECOND), &place()).unwrap();
    assert_eq!(found.tables[0].columns.num_rows(), 4);
}

#[test]
fn frozen_schemas_name_the_record() {
    let frozen = |contract| plain(&second_load(contract).unwrap_err());
    let evolve = SchemaContract::default();
    insta::assert_snapshot!(frozen(SchemaContract { columns: Mode::Freeze, ..evolve }));
    insta::assert_snapshot!(frozen(SchemaContract { data_type: Mode::Freeze, ..evolve }));
    insta::assert_snapshot!(frozen(SchemaContract { tables: Mode::Freeze, ..evolve }));
}
