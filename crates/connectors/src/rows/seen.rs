//! What the columns of CSV files are, found out from their first rows: one answer for all files that have the same columns.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow_array::Array;
use base::{Ask, Body, Fault, Kind, Lease, Read};
use contracts::infer::Inference;

use super::Error;
use crate::{files::FileSource, mapping::Cells};

/// Rows that decide a column's type; an odd value is rarely later.
const ROWS_COUNT_MAX: u64 = 1_000_000;
/// Read at once while looking.
const LOOK_BYTES: u64 = 4 << 20;
const LOOK_TIME_MAX: Duration = Duration::from_secs(60);

/// The columns of one or more files.
pub struct Seen {
    names: Vec<String>,
    cells: Arc<Cells>,
    inference: Inference,
    /// Where a value that decided against a narrower type stands, by column: `data.csv:17`.
    places: Vec<Option<String>>,
    /// A column of a sheet has texts: then it is one, whatever they look like.
    has_texts: Vec<bool>,
    rows_count_max: u64,
}

/// What a column is, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub column: String,
    /// `integer or null`
    pub what: String,
    pub why: String,
}

impl Seen {
    pub fn new(names: &[String], cells: Arc<Cells>) -> Self {
        let nulls: Vec<&str> = cells.mapping.nulls.iter().map(String::as_str).collect();
        Self {
            names: names.to_vec(),
            inference: Inference::new(&nulls),
            places: vec![None; names.len()],
            has_texts: vec![false; names.len()],
            rows_count_max: ROWS_COUNT_MAX,
            cells,
        }
    }

    /// Looks at so many rows, instead of a million.
    pub fn up_to(self, rows_count_max: u64) -> Self {
        Self { rows_count_max, ..self }
    }

    pub fn is_full(&self) -> bool {
        self.inference.rows_count() >= self.rows_count_max
    }

    pub fn rows_count(&self) -> u64 {
        self.inference.rows_count()
    }

    /// Looks at a file until there were enough rows.
    ///
    /// # Errors
    /// `NotInferred`, with what kept the file from being read.
    pub async fn look(&mut self, source: &FileSource, path: &str) -> Result<(), Error> {
        let refuse = |fault: Fault| Error::NotInferred { path: path.to_owned(), source: fault.into_inner() };
        let ask = || Ask {
            bytes_max: LOOK_BYTES,
            records_max: usize::MAX,
            deadline: Instant::now() + LOOK_TIME_MAX,
            lease: Lease::free(),
        };
        let cells = self.cells.looking();
        let mut columns: Option<Vec<usize>> = None;
        let mut reader = source.look(path).await.map_err(refuse)?;
        while !self.is_full() {
            let batch = match reader.read(&ask()).await {
                Ok(Read::Batch(batch)) => batch,
                Ok(Read::Idle) => continue,
                Ok(Read::End) => break,
                // What was read of standard input may end anywhere; what is wrong comes again when it is loaded.
                Err(_) if self.rows_count() > 0 => break,
                Err(fault) => return Err(refuse(fault)),
            };
            let Body::Raw(records) = &batch.body else { break };
            let mut fields = Vec::new();
            for row in 0..records.len() {
                if self.is_full() {
                    break;
                }
                fields.clear();
                let record = records.value(row);
                if cells.split(record, &mut fields).is_ok() {
                    let names = || self.names.iter().map(String::as_str).collect::<Vec<_>>();
                    let columns = columns.get_or_insert_with(|| self.inference.places(&names()));
                    self.add(&cells, columns, record, &fields, || {
                        format!("{path}:{}", batch.envelope.mark(row).unwrap_or(0))
                    });
                }
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        cells: &Cells,
        columns: &[usize],
        record: &[u8],
        fields: &[Cow<'_, [u8]>],
        place: impl Fn() -> String,
    ) {
        if cells.is_sheet {
            for (number, has_text) in self.has_texts.iter_mut().enumerate() {
                *has_text |= !*has_text && record.get(cells.start(record, number)) == Some(&b'"');
            }
        }
        let decided = self.inference.add_cells(columns, fields.iter().map(|field| &**field));
        for number in decided {
            self.places[number] = Some(place());
        }
    }

    /// The kind of each column: as it was declared, else as it was seen.
    pub fn kinds(&self) -> Vec<Kind> {
        let kind = |(number, name): (usize, &String)| match self.cells.declared(number) {
            Some(declared) => declared.kind(),
            None if self.has_texts[number] => Kind::String,
            None if self.cells.is_sheet && self.inference.is_date_or_time(name) => Kind::TimestampMs,
            None => self.inference.kind(name),
        };
        self.names.iter().enumerate().map(kind).collect()
    }

    /// Each column with what it is, and the record that decided it.
    pub fn decisions(&self) -> Vec<Decision> {
        let decision = |(number, name): (usize, &String)| {
            let (mut what, mut why) = self.inference.decision(name);
            if let Some(declared) = self.cells.declared(number) {
                (what, why) = (declared.to_string(), "--types says so".to_owned());
            } else if self.has_texts[number] {
                (what, why) = ("string".to_owned(), "the sheet has texts in it".to_owned());
            } else if let Some(place) = &self.places[number] {
                why = if why.is_empty() { format!("decided by {place}") } else { format!("{why} ({place})") };
            }
            Decision { column: name.clone(), what, why }
        };
        self.names.iter().enumerate().map(decision).collect()
    }
}
