//! Rows of texts to Avro records, field by field, with no value between the text and the bytes where a field is plain.

use base::{Kind, Value};

use super::{
    Encoder,
    encode::{Step, long, missing, sized},
};
use crate::{
    Violation,
    validate::{boolean, cast_text, cast_word, float, format, integer, shown},
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
    /// What is written for no value, where the field may have none.
    null: Option<Box<[u8]>>,
    plain: Option<Plain>,
}

/// A field of which nearly every text becomes its bytes without a value between: alone, or in a union with null.
#[derive(Debug, Clone, Copy)]
struct Plain {
    /// What stands before it in a union.
    branch: Option<u8>,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Text,
    Int,
    Long,
    Double,
    Boolean,
    Date,
    /// Milliseconds since 1970.
    Moment,
}

impl Encoder {
    /// The plan for rows whose columns are named so, and the columns that the schema does not know.
    pub(crate) fn text_row(&self, header: &[&str]) -> (TextRow, Vec<String>) {
        let fields = self.fields().unwrap_or_default();
        let source = |name: &str, step: &Step| {
            let column = header.iter().position(|column| *column == name)?;
            let schema = &self.schema().field(name)?.schema;
            let mut null = Vec::new();
            let has_null = schema.optional && step.write(&Value::Null, &mut null).is_ok();
            Some(Source {
                column,
                kind: schema.kind.clone(),
                is_optional: schema.optional,
                null: has_null.then(|| null.into()),
                plain: Plain::of(step, &schema.kind),
            })
        };
        let sources = fields.iter().map(|(name, step, _)| source(name, step)).collect();
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
                (Some((source, text)), _) if source.is_optional && is_null(text) => match &source.null {
                    Some(null) => {
                        out.extend_from_slice(null);
                        Ok(())
                    }
                    None => step.write(&Value::Null, out),
                },
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
        if self.plain.is_some_and(|plain| plain.write(text, out)) {
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

impl Plain {
    fn of(step: &Step, kind: &Kind) -> Option<Self> {
        let (branch, step) = step.alone_or_with_null()?;
        let what = match (kind, step) {
            (Kind::String, Step::String) => What::Text,
            (Kind::Int32, Step::Int) => What::Int,
            (Kind::Int64, Step::Long) => What::Long,
            (Kind::Float64, Step::Double) => What::Double,
            (Kind::Boolean, Step::Boolean) => What::Boolean,
            (Kind::Date, Step::Date) => What::Date,
            (Kind::TimestampMs, Step::Moment { per_second: 1_000 }) => What::Moment,
            _ => return None,
        };
        // Of two branches the second one is 1, which is written as 2.
        Some(Self { branch: branch.map(|at| at * 2), what })
    }

    /// Whether the text was written. What `cast_text` takes besides is none of its business: nothing was appended then.
    fn write(self, text: &[u8], out: &mut Vec<u8>) -> bool {
        let utf8 = || std::str::from_utf8(text).ok();
        let number = match self.what {
            // Nearly all texts are ASCII, which is seen sooner.
            What::Text => {
                return (text.is_ascii() || utf8().is_some()) && self.bytes(|out| sized(text, out), out);
            }
            What::Double => {
                return float(text).is_some_and(|number| {
                    self.bytes(|out| out.extend_from_slice(&number.to_le_bytes()), out)
                });
            }
            What::Boolean => {
                return boolean(text).is_some_and(|flag| self.bytes(|out| out.push(flag.into()), out));
            }
            What::Int => integer(text).filter(|number| i32::try_from(*number).is_ok()),
            What::Long => integer(text),
            What::Date if integer(text).is_none() => utf8().and_then(format::days).map(i64::from),
            What::Moment if integer(text).is_none() => utf8().and_then(format::timestamp_ms),
            What::Date | What::Moment => None,
        };
        number.is_some_and(|number| self.bytes(|out| long(number, out), out))
    }

    fn bytes(self, write: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) -> bool {
        out.extend(self.branch);
        write(out);
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIELDS: [(&str, &str); 9] = [
        ("text", r#""string""#),
        ("int", r#""int""#),
        ("long", r#"["null","long"]"#),
        ("double", r#"["double","null"]"#),
        ("flag", r#"["null","boolean"]"#),
        ("date", r#"{"type":"int","logicalType":"date"}"#),
        ("moment", r#"["null",{"type":"long","logicalType":"timestamp-millis"}]"#),
        ("micros", r#"{"type":"long","logicalType":"timestamp-micros"}"#),
        ("colour", r#"{"type":"enum","name":"Colour","symbols":["RED","BLUE"]}"#),
    ];

    fn text() -> impl Strategy<Value = String> {
        let texts = [
            "",
            "NA",
            "7",
            "-7",
            "+7",
            "007",
            "12.0",
            "12.5",
            "-0.0",
            ".5",
            "5.",
            "1e3",
            "3000000000",
            "true",
            "TRUE",
            "RED",
            "ä",
            "2013-01-31",
            "2013-02-30",
            "2013-01-31T10:00:00Z",
            "2013-01-31T10:00:00.0019+01:00",
            "9223372036854775808",
        ];
        prop_oneof![
            prop::sample::select(texts.map(str::to_owned).to_vec()),
            ".{0,4}",
            "-?[0-9]{1,17}\\.?[0-9]{0,4}"
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn a_plain_field_is_written_as_its_value_is(at in 0..FIELDS.len(), text in text()) {
            let (name, kind) = FIELDS[at];
            let schema = format!(r#"{{"type":"record","name":"r","fields":[{{"name":"{name}","type":{kind}}}]}}"#);
            let encoder = Encoder::new("r", &schema).unwrap();
            let (mut plan, _) = encoder.text_row(&[name]);
            let written = |plan: &TextRow| {
                let mut out = Vec::new();
                encoder.encode_texts(plan, &[&text], |text| text == b"NA", &mut out).map(|()| out)
            };
            let quick = written(&plan);
            for source in plan.sources.iter_mut().flatten() {
                (source.null, source.plain) = (None, None);
            }
            prop_assert_eq!(quick, written(&plan));
        }
    }
}
