//! What the errors say.

use std::sync::Arc;

use base::{Place, problem::plain};

use super::*;
use crate::Tables;

#[test]
fn each_error_says_what_to_do() {
    let origin = Origin {
        place: Arc::new(Place::Collection { name: "orders".into() }),
        mark: None,
        id: Some("7".into()),
        came_as: None,
    };
    let errors = [
        Tables::open("{", None).err().unwrap(),
        Tables::open(r#"{"engine_version": 11}"#, None).err().unwrap(),
        Tables::open(r#"{"engine_version": 12}"#, None).err().unwrap(),
        TablesError::Hint {
            table: "orders".into(),
            column: "price".into(),
            has: "text".into(),
            wants: "decimal".into(),
        },
        TablesError::Frozen {
            table: "orders".into(),
            entity: "columns",
            what: "the column note is new".into(),
            origin,
        },
        TablesError::Form,
        TablesError::Columns { source: ArrowError::SchemaError("columns of two lengths".into()) },
    ];
    insta::assert_snapshot!(errors.iter().map(|error| plain(error)).collect::<Vec<_>>().join("\n"));
}
