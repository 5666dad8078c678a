//! Rows of texts to Avro records, field by field, with no value between the text and the bytes where a field is plain.

use base::{Kind, Value};

use super::{
    Encoder,
    encode::{Step, long, missing, sized},
};
use crate::{
    Violation,
    validate::{cast_text, cast_word, format, shown},
};

/// Which column of a row holds each field of the record, and what its texts are.
#[derive(Debug)]
pub(crate) struct TextRow {
    sources: Vec<Option<Source>>,
}

#[derive(Debug)]
struct Source {
    column: usize,
    kind: Kind,
    is_optional: bool,
}

impl Encoder {
    /// The plan for rows whose columns are named so, and the columns that the schema does not know.
    pub(crate) fn text_row(&self, header: &[&str]) -> (TextRow, Vec<String>) {
        let fields = self.fields().unwrap_or_default();
        let source = |name: &str| {
            let column = header.iter().position(|column| *column == name)?;
            let schema = &self.schema().field(name)?.schema;
            Some(Source { column, kind: schema.kind.clone(), is_optional: schema.optional })
        };
        let sources = fields.iter().map(|(name, ..)| source(name)).collect();
        let is_known = |column: &str| fields.iter().any(|(name, ..)| **name == *column);
        let unmatched = header.iter().filter(|column| !is_known(column));
        (TextRow { sources }, unmatched.map(|column| (*column).to_owned()).collect())
    }

    /// Appends the record of one row; what is there of one that is refused is the caller's to take away.
    pub(crate) fn encode_texts<T: AsRef<[u8]>>(
        &self,
        plan: &TextRow,
        row: &[T],
        is_null: impl Fn(&[u8]) -> bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        let Some(fields) = self.fields() else { return self.encode(&Value::Struct(Vec::new()), out) };
        for ((name, step, default), source) in fields.iter().zip(&plan.sources) {
            let found = source.as_ref().and_then(|source| Some((source, row.get(source.column)?.as_ref())));
            let written = match (found, default) {
                (Some((source, text)), _) if source.is_optional && is_null(text) => {
                    step.write(&Value::Null, out)
                }
                (Some((_, text)), Some(default)) if is_null(text) => {
                    out.extend_from_slice(default);
                    Ok(())
                }
                (Some((source, text)), _) => source.write(step, text, out),
                (None, default) => missing(step, default.as_deref(), out),
            };
            written.map_err(|violation| violation.under(name))?;
        }
        Ok(())
    }
}

impl Source {
    fn write(&self, step: &Step, text: &[u8], out: &mut Vec<u8>) -> Result<(), Violation> {
        if let (Kind::String, Some(branch)) = (&self.kind, step.string_branch())
            && std::str::from_utf8(text).is_ok()
        {
            if let Some(branch) = branch {
                long(branch, out);
            }
            sized(text, out);
            return Ok(());
        }
        match cast_text(&self.kind, text) {
            Some(value) => step.write(&value, out),
            // Of a unit that the row model has no kind for: the encoder reads it.
            None if step.takes_moments() && format::is_date_time(&String::from_utf8_lossy(text)) => {
                step.write(&Value::string(String::from_utf8_lossy(text).as_ref()), out)
            }
            None => {
                let null = if self.is_optional { " or null" } else { "" };
                let expected = format!("{}{null}", cast_word(&self.kind));
                Err(Violation { field: String::new(), expected, found: shown(text) })
            }
        }
    }
}
