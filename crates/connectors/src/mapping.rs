//! What becomes of a record's fields before anybody takes them: which are kept, what they are called, of what type they are, and
//! how their texts are written.
//!
//! CSV stays text: [`Cells`] brings each field to the one way that contracts and casts read (`1234.50`, `2013-01-31`), and a
//! field costs nothing where nothing is asked for. JSON and typed records become rows with the [`Mapped`] stage.

mod cells;
mod stage;
mod texts;

use std::{fmt, str::FromStr};

use base::{Code, Kind, Problem, code};

pub use cells::Cells;
pub(crate) use cells::natural_decimal;
pub use stage::Mapped;
pub(crate) use texts::Reading;

/// As it was asked for.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// The columns that are kept, in this order; of a file without a header, their names. Empty: all.
    pub columns: Vec<String>,
    /// The name it has, and the one it gets.
    pub rename: Vec<(String, String)>,
    pub types: Vec<(String, Type)>,
    /// Texts that stand for no value.
    pub nulls: Vec<String>,
    /// How dates and times are written, in the letters of `strftime`.
    pub date_format: Option<DateFormat>,
    /// What stands before the fraction of a number: `.` or `,`.
    pub decimal_mark: u8,
    pub ragged: Ragged,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            columns: Vec::new(),
            rename: Vec::new(),
            types: Vec::new(),
            nulls: vec![String::new(), "NA".to_owned()],
            date_format: None,
            decimal_mark: b'.',
            ragged: Ragged::Refuse,
        }
    }
}

/// What a CSV record with another number of fields than the header does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ragged {
    /// It is refused.
    #[default]
    Refuse,
    /// Fields that are missing have no value.
    Fill,
    /// Fields that are too many are left out.
    DropExtra,
    /// Both.
    Allow,
}

/// A column's type, as `--types` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Int,
    Float,
    /// `None`: each value has the digits that it is written with.
    Decimal(Option<i32>),
    Bool,
    Text,
    Date,
    Timestamp,
    /// `$1,234.50`, `-1 234,50 €`, `(12.00)`.
    Money(i32),
}

/// Digits behind the mark of money, where nothing else is said.
const CENTS: i32 = 2;
const SCALE_MAX: i32 = 38;

impl FromStr for Type {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = || Error::Type { word: text.to_owned() };
        let (word, scale) = match text.split_once('(') {
            Some((word, rest)) => {
                let scale: i32 =
                    rest.strip_suffix(')').and_then(|scale| scale.trim().parse().ok()).ok_or_else(refuse)?;
                (
                    word.trim(),
                    Some(scale).filter(|scale| (0..=SCALE_MAX).contains(scale)).ok_or_else(refuse)?.into(),
                )
            }
            None => (text.trim(), None),
        };
        let plain = match word {
            "decimal" | "numeric" => return Ok(Type::Decimal(scale)),
            "money" => return Ok(Type::Money(scale.unwrap_or(CENTS))),
            "int" | "integer" | "long" => Type::Int,
            "float" | "double" | "number" => Type::Float,
            "bool" | "boolean" => Type::Bool,
            "text" | "string" => Type::Text,
            "date" => Type::Date,
            "timestamp" | "datetime" => Type::Timestamp,
            _ => return Err(refuse()),
        };
        if scale.is_some() { Err(refuse()) } else { Ok(plain) }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Int => f.write_str("an integer"),
            Type::Float => f.write_str("a number"),
            Type::Decimal(None) => f.write_str("a decimal number"),
            Type::Decimal(Some(scale)) => {
                write!(f, "a decimal number with at most {scale} digits behind its mark")
            }
            Type::Bool => f.write_str("true or false, yes or no, 1 or 0"),
            Type::Text => f.write_str("a text in UTF-8"),
            Type::Date => f.write_str("a date"),
            Type::Timestamp => f.write_str("a date with a time"),
            Type::Money(scale) => write!(f, "money with at most {scale} digits behind its mark"),
        }
    }
}

impl Type {
    pub fn kind(self) -> Kind {
        match self {
            Type::Int => Kind::Int64,
            Type::Float => Kind::Float64,
            Type::Decimal(scale) => Kind::Decimal { scale: scale.unwrap_or(0) },
            Type::Money(scale) => Kind::Decimal { scale },
            Type::Bool => Kind::Boolean,
            Type::Text => Kind::String,
            Type::Date => Kind::Date,
            Type::Timestamp => Kind::TimestampMs,
        }
    }
}

/// A format of dates, taken apart once.
#[derive(Debug, Clone, PartialEq)]
pub struct DateFormat {
    pub text: String,
    items: Vec<chrono::format::Item<'static>>,
}

impl FromStr for DateFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let items = chrono::format::StrftimeItems::new(text).parse_to_owned();
        let items = items.map_err(|_| Error::DateFormat { format: text.to_owned() })?;
        Ok(Self { text: text.to_owned(), items })
    }
}

impl Mapping {
    /// Whether records that are no texts stay as they are.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty() && self.rename.is_empty() && self.types.is_empty()
    }

    fn renamed<'a>(&'a self, name: &'a str) -> &'a str {
        self.rename.iter().find(|(from, _)| from == name).map_or(name, |(_, to)| to)
    }

    /// By the new name or the old.
    fn type_of(&self, name: &str, new: &str) -> Option<Type> {
        let of = |wanted: &str| self.types.iter().find(|(name, _)| name == wanted).map(|(_, kind)| *kind);
        of(new).or_else(|| of(name))
    }

    /// How texts of a type are brought to the one way; `None` where they stand so already.
    fn reading(&self, kind: Type) -> Option<Reading> {
        Reading::of(kind, self.decimal_mark, self.date_format.as_ref())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path} has no column {column}, which {flag} names; it has {columns}")]
    NoColumn { path: String, flag: &'static str, column: String, columns: String },
    #[error("{path} has {found} columns, and --columns names {named} of them")]
    ColumnsCount { path: String, named: usize, found: usize },
    #[error("two columns of {path} would be called {column}")]
    Twice { path: String, column: String },
    #[error("{word} is no type")]
    Type { word: String },
    #[error("{format:?} is no format of dates")]
    DateFormat { format: String },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::NoColumn { .. } | Error::ColumnsCount { .. } | Error::Twice { .. } => code::TM1431,
            Error::Type { .. } | Error::DateFormat { .. } => code::TM1432,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::NoColumn { .. } => "name one of these columns".to_owned(),
            Error::ColumnsCount { .. } => {
                "without a header --columns names all of them, in their order".to_owned()
            }
            Error::Twice { .. } => "rename one of them: --rename OLD=NEW".to_owned(),
            Error::Type { .. } => {
                "take int, float, decimal, decimal(2), bool, text, date, timestamp or money, \
                                   as in --types amount=money,day=date"
                    .to_owned()
            }
            Error::DateFormat { .. } => {
                "write it in strftime's letters: --date-format '%d/%m/%Y %H:%M'".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests;
