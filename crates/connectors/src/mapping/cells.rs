//! The fields of CSV records: as many as the header has, those that are wanted, each in the one way that is read.

use std::{borrow::Cow, sync::Arc};

use base::{Kind, Schema, Value, code};
use contracts::validate::cast_text;

use super::{Error, Mapping, Ragged, Reading, Type};
use crate::{
    files::{self, Dialect},
    record::Refusal,
};

/// How the records of one file come apart.
#[derive(Debug, Clone)]
pub struct Cells {
    dialect: Dialect,
    /// The fields of a record, by the names that the file has for them.
    header: Arc<[String]>,
    /// The field of each column; `None`: its own.
    picks: Option<Vec<usize>>,
    ragged: Ragged,
    columns: Vec<Column>,
    /// Whether any column has a reading.
    has_readings: bool,
    pub(crate) mapping: Mapping,
    /// Texts of a sheet stand in quotes, and numbers do not.
    pub(crate) is_sheet: bool,
}

#[derive(Debug, Clone)]
struct Column {
    name: String,
    declared: Option<Type>,
    reading: Option<Reading>,
}

impl Cells {
    /// Of records that are taken as they are.
    pub fn plain(dialect: Dialect, header: &[String]) -> Self {
        let mapping = Mapping::default();
        Self::new(&mapping, dialect, "", header, true).map(|(_, cells)| cells).unwrap_or_else(|_| Self {
            dialect,
            header: header.into(),
            picks: None,
            ragged: Ragged::Refuse,
            columns: Vec::new(),
            has_readings: false,
            mapping,
            is_sheet: false,
        })
    }

    /// The columns' names, and how records come apart. `header`: the file's names, made ones where it has none.
    ///
    /// # Errors
    /// A column that is not there, or would be there twice.
    pub fn new(
        mapping: &Mapping,
        dialect: Dialect,
        path: &str,
        header: &[String],
        has_header: bool,
    ) -> Result<(Vec<String>, Self), Error> {
        let wanted = &mapping.columns;
        if !has_header && !wanted.is_empty() && wanted.len() != header.len() {
            let path = path.to_owned();
            return Err(Error::ColumnsCount { path, named: wanted.len(), found: header.len() });
        }
        let missing = |flag: &'static str, column: &str, names: &[String]| Error::NoColumn {
            path: path.to_owned(),
            flag,
            column: column.to_owned(),
            columns: names.join(", "),
        };
        let names = if has_header || wanted.is_empty() { header } else { wanted };
        let picks = match has_header && !wanted.is_empty() {
            false => None,
            true => {
                let place = |column: &String| header.iter().position(|name| name == column);
                let picks = wanted
                    .iter()
                    .map(|column| place(column).ok_or_else(|| missing("--columns", column, header)));
                Some(picks.collect::<Result<Vec<usize>, _>>()?)
            }
        };
        let kept: Vec<&String> = match &picks {
            Some(picks) => picks.iter().map(|place| &names[*place]).collect(),
            None => names.iter().collect(),
        };
        if let Some((from, _)) = mapping.rename.iter().find(|(from, _)| !kept.contains(&from)) {
            return Err(missing("--rename", from, names));
        }
        let columns: Vec<Column> = kept
            .iter()
            .map(|name| {
                let new = mapping.renamed(name);
                let declared = mapping.type_of(name, new);
                Column {
                    name: new.to_owned(),
                    declared,
                    reading: declared.and_then(|kind| mapping.reading(kind)),
                }
            })
            .collect();
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            return Err(Error::Twice { path: path.to_owned(), column: twice.1.clone() });
        }
        let is_known = |name: &String| names.contains(name) || kept.contains(&name);
        if let Some((unknown, _)) = mapping.types.iter().find(|(name, _)| !is_known(name)) {
            return Err(missing("--types", unknown, &names));
        }
        let has_readings = columns.iter().any(|column| column.reading.is_some());
        let (header, ragged, mapping) = (header.into(), mapping.ragged, mapping.clone());
        Ok((names, Self { dialect, header, picks, ragged, columns, has_readings, mapping, is_sheet: false }))
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The names of a record's fields in its file, those that are not wanted too.
    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// What was said of a column's type.
    pub fn declared(&self, column: usize) -> Option<Type> {
        self.columns.get(column).and_then(|column| column.declared)
    }

    /// The same while it is found out what the columns are: what could be a date or a number is read as one.
    pub(crate) fn looking(&self) -> Self {
        let unknown = Reading::of_unknown(self.mapping.decimal_mark, self.mapping.date_format.as_ref());
        let mut cells = self.with_readings(|_| unknown.clone());
        // What was said is not found out, and must not keep a record from being looked at.
        for column in cells.columns.iter_mut().filter(|column| column.declared.is_some()) {
            column.reading = None;
        }
        cells
    }

    /// The same for columns of these kinds, where nothing was said of them.
    pub(crate) fn for_kinds(&self, kinds: &[Kind]) -> Self {
        self.with_readings(|number| self.reading_of(kinds.get(number)?))
    }

    /// The same for the fields of a contract, where nothing was said of them.
    pub(crate) fn for_schema(&self, schema: &Schema) -> Self {
        self.with_readings(|number| self.reading_of(&schema.field(&self.columns[number].name)?.schema.kind))
    }

    fn with_readings(&self, reading: impl Fn(usize) -> Option<Reading>) -> Self {
        let mut cells = self.clone();
        for (number, column) in cells.columns.iter_mut().enumerate() {
            if column.declared.is_none() {
                column.reading = reading(number);
            }
        }
        cells.has_readings = cells.columns.iter().any(|column| column.reading.is_some());
        cells
    }

    fn reading_of(&self, kind: &Kind) -> Option<Reading> {
        let (mark, format) = (self.mapping.decimal_mark, self.mapping.date_format.as_ref());
        match kind {
            Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 => Reading::of(Type::Int, mark, None),
            Kind::Float32 | Kind::Float64 | Kind::Decimal { .. } => Reading::of(Type::Float, mark, None),
            Kind::Date => Reading::of(Type::Date, mark, format),
            Kind::TimestampMs if format.is_some() => Reading::of(Type::Timestamp, mark, format),
            Kind::TimestampMs if self.is_sheet => Some(Reading::Midnight),
            _ => None,
        }
    }

    /// The fields of a record, a column each, unquoted and as they are read.
    pub(crate) fn split<'a>(&self, record: &'a [u8], fields: &mut Vec<Cow<'a, [u8]>>) -> Result<(), Refusal> {
        let refuse = |at, reason| Refusal { at, code: code::TM0725, reason };
        files::split(record, self.dialect, fields).map_err(|bad| refuse(bad.at, bad.reason))?;
        if fields.len() != self.header.len() {
            self.mend(record, fields)?;
        }
        if let Some(picks) = &self.picks {
            pick(picks, fields);
        }
        if self.has_readings {
            self.read(record, fields)?;
        }
        Ok(())
    }

    fn mend<'a>(&self, record: &'a [u8], fields: &mut Vec<Cow<'a, [u8]>>) -> Result<(), Refusal> {
        let width = self.header.len();
        let is_short = fields.len() < width;
        match (self.ragged, is_short) {
            (Ragged::Fill | Ragged::Allow, true) => {
                // Whatever stands for no value; an empty text where nothing does.
                let null = self.mapping.nulls.first().map_or(Vec::new(), |null| null.clone().into_bytes());
                fields.resize(width, Cow::Owned(null));
                Ok(())
            }
            (Ragged::DropExtra | Ragged::Allow, false) => {
                fields.truncate(width);
                Ok(())
            }
            _ => {
                let at = files::field_start(record, self.dialect, width);
                let at = if is_short { record.len() } else { at };
                let reason = format!("the header has {width} fields, this record {}", fields.len());
                Err(Refusal { at, code: code::TM0725, reason })
            }
        }
    }

    fn read(&self, record: &[u8], fields: &mut [Cow<'_, [u8]>]) -> Result<(), Refusal> {
        for (number, (column, field)) in self.columns.iter().zip(fields).enumerate() {
            let Some(reading) = column.reading.as_ref().filter(|_| !self.is_null(field)) else { continue };
            let read = match field {
                Cow::Borrowed(text) => reading.read(text),
                Cow::Owned(text) => reading.read(text).map(|read| Cow::Owned(read.into_owned())),
            };
            match read {
                Some(read) => *field = read,
                None => return Err(self.unlike(record, number, field)),
            }
        }
        Ok(())
    }

    pub(crate) fn is_null(&self, text: &[u8]) -> bool {
        self.mapping.nulls.iter().any(|null| null.as_bytes() == text)
    }

    /// A field's text is not of the column's type.
    pub(crate) fn unlike(&self, record: &[u8], number: usize, text: &[u8]) -> Refusal {
        let text = contracts::shorten(&String::from_utf8_lossy(text), 60);
        let column = &self.columns[number];
        let (code, expected) = match (column.declared, &column.reading) {
            (Some(kind), reading) => {
                let format = match reading {
                    Some(Reading::Date { format } | Reading::Moment { format: Some(format) }) => {
                        format!(" as {}", format.text)
                    }
                    _ => String::new(),
                };
                (code::TM1430, format!("{kind}{format}"))
            }
            (None, Some(Reading::Date { format } | Reading::Moment { format: Some(format) })) => {
                (code::TM0772, format!("a date as {} as in the rows before", format.text))
            }
            (None, _) => (code::TM0772, "a number as in the rows before".to_owned()),
        };
        let reason = format!("{}: expected {expected}, found {text:?}", column.name);
        Refusal { at: self.start(record, number), code, reason }
    }

    /// The byte of a record at which a column's field begins.
    pub(crate) fn start(&self, record: &[u8], column: usize) -> usize {
        let field = self.picks.as_ref().map_or(column, |picks| picks.get(column).copied().unwrap_or(column));
        files::field_start(record, self.dialect, field)
    }

    /// A text of a column as a value of its kind.
    pub(crate) fn cast(&self, column: usize, kind: &Kind, text: &[u8]) -> Option<Value> {
        match self.declared(column) {
            Some(Type::Decimal(None)) => natural_decimal(text),
            _ => cast_text(kind, text),
        }
    }
}

/// With the digits behind the mark that are written.
pub(crate) fn natural_decimal(text: &[u8]) -> Option<Value> {
    let digits = text.split(|byte| *byte == b'.').nth(1).map_or(0, <[u8]>::len);
    let is_plain = text.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.'));
    if !is_plain {
        return None;
    }
    cast_text(&Kind::Decimal { scale: i32::try_from(digits).ok()? }, text)
}

/// The fields of the columns, in their order.
fn pick<'a>(picks: &[usize], fields: &mut Vec<Cow<'a, [u8]>>) {
    if picks.is_sorted_by(|one, other| one < other) {
        for (to, from) in picks.iter().enumerate() {
            fields.swap(to, *from);
        }
        fields.truncate(picks.len());
        return;
    }
    let picked = picks.iter().map(|from| fields[*from].clone()).collect();
    *fields = picked;
}
