//! One file of many parts: encoded and compressed beside each other on several threads, joined in their order.
//!
//! A part of JSON Lines or CSV is some lines, packed as gzip members or a zstd frame of its own; of Avro some blocks; of Parquet a row
//! group. What stands before, between and behind the parts is the joiner's, of which a file has one.

mod distinct;

use std::{io, sync::Arc};

use arrow_array::RecordBatch;
use arrow_schema::{FieldRef, SchemaRef};
use base::{Batch, Body, Contract, Rejects, Schema, Value, code};
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves},
    },
    file::{properties::EnabledStatistics, writer::SerializedFileWriter},
    schema::types::ColumnPath,
};

use crate::{
    Encoder, Error, Format, ParquetCodec, Settings,
    avro::AvroEncoder,
    columns,
    compress::packed,
    csv::CsvEncoder,
    json::JsonEncoder,
    parquet::{failed, properties},
    raw::RawEncoder,
    reject,
};

/// How the parts of one kind of file are made: shared by all threads.
pub struct Parts {
    settings: Settings,
    contract: Option<Arc<Contract>>,
    /// One JSON array, whose elements are the records, in place of lines.
    is_array: bool,
    parquet: Option<Groups>,
}

/// What row groups are made by.
struct Groups {
    schema: Arc<Schema>,
    arrow: SchemaRef,
    codec: ParquetCodec,
    factory: ArrowRowGroupWriterFactory,
}

/// Some records of a file, encoded.
pub struct Part {
    body: PartBody,
    pub records_count: u64,
}

enum PartBody {
    Bytes(Vec<u8>),
    Group(Vec<ArrowColumnChunk>),
}

/// Rows of a row group that are turned into columns together.
const BLOCK_ROWS_COUNT: usize = 8_192;

impl Parts {
    /// `contract` is that of all records; formats with a schema in the file need one.
    ///
    /// # Errors
    /// `NoSchema`, `SchemaUnfit`.
    pub fn new(settings: Settings, contract: Option<Arc<Contract>>, is_array: bool) -> Result<Self, Error> {
        if settings.format.needs_schema() && contract.is_none() {
            return Err(Error::NoSchema { format: settings.format.name() });
        }
        let parquet = match (&settings.format, &contract) {
            (Format::Parquet { codec }, Some(contract)) => {
                let arrow = columns::arrow_schema(&contract.schema)?;
                Some(Groups::new(contract.schema.clone(), arrow, *codec)?)
            }
            _ => None,
        };
        let parts = Self { settings, contract, is_array, parquet };
        parts.encoder()?;
        Ok(parts)
    }

    /// For records that come as these columns. Parquet keeps their types, also those that our schema has no word for.
    ///
    /// # Errors
    /// As [`Parts::new`].
    pub fn of_columns(
        settings: Settings,
        contract: Arc<Contract>,
        is_array: bool,
        arrow: SchemaRef,
    ) -> Result<Self, Error> {
        let schema = contract.schema.clone();
        let mut parts = Self::new(settings, Some(contract), is_array)?;
        if let Format::Parquet { codec } = parts.settings.format {
            parts.parquet = Some(Groups::new(schema, arrow, codec)?);
        }
        Ok(parts)
    }

    fn schema(&self) -> Result<&Arc<Schema>, Error> {
        let missing = Error::NoSchema { format: self.settings.format.name() };
        self.contract.as_ref().map(|contract| &contract.schema).ok_or(missing)
    }

    /// For one part: without what stands in a file once. Parquet has none.
    fn encoder(&self) -> Result<Option<Box<dyn Encoder>>, Error> {
        Ok(Some(match &self.settings.format {
            Format::Json(json) => Box::new(JsonEncoder::new(json.clone())),
            Format::Raw { separator } => Box::new(RawEncoder::new(separator.clone())),
            Format::Csv { delimiter } => {
                Box::new(CsvEncoder::without_header(self.schema()?.clone(), *delimiter))
            }
            Format::Avro { codec, is_enhanced } => {
                let mut encoder = AvroEncoder::new(self.schema()?, *codec, *is_enhanced)?;
                encoder.take_header();
                Box::new(encoder)
            }
            Format::Parquet { .. } => return Ok(None),
        }))
    }

    /// The part of these batches. Rows that the format cannot hold come back as rejects and are not in it.
    ///
    /// # Errors
    /// `Form`, `Encoder`.
    pub fn of_batches(&self, batches: &[Batch]) -> Result<(Part, Rejects), Error> {
        let mut rejects = Rejects::default();
        let part = self.of_batches_apart(batches, |_, refused| rejects.append(refused))?;
        Ok((part, rejects))
    }

    /// As `of_batches`; `refused` is given those of each batch, with its number.
    ///
    /// # Errors
    /// `Form`, `Encoder`.
    pub fn of_batches_apart(
        &self,
        batches: &[Batch],
        mut refused: impl FnMut(usize, Rejects),
    ) -> Result<Part, Error> {
        let Some(mut encoder) = self.encoder()? else { return self.group(batches, refused) };
        let (mut bytes, mut records_count) = (Vec::new(), 0);
        for (number, batch) in batches.iter().enumerate() {
            let of_schema = Batch { contract: self.contract.clone(), ..batch.clone() };
            let rejects = encoder.append(&of_schema, 0..batch.len(), &mut bytes)?;
            records_count += (batch.len() - rejects.0.len()) as u64;
            refused(number, rejects);
        }
        // Of CSV that has its header elsewhere, of JSON and of raw bytes nothing is left; of Avro the open block.
        encoder.finish(&mut bytes)?;
        self.of_text(bytes, records_count)
    }

    /// The part of text that is encoded already: whole lines, as this format has them.
    ///
    /// # Errors
    /// `Encoder`.
    pub fn of_text(&self, mut text: Vec<u8>, records_count: u64) -> Result<Part, Error> {
        if self.is_array {
            text = joined(&text);
        }
        let is_packed = self.settings.format.compresses_itself() || text.is_empty();
        let bytes = if is_packed { text } else { packed(self.settings.compression, text)? };
        Ok(Part { body: PartBody::Bytes(bytes), records_count })
    }

    /// The row group of these columns.
    ///
    /// # Errors
    /// `Encoder`; `Form` where the file is not Parquet.
    pub fn of_blocks(&self, blocks: &[RecordBatch]) -> Result<Part, Error> {
        self.groups()?.of(blocks)
    }

    fn groups(&self) -> Result<&Groups, Error> {
        let form = "columns";
        self.parquet.as_ref().ok_or(Error::Form { format: self.settings.format.name(), form })
    }

    fn group(&self, batches: &[Batch], mut refused: impl FnMut(usize, Rejects)) -> Result<Part, Error> {
        let mut blocks = Vec::new();
        for (number, batch) in batches.iter().enumerate() {
            let (more, rejects) = self.blocks(std::slice::from_ref(batch))?;
            blocks.extend(more);
            refused(number, rejects);
        }
        self.of_blocks(&blocks)
    }

    /// The columns of these batches, for a row group of Parquet that is made of several.
    ///
    /// # Errors
    /// `Form`, `Encoder`.
    pub fn blocks(&self, batches: &[Batch]) -> Result<(Vec<RecordBatch>, Rejects), Error> {
        let groups = self.groups()?;
        let (mut rejects, mut made) = (Rejects::default(), Vec::new());
        for batch in batches {
            let values: Vec<Value> = match &batch.body {
                Body::Rows(rows) => rows.to_vec(),
                Body::Columns(columns) if columns.schema().fields() == groups.arrow.fields() => {
                    made.push(columns.clone());
                    continue;
                }
                Body::Columns(columns) => columns::values(columns)?,
                Body::Raw(_) => return Err(Error::Form { format: "Parquet", form: "raw bytes" }),
            };
            let mut kept = Vec::with_capacity(values.len());
            for (row, value) in values.into_iter().enumerate() {
                match columns::check(&value, &groups.schema) {
                    Ok(()) => kept.push(value),
                    Err(reason) => rejects.0.push(reject(batch, row, code::TM0601, "TASK_PUT", reason)),
                }
            }
            for block in kept.chunks(BLOCK_ROWS_COUNT) {
                let block = columns::record_batch(block, &groups.schema, &groups.arrow)
                    .map_err(|source| Error::Encoder { format: "Parquet", source: source.into() })?;
                made.push(block);
            }
        }
        Ok((made, rejects))
    }

    /// What joins the parts of one file.
    ///
    /// # Errors
    /// `Encoder`, `SchemaUnfit`.
    pub fn joiner(&self) -> Result<Joiner, Error> {
        let pack = |text: &[u8]| packed(self.settings.compression, text.to_vec());
        let (mut head, mut between, mut tail, mut tail_of_none) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        match &self.settings.format {
            Format::Json(_) if self.is_array => {
                (head, between, tail) = (pack(b"[\n")?, pack(b",\n")?, pack(b"\n]\n")?);
                tail_of_none = pack(b"]\n")?;
            }
            // A file of no members is no gzip file.
            Format::Json(_) | Format::Raw { .. } => tail_of_none = pack(b"")?,
            Format::Csv { delimiter } => {
                CsvEncoder::new(self.schema()?.clone(), *delimiter).finish(&mut head)?;
                head = packed(self.settings.compression, head)?;
            }
            Format::Avro { codec, is_enhanced } => {
                head = AvroEncoder::new(self.schema()?, *codec, *is_enhanced)?.take_header();
            }
            Format::Parquet { .. } => {}
        }
        let parquet = match (&self.settings.format, &self.parquet) {
            (Format::Parquet { codec }, Some(groups)) => {
                Some(file_writer(&groups.arrow, *codec, &[], Vec::new())?.0)
            }
            _ => None,
        };
        Ok(Joiner { head, between, tail, tail_of_none, parquet, parts_count: 0, is_begun: false })
    }
}

impl Groups {
    fn new(schema: Arc<Schema>, arrow: SchemaRef, codec: ParquetCodec) -> Result<Self, Error> {
        let (_, factory) = file_writer(&arrow, codec, &[], io::sink())?;
        Ok(Self { schema, arrow, codec, factory })
    }

    fn of(&self, blocks: &[RecordBatch]) -> Result<Part, Error> {
        let records_count = blocks.iter().map(|block| block.num_rows() as u64).sum();
        // A dictionary of values that all differ takes a quarter of the time, and more room than they do.
        let is_distinct = |(place, _): &(usize, &FieldRef)| distinct::is_distinct(blocks, *place);
        let fields = self.arrow.fields().iter().enumerate();
        let plain: Vec<&str> = fields.filter(is_distinct).map(|(_, field)| field.name().as_str()).collect();
        let made;
        let factory = match plain.is_empty() {
            true => &self.factory,
            false => {
                (_, made) = file_writer(&self.arrow, self.codec, &plain, io::sink())?;
                &made
            }
        };
        let mut writers = factory.create_column_writers(0).map_err(failed)?;
        for block in blocks.iter().filter(|block| block.num_rows() > 0) {
            let mut next = writers.iter_mut();
            for (field, column) in self.arrow.fields().iter().zip(block.columns()) {
                for leaf in compute_leaves(field, column).map_err(failed)? {
                    if let Some(writer) = next.next() {
                        writer.write(&leaf).map_err(failed)?;
                    }
                }
            }
        }
        let chunks = writers.into_iter().map(|writer| writer.close()).collect::<Result<_, _>>();
        Ok(Part { body: PartBody::Group(chunks.map_err(failed)?), records_count })
    }
}

/// `plain`: columns that get no dictionary.
fn file_writer<W: io::Write + Send>(
    arrow: &SchemaRef,
    codec: ParquetCodec,
    plain: &[&str],
    out: W,
) -> Result<(SerializedFileWriter<W>, ArrowRowGroupWriterFactory), Error> {
    // The bounds of each column in a row group are what readers skip by; those of single pages cost more than they save.
    let mut properties = properties(codec).set_statistics_enabled(EnabledStatistics::Chunk);
    for name in plain {
        let path = ColumnPath::new(vec![(*name).to_owned()]);
        properties = properties.set_column_dictionary_enabled(path, false);
    }
    ArrowWriter::try_new(out, arrow.clone(), Some(properties.build()))
        .and_then(ArrowWriter::into_serialized_writer)
        .map_err(failed)
}

/// Lines as elements of an array: commas between them.
fn joined(lines: &[u8]) -> Vec<u8> {
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    let mut out = Vec::with_capacity(lines.len() + lines.len() / 64);
    for (place, line) in lines.split(|byte| *byte == b'\n').enumerate() {
        if place > 0 {
            out.extend_from_slice(b",\n");
        }
        out.extend_from_slice(line);
    }
    out
}

/// Joins the parts of one file.
pub struct Joiner {
    head: Vec<u8>,
    between: Vec<u8>,
    tail: Vec<u8>,
    tail_of_none: Vec<u8>,
    parquet: Option<SerializedFileWriter<Vec<u8>>>,
    parts_count: u64,
    is_begun: bool,
}

impl Joiner {
    /// Appends a part, and before the first one what the file begins with.
    ///
    /// # Errors
    /// `Encoder`.
    pub fn push(&mut self, part: Part, out: &mut Vec<u8>) -> Result<(), Error> {
        self.begin(out);
        if part.records_count == 0 {
            return Ok(());
        }
        if self.parts_count > 0 {
            out.extend_from_slice(&self.between);
        }
        self.parts_count += 1;
        match (part.body, &mut self.parquet) {
            (PartBody::Bytes(mut bytes), _) => out.append(&mut bytes),
            (PartBody::Group(chunks), Some(writer)) => {
                let mut group = writer.next_row_group().map_err(failed)?;
                for chunk in chunks {
                    chunk.append_to_row_group(&mut group).map_err(failed)?;
                }
                group.close().map_err(failed)?;
                out.append(writer.inner_mut());
            }
            (PartBody::Group(_), None) => {
                return Err(Error::Form { format: "this file", form: "row groups" });
            }
        }
        Ok(())
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.is_begun, true) {
            out.extend_from_slice(&self.head);
        }
    }

    /// The end of the file. Nothing may be pushed after it.
    ///
    /// # Errors
    /// `Encoder`.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.begin(out);
        out.extend_from_slice(if self.parts_count == 0 { &self.tail_of_none } else { &self.tail });
        if let Some(mut writer) = self.parquet.take() {
            writer.finish().map_err(failed)?;
            out.append(writer.inner_mut());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
