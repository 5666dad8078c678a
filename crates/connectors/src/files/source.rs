//! Files read as streams: a split each, read by the reader of its format.

use std::{collections::HashMap, io, io::Read as _, sync::Arc};

use arrow_schema::SchemaRef;
use async_trait::async_trait;
use base::{Ask, Discovery, Fault, Lease, Place, Position, Read, Reader, Source, Split};
use parking_lot::Mutex;

use super::{
    Config, Error, Format, Input, Packing,
    avro::AvroReader,
    csv::{self, Dialect},
    cut::Cutter,
    excel,
    json::{self, Document},
    parquet::{Bytes, ParquetReader},
    remote::{Parts, Remote},
    rows::Rows,
    stream::{self, Stdin, Stream, Utf8},
    text::{Counts, TextReader},
};

pub struct FileSource {
    config: Config,
    is_look: bool,
    in_columns: bool,
    files: Arc<HashMap<Arc<str>, Known>>,
    told: Mutex<bool>,
    stdin: Stdin,
}

/// What is known of an input before it is read.
#[derive(Debug, Clone)]
struct Known {
    input: Input,
    format: Format,
    packing: Option<Packing>,
    dialect: Dialect,
}

/// Enough to tell what a file holds.
const HEAD_BYTES: usize = 64 << 10;

impl FileSource {
    /// Checks that each file is there and its format is known. Reads the first bytes where the names do not tell it.
    ///
    /// # Errors
    /// `NoPath`, `Open`, `UnknownFormat`, `Fetch`.
    pub fn open(config: Config) -> Result<Self, Error> {
        if config.inputs.is_empty() {
            return Err(Error::NoPath);
        }
        let stdin = Stdin::default();
        let known = |input: &Input| {
            // A file that is not there is said now.
            let raw = stream::raw(input, &stdin, true)?;
            Ok((input.name.clone(), know(&config, input, raw)?))
        };
        let files = Arc::new(config.inputs.iter().map(known).collect::<Result<_, Error>>()?);
        Ok(Self { config, is_look: false, in_columns: false, files, told: Mutex::new(false), stdin })
    }

    /// The same source from its start, for a look that takes nothing away.
    pub fn looking(&self) -> Self {
        Self { is_look: true, ..self.again() }
    }

    /// The same source from its start, which gives Parquet and Avro as columns: for a target that takes them.
    pub fn in_columns(&self) -> Self {
        Self { in_columns: true, ..self.again() }
    }

    fn again(&self) -> Self {
        Self {
            config: self.config.clone(),
            is_look: self.is_look,
            in_columns: self.in_columns,
            files: self.files.clone(),
            told: Mutex::new(false),
            stdin: self.stdin.clone(),
        }
    }

    /// The columns of all files; `None` where one of them has none that are told, or others. Waits for files that are not here.
    ///
    /// # Errors
    /// `Open`, `Fetch`, `Broken`.
    pub fn arrow(&self) -> Result<Option<SchemaRef>, Error> {
        let mut common: Option<SchemaRef> = None;
        for input in &self.config.inputs {
            let known = self.known(&input.name)?;
            if !matches!(known.format, Format::Parquet | Format::Avro) {
                return Ok(None);
            }
            let schema = match AnyReader::open(&self.config, known, &self.stdin, 0, true)? {
                AnyReader::Parquet(reader) => Some(reader.schema()),
                AnyReader::Avro(reader) => reader.schema(),
                AnyReader::Text(_) => None,
            };
            let Some(schema) = schema else { return Ok(None) };
            match &common {
                Some(common) if common.fields() != schema.fields() => return Ok(None),
                Some(_) => {}
                None => common = Some(schema),
            }
        }
        Ok(common)
    }

    /// What it reads.
    pub fn inputs(&self) -> &[Input] {
        &self.config.inputs
    }

    fn known(&self, name: &str) -> Result<&Known, Error> {
        self.files
            .get(name)
            .ok_or_else(|| Error::Open { path: name.into(), source: io::ErrorKind::NotFound.into() })
    }

    /// What an input holds.
    ///
    /// # Errors
    /// `Open`: it is none of this source.
    pub fn format(&self, name: &str) -> Result<Format, Error> {
        Ok(self.known(name)?.format)
    }

    /// How the records of a CSV file, or the rows of a sheet, are written.
    ///
    /// # Errors
    /// `Open`: it is none of this source.
    pub fn dialect(&self, name: &str) -> Result<Dialect, Error> {
        Ok(self.known(name)?.dialect)
    }

    /// The names in the header of a CSV file or a sheet, in their order; made ones where it has no header.
    ///
    /// # Errors
    /// `NoHeader`, `Open`, `Malformed`.
    pub fn columns(&self, name: &str) -> Result<Vec<String>, Error> {
        let known = self.known(name)?;
        let mut reader = text_reader(&self.config, known, &self.stdin, true)?;
        reader.skip_lines(self.config.skip_lines)?;
        let names = reader.header(known.dialect, self.config.has_header)?;
        Ok(names.iter().map(|name| name.to_string()).collect())
    }

    /// A reader from the start that takes nothing away: standard input can still be read after it.
    ///
    /// # Errors
    /// As reading gives them.
    pub async fn look(&self, name: &str) -> Result<Box<dyn Reader>, Fault> {
        self.reader(name, &Position::Start, true).await
    }

    async fn reader(&self, name: &str, from: &Position, is_look: bool) -> Result<Box<dyn Reader>, Fault> {
        let from = match from {
            Position::Start => 0,
            Position::Mark(mark) => u64::try_from(*mark).unwrap_or(0),
            Position::Token(_) => {
                return Err(Fault::Fatal(format!("{name}: position {from} is no line").into()));
            }
        };
        let (config, stdin) = (self.config.clone(), self.stdin.clone());
        let known = self.known(name).map_err(|error| Fault::Fatal(Box::new(error)))?.clone();
        let in_columns = self.in_columns;
        let opened = tokio::task::spawn_blocking(move || {
            let mut reader = AnyReader::open(&config, &known, &stdin, from, is_look)?;
            match &mut reader {
                AnyReader::Parquet(reader) => reader.in_columns = in_columns,
                AnyReader::Avro(reader) if in_columns => reader.columns = reader.schema(),
                AnyReader::Avro(_) | AnyReader::Text(_) => {}
            }
            Ok::<_, Error>(reader)
        });
        let reader = opened.await.map_err(|panicked| Fault::Fatal(Box::new(panicked)))?;
        Ok(Box::new(LaneReader { reader: reader.map(Some).map_err(|error| Fault::Fatal(Box::new(error)))? }))
    }
}

fn know(config: &Config, input: &Input, raw: Stream) -> Result<Known, Error> {
    let by_name = config.format.or_else(|| Format::of_name(&input.name));
    let mut packing = Packing::of_name(&input.name);
    let mut format = by_name;
    let mut delimiter = config.delimiter;
    // One JSON document or a value a line: both are called `.json`.
    let is_unsure = match (config.format, by_name) {
        (_, None) => true,
        (None, Some(Format::Json)) => config.records == json::Path::default(),
        // Its format is said, but not how it is packed.
        _ => Format::of_name(&input.name).is_none(),
    };
    if is_unsure {
        let head = head(input, raw, &mut packing)?;
        if by_name.is_none() {
            let unknown = || Error::UnknownFormat { path: input.name.clone() };
            format = Some(Format::of_content(&head).ok_or_else(unknown)?);
            if format == Some(Format::Csv) && delimiter.is_none() {
                delimiter = delimiter_of(&head);
            }
        } else if by_name == Some(Format::Json) && config.format.is_none() {
            format = Some(Format::of_json(&head));
        }
    }
    let format = format.ok_or_else(|| Error::UnknownFormat { path: input.name.clone() })?;
    let is_tabbed = input.name.to_ascii_lowercase().contains(".tsv");
    let dialect = match format {
        Format::Excel => excel::DIALECT,
        _ => Dialect {
            delimiter: delimiter.unwrap_or(if is_tabbed { b'\t' } else { b',' }),
            quote: config.quote,
            escape: config.escape,
            comment: config.comment,
        },
    };
    Ok(Known { input: input.clone(), format, packing, dialect })
}

/// The first bytes, unpacked; how it is packed is told by them where the name does not.
fn head(input: &Input, mut raw: Stream, packing: &mut Option<Packing>) -> Result<Vec<u8>, Error> {
    let broken = |source| Error::broken(input.name.clone(), 1, source, input.is_remote());
    let mut head = Vec::new();
    raw.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(broken)?;
    *packing = packing.or_else(|| Packing::of_content(&head));
    if packing.is_none() {
        return Ok(head);
    }
    let mut unpacked =
        stream::unpacked(Box::new(io::Cursor::new(head).chain(raw)), *packing).map_err(broken)?;
    let mut head = vec![0; HEAD_BYTES];
    let mut count = 0;
    while count < head.len() {
        // A short file that breaks off is told by whoever reads it.
        match unpacked.read(&mut head[count..]) {
            Ok(0) | Err(_) => break,
            Ok(more) => count += more,
        }
    }
    head.truncate(count);
    Ok(head)
}

/// Of the usual ones that which the first line has most of; a comma where it has none.
fn delimiter_of(head: &[u8]) -> Option<u8> {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |delimiter: &u8| memchr::memchr_iter(*delimiter, line).count();
    // The last of equals is taken: a comma before all others.
    [b'|', b';', b'\t', b','].into_iter().max_by_key(count).filter(|delimiter| count(delimiter) > 0)
}

/// A reader of lines, elements, entries or rows of a sheet, before its first record.
fn text_reader(config: &Config, known: &Known, stdin: &Stdin, is_look: bool) -> Result<TextReader, Error> {
    let name = known.input.name.clone();
    let opened = |source| Error::broken(name.clone(), 1, source, known.input.is_remote());
    let (stream, counts): (Stream, Counts) = match known.format {
        Format::Excel => {
            let file = stream::seekable(&known.input, known.packing, stdin, is_look)?;
            (excel::text(file, name.clone(), config.sheet.clone())?, Counts::Rows)
        }
        _ => {
            let raw = stream::raw(&known.input, stdin, is_look)?;
            let plain = stream::unpacked(raw, known.packing).map_err(opened)?;
            let counts = if known.format == Format::Json { Counts::Records } else { Counts::Lines };
            (utf8(plain, config).map_err(opened)?, counts)
        }
    };
    let cutter: Box<dyn Cutter> = match known.format {
        Format::JsonLines => Box::new(json::Lines),
        Format::Json => Box::new(Document::new(config.records.clone())),
        _ => Box::new(csv::Lines { dialect: known.dialect }),
    };
    let mut reader = TextReader::new(stream, cutter, counts, config, name);
    reader.is_remote = known.input.is_remote();
    Ok(reader)
}

/// Text as UTF-8: by the encoding that was said, or by a byte order mark.
fn utf8(mut plain: Stream, config: &Config) -> io::Result<Stream> {
    let mut head = [0; 3];
    let mut count = 0;
    while count < head.len() {
        match plain.read(&mut head[count..])? {
            0 => break,
            more => count += more,
        }
    }
    let marked = stream::marked(&head[..count]);
    let skipped = marked.map_or(0, |(_, length)| length);
    let rest = io::Cursor::new(head[skipped..count].to_vec()).chain(plain);
    let encoding = marked.map(|(encoding, _)| encoding).or(config.encoding);
    Ok(match encoding {
        None => Box::new(rest),
        Some(encoding) if encoding == encoding_rs::UTF_8 && config.encoding.is_none() => Box::new(rest),
        Some(encoding) => Box::new(Utf8::new(Box::new(rest), encoding)),
    })
}

fn parquet_reader(
    config: &Config,
    known: &Known,
    stdin: &Stdin,
    from: u64,
    is_look: bool,
) -> Result<ParquetReader, Error> {
    let (name, is_remote) = (known.input.name.clone(), known.input.is_remote());
    let rows = Rows::new(name.clone(), is_remote, from, config.records_count_max);
    let parts = match (is_remote, known.packing) {
        (true, None) => {
            let remote = Remote::new(name.clone(), known.input.kind.clone())?;
            Parts::of(remote).map_err(|source| Error::broken(name, 1, source, is_remote))?
        }
        _ => None,
    };
    let bytes = match parts {
        Some(parts) => Bytes::Parts(Box::new(parts)),
        None => Bytes::File(stream::seekable(&known.input, known.packing, stdin, is_look)?),
    };
    ParquetReader::open(bytes, rows)
}

/// The reader of one file.
enum AnyReader {
    Text(Box<TextReader>),
    Avro(Box<AvroReader>),
    Parquet(Box<ParquetReader>),
}

impl AnyReader {
    fn open(config: &Config, known: &Known, stdin: &Stdin, from: u64, is_look: bool) -> Result<Self, Error> {
        let (name, is_remote) = (known.input.name.clone(), known.input.is_remote());
        let rows = || Rows::new(name.clone(), is_remote, from, config.records_count_max);
        let opened = |source| Error::broken(name.clone(), 1, source, is_remote);
        match known.format {
            Format::Csv | Format::JsonLines | Format::Json | Format::Excel => {
                let mut reader = text_reader(config, known, stdin, is_look)?;
                reader.from = from;
                reader.skip_lines(config.skip_lines)?;
                if matches!(known.format, Format::Csv | Format::Excel) && config.has_header {
                    reader.header(known.dialect, true)?;
                }
                Ok(AnyReader::Text(Box::new(reader)))
            }
            Format::Avro => {
                let raw = stream::raw(&known.input, stdin, is_look)?;
                let plain = stream::unpacked(raw, known.packing).map_err(opened)?;
                AvroReader::open(plain, rows()).map(|reader| AnyReader::Avro(Box::new(reader)))
            }
            Format::Parquet => {
                let reader = parquet_reader(config, known, stdin, from, is_look)?;
                Ok(AnyReader::Parquet(Box::new(reader)))
            }
        }
    }

    fn read(&mut self, bytes_max: usize, records_max: usize, lease: &Arc<Lease>) -> Result<Read, Error> {
        match self {
            AnyReader::Text(reader) => reader.read(bytes_max, records_max, lease),
            AnyReader::Avro(reader) => reader.read(bytes_max, records_max, lease),
            AnyReader::Parquet(reader) => reader.read(bytes_max, records_max, lease),
        }
    }
}

#[async_trait]
impl Source for FileSource {
    async fn discover(&self, _: &Ask) -> Result<Discovery, Fault> {
        if std::mem::replace(&mut *self.told.lock(), true) {
            return Ok(Discovery::Complete);
        }
        let split = |input: &Input| {
            let path = input.name.clone();
            Split { id: path.clone(), place: Arc::new(Place::File { path }) }
        };
        Ok(Discovery::Changed {
            assigned: self.config.inputs.iter().map(split).collect(),
            revoked: Vec::new(),
        })
    }

    async fn open(&self, split: &Split, from: &Position) -> Result<Box<dyn Reader>, Fault> {
        self.reader(&split.id, from, self.is_look).await
    }

    async fn covered(&self, _: &Split, _: &Position) -> Result<(), Fault> {
        Ok(())
    }
}

struct LaneReader {
    reader: Option<AnyReader>,
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
