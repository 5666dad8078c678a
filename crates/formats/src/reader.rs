//! Whole files back into records, each as a line of JSON: what `cat` prints and tests compare.
//!
//! It shares no code with the encoders: Avro is read by `apache-avro`, Parquet by `parquet` and `arrow-json`.

use std::io::{Cursor, Read};

use apache_avro::types::Value as Avro;
use arrow_json::{WriterBuilder, writer::LineDelimited};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value as Json};

use crate::Error;

/// A file that unpacks to more is refused: nothing of ours is that large, and a bomb would be.
const UNPACKED_BYTES_MAX: u64 = 4 << 30;

/// What a file holds, told by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Lines,
    Avro,
    Parquet,
}

/// Gives each record of a file to `each` as JSON text, until it answers `false`. Text formats give their lines as they
/// are; `name` tells the format by its end: `.json`, `.csv`, `.txt`, `.bin`, `.avro`, `.parquet`, and `.gz` after it.
pub fn read_json_lines(name: &str, bytes: Bytes, each: &mut dyn FnMut(&[u8]) -> bool) -> Result<(), Error> {
    let (bare, bytes) = match name.strip_suffix(".gz") {
        Some(bare) => (bare, gunzip(name, &bytes)?),
        None => (name, bytes),
    };
    let holds = match bare.rsplit('.').next() {
        Some("avro") => Holds::Avro,
        Some("parquet") => Holds::Parquet,
        _ if bytes.starts_with(b"PAR1") => Holds::Parquet,
        _ if bytes.starts_with(b"Obj\x01") => Holds::Avro,
        _ => Holds::Lines,
    };
    match holds {
        Holds::Lines => {
            read_lines(&bytes, each);
            Ok(())
        }
        Holds::Avro => read_avro(name, &bytes, each),
        Holds::Parquet => read_parquet(name, bytes, each),
    }
}

fn gunzip(name: &str, bytes: &[u8]) -> Result<Bytes, Error> {
    let mut plain = Vec::new();
    let read = MultiGzDecoder::new(bytes).take(UNPACKED_BYTES_MAX).read_to_end(&mut plain);
    let unreadable =
        |source: base::BoxError| Error::Unreadable { name: name.to_owned(), format: "gzip", source };
    let count = read.map_err(|error| unreadable(error.into()))?;
    if count as u64 == UNPACKED_BYTES_MAX {
        return Err(unreadable(format!("it unpacks to more than {UNPACKED_BYTES_MAX} bytes").into()));
    }
    Ok(plain.into())
}

fn read_lines(bytes: &[u8], each: &mut dyn FnMut(&[u8]) -> bool) {
    let whole = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if whole.is_empty() {
        return;
    }
    for line in whole.split(|&byte| byte == b'\n') {
        if !each(line) {
            return;
        }
    }
}

fn read_avro(name: &str, bytes: &[u8], each: &mut dyn FnMut(&[u8]) -> bool) -> Result<(), Error> {
    let unreadable = |source: apache_avro::Error| Error::Unreadable {
        name: name.to_owned(),
        format: "Avro",
        source: source.into(),
    };
    let reader = apache_avro::Reader::new(Cursor::new(bytes)).map_err(unreadable)?;
    for value in reader {
        let line = avro_json(value.map_err(unreadable)?).to_string();
        if !each(line.as_bytes()) {
            return Ok(());
        }
    }
    Ok(())
}

fn read_parquet(name: &str, bytes: Bytes, each: &mut dyn FnMut(&[u8]) -> bool) -> Result<(), Error> {
    let unreadable =
        |source: base::BoxError| Error::Unreadable { name: name.to_owned(), format: "Parquet", source };
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|error| unreadable(error.into()))?;
    for batch in reader {
        let batch = batch.map_err(|error| unreadable(error.into()))?;
        let mut lines = Vec::new();
        let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut lines);
        writer.write(&batch).and_then(|()| writer.finish()).map_err(|error| unreadable(error.into()))?;
        let mut goes_on = true;
        read_lines(&lines, &mut |line| {
            goes_on = each(line);
            goes_on
        });
        if !goes_on {
            return Ok(());
        }
    }
    Ok(())
}

/// Bytes as base64 text, dates and times as numbers: as our JSON format writes them.
fn avro_json(value: Avro) -> Json {
    let bytes = |bytes: &[u8]| {
        let mut text = Vec::new();
        crate::json::append_base64(bytes, &mut text);
        serde_json::from_slice(&text).unwrap_or_default()
    };
    match value {
        Avro::Null => Json::Null,
        Avro::Boolean(flag) => flag.into(),
        Avro::Int(number) | Avro::Date(number) | Avro::TimeMillis(number) => number.into(),
        Avro::Long(number)
        | Avro::TimeMicros(number)
        | Avro::TimestampMillis(number)
        | Avro::TimestampMicros(number)
        | Avro::TimestampNanos(number)
        | Avro::LocalTimestampMillis(number)
        | Avro::LocalTimestampMicros(number)
        | Avro::LocalTimestampNanos(number) => number.into(),
        Avro::Float(number) => number.to_string().parse::<f64>().unwrap_or(f64::from(number)).into(),
        Avro::Double(number) => number.into(),
        Avro::Bytes(data) | Avro::Fixed(_, data) => bytes(&data),
        Avro::String(text) | Avro::Enum(_, text) => text.into(),
        Avro::Union(_, inner) => avro_json(*inner),
        Avro::Array(items) => items.into_iter().map(avro_json).collect(),
        Avro::Map(entries) => {
            let sorted: std::collections::BTreeMap<String, Avro> = entries.into_iter().collect();
            Json::Object(sorted.into_iter().map(|(name, value)| (name, avro_json(value))).collect())
        }
        Avro::Record(fields) => Json::Object(
            fields.into_iter().map(|(name, value)| (name, avro_json(value))).collect::<Map<_, _>>(),
        ),
        Avro::Decimal(decimal) => Vec::<u8>::try_from(&decimal).map_or(Json::Null, |data| bytes(&data)),
        Avro::BigDecimal(number) => number.to_string().into(),
        Avro::Duration(duration) => format!("{duration:?}").into(),
        Avro::Uuid(id) => id.to_string().into(),
    }
}
