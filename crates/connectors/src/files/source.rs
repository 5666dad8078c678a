//! Files read as streams: a split each, records as received, lines as marks.

use std::{
    fs::File,
    io::{self, BufReader, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{BinaryViewArray, builder::make_view};
use arrow_buffer::{Buffer, ScalarBuffer};
use async_trait::async_trait;
use base::{
    Ask, Batch, Body, Discovery, Envelope, Fault, Lease, Place, Position, Read, Reader, Source, Split,
};
use parking_lot::Mutex;

use super::{Config, Error, Format, csv, json};

pub struct FileSource {
    config: Config,
    told: Mutex<bool>,
    /// Standard input, once its header has been read: it cannot be opened again.
    stdin: Mutex<Option<FileReader>>,
}

/// How far a record goes in what has been read; lines inside it are counted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// A record at `start..end`; the next one begins at `next`.
    Record { start: usize, end: usize, next: usize },
    /// Nothing but space up to `next`.
    Skip { next: usize },
    /// More bytes are needed to tell.
    More,
    /// No more records.
    End,
}

/// Finds records in a stream of bytes.
pub(super) trait Cutter: Send {
    /// Looks at `bytes`, which begin where the last cut ended; `is_end`: nothing follows them.
    fn cut(&mut self, bytes: &[u8], is_end: bool) -> Result<Cut, Flaw>;
}

/// What stops a cutter: the place is counted from the bytes it was given.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) at: usize,
    pub(super) reason: String,
}

const READ_BYTES: usize = 256 << 10;

impl FileSource {
    /// Checks that each file is there and its format is known.
    ///
    /// # Errors
    /// `Open`, `UnknownFormat`, `NoPath`.
    pub fn open(config: Config) -> Result<Self, Error> {
        if config.paths.is_empty() {
            return Err(Error::NoPath);
        }
        for path in &config.paths {
            config.format_of(path)?;
            if path != Path::new("-") {
                let open = |source| Error::Open { path: path.clone(), source };
                let file = File::open(path).map_err(open)?;
                if file.metadata().map_err(open)?.is_dir() {
                    return Err(open(io::Error::from(io::ErrorKind::IsADirectory)));
                }
            }
        }
        Ok(Self { config, told: Mutex::new(false), stdin: Mutex::new(None) })
    }

    /// The names in the header of a CSV file, in their order.
    ///
    /// # Errors
    /// `NoHeader`, `Open`, `Malformed`.
    pub fn csv_header(&self, path: &Path) -> Result<Vec<String>, Error> {
        let name: Arc<str> = path.to_string_lossy().into();
        let mut reader = FileReader::open(&self.config, path, name.clone())?;
        let header = reader.header()?;
        if path == Path::new("-") {
            *self.stdin.lock() = Some(reader);
        }
        Ok(header.iter().map(|name| name.to_string()).collect())
    }
}

#[async_trait]
impl Source for FileSource {
    async fn discover(&self, _: &Ask) -> Result<Discovery, Fault> {
        if std::mem::replace(&mut *self.told.lock(), true) {
            return Ok(Discovery::Complete);
        }
        let split = |path: &PathBuf| {
            let path: Arc<str> = path.to_string_lossy().into();
            Split { id: path.clone(), place: Arc::new(Place::File { path }) }
        };
        Ok(Discovery::Changed {
            assigned: self.config.paths.iter().map(split).collect(),
            revoked: Vec::new(),
        })
    }

    async fn open(&self, split: &Split, from: &Position) -> Result<Box<dyn Reader>, Fault> {
        if &*split.id == "-"
            && let Some(reader) = self.stdin.lock().take()
        {
            return Ok(Box::new(LaneReader { reader: Some(reader) }));
        }
        if let Position::Token(_) = from {
            return Err(Fault::Fatal(format!("{}: position {from} is no line", split.id).into()));
        }
        let (config, split, from) = (self.config.clone(), split.clone(), from.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let mut reader = FileReader::open(&config, Path::new(&*split.id), split.id.clone())?;
            if let Position::Mark(line) = from {
                reader.from_line = line.max(0) as u64;
            }
            if matches!(config.format_of(Path::new(&*split.id))?, Format::Csv) {
                reader.header()?;
            }
            Ok::<_, Error>(reader)
        });
        let reader = opened.await.map_err(|panicked| Fault::Fatal(Box::new(panicked)))?;
        Ok(Box::new(LaneReader { reader: reader.map(Some).map_err(|error| Fault::Fatal(Box::new(error)))? }))
    }

    async fn covered(&self, _: &Split, _: &Position) -> Result<(), Fault> {
        Ok(())
    }
}

pub(super) struct FileReader {
    stream: Box<dyn io::Read + Send>,
    cutter: Box<dyn Cutter>,
    place: Arc<Place>,
    path: Arc<str>,
    /// Read and not yet cut: `buffer[start..]`.
    buffer: Vec<u8>,
    start: usize,
    is_end: bool,
    /// The line at `start`, counted from 1.
    line: u64,
    /// Bytes of that line before `start`.
    column: u64,
    /// Records before this line are passed over.
    from_line: u64,
    delimiter: u8,
    record_bytes_max: usize,
    left_count: u64,
}

impl FileReader {
    pub(super) fn open(config: &Config, path: &Path, name: Arc<str>) -> Result<Self, Error> {
        let open = |source| Error::Open { path: path.to_owned(), source };
        let raw: Box<dyn io::Read + Send> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).map_err(open)?)
        };
        let stream: Box<dyn io::Read + Send> = match path.extension().and_then(|extension| extension.to_str())
        {
            Some("gz") => {
                Box::new(flate2::read::MultiGzDecoder::new(BufReader::with_capacity(READ_BYTES, raw)))
            }
            Some("zst") => Box::new(zstd::stream::read::Decoder::new(raw).map_err(open)?),
            _ => raw,
        };
        let delimiter = config.delimiter_of(path);
        let cutter: Box<dyn Cutter> = match config.format_of(path)? {
            Format::Csv => Box::new(csv::Lines { delimiter }),
            Format::JsonLines => Box::new(json::Lines),
            Format::Json => Box::new(json::Elements::default()),
        };
        Ok(Self {
            stream,
            cutter,
            place: Arc::new(Place::File { path: name.clone() }),
            path: name,
            buffer: Vec::new(),
            start: 0,
            is_end: false,
            line: 1,
            column: 0,
            from_line: 0,
            delimiter,
            record_bytes_max: config.record_bytes_max,
            left_count: config.records_count_max.unwrap_or(u64::MAX),
        })
    }

    /// The names in the first line of a CSV file.
    pub(super) fn header(&mut self) -> Result<Arc<[Arc<str>]>, Error> {
        loop {
            match self.cut()? {
                Cut::Record { start, end, next } => {
                    let record = &self.buffer[self.start + start..self.start + end];
                    let record = record.strip_prefix(b"\xef\xbb\xbf").unwrap_or(record);
                    let names = csv::header(record, self.delimiter);
                    self.pass(next);
                    return Ok(names);
                }
                Cut::Skip { next } => self.pass(next),
                Cut::More => self.fill()?,
                Cut::End => return Err(Error::NoHeader { path: self.path.clone() }),
            }
        }
    }

    fn cut(&mut self) -> Result<Cut, Error> {
        let bytes = &self.buffer[self.start..];
        self.cutter.cut(bytes, self.is_end).map_err(|flaw| {
            let before = &bytes[..flaw.at.min(bytes.len())];
            let line = self.line + memchr::memchr_iter(b'\n', before).count() as u64;
            let inside = before.iter().rev().take_while(|byte| **byte != b'\n').count() as u64;
            let column = inside + 1 + if line == self.line { self.column } else { 0 };
            Error::Malformed { path: self.path.clone(), line, column, reason: flaw.reason }
        })
    }

    fn pass(&mut self, next: usize) {
        let passed = &self.buffer[self.start..self.start + next];
        match memchr::memrchr(b'\n', passed) {
            Some(last) => {
                self.line += memchr::memchr_iter(b'\n', passed).count() as u64;
                self.column = (next - last - 1) as u64;
            }
            None => self.column += next as u64,
        }
        self.start += next;
    }

    fn fill(&mut self) -> Result<(), Error> {
        if self.buffer.len() - self.start > self.record_bytes_max {
            let (path, line) = (self.path.clone(), self.line);
            return Err(Error::RecordTooLong { path, line, bytes_max: self.record_bytes_max });
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        let have = self.buffer.len();
        // Doubling: a long record is looked at again from its start each time.
        let more = READ_BYTES.max(have);
        self.buffer.resize(have + more, 0);
        let read = loop {
            match self.stream.read(&mut self.buffer[have..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let read = read.map_err(|source| Error::Read { path: self.path.clone(), line: self.line, source });
        self.buffer.truncate(have + *read.as_ref().unwrap_or(&0));
        self.is_end = read? == 0;
        Ok(())
    }

    fn read(&mut self, bytes_max: usize, records_max: usize, lease: &Arc<Lease>) -> Result<Read, Error> {
        let mut bytes = Vec::with_capacity(bytes_max.min(4 << 20));
        let (mut views, mut marks) = (Vec::new(), Vec::new());
        let mut has_ended = false;
        while bytes.len() < bytes_max && views.len() < records_max {
            if self.left_count == 0 {
                has_ended = true;
                break;
            }
            match self.cut()? {
                Cut::Record { start, end, next } => {
                    if self.line >= self.from_line {
                        let before = &self.buffer[self.start..self.start + start];
                        let line = self.line + memchr::memchr_iter(b'\n', before).count() as u64;
                        let record = &self.buffer[self.start + start..self.start + end];
                        views.push(make_view(record, 0, bytes.len() as u32));
                        bytes.extend_from_slice(record);
                        marks.push(line as i64);
                        self.left_count -= 1;
                    }
                    self.pass(next);
                }
                Cut::Skip { next } => self.pass(next),
                // What is complete goes on; a slow stream must not hold it back.
                Cut::More if !views.is_empty() && self.start + READ_BYTES / 4 < self.buffer.len() => break,
                Cut::More => self.fill()?,
                Cut::End => {
                    has_ended = true;
                    break;
                }
            }
        }
        if views.is_empty() {
            return Ok(if has_ended { Read::End } else { Read::Idle });
        }
        let values = BinaryViewArray::try_new(ScalarBuffer::from(views), vec![Buffer::from_vec(bytes)], None)
            .expect("the views were made from this buffer");
        let envelope = Envelope { marks: Some(ScalarBuffer::from(marks)), ..Envelope::default() };
        let end = Position::Mark(self.line as i64);
        let (place, lease) = (self.place.clone(), lease.clone());
        Ok(Read::Batch(Batch { body: Body::Raw(values), envelope, contract: None, place, end, lease }))
    }
}

struct LaneReader {
    reader: Option<FileReader>,
}

#[async_trait]
impl Reader for LaneReader {
    async fn read(&mut self, ask: &Ask) -> Result<Read, Fault> {
        let Some(mut reader) = self.reader.take() else { return Ok(Read::End) };
        let (bytes_max, records_max, lease) = (ask.bytes_max as usize, ask.records_max, ask.lease.clone());
        let read = tokio::task::spawn_blocking(move || {
            let read = reader.read(bytes_max, records_max, &lease);
            (reader, read)
        });
        let (reader, read) = read.await.map_err(|panicked| Fault::Fatal(Box::new(panicked)))?;
        self.reader = Some(reader);
        read.map_err(|error| Fault::Fatal(Box::new(error)))
    }
}
