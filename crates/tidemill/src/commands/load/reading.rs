//! How a load's sources are read: the flags, and what they make of the source's settings and of a record's fields.
//!
//! What is shown instead of loading (`--infer`, `--preview`) is in `load/look.rs`.

use base::{Code, Problem, code};
use connectors::{
    files::{Config, Encoding, Error as FileError},
    mapping::{Mapping, Ragged},
};

use super::Args;
use crate::context::Failure;

#[derive(clap::Args)]
#[command(next_help_heading = "Reading")]
pub(super) struct ReadingArgs {
    /// Fields to keep, in this order; of a file without a header, the names of its columns
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    columns: Vec<String>,
    /// Give a field another name; several with commas
    #[arg(long, value_name = "OLD=NEW", value_delimiter = ',')]
    rename: Vec<String>,
    /// Types of fields: int, float, decimal, decimal(2), bool, text, date, timestamp, money; several with commas
    #[arg(long, value_name = "FIELD=TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// How dates and times are written, in strftime's letters: %d/%m/%Y
    #[arg(long, value_name = "FORMAT", hide_short_help = true)]
    date_format: Option<String>,
    /// What stands before the fraction of a number: . or ,
    #[arg(long, value_name = "MARK", default_value = ".", value_parser = [".", ","], hide_short_help = true)]
    decimal_mark: String,
    /// What texts are written in, as the web calls it: windows-1252, utf-16le, shift_jis [default: UTF-8, or what a byte order mark says]
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    encoding: Option<String>,
    /// CSV has no header line: columns are called column_1, column_2, … or as --columns says
    #[arg(long, hide_short_help = true)]
    no_header: bool,
    /// Lines to pass over before the header or the first record
    #[arg(long, value_name = "LINES", default_value_t = 0, hide_short_help = true)]
    skip_lines: u64,
    /// CSV lines that begin with this are no records
    #[arg(long, value_name = "CHARACTER", hide_short_help = true)]
    comment: Option<String>,
    /// What stands around fields of CSV that have the delimiter or a line's end in them; none: nothing does
    #[arg(long, value_name = "CHARACTER", default_value = "\"", hide_short_help = true)]
    quote: String,
    /// What takes the next character of CSV its meaning, where quotes are not doubled
    #[arg(long, value_name = "CHARACTER", hide_short_help = true)]
    escape: Option<String>,
    /// What a CSV record does that has fewer or more fields than the header: it is a bad record; missing fields have no value;
    /// extra ones are left out; both
    #[arg(long, value_enum, default_value = "refuse", hide_short_help = true)]
    ragged: OnRagged,
    /// Where the records of a JSON document stand: $.data, $.response.items[*]. An array's elements are records, an object's
    /// entries become {id, value}. Of pages of an https:// source: where they are in each page [default: its only list]
    #[arg(long, value_name = "PATH")]
    pub(super) records: Option<String>,
    /// Sheet of an Excel file [default: its first]
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    sheet: Option<String>,
    /// Say what each column is and which record decided it, and load nothing
    #[arg(long, conflicts_with = "preview")]
    pub(super) infer: bool,
    /// Show the first records as the target would see them, and load nothing [default: 10]
    #[arg(long, value_name = "RECORDS", num_args = 0..=1, default_missing_value = "10")]
    pub(super) preview: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnRagged {
    Refuse,
    Fill,
    DropExtra,
    Allow,
}

impl ReadingArgs {
    /// Sets what the source has to know.
    pub(super) fn configure(&self, config: &mut Config) -> Result<(), Failure> {
        let byte = |flag, text: &str| one_byte(flag, text);
        let some = |flag, text: &Option<String>| text.as_deref().map(|text| one_byte(flag, text)).transpose();
        config.quote = match self.quote.as_str() {
            "none" | "" => None,
            text => Some(byte("--quote", text)?),
        };
        config.escape = some("--escape", &self.escape)?;
        config.comment = some("--comment", &self.comment)?;
        config.has_header = !self.no_header;
        config.skip_lines = self.skip_lines;
        config.sheet.clone_from(&self.sheet);
        if let Some(path) = &self.records {
            config.records = path.parse().map_err(|error: FileError| Box::new(error) as Failure)?;
        }
        if let Some(label) = &self.encoding {
            let unknown = || ReadingError::Encoding { label: label.clone() };
            config.encoding = Some(Encoding::for_label(label.as_bytes()).ok_or_else(unknown)?);
        }
        Ok(())
    }

    /// What becomes of a record's fields.
    pub(super) fn mapping(&self, args: &Args) -> Result<Mapping, Failure> {
        let types = pairs("--types", &self.types)?.into_iter().map(|(name, word)| Ok((name, word.parse()?)));
        let types = types.collect::<Result<_, connectors::mapping::Error>>();
        let format = self.date_format.as_ref().map(|format| format.parse()).transpose();
        Ok(Mapping {
            columns: self.columns.clone(),
            rename: pairs("--rename", &self.rename)?,
            types: types.map_err(|error| Box::new(error) as Failure)?,
            nulls: super::nulls(args),
            date_format: format.map_err(|error: connectors::mapping::Error| Box::new(error) as Failure)?,
            decimal_mark: if self.decimal_mark == "," { b',' } else { b'.' },
            ragged: match self.ragged {
                OnRagged::Refuse => Ragged::Refuse,
                OnRagged::Fill => Ragged::Fill,
                OnRagged::DropExtra => Ragged::DropExtra,
                OnRagged::Allow => Ragged::Allow,
            },
        })
    }
}

/// One character of ASCII, or `\t`.
pub(super) fn one_byte(flag: &'static str, text: &str) -> Result<u8, Failure> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [one] => Ok(*one),
        _ => Err(Box::new(ReadingError::Character { flag, text: text.to_owned() })),
    }
}

fn pairs(flag: &'static str, texts: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let pair = |text: &String| match text.split_once('=') {
        Some((one, other)) if !one.is_empty() && !other.is_empty() => Ok((one.to_owned(), other.to_owned())),
        _ => Err(Box::new(ReadingError::Pair { flag, text: text.clone() }) as Failure),
    };
    texts.iter().map(pair).collect()
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ReadingError {
    #[error("{text:?}, which {flag} gives, is not one character")]
    Character { flag: &'static str, text: String },
    #[error("{text:?}, which {flag} gives, is no pair with = between")]
    Pair { flag: &'static str, text: String },
    #[error("{label} is no encoding")]
    Encoding { label: String },
    #[error("{address} is no address")]
    Address { address: String, source: url::ParseError },
    #[error("no file fits {pattern}")]
    NoMatch { pattern: String },
    #[error("{pattern} is no pattern")]
    Pattern { pattern: String, source: glob::PatternError },
}

impl Problem for ReadingError {
    fn code(&self) -> Code {
        match self {
            ReadingError::Character { .. }
            | ReadingError::Pair { .. }
            | ReadingError::Encoding { .. }
            | ReadingError::Address { .. }
            | ReadingError::Pattern { .. } => code::TM1432,
            ReadingError::NoMatch { .. } => code::TM1434,
        }
    }

    fn help(&self) -> String {
        match self {
            ReadingError::Character { .. } => "give one character of ASCII, or \\t".to_owned(),
            ReadingError::Pair { flag: "--rename", .. } => "write it as --rename OLD=NEW".to_owned(),
            ReadingError::Pair { .. } => "write it as --types FIELD=TYPE".to_owned(),
            ReadingError::Encoding { .. } => {
                "take a name of https://encoding.spec.whatwg.org, such as windows-1252, iso-8859-2 or utf-16le"
                    .to_owned()
            }
            ReadingError::Address { .. } => "write it as https://HOST/PATH".to_owned(),
            ReadingError::NoMatch { .. } => {
                "look what is there with ls; a folder is searched for names with a known ending".to_owned()
            }
            ReadingError::Pattern { .. } => "take * ? [abc] and **".to_owned(),
        }
    }
}
