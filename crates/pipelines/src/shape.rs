//! What a stream of a pipeline file says about its tables: names, keys, hints, nesting, contract.

use std::sync::Arc;

use crate::{DataType, SchemaContract};

/// How the documents of one stream become tables. Plain data; names as the user wrote them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shape {
    /// The root table's name, before it is normalized; dlt's `resource` name goes along in the schema.
    pub table: String,
    /// Columns of the key, as fields of the document.
    pub primary_key: Vec<String>,
    /// The field that says what is new, which the schema tells of its column as dlt does.
    pub cursor: Option<String>,
    pub columns: Vec<ColumnHint>,
    pub nested: Nested,
    pub contract: SchemaContract,
    pub write_disposition: WriteDisposition,
}

/// What the pipeline file says of one column. Everything left out is inferred.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnHint {
    /// The field as it stands in the document; `address.city` or `address__city` for a nested one.
    pub name: String,
    pub data_type: Option<DataType>,
    pub is_nullable: Option<bool>,
    pub precision: Option<u32>,
    pub scale: Option<u32>,
    /// The field is left out, and everything below it.
    pub is_excluded: bool,
    /// The column's name in place of the field's.
    pub rename: Option<String>,
}

/// What becomes of objects and lists inside a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nested {
    /// As dlt: objects become columns joined with `__`, lists child tables, down to this depth; below it stays JSON.
    Flatten { max_nesting: Option<u32> },
    /// Documents stay whole: a column for each field, objects and lists as JSON.
    Keep,
}

impl Default for Nested {
    fn default() -> Self {
        Nested::Flatten { max_nesting: None }
    }
}

/// dlt's word of the same name. With `Merge`, child rows also carry `_dlt_root_id`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WriteDisposition {
    #[default]
    Append,
    Replace,
    Merge(MergeStrategy),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MergeStrategy {
    #[default]
    DeleteInsert,
    /// `_dlt_id` of root rows is the hash of the primary key.
    Upsert,
}

impl WriteDisposition {
    /// As it stands in the schema: `append`, `replace`, `merge`.
    pub fn name(self) -> &'static str {
        match self {
            WriteDisposition::Append => "append",
            WriteDisposition::Replace => "replace",
            WriteDisposition::Merge(_) => "merge",
        }
    }
}

/// Where the rows of a batch lie in their load: the `_dlt_id` of a root row comes from it, so that a second life of the
/// load makes the same ids. A record's own key is used where its place is a collection, else its mark, else its number.
#[derive(Debug, Clone)]
pub struct RowPlace {
    pub load_id: Arc<str>,
    /// The split's id.
    pub split: Arc<str>,
    /// The start of the extent, printed; with `first_row` it stands for records that have neither key nor mark.
    pub start: Arc<str>,
    /// Number of the batch's first record in its extent.
    pub first_row: u64,
}
