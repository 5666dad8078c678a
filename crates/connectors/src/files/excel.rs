//! A sheet of an Excel (or OpenDocument) file as a stream of CSV: texts in quotes, all else without. A row is a line, an empty
//! row an empty one, so that a line's number is the row's.
//!
//! A thread of its own walks the cells, as the reader of a sheet borrows its book; it is ahead by two pieces. Sheets of `.xlsx`
//! and `.xlsb` are never held as a whole, only the book's texts are.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use calamine::{Data, DataRef, Dimensions, ExcelDateTime, Ods, Reader as _, Xls, Xlsb, Xlsx};

use super::{Error, csv::Dialect, stream::Stream};

/// What the stream is written in.
pub(super) const DIALECT: Dialect = Dialect::of(b',');
const PIECE_BYTES: usize = 256 << 10;
const PIECES_COUNT_MAX: usize = 2;
/// Excel's own limits.
const ROWS_COUNT_MAX: u32 = 1 << 20;
const COLUMNS_COUNT_MAX: u32 = 1 << 14;
const ZIP: &[u8] = b"PK\x03\x04";

enum Book {
    Xlsx(Box<Xlsx<BufReader<File>>>),
    Xlsb(Box<Xlsb<BufReader<File>>>),
    Ods(Box<Ods<BufReader<File>>>),
    Xls(Box<Xls<BufReader<File>>>),
}

type Pieces = SyncSender<Result<Vec<u8>, Error>>;

/// The sheet of this name, or the first.
pub(super) fn text(file: File, path: Arc<str>, sheet: Option<String>) -> Result<Stream, Error> {
    let (sender, receiver) = sync_channel(PIECES_COUNT_MAX);
    let named = path.clone();
    let walk = move || {
        let ended = open(&file, &named).and_then(|book| book.walk(sheet, &named, &sender));
        if let Err(error) = ended {
            sender.send(Err(error)).ok(); // a reader that left does not want to know
        }
    };
    let started = thread::Builder::new().name("excel".to_owned()).spawn(walk);
    started.map_err(|source| Error::Open { path, source })?;
    // What is wrong with the book is said at once.
    let first = receiver.recv().unwrap_or_else(|_| Ok(Vec::new()))?;
    Ok(Box::new(Piped { receiver, piece: first, at: 0 }))
}

struct Piped {
    receiver: Receiver<Result<Vec<u8>, Error>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Piped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            match self.receiver.recv() {
                Ok(piece) => (self.piece, self.at) = (piece.map_err(io::Error::other)?, 0),
                Err(_) => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len() - self.at);
        buffer[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

fn broken(path: &Arc<str>, reason: impl ToString) -> Error {
    Error::Broken { path: path.clone(), record: 1, format: "Excel", reason: reason.to_string() }
}

/// Which of the four it is, by what is in it.
fn open(file: &File, path: &Arc<str>) -> Result<Book, Error> {
    let again = || -> io::Result<BufReader<File>> {
        let mut file = file.try_clone()?;
        file.rewind()?;
        Ok(BufReader::new(file))
    };
    let read = |source| Error::Read { path: path.clone(), line: 1, source };
    let mut magic = [0; 4];
    let is_zip = again().map_err(read)?.read_exact(&mut magic).is_ok() && magic == *ZIP;
    if !is_zip {
        let book = Xls::new(again().map_err(read)?).map_err(|error| broken(path, error))?;
        return Ok(Book::Xls(Box::new(book)));
    }
    let error = match Xlsx::new(again().map_err(read)?) {
        Ok(book) if !book.sheet_names().is_empty() => return Ok(Book::Xlsx(Box::new(book))),
        Ok(_) => "it has no sheets".to_owned(),
        Err(error) => error.to_string(),
    };
    if let Ok(book) = Xlsb::new(again().map_err(read)?)
        && !book.sheet_names().is_empty()
    {
        return Ok(Book::Xlsb(Box::new(book)));
    }
    match Ods::new(again().map_err(read)?) {
        Ok(book) => Ok(Book::Ods(Box::new(book))),
        Err(_) => Err(broken(path, error)),
    }
}

impl Book {
    fn walk(self, sheet: Option<String>, path: &Arc<str>, sender: &Pieces) -> Result<(), Error> {
        let names = match &self {
            Book::Xlsx(book) => book.sheet_names(),
            Book::Xlsb(book) => book.sheet_names(),
            Book::Ods(book) => book.sheet_names(),
            Book::Xls(book) => book.sheet_names(),
        };
        let sheet = match sheet {
            None => names.first().cloned().ok_or_else(|| broken(path, "it has no sheets"))?,
            Some(sheet) if names.contains(&sheet) => sheet,
            Some(sheet) => {
                return Err(Error::NoSheet { path: path.clone(), sheet, sheets: names.join(", ") });
            }
        };
        let wrong = |error: &dyn ToString| broken(path, error.to_string());
        match self {
            Book::Xlsx(mut book) => {
                let mut cells = book.worksheet_cells_reader(&sheet).map_err(|error| wrong(&error))?;
                let mut lines = Lines::new(cells.dimensions(), path, sender);
                while let Some(cell) = cells.next_cell().map_err(|error| wrong(&error))? {
                    lines.cell(cell.get_position(), cell.get_value())?;
                }
                lines.finish()
            }
            Book::Xlsb(mut book) => {
                let mut cells = book.worksheet_cells_reader(&sheet).map_err(|error| wrong(&error))?;
                let mut lines = Lines::new(cells.dimensions(), path, sender);
                while let Some(cell) = cells.next_cell().map_err(|error| wrong(&error))? {
                    lines.cell(cell.get_position(), cell.get_value())?;
                }
                lines.finish()
            }
            Book::Ods(mut book) => {
                range(&book.worksheet_range(&sheet).map_err(|error| wrong(&error))?, path, sender)
            }
            Book::Xls(mut book) => {
                range(&book.worksheet_range(&sheet).map_err(|error| wrong(&error))?, path, sender)
            }
        }
    }
}

fn range(range: &calamine::Range<Data>, path: &Arc<str>, sender: &Pieces) -> Result<(), Error> {
    let (start, end) = (range.start().unwrap_or_default(), range.end().unwrap_or_default());
    let mut lines = Lines::new(Dimensions { start, end }, path, sender);
    for (row, column, value) in range.used_cells() {
        let place = (start.0.saturating_add(row as u32), start.1.saturating_add(column as u32));
        lines.cell(place, &borrowed(value))?;
    }
    lines.finish()
}

fn borrowed(value: &Data) -> DataRef<'_> {
    match value {
        Data::Int(number) => DataRef::Int(*number),
        Data::Float(number) => DataRef::Float(*number),
        Data::String(text) => DataRef::SharedString(text),
        Data::Bool(is) => DataRef::Bool(*is),
        Data::DateTime(moment) => DataRef::DateTime(*moment),
        Data::DateTimeIso(text) => DataRef::DateTimeIso(text.clone()),
        Data::DurationIso(text) => DataRef::DurationIso(text.clone()),
        Data::Error(error) => DataRef::Error(error.clone()),
        Data::Empty => DataRef::Empty,
    }
}

/// Cells in their order, written as lines.
struct Lines<'a> {
    path: &'a Arc<str>,
    sender: &'a Pieces,
    first_column: u32,
    width: u32,
    out: Vec<u8>,
    row: u32,
    /// Fields of the row that are written.
    count: u32,
}

impl<'a> Lines<'a> {
    fn new(dimensions: Dimensions, path: &'a Arc<str>, sender: &'a Pieces) -> Self {
        let first_column = dimensions.start.1;
        let width = dimensions.end.1.saturating_sub(first_column).saturating_add(1).min(COLUMNS_COUNT_MAX);
        Self { path, sender, first_column, width, out: Vec::new(), row: 0, count: 0 }
    }

    fn cell(&mut self, (row, column): (u32, u32), value: &DataRef<'_>) -> Result<(), Error> {
        if row < self.row || row >= ROWS_COUNT_MAX || column >= COLUMNS_COUNT_MAX {
            return Err(broken(
                self.path,
                format!("a cell in row {}, column {}", u64::from(row) + 1, u64::from(column) + 1),
            ));
        }
        if matches!(value, DataRef::Empty) {
            return Ok(());
        }
        while self.row < row {
            self.end_row()?;
        }
        let column = column.saturating_sub(self.first_column);
        while self.count <= column {
            if self.count > 0 {
                self.out.push(b',');
            }
            self.count += 1;
        }
        write(value, &mut self.out);
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), Error> {
        if self.count > 0 {
            let missing = self.width.saturating_sub(self.count) as usize;
            self.out.resize(self.out.len() + missing, b',');
        }
        self.out.push(b'\n');
        self.row += 1;
        self.count = 0;
        if self.out.len() >= PIECE_BYTES {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Error> {
        let piece = std::mem::take(&mut self.out);
        let left =
            |_| Error::Read { path: self.path.clone(), line: 1, source: io::ErrorKind::BrokenPipe.into() };
        self.sender.send(Ok(piece)).map_err(left)
    }

    fn finish(mut self) -> Result<(), Error> {
        if self.count > 0 {
            self.end_row()?;
        }
        self.send()
    }
}

/// A value as CSV: only texts stand in quotes.
fn write(value: &DataRef<'_>, out: &mut Vec<u8>) {
    match value {
        DataRef::Empty => {}
        DataRef::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
        DataRef::Float(number) => out.extend_from_slice(number.to_string().as_bytes()),
        DataRef::Bool(is) => out.extend_from_slice(if *is { b"true" } else { b"false" }),
        DataRef::DateTime(moment) if moment.is_datetime() => {
            out.extend_from_slice(moment_text(moment).as_bytes())
        }
        DataRef::DateTime(span) => out.extend_from_slice(span_text(span).as_bytes()),
        DataRef::DateTimeIso(text) => {
            out.extend_from_slice(text.as_bytes());
            if text.contains('T') && !text.ends_with('Z') {
                out.push(b'Z');
            }
        }
        DataRef::String(text) | DataRef::DurationIso(text) => quoted(text, out),
        DataRef::SharedString(text) => quoted(text, out),
        DataRef::Error(error) => quoted(&error.to_string(), out),
    }
}

fn quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// A date where it is midnight: Excel has one type for both. It knows no zone; UTC is as good as any.
fn moment_text(moment: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, ms) = moment.to_ymd_hms_milli();
    let date = format!("{year:04}-{month:02}-{day:02}");
    match (hour, minute, second, ms) {
        (0, 0, 0, 0) => date,
        (_, _, _, 0) => format!("{date}T{hour:02}:{minute:02}:{second:02}Z"),
        _ => format!("{date}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z"),
    }
}

/// Hours, minutes and seconds; there may be more than 24 of the first.
fn span_text(span: &ExcelDateTime) -> String {
    let seconds = (span.as_f64() * 86_400.0).round();
    let sign = if seconds < 0.0 { "-" } else { "" };
    let seconds = seconds.abs() as u64;
    format!("\"{sign}{:02}:{:02}:{:02}\"", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}
