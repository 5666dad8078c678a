//! What a pipeline asks of a store, in the same words for all of them. A connector passes down what its store can do and
//! refuses the rest by name; nothing is ignored.

use base::{BoxError, Value};

/// Which records of a collection are wanted, and how much of each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    /// Names of the top-level fields that are wanted; empty: all. Keys come along in any case.
    pub fields: Vec<String>,
    /// A condition in the store's own language (MongoDB's extended JSON, DynamoDB's filter expression …).
    pub filter: Option<String>,
    /// Only what the cursor has not passed.
    pub cursor: Option<CursorRange>,
    /// Into how many parts that are read beside each other; `None`: the connector decides.
    pub splits_count: Option<usize>,
}

/// Bounds of the field that rises with each change of a record; both ends may be open.
#[derive(Debug, Clone, PartialEq)]
pub struct CursorRange {
    /// The field's path, dots going down.
    pub field: String,
    pub from: Option<Value>,
    /// Whether a record that equals `from` is wanted again: the usual case, as others with the same value may have come.
    pub is_from_included: bool,
    /// Never included.
    pub to: Option<Value>,
    /// Whether records without the field, or with a null in it, are wanted.
    pub takes_missing: bool,
}

impl Selection {
    /// For a store that gives all or nothing.
    ///
    /// # Errors
    /// Says what was asked for.
    pub fn expect_everything(&self, store: &str) -> Result<(), BoxError> {
        let asked = [
            (!self.fields.is_empty(), "fields"),
            (self.filter.is_some(), "filter"),
            (self.cursor.is_some(), "cursor"),
            (self.splits_count.is_some(), "number of splits"),
        ];
        match asked.iter().find(|(is_asked, _)| *is_asked) {
            Some((_, what)) => {
                Err(format!("{store} takes no {what}: it gives all its records in order").into())
            }
            None => Ok(()),
        }
    }
}
