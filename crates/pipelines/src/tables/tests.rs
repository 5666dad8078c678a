//! The schema while it grows.

use super::*;

fn wanted<'a>(table: &'a str, column: &'a str) -> Wanted<'a> {
    let parent = (table != "things").then_some("things");
    Wanted { table, parent, column, data_type: DataType::Text, is_variant: false, hint: None }
}

fn shape() -> Shape {
    Shape { table: "things".to_owned(), ..Shape::default() }
}

#[test]
fn lanes_that_see_the_same_get_the_same_column() {
    let tables = Tables::new("test", None);
    tables.declare(&shape()).unwrap();
    let index = |column| match tables.place(&wanted("things", column), &SchemaContract::default()) {
        Answer::Placed(placed) => placed.index,
        Answer::Refused { entity, .. } => panic!("{entity}"),
    };
    assert_eq!([index("a"), index("b"), index("a")], [0, 1, 0]);
}

#[test]
fn the_version_rises_with_the_content() {
    let tables = Tables::new("test", None);
    tables.declare(&shape()).unwrap();
    let first = tables.stored();
    assert_eq!((first.version, tables.stored().version), (1, 1));
    let revision = tables.revision();
    tables.place(&wanted("things__lines", "a"), &SchemaContract::default());
    assert!(tables.revision() > revision);
    let second = tables.stored();
    assert_eq!(second.version, 2);
    assert!(
        second.text.contains(&format!(r#""previous_hashes":["{}"]"#, first.version_hash)),
        "{}",
        second.text
    );
    let names: Vec<String> = tables.tables_of(&shape()).iter().map(|table| table.name.to_string()).collect();
    assert_eq!(names, ["things", "things__lines"]);
}

#[test]
fn a_draft_leaves_the_version_to_the_end_of_the_load() {
    let tables = Tables::new("test", None);
    tables.declare(&shape()).unwrap();
    tables.stored();
    tables.place(&wanted("things", "a"), &SchemaContract::default());
    let second_life = Tables::open(&tables.draft(), None).unwrap();
    second_life.place(&wanted("things", "b"), &SchemaContract::default());
    let stored = Tables::open(&second_life.draft(), None).unwrap().stored();
    assert_eq!(stored.version, 2);
    assert_eq!(second_life.table("things").unwrap().columns.len(), 2);
}

#[test]
fn a_hint_cannot_change_a_type() {
    let tables = Tables::new("test", None);
    tables.declare(&shape()).unwrap();
    tables.place(&wanted("things", "a"), &SchemaContract::default());
    let hint =
        ColumnHint { name: "a".to_owned(), data_type: Some(DataType::Bigint), ..ColumnHint::default() };
    let error = tables.declare(&Shape { columns: vec![hint], ..shape() }).unwrap_err();
    assert!(matches!(error, TablesError::Hint { .. }), "{error}");
}
